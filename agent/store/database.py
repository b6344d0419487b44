"""The database file: made, migrated, written by one thread and read by a few."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError

from agent.errors import StoreError
from agent.store.tables import META, METADATA
from agent.store.writer import GroupWriter, store_error
from contracts.folders import make_private_folder
from contracts.private_files import make_private_file

T = TypeVar("T")

HEAD: Final = "0007"
"""The newest migration."""
READERS: Final = 4
_VERSION_TABLE: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As Alembic makes it."""


class Database:
    """Durable writes through one thread, reads in a few others, looks at single rows without any."""

    def __init__(
        self,
        writer: GroupWriter,
        readers: Engine,
        threads: ThreadPoolExecutor,
        looking: Connection,
        install_salt: bytes,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._threads = threads
        self._looking = looking
        self.install_salt = install_salt
        """Random, made with the database; goes into every hash of a code."""

    async def write(self, run: Callable[[Connection], T]) -> T:
        """Run `run` in a savepoint of the writer's transaction; returns when it is on disk.

        What `run` raises undoes it alone. StoreError where the database fails; then nothing of it was stored. Cancelling the
        wait does not take the write back.
        """
        return await self._writer.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """Run `run` in a reader's thread on one snapshot of everything acknowledged so far."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, run)

    async def look(self, run: Callable[[Connection], T]) -> T:
        """As `read`, on the caller's own thread: for few rows found by an index.

        Waking a thread and waiting for its turn costs ten times what SQLite takes for them. Where another process has the
        file to itself at that moment, a reader's thread waits for it.
        """
        driver = _driver(self._looking)
        try:
            driver.execute("BEGIN")
            try:
                return run(self._looking)
            finally:
                driver.execute("ROLLBACK")
        except (DBAPIError, sqlite3.Error) as error:
            found = store_error(error)
            if not isinstance(found, StoreError) or found.code != "store_busy":
                raise found from error
        return await self.read(run)

    def _read(self, run: Callable[[Connection], T]) -> T:
        try:
            with self._readers.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    return run(connection)
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise store_error(error) from error


@asynccontextmanager
async def open_database(path: Path, *, busy_timeout_s: float) -> AsyncGenerator[Database]:
    """The database in the file at `path`, made or migrated as needed; file 0600, a folder made for it 0700.

    StoreError `store_newer` where a newer program has migrated the file, `store_failed` where it is no such database.
    """
    async with AsyncExitStack() as stack:
        salt, connection, writers = await asyncio.to_thread(_prepare, path, busy_timeout_s)
        stack.callback(writers.dispose)
        writer = GroupWriter(connection)
        stack.push_async_callback(asyncio.to_thread, writer.close)
        readers = _engine(path, busy_timeout_s, ("PRAGMA query_only = ON",))
        stack.callback(readers.dispose)
        quick = _engine(path, 0, ("PRAGMA query_only = ON",))
        stack.callback(quick.dispose)
        looking = await asyncio.to_thread(quick.connect)
        stack.callback(looking.close)
        threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="store-reader")
        stack.push_async_callback(asyncio.to_thread, threads.shutdown)
        yield Database(writer, readers, threads, looking, salt)


def _prepare(path: Path, busy_timeout_s: float) -> tuple[bytes, Connection, Engine]:
    """Blocking: the file, its migrations and the install salt; the connection that will write."""
    make_private_folder(path.parent)
    make_private_file(path)
    engine = _engine(
        path,
        busy_timeout_s,
        ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", _WAL_LIMIT),
    )
    with ExitStack() as undo:
        undo.callback(engine.dispose)
        try:
            connection = undo.enter_context(engine.connect())
            _migrate(connection)
            salt = _install_salt(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise store_error(error) from error
        undo.pop_all()
    return salt, connection, engine


def migrate_file(path: Path, *, busy_timeout_s: float = 5.0) -> None:
    """Bring a file to the newest version. Blocks. StoreError as `open_database`."""
    _, connection, engine = _prepare(path, busy_timeout_s)
    connection.close()
    engine.dispose()


def _execute_patiently(connection: sqlite3.Connection, pragma: str, busy_timeout_s: float) -> None:
    """Run a pragma, again while another process holds the database: SQLite's own timeout does not cover the change to WAL."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute(pragma).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


_PAUSE_S: Final = 0.01
_WAL_LIMIT: Final = "PRAGMA journal_size_limit = 67108864"


def _engine(path: Path, busy_timeout_s: float, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        pool_size=READERS,
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
    )

    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        try:
            for pragma in pragmas:
                _execute_patiently(connection, pragma, busy_timeout_s)
        except sqlite3.Error:
            connection.close()  # the pool does not know it yet
            raise

    event.listen(engine, "connect", set_up)
    return engine


def _version(connection: Connection) -> str | None:
    known = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first() if known else None
    return None if row is None else str(row[0])


def _migrate(connection: Connection) -> None:
    """One transaction from whatever version to the newest; two processes that start at once do it once."""
    if _version(connection) == HEAD:
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        current = _version(connection)
        if current is not None and current > HEAD:
            raise StoreError(
                "store_newer",
                f"the database has version {current}, this program knows {HEAD}; use the newer program or another data_dir",
                details={"version": current, "known": HEAD},
            )
        if current is None and _is_empty(connection):
            _make_newest(connection)
        elif current != HEAD:
            _run_alembic(connection)
        connection.exec_driver_sql("COMMIT")
    finally:
        if _in_transaction(connection):
            connection.exec_driver_sql("ROLLBACK")


def _is_empty(connection: Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None


def _make_newest(connection: Connection) -> None:
    """What all migrations end in, without loading what runs them; a test holds the two equal."""
    METADATA.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(_VERSION_TABLE)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"the store needs SQLite's driver, not {type(driver).__name__}")
    return driver


def _in_transaction(connection: Connection) -> bool:
    return _driver(connection).in_transaction


def _install_salt(connection: Connection) -> bytes:
    connection.execute(insert(META).prefix_with("OR IGNORE"), {"key": "install_salt", "value": secrets.token_hex(32)})
    return bytes.fromhex(connection.execute(select(META.c.value).where(META.c.key == "install_salt")).scalar_one())
