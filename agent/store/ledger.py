"""The ledger in SQL (DESIGN law 2): each method is one durable transaction, each conflict leaves nothing behind."""

import json
from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, and_, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from agent.store import budgets, lanes, messages
from agent.store.budgets import LatestTime
from agent.store.database import Database
from agent.store.tables import GRANT_STEPS, GRANTS, INTENTS
from contracts.calls import ChangeCall, Grant
from contracts.chain.budget import Reservation
from contracts.chain.ledger import (
    UNSETTLED,
    ForeignUse,
    Intent,
    IntentState,
    Lane,
    LaneRecord,
    SeenNonce,
    Signed,
    SignedMessage,
    check_transition,
)
from contracts.chain.outcome import Effect, Outcome
from contracts.errors import LedgerConflict
from contracts.types import AccountId, CryptoHash, PublicKey

CALL: Final[TypeAdapter[ChangeCall]] = TypeAdapter(ChangeCall)
OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Outcome)
EFFECTS: Final[TypeAdapter[tuple[Effect, ...]]] = TypeAdapter(tuple[Effect, ...])
_BY_GRANT: Final = ("approved", "signed")
"""States that only `approve` and `store_signed` give, with a grant (DESIGN law 3)."""
_EXECUTED: Final = ("final", "failed")

# Statements of every transaction are built once: building one takes three times as long as running it. An update without
# values sets the columns that the parameters name.
_IT: Final = INTENTS.c.intent_id == bindparam("wanted")
_THE_STEP: Final = and_(
    GRANT_STEPS.c.grant_id == bindparam("of_grant"), GRANT_STEPS.c.intent_id == bindparam("of_intent")
)
_GET: Final = select(INTENTS).where(_IT)
_STANDING: Final = select(INTENTS.c.state, INTENTS.c.outcome).where(_IT)
_TO_SIGN: Final = select(INTENTS.c.state, INTENTS.c.chain_id, INTENTS.c.signer_id, INTENTS.c.fences).where(_IT)
_SET: Final = update(INTENTS).where(_IT)
_ADD: Final = insert(INTENTS)
_GRANT: Final = insert(GRANTS)
_COVER: Final = insert(GRANT_STEPS)
_STEP: Final = (
    select(GRANT_STEPS.c.consumed_at, GRANTS.c.expires_at, GRANTS.c.voided_at)
    .join(GRANTS, GRANTS.c.grant_id == GRANT_STEPS.c.grant_id)
    .where(_THE_STEP)
)
_CONSUME: Final = update(GRANT_STEPS).where(_THE_STEP)


