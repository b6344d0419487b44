"""The body of OpenAI's Responses API, read as the request that a chat completion would ask.

Form: CreateResponse. Nothing is kept between calls, so whatever builds on an earlier response is refused; foreign keys,
functions and kinds of items are let through and ignored, as in chat completions.
"""

from typing import Annotated, Final, TypeAlias, cast

from pydantic import Discriminator, Field, JsonValue, Tag

from agent.frontends.shapes import shape_of_format
from agent.frontends.wire import ChatRequest, Content, Message, WireModel, chat_request, invalid, parse_body
from agent.limits import Limits

_NOT_KEPT: Final = "earlier responses are not kept; send the whole conversation as input"


class _ToolOutput(WireModel):
    output: Content | None = None


class _Reference(WireModel):
    """An item of an earlier response, by its id: some clients send their assistants' messages so."""


class _Foreign(WireModel):
    """Reasoning, a tool's call and the like."""


def _item_kind(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    match cast("dict[str, object]", value).get("type"):
        case None | "message":
            return "<message>"
        case "function_call_output" | "custom_tool_call_output":
            return "<output>"
        case "item_reference":
            return "<reference>"
        case str():
            return "<foreign>"
        case _:
            return None


_Item: TypeAlias = Annotated[
    Annotated[Message, Tag("<message>")]
    | Annotated[_ToolOutput, Tag("<output>")]
    | Annotated[_Reference, Tag("<reference>")]
    | Annotated[_Foreign, Tag("<foreign>")],
    Discriminator(
        _item_kind, custom_error_type="item_type", custom_error_message="Input should be an item with a type"
    ),
]


def _input_kind(value: object) -> str | None:
    match value:
        case str():
            return "<text>"
        case list():
            return "<items>"
        case _:
            return None


_Input: TypeAlias = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[_Item], Field(fail_fast=True), Tag("<items>")],
    Discriminator(
        _input_kind, custom_error_type="input_type", custom_error_message="Input should be a string or a list of items"
    ),
]


class _TextOptions(WireModel):
    format: JsonValue = None


class _ResponseBody(WireModel):
    model: str
    input: _Input
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: JsonValue = None
    prompt: JsonValue = None
    metadata: dict[str, JsonValue] | None = None
    text: _TextOptions | None = None
    tools: list[JsonValue] | None = None
    tool_choice: JsonValue = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    user: str | None = None


def parse_response(body: bytes, limits: Limits) -> ChatRequest:
    """The request in a response's body; errors as `parse_chat`."""
    parsed = parse_body(_ResponseBody, body)
    _refuse_what_needs_a_store(parsed)
    _refuse_tools(parsed)
    return chat_request(
        parsed.model,
        _messages(parsed.input),
        limits,
        key="input",
        instructions=parsed.instructions,
        stream=bool(parsed.stream),
        metadata=parsed.metadata,
        shape=None if parsed.text is None else shape_of_format(parsed.text.format, "text.format"),
    )


def _refuse_what_needs_a_store(parsed: _ResponseBody) -> None:
    if parsed.previous_response_id is not None:
        raise invalid("previous_response_id", f"previous_response_id: {_NOT_KEPT}")
    if parsed.conversation is not None:
        raise invalid("conversation", f"conversation: {_NOT_KEPT}")
    if parsed.prompt is not None:
        raise invalid("prompt", "prompt: no prompt templates are kept here; send the text as input")
    if parsed.background:
        raise invalid("background", "background: a response cannot be fetched later; leave it out, and use stream")


def _refuse_tools(parsed: _ResponseBody) -> None:
    for number, tool in enumerate(parsed.tools or []):
        match tool:
            case {"type": "function" | "custom"}:
                pass  # the client runs it itself, and misses nothing if it is not called
            case _:
                told = "this tool does not run here; leave it out, the agent has its own actions: /help"
                raise invalid(f"tools[{number}]", f"tools[{number}]: {told}")
    match parsed.tool_choice:
        case None | "auto" | "none" | {"type": "allowed_tools", "mode": "auto"}:
            pass
        case _:
            told = "no tool is called here; send auto or none, or ask for JSON with text.format"
            raise invalid("tool_choice", f"tool_choice: {told}")


def _messages(items: str | list[_Item]) -> list[Message]:
    """The items as messages, each in its place. What is no message is an empty turn, as a tool call is in a chat completion."""
    if isinstance(items, str):
        return [Message(role="user", content=items)]
    messages: list[Message] = []
    unread = None
    for number, item in enumerate(items):
        match item:
            case Message():
                messages.append(item)
                unread = None if item.role == "user" else unread
            case _ToolOutput():
                messages.append(Message(role="tool", content=item.output))
            case _Reference() | _Foreign():
                messages.append(Message(role="assistant"))
                unread = number if isinstance(item, _Reference) else unread
    if unread is not None:
        # It may stand for a newer request than the last one that can be read.
        where = f"input[{unread}]"
        raise invalid(where, f"{where}: an item_reference behind the last user message cannot be read; {_NOT_KEPT}")
    return messages
