"""An account that is spelled like what cards blank: nobody approves a receiver that the card does not show."""

from pathlib import Path

import pytest

from agent.records import Refusal
from tests.agent.world import FakeReads, open_agent

BLANKED = ["confirm.abcd1234.near", "cancel.abcd1234.near", "confirm_abcd1234.near", "cancel-1a2b-3c4d.near"]
SHOWN = ["secret-key.near", "password.near", "ed25519.near", "4f" * 32, "deadbeef" * 8, "0x" + "ab" * 20]


@pytest.mark.parametrize("account_id", [*BLANKED, *SHOWN])
async def test_a_card_names_whom_it_pays_or_is_not_made(tmp_path: Path, account_id: str) -> None:
    reads = FakeReads()
    reads.balances[account_id] = 10**24
    policy = f'version = 1\n[address_book]\nfrank = "{account_id}"'
    async with open_agent(tmp_path, reads=reads, policy=policy) as agent:
        reply = await agent.ask("/near_transfer frank 1.5")
        if account_id in SHOWN:
            assert (reply.status, account_id in reply.text) == ("needs_approval", True)
            return
        assert reply.status == "refused"
        assert isinstance(reply.plan, Refusal)
        assert reply.plan.why == "account_not_shown"
        assert await agent.store.cards.pending(agent.clock()) == []
