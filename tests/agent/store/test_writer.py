"""Group commit: one commit for many, a failing job alone, a failing commit for all, nothing acknowledged before the disk."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError

from agent.errors import StoreError
from agent.store.store import Store, open_store
from agent.store.tables import GRANT_STEPS, META
from agent.store.writer import store_error


def put(connection: Connection, key: str) -> int:
    return connection.execute(insert(META), {"key": key, "value": "x"}).rowcount


def putting(key: str) -> Callable[[Connection], int]:
    return lambda connection: put(connection, key)


def rows(path: Path) -> set[str]:
    """What another process would find."""
    connection = sqlite3.connect(path)
    try:
        return {key for (key,) in connection.execute("SELECT key FROM meta WHERE key <> 'install_salt'")}
    finally:
        connection.close()


class Gate:
    """Holds the writer inside a job, so that the jobs behind it become one group."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: Connection) -> None:
        self.reached.set()
        assert self.open.wait(30)


async def test_an_acknowledged_write_is_seen_by_everybody(store: Store, path: Path) -> None:
    assert await store.write(putting("a")) == 1
    assert rows(path) == {"a"}
    assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM meta")).scalar_one()) == 2


async def test_jobs_that_wait_share_a_commit_and_a_failing_one_is_undone_alone(store: Store, path: Path) -> None:
    gate = Gate()
    told: dict[str, str] = {}

    def half_done(connection: Connection) -> int:
        put(connection, "half")
        return put(connection, "half")

    def broken(connection: Connection) -> int:
        put(connection, "broken")
        raise KeyError("a bug in a job")

    async def job(name: str) -> None:
        run = {"half": half_done, "broken": broken}.get(name, putting(name))
        try:
            await store.write(run)
            told[name] = "stored"
        except (IntegrityError, KeyError) as error:
            told[name] = type(error).__name__
        if name == "a":
            assert rows(path) == {"a", "b", "c"}

    async with asyncio.TaskGroup() as group:
        holding = group.create_task(store.write(gate))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        jobs = [group.create_task(job(name)) for name in ("a", "half", "b", "broken", "c")]
        await asyncio.sleep(0.01)
        assert told == {}
        gate.open.set()
    assert holding.done()
    assert all(one.done() for one in jobs)
    assert told == {"a": "stored", "half": "IntegrityError", "b": "stored", "broken": "KeyError", "c": "stored"}


async def test_a_commit_that_fails_fails_the_whole_group(store: Store, path: Path) -> None:
    """A deferred foreign key is checked by COMMIT itself."""
    gate = Gate()
    failed: list[str] = []

    def poison(connection: Connection) -> int:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        return connection.execute(insert(GRANT_STEPS), {"grant_id": "none", "intent_id": "none"}).rowcount

    async def job(name: str) -> None:
        try:
            await store.write(poison if name == "poison" else putting(name))
        except StoreError as error:
            failed.append(f"{name} {error.code}")

    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        for name in ("a", "poison", "b"):
            group.create_task(job(name))
        await asyncio.sleep(0.01)
        gate.open.set()
    assert sorted(failed) == ["a store_failed", "b store_failed", "poison store_failed"]
    assert rows(path) == set()
    await store.write(putting("after"))
    assert rows(path) == {"after"}


async def test_a_full_disk_is_a_typed_error_and_nothing_of_it_stays(store: Store, path: Path) -> None:
    """`max_page_count` makes SQLite report SQLITE_FULL as a full disk does."""
    await store.write(putting("before"))
    pages = await store.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one())
    with pytest.raises(StoreError, match="full") as caught:
        await store.write(lambda c: c.execute(insert(META), {"key": "big", "value": "x" * 1_000_000}).rowcount)
    assert caught.value.code == "store_full"
    assert rows(path) == {"before"}
    await store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one())
    await store.write(putting("after"))
    assert rows(path) == {"before", "after"}


async def test_a_rollback_of_the_whole_transaction_fails_the_jobs_before_it_too(store: Store, path: Path) -> None:
    """SQLite may end the transaction by itself on an I/O error; here a job does what that leaves behind."""
    gate = Gate()
    told: dict[str, str] = {}

    def lose(connection: Connection) -> int:
        connection.exec_driver_sql("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    async def job(name: str) -> None:
        try:
            await store.write(lose if name == "lose" else putting(name))
            told[name] = "stored"
        except StoreError as error:
            told[name] = error.code

    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        for name in ("a", "lose", "b"):
            group.create_task(job(name))
        await asyncio.sleep(0.01)
        gate.open.set()
    assert told == {"a": "store_failed", "lose": "store_failed", "b": "store_failed"}
    assert rows(path) == set()
    await store.write(putting("after"))
    assert rows(path) == {"after"}


async def test_another_process_that_holds_the_database_is_named(path: Path) -> None:
    async with open_store(path, busy_timeout_s=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            await store.write(putting("a"))
        assert (caught.value.code, caught.value.retryable) == ("store_busy", True)
        other.execute("ROLLBACK")
        other.close()
        await store.write(putting("a"))


async def test_a_cancelled_wait_does_not_take_the_write_back(store: Store, path: Path) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        waiting = group.create_task(store.write(putting("a")))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0.01)
        gate.open.set()
    assert waiting.cancelled()
    await store.write(putting("b"))
    assert rows(path) == {"a", "b"}


async def test_closing_writes_what_waits_and_then_refuses(path: Path) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        async with open_store(path) as store:
            group.create_task(store.write(gate))
            while not gate.reached.is_set():
                await asyncio.sleep(0.001)
            waiting = [group.create_task(store.write(putting(f"{n}"))) for n in range(20)]
            await asyncio.sleep(0.01)
            gate.open.set()
        assert len([one for one in waiting if await one == 1]) == 20
    assert len(rows(path)) == 20
    with pytest.raises(StoreError) as caught:
        await store.write(putting("late"))
    assert caught.value.code == "store_closed"


async def test_many_writers_at_once_lose_nothing(store: Store, path: Path) -> None:
    async def one(number: int) -> None:
        for turn in range(20):
            await store.write(putting(f"{number}-{turn}"))

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(one(number))
    assert len(rows(path)) == 600


async def test_a_read_sees_one_moment_and_cannot_write(store: Store) -> None:
    def twice(connection: Connection) -> tuple[int, int]:
        count = text("SELECT count(*) FROM meta")
        first = connection.execute(count).scalar_one()
        inside.set()
        assert written.wait(30)
        return first, connection.execute(count).scalar_one()

    inside, written = threading.Event(), threading.Event()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(store.read(twice))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        await store.write(putting("a"))
        written.set()
    assert reading.result() == (1, 1)
    with pytest.raises(StoreError, match="readonly"):
        await store.read(putting("b"))


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("y"), StoreError("store_full", "full")])
def test_what_is_no_database_failure_reaches_the_waiter_as_it_is(error: Exception) -> None:
    assert store_error(error) is error
