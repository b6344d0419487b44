"""The process that runs foreign contracts: `python -m contracts.simulation.process`. No key, no socket, no environment.

It reads jobs from its standard input and writes answers to its standard output, both frames of `messages`. It bounds
itself (memory, processor time for each job, files) and ends when its input does, so also when the daemon was killed.
"""

import contextlib
import math
import resource
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import ValidationError

from contracts.errors import VmError
from contracts.simulation.known_state import KnownState
from contracts.simulation.messages import (
    FROM_PROCESS,
    LENGTH,
    MAX_FRAME_BYTES,
    TO_PROCESS,
    CodeGiven,
    FromProcess,
    Given,
    Job,
    Measure,
    Need,
    Ready,
    ToProcess,
    frame,
)
from contracts.simulation.running import PlanRun, Times
from contracts.types import CryptoHash
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine

_MAX_CODES_BYTES: Final = 64 * 1024 * 1024
_LIMITS: Final = RuntimeConfig().limits


class Process:
    """One job after the other over two streams."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO, engine: Engine, cpu_s: float, work_us: int) -> None:
        self._reading = reading
        self._writing = writing
        self._engine = engine
        self._cpu_s = cpu_s
        self._work_us = work_us
        self._codes: dict[str, bytes] = {}
        self._times = Times()

    def serve(self) -> None:
        """Until the input ends."""
        self._write(Ready())
        run: PlanRun | None = None
        while True:
            message = self._read()
            match message:
                case None:
                    return
                case Job():
                    self._bound_time()
                    self._forget_codes()
                    self._times = Times()
                    for given in message.given:
                        self._compile(given)
                    run = PlanRun(message, KnownState(self._ask, self._codes), self._engine, self._times, self._work_us)
                    self._write(run.run())
                case Measure() if run is not None:
                    self._write(run.measure(message))
                case _:
                    raise ValueError(f"{message.kind} is not what was to come")

    def _ask(self, need: Need) -> Given:
        began = time.perf_counter()
        self._write(need)
        message = self._read()
        self._times.waited += (time.perf_counter() - began) * 1000
        if message is None:
            raise SystemExit(0)
        if isinstance(message, (Job, Measure)):
            raise ValueError(f"{message.kind} in the place of an answer")  # noqa: TRY004 - the message is wrong
        self._compile(message)
        return message

    def _compile(self, given: Given) -> None:
        """Compile code as it comes, so that its time is told apart; what cannot be compiled is refused when it is run."""
        if not isinstance(given, CodeGiven) or CryptoHash.of(given.code) != given.code_hash:
            return
        if self._engine.is_loaded(given.code_hash):
            return
        began = time.perf_counter()
        with contextlib.suppress(VmError):
            self._engine.load(given.code_hash, given.code, _LIMITS)
        self._times.compiled += (time.perf_counter() - began) * 1000

    def _forget_codes(self) -> None:
        if sum(map(len, self._codes.values())) > _MAX_CODES_BYTES:
            self._codes.clear()

    def _bound_time(self) -> None:
        """The processor time that a job may take; above it the system ends this process."""
        used = time.process_time()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + self._cpu_s), hard))

    def _read(self) -> ToProcess | None:
        head = self._reading.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a message of {length} bytes is above the limit of {MAX_FRAME_BYTES}")
        body = self._reading.read(length)
        return TO_PROCESS.validate_json(body) if len(body) == length else None

    def _write(self, message: FromProcess) -> None:
        self._writing.write(frame(FROM_PROCESS.dump_json(message)))
        self._writing.flush()


def limit_process(memory_bytes: int) -> None:
    """What holds for the whole life of the process: address space, no core files, no new large files."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024 * 1024, 64 * 1024 * 1024))


def main(arguments: list[str]) -> None:
    """`MEMORY_BYTES CPU_SECONDS HOST_WORK_US [CACHE_DIR]`."""
    memory_bytes, cpu_s, work_us, *folder = arguments
    limit_process(int(memory_bytes))
    engine = Engine(Path(folder[0]) if folder else None)
    try:
        Process(sys.stdin.buffer, sys.stdout.buffer, engine, float(cpu_s), int(work_us)).serve()
    except (ValidationError, ValueError, BrokenPipeError) as error:
        raise SystemExit(f"ended: {error}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
