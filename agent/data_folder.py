"""The data folder's small files: the lock, the daemon's address, the keys of its first client and of its operator.

Standard library only: the command line reads these files before anything heavy is imported.
"""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from contracts.folders import make_private_folder
from contracts.private_files import open_private, write_private

API_KEY: Final = "api_key"
"""The first client's bearer key, in plain text, 0600."""
OPERATOR_KEY: Final = "operator_key"
"""Opens the operator's routes (cards by request id, API keys); new at each start, 0600."""
ADDRESS: Final = "daemon.json"
LOCK: Final = "lock"
HISTORY: Final = "chat_history"
DATABASE_NAME: Final = "agent.db"
"""The store's file."""
_LOCK_POLL_S: Final = 0.1
_GLANCE_S: Final = 0.3
"""Who only looks whether the folder is held has the lock for a moment."""
_OTHERS_WRITE: Final = 0o022


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """What `daemon.json` says of the running daemon."""

    pid: int
    url: str
    rpc_url: str
    network: str


class FolderInUse(Exception):
    """Another process works on this data folder. `pid` is as that process wrote it; empty where it has not yet."""

    def __init__(self, folder: Path, pid: str) -> None:
        owner = f"process {pid}" if pid else "another process"
        address = read_address(folder)
        at = f" at {address.url}" if address and str(address.pid) == pid else ""
        super().__init__(
            f"{owner}{at} already uses the data folder {folder}; stop it first, or name another folder with --data-dir"
        )
        self.folder = folder
        self.pid = pid


@contextmanager
def lock_folder(folder: Path, *, wait_s: float = 0.0) -> Generator[None]:
    """Hold the folder alone, our pid in the lock file. Made (0700) where it is missing.

    FolderInUse after `wait_s`; PermissionError where others can put files into it.
    """
    make_private_folder(folder)
    _check_ours(folder)
    descriptor = open_private(folder / LOCK)
    try:
        _take(descriptor, folder, wait_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _check_ours(folder: Path) -> None:
    """Who can write to the folder can put a policy, a key of the codes or a whole database there."""
    found = folder.stat()
    ours = found.st_uid == os.getuid() or os.getuid() == 0
    if not ours or stat.S_IMODE(found.st_mode) & _OTHERS_WRITE:
        raise PermissionError(
            errno.EPERM,
            "other users can put files into this data folder; make it yours alone (chmod go-w)",
            str(folder),
        )


def write_address(folder: Path, address: DaemonAddress) -> None:
    write_private(folder / ADDRESS, json.dumps(asdict(address)) + "\n")


def remove_address(folder: Path) -> None:
    (folder / ADDRESS).unlink(missing_ok=True)


def read_address(folder: Path) -> DaemonAddress | None:
    """The address in the folder, also of a daemon that is gone; None where there is none that can be read."""
    try:
        values = json.loads((folder / ADDRESS).read_bytes())
        return DaemonAddress(
            pid=int(values["pid"]),
            url=str(values["url"]),
            rpc_url=str(values["rpc_url"]),
            network=str(values.get("network", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def running_daemon(folder: Path, *, wait_s: float = 0.0) -> DaemonAddress | None:
    """The address of a daemon that lives: its process holds the folder at this moment.

    A process that holds the folder and gives no address is starting or about to end: it is waited for.
    """
    deadline = time.monotonic() + wait_s
    while True:
        owner, address = _lock_owner(folder), read_address(folder)
        if not owner:
            return None
        if address is not None and str(address.pid) == owner:
            return address
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOCK_POLL_S)


def read_key(folder: Path, name: str) -> str | None:
    """A key file's text; None where it is missing or empty."""
    try:
        return (folder / name).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def write_key(folder: Path, name: str, key: str) -> None:
    write_private(folder / name, key)


def _take(descriptor: int, folder: Path, wait_s: float) -> None:
    deadline = time.monotonic() + max(wait_s, _GLANCE_S)
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() >= deadline:
            raise FolderInUse(folder, _lock_owner(folder))
        time.sleep(_LOCK_POLL_S)


def _lock_owner(folder: Path) -> str:
    """Who holds the folder; empty where nobody does.

    The lock is asked, not the number in it: that stays behind a daemon that was killed, another process can have it by now,
    and anybody's server the daemon's port, to which our keys would be sent.
    """
    try:
        with (folder / LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = file.read(20).decode("ascii").strip()
                return owner if owner.isdigit() else ""
    except (OSError, UnicodeDecodeError):
        pass
    return ""
