"""Time of the event loop, shared fairly: an identity that used more than its share waits for its turn while others ask.

Slots bound how many requests run and bodies how much they bring, but requests that are small and allowed add up as well. Nobody
who asks alone ever waits.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from agent.errors import RequestError
from agent.limits import Limits
from agent.records import Reply

T = TypeVar("T")

_OTHERS_S: Final = 2.0
"""Seconds after its last request for which an identity counts as asking."""
_REQUEST_S: Final = 0.001
"""The cost of parsing headers, looking the key up and writing an answer, which is not measured."""
_BYTE_S: Final = 5e-9
"""The cost of receiving a byte: 4 MiB take about 20 ms."""
_ANSWER_CHARACTER_S: Final = 4e-7
"""The whole cost of a character of a contract's answer: received, decoded, searched for secrets in a thread, written."""
_EXPECTED_S: Final = 0.05
"""Of a request by an identity of which nothing is known: four begin at once, and what they cost is known after them."""
_STEP_S: Final = 0.25
"""The longest sleep before a waiting request looks again: its debt may grow meanwhile."""
_SHORTEST_S: Final = 0.005
_WEIGHT: Final = 0.25
"""Of the newest request in an identity's expected cost, which rises at once and falls slowly."""


class _Use:
    """One identity's: seconds in debt at a time, when it asked last, and what a request of its costs."""

    __slots__ = ("asked_s", "at_s", "debt_s", "expected_s")

    def __init__(self, now_s: float) -> None:
        self.at_s = now_s
        self.asked_s = now_s
        self.debt_s = 0.0
        self.expected_s = _EXPECTED_S


class Pace:
    """Debts of identities in seconds of processor time; each drains at the identity's share."""

    def __init__(
        self,
        limits: Limits,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        processor_s: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._share = limits.processor_share
        self._burst_s = limits.processor_burst_s
        self._patience_s = limits.body_timeout_s
        self._monotonic = monotonic
        self._processor_s = processor_s
        self._sleep = sleep
        self._uses: dict[str, _Use] = {}

    async def turn(self, identity: str, size: int) -> None:
        """Wait until the identity is within its share, or is the only one that asks; `size` is of the body to come.

        RequestError `too_many_requests` after the time that a body may take.
        """
        begun_s = self._use(identity).asked_s = self._monotonic()
        while (wait_s := self._wait_s(identity)) > 0:
            if self._monotonic() - begun_s >= self._patience_s:
                raise RequestError(
                    "too_many_requests",
                    "this key keeps the daemon busier than its share while others ask; ask less often",
                    retryable=True,
                    retry_after_s=wait_s,
                )
            await self._sleep(min(max(wait_s, _SHORTEST_S), _STEP_S))
        # In advance, so that of many that wait only as many go on as the share allows.
        self.charge(identity, self._use(identity).expected_s + size * _BYTE_S)

    def charge(self, identity: str, seconds: float) -> None:
        """Count processor time of an identity."""
        self._use(identity).debt_s += seconds

    async def measured(self, identity: str, work: Awaitable[Reply]) -> Reply:
        """Do the work of a request whose turn it was, and count its own steps; tasks and threads of it by its answer's size."""
        steps, answered_s = _Steps(work.__await__(), self._processor_s), 0.0
        try:
            reply = await steps
            answered_s = _ANSWER_CHARACTER_S * sum(
                len(outcome.value) for outcome in reply.outcomes if isinstance(outcome.value, str)
            )
        finally:
            self._settle(identity, steps.spent_s + answered_s)
        return reply

    @contextmanager
    def parsing(self, identity: str) -> Generator[None]:
        """Count what is done inside, which waits for nothing."""
        begun_s = self._processor_s()
        try:
            yield
        finally:
            self.charge(identity, self._processor_s() - begun_s)

    def refused(self, identity: str) -> None:
        """A request whose turn it was is refused before any work: what was expected of it is not owed."""
        use = self._use(identity)
        use.debt_s = max(0.0, use.debt_s - use.expected_s + _REQUEST_S)

    def _settle(self, identity: str, seconds: float) -> None:
        """Charge the real cost of a request, in place of the expected one."""
        use = self._use(identity)
        cost_s = seconds + _REQUEST_S
        use.debt_s = max(0.0, use.debt_s + cost_s - use.expected_s)
        use.expected_s += (cost_s - use.expected_s) * (_WEIGHT if cost_s < use.expected_s else 1.0)

    def _wait_s(self, identity: str) -> float:
        use, now_s = self._use(identity), self._monotonic()
        others = any(name != identity and now_s - other.asked_s < _OTHERS_S for name, other in self._uses.items())
        return (use.debt_s - self._burst_s) / self._share if others else 0.0

    def _use(self, identity: str) -> _Use:
        """The identity's, drained up to now. Those that owe nothing and ask nothing are forgotten."""
        now_s = self._monotonic()
        for name, use in [*self._uses.items()]:
            use.debt_s = max(0.0, use.debt_s - (now_s - use.at_s) * self._share)
            use.at_s = now_s
            if use.debt_s == 0 and now_s - use.asked_s >= _OTHERS_S and name != identity:
                del self._uses[name]
        return self._uses.setdefault(identity, _Use(now_s))


class _Steps(Generator[Any, Any, T]):
    """A coroutine's steps, and the processor time that they took."""

    def __init__(self, inner: Generator[Any, Any, T], processor_s: Callable[[], float]) -> None:
        self._inner = inner
        self._processor_s = processor_s
        self.spent_s = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def send(self, value: Any, /) -> Any:
        begun_s = self._processor_s()
        try:
            return self._inner.send(value)
        finally:
            self.spent_s += self._processor_s() - begun_s

    def throw(self, *error: Any) -> Any:
        begun_s = self._processor_s()
        try:
            return self._inner.throw(*error)
        finally:
            self.spent_s += self._processor_s() - begun_s
