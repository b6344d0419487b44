"""A scripted model server in OpenAI's format on a loopback port: each request gets the next answer of the script.

async with open_model_server([call("near_balance", account_id="@me"), say("Hello")]) as server:
    ...  # server.base_url; server.requests holds every body as it came, server.headers its headers
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web
from pydantic import JsonValue

from contracts.types import JsonObject


@dataclass(frozen=True)
class Scripted:
    """One answer: a JSON body (or raw text) with a status; `wait` is awaited first, `drop` closes the connection instead."""

    body: JsonValue = None
    text: str | None = None
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    wait: asyncio.Event | None = None
    drop: bool = False


Answering: TypeAlias = Callable[[JsonObject], Scripted]
"""Makes the answer from the request's body."""


def call(action: str, **args: JsonValue) -> Scripted:
    """The model names one action."""
    return calls((action, args))


def calls(*wanted: tuple[str, Mapping[str, JsonValue]], text: str | None = None) -> Scripted:
    """The model names several actions in order."""
    return raw_calls(*((action, json.dumps(args)) for action, args in wanted), text=text)


def raw_calls(*wanted: tuple[str, str], text: str | None = None) -> Scripted:
    """As `calls`, with the arguments' text as given, valid JSON or not."""
    tool_calls: list[JsonValue] = [
        {"id": f"call_{place}", "type": "function", "function": {"name": action, "arguments": arguments}}
        for place, (action, arguments) in enumerate(wanted)
    ]
    message: JsonObject = {"role": "assistant", "content": text, "refusal": None, "tool_calls": tool_calls}
    return Scripted(_completion(message, "tool_calls"))


def say(text: str) -> Scripted:
    """The model answers in words."""
    return Scripted(_completion({"role": "assistant", "content": text, "refusal": None}, "stop"))


def error(status: int, message: str, **headers: str) -> Scripted:
    """The endpoint refuses."""
    body: JsonValue = {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
    return Scripted(body, status=status, headers=headers)


def _completion(message: JsonObject, finish_reason: str) -> JsonObject:
    choice: JsonValue = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [choice],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


class ModelServer:
    """What came in, and what is still to be answered. An exhausted script answers status 500."""

    def __init__(self, script: Iterable[Scripted | Answering]) -> None:
        self._script = deque(script)
        self.requests: list[JsonObject] = []
        self.headers: list[dict[str, str]] = []
        self.base_url = ""
        self.arrived = asyncio.Event()
        """Set when a request has come in."""

    def add(self, *answers: Scripted | Answering) -> None:
        self._script.extend(answers)

    async def answer(self, request: web.Request) -> web.Response:
        body: JsonObject = json.loads(await request.read())
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.arrived.set()
        scripted = self._script.popleft() if self._script else error(500, "the script has no more answers")
        if not isinstance(scripted, Scripted):
            scripted = scripted(body)
        if scripted.wait is not None:
            await scripted.wait.wait()
        if scripted.drop and request.transport is not None:
            request.transport.abort()
        text = scripted.text if scripted.text is not None else json.dumps(scripted.body)
        return web.Response(
            text=text, status=scripted.status, content_type=scripted.content_type, headers=scripted.headers
        )

    async def models(self, _request: web.Request) -> web.Response:
        model: JsonValue = {"id": "scripted", "object": "model", "created": 1, "owned_by": "tests"}
        return web.json_response({"object": "list", "data": [model]})


@asynccontextmanager
async def open_model_server(script: Iterable[Scripted | Answering] = ()) -> AsyncGenerator[ModelServer]:
    server = ModelServer(script)
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", server.answer)
    app.router.add_get("/v1/models", server.models)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.base_url = f"http://{host}:{port}/v1"
        yield server
    finally:
        await runner.cleanup()
