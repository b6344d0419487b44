"""Folders for their owner alone. Standard library only."""

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make a folder, and what is missing above it, with mode 0700; what is there stays as it is. OSError.

    `Path.mkdir(mode, parents=True)` gives its mode to the last one only: those above it get what the umask leaves.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
