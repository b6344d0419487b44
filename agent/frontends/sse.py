"""Answers as streams of server-sent events."""

import asyncio
import json
from typing import Final

from aiohttp import ClientConnectionResetError, web

from contracts.types import JsonObject

DONE: Final = b"data: [DONE]\n\n"
"""The end of a chat completion's stream."""
PING: Final = b": ping\n\n"
HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx and the like would hold events back.
    "X-Accel-Buffering": "no",
}


def data(message: JsonObject | dict[str, object], event: str | None = None) -> bytes:
    """One event. ASCII only, so that no character of an answer can end a line."""
    name = b"" if event is None else b"event: " + event.encode("ascii") + b"\n"
    return name + b"data: " + json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore; line ends in the text become spaces."""
    return b": " + " ".join(text.split()).encode("utf-8", "replace") + b"\n\n"


class EventStream:
    """A stream to one client, which has to take what it is sent within a time.

    A client that stops reading would hold its connection and its answer for ever; it is cut off, and its request goes on.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, send_timeout_s: float) -> None:
        self._request = request
        self.response = response
        self._send_timeout_s = send_timeout_s

    async def write(self, events: bytes, *, last: bool = False) -> None:
        """Send events; `last` ends the stream. ClientConnectionResetError if the client is gone or does not take them."""
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self.response.write(events)
                if last:
                    await self.response.write_eof()
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ClientConnectionResetError("the client does not read its answer") from None


async def open_stream(request: web.Request, headers: dict[str, str], send_timeout_s: float) -> EventStream:
    """A prepared event stream."""
    response = web.StreamResponse(headers={**HEADERS, **headers})
    await response.prepare(request)
    return EventStream(request, response, send_timeout_s)
