"""Lanes in SQL: the highest nonce of each, its baseline, and uses of a key that were not ours."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.tables import CARDS, FOREIGN_USES, INTENTS, NONCES, SIGNED_MESSAGES
from contracts.chain.ledger import ForeignUse, IntentState, Lane, LaneRecord, SeenNonce
from contracts.chain.nonce import Finding, check_ours, explain, may_adopt
from contracts.errors import LedgerConflict
from contracts.types import AccountId, PublicKey

NONCE_DIGITS: Final = 20
STATE: Final[TypeAdapter[IntentState]] = TypeAdapter(IntentState)

_ADD_NONCE = upsert(NONCES)
_RAISE_NONCE = _ADD_NONCE.on_conflict_do_update(
    index_elements=[NONCES.c.chain_id, NONCES.c.signer_id, NONCES.c.public_key],
    set_={"nonce": _ADD_NONCE.excluded.nonce},
)
_SET_BASELINE = _ADD_NONCE.on_conflict_do_update(
    index_elements=[NONCES.c.chain_id, NONCES.c.signer_id, NONCES.c.public_key],
    set_={
        "nonce": _ADD_NONCE.excluded.nonce,
        "baseline": _ADD_NONCE.excluded.baseline,
        "baseline_height": _ADD_NONCE.excluded.baseline_height,
    },
)

# Built once: these run before each signature, and in each transaction that stores one.
_LANES = select(
    NONCES.c.signer_id,
    NONCES.c.public_key,
    NONCES.c.nonce,
    NONCES.c.baseline,
    NONCES.c.baseline_height,
    FOREIGN_USES.c.known_nonce,
    FOREIGN_USES.c.chain_nonce,
    FOREIGN_USES.c.found_at,
).select_from(
    NONCES.outerjoin(
        FOREIGN_USES,
        and_(
            FOREIGN_USES.c.chain_id == NONCES.c.chain_id,
            FOREIGN_USES.c.signer_id == NONCES.c.signer_id,
            FOREIGN_USES.c.public_key == NONCES.c.public_key,
            FOREIGN_USES.c.acknowledged_at.is_(None),
        ),
    )
)
_OF_CHAIN = _LANES.where(NONCES.c.chain_id == bindparam("chain_id")).order_by(NONCES.c.signer_id, NONCES.c.public_key)
_OF_ACCOUNT = _OF_CHAIN.where(NONCES.c.signer_id == bindparam("signer_id"))
_READ = _OF_ACCOUNT.where(NONCES.c.public_key == bindparam("public_key"))
_AT_NONCE = select(INTENTS.c.intent_id, INTENTS.c.state).where(
    and_(
        INTENTS.c.chain_id == bindparam("chain_id"),
        INTENTS.c.signer_id == bindparam("signer_id"),
        INTENTS.c.public_key == bindparam("key"),
        INTENTS.c.nonce == bindparam("nonce"),
        func.ifnull(INTENTS.c.nonce_index, -1) == bindparam("nonce_index"),
    )
)
_DELEGATES = select(literal(1)).where(
    and_(
        SIGNED_MESSAGES.c.kind == "delegate",
        SIGNED_MESSAGES.c.chain_id == bindparam("chain_id"),
        SIGNED_MESSAGES.c.signer_id == bindparam("signer_id"),
        SIGNED_MESSAGES.c.public_key == bindparam("key"),
        SIGNED_MESSAGES.c.nonce == bindparam("digits"),
    )
)


def nonce_text(nonce: int) -> str:
    """Padded with zeros, so that text order is number order."""
    return str(nonce).zfill(NONCE_DIGITS)


def read_lane(connection: Connection, lane: Lane) -> LaneRecord:
    return _read(connection, lane) or LaneRecord(0)


def _read(connection: Connection, lane: Lane) -> LaneRecord | None:
    row = connection.execute(_READ, _key(lane)).first()
    return None if row is None else _record(row)


def _record(row: Row[*tuple[Any, ...]]) -> LaneRecord:
    foreign = None
    if row.found_at is not None:
        foreign = ForeignUse(int(row.known_nonce), int(row.chain_nonce), row.found_at)
    return LaneRecord(int(row.nonce), foreign, int(row.baseline or 0), int(row.baseline_height or 0))


def read_lanes(
    connection: Connection, chain_id: str, signer_id: AccountId | None = None
) -> list[tuple[Lane, LaneRecord]]:
    if signer_id is None:
        rows = connection.execute(_OF_CHAIN, {"chain_id": chain_id})
    else:
        rows = connection.execute(_OF_ACCOUNT, {"chain_id": chain_id, "signer_id": str(signer_id)})
    return [(_lane(chain_id, row.signer_id, row.public_key), _record(row)) for row in rows]


def read_blocked(connection: Connection) -> list[tuple[Lane, ForeignUse]]:
    """Lanes of every chain that wait for a person, oldest first."""
    rows = connection.execute(
        select(FOREIGN_USES).where(FOREIGN_USES.c.acknowledged_at.is_(None)).order_by(FOREIGN_USES.c.seq)
    )
    return [
        (
            _lane(row.chain_id, row.signer_id, row.public_key),
            ForeignUse(int(row.known_nonce), int(row.chain_nonce), row.found_at),
        )
        for row in rows
    ]


def take_nonce(connection: Connection, lane: Lane, nonce: int) -> None:
    """Raise a lane's nonce. LedgerConflict `nonce_taken` where it is not above the last, `key_blocked` for the account."""
    check_account(connection, lane.chain_id, lane.signer_id)
    known = read_lane(connection, lane)
    if nonce <= known.nonce:
        raise LedgerConflict(
            "nonce_taken",
            f"nonce {nonce} of {lane.name} ({lane.signer_id}) is not above {known.nonce}: another process took it; ask again",
            details={"nonce": str(nonce), "last": str(known.nonce), "public_key": str(lane.public_key)},
        )
    connection.execute(_RAISE_NONCE, {**_key(lane), "nonce": nonce_text(nonce)})


