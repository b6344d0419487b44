"""The account of a plan's changes: one outcome for each action that was planned, whatever transactions carried it out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.answers import call_outcome, is_open, severity, status_of, step_text
from agent.card import call_line
from agent.merging import Sending
from agent.records import CallOutcome
from agent.store.cards import PendingCard
from agent.story import Story
from contracts.calls import ChangeCall
from contracts.chain.outcome import Finalized, Outcome
from contracts.knowledge.registry import Registry


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction and what became of it."""

    call: ChangeCall
    places: tuple[int, ...]
    """The planned calls that it carries out."""
    outcome: Outcome


def sent_of(sendings: Sequence[Sending], outcomes: Sequence[Outcome]) -> list[Sent]:
    """Transactions with their outcomes."""
    return [Sent(one.call, one.places, outcome) for one, outcome in zip(sendings, outcomes, strict=True)]


def sent_of_card(card: PendingCard, outcomes: Sequence[Outcome]) -> list[Sent]:
    """The transactions of a card with their outcomes; fewer outcomes than calls where the rest was never begun."""
    return [Sent(*one) for one in zip(card.calls, card.call_steps, outcomes, strict=False)]


def tell_place(
    place: int, action: str, summary: str, sent: Sequence[Sent], registry: Registry
) -> tuple[CallOutcome, list[str]] | None:
    """What became of one planned call, for front ends and in words; None where it had no transaction.

    Of several transactions the worst outcome counts, and only the last is called what was planned: those before it prepare
    it, and that one of them is done says nothing about the plan. What a transaction returned is told if its last action was
    planned.
    """
    own = [
        (one, one.outcome if one.places[-1] == place else _without_value(one.outcome))
        for one in sent
        if place in one.places
    ]
    if not own:
        return None
    lines: list[str] = []
    for number, (one, outcome) in enumerate(own, start=1):
        what = summary if number == len(own) else f"transaction {number} of {len(own)}, {call_line(one.call)}"
        lines.append(step_text(what, outcome, registry, one.call if one.places[-1] == place else None))
    outcomes = [outcome for _, outcome in own]
    counts = min(outcomes, key=severity)
    if isinstance(counts, Finalized):
        counts = outcomes[-1]  # it has the value
    return call_outcome(action, counts), lines


def headed(outcomes: Sequence[Outcome], lines: Sequence[str]) -> list[str]:
    """The lines of an answer, with the worst state of its transactions first.

    People, and clients that show one line, read the first: it must not say "Done" or a balance while money may still move.
    """
    status = status_of(outcomes)
    first = lines[0] if lines else ""
    several = f"of {len(outcomes)} transaction{'s' if len(outcomes) != 1 else ''}"
    done = sum(isinstance(outcome, Finalized) for outcome in outcomes)
    match status:
        case "unconfirmed" if not first.startswith(("Not confirmed yet", "Unknown")):
            unknown = sum(map(is_open, outcomes))
            head = f"Not confirmed yet: {unknown} {several}. It may still happen, so do not repeat the request."
        case "partially_executed" if not first.startswith("Only partly done"):
            head = f"Only partly done: {done} {several} went through."
        case "failed" if not first.startswith(("Failed", "Not done")):
            head = f"Failed: {done} {several} went through."
        case _:
            return [*lines]
    return [head, *lines]


def tell_card(story: Story, card: PendingCard, outcomes: Sequence[Outcome], registry: Registry) -> list[str]:
    """Put what the ledger knows of a card's transactions into the story; in words, each action as the card had it."""
    story.outcomes += outcomes
    sent, lines = sent_of_card(card, outcomes), list[str]()
    for place, (planned, words) in enumerate(zip(card.plan.calls, card.words, strict=True)):
        found = tell_place(place, planned.action, words, sent, registry)
        if found is not None:
            story.call_outcomes.append(found[0])
            lines += found[1]
    return lines


def _without_value(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Finalized):
        return replace(outcome, execution=replace(outcome.execution, value=None))
    return outcome
