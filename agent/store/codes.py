"""The code that contracts had when they were last used: kept with the final outcome, so that a change can be told."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, bindparam, func, select, true
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.database import Database
from agent.store.tables import INTENTS, USED_CODES
from contracts.checks.preflight import UsedCode
from contracts.types import AccountId, CryptoHash


class CodeStore:
    """Reads what `note_code` kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(
        self, chain_id: str, signer_id: AccountId, contract_ids: Sequence[AccountId]
    ) -> dict[AccountId, UsedCode]:
        """The code of these contracts at this signer's last final use of them; those never used are left out."""
        if not contract_ids:
            return {}
        values = {"on_chain": chain_id, "of_signer": str(signer_id), "among": [*map(str, contract_ids)]}
        rows = await self._database.look(lambda c: c.execute(_USED, values).all())
        return {AccountId(row.account_id): UsedCode(CryptoHash(row.code_hash), row.used_at) for row in rows}


def note_code(connection: Connection, intent_id: str) -> None:
    """Keep the code that a final transaction's contracts had when it was approved, unless a later one is kept."""
    connection.execute(_NOTE, {"of_intent": intent_id})


_CODES: Final = func.json_each(INTENTS.c.codes).table_valued("key", "value")
_NEW: Final = upsert(USED_CODES).from_select(
    ["chain_id", "signer_id", "account_id", "code_hash", "used_at"],
    select(INTENTS.c.chain_id, INTENTS.c.signer_id, _CODES.c.key, _CODES.c.value, INTENTS.c.created_at)
    .select_from(INTENTS.join(_CODES, true()))
    .where(INTENTS.c.intent_id == bindparam("of_intent")),
)
_NOTE: Final = _NEW.on_conflict_do_update(
    index_elements=["chain_id", "signer_id", "account_id"],
    set_={"code_hash": _NEW.excluded.code_hash, "used_at": _NEW.excluded.used_at},
    where=_NEW.excluded.used_at >= USED_CODES.c.used_at,
)
_USED: Final = select(USED_CODES.c.account_id, USED_CODES.c.code_hash, USED_CODES.c.used_at).where(
    and_(
        USED_CODES.c.chain_id == bindparam("on_chain"),
        USED_CODES.c.signer_id == bindparam("of_signer"),
        USED_CODES.c.account_id.in_(bindparam("among", expanding=True)),
    )
)
