"""A noisy neighbour: one low key tries to take the daemon from everybody, while another key views, asks for cards, confirms."""

import asyncio
import contextlib
import io
import itertools
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import wasmtime
from aiohttp import web

from contracts.calls import DeployContract
from contracts.types import AccountId
from tests.bench.figures import Figure, percentile, rss_mb
from tests.bench.processes import Running, daemon_command, running
from tests.bench.transfers import api_key, send_actions

_ROW_S: Final = 20.0
_RATE_PER_S: Final = 5
_MODEL_S: Final = 20.0
"""How long the model takes to answer."""
_HEAVY: Final = AccountId("bob.localnet")
_BODY_BYTES: Final = 4 * 1024 * 1024 - 128
_QUIET_S: Final = 1.0
"""Between two rows, so that one does not count for the next."""

_Attack: TypeAlias = Callable[["_Low", int], Awaitable[None]]

_CONTRACT: Final = """(module
  (import "env" "value_return" (func $return (param i64 i64)))
  (import "env" "alt_bn128_g1_multiexp" (func $multiexp (param i64 i64 i64)))
  (memory (export "memory") 64)
  (func $fill (param $with i64) (local $at i32)
    (local.set $at (i32.const 8))
    (loop $next
      (i64.store (local.get $at) (local.get $with))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 2000000)))))
  (func (export "text")
    (call $fill (i64.const 0x7878787878787878))
    (i32.store8 (i32.const 7) (i32.const 34))
    (i32.store8 (i32.const 2000000) (i32.const 34))
    (call $return (i64.const 1999994) (i64.const 7)))
  (func (export "numbers")
    (call $fill (i64.const 0x2c312c312c312c31))
    (i32.store8 (i32.const 7) (i32.const 91))
    (i32.store8 (i32.const 1999999) (i32.const 93))
    (call $return (i64.const 1999993) (i64.const 7)))
  (func $points (param $count i32) (local $at i32)
    (loop $next
      (i64.store (local.get $at) (i64.const 1))
      (i64.store offset=32 (local.get $at) (i64.const 2))
      (i64.store offset=64 (local.get $at) (i64.const -1))
      (i64.store offset=72 (local.get $at) (i64.const -1))
      (i64.store offset=80 (local.get $at) (i64.const -1))
      (i64.store offset=88 (local.get $at) (i64.const 0x2fffffffffffffff))
      (local.set $at (i32.add (local.get $at) (i32.const 96)))
      (br_if $next (i32.lt_u (local.get $at) (i32.mul (local.get $count) (i32.const 96)))))
    (call $multiexp (i64.mul (i64.extend_i32_u (local.get $count)) (i64.const 96)) (i64.const 0) (i64.const 0)))
  (func (export "some_points") (call $points (i32.const 55)))
  (func (export "many_points") (call $points (i32.const 850))))"""


@dataclass(frozen=True, slots=True)
class _Low:
    """The low key, as an attack uses it."""

    http: aiohttp.ClientSession
    url: str
    rpc_url: str
    headers: dict[str, str]

    async def post(self, body: bytes, path: str = "/v1/chat/completions") -> None:
        async with self.http.post(f"{self.url}{path}", data=io.BytesIO(body), headers=self.headers) as answer:
            await answer.read()
            if answer.status in {429, 503}:
                await asyncio.sleep(0.05)

    async def say(self, text: str) -> None:
        await self.post(_said(text))


@dataclass(slots=True)
class _Seen:
    """What the other key got."""

    views_ms: list[float] = field(default_factory=list[float])
    cards_ms: list[float] = field(default_factory=list[float])
    confirmations_ms: list[float] = field(default_factory=list[float])
    voided: int = 0
    failed: int = 0
    rss: float = 0.0


def neighbour_figures(folder: Path) -> list[Figure]:
    """Each attack for 20 s; p99 of the other key's requests, its cards that were lost, and the daemon's memory."""
    return asyncio.run(_all(folder))


