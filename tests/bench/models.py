"""A question that a model plans: the daemon's own CPU and record, next to LiteLLM's proxy before the same model server."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

from agent.data_folder import DATABASE_NAME
from agent.planning.prompts import SYSTEM
from contracts.catalogue.index import CATALOGUE
from contracts.types import JsonObject
from tests.bench.figures import Figure
from tests.bench.litellm_proxy import Proxy, installed, running_proxy
from tests.bench.load import CONNECTIONS, Target, closed_loop
from tests.bench.processes import Running, daemon_command, running
from tests.bench.scripted_model import ACCOUNT_ID

_ROUNDS: Final = 5
_REQUESTS: Final = 400
"""Of each target in each round; the targets take turns, so that what else the machine does hits them alike."""
_QUESTION: Final[JsonObject] = {"role": "user", "content": f"how much NEAR does {ACCOUNT_ID} have?"}


def model_figures(folder: Path) -> list[Figure]:
    """The daemon with its chain embedded: one model request and one view for each question."""
    data_dir, log = folder / "data", folder / "models.log"
    data_dir.mkdir()
    root = Path(__file__).parents[2]
    with running([sys.executable, "-m", "tests.bench.scripted_model"], log, PYTHONPATH=str(root)) as model:
        named = {
            "NEAR_AGENT_MODELS__STANDARD__BASE_URL": model.url,
            "NEAR_AGENT_MODELS__STANDARD__MODEL": "scripted",
        }
        with running(daemon_command(data_dir), log, **named) as daemon:
            question = _question(daemon, data_dir)
            try:
                program = installed()
            except subprocess.CalledProcessError as error:
                print(f"LiteLLM is not installed, so it is left out: {error}", file=sys.stderr)
                (own,) = _rounds(question)
                figures = [_own(own)]
            else:
                with running_proxy(program, model.url, folder) as proxy:
                    figures = _compared(*_rounds(question, _through(proxy, _prompt()), _through(proxy, _alone())))
    size = _record_bytes(data_dir / DATABASE_NAME)
    return [*figures, Figure("record of a question", size / 1000, "KB", 3)]


def _compared(own: float, whole: float, alone: float) -> list[Figure]:
    return [
        _own(own),
        Figure("LiteLLM's proxy, CPU for the prompt that the daemon sends", whole, "ms"),
        Figure("LiteLLM's proxy, CPU for the question alone, no tools", alone, "ms"),
        Figure("the daemon's CPU next to the proxy's for the same prompt", own / whole, "times", 0.5),
        Figure("the daemon's CPU next to the proxy's for the question alone", own / alone, "times", 0.5),
    ]


def _own(own: float) -> Figure:
    return Figure("own CPU for each question that a model plans", own, "ms")


def _record_bytes(database: Path) -> float:
    """The mean size of a record on disk."""
    with closing(sqlite3.connect(database)) as connection:
        (size,) = connection.execute("SELECT avg(length(CAST(record AS BLOB))) FROM records").fetchone()
    return float(size)


def _rounds(*targets: Target) -> list[float]:
    """The median of each target's own CPU for a request, in ms."""
    for target in targets:
        asyncio.run(closed_loop(target, CONNECTIONS * 10))
    rounds = [[asyncio.run(closed_loop(target, _REQUESTS)).cpu_ms for target in targets] for _ in range(_ROUNDS)]
    return [median(of_target) for of_target in zip(*rounds, strict=True)]


def _question(daemon: Running, data_dir: Path) -> Target:
    key = (data_dir / "api_key").read_text().strip()
    return Target(
        url=f"{daemon.url}/v1/chat/completions",
        body=json.dumps({"model": "near-agent", "messages": [_QUESTION]}).encode(),
        pid=daemon.pid,
        headers=_headers(key),
        expected=b'"status":"answered"',
    )


def _through(proxy: Proxy, body: JsonObject) -> Target:
    return Target(
        url=f"{proxy.url}/v1/chat/completions",
        body=json.dumps(body).encode(),
        pid=proxy.pid,
        headers=_headers(proxy.key),
        expected=b'"near_balance"',
    )


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def _prompt() -> JsonObject:
    """What the daemon sends to the model for the question."""
    tools = [entry.tool_schema() for entry in CATALOGUE.values()]
    system: JsonObject = {"role": "system", "content": SYSTEM}
    return {"model": "scripted", "messages": [system, _QUESTION], "tools": [*tools], "tool_choice": "auto"}


def _alone() -> JsonObject:
    return {"model": "scripted", "messages": [_QUESTION]}
