"""The file: migrations from nothing and from odd places, who may read it, and what a second start finds."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from agent.errors import StoreError
from agent.store import database
from agent.store.database import open_database
from agent.store.store import open_store
from agent.store.tables import METADATA
from contracts.chain.ledger import Lane, LaneRecord, SeenNonce
from contracts.types import AccountId, PublicKey
from tests.agent.store.test_preambles import old_store

MIGRATIONS = Path(database.__file__).parent / "migrations"


def migrated(path: Path) -> Path:
    """A file that has gone through every migration from nothing."""
    path.parent.mkdir(exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        database._run_alembic(connection)
    engine.dispose()
    return path


def test_migrations_end_in_the_tables_that_the_code_knows(path: Path) -> None:
    engine = create_engine(f"sqlite:///{migrated(path)}")
    with engine.connect() as connection:
        found: list[object] = list(compare_metadata(MigrationContext.configure(connection), METADATA))
    engine.dispose()
    assert found == []


async def test_a_new_file_has_what_all_migrations_end_in(path: Path, tmp_path: Path) -> None:
    async with open_store(path):
        pass
    assert schema(path) == schema(migrated(tmp_path / "migrated.db"))


def schema(path: Path) -> dict[str, object]:
    """Every table's and index's columns, types, defaults, keys and conditions, and the version. Columns by name: a migration
    adds them at the end.
    """
    with closing(sqlite3.connect(path)) as connection:

        def asked(statement: str, *names: str) -> list[tuple[object, ...]]:
            return connection.execute(statement, names).fetchall()

        found: dict[str, object] = {"version": asked("SELECT version_num FROM alembic_version")}
        for (table,) in asked("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
            keys = 'SELECT "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?)'
            found[str(table)] = (sorted(asked(columns, str(table)), key=str), sorted(asked(keys, str(table)), key=str))
            for index, unique, origin, partial in asked(
                'SELECT name, "unique", origin, partial FROM pragma_index_list(?)', str(table)
            ):
                parts = "SELECT name, desc, coll, key FROM pragma_index_xinfo(?) WHERE key"
                (sql,) = asked("SELECT sql FROM sqlite_master WHERE name = ?", str(index))
                kind = (unique, origin, partial, " ".join(str(sql[0]).split()))
                # Those that SQLite makes for a constraint are numbered as they come.
                name = f"{table} {kind} {asked(parts, str(index))}" if origin != "c" else str(index)
                found[name] = (kind, asked(parts, str(index)))
        return found


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


async def test_the_file_is_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_store(path) as store:
            await store.cards.pending(0)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert "agent.db-wal" in modes


async def test_a_file_that_others_could_read_is_closed_and_a_folder_left_as_it_is(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    async with open_store(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


async def test_the_database_is_durable_by_its_settings(path: Path) -> None:
    async with open_store(path) as store:
        settings = {
            name: await store.write(lambda c, name=name: c.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_a_second_start_keeps_everything_and_loads_no_alembic(path: Path) -> None:
    async with open_store(path) as store:
        salt = store.install_salt
        _, plaintext = await store.api_keys.create("alice.localnet", True)
    code = (
        "import asyncio, json, sys\nfrom pathlib import Path\nfrom agent.store.store import open_store\n"
        "async def main():\n"
        "    async with open_store(Path(sys.argv[1])) as store:\n"
        "        who = await store.api_keys.authenticate(sys.argv[2])\n"
        "        heavy = {'alembic', 'aiohttp', 'openai', 'wasmtime', 'mako'} & set(sys.modules)\n"
        "        print(json.dumps([who.account_id, store.install_salt.hex(), sorted(heavy)]))\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path), plaintext], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["alice.localnet", salt.hex(), []]


async def test_two_starts_at_once_make_one_database(path: Path) -> None:
    salts: list[bytes] = []

    async def start() -> None:
        async with open_store(path) as store:
            salts.append(store.install_salt)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(start())
    assert len(set(salts)) == 1


async def test_the_lanes_of_an_earlier_version_go_on_from_the_nonces_that_it_knew(path: Path) -> None:
    lane = Lane("localnet", AccountId("alice.localnet"), PublicKey.from_bytes("ed25519", bytes(32)))
    old_store(path)  # holds this lane
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("UPDATE nonces SET nonce = printf('%020d', 42)")
    async with open_store(path) as store:
        assert await store.ledger.lane(lane) == LaneRecord(42, None, 42, 0)
        assert await store.ledger.observe([SeenNonce(lane, 42, 91)], 2.0) == [LaneRecord(42, None, 42, 0)]
        (used,) = await store.ledger.observe([SeenNonce(lane, 43, 92)], 3.0)
        assert used.foreign is not None


async def test_a_database_of_a_newer_program_is_left_alone(path: Path) -> None:
    async with open_store(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="9999") as caught:
        async with open_store(path):
            pass
    assert caught.value.code == "store_newer"


async def test_a_migration_that_was_cut_off_leaves_nothing_and_is_done_again(path: Path) -> None:
    """Tables and version number are one transaction, so a file without the number has no tables."""
    path.parent.mkdir()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from agent.store import database\n"
        "connection = database._engine(Path(sys.argv[1]), 1.0, ('PRAGMA journal_mode = WAL',)).connect()\n"
        "connection.exec_driver_sql('BEGIN IMMEDIATE')\n"
        "database._run_alembic(connection)\n"
        "os.kill(os.getpid(), 9)"
    )
    child = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert child.returncode == -9
    async with open_store(path) as store:
        assert await store.records.latest(1) == []


@pytest.mark.parametrize("content", [b"this is not a database, whatever its name says" * 40])
async def test_a_file_that_is_no_database_is_named_and_kept(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a database") as caught:
        async with open_store(path):
            pass
    assert caught.value.code == "store_failed"
    assert path.read_bytes() == content


async def test_a_folder_with_odd_characters_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "100% odd ?mode=ro#é" / "agent.db"
    async with open_store(path) as store:
        assert await store.records.latest(1) == []
    assert path.is_file()


async def test_a_look_sees_what_was_acknowledged_and_writes_nothing(path: Path) -> None:
    async with open_database(path, busy_timeout_s=1.0) as database:
        await database.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x INTEGER)"))
        await database.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (7)"))
        assert await database.look(lambda c: c.exec_driver_sql("SELECT x FROM t").scalar_one()) == 7
        with pytest.raises(StoreError, match="readonly"):
            await database.look(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (8)"))
        assert await database.look(lambda c: c.exec_driver_sql("SELECT count(*) FROM t").scalar_one()) == 1


async def test_a_look_at_a_file_that_another_process_has_to_itself_waits_in_a_readers_thread(path: Path) -> None:
    async with open_database(path, busy_timeout_s=5.0) as database:
        await database.look(lambda c: c.exec_driver_sql("SELECT 1").scalar_one())
        busy = [sqlite3.OperationalError("database is locked")]
        busy[0].sqlite_errorcode = sqlite3.SQLITE_BUSY
        threads: list[str] = []

        def run(_connection: object) -> int:
            threads.append(threading.current_thread().name)
            if busy:
                raise busy.pop()
            return 7

        assert await database.look(run) == 7
    assert threads[0] == threading.current_thread().name
    assert threads[1].startswith("store-reader")
