"""The one place that writes files: for their owner alone (0600), whole or not at all, on disk on return.

Standard library only. SQLite writes its own files; `open_private` makes them before it does, and gives SQLite's log the mode.
"""

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contracts.folders import make_private_folder, sync_folder

DRAFT: Final = ".new"
"""Ending of a file that is not finished; its name begins with a dot. A kill leaves it behind, 0600 like the file itself."""
_MODE: Final = 0o600
_OTHERS: Final = 0o077


def write_private(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write or replace a file atomically; text in UTF-8. OSError: the file is then as it was.

    Missing folders are made with mode 0700. `durable=False` leaves out the waits for the disk, for what can be lost.
    """
    make_private_folder(path.parent)
    with _draft(path, content, durable=durable) as draft:
        draft.replace(path)
    if durable:
        sync_folder(path.parent)


def create_private(path: Path, content: str | bytes) -> None:
    """Write a new file as `write_private` does. FileExistsError if it is there already."""
    make_private_folder(path.parent)
    with _draft(path, content, durable=True) as draft:
        # Unlike a rename, a link never replaces a file that somebody else has made meanwhile.
        os.link(draft, path)
    sync_folder(path.parent)


def append_private(path: Path, line: str) -> None:
    """Append one line to a file, which is made if it is missing. OSError."""
    make_private_folder(path.parent)
    with os.fdopen(open_private(path, os.O_APPEND), "ab") as file:
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def open_private(path: Path, flags: int = 0) -> int:
    """Return a descriptor for reading and writing, for locks, logs and databases; the caller closes it. OSError.

    A file that is missing is made; one of ours that others can open is closed to them.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, _MODE)
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & _OTHERS:
        os.fchmod(descriptor, _MODE)
    return descriptor


def make_private_file(path: Path) -> None:
    """Make an empty file, 0600, for a program that opens it by name. What is in it stays. OSError.

    A file that is there is not opened: closing it would end the POSIX locks that SQLite holds on it in this process.
    """
    try:
        os.close(open_private(path, os.O_EXCL))
    except FileExistsError:
        found = path.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & _OTHERS:
            path.chmod(_MODE)


@contextmanager
def _draft(path: Path, content: str | bytes, *, durable: bool) -> Generator[Path]:
    """The content in a file beside `path`, which is gone afterwards."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{DRAFT}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
