"""What a contract can be asked: its own ABI first, then standards by their names, then bare names; hostile ABIs refused."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.errors import InvalidInput
from contracts.knowledge.abi import MAX_ABI_BYTES, MAX_COMPRESSED, read_abi
from contracts.knowledge.interface import (
    MAX_CACHED,
    Interface,
    InterfaceCache,
    interface_of,
    read_interface,
    type_name,
)
from contracts.types import CryptoHash, JsonObject

VECTORS = Path(__file__).parents[2] / "vectors" / "abi"
GUESTBOOK: dict[str, Any] = json.loads((VECTORS / "near_abi_guestbook.json").read_text())
BORSH: dict[str, Any] = json.loads((VECTORS / "near_abi_borsh_counter.json").read_text())
TOKEN = ("ft_transfer", "ft_transfer_call", "ft_total_supply", "ft_balance_of", "ft_metadata", "mint")


def packed(document: object) -> bytes:
    return zstandard.ZstdCompressor().compress(json.dumps(document).encode())


def document(*functions: JsonValue, definitions: JsonValue = None) -> JsonObject:
    root: JsonValue = {"definitions": definitions or {}}
    return {"schema_version": "0.4.0", "body": {"functions": list(functions), "root_schema": root}}


def function(name: str = "say", **more: JsonValue) -> JsonObject:
    return {"name": name, "kind": "call", **more}


def params(*args: tuple[str, JsonValue]) -> JsonObject:
    return {"serialization_type": "json", "args": [{"name": name, "type_schema": schema} for name, schema in args]}


def test_the_vector_of_the_guestbook_is_read() -> None:
    answer = base64.b64decode(GUESTBOOK["contract_abi_zstd_base64"])
    assert bytes(GUESTBOOK["call_function_result"]) == answer
    interface = interface_of(["add_message", "get_messages", "total_messages", "__contract_abi"], answer)
    add, get = interface.methods["add_message"], interface.methods["get_messages"]
    assert (add.origin, add.kind, add.payable, add.encoding) == ("abi", "call", True, "json")
    assert [(one.name, one.required) for one in add.parameters or ()] == [("text", True)]
    assert [(one.name, one.required) for one in get.parameters or ()] == [("from_index", False), ("limit", False)]
    assert get.payable is False
    assert interface.argument_problem("add_message", {"text": "hi"}) is None
    assert interface.argument_problem("add_message", {"text": 5}) == "text is 5, it must be string"
    assert interface.argument_problem("add_message", {}) == "text is missing"
    assert interface.argument_problem("add_message", {"txt": "hi", "text": "hi"}) == (
        "there is no argument txt; did you mean text?"
    )
    assert interface.argument_problem("get_messages", {"from_index": None}) is None
    assert interface.argument_problem("get_messages", {"from_index": 5}) is not None
    assert interface.methods["__contract_abi"].origin == "exports"
    assert "contract_source_metadata" not in interface.methods  # its ABI tells it, its code does not export it


def test_borsh_private_and_init_methods_are_told_apart() -> None:
    interface = interface_of(["new", "add", "on_done"], packed(BORSH["abi"]))
    assert interface.methods["add"].encoding == "borsh"
    assert interface.methods["add"].parameters is None
    assert interface.methods["on_done"].private
    assert interface.methods["new"].parameters == ()
    assert interface.methods["add"].doc == " Adds to the counter."
    assert interface.argument_problem("add", {"by": 1}) is None


def test_without_an_abi_the_names_of_a_standard_tell_its_arguments() -> None:
    interface = read_interface(TOKEN)
    method = interface.methods["ft_transfer"]
    assert (method.origin, method.standard, method.one_yocto) == ("standard", "NEP-141 fungible token", True)
    good: JsonObject = {"receiver_id": "bob.near", "amount": "5", "more": "of another version"}
    assert interface.argument_problem("ft_transfer", good) is None
    wrongs: tuple[tuple[JsonObject, str], ...] = (
        ({"amount": "5"}, "receiver_id is missing"),
        ({**good, "amount": 5}, "amount is 5, it must be string"),
        ({**good, "amount": "1.5"}, "amount is 1.5, it must be a whole number of base units in digits"),
        ({**good, "receiver_id": "Bob.near"}, "capital"),
    )
    for wrong, told in wrongs:
        assert told in (interface.argument_problem("ft_transfer", wrong) or "")
    assert interface.methods["mint"].origin == "exports"
    assert interface.argument_problem("mint", {"anything": [1]}) is None
    few = read_interface(["ft_transfer", "ft_balance_of"])
    assert few.methods["ft_transfer"].origin == "exports"  # two names are no standard


@pytest.mark.parametrize(
    ("exports", "method", "standard"),
    [
        (["nft_transfer", "nft_transfer_call", "nft_token"], "nft_transfer", "NEP-171 non-fungible token"),
        (["storage_deposit", "storage_balance_of", "storage_balance_bounds"], "storage_deposit", "NEP-145"),
        (["add_proposal", "act_proposal", "get_proposal", "get_policy"], "act_proposal", "sputnik-dao v2"),
        (["deposit_and_stake", "unstake", "withdraw", "get_account"], "unstake", "staking pool"),
        (["swap", "get_return", "get_pools"], "swap", "ref-exchange"),
        (["near_deposit", "near_withdraw"], "near_withdraw", "wrapped NEAR"),
    ],
)
def test_well_known_contracts_are_recognised(exports: list[str], method: str, standard: str) -> None:
    found = read_interface(exports).methods[method]
    assert (found.standard or "").startswith(standard)
    assert found.parameters


def test_an_abi_wins_over_a_standard() -> None:
    own = document(function("ft_transfer", params=params(("to", {"type": "string"}))))
    interface = interface_of(TOKEN, packed(own))
    assert interface.methods["ft_transfer"].origin == "abi"
    assert interface.argument_problem("ft_transfer", {"to": "x"}) is None
    assert interface.methods["ft_balance_of"].origin == "standard"


BOMB = zstandard.ZstdCompressor(level=19).compress(b" " * (200 * 1024 * 1024))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (BOMB, "abi_too_large"),
        (zstandard.ZstdCompressor().compress(b"[" * MAX_ABI_BYTES), "abi_too_large"),
        (zstandard.ZstdCompressor().compress(b"[" * 60 + b"]" * 60), "abi_too_large"),
        (packed([0] * 60_000), "abi_too_large"),
        (b"x" * (MAX_COMPRESSED + 1), "abi_too_large"),
        (b"", "bad_abi"),
        (b"{}", "bad_abi"),
        (packed({}), "bad_abi"),
        (packed([]), "bad_abi"),
        (zstandard.ZstdCompressor().compress(b'{"a":1,"a":2}'), "bad_abi"),
        (zstandard.ZstdCompressor().compress(b'{"a":NaN}'), "bad_abi"),
        (zstandard.ZstdCompressor().compress(b"9" * 10_000), "bad_abi"),
        (zstandard.ZstdCompressor().compress(b"\xff\xfe"), "bad_abi"),
        (packed(document(function("no spaces"))), "bad_abi"),
        (packed(document(function("x" * 200))), "bad_abi"),
        (packed(document(function("say", kind="magic"))), "bad_abi"),
        (packed(document(*[function(f"f{number}") for number in range(600)])), "bad_abi"),
        (packed(document(function(params=params(("a b", {}))))), "bad_abi"),
        (packed(document("say")), "bad_abi"),
    ],
    ids=range(19),
)
def test_hostile_abis_are_refused_and_the_contract_is_known_without_them(answer: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_abi(answer)
    assert refused.value.code == code
    assert len(refused.value.message) < 500
    interface = interface_of(["say"], answer)
    assert interface.methods["say"].origin == "exports"
    assert interface.problem == refused.value.message


def test_the_bomb_is_small() -> None:
    assert len(BOMB) < 64 * 1024


@given(st.binary(max_size=200))
def test_any_bytes_give_an_abi_or_a_typed_refusal(answer: bytes) -> None:
    for candidate in (answer, zstandard.ZstdCompressor().compress(answer)):
        interface_of(["x"], candidate)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string"),
        ({"$ref": "#/definitions/AccountId"}, "AccountId"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "boolean"),
        ({"type": "string", "format": "units"}, "base units"),
        ({"$ref": "#/definitions/[x](http://evil)\u202e"}, "any"),
        ({"type": "`evil`"}, "any"),
        ({"type": ["string", "evil"]}, "string"),
        (True, "any"),
    ],
)
def test_types_have_short_names(schema: JsonValue, name: str) -> None:
    found = type_name(schema)
    assert found == name or found.startswith(name)
    assert len(found) <= 80


def test_interfaces_are_kept_by_code_hash_and_the_oldest_goes() -> None:
    cache, hashes = InterfaceCache(), [CryptoHash.of(str(number).encode()) for number in range(MAX_CACHED + 1)]
    for code_hash in hashes[:-1]:
        cache.keep(code_hash, Interface({}))
    assert cache.get(hashes[0]) is not None
    cache.keep(hashes[-1], Interface({}))
    assert cache.get(hashes[0]) is not None
    assert cache.get(hashes[1]) is None
