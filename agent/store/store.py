"""The store: everything that is kept on disk, by concern."""

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from agent.limits import Limits
from agent.store.api_keys import ApiKeyStore
from agent.store.approvals import ApprovalStore
from agent.store.budgets import BudgetStore, LatestTime
from agent.store.cards import CardStore
from agent.store.codes import CodeStore
from agent.store.database import Database, open_database
from agent.store.ledger import SqlLedger
from agent.store.records import RecordStore
from agent.store.shortening import RecordQuota

T = TypeVar("T")
_RECORD_BYTES_PER_HOUR: Final = Limits().record_bytes_per_hour


class Store:
    """`ledger`, `budgets`, `codes`, `records`, `cards`, `approvals` and `api_keys` over one database."""

    def __init__(
        self, database: Database, clock: Callable[[], float], new_secret: Callable[[], str], quota: RecordQuota
    ) -> None:
        self._database = database
        latest = LatestTime()
        self.ledger = SqlLedger(database, latest)
        self.records = RecordStore(database, run_id=secrets.token_hex(8), quota=quota)
        self.cards = CardStore(database)
        self.approvals = ApprovalStore(database)
        self.budgets = BudgetStore(database, latest)
        self.codes = CodeStore(database)
        self.api_keys = ApiKeyStore(database, clock=clock, new_secret=new_secret)

    @property
    def install_salt(self) -> bytes:
        """Random, made with the database; goes into every hash of a code."""
        return self._database.install_salt

    async def write(self, run: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        return await self._database.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See `Database.read`."""
        return await self._database.read(run)


def new_api_secret() -> str:
    """43 base64url characters of 256 random bits."""
    return secrets.token_urlsafe(32)


@asynccontextmanager
async def open_store(
    path: Path,
    *,
    clock: Callable[[], float] = time.time,
    new_secret: Callable[[], str] = new_api_secret,
    busy_timeout_s: float = 5.0,
    record_bytes_per_hour: int = _RECORD_BYTES_PER_HOUR,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Store]:
    """The store in the file at `path` (`Config.database_path`); errors as `open_database`.

    `record_bytes_per_hour` is what each identity's records may have before their texts are shortened.
    """
    async with open_database(path, busy_timeout_s=busy_timeout_s) as database:
        yield Store(database, clock, new_secret, RecordQuota(record_bytes_per_hour, monotonic))
