"""The pipeline's replies in the forms that clients read: chat completions, whole and in chunks, and the plan answer."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from pydantic import JsonValue

from agent.errors import DaemonError
from agent.frontends import sse
from agent.frontends.errors import answer_for
from agent.markup import markdown
from agent.records import Answer, CallPlan, Clarification, Plan, Refusal, Reply, Route, Unsupported
from contracts.types import JsonObject

_MAX_PIECE: Final = 4096
_EMPTY_PLAN_HASH: Final = hashlib.sha256(b"[]").hexdigest()


def near_agent(reply: Reply) -> JsonObject:
    """The extra key of a completion (INTERFACE.md, HTTP): the facts behind the text."""
    extra: JsonObject = {
        "request_id": reply.request_id,
        "status": reply.status,
        "route": _route(reply.route),
        "plan": _plan(reply.plan),
        "outcomes": [outcome.model_dump(mode="json") for outcome in reply.outcomes],
    }
    if reply.confirm_code is not None:
        extra["confirm_code"] = reply.confirm_code
    if reply.card is not None:
        extra["card"] = reply.card.model_dump(mode="json")
    if reply.cards:
        extra["cards"] = [card.model_dump(mode="json") for card in reply.cards]
    if reply.calls_hash is not None:
        extra["calls_hash"] = reply.calls_hash
    if reply.error is not None:
        extra["error"] = reply.error
    return extra


def content(reply: Reply) -> str:
    """The reply's text as chat clients show it: Markdown, unless it has the form that the client asked for."""
    return reply.text if reply.verbatim else markdown(reply.text)


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A chat completion: CreateChatCompletionResponse, or chunks in `data:` lines with `[DONE]` at the end."""

    request_id: str
    model: str
    created: int
    """Unix seconds."""
    include_usage: bool = False
    tool: str | None = None
    """The forced tool whose arguments an answer is."""

    def whole(self, reply: Reply) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": content(reply), "refusal": None}
        if self._is_call(reply):
            call: JsonObject = {"name": self.tool, "arguments": reply.text}
            message |= {
                "content": None,
                "tool_calls": [{"id": self._call_id, "type": "function", "function": call}],
            }
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason(reply),
        }
        return {
            **self._frame("chat.completion", [choice]),
            "usage": _usage(reply),
            "near_agent": near_agent(reply),
        }

    def opening(self) -> bytes:
        """The role, sent exactly once: clients concatenate it."""
        return sse.data(self._chunk({"role": "assistant", "content": ""}))

    def progress(self, text: str) -> bytes:
        """A status event, which Open WebUI shows above the answer.

        The delta is empty, as in the last chunk: programs that read `choices[0]` unasked break on a chunk without choices.
        """
        return sse.data({**self._chunk({}), "event": _status(text)})

    def progress_over(self) -> bytes:
        return sse.data({**self._chunk({}), "event": _status("", over=True)})

    def rest(self, reply: Reply) -> Iterator[bytes]:
        """The text in pieces, the chunk with `finish_reason` and `near_agent`, and usage if it was asked for."""
        for delta in self._deltas(reply):
            yield sse.data(self._chunk(delta))
        closing = self._chunk({}, finish_reason=self._finish_reason(reply))
        yield sse.data({**closing, "near_agent": near_agent(reply)})
        if self.include_usage:
            yield sse.data({**self._frame("chat.completion.chunk", []), "usage": _usage(reply)})
        yield sse.DONE

    def failure(self, error: DaemonError) -> bytes:
        return sse.data(answer_for(error).body)

    def _deltas(self, reply: Reply) -> Iterator[JsonObject]:
        if not self._is_call(reply):
            for piece in pieces(content(reply)):
                yield {"content": piece}
            return
        call: JsonObject = {"index": 0, "id": self._call_id, "type": "function"}
        yield {"tool_calls": [{**call, "function": {"name": self.tool, "arguments": ""}}]}
        for piece in pieces(reply.text):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    def _is_call(self, reply: Reply) -> bool:
        return self.tool is not None and reply.status == "answered"

    def _finish_reason(self, reply: Reply) -> str:
        return "tool_calls" if self._is_call(reply) else "stop"

    @property
    def _call_id(self) -> str:
        return f"call_{self.request_id}"

    def _chunk(self, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        frame = self._frame("chat.completion.chunk", [choice])
        return {**frame, "usage": None} if self.include_usage else frame

    def _frame(self, kind: str, choices: list[JsonObject]) -> JsonObject:
        return {
            "id": f"chatcmpl-{self.request_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": [*choices],
        }


def completion(reply: Reply, model: str, created: int) -> JsonObject:
    """A reply as a CreateChatCompletionResponse."""
    return ChatAnswer(reply.request_id, model, created).whole(reply)


def not_read(kinds: tuple[str, ...]) -> str:
    """The remark that content besides the text was not looked at."""
    return f"The {' and the '.join(kinds)} {'was' if len(kinds) == 1 else 'were'} not read; only text is."


def plan_answer(reply: Reply) -> JsonObject:
    """The answer of `POST /v1/near/plan`."""
    answer: JsonObject = {
        "kind": "unsupported",
        "calls": [],
        "missing": [],
        "why": None,
        "text": reply.text,
        "confidence": None,
        "route": _route(reply.route),
    }
    if reply.plan is None:
        return answer
    answer["kind"] = reply.plan.kind
    match reply.plan:
        case CallPlan():
            answer.update(calls=_calls(reply.plan), confidence=reply.plan.confidence)
        case Clarification():
            answer["missing"] = [*reply.plan.missing]
        case Unsupported() | Refusal():
            answer["why"] = reply.plan.why
        case Answer():
            pass
        case _:
            assert_never(reply.plan)
    return answer


def pieces(text: str) -> Iterator[str]:
    """A text in lines, long ones in parts; joined again they are the text."""
    for line in text.splitlines(keepends=True):
        for start in range(0, len(line), _MAX_PIECE):
            yield line[start : start + _MAX_PIECE]


def _route(route: Route) -> JsonObject:
    return {"target": route.target, "model": route.model, "reason": route.reason}


def _plan(plan: Plan | None) -> JsonObject | None:
    match plan:
        case None:
            return None
        case CallPlan():
            return {"kind": plan.kind, "calls": _calls(plan), "plan_hash": plan.plan_hash}
        case _:
            return {"kind": plan.kind, "calls": [], "plan_hash": _EMPTY_PLAN_HASH}


def _calls(plan: CallPlan) -> list[JsonValue]:
    return [{"action": call.action, "args": call.args} for call in plan.calls]


def _status(text: str, *, over: bool = False) -> JsonObject:
    """A status event of Open WebUI: one that is over is done and hidden, which takes the line away."""
    return {"type": "status", "data": {"description": " ".join(text.split()), "done": over, "hidden": over}}


def _usage(reply: Reply) -> JsonObject:
    """Tokens that models used; 0 where none was asked."""
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
