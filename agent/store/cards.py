"""Approval cards: what waits for `confirm CODE`, and the count of wrong codes. Codes are here as hashes only."""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import structlog
from pydantic import Field, ValidationError
from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from agent.errors import ApprovalError, StoreError
from agent.records import CallPlan, CardFacts, Frozen
from agent.redaction.texts import redact_card, redact_card_json
from agent.store.database import Database
from agent.store.tables import CARDS, WRONG_CODES
from contracts.calls import ChangeCall, SetOff
from contracts.catalogue.entry import slash
from contracts.chain.outcome import Effect
from contracts.checks.report import PreflightReport
from contracts.checks.verdict import Verdict
from contracts.types import PublicKey

CardStatus: TypeAlias = Literal["pending", "confirmed", "cancelled", "expired"]
Resolution: TypeAlias = Literal["confirmed", "cancelled", "expired"]

MAX_PENDING: Final = 3
"""Pending cards of one identity."""
MAX_WRONG: Final = 5
"""Wrong codes of one identity within WRONG_WINDOW_S that cancel its cards."""
WRONG_WINDOW_S: Final = 60.0

_COLUMNS: Final = {"code_hash", "status", "resolved_at"}

log = structlog.get_logger(__name__)

_IS_PENDING: Final = CARDS.c.status == literal_column("'pending'")
"""Written out, because SQLite uses the index of pending cards only where the query says so itself."""

# What every request asks is built once: building a statement takes three times as long as running it.
_TURN: Final = and_(
    CARDS.c.key_id == bindparam("of_key"),
    CARDS.c.turn_hash == bindparam("of_turn"),
    CARDS.c.conversation_id == bindparam("of_conversation"),
)
_OPEN: Final = select(CARDS).where(and_(_IS_PENDING, CARDS.c.expires_at > bindparam("at"))).order_by(CARDS.c.created_at)
_SAME_TURN: Final = _OPEN.where(_TURN)
_CONFIRMED_TURN: Final = (
    select(CARDS).where(and_(_TURN, CARDS.c.status == "confirmed")).order_by(CARDS.c.created_at.desc()).limit(1)
)
_EXPIRE: Final = update(CARDS).where(
    and_(CARDS.c.key_id == bindparam("of_key"), _IS_PENDING, CARDS.c.expires_at <= bindparam("at"))
)
_WAITING: Final = (
    select(CARDS.c.request_id, CARDS.c.expires_at)
    .where(and_(CARDS.c.key_id == bindparam("of_key"), _IS_PENDING))
    .order_by(CARDS.c.created_at)
)
_ADD: Final = insert(CARDS)


