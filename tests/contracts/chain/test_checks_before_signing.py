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
from contracts.chain.nonce import HEADROOM_BLOCKS, Lane, Turns, next_nonce
from contracts.chain.prechecks import check_funds, check_gas, check_key
from contracts.chain.rpc_types import AccessKeyView, AccountView, ProtocolConfig
from contracts.errors import InvalidInput, LedgerConflict
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto
from tests.doubles import MemoryLedger

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


def _key(permission: Any) -> AccessKeyView:
    return AccessKeyView.model_construct(nonce=1, permission=permission, block_height=1, block_hash=HASH)


def _call(*actions: Action, to: AccountId = BOB) -> ChangeCall:
    return ChangeCall(to, actions)


def _code(raised: pytest.ExceptionInfo[InvalidInput]) -> str:
    return raised.value.code


@given(stored=st.integers(0, 10**12), on_chain=st.integers(0, 10**12), height=st.integers(0, 10**7))
async def test_the_next_nonce_is_above_all_known_ones(stored: int, on_chain: int, height: int) -> None:
    ledger = MemoryLedger()
    ledger.nonces["localnet", ALICE, KEY] = stored
    if max(stored, on_chain) + 1 >= (height + HEADROOM_BLOCKS) * 10**6:
        with pytest.raises(LedgerConflict) as caught:
            await next_nonce(ledger, LANE, on_chain=on_chain, height=height)
        assert caught.value.code == "nonce_too_large"
    else:
        assert await next_nonce(ledger, LANE, on_chain=on_chain, height=height) == max(stored, on_chain) + 1


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


def test_a_full_access_key_may_sign_anything() -> None:
    check_key(_call(Transfer(Yocto(1)), AddKey(KEY, FullAccess())), _key(FullAccess()))


def test_a_function_call_key_has_its_bounds() -> None:
    access = FunctionCallAccess(BOB, ("play",), None)
    play = FunctionCall("play", b"", Gas(1), Yocto(0))
    check_key(_call(play), _key(access))
    check_key(_call(FunctionCall("any", b"", Gas(1), Yocto(0))), _key(FunctionCallAccess(BOB, (), Yocto(5))))
    for call, code in (
        (_call(Transfer(Yocto(1))), "RequiresFullAccess"),
        (_call(play, play), "RequiresFullAccess"),
        (_call(), "RequiresFullAccess"),
        (_call(play, to=ALICE), "ReceiverMismatch"),
        (_call(FunctionCall("stop", b"", Gas(1), Yocto(0))), "MethodNameMismatch"),
        (_call(FunctionCall("play", b"", Gas(1), Yocto(1))), "DepositWithFunctionCall"),
    ):
        with pytest.raises(InvalidInput) as caught:
            check_key(call, _key(access))
        assert _code(caught) == code


def test_funds_cover_deposit_and_gas() -> None:
    config = _config()
    call = _call(Transfer(Yocto(NEAR)))
    fee = 2 * 108_059_500_000 * PRICE
    check_funds(ALICE, call, _account(NEAR + fee), config, PRICE)
    with pytest.raises(InvalidInput, match="takes at least") as caught:
        check_funds(ALICE, call, _account(NEAR + fee - 1), config, PRICE)
    assert caught.value.details == {"balance": str(NEAR + fee - 1), "cost": str(NEAR + fee)}
    gas = _call(FunctionCall("f", b"", Gas(300 * 10**12), Yocto(0)))
    with pytest.raises(InvalidInput):
        check_funds(ALICE, gas, _account(3 * 10**22), config, PRICE)


def test_storage_holds_balance_above_the_free_bytes() -> None:
    config, call = _config(), _call(Transfer(Yocto(NEAR)))
    check_funds(ALICE, call, _account(NEAR + 10**21, storage=770), config, PRICE)
    with pytest.raises(InvalidInput, match="771 bytes") as caught:
        check_funds(ALICE, call, _account(NEAR + 10**21, storage=771), config, PRICE)
    assert _code(caught) == "LackBalanceForState"
    check_funds(ALICE, call, _account(NEAR + 10**21, storage=771, locked=10**22), config, PRICE)
    check_funds(ALICE, _call(DeleteAccount(BOB), to=ALICE), _account(10**21, storage=5000), config, PRICE)


def test_gas_and_actions_have_the_chains_limits() -> None:
    config = _config(max_actions_per_receipt=2)
    check_gas(_call(FunctionCall("f", b"", Gas(300 * 10**12), Yocto(0))), config)
    with pytest.raises(InvalidInput) as caught:
        check_gas(_call(FunctionCall("f", b"", Gas(300 * 10**12 + 1), Yocto(0))), config)
    assert _code(caught) == "TotalPrepaidGasExceeded"
    with pytest.raises(InvalidInput) as caught:
        check_gas(_call(*[Transfer(Yocto(1))] * 3), config)
    assert _code(caught) == "TotalNumberOfActionsExceeded"
