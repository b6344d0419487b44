"""The chain on disk: SQLite in WAL mode with synchronous=FULL, one transaction per block.

A commit that returned survives a kill and a power cut. Two connections: the writer belongs to the one thread that
commits blocks, the reader to the event loop (small indexed look-ups). Amounts are text, because u128 is no SQL integer.
"""

import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pydantic import TypeAdapter

from contracts.calls import GlobalContract, Permission
from contracts.errors import ChainError
from contracts.localnet.blocks import GENESIS_HEIGHT, ZERO_HASH, Block, Header, QueuedReceipt, trusted_hash
from contracts.localnet.state import ChainState
from contracts.private_files import make_private_file
from contracts.types import CryptoHash, JsonObject
from contracts.vm.receipts import ActionReceipt, Receipt, ReceiptExecution, ReceivedData
from contracts.vm.state import AccessKey, Account, Changes

SCHEMA_VERSION: Final = 2
BUSY_TIMEOUT_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, prev_hash TEXT NOT NULL, timestamp_ns INTEGER NOT NULL,
    gas_used INTEGER NOT NULL, tokens_burnt TEXT NOT NULL, total_supply TEXT NOT NULL, tx_root TEXT, receipts_root TEXT,
    outcome_root TEXT, prev_state_root TEXT NOT NULL);
CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY, amount TEXT NOT NULL, locked TEXT NOT NULL, code_hash TEXT,
    storage_usage INTEGER NOT NULL, global_contract TEXT) WITHOUT ROWID;
CREATE TABLE access_keys (
    account_id TEXT NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL, permission TEXT NOT NULL,
    nonces TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (account_id, public_key)) WITHOUT ROWID;
CREATE TABLE records (
    account_id TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (account_id, key));
CREATE TABLE code (code_hash TEXT PRIMARY KEY, code BLOB NOT NULL);
CREATE TABLE published (name TEXT PRIMARY KEY, code_hash TEXT NOT NULL);
CREATE TABLE postponed (receipt_id TEXT PRIMARY KEY, receipt TEXT NOT NULL);
CREATE TABLE waiting (
    receiver_id TEXT NOT NULL, data_id TEXT NOT NULL, receipt_id TEXT NOT NULL,
    PRIMARY KEY (receiver_id, data_id)) WITHOUT ROWID;
CREATE TABLE received (
    receiver_id TEXT NOT NULL, data_id TEXT NOT NULL, data BLOB, PRIMARY KEY (receiver_id, data_id));
CREATE TABLE transactions (hash TEXT PRIMARY KEY, data BLOB NOT NULL, height INTEGER NOT NULL, outcome TEXT NOT NULL);
CREATE INDEX transactions_by_height ON transactions (height);
CREATE TABLE receipts (
    id TEXT PRIMARY KEY, tx_hash TEXT NOT NULL, receipt TEXT NOT NULL, height INTEGER, outcome TEXT);
CREATE INDEX receipts_by_transaction ON receipts (tx_hash);
CREATE INDEX receipts_by_height ON receipts (height) WHERE height IS NOT NULL;
CREATE TABLE queue (position INTEGER PRIMARY KEY, receipt_id TEXT NOT NULL);
"""

_FROM_1: Final = """
ALTER TABLE accounts ADD COLUMN global_contract TEXT;
ALTER TABLE access_keys ADD COLUMN nonces TEXT NOT NULL DEFAULT '[]';
CREATE TABLE published (name TEXT PRIMARY KEY, code_hash TEXT NOT NULL);
"""
"""What a chain of format 1 lacks: gas keys' nonces and global contracts."""

_SELECT_HEADER: Final = (
    "SELECT height, hash, prev_hash, timestamp_ns, gas_used, tokens_burnt, total_supply, tx_root, receipts_root,"
    " outcome_root, prev_state_root FROM blocks"
)
_SELECT_RECEIPTS: Final = (
    "SELECT receipt, tx_hash, outcome, height, blocks.hash FROM receipts LEFT JOIN blocks USING (height)"
)

_PERMISSION: Final[TypeAdapter[Permission]] = TypeAdapter(Permission)
_GLOBAL_CONTRACT: Final[TypeAdapter[GlobalContract]] = TypeAdapter(GlobalContract)
_NONCES: Final[TypeAdapter[tuple[int, ...]]] = TypeAdapter(tuple[int, ...])
_RECEIPT: Final[TypeAdapter[Receipt]] = TypeAdapter(Receipt)
_ACTION_RECEIPT: Final = TypeAdapter(ActionReceipt)
_EXECUTION: Final = TypeAdapter(ReceiptExecution)
_META: Final[TypeAdapter[JsonObject]] = TypeAdapter(JsonObject)

