"""Whom an account has dealt with: searched for one account, and for those that it could be taken for."""

import json
from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, Text, and_, bindparam, func, literal_column, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.tables import INTENTS, KNOWN_ACCOUNTS
from contracts.calls import ChangeCall
from contracts.checks.judging import read_call, recipients_of
from contracts.knowledge.lookalikes import look_of, search_for
from contracts.types import AccountId

_MOST: Final = 200
"""Accounts that one could be taken for, of each kind of likeness; nobody reads more."""
_DEALT_WITH: Final = frozenset(
    {"receiver", "receiver_id", "new account", "new_account_id", "account_id", "beneficiary"}
)
"""Where a recipient stands. Who is only named in a message or a text has not got anything, and stays a stranger."""
_CALL: Final[TypeAdapter[ChangeCall]] = TypeAdapter(ChangeCall)


def note_accounts(connection: Connection, intent_id: str) -> None:
    """Remember whom a final transaction dealt with."""
    intent = connection.execute(_DEALING, {"of_intent": intent_id}).one()
    call = _CALL.validate_json(intent.call)
    found = recipients_of(read_call(call), AccountId(intent.signer_id))
    named = {account_id for account_id, where in found if where in _DEALT_WITH}
    rows = [
        {
            "chain_id": intent.chain_id,
            "signer_id": intent.signer_id,
            "account_id": account_id,
            "look": look_of(account_id),
        }
        for account_id in sorted({*named, str(call.receiver_id)} - {""})
    ]
    connection.execute(_NOTE, rows)


def known_among(connection: Connection, chain_id: str, signer_id: str, among: Sequence[str]) -> frozenset[str]:
    """Those of these accounts that this signer has paid or called with a final outcome."""
    values = {"on_chain": chain_id, "of_signer": signer_id, "among": list(among)}
    return frozenset(connection.execute(_KNOWN, values).scalars())


def like(connection: Connection, chain_id: str, signer_id: str, account_id: str) -> tuple[str, ...]:
    """All that this one could be taken for, and perhaps some others: by index, whatever the size of the table."""
    search = search_for(account_id)
    of_whom = {"on_chain": chain_id, "of_signer": signer_id, "most": _MOST}
    found = [*connection.execute(_OF_LOOK, {**of_whom, "wanted": json.dumps(search.looks)}).scalars()]
    found += connection.execute(_OF_ID, {**of_whom, "wanted": json.dumps(search.ids)}).scalars()
    if search.ends is not None:
        begins, ends, length = search.ends
        values = {**of_whom, "begins": begins, "beyond": f"{begins}~", "ends": ends, "of_length": length}
        found += connection.execute(_OF_ENDS, values).scalars()
    return tuple(sorted({*found}))


_NOTE: Final = upsert(KNOWN_ACCOUNTS).on_conflict_do_nothing()
_DEALING: Final = select(INTENTS.c.chain_id, INTENTS.c.signer_id, INTENTS.c.call).where(
    INTENTS.c.intent_id == bindparam("of_intent")
)
_ACCOUNT: Final = KNOWN_ACCOUNTS.c.account_id
_OF_SIGNER: Final = and_(
    KNOWN_ACCOUNTS.c.chain_id == bindparam("on_chain"), KNOWN_ACCOUNTS.c.signer_id == bindparam("of_signer")
)
_KNOWN: Final = select(_ACCOUNT).where(and_(_OF_SIGNER, _ACCOUNT.in_(bindparam("among", expanding=True))))
_WANTED: Final = select(literal_column("value", Text)).select_from(func.json_each(bindparam("wanted")))
_SOME: Final = select(_ACCOUNT).where(_OF_SIGNER).limit(bindparam("most"))
_OF_LOOK: Final = _SOME.where(KNOWN_ACCOUNTS.c.look.in_(_WANTED))
_OF_ID: Final = _SOME.where(_ACCOUNT.in_(_WANTED))
_OF_ENDS: Final = _SOME.where(
    and_(
        _ACCOUNT.between(bindparam("begins"), bindparam("beyond")),
        func.length(_ACCOUNT) == bindparam("of_length"),
        func.substr(_ACCOUNT, -4) == bindparam("ends"),
    )
)
