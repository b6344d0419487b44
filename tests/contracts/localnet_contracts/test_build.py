"""The committed wasm is what the sources compile to."""

from pathlib import Path

import pytest

from contracts.localnet.sources.build import CONTRACTS, WASM, build


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_fresh_build_gives_the_committed_bytes(contract: str, tmp_path: Path) -> None:
    target = tmp_path / f"{contract}.wasm"
    build(contract, target)
    assert target.read_bytes() == (WASM / f"{contract}.wasm").read_bytes()


def test_nothing_else_is_committed() -> None:
    assert sorted(path.stem for path in WASM.iterdir()) == list(CONTRACTS)
