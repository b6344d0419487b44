"""Stakes: exact amounts, waiting times as the chain measures them, and warnings before earlier funds wait again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.entry import Built
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.epochs import EpochFact, EpochFacts
from contracts.knowledge.facts import Absent, ChainFacts, FactValue, ViewFact, ViewFacts
from contracts.types import AccountId, format_near
from tests.contracts.catalogue.world import ALICE, NO_ACCOUNT, answer, build, change, explain, facts, steps

NEAR = 10**24
POOL = AccountId("pool.localnet")
EPOCH = EpochFact(43_200, 3_600, 10**9)
WAIT = "4 epochs of 43200 blocks, about 47 hours at the measured 1.00 s a block"
FEE = ViewFact({"numerator": 15, "denominator": 1000})


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


def account(staked: int = 0, unstaked: int = 0, *, can_withdraw: bool = True) -> ViewFact:
    return ViewFact(
        {
            "account_id": "alice.localnet",
            "staked_balance": str(staked),
            "unstaked_balance": str(unstaked),
            "can_withdraw": can_withdraw,
        }
    )


def own(pool_id: AccountId = POOL) -> ViewFacts:
    return ViewFacts.of(pool_id, "get_account", {"account_id": ALICE})


def staking(mine: FactValue, fee: FactValue = FEE, *, paused: bool = False, pool_id: AccountId = POOL) -> ChainFacts:
    return facts(
        (own(pool_id), mine),
        (ViewFacts.of(pool_id, "get_reward_fee_fraction", {}), fee),
        (ViewFacts.of(pool_id, "is_staking_paused", {}), ViewFact(paused)),
    )


def waiting(mine: FactValue) -> ChainFacts:
    return facts((own(), mine), (EpochFacts(), EPOCH))


def step(built: Built) -> FunctionCall:
    call = change(built)
    assert isinstance(call, ChangeCall)
    assert call.receiver_id == POOL
    (only,) = steps(call)
    return only


@pytest.mark.shows("stake", "unit")
@given(st.integers(1, 10**30))
def test_a_stake_is_deposited_to_the_yocto(yocto: int) -> None:
    raw: dict[str, JsonValue] = {"pool_id": POOL, "amount": format_near(yocto)}
    built = build("stake", raw, staking(account()))
    assert (step(built).method_name, step(built).deposit, step(built).args) == ("deposit_and_stake", yocto, b"{}")
    assert built.expected == (Effect(ALICE, "NEAR", -yocto),)


def test_a_stake_says_what_the_pool_takes_and_what_is_there() -> None:
    raw: dict[str, JsonValue] = {"pool_id": POOL, "amount": "1"}
    built = build("stake", raw, staking(account(staked=NEAR), paused=True))
    assert "the pool keeps 1.50 % of the rewards" in built.notes
    assert "1 NEAR is staked there already" in built.notes
    assert any("is paused" in note for note in built.notes)
    endless = ViewFact({"numerator": 10**4299, "denominator": 1})
    assert "unknown: what the pool keeps of the rewards" in build("stake", raw, staking(account(), endless)).notes
    odd = AccountId("usdc.localnet")
    built = build("stake", {**raw, "pool_id": odd}, staking(account(), Absent("no_method", ""), pool_id=odd))
    assert any("not of a pool factory" in note for note in built.notes)
    assert "unknown: what the pool keeps of the rewards" in built.notes


@pytest.mark.parametrize(
    ("mine", "amount", "code"),
    [
        (account(), "0", "amount_zero"),
        (Absent("no_method", "MethodNotFound"), "1", "not_a_pool"),
        (Absent("no_code", ""), "1", "no_contract"),
        (NO_ACCOUNT, "1", "account_missing"),
        (ViewFact({"staked_balance": 5, "unstaked_balance": "0", "can_withdraw": True}), "1", "not_a_pool"),
        (ViewFact({"staked_balance": "1.0", "unstaked_balance": "0", "can_withdraw": True}), "1", "not_a_pool"),
        (ViewFact("`x`"), "1", "not_a_pool"),
    ],
)
def test_what_is_no_pool_gets_no_stake(mine: FactValue, amount: str, code: str) -> None:
    with refused(code) as caught:
        build("stake", {"pool_id": POOL, "amount": amount}, staking(mine))
    assert "`" not in caught.value.message


@pytest.mark.shows("unstake", "unit")
def test_unstaking_names_the_wait_and_warns_of_what_would_wait_again() -> None:
    raw: dict[str, JsonValue] = {"pool_id": POOL, "amount": "2.5"}
    built = build("unstake", raw, waiting(account(5 * NEAR)))
    assert (step(built).method_name, step(built).deposit) == ("unstake", 0)
    assert json.loads(step(built).args) == {"amount": str(25 * 10**23)}
    assert built.notes == (f"it can be withdrawn after {WAIT}",)
    ready = build("unstake", raw, waiting(account(5 * NEAR, 3 * NEAR)))
    assert ready.notes[1] == (
        "warning: 3 NEAR that was unstaked earlier and can be withdrawn now would wait as long again; "
        "/stake_withdraw pool.localnet all first"
    )
    soon = build("unstake", raw, waiting(account(5 * NEAR, 3 * NEAR, can_withdraw=False)))
    assert "is waiting now would wait all that time from the beginning" in soon.notes[1]
    everything = build("unstake", {**raw, "amount": "ALL"}, waiting(account(5 * NEAR)))
    assert (step(everything).method_name, step(everything).args) == ("unstake_all", b"{}")
    assert everything.summary == "unstake all 5 NEAR of alice.localnet from pool.localnet"


@pytest.mark.parametrize(
    ("mine", "amount", "code"),
    [
        (account(), "1", "nothing_there"),
        (account(), "all", "nothing_there"),
        (account(NEAR), "1.000000000000000000000001", "more_than_there_is"),
        (account(NEAR), "0", "amount_zero"),
        (Absent("failed", "not initialized"), "1", "not_a_pool"),
    ],
)
def test_more_than_is_staked_is_not_unstaked(mine: FactValue, amount: str, code: str) -> None:
    with refused(code):
        build("unstake", {"pool_id": POOL, "amount": amount}, waiting(mine))


@pytest.mark.shows("stake_withdraw", "unit")
def test_what_is_unlocked_comes_back() -> None:
    raw: dict[str, JsonValue] = {"pool_id": POOL, "amount": "1"}
    built = build("stake_withdraw", raw, waiting(account(NEAR, 3 * NEAR)))
    assert (step(built).method_name, json.loads(step(built).args)) == ("withdraw", {"amount": str(NEAR)})
    assert built.expected == (Effect(ALICE, "NEAR", NEAR),)
    everything = build("stake_withdraw", {**raw, "amount": "all"}, waiting(account(0, 3 * NEAR)))
    assert (step(everything).method_name, step(everything).args) == ("withdraw_all", b"{}")
    assert everything.expected == (Effect(ALICE, "NEAR", 3 * NEAR),)


@pytest.mark.parametrize(
    ("mine", "code", "said"),
    [
        (account(0, NEAR, can_withdraw=False), "still_waiting", f"from now at most {WAIT}"),
        (account(NEAR), "nothing_unstaked", "all of it staked"),
        (account(), "nothing_there", "nothing is unstaked"),
        (account(0, NEAR - 1), "more_than_there_is", "0.999999999999999999999999 NEAR is unstaked"),
    ],
)
def test_what_cannot_be_withdrawn_yet(mine: FactValue, code: str, said: str) -> None:
    with refused(code) as caught:
        build("stake_withdraw", {"pool_id": POOL, "amount": "1"}, waiting(mine))
    assert said in caught.value.message


@pytest.mark.shows("stake_balance", "unit")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (account(NEAR).value, "alice.localnet has 1 NEAR staked with pool.localnet and nothing unstaked."),
        (account(0, 1).value, "and 0.000000000000000000000001 NEAR unstaked, which can be withdrawn now."),
        (account(0, 1, can_withdraw=False).value, "which cannot be withdrawn yet."),
        ({"staked_balance": "`"}, "which is not what a staking pool says."),
    ],
)
def test_a_balance_in_words(value: JsonValue, said: str) -> None:
    told = answer("stake_balance", {"pool_id": POOL, "account_id": "@me"}, value)
    assert told.endswith(said)
    assert "`" not in told


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        ("UNKNOWN_ACCOUNT", "", "pool.localnet does not exist on localnet."),
        ("NO_CONTRACT_CODE", "", "pool.localnet has no contract on localnet."),
        ("CONTRACT_EXECUTION_ERROR", "MethodResolveError(MethodNotFound)", "pool.localnet is not a staking pool."),
        ("CONTRACT_EXECUTION_ERROR", "Smart contract panicked: `x`", "refused: “Smart contract panicked: 'x'”"),
        ("TIMEOUT_ERROR", "", None),
    ],
)
def test_why_a_balance_was_not_told(code: str, text: str, said: str | None) -> None:
    words = explain("stake_balance", {"pool_id": POOL, "account_id": "@me"}, RpcError(code, text))
    assert words == said if said is None else said in str(words)
