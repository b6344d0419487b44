"""The encoder against byte vectors that independent implementations agree on, and against near_api's own encoder."""

import base64
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from near_api import transactions as near_api
from near_api.serializer import BinarySerializer
from near_api.signer import KeyPair, Signer

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Permission,
    Stake,
    Transfer,
)
from contracts.errors import InvalidInput, UnsupportedAction
from contracts.signing.transaction import (
    Transaction,
    call_digest,
    calls_hash,
    combine_digests,
    decode_signed_transaction,
    decode_transaction,
    encode_actions,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import U64_MAX, U128_MAX, AccountId, CryptoHash, Gas, PublicKey, Yocto

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "transactions.json").read_text()
)
BY_NAME: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in VECTORS["transactions"]}
CLASSIC = {
    "CreateAccount",
    "DeployContract",
    "FunctionCall",
    "Transfer",
    "Stake",
    "AddKey",
    "DeleteKey",
    "DeleteAccount",
}


def _supported(vector: Mapping[str, Any]) -> bool:
    text = json.dumps(vector["actions"])
    known = all(action["type"] in CLASSIC for action in vector["actions"])
    return known and "version" not in vector and "GasKey" not in text and "ml-dsa" not in text


SUPPORTED = [name for name, vector in BY_NAME.items() if _supported(vector)]
OTHERS = [name for name in BY_NAME if name not in SUPPORTED]


def _permission(value: Any) -> Permission:
    if value == "FullAccess" or value.get("type") == "FullAccess":
        return FullAccess()
    allowance = value["allowance"]
    return FunctionCallAccess(
        AccountId(value["receiver_id"]),
        tuple(value["method_names"]),
        None if allowance is None else Yocto(int(allowance)),
    )


def _action(value: Mapping[str, Any]) -> Action:
    match value["type"]:
        case "CreateAccount":
            return CreateAccount()
        case "DeployContract":
            return DeployContract(base64.b64decode(value["code_base64"]))
        case "FunctionCall":
            args = base64.b64decode(value["args_base64"])
            return FunctionCall(value["method_name"], args, Gas(int(value["gas"])), Yocto(int(value["deposit"])))
        case "Transfer":
            return Transfer(Yocto(int(value["deposit"])))
        case "Stake":
            return Stake(Yocto(int(value["stake"])), PublicKey(value["public_key"]))
        case "AddKey":
            key = value["access_key"]
            return AddKey(PublicKey(value["public_key"]), _permission(key["permission"]), int(key["nonce"]))
        case "DeleteKey":
            return DeleteKey(PublicKey(value["public_key"]))
        case _:
            return DeleteAccount(AccountId(value["beneficiary_id"]))


def _transaction(vector: Mapping[str, Any]) -> Transaction:
    return Transaction(
        signer_id=AccountId(vector["signer_id"]),
        public_key=PublicKey(vector["public_key"]),
        nonce=int(vector["nonce"]),
        receiver_id=AccountId(vector["receiver_id"]),
        block_hash=CryptoHash(vector["block_hash"]),
        actions=tuple(_action(action) for action in vector["actions"]),
    )


def test_the_vectors_are_all_there() -> None:
    assert (len(BY_NAME), len(SUPPORTED)) == (62, 43)


@pytest.mark.parametrize("name", SUPPORTED)
def test_bytes_hash_and_signature_match_the_vector(name: str) -> None:
    vector = BY_NAME[name]
    expected = vector["expected"]
    transaction = _transaction(vector)
    data = encode_transaction(transaction)
    assert data.hex() == expected["borsh_hex"]
    assert transaction_hash(data) == expected["hash"]
    assert decode_transaction(data) == transaction
    curve, _, text = expected["signature"].partition(":")
    signature = base58.b58decode(text)
    if curve == "ed25519":
        seed = bytes.fromhex(VECTORS["keys"][vector["signing_key"]]["seed_hex"])
        assert SigningKey(seed).sign(hashlib.sha256(data).digest()).signature == signature
    signed = signed_transaction(transaction, data, signature)
    assert base64.b64encode(signed.data).decode() == expected["signed_tx_base64"]
    assert decode_signed_transaction(signed.data) == signed


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_supported_says_so(name: str) -> None:
    expected = BY_NAME[name]["expected"]
    with pytest.raises(UnsupportedAction) as caught:
        decode_transaction(bytes.fromhex(expected["borsh_hex"]))
    assert caught.value.code == "unsupported_action"
    with pytest.raises(UnsupportedAction):
        decode_signed_transaction(base64.b64decode(expected["signed_tx_base64"]))


