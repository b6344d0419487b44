"""What an operator does about a transaction or a key in doubt: cancel-tx, keys acknowledge, backup, restore, doctor."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.operations.cancelling import Canceller
from agent.operations.settling import settle_forever
from agent.records import Identity, Reply
from agent.store.store import Store, open_store
from contracts.chain.client import ChainClient, no_kill
from contracts.chain.ledger import Intent
from contracts.chain.outcome import Finalized, Unconfirmed
from contracts.chain.rpc import open_rpc
from contracts.errors import LedgerConflict
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, PublicKey
from tests.agent.test_daemon import config_for, started
from tests.agent.world import open_agent
from tests.contracts.chain.worlds import NEAR, RPC, World, open_world, settings
from tests.doubles import approved

ALICE = AccountId("alice.localnet")
OPERATOR = Identity(key_id="operator", account_id=ALICE, may_confirm=True)


@dataclass
class Office:
    """A canceller over a real store and a chain whose node misbehaves as told."""

    world: World
    store: Store
    chain: ChainClient
    canceller: Canceller
    records: Callable[[], Any]

    async def left_unconfirmed(self, *, executed: bool = False) -> str:
        """A transfer that the node says nothing about; its hash."""
        node = self.world.nodes[0]
        node.faults = ["timeout"] if executed else ["refuse"]
        node.refusal = {"NotEnoughBalance": {"signer_id": ALICE, "balance": "1", "cost": "2"}}
        node.blind, node.earliest, node.resent = executed, 5000, "InvalidNonce"
        intent, grant = await approved(self.store.ledger, (await self.world.transfer("spare"))[0].call, name="card-1:0")
        assert isinstance(await self.chain.execute(intent, grant), Unconfirmed)
        node.blind = False
        stored = await self.store.ledger.get("card-1:0")
        assert stored is not None
        assert stored.signed is not None
        return stored.signed.tx_hash


@asynccontextmanager
async def open_office(folder: Path, kill_point: Callable[[str], None] = no_kill) -> AsyncGenerator[Office]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(folder))
        agent = await stack.enter_async_context(open_agent(folder / "agent", clock=world.clock))
        rpc = await stack.enter_async_context(open_rpc(world.urls, config=RPC))
        ledger = agent.store.ledger
        chain = ChainClient(rpc, ledger, world.signer, clock=world.clock, settings=settings(), kill_point=kill_point)
        canceller = Canceller(
            agent.pipeline.recorded,
            ledger,
            chain,
            Registry.for_network("localnet"),
            chain_id="localnet",
            clock=world.clock,
            grant_ttl_s=60.0,
        )
        yield Office(world, agent.store, chain, canceller, agent.records)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("by", ["hash", "card", "request"])
async def test_cancel_tx_fences_what_is_not_confirmed(by: str, office: Office) -> None:
    tx_hash = await office.left_unconfirmed()
    what = {"hash": tx_hash, "card": "card-1", "request": "request of card-1:0"}[by]
    reply = await office.canceller.cancel(OPERATOR, what)
    assert reply.status == "executed"
    assert f"fence of {tx_hash}" in reply.text
    assert "never will be" in reply.text
    ended = await office.store.ledger.get("card-1:0")
    assert ended is not None
    assert ended.state == "fenced"
    (made,) = await office.store.ledger.fences_of("card-1:0")
    assert (made.state, made.request_id) == ("final", reply.request_id)
    grant = await office.store.ledger.grant(made.grant_id or "")
    assert grant is not None
    assert (grant.channel, grant.identity) == ("operator", "operator")
    assert office.world.moved() == 0
    (record,) = await office.records()
    assert (record.request.request_id, record.status, record.request.text) == (
        reply.request_id,
        "executed",
        f"cancel-tx {what}",
    )
    again = await office.canceller.cancel(OPERATOR, what)
    assert again.status == "refused"
    assert "nothing to cancel" in again.text
    assert len(office.world.chain.order) == 1


async def test_cancelling_too_late_tells_the_end(office: Office) -> None:
    tx_hash = await office.left_unconfirmed(executed=True)
    reply = await office.canceller.cancel(OPERATOR, tx_hash)
    assert f"too late to cancel {tx_hash}" in reply.text
    ended = await office.store.ledger.get("card-1:0")
    assert ended is not None
    assert isinstance(ended.outcome, Finalized)
    assert office.world.moved() == NEAR


@pytest.mark.parametrize("what", ["", "nothing", "x" * 5000, "1" * 32, "card-1:0", "🎂"])
async def test_cancelling_nothing_is_refused(what: str, office: Office) -> None:
    reply = await office.canceller.cancel(OPERATOR, what)
    assert reply.status == "refused"
    assert office.world.chain.order == []


async def test_two_cancellations_at_once_make_one_end(office: Office) -> None:
    tx_hash = await office.left_unconfirmed()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(office.canceller.cancel(OPERATOR, tx_hash)) for _ in range(3)]
    replies: list[Reply] = [task.result() for task in tasks]
    assert sum(reply.status == "executed" for reply in replies) == 1
    assert len(office.world.chain.order) == 1
    assert office.world.moved() == 0


async def test_the_background_finds_the_end_and_goes_on_after_a_failure(office: Office) -> None:
    await office.left_unconfirmed(executed=True)
    rounds = 0

    class Chain:
        async def settle_idle(self, limit: int) -> list[Intent]:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                raise LedgerConflict("state_moved", "another process was faster")
            return await office.chain.settle_idle(limit)

        async def give_up_expired(self) -> list[Intent]:
            return []

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(settle_forever(Chain(), interval_s=0.01))
        while rounds < 3:
            await asyncio.sleep(0.01)
        task.cancel()
    ended = await office.store.ledger.get("card-1:0")
    assert ended is not None
    assert isinstance(ended.outcome, Finalized)


# ---- through the daemon and the command line


def cli(folder: Path, *arguments: str) -> Result:
    config = folder.parent / "empty.toml"
    config.touch()
    environ = {
        "NEAR_AGENT_CONFIG": str(config),
        "NEAR_AGENT_DAEMON__DATA_DIR": str(folder),
        "NEAR_AGENT_LOCALNET__LISTEN": "127.0.0.1:0",
    }
    return CliRunner().invoke(app, [*arguments, "--json"], env=environ)


def said(done: Result) -> dict[str, Any]:
    """The command's answer; before it stands what a daemon in the same process may have logged."""
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


