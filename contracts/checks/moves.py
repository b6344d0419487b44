"""What a call hands over and to whom, by NEAR itself and by the standards (NEP-141, 145, 171, 245). Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from contracts.call_arguments import read_arguments
from contracts.calls import ChangeCall, CreateAccount, DeleteAccount, FunctionCall, Transfer
from contracts.types import AccountId, account_of, base_units


@dataclass(frozen=True, slots=True)
class Move:
    """What a call hands over by a standard: NEAR, a token's units, or an item (no amount)."""

    what: str
    """`NEAR` or the contract's id."""
    recipient_id: AccountId
    amount: int | None
    kind: Literal["near", "token", "item", "account"]
    calls_recipient: bool = False
    """The recipient's contract is called with it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A view to ask right before a transaction, and what its answer is about."""

    about: Literal["registered", "balance"]
    contract_id: AccountId
    method_name: str
    account_id: AccountId

    @property
    def args(self) -> bytes:
        return b'{"account_id":"' + self.account_id.encode() + b'"}'


def moves_of(call: ChangeCall) -> tuple[Move, ...]:
    """Return the moves of a call, as far as NEAR itself and NEP-141, 171 and 245 define them.

    Arguments that stay unread hand over nothing here; the policy counts them as everything.
    """
    return tuple(_moves(call))


def _moves(call: ChangeCall) -> Iterator[Move]:
    creates = any(isinstance(action, CreateAccount) for action in call.actions)
    for action in call.actions:
        match action:
            case Transfer(deposit):
                yield Move("NEAR", call.receiver_id, deposit, "account" if creates else "near")
            case DeleteAccount(beneficiary_id):
                yield Move("NEAR", beneficiary_id, None, "near")
            case FunctionCall(method_name, args):
                yield from _token_moves(call.receiver_id, method_name, read_arguments(args) or {})
            case _:
                pass


def _token_moves(contract_id: AccountId, method_name: str, args: Mapping[str, JsonValue]) -> Iterator[Move]:
    match method_name:
        case "ft_transfer" | "ft_transfer_call":
            amount, kind = base_units(args.get("amount")), "token"
        case "nft_transfer" | "nft_transfer_call" | "mt_transfer" | "mt_transfer_call" | "nft_approve":
            amount, kind = None, "item"
        case _:
            return
    recipient_id = account_of(args.get("account_id" if method_name == "nft_approve" else "receiver_id"))
    if recipient_id is not None:
        calls = method_name.endswith("_call") or (method_name == "nft_approve" and args.get("msg") is not None)
        yield Move(contract_id, recipient_id, amount, kind, calls)


def contracts_of(call: ChangeCall) -> tuple[AccountId, ...]:
    """The contracts whose code decides what becomes of it: the one that is called, and those that get a message."""
    called = (call.receiver_id,) if call.calls_contract else ()
    told = (move.recipient_id for move in moves_of(call) if move.calls_recipient)
    return tuple(dict.fromkeys((*called, *told)))


def questions_of(signer_id: AccountId, call: ChangeCall) -> tuple[Question, ...]:
    """The views that tell whether a token transfer can go: the recipient's registration, the sender's balance."""
    asked: list[Question] = []
    for move in moves_of(call):
        if move.kind != "token":
            continue
        contract_id = call.receiver_id
        asked.append(Question("balance", contract_id, "ft_balance_of", signer_id))
        if move.recipient_id not in registered_here(signer_id, call):
            asked.append(Question("registered", contract_id, "storage_balance_of", move.recipient_id))
    return tuple(dict.fromkeys(asked))


def registered_here(signer_id: AccountId, call: ChangeCall) -> set[str]:
    """Accounts that the same transaction registers before it transfers."""
    found: set[str] = set()
    for action in call.actions:
        if isinstance(action, FunctionCall) and action.method_name == "storage_deposit":
            arguments = read_arguments(action.args)
            if arguments is not None:
                found.add(account_of(arguments.get("account_id")) or signer_id)
    return found
