"""Compiled modules on disk. Such a file is native code that will be executed, so it is trusted only under conditions:

the folder and the file belong to this user and nobody else may write to them, the file is a plain one, and its contents
match the checksum at its beginning (a torn or damaged file is compiled again). Names bind contract code, wasmtime
version, machine and engine settings. Losing the cache costs time and nothing else, so failing to write is not an error.
"""

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from contracts.folders import make_private_folder
from contracts.private_files import write_private
from contracts.types import CryptoHash

_SETTINGS: Final = "1"
"""Changes whenever the engine's settings change in a way that compiled code depends on."""
_KEPT_FILES: Final = 256
_KEPT_BYTES: Final = 1024**3
"""The largest contracts (4 MiB) compile to some 20 MB each, and anybody can publish many."""
_CHECKSUM_BYTES: Final = 32


class ModuleCache:
    """Compiled modules by code hash in a folder of mode 0700, which is made where it is missing."""

    def __init__(self, folder: Path, kept_bytes: int = _KEPT_BYTES) -> None:
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._suffix = f"{version('wasmtime')}-{platform.machine()}-{_SETTINGS}.cwasm"

    def read(self, code_hash: CryptoHash) -> bytes | None:
        """The stored module; None where there is none that can be trusted."""
        if not self._is_ours():
            return None
        try:
            descriptor = os.open(self._path(code_hash), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not _private(os.fstat(descriptor), stat.S_ISREG):
                return None
            data = file.read()
        body = data[_CHECKSUM_BYTES:]
        return body if body and hashlib.sha256(body).digest() == data[:_CHECKSUM_BYTES] else None

    def write(self, code_hash: CryptoHash, module: bytes) -> None:
        """Store a module, whole or not at all; beyond 256 files, or a gigabyte, the oldest go."""
        path = self._path(code_hash)
        with contextlib.suppress(OSError):
            make_private_folder(self._folder)
            if self._is_ours():
                write_private(path, hashlib.sha256(module).digest() + module, durable=False)
                self._prune()

    def _path(self, code_hash: CryptoHash) -> Path:
        return self._folder / f"{code_hash}-{self._suffix}"

    def _is_ours(self) -> bool:
        try:
            return _private(self._folder.lstat(), stat.S_ISDIR)
        except OSError:
            return False

    def _prune(self) -> None:
        kept = [(path, path.lstat()) for path in self._folder.iterdir()]
        room = self._kept_bytes
        for place, (path, status) in enumerate(sorted(kept, key=lambda one: one[1].st_mtime_ns, reverse=True)):
            room -= status.st_size
            if place >= _KEPT_FILES or room < 0:
                path.unlink(missing_ok=True)


def _private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Of the wanted kind, this user's, and not writable by others."""
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
