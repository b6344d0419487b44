"""From steps to transactions: what goes to one receiver in a row goes in one transaction, so that it is all or nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.building import Step
from contracts.calls import Action, ChangeCall, FunctionCall, Transfer
from contracts.catalogue.entry import merge_effects
from contracts.chain.outcome import Effect
from contracts.checks.validation import ValidationContext, validate
from contracts.errors import InvalidInput
from contracts.knowledge.exchange import PriceImpact
from contracts.knowledge.limits import Limits

_MERGED: Final = (FunctionCall, Transfer)
"""Actions that may stand anywhere in a transaction."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One transaction of a plan."""

    call: ChangeCall
    places: tuple[int, ...]
    """The planned calls that it carries out, in order."""
    expected: tuple[Effect, ...]
    """What all of it together should change; empty where a part does not say."""


def sendings_of(steps: Sequence[Step]) -> tuple[Sending, ...]:
    """The transactions of a plan, in order. A view between two changes keeps them apart."""
    made: list[Sending] = []
    apart = True
    for place, step in enumerate(steps):
        apart = apart or bool(step.views)
        for one in _of_step(step, place):
            merged = None if apart or not made else _merge(made[-1], one, step.context.limits)
            if merged is None:
                made.append(one)
            else:
                made[-1] = merged
            apart = False
    return tuple(made)


def price_impacts(steps: Sequence[Step], sendings: Sequence[Sending]) -> dict[int, PriceImpact]:
    """What swaps do to prices, by the transaction that makes each; of several in one, the highest."""
    found: dict[int, PriceImpact] = {}
    for place, step in enumerate(steps):
        impact = step.built.price_impact
        if impact is None:
            continue
        transaction = max(number for number, sending in enumerate(sendings) if place in sending.places)
        known = found.get(transaction)
        found[transaction] = impact if known is None or impact.ppm > known.ppm else known
    return found


def _of_step(step: Step, place: int) -> Iterator[Sending]:
    for call, expected in zip(step.changes, step.expected, strict=True):
        yield Sending(call, (place,), expected)


def _merge(first: Sending, second: Sending, limits: Limits) -> Sending | None:
    """Both in one transaction; None where the receiver differs, an action must stand alone, or a limit would be passed."""
    if first.call.receiver_id != second.call.receiver_id or first.places == second.places:
        return None
    actions = (*first.call.actions, *second.call.actions)
    if not all(isinstance(action, _MERGED) for action in actions):
        return None
    call = ChangeCall(first.call.receiver_id, _without_repetitions(actions))
    try:
        validate(call, ValidationContext(limits))
    except InvalidInput:
        return None
    both = (first.expected, second.expected)
    expected = merge_effects((*first.expected, *second.expected)) if all(both) else ()
    return Sending(call, (*first.places, *second.places), expected)


def _without_repetitions(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Two steps that each register the same account do it once; the second deposit would only come back."""
    kept: list[Action] = []
    for action in actions:
        registers = (
            isinstance(action, FunctionCall)
            and action.method_name == "storage_deposit"
            and b'"registration_only":true' in action.args
        )
        if not (registers and action in kept):
            kept.append(action)
    return tuple(kept)
