import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.records import Refusal, Reply, UserRequest
from contracts.types import JsonObject
from tests.agent.frontends.scripted import Served, card, echo, reply_to, served
from tests.judges.openapi_judge import Judge

OPENAI = Judge("openai-spec-min.json")
HELLO: dict[str, Any] = {"model": "near-agent", "messages": [{"role": "user", "content": "hello"}]}


async def post(
    http: aiohttp.ClientSession, api: Served, body: object, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(
        f"{api.url}/v1/chat/completions", data=io.BytesIO(data), headers={**api.headers, **(headers or {})}
    ) as answer:
        return answer.status, await answer.json(), answer


def raw_post(api: Served, body: object) -> bytes:
    data = json.dumps(body).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: daemon",
        *(f"{k}: {v}" for k, v in api.headers.items()),
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


async def events(http: aiohttp.ClientSession, api: Served, body: object) -> list[str]:
    """The lines of a stream that are not empty."""
    async with http.post(f"{api.url}/v1/chat/completions", json=body, headers=api.headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["x-request-id"]
        text = (await answer.read()).decode()
    assert "\r" not in text
    assert "event:" not in text
    return [line for line in text.split("\n") if line]


def judged(name: str, message: dict[str, Any]) -> dict[str, Any]:
    """Strictly OpenAI's form, but for the one extra key."""
    plain = {key: value for key, value in message.items() if key != "near_agent"}
    assert OPENAI.schema(name, plain, strict=True) == []
    return message


async def test_an_answer_has_openais_form_and_the_facts_behind_it(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: Progress | None) -> Reply:
        return card(request)

    async with served(script) as api:
        status, body, answer = await post(http, api, HELLO)
    assert status == 200
    judged("CreateChatCompletionResponse", body)
    assert body["object"] == "chat.completion"
    assert body["model"] == "near-agent"
    assert body["created"] == 1_700_000_123
    [choice] = body["choices"]
    assert choice["logprobs"] is None
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["refusal"] is None
    assert choice["message"]["content"].startswith("Send `1.5 NEAR` to `bob.localnet`")
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert body["near_agent"] == {
        "request_id": answer.headers["x-request-id"],
        "status": "needs_approval",
        "route": {"target": "none", "model": None, "reason": "slash_command"},
        "plan": {
            "kind": "plan",
            "calls": [{"action": "near_transfer", "args": {"receiver_id": "bob.localnet", "amount": "1.5"}}],
            "plan_hash": "a" * 64,
        },
        "confirm_code": "7K3M9QRT",
        "calls_hash": "b" * 64,
        "outcomes": [
            {
                "action": "near_transfer",
                "status": "not_done",
                "value": None,
                "tx_hash": None,
                "block_height": None,
                "error": None,
            }
        ],
    }


async def test_codes_and_hashes_are_absent_where_there_are_none(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        _, body, _ = await post(http, api, HELLO)
    assert not {"confirm_code", "calls_hash"} & set(body["near_agent"])


@pytest.mark.parametrize("include_usage", [None, False, True])
async def test_a_stream_holds_every_rule_of_the_chunks(
    http: aiohttp.ClientSession,
    include_usage: bool | None,  # noqa: FBT001 - the parameter of a test
) -> None:
    async def script(request: UserRequest, _: Progress | None) -> Reply:
        return card(request)

    body = {**HELLO, "stream": True}
    if include_usage is not None:
        body["stream_options"] = {"include_usage": include_usage}
    async with served(script) as api:
        lines = await events(http, api, body)
    assert lines[-1] == "data: [DONE]"
    chunks = [judged("CreateChatCompletionStreamResponse", json.loads(line[6:])) for line in lines[:-1]]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    usage = chunks.pop() if include_usage else None
    if usage is not None:
        assert usage["choices"] == []
        assert usage["usage"]["total_tokens"] == 12
    assert all(("usage" in chunk) == bool(include_usage) for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert sum("role" in delta for delta in deltas) == 1
    assert "".join(delta.get("content", "") for delta in deltas).endswith("`confirm 7K3M9QRT`")
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert deltas[-1] == {}
    assert [i for i, chunk in enumerate(chunks) if "near_agent" in chunk] == [len(chunks) - 1]
    assert chunks[-1]["near_agent"]["confirm_code"] == "7K3M9QRT"


async def test_progress_is_a_status_event_in_an_ordinary_chunk(http: aiohttp.ClientSession) -> None:
    """It is taken away before the answer. Its delta is empty, so that programs that read `choices[0]` read past it."""
    go_on = asyncio.Event()

    async def script(request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("sent 9xYz,\r\n\ndata: waiting for it to be final")
        await go_on.wait()
        await progress("final")
        return reply_to(request, "done\u2028 \U0001f600", verbatim=True)

    async with served(script, ping_interval_s=0.02) as api:
        request = http.post(f"{api.url}/v1/chat/completions", json={**HELLO, "stream": True}, headers=api.headers)
        async with request as answer:
            seen = b""
            while b": ping" not in seen:
                seen += await answer.content.readany()
            go_on.set()
            seen += await answer.read()
    assert b"\\u2028" in seen
    assert seen.endswith(b"data: [DONE]\n\n")
    assert b"event: " not in seen
    chunks = [json.loads(line[6:]) for line in seen.split(b"\n") if line.startswith(b"data: {")]
    told = [(number, chunk) for number, chunk in enumerate(chunks) if "event" in chunk]
    assert [number for number, _ in told] == [1, 2, 3]
    assert all(chunk["choices"] == [{**chunks[0]["choices"][0], "delta": {}}] for _, chunk in told)
    assert [chunk["event"] for _, chunk in told] == [
        _status("sent 9xYz, data: waiting for it to be final"),
        _status("final"),
        {"type": "status", "data": {"description": "", "done": True, "hidden": True}},
    ]


def _status(description: str) -> JsonObject:
    return {"type": "status", "data": {"description": description, "done": False, "hidden": False}}


async def test_without_progress_there_is_no_status_event(http: aiohttp.ClientSession) -> None:
    async with served(echo) as api:
        request = http.post(f"{api.url}/v1/chat/completions", json={**HELLO, "stream": True}, headers=api.headers)
        async with request as answer:
            assert b'"event"' not in await answer.read()


async def test_a_failure_takes_the_progress_away_too(http: aiohttp.ClientSession) -> None:
    async def script(_request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("Planning")
        await asyncio.Event().wait()
        raise AssertionError

    async with served(script, ping_interval_s=0.02) as api:
        request = http.post(f"{api.url}/v1/chat/completions", json={**HELLO, "stream": True}, headers=api.headers)
        async with request as answer:
            seen = b""
            while b"Planning" not in seen:
                seen += await answer.content.readany()
            api.running.cut()
            seen += await answer.read()
    assert seen.index(b'"hidden":true') < seen.index(b'"error"')


async def test_a_client_that_goes_away_loses_nothing(http: aiohttp.ClientSession) -> None:
    go_on = asyncio.Event()

    async def script(request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("sent")
        await go_on.wait()
        return reply_to(request)

    async with served(script, ping_interval_s=0.02) as api:
        for stream in (True, False):
            _, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
            writer.write(raw_post(api, {**HELLO, "stream": stream}))
            while len(api.running) < 1:
                await asyncio.sleep(0.01)
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.1)
            assert len(api.running) == 1
            go_on.set()
            while len(api.running):
                await asyncio.sleep(0.01)
            go_on.clear()
        assert len(api.pipeline.finished) == 2
        assert api.pipeline.cancelled == []


async def test_too_many_wrong_codes_is_429_also_for_a_stream(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, _: Progress | None) -> Reply:
        plan = Refusal(text="five wrong codes", why="too_many_wrong_codes")
        return reply_to(request, "five wrong codes", "refused", plan=plan)

    async with served(script) as api:
        for stream in (False, True):
            status, body, answer = await post(http, api, {**HELLO, "stream": stream})
            assert status == 429
            assert answer.headers["Retry-After"] == "60"
            assert body["error"]["code"] == "too_many_wrong_codes"
            assert OPENAI.schema("ErrorResponse", body) == []


async def test_a_shutdown_ends_an_open_stream_with_an_error_event(http: aiohttp.ClientSession) -> None:
    async def script(request: UserRequest, progress: Progress | None) -> Reply:
        assert progress is not None
        await progress("sent")
        await asyncio.Event().wait()
        return reply_to(request)

    async with served(script) as api:
        request = http.post(f"{api.url}/v1/chat/completions", json={**HELLO, "stream": True}, headers=api.headers)
        async with request as answer:
            await answer.content.readany()
            await api.running.drain(0.0)
            rest = (await answer.read()).decode()
        last = json.loads(rest.rstrip().rsplit("data: ", maxsplit=1)[1])
        assert last["error"]["code"] == "draining"
        assert OPENAI.schema("ErrorResponse", last) == []
        status, body, refused = await post(http, api, HELLO)
        assert (status, body["error"]["code"]) == (503, "draining")
        assert int(refused.headers["Retry-After"]) >= 1


async def test_draining_lets_what_runs_finish(http: aiohttp.ClientSession) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        begun.set()
        await go_on.wait()
        return reply_to(request)

    async with served(script) as api, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(http, api, HELLO))
        await begun.wait()
        drained = tasks.create_task(api.running.drain(10.0))
        await asyncio.sleep(0)
        async with http.get(f"{api.url}/readyz") as ready:
            assert ready.status == 503
        assert (await post(http, api, HELLO))[0] == 503
        go_on.set()
        assert (await first)[0] == 200
        await drained
        assert api.pipeline.cancelled == []


async def test_a_second_wish_to_end_cuts_the_grace_short(http: aiohttp.ClientSession) -> None:
    begun = asyncio.Event()

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        begun.set()
        await asyncio.Event().wait()
        return reply_to(request)

    async with served(script) as api, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(http, api, HELLO))
        await begun.wait()
        drained = tasks.create_task(api.running.drain(1000.0))
        await asyncio.sleep(0)
        api.running.cut()
        await drained
        assert (await first)[0] == 503
        assert len(api.pipeline.cancelled) == 1


async def test_only_as_many_as_allowed_run_at_once(http: aiohttp.ClientSession) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        begun.set()
        await go_on.wait()
        return reply_to(request)

    async with served(script, limits=Limits(requests=1, decisions=1)) as api, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(http, api, HELLO))
        await begun.wait()
        status, body, answer = await post(http, api, HELLO)
        assert (status, body["error"]["code"]) == (429, "too_many_requests")
        assert answer.headers["Retry-After"] == "1"
        go_on.set()
        assert (await first)[0] == 200


async def test_one_idempotency_key_runs_once_at_a_time(http: aiohttp.ClientSession) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def script(request: UserRequest, _: Progress | None) -> Reply:
        begun.set()
        await go_on.wait()
        return reply_to(request)

    async with served(script) as api, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(http, api, HELLO, {"Idempotency-Key": "abc"}))
        await begun.wait()
        status, body, _ = await post(http, api, HELLO, {"Idempotency-Key": "abc"})
        assert (status, body["error"]["code"]) == (409, "request_in_progress")
        go_on.set()
        assert (await first)[0] == 200
        assert (await post(http, api, HELLO, {"Idempotency-Key": "abc"}))[0] == 200
    assert [request.idempotency_key for request in api.pipeline.requests] == ["abc", "abc"]
