"""The ledger in SQL (DESIGN law 2): each method is one durable transaction, each conflict leaves nothing behind."""

import json
from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, and_, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from agent.store.database import Database
from agent.store.tables import GRANT_STEPS, GRANTS, INTENTS, NONCES
from contracts.calls import ChangeCall, Grant
from contracts.chain.ledger import Intent, IntentState, Signed, check_transition
from contracts.chain.outcome import Effect, Outcome
from contracts.errors import LedgerConflict
from contracts.types import AccountId, CryptoHash, PublicKey

CALL: Final[TypeAdapter[ChangeCall]] = TypeAdapter(ChangeCall)
OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Outcome)
EFFECTS: Final[TypeAdapter[tuple[Effect, ...]]] = TypeAdapter(tuple[Effect, ...])
STATE: Final[TypeAdapter[IntentState]] = TypeAdapter(IntentState)
NONCE_DIGITS: Final = 20
_BY_GRANT: Final = ("approved", "signed")
"""States that only `approve` and `store_signed` give, with a grant (DESIGN law 3)."""

_ADD_NONCE = upsert(NONCES)
_RAISE_NONCE = _ADD_NONCE.on_conflict_do_update(
    index_elements=[NONCES.c.chain_id, NONCES.c.signer_id, NONCES.c.public_key],
    set_={"nonce": _ADD_NONCE.excluded.nonce},
)


class SqlLedger:
    """Implements `contracts.chain.ledger.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, intents: Sequence[Intent]) -> None:
        """Store new intents in state `planned`. LedgerConflict `intent_exists` for an id that is taken."""
        rows = [_new_row(intent) for intent in intents]
        if rows:
            await self._database.write(lambda c: _create(c, rows))

    async def approve(self, grant: Grant, intent_ids: Sequence[str], now: float) -> None:
        """Store the grant, `planned` -> `approved`. LedgerConflict `grant_used` for a known grant id, `state_moved`."""
        await self._database.write(lambda c: _approve(c, grant, intent_ids, now))

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        """Consume the grant's step, raise the nonce, keep the bytes, `approved` -> `signed`; all or nothing.

        LedgerConflict `grant_used` (also where the grant does not cover the intent), `grant_expired`, `state_moved` or
        `nonce_taken`.
        """
        await self._database.write(lambda c: _store_signed(c, intent_id, grant_id, signed, now))

    async def move(self, intent_id: str, to: IntentState, now: float, outcome: Outcome | None = None) -> None:
        """Along TRANSITIONS; to the state it has: allowed, the first outcome stays. LedgerConflict `state_moved`."""
        text = None if outcome is None else OUTCOME.dump_json(outcome).decode()
        await self._database.write(lambda c: _move(c, intent_id, to, now, text))

    async def get(self, intent_id: str) -> Intent | None:
        return await self._one(select(INTENTS).where(INTENTS.c.intent_id == intent_id))

    async def grant(self, grant_id: str) -> Grant | None:
        query = select(GRANTS).where(GRANTS.c.grant_id == grant_id)
        row = await self._database.read(lambda c: c.execute(query).first())
        return None if row is None else _grant(row)

    async def of_request(self, request_id: str) -> list[Intent]:
        """A request's intents in plan order."""
        return await self._many(
            select(INTENTS).where(INTENTS.c.request_id == request_id).order_by(INTENTS.c.step, INTENTS.c.seq)
        )

    async def by_hash(self, tx_hash: CryptoHash) -> Intent | None:
        return await self._one(select(INTENTS).where(INTENTS.c.tx_hash == str(tx_hash)))

    async def in_states(self, states: frozenset[IntentState]) -> list[Intent]:
        """Oldest first, by the order in which they were stored, whatever the clock said."""
        return await self._many(select(INTENTS).where(INTENTS.c.state.in_(sorted(states))).order_by(INTENTS.c.seq))

    async def last_nonce(self, chain_id: str, signer_id: AccountId, public_key: PublicKey) -> int:
        return await self._database.read(lambda c: _last_nonce(c, chain_id, signer_id, public_key))

    async def _one(self, query: Select[*tuple[object, ...]]) -> Intent | None:
        found = await self._many(query)
        return found[0] if found else None

    async def _many(self, query: Select[*tuple[object, ...]]) -> list[Intent]:
        return await self._database.read(lambda c: [_intent(row) for row in c.execute(query)])


