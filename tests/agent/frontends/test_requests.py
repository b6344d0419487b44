import asyncio
import json
import uuid
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestError
from agent.frontends.replies import pieces
from agent.frontends.request_id import new_request_id
from agent.frontends.wire import parse_chat
from agent.limits import Limits
from agent.records import Clarification, Refusal, Reply, Turn, UserRequest
from tests.agent.frontends.scripted import ALICE, reply_to, served
from tests.agent.frontends.test_chat_completions import HELLO, post, raw_post
from tests.judges.openapi_judge import Judge

OPENAI = Judge("openai-spec-min.json")


def parsed(**fields: Any) -> list[Turn]:
    return list(parse_chat(json.dumps({**HELLO, **fields}).encode(), Limits()).turns)


def test_foreign_fields_tools_and_message_kinds_are_let_through() -> None:
    body: dict[str, Any] = {
        "model": "near-agent",
        "tools": [{"type": "function", "function": {"name": "search_web", "parameters": {}}, "strict": None}],
        "tool_choice": "auto",
        "stream_options": None,
        "n": 1,
        "parallel_tool_calls": True,
        "something_of_tomorrow": {"a": [1, None]},
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "first"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
            {"role": "tool", "tool_call_id": "c", "content": "the weather"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "lines"}]},
            {"role": "assistant", "content": "partly"},
        ],
    }
    chat = parse_chat(json.dumps(body).encode(), Limits())
    assert chat.text == "two\nlines"
    assert [turn.role for turn in chat.turns] == ["system", "user", "assistant", "tool", "user", "assistant"]
    assert [turn.content for turn in chat.turns][:4] == ["be brief", "first", "", "the weather"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": "1"}, "n"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": 3}, "stream_options"),
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"model": 7}, "model"),
        ({"tools": "none"}, "tools"),
        ({"metadata": {"conversation_id": 5}}, "metadata.conversation_id"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_wrong_type_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parsed(**fields)
    assert caught.value.code == "invalid_value"
    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model":"near-agent"}', b"\xff", b"[" * 10_000])
async def test_a_body_that_is_no_request_is_400(http: aiohttp.ClientSession, body: bytes) -> None:
    async with served() as api:
        status, answer, _ = await post(http, api, body)
    assert status == 400
    assert OPENAI.schema("ErrorResponse", answer) == []
    assert answer["error"]["type"] == "invalid_request_error"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    with pytest.raises(RequestError):
        parse_chat(body, Limits())


@given(st.text())
def test_pieces_of_a_text_join_to_it(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_request_ids_are_uuids_of_their_time() -> None:
    first, second = (uuid.UUID(new_request_id(now_ms)) for now_ms in (1_700_000_000_000, 1_700_000_000_001))
    assert first.version == 7
    assert first.variant == uuid.RFC_4122
    assert first.int >> 80 == 1_700_000_000_000
    assert str(first) < str(second)
    assert uuid.UUID(new_request_id(5, 2**74 - 1)).version == 7
    assert new_request_id() != new_request_id()


async def test_every_answer_carries_a_request_id(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        seen: set[str] = set()
        for method, path in [
            ("GET", "/healthz"),
            ("GET", "/readyz"),
            ("GET", "/v1/models"),
            ("GET", "/nowhere"),
            ("PUT", "/v1/chat/completions"),
            ("OPTIONS", "/v1/chat/completions"),
        ]:
            async with http.request(method, f"{api.url}{path}") as answer:
                seen.add(answer.headers["x-request-id"])
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                if answer.status >= 400:
                    assert OPENAI.schema("ErrorResponse", await answer.json()) == []
    assert {uuid.UUID(request_id).version for request_id in seen} == {7}
    assert len(seen) == 6


async def test_a_browser_may_ask(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        headers = {
            "Origin": "https://chat.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-stainless-os",
        }
        async with http.options(f"{api.url}/v1/chat/completions", headers=headers) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", "Basic na_test_key_of_alice", "na_test_key_of_alice"]
)
async def test_no_key_no_answer(http: aiohttp.ClientSession, header: str | None) -> None:
    async with served() as api:
        for method, path in [
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/near/plan"),
            ("GET", "/v1/models"),
            ("GET", "/v1/models/near-agent"),
        ]:
            headers = {"Authorization": header} if header else {}
            async with http.request(method, f"{api.url}{path}", headers=headers, data=b"{}") as answer:
                body = await answer.json()
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert body["error"]["code"] == "invalid_api_key"
                assert OPENAI.schema("ErrorResponse", body) == []
                assert "wrong" not in body["error"]["message"]
        assert api.pipeline.requests == []


async def test_models_are_those_that_are_configured(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        api.models.append("near-agent-standard")
        async with http.get(f"{api.url}/v1/models", headers=api.headers) as answer:
            listed = await answer.json()
        assert OPENAI.schema("ListModelsResponse", listed, strict=True) == []
        assert [model["id"] for model in listed["data"]] == ["near-agent", "near-agent-standard"]
        for name, expected in [("near-agent", 200), ("near-agent-specialist", 404), ("gpt-5", 404)]:
            async with http.get(f"{api.url}/v1/models/{name}", headers=api.headers) as answer:
                assert answer.status == expected
            status, body, _ = await post(http, api, {**HELLO, "model": name})
            assert status == expected
            if status == 404:
                assert (body["error"]["code"], body["error"]["param"]) == ("model_not_found", "model")


async def test_a_body_above_4_mib_is_413(http: aiohttp.ClientSession) -> None:
    big = json.dumps({**HELLO, "messages": [{"role": "user", "content": "x" * (4 * 1024 * 1024)}]}).encode()
    fits = json.dumps({**HELLO, "messages": [{"role": "user", "content": "x" * 1_000_000}]}).encode()

    async def chunked(data: bytes) -> Any:
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

    async with served() as api:
        status, body, _ = await post(http, api, big)
        assert (status, body["error"]["code"]) == (413, "body_too_large")
        async with http.post(f"{api.url}/v1/chat/completions", data=chunked(big), headers=api.headers) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "body_too_large"
        assert (await post(http, api, fits))[0] == 200


@pytest.mark.parametrize(
    ("headers", "fields", "expected"),
    [
        (
            {"X-Near-Agent-Conversation": "c1", "X-OpenWebUI-Chat-Id": "c2"},
            {"metadata": {"conversation_id": "c3"}},
            "c1",
        ),
        ({"X-OpenWebUI-Chat-Id": "c2"}, {"metadata": {"conversation_id": "c3"}}, "c2"),
        ({}, {"metadata": {"conversation_id": "c3"}}, "c3"),
    ],
)
async def test_the_conversation_is_named_by_header_then_body(
    http: aiohttp.ClientSession, headers: dict[str, str], fields: dict[str, Any], expected: str
) -> None:
    async with served() as api:
        await post(http, api, {**HELLO, **fields}, headers)
        assert api.pipeline.requests[0].conversation_id == expected


async def test_without_a_name_a_conversation_is_its_first_words(http: aiohttp.ClientSession) -> None:
    more = [*HELLO["messages"], {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and now?"}]
    async with served() as api:
        await post(http, api, HELLO)
        await post(http, api, {**HELLO, "messages": more}, {"X-OpenWebUI-Message-Id": "m1"})
        await post(http, api, {**HELLO, "messages": [{"role": "user", "content": "other"}]})
        first, second, third = api.pipeline.requests
    assert first.conversation_id == second.conversation_id != third.conversation_id
    assert second.text == "and now?"
    assert second.message_id == "m1"
    assert first.identity == ALICE
    assert first.front_end == "chat_completions"
    assert first.received_at == 1_700_000_123.25


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/", 404, "not_found"), ("/v1/near/plan", 405, "method_not_allowed")]
)
async def test_an_unknown_route_and_a_wrong_method_are_told_apart(
    http: aiohttp.ClientSession, path: str, status: int, code: str
) -> None:
    async with served() as api, http.get(f"{api.url}{path}", headers=api.headers) as answer:
        body = await answer.json()
        assert (answer.status, body["error"]["code"]) == (status, code)
        assert ("Allow" in answer.headers) == (status == 405)


async def test_an_idempotency_key_has_a_length(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        status, body, _ = await post(http, api, HELLO, {"Idempotency-Key": "k" * 256})
    assert (status, body["error"]["param"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("name", ["X-Near-Agent-Conversation", "X-OpenWebUI-Chat-Id", "Idempotency-Key"])
async def test_a_header_that_no_store_can_keep_is_400(http: aiohttp.ClientSession, name: str) -> None:
    async with served() as api:
        reader, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
        head, _, body = raw_post(api, HELLO).partition(b"\r\n\r\n")
        writer.write(head + f"\r\n{name}: ".encode() + b"\xff\xfe\r\nConnection: close\r\n\r\n" + body)
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith("HTTP/1.1 400")
    assert json.loads(answer.partition("\r\n\r\n")[2])["error"]["param"] == name


async def test_numbers_beyond_all_bounds_are_400(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        for number in ("9" * 5000, "1e999", "NaN", "-0.5"):
            body = json.dumps(HELLO)[:-1] + f', "n": {number}}}'
            assert (await post(http, api, body.encode()))[0] == 400


async def test_a_plan_is_told_in_the_one_form(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: object) -> Reply:
        match request.text:
            case "unclear":
                plan = Clarification(text="how much?", missing=("amount",))
                return reply_to(request, "how much?", "clarify", plan=plan)
            case "bad":
                return reply_to(request, "no", "refused", plan=Refusal(text="no", why="unknown_action"))
            case _:
                return reply_to(request, "hi")

    route = {"target": "none", "model": None, "reason": "slash_command"}
    empty: dict[str, Any] = {"calls": [], "missing": [], "why": None, "confidence": None, "route": route}
    async with served(script) as api:
        for text, expected in [
            ("unclear", {**empty, "kind": "clarify", "text": "how much?", "missing": ["amount"]}),
            ("bad", {**empty, "kind": "refuse", "text": "no", "why": "unknown_action"}),
            ("hi", {**empty, "kind": "answer", "text": "hi"}),
        ]:
            body = {"messages": [{"role": "user", "content": text}]}
            async with http.post(f"{api.url}/v1/near/plan", json=body, headers=api.headers) as answer:
                assert answer.status == 200
                assert await answer.json() == expected
        assert {request.front_end for request in api.pipeline.requests} == {"plan"}


async def test_a_plan_that_no_model_could_make_is_an_error_to_repeat(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: object) -> Reply:
        return reply_to(request, "the model did not answer", "failed", plan=None)

    async with served(script) as api:
        body = {"messages": [{"role": "user", "content": "send"}]}
        async with http.post(f"{api.url}/v1/near/plan", json=body, headers=api.headers) as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "plan_failed"
            assert answer.headers["Retry-After"] == "1"


async def test_an_idempotency_key_of_another_request_is_409(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: object) -> Reply:
        plan = Refusal(text="used for another request", why="idempotency_conflict")
        return reply_to(request, "used for another request", "refused", plan=plan)

    async with served(script) as api:
        status, body, _ = await post(http, api, HELLO, {"Idempotency-Key": "k"})
    assert (status, body["error"]["code"], body["error"]["param"]) == (409, "idempotency_conflict", "Idempotency-Key")


async def test_before_it_is_ready_nothing_is_taken(http: aiohttp.ClientSession) -> None:
    async with served(ready=False) as api:
        status, body, answer = await post(http, api, HELLO)
        assert (status, body["error"]["code"]) == (503, "not_ready")
        assert answer.headers["Retry-After"] == "1"
        async with http.get(f"{api.url}/readyz") as ready, http.get(f"{api.url}/healthz") as health:
            assert (ready.status, health.status) == (503, 200)
        assert api.pipeline.requests == []


async def test_a_request_that_could_not_be_written_down_is_503(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: object) -> Reply:
        error = {"code": "store_full" if request.text == "full" else "TRANSPORT", "message": "m"}
        return reply_to(request, "it failed", "failed", plan=None, error=error)

    async with served(script) as api:
        status, body, answer = await post(http, api, {**HELLO, "messages": [{"role": "user", "content": "full"}]})
        assert (status, body["error"]["code"], answer.headers["Retry-After"]) == (503, "store_full", "1")
        status, body, _ = await post(http, api, HELLO)
        assert (status, body["near_agent"]["status"]) == (200, "failed")
        assert body["near_agent"]["error"] == {"code": "TRANSPORT", "message": "m"}
