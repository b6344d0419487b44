"""NEP-141, 145, 148, 297 and 330 on ft.wasm: balances, panics, refunds and events, to the last byte."""

import json

import pytest

from contracts.types import U128_MAX, AccountId
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import (
    ALICE,
    BOB,
    CAROL,
    COUNTER,
    MINIMUM,
    NEAR,
    USDC,
    Story,
    World,
    event,
    function_call,
    wasm,
)


def ft_balance(world: World, account_id: str) -> int:
    balance = world.view(USDC, "ft_balance_of", {"account_id": account_id})
    assert isinstance(balance, str)
    return int(balance)


def transfer(world: World, receiver_id: str, amount: str, **more: str | None) -> Story:
    return world.call(ALICE, USDC, "ft_transfer", {"receiver_id": receiver_id, "amount": amount, **more}, deposit=1)


def transfer_call(world: World, amount: str, msg: str, *, tgas: int = 100) -> Story:
    args = {"receiver_id": COUNTER, "amount": amount, "msg": msg}
    return world.call(ALICE, USDC, "ft_transfer_call", args, deposit=1, tgas=tgas)


def register(world: World, account_id: str) -> None:
    args = {"account_id": account_id, "registration_only": True}
    assert world.call(ALICE, USDC, "storage_deposit", args, deposit=MINIMUM).failures == []


# ---- start ----


def test_new_mints_the_supply_to_the_owner(engine: Engine) -> None:
    world = World(engine)
    world.add_account(USDC, wasm("ft"))
    metadata = {"spec": "ft-1.0.0", "name": 'Dollar "D"', "symbol": "D\n", "decimals": 6, "icon": None}
    new = {"owner_id": ALICE, "total_supply": "5", "metadata": metadata}
    story = world.call(USDC, USDC, "new", new)
    assert story.value == b""
    assert story.events == [event("ft_mint", owner_id=ALICE, amount="5", memo="new tokens are minted")]
    assert (ft_balance(world, ALICE), world.view(USDC, "ft_total_supply")) == (5, "5")
    assert world.view(USDC, "ft_metadata") == metadata | {"reference": None, "reference_hash": None}
    assert "The contract has already been initialized" in world.call(USDC, USDC, "new", new).panic


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": "ft-2.0.0"}, "spec must be ft-1.0.0"),
        ({"reference": "https://x"}, "both reference and reference_hash"),
        ({"reference": "https://x", "reference_hash": "AAAA"}, "Hash has to be 32 bytes"),
        ({"decimals": 256}, "decimals must be at most 255"),
        ({"decimals": -1}, "expected a whole number"),
        ({"symbol": None}, "expected a string"),
    ],
)
def test_new_refuses_metadata_that_breaks_nep148(engine: Engine, change: dict[str, object], message: str) -> None:
    world = World(engine)
    world.add_account(USDC, wasm("ft"))
    metadata = {"spec": "ft-1.0.0", "name": "n", "symbol": "s", "decimals": 6} | change
    new = {"owner_id": ALICE, "total_supply": "5", "metadata": metadata}
    assert message in world.call(USDC, USDC, "new", new).panic


def test_nothing_works_before_new(engine: Engine) -> None:
    world = World(engine)
    world.add_account(USDC, wasm("ft"))
    message = "The contract is not initialized"
    assert message in world.view_error(USDC, "ft_total_supply")
    assert message in world.view_error(USDC, "ft_metadata")
    assert message in world.view_error(USDC, "ft_balance_of", {"account_id": ALICE})
    assert message in world.call(ALICE, USDC, "storage_deposit", deposit=MINIMUM).panic


# ---- ft_transfer ----


def test_ft_transfer_moves_and_tells(world: World) -> None:
    story = transfer(world, BOB, "12500000")
    assert (story.value, story.failures) == (b"", [])
    assert story.events == [event("ft_transfer", old_owner_id=ALICE, new_owner_id=BOB, amount="12500000")]
    assert (ft_balance(world, ALICE), ft_balance(world, BOB)) == (987_500_000, 12_500_000)
    assert world.view(USDC, "ft_total_supply") == str(10**12)


