"""Names of the address book in requests: in words and commands, from the policy's file and from nothing else."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.records import CallPlan, Reply, Source
from contracts.types import JsonObject
from tests.agent.codes import codes
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import REGISTRY, Agent, FakeReads, open_agent, rich
from tests.attacks.test_policy import contract_call
from tests.model_server import ModelServer, call, calls

BOOK = """version = 1
[address_book]
bob = "bob.localnet"
Carol = "carol.localnet"
"my landlord" = "eve.localnet"
guests = "guestbook.localnet"
[identities.key-second.limits.NEAR]
per_action = "1"
"""


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer) -> AsyncGenerator[Agent]:
    reads = FakeReads(rich((*REGISTRY.account_ids, "eve.localnet", "bob")), codes=codes())
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models, policy=BOOK, reads=reads))


def planned(reply: Reply, place: int = 0) -> tuple[JsonObject, dict[str, Source]]:
    assert isinstance(reply.plan, CallPlan), reply.text
    return reply.plan.calls[place].args, reply.plan.calls[place].sources


@pytest.mark.parametrize("written", ["bob", "Bob", "@bob"])
async def test_a_command_may_name_an_account_as_the_address_book_does(agent: Agent, written: str) -> None:
    card = await agent.ask(f"/near_transfer {written} 1")
    assert card.status == "needs_approval", card.text
    shown = written.removeprefix("@")
    assert f'to bob.localnet ("{written}" in the address book)' in card.text
    assert ("is read as the name in the address book, not as the account bob" in card.text) == (
        shown == written == "bob"
    )
    args, sources = planned(card)
    assert args["receiver_id"] == "bob.localnet"
    assert sources["receiver_id"] == Source(kind="address_book", written=written)
    assert sources["amount"] == Source(kind="slash")
    done = await agent.ask(f"confirm {card.confirm_code}")
    assert done.status == "executed"
    assert agent.chain.executed[0].receiver_id == "bob.localnet"
    record = await agent.record(card)
    assert isinstance(record.plan, CallPlan)
    assert record.plan.calls[0].sources["receiver_id"].written == written


@pytest.mark.parametrize("named", ["bob", "bob.localnet", "Bob", "@bob"])
async def test_in_words_a_model_may_copy_the_name_or_give_its_account(
    agent: Agent, server: ModelServer, named: str
) -> None:
    server.add(call("near_transfer", receiver_id=named, amount="1"))
    card = await agent.ask("please send 1 NEAR to Bob, thanks")
    assert card.status == "needs_approval", card.text
    assert 'to bob.localnet ("Bob" in the address book)' in card.text
    _, sources = planned(card)
    assert sources["receiver_id"] == Source(kind="address_book", turn=0, span=(22, 25), written="Bob")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("send 1 NEAR to my friend", "bob"),
        ("send 1 NEAR to my friend", "bob.localnet"),
        ("send 1 NEAR to bobby", "bob.localnet"),
        ("send 1 NEAR to bob.example", "bob.localnet"),
        ("send 1 NEAR to x-bob", "bob"),
        ("send 1 NEAR to b\N{CYRILLIC SMALL LETTER O}b", "bob"),
        ("send 1 NEAR to b\N{ZERO WIDTH SPACE}ob", "bob.localnet"),
        ("send 1 NEAR to bob", "carol.localnet"),
    ],
)
async def test_a_name_that_nobody_said_is_no_source(agent: Agent, server: ModelServer, words: str, named: str) -> None:
    server.add(call("near_transfer", receiver_id=named, amount="1"))
    reply = await agent.ask(words)
    assert reply.status == "clarify", reply.text
    assert "I did not find this in your own words" in reply.text


async def test_a_name_that_only_looks_the_same_is_refused_with_its_code_point(agent: Agent) -> None:
    reply = await agent.ask("/near_transfer b\N{CYRILLIC SMALL LETTER O}b 1")
    assert reply.status == "refused"
    assert "U+043E" in reply.text


async def test_several_actions_and_other_arguments_know_the_names(agent: Agent, server: ModelServer) -> None:
    server.add(
        calls(
            ("near_transfer", {"receiver_id": "bob", "amount": "1"}),
            ("ft_transfer", {"token": "USDC", "receiver_id": "my landlord", "amount": "2"}),
            ("contract_call", {"contract_id": "guests", "method_name": "add_message", "args": {"text": "hello"}}),
        )
    )
    card = await agent.ask("1 NEAR to bob, 2 USDC to My Landlord, and add message hello to guests")
    assert card.status == "needs_approval", card.text
    for part in (
        'bob.localnet ("bob" in the address book)',
        'eve.localnet ("My Landlord" in the address book)',
        'guestbook.localnet ("guests" in the address book)',
    ):
        assert part in card.text
    assert [planned(card, place)[1].get("receiver_id", Source(kind="code")).kind for place in range(3)] == [
        "address_book",
        "address_book",
        "code",
    ]


async def test_views_know_the_names_and_quotes_hold_one_together(agent: Agent) -> None:
    assert "bob.localnet has 10000 NEAR" in (await agent.ask("/near_balance bob")).text
    assert "eve.localnet has 10000 NEAR" in (await agent.ask("/near_balance 'my landlord'")).text


async def test_the_same_asked_by_name_and_by_account_is_the_same(agent: Agent, server: ModelServer) -> None:
    same = ({"receiver_id": "bob", "amount": "1"}, {"receiver_id": "bob.localnet", "amount": "1"})
    server.add(calls(*(("near_transfer", args) for args in same)))
    reply = await agent.ask("1 NEAR to bob and 1 NEAR to bob.localnet")
    assert reply.status == "clarify"
    assert "The same would be done more than once" in reply.text


async def test_what_is_inside_a_contracts_own_arguments_stays_as_written_and_asks(agent: Agent) -> None:
    """Bytes for a contract are nobody's to change: `bob` in them is the account bob."""
    card = await agent.ask(contract_call("guestbook.localnet", "add_message", {"text": "x", "receiver_id": "bob"}))
    assert card.status == "needs_approval", card.text
    assert "the account bob is another one than bob.localnet, which the address book calls so" in card.text


async def test_without_a_book_a_word_is_an_account(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        assert "bob does not exist" in (await agent.ask("/near_transfer bob 1")).text


async def test_a_plan_without_a_chain_knows_the_names(agent: Agent) -> None:
    reply = await agent.pipeline.plan_only(agent.request("/near_transfer 'My landlord' 1"))
    assert reply.text == "/near_transfer receiver_id=eve.localnet amount=1"
