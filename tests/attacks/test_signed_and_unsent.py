"""Signed bytes that may still be executed: cancelling must not send them, and asking again must not pay twice."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from contracts.calls import ChangeCall, Transfer
from contracts.chain.ledger import Signed
from contracts.types import AccountId, CryptoHash, parse_near
from tests.agent.test_policy import FREE
from tests.agent.test_transactions_in_doubt import OPERATOR, Office, open_office
from tests.agent.world import BLOCK, KEY, open_agent
from tests.doubles import approved


class Broken(Exception):
    """The process, or its disk, broke right here."""


def break_at(point: str) -> None:
    if point == "after_signed_stored":
        raise Broken


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[Office]:
    async with open_office(tmp_path, break_at) as opened:
        yield opened


async def test_cancelling_what_was_signed_and_never_sent_sends_nothing(office: Office) -> None:
    intent, grant = await approved(office.store.ledger, (await office.world.transfer("spare"))[0].call, name="card-1:0")
    with pytest.raises(Broken):
        await office.chain.execute(intent, grant)
    reply = await office.canceller.cancel(OPERATOR, "card-1")
    ended = await office.store.ledger.get("card-1:0")
    assert ended is not None
    assert ended.state == "abandoned"
    assert "cancelled before it was sent" in reply.text
    assert office.world.nodes[0].sends == []


async def test_the_same_is_not_free_while_signed_bytes_of_it_may_still_be_sent(tmp_path: Path) -> None:
    """The next start sends them."""
    call = ChangeCall(AccountId("bob.localnet"), (Transfer(parse_near("1.5")),))
    async with open_agent(tmp_path, policy=FREE) as agent:
        agent.clock.now = 1_800_000_000.0
        _, grant = await approved(agent.store.ledger, call, name="lost:0")
        signed = Signed(CryptoHash.of(b"lost"), b"bytes", KEY, 1, BLOCK, 100)
        await agent.store.ledger.store_signed("lost:0", grant.grant_id, signed, agent.clock())
        reply = await agent.ask("/near_transfer bob.localnet 1.5")
        assert reply.status == "needs_approval"
        assert "Warning: the same" in reply.text
        assert "was carried out already, by request lost" in reply.text
        assert agent.chain.executed == []


async def test_the_same_is_not_free_while_a_transaction_of_it_is_unconfirmed_however_old(tmp_path: Path) -> None:
    """A node that hides a transaction for longer than repetitions are looked for."""
    async with open_agent(tmp_path, policy=FREE) as agent:
        agent.chain.endings = ["unconfirmed"]
        first = await agent.ask("/near_transfer bob.localnet 1.5")
        assert first.status == "unconfirmed"
        agent.clock.now += 2 * 86_400
        again = await agent.ask("/near_transfer bob.localnet 1.5", conversation="another")
        assert again.status == "needs_approval"
        assert "Warning: the same" in again.text
        assert f"was carried out already, by request {first.request_id}" in again.text
        assert len(agent.chain.executed) == 1
