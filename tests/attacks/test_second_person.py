"""Being two people, or another channel, by way of one key."""

from pathlib import Path

import pytest

from agent.records import Identity, Refusal
from contracts.checks.verdict import Channel
from tests.agent.world import ALICE, BOB, open_agent

SHARED = Identity(key_id="key-web", account_id="alice.localnet", may_confirm=True)
ANNA = SHARED.model_copy(update={"key_id": "key-web/anna"})
TWO = """version = 1
[default]
shared = true
user_header = "X-User"
approvers = ["key-bob"]
[default.limits.NEAR]
two_approvers_above = "1"
ask_elsewhere_above = "5"
"""


@pytest.mark.parametrize("channel", ["key", "elicitation"])
async def test_who_holds_a_shared_key_is_not_the_second_person(tmp_path: Path, channel: Channel) -> None:
    """The front end asks as anna, confirms as anna, and once more without naming anybody."""
    async with open_agent(tmp_path, policy=TWO) as agent:
        card = await agent.ask("/near_transfer bob.localnet 2", identity=ANNA)
        assert (await agent.ask(f"confirm {card.confirm_code}", identity=ANNA)).status == "needs_approval"
        forged = await agent.pipeline.approve_by_request(SHARED, card.request_id, channel)
        assert isinstance(forged.plan, Refusal)
        assert forged.plan.why == "other_channel"
        assert agent.chain.executed == []
        assert (await agent.pipeline.approve_by_request(BOB, card.request_id, "key")).status == "executed"


async def test_a_shared_key_is_no_other_channel_than_itself(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=TWO) as agent:
        card = await agent.ask("/near_transfer bob.localnet 6", identity=ANNA)
        assert card.confirm_code is None
        for one in (SHARED, ANNA, ANNA.model_copy(update={"key_id": "key-web/otto"})):
            reply = await agent.pipeline.approve_by_request(one, card.request_id, "key")
            assert isinstance(reply.plan, Refusal), reply.text
        assert agent.chain.executed == []


async def test_the_requester_does_not_count_twice(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=TWO.replace("shared = true\n", "")) as agent:
        card = await agent.ask("/near_transfer bob.localnet 2", identity=ALICE)
        for _ in range(3):
            assert (await agent.ask(f"confirm {card.confirm_code}", identity=ALICE)).status == "needs_approval"
            mine = await agent.pipeline.approve_by_request(ALICE, card.request_id, "key")
            assert mine.status == "needs_approval"
        assert agent.chain.executed == []


async def test_a_revoked_key_neither_waits_for_a_card_nor_counts_as_an_approval(tmp_path: Path) -> None:
    """Who stole it asked for something, and approved what others asked for, before that was noticed."""
    async with open_agent(tmp_path, policy=TWO.replace("shared = true\n", "")) as agent:
        keys = agent.store.api_keys
        stolen_id, _ = await keys.create("alice.localnet", True)
        stolen = SHARED.model_copy(update={"key_id": stolen_id})
        theirs = await agent.ask("/near_transfer bob.localnet 0.5", identity=stolen)
        of_a_person = await agent.ask(
            "/near_transfer bob.localnet 0.6", identity=stolen.model_copy(update={"key_id": f"{stolen_id}/anna"})
        )
        card = await agent.ask("/near_transfer bob.localnet 2", identity=ALICE)
        approved = await agent.pipeline.approve_by_request(stolen, card.request_id, "key")
        assert approved.status == "needs_approval"
        assert await keys.revoke(stolen_id)
        for one in (theirs, of_a_person):
            assert (await agent.pipeline.approve_by_request(BOB, one.request_id, "key")).status == "declined"
        assert (await agent.ask(f"confirm {card.confirm_code}", identity=ALICE)).status == "needs_approval"
        assert agent.chain.executed == []
        assert (await agent.pipeline.approve_by_request(BOB, card.request_id, "key")).status == "executed"