async def _all(folder: Path) -> list[Figure]:
    data_dir = folder / "daemon"
    data_dir.mkdir()
    figures: list[Figure] = []
    async with _slow_model() as model_url:
        model = {
            "NEAR_AGENT_MODELS__STANDARD__BASE_URL": model_url,
            "NEAR_AGENT_MODELS__STANDARD__MODEL": "slow",
        }
        with _started(data_dir, folder / "neighbour.log", model) as daemon:
            rpc_url = json.loads((data_dir / "daemon.json").read_text())["rpc_url"]
            contract = DeployContract(bytes(wasmtime.wat2wasm(_CONTRACT)))
            await send_actions(rpc_url, data_dir / "localnet" / "credentials", _HEAVY, (contract,))
            low_key = await asyncio.to_thread(api_key, data_dir, "alice.localnet", {}, "--may-not-confirm")
            high_key = (data_dir / "api_key").read_text().strip()
            for name, (workers, attack) in _ATTACKS.items():
                seen = await _row(daemon, rpc_url, low_key, high_key, workers, attack)
                figures += _figures(name, seen)
                told = ", ".join(
                    f"{figure.name.partition(': ')[2]} {figure.value:.0f}" for figure in _figures(name, seen)
                )
                print(f"{name}: {told}", file=sys.stderr, flush=True)  # the table comes after minutes
                await asyncio.sleep(_QUIET_S)
    return figures


@contextlib.contextmanager
def _started(data_dir: Path, log: Path, places: dict[str, str]) -> Generator[Running]:
    with running(daemon_command(data_dir), log, **places) as daemon:
        yield daemon


def _figures(name: str, seen: _Seen) -> list[Figure]:
    return [
        Figure(f"{name}: views, p99", _p99(seen.views_ms), "ms", 1_000),
        Figure(f"{name}: cards, p99", _p99(seen.cards_ms), "ms", 2_000),
        Figure(f"{name}: confirmations, p99", _p99(seen.confirmations_ms), "ms"),
        Figure(f"{name}: cards voided", seen.voided, "", 0.5),
        Figure(f"{name}: other failures", seen.failed, "", 0.5),
        Figure(f"{name}: daemon's memory, most", seen.rss, "MB", 400),
    ]


def _p99(latencies_ms: list[float]) -> float:
    """Nothing answered is as bad as the whole row."""
    return percentile(latencies_ms, 0.99) if latencies_ms else _ROW_S * 1000


async def _row(daemon: Running, rpc_url: str, low_key: str, high_key: str, workers: int, attack: _Attack) -> _Seen:
    seen, numbers = _Seen(), itertools.count(1)
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as noisy,
        aiohttp.ClientSession(timeout=timeout) as quiet,
    ):
        low = _Low(noisy, daemon.url, rpc_url, {"Authorization": f"Bearer {low_key}"})
        other = _Other(quiet, daemon.url, {"Authorization": f"Bearer {high_key}"}, seen)
        async with asyncio.TaskGroup() as background:
            noise = [background.create_task(_again(attack, low, number)) for number in range(workers)]
            noise.append(background.create_task(_watch(daemon.pid, seen)))
            async with asyncio.TaskGroup() as tasks:
                begun = time.perf_counter()
                for turn in range(int(_ROW_S * _RATE_PER_S)):
                    due = begun + turn / _RATE_PER_S
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    work = other.view(due) if turn % 2 else other.transfer(due, next(numbers))
                    tasks.create_task(work)
            for task in noise:
                task.cancel()
    return seen


async def _again(attack: _Attack, low: _Low, number: int) -> None:
    while True:
        try:
            await attack(low, number)
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.05)


