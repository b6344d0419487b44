"""The programs that are measured: started like a user starts them, stopped with SIGTERM."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
NEAR_AGENT: Final = Path(sys.executable).parent / "near-agent"


@dataclass(frozen=True, slots=True)
class Running:
    pid: int
    url: str
    """What its `ready` line names."""
    start_s: float
    """From the start of the process to that line."""


def environment(**more: str) -> dict[str, str]:
    """This process's, without the agent's variables, with every port free to choose."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEAR_AGENT_")}
    ports = {"NEAR_AGENT_DAEMON__LISTEN": "127.0.0.1:0", "NEAR_AGENT_LOCALNET__LISTEN": "127.0.0.1:0"}
    return kept | ports | more


@contextmanager
def running(command: Sequence[str], log: Path, **more: str) -> Generator[Running]:
    """A program that prints `ready URL`; its other output goes to `log`. RuntimeError where it ends before that."""
    started = time.perf_counter()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(**more), cwd=log.parent
        )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("ready "):
            raise RuntimeError(f"{' '.join(command)} said {line!r}: {log.read_text()[-2000:]}")
        yield Running(process.pid, line.split()[1], time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def daemon_command(data_dir: Path) -> list[str]:
    return [str(NEAR_AGENT), "run", "--data-dir", str(data_dir)]


def chain_command(data_dir: Path) -> list[str]:
    return [str(NEAR_AGENT), "localnet", "--data-dir", str(data_dir)]


def wall_seconds(command: Sequence[str], cwd: Path) -> float:
    """How long a command takes, end to end; CalledProcessError where it fails."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment(), cwd=cwd, timeout=READY_TIMEOUT_S)
    return time.perf_counter() - started
