"""Requests that run and the records of those that ended: one record each, redacted before it is written."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar, cast

from pydantic import JsonValue
from pydantic.main import IncEx
from pydantic_core import to_json
from sqlalchemy import Connection, Float, Select, Text, and_, bindparam, delete, exists, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from agent.errors import StoreError
from agent.preamble import Preamble, digest_of
from agent.records import Frozen, InteractionRecord, RecordReader, UserRequest
from agent.redaction.texts import may_hold_secret, redact, redact_json
from agent.store.database import Database
from agent.store.shortening import RecordQuota, shorten_record, shorten_request
from agent.store.tables import INTENTS, PREAMBLES, RECORDS, RUNNING
from contracts.types import JsonObject

_FrozenT = TypeVar("_FrozenT", bound=Frozen)

_ONCE = upsert(RECORDS).on_conflict_do_nothing(index_elements=[RECORDS.c.request_id])
_OPEN = insert(RUNNING).from_select(
    ["request_id", "run_id", "opened_at", "request"],
    select(
        bindparam("new_id", type_=Text),
        bindparam("new_run", type_=Text),
        bindparam("new_at", type_=Float),
        bindparam("new_request", type_=Text),
    ).where(~exists().where(RECORDS.c.request_id == bindparam("new_id", type_=Text))),
)
"""An id that has its record already inserts nothing."""
_SHARED = upsert(PREAMBLES).on_conflict_do_nothing(index_elements=[PREAMBLES.c.digest])
_PREAMBLE = select(PREAMBLES.c.text).where(PREAMBLES.c.digest == bindparam("of_digest"))
_DONE = delete(RUNNING).where(RUNNING.c.request_id == bindparam("ended"))
_LARGE: Final = 50_000
"""Characters above which redaction takes longer than the event loop may wait (about 10 ms)."""
_PREAMBLES_KEPT: Final = 8
"""Some 40 KB each; a new one comes with a change of the catalogue."""
_PREAMBLE_FIELDS: Final[IncEx] = {"messages": {0}, "tools": True}
"""Of an exchange, what its preamble gives back when it is read."""
_MAY_HAVE_EXECUTED: Final = ("sending", "sent", "included", "final", "unconfirmed")
_EXECUTED: Final = (
    select(INTENTS.c.request_id)
    .where(
        and_(
            INTENTS.c.calls_hash == bindparam("of_calls"),
            INTENTS.c.signer_id == bindparam("of_signer"),
            INTENTS.c.state.in_(_MAY_HAVE_EXECUTED),
            INTENTS.c.updated_at >= bindparam("since"),
        )
    )
    .order_by(INTENTS.c.seq.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    seq: int
    """Rises in the order of finishing; the cursor of `latest`."""
    record: InteractionRecord


@dataclass(frozen=True, slots=True)
class _StoredPreamble:
    """A preamble as the database keeps it."""

    digest: str
    text: str
    """JSON `[system, tools]`, redacted."""
    redactions: int


class RecordStore:
    """`run_id` names this opening of the store, so that rows left by an earlier process are known."""

    def __init__(self, database: Database, *, run_id: str, quota: RecordQuota) -> None:
        self._database = database
        self._quota = quota
        self._run_id = run_id
        self._running: dict[str, tuple[UserRequest, JsonValue, int]] = {}
        """Requests that run, with their redacted form: records hold them again."""
        self._stored = lru_cache(maxsize=_PREAMBLES_KEPT)(_stored_preamble)
        """Each preamble is redacted once in a process, not once for each record."""

    async def open_request(self, request: UserRequest) -> None:
        """Note that a request runs, before any work on it. StoreError `request_exists` for an id that ran or runs."""
        clean, count = await _cleaned(request)
        self._running[request.request_id] = (request, clean, count)
        text = _text(clean)
        if not self._quota.fits(request.identity.key_id, len(text)):
            text = _short(UserRequest, text, shorten_request)
        row: dict[str, str | float] = {
            "new_id": request.request_id,
            "new_run": self._run_id,
            "new_at": request.received_at,
            "new_request": text,
        }
        await self._database.write(lambda c: _open(c, row))

    async def finish(self, record: InteractionRecord, preamble: Preamble | None = None) -> bool:
        """Write the request's record, once: a second one is dropped, and False says so.

        `preamble` is the agent's own part of the prompts, stored apart from the record and once for all of them. Exchanges that
        do not begin with exactly this text are stored whole.
        """
        request, clean, count = self._running.pop(record.request.request_id, (None, None, 0))
        if clean is None or request != record.request:
            clean, count = await _cleaned(record.request)
        shared = _sharing(record, preamble)
        apart = self._stored(preamble) if shared and preamble is not None else None
        rest: IncEx = {"request": True, "exchanges": dict.fromkeys(shared, _PREAMBLE_FIELDS)}
        told, more = await _cleaned(record, without=rest)
        count += more
        if apart is not None:
            count += apart.redactions * len(shared)
            _name_preamble(told, shared, apart.digest)
        row = _row(record, told, clean, count) | {"preamble": None if apart is None else apart.digest}
        identity, text = record.request.identity.key_id, str(row["record"])
        if not self._quota.fits(identity, len(text)):
            row["record"] = text = _short_record(text, shared, apart)
        self._quota.add(identity, len(text))
        return await self._database.write(lambda c: _finish(c, row, apart))

    async def interrupted(self) -> list[UserRequest]:
        """Requests that an earlier process began and did not end, oldest first, redacted."""
        query = select(RUNNING.c.request).where(RUNNING.c.run_id != self._run_id).order_by(RUNNING.c.opened_at)
        return await self._database.read(
            lambda c: [UserRequest.model_validate_json(text) for text in c.execute(query).scalars()]
        )

    async def get(self, request_id: str) -> InteractionRecord | None:
        return await self._one(select(RECORDS.c.record).where(RECORDS.c.request_id == request_id))

    async def latest(self, limit: int, after: int | None = None) -> list[StoredRecord]:
        """The newest `limit` records, or with `after` the next ones past that `seq`; oldest first in both."""
        query = select(RECORDS.c.seq, RECORDS.c.record).limit(limit)
        if after is None:
            query = query.order_by(RECORDS.c.seq.desc())
        else:
            query = query.where(RECORDS.c.seq > after).order_by(RECORDS.c.seq)
        found = await self._database.read(lambda c: _page(c, query))
        return sorted(found, key=lambda stored: stored.seq)

    async def find_by_key(
        self, key_id: str, *, idempotency_key: str | None = None, message_id: str | None = None
    ) -> InteractionRecord | None:
        """The identity's newest record under the same idempotency key or message id that is not itself a repetition.

        Nor a plan alone: nothing was to be done there.
        """
        same = [
            column == _key_hash(value)
            for column, value in ((RECORDS.c.idempotency_hash, idempotency_key), (RECORDS.c.message_hash, message_id))
            if value
        ]
        if not same:
            return None
        return await self._one(
            select(RECORDS.c.record)
            .where(
                and_(RECORDS.c.key_id == key_id, or_(*same), RECORDS.c.repeats.is_(None), RECORDS.c.front_end != "plan")
            )
            .order_by(RECORDS.c.seq.desc())
            .limit(1)
        )

    async def approval_of(self, request_id: str) -> InteractionRecord | None:
        """The record of the confirm or cancel that acted on this request's card; the first, not its repetitions."""
        return await self._one(
            select(RECORDS.c.record)
            .where(and_(RECORDS.c.approval_of == request_id, RECORDS.c.repeats.is_(None)))
            .order_by(RECORDS.c.seq)
            .limit(1)
        )

    async def find_executed(self, calls_hash: str, signer_id: str, since: float) -> str | None:
        """The newest request whose same calls were executed, or are on their way, at or after `since` (Unix seconds)."""
        values = {"of_calls": calls_hash, "of_signer": str(signer_id), "since": since}
        return await self._database.look(lambda c: c.execute(_EXECUTED, values).scalar())

    async def _one(self, query: Select[str]) -> InteractionRecord | None:
        return await self._database.look(lambda c: _record(c, query))


