"""What is known of one request while it runs, and the two forms it ends in: the reply and the record."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, assert_never

from pydantic import JsonValue

from agent.answers import call_outcome
from agent.planning.conversations import mask_request, mask_text
from agent.preamble import Preamble
from agent.records import (
    Answer,
    CallOutcome,
    Clarification,
    InteractionRecord,
    ModelExchange,
    Plan,
    Refusal,
    Reply,
    Route,
    Status,
    Unsupported,
    UserRequest,
)
from contracts.calls import ChangeCall
from contracts.chain.outcome import Outcome
from contracts.checks.report import PreflightReport
from contracts.checks.verdict import Verdict
from contracts.knowledge.exchange import DEFAULT_SWAP, SwapSettings
from contracts.knowledge.registry import Network

Progress = Callable[[str], Awaitable[None]]
"""Told what a running request is doing, in words for people."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one daemon: seconds, except for the names of the network and the chain."""

    network: Network
    chain_id: str
    request_timeout_s: float = 120.0
    """From the words to the card or the answer; an execution has its own limit."""
    step_timeout_s: float = 120.0
    """The wait for one transaction; longer than the chain client's own."""
    approval_ttl_s: float = 600.0
    duplicate_window_s: float = 3600.0
    swap: SwapSettings = DEFAULT_SWAP
    record_timeout_s: float = 10.0
    """How long an ending request waits for its record."""


NO_ROUTE = Route(target="none", model=None, reason="it ended before it was routed")


async def tell_nobody(_text: str) -> None:
    """For requests whose progress nobody reads."""


@dataclass(slots=True)
class Story:
    """Grows while a request runs. `request` is masked; `said` is the last user message as it came, read for a decision only."""

    request: UserRequest
    said: str = field(repr=False)
    tell: Progress
    clock: Callable[[], float]
    text_only: bool = False
    """The request reads text and touches nothing else (`/v1/near/plan`)."""
    route: Route = NO_ROUTE
    exchanges: list[ModelExchange] = field(default_factory=list[ModelExchange])
    preamble: Preamble | None = None
    """With which the exchanges' prompts begin."""
    plan: Plan | None = None
    calls: tuple[ChangeCall, ...] = ()
    calls_hash: str | None = None
    preflight: PreflightReport | None = None
    verdict: Verdict | None = None
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    call_outcomes: list[CallOutcome] = field(default_factory=list[CallOutcome])
    approval_of: str | None = None
    repeats: str | None = None
    ask_because: str | None = None
    """The reason why this request is never free, whatever the allowance."""
    error: dict[str, JsonValue] | None = None
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])
    deadline: asyncio.Timeout | None = None

    @classmethod
    def of(
        cls, request: UserRequest, tell: Progress | None, clock: Callable[[], float], *, text_only: bool = False
    ) -> "Story":
        return cls(mask_request(request), request.text, tell or tell_nobody, clock, text_only)

    def add(self, action: str, outcome: Outcome) -> None:
        """One more outcome of a planned action."""
        self.outcomes.append(outcome)
        self.call_outcomes.append(call_outcome(action, outcome))

    def mark(self, name: str) -> None:
        """Note how long after its arrival the request came to this point."""
        self.timings_ms[name] = round((self.clock() - self.request.received_at) * 1000, 3)

    def no_deadline(self) -> None:
        """From here on the request ends with its transactions, which have their own limits."""
        if self.deadline:
            self.deadline.reschedule(None)

    def reply(self, status: Status, text: str, *, confirm_code: str | None = None) -> Reply:
        return Reply(
            request_id=self.request.request_id,
            status=status,
            text=text,
            verbatim=isinstance(self.plan, Answer) and self.plan.verbatim,
            route=self.route,
            plan=self.plan,
            confirm_code=confirm_code,
            calls_hash=self.calls_hash,
            outcomes=tuple(self.call_outcomes),
            prompt_tokens=sum(exchange.prompt_tokens or 0 for exchange in self.exchanges),
            completion_tokens=sum(exchange.completion_tokens or 0 for exchange in self.exchanges),
            error=self.error,
        )

    def say(self, plan: Clarification | Answer | Unsupported | Refusal) -> Reply:
        """The end of a request that is words only."""
        self.plan = plan
        return self.reply(_status_of_words(plan), plan.text)

    def fail(self, code: str, text: str) -> Reply:
        self.error = {"code": code, "message": text}
        return self.reply("failed", text)

    def repeat(self, record: InteractionRecord, status: Status) -> Reply:
        """The stored result of an earlier request, told again."""
        self.repeats = record.request.request_id
        self.route = record.route or self.route
        self.plan, self.calls_hash = record.plan, record.calls_hash
        self.call_outcomes = list(record.call_outcomes)
        return self.reply(status, record.text)

    def record(self, status: Status | Literal["interrupted"], text: str) -> InteractionRecord:
        """What is kept of the request; codes in the text are masked."""
        return InteractionRecord(
            request=self.request,
            status=status,
            text=mask_text(text),
            route=self.route,
            exchanges=tuple(self.exchanges),
            plan=self.plan,
            calls=self.calls,
            calls_hash=self.calls_hash,
            preflight=self.preflight,
            verdict=self.verdict,
            outcomes=tuple(self.outcomes),
            call_outcomes=tuple(self.call_outcomes),
            approval_of=self.approval_of,
            repeats=self.repeats,
            error=self.error,
            timings_ms=self.timings_ms,
            finished_at=self.clock(),
        )


def _status_of_words(plan: Clarification | Answer | Unsupported | Refusal) -> Status:
    match plan:
        case Clarification():
            return "clarify"
        case Answer():
            return "answered"
        case Unsupported():
            return "unsupported"
        case Refusal():
            return "refused"
        case _:
            assert_never(plan)
