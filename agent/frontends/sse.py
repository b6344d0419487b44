"""A chat completion as a stream of server-sent events (facts of OpenAI's format: `data:` lines only, `[DONE]` last)."""

import json
from collections.abc import Iterator
from typing import Final

from aiohttp import web

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
_MAX_PIECE: Final = 4096


def data(message: JsonObject | dict[str, object]) -> bytes:
    """One event. ASCII only, so that no character of an answer can end a line."""
    return b"data: " + json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore; line ends in the text become spaces."""
    return b": " + " ".join(text.split()).encode("utf-8", "replace") + b"\n\n"


def reply_events(form: ChunkForm, reply: Reply) -> Iterator[bytes]:
    """The events of a reply after the opening one, `[DONE]` included."""
    for piece in pieces(reply.text):
        yield data(form.text(piece))
    yield data(form.closing(reply))
    if form.include_usage:
        yield data(form.usage(reply))
    yield DONE


def pieces(text: str) -> Iterator[str]:
    """A text in lines, long ones in parts; joined again they are the text."""
    for line in text.splitlines(keepends=True):
        for start in range(0, len(line), _MAX_PIECE):
            yield line[start : start + _MAX_PIECE]


async def open_stream(request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
    """A prepared event stream."""
    response = web.StreamResponse(headers={**HEADERS, **headers})
    await response.prepare(request)
    return response