def _create(connection: Connection, rows: list[dict[str, object]]) -> None:
    try:
        connection.execute(insert(INTENTS), rows)
    except IntegrityError as error:
        ids = [str(row["intent_id"]) for row in rows]
        raise LedgerConflict(
            "intent_exists",
            f"one of the intents {', '.join(ids)} is stored already; make a new id",
            details={"intent_ids": [*ids]},
        ) from error


def _approve(connection: Connection, grant: Grant, intent_ids: Sequence[str], now: float) -> None:
    try:
        connection.execute(insert(GRANTS), _grant_row(grant, now))
    except IntegrityError as error:
        raise _used(grant.grant_id, "is stored already; an approval counts once") from error
    for intent_id in intent_ids:
        approved = connection.execute(
            update(INTENTS)
            .where(and_(INTENTS.c.intent_id == intent_id, INTENTS.c.state == "planned"))
            .values(state="approved", grant_id=grant.grant_id, updated_at=now)
        )
        if approved.rowcount != 1:
            raise _moved(intent_id, _state(connection, intent_id), "approved")
        connection.execute(insert(GRANT_STEPS), {"grant_id": grant.grant_id, "intent_id": intent_id})


def _store_signed(connection: Connection, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
    step = connection.execute(
        select(GRANT_STEPS.c.consumed_at, GRANTS.c.expires_at)
        .join(GRANTS, GRANTS.c.grant_id == GRANT_STEPS.c.grant_id)
        .where(and_(GRANT_STEPS.c.grant_id == grant_id, GRANT_STEPS.c.intent_id == intent_id))
    ).first()
    if step is None:
        raise _used(grant_id, f"does not cover intent {intent_id}; ask for an approval")
    if step.consumed_at is not None:
        raise _used(grant_id, f"was used for intent {intent_id}; look at what became of it")
    if now >= step.expires_at:
        raise LedgerConflict(
            "grant_expired",
            f"grant {grant_id} expired {now - step.expires_at:.0f} s ago; ask for a new approval",
            details={"grant_id": grant_id, "intent_id": intent_id},
        )
    intent = connection.execute(
        select(INTENTS.c.state, INTENTS.c.chain_id, INTENTS.c.signer_id).where(INTENTS.c.intent_id == intent_id)
    ).one()
    if intent.state != "approved":
        raise _moved(intent_id, intent.state, "signed")
    _raise_nonce(connection, intent.chain_id, intent.signer_id, signed)
    connection.execute(
        update(GRANT_STEPS)
        .where(and_(GRANT_STEPS.c.grant_id == grant_id, GRANT_STEPS.c.intent_id == intent_id))
        .values(consumed_at=now)
    )
    connection.execute(
        update(INTENTS)
        .where(INTENTS.c.intent_id == intent_id)
        .values(
            state="signed",
            updated_at=now,
            tx_hash=str(signed.tx_hash),
            data=signed.data,
            public_key=str(signed.public_key),
            nonce=_nonce_text(signed.nonce),
            reference_hash=str(signed.reference_hash),
            reference_height=signed.reference_height,
        )
    )


def _raise_nonce(connection: Connection, chain_id: str, signer_id: str, signed: Signed) -> None:
    last = _last_nonce(connection, chain_id, signer_id, signed.public_key)
    if signed.nonce <= last:
        raise LedgerConflict(
            "nonce_taken",
            f"nonce {signed.nonce} of {signed.public_key} ({signer_id}) is not above {last}; sign again with a higher one",
            details={"nonce": str(signed.nonce), "last": str(last), "public_key": str(signed.public_key)},
        )
    connection.execute(
        _RAISE_NONCE,
        {
            "chain_id": chain_id,
            "signer_id": signer_id,
            "public_key": str(signed.public_key),
            "nonce": _nonce_text(signed.nonce),
        },
    )


def _move(connection: Connection, intent_id: str, to: IntentState, now: float, outcome: str | None) -> None:
    row = connection.execute(select(INTENTS.c.state, INTENTS.c.outcome).where(INTENTS.c.intent_id == intent_id)).first()
    if row is None:
        raise _moved(intent_id, None, to)
    state = STATE.validate_python(row.state)
    check_transition(intent_id, state, to)
    if state != to and to in _BY_GRANT:
        raise _moved(intent_id, state, to)
    if state == to and (row.outcome is not None or outcome is None):
        return
    connection.execute(
        update(INTENTS).where(INTENTS.c.intent_id == intent_id).values(state=to, updated_at=now, outcome=outcome)
    )


def _last_nonce(connection: Connection, chain_id: str, signer_id: str, public_key: PublicKey) -> int:
    query = select(NONCES.c.nonce).where(
        and_(
            NONCES.c.chain_id == chain_id, NONCES.c.signer_id == str(signer_id), NONCES.c.public_key == str(public_key)
        )
    )
    return int(connection.execute(query).scalar() or 0)


def _state(connection: Connection, intent_id: str) -> str | None:
    return connection.execute(select(INTENTS.c.state).where(INTENTS.c.intent_id == intent_id)).scalar()


def _moved(intent_id: str, state: str | None, to: str) -> LedgerConflict:
    is_now = "not in the ledger" if state is None else state
    return LedgerConflict(
        "state_moved",
        f"intent {intent_id} is {is_now} and cannot become {to}",
        details={"intent_id": intent_id, "state": state, "to": to},
    )


def _used(grant_id: str, what: str) -> LedgerConflict:
    return LedgerConflict("grant_used", f"grant {grant_id} {what}", details={"grant_id": grant_id})


def _nonce_text(nonce: int) -> str:
    return str(nonce).zfill(NONCE_DIGITS)


def _new_row(intent: Intent) -> dict[str, object]:
    return {
        "intent_id": intent.intent_id,
        "request_id": intent.request_id,
        "step": intent.step,
        "chain_id": intent.chain_id,
        "signer_id": str(intent.signer_id),
        "receiver_id": str(intent.call.receiver_id),
        "deposit_yocto": str(intent.call.deposit),
        "call": CALL.dump_json(intent.call).decode(),
        "calls_hash": intent.calls_hash,
        "expected": EFFECTS.dump_json(intent.expected).decode(),
        "state": "planned",
        "created_at": intent.created_at,
        "updated_at": intent.updated_at,
    }


def _grant_row(grant: Grant, now: float) -> dict[str, object]:
    return {
        "grant_id": grant.grant_id,
        "calls_hash": grant.calls_hash,
        "call_digests": json.dumps(grant.call_digests),
        "chain_id": grant.chain_id,
        "signer_id": str(grant.signer_id),
        "identity": grant.identity,
        "channel": grant.channel,
        "expires_at": grant.expires_at,
        "granted_at": now,
    }


def _grant(row: Row[*tuple[object, ...]]) -> Grant:
    found = row._mapping  # noqa: SLF001 -- SQLAlchemy's public name for a row's columns
    return Grant(
        grant_id=found["grant_id"],
        calls_hash=found["calls_hash"],
        call_digests=tuple(json.loads(found["call_digests"])),
        chain_id=found["chain_id"],
        signer_id=AccountId(found["signer_id"]),
        identity=found["identity"],
        channel=found["channel"],
        expires_at=found["expires_at"],
    )


def _intent(row: Row[*tuple[object, ...]]) -> Intent:
    found = row._mapping  # noqa: SLF001 -- as above
    signed = None
    if found["data"] is not None:
        signed = Signed(
            tx_hash=CryptoHash(found["tx_hash"]),
            data=found["data"],
            public_key=PublicKey(found["public_key"]),
            nonce=int(found["nonce"]),
            reference_hash=CryptoHash(found["reference_hash"]),
            reference_height=found["reference_height"],
        )
    return Intent(
        intent_id=found["intent_id"],
        request_id=found["request_id"],
        step=found["step"],
        chain_id=found["chain_id"],
        signer_id=AccountId(found["signer_id"]),
        call=CALL.validate_json(found["call"]),
        calls_hash=found["calls_hash"],
        state=STATE.validate_python(found["state"]),
        created_at=found["created_at"],
        updated_at=found["updated_at"],
        grant_id=found["grant_id"],
        signed=signed,
        expected=EFFECTS.validate_json(found["expected"]),
        outcome=None if found["outcome"] is None else OUTCOME.validate_json(found["outcome"]),
    )
