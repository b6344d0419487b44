"""What a person reads first is the worst of what happened, whatever happened beside it."""

import itertools

import pytest

from agent.answers import call_outcome, status_of
from agent.told import Sent, headed, tell_place
from contracts.calls import ChangeCall, FunctionCall
from contracts.chain.outcome import (
    Execution,
    ExecutionFailed,
    Failed,
    Finalized,
    NotDone,
    Outcome,
    PartiallyExecuted,
    Unconfirmed,
)
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash, Gas, Yocto

ALICE, USDC, EXCHANGE = AccountId("alice.localnet"), AccountId("usdc.localnet"), AccountId("exchange.localnet")
HASH = CryptoHash.of(b"tx")
REGISTRY = Registry.for_network("localnet")
SWAP = "swap 1 USDC for at least 0.99 USDT"


def call(receiver_id: AccountId, method_name: str) -> ChangeCall:
    return ChangeCall(receiver_id, (FunctionCall(method_name, b"{}", Gas(10**13), Yocto(0)),))


CALLS = (call(USDC, "storage_deposit"), call(EXCHANGE, "storage_deposit"), call(USDC, "ft_transfer_call"))
EXECUTION = Execution(HASH, 7, HASH, ALICE, USDC, None, (), (), 1, 1)
OUTCOMES: dict[str, Outcome] = {
    "unconfirmed": Unconfirmed(HASH, "the node does not know it yet"),
    "unknown": Failed("unknown", "store_full", "the disk is full"),
    "partial": PartiallyExecuted(EXECUTION, "a receipt failed"),
    "failed": ExecutionFailed(EXECUTION, "FunctionCallError", "no"),
    "unsent": Failed("sign", "no_key", "no key"),
    "not_done": NotDone("an earlier step did not succeed"),
    "final": Finalized(EXECUTION),
}
FIRST_WORDS = {
    "unconfirmed": ("Not confirmed yet", "Unknown"),
    "partially_executed": ("Only partly done",),
    "failed": ("Failed", "Not done"),
    "executed": ("Done",),
}
"""What the text of a request with this status begins with."""


def told(names: tuple[str, ...], before: tuple[str, ...] = ()) -> tuple[list[str], list[Outcome]]:
    """One planned swap whose transactions ended so."""
    outcomes = [OUTCOMES[name] for name in names]
    sent = [Sent(one, (0,), outcome) for one, outcome in zip(CALLS[-len(names) :], outcomes, strict=True)]
    found = tell_place(0, "swap", SWAP, sent, REGISTRY)
    assert found is not None
    assert found[0].status == call_outcome("swap", worst(names)).status
    return headed(outcomes, [*before, *found[1]]), outcomes


def worst(names: tuple[str, ...]) -> Outcome:
    return next(outcome for name, outcome in OUTCOMES.items() if name in names)


@pytest.mark.parametrize("before", [(), ("alice.localnet has 5 NEAR.",)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_first_words_are_the_worst_state(count: int, before: tuple[str, ...]) -> None:
    for names in itertools.product(OUTCOMES, repeat=count):
        lines, outcomes = told(names, before)
        status = status_of(outcomes)
        if status != "executed" or not before:
            assert lines[0].startswith(FIRST_WORDS[status]), (names, lines)
        assert [line for line in before if line not in lines] == []


@pytest.mark.parametrize("last", [name for name in OUTCOMES if name != "final"])
def test_a_registration_that_is_done_does_not_say_that_the_swap_is(last: str) -> None:
    lines, _ = told(("final", "final", last))
    text = "\n".join(lines)
    assert f"Done: {SWAP}" not in text
    assert "Done: transaction 1 of 3, to usdc.localnet: call storage_deposit" in text
    assert "Done: transaction 2 of 3, to exchange.localnet: call storage_deposit" in text
    assert sum(SWAP in line for line in lines) == 1


def test_plan_that_is_all_done_is_said_to_be_done_once() -> None:
    lines, _ = told(("final", "final"))
    assert sum(line.startswith(f"Done: {SWAP}.") for line in lines) == 1


def test_outcome_that_may_still_change_comes_first() -> None:
    """Two planned actions: the first is done, the second is not confirmed."""
    outcomes = [OUTCOMES["final"], OUTCOMES["unconfirmed"]]
    sent = [Sent(one, (place,), outcome) for place, (one, outcome) in enumerate(zip(CALLS, outcomes, strict=False))]
    lines = [
        line for place in (0, 1) for line in (tell_place(place, "x", f"action {place}", sent, REGISTRY) or (0, []))[1]
    ]
    assert headed(outcomes, lines)[0] == (
        "Not confirmed yet: 1 of 2 transactions. It may still happen, so do not repeat the request."
    )
    assert headed(outcomes, lines)[1].startswith("Done: action 0")
