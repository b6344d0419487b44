"""A candidate judged on the held-out lines: a child daemon serves it as its specialist and is asked for plans.

The daemon under test is the real one, on ports of its own and in a temporary folder, so the candidate gets the prompts,
the repair turn and the checks that it would get in service. Plans only: no chain is touched.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from contracts.outgoing import Guard, GuardedSession, open_session
from contracts.private_files import make_private_file, open_private
from training.data.formats import Line
from training.errors import DatasetError, ProviderError
from training.evaluation.grading import Verdict, grade
from training.evaluation.report import Miss, Report, by_action

START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0
MAX_MISSES = 20
IN_FLIGHT = 4
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of one plan."""


@dataclass(frozen=True)
class Candidate:
    """A model at an OpenAI-compatible address; the key stays in its variable."""

    model: str
    base_url: str
    api_key_env: str | None


class PlannedCall(BaseModel):
    model_config = ConfigDict(extra="ignore")

    action: str
    args: dict[str, JsonValue]


class PlanAnswer(BaseModel):
    """What `POST /v1/near/plan` answers, as far as grading needs it."""

    model_config = ConfigDict(extra="ignore")

    kind: str
    calls: list[PlannedCall] = []


@dataclass(frozen=True)
class Daemon:
    url: str
    api_key: str


def evaluate(
    candidate: Candidate,
    lines: Sequence[Line],
    *,
    run_id: str,
    dataset: str,
    environ: Mapping[str, str],
    timeout_s: float,
) -> Report:
    """The candidate's exact plans on held-out lines. DatasetError `no_held_out` for none; ProviderError `no_daemon`."""
    if not lines:
        raise DatasetError(
            "no_held_out", f"data set {dataset} has no held-out lines; collect requests of more conversations"
        )
    with serving(candidate, environ) as daemon:
        answers = asyncio.run(_ask_all(daemon, lines, timeout_s))
    verdicts = [
        grade(expected_calls(line), answer.kind, [(call.action, call.args) for call in answer.calls])
        for line, answer in zip(lines, answers, strict=True)
    ]
    return _report(candidate, lines, answers, verdicts, run_id=run_id, dataset=dataset)


@contextmanager
def serving(candidate: Candidate, environ: Mapping[str, str]) -> Generator[Daemon]:
    """A child daemon with the candidate as its specialist; stopped and its folder removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="near-train-") as folder,
        os.fdopen(open_private(log := Path(folder, "daemon.log")), "wb") as errors,
    ):
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", "from agent.cli import main; main()", "run", "--data-dir", folder],
            env=_child_environment(candidate, environ, folder),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
        )
        try:
            yield _wait_ready(child, Path(folder), log)
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


async def _ask_all(daemon: Daemon, lines: Sequence[Line], timeout_s: float) -> list[PlanAnswer]:
    """The plans for the lines, in their order. A plan's time counts from its turn."""
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def in_turn(line: Line) -> PlanAnswer:
        async with turns:
            return await ask(http, daemon, line)

    async with (
        open_session(
            Guard([daemon.url]),
            timeout_s=timeout_s,
            connect_timeout_s=timeout_s,
            max_body_bytes=MAX_ANSWER_BYTES,
            connections=IN_FLIGHT,
        ) as http,
        asyncio.TaskGroup() as group,
    ):
        asked = [group.create_task(in_turn(line)) for line in lines]
    return [task.result() for task in asked]


async def ask(http: GuardedSession, daemon: Daemon, line: Line) -> PlanAnswer:
    """The candidate's plan for a line's conversation; kind `error` if the daemon could not get one."""
    turns = [
        {"role": message.role, "content": message.content}
        for message in line.messages[:-1]
        if message.role in {"user", "assistant"} and isinstance(message.content, str)
    ]
    body = json.dumps({"messages": turns, "model": "near-agent-specialist"}).encode()
    headers = {"Authorization": f"Bearer {daemon.api_key}", "Content-Type": "application/json"}
    try:
        answer = await http.request("POST", daemon.url + "/v1/near/plan", data=body, headers=headers)
        return PlanAnswer.model_validate_json(answer.body) if answer.status == 200 else PlanAnswer(kind="error")
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError):
        return PlanAnswer(kind="error")


def expected_calls(line: Line) -> list[tuple[str, dict[str, JsonValue]]]:
    """The plan that a line's last message holds."""
    calls = line.messages[-1].tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def _child_environment(candidate: Candidate, environ: Mapping[str, str], folder: str) -> dict[str, str]:
    config = Path(folder, "agent.toml")
    make_private_file(config)
    kept = {name: value for name, value in environ.items() if not name.startswith("NEAR_AGENT_")}
    kept |= {
        "NEAR_AGENT_CONFIG": str(config),
        "NEAR_AGENT_DAEMON__LISTEN": "127.0.0.1:0",
        "NEAR_AGENT_LOCALNET__LISTEN": "127.0.0.1:0",
        "NEAR_AGENT_MODELS__SPECIALIST__BASE_URL": candidate.base_url,
        "NEAR_AGENT_MODELS__SPECIALIST__MODEL": candidate.model,
    }
    if candidate.api_key_env:
        kept["NEAR_AGENT_MODELS__SPECIALIST__API_KEY_ENV"] = candidate.api_key_env
    return kept


def _wait_ready(child: "subprocess.Popen[bytes]", folder: Path, log: Path) -> Daemon:
    deadline = time.monotonic() + START_LIMIT_S
    place, key = folder / "daemon.json", folder / "api_key"
    while time.monotonic() < deadline and child.poll() is None:
        if place.is_file() and key.is_file():
            url = str(json.loads(place.read_text())["url"])
            return Daemon(url, key.read_text().strip())
        time.sleep(0.05)
    last = log.read_text(errors="replace").strip().splitlines()[-3:]
    state = f"ended with {child.returncode}" if child.poll() is not None else f"was not ready in {START_LIMIT_S:.0f} s"
    raise ProviderError("no_daemon", f"the daemon for the evaluation {state}: {' / '.join(last)[:600]}")


def _report(
    candidate: Candidate,
    lines: Sequence[Line],
    answers: Sequence[PlanAnswer],
    verdicts: Sequence[Verdict],
    *,
    run_id: str,
    dataset: str,
) -> Report:
    kinds: dict[str, int] = {}
    for verdict in verdicts:
        kinds[verdict.kind] = kinds.get(verdict.kind, 0) + 1
    misses = [
        Miss(text=_text(line), expected=json.dumps(expected_calls(line)), got=answer.model_dump_json())
        for line, answer, verdict in zip(lines, answers, verdicts, strict=True)
        if not verdict.exact
    ]
    return Report(
        run_id=run_id,
        model=candidate.model,
        base_url=candidate.base_url,
        dataset=dataset,
        lines=len(lines),
        exact=sum(verdict.exact for verdict in verdicts),
        actions_right=sum(verdict.actions_right for verdict in verdicts),
        kinds=dict(sorted(kinds.items())),
        actions=by_action([expected_calls(line)[0][0] for line in lines], verdicts),
        misses=tuple(misses[:MAX_MISSES]),
    )


def _text(line: Line) -> str:
    said = [message.content for message in line.messages if message.role == "user" and isinstance(message.content, str)]
    return said[-1] if said else ""
