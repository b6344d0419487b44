"""A node that lies about the end of a transfer: it cannot make anybody pay twice."""

from pathlib import Path

import pytest

from contracts.chain.outcome import ExecutionFailed, Finalized, Unconfirmed
from contracts.types import JsonObject
from tests.contracts.chain.worlds import NEAR, open_world

FAILED: JsonObject = {
    "status": {
        "Failure": {"ActionError": {"index": 0, "kind": {"AccountDoesNotExist": {"account_id": "bob.localnet"}}}}
    }
}
NAMES = ("send_tx", "tx", "EXPERIMENTAL_tx_status")


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_node_that_calls_a_payment_failed_does_not_end_it(liar: int, tmp_path: Path) -> None:
    """The money moved. Told that it failed, a person would ask for it again."""
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[liar].lies = dict.fromkeys(NAMES, FAILED)
        client = await world.client()
        intent, grant = await world.transfer()
        outcome = await client.execute(intent, grant)
        assert not isinstance(outcome, ExecutionFailed)
        assert world.moved() == NEAR
        if isinstance(outcome, Unconfirmed):
            assert await world.state() == "unconfirmed"
            assert "succeeded" in outcome.message
            world.nodes[liar].lies = {}
            assert isinstance(await client.settle(intent), Finalized)


async def test_operators_that_agree_on_a_failure_end_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        intent, grant = await world.transfer(to="nobody.localnet")
        assert isinstance(await (await world.client()).execute(intent, grant), ExecutionFailed)
        assert await world.state() == "failed"
