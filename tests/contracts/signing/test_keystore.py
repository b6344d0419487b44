"""Key files: both layouts, every way to be wrong, and no secret in sight."""

import json
import pickle
import stat
from pathlib import Path

import base58
import pytest
from nacl.signing import SigningKey, VerifyKey

from contracts.errors import SigningError
from contracts.signing.keystore import (
    KeyStore,
    additional_path,
    parse_secret,
    retire_key_files,
    write_key_file,
)
from contracts.signing.signatures import verify
from contracts.types import AccountId, PublicKey
from tests.doubles import generate_key_file, key_file

ALICE = AccountId("alice.testnet")
SEED = bytes(range(32))
PUBLIC = bytes(SigningKey(SEED).verify_key)
SECRET = f"ed25519:{base58.b58encode(SEED + PUBLIC).decode()}"
KEY = PublicKey.from_bytes("ed25519", PUBLIC)
SECP = "secp256k1:4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw"


def _put(folder: Path, **content: str) -> Path:
    path = folder / "alice.testnet.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_both_layouts_are_read(tmp_path: Path) -> None:
    direct = key_file(tmp_path, "alice.testnet", SEED)
    nested = key_file(tmp_path / "testnet", "alice.testnet", bytes(32))
    key_file(tmp_path / "testnet", "bob.testnet", bytes(range(1, 33)))
    key_file(tmp_path / "mainnet", "carol.near", bytes(range(2, 34)))
    keys = KeyStore.load(tmp_path, "testnet")
    assert keys.accounts() == ("alice.testnet", "bob.testnet")
    assert set(keys.public_keys(ALICE)) == {direct, nested}
    assert keys.problems == ()


def test_several_keys_of_one_account_are_read(tmp_path: Path) -> None:
    """near-cli-rs keeps each in `NETWORK/ACCOUNT/ed25519_KEY.json`, without the account's name in it."""
    first = key_file(tmp_path / "testnet", "alice.testnet", bytes(32))
    path = additional_path(tmp_path, "testnet", ALICE, KEY)
    path.parent.mkdir()
    path.write_text(json.dumps({"master_seed_phrase": "", "public_key": KEY, "private_key": SECRET}))
    assert set(KeyStore.load(tmp_path, "testnet").public_keys(ALICE)) == {first, KEY}
    retired = retire_key_files(tmp_path, "testnet", ALICE, KEY)
    assert [path.suffix for path in retired] == [".retired"]
    assert KeyStore.load(tmp_path, "testnet").public_keys(ALICE) == (first,)
    assert retire_key_files(tmp_path, "testnet", ALICE, KEY) == []


def test_secp256k1_signatures_are_those_of_the_key(tmp_path: Path) -> None:
    _put(tmp_path, private_key=SECP)
    keys = KeyStore.load(tmp_path, "testnet")
    (key,) = keys.public_keys(ALICE)
    signature = keys.unsafe_sign_hash(ALICE, key, bytes(range(32)))
    assert len(signature) == 65
    assert verify(key, bytes(range(32)), signature)
    assert not verify(key, bytes(32), signature)


def test_a_missing_folder_holds_no_keys(tmp_path: Path) -> None:
    keys = KeyStore.load(tmp_path / "nothing", "testnet")
    assert keys.accounts() == ()
    assert keys.public_keys(ALICE) == ()
    with pytest.raises(SigningError) as caught:
        keys.unsafe_sign_hash(ALICE, KEY, bytes(32))
    assert caught.value.code == "no_key"


def test_a_seed_alone_and_the_older_field_name_are_read(tmp_path: Path) -> None:
    _put(tmp_path, secret_key=base58.b58encode(SEED).decode())
    assert KeyStore.load(tmp_path, "testnet").public_keys(ALICE) == (KEY,)


def test_signatures_are_those_of_the_key(tmp_path: Path) -> None:
    _put(tmp_path, account_id=ALICE, public_key=KEY, private_key=SECRET)
    digest = bytes(range(32))
    signature = KeyStore.load(tmp_path, "testnet").unsafe_sign_hash(ALICE, KEY, digest)
    VerifyKey(PUBLIC).verify(digest, signature)


