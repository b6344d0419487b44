"""The daemon as a user runs it: start, views under load, memory, and the command line next to it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from tests.bench.figures import Figure, percentile, rss_mb
from tests.bench.load import CONNECTIONS, RATE_PER_S, Load, Target, closed_loop, open_loop
from tests.bench.processes import (
    NEAR_AGENT,
    Running,
    chain_command,
    daemon_command,
    running,
    wall_seconds,
)

_OPEN: Final = 1_000
_MEMORY_REQUESTS: Final = 10_000
_COMMANDS: Final = 5
_VIEW: Final = "/near_balance bob.localnet"


def start_figures(folder: Path) -> list[Figure]:
    """The first start makes keys, the chain's genesis and the database; later ones find them."""
    data_dir = folder / "start"
    data_dir.mkdir()
    starts: list[float] = []
    for _ in range(_COMMANDS):
        with running(daemon_command(data_dir), folder / "start.log") as daemon:
            starts.append(daemon.start_s)
    with running(daemon_command(data_dir), folder / "start.log"):
        ask = [str(NEAR_AGENT), "ask", _VIEW, "--data-dir", str(data_dir)]
        asked = [wall_seconds(ask, folder) for _ in range(_COMMANDS)]
    helped = [wall_seconds([str(NEAR_AGENT), "--help"], folder) for _ in range(_COMMANDS)]
    return [
        Figure("start to ready, empty data folder", starts[0], "s", 3),
        Figure("start to ready, afterwards, median", percentile(starts[1:], 0.5), "s", 3),
        Figure("--help, median", percentile(helped, 0.5), "s", 0.7),
        Figure("ask, daemon running, median", percentile(asked, 0.5), "s", 0.7),
    ]


def view_figures(folder: Path) -> list[Figure]:
    """Views by slash command on the daemon with its chain embedded, then memory as requests go on."""
    data_dir = folder / "views"
    data_dir.mkdir()
    with running(daemon_command(data_dir), folder / "views.log") as daemon:
        target = _view(daemon, data_dir)
        asyncio.run(closed_loop(target, CONNECTIONS * 2))
        opened = asyncio.run(open_loop(target, _OPEN))
        after_open = rss_mb(daemon.pid)
        closed = asyncio.run(closed_loop(target, _MEMORY_REQUESTS - _OPEN))
        after_all = rss_mb(daemon.pid)
    loop = f"open loop {RATE_PER_S}/s, {CONNECTIONS} connections"
    return [
        Figure(f"view, {loop}, p50", opened.at(0.5), "ms", 4),
        Figure(f"view, {loop}, p99", opened.at(0.99), "ms", 15),
        Figure("own CPU for each view, chain embedded", opened.cpu_ms, "ms", 2),
        Figure(f"views, closed loop, {CONNECTIONS} connections", closed.rate_per_s, "/s", 400, "at least"),
        Figure("view, closed loop, p99", closed.at(0.99), "ms"),
        Figure("own CPU for each view, closed loop", closed.cpu_ms, "ms"),
        Figure(f"memory after {_OPEN:,} requests", after_open, "MB", 180),
        Figure(f"memory after {_MEMORY_REQUESTS:,} requests", after_all, "MB", 180),
        Figure("growth between them", after_all - after_open, "MB"),
    ]


def comparison_figures(folder: Path) -> list[Figure]:
    """The daemon without its chain, and a bare aiohttp echo of as many bytes, under the same open loop."""
    chain_dir, data_dir = folder / "alone", folder / "daemon_alone"
    chain_dir.mkdir()
    data_dir.mkdir()
    log = folder / "comparison.log"
    with running(chain_command(chain_dir), log) as chain:
        places = {
            "NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([chain.url]),
            "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(chain_dir / "localnet" / "credentials"),
            "NEAR_AGENT_ACCOUNT_ID": "alice.localnet",
        }
        with running(daemon_command(data_dir), log, **places) as daemon:
            target = _view(daemon, data_dir)
            asyncio.run(closed_loop(target, CONNECTIONS * 2))
            apart = asyncio.run(open_loop(target, _OPEN))
    echoed, closed = _echo(folder, target.body)
    return [
        Figure("own CPU for each view, chain in another process", apart.cpu_ms, "ms"),
        Figure("bare aiohttp echo, own CPU for each", echoed.cpu_ms, "ms"),
        Figure("the daemon's CPU next to the echo's", apart.cpu_ms / max(echoed.cpu_ms, 0.01), "times"),
        Figure("bare aiohttp echo, open loop, p50", echoed.at(0.5), "ms"),
        Figure("bare aiohttp echo, open loop, p99", echoed.at(0.99), "ms"),
        Figure("bare aiohttp echo, closed loop", closed.rate_per_s, "/s"),
    ]


def _view(daemon: Running, data_dir: Path) -> Target:
    """A view by slash command; each is a conversation of its own turn."""
    key = (data_dir / "api_key").read_text().strip()
    body = {"model": "near-agent", "messages": [{"role": "user", "content": _VIEW}]}
    return Target(
        url=f"{daemon.url}/v1/chat/completions",
        body=json.dumps(body).encode(),
        pid=daemon.pid,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        expected=b'"status":"answered"',
    )


def _echo(folder: Path, body: bytes) -> tuple[Load, Load]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.bench.echo"]
    with running(command, folder / "echo.log", PYTHONPATH=str(root)) as echo:
        target = Target(url=echo.url, body=body, pid=echo.pid)
        asyncio.run(closed_loop(target, CONNECTIONS * 2))
        return asyncio.run(open_loop(target, _OPEN)), asyncio.run(closed_loop(target, 5 * _OPEN))
