"""Tokens with a message go to contracts only, and what comes back is told, above all where nothing moved."""

import json
from dataclasses import replace

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall, Transfer
from contracts.catalogue.results import told_result
from contracts.chain.outcome import Effect, Execution
from contracts.errors import InvalidInput
from contracts.knowledge.facts import Absent, ChainFacts
from contracts.types import TGAS, AccountId, CryptoHash, Gas, JsonObject, Yocto
from tests.contracts.catalogue.world import (
    ALICE,
    CONTRACT,
    EXISTS,
    NO_ACCOUNT,
    REGISTERED,
    REGISTRY,
    STORAGE_MINIMUM,
    USDC,
    build,
    change,
    metadata,
    steps,
    transfer_facts,
)

COUNTER = AccountId("counter.localnet")
SEND: JsonObject = {"token": "USDC", "receiver_id": COUNTER, "amount": "2.5", "msg": "0"}


def known(receiver: AccountId = COUNTER) -> ChainFacts:
    return transfer_facts(receiver, storage=REGISTERED, account=CONTRACT)


@pytest.mark.shows("ft_transfer_call", "unit")
def test_the_message_is_sent_as_written_and_shown_inert() -> None:
    text = '{"to":"x.localnet"} [a](http://evil) `b` \u202e'
    built = build("ft_transfer_call", {**SEND, "msg": text}, known())
    (call,) = steps(change(built))
    assert (call.method_name, call.deposit, call.gas) == ("ft_transfer_call", 1, 100 * TGAS)
    assert json.loads(call.args) == {"receiver_id": COUNTER, "amount": "2500000", "msg": text}
    assert built.summary == (
        "send 2.5 USDC (usdc.localnet) from alice.localnet to the contract counter.localnet with a message"
    )
    assert set(built.expected) == {
        Effect(ALICE, USDC, -2_500_000),
        Effect(COUNTER, USDC, 2_500_000),
        Effect(ALICE, "NEAR", -1),
    }
    shown = "\n".join(built.notes)
    assert "](" not in shown
    assert "`" not in shown
    assert "\u202e" not in shown
    assert "what it does not use comes back" in shown


def test_a_long_message_says_that_it_is_cut_and_registration_comes_first() -> None:
    built = build("ft_transfer_call", {**SEND, "msg": "x" * 700}, transfer_facts(COUNTER, account=CONTRACT))
    assert [step.method_name for step in steps(change(built))] == ["storage_deposit", "ft_transfer_call"]
    assert change(built).deposit == STORAGE_MINIMUM + 1
    assert "warning: only 600 of 700 characters of the message are shown" in built.notes


@pytest.mark.shows("ft_transfer_call", "unit")
@pytest.mark.parametrize(
    ("raw", "facts", "code"),
    [
        ({}, transfer_facts(COUNTER, account=EXISTS), "receiver_is_no_contract"),
        ({}, transfer_facts(COUNTER, account=NO_ACCOUNT), "account_missing"),
        ({"receiver_id": USDC}, known(USDC), "receiver_is_token"),
        ({"receiver_id": "@me"}, known(ALICE), "receiver_is_sender"),
        ({"amount": "0"}, known(), "amount_zero"),
        ({"amount": "0.0000001"}, known(), "amount_too_precise"),
        ({}, transfer_facts(COUNTER, meta=metadata(decimals=8), account=CONTRACT), "decimals_differ"),
        ({}, transfer_facts(COUNTER, meta=Absent("no_method", ""), account=CONTRACT), "not_a_token"),
    ],
)
def test_what_is_refused(raw: JsonObject, facts: ChainFacts, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build("ft_transfer_call", {**SEND, **raw}, facts)
    assert refused.value.code == code


def executed(value: JsonValue) -> Execution:
    block = CryptoHash.of(b"")
    return Execution(block, 1, block, ALICE, USDC, value, (), (), 1, 1)


def transfer_call(token: AccountId = USDC, amount: str = "2500000") -> ChangeCall:
    args = json.dumps({"receiver_id": COUNTER, "amount": amount, "msg": ""}).encode()
    return ChangeCall(token, (FunctionCall("ft_transfer_call", args, Gas(TGAS), Yocto(1)),))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0", "No tokens moved: counter.localnet used none of 2.5 USDC (usdc.localnet), all of it came back."),
        ("1000000", "counter.localnet used 1 of 2.5 USDC (usdc.localnet), the rest came back."),
        ("2500000", "counter.localnet used all of 2.5 USDC (usdc.localnet)."),
        ("9999999", "counter.localnet used all of 2.5 USDC (usdc.localnet)."),
        (None, "It is not known how much counter.localnet used: look at the balance."),
        ("-1", "It is not known how much counter.localnet used: look at the balance."),
        ({"used": 1}, "It is not known how much counter.localnet used: look at the balance."),
    ],
)
def test_the_returned_amount_in_words(value: JsonValue, told: str) -> None:
    assert told_result(transfer_call(), executed(value), REGISTRY) == told


def test_a_new_proposal_is_told_by_its_number() -> None:
    dao = AccountId("dao.localnet")
    call = ChangeCall(dao, (FunctionCall("add_proposal", b"{}", Gas(TGAS), Yocto(1)),))
    assert told_result(call, executed(0), REGISTRY) == "It is proposal 0 of dao.localnet."
    assert told_result(call, executed("0"), REGISTRY) is None


def test_a_token_that_is_not_known_is_told_in_base_units_and_other_calls_are_not_told() -> None:
    unknown = AccountId("new.localnet")
    assert told_result(transfer_call(unknown), executed("5"), REGISTRY) == (
        "counter.localnet used 5 of 2500000 base units of new.localnet, the rest came back."
    )
    assert told_result(ChangeCall(COUNTER, (Transfer(Yocto(1)),)), executed("0"), REGISTRY) is None
    assert told_result(transfer_call(amount="all"), executed("0"), REGISTRY) is None
    broken = FunctionCall("ft_transfer_call", b"\xff", Gas(TGAS), Yocto(1))
    assert told_result(ChangeCall(USDC, (broken,)), executed("0"), REGISTRY) is None


def test_what_came_in_return_and_whose_a_minted_nft_is_are_told() -> None:
    usdt = AccountId("usdt.localnet")
    swapped = replace(
        executed("2500000"),
        effects=(Effect(ALICE, USDC, -2500000), Effect(ALICE, usdt, 2490000), Effect(COUNTER, USDC, 9)),
    )
    assert (told_result(transfer_call(), swapped, REGISTRY) or "").endswith(
        "alice.localnet got 2.49 USDT (usdt.localnet)."
    )
    mint = ChangeCall(COUNTER, (FunctionCall("nft_mint", b"{}", Gas(TGAS), Yocto(1)),))
    minted = replace(
        executed({"owner_id": "mallory.localnet"}),
        effects=(Effect(AccountId("bob.localnet"), COUNTER, 1, token_id="7"),),
    )
    assert told_result(mint, minted, REGISTRY) == "bob.localnet has NFT “7” of counter.localnet."
    assert told_result(mint, executed({"owner_id": "bob.localnet"}), REGISTRY) is None
    assert told_result(mint, executed(None), REGISTRY) is None
