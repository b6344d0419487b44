"""The Responses API: another form of the same requests, judged by the types of the openai package."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from agent.errors import RequestError
from agent.frontends.responses_wire import parse_response
from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.records import Refusal, Reply, Turn, UserRequest
from tests.agent.frontends.scripted import ALICE, Served, card, reply_to, served
from tests.agent.frontends.test_chat_completions import HELLO
from tests.agent.frontends.test_chat_completions import post as post_chat
from tests.agent.frontends.test_shapes import PROMPTS, TEXT
from tests.judges.openapi_judge import Judge

OPENAI = Judge("openai-spec-min.json")
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ASKED: dict[str, Any] = {"model": "near-agent", "input": "hello"}


async def post(
    http: aiohttp.ClientSession, api: Served, body: object, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
    async with http.post(f"{api.url}/v1/responses", json=body, headers={**api.headers, **(headers or {})}) as answer:
        return answer.status, await answer.json(), answer


async def events(http: aiohttp.ClientSession, api: Served, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream, each judged; comments are left out."""
    async with http.post(f"{api.url}/v1/responses", json={**body, "stream": True}, headers=api.headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        text = (await answer.read()).decode()
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    found: list[dict[str, Any]] = []
    for number, block in enumerate(blocks):
        event, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert event == f"event: {found[-1]['type']}"
        assert found[-1]["sequence_number"] == number
        EVENTS.validate_python(found[-1])
    return found


def turns(**fields: Any) -> list[Turn]:
    return list(parse_response(json.dumps({**ASKED, **fields}).encode(), Limits()).turns)


async def test_a_response_has_openais_form_and_the_facts_behind_it(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: Progress | None) -> Reply:
        return card(request)

    async with served(script) as api:
        status, body, answer = await post(http, api, ASKED)
        _, completion, _ = await post_chat(http, api, HELLO)
        first, second = api.pipeline.requests
    assert status == 200
    response = Response.model_validate(body)
    assert response.output_text.endswith("confirm 7K3M9QRT")
    assert response.output_text == completion["choices"][0]["message"]["content"]
    assert (response.status, response.model, response.created_at) == ("completed", "near-agent", 1_700_000_123)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (5, 7, 12)
    assert body["store"] is False
    assert body["near_agent"]["request_id"] == answer.headers["x-request-id"]
    facts = [{**one["near_agent"], "request_id": ""} for one in (body, completion)]
    assert facts[0] == facts[1]
    assert first.front_end == "responses"
    alike = {"request_id": "", "front_end": "responses"}
    assert first.model_copy(update=alike) == second.model_copy(update=alike)


async def test_a_stream_has_the_events_that_clients_wait_for(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("Planning")
        return card(request)

    async with served(script) as api:
        found = await events(http, api, ASKED)
        [request] = api.pipeline.requests
    kinds = [event["type"] for event in found]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds.count("response.output_text.delta") == 2
    text = "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta")
    assert text.endswith("confirm 7K3M9QRT")
    final = Response.model_validate(found[-1]["response"])
    assert final.output_text == text == found[-4]["text"]
    assert final.id == found[0]["response"]["id"] == f"resp_{request.request_id}"
    assert {event["item_id"] for event in found if "item_id" in event} == {final.output[0].id}
    assert found[-1]["response"]["near_agent"]["confirm_code"] == "7K3M9QRT"


def test_input_items_are_the_turns_of_a_conversation() -> None:
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "first"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "an answer", "annotations": []}],
        },
        {"type": "item_reference", "id": "msg_2"},
        {"role": "user", "content": [{"type": "input_text", "text": "two"}, {"type": "input_text", "text": "lines"}]},
        {"role": "assistant", "content": "partly"},
    ]
    read = turns(input=items, instructions="be kind")
    assert [(turn.role, turn.content) for turn in read] == [
        ("system", "be kind"),
        ("system", "be brief"),
        ("user", "first"),
        ("assistant", ""),
        ("assistant", ""),
        ("tool", "rain"),
        ("assistant", "an answer"),
        ("assistant", ""),
        ("user", "two\nlines"),
        ("assistant", "partly"),
    ]


