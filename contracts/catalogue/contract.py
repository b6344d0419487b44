"""Any contract: view methods, change methods, and which methods there are."""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, JsonValue

from contracts.calls import ChangeCall, FunctionCall, ViewFunction, ViewMethods
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, GasArg, ObjectArg, TextArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import missing_contract
from contracts.catalogue.tokens import base_units
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import RpcError
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainFacts,
    FactRequest,
    MethodFacts,
    execution_reason,
)
from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, Gas, JsonObject, format_near, format_units, parse_near

DEFAULT_GAS: Final = Gas(30 * TGAS)
MAX_SHOWN_METHODS: Final = 100
MAX_SHOWN_ARGUMENTS: Final = 600
"""Characters on a card."""

TOKEN_METHODS: Final[Mapping[str, str]] = {
    "ft_transfer": "moves tokens",
    "ft_transfer_call": "moves tokens to a contract",
    "storage_deposit": "pays for storage",
    "storage_withdraw": "takes storage money out",
    "storage_unregister": "can burn the token balance",
    "near_deposit": "wraps NEAR",
    "near_withdraw": "unwraps wNEAR",
}
"""Standard methods (NEP-141, NEP-145, wrap) with what the card says of them: this way in checks nothing about tokens."""


class ContractArgs(Args):
    contract_id: AccountArg


class ContractViewArgs(Args):
    contract_id: AccountArg
    method_name: TextArg
    args: ObjectArg = Field(default_factory=dict, description="JSON arguments")


class ContractCallArgs(Args):
    contract_id: AccountArg
    method_name: TextArg
    args: ObjectArg = Field(default_factory=dict, description="JSON arguments")
    deposit: AmountArg = Field("0", description="NEAR")
    gas: GasArg = Field(DEFAULT_GAS, description="Tgas")


