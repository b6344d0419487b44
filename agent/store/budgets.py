"""Budgets in SQL: what is reserved with a grant, and what became of it.

A reservation counts against every window for as long as its transaction is open, whatever its age: it may still be
executed at any time. It is replaced by what was really spent when the outcome is final, and released when the transaction
is proven dead or was never sent. So whatever is executed within a window was counted in it when the last of it was granted.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Connection, and_, bindparam, cast, func, insert, literal_column, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.codes import note_code
from agent.store.database import Database
from agent.store.tables import INTENTS, KNOWN_ACCOUNTS, SPENDING
from contracts.calls import ChangeCall
from contracts.chain.budget import Budget, Reservation
from contracts.chain.effects import NEAR
from contracts.chain.ledger import IntentState
from contracts.chain.outcome import Execution, ExecutionFailed, Finalized, Outcome, PartiallyExecuted
from contracts.checks.judging import read_call, recipients_of
from contracts.checks.policy import over_budget, wanted_of
from contracts.errors import LedgerConflict
from contracts.types import AccountId

DIGITS: Final = 39
"""Of u128; sums are made of three parts of 13 digits, each of which stays within 64 bits for a million rows."""
MAX_DEALT_WITH: Final = 5_000
MAX_AHEAD_S: Final = 7200.0
"""How far a block's time counts ahead of the clock: a node that invents a later one would end all windows."""
_PART: Final = 13
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
        return await self._database.read(
            lambda c: {budget.rule: _used(c, chain_id, signer_id, identity, budget, at) for budget in budgets}
        )

    async def known(self, chain_id: str, signer_id: AccountId, among: Sequence[str]) -> frozenset[str]:
        """Those of these accounts that this signer has paid or called with a final outcome."""
        values = {"on_chain": chain_id, "of_signer": str(signer_id), "among": list(among)}
        return await self._database.look(lambda c: frozenset(c.execute(_KNOWN, values).scalars()))

    async def dealt_with(self, chain_id: str, signer_id: AccountId) -> tuple[str, ...]:
        """The accounts that this signer has paid or called with a final outcome, at most MAX_DEALT_WITH of them."""
        query = (
            select(KNOWN_ACCOUNTS.c.account_id)
            .where(and_(KNOWN_ACCOUNTS.c.chain_id == chain_id, KNOWN_ACCOUNTS.c.signer_id == str(signer_id)))
            .order_by(KNOWN_ACCOUNTS.c.account_id)
            .limit(MAX_DEALT_WITH)
        )
        return await self._database.look(lambda c: tuple(c.execute(query).scalars()))


def reserve(
    connection: Connection, reservation: Reservation, chain_id: str, signer_id: AccountId, intent_ids: Sequence[str]
) -> None:
    """Take the reservation out of its budgets. LedgerConflict `over_budget` where one has not enough left."""
    for budget in reservation.budgets:
        used = _used(connection, chain_id, signer_id, reservation.identity, budget, reservation.at)
        wanted = wanted_of(reservation.spends, budget.token)
        if used + wanted > budget.units:
            raise LedgerConflict(
                "over_budget",
                f"{over_budget(budget, used, wanted)} ({budget.rule}); nothing was sent",
                details={"rule": budget.rule, "used": str(used), "wanted": str(wanted), "limit": str(budget.units)},
            )
    newest = connection.execute(_NEWEST_OF_ALL, {"on_chain": chain_id, "of_signer": str(signer_id)}).scalar()
    at = max(
        reservation.at, newest or 0.0
    )  # what a clock that was set back dates too early would leave the window early
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
        _note_accounts(connection, intent_id)
        note_code(connection, intent_id)
    if state not in _FINAL:
        return
    rows = connection.execute(_RESERVED, {"of_intent": intent_id}).all()
    for row in rows:
        spent = _spent(row.token, int(row.units), outcome)
        connection.execute(
            _SETTLE, {"of_seq": row.seq, "state": "spent", "units": _text(spent), "at": max(row.at, now)}
        )


def _note_accounts(connection: Connection, intent_id: str) -> None:
    """Remember whom a final transaction dealt with."""
    intent = connection.execute(_DEALING, {"of_intent": intent_id}).one()
    call = _CALL.validate_json(intent.call)
    found = recipients_of(read_call(call), AccountId(intent.signer_id))
    named = {account_id for account_id, where in found if where in _DEALT_WITH}
    rows = [
        {"chain_id": intent.chain_id, "signer_id": intent.signer_id, "account_id": account_id}
        for account_id in {*named, str(call.receiver_id)} - {""}
    ]
    connection.execute(_NOTE, rows)


