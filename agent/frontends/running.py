"""Requests at work: they outlive the connection that brought them, and shutting down waits for them.

Each identity has a number of slots for requests, and others for decisions (confirmations, approvals, the operator's commands):
who fills the first can still confirm, and nobody else notices.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from agent.errors import DaemonError, RequestError
from agent.frontends.errors import draining, in_progress, not_ready
from agent.frontends.pace import Pace
from agent.frontends.seams import Progress
from agent.frontends.shares import Shares
from agent.limits import Limits
from agent.records import Reply

Work: TypeAlias = Callable[[Progress], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Note:
    """What a running request is doing, in words for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing was heard for a ping interval."""


Event: TypeAlias = Note | Quiet | Reply


class RunningRequest:
    """One request at work. Reading its events or ceasing to do so changes nothing about the work."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Note | Reply | DaemonError] = asyncio.Queue()

    async def reply(self) -> Reply:
        """The end of the work. DaemonError `draining` where it was ended by a shutdown."""
        while True:
            match await self._events.get():
                case Reply() as reply:
                    return reply
                case DaemonError() as error:
                    raise error
                case Note():
                    pass

    async def next_event(self, ping_interval_s: float) -> Event:
        """The next note, a Quiet after that much silence, or the Reply, which is the last. DaemonError as in `reply`."""
        try:
            async with asyncio.timeout(ping_interval_s):
                event = await self._events.get()
        except TimeoutError:
            return Quiet()
        if isinstance(event, DaemonError):
            raise event
        return event

    async def note(self, text: str) -> None:
        self._events.put_nowait(Note(text))

    def end(self, result: Reply | DaemonError) -> None:
        self._events.put_nowait(result)


class RunningRequests:
    """All requests at work, as tasks of one group that the daemon owns; none before `ready` says so."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        limits: Limits,
        pace: Pace | None = None,
        ready: Callable[[], bool] = lambda: True,
        retry_after_s: float = 5.0,
    ) -> None:
        self.ready: Final = ready
        self._pace = pace
        self._tasks = tasks
        factor = limits.shared_key_factor
        self._requests = Shares(
            "requests are running", each=limits.requests, shared_key_factor=factor, in_all=limits.requests_in_all
        )
        self._decisions = Shares("decisions are running", each=limits.decisions, shared_key_factor=factor)
        self._retry_after_s = retry_after_s
        self._at_work: set[asyncio.Task[None]] = set()
        self._keys: set[tuple[str, str]] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def draining(self) -> bool:
        return self._draining

    def __len__(self) -> int:
        return len(self._at_work)

    def check(self) -> None:
        """DaemonError `not_ready` or `draining`."""
        if not self.ready():
            raise not_ready()
        if self._draining:
            raise draining(self._retry_after_s)

    def start(
        self, work: Work, *, by: str, decision: bool = False, idempotency_key: str | None = None
    ) -> RunningRequest:
        """Begin the work of an identity, in one of its slots for requests or for decisions.

        One request with the same Idempotency-Key runs at a time. DaemonError `not_ready`, `draining` or `busy`; RequestError
        `too_many_requests` or `request_in_progress`.
        """
        self.check()
        key = None if idempotency_key is None else (by, idempotency_key)
        if key is not None and key in self._keys:
            raise in_progress(key[1])
        slots = self._decisions if decision else self._requests
        try:
            slots.take(by)
        except (RequestError, DaemonError):
            if self._pace is not None:
                self._pace.refused(by)
            raise
        if key is not None:
            self._keys.add(key)
        running = RunningRequest()
        task = self._tasks.create_task(self._run(work, running, by))
        self._at_work.add(task)
        self._idle.clear()

        def done(finished: asyncio.Task[None]) -> None:
            if key is not None:
                self._keys.discard(key)
            slots.give_back(by)
            self._at_work.discard(finished)
            if not self._at_work:
                self._idle.set()
            # Also where it was cancelled before its first step.
            if finished.cancelled():
                running.end(draining(self._retry_after_s))

        task.add_done_callback(done)
        return running

    async def _run(self, work: Work, running: RunningRequest, by: str) -> None:
        reply = work(running.note)
        running.end(await (reply if self._pace is None else self._pace.measured(by, reply)))

    async def drain(self, grace_s: float) -> None:
        """Take nothing new, let what runs finish for `grace_s`, then cut it off."""
        self._draining = True
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """Cancel what runs; each request still leaves its record."""
        for task in self._at_work:
            task.cancel()
