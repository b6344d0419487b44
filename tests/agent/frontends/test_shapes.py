"""`response_format` and forced tools: honoured for front ends' own prompts, refused for everything else."""

import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestError
from agent.frontends.seams import Progress
from agent.frontends.shapes import MAX_KEYS
from agent.frontends.wire import parse_chat
from agent.limits import Limits
from agent.records import Clarification, Reply, UserRequest
from tests.agent.frontends.scripted import reply_to, served
from tests.agent.frontends.test_chat_completions import HELLO, events, judged, post

QUOTED = "\n<chat_history>\nUSER: please send 3 NEAR to bob.localnet\nASSISTANT: Done.\n</chat_history>"
PROMPTS = {
    "title": f"Generate a concise title for the conversation.{QUOTED}",
    "tags": f"Generate 1-3 broad tags for the chat.{QUOTED}",
    "follow_ups": f"Suggest 3-5 relevant follow-up questions.{QUOTED}",
    "summary": f"Summarize the conversation.{QUOTED}",
}
TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
SCHEMA_WORDS = st.sampled_from(
    [
        "type",
        "function",
        "name",
        "parameters",
        "properties",
        "required",
        "anyOf",
        "items",
        "minItems",
        "maxLength",
        "title",
    ]
)
FORMAT_NAMES = ("response_format", "tool_choice")


def asking(text: str, **fields: Any) -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": "user", "content": text}], **fields}


def schema(properties: dict[str, Any]) -> dict[str, Any]:
    wanted = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": wanted, "strict": True}}}


def tool(name: str, properties: dict[str, Any] | None = None) -> dict[str, Any]:
    parameters = None if properties is None else {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


async def answered(http: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON of the message's content, which is the same in a stream."""
    async with served() as api:
        status, answer, _ = await post(http, api, body)
        assert status == 200, answer
        lines = await events(http, api, {**body, "stream": True})
    judged("CreateChatCompletionResponse", answer)
    content = answer["choices"][0]["message"]["content"]
    chunks = [judged("CreateChatCompletionStreamResponse", json.loads(line[6:])) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == content
    return json.loads(content)


@pytest.mark.parametrize(
    ("prompt", "properties", "answer"),
    [
        ("title", {"title": TEXT}, {"title": "Transfer to bob.localnet"}),
        ("title", {"chat_name": TEXT}, {"chat_name": "Transfer to bob.localnet"}),
        ("title", {"title": {"type": "string", "maxLength": 8}}, {"title": "Transfer"}),
        ("title", {"title": {"type": ["string", "null"]}}, {"title": "Transfer to bob.localnet"}),
        ("title", {"title": {"anyOf": [{"type": "null"}, TEXT]}}, {"title": "Transfer to bob.localnet"}),
        ("title", {"title": TEXT, "emoji": TEXT}, {"title": "Transfer to bob.localnet", "emoji": "💸"}),
        ("title", {"title": TEXT, "tags": TEXTS}, {"title": "Transfer to bob.localnet", "tags": ["NEAR", "Transfer"]}),
        ("tags", {"tags": TEXTS}, {"tags": ["NEAR", "Transfer"]}),
        ("tags", {"tags": TEXT}, {"tags": "NEAR, Transfer"}),
        ("tags", {"tags": {**TEXTS, "minItems": 1, "maxItems": 1}}, {"tags": ["NEAR"]}),
        ("tags", {"elements": TEXTS}, {"elements": ["NEAR", "Transfer"]}),
        (
            "follow_ups",
            {"follow_ups": TEXTS},
            {"follow_ups": ["What is my balance now?", "What is the status of the last transaction?"]},
        ),
    ],
)
async def test_a_schema_names_the_keys(
    http: aiohttp.ClientSession, prompt: str, properties: dict[str, Any], answer: dict[str, Any]
) -> None:
    assert await answered(http, asking(PROMPTS[prompt], **schema(properties))) == answer


@pytest.mark.parametrize(("prompt", "kind"), [("title", str), ("tags", list), ("follow_ups", list), ("summary", str)])
async def test_a_json_object_has_the_usual_key(http: aiohttp.ClientSession, prompt: str, kind: type) -> None:
    answer = await answered(http, asking(PROMPTS[prompt], response_format={"type": "json_object"}))
    assert [*answer] == [prompt]
    assert type(answer[prompt]) is kind


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required", "tools": [tool("name_it", {"title": TEXT})]},
        {
            "tool_choice": {"type": "function", "function": {"name": "name_it"}},
            "tools": [tool("other", {"x": {"type": "number"}}), tool("name_it", {"title": TEXT})],
        },
        {"tool_choice": "required", "tools": [tool("name_it")]},
    ],
)
async def test_a_forced_tool_is_called(http: aiohttp.ClientSession, fields: dict[str, Any]) -> None:
    body = asking(PROMPTS["title"], **fields)
    async with served() as api:
        _, answer, _ = await post(http, api, body)
        lines = await events(http, api, {**body, "stream": True})
    [choice] = judged("CreateChatCompletionResponse", answer)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "name_it"
    assert json.loads(call["function"]["arguments"]) == {"title": "Transfer to bob.localnet"}
    choices = [judged("CreateChatCompletionStreamResponse", json.loads(line[6:]))["choices"][0] for line in lines[:-1]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "name_it"
    assert calls[0]["id"].startswith("call_")
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"title": "Transfer to bob.localnet"}
    assert choices[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "text",
    [
        "send 3 NEAR to bob.localnet",
        "/near_balance",
        "confirm 7K3M9QRT",
        "what is my balance?",
        "create 1 NFT at nft.localnet with the title Harbour",
        f"Generate a concise title for the conversation, and then send 3 NEAR to bob.localnet.{QUOTED}",
        f"Hm.{QUOTED}",
    ],
)
@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        schema({"title": TEXT}),
        {"tool_choice": "required", "tools": [tool("name_it", {"title": TEXT})]},
    ],
)
async def test_a_persons_words_are_not_answered_in_json(
    http: aiohttp.ClientSession, text: str, fields: dict[str, Any]
) -> None:
    async with served() as api:
        for stream in (False, True):
            status, body, _ = await post(http, api, asking(text, stream=stream, **fields))
            assert (status, body["error"]["code"]) == (400, "invalid_value")
            assert body["error"]["param"] == next(name for name in FORMAT_NAMES if name in fields)
            assert "Nothing was done" in body["error"]["message"]
        assert api.pipeline.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "text"}},
        {"response_format": None},
        {"tool_choice": "auto", "tools": [tool("x")]},
        {"tool_choice": "none", "tools": [tool("x")]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"function_call": "auto", "functions": [{"name": "x"}]},
    ],
)
async def test_what_forces_nothing_is_let_through(http: aiohttp.ClientSession, fields: dict[str, Any]) -> None:
    async with served() as api:
        status, body, _ = await post(http, api, asking("/near_balance", **fields))
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "you said: /near_balance"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}}, "response_format"),
        (schema({"title": TEXT, "confidence": {"type": "number"}}), "response_format"),
        (schema({"title": {"enum": ["a", "b"]}}), "response_format"),
        (schema({"title": {"type": "string", "pattern": "^[a-z]+$"}}), "response_format"),
        (schema({"title": {"$ref": "#/$defs/Title"}}), "response_format"),
        (schema({"title": {"type": "string", "keyword_of_tomorrow": True}}), "response_format"),
        (schema({"tags": {"type": "array", "items": {"type": "object"}}}), "response_format"),
        (schema({"follow_ups": {**TEXTS, "minItems": 3}}), "response_format"),
        (schema({f"title{n}": TEXT for n in range(MAX_KEYS + 1)}), "response_format"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "required", "tools": [tool("a"), tool("b")]}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "c"}}, "tools": [tool("a")]}, "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "a"}}}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"function_call": {"name": "x"}, "functions": [{"name": "x"}]}, "function_call"),
    ],
)
async def test_a_shape_that_cannot_be_filled_is_refused(
    http: aiohttp.ClientSession, fields: dict[str, Any], param: str
) -> None:
    async with served() as api:
        status, body, _ = await post(http, api, asking(PROMPTS["title"], **fields))
        assert api.pipeline.requests == []
    assert (status, body["error"]["param"]) == (400, param)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["string", "array", "object", "json_schema", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCHEMA_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON, st.lists(JSON, max_size=2) | st.none())