class SqlLedger:
    """Implements `contracts.chain.ledger.Ledger`."""

    def __init__(self, database: Database, latest: LatestTime) -> None:
        self._database = database
        self._latest = latest

    async def create(self, intents: Sequence[Intent]) -> None:
        """Store new intents in state `planned`. LedgerConflict `intent_exists` for an id that is taken."""
        rows = [_new_row(intent) for intent in intents]
        if rows:
            await self._database.write(lambda c: _create(c, rows))

    async def approve(
        self, grant: Grant, intent_ids: Sequence[str], now: float, reservation: Reservation | None = None
    ) -> None:
        """Store the grant, draw on its budgets, `planned` -> `approved`; all or nothing.

        LedgerConflict `grant_used` for a known grant id, `state_moved`, `over_budget`.
        """
        await self._database.write(lambda c: _approve(c, grant, intent_ids, now, reservation))

    async def begin(
        self, grant: Grant, intents: Sequence[Intent], now: float, reservation: Reservation | None = None
    ) -> None:
        """`create` and `approve` in one transaction, with their conflicts."""
        granted = {"state": "approved", "grant_id": grant.grant_id, "updated_at": now}
        rows = [_new_row(intent) | granted for intent in intents]
        intent_ids = [intent.intent_id for intent in intents]

        def run(connection: Connection) -> None:
            _grant_once(connection, grant, now)
            _create(connection, rows)
            connection.execute(
                _COVER, [{"grant_id": grant.grant_id, "intent_id": intent_id} for intent_id in intent_ids]
            )
            if reservation is not None:
                budgets.reserve(connection, reservation, grant.chain_id, grant.signer_id, intent_ids)

        await self._database.write(run)

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        """Consume the grant's step, raise the nonce, keep the bytes, `approved` -> `signed`; all or nothing.

        LedgerConflict `grant_used` (also where the grant does not cover the intent), `grant_expired`, `grant_void`,
        `state_moved`, `nonce_taken`, `key_blocked` or `fence_void`.
        """
        await self._database.write(lambda c: _store_signed(c, intent_id, grant_id, signed, now))

    async def move(self, intent_id: str, to: IntentState, now: float, outcome: Outcome | None = None) -> None:
        """Along TRANSITIONS; to the state it has: allowed, the first outcome stays. LedgerConflict `state_moved`."""
        text = None if outcome is None else OUTCOME.dump_json(outcome).decode()

        def run(connection: Connection) -> None:
            _move(connection, intent_id, to, now, text)
            budgets.settle(connection, intent_id, to, outcome, self._latest.at(now))

        await self._database.write(run)

    async def get(self, intent_id: str) -> Intent | None:
        row = await self._database.look(lambda c: c.execute(_GET, {"wanted": intent_id}).first())
        return None if row is None else _intent(row)

    async def grant(self, grant_id: str) -> Grant | None:
        query = select(GRANTS).where(GRANTS.c.grant_id == grant_id)
        row = await self._database.look(lambda c: c.execute(query).first())
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
        return (await self.lane(Lane(chain_id, signer_id, public_key))).nonce

    async def lane(self, lane: Lane) -> LaneRecord:
        return await self._database.look(lambda c: lanes.read_lane(c, lane))

    async def lanes(self, chain_id: str, signer_id: AccountId | None = None) -> list[tuple[Lane, LaneRecord]]:
        return await self._database.look(lambda c: lanes.read_lanes(c, chain_id, signer_id))

    async def store_message(self, message: SignedMessage, grant: Grant, now: float) -> None:
        """Store the grant as used by this message, take a delegate's nonce, keep the signature; all or nothing.

        LedgerConflict `grant_used`, `grant_expired`, `message_exists`, `nonce_taken` or `key_blocked`.
        """
        await self._database.write(lambda c: _store_message(c, message, grant, now))

    async def messages_of(self, request_id: str) -> list[SignedMessage]:
        """What was signed for a request beside transactions."""
        return await self._database.read(lambda c: messages.read_messages(c, request_id))

    async def blocked(self) -> list[tuple[Lane, ForeignUse]]:
        """Lanes that something else has used and nobody acknowledged, oldest first."""
        return await self._database.read(lanes.read_blocked)

    async def observe(self, seen: Sequence[SeenNonce], now: float) -> list[LaneRecord]:
        """Store baselines of lanes that were never seen; block those that something else has used."""
        judged = await self._database.look(lambda c: lanes.judge(c, seen))
        return judged if judged is not None else await self._database.write(lambda c: lanes.observe(c, seen, now))

    async def acknowledge(self, seen: Sequence[SeenNonce], now: float) -> int:
        """Set baselines, end the foreign uses, cancel the accounts' pending cards; how many those were."""
        return await self._database.write(lambda c: lanes.acknowledge(c, seen, now))

    async def acknowledged_since(self, chain_id: str, signer_id: AccountId, since: float) -> bool:
        """Whether a person acknowledged a foreign use of the account at or after `since` (Unix seconds)."""
        return await self._database.look(lambda c: lanes.acknowledged_since(c, chain_id, signer_id, since))

    async def executed_from(self, lane: Lane, nonce: int) -> list[Intent]:
        """Executed intents of the lane with this nonce or a higher one, lowest first."""
        at_or_past = and_(
            INTENTS.c.chain_id == lane.chain_id,
            INTENTS.c.signer_id == str(lane.signer_id),
            INTENTS.c.public_key == str(lane.public_key),
            INTENTS.c.nonce_index.is_not_distinct_from(lane.nonce_index),
            INTENTS.c.nonce >= lanes.nonce_text(nonce),
            INTENTS.c.state.in_(_EXECUTED),
        )
        return await self._many(select(INTENTS).where(at_or_past).order_by(INTENTS.c.nonce, INTENTS.c.seq).limit(2))

    async def fences_of(self, intent_id: str) -> list[Intent]:
        return await self._many(select(INTENTS).where(INTENTS.c.fences == intent_id).order_by(INTENTS.c.seq))

    async def _one(self, query: Select[*tuple[object, ...]]) -> Intent | None:
        row = await self._database.look(lambda c: c.execute(query).first())
        return None if row is None else _intent(row)

    async def _many(self, query: Select[*tuple[object, ...]]) -> list[Intent]:
        return await self._database.read(lambda c: [_intent(row) for row in c.execute(query)])


def _create(connection: Connection, rows: list[dict[str, object]]) -> None:
    try:
        connection.execute(_ADD, rows)
    except IntegrityError as error:
        ids = [str(row["intent_id"]) for row in rows]
        raise LedgerConflict(
            "intent_exists",
            f"one of the intents {', '.join(ids)} is stored already; make a new id",
            details={"intent_ids": [*ids]},
        ) from error


def _grant_once(connection: Connection, grant: Grant, now: float) -> None:
    try:
        connection.execute(_GRANT, _grant_row(grant, now))
    except IntegrityError as error:
        raise _used(grant.grant_id, "is stored already; an approval counts once") from error


def _approve(
    connection: Connection, grant: Grant, intent_ids: Sequence[str], now: float, reservation: Reservation | None
) -> None:
    _grant_once(connection, grant, now)
    for intent_id in intent_ids:
        approved = connection.execute(
            update(INTENTS)
            .where(and_(INTENTS.c.intent_id == intent_id, INTENTS.c.state == "planned"))
            .values(state="approved", grant_id=grant.grant_id, updated_at=now)
        )
        if approved.rowcount != 1:
            raise _moved(intent_id, _state(connection, intent_id), "approved")
        connection.execute(_COVER, {"grant_id": grant.grant_id, "intent_id": intent_id})
    if reservation is not None:
        budgets.reserve(connection, reservation, grant.chain_id, grant.signer_id, intent_ids)


