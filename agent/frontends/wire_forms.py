"""The APIs in which a conversation can be held: one handler serves them, and each has its way to be read and answered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from agent.errors import DaemonError
from agent.frontends.replies import ChatAnswer
from agent.frontends.responses import ResponseAnswer
from agent.frontends.responses_wire import parse_response
from agent.frontends.wire import ChatRequest, parse_chat
from agent.limits import Limits
from agent.records import FrontEnd, Reply, UserRequest
from contracts.types import JsonObject


class AnswerForm(Protocol):
    """The answer to one request: whole, or as the events of a stream."""

    def whole(self, reply: Reply) -> JsonObject: ...

    def opening(self) -> bytes:
        """The first events, sent before the reply is there."""
        ...

    def progress(self, text: str) -> bytes:
        """The events that say what the request is doing; clients that do not know them read past them."""
        ...

    def progress_over(self) -> bytes:
        """The events that take away what `progress` showed; sent once, before the rest or the failure."""
        ...

    def rest(self, reply: Reply) -> Iterator[bytes]:
        """The events that follow, the end of the stream included."""
        ...

    def failure(self, error: DaemonError) -> bytes:
        """The event that ends a stream instead."""
        ...


@dataclass(frozen=True, slots=True)
class WireForm:
    front_end: FrontEnd
    parse: Callable[[bytes, Limits], ChatRequest]
    answer: Callable[[UserRequest, ChatRequest], AnswerForm]


def _chat_answer(request: UserRequest, asked: ChatRequest) -> AnswerForm:
    return ChatAnswer(request.request_id, asked.model, int(request.received_at), asked.include_usage, _tool(asked))


def _response_answer(request: UserRequest, asked: ChatRequest) -> AnswerForm:
    return ResponseAnswer(request.request_id, asked.model, int(request.received_at), _tool(asked))


def _tool(asked: ChatRequest) -> str | None:
    return None if asked.shape is None else asked.shape.tool


CHAT_COMPLETIONS: Final = WireForm("chat_completions", parse_chat, _chat_answer)
RESPONSES: Final = WireForm("responses", parse_response, _response_answer)
