"""Any contract: view methods, change methods, and which methods there are."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

from pydantic import Field, JsonValue

from contracts.call_arguments import read_arguments
from contracts.calls import ChangeCall, FunctionCall, ViewFunction, ViewMethods
from contracts.catalogue.arguments import (
    AccountArg,
    AmountArg,
    Args,
    GasArg,
    ObjectArg,
    TextArg,
    compact_json,
    read_base64,
)
from contracts.catalogue.dao_effects import by_hand, wanted_by_hand
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import explain_absence, missing_contract
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.abi import ABI_METHOD
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainFacts,
    FactRequest,
    InterfaceFact,
    InterfaceFacts,
    execution_reason,
)
from contracts.knowledge.inert import inert, inert_json, quoted, quoted_json
from contracts.knowledge.interface import Interface, Method, decimals_problem, type_name
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, AccountId, Gas, JsonObject, Yocto, base_units, format_units, near_text, parse_near

DEFAULT_GAS: Final = Gas(30 * TGAS)
MAX_SHOWN_METHODS: Final = 100
MAX_SHOWN_PARAMETERS: Final = 12
MAX_SHOWN_ARGUMENTS: Final = 600
"""Characters on a card."""

_NOT_CALLED: Final = frozenset({ABI_METHOD, "memory"})

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
    args: ObjectArg | None = Field(None, description="JSON arguments")
    args_base64: TextArg | None = Field(None, description="raw argument bytes in base64, instead of args")


class ContractCallArgs(Args):
    contract_id: AccountArg
    method_name: TextArg
    args: ObjectArg | None = Field(None, description="JSON arguments")
    args_base64: TextArg | None = Field(None, description="raw argument bytes in base64, instead of args")
    deposit: AmountArg = Field("0", description="NEAR")
    gas: GasArg = Field(DEFAULT_GAS, description="Tgas")


def _view_needs(args: ContractViewArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (InterfaceFacts(args.contract_id),)


def _view_build(args: ContractViewArgs, facts: ChainFacts, _context: BuildContext) -> Built:
    method = check_arguments(args, facts)
    if method is not None and method.kind == "call":
        raise InvalidInput(
            "not_a_view",
            f"{inert(args.method_name, 80)} of {args.contract_id} changes state and cannot be viewed; use contract_call",
            details={"contract_id": args.contract_id, "method_name": inert(args.method_name, 80)},
        )
    call = ViewFunction(args.contract_id, args.method_name, argument_bytes(args))
    return Built((call,), f"ask {args.contract_id} for {inert(args.method_name, 80)}")


def _view_answer(args: ContractViewArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    asked = f"{args.contract_id} {inert(args.method_name, 80)}"
    if returned.value is None:
        return f"{asked} returned nothing."
    cut = "" if returned.cut is None else f" ({returned.cut})"
    return f"{asked} returned: {quoted_json(returned.value)}{cut}"


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
                return f"{args.contract_id} refused {inert(args.method_name, 80)}: {quoted(error.message, 300)}"
            case _:
                return f"{args.contract_id} has no contract on {context.network}."
    return _explain(args, error, context)


def _explain(args: ContractArgs | ContractViewArgs, error: RpcError, context: BuildContext) -> str | None:
    return explain_absence(args.contract_id, error, context)


def argument_bytes(args: ContractViewArgs | ContractCallArgs) -> bytes:
    """Return the bytes that the method gets: compact JSON, or those of `args_base64` as they are.

    InvalidInput `malformed_base64`, `arguments_too_long`.
    """
    if args.args_base64 is None:
        return compact_json({} if args.args is None else args.args, numbers=True)
    return read_base64("args_base64", args.args_base64)


def check_arguments(args: ContractViewArgs | ContractCallArgs, facts: ChainFacts) -> Method | None:
    """Return what is known of the method; None if nothing is. Raw bytes are not checked here.

    InvalidInput `arguments_invalid` if the arguments are not what the contract's ABI, or the standard it satisfies, asks for,
    or hold a number with decimals that neither asks for; `borsh_arguments` if the method takes no JSON.
    """
    fact = facts.of(InterfaceFacts(args.contract_id), InterfaceFact)
    interface = None if isinstance(fact, Absent) else fact.interface
    method = None if interface is None else interface.methods.get(args.method_name)
    given: JsonObject | list[JsonValue] = {} if args.args is None else args.args
    if args.args_base64 is not None:
        return method
    shown = f"{inert(args.method_name, 80)} of {args.contract_id}"
    details: JsonObject = {"contract_id": args.contract_id, "method_name": inert(args.method_name, 80)}
    if method is not None and method.encoding == "borsh" and given:
        raise InvalidInput(
            "borsh_arguments",
            f"{shown} takes its arguments as Borsh bytes, not as JSON; give the bytes in args_base64",
            details=details,
        )
    problem = decimals_problem(given) if interface is None else interface.argument_problem(args.method_name, given)
    if problem is None:
        return method
    if method is None or method.origin == "exports":
        why = f"the arguments of {shown} are not described by the contract: {problem}"
    else:
        says = "its ABI" if method.origin == "abi" else method.standard
        why = f"the arguments of {shown} are not what {says} asks for: {problem}. It takes: {signature(method)}"
    raise InvalidInput("arguments_invalid", why, details={**details, "problem": problem})


def signature(method: Method) -> str:
    """`add_message(text: string)`, from names and types only."""
    if method.parameters is None:
        return f"{inert(method.name, 80)}(...)"
    shown = [
        f"{inert(parameter.name, 40)}{'' if parameter.required else '?'}: {type_name(parameter.schema)}"
        for parameter in method.parameters[:MAX_SHOWN_PARAMETERS]
    ]
    more = [f"and {len(method.parameters) - len(shown)} more"] if len(method.parameters) > len(shown) else []
    return f"{inert(method.name, 80)}({', '.join((*shown, *more))})"


def _call_needs(args: ContractCallArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    voted = wanted_by_hand(_function_call(args, Yocto(0)), args.contract_id)
    return (AccountFacts(args.contract_id), InterfaceFacts(args.contract_id), *voted)


def _function_call(args: ContractCallArgs, deposit: Yocto) -> FunctionCall:
    return FunctionCall(args.method_name, argument_bytes(args), args.gas, deposit)


def _call_build(args: ContractCallArgs, facts: ChainFacts, context: BuildContext) -> Built:
    account = facts.of(AccountFacts(args.contract_id), AccountFact)
    if isinstance(account, Absent):
        raise missing_contract(args.contract_id, account, context)
    if not account.has_code:
        raise missing_contract(args.contract_id, Absent("no_code", ""), context)
    deposit = parse_near(args.deposit)
    known = check_arguments(args, facts)
    warnings = _check_call(args, known, deposit, context)
    call = _function_call(args, deposit)
    sets_off, voted = by_hand(call, args.contract_id, facts, context)
    method = inert(args.method_name, 80)
    paying = f" with {near_text(deposit)}" if deposit else ""
    return Built(
        calls=(ChangeCall(args.contract_id, (call,)),),
        summary=f"call {method} of {args.contract_id}{paying} as {context.signer_id}",
        expected=(Effect(context.signer_id, NEAR_SYMBOL, -deposit),) if deposit else (),
        sets_off=sets_off,
        notes=(
            *_shown_arguments(args, call.args),
            *voted,
            *warnings,
            *_token_note(args, call.args, context),
        ),
    )


def _shown_arguments(args: ContractCallArgs, data: bytes) -> tuple[str, ...]:
    """Return the card's lines on the arguments.

    Raw bytes are shown with their size and SHA-256; as JSON if they are an object that every parser reads alike, else in base64
    with a warning.
    """
    shown: JsonValue = {} if args.args is None else args.args
    label, warnings = "arguments", list[str]()
    if args.args_base64 is not None:
        fields = read_arguments(data)
        label = f"raw arguments, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"
        shown = base64.b64encode(data).decode() if fields is None else fields
        if fields is None:
            label += ", in base64"
            warnings.append("warning: the arguments are raw bytes, and nothing here can read what they say")
    written = len(inert_json(shown, len(data) * 10 + 2))
    if written > MAX_SHOWN_ARGUMENTS:
        warnings.append(f"warning: only {MAX_SHOWN_ARGUMENTS} of {written} characters of the arguments are shown")
    return (f"{label}: {quoted_json(shown, MAX_SHOWN_ARGUMENTS)}", *warnings)


def _check_call(args: ContractCallArgs, method: Method | None, deposit: int, context: BuildContext) -> tuple[str, ...]:
    """Refuse what the contract's own word refuses; warn of what looks wrong."""
    if method is None:
        return ()
    shown = f"{inert(method.name, 80)} of {args.contract_id}"
    if method.private and context.signer_id != args.contract_id:
        raise InvalidInput(
            "private_method",
            f"{shown} is private: only {args.contract_id} itself may call it",
            details={"contract_id": args.contract_id, "method_name": inert(method.name, 80)},
        )
    if deposit and method.payable is False:
        raise InvalidInput(
            "not_payable",
            f"{shown} takes no deposit, and {near_text(deposit)} are attached",
            details={"contract_id": args.contract_id, "method_name": inert(method.name, 80)},
        )
    notes: list[str] = []
    if method.kind == "view":
        notes.append(f"warning: {shown} is a view method; contract_view asks it without a transaction")
    if method.one_yocto and deposit != 1:
        notes.append(f"warning: {shown} asks for a deposit of exactly {near_text(1)}")
    return tuple(notes)


