"""The encoder against byte vectors that independent implementations agree on, and against near_api's own encoder."""

import base64
import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
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
    AddKey,
    ChangeCall,
    CreateAccount,
    Delegate,
    DelegateAction,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    GlobalAccountId,
    Permission,
    Stake,
    StateInit,
    Transfer,
)
from contracts.errors import InvalidInput, UnsupportedAction
from contracts.signing.action_bytes import ClassicAction, deterministic_account_id
from contracts.signing.signatures import verify
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
from tests.contracts.signing.strategies import (
    ACCOUNTS,
    CLASSIC_PERMISSIONS,
    HASHES,
    KEYS,
    TRANSACTIONS,
    U64,
    classic_actions,
)
from tests.contracts.signing.vectors import BY_NAME, NO_KEY, VECTORS, vector_signature, vector_transaction


def test_the_vectors_are_all_there() -> None:
    assert len(BY_NAME) == 62


@pytest.mark.parametrize("name", BY_NAME)
def test_bytes_hash_and_signature_match_the_vector(name: str) -> None:
    vector = BY_NAME[name]
    expected = vector["expected"]
    transaction = vector_transaction(vector)
    data = encode_transaction(transaction)
    assert data.hex() == expected["borsh_hex"]
    assert transaction_hash(data) == expected["hash"]
    assert decode_transaction(data) == transaction
    signature = vector_signature(vector["signing_key"], hashlib.sha256(data).digest())
    assert f"{transaction.public_key.curve}:{base58.b58encode(signature).decode()}" == expected["signature"]
    signed = signed_transaction(transaction, data, signature)
    assert base64.b64encode(signed.data).decode() == expected["signed_tx_base64"]
    assert decode_signed_transaction(signed.data) == signed
    assert verify(transaction.public_key, signed.tx_hash.raw, signature)


def test_a_delegate_action_of_nearcore_itself() -> None:
    (vector,) = VECTORS["nearcore"]
    action = DelegateAction(AccountId("aaa"), AccountId("bbb"), (CreateAccount(),), 1, 2, NO_KEY)
    assert encode_actions([Delegate(action, bytes(64))])[4:].hex() == vector["action_borsh_hex"]


@pytest.mark.parametrize(("index", "name"), [(14, "DelegateV2"), (15, "UniversalStateInit"), (16, "unknown")])
def test_actions_that_are_not_supported_are_refused_by_name(index: int, name: str) -> None:
    data = encode_transaction(vector_transaction(BY_NAME["no_actions"]))[:-4] + b"\1\0\0\0" + bytes((index, 0, 0))
    with pytest.raises(UnsupportedAction, match=f"action {index} .*{name}") as caught:
        decode_transaction(data)
    assert (caught.value.code, caught.value.details) == ("unsupported_action", {"index": index})


def test_a_strict_or_indexed_nonce_needs_version_1() -> None:
    plain = vector_transaction(BY_NAME["transfer_1_near"])
    for wrong in (replace(plain, nonce_mode="strict"), replace(plain, nonce_index=0)):
        with pytest.raises(InvalidInput, match="version 1") as caught:
            encode_transaction(wrong)
        assert caught.value.code == "needs_v1"
    with pytest.raises(UnsupportedAction, match="nonce mode 2"):
        decode_transaction(encode_transaction(replace(plain, version=1))[:-1] + b"\2")


def test_a_delegate_action_holds_no_other() -> None:
    inner = DelegateAction(AccountId("aaa"), AccountId("bbb"), (), 1, 2, NO_KEY)
    outer = DelegateAction(AccountId("aaa"), AccountId("bbb"), cast("Any", (Delegate(inner, bytes(64)),)), 1, 2, NO_KEY)
    plain = vector_transaction(BY_NAME["transfer_1_near"])
    data = encode_transaction(replace(plain, actions=(Delegate(outer, bytes(64)),)))
    with pytest.raises(InvalidInput, match="inside a delegate action"):
        decode_transaction(data)


def test_records_of_a_state_init_are_sorted_and_unique() -> None:
    code = GlobalAccountId(AccountId("publisher.near"))
    for records in (((b"b", b""), (b"a", b"")), ((b"a", b"1"), (b"a", b"2"))):
        with pytest.raises(InvalidInput) as caught:
            deterministic_account_id(StateInit(code, records))
        assert caught.value.code == "unsorted_data"
    good = encode_actions([DeterministicStateInit(StateInit(code, ((b"a", b""), (b"b", b""))), Yocto(0))])
    plain = encode_transaction(vector_transaction(BY_NAME["no_actions"]))[:-4]
    swapped = good.replace(b"\1\0\0\0a", b"\1\0\0\0c")
    with pytest.raises(InvalidInput, match="not sorted"):
        decode_transaction(plain + swapped)


@pytest.mark.parametrize("name", ["deterministic_state_init", "deterministic_state_init_by_account"])
def test_a_deterministic_account_is_named_by_what_it_is_made_of(name: str) -> None:
    transaction = vector_transaction(BY_NAME[name])
    (action,) = transaction.actions
    assert isinstance(action, DeterministicStateInit)
    assert deterministic_account_id(action.state_init) == transaction.receiver_id


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
    data = encode_transaction(vector_transaction(BY_NAME["no_actions"]))
    with pytest.raises(InvalidInput):
        decode_transaction(data[:-4] + b"\xff\xff\xff\xff")


@pytest.mark.parametrize("amount", [-1, U128_MAX + 1, True])
def test_numbers_that_do_not_fit_are_refused(amount: int) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        encode_actions([Transfer(Yocto(amount))])
    with pytest.raises(InvalidInput):
        encode_actions([FunctionCall("f", b"", Gas(U64_MAX + 1), Yocto(0))])


def test_a_signature_of_the_wrong_size_or_curve_is_refused() -> None:
    transaction = vector_transaction(BY_NAME["transfer_1_near"])
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


def _second_opinion(transaction: Transaction, actions: Sequence[ClassicAction], seed: bytes) -> bytes:
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
    unsigned.actions = [_their_action(library, action) for action in actions]
    unsigned.blockHash = transaction.block_hash.raw
    schema = copy.deepcopy(dict(library.tx_schema))
    fields = schema[library.FunctionCallPermission]["fields"]
    fields[0][1] = {"kind": "option", "type": "u128"}
    return cast("_Encoder", cast("Any", BinarySerializer)(schema)).serialize(unsigned)


def _their_key(library: Any, key: PublicKey) -> Any:
    made = library.PublicKey()
    made.keyType, made.data = 0, key.raw
    return made


def _their_action(library: Any, action: ClassicAction) -> Any:
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
    assert isinstance(permission, FunctionCallAccess)
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
    actions=st.lists(classic_actions(KEYS, CLASSIC_PERMISSIONS), max_size=4),
)
def test_near_api_writes_the_same_bytes(
    seed: bytes,
    nonce: int,
    accounts: tuple[AccountId, AccountId],
    block_hash: CryptoHash,
    actions: Sequence[ClassicAction],
) -> None:
    key = PublicKey.from_bytes("ed25519", bytes(SigningKey(seed).verify_key))
    transaction = Transaction(accounts[0], key, nonce, accounts[1], block_hash, tuple(actions))
    assert encode_transaction(transaction) == _second_opinion(transaction, actions, seed)
