"""The guest book of NEAR's examples, and that it does what its ABI document says."""

import json
from pathlib import Path

import pytest

from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, BOOK, NEAR, World

_ABI = Path(__file__).parents[2] / "vectors" / "abi" / "near_abi_guestbook.json"


@pytest.fixture
def signed(world: World) -> World:
    for number in range(12):
        sender, deposit = (ALICE, 0) if number % 2 else (BOB, NEAR // 10)
        assert world.call(sender, BOOK, "add_message", {"text": f"hello {number}"}, deposit=deposit).value == b""
    return world


def _texts(world: World, args: object) -> list[object]:
    messages = world.view(BOOK, "get_messages", args)
    assert isinstance(messages, list)
    return [message["text"] for message in messages if isinstance(message, dict)]


def test_an_empty_book(world: World) -> None:
    assert world.view(BOOK, "total_messages") == 0
    assert world.view(BOOK, "get_messages") == []


def test_messages_come_in_order_with_their_senders(signed: World) -> None:
    assert signed.view(BOOK, "total_messages") == 12
    assert signed.view(BOOK, "get_messages", {"limit": "2"}) == [
        {"premium": True, "sender": "bob.localnet", "text": "hello 0"},
        {"premium": False, "sender": "alice.localnet", "text": "hello 1"},
    ]


@pytest.mark.parametrize(
    ("args", "numbers"),
    [
        ({}, range(10)),
        ({"from_index": None, "limit": None}, range(10)),
        ({"from_index": "10"}, range(10, 12)),
        ({"from_index": 3, "limit": 2}, range(3, 5)),
        ({"from_index": "12"}, range(0)),
        ({"limit": "0"}, range(0)),
        ({"from_index": str(2**128 - 1), "limit": str(2**128 - 1)}, range(0)),
        ({"from_index": "1", "limit": str(2**64)}, range(1, 12)),
    ],
)
def test_a_page_is_what_was_asked_for(signed: World, args: object, numbers: range) -> None:
    assert _texts(signed, args) == [f"hello {number}" for number in numbers]


def test_just_below_the_price_is_not_premium(world: World) -> None:
    world.call(ALICE, BOOK, "add_message", {"text": "cheap"}, deposit=NEAR // 10 - 1)
    assert world.view(BOOK, "get_messages") == [{"premium": False, "sender": ALICE, "text": "cheap"}]


def test_a_hundred_kilobytes_survive(world: World) -> None:
    text = 'x"\n' * 33_000
    assert world.call(ALICE, BOOK, "add_message", {"text": text}).value == b""
    assert _texts(world, {}) == [text]


def test_every_method_of_the_abi_document_is_there(engine: Engine, world: World) -> None:
    functions = json.loads(_ABI.read_text())["abi"]["body"]["functions"]
    account = world.overlay.account(BOOK)
    assert account is not None
    assert account.code_hash is not None
    code = world.overlay.code(account.code_hash)
    assert code is not None
    contract = engine.load(account.code_hash, code, world.config.limits)
    assert {*(function["name"] for function in functions), "__contract_abi"} == set(contract.methods)


def test_it_carries_that_document(world: World) -> None:
    answer = world.runtime.view(world.overlay, BOOK, "__contract_abi", b"", world.block(0)).result
    assert answer == bytes(json.loads(_ABI.read_text())["call_function_result"])
