"""The client's promises: an approved intent moves money at most once, and says so truly."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.calls import Grant
from contracts.chain.client import ChainClient
from contracts.chain.outcome import Effect, ExecutionFailed, Failed, Finalized, PartiallyExecuted, Unconfirmed
from contracts.errors import LedgerConflict
from contracts.types import AccountId, JsonObject, PublicKey
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.fake_nodes import VALIDITY, Fault

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
NOT_ENOUGH: JsonObject = {"NotEnoughBalance": {"signer_id": "alice.localnet", "balance": "1", "cost": "2"}}


async def test_a_transfer_is_final_with_its_receipts_and_effects(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        expected = (Effect(ALICE, "NEAR", -NEAR), Effect(BOB, "NEAR", NEAR))
        intent, grant = await world.transfer(expected=expected)
        client = await world.client()
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert outcome.execution.effects == expected
        assert outcome.execution.expected == expected
        assert outcome.execution.effects_complete
        assert [receipt.success for receipt in outcome.execution.receipts] == [True]
        assert outcome.execution.block_height == 1001
        assert world.moved() == NEAR
        stored = await world.ledger.get("one")
        assert stored is not None
        assert (stored.state, stored.outcome) == ("final", outcome)
        assert await client.settle(stored) == outcome
        assert await client.execute(stored, grant) == outcome
        assert len(world.nodes[0].sends) == 1


async def test_expected_effects_that_did_not_happen_are_partial(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer(expected=(Effect(BOB, "NEAR", 2 * NEAR),))
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, PartiallyExecuted)
        assert "expected +2 NEAR for bob.localnet" in outcome.message
        assert await world.state() == "final"


async def test_a_failed_execution_is_a_value(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer(to="nobody.localnet")
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, ExecutionFailed)
        assert outcome.code == "AccountDoesNotExist"
        assert outcome.execution.effects == ()
        assert await world.state() == "failed"


async def test_a_node_without_receipts_still_tells_the_outcome(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].no_receipts = True
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert Effect(BOB, "NEAR", NEAR) in outcome.execution.effects
        assert outcome.execution.effects_complete, "the only receipt is the transaction's own"


async def test_executed_but_not_final_is_progress_only(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.chain.finality_lag = 3
        states: list[str] = []

        def block_by_block(name: str) -> None:
            if name == "tx":
                states.append(world.ledger.intents["one"].state)
                world.chain.advance(1)

        world.nodes[0].on_call = block_by_block
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert states == ["sent", "included", "included"]


async def test_a_block_that_was_not_final_is_taken_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.chain.finality_lag = 3
        asked = 0

        def forget_it_once(name: str) -> None:
            nonlocal asked
            asked += name == "tx"
            if name == "tx" and asked == 2:  # another fork won: without the transaction
                (tx, _, _) = world.chain.executed.popitem()[1]
                world.chain.balances.update(world.before)
                world.chain.nonces[ALICE] = tx.transaction.nonce - 1
            if asked > 2:
                world.chain.advance(1)

        world.nodes[0].on_call = forget_it_once
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert world.moved() == NEAR
        assert len(set(world.nodes[0].sends)) == 1, "the same bytes again"
        assert len(world.nodes[0].sends) == 2


FAULTS: list[Fault] = ["timeout", "drop", "lost", "html_502", "routed", "garbage", "hang"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_ambiguous_send_is_looked_up_and_never_signed_again(fault: Fault, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].faults = [fault]
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert world.moved() == NEAR
        assert len(set(world.nodes[0].sends)) == 1
        assert len(world.chain.order) == 1


@pytest.mark.parametrize("fault", ["timeout", "drop"])
@pytest.mark.parametrize("resent", ["outcome", "InvalidNonce"])
async def test_thirty_transfers_with_faults_on_26_move_thirty_times(fault: Fault, resent: str, tmp_path: Path) -> None:
    """Nodes that execute and do not say so. Asked again with the same bytes, one kind tells the outcome; the other,
    behind a balancer, answers InvalidNonce and only later knows the hash. Neither holds old blocks."""
    async with open_world(tmp_path, nodes=2) as world:
        faults: list[Fault | None] = []
        sends: list[bytes] = []
        for i in range(30):
            faults.extend((fault, None) if i % 8 else (None,))
        for node in world.nodes:
            node.faults, node.sends, node.blind, node.earliest = faults, sends, True, 5000
            node.resent = "outcome" if resent == "outcome" else "InvalidNonce"

        def learn(_name: str) -> None:
            answered = 1 if len(set(sends)) % 8 == 1 else 2
            for node in world.nodes:
                node.blind = not sends or sends.count(sends[-1]) < answered

        for node in world.nodes:
            node.on_call = learn
        client = await world.client()
        for i in range(30):
            intent, grant = await world.transfer(f"transfer {i}", amount=i + 1)
            assert isinstance(await client.execute(intent, grant), Finalized)
        assert world.moved() == sum(range(1, 31))
        assert len(world.chain.order) == 30
        assert (len(set(sends)), len(sends)) == (30, 56)


async def test_nodes_that_know_nothing_and_prove_nothing_leave_it_unconfirmed(tmp_path: Path) -> None:
    """It was executed, and no node can say so: not success, not failure, and never a second signature."""
    async with open_world(tmp_path, nodes=2) as world:
        for node in world.nodes:
            node.faults, node.blind, node.resent, node.earliest = ["timeout"], True, "InvalidNonce", 5000
        intent, grant = await world.transfer()
        client = await world.client()
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Unconfirmed)
        assert "can still be executed" in outcome.message
        assert await world.state() == "unconfirmed"
        sent = {data for node in world.nodes for data in node.sends}
        assert len(sent) == 1
        for node in world.nodes:
            node.blind = False
        assert isinstance(await client.settle(intent), Finalized)
        assert await world.state() == "final"
        assert world.moved() == NEAR


async def test_a_refusal_is_unconfirmed_until_another_nonce_proves_it_dead(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.nodes[0].faults, world.nodes[0].refusal = ["refuse"], NOT_ENOUGH
        client = await world.client()
        intent, grant = await world.transfer()
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Unconfirmed)
        assert outcome.code == "NotEnoughBalance"
        assert "not executed so far" in outcome.message
        assert await client.settle(intent) == outcome, "nothing new: the first answer stays"
        assert len(world.nodes[0].sends) == 1, "an unconfirmed intent is not sent again by itself"
        second, second_grant = await world.transfer("two", amount=5)
        assert isinstance(await client.execute(second, second_grant), Finalized)
        dead = await client.settle(intent)
        assert isinstance(dead, Failed)
        assert dead.proof is not None
        assert (dead.proof.reason, dead.tx_hash) == ("nonce_passed", outcome.tx_hash)
        assert await world.state() == "fenced"
        assert world.moved() == 5


async def test_the_reason_of_a_refusal_outlives_another_nodes_silence(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        refusing, other = world.nodes
        refusing.faults, refusing.refusal, other.refuses = ["refuse"], NOT_ENOUGH, {"tx": "INTERNAL_ERROR"}

        def speak(name: str) -> None:
            other.refuses = other.refuses if name == "tx" and other.calls.count("tx") < 3 else {}

        other.on_call = speak
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Unconfirmed)
        assert outcome.code == "NotEnoughBalance"


async def test_expiry_is_proven_by_blocks(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[0].faults, world.nodes[0].refusal = ["refuse"], NOT_ENOUGH
        client = await world.client()
        intent, grant = await world.transfer()
        assert isinstance(await client.execute(intent, grant), Unconfirmed)
        world.chain.advance(VALIDITY)
        assert isinstance(await client.settle(intent), Unconfirmed), "the last block of its life counts"
        world.chain.advance(1)
        outcome = await client.settle(intent)
        assert isinstance(outcome, Failed)
        assert outcome.proof is not None
        assert (outcome.proof.reason, len(outcome.proof.operators)) == ("expired", 2)
        assert await world.state() == "expired"


async def test_one_operator_is_not_two(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=1, operators=2) as world:
        world.nodes[0].faults, world.nodes[0].refusal = ["refuse"], NOT_ENOUGH
        client = await world.client()
        intent, grant = await world.transfer()
        await client.execute(intent, grant)
        world.chain.advance(VALIDITY + 1)
        assert isinstance(await client.settle(intent), Unconfirmed)


async def test_operators_that_disagree_prove_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[0].faults, world.nodes[0].refusal = ["refuse"], NOT_ENOUGH
        world.nodes[1].validity = 10 * VALIDITY
        client = await world.client()
        intent, grant = await world.transfer()
        await client.execute(intent, grant)
        world.chain.advance(VALIDITY + 1)
        assert isinstance(await client.settle(intent), Unconfirmed)


async def test_a_nonce_taken_by_another_wallet_is_proven_and_told(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:

        class OtherWallet:
            """Signs, while another wallet with the same key is faster."""

            async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
                signature = await world.signer.sign(transaction_bytes, grant)
                other = await world.client()
                second, second_grant = await world.transfer("elsewhere", amount=7)
                world.ledger.nonces.clear()
                await other.execute(second, second_grant)
                world.ledger.nonces.clear()
                del world.ledger.intents["elsewhere"]
                return signature

            async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
                return await world.signer.public_keys(account_id)

        intent, grant = await world.transfer()
        outcome = await (await world.client(signer=OtherWallet())).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert outcome.code == "InvalidNonce"
        assert outcome.proof is not None
        assert outcome.proof.reason == "nonce_passed"
        assert world.moved() == 7


async def test_a_lagging_node_neither_fails_nor_doubles(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[0].faults = ["timeout"]
        world.nodes[0].lag = 40
        world.chain.advance(100)

        def catch_up(name: str) -> None:
            world.nodes[0].lag -= min(world.nodes[0].lag, 10 * (name == "tx"))

        world.nodes[0].on_call = catch_up
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Finalized)
        assert world.moved() == NEAR


async def test_a_dead_node_is_passed_over_with_the_same_bytes(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client(urls=["http://127.0.0.1:9/", *world.urls])
        intent, grant = await world.transfer()
        assert isinstance(await client.execute(intent, grant), Finalized)


async def test_without_a_node_nothing_is_signed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client(urls=["http://127.0.0.1:9/"])
        intent, grant = await world.transfer()
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.code) == ("rpc", "TRANSPORT")
        assert await world.state() == "abandoned"
        assert world.took_no_nonce()


async def test_what_would_be_refused_is_told_before_signing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        intent, grant = await world.transfer(amount=10**28)
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.code, outcome.tx_hash) == ("check", "NotEnoughBalance", None)
        assert "10000 NEAR deposit" in outcome.message
        world.nodes[0].chain_id = "testnet"
        other = await world.client()
        second, second_grant = await world.transfer("two")
        wrong = await other.execute(second, second_grant)
        assert isinstance(wrong, Failed)
        assert wrong.code == "wrong_chain"
        assert world.nodes[0].sends == []


async def test_a_key_that_is_not_on_chain_or_not_here(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        world.chain.public_keys["alice.localnet"] = world.chain.public_keys["bob.localnet"]
        intent, grant = await world.transfer()
        outcome = await client.execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert outcome.code == "UNKNOWN_ACCESS_KEY"

        class NoKeys:
            async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
                raise AssertionError("there is no key to sign with")

            async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
                return ()

        second, second_grant = await world.transfer("two")
        no_key = await (await world.client(signer=NoKeys())).execute(second, second_grant)
        assert isinstance(no_key, Failed)
        assert (no_key.stage, no_key.code) == ("sign", "no_key")


async def test_a_signature_that_is_not_the_keys_is_thrown_away(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:

        class Broken:
            async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
                return bytes(64)

            async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
                return await world.signer.public_keys(account_id)

        intent, grant = await world.transfer()
        outcome = await (await world.client(signer=Broken())).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert outcome.code == "bad_signature"
        assert world.took_no_nonce()


async def test_grants_count_once_and_only_for_their_call(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        intent, grant = await world.transfer()
        second, _ = await world.transfer("two")
        wrong = await client.execute(second, grant)
        assert isinstance(wrong, Failed)
        assert (wrong.stage, wrong.code) == ("ledger", "grant_used")
        changed, changed_grant = await world.transfer("three", amount=5)
        forged = await client.execute(changed, replace(changed_grant, call_digests=grant.call_digests))
        assert isinstance(forged, Failed)
        assert forged.code == "grant_mismatch"
        world.clock.now += 601
        late = await client.execute(intent, grant)
        assert isinstance(late, Failed)
        assert late.code == "grant_expired"
        assert world.nodes[0].sends == []


async def test_unknown_or_unapproved_intents_are_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        intent, grant = await world.transfer()
        with pytest.raises(LedgerConflict, match="not in the ledger"):
            await client.execute(replace(intent, intent_id="other"), grant)
        with pytest.raises(LedgerConflict, match="no signed bytes"):
            await client.settle(intent)


async def test_transfers_of_one_key_queue_up(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        open_at_once: list[int] = []

        def count(name: str) -> None:
            if name == "send_tx":
                states = [intent.state for intent in world.ledger.intents.values()]
                open_at_once.append(sum(state in {"signed", "sending", "sent"} for state in states))

        world.nodes[0].on_call = count
        pairs = [await world.transfer(f"transfer {i}", amount=i + 1) for i in range(8)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.execute(intent, grant)) for intent, grant in pairs]
        assert all(isinstance(task.result(), Finalized) for task in tasks)
        assert open_at_once == [1] * 8
        nonces = [world.chain.executed[tx][0].transaction.nonce for tx in world.chain.order]
        assert nonces == list(range(nonces[0], nonces[0] + 8))
        assert world.moved() == sum(range(1, 9))


async def test_the_same_intent_twice_at_once_is_one_transaction(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        client = await world.client()
        intent, grant = await world.transfer()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.execute(intent, grant)) for _ in range(4)]
        assert len({id(task.result()) for task in tasks}) == 1
        assert world.moved() == NEAR


async def _cancel_at(world: World, place: str, nth: int) -> bool:
    """Run one transfer and cancel it at the nth visit of a place; whether that place was reached."""
    task: asyncio.Task[object] | None = None
    seen = 0

    def visit(name: str) -> None:
        nonlocal seen
        if name == place:
            seen += 1
            if seen == nth and task is not None:
                task.cancel()

    async def on_ledger(name: str) -> None:
        visit(f"ledger {name}")
        await asyncio.sleep(0)

    client: ChainClient = await world.client()
    intent, grant = await world.transfer()
    world.ledger._on_call = on_ledger
    for node in world.nodes:
        node.on_call = lambda name: visit(f"rpc {name}")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.execute(intent, grant))
    reached = task.cancelled()
    world.ledger._on_call = None
    for node in world.nodes:
        node.on_call = None
    assert len(client._lanes) == len(client._intents) == 0, "a cancelled call holds no turn"
    return reached


PLACES = [
    *[(f"ledger {name}", 1) for name in ("get", "lane", "store_signed", "store_signed done")],
    *[(f"ledger move {state}{done}", 1) for state in ("sending", "final") for done in ("", " done")],
    *[(f"rpc {name}", 1) for name in ("view_access_key", "view_account", "gas_price", "send_tx", "block")],
    ("rpc EXPERIMENTAL_protocol_config", 1),
    ("rpc EXPERIMENTAL_tx_status", 1),
]


@pytest.mark.parametrize(("place", "nth"), PLACES)
async def test_a_cancelled_transfer_is_finished_by_settling(place: str, nth: int, tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert await _cancel_at(world, place, nth), f"{place} was not reached"
        left = await world.state()
        settled = await (await world.client()).settle_open()
        assert len(world.chain.order) <= 1
        if left in {"approved", "final"}:
            assert settled == []
            assert world.moved() == (NEAR if left == "final" else 0)
        else:
            assert [intent.state for intent in settled] == ["final"]
            assert world.moved() == NEAR
