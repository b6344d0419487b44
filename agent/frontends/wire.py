"""What chat clients send, parsed: tolerant of what other servers know, exact about what is read here.

Form: OpenAI's CreateChatCompletionRequest. Foreign keys, foreign tools and message kinds are let through and ignored;
a known key of a wrong type is a RequestError that names it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, ValidationError

from agent.errors import RequestError
from agent.frontends.shapes import Shape, shape_of_format, shape_of_tools
from agent.limits import Limits
from agent.records import ModelName, Turn

MODEL_NAMES: Final[tuple[ModelName, ...]] = ("near-agent", "near-agent-standard", "near-agent-specialist")
MAX_HEADER_ID: Final = 255

_Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]
_ROLES: Final[dict[_Role, Literal["system", "user", "assistant", "tool"]]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class WireModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})


class _Part(WireModel):
    """A content part; only text parts are read, in either API's terms."""

    type: str
    text: str | None = None


def _content_kind(value: object) -> str | None:
    match value:
        case str():
            return "<text>"
        case list():
            return "<parts>"
        case _:
            return None


Content: TypeAlias = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[_Part], Field(fail_fast=True), Tag("<parts>")],
    Discriminator(
        _content_kind,
        custom_error_type="content_type",
        custom_error_message="Input should be a string or a list of content parts",
    ),
]


class Message(WireModel):
    role: _Role
    content: Content | None = None

    def text(self) -> str:
        match self.content:
            case None:
                return ""
            case str():
                return self.content
            case list():
                return "\n".join(
                    part.text for part in self.content if part.type in _TEXT_PARTS and part.text is not None
                )

    def unread(self) -> tuple[str, ...]:
        """The kinds of content besides text, in words for people and each once."""
        parts = self.content if isinstance(self.content, list) else []
        return tuple(dict.fromkeys(_kind(part.type) for part in parts if part.type not in _TEXT_PARTS))


def _kind(part_type: str) -> str:
    return next((kind for kind in ("image", "audio", "video", "file") if kind in part_type), "attachment")


_Messages: TypeAlias = Annotated[list[Message], Field(fail_fast=True)]
"""One error ends it: of a list of thousands that are no messages, an error each would be built."""


class _StreamOptions(WireModel):
    include_usage: bool | None = None


class _ChatBody(WireModel):
    model: str
    messages: _Messages
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    metadata: dict[str, JsonValue] | None = None
    tools: list[JsonValue] | None = None
    tool_choice: JsonValue = None
    function_call: JsonValue = None
    response_format: JsonValue = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    user: str | None = None


class _PlanBody(WireModel):
    messages: _Messages
    model: str = "near-agent"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: ModelName
    turns: tuple[Turn, ...]
    text: str
    """The last user message."""
    stream: bool
    include_usage: bool
    conversation_id: str | None
    """From the body's metadata."""
    unread: tuple[str, ...] = ()
    """Kinds of content in the last user message that are not read, such as `image`."""
    shape: Shape | None = None
    """JSON that is asked for in place of text."""


_BodyT = TypeVar("_BodyT", bound=BaseModel)


def parse_chat(body: bytes, limits: Limits) -> ChatRequest:
    """The request in a chat completion's body. RequestError `invalid_json`, `invalid_value` (with `param`) or `model_not_found`."""
    parsed = parse_body(_ChatBody, body)
    if parsed.n not in {None, 1}:
        raise invalid("n", "n: one answer is made per request, leave n out or send 1")
    if parsed.function_call not in (None, "auto", "none"):
        raise invalid("function_call", "function_call: list the function in tools, and name it in tool_choice")
    return chat_request(
        parsed.model,
        parsed.messages,
        limits,
        stream=bool(parsed.stream),
        include_usage=bool(parsed.stream_options and parsed.stream_options.include_usage),
        metadata=parsed.metadata,
        shape=shape_of_tools(parsed.tool_choice, parsed.tools)
        or shape_of_format(parsed.response_format, "response_format"),
    )


def parse_plan(body: bytes, limits: Limits) -> ChatRequest:
    """The request in a plan request's body; errors as `parse_chat`."""
    parsed = parse_body(_PlanBody, body)
    return chat_request(parsed.model, parsed.messages, limits)