_Row: TypeAlias = tuple[object, ...]
_PairT = TypeVar("_PairT", tuple[str, str], tuple[str, bytes])


@dataclass(frozen=True, slots=True)
class Executed:
    """An outcome and the block that holds it."""

    execution: ReceiptExecution
    height: int
    block_hash: CryptoHash


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    data: bytes
    """The signed bytes."""
    included: Executed


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    receipt: Receipt
    tx_hash: CryptoHash
    executed: Executed | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A chain as it was left."""

    genesis: JsonObject
    state: ChainState
    head: Header
    genesis_header: Header
    earliest: Header
    """From it on no block is missing."""
    queue: tuple[QueuedReceipt, ...]
    unfinished: tuple[CryptoHash, ...]
    """Transactions with receipts still under way."""


class ChainStore:
    """The database of one chain. sqlite3.Error (or OSError when it is opened) if the disk refuses; nothing is half written then."""

    def __init__(self, path: Path) -> None:
        make_private_file(path)
        self._writer = _connect(path)
        with ExitStack() as unfinished:
            unfinished.callback(self._writer.close)
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._create(path)
            unfinished.pop_all()
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")

    def _create(self, path: Path) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        if version not in {0, 1}:
            raise ChainError(
                "chain_version",
                f"{path} has chain format {version}, this program reads {SCHEMA_VERSION}; move the folder away",
            )
        schema = _FROM_1 if version == 1 else _SCHEMA
        statements = [part for part in schema.split(";") if part.strip()]
        with closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            for statement in statements:
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            cursor.execute("COMMIT")

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def commit(self, block: Block, genesis: JsonObject | None = None) -> None:
        """Write a block, all or nothing; returns when it is on the disk. `genesis` goes with the first block."""
        with self._transaction() as cursor:
            if genesis is not None:
                cursor.execute("INSERT INTO meta VALUES ('genesis', ?)", (_META.dump_json(genesis).decode(),))
                cursor.execute("INSERT INTO meta VALUES ('earliest', ?)", (str(block.header.height),))
            _write_block(cursor, block)

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Cursor]:
        cursor = self._writer.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            cursor.execute("COMMIT")
        finally:
            # Still open here only where something failed, a COMMIT on a full disk included.
            if self._writer.in_transaction:
                cursor.execute("ROLLBACK")
            cursor.close()

    def prune(self, below: int) -> None:
        """Forget the empty blocks under that height; blocks with outcomes stay, so that `tx` goes on answering."""
        with self._transaction() as cursor:
            cursor.execute(
                "DELETE FROM blocks WHERE height < ? AND height > ? AND outcome_root IS NULL", (below, GENESIS_HEIGHT)
            )
            cursor.execute("INSERT OR REPLACE INTO meta VALUES ('earliest', ?)", (str(below),))

    def load(self) -> Loaded | None:
        """Everything as of the last committed block; None for a new database."""
        genesis = self._reader.execute("SELECT value FROM meta WHERE key = 'genesis'").fetchone()
        head = self._header("ORDER BY height DESC LIMIT 1", ())
        earliest = self._header(
            "WHERE height >= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'earliest') ORDER BY height LIMIT 1",
            (),
        )
        first = self.header_at(GENESIS_HEIGHT)
        if genesis is None or head is None or earliest is None or first is None:
            return None
        state = ChainState()
        state.apply(_load_state(self._reader))
        return Loaded(
            genesis=_META.validate_json(genesis[0]),
            state=state,
            head=head,
            genesis_header=first,
            earliest=earliest,
            queue=tuple(_load_queue(self._reader)),
            unfinished=tuple(_load_unfinished(self._reader)),
        )

    def header_at(self, height: int) -> Header | None:
        return self._header("WHERE height = ?", (height,))

    def header_upto(self, height: int) -> Header | None:
        """The last block up to that height."""
        return self._header("WHERE height <= ? ORDER BY height DESC LIMIT 1", (height,))

    def header_from(self, height: int) -> Header | None:
        """The first block from that height on."""
        return self._header("WHERE height >= ? ORDER BY height LIMIT 1", (height,))

    def header_of(self, block_hash: CryptoHash) -> Header | None:
        return self._header("WHERE hash = ?", (block_hash,))

    def transaction(self, tx_hash: CryptoHash) -> StoredTransaction | None:
        row = self._reader.execute(
            "SELECT data, outcome, height, blocks.hash FROM transactions JOIN blocks USING (height)"
            " WHERE transactions.hash = ?",
            (tx_hash,),
        ).fetchone()
        return StoredTransaction(row[0], _executed(*row[1:])) if row is not None else None

    def receipts_of(self, tx_hash: CryptoHash) -> list[StoredReceipt]:
        """All receipts of a transaction, in the order in which they were made."""
        return self._receipts("WHERE receipts.tx_hash = ? ORDER BY receipts.rowid", (tx_hash,))

    def receipt(self, receipt_id: CryptoHash) -> StoredReceipt | None:
        found = self._receipts("WHERE receipts.id = ?", (receipt_id,))
        return found[0] if found else None

    def transactions_in(self, height: int) -> list[bytes]:
        """The signed bytes of a block's transactions."""
        rows = self._reader.execute("SELECT data FROM transactions WHERE height = ? ORDER BY rowid", (height,))
        return [row[0] for row in rows]

    def receipts_in(self, height: int) -> list[StoredReceipt]:
        """The receipts executed in a block."""
        return self._receipts("WHERE receipts.height = ? ORDER BY receipts.rowid", (height,))

    def _receipts(self, where: str, values: _Row) -> list[StoredReceipt]:
        rows = self._reader.execute(f"{_SELECT_RECEIPTS} {where}", values)
        return [
            StoredReceipt(
                _RECEIPT.validate_json(receipt),
                trusted_hash(tx_hash),
                _executed(outcome, height, block_hash) if outcome is not None else None,
            )
            for receipt, tx_hash, outcome, height, block_hash in rows
        ]

    def _header(self, where: str, values: _Row) -> Header | None:
        row = self._reader.execute(f"{_SELECT_HEADER} {where}", values).fetchone()
        if row is None:
            return None
        return Header(
            height=row[0],
            hash=trusted_hash(row[1]),
            prev_hash=trusted_hash(row[2]),
            timestamp_ns=row[3],
            gas_used=row[4],
            tokens_burnt=int(row[5]),
            total_supply=int(row[6]),
            tx_root=_root(row[7]),
            receipts_root=_root(row[8]),
            outcome_root=_root(row[9]),
            prev_state_root=trusted_hash(row[10]),
        )


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _root(text: str | None) -> CryptoHash:
    return ZERO_HASH if text is None else trusted_hash(text)


