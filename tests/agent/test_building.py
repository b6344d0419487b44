"""What plans are built from: facts that several operators agree on where something changes, one node's where nothing does."""

from pathlib import Path

import pytest

from agent.building import Builder
from agent.records import PlannedCall
from agent.store.store import open_store
from agent.story import Settings
from contracts.catalogue.index import CATALOGUE
from contracts.errors import RpcError
from contracts.types import AccountId
from tests.agent.codes import codes
from tests.agent.world import REGISTRY, FakeReads

ALICE = AccountId("alice.localnet")


async def test_a_change_is_built_from_agreed_facts_and_a_view_from_one_nodes(tmp_path: Path) -> None:
    one, agreed = FakeReads(codes=codes()), FakeReads(codes=codes())
    async with open_store(tmp_path / "agent.db") as store:
        builder = Builder(CATALOGUE, REGISTRY, one, store.ledger, Settings("localnet", "localnet"), agreed=agreed)
        change = PlannedCall(action="ft_transfer", args={"token": "USDC", "receiver_id": "bob.localnet", "amount": "1"})
        view = PlannedCall(action="ft_balance", args={"token": "USDC", "account_id": "bob.localnet"})
        await builder.build([view], ALICE)
        assert agreed.reads == 0
        shown = one.reads
        assert shown > 0
        await builder.build([view, change], ALICE)
        assert one.reads == shown
        assert agreed.reads > 0
        agreed.down = RpcError("RPC_DISAGREE", "RPC operators disagree about ft_metadata of usdc.localnet")
        with pytest.raises(RpcError, match="disagree"):
            await builder.build([change], ALICE)
        await builder.build([view], ALICE)