WRONG = {
    "another curve": ({"private_key": "ml-dsa-65:" + SECRET[8:]}, "not supported"),
    "a secp256k1 key of the wrong size": ({"private_key": "secp256k1:" + SECRET[8:]}, "a secp256k1 key has 32"),
    "another public half": (
        {"private_key": f"ed25519:{base58.b58encode(SEED + bytes(32)).decode()}"},
        "does not belong to its seed",
    ),
    "another public key": (
        {"private_key": SECRET, "public_key": PublicKey.from_bytes("ed25519", bytes(32))},
        "does not belong to its private_key",
    ),
    "another account": ({"account_id": "bob.testnet", "private_key": SECRET}, "holds a key of bob.testnet"),
    "too short": ({"private_key": "ed25519:3yZe7d"}, "bytes; 64"),
    "too long": ({"private_key": "1" * 300}, "too long"),
    "not base58": ({"private_key": "ed25519:0OIl"}, "not base58"),
    "none": ({"account_id": "alice.testnet"}, "no private_key"),
    "a wrong field": ({"private_key": SECRET, "public_key": "nonsense" + SECRET}, "public_key: value_error"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_makes_its_account_unusable_and_says_why(name: str, tmp_path: Path) -> None:
    content, reason = WRONG[name]
    path = _put(tmp_path, **content)
    key_file(tmp_path, "bob.testnet", SEED)
    keys = KeyStore.load(tmp_path, "testnet")
    assert keys.accounts() == ("bob.testnet",)
    assert [(problem.path, problem.account_id) for problem in keys.problems] == [(path, "alice.testnet")]
    assert reason in keys.problems[0].reason
    with pytest.raises(SigningError) as caught:
        keys.public_keys(ALICE)
    assert caught.value.code == "bad_key_file"
    told = str(caught.value) + keys.problems[0].reason
    assert all(value.rpartition(":")[2] not in told for field, value in content.items() if field == "private_key")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 60_000, b'{"private_key": "' + b"1" * 70_000 + b'"}']
)
def test_files_that_are_no_key_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "alice.testnet.json").write_bytes(content)
    (tmp_path / "Not An Account.json").write_text(json.dumps({"private_key": SECRET}))
    keys = KeyStore.load(tmp_path, "testnet")
    assert keys.accounts() == ()
    assert len(keys.problems) == 2


def test_secrets_stay_inside(tmp_path: Path) -> None:
    _put(tmp_path, account_id=ALICE, public_key=KEY, private_key=SECRET)
    keys = KeyStore.load(tmp_path, "testnet")
    assert repr(keys) == "KeyStore(accounts=['alice.testnet'])"
    assert SECRET[8:] not in f"{keys} {keys!r} {keys._keys}"
    for secret in (keys, keys._keys[ALICE][KEY]):
        with pytest.raises(TypeError):
            pickle.dumps(secret)


def test_a_generated_key_is_new_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "alice.testnet.json"
    public_key = generate_key_file(path, ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyStore.load(path.parent, "testnet").public_keys(ALICE) == (public_key,)
    before = path.read_text()
    with pytest.raises(FileExistsError):
        generate_key_file(path, ALICE)
    assert path.read_text() == before
    assert [found.name for found in path.parent.iterdir()] == ["alice.testnet.json"]
    assert generate_key_file(tmp_path / "b.testnet.json", AccountId("b.testnet")) != public_key


def test_an_imported_key_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "alice.testnet.json"
    assert write_key_file(path, ALICE, parse_secret(ALICE, f" {SECRET}\n")) == KEY
    assert KeyStore.load(tmp_path, "testnet").public_keys(ALICE) == (KEY,)
    carol = AccountId("c.testnet")
    secp = write_key_file(tmp_path / "c.testnet.json", carol, parse_secret(carol, SECP))
    assert secp.curve == "secp256k1"
    assert KeyStore.load(tmp_path, "testnet").public_keys(carol) == (secp,)
    for wrong in ("ml-dsa-65:3yZe7d", "ed25519:3yZe7d", ""):
        with pytest.raises(SigningError) as caught:
            parse_secret(AccountId("b.testnet"), wrong)
        assert caught.value.code == "bad_key"