def _root_column(root: CryptoHash) -> str | None:
    return None if root == ZERO_HASH else root


def _executed(outcome: str, height: int, block_hash: str) -> Executed:
    return Executed(_EXECUTION.validate_json(outcome), height, trusted_hash(block_hash))


def _write_block(cursor: sqlite3.Cursor, block: Block) -> None:
    header = block.header
    cursor.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            header.height,
            header.hash,
            header.prev_hash,
            header.timestamp_ns,
            header.gas_used,
            str(header.tokens_burnt),
            str(header.total_supply),
            _root_column(header.tx_root),
            _root_column(header.receipts_root),
            _root_column(header.outcome_root),
            header.prev_state_root,
        ),
    )
    _write_changes(cursor, block.changes)
    cursor.executemany(
        "INSERT INTO transactions VALUES (?, ?, ?, ?)",
        [
            (item.signed.tx_hash, item.signed.data, header.height, _EXECUTION.dump_json(item.execution).decode())
            for item in block.transactions
        ],
    )
    cursor.executemany(
        "INSERT INTO receipts (id, tx_hash, receipt) VALUES (?, ?, ?)",
        [(item.receipt.receipt_id, item.tx_hash, _RECEIPT.dump_json(item.receipt).decode()) for item in block.queued],
    )
    cursor.executemany(
        "UPDATE receipts SET height = ?, outcome = ? WHERE id = ?",
        [(header.height, _EXECUTION.dump_json(item.execution).decode(), item.execution.id) for item in block.executed],
    )
    cursor.executemany("DELETE FROM queue WHERE position = ?", [(position,) for position in block.consumed])
    cursor.executemany(
        "INSERT INTO queue VALUES (?, ?)", [(item.position, item.receipt.receipt_id) for item in block.queued]
    )


