"""A chat completion as it comes: the events of a session, and the reading of the daemon's stream of server-sent events."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from agent.commands.exits import FAILED, UNREACHABLE, CommandError

_MAX_LINE: Final = 1_048_576
"""Bytes of one event; the daemon cuts texts into pieces of 4,096 characters."""
_MAX_BYTES: Final = 16_777_216
"""Of a whole answer."""
_DATA: Final = b"data:"
_PING: Final = "ping"


@dataclass(frozen=True, slots=True)
class Began:
    """The session has taken the request under this id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Doing:
    """A step of the request, in words for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The end: a chat completion's answer with its `near_agent` part."""

    answer: dict[str, Any]


Streamed: TypeAlias = Began | Doing | Answered


def read_stream(read_line: Callable[[int], bytes]) -> Iterator[Doing | Answered]:
    """The events of a streamed chat completion; the last one is its answer.

    `read_line` gives a line of at most so many bytes, and nothing at the end. CommandError for an error in the stream, and
    for a stream that ends early or is longer than an answer can be.
    """
    pieces: list[str] = []
    read = 0
    while line := read_line(_MAX_LINE):
        read += len(line)
        if len(line) == _MAX_LINE or read > _MAX_BYTES:
            raise CommandError("the daemon's answer is longer than an answer can be", FAILED, "bad_stream")
        if line.startswith(b":"):
            text = line[1:].decode("utf-8", "replace").strip()
            if text and text != _PING:
                yield Doing(text)
        elif line.startswith(_DATA) and (data := line[len(_DATA) :].strip()) != b"[DONE]":
            chunk = _chunk(data)
            doing = _status(chunk)
            if doing is not None:
                yield Doing(doing)
            pieces += _content(chunk)
            if "near_agent" in chunk:
                message = {"role": "assistant", "content": "".join(pieces)}
                yield Answered({"choices": [{"message": message}], "near_agent": chunk["near_agent"]})
                return
    raise CommandError(
        "the answer broke off; the request may have gone on: near-agent log shows it", UNREACHABLE, "broken_off"
    )


def _chunk(data: bytes) -> dict[str, Any]:
    try:
        chunk: object = json.loads(data)
    except ValueError:
        raise CommandError("the daemon's answer holds an event that is no JSON", FAILED, "bad_stream") from None
    if not isinstance(chunk, dict):
        raise CommandError("the daemon's answer holds an event that is no object", FAILED, "bad_stream")
    found = cast("dict[str, Any]", chunk)
    if error := found.get("error"):
        raise CommandError(str(error["message"]), FAILED, str(error["code"]))
    return found


def _status(chunk: dict[str, Any]) -> str | None:
    """The words of a status event, as Open WebUI reads them; None for any other chunk."""
    match chunk.get("event"):
        case {"type": "status", "data": {"description": str(description)}}:
            return description or None
        case _:
            return None


def _content(chunk: dict[str, Any]) -> list[str]:
    match chunk.get("choices"):
        case [{"delta": {"content": str(piece)}}, *_]:
            return [piece]
        case _:
            return []