async def _watch(pid: int, seen: _Seen) -> None:
    while True:
        seen.rss = max(seen.rss, rss_mb(pid))
        await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class _Other:
    http: aiohttp.ClientSession
    url: str
    headers: dict[str, str]
    seen: _Seen

    async def view(self, due: float) -> None:
        status, _ = await self._ask("/near_balance @me", f"view {due}", self.seen.views_ms, due)
        self.seen.failed += status != "answered"

    async def transfer(self, due: float, number: int) -> None:
        amount = f"0.00{number:04}{int(due * 1000) % 10**6:06}"  # the same calls again would be warned of
        name = f"card {due}"
        status, code = await self._ask(f"/near_transfer carol.localnet {amount}", name, self.seen.cards_ms, due)
        if status != "needs_approval":
            self.seen.failed += 1
            return
        status, _ = await self._ask(f"confirm {code}", name, self.seen.confirmations_ms, time.perf_counter())
        self.seen.voided += status != "executed"

    async def _ask(self, text: str, conversation: str, latencies_ms: list[float], due: float) -> tuple[str, str]:
        headers = {**self.headers, "X-Near-Agent-Conversation": conversation}
        try:
            async with self.http.post(f"{self.url}/v1/chat/completions", data=_said(text), headers=headers) as answer:
                told = await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__, ""
        finally:
            latencies_ms.append((time.perf_counter() - due) * 1000)
        extra = told.get("near_agent", {})
        return extra.get("status", str(told.get("error"))), extra.get("confirm_code", "")


@asynccontextmanager
async def _slow_model() -> AsyncGenerator[str]:
    """A model server that answers nothing of use, late."""

    async def complete(_request: web.Request) -> web.Response:
        await asyncio.sleep(_MODEL_S)
        return web.json_response({"error": {"message": "late", "code": "late"}}, status=400)

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _said(text: str) -> bytes:
    return json.dumps({"model": "near-agent", "messages": [{"role": "user", "content": text}]}).encode()


def _list_of(unit: bytes) -> bytes:
    return b'{"model":"near-agent","messages":[' + unit * (_BODY_BYTES // len(unit)) + b"0]}"


_ZEROS: Final = _list_of(b"0,")
_MESSAGES: Final = _list_of(b'{"role":"","x":0},')
_LONG: Final = _said("/near_balance bob.localnet " + "x" * 270_000)


async def _slow_body(low: _Low, number: int) -> None:
    where = urlsplit(low.url)
    path = "/v1/near/approvals" if number % 2 else "/v1/chat/completions"
    _reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {low.headers['Authorization']}\r\n"
        writer.write(f"{head}Content-Length: {_BODY_BYTES}\r\n\r\n".encode() + b" " * (_BODY_BYTES - 1_000))
        for _ in range(40):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.5)
    finally:
        writer.close()


async def _rpc_view(low: _Low, number: int) -> None:
    """Of the embedded chain itself, which asks for no key."""
    del number
    params = {
        "request_type": "call_function",
        "finality": "final",
        "account_id": _HEAVY,
        "method_name": "some_points",
        "args_base64": "e30=",
    }
    body = {"jsonrpc": "2.0", "id": "1", "method": "query", "params": params}
    async with low.http.post(low.rpc_url, json=body) as answer:
        await answer.read()


_count: Final = itertools.count()

_ATTACKS: Final[dict[str, tuple[int, _Attack]]] = {
    "nothing": (0, lambda low, _: low.say("")),
    "4 MiB of zeros": (8, lambda low, _: low.post(_ZEROS)),
    "4 MiB of empty messages": (8, lambda low, _: low.post(_MESSAGES)),
    "views of a text of 2 MB": (16, lambda low, _: low.say(f"/contract_view {_HEAVY} text")),
    "views of 2 MB of numbers": (16, lambda low, _: low.say(f"/contract_view {_HEAVY} numbers")),
    "128 questions, model takes 20 s": (128, lambda low, _: low.say(f"what is NEAR, once more {next(_count)}")),
    "requests of 270 KB": (8, lambda low, _: low.post(_LONG)),
    "60 slow bodies": (60, _slow_body),
    "14 proposals of 300 Tgas of curves": (
        14,
        lambda low, _: low.say(f"/contract_call {_HEAVY} many_points gas=300 args='{{\"n\":{next(_count)}}}'"),
    ),
    "views of 20 Tgas of curves": (4, lambda low, _: low.say(f"/contract_view {_HEAVY} some_points")),
    "the same of the chain without a key": (4, _rpc_view),
}
