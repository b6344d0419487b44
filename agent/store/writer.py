"""The one thread that writes: many jobs share one durable commit.

The thread takes everything that waits in its queue, runs each job inside a savepoint of one transaction, commits once, and
only then tells the waiters. A job that raises undoes its own savepoint; a commit that fails (disk full) fails every job of
the group, and nothing of it was acknowledged.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from agent.errors import StoreError

T = TypeVar("T")

MAX_GROUP: Final = 512
"""Jobs of one commit; bounds how long the first waiter of a group waits for the last."""


def store_error(error: BaseException) -> BaseException:
    """What a waiter gets: database failures as StoreError, everything else as it is."""
    if isinstance(error, IntegrityError) or not isinstance(error, DBAPIError | sqlite3.Error):
        return error
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = (
        cause.sqlite_errorcode & 0xFF if isinstance(cause, sqlite3.Error) and hasattr(cause, "sqlite_errorcode") else 0
    )
    match code:
        case sqlite3.SQLITE_FULL:
            found = StoreError(
                "store_full", "the disk (or the database's limit) is full; nothing was stored: free space"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            found = StoreError(
                "store_busy",
                "another process holds the database; nothing was stored: try again",
                retryable=True,
                retry_after_s=1.0,
            )
        case _:
            found = StoreError("store_failed", f"the database refused ({cause}); nothing was stored: look at its disk")
    found.__cause__ = error
    return found


@dataclass(slots=True)
class _Job(Generic[T]):
    """One write and its waiter. As a context manager it keeps what the body raised, to be told after the group's end."""

    run: Callable[[Connection], T]
    future: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop
    value: T | None = None
    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True

    def tell(self) -> None:
        """Runs on the waiter's loop. A waiter that was cancelled meanwhile hears nothing; the write stands."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(store_error(self.error))
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]  # set together with `error`


@dataclass(slots=True)
class _Group:
    """The jobs of one commit. As a context manager it fails them all when the transaction itself fails."""

    jobs: list[_Job[Any]] = field(default_factory=list[_Job[Any]])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            for job in self.jobs:
                job.error = error
        return True


class GroupWriter:
    """Owns the writing connection, which is in the driver's autocommit mode: transactions are begun and ended here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError(f"the group writer needs SQLite's driver, not {type(driver).__name__}")
        self._driver = driver
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, run: Callable[[Connection], T]) -> T:
        """Run `run` in the writer's thread; returns after its commit is on disk.

        Cancelling the wait does not take the write back. StoreError `store_closed` after `close`.
        """
        loop = asyncio.get_running_loop()
        job = _Job(run, loop.create_future(), loop)
        with self._lock:
            if self._closed:
                raise StoreError("store_closed", "the database is closed; nothing was stored")
            self._queue.put(job)
        return await job.future

    def close(self) -> None:
        """Write what waits, end the thread, close the connection. Blocks; not for the event loop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        last = False
        while not last:
            waiting = [self._queue.get()]
            while len(waiting) < MAX_GROUP and not self._queue.empty():
                waiting.append(self._queue.get())
            last = None in waiting
            jobs = [job for job in waiting if job is not None]
            if jobs:
                self._commit(jobs)

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        with _Group(jobs):
            self._end_what_failed()
            self._driver.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._run(job)
            self._driver.execute("COMMIT")
        with suppress(
            sqlite3.Error
        ):  # a rollback that fails as well is tried again by the next group, inside its report
            self._end_what_failed()
        for loop in {id(job.loop): job.loop for job in jobs}.values():
            _tell_all(loop, [job for job in jobs if job.loop is loop])

    def _end_what_failed(self) -> None:
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def _run(self, job: _Job[Any]) -> None:
        self._driver.execute("SAVEPOINT job")
        with job:
            job.value = job.run(self._connection)
        if job.error is not None:
            if not self._driver.in_transaction:
                # SQLite has rolled the whole transaction back (full disk, I/O error): the jobs before are undone as well.
                raise job.error
            self._driver.execute("ROLLBACK TO job")
        self._driver.execute("RELEASE job")


def _tell_all(loop: asyncio.AbstractEventLoop, jobs: list[_Job[Any]]) -> None:
    def tell() -> None:
        for job in jobs:
            job.tell()

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        # The loop is closed, so nobody waits any more; the writes stand.
        return
