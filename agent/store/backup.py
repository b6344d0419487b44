"""Backup and restore of the database file. Keys and the code key are other files, and are in no backup.

A backup is a whole database, read through SQLite's backup interface while a daemon may write to it. A restored ledger is
behind the chain: what was approved, signed or sent after the backup is not in it. So a restore takes every approval back,
and marks every transaction without an end for review: those are looked up on chain, and never signed or sent again.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import StoreError
from agent.store.database import HEAD, migrate_file
from agent.store.ledger import OUTCOME
from contracts.chain.ledger import OPEN
from contracts.chain.outcome import NotDone, Unconfirmed
from contracts.folders import make_private_folder, sync_folder
from contracts.private_files import open_private
from contracts.types import CryptoHash

RESTORED: Final = "restored"
"""`Intent.review` of what a restore found open; the key in `meta` with the time of the restore."""
_TABLES: Final = frozenset({"meta", "intents", "grants", "records", "cards"})
_PAGES: Final = 1024
"""Copied between two looks at whether somebody wants to write."""


@dataclass(frozen=True, slots=True)
class Restored:
    voided_grants: int
    cancelled_cards: int
    for_review: tuple[str, ...]
    """Intent ids of transactions that may be on chain."""
    given_up: int
    """Steps that were not signed when the backup was made."""
    api_keys: int
    """In force now; those that the database which was there had revoked stay revoked."""
    previous: Path | None
    """Where the database that was there is kept."""


def backup_database(database: Path, file: Path) -> int:
    """Write a consistent copy to `file` (0600, never over an existing one), on disk when this returns; its size in bytes.

    StoreError `no_database`, `no_folder`, `backup_exists`, `store_failed`.
    """
    if not database.is_file():
        raise StoreError("no_database", f"there is no database at {database}; name the data folder with --data-dir")
    if file.exists():
        raise StoreError("backup_exists", f"{file} exists already and is never overwritten; name another file")
    if not file.parent.is_dir():
        raise StoreError("no_folder", f"there is no folder {file.parent} for the backup; make it, or name another file")
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with _removed(draft):
        os.close(open_private(draft, os.O_EXCL))
        with _told(database), closing(_reader(database)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy, pages=_PAGES)
            # One file, without a log of its own beside it.
            copy.execute("PRAGMA journal_mode = DELETE").close()
        _check(draft)
        _sync(draft)
        try:
            os.link(draft, file)
        except FileExistsError:
            raise StoreError("backup_exists", f"{file} exists already and is never overwritten") from None
    sync_folder(file.parent)
    return file.stat().st_size


def restore_database(file: Path, database: Path, *, clock: Callable[[], float]) -> Restored:
    """Put the backup in the database's place; the caller holds the data folder's lock. The old database is kept beside it.

    StoreError `no_database`, `not_a_backup`, `store_newer`.
    """
    if not file.is_file():
        raise StoreError("no_database", f"there is no backup at {file}")
    now = clock()
    draft = database.with_name(f".{database.name}.{secrets.token_hex(4)}")
    make_private_folder(database.parent)
    with _removed(draft):
        os.close(open_private(draft, os.O_EXCL))
        _check(file)
        with _told(file), closing(_reader(file)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
        migrate_file(draft)
        with _told(draft), closing(sqlite3.connect(draft, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE").close()
            copy.execute("BEGIN IMMEDIATE")
            voided = _void(copy, now)
            keys = _revoke(copy, _revoked(database))
            copy.execute("COMMIT")
        _check(draft)
        _sync(draft)
        previous = _set_aside(database, now)
        draft.replace(database)
    sync_folder(database.parent)
    return Restored(*voided, keys, previous)


def _void(copy: sqlite3.Connection, now: float) -> tuple[int, int, tuple[str, ...], int]:
    """Take every approval back and mark what is open."""
    grants = copy.execute("UPDATE grants SET voided_at = ? WHERE voided_at IS NULL", (now,)).rowcount
    cards = copy.execute(
        "UPDATE cards SET status = 'cancelled', resolved_at = ? WHERE status = 'pending'", (now,)
    ).rowcount
    states = sorted(OPEN)
    rows = copy.execute(
        f"SELECT intent_id, tx_hash, state FROM intents WHERE state IN ({', '.join('?' * len(states))})",  # noqa: S608 -- marks
        states,
    ).fetchall()
    for intent_id, tx_hash, state in rows:
        told = (
            f"Transaction {tx_hash} was {state} when the ledger was backed up, which was restored since. "
            "It is looked up on chain and never sent again by itself"
        )
        outcome = OUTCOME.dump_json(Unconfirmed(_hash(tx_hash), told, RESTORED)).decode()
        copy.execute(
            "UPDATE intents SET state = 'unconfirmed', review = ?, outcome = ?, updated_at = ? WHERE intent_id = ?",
            (RESTORED, outcome, now, intent_id),
        )
    reason = NotDone(
        "the ledger was restored from a backup in which this was not signed yet; look at the account's history before you "
        "ask again, as it may have been carried out after the backup"
    )
    given_up = copy.execute(
        "UPDATE intents SET state = 'abandoned', review = ?, outcome = ?, updated_at = ?"
        " WHERE state IN ('planned', 'approved')",
        (RESTORED, OUTCOME.dump_json(reason).decode(), now),
    ).rowcount
    copy.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (RESTORED, json.dumps(now)),
    )
    return grants, cards, tuple(row[0] for row in rows), given_up


def _hash(tx_hash: object) -> CryptoHash:
    try:
        return CryptoHash(str(tx_hash))
    except ValueError as error:
        raise StoreError("not_a_backup", f"a transaction in it has no hash: {error}") from error


def _revoked(database: Path) -> list[tuple[str, float]]:
    """API keys that the database which is there has revoked; nothing where it cannot be read."""
    if not database.is_file():
        return []
    try:
        with closing(_reader(database)) as connection:
            return connection.execute("SELECT key_id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL").fetchall()
    except sqlite3.Error:
        return []


def _revoke(copy: sqlite3.Connection, revoked: list[tuple[str, float]]) -> int:
    """A key that leaked and was revoked after the backup does not come back. How many keys are in force."""
    for key_id, at in revoked:
        copy.execute("UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL", (at, key_id))
    (in_force,) = copy.execute("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").fetchone()
    return int(in_force)


def _set_aside(database: Path, now: float) -> Path | None:
    """Keep the database that is there under another name, its log written into it."""
    if not database.is_file():
        return None
    with _told(database), closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        connection.execute("PRAGMA journal_mode = DELETE").close()
    previous = database.with_name(f"{database.name}.before-restore-{int(now)}-{secrets.token_hex(2)}")
    os.link(database, previous)
    for beside in ("-wal", "-shm"):
        database.with_name(database.name + beside).unlink(missing_ok=True)
    return previous


def _check(file: Path) -> None:
    """StoreError `not_a_backup` unless the file is a whole database of ours that this program knows."""
    try:
        with closing(_reader(file)) as connection:
            whole = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            found = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if whole else None
    except sqlite3.Error as error:
        raise StoreError("not_a_backup", f"{file} cannot be read as a database: {error}") from error
    version = None if row is None else str(row[0])
    tables = {name for kind, name in found if kind == "table"}
    # Triggers and views would run inside the daemon; this program makes none.
    ours = all(kind in {"table", "index"} for kind, _ in found)
    if not whole or not ours or not tables >= _TABLES or version is None:
        raise StoreError("not_a_backup", f"{file} is damaged, or not a database of this program")
    if version > HEAD:
        raise StoreError(
            "store_newer",
            f"{file} has version {version}, this program knows {HEAD}; use the newer program",
            details={"version": version, "known": HEAD},
        )


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError("store_failed", f"{path}: the database refused ({error}); look at its disk") from error


@contextmanager
def _removed(draft: Path) -> Generator[None]:
    """What is left of an unfinished file goes, with what SQLite put beside it."""
    try:
        yield
    finally:
        for name in (draft.name, f"{draft.name}-wal", f"{draft.name}-shm", f"{draft.name}-journal"):
            draft.with_name(name).unlink(missing_ok=True)
