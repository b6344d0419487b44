"""Load on an HTTP server: an open loop that keeps its schedule whatever the server does, and a closed one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import aiohttp

from tests.bench.figures import cpu_seconds, percentile

_Connection: TypeAlias = Callable[[aiohttp.ClientSession, int], Coroutine[None, None, None]]
CONNECTIONS: Final = 8
RATE_PER_S: Final = 80


@dataclass(frozen=True, slots=True)
class Target:
    """One request, sent again and again, and the process that answers it."""

    url: str
    body: bytes
    pid: int
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    expected: bytes = b""
    """Part of every right answer."""


@dataclass(frozen=True, slots=True)
class Load:
    latencies_ms: tuple[float, ...]
    wall_s: float
    cpu_s: float
    """The server's."""

    @property
    def rate_per_s(self) -> float:
        return len(self.latencies_ms) / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """Own CPU for each request."""
        return self.cpu_s * 1000 / len(self.latencies_ms)

    def at(self, part: float) -> float:
        return percentile(self.latencies_ms, part)


async def open_loop(target: Target, requests: int) -> Load:
    """`RATE_PER_S` requests a second over `CONNECTIONS` connections; latency counts from when a request was due."""
    latencies: list[float] = []
    period = CONNECTIONS / RATE_PER_S
    started = time.perf_counter() + 0.05

    async def one_connection(http: aiohttp.ClientSession, number: int) -> None:
        for turn in range(requests // CONNECTIONS):
            due = started + number / RATE_PER_S + turn * period
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await _ask(http, target)
            latencies.append((time.perf_counter() - due) * 1000)

    return await _measured(target, latencies, one_connection)


async def closed_loop(target: Target, requests: int) -> Load:
    """Each connection asks again as soon as it is answered."""
    latencies: list[float] = []

    async def one_connection(http: aiohttp.ClientSession, number: int) -> None:
        del number
        for _ in range(requests // CONNECTIONS):
            asked = time.perf_counter()
            await _ask(http, target)
            latencies.append((time.perf_counter() - asked) * 1000)

    return await _measured(target, latencies, one_connection)


async def _measured(target: Target, latencies: list[float], one_connection: _Connection) -> Load:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as http:
        cpu, started = cpu_seconds(target.pid), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(CONNECTIONS):
                tasks.create_task(one_connection(http, number))
        return Load(tuple(latencies), time.perf_counter() - started, cpu_seconds(target.pid) - cpu)


async def _ask(http: aiohttp.ClientSession, target: Target) -> None:
    async with http.post(target.url, data=target.body, headers=target.headers) as response:
        answer = await response.read()
    if response.status != 200 or target.expected not in answer:
        raise RuntimeError(f"{target.url} answered {response.status}: {answer[:500]!r}")
