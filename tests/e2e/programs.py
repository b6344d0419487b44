"""The programs under test as child processes, and plain HTTP to speak to them."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from agent.cli import app
from agent.data_folder import DATABASE_NAME
from agent.markup import plain
from agent.records import InteractionRecord, read_records

CLI = (sys.executable, "-m", "agent.cli")
KILLABLE = (sys.executable, "-m", "tests.e2e.killable_daemon")
LIMIT_S = 240.0
"""For one answer, one command, one end: reached where something hangs, not where a machine is busy."""
ROOT = Path(__file__).resolve().parent.parent.parent


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """No configuration but the defaults, and no fixed port."""
    config = folder.parent / "empty.toml"
    config.touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEAR_AGENT_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "NEAR_AGENT_CONFIG": str(config),
        "NEAR_AGENT_DAEMON__DATA_DIR": str(folder),
        "NEAR_AGENT_DAEMON__LISTEN": "127.0.0.1:0",
        "NEAR_AGENT_LOCALNET__LISTEN": "127.0.0.1:0",
        **(more or {}),
    }


def near_agent(
    folder: Path, *arguments: str, stdin: str = "", more: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """One command, run to its end."""
    return subprocess.run(
        [*CLI, *arguments],
        env=environment(folder, more),
        cwd=folder.parent,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def near_agent_here(folder: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Result:
    """One command in this process, which costs no start."""
    return CliRunner().invoke(app, list(arguments), env=environment(folder, more))


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """As a terminal shows it."""
        return plain(self.markdown)

    @property
    def markdown(self) -> str:
        return self.body["choices"][0]["message"]["content"]

    @property
    def facts(self) -> dict[str, Any]:
        return self.body["near_agent"]


@dataclass(frozen=True)
class RunningDaemon:
    process: "subprocess.Popen[str]"
    folder: Path
    url: str
    second_line: str

    @property
    def key(self) -> str:
        return (self.folder / "api_key").read_text()

    def say(self, text: str, *, timeout_s: float = LIMIT_S, **headers: str) -> Answer:
        body = {"model": "near-agent", "messages": [{"role": "user", "content": text}]}
        return self.post("/v1/chat/completions", body, timeout_s=timeout_s, **headers)

    def post(self, path: str, body: object, *, timeout_s: float = LIMIT_S, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **named},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return Answer(answer.status, json.loads(answer.read()), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.loads(error.read()), dict(error.headers))

    def chain_balance_yocto(self, account_id: str) -> int:
        """As the chain itself says, past the daemon's API."""
        params = {"request_type": "view_account", "finality": "final", "account_id": account_id}
        body = {"jsonrpc": "2.0", "id": "1", "method": "query", "params": params}
        rpc_url = json.loads((self.folder / "daemon.json").read_text())["rpc_url"]
        with urllib.request.urlopen(urllib.request.Request(rpc_url, json.dumps(body).encode())) as answer:
            return int(json.loads(answer.read())["result"]["amount"])

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)


@contextmanager
def daemon(
    folder: Path, command: tuple[str, ...] = (*CLI, "run"), more: Mapping[str, str] | None = None
) -> Generator[RunningDaemon]:
    """A daemon that is ready; killed at the end where it still runs. Its log is in FOLDER.log."""
    with (
        (folder.parent / f"{folder.name}.log").open("a") as log,
        subprocess.Popen(
            command,
            env=environment(folder, more),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("ready http://127.0.0.1:"), log_of(folder)
            yield RunningDaemon(process, folder, first.split()[1], process.stdout.readline().rstrip())
        finally:
            if process.poll() is None:
                process.kill()


def run_to_its_end(folder: Path, command: tuple[str, ...], more: Mapping[str, str]) -> int:
    """A program that ends by itself; its return code."""
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        done = subprocess.run(
            command,
            env=environment(folder, more),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            timeout=LIMIT_S,
            check=False,
        )
    return done.returncode


def records(folder: Path) -> list[InteractionRecord]:
    return list(read_records(folder / DATABASE_NAME))


def log_of(folder: Path) -> str:
    return (folder.parent / f"{folder.name}.log").read_text()


@contextmanager
def localnet(folder: Path) -> Generator[str]:
    """`near-agent localnet` as a program with a folder of its own; its address."""
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        program = subprocess.Popen(
            [*CLI, "localnet"],
            env=environment(folder),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with program:
        try:
            assert program.stdout is not None
            yield program.stdout.readline().split()[1]
        finally:
            program.terminate()
