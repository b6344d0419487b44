"""`verify`: a card's fingerprint, recomputed from the stored calls by a decoder of its own.

It reads the database and nothing else, also while a daemon runs, and takes no word of the card's for granted.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from agent.commands.exits import FAILED, USAGE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, find_data_dir
from agent.data_folder import DATABASE_NAME

_CARD: Final = "SELECT card, calls_hash, status FROM cards WHERE request_id = ?"
_SIGNED: Final = (
    "SELECT substr(intent_id, ?), tx_hash, data FROM intents WHERE data IS NOT NULL AND substr(intent_id, 1, ?) = ?"
)
"""A step of a card is the intent `REQUEST_ID:STEP`."""


@dataclass(frozen=True, slots=True, order=True)
class _Signed:
    step: int
    tx_hash: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Stored:
    card: Mapping[str, Any]
    calls_hash: str
    status: str
    signed: Sequence[_Signed]


def verify(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="Of the card")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a card's fingerprint from its stored calls and show what these do.

    Compare the fingerprint with the one on the card. The command fails if the stored calls, the card, or the transactions
    that were signed for it differ.
    """
    with told(as_json=as_json):
        stored = _read(find_data_dir(config, data_dir) / DATABASE_NAME, request_id)
        checked = _check(request_id, stored)
        if as_json:
            print_json(checked)
        else:
            say("\n".join(_lines(checked)))
        if checked["problems"]:
            raise CommandError(
                f"request {request_id}: {'; '.join(checked['problems'])}. Do not approve it", FAILED, "not_verified"
            )


def _read(database: Path, request_id: str) -> _Stored:
    if not database.is_file():
        raise CommandError(f"there is no database {database}; name the data folder of a daemon", USAGE, "no_database")
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
            row = connection.execute(_CARD, (request_id,)).fetchone()
            if row is None:
                raise CommandError(
                    f"there is no card of request {request_id}; near-agent approve --list shows those that wait",
                    USAGE,
                    "no_such_card",
                )
            name = f"{request_id}:"
            signed = connection.execute(_SIGNED, (len(name) + 1, len(name), name)).fetchall()
            return _stored(request_id, row, signed)
    except (sqlite3.Error, ValueError) as error:
        raise CommandError(f"the database {database} cannot be read: {error}", FAILED, "unreadable") from None


def _stored(request_id: str, row: Sequence[Any], signed: Sequence[Sequence[Any]]) -> _Stored:
    """The rows, if they have the types that the daemon writes; anybody may have written them."""
    try:
        card: object = json.loads(row[0])
    except (ValueError, TypeError, RecursionError):
        card = None
    sent = [_Signed(int(step), tx_hash, data) for step, tx_hash, data in signed if isinstance(data, bytes)]
    if not isinstance(card, dict) or not all(isinstance(text, str) for text in row[1:]) or len(sent) < len(signed):
        raise CommandError(
            f"the stored card of request {request_id} is damaged. Do not approve it", FAILED, "not_verified"
        )
    return _Stored(cast("dict[str, Any]", card), row[1], row[2], sorted(sent))


def _check(request_id: str, stored: _Stored) -> dict[str, Any]:
    """Describe the stored calls by their bytes, with everything that does not agree with them."""
    from contracts.errors import InvalidInput
    from contracts.second_decoder import hash_of_calls, in_words, read_signed_transaction, read_stored_calls

    card, problems = stored.card, list[str]()
    chain_id, signer_id = str(card.get("chain_id")), str(card.get("signer_id"))
    try:
        calls = read_stored_calls(card.get("calls"))
    except InvalidInput as error:
        raise CommandError(
            f"the stored calls of request {request_id} cannot be read: {error.message}. Do not approve it",
            FAILED,
            "not_verified",
        ) from None
    recomputed = hash_of_calls(chain_id, signer_id, calls)
    fingerprint = _fingerprint(recomputed)
    if stored.calls_hash != recomputed:
        problems.append(
            f"its recorded hash has the fingerprint {_fingerprint(stored.calls_hash)}, its calls have {fingerprint}"
        )
    facts: object = card.get("facts")
    shown: object = cast("dict[str, Any]", facts).get("fingerprint") if isinstance(facts, dict) else facts
    if shown not in (None, fingerprint) or (shown and f"Fingerprint: {fingerprint}" not in str(card.get("text"))):
        problems.append(f"the card shows the fingerprint {shown}, its calls have {fingerprint}")
    signed: list[dict[str, Any]] = []
    for one in stored.signed:
        try:
            transaction = read_signed_transaction(one.data)
        except InvalidInput as error:
            problems.append(f"what was signed for its transaction {one.step + 1} cannot be read: {error.message}")
            continue
        same = transaction.signer_id == signer_id and one.step < len(calls) and transaction.call == calls[one.step]
        signed.append({"transaction": one.step + 1, "tx_hash": one.tx_hash, "same_calls": same})
        if not same:
            problems.append(f"transaction {one.tx_hash} was signed for other calls than those of the card")
    return {
        "request_id": request_id,
        "status": stored.status,
        "chain_id": chain_id,
        "signer_id": signer_id,
        "transactions": [{"receiver_id": call.receiver_id, "actions": [*in_words(call)]} for call in calls],
        "fingerprint": fingerprint,
        "calls_hash": recomputed,
        "shown": shown,
        "signed": signed,
        "problems": problems,
    }


def _lines(checked: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"Request {checked['request_id']} ({checked['status']}) on chain {checked['chain_id']}, signed by "
        f"{checked['signer_id']}:"
    )
    for number, one in enumerate(checked["transactions"], start=1):
        yield f"  Transaction {number} to {one['receiver_id']}:"
        yield from (f"    {action}" for action in one["actions"])
    for one in checked["signed"]:
        yield f"  Transaction {one['transaction']} was signed as {one['tx_hash']}"
    yield f"Fingerprint: {checked['fingerprint']}"
    if not checked["problems"]:
        yield (
            "It was recomputed from the stored calls, and the card shows the same."
            if checked["shown"]
            else "It was recomputed from the stored calls and is that of the recorded hash; the card shows none."
        )


def _fingerprint(digest: str) -> str:
    return " ".join(digest[start : start + 4] for start in (0, 4, 8))
