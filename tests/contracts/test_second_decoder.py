"""The second decoder against the golden vectors and against the encoder that signs, which it does not know."""

import base64
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.calls import ChangeCall, FunctionCall, Transfer
from contracts.errors import InvalidInput
from contracts.second_decoder import hash_of_calls, in_words, read_signed_transaction, read_stored_calls
from contracts.signing.transaction import calls_hash
from contracts.types import AccountId, Gas, Yocto
from tests.contracts.signing.vectors import VECTORS, vector_transaction

_CALLS: Final = TypeAdapter(tuple[ChangeCall, ...])
_NAMES: Final = [vector["name"] for vector in VECTORS["transactions"]]


def stored(*calls: ChangeCall) -> Any:
    """As the database keeps them."""
    return json.loads(_CALLS.dump_json(calls))


def unsigned_parts(vector: dict[str, Any]) -> bytes:
    """Receiver and actions, cut out of the vector's own bytes."""
    data = bytes.fromhex(vector["expected"]["borsh_hex"])
    receiver = len(vector["receiver_id"]).to_bytes(4, "little") + vector["receiver_id"].encode()
    block = data.index(receiver, 4 + len(vector["signer_id"])) + len(receiver)
    end = len(data) - (1 if vector.get("version") == 1 else 0)
    return receiver + data[block + 32 : end]


@pytest.mark.parametrize("vector", VECTORS["transactions"], ids=_NAMES)
def test_stored_calls_become_the_bytes_of_the_golden_vectors(vector: dict[str, Any]) -> None:
    transaction = vector_transaction(vector)
    call = ChangeCall(transaction.receiver_id, transaction.actions)
    (decoded,) = read_stored_calls(stored(call))
    assert decoded.data == unsigned_parts(vector)
    assert hash_of_calls("testnet", transaction.signer_id, [decoded]) == calls_hash(
        "testnet", transaction.signer_id, [call]
    )
    assert all(in_words(decoded))


@pytest.mark.parametrize("vector", VECTORS["transactions"], ids=_NAMES)
def test_signed_bytes_of_the_golden_vectors_are_read_as_the_stored_calls(vector: dict[str, Any]) -> None:
    signed = vector["expected"].get("signed_tx_base64")
    if signed is None:
        assert vector["signing_key"] == "ml_dsa_65"
        return
    transaction = vector_transaction(vector)
    read = read_signed_transaction(base64.b64decode(signed))
    (decoded,) = read_stored_calls(stored(ChangeCall(transaction.receiver_id, transaction.actions)))
    assert read.signer_id == vector["signer_id"]
    assert read.call == decoded


@given(st.text(max_size=20), st.binary(max_size=40), st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1))
def test_any_function_call_is_hashed_as_the_signer_hashes_it(name: str, args: bytes, gas: int, deposit: int) -> None:
    alice = AccountId("alice.localnet")
    calls = (
        ChangeCall(AccountId("a.tg"), (FunctionCall(name, args, Gas(gas), Yocto(deposit)),)),
        ChangeCall(AccountId("b.tg"), (Transfer(Yocto(deposit)), Transfer(Yocto(0)))),
    )
    assert hash_of_calls("c", alice, read_stored_calls(stored(*calls))) == calls_hash("c", alice, calls)


def test_words_are_those_of_the_bytes() -> None:
    call = ChangeCall(
        AccountId("usdc.localnet"),
        (FunctionCall("ft_transfer", b'{"amount":"5"}', Gas(30 * 10**12), Yocto(1)), Transfer(Yocto(7))),
    )
    (decoded,) = read_stored_calls(stored(call))
    assert [*in_words(decoded)] == [
        'call ft_transfer with {"amount":"5"}, deposit 1 yoctoNEAR, gas 30000000000000',
        "transfer deposit 7",
    ]


UNREADABLE: Final[list[dict[str, Any]]] = [
    {"kind": "view"},
    {"more": 1},
    {"actions": [{"kind": "transfer"}]},
    {"actions": [{"kind": "transfer", "deposit": "1", "to": "x"}]},
    {"actions": [{"kind": "transfer", "deposit": "-1"}]},
    {"actions": [{"kind": "transfer", "deposit": str(2**128)}]},
    {"actions": [{"kind": "transfer", "deposit": True}]},
    {"actions": [{"kind": "transfer", "deposit": "١"}]},
    {"actions": [{"kind": "burn", "deposit": "1"}]},
    {"actions": [{"kind": "delete_key", "public_key": "ed25519:xyz"}]},
    {"actions": [{"kind": "delete_key", "public_key": "ed25519:0OIl"}]},
    {"actions": [{"kind": "deploy_contract", "code": "***"}]},
    {"actions": [{"kind": "delegate", "delegate_action": {}, "signature": ""}]},
    {"actions": "x"},
    {"receiver_id": 5},
    {"receiver_id": "\ud800"},
]


@pytest.mark.parametrize("change", UNREADABLE)
def test_unreadable_calls_are_refused(change: dict[str, Any]) -> None:
    (call,) = stored(ChangeCall(AccountId("a.tg"), (Transfer(Yocto(1)),)))
    with pytest.raises(InvalidInput) as refused:
        read_stored_calls([{**call, **change}])
    assert refused.value.code == "bad_transaction"


@given(st.binary(max_size=200))
def test_bytes_are_read_whole_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_signed_transaction(data)


def test_bytes_with_anything_behind_or_missing_are_refused() -> None:
    signed = base64.b64decode(VECTORS["transactions"][0]["expected"]["signed_tx_base64"])
    for data in (signed + b"\0", signed[:-1], b""):
        with pytest.raises(InvalidInput):
            read_signed_transaction(data)