def _store_signed(connection: Connection, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
    step = connection.execute(_STEP, {"of_grant": grant_id, "of_intent": intent_id}).first()
    if step is None:
        raise _used(grant_id, f"does not cover intent {intent_id}; ask for an approval")
    if step.consumed_at is not None:
        raise _used(grant_id, f"was used for intent {intent_id}; look at what became of it")
    if step.voided_at is not None:
        raise LedgerConflict(
            "grant_void",
            f"grant {grant_id} was given before the ledger was restored from a backup; ask for a new approval",
            details={"grant_id": grant_id, "intent_id": intent_id},
        )
    if now >= step.expires_at:
        raise LedgerConflict(
            "grant_expired",
            f"grant {grant_id} expired {now - step.expires_at:.0f} s ago; ask for a new approval",
            details={"grant_id": grant_id, "intent_id": intent_id},
        )
    intent = connection.execute(_TO_SIGN, {"wanted": intent_id}).one()
    if intent.state != "approved":
        raise _moved(intent_id, intent.state, "signed")
    if intent.fences is None:
        lane = Lane(intent.chain_id, AccountId(intent.signer_id), signed.public_key, signed.nonce_index)
        lanes.take_nonce(connection, lane, signed.nonce)
    else:
        _check_fence(connection, intent_id, intent.fences, signed)
    connection.execute(_CONSUME, {"of_grant": grant_id, "of_intent": intent_id, "consumed_at": now})
    bytes_of = {
        "wanted": intent_id,
        "state": "signed",
        "updated_at": now,
        "tx_hash": str(signed.tx_hash),
        "data": signed.data,
        "public_key": str(signed.public_key),
        "nonce": lanes.nonce_text(signed.nonce),
        "nonce_index": signed.nonce_index,
        "reference_hash": str(signed.reference_hash),
        "reference_height": signed.reference_height,
    }
    connection.execute(_SET, bytes_of)


def _check_fence(connection: Connection, intent_id: str, fenced: str, signed: Signed) -> None:
    """A fence has the key and nonce of an intent that is still open."""
    target = connection.execute(select(INTENTS).where(INTENTS.c.intent_id == fenced)).first()
    found = None if target is None else _intent(target)
    if (
        found is None
        or found.signed is None
        or found.state not in UNSETTLED
        or (found.signed.public_key, found.signed.nonce_index, found.signed.nonce)
        != (signed.public_key, signed.nonce_index, signed.nonce)
    ):
        raise LedgerConflict(
            "fence_void",
            f"intent {fenced} is not open any more, or has another key or nonce: the fence {intent_id} is not needed",
            details={"intent_id": intent_id, "fences": fenced},
        )


def _move(connection: Connection, intent_id: str, to: IntentState, now: float, outcome: str | None) -> None:
    row = connection.execute(_STANDING, {"wanted": intent_id}).first()
    if row is None:
        raise _moved(intent_id, None, to)
    state = lanes.STATE.validate_python(row.state)
    check_transition(intent_id, state, to)
    if state != to and to in _BY_GRANT:
        raise _moved(intent_id, state, to)
    if state == to and (row.outcome is not None or outcome is None):
        return
    connection.execute(_SET, {"wanted": intent_id, "state": to, "updated_at": now, "outcome": outcome})


def _store_message(connection: Connection, message: SignedMessage, grant: Grant, now: float) -> None:
    if now >= grant.expires_at:
        raise LedgerConflict("grant_expired", f"grant {grant.grant_id} has expired; ask for a new approval")
    try:
        connection.execute(_GRANT, _grant_row(grant, now))
    except IntegrityError as error:
        raise _used(grant.grant_id, "is stored already; an approval counts once") from error
    messages.store_message(connection, message, grant.grant_id, now)


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
        "fences": intent.fences,
        "codes": json.dumps(dict(intent.codes)),
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
            nonce_index=found["nonce_index"],
        )
    return Intent(
        intent_id=found["intent_id"],
        request_id=found["request_id"],
        step=found["step"],
        chain_id=found["chain_id"],
        signer_id=AccountId(found["signer_id"]),
        call=CALL.validate_json(found["call"]),
        calls_hash=found["calls_hash"],
        state=lanes.STATE.validate_python(found["state"]),
        created_at=found["created_at"],
        updated_at=found["updated_at"],
        grant_id=found["grant_id"],
        signed=signed,
        expected=EFFECTS.validate_json(found["expected"]),
        outcome=None if found["outcome"] is None else OUTCOME.validate_json(found["outcome"]),
        fences=found["fences"],
        review=found["review"],
        codes=tuple((AccountId(name), CryptoHash(code)) for name, code in json.loads(found["codes"] or "{}").items()),
    )
