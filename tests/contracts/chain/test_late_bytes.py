"""Bytes that were held back, delivered twice, or delivered after everybody gave up: money moves once or not at all."""

from pathlib import Path

import pytest

from contracts.chain.ledger import Intent
from contracts.chain.outcome import Failed, Finalized, Unconfirmed
from tests.contracts.chain.test_fences import fence
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.fake_nodes import VALIDITY


async def held_back(world: World) -> Intent:
    """A transfer whose bytes a node took and keeps to itself; every answer was lost."""
    for node in world.nodes:
        node.faults = ["lost"] * 500
        node.earliest = 5000
    intent, grant = await world.transfer()
    assert isinstance(await (await world.client()).execute(intent, grant), Unconfirmed)
    for node in world.nodes:
        node.faults = []
    stored = await world.ledger.get("one")
    assert stored is not None
    return stored


def deliver(world: World, intent: Intent) -> bool:
    """Whether the chain takes the bytes now."""
    tx = world.decoded(intent)
    if tx.tx_hash in world.chain.executed or world.chain.refusal(tx) is not None:
        return False
    world.chain.include(tx)
    return True


@pytest.mark.parametrize("nodes", [1, 2])
async def test_bytes_that_land_after_everybody_gave_up_are_found(nodes: int, tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=nodes) as world:
        intent = await held_back(world)
        assert len({data for node in world.nodes for data in node.sends}) == 1
        assert deliver(world, intent)
        client = await world.client()
        (settled,) = await client.settle_idle(10)
        assert isinstance(settled.outcome, Finalized)
        assert world.moved() == NEAR


async def test_bytes_that_land_between_two_transfers_of_the_same_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent = await held_back(world)
        client = await world.client()

        def land(name: str) -> None:
            if name == "send_tx" and not world.chain.order:
                deliver(world, intent)

        world.nodes[0].on_call = land
        second, grant = await world.transfer("two", amount=5)
        assert isinstance(await client.execute(second, grant), Finalized)
        assert isinstance(await client.settle(intent), Finalized)
        assert world.moved() == NEAR + 5


async def test_bytes_that_come_after_a_later_transfer_are_refused_by_the_chain(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent = await held_back(world)
        client = await world.client()
        second, grant = await world.transfer("two", amount=5)
        assert isinstance(await client.execute(second, grant), Finalized)
        assert isinstance(await client.settle(intent), Unconfirmed), "nodes that hold no old blocks prove nothing"
        assert not deliver(world, intent)
        world.nodes[0].earliest = 1
        dead = await client.settle(intent)
        assert isinstance(dead, Failed)
        assert dead.proof is not None
        assert dead.proof.reason == "nonce_passed"
        assert world.moved() == 5


async def test_bytes_that_come_after_a_fence_or_after_their_time_are_refused_by_the_chain(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent = await held_back(world)
        fenced, outcome = await (await world.client()).fence(intent, *await fence(world))
        assert isinstance(fenced, Failed)
        assert isinstance(outcome, Finalized)
        assert not deliver(world, intent)
        assert world.moved() == 0
    async with open_world(tmp_path / "expired") as world:
        intent = await held_back(world)
        world.chain.advance(VALIDITY + 1)
        dead = await (await world.client()).settle(intent)
        assert isinstance(dead, Failed)
        assert dead.proof is not None
        assert dead.proof.reason == "expired"
        assert not deliver(world, intent)
        assert world.moved() == 0


async def test_the_same_bytes_delivered_again_and_again_move_once(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        for node in world.nodes:
            node.faults = ["timeout", "html_502", "garbage", "routed", "drop", None]
            node.resent = "InvalidNonce"
        intent, grant = await world.transfer()
        client = await world.client()
        assert isinstance(await client.execute(intent, grant), Finalized)
        stored = await world.ledger.get("one")
        assert stored is not None
        for _ in range(5):
            assert not deliver(world, stored)
        assert world.moved() == NEAR
        assert len({data for node in world.nodes for data in node.sends}) == 1
