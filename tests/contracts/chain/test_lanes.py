"""Keys: which one signs, how many at once, and what happens after something else has used one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.calls import Grant
from contracts.chain.client import ChainClient
from contracts.chain.ledger import ForeignUse, Intent, Lane
from contracts.chain.outcome import Failed, Finalized
from contracts.errors import LedgerConflict, RpcError
from contracts.signing.keystore import KeyStore
from contracts.types import AccountId, CryptoHash, PublicKey
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.doubles import KeyStoreSigner, MemoryLedger, key_file
from tests.fake_nodes import FIRST_NONCE

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")


def more_keys(world: World, folder: Path, count: int) -> KeyStoreSigner:
    """Alice's key and `count` - 1 others, all known to the chain."""
    store = folder / "many"
    for number in range(count - 1):
        inside = store / "localnet" if number == 0 else store / f"more {number}"
        public = key_file(inside, ALICE, bytes([number + 1]) * 32)
        world.chain.more_keys.setdefault(ALICE, []).append(public)
    pairs = [KeyStore.load(path, "localnet") for path in (folder / "keys", store, *sorted(store.glob("more *")))]

    class ManyKeys(KeyStoreSigner):
        """Several stores as one."""

        async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
            found = {key for one in pairs for key in one.public_keys(account_id)}
            return tuple(sorted(found))

        async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
            key = world.key_of(transaction_bytes)
            holder = next(one for one in pairs if key in one.public_keys(ALICE))
            signer = KeyStoreSigner(holder, chain_id="localnet", clock=world.clock)
            return await signer.sign(transaction_bytes, grant)

    return ManyKeys(pairs[0], chain_id="localnet", clock=world.clock)


async def run_all(client: ChainClient, pairs: list[tuple[Intent, Grant]]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.execute(intent, grant)) for intent, grant in pairs]
    assert all(isinstance(task.result(), Finalized) for task in tasks)


