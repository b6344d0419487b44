import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import ChainError
from contracts.localnet.init import chain_path, genesis_path, init_localnet
from tests.contracts.localnet.wallet import ALICE, Wallet


def _credentials(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data_dir / "localnet" / "credentials").iterdir()}


def test_a_child_process_makes_credentials_and_a_genesis_without_secrets(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "contracts.localnet.init", str(tmp_path)], check=True)
    folder = tmp_path / "localnet" / "credentials"
    assert sorted(path.name for path in folder.iterdir()) == [
        "alice.localnet.json",
        "bob.localnet.json",
        "carol.localnet.json",
    ]
    genesis = genesis_path(tmp_path).read_text()
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        credentials = json.loads(path.read_text())
        assert set(credentials) == {"account_id", "public_key", "private_key"}
        assert credentials["public_key"] in genesis
        assert credentials["private_key"].removeprefix("ed25519:") not in genesis
    alice = Wallet.load(tmp_path, ALICE)
    assert alice.public_key in genesis


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    init_localnet(tmp_path)
    before = _credentials(tmp_path), genesis_path(tmp_path).read_bytes()
    init_localnet(tmp_path)
    assert (_credentials(tmp_path), genesis_path(tmp_path).read_bytes()) == before


@pytest.mark.parametrize("left", [1, 2, 3])
def test_an_interrupted_init_keeps_the_keys_that_it_finds(tmp_path: Path, left: int) -> None:
    init_localnet(tmp_path)
    whole = _credentials(tmp_path)
    genesis_path(tmp_path).unlink()
    folder = tmp_path / "localnet" / "credentials"
    for name in sorted(whole)[left:]:
        (folder / name).unlink()
    (folder / ".bob.localnet.json.new").write_text('{"account_id": "bob.loc')
    init_localnet(tmp_path)
    again = _credentials(tmp_path)
    assert set(again) == set(whole)
    assert {name: again[name] for name in sorted(whole)[:left]} == {name: whole[name] for name in sorted(whole)[:left]}
    for name in again:
        assert json.loads(again[name])["public_key"] in genesis_path(tmp_path).read_text()


@pytest.mark.parametrize("text", ["", "{}", '{"private_key": 5}', '{"private_key": "ed25519:111"}', "[1]"])
def test_a_file_that_is_no_key_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "localnet" / "credentials" / "alice.localnet.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ChainError) as caught:
        init_localnet(tmp_path)
    assert caught.value.code == "bad_credentials"
    assert str(path) in caught.value.message
    assert path.read_text() == text
    assert not genesis_path(tmp_path).exists()


def test_a_chain_without_its_genesis_file_gets_no_new_keys(tmp_path: Path) -> None:
    chain_path(tmp_path).parent.mkdir(parents=True)
    chain_path(tmp_path).write_bytes(b"")
    with pytest.raises(ChainError) as caught:
        init_localnet(tmp_path)
    assert caught.value.code == "genesis_missing"
    assert _credentials(tmp_path) == {}