def test_what_other_servers_know_is_let_through() -> None:
    foreign: dict[str, Any] = {
        "tools": [{"type": "function", "name": "weather", "parameters": {}, "strict": True}],
        "tool_choice": "auto",
        "store": True,
        "background": False,
        "truncation": "auto",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "previous_response_id": None,
        "something_of_tomorrow": {"a": [1, None]},
    }
    assert turns(**foreign) == [Turn(role="user", content="hello")]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "x"}, {"type": "mcp"}]}, "tools[1]"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": "plain"}, "text"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": " "}, "input[0].content"),
        ({"input": ["hello"]}, "input[0]"),
        ({"input": [{"content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"type": 7, "role": "user", "content": "hi"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content"),
        ({"input": [{"role": "assistant", "content": "hi"}]}, "input"),
        ({"input": [{"role": "user", "content": "confirm it"}, {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
        ({"input": [{"role": "user", "content": "hi"}] * 2_001}, "input"),
        ({"instructions": ["a"]}, "instructions"),
        ({"stream": "true"}, "stream"),
        ({"metadata": {"conversation_id": 5}}, "metadata.conversation_id"),
        ({"model": 7}, "model"),
    ],
)
def test_what_cannot_be_done_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        turns(**fields)
    assert caught.value.code == "invalid_value"
    assert caught.value.param == param
    assert param in str(caught.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    with pytest.raises(RequestError):
        parse_response(body, Limits())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["input", "text", "tools", "tool_choice", "metadata", "prompt", "conversation", "instructions"])
ITEM_KEYS = st.sampled_from(["type", "role", "content", "output", "id", "text"])
ITEMS = st.lists(st.dictionaries(ITEM_KEYS, JSON | st.sampled_from(["user", "message", "input_text"])), max_size=3)


@given(st.dictionaries(KEYS, JSON | ITEMS))
def test_no_value_breaks_the_parser(fields: dict[str, Any]) -> None:
    with suppress(RequestError):
        assert any(turn.role == "user" and turn.content.strip() for turn in turns(**fields))


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({**ASKED, "model": "gpt-5"}, {}, 404, "model_not_found"),
        ({"model": "near-agent"}, {}, 400, "invalid_value"),
        (ASKED, {"Authorization": "Bearer na_wrong"}, 401, "invalid_api_key"),
        (ASKED, {"Idempotency-Key": "k" * 256}, 400, "invalid_value"),
        ({**ASKED, "input": [None] * 60_000}, {}, 413, "body_too_large"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_before_an_answer_are_openais(
    http: aiohttp.ClientSession,
    body: dict[str, Any],
    headers: dict[str, str],
    status: int,
    code: str,
    stream: bool,  # noqa: FBT001 - the parameter of a test
) -> None:
    async with served() as api:
        got, told, _ = await post(http, api, {**body, "stream": stream}, headers)
        assert api.pipeline.requests == []
    assert (got, told["error"]["code"]) == (status, code)
    assert OPENAI.schema("ErrorResponse", told) == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_with_a_status_keeps_it(http: aiohttp.ClientSession, stream: bool) -> None:  # noqa: FBT001 - a parameter
    async def script(request: UserRequest, _: Progress | None) -> Reply:
        return reply_to(request, "wait", "refused", plan=Refusal(text="wait", why="too_many_wrong_codes"))

    async with served(script) as api:
        status, told, answer = await post(http, api, {**ASKED, "stream": stream})
    assert (status, told["error"]["code"], answer.headers["Retry-After"]) == (429, "too_many_wrong_codes", "60")


async def test_one_idempotency_key_runs_once_at_a_time_over_both_apis(http: aiohttp.ClientSession) -> None:
    go_on = asyncio.Event()

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        await go_on.wait()
        return reply_to(request)

    key = {"Idempotency-Key": "k1"}
    async with served(script) as api, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(http, api, ASKED, key))
        while not api.pipeline.requests:
            await asyncio.sleep(0)
        status, told, _ = await post_chat(http, api, HELLO, key)
        assert (status, told["error"]["code"]) == (409, "request_in_progress")
        go_on.set()
        assert (await first)[0] == 200
        assert api.pipeline.requests[0].idempotency_key == "k1"


async def test_a_shutdown_ends_an_open_stream_with_an_error_event(http: aiohttp.ClientSession) -> None:
    begun = asyncio.Event()

    async def script(_request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("Waiting")
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with served(script) as api, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(events(http, api, ASKED))
        await begun.wait()
        await api.running.drain(0.0)
        found = await reading
    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "error"]
    assert found[-1]["code"] == found[-1]["error"]["code"] == "draining"


async def test_a_title_in_json_is_answered_by_text_format(http: aiohttp.ClientSession) -> None:
    schema = {"type": "object", "properties": {"title": TEXT}, "required": ["title"]}
    shape = {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}
    async with served() as api:
        _, body, _ = await post(http, api, {**ASKED, "input": PROMPTS["title"], **shape})
        found = await events(http, api, {**ASKED, "input": PROMPTS["title"], **shape})
        status, refused, _ = await post(http, api, {**ASKED, "input": "send 3 NEAR to bob.localnet", **shape})
    for response in (body, found[-1]["response"]):
        assert json.loads(Response.model_validate(response).output_text) == {"title": "Transfer to bob.localnet"}
    assert (status, refused["error"]["param"]) == (400, "text.format")


async def test_an_image_beside_text_is_said_not_to_be_read(http: aiohttp.ClientSession) -> None:
    content = [{"type": "input_text", "text": "pay this"}, {"type": "input_image", "image_url": "data:,"}]
    async with served() as api:
        _, body, _ = await post(http, api, {**ASKED, "input": [{"role": "user", "content": content}]})
    told = Response.model_validate(body).output_text
    assert told == "you said: pay this\n\nThe image was not read; only text is."


async def test_the_conversation_and_the_person_are_those_of_chat_completions(http: aiohttp.ClientSession) -> None:
    headers = {"X-Person": "carol", "X-OpenWebUI-Message-Id": "m1"}
    history = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    async with served(user_header="X-Person") as api:
        await post(http, api, ASKED, headers)
        await post(http, api, {**ASKED, "input": [*history, {"role": "user", "content": "and now?"}]}, headers)
        await post_chat(http, api, HELLO, headers)
        await post(http, api, {**ASKED, "metadata": {"conversation_id": "c1"}})
        first, second, chat, named = api.pipeline.requests
    assert first.conversation_id == second.conversation_id == chat.conversation_id != named.conversation_id == "c1"
    assert first.identity == chat.identity == ALICE.model_copy(update={"key_id": "key-alice/carol"})
    assert second.message_id == "m1"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "resp_1"), ("DELETE", "resp_1"), ("POST", "resp_1/cancel"), ("GET", "resp_1/input_items")],
)
async def test_a_response_cannot_be_fetched_later(http: aiohttp.ClientSession, method: str, path: str) -> None:
    async with served() as api, http.request(method, f"{api.url}/v1/responses/{path}", headers=api.headers) as answer:
        told = await answer.json()
    assert (answer.status, told["error"]["code"]) == (404, "not_found")
    assert "POST /v1/responses" in told["error"]["message"]