def _open(connection: Connection, row: dict[str, str | float]) -> None:
    try:
        if connection.execute(_OPEN, row).rowcount == 1:
            return
    except IntegrityError:
        pass
    raise StoreError(
        "request_exists",
        f"request {row['new_id']} runs or ran already; make a new id",
        details={"request_id": row["new_id"]},
    )


def _finish(connection: Connection, row: dict[str, JsonValue], preamble: "_StoredPreamble | None") -> bool:
    if preamble is not None:
        connection.execute(_SHARED, {"digest": preamble.digest, "text": preamble.text})
    written = connection.execute(_ONCE, row).rowcount == 1
    connection.execute(_DONE, {"ended": row["request_id"]})
    return written


def _record(connection: Connection, query: Select[str]) -> InteractionRecord | None:
    text = connection.execute(query).scalar()
    return None if text is None else _reader(connection).read(text)


def _page(connection: Connection, query: Select[int, str]) -> list[StoredRecord]:
    reader = _reader(connection)
    return [StoredRecord(seq, reader.read(text)) for seq, text in connection.execute(query)]


def _reader(connection: Connection) -> RecordReader:
    return RecordReader(lambda digest: connection.execute(_PREAMBLE, {"of_digest": digest}).scalar())


def _stored_preamble(preamble: Preamble) -> _StoredPreamble:
    system, count = redact(preamble.system)
    tools, more = redact_json(preamble.tools.model_dump(mode="json"))
    text = to_json([system, tools]).decode()
    return _StoredPreamble(digest_of(text), text, count + more)


