"""Backup and restore: what a restored ledger still knows, and what it never does by itself again."""

import os
import sqlite3
import stat
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.store.backup import RESTORED, Restored, backup_database, restore_database
from agent.store.database import HEAD
from agent.store.store import Store, open_store
from contracts.chain.ledger import Lane, SeenNonce
from contracts.chain.outcome import NotDone, Unconfirmed
from contracts.errors import LedgerConflict
from tests.agent.store.examples import ALICE, KEY, NOW, card, grant, intent, signed


def now() -> float:
    return NOW + 1000


async def fill(store: Store) -> None:
    """One intent in each state that matters, two cards."""
    ledger = store.ledger
    for number, state in enumerate(("planned", "approved", "signed", "sending", "final")):
        one = replace(intent(f"{state}:0"), request_id=state, step=0)
        await ledger.create([one])
        if state == "planned":
            continue
        given = grant(f"grant of {state}")
        await ledger.approve(given, [one.intent_id], NOW)
        if state == "approved":
            continue
        await ledger.store_signed(one.intent_id, given.grant_id, signed(number + 1, salt=state), NOW)
        if state == "signed":
            continue
        await ledger.move(one.intent_id, "sending", NOW)
        if state == "final":
            await ledger.move(one.intent_id, "final", NOW)
    await store.cards.add(card("r1"))


async def restored_from(path: Path, file: Path, change: Callable[[Store], Awaitable[None]] | None = None) -> Restored:
    async with open_store(path) as store:
        await fill(store)
        assert backup_database(path, file) > 0
        if change is not None:
            await change(store)
    return restore_database(file, path, clock=now)