_DEALT_WITH: Final = frozenset(
    {"receiver", "receiver_id", "new account", "new_account_id", "account_id", "beneficiary"}
)
"""Where a recipient stands. Who is only named in a message or a text has not got anything, and stays a stranger."""
_CALL: Final[TypeAdapter[ChangeCall]] = TypeAdapter(ChangeCall)
_NOTE: Final = upsert(KNOWN_ACCOUNTS).on_conflict_do_nothing()


def _spent(token: str, reserved: int, outcome: Outcome | None) -> int:
    """What a final transaction really took; where its effects do not say, what was reserved for it."""
    match outcome:
        case Finalized(execution) | PartiallyExecuted(execution):
            return _lost(token, reserved, execution)
        case ExecutionFailed(execution):
            # What its receipts did before the last one failed stays done.
            return _lost(token, reserved if token == NEAR else 0, execution)
        case _:
            return reserved


def _lost(token: str, reserved: int, execution: Execution) -> int:
    changes = [e.change for e in execution.effects if e.token == token and e.account_id == execution.signer_id]
    if token == NEAR:
        return max(0, -sum(changes)) + execution.tokens_burnt if execution.effects_complete else reserved
    return max(0, -sum(changes)) if changes else reserved


def _used(connection: Connection, chain_id: str, signer_id: AccountId, identity: str, budget: Budget, at: float) -> int:
    """A clock that jumped back frees nothing: the newest entry's time counts where it is later."""
    mine: dict[str, object] = {"on_chain": chain_id, "of_signer": str(signer_id), "of_token": budget.token}
    newest = connection.execute(_NEWEST, mine).scalar() or 0.0
    mine["since"] = max(at, newest) - budget.window_s
    if budget.scope == "identity":
        mine["of_identity"] = identity
    parts = connection.execute(_COUNTED[budget.scope == "identity", budget.free], mine).one()
    high, middle, low = (int(part or 0) for part in parts)
    return high * 10 ** (2 * _PART) + middle * 10**_PART + low


_SUMS: Final = tuple(
    func.sum(cast(func.substr(SPENDING.c.units, start, _PART), BigInteger)) for start in range(1, DIGITS, _PART)
)

# Built once: building a statement takes three times as long as running it.
_OF_SIGNER: Final = and_(SPENDING.c.chain_id == bindparam("on_chain"), SPENDING.c.signer_id == bindparam("of_signer"))
_OF_TOKEN: Final = and_(_OF_SIGNER, SPENDING.c.token == bindparam("of_token"))
_NEWEST_OF_ALL: Final = select(func.max(SPENDING.c.at)).where(_OF_SIGNER)
_NEWEST: Final = select(func.max(SPENDING.c.at)).where(_OF_TOKEN)
_IN_WINDOW: Final = or_(
    SPENDING.c.state == "reserved", and_(SPENDING.c.state == "spent", SPENDING.c.at > bindparam("since"))
)
_COUNTED: Final = {
    (of_identity, free): select(*_SUMS).where(
        and_(
            _OF_TOKEN,
            _IN_WINDOW,
            *((SPENDING.c.identity == bindparam("of_identity"),) if of_identity else ()),
            *((SPENDING.c.free,) if free else ()),
        )
    )
    for of_identity in (True, False)
    for free in (True, False)
}
"""What counts, by whether a budget is each identity's own and whether it is of what needs no approval."""
_OF_INTENT: Final = and_(
    SPENDING.c.intent_id == bindparam("of_intent"), SPENDING.c.state == literal_column("'reserved'")
)
_RESERVED: Final = select(SPENDING.c.seq, SPENDING.c.token, SPENDING.c.units, SPENDING.c.at).where(_OF_INTENT)
_RELEASE: Final = update(SPENDING).where(_OF_INTENT)
_SETTLE: Final = update(SPENDING).where(SPENDING.c.seq == bindparam("of_seq"))
_SPEND: Final = insert(SPENDING)
_DEALING: Final = select(INTENTS.c.chain_id, INTENTS.c.signer_id, INTENTS.c.call).where(
    INTENTS.c.intent_id == bindparam("of_intent")
)
_KNOWN: Final = select(KNOWN_ACCOUNTS.c.account_id).where(
    and_(
        KNOWN_ACCOUNTS.c.chain_id == bindparam("on_chain"),
        KNOWN_ACCOUNTS.c.signer_id == bindparam("of_signer"),
        KNOWN_ACCOUNTS.c.account_id.in_(bindparam("among", expanding=True)),
    )
)


_MOST: Final = 10**DIGITS - 1


def _text(units: int) -> str:
    return str(min(units, _MOST)).zfill(DIGITS)
