"""What was spent, as running totals: a window's sum is the difference of two of them, however much was spent in it.

Each signer, token and way of counting has a chain of totals whose times rise. A total is text of decimal digits, because
sums pass 64 bits; it is added up in Python, exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    and_,
    bindparam,
    literal,
    select,
    union_all,
)
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
    of_token = {"chain_id": signer["chain_id"], "signer_id": signer["signer_id"], "token": token}
    series = [(whose, only_free) for whose in (EVERYBODY, signer["identity"]) for only_free in {False, free}]
    wanted = {"on_chain": signer["chain_id"], "of_signer": signer["signer_id"], "of_token": token}
    last = {(row.whose, row.free): row for row in connection.execute(_LAST, wanted | {"of_whose": signer["identity"]})}
    counted = last.get((EVERYBODY, False))
    at = at if counted is None else max(at, counted.at)
    connection.execute(
        _ADD,
        [
            of_token
            | {"whose": whose, "free": only_free, "at": at, "total": str(_total(last.get((whose, only_free))) + units)}
            for whose, only_free in series
        ],
    )


def _total(row: Row[Any] | None) -> int:
    return 0 if row is None else int(row.total)


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
_OF_TOKEN: Final = and_(
    _COLUMNS.chain_id == bindparam("on_chain"),
    _COLUMNS.signer_id == bindparam("of_signer"),
    _COLUMNS.token == bindparam("of_token"),
)
_SERIES: Final = and_(
    _OF_TOKEN, _COLUMNS.whose == bindparam("of_whose"), _COLUMNS.free == bindparam("of_free", type_=Boolean)
)
NEWEST: Final = (
    select(_COLUMNS.at)
    .where(and_(_OF_TOKEN, _COLUMNS.whose == literal(EVERYBODY), _COLUMNS.free == literal(value=False)))
    .order_by(_COLUMNS.at.desc())
    .limit(1)
)
"""When the last of a token was spent; no row where nothing was. Binds `Series.values`."""
LAST_TOTAL: Final = select(_COLUMNS.total).where(_SERIES).order_by(_COLUMNS.at.desc()).limit(1)
"""Everything that was ever spent, as text; no row where nothing was. Binds `Series.values`."""


def _last(whose: ColumnElement[str], *, free: bool) -> Select[Any]:
    last = select(_COLUMNS.whose, _COLUMNS.free, _COLUMNS.at, _COLUMNS.total)
    last = last.where(and_(_OF_TOKEN, _COLUMNS.whose == whose, _COLUMNS.free == literal(free)))
    return select(last.order_by(_COLUMNS.at.desc()).limit(1).subquery())


_LAST: Final = union_all(
    *(
        _last(whose, free=free)
        for whose in (literal(EVERYBODY), bindparam("of_whose", type_=String))
        for free in (False, True)
    )
)
"""The last row of each chain that an identity's spending is counted in."""
_UP_TO: Final = (
    select(_COLUMNS.total).where(and_(_SERIES, _COLUMNS.at <= bindparam("until"))).order_by(_COLUMNS.at.desc()).limit(1)
)
_INSERT: Final = upsert(SPENT_TOTALS)
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=[*SPENT_TOTALS.primary_key.columns], set_={"total": _INSERT.excluded.total}
)
