"""NEAR itself: balances, an account's state, transfers."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.calls import ChangeCall, Transfer, ViewAccount
from contracts.catalogue.arguments import AccountArg, AmountArg, Args
from contracts.catalogue.entry import BuildContext, Built, Entry, Example, merge_effects
from contracts.catalogue.receivers import check_receiver
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import AccountFacts, ChainFacts, FactRequest
from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import AccountId, Yocto, format_near, parse_near

ZERO_BALANCE_BYTES: Final = 770
"""NEP-448: an account that uses no more than this needs no balance for it."""


class AccountArgs(Args):
    account_id: AccountArg


class NearTransferArgs(Args):
    receiver_id: AccountArg = Field(description="who gets it")
    amount: AmountArg


class AccountAnswer(BaseModel):
    """`view_account` of nearcore."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    amount: int = Field(ge=0)
    locked: int = Field(ge=0)
    code_hash: str | None
    storage_usage: int = Field(ge=0)
    global_contract_hash: str | None = None
    global_contract_account_id: str | None = None


def _view_account(args: AccountArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    return Built((ViewAccount(args.account_id),), f"look at {args.account_id}")


def _no_account(args: AccountArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code != "UNKNOWN_ACCOUNT":
        return None
    if args.account_id.kind == "named":
        return f"{args.account_id} does not exist on {context.network}."
    return f"{args.account_id} does not exist on {context.network} yet; a first transfer to it would create it."


def storage_hold(amount: int, locked: int, usage: int, per_byte: int) -> Yocto:
    """The part of `amount` that cannot leave: storage that the stake does not cover, nothing up to 770 bytes (NEP-448)."""
    if usage <= ZERO_BALANCE_BYTES:
        return Yocto(0)
    return Yocto(min(amount, max(0, usage * per_byte - locked)))


def _near_balance_answer(args: AccountArgs, returned: ViewReturned, _facts: ChainFacts, context: BuildContext) -> str:
    account = _account(returned.value)
    if account is None:
        return _unreadable(args.account_id, returned.value)
    held = storage_hold(account.amount, account.locked, account.storage_usage, context.limits.storage_amount_per_byte)
    return (
        f"{args.account_id} has {format_near(account.amount + account.locked)} NEAR in total: "
        f"{format_near(account.amount - held)} NEAR available, "
        f"{format_near(account.locked)} NEAR staked as a validator, "
        f"{format_near(held)} NEAR held by storage ({account.storage_usage} bytes)."
    )


def _account_view_answer(args: AccountArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    account = _account(returned.value)
    if account is None:
        return _unreadable(args.account_id, returned.value)
    return (
        f"{args.account_id}: {_code(account)}, {account.storage_usage} bytes of storage used, "
        f"{format_near(account.amount)} NEAR, {format_near(account.locked)} NEAR locked "
        f"(block {returned.block_height})."
    )


def _code(account: AccountAnswer) -> str:
    shared = account.global_contract_account_id or account.global_contract_hash
    if shared is not None:
        return f"the global contract {inert(shared, 64)}"
    if account.code_hash is None or set(account.code_hash) == {"1"}:
        return "no contract code"
    return f"contract code {inert(account.code_hash, 64)}"


def _account(value: JsonValue) -> AccountAnswer | None:
    try:
        return AccountAnswer.model_validate(value)
    except ValidationError:
        return None


def _unreadable(account_id: AccountId, value: JsonValue) -> str:
    return f"The node's answer about {account_id} is not readable: {inert_json(value, 200)}"


def _transfer_needs(args: NearTransferArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (AccountFacts(args.receiver_id),)


def _transfer_build(args: NearTransferArgs, facts: ChainFacts, context: BuildContext) -> Built:
    amount = parse_near(args.amount)
    if amount == 0:
        raise InvalidInput("amount_zero", "a transfer of 0 NEAR moves nothing; write how much to send")
    notes = list(check_receiver(args.receiver_id, facts, context, created=True))
    token = context.registry.of_contract(args.receiver_id)
    if token:
        notes.append(f"warning: {args.receiver_id} is the {token.name} token contract; NEAR sent to it may be lost")
    if args.receiver_id == context.signer_id:
        notes.append("the receiver is the sender: nothing moves but the gas fee")
    return Built(
        calls=(ChangeCall(args.receiver_id, (Transfer(amount),)),),
        summary=f"send {format_near(amount)} NEAR from {context.signer_id} to {args.receiver_id}",
        expected=merge_effects(
            (Effect(context.signer_id, NEAR_SYMBOL, -amount), Effect(args.receiver_id, NEAR_SYMBOL, amount))
        ),
        notes=tuple(notes),
    )


NEAR_BALANCE: Final = Entry(
    name="near_balance",
    kind="view",
    about="NEAR balance of an account: total, available, staked by validators, held by storage",
    args=AccountArgs,
    build=_view_account,
    answer=_near_balance_answer,
    explain=_no_account,
    examples=(
        Example("how much NEAR does alice.localnet have", {"account_id": "alice.localnet"}),
        Example("what is my balance", {"account_id": "@me"}),
    ),
)

ACCOUNT_VIEW: Final = Entry(
    name="account_view",
    kind="view",
    about="an account's state: code hash, storage used, lock",
    args=AccountArgs,
    build=_view_account,
    answer=_account_view_answer,
    explain=_no_account,
    examples=(Example("show the account state of counter.localnet", {"account_id": "counter.localnet"}),),
)

NEAR_TRANSFER: Final = Entry(
    name="near_transfer",
    kind="change",
    about="send NEAR",
    args=NearTransferArgs,
    needs=_transfer_needs,
    build=_transfer_build,
    examples=(Example("send 1.5 NEAR to bob.localnet", {"receiver_id": "bob.localnet", "amount": "1.5"}),),
)