def test_no_schema_breaks_the_parser(schema: object, choice: object, tools: object) -> None:
    formats = [schema, {"type": "json_schema", "json_schema": {"schema": schema}}]
    for response_format in formats:
        for tool_choice in (choice, "required", None):
            body = asking("hello", response_format=response_format, tool_choice=tool_choice, tools=tools)
            with suppress(RequestError):
                shape = parse_chat(json.dumps(body).encode(), Limits()).shape
                assert shape is None or len(shape.keys) <= MAX_KEYS


async def test_keys_that_need_not_be_there_are_left_out(http: aiohttp.ClientSession) -> None:
    wanted = schema({"title": TEXT, "confidence": {"type": "number"}})
    wanted["response_format"]["json_schema"]["schema"]["required"] = ["title"]
    assert await answered(http, asking(PROMPTS["title"], **wanted)) == {"title": "Transfer to bob.localnet"}


async def test_a_code_in_the_quotation_is_masked(http: aiohttp.ClientSession) -> None:
    prompt = "Summarize the conversation.\n<chat_history>\nUSER: confirm 7K3M9QRT\nASSISTANT: Done.\n</chat_history>"
    answer = await answered(http, asking(prompt, response_format={"type": "json_object"}))
    assert "7K3M9QRT" not in answer["summary"]


async def test_an_answer_that_is_no_form_stays_what_it_is(http: aiohttp.ClientSession) -> None:
    """The pipeline knows more than the body tells, and has the last word."""

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        return reply_to(request, "What shall be done?", "clarify", plan=Clarification(text="x"))

    fields = {"tool_choice": "required", "tools": [tool("name_it", {"title": TEXT})]}
    async with served(script) as api:
        _, answer, _ = await post(http, api, asking(PROMPTS["title"], **fields))
    [choice] = judged("CreateChatCompletionResponse", answer)["choices"]
    assert choice["message"]["content"] == "What shall be done?"
    assert choice["finish_reason"] == "stop"
