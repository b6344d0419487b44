"""Accounts: their creation with a key of our own, and their deletion once nothing would be left behind."""

from typing import Final

from pydantic import Field

from contracts.calls import AddKey, ChangeCall, CreateAccount, DeleteAccount, FullAccess, FunctionCall, Transfer
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.leftovers import left_behind, leftover_needs
from contracts.catalogue.receivers import missing_account, missing_contract
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.account_keys import NewKeyFact, NewKeyFacts
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, FactRequest
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto, format_near, parse_near

REGISTRAR_GAS: Final = Gas(100 * TGAS)
"""The registrar keeps 40 Tgas for its callback, and creating an account takes about 12."""
_GAS_COST: Final = 10**22
"""yoctoNEAR; more than deleting an account costs in gas."""


class AccountCreateArgs(Args):
    new_account_id: AccountArg
    amount: AmountArg | None = Field(None, description="initial balance in NEAR")


class AccountDeleteArgs(Args):
    beneficiary_id: AccountArg


def _create_needs(args: AccountCreateArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    registrar = _registrar(args.new_account_id, context)
    named = (AccountFacts(registrar),) if registrar is not None else ()
    return (AccountFacts(args.new_account_id), *named)


def _create_further(args: AccountCreateArgs, facts: ChainFacts, context: BuildContext) -> tuple[FactRequest, ...]:
    """The key is made once nothing speaks against the account: the signer keeps no key of somebody else's."""
    try:
        _check_creation(args.new_account_id, facts, context)
    except InvalidInput:
        return ()
    return (NewKeyFacts(args.new_account_id),)


def _create_build(args: AccountCreateArgs, facts: ChainFacts, context: BuildContext) -> Built:
    new_id, signer_id = args.new_account_id, context.signer_id
    _check_creation(new_id, facts, context)
    made = facts.of(NewKeyFacts(new_id), NewKeyFact)
    if isinstance(made, Absent):
        raise InvalidInput("no_new_key", f"the signer made no key for {new_id}; nothing can be created without one")
    amount = parse_near(args.amount) if args.amount is not None else Yocto(0)
    registrar = _registrar(new_id, context)
    notes = [f"its only key {made.public_key} is made and kept by this agent's signer"]
    if amount == 0:
        notes.append(f"{new_id} begins with 0 NEAR and can pay for nothing until somebody sends it some")
    if registrar is not None:
        notes.append(f"{registrar} creates it; where it cannot, it says so and the NEAR comes back")
    moved = (Effect(signer_id, NEAR_SYMBOL, -amount), Effect(new_id, NEAR_SYMBOL, amount))
    return Built(
        calls=(_creation(new_id, amount, made.public_key, registrar),),
        summary=f"create {new_id} with {format_near(amount)} NEAR from {signer_id}",
        expected=moved if amount else (),
        notes=tuple(notes),
    )


def _creation(new_id: AccountId, amount: Yocto, key: PublicKey, registrar: AccountId | None) -> ChangeCall:
    if registrar is not None:
        args = compact_json({"new_account_id": new_id, "new_public_key": key})
        return ChangeCall(registrar, (FunctionCall("create_account", args, REGISTRAR_GAS, amount),))
    transfer = (Transfer(amount),) if amount else ()
    return ChangeCall(new_id, (CreateAccount(), *transfer, AddKey(key, FullAccess())))


def _registrar(new_id: AccountId, context: BuildContext) -> AccountId | None:
    """The contract that creates names under a network's own end; None where the caller does it, or nobody can."""
    suffix = AccountId(context.registry.account_suffix)
    return suffix if new_id.parent == suffix != context.signer_id else None


def _check_creation(new_id: AccountId, facts: ChainFacts, context: BuildContext) -> None:
    """InvalidInput unless the caller, or the network's registrar for him, can create this account and it is not there."""
    signer_id, suffix = context.signer_id, context.registry.account_suffix
    if new_id.kind != "named":
        raise InvalidInput(
            "implicit_account",
            f"{new_id} is an implicit account: nobody creates it, a first /near_transfer to it brings it to life",
            details={"account_id": new_id},
        )
    if new_id.parent is None:
        raise InvalidInput(
            "top_level_account",
            f"{new_id} would be a top-level account, which only the network's registrar gives out; did you mean "
            f"{new_id}.{suffix} or {new_id}.{signer_id}?",
            details={"account_id": new_id, "nearest": f"{new_id}.{suffix}"},
        )
    registrar = _registrar(new_id, context)
    if registrar is None and new_id.parent != signer_id:
        raise InvalidInput(
            "not_the_parent",
            f"{new_id} can only be created by {new_id.parent}, and you are {signer_id}; you can create names that end in "
            f".{signer_id} or in .{suffix}",
            details={"account_id": new_id, "parent": new_id.parent},
        )
    if isinstance(facts.of(AccountFacts(new_id), AccountFact), AccountFact):
        raise InvalidInput(
            "account_exists", f"{new_id} exists already; choose another name", details={"account_id": new_id}
        )
    if registrar is None:
        return
    known = facts.of(AccountFacts(registrar), AccountFact)
    if isinstance(known, Absent):
        raise missing_account(registrar, context)
    if not known.has_code:
        raise missing_contract(registrar, Absent("no_code", ""), context)


def _delete_needs(args: AccountDeleteArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    signer_id = context.signer_id
    return (AccountFacts(signer_id), AccountFacts(args.beneficiary_id), *leftover_needs(signer_id, context.registry))


def _delete_build(args: AccountDeleteArgs, facts: ChainFacts, context: BuildContext) -> Built:
    signer_id, beneficiary_id = context.signer_id, args.beneficiary_id
    own = facts.of(AccountFacts(signer_id), AccountFact)
    if isinstance(own, Absent):
        raise missing_account(signer_id, context)
    _check_beneficiary(beneficiary_id, facts, context)
    if own.locked:
        raise InvalidInput(
            "account_staking",
            f"{signer_id} has {format_near(own.locked)} NEAR locked as a validator; take the stake back and wait until it "
            "is free, then delete the account",
            details={"account_id": signer_id, "locked_yocto": str(own.locked)},
        )
    found, unknown = left_behind(signer_id, facts, context.registry)
    if found:
        raise InvalidInput(
            "account_not_empty",
            f"deleting {signer_id} would lose what it has elsewhere: {'; '.join(item.what for item in found)}. "
            f"First {'; '.join(dict.fromkeys(item.todo for item in found))}",
            details={"account_id": signer_id, "left": [item.what for item in found]},
        )
    lost = "its keys and its contract with all data" if own.has_code else "its keys"
    owner = signer_id.parent or "the registrar"
    notes = [
        f"warning: {signer_id} and {lost} are gone for good, and {owner} can give the name to somebody else",
        "looked at: tokens, NFTs, pools, DAOs and the exchange that this agent knows; anything elsewhere stays behind",
        *(f"unknown: {what}" for what in unknown),
    ]
    return Built(
        calls=(ChangeCall(signer_id, (DeleteAccount(beneficiary_id),)),),
        summary=f"delete {signer_id}; its {format_near(own.amount)} NEAR less the gas go to {beneficiary_id}",
        expected=(
            Effect(signer_id, NEAR_SYMBOL, -own.amount),
            Effect(beneficiary_id, NEAR_SYMBOL, max(0, own.amount - _GAS_COST), at_least=True),
        ),
        notes=tuple(notes),
    )


def _check_beneficiary(beneficiary_id: AccountId, facts: ChainFacts, context: BuildContext) -> None:
    """The balance travels as a refund, which creates no account: to one that is missing it is burnt."""
    if beneficiary_id == context.signer_id:
        raise InvalidInput(
            "beneficiary_is_sender",
            f"{beneficiary_id} is the account that would be deleted: its NEAR would be lost; name another account",
            details={"account_id": beneficiary_id},
        )
    if isinstance(facts.of(AccountFacts(beneficiary_id), AccountFact), AccountFact):
        return
    if beneficiary_id.kind == "named":
        raise missing_account(beneficiary_id, context)
    raise InvalidInput(
        "account_missing",
        f"{beneficiary_id} does not exist on {context.network}, and a deletion does not create it: all NEAR would be lost; "
        "name an account that exists",
        details={"account_id": beneficiary_id},
    )


ACCOUNT_CREATE: Final = Entry(
    name="account_create",
    kind="change",
    about="create a named or sub-account",
    args=AccountCreateArgs,
    needs=_create_needs,
    further=_create_further,
    build=_create_build,
    examples=(
        Example("create dave.localnet with 5 NEAR", {"new_account_id": "dave.localnet", "amount": "5"}),
        Example("make a sub-account app.alice.localnet", {"new_account_id": "app.alice.localnet"}),
    ),
)

ACCOUNT_DELETE: Final = Entry(
    name="account_delete",
    kind="change",
    about="delete the caller's account; the rest goes to the beneficiary",
    args=AccountDeleteArgs,
    needs=_delete_needs,
    build=_delete_build,
    examples=(Example("delete my account and send what is left to bob.localnet", {"beneficiary_id": "bob.localnet"}),),
)
