"""What a transaction moved, read from its receipts: NEAR from executed deposits, tokens from their contracts' own logs.

Gas is left out: fees and gas refunds are not effects. A token is the contract that executed the receipt, so that a
contract can only speak about itself; logs of failed receipts never happened. Sources: NEP-141 and NEP-297 events, the
log lines of token contracts older than NEP-297, and returned amounts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.chain.outcome import Effect
from contracts.chain.strict_json import parse_json
from contracts.chain.tx_answer import ActionView, Failure, OutcomeView, SuccessValue, TransactionView, TxAnswer
from contracts.types import U128_MAX, AccountId, CryptoHash

NEAR: Final = "NEAR"
_SYSTEM: Final = "system"
_EVENT: Final = "EVENT_JSON:"
_MAX_LOGS: Final = 10_000
"""Nodes send at most 100 a receipt; more are a hostile answer."""
_AMOUNT: Final = re.compile(r"[0-9]{1,39}", re.ASCII)
_OLD_TRANSFER: Final = re.compile(r"(?:Transfer|Refund) ([0-9]{1,39}) from (\S{2,64}) to (\S{2,64})", re.ASCII)
_OLD_DEPOSIT: Final = re.compile(r"Deposit ([0-9]{1,39}) NEAR to (\S{2,64})", re.ASCII)
_OLD_WITHDRAW: Final = re.compile(r"Withdraw ([0-9]{1,39}) (?:yocto)?NEAR from (\S{2,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Move:
    token: str
    amount: int
    loser: AccountId | None
    gainer: AccountId | None


@dataclass(frozen=True, slots=True)
class _Carried:
    """A receipt that carries actions."""

    receipt_id: CryptoHash
    predecessor_id: AccountId
    receiver_id: AccountId
    signer_id: AccountId
    actions: tuple[ActionView, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    effects: tuple[Effect, ...]
    """Sorted by account and token, without zeros."""
    complete: bool
    """False where receipts that were executed are not in the answer: what NEAR they moved is unknown."""


def read_effects(answer: TxAnswer, transaction: TransactionView) -> Effects:
    """The net effects per account and token of an answer that tells the outcome."""
    outcomes = {outcome.id: outcome for outcome in answer.receipts_outcome}
    carried = _carried(answer, transaction)
    moves = [*_near_moves(carried, outcomes), *_token_moves(answer, transaction)]
    totals: dict[tuple[AccountId, str], int] = {}
    for move in moves:
        for account_id, change in ((move.loser, -move.amount), (move.gainer, move.amount)):
            if account_id is not None:
                totals[account_id, move.token] = totals.get((account_id, move.token), 0) + change
    effects = tuple(Effect(account, token, change) for (account, token), change in sorted(totals.items()) if change)
    return Effects(effects, answer.receipts is not None or set(outcomes) <= set(carried))


def missing_effects(expected: Iterable[Effect], effects: Effects) -> tuple[Effect, ...]:
    """The expected effects that did not happen so, exactly or at least. Losing less NEAR is no miss: contracts pay back.

    NEAR that cannot be read (incomplete receipts) is not called missing.
    """
    actual = {(effect.account_id, effect.token): effect.change for effect in effects.effects}
    wanted: dict[tuple[AccountId, str], int] = {}
    wanted_of = tuple(expected)
    for effect in wanted_of:
        key = (effect.account_id, effect.token)
        wanted[key] = wanted.get(key, 0) + effect.change
    open_ended = {(effect.account_id, effect.token) for effect in wanted_of if effect.at_least}
    missed: list[Effect] = []
    for (account_id, token), change in wanted.items():
        got = actual.get((account_id, token), 0)
        spared = token == NEAR and change < 0 and got > change
        unknown = token == NEAR and not effects.complete
        more = (account_id, token) in open_ended and got > change
        if got != change and not spared and not unknown and not more:
            missed.append(Effect(account_id, token, change, at_least=(account_id, token) in open_ended))
    return tuple(missed)


def _carried(answer: TxAnswer, transaction: TransactionView) -> dict[CryptoHash, _Carried]:
    carried = {
        receipt.receipt_id: _Carried(
            receipt.receipt_id,
            receipt.predecessor_id,
            receipt.receiver_id,
            receipt.body.signer_id,
            receipt.body.actions,
        )
        for receipt in answer.receipts or ()
        if receipt.body is not None
    }
    # The first receipt is the transaction's own; nodes leave it out where signer and receiver are the same account.
    first = answer.transaction_outcome.outcome.receipt_ids if answer.transaction_outcome is not None else ()
    for receipt_id in first[:1]:
        own = _Carried(
            receipt_id, transaction.signer_id, transaction.receiver_id, transaction.signer_id, transaction.actions
        )
        carried.setdefault(receipt_id, own)
    return carried


def _near_moves(carried: Mapping[CryptoHash, _Carried], outcomes: Mapping[CryptoHash, OutcomeView]) -> Iterator[_Move]:
    parents = {child: parent for parent in outcomes.values() for child in parent.outcome.receipt_ids}
    for receipt in carried.values():
        outcome = outcomes.get(receipt.receipt_id)
        amount = sum(action.deposit for action in receipt.actions)
        if outcome is None or isinstance(outcome.outcome.status, Failure) or not amount:
            continue  # a failed receipt's deposit comes back by a refund receipt, which is left out too
        if receipt.predecessor_id != _SYSTEM:
            yield _Move(NEAR, amount, receipt.predecessor_id, receipt.receiver_id)
            continue
        # A refund of gas is signed by the signer, one of a deposit by `system`. A deposit refund whose parent succeeded
        # is none: that is how a deleted account's balance travels to its beneficiary.
        parent = parents.get(receipt.receipt_id)
        if (
            receipt.signer_id == _SYSTEM
            and parent is not None
            and not isinstance(parent.outcome.status, Failure)
            and _deletes(carried.get(parent.id))
        ):
            yield _Move(NEAR, amount, parent.outcome.executor_id, receipt.receiver_id)


def _deletes(receipt: _Carried | None) -> bool:
    return receipt is not None and any(action.kind == "DeleteAccount" for action in receipt.actions)


def _token_moves(answer: TxAnswer, transaction: TransactionView) -> Iterator[_Move]:
    told: set[str] = set()
    for outcome in answer.receipts_outcome:
        execution = outcome.outcome
        if isinstance(execution.status, Failure):
            continue
        for move in _logged_moves(execution.executor_id, execution.logs[:_MAX_LOGS]):
            told.add(move.token)
            yield move
    if transaction.receiver_id not in told:
        yield from _called_moves(answer, transaction)


def _logged_moves(token: AccountId, logs: tuple[str, ...]) -> list[_Move]:
    events = [move for log in logs if log.startswith(_EVENT) for move in _event_moves(token, log[len(_EVENT) :])]
    return events or [move for log in logs for move in _old_log_moves(token, log)]


def _event_moves(token: AccountId, text: str) -> Iterator[_Move]:
    try:
        event = parse_json(text)
    except ValueError:
        return
    match event:
        case {"standard": "nep141", "event": "ft_transfer" | "ft_mint" | "ft_burn" as name, "data": list() as items}:
            pass
        case _:
            return
    for item in items:
        if not isinstance(item, dict):
            continue
        amount = _amount(item.get("amount"))
        if amount is None:
            continue
        if name == "ft_transfer":
            loser, gainer = _account(item.get("old_owner_id")), _account(item.get("new_owner_id"))
            if loser is not None and gainer is not None:
                yield _Move(token, amount, loser, gainer)
        elif (owner := _account(item.get("owner_id"))) is not None:
            mint = name == "ft_mint"
            yield _Move(token, amount, None if mint else owner, owner if mint else None)


def _old_log_moves(token: AccountId, log: str) -> Iterator[_Move]:
    """near-contract-standards before NEP-297, and wNEAR's own lines."""
    if found := _OLD_TRANSFER.fullmatch(log):
        loser, gainer = _account(found[2]), _account(found[3])
        if loser is not None and gainer is not None:
            yield _Move(token, int(found[1]), loser, gainer)
    elif found := _OLD_DEPOSIT.fullmatch(log):
        yield _Move(token, int(found[1]), None, _account(found[2]))
    elif found := _OLD_WITHDRAW.fullmatch(log):
        yield _Move(token, int(found[1]), _account(found[2]), None)