def check_account(connection: Connection, chain_id: str, signer_id: AccountId) -> None:
    """LedgerConflict `key_blocked` where something else has used any lane of the account."""
    for lane, record in read_lanes(connection, chain_id, signer_id):
        check_ours(lane, record)


def judge(connection: Connection, seen: Sequence[SeenNonce]) -> list[LaneRecord] | None:
    """Return the answer of `observe` if it has nothing to store; else None."""
    found: list[LaneRecord] = []
    for one in seen:
        known = _read(connection, one.lane)
        if known is None:
            return None
        finding, doubt = _explain(connection, one, known)
        if finding == "foreign" and known.foreign is None:
            return None
        found.append(replace(known, in_doubt=doubt))
    return found


def observe(connection: Connection, seen: Sequence[SeenNonce], now: float) -> list[LaneRecord]:
    """See `contracts.chain.ledger.Ledger.observe`."""
    accounts = {(one.lane.chain_id, one.lane.signer_id) for one in seen}
    new = {account for account in accounts if not _has_traces(connection, *account)}
    return [_observe(connection, one, now, (one.lane.chain_id, one.lane.signer_id) in new) for one in seen]


def _observe(connection: Connection, seen: SeenNonce, now: float, account_is_new: bool) -> LaneRecord:  # noqa: FBT001
    lane = seen.lane
    known = _read(connection, lane)
    if known is None:
        if may_adopt(seen.nonce, account_is_new=account_is_new):
            _set_baseline(connection, seen, nonce=seen.nonce)
            return read_lane(connection, lane)
        connection.execute(_RAISE_NONCE, {**_key(lane), "nonce": nonce_text(0)})
        known, finding, doubt = LaneRecord(0), "foreign", None
    else:
        finding, doubt = _explain(connection, seen, known)
    if finding == "foreign" and known.foreign is None:
        use = {
            **_key(lane),
            "known_nonce": nonce_text(known.nonce),
            "chain_nonce": nonce_text(seen.nonce),
            "found_at": now,
        }
        connection.execute(insert(FOREIGN_USES), use)
        known = replace(known, foreign=ForeignUse(known.nonce, seen.nonce, now))
    return replace(known, in_doubt=doubt)


