"""From records to interactions: what was asked, in which words, and the plan that held.

A plan holds if the chain said so: a view that answered, or a change that was executed, by way of a confirmed card or within
the free allowance. Everything else is counted by its reason and left out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from agent.records import CallPlan, InteractionRecord, PlannedCall

Kind = Literal["words", "slash"]


@dataclass(frozen=True)
class Interaction:
    """One request and its proven plan."""

    request_id: str
    conversation_id: str
    text: str
    kind: Kind
    """`slash` lines name their action themselves: they teach, but they cannot test."""
    messages: tuple[dict[str, JsonValue], ...]
    """The prompt as it was sent to the model; for a slash command the user's message alone."""
    calls: tuple[tuple[str, dict[str, JsonValue]], ...]
    """Catalogue action and arguments, in order."""
    account_id: str


@dataclass(frozen=True)
class Harvest:
    interactions: tuple[Interaction, ...]
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Reason -> records."""


def collect(records: Iterable[InteractionRecord]) -> Harvest:
    """The interactions in the records, and why the rest was left out."""
    kept = list(records)
    executed = {record.approval_of for record in kept if record.approval_of and record.status == "executed"}
    left_out: Counter[str] = Counter()
    found: list[Interaction] = []
    for record in kept:
        reason = _refusal(record, executed)
        if reason:
            left_out[reason] += 1
            continue
        found.append(_interaction(record))
    return Harvest(tuple(found), left_out)


def _refusal(record: InteractionRecord, executed: set[str]) -> str | None:
    if _decides(record):
        return "confirm_or_cancel"
    if not record.privacy.consent:
        return "no_consent"
    if record.request.front_end == "plan":
        return "plan_only"
    if not isinstance(record.plan, CallPlan) or not record.plan.calls:
        return "no_plan"
    if record.status not in {"answered", "executed"} and record.request.request_id not in executed:
        return "not_executed"
    if record.feedback == "bad":
        return "bad_feedback"
    return None


def _decides(record: InteractionRecord) -> bool:
    """Whether it confirms or cancels: it acts on the card of another request.

    What the free allowance lets through is the approval of its own card, and holds the words that asked for it.
    """
    return record.approval_of is not None and record.approval_of != record.request.request_id


def _as_said(call: PlannedCall) -> dict[str, JsonValue]:
    """The arguments as a model should write them: a name of the address book stays the name."""
    written = {name: source.written for name, source in call.sources.items() if source.written is not None}
    return {**call.args, **written}


def _interaction(record: InteractionRecord) -> Interaction:
    plan = record.plan
    assert isinstance(plan, CallPlan)  # noqa: S101 - _refusal let it through
    words = bool(record.exchanges)
    alone: list[dict[str, JsonValue]] = [{"role": "user", "content": record.request.text}]
    first = record.exchanges[0].messages if words else alone
    return Interaction(
        request_id=record.request.request_id,
        conversation_id=record.request.conversation_id,
        text=record.request.text,
        kind="words" if words else "slash",
        messages=tuple(first),
        calls=tuple((call.action, _as_said(call)) for call in plan.calls),
        account_id=record.request.identity.account_id,
    )
