"""A process that ends at any kill point loses nothing and doubles nothing: the next one settles over the same ledger."""

from pathlib import Path

import pytest

from contracts.chain.outcome import Failed, Finalized
from tests.contracts.chain.worlds import NEAR, open_world
from tests.doubles import Crash
from tests.fake_nodes import Fault

UNSIGNED = ("before_sign", "after_sign")
SIGNED = (
    "after_signed_stored",
    "after_sending_stored",
    "after_socket_write",
    "after_answer",
    "after_final_stored",
)
LEFT = {
    "before_sign": "approved",
    "after_sign": "approved",
    "after_signed_stored": "signed",
    "after_sending_stored": "sending",
    "after_socket_write": "sending",
    "after_answer": "sending",
    "after_final_stored": "final",
}


class Killer:
    """Ends the process at one point."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if name == self.at:
            raise Crash(name)


async def test_the_points_stand_in_their_order(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        killer = Killer("nowhere")
        intent, grant = await world.transfer()
        await (await world.client(killer)).execute(intent, grant)
        assert killer.passed == [*UNSIGNED, *SIGNED]


@pytest.mark.parametrize("at", UNSIGNED)
async def test_before_the_bytes_are_stored_nothing_was_done(at: str, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(Killer(at))).execute(intent, grant)
        assert await world.state() == LEFT[at]
        assert await (await world.client()).settle_open() == []
        assert world.took_no_nonce()
        assert world.nodes[0].sends == []


@pytest.mark.parametrize("fault", [None, "timeout", "drop"])
@pytest.mark.parametrize("at", SIGNED)
async def test_a_killed_transfer_is_finished_exactly_once(at: str, fault: Fault | None, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].faults = [fault]
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(Killer(at))).execute(intent, grant)
        if at != "after_answer" or fault is None:
            assert await world.state() == LEFT[at]
        client = await world.client()
        for settled in await client.settle_open():
            assert settled.state == "final"
        stored = await world.ledger.get("one")
        assert stored is not None
        assert isinstance(stored.outcome, Finalized)
        assert world.moved() == NEAR
        assert len(world.chain.order) == len(set(world.nodes[0].sends)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("after_signed_stored", "after_sending_stored"),
        ("after_sending_stored", "after_socket_write"),
        ("after_sending_stored", "after_answer"),
        ("after_socket_write", "after_final_stored"),
        ("after_answer", "after_final_stored"),
    ],
)
async def test_killed_twice(first: str, second: str, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(Killer(first))).execute(intent, grant)
        with pytest.raises(Crash):
            await (await world.client(Killer(second))).settle(intent)
        assert isinstance(await (await world.client()).settle(intent), Finalized)
        assert world.moved() == NEAR


async def test_signed_bytes_whose_approval_expired_are_never_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(Killer("after_signed_stored"))).execute(intent, grant)
        world.clock.now = grant.expires_at
        settled = await (await world.client()).settle_open()
        assert [found.state for found in settled] == ["abandoned"]
        outcome = settled[0].outcome
        assert isinstance(outcome, Failed)
        assert outcome.code == "grant_expired"
        assert world.nodes[0].sends == []


async def test_many_open_intents_settle_in_one_start(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for i, at in enumerate(SIGNED[:4]):
            intent, grant = await world.transfer(f"transfer {i}", amount=10**i)
            with pytest.raises(Crash):
                await (await world.client(Killer(at))).execute(intent, grant)
        await (await world.client()).settle_open()
        # Bytes that never left before a later nonce was included can no longer be: proven, not assumed.
        settled = [world.ledger.intents[f"transfer {i}"] for i in range(4)]
        moved = sum(10**i for i, found in enumerate(settled) if found.state == "final")
        assert {found.state for found in settled} <= {"final", "fenced"}
        assert world.moved() == moved
        assert len(world.chain.order) == len(set(world.chain.order))


async def test_a_start_without_a_node_loses_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(Killer("after_socket_write"))).execute(intent, grant)
        offline = await world.client(urls=["http://127.0.0.1:9/"])
        assert [found.state for found in await offline.settle_open()] == ["unconfirmed"]
        assert isinstance(await (await world.client()).settle(intent), Finalized)
        assert world.moved() == NEAR
