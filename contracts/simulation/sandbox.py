"""The daemon's side of a process that runs contracts: started at the first job, kept warm, ended at any doubt.

One job at a time; whose turn it is, `pool` says. A process that dies, says what is no message, or takes longer than it may, is killed and its job is
`Unsimulated`; the next job starts another.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from contracts.simulation.messages import (
    FROM_PROCESS,
    LENGTH,
    MAX_FRAME_BYTES,
    TO_PROCESS,
    Done,
    FromProcess,
    Given,
    Job,
    Measure,
    Measured,
    Need,
    Ready,
    ToProcess,
    frame,
)
from contracts.vm.host_work import HOST_WORK_US

log = structlog.get_logger()

Answer = Callable[[Need], Awaitable[Given]]

_END_S: Final = 1.0
"""What a process gets to end by itself when it is no longer needed."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    memory_bytes: int = 1024 * 1024 * 1024
    """Address space of the process: it takes 300 MB of it for itself and the largest real contract."""
    work_s: float = 5.0
    """The processor time of a job; 300 Tgas of endless loop take about 0.6 s."""
    host_work_s: float = HOST_WORK_US / 1e6
    """Estimated time of a plan's host functions, which are Python; above it the plan is too expensive to compute here."""
    wait_s: float = 15.0
    """Until the process says its next word: on a busy machine, longer than it computes."""
    start_s: float = 20.0
    """Until a fresh process answers its first question."""
    max_needs: int = 200
    """Questions that one job may ask."""


@dataclass(frozen=True, slots=True)
class Unsimulated:
    """The job came to nothing, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class SimulationRun:
    done: Done
    measured: Measured | None
    queued_ms: float
    """The wait for earlier jobs, and for the process to start."""


class Sandbox:
    """Safe for concurrent use: jobs wait for one another."""

    def __init__(self, settings: SandboxSettings, cache_dir: Path | None, python: str = sys.executable) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._python = python
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the running process; None where there is none."""
        return self._process.pid if self._process is not None else None

    async def warm(self) -> None:
        """Start the process where it does not run; what goes wrong is told by `run`."""
        if self._process is not None or self._turn.locked():
            return
        async with self._turn:
            started = False
            try:
                with contextlib.suppress(TimeoutError, EOFError, OSError, ValueError):
                    await self._started()
                    started = True
            finally:
                if not started:
                    await self._kill()

    async def run(
        self, job: Job, answer: Answer, measure: Callable[[Done], Measure | None]
    ) -> SimulationRun | Unsimulated:
        """Run a job, answering what it asks, and then read the balances that `measure` names."""
        began = time.perf_counter()
        async with self._turn:
            clean = False
            try:
                process = await self._started()
                queued_ms = (time.perf_counter() - began) * 1000
                done, measured = await self._carry_out(process, job, answer, measure)
            except TimeoutError:
                return Unsimulated(f"the contract was not done within {self._settings.wait_s:g} s")
            except (EOFError, OSError) as error:
                return Unsimulated(f"the simulating process ended: {await self._how_it_ended()}{_words(error)}")
            except (ValidationError, ValueError) as error:
                return Unsimulated(f"the simulating process said what is no answer: {type(error).__name__}")
            else:
                clean = True
                return SimulationRun(done, measured, queued_ms)
            finally:
                # Also where the request was cancelled: a process in the middle of a job is of no use to the next one.
                if not clean:
                    await self._kill()

    async def _carry_out(
        self, process: asyncio.subprocess.Process, job: Job, answer: Answer, measure: Callable[[Done], Measure | None]
    ) -> tuple[Done, Measured | None]:
        done = await self._exchange(process, job, answer)
        if not isinstance(done, Done):
            raise ValueError("it measured what was to be run")  # noqa: TRY004 - the message is wrong, not its type
        wanted = measure(done)
        if wanted is None:
            return done, None
        measured = await self._exchange(process, wanted, answer)
        if not isinstance(measured, Measured):
            raise ValueError("it ran what was to be measured")  # noqa: TRY004 - as above
        return done, measured

    async def close(self) -> None:
        """End the process: its input ends, and a second later it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            _send_kill(process)
            await process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        settings = self._settings
        folder = [str(self._cache_dir)] if self._cache_dir is not None else []
        self._process = await asyncio.create_subprocess_exec(
            self._python,
            "-I",
            "-m",
            "contracts.simulation.process",
            str(settings.memory_bytes),
            str(settings.work_s),
            str(int(settings.host_work_s * 1e6)),
            *folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        if not isinstance(await self._receive(self._process, settings.start_s), Ready):
            raise ValueError("it does not say that it is ready")  # noqa: TRY004 - the message is wrong, not its type
        log.info("simulation_started", pid=self._process.pid)
        return self._process

    async def _exchange(
        self, process: asyncio.subprocess.Process, message: Job | Measure, answer: Answer
    ) -> Done | Measured:
        _send(process, message)
        for _ in range(self._settings.max_needs):
            match await self._receive(process, self._settings.wait_s):
                case Need() as need:
                    _send(process, await answer(need))
                case Ready():
                    raise ValueError("it says a second time that it is ready")
                case result:
                    return result
        raise ValueError("too many questions")

    async def _receive(self, process: asyncio.subprocess.Process, limit_s: float) -> FromProcess:
        """The next message. TimeoutError, EOFError, ValidationError, ValueError."""
        if process.stdout is None:
            raise EOFError
        async with asyncio.timeout(limit_s):
            head = await process.stdout.readexactly(LENGTH.size)
            (length,) = LENGTH.unpack(head)
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a message of {length} bytes")
            return FROM_PROCESS.validate_json(await process.stdout.readexactly(length))

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _send_kill(process)
        await process.wait()
        log.warning("simulation_ended", pid=process.pid, returncode=process.returncode)

    async def _how_it_ended(self) -> str:
        """In words, where it tells within a moment."""
        process = self._process
        if process is None:
            return "it did not start"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await process.wait()
        match process.returncode:
            case None:
                return "it closed its output"
            case number if number < 0:
                name = signal.Signals(-number).name
                return (
                    "its processor time was over" if name == "SIGXCPU" else f"stopped by {name}, as at its memory limit"
                )
            case number:
                return f"exit status {number}"


@asynccontextmanager
async def open_sandbox(
    cache_dir: Path | None = None, settings: SandboxSettings | None = None
) -> AsyncGenerator[Sandbox]:
    """A sandbox whose process ends with the context. `cache_dir` keeps compiled contracts; only its process writes there."""
    sandbox = Sandbox(settings or SandboxSettings(), cache_dir)
    try:
        yield sandbox
    finally:
        await sandbox.close()


def _send(process: asyncio.subprocess.Process, message: ToProcess) -> None:
    if process.stdin is None:
        raise EOFError
    process.stdin.write(frame(TO_PROCESS.dump_json(message)))


def _send_kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _words(error: EOFError | OSError) -> str:
    return "" if isinstance(error, EOFError) else f" ({error.strerror or type(error).__name__})"
