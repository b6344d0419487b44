"""Open connections of the HTTP server: bounded in number and in the time that they may be idle.

aiohttp waits without end for the headers of a connection's first request, and anybody who reaches the port can open one: this
is all that is bounded before a key is known, so it is bounded for all together, and who has been idle the longest goes first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from agent.limits import Limits

MAX_HEADERS: Final = 64
MAX_HEADER_BYTES: Final = 4_096
"""Of one header, and of the request line."""
_SWEEP_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Idle:
    since_s: float
    allowed_s: float
    used: bool
    """Whether it has carried a request, so that it was open once."""


class Connections:
    """Open connections, and since when each is idle. Times are of the monotonic clock that is passed in."""

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._idle: dict[asyncio.BaseProtocol, _Idle] = {}
        """The longest idle first."""
        self._busy: set[asyncio.BaseProtocol] = set()

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def admit(self, new: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """The protocol of a new connection: `new()`, or one that closes it if too many are open and none of them is idle."""
        self.sweep()
        if len(self) >= self._limits.max_connections:
            if not self._idle:
                log.warning("connection_refused", open=len(self))
                return _Refused()
            self._end(next(iter(self._idle)))
        made = new()
        self._idle[made] = _Idle(self._monotonic(), self._limits.header_timeout_s, used=False)
        return made

    def watch(self, app: web.Application) -> None:
        """Learn from an application, before it is started, which connections carry requests."""
        app.middlewares.insert(0, self._watched)

    def sweep(self) -> None:
        """Forget connections that were closed, and end those that have been idle for too long."""
        now_s = self._monotonic()
        for protocol, idle in [*self._idle.items()]:
            idle_s = now_s - idle.since_s
            if idle_s >= idle.allowed_s:
                self._end(protocol)
            # A new one has no transport yet.
            elif (idle.used or idle_s >= _SWEEP_S) and _transport(protocol) is None:
                del self._idle[protocol]

    async def sweep_forever(self) -> None:
        """`sweep`, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    @web.middleware
    async def _watched(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        protocol = request.protocol
        self._idle.pop(protocol, None)
        self._busy.add(protocol)
        try:
            return await handler(request)
        finally:
            self._busy.discard(protocol)
            # The answer is written after this: a client that does not take it is idle.
            self._idle[protocol] = _Idle(self._monotonic(), self._limits.idle_timeout_s, used=True)

    def _end(self, protocol: asyncio.BaseProtocol) -> None:
        del self._idle[protocol]
        transport = _transport(protocol)
        if transport is not None:
            transport.abort()


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


def _transport(protocol: asyncio.BaseProtocol) -> asyncio.Transport | None:
    """Of a connection that is open."""
    return protocol.transport if isinstance(protocol, web.RequestHandler) else None
