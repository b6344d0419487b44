"""Cards that wait: found with /cards, dropped with /cancel, and pointed to when somebody answers a card with "yes"."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.records import Clarification, Refusal, Turn
from tests.agent.world import BOB, NO_CONFIRM, Agent, open_agent

SEND = "/near_transfer bob.localnet 1.5"


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path) as opened:
        yield opened


async def test_cards_shows_own_cards_with_their_codes(agent: Agent) -> None:
    first, second = await agent.ask(SEND), await agent.ask("/near_transfer carol.localnet 2")
    await agent.ask("/near_transfer alice.localnet 3", identity=BOB)
    shown = await agent.ask("/cards")
    assert shown.status == "answered"
    for card in (first, second):
        assert f"confirm {card.confirm_code}" in shown.text
        assert card.request_id in shown.text
    assert "3 NEAR" not in shown.text
    record = await agent.record(shown)
    assert all(str(card.confirm_code) not in record.model_dump_json() for card in (first, second))
    assert (await agent.ask(f"confirm {first.confirm_code}")).status == "executed"


async def test_cards_shows_no_code_to_a_key_that_may_not_confirm(agent: Agent) -> None:
    card = await agent.ask(SEND, identity=NO_CONFIRM)
    shown = await agent.ask("/cards", identity=NO_CONFIRM)
    assert card.request_id in shown.text
    assert agent.codes.code_of(card.request_id) not in shown.text


async def test_cards_without_any_says_so(agent: Agent) -> None:
    assert (await agent.ask("/cards")).text == "No card of yours waits for approval."


async def test_cancel_drops_one_card_or_all(agent: Agent) -> None:
    cards = [await agent.ask(f"/near_transfer bob.localnet {amount}") for amount in (1, 2, 3)]
    refused = await agent.ask("/near_transfer bob.localnet 4")
    assert isinstance(refused.plan, Refusal)
    assert "/cancel REQUEST_ID" in refused.text
    dropped = await agent.ask(f"/cancel {cards[0].request_id}")
    assert dropped.text == f"Cancelled: near_transfer bob.localnet 1 (request {cards[0].request_id})"
    assert (await agent.ask(f"confirm {cards[0].confirm_code}")).status == "declined"
    assert (await agent.ask("/near_transfer bob.localnet 4")).status == "needs_approval"
    assert (await agent.ask("/cancel all")).text.count("Cancelled") == 3
    assert agent.chain.executed == []


async def test_cancel_of_another_identitys_card_finds_none(agent: Agent) -> None:
    card = await agent.ask(SEND)
    refused = await agent.ask(f"/cancel {card.request_id}", identity=BOB)
    assert isinstance(refused.plan, Refusal)
    assert refused.plan.why == "no_such_card"
    assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_key_that_may_not_confirm_can_drop_its_own_card(agent: Agent) -> None:
    card = await agent.ask(SEND, identity=NO_CONFIRM)
    assert (await agent.ask(f"/cancel {card.request_id}", identity=NO_CONFIRM)).status == "answered"
    assert await agent.store.cards.pending(agent.clock()) == []


@pytest.mark.parametrize("text", ["/cancel", "/cards now", "/cancel a b"])
async def test_command_with_other_words_says_how_it_is_written(agent: Agent, text: str) -> None:
    reply = await agent.ask(text)
    assert isinstance(reply.plan, Refusal)
    assert "/cancel REQUEST_ID | all" in reply.text


@pytest.mark.parametrize("text", ["yes", "ok", "Confirm!", "Yes, do it", "sí", "да", "好的", "no"])
async def test_yes_to_a_card_is_told_what_to_write(agent: Agent, text: str) -> None:
    card = await agent.ask(SEND)
    reply = await agent.ask(text)
    assert isinstance(reply.plan, Clarification)
    assert card.request_id in reply.text
    assert "write confirm or cancel and the code on its card" in reply.text
    assert len(reply.text.splitlines()) <= 4
    assert agent.chain.executed == []
    assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_yes_in_another_conversation_is_no_answer_to_the_card(agent: Agent) -> None:
    await agent.ask(SEND)
    reply = await agent.ask("hi", Turn(role="assistant", content="More?"), "yes", conversation="another")
    assert "waits for approval" not in reply.text
    assert "waits for approval" in (await agent.ask("yes", conversation="new")).text


async def test_plan_route_has_no_cards(agent: Agent) -> None:
    assert "nothing was done" in (await agent.plan("/cancel all")).text
