"""Clients that open connections and say nothing, or ask and do not read: bounded before anybody knows whose they are."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from structlog.testing import capture_logs

from agent.frontends.connections import Connections
from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.records import Reply, UserRequest
from tests.agent.frontends.scripted import reply_to, served
from tests.agent.frontends.test_chat_completions import HELLO

LIMITS: Final = Limits(max_connections=8, header_timeout_s=15, idle_timeout_s=75)


@dataclass
class Monotonic:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Guarded:
    """A server of which only the connections matter."""

    connections: Connections
    clock: Monotonic
    port: int
    let_go: asyncio.Event
    at_work: asyncio.Semaphore
    """Released by each request to /slow when it has begun."""

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        known = len(self.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.until(known + 1 if known < LIMITS.max_connections else known)
        return reader, writer

    async def until(self, known: int) -> None:
        async with asyncio.timeout(10):
            while len(self.connections) != known:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def guarded() -> AsyncGenerator[Guarded]:
    clock, let_go, at_work = Monotonic(), asyncio.Event(), asyncio.Semaphore(0)
    connections = Connections(LIMITS, monotonic=clock)

    async def quick(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def slow(_request: web.Request) -> web.Response:
        at_work.release()
        await let_go.wait()
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.get("/quick", quick), web.get("/slow", slow)])
    connections.watch(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    server = runner.server
    assert server is not None
    listening = await asyncio.get_running_loop().create_server(lambda: connections.admit(server), "127.0.0.1", 0)
    try:
        yield Guarded(connections, clock, listening.sockets[0].getsockname()[1], let_go, at_work)
    finally:
        let_go.set()
        listening.close()
        await runner.cleanup()


async def _is_ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        try:
            return await reader.read(1) == b""
        except ConnectionResetError:
            return True


async def _get(port: int, path: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status


async def test_a_connection_that_sends_no_headers_is_ended() -> None:
    async with guarded() as daemon:
        silent = await daemon.open()
        slow = await daemon.open()
        slow[1].write(b"GET /quick HTTP/1.1\r\nHost: x\r\nX-A: ")
        await slow[1].drain()
        daemon.clock.now_s = 14.9
        daemon.connections.sweep()
        assert len(daemon.connections) == 2
        daemon.clock.now_s = 15
        daemon.connections.sweep()
        assert [await _is_ended(reader) for reader, _ in (silent, slow)] == [True, True]
        assert len(daemon.connections) == 0
        for _, writer in (silent, slow):
            writer.close()


async def test_a_flood_of_silent_connections_ends_its_own_oldest_and_nobody_elses() -> None:
    async with guarded() as daemon, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_get(daemon.port, "/slow"))
        await daemon.until(1)
        flood: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for number in range(40):
            daemon.clock.now_s += 0.01
            flood.append(await daemon.open())
            assert len(daemon.connections) <= LIMITS.max_connections, number
            if number == 20:
                assert await _get(daemon.port, "/quick") == 200
        assert [await _is_ended(reader) for reader, _ in flood[:30]] == [True] * 30
        daemon.let_go.set()
        assert await waiting == 200
        for _, writer in flood:
            writer.close()


async def test_if_every_connection_is_at_work_a_new_one_is_closed() -> None:
    async with guarded() as daemon, asyncio.TaskGroup() as tasks:
        busy = [tasks.create_task(_get(daemon.port, "/slow")) for _ in range(LIMITS.max_connections)]
        await daemon.until(LIMITS.max_connections)
        for _ in busy:
            await daemon.at_work.acquire()
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        assert await _is_ended(reader)
        writer.close()
        daemon.let_go.set()
        assert {await task for task in busy} == {200}


async def test_a_client_that_does_not_read_its_stream_is_cut_off_and_its_request_is_done() -> None:
    text = "x" * 30_000_000  # more than all buffers on the way

    async def script(request: UserRequest, _progress: Progress | None) -> Reply:
        return reply_to(request, text)

    async with served(script, limits=Limits(answer_timeout_s=0.2)) as daemon:
        address = urlsplit(daemon.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        body = b'{"model":"near-agent","stream":true,"messages":[{"role":"user","content":"hello"}]}'
        key = daemon.headers["Authorization"]
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        with capture_logs() as logs:
            writer.write(head.encode() + body)
            async with asyncio.timeout(20):
                while not any(entry["event"] == "client_gone" for entry in logs):
                    await asyncio.sleep(0.01)
        assert len(daemon.pipeline.finished) == 1
        received = b""
        try:
            while piece := await reader.read(65_536):
                received = received[-64:] + piece
        except ConnectionResetError:
            pass
        assert b"[DONE]" not in received
        writer.close()
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{daemon.url}/v1/models", json=HELLO, headers=daemon.headers) as answer,
        ):
            assert answer.status == 200
