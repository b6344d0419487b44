"""Budgets in SQL: what is reserved with a grant, and what became of it.

A reservation counts against every window for as long as its transaction is open, whatever its age: it may still be
executed at any time. It is replaced by what was really spent when the outcome is final, and released when the transaction
is proven dead or was never sent. So whatever is executed within a window was counted in it when the last of it was granted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, bindparam, func, insert, literal_column, select, update

from agent.store import dealings, totals
from agent.store.codes import note_code
from agent.store.database import Database
from agent.store.tables import SPENDING
from contracts.chain.budget import Budget, Reservation
from contracts.chain.effects import NEAR
from contracts.chain.ledger import IntentState
from contracts.chain.outcome import Execution, ExecutionFailed, Finalized, Outcome, PartiallyExecuted
from contracts.checks.policy import over_budget, wanted_of
from contracts.errors import LedgerConflict
from contracts.types import AccountId

DIGITS: Final = 39
"""Of u128."""
MAX_AHEAD_S: Final = 7200.0
"""How far a block's time counts ahead of the clock: a node that invents a later one would end all windows."""
_DEAD: Final[frozenset[IntentState]] = frozenset({"expired", "fenced", "abandoned"})
_FINAL: Final[frozenset[IntentState]] = frozenset({"final", "failed"})


class LatestTime:
    """The latest final block's time that anybody has seen; a clock behind it is wrong."""

    def __init__(self) -> None:
        self._block_time = 0.0

    def note(self, block_time_ns: int | None) -> None:
        """A final block's time, in Unix nanoseconds."""
        if block_time_ns is not None:
            self._block_time = max(self._block_time, block_time_ns / 1e9)

    def at(self, now: float) -> float:
        """The later of the clock and the last final block's time; a node cannot move it on by more than MAX_AHEAD_S."""
        return max(now, min(self._block_time, now + MAX_AHEAD_S))


