"""The signer's folder: its lock, its socket, its peers. Linux only.

A Unix socket's address has at most 107 bytes, a data folder's path can have more; so the socket is bound and reached through
the folder's open descriptor (`/proc/self/fd/N/signer.sock`), which is short wherever the folder is.
"""

import fcntl
import os
import socket
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contracts.errors import SigningError
from contracts.folders import close_folder, make_private_folder
from contracts.private_files import open_private
from contracts.signing.wire import SOCKET_NAME

_LOCK: Final = "lock"
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid (struct ucred)."""


def make_private(folder: Path, platform: str = sys.platform) -> None:
    """Make the folder for its owner alone.

    SigningError `signer_folder` where it is somebody else's, `signer_platform` where no signer can run.
    """
    if platform != "linux":
        raise SigningError(
            "signer_platform",
            f"the signer checks its peers and closes its memory as Linux does it, and this is {platform}; run near-agent in "
            "a Linux container or virtual machine",
        )
    try:
        make_private_folder(folder)
        found = folder.stat()
    except OSError as error:
        raise SigningError("signer_folder", f"{folder} cannot be made: {error.strerror}") from error
    if found.st_uid != os.getuid():
        raise SigningError(
            "signer_folder", f"{folder} belongs to user {found.st_uid}; give the signer a folder of its own"
        )
    close_folder(folder)


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """The only signer on this folder. SigningError `signer_running`."""
    with os.fdopen(open_private(folder / _LOCK), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            raise SigningError("signer_running", f"process {owner} is the signer of {folder} already") from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def socket_address(folder: Path) -> Generator[str]:
    """An address of the folder's socket that is short enough, good inside the context."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


@contextmanager
def listening(folder: Path) -> Generator[socket.socket]:
    """A socket that accepts connections, 0600. The caller holds the folder alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, socket_address(folder) as address:
        (folder / SOCKET_NAME).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server.bind(address)
        finally:
            os.umask(before)
        server.listen(16)
        server.setblocking(False)
        try:
            yield server
        finally:
            (folder / SOCKET_NAME).unlink(missing_ok=True)


def peer_uid(connection: socket.socket) -> int:
    """Who is at the other end, as the kernel says."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return uid