def test_a_memo_is_told_with_json_escapes(world: World) -> None:
    memo = 'say "hi"\\ \n\t\x01 grüße 🚀'
    line = (
        '{"standard":"nep141","version":"1.0.0","event":"ft_transfer","data":[{"old_owner_id":"alice.localnet",'
        '"new_owner_id":"bob.localnet","amount":"1","memo":"say \\"hi\\"\\\\ \\n\\t\\u0001 grüße 🚀"}]}'
    )
    assert transfer(world, BOB, "1", memo=memo).events == [line]
    assert json.loads(transfer(world, BOB, "1", memo=memo).events[0])["data"][0]["memo"] == memo
    assert "memo" not in transfer(world, BOB, "1", memo=None).events[0]


@pytest.mark.parametrize(
    ("receiver_id", "amount", "message"),
    [
        (CAROL, "1", "The account carol.localnet is not registered"),
        (ALICE, "1", "Sender and receiver should be different"),
        (BOB, "0", "The amount should be a positive number"),
        (BOB, "1000000001", "The account doesn't have enough balance"),
        (BOB, str(U128_MAX), "The account doesn't have enough balance"),
        (BOB, str(U128_MAX + 1), "invalid digit found in string"),
        (BOB, "-1", "invalid digit found in string"),
        (BOB, "1.5", "invalid digit found in string"),
        (BOB, "", "invalid digit found in string"),
        ("Bob.localnet", "1", "The account ID is invalid"),
        ("bob..localnet", "1", "The account ID is invalid"),
        ("b", "1", "The account ID is invalid"),
        ("b" * 65, "1", "The account ID is invalid"),
    ],
)
def test_ft_transfer_refuses(world: World, receiver_id: str, amount: str, message: str) -> None:
    before = ft_balance(world, ALICE)
    story = transfer(world, receiver_id, amount)
    assert message in story.panic
    assert story.events == []
    assert ft_balance(world, ALICE) == before


@pytest.mark.parametrize("deposit", [0, 2, NEAR])
@pytest.mark.parametrize("method", ["ft_transfer", "ft_transfer_call", "storage_withdraw", "storage_unregister"])
def test_exactly_one_yocto_is_asked_for(world: World, method: str, deposit: int) -> None:
    args = {"receiver_id": BOB, "amount": "1", "msg": ""} if method.startswith("ft") else {}
    near = world.balance(ALICE)
    story = world.call(ALICE, USDC, method, args, deposit=deposit)
    assert "Requires attached deposit of exactly 1 yoctoNEAR" in story.panic
    assert world.balance(ALICE) == near


def test_an_unregistered_sender_is_named(world: World) -> None:
    story = world.call(CAROL, USDC, "ft_transfer", {"receiver_id": BOB, "amount": "1"}, deposit=1)
    assert "The account carol.localnet is not registered" in story.panic


def test_a_balance_cannot_overflow(engine: Engine) -> None:
    world = World(engine)
    world.add_account(USDC, wasm("ft"))
    metadata = {"spec": "ft-1.0.0", "name": "n", "symbol": "s", "decimals": 0}
    new = {"owner_id": ALICE, "total_supply": str(U128_MAX), "metadata": metadata}
    assert world.call(USDC, USDC, "new", new).failures == []
    register(world, BOB)
    assert transfer(world, BOB, str(U128_MAX)).failures == []
    assert (ft_balance(world, ALICE), ft_balance(world, BOB)) == (0, U128_MAX)


# ---- ft_transfer_call ----