def _token_note(args: ContractCallArgs, data: bytes, context: BuildContext) -> tuple[str, ...]:
    what = TOKEN_METHODS.get(args.method_name)
    if what is None:
        return ()
    note = (
        f"warning: {args.method_name} {what}; amounts in its arguments are base units and nothing about them is checked"
    )
    token = context.registry.of_contract(args.contract_id)
    units = base_units((read_arguments(data) or {}).get("amount"))
    if token is None or token.decimals is None or units is None:
        return (note,)
    return (note, f"amount {units} is {format_units(units, token.decimals)} {token.name}")


def _methods_needs(args: ContractArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (InterfaceFacts(args.contract_id),)


def _methods_build(args: ContractArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    return Built((ViewMethods(args.contract_id),), f"list the methods of {args.contract_id}")


def _methods_answer(args: ContractArgs, returned: ViewReturned, facts: ChainFacts, _context: BuildContext) -> str:
    fact = facts.of(InterfaceFacts(args.contract_id), InterfaceFact)
    if isinstance(fact, InterfaceFact) and fact.interface.methods:
        return _interface_text(args.contract_id, fact.interface)
    match returned.value:
        case {"methods": list() as methods}:
            known = methods
        case list() as methods:
            known = methods
        case value:
            return f"The methods of {args.contract_id} are not readable: {quoted_json(value, 200)}"
    if not known:
        return f"{args.contract_id} has no methods."
    shown = ", ".join(_method(method) for method in known[:MAX_SHOWN_METHODS])
    rest = f" and {len(known) - MAX_SHOWN_METHODS} more" if len(known) > MAX_SHOWN_METHODS else ""
    return f"{args.contract_id} has {len(known)} methods: {shown}{rest}."


def _interface_text(contract_id: AccountId, interface: Interface) -> str:
    """Every method with its arguments as far as they are known, and where that is known from."""
    methods = [method for name, method in interface.methods.items() if name not in _NOT_CALLED]
    lines = [f"{contract_id} has {len(methods)} methods:"]
    for method in methods[:MAX_SHOWN_METHODS]:
        told = [method.kind or "", "payable" if method.payable and method.origin == "abi" else ""]
        told += ["private" if method.private else "", method.standard or ("its ABI" if method.origin == "abi" else "")]
        lines.append(f"- {signature(method)}  {', '.join(filter(None, told)) or 'not described'}")
    if len(methods) > MAX_SHOWN_METHODS:
        lines.append(f"- and {len(methods) - MAX_SHOWN_METHODS} more")
    if interface.problem is not None:
        lines.append(inert(interface.problem, 300))
    return "\n".join(lines)


def _method(method: JsonValue) -> str:
    match method:
        case {"name": str(name), "kind": str(kind)}:
            return f"{inert(name, 80)} ({inert(kind, 20)})"
        case {"name": str(name)} | str(name):
            return inert(name, 80)
        case other:
            return inert_json(other, 80)


_ONE_OF: Final = ("args", "args_base64")
_GUESTBOOK_ARGS: Final[JsonObject] = {"from_index": "0", "limit": "5"}

CONTRACT_VIEW: Final = Entry(
    name="contract_view",
    kind="view",
    about="any view method",
    args=ContractViewArgs,
    needs=_view_needs,
    build=_view_build,
    answer=_view_answer,
    explain=_view_explain,
    exclusive=_ONE_OF,
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
    exclusive=_ONE_OF,
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
    needs=_methods_needs,
    build=_methods_build,
    answer=_methods_answer,
    explain=_explain,
    examples=(Example("what can counter.localnet do", {"contract_id": "counter.localnet"}),),
)
