"""What a transaction moved, read from its receipts: NEAR from executed deposits, tokens and NFTs from their own logs.

Gas is left out: fees and gas refunds are not effects. A token is the contract that executed the receipt, so that a
contract can only speak about itself; logs of failed receipts never happened. Sources: NEP-141 and NEP-171 events, the
log lines of contracts older than NEP-297, and returned amounts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.call_arguments import read_arguments
from contracts.chain.outcome import Effect, Place
from contracts.chain.token_logs import Move, logged_moves
from contracts.chain.tx_answer import ActionView, Failure, OutcomeView, SuccessValue, TransactionView, TxAnswer
from contracts.strict_json import parse_json
from contracts.types import AccountId, CryptoHash, account_of, base_units

NEAR: Final = "NEAR"
_SYSTEM: Final = "system"


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
    """Sorted by account, token and NFT, without zeros."""
    complete: bool
    """False where receipts that were executed are not in the answer: what NEAR they moved is unknown."""


def read_effects(answer: TxAnswer, transaction: TransactionView) -> Effects:
    """The net effects per account and token of an answer that tells the outcome."""
    outcomes = {outcome.id: outcome for outcome in answer.receipts_outcome}
    carried = _carried(answer, transaction)
    moves = [*_near_moves(carried, outcomes), *_token_moves(answer, transaction, carried)]
    totals: dict[tuple[AccountId, str, str], int] = {}
    items: dict[str, str | None] = {}
    for move in _without_repeats(moves):
        item = "" if move.token_id is None else f"#{move.token_id}"
        items[item] = move.token_id
        for account_id, change in ((move.loser, -move.amount), (move.gainer, move.amount)):
            if account_id is not None:
                place = (account_id, move.token, item)
                totals[place] = totals.get(place, 0) + change
    effects = tuple(
        Effect(account, token, change, token_id=items[item])
        for (account, token, item), change in sorted(totals.items())
        if change
    )
    return Effects(effects, answer.receipts is not None or set(outcomes) <= set(carried))


def _without_repeats(moves: Iterable[Move]) -> Iterator[Move]:
    """Moves without those of an NFT that are logged again: there is one of each, so it cannot go the same way twice in a row.

    Contracts log a transfer by their own event and by their library's. Units of a token may well move twice.
    """
    last: dict[tuple[str, str], Move] = {}
    for move in moves:
        if move.token_id is not None:
            if last.get((move.token, move.token_id)) == move:
                continue
            last[move.token, move.token_id] = move
        yield move


def missing_effects(expected: Iterable[Effect], effects: Effects) -> tuple[Effect, ...]:
    """The expected effects that did not happen so, exactly or at least. Losing less NEAR is no miss: contracts pay back.

    NEAR that cannot be read (incomplete receipts) is not called missing.
    """
    actual = {effect.place: effect.change for effect in effects.effects}
    wanted: dict[Place, int] = {}
    wanted_of = tuple(expected)
    for effect in wanted_of:
        wanted[effect.place] = wanted.get(effect.place, 0) + effect.change
    open_ended = {effect.place for effect in wanted_of if effect.at_least}
    missed: list[Effect] = []
    for place, change in wanted.items():
        account_id, token, token_id = place
        got = actual.get(place, 0)
        spared = token == NEAR and change < 0 and got > change
        unknown = token == NEAR and not effects.complete
        more = place in open_ended and got > change
        if got != change and not spared and not unknown and not more:
            missed.append(Effect(account_id, token, change, at_least=place in open_ended, token_id=token_id))
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


def _near_moves(carried: Mapping[CryptoHash, _Carried], outcomes: Mapping[CryptoHash, OutcomeView]) -> Iterator[Move]:
    parents = {child: parent for parent in outcomes.values() for child in parent.outcome.receipt_ids}
    for receipt in carried.values():
        outcome = outcomes.get(receipt.receipt_id)
        amount = sum(action.deposit for action in receipt.actions)
        if outcome is None or isinstance(outcome.outcome.status, Failure) or not amount:
            continue  # a failed receipt's deposit comes back by a refund receipt, which is left out too
        if receipt.predecessor_id != _SYSTEM:
            yield Move(NEAR, amount, receipt.predecessor_id, receipt.receiver_id)
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
            yield Move(NEAR, amount, parent.outcome.executor_id, receipt.receiver_id)


def _deletes(receipt: _Carried | None) -> bool:
    return receipt is not None and any(action.kind == "DeleteAccount" for action in receipt.actions)


def _token_moves(
    answer: TxAnswer, transaction: TransactionView, carried: Mapping[CryptoHash, _Carried]
) -> Iterator[Move]:
    told: set[str] = set()
    for outcome in answer.receipts_outcome:
        execution = outcome.outcome
        if isinstance(execution.status, Failure):
            continue
        receipt = carried.get(outcome.id)
        methods = () if receipt is None else tuple(action.method_name or "" for action in receipt.actions)
        for move in logged_moves(execution.executor_id, execution.logs, methods):
            told.add(move.token)
            yield move
    if transaction.receiver_id not in told:
        yield from _called_moves(answer, transaction)


def _called_moves(answer: TxAnswer, transaction: TransactionView) -> Iterator[Move]:
    """For a token that logs nothing: what the call asked for, or for ft_transfer_call the amount it returned as used."""
    if not isinstance(answer.status, SuccessValue):
        return
    for action in transaction.actions:
        args = _object(action.args)
        gainer, token_id = account_of(args.get("receiver_id") or args.get("token_owner_id")), args.get("token_id")
        match action.method_name:
            case "ft_transfer":
                amount = base_units(args.get("amount"))
            case "ft_transfer_call":
                amount = base_units(_json(answer.status.value))
            case "nft_transfer" | "nft_mint" as name if gainer is not None and isinstance(token_id, str):
                if args.get("approval_id") is None:  # with one the owner is another, whom the call does not name
                    loser = None if name == "nft_mint" else transaction.signer_id
                    yield Move(transaction.receiver_id, 1, loser, gainer, token_id)
                continue
            case _:
                continue
        if gainer is not None and amount is not None:
            yield Move(transaction.receiver_id, amount, transaction.signer_id, gainer)


def _json(data: bytes) -> JsonValue:
    try:
        return parse_json(data)
    except ValueError:
        return None


def _object(data: bytes) -> dict[str, JsonValue]:
    return read_arguments(data) or {}
