"""NEAR to wNEAR and back (the wrap contract: near_deposit, near_withdraw)."""

from typing import Final

from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.arguments import AmountArg, Args, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import missing_contract
from contracts.catalogue.storage import registration
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.facts import Absent, ChainFacts, FactRequest, StorageFact, StorageFacts
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, Gas, Yocto, format_near, parse_near

WRAP_GAS: Final = Gas(10 * TGAS)


class WrapArgs(Args):
    amount: AmountArg


def _wrap_needs(_args: WrapArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (StorageFacts(context.registry.wrap_id, context.signer_id),)


def _wrap_build(args: WrapArgs, facts: ChainFacts, context: BuildContext) -> Built:
    amount, wrapped, signer_id = _positive(args.amount), context.registry.wrapped, context.signer_id
    storage = facts.of(StorageFacts(wrapped.contract_id, signer_id), StorageFact)
    if isinstance(storage, Absent):
        if storage.reason in {"no_account", "no_code"}:
            raise missing_contract(wrapped.contract_id, storage, context)
        raise InvalidInput(
            "storage_unknown",
            f"whether {signer_id} is registered with {wrapped.contract_id} is unknown ({inert(storage.detail, 120)}); "
            "wrapping without it would take the storage minimum out of the amount, so nothing is built",
            details={"contract_id": wrapped.contract_id},
        )
    # near_deposit of an unregistered caller takes the storage minimum out of the amount: register first.
    register = registration(wrapped.contract_id, signer_id, facts)
    deposit = FunctionCall("near_deposit", compact_json({}), WRAP_GAS, amount)
    paid = amount + register.deposit
    return Built(
        calls=(ChangeCall(wrapped.contract_id, (*register.actions, deposit)),),
        summary=f"wrap {format_near(amount)} NEAR into {wrapped.name} ({wrapped.contract_id}) for {signer_id}",
        expected=(
            Effect(signer_id, NEAR_SYMBOL, -paid),
            Effect(signer_id, wrapped.contract_id, amount),
        ),
        notes=register.notes,
    )


def _unwrap_build(args: WrapArgs, _facts: ChainFacts, context: BuildContext) -> Built:
    amount, wrapped, signer_id = _positive(args.amount), context.registry.wrapped, context.signer_id
    withdraw = FunctionCall("near_withdraw", compact_json({"amount": str(amount)}), WRAP_GAS, Yocto(1))
    return Built(
        calls=(ChangeCall(wrapped.contract_id, (withdraw,)),),
        summary=f"unwrap {format_near(amount)} {wrapped.name} ({wrapped.contract_id}) to NEAR for {signer_id}",
        # The contract pays back the amount and the attached yocto.
        expected=(
            Effect(signer_id, wrapped.contract_id, -amount),
            Effect(signer_id, NEAR_SYMBOL, amount),
        ),
    )


def _positive(text: str) -> Yocto:
    amount = parse_near(text)
    if amount == 0:
        raise InvalidInput("amount_zero", "an amount of 0 NEAR moves nothing; write how much")
    return amount


NEAR_WRAP: Final = Entry(
    name="near_wrap",
    kind="change",
    about="wrap NEAR into wNEAR",
    args=WrapArgs,
    needs=_wrap_needs,
    build=_wrap_build,
    examples=(Example("wrap 2 NEAR", {"amount": "2"}),),
)

NEAR_UNWRAP: Final = Entry(
    name="near_unwrap",
    kind="change",
    about="unwrap wNEAR",
    args=WrapArgs,
    build=_unwrap_build,
    examples=(Example("unwrap 0.5 wNEAR", {"amount": "0.5"}),),
)