class BudgetStore:
    """What has been spent and reserved, and whom an account has dealt with."""

    def __init__(self, database: Database, latest: LatestTime) -> None:
        self._database = database
        self.latest = latest

    async def used(
        self, chain_id: str, signer_id: AccountId, identity: str, budgets: Sequence[Budget], at: float
    ) -> dict[str, int]:
        """What counts at this time against each budget, by its rule."""
        if not budgets:
            return {}
        return await self._database.look(
            lambda c: {budget.rule: _Account(c, chain_id, signer_id, identity).used(budget, at) for budget in budgets}
        )

    async def more_at(
        self, chain_id: str, signer_id: AccountId, identity: str, budget: Budget, wanted: int, at: float
    ) -> float | None:
        """When so much is free of a budget again, as far as that is known: Unix seconds."""
        return await self._database.read(
            lambda c: _Account(c, chain_id, signer_id, identity).more_at(budget, wanted, at)
        )

    async def known(self, chain_id: str, signer_id: AccountId, among: Sequence[str]) -> frozenset[str]:
        """Those of these accounts that this signer has paid or called with a final outcome."""
        return await self._database.look(lambda c: dealings.known_among(c, chain_id, signer_id, among))

    async def like(self, chain_id: str, signer_id: AccountId, strangers: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each stranger, the accounts this signer has dealt with that it could be taken for, and perhaps some others."""
        return await self._database.read(
            lambda c: {name: dealings.like(c, chain_id, signer_id, name) for name in strangers}
        )


def reserve(
    connection: Connection, reservation: Reservation, chain_id: str, signer_id: AccountId, intent_ids: Sequence[str]
) -> None:
    """Take the reservation out of its budgets. LedgerConflict `over_budget` where one has not enough left."""
    account = _Account(connection, chain_id, signer_id, reservation.identity)
    for budget in reservation.budgets:
        used = account.used(budget, reservation.at)
        wanted = wanted_of(reservation.spends, budget)
        if used + wanted > budget.units:
            more_at = account.more_at(budget, wanted, reservation.at)
            raise LedgerConflict(
                "over_budget",
                f"it is {over_budget(budget, used, wanted, more_at)}; nothing was sent",
                details={"rule": budget.rule, "used": str(used), "wanted": str(wanted), "limit": str(budget.units)},
            )
    newest = connection.execute(_NEWEST_OF_ALL, {"on_chain": chain_id, "of_signer": str(signer_id)}).scalar()
    at = max(reservation.at, newest or 0.0)  # dated by a clock that was set back, it would leave the window too early
    rows = [
        {
            "intent_id": intent_ids[spend.call],
            "chain_id": chain_id,
            "signer_id": str(signer_id),
            "identity": reservation.identity,
            "token": spend.token,
            "units": _text(spend.units),
            "free": reservation.free,
            "at": at,
            "state": "reserved",
            "payer_id": spend.payer_id,
        }
        for spend in reservation.spends
    ]
    if rows:
        connection.execute(_SPEND, rows)


def settle(connection: Connection, intent_id: str, state: IntentState, outcome: Outcome | None, now: float) -> None:
    """What an intent's new state means: its reservation is spent, released, or (unconfirmed and the like) left as it is."""
    if state in _DEAD:
        connection.execute(_RELEASE, {"of_intent": intent_id, "state": "released"})
    if state == "final":
        dealings.note_accounts(connection, intent_id)
        note_code(connection, intent_id)
    if state not in _FINAL:
        return
    for row in connection.execute(_RESERVED, {"of_intent": intent_id}).all():
        spent = _spent(row.token, int(row.units), row.payer_id, outcome)
        at = max(row.at, now)
        connection.execute(_SETTLE, {"of_seq": row.seq, "state": "spent", "units": _text(spent), "at": at})
        signer = {"chain_id": row.chain_id, "signer_id": row.signer_id, "identity": row.identity}
        totals.add(connection, signer, row.token, spent, free=row.free, at=at)


def _spent(token: str, reserved: int, payer_id: str | None, outcome: Outcome | None) -> int:
    """What a final transaction really took; where its effects do not say, what was reserved for it."""
    match outcome:
        case Finalized() | PartiallyExecuted() if payer_id is not None:
            return reserved  # the vote stands, and what it makes another account pay may come with a later one
        case Finalized(execution) | PartiallyExecuted(execution):
            return _lost(token, reserved, execution)
        case ExecutionFailed(execution) if payer_id is not None:
            return _decrease(token, payer_id, execution) or 0
        case ExecutionFailed(execution):
            # What its receipts did before the last one failed stays done.
            return _lost(token, reserved if token == NEAR else 0, execution)
        case _:
            return reserved


def _lost(token: str, reserved: int, execution: Execution) -> int:
    lost = _decrease(token, execution.signer_id, execution)
    if token == NEAR:
        return (lost or 0) + execution.tokens_burnt if execution.effects_complete else reserved
    return reserved if lost is None else lost


def _decrease(token: str, account_id: str, execution: Execution) -> int | None:
    """What an account lost of a token by the effects; None where they do not name it."""
    changes = [e.change for e in execution.effects if (e.account_id, e.token, e.token_id) == (account_id, token, None)]
    return max(0, -sum(changes)) if changes else None


@dataclass(frozen=True, slots=True)
class _Account:
    """What an account, or an identity that signs as it, has used up."""

    connection: Connection
    chain_id: str
    signer_id: str
    identity: str

    def used(self, budget: Budget, at: float) -> int:
        """What is reserved or was spent in the budget's window."""
        return sum(self._counted(budget, token, at).used for token in budget.counts)

    def more_at(self, budget: Budget, wanted: int, at: float) -> float | None:
        """When so much is free again by what leaves the window; None where no time is known at which it will be."""
        if any(self._counted(budget, token, at).used for token in budget.counts[1:]):
            return None  # two series leave the window each at its own times
        counted = self._counted(budget, budget.token, at)
        leaving = counted.used + wanted - budget.units
        if wanted > budget.units or leaving > counted.total - counted.before:
            return None
        reached = counted.before + leaving
        return (
            totals.reached_at(
                self.connection, self._series(budget, budget.token), reached, counted.since, counted.spent_at
            )
            + budget.window_s
        )

    def _counted(self, budget: Budget, token: str, at: float) -> "_Counted":
        series = self._series(budget, token)
        mine = {**series.values, "of_identity": self.identity}
        reserved_at, spent_at, total = self.connection.execute(_LATEST, mine).one()
        # A clock that jumped back frees nothing: the newest entry's time counts where it is later.
        since = max(at, reserved_at or 0.0, spent_at or 0.0) - budget.window_s
        before = totals.total_at(self.connection, series, since)
        rows = self.connection.execute(_OPEN[budget.scope == "identity", budget.free], mine).scalars()
        return _Counted(since, spent_at or 0.0, int(total or 0), before, sum(map(int, rows)))

    def _series(self, budget: Budget, token: str) -> totals.Series:
        whose = self.identity if budget.scope == "identity" else totals.EVERYBODY
        return totals.Series(self.chain_id, self.signer_id, token, whose, budget.free)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A budget's window, and the sums of its series."""

    since: float
    spent_at: float
    """When the last of the token was spent; 0 where nothing was."""
    total: int
    """Everything that was ever spent."""
    before: int
    """What of it was spent before the window."""
    reserved: int
    """Whenever that was."""

    @property
    def used(self) -> int:
        return self.total - self.before + self.reserved


# Built once: building a statement takes three times as long as running it.
_OF_SIGNER: Final = and_(SPENDING.c.chain_id == bindparam("on_chain"), SPENDING.c.signer_id == bindparam("of_signer"))
_NEWEST_OF_ALL: Final = select(func.max(SPENDING.c.at)).where(_OF_SIGNER)
_RESERVED_NOW: Final = SPENDING.c.state == literal_column("'reserved'")
"""Written out, because SQLite uses the index of what is reserved only where the query says so itself."""
_OPEN_OF_TOKEN: Final = and_(_OF_SIGNER, SPENDING.c.token == bindparam("of_token"), _RESERVED_NOW)
_LATEST: Final = select(
    select(func.max(SPENDING.c.at)).where(_OPEN_OF_TOKEN).scalar_subquery(),
    totals.NEWEST.scalar_subquery(),
    totals.LAST_TOTAL.scalar_subquery(),
)
"""When the newest reservation and the last spending of a token were, and a series' last total."""
_OPEN: Final = {
    (of_identity, free): select(SPENDING.c.units).where(
        and_(
            _OPEN_OF_TOKEN,
            *((SPENDING.c.identity == bindparam("of_identity"),) if of_identity else ()),
            *((SPENDING.c.free,) if free else ()),
        )
    )
    for of_identity in (True, False)
    for free in (True, False)
}
"""What is reserved, by whether a budget is each identity's own and whether it is of what needs no approval."""
_OF_INTENT: Final = and_(SPENDING.c.intent_id == bindparam("of_intent"), _RESERVED_NOW)
_RESERVED: Final = select(SPENDING).where(_OF_INTENT)
_RELEASE: Final = update(SPENDING).where(_OF_INTENT)
_SETTLE: Final = update(SPENDING).where(SPENDING.c.seq == bindparam("of_seq"))
_SPEND: Final = insert(SPENDING)


_MOST: Final = 10**DIGITS - 1


def _text(units: int) -> str:
    return str(min(units, _MOST)).zfill(DIGITS)
