"""LiteLLM's proxy in an environment of its own, installed from tests/bench/litellm.lock and never next to the daemon."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.processes import READY_TIMEOUT_S, STOP_TIMEOUT_S, environment

_ROOT: Final = Path(__file__).parents[2]
LOCK: Final = Path(__file__).with_name("litellm.lock")
_HOME: Final = _ROOT / ".bench" / "litellm"
"""Ignored by git; 750 MB."""
_QUIET: Final = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""All that would only cost it time: logs, telemetry, a price list from elsewhere."""


@dataclass(frozen=True, slots=True)
class Proxy:
    pid: int
    url: str
    key: str


def installed() -> Path:
    """Return the proxy's program, installed if this lock's is not there yet. CalledProcessError if it cannot be."""
    place = _HOME / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    program, done = place / "bin" / "litellm", place / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", str(LOCK)], check=True)
        done.touch()
    return program


@contextmanager
def running_proxy(program: Path, model_url: str, folder: Path) -> Generator[Proxy]:
    """One worker in front of the model server. RuntimeError if it does not answer in time."""
    key, port = f"sk-{secrets.token_hex(32)}", _free_port()
    config = folder / "litellm.json"  # JSON is YAML
    served = {"model": "openai/scripted", "api_base": model_url, "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": "scripted", "litellm_params": served}]}))
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    log = folder / "litellm.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env=environment(**_QUIET, LITELLM_MASTER_KEY=key)
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, f"{url}/health/liveliness", log)
        yield Proxy(process.pid, url, key)
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"LiteLLM's proxy did not start: {os.fsdecode(log.read_bytes())[-2000:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
