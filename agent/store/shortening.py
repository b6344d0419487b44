"""Shortened records of an identity that fills the disk: their texts are cut, and say so. None is dropped.

A shortened text is its first characters, then its whole length and the sha256 of its redacted form, so that it can still be
compared with another one.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from agent.records import CallOutcome, CallPlan, InteractionRecord, ModelExchange, Plan, Turn, UserRequest
from contracts.chain.outcome import ViewReturned

KEPT_CHARACTERS: Final = 256
"""Of each text of a shortened record."""
KEPT_TURNS: Final = 4
_HOUR_S: Final = 3600.0
_SLICES: Final = 60


class RecordQuota:
    """Bytes that each identity has written to records in the last hour, by a clock that nobody can set.

    Kept in memory: a daemon that starts again begins at zero, and nobody but its operator can start it.
    """

    def __init__(self, limit_bytes: int, monotonic: Callable[[], float]) -> None:
        self._limit_bytes = limit_bytes
        self._monotonic = monotonic
        self._written: dict[str, deque[tuple[int, int]]] = {}
        """Per identity, minutes and the bytes of each, oldest first."""

    def fits(self, identity: str, size: int) -> bool:
        """Whether a record of this many bytes is written in full."""
        return sum(written for _, written in self._recent(identity)) + size <= self._limit_bytes

    def add(self, identity: str, size: int) -> None:
        """Count what was written."""
        minute = self._minute()
        recent = self._recent(identity)
        if recent and recent[-1][0] == minute:
            size += recent.pop()[1]
        recent.append((minute, size))
        self._written[identity] = recent

    def _recent(self, identity: str) -> deque[tuple[int, int]]:
        oldest = self._minute() - _SLICES
        recent = self._written.get(identity, deque())
        while recent and recent[0][0] <= oldest:
            recent.popleft()
        if not recent:
            # A trusted front end names any number of users.
            self._written.pop(identity, None)
        return recent

    def _minute(self) -> int:
        return int(self._monotonic() * _SLICES // _HOUR_S)


def shorten_text(text: str) -> str:
    """The beginning of a redacted text, with the length and the sha256 (hex) of the whole; a short one as it is."""
    if len(text) <= KEPT_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:KEPT_CHARACTERS]}\u2026 (shortened: {len(text):,} characters, sha256 {digest})"


def is_same_text(kept: str, text: str) -> bool:
    """Whether a text of a record, shortened or not, is this redacted text."""
    return kept == text or kept == shorten_text(text)


def shorten_request(request: UserRequest) -> UserRequest:
    """The request with its newest turns only; the number of those left out grows."""
    turns = tuple(Turn(role=turn.role, content=shorten_text(turn.content)) for turn in request.turns[-KEPT_TURNS:])
    left_out = request.turns_left_out + len(request.turns) - len(turns)
    return request.model_copy(update={"text": shorten_text(request.text), "turns": turns, "turns_left_out": left_out})


def shorten_record(record: InteractionRecord) -> InteractionRecord:
    """A redacted record with everything that was said, answered or returned shortened; ids, calls and statuses stay."""
    outcomes = tuple(
        ViewReturned(_shorten_value(one.value), one.block_height, one.block_hash)
        if isinstance(one, ViewReturned)
        else one
        for one in record.outcomes
    )
    return record.model_copy(
        update={
            "request": shorten_request(record.request),
            "text": shorten_text(record.text),
            "exchanges": tuple(map(_shorten_exchange, record.exchanges)),
            "plan": _shorten_plan(record.plan),
            "outcomes": outcomes,
            "call_outcomes": tuple(map(_shorten_outcome, record.call_outcomes)),
        }
    )


def _shorten_outcome(outcome: CallOutcome) -> CallOutcome:
    return outcome.model_copy(update={"value": _shorten_value(outcome.value)})


def _shorten_plan(plan: Plan | None) -> Plan | None:
    """Of the arguments; the calls that were built of them stay as they were approved."""
    if not isinstance(plan, CallPlan):
        return plan
    calls = tuple(
        call.model_copy(update={"args": {key: _shorten_value(value) for key, value in call.args.items()}})
        for call in plan.calls
    )
    return plan.model_copy(update={"calls": calls})


def _shorten_exchange(exchange: ModelExchange) -> ModelExchange:
    messages = [{key: _shorten_value(value) for key, value in message.items()} for message in exchange.messages]
    return exchange.model_copy(update={"messages": messages, "response": _shorten_value(exchange.response)})


def _shorten_value(value: JsonValue) -> JsonValue:
    """A value as it is if it is short, else as a shortened text of its JSON."""
    if isinstance(value, str):
        return shorten_text(value)
    written = to_json(value).decode()
    return value if len(written) <= KEPT_CHARACTERS else shorten_text(written)
