"""A JSON-RPC proxy that spoils what passes through it, by a seeded plan that is the same for every client."""

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeAlias, get_args

import aiohttp
from aiohttp import web

from contracts.signing.transaction import decode_signed_transaction

Fault: TypeAlias = Literal[
    "none",
    "drop_before",
    "drop_after",
    "delay",
    "duplicate",
    "truncate",
    "status_408",
    "status_429",
    "status_500",
    "status_503_html",
    "garbage",
    "held",
    "stranger",
]
"""`drop_*`: the connection closes before or after the node got the request. `held`: answered 408, and the bytes reach the
node later. `stranger`: bytes that the node had before are refused with InvalidNonce, as by another node behind the same
address that does not know them. `status_429` never reaches the node; the others do, and its answer is lost."""

FAULTS: Final[tuple[Fault, ...]] = tuple(fault for fault in get_args(Fault) if fault not in {"none", "stranger"})
"""Those that any request can meet."""
_STRANGER_RATE: Final = 0.5
"""Of sends of bytes that the node had before."""
_WITHHELD: Final = frozenset({"drop_before", "status_429", "held"})
_HTML: Final = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
_TIMEOUT: Final = (
    b'{"jsonrpc":"2.0","id":"1","error":{"name":"HANDLER_ERROR","cause":{"name":"TIMEOUT_ERROR","info":{}},'
    b'"code":-32000,"message":"Server error","data":"Timeout"}}'
)
_INTERNAL: Final = (
    b'{"jsonrpc":"2.0","id":"1","error":{"name":"INTERNAL_ERROR","cause":{"name":"INTERNAL_ERROR","info":'
    b'{"error_message":"out of order"}},"code":-32000,"message":"Server error","data":"out of order"}}'
)
_SENDS: Final = ("send_tx", "broadcast_tx_commit", "broadcast_tx_async")
_DELAYS_S: Final = (0.05, 0.6)
_HELD_S: Final = (0.5, 3.0)


class FaultProxy:
    """Sends fail with `send_rate`, everything else with `read_rate` (0 to 1), as long as `faulty` is set."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession, *, seed: int, send_rate: float, read_rate: float):
        self.url = ""
        self.faulty = True
        self.counts: Counter[str] = Counter()
        """Faults of sends and of reads: `send drop_after`, `read delay` ..."""
        self._upstream = upstream
        self._session = session
        self._random = random.Random(seed)
        self._rates = {True: send_rate, False: read_rate}
        self._late = asyncio.TaskGroup()
        self._delivered: set[bytes] = set()
        """Signed transactions that the node got."""

    @property
    def late(self) -> asyncio.TaskGroup:
        return self._late

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sends = any(f'"{name}"'.encode() in body for name in _SENDS)
        signed = _signed_bytes(body) if sends else None
        fault = self._choose(sends=sends)
        if self.faulty and signed in self._delivered and self._random.random() < _STRANGER_RATE:
            fault = "stranger"
        if signed is not None and fault not in _WITHHELD:
            self._delivered.add(signed)
        self.counts[f"{'send' if sends else 'read'} {fault}"] += 1
        if fault in _WITHHELD:
            return self._withhold(fault, request, body)
        if signed is not None and fault == "stranger":
            return web.json_response(_invalid_nonce(signed))
        if fault == "delay":
            await asyncio.sleep(self._random.uniform(*_DELAYS_S))
        if fault == "duplicate":
            await self._forward(body)
        return await self._spoil(fault, request, await self._forward(body))

    def _withhold(self, fault: Fault, request: web.Request, body: bytes) -> web.Response:
        """What the client is told while the node has not got the request."""
        if fault == "drop_before":
            return _cut(request)
        if fault == "status_429":
            return web.Response(status=429, text="slow down", headers={"Retry-After": "0"})
        self._late.create_task(self._deliver_late(body, self._random.uniform(*_HELD_S)))
        return web.Response(status=408, body=_TIMEOUT, content_type="application/json")

    async def _spoil(self, fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """What the client gets of the node's answer."""
        match fault:
            case "drop_after":
                return _cut(request)
            case "truncate":
                return await _half(request, answer)
            case "status_408":
                return web.Response(status=408, body=_TIMEOUT, content_type="application/json")
            case "status_500":
                return web.Response(status=500, body=_INTERNAL, content_type="application/json")
            case "status_503_html":
                return web.Response(status=503, body=_HTML, content_type="text/html")
            case "garbage":
                return web.Response(body=self._random.randbytes(200), content_type="application/json")
            case _:
                return answer

    def _choose(self, *, sends: bool) -> Fault:
        spoiled = self._random.random() < self._rates[sends]
        return self._random.choice(FAULTS) if spoiled and self.faulty else "none"

    async def _forward(self, body: bytes) -> web.Response:
        async with self._session.post(
            self._upstream, data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type or "application/json"
            )

    async def _deliver_late(self, body: bytes, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._forward(body)


@asynccontextmanager
async def open_proxy(upstream: str, *, seed: int, send_rate: float, read_rate: float) -> AsyncGenerator[FaultProxy]:
    """A proxy before a node; at the end it waits for the bytes that it still holds."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        proxy = FaultProxy(upstream, session, seed=seed, send_rate=send_rate, read_rate=read_rate)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0, handler_cancellation=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with proxy.late:
                yield proxy
        finally:
            await runner.cleanup()


def _signed_bytes(body: bytes) -> bytes:
    """Of a request's parameters, which are an object or, in the older form, a list."""
    params: Any = json.loads(body)["params"]
    encoded: str = params["signed_tx_base64"] if "signed_tx_base64" in params else params[0]
    return base64.b64decode(encoded)


def _invalid_nonce(signed: bytes) -> dict[str, object]:
    """nearcore's refusal of a nonce that was used (shape: tests/vectors/rpc/invalid_tx_invalid_nonce.json)."""
    nonce = decode_signed_transaction(signed).transaction.nonce
    error = {"InvalidNonce": {"tx_nonce": nonce, "ak_nonce": nonce}}
    return {
        "jsonrpc": "2.0",
        "id": "1",
        "error": {
            "name": "HANDLER_ERROR",
            "cause": {"name": "INVALID_TRANSACTION", "info": {}},
            "code": -32000,
            "message": "Server error",
            "data": {"TxExecutionError": {"InvalidTxError": error}},
        },
    }


def _cut(request: web.Request) -> web.Response:
    """The connection ends without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """The first half of an answer that announced all of it."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return cut