class PendingCard(Frozen):
    """A plan that waits for its approval, with everything that its execution needs."""

    request_id: str
    identity_key_id: str
    conversation_id: str
    turn_hash: str
    """Hash of the turn that asked for it, so that the same turn sent again finds it."""
    code_hash: str
    calls_hash: str
    chain_id: str
    signer_id: str
    lanes: dict[str, int] = Field(default_factory=dict[str, int])
    """The signer's lanes by name, with their nonces on chain when the card was made. It is signed in one of these."""
    plan: CallPlan
    calls: tuple[ChangeCall, ...]
    """In order; one transaction each."""
    call_steps: tuple[tuple[int, ...], ...] = ()
    """For each call, the places in `plan.calls` that it carries out."""
    expected: tuple[tuple[Effect, ...], ...] = ()
    """For each call, what it should change."""
    sets_off: tuple[SetOff, ...] = ()
    """What its votes make others do."""
    verdict: Verdict | None = None
    """What the policy said when the card was made; it is asked again at the confirmation."""
    preflight: PreflightReport | None = None
    """What was found out when the card was made."""
    text: str
    """The card in words, without its code."""
    facts: CardFacts | None = None
    """The card as data; None: it was made by an earlier version."""
    created_at: float
    expires_at: float
    """Unix seconds."""
    status: CardStatus = "pending"
    resolved_at: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Each planned action in words; of a card of an earlier version as its command."""
        if self.facts is not None:
            return self.facts.summary
        return tuple(slash(call.action, call.args) for call in self.plan.calls)

    def redacted(self) -> "PendingCard":
        """The card as it is kept, without secrets and codes in what people read."""
        facts = None if self.facts is None else self.facts.model_dump(mode="json")
        clean = None if facts is None else CardFacts.model_validate(redact_card_json(facts))
        return self.model_copy(update={"text": redact_card(self.text), "facts": clean})

    @property
    def public_keys(self) -> frozenset[PublicKey]:
        """The keys that may sign it."""
        return frozenset(PublicKey(name.partition("#")[0]) for name in self.lanes)


@dataclass(frozen=True, slots=True)
class OpenCards:
    """Cards that can still be decided, oldest first."""

    readable: list[PendingCard]
    damaged: list[str]
    """The request ids of cards whose rows cannot be read. They can only be dropped."""


class CardStore:
    """All changes are compare-and-sets in the one writer, so two confirmations at once resolve a card once.

    A card whose row is damaged can only be resolved. Lists leave it out, and `open_cards` names it; whatever asks for that very
    card, or whether its turn was confirmed before, ends in StoreError `card_unreadable`: nobody can say what it was.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def hash_code(self, key_id: str, code: str) -> str:
        """What is stored of a code: keyed with this installation's salt and bound to the identity; case does not count."""
        message = f"{key_id}\0{code.upper()}".encode(errors="replace")
        return hmac.new(self._database.install_salt, message, hashlib.sha256).hexdigest()

    async def add(self, card: PendingCard) -> PendingCard:
        """Store a card; returns the one that stands: an earlier pending card of the same turn, else this.

        ApprovalError `too_many_cards` for a fourth pending card of the identity.
        """
        clean = card.redacted()
        return await self._database.write(lambda c: _add(c, clean))

    async def add_confirmed(self, card: PendingCard) -> PendingCard:
        """Store a card that nobody has to confirm; returns the one that stands, as `add`: an earlier pending one is shown."""
        confirmed = card.redacted().model_copy(update={"status": "confirmed", "resolved_at": card.created_at})
        return await self._database.write(lambda c: _add(c, confirmed))

    async def by_code_hash(self, key_id: str, code_hash: str) -> PendingCard | None:
        """The identity's card with this code, whatever its status; a pending one first. Compared in constant time."""
        pending = select(CARDS.c.request_id, CARDS.c.code_hash).where(and_(CARDS.c.key_id == key_id, _IS_PENDING))
        resolved = (
            select(CARDS.c.request_id, CARDS.c.code_hash)
            .where(and_(CARDS.c.key_id == key_id, CARDS.c.code_hash == code_hash))
            .order_by(CARDS.c.created_at.desc())
            .limit(1)
        )
        for query in (pending, resolved):
            rows = await self._database.look(lambda c, query=query: [*c.execute(query)])
            matching = [row.request_id for row in rows if hmac.compare_digest(row.code_hash, code_hash)]
            if matching:
                return await self.by_request(matching[0])
        return None

    async def by_request(self, request_id: str) -> PendingCard | None:
        cards = await self._many(select(CARDS).where(CARDS.c.request_id == request_id))
        return cards[0] if cards else None

    async def pending_of(self, key_id: str, now: float) -> list[PendingCard]:
        """The identity's cards that can still be confirmed, oldest first."""
        return (await self.open_cards(now, key_id)).readable

    async def open_cards(self, now: float, key_id: str | None = None) -> OpenCards:
        """The cards that can still be decided, of one identity or of everybody."""
        query = _OPEN if key_id is None else _OPEN.where(CARDS.c.key_id == key_id)
        rows = await self._database.look(lambda c: [*c.execute(query, {"at": now})])
        read = [(str(row.request_id), _read(row)) for row in rows]
        return OpenCards(
            [card for _, card in read if card is not None], [request_id for request_id, card in read if card is None]
        )

    async def waiting_of(self, key_id: str) -> list[str]:
        """The request ids of the identity's cards that are not resolved, also of those that have expired since."""
        return await self._database.look(lambda c: [*c.execute(_WAITING, {"of_key": key_id}).scalars()])

    async def pending(self, now: float) -> list[PendingCard]:
        """Everybody's cards that can still be confirmed, oldest first."""
        return (await self.open_cards(now)).readable

    async def pending_same_turn(
        self, key_id: str, conversation_id: str, turn_hash: str, now: float
    ) -> PendingCard | None:
        """The card that the same turn of the same conversation waits for already."""
        cards = await self._many(_SAME_TURN, {**_of_turn(key_id, conversation_id, turn_hash), "at": now})
        return cards[0] if cards else None

    async def confirmed_same_turn(self, key_id: str, conversation_id: str, turn_hash: str) -> PendingCard | None:
        """The newest card of the same turn that was confirmed, however long ago."""
        cards = await self._many(_CONFIRMED_TURN, _of_turn(key_id, conversation_id, turn_hash))
        return cards[0] if cards else None

    async def replace_code(self, request_id: str, code_hash: str) -> bool:
        """Give a pending card another code, for when it is shown again; False where it is no longer pending."""
        change = update(CARDS).where(and_(CARDS.c.request_id == request_id, _IS_PENDING)).values(code_hash=code_hash)
        return await self._database.write(lambda c: c.execute(change).rowcount == 1)

    async def resolve(self, request_id: str, to: Resolution, now: float) -> bool:
        """End a pending card, once: True for the one caller who did. An expired card can only become `expired`."""
        return await self._database.write(lambda c: _resolve(c, request_id, to, now))

    async def note_wrong(self, key_id: str, now: float) -> int:
        """Count a wrong code; returns how many in the last minute.

        ApprovalError `too_many_wrong_codes` at the fifth, after the identity's pending cards were cancelled.
        """
        count = await self._database.write(lambda c: _note_wrong(c, key_id, now))
        if count >= MAX_WRONG:
            raise ApprovalError(
                "too_many_wrong_codes",
                f"{count} wrong codes within a minute; pending cards were cancelled: wait a minute, then ask again",
                retryable=True,
                retry_after_s=WRONG_WINDOW_S,
                details={"count": count, "limit": MAX_WRONG},
            )
        return count

    async def _many(
        self, query: Select[*tuple[object, ...]], values: Mapping[str, object] = MappingProxyType({})
    ) -> list[PendingCard]:
        """Few, by an index: an identity has at most MAX_PENDING that wait."""
        return await self._database.look(lambda c: [_card(row) for row in c.execute(query, values)])


