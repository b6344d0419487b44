"""Storage registration (NEP-145): what it costs, and the step that registers an account before it can hold a token."""

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from contracts.calls import ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, ContractArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import check_receiver, explain_view, missing_contract
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import (
    Absent,
    AccountFacts,
    ChainFacts,
    FactRequest,
    StorageFact,
    StorageFacts,
)
from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, U128_MAX, AccountId, Gas, Yocto, base_units, format_near, parse_near

STORAGE_DEPOSIT_GAS: Final = Gas(10 * TGAS)
MAX_UNASKED_DEPOSIT: Final = Yocto(10**23)
"""0.1 NEAR; tokens usually ask 0.00125 NEAR."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What must go before a transfer so that its receiver can hold the token; empty where nothing must."""

    actions: tuple[FunctionCall, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def deposit(self) -> Yocto:
        return Yocto(sum(action.deposit for action in self.actions))


def registration(contract_id: AccountId, account_id: AccountId, facts: ChainFacts) -> Registration:
    """The step that registers the account, when the contract says that it is not; a note where it does not say.

    InvalidInput `storage_minimum_too_high` where the contract asks for more than MAX_UNASKED_DEPOSIT.
    """
    storage = facts.of(StorageFacts(contract_id, account_id), StorageFact)
    if isinstance(storage, Absent):
        unknown = (
            f"whether {account_id} is registered with {contract_id} is unknown "
            f"({inert(storage.detail, 120)}); if it is not, the transfer fails and nothing moves"
        )
        return Registration(notes=(unknown,))
    if storage.registered is not None:
        return Registration()
    check_minimum(contract_id, storage.minimum)
    return Registration(
        actions=(storage_deposit_action(account_id, Yocto(storage.minimum), registration_only=True),),
        notes=(f"registers {account_id} with {contract_id} ({format_near(storage.minimum)} NEAR)",),
    )


def check_minimum(contract_id: AccountId, minimum: int) -> None:
    """Refuse a storage minimum that nobody asked to pay: it is the contract's word, and a contract can say anything."""
    if minimum > MAX_UNASKED_DEPOSIT:
        raise InvalidInput(
            "storage_minimum_too_high",
            f"{contract_id} asks {format_near(minimum)} NEAR to register an account; more than "
            f"{format_near(MAX_UNASKED_DEPOSIT)} NEAR is paid only when you name it: "
            f"/storage_deposit {contract_id} ACCOUNT {format_near(minimum)}",
            details={"contract_id": contract_id, "minimum_yocto": str(minimum)},
        )


def storage_deposit_action(account_id: AccountId, deposit: Yocto, *, registration_only: bool) -> FunctionCall:
    """`registration_only` sends back whatever is above the contract's minimum."""
    args = compact_json(
        {"account_id": account_id, "registration_only": True} if registration_only else {"account_id": account_id}
    )
    return FunctionCall("storage_deposit", args, STORAGE_DEPOSIT_GAS, deposit)


class StorageDepositArgs(Args):
    contract_id: ContractArg = Field(description="a token symbol is resolved too")
    account_id: AccountArg | None = Field(None, description="absent: the caller")
    amount: AmountArg | None = Field(None, description="NEAR; absent: the contract's minimum")


class StorageBalanceArgs(Args):
    contract_id: ContractArg
    account_id: AccountArg


def _deposit_needs(args: StorageDepositArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    account_id = args.account_id or context.signer_id
    return (StorageFacts(args.contract_id, account_id), AccountFacts(account_id))


def _deposit_build(args: StorageDepositArgs, facts: ChainFacts, context: BuildContext) -> Built:
    contract_id, account_id = args.contract_id, args.account_id or context.signer_id
    storage = facts.of(StorageFacts(contract_id, account_id), StorageFact)
    if isinstance(storage, Absent):
        raise _no_storage(contract_id, storage, context)
    notes = check_receiver(account_id, facts, context)
    if args.amount is None:
        amount, kept = _minimum(contract_id, account_id, storage), storage.minimum
    else:
        amount = parse_near(args.amount)
        kept = _kept(contract_id, account_id, storage, amount)
    if kept < amount:
        notes = (*notes, f"{contract_id} keeps {format_near(kept)} NEAR of it and sends the rest back")
    action = storage_deposit_action(account_id, amount, registration_only=args.amount is None)
    return Built(
        calls=(ChangeCall(contract_id, (action,)),),
        summary=f"deposit {format_near(amount)} NEAR for the storage of {account_id} with {contract_id}",
        expected=(Effect(context.signer_id, NEAR_SYMBOL, -kept),),
        notes=notes,
    )


def _minimum(contract_id: AccountId, account_id: AccountId, storage: StorageFact) -> Yocto:
    if storage.registered is not None:
        raise _registered(contract_id, account_id, storage.registered)
    check_minimum(contract_id, storage.minimum)
    return Yocto(storage.minimum)


def _kept(contract_id: AccountId, account_id: AccountId, storage: StorageFact, amount: int) -> int:
    """What the contract keeps of a deposit: up to its maximum."""
    if storage.registered is None and amount < storage.minimum:
        raise InvalidInput(
            "deposit_too_small",
            f"{contract_id} asks at least {format_near(storage.minimum)} NEAR to register {account_id}, "
            f"not {format_near(amount)}",
            details={"contract_id": contract_id, "minimum_yocto": str(storage.minimum)},
        )
    if amount == 0:
        raise InvalidInput("amount_zero", "a deposit of 0 NEAR changes nothing; write how much, or leave it out")
    room = U128_MAX if storage.maximum is None else storage.maximum - (storage.registered or 0)
    if room <= 0:
        raise _registered(contract_id, account_id, storage.registered or 0)
    return min(amount, room)


def _registered(contract_id: AccountId, account_id: AccountId, total: int) -> InvalidInput:
    return InvalidInput(
        "already_registered",
        f"{account_id} is already registered with {contract_id} ({format_near(total)} NEAR); there is nothing to do",
        details={"contract_id": contract_id, "account_id": account_id},
    )


def _no_storage(contract_id: AccountId, absent: Absent, context: BuildContext) -> InvalidInput:
    if absent.reason in {"no_account", "no_code"}:
        return missing_contract(contract_id, absent, context)
    why = "it has no such method" if absent.reason == "no_method" else inert(absent.detail, 160)
    return InvalidInput(
        "no_storage_standard",
        f"{contract_id} does not answer as NEP-145 asks, so it takes no storage deposits: {why}",
        details={"contract_id": contract_id, "reason": absent.reason},
    )


def _balance_build(args: StorageBalanceArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    call = ViewFunction(args.contract_id, "storage_balance_of", compact_json({"account_id": args.account_id}))
    return Built((call,), f"look at the storage balance of {args.account_id} with {args.contract_id}")


def _balance_answer(
    args: StorageBalanceArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext
) -> str:
    match returned.value:
        case None:
            return f"{args.account_id} is not registered with {args.contract_id}."
        case {"total": total, "available": available}:
            whole, free = base_units(total), base_units(available)
            if whole is not None and free is not None:
                return (
                    f"{args.account_id} has {format_near(whole)} NEAR of storage balance with {args.contract_id}, "
                    f"{format_near(free)} NEAR of it available."
                )
        case _:
            pass
    return f"{args.contract_id} answered {inert_json(returned.value)}, which is not a NEP-145 balance."


def _explain(args: StorageBalanceArgs, error: RpcError, context: BuildContext) -> str | None:
    otherwise = f"{args.contract_id} keeps no storage balances (NEP-145)."
    return explain_view(args.contract_id, error, context, otherwise=otherwise)


STORAGE_DEPOSIT: Final = Entry(
    name="storage_deposit",
    kind="change",
    about="register an account with a contract (NEP-145)",
    args=StorageDepositArgs,
    needs=_deposit_needs,
    build=_deposit_build,
    examples=(Example("register carol.localnet with USDC", {"contract_id": "USDC", "account_id": "carol.localnet"}),),
)

STORAGE_BALANCE: Final = Entry(
    name="storage_balance",
    kind="view",
    about="NEP-145 balance",
    args=StorageBalanceArgs,
    build=_balance_build,
    answer=_balance_answer,
    explain=_explain,
    examples=(
        Example(
            "is carol.localnet registered with usdt.localnet",
            {"contract_id": "usdt.localnet", "account_id": "carol.localnet"},
        ),
    ),
)