@pytest.mark.parametrize(
    ("msg", "used"),
    [("", 50), ("0", 50), ("20", 30), ("50", 0), ("999", 0), ("panic", 0), ("garbage", 0)],
)
def test_what_the_receiver_did_not_use_comes_back(world: World, msg: str, used: int) -> None:
    register(world, COUNTER)
    story = transfer_call(world, "50", msg)
    assert story.json == str(used)
    back = 50 - used
    refund = event("ft_transfer", old_owner_id=COUNTER, new_owner_id=ALICE, amount=str(back), memo="refund")
    first = event("ft_transfer", old_owner_id=ALICE, new_owner_id=COUNTER, amount="50")
    assert story.events == ([first, refund] if back else [first])
    assert (ft_balance(world, ALICE), ft_balance(world, COUNTER)) == (10**9 - used, used)
    assert len(story.failures) == (1 if msg == "panic" else 0)


def test_a_receiver_without_the_method_gives_everything_back(world: World) -> None:
    args = {"receiver_id": BOB, "amount": "50", "msg": ""}
    story = world.call(ALICE, USDC, "ft_transfer_call", args, deposit=1)
    assert story.json == "0"
    assert "CodeDoesNotExist" in story.failures[0]
    assert ft_balance(world, ALICE) == 10**9


def test_a_receiver_that_spent_it_keeps_it_used(world: World) -> None:
    register(world, COUNTER)
    story = transfer_call(world, "50", "spend bob.localnet")
    assert (story.json, story.failures) == ("50", [])
    assert [ft_balance(world, name) for name in (ALICE, BOB, COUNTER)] == [10**9 - 50, 50, 0]


def test_a_receiver_that_spent_a_part_gives_the_rest_back(world: World) -> None:
    register(world, COUNTER)
    assert transfer_call(world, "30", "").json == "30"
    story = transfer_call(world, "50", "spend bob.localnet")
    assert (story.json, ft_balance(world, COUNTER)) == ("20", 0)
    assert ft_balance(world, ALICE) == 10**9 - 50


def test_a_receiver_that_left_keeps_nothing_and_burns_it(world: World) -> None:
    register(world, COUNTER)
    story = transfer_call(world, "50", "leave")
    assert (story.json, story.failures) == ("50", [])
    assert event("ft_burn", owner_id=COUNTER, amount="50") in story.events
    assert world.view(USDC, "ft_total_supply") == str(10**12 - 50)
    assert world.view(USDC, "storage_balance_of", {"account_id": COUNTER}) is None


def test_a_refund_to_a_sender_who_left_is_burnt(world: World) -> None:
    register(world, COUNTER)
    call = function_call("ft_transfer_call", {"receiver_id": COUNTER, "amount": "50", "msg": "20"}, deposit=1, tgas=100)
    leave = function_call("storage_unregister", {"force": True}, deposit=1)
    story = world.send(ALICE, USDC, call, leave)
    assert story.failures == []
    assert "The account of the sender was deleted" in story.logs
    assert story.events[-1] == event("ft_burn", owner_id=COUNTER, amount="20", memo="refund")
    assert ft_balance(world, COUNTER) == 30
    assert world.view(USDC, "ft_total_supply") == str(10**12 - (10**9 - 50) - 20)


def test_ft_transfer_call_needs_gas_for_its_way_back(world: World) -> None:
    register(world, COUNTER)
    assert "More gas is required" in transfer_call(world, "50", "", tgas=30).panic
    assert ft_balance(world, ALICE) == 10**9


def test_only_the_token_itself_resolves(world: World) -> None:
    args = {"sender_id": ALICE, "receiver_id": BOB, "amount": "5"}
    assert "Method ft_resolve_transfer is private" in world.call(ALICE, USDC, "ft_resolve_transfer", args).panic
    story = world.call(USDC, USDC, "ft_resolve_transfer", args)
    assert "Contract expected a result on the callback" in story.panic


# ---- storage ----


