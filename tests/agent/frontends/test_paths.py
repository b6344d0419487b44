"""Addresses that clients get slightly wrong, and calls of OpenAI's API that are not served."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from agent.frontends.paths import plain_path
from tests.agent.frontends.scripted import served
from tests.agent.frontends.test_chat_completions import HELLO, raw_post
from tests.judges.openapi_judge import Judge

OPENAI = Judge("openai-spec-min.json")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "/v1//chat/completions", "//v1/chat/completions", "///v1///chat//completions//"]
)
async def test_slashes_too_many_are_read_as_the_plain_path(path: str, stream: bool) -> None:  # noqa: FBT001 - a parameter
    async with served() as api:
        address = urlsplit(api.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        request = raw_post(api, {**HELLO, "stream": stream}).replace(b"/v1/chat/completions", path.encode(), 1)
        writer.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"you said" in answer
        [asked] = api.pipeline.requests
        assert f"x-request-id: {asked.request_id}".encode() in answer
        assert answer.count(b"\r\nx-request-id: ") == 1


async def test_a_models_name_is_found_behind_slashes(http: aiohttp.ClientSession) -> None:
    async with served() as api:
        for path, status in [("/v1/models/", 200), ("/v1/models//near-agent/", 200), ("/v1/models/gpt-5/?a=b", 404)]:
            async with http.get(URL(api.url + path, encoded=True), headers=api.headers) as answer:
                assert answer.status == status
                body = await answer.json()
        assert body["error"]["code"] == "model_not_found"
        async with http.get(f"{api.url}/v1//models/") as answer:
            assert answer.status == 401
        async with http.put(f"{api.url}/v1/models/", headers=api.headers) as answer:
            assert answer.status == 405
            assert "GET" in answer.headers["Allow"]


@given(st.text(st.sampled_from("/a.%"), max_size=12))
def test_a_plain_path_has_no_empty_part(path: str) -> None:
    plain = plain_path("/" + path)
    assert plain == "/" or "" not in plain.split("/")[1:]
    assert plain_path(plain) == plain
    assert plain.replace("/", "") == path.replace("/", "")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/completions", "POST /v1/chat/completions"),
        ("/v1/completions/", "POST /v1/chat/completions"),
        ("/v1/embeddings", "POST /v1/chat/completions"),
    ],
)
async def test_a_call_that_is_not_served_names_the_right_one(
    http: aiohttp.ClientSession, path: str, named: str
) -> None:
    body: dict[str, Any] = {"model": "near-agent", "prompt": "/near_balance", "input": "words"}
    async with served() as api, http.post(f"{api.url}{path}", json=body, headers=api.headers) as answer:
        told = await answer.json()
        assert answer.status == 404
        assert OPENAI.schema("ErrorResponse", told) == []
        assert told["error"]["code"] == "not_found"
        assert named in told["error"]["message"]
        assert api.pipeline.requests == []


async def test_a_browser_may_delete(http: aiohttp.ClientSession) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "DELETE"}
    async with served() as api, http.options(f"{api.url}/v1/near/api-keys", headers=headers) as answer:
        assert answer.status == 204
        assert "DELETE" in answer.headers["Access-Control-Allow-Methods"].split(", ")
