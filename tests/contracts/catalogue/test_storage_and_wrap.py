"""Storage deposits, and NEAR to wNEAR and back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.calls import ViewFunction
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, StorageFact, StorageFacts
from contracts.types import AccountId, format_near
from tests.contracts.catalogue.world import (
    ALICE,
    CAROL,
    EXISTS,
    NO_ACCOUNT,
    REGISTERED,
    STORAGE_MINIMUM,
    UNREGISTERED,
    USDC,
    WRAP,
    answer,
    build,
    change,
    explain,
    facts,
    steps,
    view,
)

ROOMY = StorageFact(None, STORAGE_MINIMUM, None)


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


def storage_facts(
    account_id: AccountId = CAROL, storage: StorageFact | Absent = UNREGISTERED, account: AccountFact | Absent = EXISTS
) -> ChainFacts:
    return facts((StorageFacts(USDC, account_id), storage), (AccountFacts(account_id), account))


def wrap_facts(storage: StorageFact | Absent) -> ChainFacts:
    return facts((StorageFacts(WRAP, ALICE), storage))


@pytest.mark.shows("storage_deposit", "unit")
def test_a_symbol_and_no_amount_pay_the_minimum() -> None:
    built = build("storage_deposit", {"contract_id": "USDC", "account_id": "carol.localnet"}, storage_facts())
    call = change(built)
    (step,) = steps(call)
    assert call.receiver_id == USDC
    assert json.loads(step.args) == {"account_id": "carol.localnet", "registration_only": True}
    assert step.deposit == STORAGE_MINIMUM
    assert built.expected == (Effect(ALICE, "NEAR", -STORAGE_MINIMUM),)
    assert "0.00125 NEAR" in built.summary


def test_without_an_account_the_caller_is_registered() -> None:
    built = build("storage_deposit", {"contract_id": "usdc.localnet"}, storage_facts(ALICE))
    assert json.loads(steps(change(built))[0].args)["account_id"] == "alice.localnet"


@settings(deadline=None)
@given(st.integers(STORAGE_MINIMUM, 10**28))
def test_a_named_amount_is_deposited_exactly(units: int) -> None:
    raw = {"contract_id": "USDC", "account_id": "carol.localnet", "amount": format_near(units)}
    built = build("storage_deposit", raw, storage_facts(storage=ROOMY))
    assert change(built).deposit == units
    assert built.expected == (Effect(ALICE, "NEAR", -units),)
    assert json.loads(steps(change(built))[0].args) == {"account_id": "carol.localnet"}


def test_what_is_above_the_contracts_maximum_comes_back_and_the_card_says_so() -> None:
    raw = {"contract_id": "USDC", "account_id": "carol.localnet", "amount": "1"}
    built = build("storage_deposit", raw, storage_facts())
    assert built.notes == ("usdc.localnet keeps 0.00125 NEAR of it and sends the rest back",)
    assert built.expected == (Effect(ALICE, "NEAR", -STORAGE_MINIMUM),)


@pytest.mark.parametrize(
    ("amount", "storage", "account", "code"),
    [
        (None, REGISTERED, EXISTS, "already_registered"),
        ("1", REGISTERED, EXISTS, "already_registered"),
        ("0.001", UNREGISTERED, EXISTS, "deposit_too_small"),
        ("0", StorageFact(STORAGE_MINIMUM, STORAGE_MINIMUM, None), EXISTS, "amount_zero"),
        (None, StorageFact(None, 10**24, None), EXISTS, "storage_minimum_too_high"),
        (None, UNREGISTERED, NO_ACCOUNT, "account_missing"),
        (None, Absent("no_method", "MethodNotFound"), EXISTS, "no_storage_standard"),
        (None, Absent("unreadable", "x"), EXISTS, "no_storage_standard"),
        (None, Absent("no_code", "x"), EXISTS, "no_contract"),
        (None, NO_ACCOUNT, EXISTS, "account_missing"),
    ],
)
def test_a_deposit_that_does_nothing_good_is_refused(
    amount: str | None, storage: StorageFact | Absent, account: AccountFact | Absent, code: str
) -> None:
    raw = {"contract_id": "USDC", "account_id": "carol.localnet", "amount": amount}
    with refused(code):
        build("storage_deposit", raw, storage_facts(storage=storage, account=account))


@pytest.mark.shows("storage_balance", "unit")
def test_a_storage_balance_is_told() -> None:
    raw = {"contract_id": "USDC", "account_id": "carol.localnet"}
    call = view(build("storage_balance", raw))
    assert call == ViewFunction(USDC, "storage_balance_of", b'{"account_id":"carol.localnet"}')
    assert answer("storage_balance", raw, None) == "carol.localnet is not registered with usdc.localnet."
    said = answer("storage_balance", raw, {"total": str(STORAGE_MINIMUM), "available": "0"})
    assert "0.00125 NEAR of storage balance" in said
    strange: list[Any] = [{"total": "x", "available": "0"}, [], "`", {"total": 1, "available": 0}]
    for value in strange:
        said = answer("storage_balance", raw, value)
        assert "not a NEP-145 balance" in said
        assert "`" not in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RpcError("UNKNOWN_ACCOUNT", "x"), "does not exist"),
        (RpcError("NO_CONTRACT_CODE", "x"), "has no contract"),
        (
            RpcError("CONTRACT_EXECUTION_ERROR", "x", details={"error": {"MethodResolveError": "MethodNotFound"}}),
            "no storage",
        ),
        (RpcError("CONTRACT_EXECUTION_ERROR", "panicked"), "refused: “panicked”"),
    ],
)
def test_a_refused_storage_view_is_explained(error: RpcError, said: str) -> None:
    text = explain("storage_balance", {"contract_id": "USDC", "account_id": "@me"}, error)
    assert text is not None
    assert said in text


@pytest.mark.shows("near_wrap", "unit")
def test_wrapping_registers_the_caller_first() -> None:
    built = build("near_wrap", {"amount": "2"}, wrap_facts(UNREGISTERED))
    register, deposit = steps(change(built))
    assert change(built).receiver_id == WRAP
    assert (register.method_name, register.deposit) == ("storage_deposit", STORAGE_MINIMUM)
    assert json.loads(register.args)["account_id"] == "alice.localnet"
    assert (deposit.method_name, deposit.args, deposit.deposit) == ("near_deposit", b"{}", 2 * 10**24)
    assert built.notes == ("registers alice.localnet with wrap.localnet (0.00125 NEAR)",)
    assert built.expected == (Effect(ALICE, "NEAR", -2 * 10**24 - STORAGE_MINIMUM), Effect(ALICE, WRAP, 2 * 10**24))


def test_wrapping_when_registered_is_one_step() -> None:
    built = build("near_wrap", {"amount": "0.000000000000000000000001"}, wrap_facts(REGISTERED))
    (deposit,) = steps(change(built))
    assert deposit.deposit == 1
    assert built.notes == ()


@pytest.mark.parametrize(
    ("absent", "code"),
    [
        (NO_ACCOUNT, "account_missing"),
        (Absent("no_code", "x"), "no_contract"),
        (Absent("failed", "x"), "storage_unknown"),
        (Absent("unreadable", "x"), "storage_unknown"),
    ],
)
def test_wrapping_where_registration_is_unknown_is_refused(absent: Absent, code: str) -> None:
    with refused(code):
        build("near_wrap", {"amount": "2"}, wrap_facts(absent))


@pytest.mark.shows("near_unwrap", "unit")
def test_unwrapping_attaches_one_yocto_and_gives_the_amount_back() -> None:
    built = build("near_unwrap", {"amount": "0.5"})
    (step,) = steps(change(built))
    assert (step.method_name, step.deposit) == ("near_withdraw", 1)
    assert json.loads(step.args) == {"amount": str(5 * 10**23)}
    assert built.expected == (Effect(ALICE, WRAP, -5 * 10**23), Effect(ALICE, "NEAR", 5 * 10**23))


@settings(deadline=None)
@given(st.integers(1, 2**100))
def test_wrapping_and_unwrapping_move_the_same_units(units: int) -> None:
    amount = format_near(units)
    assert steps(change(build("near_wrap", {"amount": amount}, wrap_facts(REGISTERED))))[-1].deposit == units
    assert json.loads(steps(change(build("near_unwrap", {"amount": amount})))[0].args) == {"amount": str(units)}


@pytest.mark.parametrize("action", ["near_wrap", "near_unwrap"])
def test_nothing_is_wrapped_for_zero(action: str) -> None:
    with refused("amount_zero"):
        build(action, {"amount": "0.0"}, wrap_facts(REGISTERED) if action == "near_wrap" else facts())
