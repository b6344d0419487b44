"""The sandbox processes of a daemon, lent by turns."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.simulation.messages import Done, Job, Measure
from contracts.simulation.sandbox import Answer, SandboxSettings, SimulationRun, Unsimulated, open_sandbox
from contracts.simulation.turns import Asker, FairTurns, NoCapacity


@dataclass(frozen=True, slots=True)
class PoolSettings:
    processes: int = 2
    """One that computes for long leaves the other to everybody else, since no key gets both."""
    queue_s: float = 30.0
    """The wait for a turn; with as many identities as processes in front, a job takes some seconds at most."""
    waiting_per_identity: int = 8


class Simulating(Protocol):
    """One process, as `Sandbox`."""

    @property
    def pid(self) -> int | None: ...

    async def warm(self) -> None: ...

    async def run(
        self, job: Job, answer: Answer, measure: Callable[[Done], Measure | None]
    ) -> SimulationRun | Unsimulated: ...


class SandboxPool:
    """Safe for concurrent use."""

    def __init__(self, sandboxes: Sequence[Simulating], settings: PoolSettings) -> None:
        self._sandboxes = tuple(sandboxes)
        self._turns = FairTurns(len(sandboxes), settings.waiting_per_identity, settings.queue_s)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that run."""
        return tuple(sandbox.pid for sandbox in self._sandboxes if sandbox.pid is not None)

    async def warm(self) -> None:
        """Start the first process where none runs."""
        if not self.pids:
            await self._sandboxes[0].warm()

    @asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncGenerator[Simulating | NoCapacity]:
        """A process of one's own until the context ends."""
        async with self._turns.turn(asker) as place:
            yield place if isinstance(place, NoCapacity) else self._sandboxes[place]


@asynccontextmanager
async def open_pool(
    cache_dir: Path | None = None, settings: PoolSettings | None = None, sandbox: SandboxSettings | None = None
) -> AsyncGenerator[SandboxPool]:
    """Processes that start when they are needed and end with the context; `cache_dir` as in `open_sandbox`."""
    settings = settings or PoolSettings()
    async with AsyncExitStack() as stack:
        sandboxes = [
            await stack.enter_async_context(open_sandbox(cache_dir, sandbox)) for _ in range(settings.processes)
        ]
        yield SandboxPool(sandboxes, settings)
