"""NEAR: balances in plain words, and transfers that lose nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.calls import Transfer, ViewAccount
from contracts.catalogue.near import storage_hold
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import Absent, AccountFacts
from contracts.types import U128_MAX, AccountId, Yocto, format_near
from tests.contracts.catalogue.world import (
    ALICE,
    BOB,
    CONTRACT,
    EXISTS,
    NO_ACCOUNT,
    USDC,
    answer,
    build,
    change,
    explain,
    facts,
    view,
)

HASH = "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"
NEAR = 10**24


def account(amount: int, locked: int = 0, usage: int = 182, code_hash: str | None = "1" * 32) -> dict[str, Any]:
    return {"amount": str(amount), "locked": str(locked), "storage_usage": usage, "code_hash": code_hash}


def transfer(receiver: str, amount: str, known: Any = EXISTS) -> Any:
    return build(
        "near_transfer", {"receiver_id": receiver, "amount": amount}, facts((AccountFacts(AccountId(receiver)), known))
    )


@pytest.mark.shows("near_transfer", "unit")
def test_a_transfer_is_one_action_with_the_exact_amount() -> None:
    built = transfer("bob.localnet", "1.5")
    call = change(built)
    assert (call.receiver_id, call.actions) == (BOB, (Transfer(Yocto(15 * NEAR // 10)),))
    assert built.expected == (Effect(ALICE, "NEAR", -15 * NEAR // 10), Effect(BOB, "NEAR", 15 * NEAR // 10))
    assert built.summary == "send 1.5 NEAR from alice.localnet to bob.localnet"
    assert built.notes == ()


@settings(deadline=None)
@given(st.integers(1, U128_MAX))
def test_no_unit_is_lost_or_made(units: int) -> None:
    call = change(transfer("bob.localnet", format_near(units)))
    assert call.deposit == units


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0", "amount_zero"),
        ("0.000", "amount_zero"),
        ("0." + "0" * 24 + "1", "amount_too_precise"),
        ("340282366920938.463463374607431768211456", "amount_too_large"),
        ("9" * 1000, "amount_too_large"),
        ("1,5", "amount_malformed"),
    ],
)
def test_an_amount_that_is_not_exact_is_refused(amount: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        transfer("bob.localnet", amount)
    assert refused.value.code == code


def test_a_missing_named_account_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as refused:
        transfer("bobb.localnet", "1", NO_ACCOUNT)
    assert refused.value.code == "account_missing"
    assert refused.value.message == "bobb.localnet does not exist on localnet; did you mean bob.localnet?"
    with pytest.raises(InvalidInput, match=r"nosuch\.localnet does not exist on localnet; check the name"):
        build(
            "near_transfer",
            {"receiver_id": "nosuch.localnet", "amount": "1"},
            facts((AccountFacts(AccountId("nosuch.localnet")), Absent("no_account", ""))),
        )
    with pytest.raises(InvalidInput, match=r"did you mean carol\.localnet\?"):
        transfer("carol", "1", NO_ACCOUNT)
    with pytest.raises(InvalidInput, match="check the name"):
        transfer("zzzzzzz", "1", NO_ACCOUNT)


@pytest.mark.parametrize("receiver", ["a" * 64, "0x" + "a" * 40])
def test_a_missing_implicit_account_is_warned_about(receiver: str) -> None:
    built = transfer(receiver, "1", NO_ACCOUNT)
    assert len(built.notes) == 1
    assert "would be created; a wrong character" in built.notes[0]


def test_a_missing_deterministic_account_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        transfer("0s" + "a" * 40, "1", NO_ACCOUNT)
    assert refused.value.code == "account_missing"


def test_near_to_a_token_contract_is_warned_about() -> None:
    built = transfer(USDC, "1", CONTRACT)
    assert built.notes == ("warning: usdc.localnet is the USDC token contract; NEAR sent to it may be lost",)


def test_near_to_oneself_moves_nothing_and_says_so() -> None:
    built = build("near_transfer", {"receiver_id": "@me", "amount": "1"}, facts((AccountFacts(ALICE), EXISTS)))
    assert built.expected == ()
    assert "nothing moves" in built.notes[0]


@pytest.mark.shows("near_balance", "unit")
def test_a_balance_is_told_in_its_parts() -> None:
    assert view(build("near_balance", {"account_id": "@me"})) == ViewAccount(ALICE)
    said = answer("near_balance", {"account_id": "@me"}, account(10_000 * NEAR))
    assert said == (
        "alice.localnet has 10000 NEAR in total: 10000 NEAR available, 0 NEAR staked as a validator, "
        "0 NEAR held by storage (182 bytes)."
    )
    said = answer("near_balance", {"account_id": "bob.localnet"}, account(5 * NEAR + 1, 2 * NEAR, 300_000))
    assert "7.000000000000000000000001 NEAR in total" in said
    assert "4.000000000000000000000001 NEAR available" in said
    assert "2 NEAR staked" in said
    assert "1 NEAR held by storage (300000 bytes)" in said


@settings(deadline=None)
@given(st.integers(0, U128_MAX), st.integers(0, U128_MAX), st.integers(0, 10**7))
def test_storage_holds_no_more_than_there_is(amount: int, locked: int, usage: int) -> None:
    held = storage_hold(amount, locked, usage, 10**19)
    assert 0 <= held <= amount
    assert usage > 770 or held == 0
    assert usage <= 770 or held == amount or held + locked >= usage * 10**19


def test_an_account_that_does_not_exist_is_told_plainly() -> None:
    unknown = RpcError("UNKNOWN_ACCOUNT", "account dave.localnet does not exist while viewing")
    assert (
        explain("near_balance", {"account_id": "dave.localnet"}, unknown) == "dave.localnet does not exist on localnet."
    )
    implicit = explain("account_view", {"account_id": "a" * 64}, unknown)
    assert implicit is not None
    assert "a first transfer to it would create it" in implicit
    assert explain("near_balance", {"account_id": "dave.localnet"}, RpcError("TIMEOUT_ERROR", "x")) is None


@pytest.mark.shows("account_view", "unit")
def test_an_account_is_told_with_its_code() -> None:
    said = answer("account_view", {"account_id": "counter.localnet"}, account(NEAR, 0, 5000, HASH))
    assert HASH in said
    assert "5000 bytes" in said
    for none in (None, "1" * 32):
        assert "no contract code," in answer("account_view", {"account_id": "@me"}, account(NEAR, code_hash=none))


def test_a_global_contract_is_named() -> None:
    value = {**account(NEAR), "global_contract_account_id": "publisher.testnet"}
    assert "the global contract publisher.testnet" in answer("account_view", {"account_id": "@me"}, value)


@pytest.mark.parametrize("value", [None, {}, {"amount": "x"}, {"amount": "-1", "locked": "0"}, "`rm`"])
def test_an_unreadable_account_is_shown_inert(value: Any) -> None:
    for action in ("near_balance", "account_view"):
        said = answer(action, {"account_id": "@me"}, value)
        assert "not readable" in said
        assert "`" not in said


def test_facts_that_were_not_asked_for_are_a_mistake_of_the_code() -> None:
    known = facts((AccountFacts(BOB), EXISTS))
    with pytest.raises(KeyError):
        known.of(AccountFacts(ALICE), type(EXISTS))
    with pytest.raises(TypeError):
        facts((AccountFacts(BOB), CONTRACT)).of(AccountFacts(BOB), type(Absent("failed", "")))  # pyright: ignore[reportArgumentType, reportCallIssue]