async def test_a_backup_of_a_running_database_is_whole_and_the_owners_alone(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    before = os.umask(0)
    try:
        async with open_store(path) as store:
            await fill(store)
            size = backup_database(path, file)
            assert [one.state for one in await store.ledger.in_states(frozenset({"sending"}))] == ["sending"]
    finally:
        os.umask(before)
    assert file.stat().st_size == size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {one.name for one in tmp_path.iterdir()} == {"backup.db", "data"}
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("SELECT count(*) FROM intents").fetchone() == (5,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_backup_during_many_writes_is_one_moment(path: Path, tmp_path: Path) -> None:
    async with open_store(path) as store:
        stop = threading.Event()
        files = [tmp_path / f"backup {number}" for number in range(3)]

        def copy() -> None:
            for file in files:
                backup_database(path, file)
            stop.set()

        thread = threading.Thread(target=copy)
        thread.start()
        count = 0
        while not stop.is_set():
            pair = [replace(intent(f"{count}:{step}"), request_id=str(count), step=step) for step in range(2)]
            await store.ledger.create(pair)
            count += 1
        thread.join()
    for file in files:
        with closing(sqlite3.connect(file)) as copied:
            (rows,) = copied.execute("SELECT count(*) FROM intents").fetchone()
            assert rows % 2 == 0, "each write is in it whole or not at all"


async def test_a_backup_holds_no_key_file(path: Path, tmp_path: Path) -> None:
    secret = "ed25519:SECRETSECRETSECRET"
    async with open_store(path) as store:
        _, plaintext = await store.api_keys.create("alice.localnet", True)
        (path.parent / "code_key").write_text(secret)
        backup_database(path, tmp_path / "backup.db")
    data = (tmp_path / "backup.db").read_bytes()
    assert secret.encode() not in data
    assert plaintext.encode() not in data


async def test_a_restored_ledger_has_no_approvals_and_sends_nothing(path: Path, tmp_path: Path) -> None:
    restored = await restored_from(path, tmp_path / "backup.db")
    assert (restored.voided_grants, restored.cancelled_cards, restored.given_up) == (4, 1, 2)
    assert set(restored.for_review) == {"signed:0", "sending:0"}
    async with open_store(path) as store:
        ledger = store.ledger
        found = {one.intent_id: one for one in await ledger.in_states(frozenset({"unconfirmed", "abandoned", "final"}))}
        assert {name: one.state for name, one in found.items()} == {
            "planned:0": "abandoned",
            "approved:0": "abandoned",
            "signed:0": "unconfirmed",
            "sending:0": "unconfirmed",
            "final:0": "final",
        }
        for name in ("signed:0", "sending:0"):
            outcome = found[name].outcome
            assert found[name].review == RESTORED
            assert isinstance(outcome, Unconfirmed)
            assert outcome.code == RESTORED
        given_up = found["approved:0"].outcome
        assert isinstance(given_up, NotDone)
        assert "restored from a backup" in given_up.reason
        assert found["final:0"].review is None
        (waiting,) = (await store.cards.pending(NOW),)
        assert waiting == []


async def test_a_grant_from_before_the_restore_signs_nothing(path: Path, tmp_path: Path) -> None:
    await restored_from(path, tmp_path / "backup.db")
    async with open_store(path) as store:
        await store.write(
            lambda c: c.exec_driver_sql("UPDATE intents SET state='approved' WHERE intent_id='approved:0'")
        )
        with pytest.raises(LedgerConflict) as caught:
            await store.ledger.store_signed("approved:0", "grant of approved", signed(99), NOW)
        assert caught.value.code == "grant_void"


async def test_what_was_written_after_the_backup_is_kept_beside(path: Path, tmp_path: Path) -> None:
    async def later(store: Store) -> None:
        await store.ledger.create([replace(intent("later:0"), request_id="later", step=0)])

    restored = await restored_from(path, tmp_path / "backup.db", later)
    assert restored.previous is not None
    with closing(sqlite3.connect(restored.previous)) as previous:
        assert previous.execute("SELECT state FROM intents WHERE intent_id = 'later:0'").fetchone() == ("planned",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with open_store(path) as store:
        assert await store.ledger.get("later:0") is None
    again = restore_database(restored.previous, path, clock=now)
    assert again.previous not in (None, restored.previous)
    async with open_store(path) as store:
        assert await store.ledger.get("later:0") is not None


async def test_a_key_that_was_used_after_the_backup_is_found_out(path: Path, tmp_path: Path) -> None:
    await restored_from(path, tmp_path / "backup.db")
    async with open_store(path) as store:
        lane = Lane("localnet", ALICE, KEY)
        known = await store.ledger.lane(lane)
        (record,) = await store.ledger.observe([SeenNonce(lane, known.nonce + 1, 90)], NOW)
        assert record.foreign is not None
        ((blocked, foreign),) = await store.ledger.blocked()
        assert (blocked, foreign) == (lane, record.foreign)


async def test_an_old_backup_is_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    async with open_store(path) as store:
        await fill(store)
        backup_database(path, file)
    with closing(sqlite3.connect(file)) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
        old.execute("UPDATE alembic_version SET version_num = '9999'")
        old.commit()
    with pytest.raises(StoreError) as caught:
        restore_database(file, path, clock=now)
    assert caught.value.code == "store_newer"


def _nothing(_file: Path) -> None: ...


def _text(file: Path) -> None:
    file.write_text("not a database, but long enough to look at it twice" * 200)


def _other(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE something (x)")


@pytest.mark.parametrize(
    ("make", "code"), [(_nothing, "no_database"), (_text, "not_a_backup"), (_other, "not_a_backup")]
)
async def test_what_is_no_backup_changes_nothing(
    make: Callable[[Path], None], code: str, path: Path, tmp_path: Path
) -> None:
    async with open_store(path) as store:
        await fill(store)
    make(tmp_path / "wrong.db")
    with pytest.raises(StoreError) as caught:
        restore_database(tmp_path / "wrong.db", path, clock=now)
    assert caught.value.code == code
    async with open_store(path) as store:
        assert await store.ledger.get("planned:0") is not None
    assert {one.name for one in path.parent.iterdir()} == {path.name}


async def test_a_damaged_backup_is_refused(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    async with open_store(path) as store:
        await fill(store)
        size = backup_database(path, file)
    data = bytearray(file.read_bytes())
    data[size // 2 : size // 2 + 4096] = bytes(4096)
    file.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        restore_database(file, path, clock=now)
    assert caught.value.code == "not_a_backup"


async def test_a_backup_never_replaces_a_file(path: Path, tmp_path: Path) -> None:
    async with open_store(path):
        pass
    file = tmp_path / "kept"
    file.write_text("precious")
    with pytest.raises(StoreError) as caught:
        backup_database(path, file)
    assert caught.value.code == "backup_exists"
    with pytest.raises(StoreError, match="there is no folder") as caught:
        backup_database(path, tmp_path / "nowhere" / "kept")
    assert caught.value.code == "no_folder"
    assert file.read_text() == "precious"
    with pytest.raises(StoreError) as caught:
        backup_database(tmp_path / "none.db", tmp_path / "other")
    assert caught.value.code == "no_database"
