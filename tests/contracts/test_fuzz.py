"""Every reader of bytes and text from outside, given damaged and invented input: a value, or the error that its doc names."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter

from contracts.calls import Delegate
from contracts.catalogue.arguments import (
    AccountArg,
    AmountArg,
    AmountOrAllArg,
    Args,
    ContractArg,
    DecimalArg,
    GasArg,
    HashArg,
    IntArg,
    ObjectArg,
    PublicKeyArg,
    TextArg,
    TextListArg,
    TokenArg,
    parameters_of,
    read_argument,
)
from contracts.chain import rpc_types
from contracts.chain.rpc_parse import parse_answer, parse_hash, parse_result
from contracts.chain.rpc_types import Answer
from contracts.chain.tx_answer import TxAnswer
from contracts.errors import InvalidInput, RpcError, UnsupportedAction
from contracts.knowledge.abi import exported_methods
from contracts.knowledge.registry import Registry
from contracts.signing.messages import decode_delegate_payload, encode_delegate_payload
from contracts.signing.transaction import (
    Transaction,
    decode_signed_transaction,
    decode_transaction,
    encode_transaction,
)
from contracts.strict_json import parse_json
from contracts.types import AccountId, CryptoHash, PublicKey, parse_units
from tests.contracts.signing.strategies import DELEGATES, TRANSACTIONS
from tests.contracts.signing.vectors import VECTORS
from tests.contracts.vm.wat_contract import WatContract

ErrorT = TypeVar("ErrorT", bound=Exception)
REFUSED: Final = (InvalidInput, UnsupportedAction)
ROUNDS: Final = 3_000
RPC_SAMPLES: Final = sorted((Path(__file__).resolve().parents[1] / "vectors" / "rpc").glob("*.json"))
ANSWERS: Final[list[type[Answer]]] = [
    TxAnswer,
    *(
        found
        for found in vars(rpc_types).values()
        if isinstance(found, type) and issubclass(found, Answer) and found is not Answer
    ),
]
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
JUNK: Final[list[JsonValue]] = [
    None,
    True,
    -1,
    2**63,
    2**200,
    1.5,
    1e300,
    "",
    "0",
    "-1",
    "1e5",
    "\u0664\u0662",
    "x" * 300,
    "1" * 400,
    "\x00",
    "ed25519:",
    [],
    [[[]]],
    {},
    {"a": {"b": [1, {"c": None}]}},
    {"Failure": 1},
    {"SuccessValue": "%%"},
]
ALICE: Final = AccountId("alice.localnet")


def damaged(random: Random, data: bytes) -> bytes:
    """Some bytes flipped, cut out, doubled or put in."""
    raw = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(len(raw) + 1)
        match random.randrange(4):
            case 0 if place < len(raw):
                raw[place] = random.randrange(256)
            case 1:
                del raw[place : place + random.randrange(1, 9)]
            case 2:
                raw[place:place] = raw[place : place + random.randrange(1, 9)]
            case _:
                raw[place:place] = random.randbytes(random.randrange(1, 5))
    return bytes(raw)


def changed(random: Random, value: JsonValue) -> JsonValue:
    """A JSON value with one place in it replaced, removed or added to."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: changed(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        return [*value[:place], changed(random, value[place]), *value[place + 1 :]]
    return random.choice(JUNK)


@given(transaction=TRANSACTIONS, random=st.randoms(use_true_random=False))
def test_damaged_transactions_are_another_transaction_or_refused(transaction: Transaction, random: Random) -> None:
    attempt = damaged(random, encode_transaction(transaction))
    try:
        found = decode_transaction(attempt)
    except REFUSED:
        return
    assert encode_transaction(found) == attempt


def test_damaged_vectors_are_refused_or_other_transactions() -> None:
    random = Random(1)
    signed = [bytes.fromhex(vector["expected"]["borsh_hex"]) for vector in VECTORS["transactions"]]
    small = [data for data in signed if len(data) < 600]
    for _ in range(ROUNDS):
        attempt = damaged(random, random.choice(small))
        for decode in (decode_transaction, decode_signed_transaction):
            try:
                found = decode(attempt)
            except REFUSED:
                continue
            if isinstance(found, Transaction):
                assert encode_transaction(found) == attempt


@given(delegate=DELEGATES, random=st.randoms(use_true_random=False))
def test_damaged_delegate_actions(delegate: Delegate, random: Random) -> None:
    attempt = damaged(random, encode_delegate_payload(delegate.delegate_action))
    try:
        found = decode_delegate_payload(attempt)
    except REFUSED:
        return
    assert encode_delegate_payload(found) == attempt


