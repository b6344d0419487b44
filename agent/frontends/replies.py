"""The pipeline's replies in the forms that clients read: OpenAI's completion and chunks, and the plan answer."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from pydantic import JsonValue

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
    if reply.calls_hash is not None:
        extra["calls_hash"] = reply.calls_hash
    if reply.error is not None:
        extra["error"] = reply.error
    return extra


def completion(reply: Reply, model: str, created: int, tool: str | None = None) -> JsonObject:
    """A CreateChatCompletionResponse; for a forced tool the answer is the arguments of its call."""
    message: JsonObject = {"role": "assistant", "content": reply.text, "refusal": None}
    called = tool is not None and reply.status == "answered"
    if called:
        call: JsonObject = {"name": tool, "arguments": reply.text}
        message |= {
            "content": None,
            "tool_calls": [{"id": _call_id(reply.request_id), "type": "function", "function": call}],
        }
    return {
        "id": _completion_id(reply.request_id),
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "tool_calls" if called else "stop",
            }
        ],
        "usage": _usage(reply),
        "near_agent": near_agent(reply),
    }


@dataclass(frozen=True, slots=True)
class ChunkForm:
    """What all chunks of one stream share."""

    request_id: str
    model: str
    created: int
    include_usage: bool
    tool: str | None = None
    """The forced tool whose arguments an answer is."""

    def opening(self) -> JsonObject:
        """The role, sent exactly once: clients concatenate it."""
        return self._chunk({"role": "assistant", "content": ""})

    def body(self, reply: Reply) -> Iterator[JsonObject]:
        """The text in pieces; for a forced tool the call, and its arguments in pieces."""
        if not self._called(reply):
            for piece in pieces(reply.text):
                yield self._chunk({"content": piece})
            return
        call: JsonObject = {"index": 0, "id": _call_id(self.request_id), "type": "function"}
        yield self._chunk({"tool_calls": [{**call, "function": {"name": self.tool, "arguments": ""}}]})
        for piece in pieces(reply.text):
            yield self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})

    def closing(self, reply: Reply) -> JsonObject:
        """The chunk with `finish_reason` and `near_agent`."""
        finish_reason = "tool_calls" if self._called(reply) else "stop"
        return {**self._chunk({}, finish_reason=finish_reason), "near_agent": near_agent(reply)}

    def usage(self, reply: Reply) -> JsonObject:
        """The last chunk where `stream_options.include_usage` asked for it."""
        return {**self._frame([]), "usage": _usage(reply)}

    def _called(self, reply: Reply) -> bool:
        return self.tool is not None and reply.status == "answered"

    def _chunk(self, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        frame = self._frame([choice])
        return {**frame, "usage": None} if self.include_usage else frame

    def _frame(self, choices: list[JsonObject]) -> JsonObject:
        return {
            "id": _completion_id(self.request_id),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [*choices],
        }


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


def _call_id(request_id: str) -> str:
    return f"call_{request_id}"


def _completion_id(request_id: str) -> str:
    return f"chatcmpl-{request_id}"


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


def _usage(reply: Reply) -> JsonObject:
    """Tokens that models used; 0 where none was asked."""
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
