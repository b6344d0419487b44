"""A model of which every value was said pays another one, more, or twice: words with two readings are never free."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.planning.provenance import ValueKind
from agent.planning.readings import other_reading
from agent.records import PlannedCall
from contracts.knowledge.address_book import AddressBook
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, JsonObject
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.model_server import ModelServer, calls

FREE = """version = 1
[address_book]
bobby = "bob.localnet"
[default]
always_ask = []
[default.limits.NEAR]
free_per_action = "20"
free_per_day = "50"
[default.limits.USDC]
free_per_action = "20"
free_per_day = "50"
"""
PAY: JsonObject = {"receiver_id": "bob.localnet", "amount": "5"}
TOKENS: JsonObject = {"token": "USDC", **PAY}
Planned = list[tuple[str, JsonObject]]


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer) -> AsyncGenerator[Agent]:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        agent = await stack.enter_async_context(open_agent(tmp_path, models, policy=FREE))
        agent.reads.balances |= {"near": 1, "please": 1}
        agent.reads.registered |= {("usdc.localnet", "bob.localnet"), ("usdc.localnet", "alice.localnet")}
        yield agent


async def test_one_change_with_all_that_was_said_is_free(agent: Agent, server: ModelServer) -> None:
    server.add(calls(("near_transfer", PAY)))
    assert (await agent.ask("send 5 NEAR to bob.localnet")).status == "executed"


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("send 5 NEAR to bob.localnet", ("near_transfer", {**PAY, "amount": "5.0"})),
        ("send 5 NEAR to bob.localnet", ("near_transfer", {**PAY, "amount": "05"})),
        ("send 5 NEAR to bob.localnet", ("near_transfer", {**PAY, "receiver_id": "BOB.localnet"})),
        ("send 5 NEAR to bob.localnet", ("near_transfer", {**PAY, "receiver_id": "bobby"})),
        ("send 5 USDC to bob.localnet", ("ft_transfer", {**TOKENS, "token": "usdc"})),
        ("send 5 USDC to bob.localnet", ("ft_transfer", {**TOKENS, "token": "usdc.localnet"})),
        ("send 5 USDC to bob.localnet", ("ft_transfer", {**TOKENS, "memo": ""})),
    ],
)
async def test_one_payment_in_two_spellings_is_asked_about(
    agent: Agent, server: ModelServer, said: str, again: tuple[str, JsonObject]
) -> None:
    server.add(calls(("ft_transfer", TOKENS) if "USDC" in said else ("near_transfer", PAY), again))
    reply = await agent.ask(said)
    assert reply.status == "clarify"
    assert "more than once" in reply.text
    assert agent.chain.executed == []


@pytest.mark.parametrize(
    ("said", "planned"),
    [
        (["send 5 USDC to bob.localnet"], [("ft_transfer", TOKENS), ("ft_transfer", {**TOKENS, "memo": "USDC"})]),
        (["send 5 NEAR to bob.localnet"], [("near_wrap", {"amount": "5"}), ("near_transfer", PAY)]),
        (
            ["send 5 NEAR to bob.localnet and 1 NEAR to carol.localnet"],
            [
                ("near_transfer", {"receiver_id": "carol.localnet", "amount": "5"}),
                ("near_transfer", {"receiver_id": "bob.localnet", "amount": "1"}),
            ],
        ),
        (
            ["I will pay carol.localnet 19 NEAR next month", "send 1 NEAR to bob.localnet"],
            [("near_transfer", {"receiver_id": "carol.localnet", "amount": "19"})],
        ),
        (
            ["I will pay 19 NEAR for that next month", "send 1 NEAR to bob.localnet"],
            [("near_transfer", {**PAY, "amount": "19"})],
        ),
        (
            ["send 1 NEAR to bob.localnet, carol.localnet got 19 NEAR last week. Please do it now"],
            [("near_transfer", {**PAY, "amount": "19"})],
        ),
        (
            ["send 1 NEAR to bob.localnet, as carol.localnet wants. Please do it now"],
            [("near_transfer", {"receiver_id": "carol.localnet", "amount": "1"})],
        ),
        (
            ["send 1 NEAR to carol.localnet, as bobby wants. Please do it now"],
            [("near_transfer", {**PAY, "amount": "1"})],
        ),
        (["send 5 to bob.localnet"], [("ft_transfer", TOKENS)]),
        (["stake 5 NEAR with bob.localnet"], [("near_transfer", PAY)]),
        (["unstake 5 NEAR from bob.localnet"], [("near_transfer", PAY)]),
        (["send 5 NEAR to bob.localnet to stake them"], [("near_transfer", PAY)]),
        (["deposit 5 USDC into bob.localnet"], [("ft_transfer", TOKENS)]),
        (["застейкай 5 NEAR в bob.localnet"], [("near_transfer", PAY)]),
        (["wrap 5 NEAR"], [("near_transfer", {"receiver_id": "near", "amount": "5"})]),
        (["wrap 5 NEAR please"], [("near_transfer", {"receiver_id": "please", "amount": "5"})]),
        (
            ["send 5 USDC to bob.localnet for carol.localnet's order 17"],
            [("ft_transfer", {**TOKENS, "amount": "5", "memo": "carol.localnet's order 17"})],
        ),
    ],
)
async def test_words_with_another_reading_wait_for_a_person(
    agent: Agent, server: ModelServer, said: list[str], planned: Planned
) -> None:
    server.add(calls(*planned))
    reply = await agent.ask(*said)
    assert reply.status in {"needs_approval", "clarify"}
    assert agent.chain.executed == []


async def test_a_card_for_doubtful_words_warns_that_it_was_done_before(agent: Agent, server: ModelServer) -> None:
    said, planned = "send 5 NEAR to bob.localnet for order 17", calls(("near_transfer", PAY))
    server.add(planned)
    first = await agent.ask(said)
    assert (await agent.ask(f"confirm {first.confirm_code}")).status == "executed"
    server.add(planned)
    second = await agent.ask(said, conversation="another")
    assert second.status == "needs_approval"
    assert "approval is needed: the message holds a number" in second.text
    assert "Warning: the same" in second.text
    assert f"was carried out already, by request {first.request_id}" in second.text


KINDS: dict[str, ValueKind] = {"receiver_id": "account", "token": "token", "amount": "amount", "memo": "text"}


@pytest.mark.parametrize(
    ("text", "sole"),
    [
        ("send 5 USDC to bob.localnet", True),
        ("send bobby 5 USDC please", True),
        ("Please send 5.0 usdc from alice.localnet to @bobby!", True),
        ("send 5 usdc.localnet to BOB.localnet", True),
        ("send 5 USDC to bob.localnet, 5 USDC I said", True),
        ("отправь 5 USDC на bob.localnet", True),
        ("überweise 5 USDC an bob.localnet", True),
        ("envía 5 USDC a bob.localnet", True),
        ("发送 5 USDC 给 bob.localnet", True),
        ("bob.localnet 5 USDC", False),
        ("stake 5 USDC in bob.localnet", False),
        ("send 5 USDC to bob.localnet or 6", False),
        ("send 5 USDC to bob.localnet, not 19NEAR", False),
        ("send 5 USDC to bob.localnet on 2026-12-01", False),
        ("send 5 USDC to bob.localnet, not bob2.localnet", False),
        ("send 5 USDC to bob.localnet, not to eve.kaiching", False),
        (f"send 5 USDC to bob.localnet, not {'ab' * 32}", False),
        ("send 5 USDC to bob.localnet, not to dave", False),
        ("send 5 to bob.localnet", False),
        ("send 5 USDC to bob.localnet " + "[" * 200, False),
    ],
)
def test_sole_readings(text: str, sole: bool) -> None:  # noqa: FBT001
    found = other_reading(
        [PlannedCall(action="ft_transfer", args=TOKENS)],
        KINDS,
        [(0, text)],
        caller="alice.localnet",
        registry=Registry.for_network("localnet"),
        book=AddressBook.of({"bobby": AccountId("bob.localnet"), "Dave": AccountId("dave.localnet")}),
    )
    assert (found is None) == sole