ACCOUNTS = st.sampled_from(["aa", "alice.near", "a-b_c.near", "0" * 64, "x" * 64]).map(AccountId)
KEYS = st.binary(min_size=32, max_size=32).map(lambda raw: PublicKey.from_bytes("ed25519", raw))
ANY_KEYS = KEYS | st.binary(min_size=64, max_size=64).map(lambda raw: PublicKey.from_bytes("secp256k1", raw))
U128 = st.integers(0, U128_MAX).map(Yocto)
U64 = st.integers(0, U64_MAX)
PERMISSIONS = st.just(FullAccess()) | st.builds(
    FunctionCallAccess, ACCOUNTS, st.lists(st.text(max_size=8), max_size=3).map(tuple), st.none() | U128
)


def _actions(keys: st.SearchStrategy[PublicKey]) -> st.SearchStrategy[Action]:
    return st.one_of(
        st.just(CreateAccount()),
        st.builds(DeployContract, st.binary(max_size=64)),
        st.builds(FunctionCall, st.text(max_size=20), st.binary(max_size=64), U64.map(Gas), U128),
        st.builds(Transfer, U128),
        st.builds(Stake, U128, keys),
        st.builds(AddKey, keys, PERMISSIONS, U64),
        st.builds(DeleteKey, keys),
        st.builds(DeleteAccount, ACCOUNTS),
    )


HASHES = st.binary(min_size=32, max_size=32).map(CryptoHash.from_bytes)
TRANSACTIONS = st.builds(
    Transaction, ACCOUNTS, ANY_KEYS, U64, ACCOUNTS, HASHES, st.lists(_actions(ANY_KEYS), max_size=5).map(tuple)
)


@given(transaction=TRANSACTIONS)
def test_every_transaction_comes_back_from_its_bytes(transaction: Transaction) -> None:
    assert decode_transaction(encode_transaction(transaction)) == transaction


@given(transaction=TRANSACTIONS, cut=st.integers(0, 10_000), extra=st.binary(min_size=1, max_size=4))
def test_bytes_that_are_short_or_long_are_refused(transaction: Transaction, cut: int, extra: bytes) -> None:
    data = encode_transaction(transaction)
    with pytest.raises((InvalidInput, UnsupportedAction)):
        decode_transaction(data[: cut % len(data)])
    with pytest.raises((InvalidInput, UnsupportedAction)):
        decode_transaction(data + extra)


@given(data=st.binary(max_size=300))
def test_bytes_from_anywhere_never_crash_the_decoder(data: bytes) -> None:
    with pytest.raises((InvalidInput, UnsupportedAction)):
        decode_transaction(data)