def _view_build(args: ContractViewArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    call = ViewFunction(args.contract_id, args.method_name, compact_json(args.args))
    return Built((call,), f"ask {args.contract_id} for {inert(args.method_name, 80)}")


def _view_answer(args: ContractViewArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    asked = f"{args.contract_id} {inert(args.method_name, 80)}"
    if returned.value is None:
        return f"{asked} returned nothing."
    return f"{asked} returned: {inert_json(returned.value)}"


def _view_explain(args: ContractViewArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code == "CONTRACT_EXECUTION_ERROR":
        match execution_reason(error):
            case "no_method":
                return (
                    f"{args.contract_id} has no method {inert(args.method_name, 80)}; "
                    f"/contract_methods {args.contract_id} lists what it has."
                )
            case "failed" if "ProhibitedInView" in error.message + str(error.details):
                return (
                    f"{inert(args.method_name, 80)} of {args.contract_id} changes state and cannot be viewed; "
                    "use contract_call."
                )
            case "failed":
                return f"{args.contract_id} refused {inert(args.method_name, 80)}: {inert(error.message, 300)}"
            case _:
                return f"{args.contract_id} has no contract on {context.network}."
    return _explain(args, error, context)


def _explain(args: ContractArgs | ContractViewArgs, error: RpcError, context: BuildContext) -> str | None:
    match error.code:
        case "UNKNOWN_ACCOUNT":
            return f"{args.contract_id} does not exist on {context.network}."
        case "NO_CONTRACT_CODE":
            return f"{args.contract_id} has no contract on {context.network}."
        case _:
            return None


def _call_needs(args: ContractCallArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (AccountFacts(args.contract_id), MethodFacts(args.contract_id))


def _call_build(args: ContractCallArgs, facts: ChainFacts, context: BuildContext) -> Built:
    account = facts.of(AccountFacts(args.contract_id), AccountFact)
    if isinstance(account, Absent):
        raise missing_contract(args.contract_id, account, context)
    if not account.has_code:
        raise missing_contract(args.contract_id, Absent("no_code", ""), context)
    deposit = parse_near(args.deposit)
    call = FunctionCall(args.method_name, compact_json(args.args), args.gas, deposit)
    method = inert(args.method_name, 80)
    paying = f" with {format_near(deposit)} NEAR" if deposit else ""
    written = len(inert_json(args.args, len(call.args) * 10))
    unseen = (f"warning: only {MAX_SHOWN_ARGUMENTS} of {written} characters of the arguments are shown",)
    return Built(
        calls=(ChangeCall(args.contract_id, (call,)),),
        summary=f"call {method} of {args.contract_id}{paying} as {context.signer_id}",
        expected=(Effect(context.signer_id, NEAR_SYMBOL, -deposit),) if deposit else (),
        notes=(
            f"arguments: {inert_json(args.args, MAX_SHOWN_ARGUMENTS)}",
            *(unseen if written > MAX_SHOWN_ARGUMENTS else ()),
            *_token_note(args, context),
        ),
    )


def _token_note(args: ContractCallArgs, context: BuildContext) -> tuple[str, ...]:
    what = TOKEN_METHODS.get(args.method_name)
    if what is None:
        return ()
    note = (
        f"warning: {args.method_name} {what}; amounts in its arguments are base units and nothing about them is checked"
    )
    token = context.registry.of_contract(args.contract_id)
    units = base_units(args.args.get("amount"))
    if token is None or token.decimals is None or units is None:
        return (note,)
    return (note, f"amount {units} is {format_units(units, token.decimals)} {token.name}")


def _methods_build(args: ContractArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    return Built((ViewMethods(args.contract_id),), f"list the methods of {args.contract_id}")


def _methods_answer(args: ContractArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    match returned.value:
        case {"methods": list() as methods}:
            known = methods
        case list() as methods:
            known = methods
        case value:
            return f"The methods of {args.contract_id} are not readable: {inert_json(value, 200)}"
    if not known:
        return f"{args.contract_id} has no methods."
    shown = ", ".join(_method(method) for method in known[:MAX_SHOWN_METHODS])
    rest = f" and {len(known) - MAX_SHOWN_METHODS} more" if len(known) > MAX_SHOWN_METHODS else ""
    return f"{args.contract_id} has {len(known)} methods: {shown}{rest}."


def _method(method: JsonValue) -> str:
    match method:
        case {"name": str(name), "kind": str(kind)}:
            return f"{inert(name, 80)} ({inert(kind, 20)})"
        case {"name": str(name)} | str(name):
            return inert(name, 80)
        case other:
            return inert_json(other, 80)


_GUESTBOOK_ARGS: Final[JsonObject] = {"from_index": "0", "limit": "5"}

CONTRACT_VIEW: Final = Entry(
    name="contract_view",
    kind="view",
    about="any view method",
    args=ContractViewArgs,
    build=_view_build,
    answer=_view_answer,
    explain=_view_explain,
    examples=(
        Example(
            "what is the number in counter.localnet", {"contract_id": "counter.localnet", "method_name": "get_num"}
        ),
        Example(
            "first five messages of guestbook.localnet",
            {"contract_id": "guestbook.localnet", "method_name": "get_messages", "args": _GUESTBOOK_ARGS},
        ),
    ),
)

CONTRACT_CALL: Final = Entry(
    name="contract_call",
    kind="change",
    about="any change method",
    args=ContractCallArgs,
    needs=_call_needs,
    build=_call_build,
    examples=(
        Example("increment counter.localnet", {"contract_id": "counter.localnet", "method_name": "increment"}),
        Example(
            "write hello into guestbook.localnet with 0.1 NEAR",
            {
                "contract_id": "guestbook.localnet",
                "method_name": "add_message",
                "args": {"text": "hello"},
                "deposit": "0.1",
            },
        ),
    ),
)

CONTRACT_METHODS: Final = Entry(
    name="contract_methods",
    kind="view",
    about="methods of a contract, from its ABI or its code",
    args=ContractArgs,
    build=_methods_build,
    answer=_methods_answer,
    explain=_explain,
    examples=(Example("what can counter.localnet do", {"contract_id": "counter.localnet"}),),
)