def _write_changes(cursor: sqlite3.Cursor, changes: Changes) -> None:
    put: dict[str, list[_Row]] = {
        "accounts VALUES (?, ?, ?, ?, ?, ?)": [
            (key, str(value.amount), str(value.locked), value.code_hash, value.storage_usage, _global_column(value))
            for key, value in changes.accounts.items()
            if value is not None
        ],
        "access_keys (account_id, public_key, nonce, permission, nonces) VALUES (?, ?, ?, ?, ?)": [
            (
                *key,
                value.nonce,
                _PERMISSION.dump_json(value.permission).decode(),
                _NONCES.dump_json(value.nonces).decode(),
            )
            for key, value in changes.access_keys.items()
            if value is not None
        ],
        "records VALUES (?, ?, ?)": [(*key, value) for key, value in changes.storage.items() if value is not None],
        "code VALUES (?, ?)": list(changes.code.items()),
        "published VALUES (?, ?)": list(changes.published.items()),
        "postponed VALUES (?, ?)": [
            (key, _ACTION_RECEIPT.dump_json(value).decode())
            for key, value in changes.postponed.items()
            if value is not None
        ],
        "waiting VALUES (?, ?, ?)": [(*key, value) for key, value in changes.waiting.items() if value is not None],
        "received VALUES (?, ?, ?)": [
            (*key, value.data) for key, value in changes.received.items() if value is not None
        ],
    }
    gone: dict[str, list[_Row]] = {
        "accounts WHERE account_id = ?": [(key,) for key, value in changes.accounts.items() if value is None],
        "access_keys WHERE account_id = ? AND public_key = ?": _absent(changes.access_keys),
        "records WHERE account_id = ? AND key = ?": _absent(changes.storage),
        "postponed WHERE receipt_id = ?": [(key,) for key, value in changes.postponed.items() if value is None],
        "waiting WHERE receiver_id = ? AND data_id = ?": _absent(changes.waiting),
        "received WHERE receiver_id = ? AND data_id = ?": _absent(changes.received),
    }
    for clause, rows in put.items():
        if rows:
            cursor.executemany(f"INSERT OR REPLACE INTO {clause}", rows)
    for clause, rows in gone.items():
        if rows:
            cursor.executemany(f"DELETE FROM {clause}", rows)  # noqa: S608  clauses from above


def _global_column(account: Account) -> str | None:
    contract = account.global_contract
    return _GLOBAL_CONTRACT.dump_json(contract).decode() if contract is not None else None


def _absent(changes: Mapping[_PairT, object]) -> list[_Row]:
    return [key for key, value in changes.items() if value is None]


def _load_state(reader: sqlite3.Connection) -> Changes:
    read = reader.execute
    return Changes(
        accounts={
            row[0]: Account(
                int(row[1]),
                int(row[2]),
                CryptoHash(row[3]) if row[3] else None,
                row[4],
                _GLOBAL_CONTRACT.validate_json(row[5]) if row[5] else None,
            )
            for row in read(
                "SELECT account_id, amount, locked, code_hash, storage_usage, global_contract FROM accounts"
            )
        },
        access_keys={
            (row[0], row[1]): AccessKey(row[2], _PERMISSION.validate_json(row[3]), _NONCES.validate_json(row[4]))
            for row in read("SELECT account_id, public_key, nonce, permission, nonces FROM access_keys")
        },
        storage={(row[0], row[1]): row[2] for row in read("SELECT account_id, key, value FROM records")},
        code={row[0]: row[1] for row in read("SELECT code_hash, code FROM code")},
        published={row[0]: row[1] for row in read("SELECT name, code_hash FROM published")},
        postponed={
            row[0]: _ACTION_RECEIPT.validate_json(row[1]) for row in read("SELECT receipt_id, receipt FROM postponed")
        },
        waiting={(row[0], row[1]): row[2] for row in read("SELECT receiver_id, data_id, receipt_id FROM waiting")},
        received={
            (row[0], row[1]): ReceivedData(row[2]) for row in read("SELECT receiver_id, data_id, data FROM received")
        },
    )


def _load_queue(reader: sqlite3.Connection) -> Iterator[QueuedReceipt]:
    rows = reader.execute(
        "SELECT position, tx_hash, receipt FROM queue JOIN receipts ON receipts.id = queue.receipt_id ORDER BY position"
    )
    for position, tx_hash, receipt in rows:
        yield QueuedReceipt(position, trusted_hash(tx_hash), _RECEIPT.validate_json(receipt))


def _load_unfinished(reader: sqlite3.Connection) -> Iterator[CryptoHash]:
    rows = reader.execute("SELECT DISTINCT tx_hash FROM queue JOIN receipts ON receipts.id = queue.receipt_id")
    for (tx_hash,) in rows:
        yield trusted_hash(tx_hash)