def test_answers_of_nodes_with_anything_in_any_place() -> None:
    random = Random(2)
    samples = [_JSON.validate_json(path.read_bytes()) for path in RPC_SAMPLES]
    bodies = [sample["response"] for sample in samples if isinstance(sample, dict) and "response" in sample]
    assert len(bodies) > 70
    for _ in range(ROUNDS):
        body = random.choice(bodies)
        for _ in range(random.randrange(3)):
            body = changed(random, body)
        raw = json.dumps(body).encode()
        if random.random() < 0.1:
            raw = damaged(random, raw)
        status = random.choice((200, 200, 200, 400, 408, 422, 429, 500, 502))
        with_id = str(body.get("id")) if isinstance(body, dict) else "x"
        for read in (*readers(random), parse_result, parse_hash):
            only_rpc_errors(read, status, raw, with_id)


def refusal(read: Callable[[], object], kind: type[ErrorT]) -> ErrorT | None:
    """The error of that kind, None where there is a value; any other error comes out."""
    try:
        read()
    except kind as error:
        return error
    return None


def readers(random: Random) -> list[Callable[[int, bytes, str], object]]:
    chosen = random.sample(ANSWERS, 3)
    return [lambda status, raw, id_, kind=kind: parse_answer(kind, status, raw, id_) for kind in chosen]


def only_rpc_errors(read: Callable[[int, bytes, str], object], status: int, raw: bytes, id_: str) -> None:
    error = refusal(lambda: read(status, raw, id_), RpcError)
    assert error is None or (re.fullmatch(r"\w{1,80}", error.code) and len(error.message) < 10_000)


@given(data=st.binary(max_size=200), status=st.integers(100, 599))
def test_bodies_that_are_no_answer(data: bytes, status: int) -> None:
    with pytest.raises(RpcError):
        parse_result(status, data, "1")


@given(data=st.binary(max_size=60) | st.text(max_size=60))
def test_json_from_outside(data: bytes | str) -> None:
    refusal(lambda: parse_json(data), ValueError)


def test_deep_and_large_json() -> None:
    for text in ("[" * 100_000, '{"a":' * 50_000, "1" * 100_000, "1e999", "NaN", "[1e400]", '"\\ud800"'):
        with pytest.raises(ValueError, match=r".+"):
            parse_json(text)


def test_damaged_contract_code_has_exports_or_is_refused() -> None:
    random = Random(3)
    contract = WatContract()
    for name in ("one", "two", "h\u00e9"):
        contract.method(name, contract.returns("1"))
    code = contract.code()
    for _ in range(ROUNDS):
        attempt = damaged(random, code)
        error = refusal(lambda attempt=attempt: exported_methods(attempt), InvalidInput)
        assert error is None or error.code == "bad_wasm"


@given(text=st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")))
def test_ids_keys_hashes_and_amounts(text: str) -> None:
    for read in (AccountId, PublicKey, CryptoHash):
        for attempt in (text, f"ed25519:{text}", f"secp256k1:{text}", f"ml-dsa-65:{text}", f"0x{text}"):
            try:
                found = read(attempt)
            except ValueError:
                continue
            assert read(str(found)) == found
    for decimals in (0, 6, 24, 38):
        error = refusal(lambda decimals=decimals: parse_units(text, decimals), InvalidInput)
        assert error is None or error.code.startswith("amount_")


class Everything(Args):
    account_id: AccountArg
    contract_id: ContractArg
    token: TokenArg
    amount: AmountArg
    part: AmountOrAllArg
    decimal: DecimalArg
    text: TextArg
    args: ObjectArg
    gas: GasArg
    tx_hash: HashArg
    number: IntArg
    names: TextListArg
    public_key: PublicKeyArg


REGISTRY: Final = Registry.for_network("localnet")
PARAMETERS: Final = parameters_of(Everything)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(value=anything)
def test_arguments_of_a_model(value: JsonValue) -> None:
    for parameter in PARAMETERS:
        refusal(lambda parameter=parameter: read_argument(parameter, value, ALICE, REGISTRY), InvalidInput)


@given(text=st.text(max_size=60) | st.sampled_from(["[" * 5_000, '{"a":1,"a":2}', '{"a":1.0}', "@me", "9" * 5_000]))
def test_arguments_given_as_text(text: str) -> None:
    for parameter in PARAMETERS:
        refusal(lambda parameter=parameter: read_argument(parameter, text, ALICE, REGISTRY), InvalidInput)