def _sharing(record: InteractionRecord, preamble: Preamble | None) -> list[int]:
    """Return the indices of the record's exchanges that begin with the preamble."""
    if preamble is None:
        return []
    return [index for index, exchange in enumerate(record.exchanges) if exchange.begins_with(preamble)]


def _name_preamble(clean: dict[str, JsonValue], shared: list[int], digest: str) -> None:
    exchanges = cast("list[JsonObject]", clean["exchanges"])
    for index in shared:
        exchanges[index]["preamble"] = digest


def _row(
    record: InteractionRecord, clean: dict[str, JsonValue], clean_request: JsonValue, count: int
) -> dict[str, JsonValue]:
    """The record and its columns, redacted; keys that clients chose are hashed."""
    count += record.privacy.redactions
    privacy: JsonValue = record.privacy.model_copy(update={"redactions": count}).model_dump()
    clean = {**clean, "request": clean_request, "privacy": privacy}
    request = record.request
    return {
        "request_id": request.request_id,
        "received_at": request.received_at,
        "finished_at": record.finished_at,
        "status": record.status,
        "front_end": request.front_end,
        "key_id": request.identity.key_id,
        "account_id": request.identity.account_id,
        "conversation_id": redact(request.conversation_id)[0],
        "idempotency_hash": _key_hash(request.idempotency_key),
        "message_hash": _key_hash(request.message_id),
        "calls_hash": record.calls_hash,
        "approval_of": record.approval_of,
        "repeats": record.repeats,
        "record": _text(clean),
    }


async def _cleaned(value: Frozen, without: IncEx | None = None) -> tuple[dict[str, JsonValue], int]:
    """A value as JSON without secrets, and how many it had; a large one is searched beside the event loop."""
    whole: dict[str, JsonValue] = value.model_dump(mode="json", exclude=without)
    if _is_large(whole):
        return await asyncio.to_thread(_clean, whole)
    return _clean(whole)


def _is_large(value: JsonValue) -> bool:
    left: list[JsonValue] = [value]
    size = 0
    while left and size <= _LARGE:
        one = left.pop()
        match one:
            case str():
                size += len(one)
            case list():
                left += one
                size += len(one)
            case dict():
                left += one.values()
            case _:
                pass
    return size > _LARGE


def _clean(whole: dict[str, JsonValue]) -> tuple[dict[str, JsonValue], int]:
    if not may_hold_secret(whole):
        return whole, 0
    clean: dict[str, JsonValue] = {}
    total = 0
    for key, inner in whole.items():
        clean[key], count = redact_json(inner)
        total += count
    return clean, total


def _short(kind: type[_FrozenT], text: str, shorten: Callable[[_FrozenT], _FrozenT]) -> str:
    """The JSON of a redacted value, shortened: after the redaction, so that no half of a secret is left at the cut."""
    return _text(shorten(kind.model_validate_json(text)).model_dump(mode="json"))


def _short_record(text: str, shared: list[int], apart: "_StoredPreamble | None") -> str:
    """The same for a record whose exchanges name their preamble: they go on naming it."""
    record = RecordReader(lambda _digest: None if apart is None else apart.text).read(text)
    short = shorten_record(record).model_dump(
        mode="json", exclude={"exchanges": dict.fromkeys(shared, _PREAMBLE_FIELDS)}
    )
    if apart is not None:
        _name_preamble(short, shared, apart.digest)
    return _text(short)


def _text(value: dict[str, JsonValue]) -> str:
    return to_json(value).decode()


def _key_hash(key: str | None) -> str | None:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest() if key else None
