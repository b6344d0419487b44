"""A card whose row is damaged is named and can be dropped; it holds up nobody else, and nothing of it happens."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.frontends.operator import KEY_ID
from contracts.chain.ledger import Lane, SeenNonce
from contracts.types import AccountId, PublicKey
from tests.agent.world import ALICE, BOB, Agent, open_agent

PAY = "/near_transfer bob.localnet 1.5"
DAMAGES = ["{", "", "\x00", "[]", "null", '{"plan": 3}', "[" * 100_000]


def _damage(folder: Path, request_id: str, stored: str) -> None:
    (database,) = folder.rglob("agent.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE cards SET card = ? WHERE request_id = ?", (stored, request_id))


async def _listed(agent: Agent) -> tuple[list[str], list[str]]:
    found = await agent.store.cards.open_cards(agent.clock())
    return [card.request_id for card in found.readable], found.damaged


@pytest.mark.parametrize("stored", DAMAGES, ids=lambda stored: stored[:12])
async def test_a_damaged_card_is_named_and_holds_up_no_other(tmp_path: Path, stored: str) -> None:
    async with open_agent(tmp_path) as agent:
        damaged = await agent.ask(PAY, conversation="one")
        whole = await agent.ask("/near_transfer bob.localnet 2.5", conversation="two")
        _damage(tmp_path, damaged.request_id, stored)
        assert await _listed(agent) == ([whole.request_id], [damaged.request_id])
        shown = await agent.ask("/cards", conversation="three")
        assert f"confirm {whole.confirm_code}" in shown.text
        assert f"The card of request {damaged.request_id} is damaged" in shown.text
        assert whole.request_id in (await agent.ask("yes", conversation="two")).text
        assert (await agent.ask(f"confirm {whole.confirm_code}", conversation="two")).status == "executed"
        assert len(agent.chain.executed) == 1


@pytest.mark.parametrize("stored", DAMAGES, ids=lambda stored: stored[:12])
async def test_nothing_of_a_damaged_card_happens_and_it_can_be_dropped(tmp_path: Path, stored: str) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY)
        _damage(tmp_path, card.request_id, stored)
        approver = BOB.model_copy(update={"key_id": KEY_ID, "account_id": ALICE.account_id})
        for refused in (
            await agent.ask(f"confirm {card.confirm_code}", conversation="another"),
            await agent.pipeline.approve_by_request(approver, card.request_id, "operator"),
            await agent.ask(PAY),
        ):
            assert (refused.status, (refused.error or {}).get("code")) == ("failed", "card_unreadable")
            assert f"request {card.request_id}" in refused.text
            assert "/cancel" in refused.text
        dropped = await agent.ask(f"/cancel {card.request_id}", conversation="another")
        assert dropped.status == "answered"
        assert card.request_id in dropped.text
        assert await _listed(agent) == ([], [])
        assert (await agent.ask(PAY)).status == "needs_approval"
        assert agent.chain.executed == []


@pytest.mark.parametrize("who", ["operator", "requester"])
async def test_damaged_and_whole_cards_are_dropped_together_or_by_id(tmp_path: Path, who: str) -> None:
    async with open_agent(tmp_path) as agent:
        cards = [await agent.ask(PAY, conversation=str(number)) for number in range(2)]
        _damage(tmp_path, cards[0].request_id, "{")
        if who == "operator":
            for card in cards:
                await agent.pipeline.drop_by_request(BOB, card.request_id)
        else:
            # Another's damaged card is not theirs to drop.
            assert "nothing was cancelled" in (await agent.ask(f"/cancel {cards[0].request_id}", identity=BOB)).text
            await agent.ask("/cancel all", conversation="later")
        assert await _listed(agent) == ([], [])


async def test_a_confirmed_card_that_is_damaged_is_not_carried_out_again(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY)
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"
        _damage(tmp_path, card.request_id, "{")
        assert (await agent.ask(PAY)).status == "failed"
        elsewhere = await agent.ask(PAY, conversation="another")
        assert elsewhere.status == "needs_approval"
        assert f"was carried out already, by request {card.request_id}" in elsewhere.text
        assert len(agent.chain.executed) == 1


async def test_a_damaged_card_keeps_no_key_from_being_acknowledged(tmp_path: Path) -> None:
    key = PublicKey("ed25519:" + "1" * 32)
    lane = Lane("localnet", AccountId("carol.localnet"), key)
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY)
        _damage(tmp_path, card.request_id, "{")
        await asyncio.wait_for(agent.store.ledger.acknowledge([SeenNonce(lane, 7, 100)], agent.clock()), 30)
        # Nobody can say that it is not one of this account's.
        assert await _listed(agent) == ([], [])


_CHANGES = [
    *(("cards SET card", stored) for stored in DAMAGES),
    *(("cards SET card", f'{{"calls": [], "facts": {facts}}}') for facts in ('["x"]', '"x"', '{"fingerprint": ["a"]}')),
    *(("cards SET calls_hash", odd) for odd in (b"\xff", "\x1b[2J")),
    *(("intents SET data", odd) for odd in (b"", b"\x00" * 5, b"\xff" * 500, "text")),
]


@pytest.mark.parametrize(("what", "stored"), _CHANGES)
async def test_verify_names_what_is_damaged(tmp_path: Path, what: str, stored: str | bytes) -> None:
    async with open_agent(tmp_path / "data") as agent:
        card = await agent.ask(PAY)
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"
        (database,) = tmp_path.rglob("agent.db")
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(f"UPDATE {what} = ?", (stored,))
    done = CliRunner().invoke(app, ["verify", card.request_id, "--data-dir", str(database.parent)])
    assert done.exit_code == 4
    assert "Do not approve it" in done.stderr
    assert "\x1b" not in done.output + done.stderr