@given(transaction=TRANSACTIONS, position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_another_transaction_or_none(transaction: Transaction, position: int, bit: int) -> None:
    data = bytearray(encode_transaction(transaction))
    data[position % len(data)] ^= 1 << bit
    try:
        found = decode_transaction(bytes(data))
    except (InvalidInput, UnsupportedAction):
        return
    assert found != transaction
    assert encode_transaction(found) == bytes(data)


def test_a_count_that_the_bytes_cannot_hold_is_refused_at_once() -> None:
    data = encode_transaction(_transaction(BY_NAME["no_actions"]))
    with pytest.raises(InvalidInput):
        decode_transaction(data[:-4] + b"\xff\xff\xff\xff")


@pytest.mark.parametrize("amount", [-1, U128_MAX + 1, True])
def test_numbers_that_do_not_fit_are_refused(amount: int) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        encode_actions([Transfer(Yocto(amount))])
    with pytest.raises(InvalidInput):
        encode_actions([FunctionCall("f", b"", Gas(U64_MAX + 1), Yocto(0))])


def test_a_signature_of_the_wrong_size_or_curve_is_refused() -> None:
    transaction = _transaction(BY_NAME["transfer_1_near"])
    data = encode_transaction(transaction)
    with pytest.raises(InvalidInput, match="64 bytes"):
        signed_transaction(transaction, data, bytes(65))
    with pytest.raises(InvalidInput, match="curve"):
        decode_signed_transaction(data + b"\1" + bytes(65))


def test_hashes_cover_every_call_and_only_the_calls() -> None:
    alice = AccountId("alice.near")
    one = ChangeCall(AccountId("bob.near"), (Transfer(Yocto(1)),))
    two = ChangeCall(AccountId("bob.near"), (Transfer(Yocto(2)),))
    digests = [call_digest(one), call_digest(two)]
    assert calls_hash("testnet", alice, [one, two]) == combine_digests("testnet", alice, digests)
    different = {
        calls_hash("testnet", alice, [one, two]),
        calls_hash("testnet", alice, [two, one]),
        calls_hash("testnet", alice, [one]),
        calls_hash("mainnet", alice, [one, two]),
        calls_hash("testnet", AccountId("alice2.near"), [one, two]),
        calls_hash("testnet", alice, [ChangeCall(AccountId("bob.near"), (*one.actions, *two.actions))]),
    }
    assert len(different) == 6


class _Encoder(Protocol):
    def serialize(self, value: object) -> bytes: ...


def _second_opinion(transaction: Transaction, seed: bytes) -> bytes:
    """near_api's signed bytes, its broken schema for allowances put right (facts of its version 0.2.1)."""
    library = cast("Any", near_api)
    signer = cast("Any", Signer)(str(transaction.signer_id), cast("Any", KeyPair)(seed))
    unsigned = library.Transaction()
    unsigned.signerId = str(transaction.signer_id)
    unsigned.publicKey = library.PublicKey()
    unsigned.publicKey.keyType = 0
    unsigned.publicKey.data = signer.public_key
    unsigned.nonce = transaction.nonce
    unsigned.receiverId = str(transaction.receiver_id)
    unsigned.actions = [_their_action(library, action) for action in transaction.actions]
    unsigned.blockHash = transaction.block_hash.raw
    schema = copy.deepcopy(dict(library.tx_schema))
    fields = schema[library.FunctionCallPermission]["fields"]
    fields[0][1] = {"kind": "option", "type": "u128"}
    return cast("_Encoder", cast("Any", BinarySerializer)(schema)).serialize(unsigned)


def _their_key(library: Any, key: PublicKey) -> Any:
    made = library.PublicKey()
    made.keyType, made.data = 0, key.raw
    return made


def _their_action(library: Any, action: Action) -> Any:
    match action:
        case CreateAccount():
            return library.create_create_account_action()
        case DeployContract(code):
            return library.create_deploy_contract_action(code)
        case FunctionCall(method_name, args, gas, deposit):
            return library.create_function_call_action(method_name, args, gas, deposit)
        case Transfer(deposit):
            return library.create_transfer_action(deposit)
        case Stake(stake, public_key):
            return library.create_staking_action(stake, public_key.raw)
        case DeleteKey(public_key):
            return library.create_delete_access_key_action(public_key.raw)
        case DeleteAccount(beneficiary_id):
            return library.create_delete_account_action(str(beneficiary_id))
        case AddKey(public_key, permission, nonce):
            made = library.Action()
            made.enum = "addKey"
            made.addKey = library.AddKey()
            made.addKey.publicKey = _their_key(library, public_key)
            made.addKey.accessKey = library.AccessKey()
            made.addKey.accessKey.nonce = nonce
            made.addKey.accessKey.permission = _their_permission(library, permission)
            return made


def _their_permission(library: Any, permission: Permission) -> Any:
    made = library.AccessKeyPermission()
    if isinstance(permission, FullAccess):
        made.enum, made.fullAccess = "fullAccess", library.FullAccessPermission()
        return made
    made.enum, made.functionCall = "functionCall", library.FunctionCallPermission()
    made.functionCall.allowance = permission.allowance
    made.functionCall.receiverId = str(permission.receiver_id)
    made.functionCall.methodNames = list(permission.method_names)
    return made


@given(
    seed=st.binary(min_size=32, max_size=32),
    nonce=U64,
    accounts=st.tuples(ACCOUNTS, ACCOUNTS),
    block_hash=HASHES,
    actions=st.lists(_actions(KEYS), max_size=4),
)
def test_near_api_writes_the_same_bytes(
    seed: bytes, nonce: int, accounts: tuple[AccountId, AccountId], block_hash: CryptoHash, actions: Sequence[Action]
) -> None:
    key = PublicKey.from_bytes("ed25519", bytes(SigningKey(seed).verify_key))
    transaction = Transaction(accounts[0], key, nonce, accounts[1], block_hash, tuple(actions))
    assert encode_transaction(transaction) == _second_opinion(transaction, seed)
