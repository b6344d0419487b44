"""Other ways to write a request are no ways around its rules: keys, quotations, confirmations that were said before."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from agent.frontends.seams import Progress
from agent.records import Reply, UserRequest
from tests.agent.frontends.scripted import Served, served
from tests.agent.planning.front_end_prompts import PROMPTS
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.attacks.test_quotations import FREE, SEND, SENDING
from tests.model_server import open_model_server

JSON_OBJECT: dict[str, Any] = {
    "/v1/chat/completions": {"response_format": {"type": "json_object"}},
    "/v1/responses": {"text": {"format": {"type": "json_object"}}},
}


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    """Its model always plans the transfer, which the policy lets through unasked."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_model_server([SENDING] * 200))
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models, policy=FREE))


async def post(api: Served, path: str, said: str, /, **fields: Any) -> tuple[int, dict[str, Any]]:
    messages = [{"role": "user", "content": said}]
    body = {"model": "near-agent", ("input" if path == "/v1/responses" else "messages"): messages, **fields}
    async with aiohttp.ClientSession() as http, http.post(api.url + path, json=body, headers=api.headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("path", [*JSON_OBJECT])
async def test_asking_for_json_moves_nothing(agent: Agent, path: str) -> None:
    async def script(request: UserRequest, progress: Progress | None) -> Reply:
        return await agent.pipeline.handle(request, progress)

    async with served(script) as api:
        for form, text in PROMPTS:
            status, body = await post(api, path, text, **JSON_OBJECT[path])
            assert status == (400 if form is None else 200), text
            if status == 200:
                assert body["near_agent"]["plan"]["kind"] == "answer"
        assert (await post(api, path, SEND, **JSON_OBJECT[path]))[0] == 400
        assert agent.chain.executed == []
        # What stops the others is none of the policy, the model and the chain.
        assert (await post(api, path, SEND))[1]["near_agent"]["status"] == "executed"
    assert len(agent.chain.executed) == 1


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/near/plan", "/v1/models"])
@pytest.mark.parametrize("written", ["/{}", "{}/", "//{}", "{}?key=na_x"])
async def test_no_way_to_write_a_path_needs_no_key(path: str, written: str) -> None:
    method = "GET" if path == "/v1/models" else "POST"
    body = json.dumps({"model": "near-agent", "input": "hello", "messages": [{"role": "user", "content": "hello"}]})
    async with served() as api:
        address = urlsplit(api.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = [f"{method} {written.format(path)} HTTP/1.1", "Host: x", "Connection: close"]
        writer.write("\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode())
        assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        assert api.pipeline.requests == []


async def test_a_reference_is_never_read_as_an_older_confirmation() -> None:
    """The newest words may be behind the id, and those before it were said for something else."""
    said = {"role": "user", "content": "confirm 7K3M9QRT"}
    async with served() as api:
        status, body = await post(api, "/v1/responses", "", input=[said, {"type": "item_reference", "id": "msg_1"}])
        assert (status, body["error"]["param"]) == (400, "input[1]")
        assert api.pipeline.requests == []
