"""Nonces, turns, and what is refused before anything is signed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    DeleteAccount,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Transfer,
)
from contracts.chain.lanes import Lanes
from contracts.chain.ledger import ForeignUse, Lane, LaneRecord
from contracts.chain.nonce import HEADROOM_BLOCKS, next_nonce
from contracts.chain.prechecks import check_funds, check_gas, check_key
from contracts.chain.rpc_types import AccountView, GasKeyAccess, ProtocolConfig
from contracts.chain.turns import Turns
from contracts.errors import InvalidInput, LedgerConflict
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto

ALICE, BOB = AccountId("alice.near"), AccountId("bob.near")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
LANE = Lane("localnet", ALICE, KEY)
HASH = CryptoHash.of(b"block")
NEAR = 10**24
PRICE = 10**8


def _config(**changes: Any) -> ProtocolConfig:
    sample = Path(__file__).parents[2] / "vectors" / "rpc" / "protocol_config.json"
    config = ProtocolConfig.model_validate(json.loads(sample.read_text())["response"]["result"])
    return config.model_copy(update=changes)


def _account(amount: int, *, storage: int = 182, locked: int = 0) -> AccountView:
    return AccountView.model_validate(
        {
            "amount": str(amount),
            "locked": str(locked),
            "code_hash": "1" * 32,
            "storage_usage": storage,
            "block_height": 1,
            "block_hash": HASH,
        }
    )


def _call(*actions: Action, to: AccountId = BOB) -> ChangeCall:
    return ChangeCall(to, actions)


def _code(raised: pytest.ExceptionInfo[InvalidInput]) -> str:
    return raised.value.code


@given(stored=st.integers(0, 10**12), on_chain=st.integers(0, 10**12), height=st.integers(0, 10**7))
def test_the_next_nonce_is_above_all_known_ones(stored: int, on_chain: int, height: int) -> None:
    known = LaneRecord(stored)
    if max(stored, on_chain) + 1 >= (height + HEADROOM_BLOCKS) * 10**6:
        with pytest.raises(LedgerConflict) as caught:
            next_nonce(LANE, known, on_chain=on_chain, height=height)
        assert caught.value.code == "nonce_too_large"
    else:
        assert next_nonce(LANE, known, on_chain=on_chain, height=height) == max(stored, on_chain) + 1


def test_a_lane_that_something_else_used_has_no_next_nonce() -> None:
    with pytest.raises(LedgerConflict) as caught:
        next_nonce(LANE, LaneRecord(5, ForeignUse(5, 9, 1.0)), on_chain=9, height=10)
    assert caught.value.code == "key_blocked"
    assert f"near-agent keys acknowledge {ALICE} {KEY}" in caught.value.message


async def test_turns_are_taken_in_order_and_leave_nothing_behind() -> None:
    turns = Turns[str]()
    order: list[int] = []

    async def take(number: int) -> None:
        async with turns.hold("lane"):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(take(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        async with turns.hold("another lane"):
            assert len(turns) == 2
    assert order == [0, 0, 1, 1, 3, 3, 4, 4]
    assert len(turns) == 0


@given(st.lists(st.tuples(st.sets(st.integers(0, 3), min_size=1), st.integers(0, 3), st.booleans()), max_size=30))
async def test_a_lane_has_one_holder_and_is_given_back(visits: list[tuple[set[int], int, bool]]) -> None:
    lanes, inside = Lanes(), dict.fromkeys(range(4), 0)
    named = [Lane("localnet", ALICE, KEY, number) for number in range(4)]

    async def visit(suits: set[int], turns: int) -> None:
        async with lanes.hold(*(named[number] for number in suits)) as lane:
            assert lane.nonce_index in suits
            inside[lane.nonce_index or 0] += 1
            try:
                assert max(inside.values()) == 1
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                inside[lane.nonce_index or 0] -= 1

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visit(suits, turns)) for suits, turns, _ in visits]
        await asyncio.sleep(0)
        for task, (_, _, cancel) in zip(tasks, visits, strict=True):
            if cancel and task.cancel():
                await asyncio.sleep(0)
    assert len(lanes) == 0


async def test_a_lane_in_doubt_is_taken_last() -> None:
    lanes = Lanes()
    first, second = Lane("localnet", ALICE, KEY, 0), Lane("localnet", ALICE, KEY, 1)
    lanes.mark(first, clogged=True)
    async with lanes.hold(first, second) as one, lanes.hold(first, second) as other:
        assert (one, other) == (second, first)
    lanes.mark(first, clogged=False)
    async with lanes.hold(first, second) as one:
        assert one == first


async def test_who_leaves_a_lane_early_leaves_it_once() -> None:
    lanes = Lanes()
    lane = Lane("localnet", ALICE, KEY)
    async with lanes.turn(lane) as first:
        assert first.lane == lane
        first.end()
        async with lanes.hold(lane):
            first.end()
            assert len(lanes) == 1, "the second one's turn is not ended by the first"
    assert first.ended
    assert len(lanes) == 0


async def test_a_lane_given_and_cancelled_in_one_moment_goes_to_the_next() -> None:
    lanes = Lanes()
    lane = Lane("localnet", ALICE, KEY)

    async def take() -> None:
        async with lanes.hold(lane):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        async with lanes.hold(lane):
            second = group.create_task(take())
            third = group.create_task(take())
            await asyncio.sleep(0)
        second.cancel()  # the lane was handed to it just now
    assert (second.cancelled(), third.cancelled()) == (True, False)
    assert len(lanes) == 0


def test_a_full_access_key_may_sign_anything() -> None:
    check_key(_call(Transfer(Yocto(1)), AddKey(KEY, FullAccess())), FullAccess())


def test_a_function_call_key_has_its_bounds() -> None:
    access = FunctionCallAccess(BOB, ("play",), None)
    play = FunctionCall("play", b"", Gas(1), Yocto(0))
    check_key(_call(play), access)
    check_key(_call(FunctionCall("any", b"", Gas(1), Yocto(0))), FunctionCallAccess(BOB, (), Yocto(5)))
    for call, code in (
        (_call(Transfer(Yocto(1))), "RequiresFullAccess"),
        (_call(play, play), "RequiresFullAccess"),
        (_call(), "RequiresFullAccess"),
        (_call(play, to=ALICE), "ReceiverMismatch"),
        (_call(FunctionCall("stop", b"", Gas(1), Yocto(0))), "MethodNameMismatch"),
        (_call(FunctionCall("play", b"", Gas(1), Yocto(1))), "DepositWithFunctionCall"),
    ):
        with pytest.raises(InvalidInput) as caught:
            check_key(call, access)
        assert _code(caught) == code


def test_funds_cover_deposit_and_gas() -> None:
    config = _config()
    call = _call(Transfer(Yocto(NEAR)))
    fee = 2 * 108_059_500_000 * PRICE
    check_funds(ALICE, call, _account(NEAR + fee), config, PRICE, FullAccess())
    with pytest.raises(InvalidInput, match="takes at least") as caught:
        check_funds(ALICE, call, _account(NEAR + fee - 1), config, PRICE, FullAccess())
    assert caught.value.details == {"balance": str(NEAR + fee - 1), "cost": str(NEAR + fee)}
    gas = _call(FunctionCall("f", b"", Gas(300 * 10**12), Yocto(0)))
    with pytest.raises(InvalidInput):
        check_funds(ALICE, gas, _account(3 * 10**22), config, PRICE, FullAccess())


def test_storage_holds_balance_above_the_free_bytes() -> None:
    config, call = _config(), _call(Transfer(Yocto(NEAR)))
    check_funds(ALICE, call, _account(NEAR + 10**21, storage=770), config, PRICE, FullAccess())
    with pytest.raises(InvalidInput, match="771 bytes") as caught:
        check_funds(ALICE, call, _account(NEAR + 10**21, storage=771), config, PRICE, FullAccess())
    assert _code(caught) == "LackBalanceForState"
    check_funds(ALICE, call, _account(NEAR + 10**21, storage=771, locked=10**22), config, PRICE, FullAccess())
    check_funds(ALICE, _call(DeleteAccount(BOB), to=ALICE), _account(10**21, storage=5000), config, PRICE, FullAccess())


def test_gas_and_actions_have_the_chains_limits() -> None:
    config = _config(max_actions_per_receipt=2)
    check_gas(_call(FunctionCall("f", b"", Gas(300 * 10**12), Yocto(0))), config)
    with pytest.raises(InvalidInput) as caught:
        check_gas(_call(FunctionCall("f", b"", Gas(300 * 10**12 + 1), Yocto(0))), config)
    assert _code(caught) == "TotalPrepaidGasExceeded"
    with pytest.raises(InvalidInput) as caught:
        check_gas(_call(*[Transfer(Yocto(1))] * 3), config)
    assert _code(caught) == "TotalNumberOfActionsExceeded"


def test_a_gas_key_pays_for_gas_from_its_own_purse() -> None:
    config, call = _config(), _call(FunctionCall("play", b"", Gas(10**14), Yocto(0)))
    purse = GasKeyAccess(Yocto(10**24), 4, None)
    check_key(call, purse)
    check_funds(ALICE, call, _account(0), config, PRICE, purse)
    with pytest.raises(InvalidInput) as caught:
        check_funds(ALICE, call, _account(10**24), config, PRICE, GasKeyAccess(Yocto(1), 4, None))
    assert caught.value.code == "NotEnoughGasKeyBalance"
    other = FunctionCallAccess(AccountId("other.near"), (), None)
    with pytest.raises(InvalidInput) as caught:
        check_key(call, GasKeyAccess(Yocto(1), 4, other))
    assert caught.value.code == "ReceiverMismatch"