def chat_request(
    model: str,
    messages: list[Message],
    limits: Limits,
    *,
    key: str = "messages",
    instructions: str | None = None,
    stream: bool = False,
    include_usage: bool = False,
    metadata: dict[str, JsonValue] | None = None,
    shape: Shape | None = None,
) -> ChatRequest:
    """The request in a conversation that stands under `key` in the body; errors as `parse_chat`.

    `instructions` are a system turn before it.
    """
    conversation_id = (metadata or {}).get("conversation_id")
    if conversation_id is not None and not isinstance(conversation_id, str):
        raise invalid("metadata.conversation_id", "metadata.conversation_id should be a string")
    if len(messages) > limits.max_messages:
        held = f"{key} has {len(messages):,} items, and {limits.max_messages:,} are allowed"
        raise invalid(key, f"{held}; leave out the oldest")
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise invalid(key, f"{key} holds no user message; the last one is what is asked for")
    text, unread = messages[last].text(), messages[last].unread()
    if not text.strip():
        where = f"{key}[{last}].content"
        held = f"{where} holds {' and '.join(unread)} content and no text" if unread else f"{where} has no text"
        raise invalid(where, f"{held}; this API reads text only, so write what is asked for as text")
    before = () if instructions is None else (Turn(role="system", content=instructions),)
    return ChatRequest(
        model=_model_named(model),
        turns=(*before, *(Turn(role=_ROLES[message.role], content=message.text()) for message in messages)),
        text=text,
        stream=stream,
        include_usage=include_usage,
        conversation_id=conversation_id,
        unread=unread,
        shape=shape,
    )


def conversation_id(headers: Mapping[str, str], in_body: str | None, key_id: str, turns: tuple[Turn, ...]) -> str:
    """The conversation a request belongs to, by INTERFACE's order; what is too long for an id is hashed."""
    named = _header(headers, "X-Near-Agent-Conversation") or _header(headers, "X-OpenWebUI-Chat-Id") or in_body
    if named:
        return named if len(named) <= MAX_HEADER_ID else hashlib.sha256(named.encode()).hexdigest()
    first = next(turn.content for turn in turns if turn.role == "user")
    return hashlib.sha256(f"{key_id}\n{first}".encode()).hexdigest()


def header_id(headers: Mapping[str, str], name: str) -> str | None:
    """A client's own id in a header; None where it is absent or empty."""
    value = _header(headers, name)
    if value and len(value) > MAX_HEADER_ID:
        raise invalid(name, f"the header {name} has {len(value)} characters; {MAX_HEADER_ID} are allowed")
    return value or None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    # Bytes that are no UTF-8 arrive as lone surrogates, which no store can keep.
    if value and not value.isprintable():
        raise invalid(name, f"the header {name} holds characters that cannot be printed")
    return value


def model_not_found(name: str) -> RequestError:
    return RequestError(
        "model_not_found",
        f"the model {name[:80]!r} does not exist or is not configured; GET /v1/models lists those that are",
        param="model",
    )


def parse_body(kind: type[_BodyT], body: bytes) -> _BodyT:
    try:
        return kind.model_validate_json(_whole_unicode(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            problem = first["msg"].removeprefix("Invalid JSON: ")
            raise RequestError("invalid_json", f"the body is not JSON: {problem}") from error
        param = _param(first["loc"])
        raise invalid(param, f"{param}: {first['msg']}" if param else f"the body: {first['msg']}") from error


_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
"""A pair of surrogates, half of one (the group), or any other escape; together they keep count of backslashes."""


def _whole_unicode(body: bytes) -> bytes:
    """Return the body with U+FFFD for halves of UTF-16 pairs and bytes that are no UTF-8.

    Clients cut texts in the middle of an emoji and send the conversation for ever after; one broken character in its history
    is no reason to refuse every later request.
    """
    if b"\\ud" in body or b"\\uD" in body:
        body = _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], body)
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="replace").encode()
    return body


def _param(location: tuple[int | str, ...]) -> str | None:
    """`messages[0].content` of a pydantic location; names in angle brackets are a union's branches."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("<"):
            path += f".{step}" if path else step
    return path or None


def _model_named(name: str) -> ModelName:
    for known in MODEL_NAMES:
        if name == known:
            return known
    raise model_not_found(name)


def invalid(param: str | None, message: str) -> RequestError:
    return RequestError("invalid_value", message, param=param)