def _explain(connection: Connection, seen: SeenNonce, known: LaneRecord) -> tuple[Finding, str | None]:
    """The verdict of the rule on a nonce, with the intent that is in doubt."""
    if seen.nonce <= known.baseline:
        return "explained", None
    lane = seen.lane
    at: dict[str, object] = {
        "chain_id": lane.chain_id,
        "signer_id": str(lane.signer_id),
        "key": str(lane.public_key),
        "nonce": nonce_text(seen.nonce),
        "nonce_index": -1 if lane.nonce_index is None else lane.nonce_index,
    }
    rows = connection.execute(_AT_NONCE, at)
    ours: dict[str, IntentState] = {row.intent_id: STATE.validate_python(row.state) for row in rows}
    finding = explain(seen.nonce, known.baseline, ours.values())
    if finding == "foreign" and lane.nonce_index is None:
        # A delegate action that a relayer has sent: its nonce is ours, and its transaction is not.
        relayed = {"digits": str(seen.nonce), **{name: at[name] for name in ("chain_id", "signer_id", "key")}}
        finding = "explained" if connection.execute(_DELEGATES, relayed).first() else finding
    if finding != "in_doubt":
        return finding, None
    return finding, next(name for name, state in ours.items() if explain(1, 0, [state]) == "in_doubt")


def _has_traces(connection: Connection, chain_id: str, signer_id: AccountId) -> bool:
    """Whether anything here was ever about the account, so that an unseen lane of it is no first sight."""
    whose: dict[str, object] = {"chain_id": chain_id, "signer_id": str(signer_id)}
    of_tables = (
        select(literal(1)).where(and_(*(table.c[name] == value for name, value in whose.items()))).limit(1)
        for table in (NONCES, INTENTS, SIGNED_MESSAGES)
    )
    of_cards = select(literal(1)).where(_cards_of(chain_id, signer_id)).limit(1)
    return any(connection.execute(query).first() is not None for query in (*of_tables, of_cards))


def acknowledge(connection: Connection, seen: Sequence[SeenNonce], now: float) -> int:
    """See `contracts.chain.ledger.Ledger.acknowledge`."""
    for one in seen:
        connection.execute(
            update(FOREIGN_USES)
            .where(and_(_of(one.lane, FOREIGN_USES), FOREIGN_USES.c.acknowledged_at.is_(None)))
            .values(acknowledged_at=now)
        )
        known = read_lane(connection, one.lane)
        if one.nonce >= known.baseline:
            _set_baseline(connection, one, nonce=max(one.nonce, known.nonce))
    voided = 0
    for chain_id, signer_id in {(one.lane.chain_id, one.lane.signer_id) for one in seen}:
        waiting = and_(CARDS.c.status == "pending", _cards_of(chain_id, signer_id))
        voided += connection.execute(update(CARDS).where(waiting).values(status="cancelled", resolved_at=now)).rowcount
    return voided


def acknowledged_since(connection: Connection, chain_id: str, signer_id: AccountId, since: float) -> bool:
    """Whether a foreign use of a key of the account was acknowledged at or after `since`."""
    query = (
        select(literal(1))
        .where(
            and_(
                FOREIGN_USES.c.chain_id == chain_id,
                FOREIGN_USES.c.signer_id == str(signer_id),
                FOREIGN_USES.c.acknowledged_at >= since,
            )
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def _cards_of(chain_id: str, signer_id: AccountId) -> ColumnElement[bool]:
    """A damaged card may be the account's. `CASE` asks in order, and `json_extract` fails on what is no JSON."""
    mine = and_(
        func.json_extract(CARDS.c.card, "$.chain_id") == chain_id,
        func.json_extract(CARDS.c.card, "$.signer_id") == str(signer_id),
    )
    return case((func.json_valid(CARDS.c.card) == 0, true()), else_=mine)


def _set_baseline(connection: Connection, seen: SeenNonce, *, nonce: int) -> None:
    baseline = {"baseline": nonce_text(seen.nonce), "baseline_height": seen.height}
    connection.execute(_SET_BASELINE, {**_key(seen.lane), "nonce": nonce_text(nonce), **baseline})


def _key(lane: Lane) -> dict[str, object]:
    return {"chain_id": lane.chain_id, "signer_id": str(lane.signer_id), "public_key": lane.name}


def _of(lane: Lane, table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[column] == value for column, value in _key(lane).items()))


def _lane(chain_id: str, signer_id: str, name: str) -> Lane:
    key, _, index = name.partition("#")
    return Lane(chain_id, AccountId(signer_id), PublicKey(key), int(index) if index else None)
