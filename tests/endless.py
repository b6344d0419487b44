"""Servers on loopback whose answers do not end, and that count what they could send before the client left."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

SOCKET_BUFFERS_BYTES: Final = 12 * 1024 * 1024
"""More than two sockets of this machine and the client's read buffer hold of what was sent and not read."""


@dataclass
class Endless:
    url: str = ""
    sent_bytes: int = 0
    """Of bodies, over all requests."""
    requests: list[bytes] = field(default_factory=list[bytes])
    """The head of each request."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has closed its connection."""


@asynccontextmanager
async def serving_endless(
    piece: bytes,
    *,
    head: bytes = b"Content-Type: application/json\r\n",
    announced_bytes: int | None = None,
    pause_s: float = 0.0,
    first: bytes = b"",
) -> AsyncGenerator[Endless]:
    """A server that answers everything with `first` and then `piece` again and again, `pause_s` apart.

    With `announced_bytes` it says how long the body is, otherwise it comes in chunks.
    """
    state = Endless()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            state.requests.append(await reader.readuntil(b"\r\n\r\n"))
            body = f"Content-Length: {announced_bytes}" if announced_bytes else "Transfer-Encoding: chunked"
            writer.write(b"HTTP/1.1 200 OK\r\n" + head + body.encode() + b"\r\n\r\n")
            sending = first or piece
            while True:
                framed = sending if announced_bytes else f"{len(sending):x}\r\n".encode() + sending + b"\r\n"
                writer.write(framed)
                await writer.drain()
                state.sent_bytes += len(sending)
                sending = piece
                await asyncio.sleep(pause_s)
        writer.transport.abort()
        state.left.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        state.url = f"http://{host}:{port}/"
        yield state
