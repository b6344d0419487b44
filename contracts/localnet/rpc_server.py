"""nearcore's JSON-RPC over HTTP: POST / for every method, GET /status and GET /health."""

import json
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aiohttp import web
from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_json

from contracts.localnet.rpc_errors import RpcRefusal, method_not_found, parse_error
from contracts.localnet.rpc_reads import ChainReads
from contracts.localnet.rpc_sends import ChainSends
from contracts.types import JsonObject

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""nearcore's default limit for a request."""

_Read: TypeAlias = Callable[[JsonValue], JsonValue]
_Wait: TypeAlias = Callable[[JsonValue], Awaitable[JsonValue]]


class RpcServer:
    """Parses requests, finds the method, and wraps answers and refusals in JSON-RPC envelopes."""

    def __init__(self, reads: ChainReads, sends: ChainSends, *, sandbox: bool = False) -> None:
        """`sandbox` offers near-sandbox's methods that bend time; only for servers that nobody else can reach."""
        self._reads: dict[str, _Read] = {
            "block": reads.block,
            "chunk": reads.chunk,
            "status": reads.status,
            "health": reads.health,
            "gas_price": reads.gas_price,
            "validators": reads.validators,
            "EXPERIMENTAL_protocol_config": reads.protocol_config,
            "EXPERIMENTAL_receipt": reads.receipt,
        }
        self._waits: dict[str, _Wait] = {
            "query": reads.query,
            "send_tx": sends.send_tx,
            "broadcast_tx_async": sends.broadcast_tx_async,
            "broadcast_tx_commit": sends.broadcast_tx_commit,
            "tx": sends.tx,
            "EXPERIMENTAL_tx_status": sends.tx_status,
        }
        if sandbox:
            self._waits["sandbox_fast_forward"] = sends.fast_forward

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/", self._post)
        app.router.add_get("/status", self._get_status)
        app.router.add_get("/health", self._get_health)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        return await self.answer(await request.read())

    async def _get_status(self, request: web.Request) -> web.Response:
        del request
        return _json(self._reads["status"](None), 200)

    async def _get_health(self, request: web.Request) -> web.Response:
        del request
        try:
            return _json(self._reads["health"](None), 200)
        except RpcRefusal as refusal:
            return _json(refusal.view(), refusal.http_status)

    async def answer(self, body: bytes) -> web.Response:
        """One request answered; never raises for anything that a client can send."""
        request_id: JsonValue = None
        try:
            method, params, request_id = _read_request(body)
            result = await self._call(method, params)
        except RpcRefusal as refusal:
            envelope: JsonObject = {"jsonrpc": "2.0", "id": request_id, "error": refusal.view()}
            return _json(envelope, refusal.http_status)
        return _json({"jsonrpc": "2.0", "id": request_id, "result": result}, 200)

    async def _call(self, method: str, params: JsonValue) -> JsonValue:
        read = self._reads.get(method)
        if read is not None:
            return read(params)
        wait = self._waits.get(method)
        if wait is None:
            raise method_not_found(method[:100])
        return await wait(params)


def _read_request(body: bytes) -> tuple[str, JsonValue, JsonValue]:
    try:
        request: JsonValue = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise parse_error(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise parse_error("expected one JSON-RPC request object with a method")
    return str(request["method"]), request.get("params"), request.get("id")


def _json(value: JsonValue, status: int) -> web.Response:
    return web.Response(body=_encoded(value), status=status, content_type="application/json")


def _encoded(value: JsonValue) -> bytes:
    try:
        # A contract's answer is a list of its bytes, of which this writes millions four times as fast as the standard library.
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":")).encode()  # a client's lone surrogates, told back to it
