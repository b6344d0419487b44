"""Lanes in SQL: the highest nonce of each, and uses of a key that were not ours."""

from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.tables import FOREIGN_USES, NONCES
from contracts.chain.ledger import ForeignUse, Lane, LaneRecord
from contracts.chain.nonce import check_ours
from contracts.errors import LedgerConflict
from contracts.types import AccountId, PublicKey

NONCE_DIGITS: Final = 20

_ADD_NONCE = upsert(NONCES)
_RAISE_NONCE = _ADD_NONCE.on_conflict_do_update(
    index_elements=[NONCES.c.chain_id, NONCES.c.signer_id, NONCES.c.public_key],
    set_={"nonce": _ADD_NONCE.excluded.nonce},
)


_READ = (
    # Built once: it runs before each signature and in each transaction that stores one.
    select(NONCES.c.nonce, FOREIGN_USES.c.known_nonce, FOREIGN_USES.c.chain_nonce, FOREIGN_USES.c.found_at)
    .select_from(
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
    .where(
        and_(
            NONCES.c.chain_id == bindparam("chain_id"),
            NONCES.c.signer_id == bindparam("signer_id"),
            NONCES.c.public_key == bindparam("public_key"),
        )
    )
)


def nonce_text(nonce: int) -> str:
    """Padded with zeros, so that text order is number order."""
    return str(nonce).zfill(NONCE_DIGITS)


def read_lane(connection: Connection, lane: Lane) -> LaneRecord:
    return _read(connection, lane) or LaneRecord(0)


def _read(connection: Connection, lane: Lane) -> LaneRecord | None:
    row = connection.execute(_READ, _key(lane)).first()
    if row is None:
        return None
    foreign = None
    if row.found_at is not None:
        foreign = ForeignUse(int(row.known_nonce), int(row.chain_nonce), row.found_at)
    return LaneRecord(int(row.nonce), foreign)


def read_lanes(connection: Connection, chain_id: str) -> list[tuple[Lane, LaneRecord]]:
    rows = connection.execute(
        select(NONCES.c.signer_id, NONCES.c.public_key)
        .where(NONCES.c.chain_id == chain_id)
        .order_by(NONCES.c.signer_id, NONCES.c.public_key)
    )
    lanes = [_lane(chain_id, row.signer_id, row.public_key) for row in rows]
    return [(lane, read_lane(connection, lane)) for lane in lanes]


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
    """Raise a lane's nonce. LedgerConflict `nonce_taken` where it is not above the last, `key_blocked`."""
    known = read_lane(connection, lane)
    check_ours(lane, known)
    if nonce <= known.nonce:
        raise LedgerConflict(
            "nonce_taken",
            f"nonce {nonce} of {lane.name} ({lane.signer_id}) is not above {known.nonce}: another process took it; ask again",
            details={"nonce": str(nonce), "last": str(known.nonce), "public_key": str(lane.public_key)},
        )
    _raise(connection, lane, nonce)


def observe(connection: Connection, lane: Lane, chain_nonce: int, now: float) -> LaneRecord:
    """See `contracts.chain.ledger.Ledger.observe`."""
    known = _read(connection, lane)
    if known is None:
        _raise(connection, lane, chain_nonce)
        return LaneRecord(chain_nonce)
    if chain_nonce <= known.nonce or known.foreign is not None:
        return known
    connection.execute(
        insert(FOREIGN_USES),
        {
            **_key(lane),
            "known_nonce": nonce_text(known.nonce),
            "chain_nonce": nonce_text(chain_nonce),
            "found_at": now,
        },
    )
    return replace(known, foreign=ForeignUse(known.nonce, chain_nonce, now))


def acknowledge(connection: Connection, lane: Lane, chain_nonce: int, now: float) -> None:
    """See `contracts.chain.ledger.Ledger.acknowledge`."""
    connection.execute(
        update(FOREIGN_USES)
        .where(and_(_of(lane, FOREIGN_USES), FOREIGN_USES.c.acknowledged_at.is_(None)))
        .values(acknowledged_at=now)
    )
    _raise(connection, lane, max(chain_nonce, read_lane(connection, lane).nonce))


def _raise(connection: Connection, lane: Lane, nonce: int) -> None:
    connection.execute(_RAISE_NONCE, {**_key(lane), "nonce": nonce_text(nonce)})


def _key(lane: Lane) -> dict[str, object]:
    return {"chain_id": lane.chain_id, "signer_id": str(lane.signer_id), "public_key": lane.name}


def _of(lane: Lane, table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[column] == value for column, value in _key(lane).items()))


def _lane(chain_id: str, signer_id: str, name: str) -> Lane:
    key, _, index = name.partition("#")
    return Lane(chain_id, AccountId(signer_id), PublicKey(key), int(index) if index else None)