async def test_several_keys_send_side_by_side_one_transaction_each(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        signer = more_keys(world, tmp_path, 3)
        client = await world.client(signer=signer)
        most: list[int] = []
        lanes: list[int] = []

        def count(name: str) -> None:
            if name == "send_tx":
                sent = [i for i in world.ledger.intents.values() if i.state in {"signed", "sending", "sent"}]
                under_way = [i for i in sent if i.signed is not None and i.signed.tx_hash not in world.chain.executed]
                most.append(len(under_way))
                lanes.append(len({intent.lane for intent in under_way}))

        world.nodes[0].on_call = count
        world.nodes[0].delay_s = 0.005
        await run_all(client, [await world.transfer(f"transfer {i}", amount=i + 1) for i in range(12)])
        assert most == lanes, "never two in one lane"
        assert max(most) == 3
        assert world.moved() == sum(range(1, 13))
        assert len(client._lanes) == 0


async def test_a_lane_is_free_when_its_transaction_is_final_and_not_when_everything_about_it_is_known(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        client, node = await world.client(), world.nodes[0]
        node.refuses["EXPERIMENTAL_tx_status"] = "INTERNAL_ERROR"

        def second_sent(_name: str) -> None:
            if len(node.sends) == 2:
                node.refuses.clear()

        node.on_call = second_sent
        await run_all(client, [await world.transfer(f"transfer {i}", amount=i + 1) for i in range(2)])
        assert world.moved() == 3


async def test_a_key_that_may_not_sign_the_call_is_not_taken(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        signer = more_keys(world, tmp_path, 2)
        world.chain.more_keys.clear()  # the second key is none of the account's
        client = await world.client(signer=signer)
        await run_all(client, [await world.transfer(f"transfer {i}", amount=1) for i in range(3)])


async def test_a_fresh_ledger_takes_the_key_as_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        assert isinstance(await (await world.client()).execute(intent, grant), Finalized)
        assert set(world.ledger.nonces.values()) == {FIRST_NONCE + 1}


async def conflict_of(client: ChainClient) -> LedgerConflict | None:
    return (await client.standing("localnet", ALICE)).conflict


async def used_elsewhere(world: World, signer: KeyStoreSigner, key: PublicKey, name: str = "elsewhere") -> None:
    """A transfer by one of alice's keys that another ledger knows."""
    here, world.ledger = world.ledger, MemoryLedger()
    intent, grant = await world.transfer(name, amount=1)
    assert isinstance(await (await world.client(signer=signer)).execute(intent, grant, keys=(key,)), Finalized)
    world.ledger = here


async def foreign_use(world: World) -> Lane:
    """One transfer of ours, then one that the ledger does not know."""
    intent, grant = await world.transfer()
    assert isinstance(await (await world.client()).execute(intent, grant), Finalized)
    kept = dict(world.ledger.nonces)
    other, other_grant = await world.transfer("elsewhere", amount=1)
    assert isinstance(await (await world.client()).execute(other, other_grant), Finalized)
    del world.ledger.intents["elsewhere"]
    world.ledger.nonces = kept
    return Lane("localnet", ALICE, (await world.signer.public_keys(ALICE))[0])


@pytest.mark.parametrize("at_start", [True, False])
async def test_a_key_that_something_else_used_signs_nothing_until_acknowledged(
    *, at_start: bool, tmp_path: Path
) -> None:
    async with open_world(tmp_path) as world:
        lane = await foreign_use(world)
        client = await world.client()
        if at_start:
            ((blocked, record),) = await client.check_lanes("localnet", {})
            assert blocked == lane
            assert record.foreign == ForeignUse(FIRST_NONCE + 1, FIRST_NONCE + 2, world.clock())
        sends = len(world.nodes[0].sends)
        for name in ("two", "three"):
            intent, grant = await world.transfer(name)
            outcome = await client.execute(intent, grant)
            assert isinstance(outcome, Failed)
            assert (outcome.stage, outcome.code) == ("ledger", "key_blocked")
            assert f"near-agent keys acknowledge {ALICE} {lane.public_key}" in outcome.message
        assert len(world.nodes[0].sends) == sends
        assert len(await client.check_lanes("localnet", {})) == 1
        ((_, record),), _ = await client.acknowledge_key("localnet", ALICE, lane.public_key)
        assert (record.nonce, record.foreign) == (FIRST_NONCE + 2, None)
        intent, grant = await world.transfer("four")
        assert isinstance(await client.execute(intent, grant), Finalized)
        assert await client.check_lanes("localnet", {}) == []


@pytest.mark.parametrize("first", [True, False])
async def test_a_key_that_something_else_used_blocks_the_accounts_other_keys(*, first: bool, tmp_path: Path) -> None:
    """A transfer that was sent with one key and forgotten must not be sent again with another."""
    async with open_world(tmp_path) as world:
        signer = more_keys(world, tmp_path, 2)
        ours, theirs = await signer.public_keys(ALICE)
        ours, theirs = (theirs, ours) if first else (ours, theirs)
        client = await world.client(signer=signer)
        assert await client.check_lanes("localnet", {ALICE: (ours, theirs)}) == []
        await used_elsewhere(world, signer, theirs)
        again = await world.client(signer=signer)
        intent, grant = await world.transfer("two")
        outcome = await again.execute(intent, grant, keys=(ours,))
        assert isinstance(outcome, Failed)
        assert outcome.code == "key_blocked"
        assert str(theirs) in outcome.message


async def test_a_lane_that_cannot_be_read_at_the_start_is_compared_before_its_next_signature(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await foreign_use(world)
        offline = await world.client(urls=["http://127.0.0.1:9/"])
        assert await offline.check_lanes("localnet", {}) == []
        intent, grant = await world.transfer("two")
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert outcome.code == "key_blocked"


async def test_a_step_that_follows_others_goes_directly_after_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        for step, (version, mode) in enumerate([(0, "monotonic"), (1, "strict")]):
            intent, grant = await world.transfer(f"step {step}", step=step)
            assert isinstance(await client.execute(intent, grant), Finalized)
            stored = await world.ledger.get(intent.intent_id)
            assert stored is not None
            sent = world.decoded(stored).transaction
            assert (sent.version, sent.nonce_mode) == (version, mode)
        world.nodes[0].protocol_version = 85
        older = await world.client()
        intent, grant = await world.transfer("older", step=1)
        assert isinstance(await older.execute(intent, grant), Finalized)
        stored = await world.ledger.get("older")
        assert stored is not None
        assert world.decoded(stored).transaction.version == 0


async def test_a_gas_keys_nonces_are_lanes(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.chain.gas_keys[ALICE] = [FIRST_NONCE] * 3
        client = await world.client()
        world.nodes[0].delay_s = 0.005
        await run_all(client, [await world.transfer(f"transfer {i}", amount=i + 1) for i in range(6)])
        sent = [world.chain.executed[tx][0].transaction for tx in world.chain.order]
        assert {transaction.nonce_index for transaction in sent} == {0, 1, 2}
        assert {transaction.version for transaction in sent} == {1}
        assert world.moved() == 21
        known = dict(await world.ledger.lanes("localnet"))
        assert sum(record.nonce - FIRST_NONCE for record in known.values()) == 6


async def test_what_is_open_and_not_followed_is_settled_in_the_background(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].faults, world.nodes[0].blind, world.nodes[0].earliest = ["timeout"], True, 5000
        world.nodes[0].resent = "InvalidNonce"
        client = await world.client()
        intent, grant = await world.transfer()
        await client.execute(intent, grant)
        assert await world.state() == "unconfirmed"
        assert await client.settle_idle(10) == []
        world.nodes[0].blind = False
        (settled,) = await client.settle_idle(10)
        assert isinstance(settled.outcome, Finalized)
        assert await client.settle_idle(10) == []
        assert world.moved() == NEAR


async def test_what_stays_unknown_keeps_nobody_else_from_being_looked_up(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        node = world.nodes[0]
        node.refusal, node.earliest = {"NotEnoughBalance": {}}, 5000
        client = await world.client()
        for name in ("one", "two", "three"):
            node.faults = ["refuse"]
            intent, grant = await world.transfer(name)
            await client.execute(intent, grant)
            world.clock.now += 1.0
        asked: list[set[CryptoHash]] = []
        for _ in range(3):
            node.looked_up.clear()
            await client.settle_idle(1)
            asked.append(set(node.looked_up))
        assert [len(hashes) for hashes in asked] == [1, 1, 1]
        assert len(set[CryptoHash]().union(*asked)) == 3


async def test_what_waits_for_review_is_looked_up_and_never_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].faults, world.nodes[0].refusal = ["refuse"], "InvalidSignature"
        client = await world.client()
        intent, grant = await world.transfer()
        await client.execute(intent, grant)
        stored = world.ledger.intents["one"]
        world.ledger.intents["one"] = replace(stored, review="restored")
        sends = len(world.nodes[0].sends)
        assert await client.settle_idle(10) == []
        await client.settle_open()
        assert len(world.nodes[0].sends) == sends


@pytest.mark.parametrize("seen", [True, False])
async def test_a_key_that_something_else_used_is_known_before_anything_is_signed(*, seen: bool, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        assert await conflict_of(client) is None, "a key that was never used is taken as it is"
        lane = await foreign_use(world)
        if seen:
            await client.check_lanes("localnet", {})
        conflict = await conflict_of(client)
        assert conflict is not None
        assert conflict.code == "key_blocked"
        assert f"near-agent keys acknowledge {ALICE} {lane.public_key}" in conflict.message
        offline = await world.client(urls=["http://127.0.0.1:9/"])
        with pytest.raises(RpcError):
            await offline.standing("localnet", ALICE)
        another = await world.client(signer=more_keys(world, tmp_path, 2))
        assert await conflict_of(another) is not None
        await client.acknowledge_key("localnet", ALICE, lane.public_key)
        assert await conflict_of(client) is None


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_node_that_invents_a_nonce_blocks_no_key(liar: int, tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        intent, grant = await world.transfer()
        client = await world.client()
        assert isinstance(await client.execute(intent, grant), Finalized)
        world.nodes[liar].lies = {"view_access_key": {"nonce": FIRST_NONCE + 900}}
        again = await world.client()
        assert await again.check_lanes("localnet", {}) == []
        with pytest.raises(RpcError):
            await again.standing("localnet", ALICE)
        assert all(record.foreign is None for _, record in await world.ledger.lanes("localnet"))
        with pytest.raises(RpcError) as caught:
            await again.acknowledge_key("localnet", ALICE, (await world.signer.public_keys(ALICE))[0])
        assert caught.value.code == "RPC_DISAGREE"
