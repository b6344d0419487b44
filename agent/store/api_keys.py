"""API keys: who may ask, for which account. The key itself is shown once; its sha256 is kept (256 random bits need no more)."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, insert, or_, select, update

from agent.records import Identity
from agent.store.database import Database
from agent.store.tables import API_KEYS, APPROVALS, CARDS

KEY_PREFIX: Final = "na_"
KEY_LENGTH: Final = 46
CACHE_TTL_S: Final = 1.0
"""How long a revocation by another process can take to be seen."""
CACHE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class ApiKey:
    key_id: str
    account_id: str
    may_confirm: bool
    created_at: float
    revoked_at: float | None


class ApiKeyStore:
    """`new_secret` gives 43 base64url characters of fresh randomness."""

    def __init__(self, database: Database, *, clock: Callable[[], float], new_secret: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_secret = new_secret
        self._seen: dict[str, tuple[Identity, float]] = {}

    async def create(self, account_id: str, may_confirm: bool) -> tuple[str, str]:  # noqa: FBT001 -- two arguments
        """A new key for an account: its id, and the key itself, which is not kept."""
        plaintext = KEY_PREFIX + self._new_secret()
        key_hash = _hash(plaintext)
        row = {
            "key_id": key_hash[:16],
            "key_hash": key_hash,
            "account_id": str(account_id),
            "may_confirm": may_confirm,
            "created_at": self._clock(),
        }
        await self._database.write(lambda c: c.execute(insert(API_KEYS), row).rowcount)
        return key_hash[:16], plaintext

    async def authenticate(self, plaintext: str) -> Identity | None:
        """Whose key this is; None for one that is unknown or revoked."""
        if len(plaintext) != KEY_LENGTH or not plaintext.startswith(KEY_PREFIX) or not plaintext.isascii():
            return None
        key_hash = _hash(plaintext)
        now = asyncio.get_running_loop().time()
        identity, until = self._seen.get(key_hash, (None, now))
        if identity is not None and now < until:
            return identity
        query = select(API_KEYS.c.key_id, API_KEYS.c.account_id, API_KEYS.c.may_confirm).where(
            and_(API_KEYS.c.key_hash == key_hash, API_KEYS.c.revoked_at.is_(None))
        )
        row = await self._database.look(lambda c: c.execute(query).first())
        if row is None:
            self._seen.pop(key_hash, None)
            return None
        if len(self._seen) >= CACHE_SIZE:
            self._seen.clear()
        identity = Identity(key_id=row.key_id, account_id=row.account_id, may_confirm=row.may_confirm)
        self._seen[key_hash] = (identity, now + CACHE_TTL_S)
        return identity

    async def list(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first; never the keys themselves."""
        query = select(
            API_KEYS.c.key_id,
            API_KEYS.c.account_id,
            API_KEYS.c.may_confirm,
            API_KEYS.c.created_at,
            API_KEYS.c.revoked_at,
        ).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id)
        return await self._database.read(lambda c: [ApiKey(*row) for row in c.execute(query)])

    async def revoke(self, key_id: str) -> bool:
        """End a key at once, with the cards it waits for and the approvals it has given; False where none is in force."""
        now = self._clock()
        self._seen.clear()
        revoked = await self._database.write(lambda c: _revoke(c, key_id, now))
        self._seen.clear()
        return revoked


def _revoke(connection: Connection, key_id: str, now: float) -> bool:
    in_force = and_(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None))
    if connection.execute(update(API_KEYS).where(in_force).values(revoked_at=now)).rowcount == 0:
        return False
    waiting = CARDS.c.status == "pending"
    mine = and_(_of_key(CARDS.c.key_id, key_id), waiting)
    connection.execute(update(CARDS).where(mine).values(status="cancelled", resolved_at=now))
    not_counted_yet = APPROVALS.c.request_id.in_(select(CARDS.c.request_id).where(waiting))
    connection.execute(delete(APPROVALS).where(and_(_of_key(APPROVALS.c.identity, key_id), not_counted_yet)))
    return True


def _of_key(identity: Column[str], key_id: str) -> ColumnElement[bool]:
    """The key itself, or a person of a shared one."""
    return or_(identity == key_id, identity.startswith(f"{key_id}/", autoescape=True))


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode()).hexdigest()
