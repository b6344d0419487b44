"""A proxy between a client and the chain: passes everything on as it is and keeps it for the judge."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.judges.openapi_judge import Judge

JUDGE: Final = Judge("near-rpc-openapi.json")

EXCEPTIONS: Final = {
    "id: 1 is not of type 'string'": "py-near asks with the id 1, and JSON-RPC 2.0 (and nearcore) answer with the id as it"
    " came; the document knows text ids only",
}
"""What may differ from the document: a problem's beginning, and the reason."""


@dataclass(frozen=True, slots=True)
class Exchange:
    method: str
    params: Any
    status: int
    answer: Any

    def problems(self) -> list[str]:
        found = JUDGE.response("post", f"/{self.method}", self.answer)
        return [problem for problem in found if not any(problem.startswith(known) for known in EXCEPTIONS)]


@dataclass(slots=True)
class Recorder:
    """`url` is the proxy's; `exchanges` is what went through it, in order of the answers."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list[Exchange])

    def methods(self) -> set[str]:
        return {exchange.method for exchange in self.exchanges}

    def verdict(self) -> dict[str, list[str]]:
        """Problems by method and answer's kind; empty where everything conforms."""
        verdict: dict[str, list[str]] = {}
        for exchange in self.exchanges:
            problems = exchange.problems()
            if problems:
                shown = json.dumps(exchange.answer)[:300]
                verdict.setdefault(f"{exchange.method} {json.dumps(exchange.params)[:120]} {shown}", problems)
        return verdict


@asynccontextmanager
async def recording(rpc_url: str) -> AsyncGenerator[Recorder]:
    recorder = Recorder("")
    async with aiohttp.ClientSession() as http:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            try:
                async with http.post(rpc_url, data=body, headers={"Content-Type": "application/json"}) as response:
                    answer = await response.read()
            except aiohttp.ClientConnectionError as error:
                raise web.HTTPBadGateway(text=str(error)) from error
            asked = json.loads(body)
            exchange = Exchange(asked["method"], asked.get("params"), response.status, json.loads(answer))
            recorder.exchanges.append(exchange)
            return web.Response(body=answer, status=response.status, content_type="application/json")

        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/", forward)
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield recorder
        finally:
            await runner.cleanup()
