"""JSON that clients ask for in place of text: OpenAI's `response_format` (`text.format` of Responses) and forced tools.

Only front ends' own prompts get it: an answer to a person is text, and JSON made of it would say something else than it.
"""

import json
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from agent.errors import RequestError
from agent.frontends.own_prompts import own_prompt
from agent.planning.authorship import FrontEndPrompt
from agent.planning.forms import Form, answer_form, asked_form
from agent.records import Reply, UserRequest
from agent.redaction.texts import redact_answer
from contracts.types import JsonObject

MAX_KEYS: Final = 16
"""Of one answer; each may repeat a quotation."""
_ANY_FORM: Final = "Write a title"
"""A request for a form; which one its answer holds is decided by the key that it is asked under."""

_READ_KEYWORDS: Final = frozenset(
    {"type", "anyOf", "items", "minLength", "maxLength", "minItems", "maxItems"}
    | {"title", "description", "default", "examples", "nullable"}
)
"""Of a property's schema; with any other one (enum, pattern) nothing is known to fit."""

_Kind: TypeAlias = Literal["text", "list"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the answer shall have. Lengths are in characters of a text, or items of a list."""

    name: str
    kind: _Kind
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The JSON that is asked for."""

    param: str
    """The part of the body that asks for it."""
    keys: tuple[Key, ...] = ()
    """Empty: any object."""
    tool: str | None = None
    """The function whose arguments it is."""


# ---- what clients send


def shape_of_format(asked: JsonValue, param: str) -> Shape | None:
    """Return the shape of a chat completion's `response_format` or of a response's `text.format`; None for plain text.

    RequestError `invalid_value` for a format that is unknown, or a schema whose keys cannot be filled.
    """
    match asked:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return Shape(param)
        case {"type": "json_schema", "json_schema": {"schema": schema}} | {"type": "json_schema", "schema": schema}:
            return Shape(param, _keys(schema, param))
        case {"type": "json_schema"}:
            raise _invalid(param, "a json_schema needs its schema")
        case _:
            raise _invalid(param, "the type should be text, json_object or json_schema")


def shape_of_tools(choice: JsonValue, tools: list[JsonValue] | None) -> Shape | None:
    """Return the shape of a forced tool's arguments; None if no tool is forced. Errors as `shape_of_format`."""
    functions = {
        name: function.get("parameters")
        for tool in tools or []
        if isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)
        if isinstance(name := function.get("name"), str)
    }
    match choice:
        case None | "auto" | "none" | {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}:
            return None
        case "required" if len(functions) == 1:
            [name] = functions
        case "required":
            raise _invalid("tool_choice", f"{len(functions)} functions are in tools; name the one that is required")
        case {"type": "function", "function": {"name": str() as name}}:
            if name not in functions:
                raise _invalid("tool_choice", f"tools holds no function {name[:80]!r}")
        case _:
            raise _invalid("tool_choice", "send auto, none, required, or a function's name in OpenAI's form")
    schema = functions[name]
    return Shape("tool_choice", _keys({} if schema is None else schema, "tool_choice"), name)


def _keys(schema: JsonValue, param: str) -> tuple[Key, ...]:
    match schema:
        case {"properties": dict() as properties}:
            listed = schema.get("required")
            required = {one for one in listed if isinstance(one, str)} if isinstance(listed, list) else set[str]()
        case dict() if schema.get("type", "object") == "object":
            return ()
        case _:
            raise _invalid(param, "the schema should be of an object with properties")
    found: list[Key] = []
    for name, wanted in properties.items():
        key = _key(name, wanted)
        if key is not None:
            found.append(key)
        elif name in required:
            raise _invalid(param, f"the key {name[:80]!r} cannot be filled: only texts and lists of texts can")
    if not found or len(found) > MAX_KEYS:
        raise _invalid(param, f"{len(found)} keys can be filled; from 1 to {MAX_KEYS} are allowed")
    return tuple(found)


def _key(name: str, wanted: JsonValue) -> Key | None:
    """Return the key for a property's schema; None if no text or list of texts fits it for certain."""
    match wanted:
        case dict() if not wanted.keys() <= _READ_KEYWORDS:
            return None
        case {"anyOf": list() as branches}:
            return next((key for branch in branches if (key := _key(name, branch)) is not None), None)
        case {"type": list() as types}:
            kind = next((kind for kind in ("string", "array") if kind in types), None)
            return None if kind is None else _key(name, {**wanted, "type": kind})
        case {"type": "string"}:
            return Key(name, "text", *_bounds(wanted.get("minLength"), wanted.get("maxLength")))
        case {"type": "array"}:
            items = wanted.get("items")
            item = Key("", "text") if items in (None, {}) else _key("", items)
            plain = item is not None and item.kind == "text" and item.least <= 1 and item.most is None
            return Key(name, "list", *_bounds(wanted.get("minItems"), wanted.get("maxItems"))) if plain else None
        case _:
            return None


def _bounds(least: JsonValue, most: JsonValue) -> tuple[int, int | None]:
    return (least if isinstance(least, int) else 0), (most if isinstance(most, int) and most >= 0 else None)


# ---- what they get


@dataclass(frozen=True, slots=True)
class ShapedAnswer:
    """The answer to a front end's own prompt, as a JSON object of the shape that was asked for."""

    text: str
    tool: str | None

    @classmethod
    def to(cls, request: UserRequest, shape: Shape) -> "ShapedAnswer":
        """RequestError `invalid_value` if the request asks for none of the forms that can be shaped."""
        prompt = own_prompt(request)
        if prompt is None or prompt.form is None or prompt.mixed:
            other = '"auto"' if shape.tool else '{"type": "text"}'
            raise _invalid(
                shape.param,
                "JSON is answered only to a prompt for a title, tags, follow-up questions, a summary or the like; "
                f"leave {shape.param} out or send {other} to talk to the agent. Nothing was done",
            )
        keys = shape.keys or (_usual_key(prompt.form),)
        answer: JsonObject = {key.name: _value(key, prompt, prompt.form, shape.param) for key in keys}
        return cls(json.dumps(answer, ensure_ascii=False), shape.tool)

    def in_place_of(self, reply: Reply) -> Reply:
        """The reply with this answer as its text; a reply that is none (a refusal, say) stays as it is."""
        return reply.model_copy(update={"text": self.text}) if reply.status == "answered" else reply


def _usual_key(form: Form) -> Key:
    name = form.key or form.name
    value = json.loads(answer_form(Form(form.name, name), ""))[name]
    return Key(name, "list" if isinstance(value, list) else "text")


def _value(key: Key, prompt: FrontEndPrompt, asked: Form, param: str) -> str | list[JsonValue]:
    named = asked_form(_ANY_FORM, f'"{key.name}":')
    form = named if named is not None and named.key == key.name else replace(asked, key=key.name)
    value: str | list[str] = json.loads(answer_form(form, prompt.quoted))[form.key]
    items = [redact_answer(item) for item in ([value] if isinstance(value, str) else value) if item][: key.most]
    text = ", ".join(items)[: key.most]
    filled: str | list[JsonValue] = [*items] if key.kind == "list" else text
    if len(filled) < key.least:
        raise _invalid(param, f"the key {key.name[:80]!r} needs a length of {key.least}, and {len(filled)} are known")
    return filled


def _invalid(param: str, message: str) -> RequestError:
    return RequestError("invalid_value", f"{param}: {message}", param=param)