def _called_moves(answer: TxAnswer, transaction: TransactionView) -> Iterator[_Move]:
    """For a token that logs nothing: what the call asked for, or for ft_transfer_call the amount it returned as used."""
    if not isinstance(answer.status, SuccessValue):
        return
    for action in transaction.actions:
        if action.method_name not in {"ft_transfer", "ft_transfer_call"}:
            continue
        args = _object(action.args)
        gainer, amount = _account(args.get("receiver_id")), _amount(args.get("amount"))
        if action.method_name == "ft_transfer_call":
            amount = _amount(_json(answer.status.value))
        if gainer is not None and amount is not None:
            yield _Move(transaction.receiver_id, amount, transaction.signer_id, gainer)


def _json(data: bytes) -> JsonValue:
    try:
        return parse_json(data)
    except ValueError:
        return None


def _object(data: bytes) -> dict[str, JsonValue]:
    value = _json(data)
    return value if isinstance(value, dict) else {}


def _amount(value: JsonValue) -> int | None:
    if isinstance(value, str) and _AMOUNT.fullmatch(value) and int(value) <= U128_MAX:
        return int(value)
    return None


def _account(value: JsonValue) -> AccountId | None:
    try:
        return AccountId(value) if isinstance(value, str) else None
    except ValueError:
        return None
