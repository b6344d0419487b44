"""Folders for their owner alone. Standard library only."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077


def make_private_folder(folder: Path) -> None:
    """Make a folder, and what is missing above it, with mode 0700; what is there stays as it is. OSError.

    `Path.mkdir(mode, parents=True)` gives its mode to the last one only: those above it get what the umask leaves.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        with suppress(PermissionError):  # a folder above that can be written and not listed
            sync_folder(folder.parent)


def close_folder(folder: Path) -> None:
    """Make a folder as `make_private_folder` does, and close one of ours that others can enter. OSError."""
    make_private_folder(folder)
    if stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        folder.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk. A file's own fsync does not cover its name. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