@asynccontextmanager
async def http_session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=240)) as session:
        yield session


async def test_the_operators_routes_and_a_blocked_key(tmp_path: Path) -> None:
    """A transfer; the ledger forgets it as a restored one would; the key is blocked until acknowledged."""
    folder = tmp_path / "data"
    async with http_session() as http:
        async with started(config_for(folder)) as daemon:
            _, card = await daemon.say(http, "/near_transfer bob.localnet 1")
            _, done = await daemon.say(http, f"confirm {card['near_agent']['confirm_code']}")
            assert done["near_agent"]["status"] == "executed"
            tx_hash = done["near_agent"]["outcomes"][0]["tx_hash"]
            async with http.post(
                f"{daemon.url}/v1/near/transactions/cancel", json={"what": tx_hash}, headers=daemon.headers()
            ) as refused:
                assert refused.status == 401
            operator = daemon.headers("operator_key")
            async with http.post(
                f"{daemon.url}/v1/near/transactions/cancel", json={"what": tx_hash}, headers=operator
            ) as told:
                answer = await told.json()
            assert answer["near_agent"]["status"] == "refused"
            assert "nothing to cancel" in answer["choices"][0]["message"]["content"]
        async with open_store(folder / "agent.db") as store:
            ((lane, record),) = await store.ledger.lanes("localnet", ALICE)
            await store.write(lambda c: c.exec_driver_sql(f"UPDATE intents SET nonce = '{record.nonce - 1:020}'"))
        async with started(config_for(folder)) as daemon:
            _, blocked = await daemon.say(http, "/near_transfer bob.localnet 2")
            assert blocked["near_agent"]["status"] == "refused", "before there is a card"
            told = blocked["choices"][0]["message"]["content"]
            assert f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}" in told
            doctor = await asyncio.to_thread(cli, folder, "doctor")
            checks = {check["name"]: check for check in said(doctor)["checks"]}
            assert f"keys acknowledge {lane.signer_id} {lane.public_key}" in checks["key blocked"]["todo"]
            done = await asyncio.to_thread(cli, folder, "keys", "acknowledge", lane.signer_id, lane.public_key)
            assert done.exit_code == 0, done.output
            assert said(done)["lanes"] == [{"lane": lane.name, "nonce": str(record.nonce)}]
            _, card = await daemon.say(http, "/near_transfer bob.localnet 3")
            _, sent = await daemon.say(http, f"confirm {card['near_agent']['confirm_code']}")
            assert sent["near_agent"]["status"] == "executed"
            unknown = PublicKey.from_bytes("ed25519", bytes(32))
            for key, code in ((str(unknown), "not_found"), ("nonsense", "invalid_value")):
                wrong = await asyncio.to_thread(cli, folder, "keys", "acknowledge", "alice.localnet", key)
                assert wrong.exit_code == 2
                assert said(wrong)["error"]["code"] == code


async def test_backup_and_restore_by_command(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "backup.db"
    async with http_session() as http, started(config_for(folder)) as daemon:
        await daemon.say(http, "/near_transfer bob.localnet 1")
        made = await asyncio.to_thread(cli, folder, "backup", str(file))
        assert made.exit_code == 0, made.output
        assert said(made)["bytes"] == file.stat().st_size
        running = await asyncio.to_thread(cli, folder, "restore", str(file))
        assert running.exit_code == 2
        assert said(running)["error"]["code"] == "already_running"
        _, card = await daemon.say(http, "/near_transfer bob.localnet 2")
        _, done = await daemon.say(http, f"confirm {card['near_agent']['confirm_code']}")
        assert done["near_agent"]["status"] == "executed"
    restored = cli(folder, "restore", str(file))
    assert restored.exit_code == 0, restored.output
    facts = said(restored)
    assert (facts["cancelled_cards"], facts["for_review"]) == (1, [])
    assert Path(facts["previous"]).is_file()
    async with http_session() as http, started(config_for(folder)) as daemon:
        _, blocked = await daemon.say(http, "/near_transfer bob.localnet 3")
        assert blocked["near_agent"]["status"] == "refused", "the backup holds the key's nonce, and it was used since"
        assert "near-agent keys acknowledge alice.localnet" in blocked["choices"][0]["message"]["content"]
    again = cli(folder, "backup", str(file))
    assert again.exit_code != 0
    assert said(again)["error"]["code"] == "backup_exists"
