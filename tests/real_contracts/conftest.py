"""Contracts that others compiled, from the folder named by NEAR_REAL_CONTRACTS (default ../shared/vectors/wasm)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.vm.engine import Engine

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def real_wasm() -> Callable[[str], bytes]:
    """Reads `NAME.wasm`; skips the test, saying why, where the folder or the file is absent."""
    folder = Path(os.environ.get("NEAR_REAL_CONTRACTS", ROOT.parent / "shared" / "vectors" / "wasm"))

    def read(name: str) -> bytes:
        path = folder / f"{name}.wasm"
        if not path.is_file():
            pytest.skip(f"{path} is absent; name the folder of real contracts in NEAR_REAL_CONTRACTS")
        return path.read_bytes()

    return read


@pytest.fixture(scope="session")
def engine() -> Engine:
    """One engine for all: compiling takes most of the time."""
    return Engine()
