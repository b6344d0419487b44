"""The signer's own memory, on disk before a signature leaves: which grant's step was signed with which bytes, and how much
went out in the last 24 hours.

It is the signer's alone, so a ledger that was restored, edited or lost changes nothing here.
"""

import sqlite3
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Self

from contracts.calls import ApproverSignature
from contracts.errors import SigningError
from contracts.private_files import make_private_file
from contracts.types import PublicKey

DAY_S: Final = 86_400.0
NATIVE: Final = "NEAR"
"""Stands for NEAR among token contracts; no account id has capitals."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS signed (
    grant_id TEXT NOT NULL, step INTEGER NOT NULL, calls_hash TEXT NOT NULL, kind TEXT NOT NULL,
    signer_id TEXT NOT NULL, public_key TEXT NOT NULL, nonce TEXT NOT NULL, digest TEXT NOT NULL, signed_at REAL NOT NULL,
    PRIMARY KEY (grant_id, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (signed_at REAL NOT NULL, token TEXT NOT NULL, amount TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS spent_at ON spent (signed_at);
CREATE TABLE IF NOT EXISTS endorsed (
    grant_id TEXT NOT NULL, public_key TEXT NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (grant_id, public_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made (public_key TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of a grant that was signed."""

    grant_id: str
    step: int
    calls_hash: str
    kind: str
    """`transaction`, `message` or `delegate`."""
    signer_id: str
    public_key: str
    nonce: str
    digest: str
    """sha256 of the signed bytes, hex."""


class Journal:
    """Entries by grant and sums by token. Writes are durable when `batch` ends. SigningError `journal_failed`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sums: dict[str, int] = {}
        self._window: deque[tuple[float, str, int]] = deque()
        self._latest = 0.0
        self._added: list[tuple[float, str, int]] = []
        self._failed: sqlite3.Error | None = None
        """Why nothing more can be written in this batch."""

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Generator[Self]:
        """The journal of a file, which is made if it is missing (0600)."""
        try:
            make_private_file(path)
            connection = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _failed(error) from error
        with closing(connection):
            journal = cls(connection)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                journal._load()
            except sqlite3.Error as error:
                raise _failed(error) from error
            yield journal

    def _load(self) -> None:
        (latest,) = self._connection.execute(
            "SELECT max(signed_at) FROM (SELECT max(signed_at) AS signed_at FROM spent"
            " UNION ALL SELECT max(signed_at) FROM signed)"
        ).fetchone()
        self._latest = latest or 0.0
        rows = self._connection.execute(
            "SELECT signed_at, token, amount FROM spent WHERE signed_at > ? ORDER BY signed_at",
            (self._latest - DAY_S,),
        )
        for signed_at, token, amount in rows:
            self._count((signed_at, token, int(amount)))

    def of_grant(self, grant_id: str) -> dict[int, Entry]:
        """What was signed under a grant, by step."""
        rows = self._connection.execute(
            "SELECT grant_id, step, calls_hash, kind, signer_id, public_key, nonce, digest FROM signed WHERE grant_id = ?",
            (grant_id,),
        )
        return {row[1]: Entry(*row) for row in rows}

    def endorsements(self, grant_id: str) -> tuple[ApproverSignature, ...]:
        """Approvers' signatures that were handed in for a grant; not verified."""
        rows = self._connection.execute("SELECT public_key, signature FROM endorsed WHERE grant_id = ?", (grant_id,))
        return tuple(ApproverSignature(PublicKey(key), signature) for key, signature in rows)

    def endorse(self, grant_id: str, approval: ApproverSignature) -> None:
        """Keep an approver's signature; a later one of the same approver replaces it. Inside `batch`."""
        self._insert(
            "INSERT OR REPLACE INTO endorsed VALUES (?, ?, ?)",
            (grant_id, str(approval.public_key), approval.signature),
        )

    def spent(self, token: str, now: float) -> int:
        """Base units of a token in the last 24 hours; a clock that was set back frees nothing."""
        begin = max(now, self._latest) - DAY_S
        while self._window and self._window[0][0] <= begin:
            _, old, amount = self._window.popleft()
            self._sums[old] -= amount
        return self._sums.get(token, 0)

    def record(self, entry: Entry, spent: Mapping[str, int], now: float) -> None:
        """Keep a step and what it spends. Inside `batch`."""
        now = max(now, self._latest)
        for token, amount in spent.items():
            if amount:
                self._insert("INSERT INTO spent VALUES (?, ?, ?)", (now, token, str(amount)))
        self._insert("INSERT INTO signed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*astuple(entry), now))
        self._latest = now
        for token, amount in spent.items():
            one = (now, token, amount)
            self._count(one)
            self._added.append(one)

    def note_made(self, public_key: str) -> None:
        """Remember a key that was made here, so that nobody else has ever seen its secret."""
        self._insert("INSERT OR IGNORE INTO made VALUES (?)", (public_key,))

    def made(self) -> frozenset[str]:
        """The keys that were made here."""
        return frozenset(row[0] for row in self._connection.execute("SELECT public_key FROM made"))

    @contextmanager
    def batch(self) -> Generator[None]:
        """One durable write for all that is recorded inside. SigningError `journal_failed`: then nothing was kept."""
        self._added = []
        self._failed = None
        kept = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
            kept = True
        except sqlite3.Error as error:
            raise _failed(error) from error
        finally:
            if not kept:
                self._undo()

    def _insert(self, statement: str, values: tuple[object, ...]) -> None:
        """After a failure nothing more of the batch is written: SQLite ends the transaction when the disk is full, and what
        came then would be on disk at once, and not in the sums.
        """
        if self._failed is not None:
            raise _failed(self._failed)
        try:
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            self._failed = error
            raise _failed(error) from error

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        for one in self._added:
            self._window.remove(one)
            self._sums[one[1]] -= one[2]
        self._added = []

    def _count(self, one: tuple[float, str, int]) -> None:
        self._window.append(one)
        self._sums[one[1]] = self._sums.get(one[1], 0) + one[2]


def _failed(error: OSError | sqlite3.Error) -> SigningError:
    return SigningError(
        "journal_failed",
        f"the signer cannot write its journal ({error}); nothing was signed; make room on the disk and ask again",
        retryable=True,
    )
