"""A chat completion as a stream of server-sent events (facts of OpenAI's format: `data:` lines only, `[DONE]` last)."""

import asyncio
import json
from collections.abc import Iterator
from typing import Final

from aiohttp import ClientConnectionResetError, web

from agent.frontends.replies import ChunkForm
from agent.records import Reply
from contracts.types import JsonObject

DONE: Final = b"data: [DONE]\n\n"
PING: Final = b": ping\n\n"
HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx and the like would hold events back.
    "X-Accel-Buffering": "no",
}


def data(message: JsonObject | dict[str, object]) -> bytes:
    """One event. ASCII only, so that no character of an answer can end a line."""
    return b"data: " + json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore; line ends in the text become spaces."""
    return b": " + " ".join(text.split()).encode("utf-8", "replace") + b"\n\n"


def reply_events(form: ChunkForm, reply: Reply) -> Iterator[bytes]:
    """The events of a reply after the opening one, `[DONE]` included."""
    for chunk in form.body(reply):
        yield data(chunk)
    yield data(form.closing(reply))
    if form.include_usage:
        yield data(form.usage(reply))
    yield DONE


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