def test_a_registration_costs_the_minimum_and_the_rest_comes_back(world: World) -> None:
    near, usage = world.balance(CAROL), world.storage_usage(USDC)
    story = world.call(CAROL, USDC, "storage_deposit", {"registration_only": True}, deposit=NEAR)
    assert story.json == {"total": str(MINIMUM), "available": "0"}
    assert near - world.balance(CAROL) == MINIMUM
    assert world.storage_usage(USDC) - usage == 40 + 5 + len(CAROL) + 16
    assert world.view(USDC, "storage_balance_of", {"account_id": CAROL}) == {"total": str(MINIMUM), "available": "0"}


def test_the_minimum_covers_the_longest_account_id(world: World) -> None:
    usage = world.storage_usage(USDC)
    register(world, "x" * 64)
    assert (world.storage_usage(USDC) - usage) * world.config.storage_amount_per_byte == MINIMUM


def test_a_second_registration_is_refunded_whole(world: World) -> None:
    near = world.balance(ALICE)
    story = world.call(ALICE, USDC, "storage_deposit", {"account_id": BOB}, deposit=NEAR)
    assert story.logs == ["The account is already registered, refunding the deposit"]
    assert world.balance(ALICE) == near


def test_too_little_registers_nobody(world: World) -> None:
    story = world.call(ALICE, USDC, "storage_deposit", {"account_id": CAROL}, deposit=MINIMUM - 1)
    assert "The attached deposit is less than the minimum storage balance" in story.panic
    assert world.view(USDC, "storage_balance_of", {"account_id": CAROL}) is None


def test_bounds_are_fixed(world: World) -> None:
    assert world.view(USDC, "storage_balance_bounds") == {"min": str(MINIMUM), "max": str(MINIMUM)}


def test_nothing_can_be_withdrawn(world: World) -> None:
    balance = {"total": str(MINIMUM), "available": "0"}
    for args in ({}, {"amount": None}, {"amount": "0"}):
        assert world.call(ALICE, USDC, "storage_withdraw", args, deposit=1).json == balance
    story = world.call(ALICE, USDC, "storage_withdraw", {"amount": "1"}, deposit=1)
    assert "The amount is greater than the available storage balance" in story.panic
    assert "carol.localnet is not registered" in world.call(CAROL, USDC, "storage_withdraw", deposit=1).panic


def test_unregistering_gives_the_minimum_and_the_yocto_back(world: World) -> None:
    near, usage = world.balance(BOB), world.storage_usage(USDC)
    assert world.call(BOB, USDC, "storage_unregister", deposit=1).json is True
    assert world.balance(BOB) == near + MINIMUM
    assert usage - world.storage_usage(USDC) == 40 + 5 + len(BOB) + 16
    again = world.call(BOB, USDC, "storage_unregister", deposit=1)
    assert (again.json, again.logs) == (False, ["The account bob.localnet is not registered"])


def test_a_balance_holds_the_registration_unless_forced(world: World) -> None:
    for args in ({}, {"force": None}, {"force": False}):
        story = world.call(ALICE, USDC, "storage_unregister", args, deposit=1)
        assert "Can't unregister the account with the positive balance without force" in story.panic
    story = world.call(ALICE, USDC, "storage_unregister", {"force": True}, deposit=1)
    assert story.json is True
    assert story.events == [event("ft_burn", owner_id=ALICE, amount="1000000000")]
    assert world.view(USDC, "ft_total_supply") == str(10**12 - 10**9)


def test_an_unknown_balance_is_zero(world: World) -> None:
    assert ft_balance(world, AccountId("nobody.localnet")) == 0


def test_the_standards_are_named(world: World) -> None:
    source = world.view(USDC, "contract_source_metadata")
    assert isinstance(source, dict)
    standards = source["standards"]
    assert isinstance(standards, list)
    names = [standard["standard"] for standard in standards if isinstance(standard, dict)]
    assert names == ["nep141", "nep145", "nep148", "nep297", "nep330"]
