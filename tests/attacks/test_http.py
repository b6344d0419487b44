"""Broken and endless bodies, and what comes too early: each gets its error in OpenAI's form and costs nothing more."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from agent.errors import DaemonError
from agent.frontends.running import RunningRequests
from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.records import Reply
from tests.agent.frontends.scripted import ALICE, KEY, Served, served


async def raw(served_at: Served, headers: str, body: bytes) -> tuple[int, str]:
    """The status and the error's code that a client gets for these bytes."""
    address = urlsplit(served_at.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        async with asyncio.timeout(60):
            status = int((await reader.readline()).split()[1])
            answered = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answered.decode().split("\r\n") if line.lower().startswith("content-length"))
            answer = json.loads(await reader.readexactly(int(length.split()[1])))
        return status, answer["error"]["code"]
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ("Content-Encoding: gzip\r\nContent-Length: 10", b"x" * 10, 400, "invalid_body"),
        ("Content-Length: 10", b"{", 408, "body_timeout"),
        ("Transfer-Encoding: chunked", b"1\r\n{\r\n", 408, "body_timeout"),
        ("Content-Length: 10000000", b"{", 413, "body_too_large"),
        ("Content-Length: 200000", b"[" * 100_000 + b"]" * 100_000, 413, "body_too_large"),
        ("Content-Length: 20000", b"[" * 10_000 + b"]" * 10_000, 400, "invalid_json"),
    ],
)
async def test_a_body_that_is_none(headers: str, body: bytes, status: int, code: str) -> None:
    async with served(body_timeout_s=0.3 if status == 408 else 60) as daemon:
        assert await raw(daemon, headers, body) == (status, code)
        assert daemon.pipeline.requests == []


async def test_nothing_begins_before_an_earlier_run_is_settled() -> None:
    """Whatever the route: an approval by request id, or the operator's, met the ledger while it was being put in order."""
    begun: list[Progress] = []

    async def work(progress: Progress) -> Reply:
        begun.append(progress)
        raise AssertionError

    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(DaemonError) as caught:
            RunningRequests(tasks, limits=Limits(), ready=lambda: False).start(work, by="key")
    assert (caught.value.code, begun) == ("not_ready", [])


@pytest.mark.parametrize(
    ("said", "person"),
    [
        (["X-User: anna"], "/anna"),
        (["X-User: mallory", "X-User: anna"], ""),
        (["X-User: anna", "x-user: anna"], ""),
        (["X-User: anna, mallory"], ""),
        (["X-User: \u0430nna"], ""),
        (["X-User:"], ""),
        ([], ""),
    ],
)
async def test_a_person_that_is_named_twice_is_nobody(said: list[str], person: str) -> None:
    """A front end that adds its header and leaves the one it was sent would name whom its users please."""
    body = json.dumps({"model": "near-agent", "messages": [{"role": "user", "content": "hello"}]}).encode()
    async with served(user_header="X-User") as daemon:
        address = urlsplit(daemon.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *said]
        writer.write("\r\n".join([*head, f"Content-Length: {len(body)}\r\n\r\n"]).encode() + body)
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        (request,) = daemon.pipeline.requests
        assert request.identity.key_id == f"{ALICE.key_id}{person}"
