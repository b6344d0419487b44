"""API keys: who may ask, for which account. The key itself is shown once; its sha256 is kept (256 random bits need no more)."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, insert, select, update

from agent.records import Identity
from agent.store.database import Database
from agent.store.tables import API_KEYS

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
        """End a key at once; False where no such key is in force."""
        change = (
            update(API_KEYS)
            .where(and_(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None)))
            .values(revoked_at=self._clock())
        )
        self._seen.clear()
        revoked = await self._database.write(lambda c: c.execute(change).rowcount == 1)
        self._seen.clear()
        return revoked


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode()).hexdigest()
