"""Keys at rest under a passphrase."""

import json
import stat
from pathlib import Path

import pytest

from contracts.errors import SigningError
from contracts.signing.keypair import SecretKey
from contracts.signing.sealed import Cost, Seal, read_sealed, seal, sealed_path, unseal
from contracts.types import AccountId
from tests.contracts.signing.signing_world import ALICE, CHEAP, open_vault

PASSPHRASE = "correct horse battery"


def test_a_sealed_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    key = SecretKey.generate()
    path = sealed_path(tmp_path, "testnet", ALICE, key.public_key)
    assert seal(path, ALICE, key, Seal.under(PASSPHRASE, cost=CHEAP)) == key.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.unsafe_text()[8:40] not in path.read_text()
    (sealed,) = read_sealed(tmp_path, "testnet")
    assert unseal(sealed, PASSPHRASE)[0].unsafe_text() == key.unsafe_text()
    assert read_sealed(tmp_path, "mainnet") == []
    for wrong in ("", "correct horse batterx"):
        with pytest.raises(SigningError) as caught:
            unseal(sealed, wrong)
        assert caught.value.code == "wrong_passphrase"
    with pytest.raises(SigningError) as caught:
        Seal.under("short", cost=CHEAP)
    assert caught.value.code == "weak_passphrase"


@pytest.mark.parametrize(
    "change",
    [
        {"memory_bytes": 2**40},
        {"operations": 10**9},
        {"version": 2},
        {"salt": ""},
        {"box": "AAAA"},
        {"more": 1},
        {"public_key": "ed25519:11111111111111111111111111111111"},
    ],
)
def test_a_changed_file_opens_nothing_and_costs_nothing(change: dict[str, object], tmp_path: Path) -> None:
    key = SecretKey.generate()
    path = sealed_path(tmp_path, "testnet", ALICE, key.public_key)
    seal(path, ALICE, key, Seal.under(PASSPHRASE, cost=CHEAP))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for sealed in read_sealed(tmp_path, "testnet"):
        with pytest.raises(SigningError):
            unseal(sealed, PASSPHRASE)


def test_the_vault_opens_sealed_keys_when_told(tmp_path: Path) -> None:
    carol = AccountId("carol.localnet")
    with open_vault(tmp_path) as opened:
        key, path = opened.vault.generate(carol, PASSPHRASE)
        assert opened.vault.public_keys(carol) == (key,)
        assert path.suffix == ".sealed"
    with open_vault(tmp_path) as opened:
        assert opened.vault.locked() == {carol: (key,)}
        with pytest.raises(SigningError) as caught:
            opened.vault.public_keys(carol)
        assert caught.value.code == "key_locked"
        with pytest.raises(SigningError, match="does not open"):
            opened.vault.unlock("another passphrase")
        assert opened.vault.unlock(PASSPHRASE) == {carol: (key,)}
        assert opened.vault.public_keys(carol) == (key,)
        assert opened.vault.locked() == {}
        opened.vault.retire(carol, key)
        assert opened.vault.public_keys(carol) == ()
        assert opened.vault.locked() == {}


def test_a_further_key_of_an_account_with_sealed_keys_is_sealed_like_them(tmp_path: Path) -> None:
    """A rotation asks for one without a passphrase, which nobody but its owner knows."""
    carol = AccountId("carol.localnet")
    with open_vault(tmp_path) as opened:
        first, _ = opened.vault.generate(carol, PASSPHRASE)
        second, path = opened.vault.generate(carol, more=True)
        assert path.suffix == ".sealed"
    with open_vault(tmp_path) as opened:
        with pytest.raises(SigningError) as caught:
            opened.vault.generate(carol, more=True)
        assert caught.value.code == "key_locked"
        assert set(opened.vault.unlock(PASSPHRASE)[carol]) == {first, second}
    assert not list((tmp_path / "keys").rglob("carol*"))


def test_without_the_memory_that_a_passphrase_costs_nothing_is_opened_or_written() -> None:
    with pytest.raises(SigningError) as caught:
        Seal.of(PASSPHRASE, bytes(16), Cost(1, 2**50))
    assert caught.value.code == "no_memory"
