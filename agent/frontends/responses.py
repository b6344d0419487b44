"""Answers in the form of OpenAI's Responses API: a Response, whole or as typed events with sequence numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.errors import DaemonError
from agent.frontends import sse
from agent.frontends.replies import content, near_agent, pieces
from agent.records import Reply
from agent.redaction.texts import redact_answer
from contracts.types import JsonObject

_OPENING_EVENTS: Final = 2


@dataclass(frozen=True, slots=True)
class ResponseAnswer:
    """One message of text, or one call of the tool that was forced."""

    request_id: str
    model: str
    created: int
    """Unix seconds."""
    tool: str | None = None

    def whole(self, reply: Reply) -> JsonObject:
        return {
            **self._response("completed", [self._output(reply)]),
            "completed_at": self.created,
            "usage": _usage(reply),
            "near_agent": near_agent(reply),
        }

    def opening(self) -> bytes:
        response = self._response("in_progress", [])
        kinds = ("response.created", "response.in_progress")
        return b"".join(_event(number, kind, {"response": response}) for number, kind in enumerate(kinds))

    def progress(self, text: str) -> bytes:
        """A comment: the events of the API are numbered and typed, and none of them says what is being done."""
        return sse.comment(text)

    def progress_over(self) -> bytes:
        return b""

    def rest(self, reply: Reply) -> Iterator[bytes]:
        """The events after the opening ones; the last holds the whole response with `near_agent`."""
        for number, (kind, fields) in enumerate(self._rest(reply), _OPENING_EVENTS):
            yield _event(number, kind, fields)

    def failure(self, error: DaemonError) -> bytes:
        # OpenAI's document has these fields flat, its API and some clients' schemas have them under `error`.
        fields: JsonObject = {"code": error.code, "message": redact_answer(error.message), "param": None}
        return _event(_OPENING_EVENTS, "error", {**fields, "error": {"type": "server_error", **fields}})

    def _rest(self, reply: Reply) -> Iterator[tuple[str, JsonObject]]:
        yield from self._rest_of_call(reply) if self._is_call(reply) else self._rest_of_message(reply)
        yield "response.output_item.done", {"output_index": 0, "item": self._output(reply)}
        yield "response.completed", {"response": self.whole(reply)}

    def _rest_of_call(self, reply: Reply) -> Iterator[tuple[str, JsonObject]]:
        part = {"item_id": self._call_id, "output_index": 0}
        yield "response.output_item.added", {"output_index": 0, "item": self._call("in_progress", "")}
        for piece in pieces(reply.text):
            yield "response.function_call_arguments.delta", {**part, "delta": piece}
        yield "response.function_call_arguments.done", {**part, "name": self.tool, "arguments": reply.text}

    def _rest_of_message(self, reply: Reply) -> Iterator[tuple[str, JsonObject]]:
        part = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        yield "response.output_item.added", {"output_index": 0, "item": self._item("in_progress", None)}
        yield "response.content_part.added", {**part, "part": _part("")}
        for piece in pieces(content(reply)):
            yield "response.output_text.delta", {**part, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**part, "text": content(reply), "logprobs": []}
        yield "response.content_part.done", {**part, "part": _part(content(reply))}

    def _is_call(self, reply: Reply) -> bool:
        return self.tool is not None and reply.status == "answered"

    def _output(self, reply: Reply) -> JsonObject:
        return self._call("completed", reply.text) if self._is_call(reply) else self._item("completed", content(reply))

    def _call(self, status: str, arguments: str) -> JsonObject:
        call: JsonObject = {"id": self._call_id, "type": "function_call", "status": status}
        return {**call, "call_id": f"call_{self.request_id}", "name": self.tool, "arguments": arguments}

    @property
    def _call_id(self) -> str:
        return f"fc_{self.request_id}"

    @property
    def _item_id(self) -> str:
        return f"msg_{self.request_id}"

    def _item(self, status: str, text: str | None) -> JsonObject:
        content = [] if text is None else [_part(text)]
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": status, "content": [*content]}

    def _response(self, status: str, output: list[JsonObject]) -> JsonObject:
        return {
            "id": f"resp_{self.request_id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": [*output],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "truncation": "disabled",
            "usage": None,
        }


def _event(number: int, kind: str, fields: JsonObject) -> bytes:
    return sse.data({"type": kind, "sequence_number": number, **fields}, kind)


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(reply: Reply) -> JsonObject:
    """Tokens that models used; 0 where none was asked."""
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
