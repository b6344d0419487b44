"""What is begun beside the loading of the program: it saves the first start its time, and nothing hangs on it."""

from pathlib import Path

import pytest

from contracts.localnet.init import EPOCH_LENGTH, genesis_path, localnet_folder, modules_path
from contracts.localnet.preparing import prepared
from contracts.localnet.server import open_localnet


def _modules(data_dir: Path) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in modules_path(data_dir).iterdir()}


async def test_a_prepared_chain_opens_without_making_keys_or_compiling(tmp_path: Path) -> None:
    with prepared(tmp_path, EPOCH_LENGTH):
        pass
    genesis, modules = genesis_path(tmp_path).read_bytes(), _modules(tmp_path)
    assert localnet_folder(tmp_path).stat().st_mode & 0o777 == 0o700
    assert modules
    async with open_localnet(tmp_path, "127.0.0.1:0") as localnet:
        assert localnet.chain.epoch_length == EPOCH_LENGTH
    assert (genesis_path(tmp_path).read_bytes(), _modules(tmp_path)) == (genesis, modules)


async def test_a_chain_that_is_there_is_left_alone(tmp_path: Path) -> None:
    async with open_localnet(tmp_path, "127.0.0.1:0"):
        pass
    for file in modules_path(tmp_path).iterdir():
        file.unlink()
    genesis_path(tmp_path).unlink()
    with prepared(tmp_path, EPOCH_LENGTH):
        pass
    assert _modules(tmp_path) == {}
    assert not genesis_path(tmp_path).exists()


def test_a_folder_that_cannot_be_is_not_its_business(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with prepared(tmp_path / "file", EPOCH_LENGTH):
        pass
    assert (tmp_path / "file").read_bytes() == b""


def test_what_the_body_raises_comes_out_when_all_is_prepared(tmp_path: Path) -> None:
    with pytest.raises(KeyError), prepared(tmp_path, EPOCH_LENGTH):
        raise KeyError
    assert genesis_path(tmp_path).exists()
