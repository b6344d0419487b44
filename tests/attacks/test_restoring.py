"""A backup that comes back: with keys that were revoked since, with things of somebody else in it, or on another network."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.data_folder import DATABASE_NAME
from agent.errors import StoreError
from agent.store.backup import backup_database, restore_database
from agent.store.store import open_store
from tests.agent.store.examples import NOW, grant, intent, signed
from tests.e2e.programs import near_agent_here


def now() -> float:
    return NOW + 1000


async def test_a_key_that_was_revoked_after_the_backup_stays_revoked(tmp_path: Path) -> None:
    path, file = tmp_path / "data" / DATABASE_NAME, tmp_path / "backup.db"
    async with open_store(path) as store:
        leaked_id, leaked = await store.api_keys.create("alice.localnet", True)
        _, other = await store.api_keys.create("alice.localnet", True)
        backup_database(path, file)
        assert await store.api_keys.revoke(leaked_id)
    assert restore_database(file, path, clock=now).api_keys == 1
    async with open_store(path) as store:
        assert await store.api_keys.authenticate(leaked) is None
        assert await store.api_keys.authenticate(other) is not None


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER UPDATE ON grants BEGIN UPDATE grants SET voided_at = NULL; END",
        "CREATE VIEW v AS SELECT * FROM grants",
        "UPDATE intents SET tx_hash = 'no hash'",
    ],
)
async def test_a_backup_with_something_else_in_it_is_refused(tmp_path: Path, planted: str) -> None:
    path, file = tmp_path / "data" / DATABASE_NAME, tmp_path / "backup.db"
    async with open_store(path) as store:
        await store.ledger.create([intent()])
        await store.ledger.approve(grant(), ["i1"], NOW)
        await store.ledger.store_signed("i1", "g1", signed(1), NOW)
    backup_database(path, file)
    before = path.read_bytes()
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute(planted)
    with pytest.raises(StoreError) as caught:
        restore_database(file, path, clock=now)
    assert caught.value.code == "not_a_backup"
    assert path.read_bytes() == before


async def _on_testnet(path: Path) -> None:
    """A transaction of testnet without an end."""
    async with open_store(path) as store:
        await store.ledger.create([replace(intent(), chain_id="testnet")])
        await store.ledger.approve(replace(grant(), chain_id="testnet"), ["i1"], NOW)
        await store.ledger.store_signed("i1", "g1", signed(1), NOW)
        await store.ledger.move("i1", "sending", NOW)


async def _states(path: Path) -> list[str]:
    async with open_store(path) as store:
        return [one.state for one in await store.ledger.in_states(frozenset({"sending", "expired", "unconfirmed"}))]


def test_another_networks_nodes_are_not_asked_for_the_end_of_a_transaction(tmp_path: Path) -> None:
    """They have never heard of it, which looked like a proof that it is dead."""
    folder = tmp_path / "data"
    asyncio.run(_on_testnet(folder / DATABASE_NAME))
    done = near_agent_here(folder, "ask", "/near_balance alice.localnet")
    assert done.exit_code == 2, done.output
    assert "transactions without an end on testnet" in done.output
    assert asyncio.run(_states(folder / DATABASE_NAME)) == ["sending"]
