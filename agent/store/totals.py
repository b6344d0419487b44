"""What was spent, as running totals: a window's sum is the difference of two of them, however much was spent in it.

Each signer, token and way of counting has a chain of totals whose times rise. A total is text of decimal digits, because
sums pass 64 bits; it is added up in Python, exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, bindparam, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.tables import SPENT_TOTALS

EVERYBODY: Final = ""
"""In place of an identity: whoever signs as the account."""
_HALVINGS: Final = 24
"""Of a window, to find a moment in it: a week comes down to a twentieth of a second."""


@dataclass(frozen=True, slots=True)
class Series:
    """One chain of totals."""

    chain_id: str
    signer_id: str
    token: str
    whose: str = EVERYBODY
    """An identity, or EVERYBODY."""
    free: bool = False
    """Only what went out under the free allowance."""

    @property
    def values(self) -> dict[str, object]:
        return {
            "on_chain": self.chain_id,
            "of_signer": self.signer_id,
            "of_token": self.token,
            "of_whose": self.whose,
            "of_free": self.free,
        }


def add(connection: Connection, signer: Mapping[str, str], token: str, units: int, *, free: bool, at: float) -> None:
    """Count what an identity of the signer (`chain_id`, `signer_id`, `identity`) has spent, everywhere it counts.

    It is dated no earlier than what was counted before, so that totals rise with their times.
    """
    chain_id, signer_id, identity = signer["chain_id"], signer["signer_id"], signer["identity"]
    at = max(at, newest(connection, Series(chain_id, signer_id, token)))
    for whose in (EVERYBODY, identity):
        for only_free in (False, True) if free else (False,):
            series = Series(chain_id, signer_id, token, whose, only_free)
            total = total_at(connection, series, at) + units
            row = {"chain_id": chain_id, "signer_id": signer_id, "token": token, "whose": whose, "free": only_free}
            connection.execute(_ADD, {**row, "at": at, "total": str(total)})


def newest(connection: Connection, series: Series) -> float:
    """When the last of it was spent; 0 where nothing was."""
    found: float | None = connection.execute(_NEWEST, series.values).scalar()
    return found or 0.0


def total_at(connection: Connection, series: Series, at: float) -> int:
    """Everything that was ever spent up to and at that time."""
    found: str | None = connection.execute(_UP_TO, {**series.values, "until": at}).scalar()
    return int(found or 0)


def reached_at(connection: Connection, series: Series, total: int, after: float, until: float) -> float:
    """When, between two times, the total came to this much; a little late rather than early."""
    for _ in range(_HALVINGS):
        middle = (after + until) / 2
        if total_at(connection, series, middle) >= total:
            until = middle
        else:
            after = middle
    return until


_COLUMNS: Final = SPENT_TOTALS.c
_SERIES: Final = and_(
    _COLUMNS.chain_id == bindparam("on_chain"),
    _COLUMNS.signer_id == bindparam("of_signer"),
    _COLUMNS.token == bindparam("of_token"),
    _COLUMNS.whose == bindparam("of_whose"),
    _COLUMNS.free == bindparam("of_free"),
)
_NEWEST: Final = select(_COLUMNS.at).where(_SERIES).order_by(_COLUMNS.at.desc()).limit(1)
_UP_TO: Final = (
    select(_COLUMNS.total).where(and_(_SERIES, _COLUMNS.at <= bindparam("until"))).order_by(_COLUMNS.at.desc()).limit(1)
)
_INSERT: Final = upsert(SPENT_TOTALS)
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=[*SPENT_TOTALS.primary_key.columns], set_={"total": _INSERT.excluded.total}
)
