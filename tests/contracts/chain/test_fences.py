"""Fences: an intent of unknown end is ended by another one that takes its key and nonce. Only one of the two can land."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.calls import ChangeCall, Grant, Transfer
from contracts.chain.ledger import Intent
from contracts.chain.outcome import Failed, Finalized, Unconfirmed
from contracts.errors import LedgerConflict
from contracts.types import AccountId, JsonObject, Yocto
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.doubles import Crash, approved

ALICE = AccountId("alice.localnet")
NOT_ENOUGH: JsonObject = {"NotEnoughBalance": {"signer_id": "alice.localnet", "balance": "1", "cost": "2"}}


async def fence(world: World, target: str = "one", name: str = "fence") -> tuple[Intent, Grant]:
    call = ChangeCall(ALICE, (Transfer(Yocto(0)),))
    return await approved(world.ledger, call, name=name, fences=target)


async def left_unconfirmed(world: World, *, executed: bool = False, earliest: int = 1) -> Intent:
    """A transfer that no node knows of; with `executed` it is on chain all the same."""
    for node in world.nodes:
        node.faults, node.refusal = (["timeout"], None) if executed else (["refuse"], NOT_ENOUGH)
        node.blind, node.earliest, node.resent = executed, 5000 if executed else earliest, "InvalidNonce"
    intent, grant = await world.transfer()
    assert isinstance(await (await world.client()).execute(intent, grant), Unconfirmed)
    for node in world.nodes:
        node.faults, node.blind = [], False
    stored = await world.ledger.get("one")
    assert stored is not None
    return stored


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("earliest", [1, 5000])
async def test_a_final_fence_proves_the_other_dead_also_on_pruned_nodes(
    nodes: int, earliest: int, tmp_path: Path
) -> None:
    async with open_world(tmp_path, nodes=nodes) as world:
        target = await left_unconfirmed(world, earliest=earliest)
        fenced, outcome = await (await world.client()).fence(target, *await fence(world))
        assert isinstance(outcome, Finalized)
        assert isinstance(fenced, Failed)
        assert fenced.proof is not None
        assert (fenced.proof.reason, len(fenced.proof.operators)) == ("fenced", nodes)
        assert fenced.proof.fence_hash == outcome.execution.tx_hash
        assert "took its nonce" in fenced.message
        assert (await world.state("one"), await world.state("fence")) == ("fenced", "final")
        assert world.moved() == 0
        made = await world.ledger.fences_of("one")
        assert target.signed is not None
        assert made[0].signed is not None
        assert (made[0].signed.nonce, made[0].lane) == (target.signed.nonce, target.lane)
        # Whoever sends the first bytes now is refused.
        assert world.chain.refusal(world.decoded(target)) is not None


@pytest.mark.parametrize("earliest", [1, 5000])
async def test_the_original_that_landed_is_found_and_the_fence_is_dead(earliest: int, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].lag = 0
        target = await left_unconfirmed(world, earliest=earliest)
        client = await world.client()

        def land_first(name: str) -> None:
            if name == "send_tx" and not world.chain.order:
                world.chain.include(world.decoded(target))

        world.nodes[0].on_call = land_first
        fenced, outcome = await client.fence(target, *await fence(world))
        assert isinstance(fenced, Finalized)
        assert isinstance(outcome, Failed)
        assert outcome.proof is not None
        assert outcome.proof.reason == "fenced"
        assert outcome.proof.fence_hash == fenced.execution.tx_hash
        assert (await world.state("one"), await world.state("fence")) == ("final", "fenced")
        assert world.moved() == NEAR


async def test_a_nonce_that_has_passed_is_not_fenced(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        target = await left_unconfirmed(world, executed=True)
        fenced, outcome = await (await world.client()).fence(target, *await fence(world))
        assert isinstance(fenced, Finalized)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.tx_hash) == ("nonce_passed", None)
        assert await world.state("fence") == "abandoned"
        assert world.moved() == NEAR


async def test_an_intent_that_has_ended_needs_no_fence(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        client = await world.client()
        done = await client.execute(intent, grant)
        fenced, outcome = await client.fence(intent, *await fence(world))
        assert fenced == done
        assert isinstance(outcome, Failed)
        assert outcome.code == "fence_void"
        never, _ = await world.transfer("never")
        with pytest.raises(LedgerConflict, match="no signed bytes"):
            await client.fence(never, *await fence(world, "never", "second fence"))


async def test_a_fence_needs_a_grant_of_its_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        target = await left_unconfirmed(world)
        intent, grant = await fence(world)
        client = await world.client()
        forged = replace(grant, grant_id="grant of one")
        fenced, outcome = await client.fence(target, intent, forged)
        assert isinstance(fenced, Unconfirmed)
        assert isinstance(outcome, Failed)
        assert outcome.code == "grant_used"
        assert world.chain.order == []


@pytest.mark.parametrize("at", ["after_signed_stored", "after_sending_stored", "after_socket_write", "after_answer"])
async def test_a_fence_that_was_killed_is_settled_with_what_it_fences(at: str, tmp_path: Path) -> None:
    def kill(name: str) -> None:
        if name == at:
            raise Crash(name)

    async with open_world(tmp_path) as world:
        target = await left_unconfirmed(world, earliest=5000)
        with pytest.raises(Crash):
            await (await world.client(kill)).fence(target, *await fence(world))
        client = await world.client()
        await client.settle_open()
        await client.settle_open()
        assert (await world.state("one"), await world.state("fence")) == ("fenced", "final")
        assert world.moved() == 0


async def test_one_operator_that_has_not_seen_the_fence_proves_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        target = await left_unconfirmed(world, earliest=5000)
        other = world.nodes[1]

        def tell_the_end_only(name: str) -> None:
            other.blind = name == "tx"

        other.on_call = tell_the_end_only
        fenced, outcome = await (await world.client()).fence(target, *await fence(world))
        assert isinstance(outcome, Finalized)
        assert isinstance(fenced, Unconfirmed)
        other.on_call, other.blind = None, False
        assert isinstance(await (await world.client()).settle(target), Failed)
        assert await world.state("one") == "fenced"


async def test_a_fence_takes_no_other_nonce(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        target = await left_unconfirmed(world)
        intent, grant = await fence(world)
        signed = target.signed
        assert signed is not None
        for wrong in (replace(signed, nonce=signed.nonce + 1), replace(signed, nonce_index=0)):
            with pytest.raises(LedgerConflict) as caught:
                await world.ledger.store_signed(intent.intent_id, grant.grant_id, wrong, 1_800_000_000.0)
            assert caught.value.code == "fence_void"