def _of_turn(key_id: str, conversation_id: str, turn_hash: str) -> dict[str, object]:
    return {"of_key": key_id, "of_turn": turn_hash, "of_conversation": conversation_id}


def _add(connection: Connection, card: PendingCard) -> PendingCard:
    now = card.created_at
    mine: dict[str, object] = {"of_key": card.identity_key_id, "at": now}
    connection.execute(_EXPIRE, mine | {"status": "expired", "resolved_at": now})
    turn = _of_turn(card.identity_key_id, card.conversation_id, card.turn_hash)
    same = connection.execute(_SAME_TURN, turn | {"at": now}).first()
    if same is not None:
        return _card(same)
    rows = connection.execute(_WAITING, {"of_key": card.identity_key_id}).all()
    pending = len(rows)
    if card.status == "pending" and pending >= MAX_PENDING:
        first_end = min(float(row.expires_at) for row in rows)
        raise ApprovalError(
            "too_many_cards",
            f"{pending} cards are waiting already, at most {MAX_PENDING} may; the first expires in "
            f"{max(1, math.ceil(first_end - now))} s. /cards shows them whole, /cancel REQUEST_ID or /cancel all drops them:",
            details={"pending": pending, "limit": MAX_PENDING},
        )
    connection.execute(
        _ADD,
        {
            "request_id": card.request_id,
            "key_id": card.identity_key_id,
            "conversation_id": card.conversation_id,
            "turn_hash": card.turn_hash,
            "code_hash": card.code_hash,
            "calls_hash": card.calls_hash,
            "created_at": card.created_at,
            "expires_at": card.expires_at,
            "status": card.status,
            "resolved_at": card.resolved_at,
            "card": card.model_dump_json(exclude=_COLUMNS),
        },
    )
    return card


def _resolve(connection: Connection, request_id: str, to: Resolution, now: float) -> bool:
    still = and_(CARDS.c.request_id == request_id, _IS_PENDING)
    if to != "expired":
        connection.execute(
            update(CARDS).where(and_(still, CARDS.c.expires_at <= now)).values(status="expired", resolved_at=now)
        )
    return connection.execute(update(CARDS).where(still).values(status=to, resolved_at=now)).rowcount == 1


def _wrong_count(key_id: str, now: float) -> Select[int]:
    return select(func.count()).where(and_(WRONG_CODES.c.key_id == key_id, WRONG_CODES.c.at > now - WRONG_WINDOW_S))


def _note_wrong(connection: Connection, key_id: str, now: float) -> int:
    mine = WRONG_CODES.c.key_id == key_id
    connection.execute(delete(WRONG_CODES).where(and_(mine, WRONG_CODES.c.at <= now - WRONG_WINDOW_S)))
    # A clock that was set back leaves attempts in the future; they count from now, so that none blocks for longer.
    connection.execute(update(WRONG_CODES).where(and_(mine, WRONG_CODES.c.at > now)).values(at=now))
    connection.execute(insert(WRONG_CODES), {"key_id": key_id, "at": now})
    count = connection.execute(_wrong_count(key_id, now)).scalar_one()
    if count >= MAX_WRONG:
        connection.execute(
            update(CARDS).where(and_(CARDS.c.key_id == key_id, _IS_PENDING)).values(status="cancelled", resolved_at=now)
        )
    return count


def _card(row: Row[*tuple[object, ...]]) -> PendingCard:
    """StoreError `card_unreadable`."""
    card = _read(row)
    if card is None:
        raise StoreError(
            "card_unreadable",
            f"the stored card of request {row.request_id} is damaged, so nobody can say what it does; nothing was sent. "
            f"To drop it if it waits, write /cancel {row.request_id}; to ask for the same again, use a new conversation",
            details={"request_id": str(row.request_id)},
        )
    return card


def _read(row: Row[*tuple[object, ...]]) -> PendingCard | None:
    """The card of a row; None if the row is damaged, by a bad disk or a hand in the database."""
    found = row._mapping  # noqa: SLF001 -- SQLAlchemy's public name for a row's columns
    try:
        stored: object = json.loads(found["card"])
        if isinstance(stored, dict):
            return PendingCard.model_validate({**stored, **{name: found[name] for name in _COLUMNS}}, strict=False)
    except (ValueError, RecursionError, TypeError) as error:
        problem = f"{error.error_count()} fields" if isinstance(error, ValidationError) else type(error).__name__
        log.warning("card_unreadable", request_id=found["request_id"], problem=problem)
    return None
