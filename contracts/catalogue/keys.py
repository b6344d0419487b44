"""Access keys of an account."""

from typing import Final

from pydantic import JsonValue

from contracts.calls import ViewAccessKeys
from contracts.catalogue.arguments import AccountArg, Args
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.chain.outcome import ViewReturned
from contracts.errors import RpcError
from contracts.knowledge.facts import ChainFacts
from contracts.knowledge.inert import inert, inert_json
from contracts.types import format_near

MAX_SHOWN_KEYS: Final = 20
MAX_SHOWN_METHODS: Final = 10


class AccessKeysArgs(Args):
    account_id: AccountArg


def _build(args: AccessKeysArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    return Built((ViewAccessKeys(args.account_id),), f"look at the access keys of {args.account_id}")


def _answer(args: AccessKeysArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    match returned.value:
        case {"keys": list() as keys}:
            shown = [f"- {_key(key)}" for key in keys[:MAX_SHOWN_KEYS]]
        case value:
            return f"The node's answer about {args.account_id} is not readable: {inert_json(value, 200)}"
    if not keys:
        return f"{args.account_id} has no access keys: nobody can sign for it."
    if len(keys) > MAX_SHOWN_KEYS:
        shown.append(f"- and {len(keys) - MAX_SHOWN_KEYS} more")
    noun = "access key" if len(keys) == 1 else "access keys"
    return "\n".join((f"{args.account_id} has {len(keys)} {noun}:", *shown))


def _key(key: JsonValue) -> str:
    match key:
        case {"public_key": str(public_key), "access_key": {"permission": permission}}:
            return f"{inert(public_key, 120)}: {_permission(permission)}"
        case _:
            return inert_json(key, 200)


def _permission(permission: JsonValue) -> str:
    match permission:
        case "FullAccess":
            return "full access"
        case {
            "FunctionCall": {"receiver_id": str(receiver_id), "method_names": list() as names, "allowance": allowance}
        }:
            what = f"may call {_methods(names)} of {inert(receiver_id, 64)}"
            match allowance:
                case None:
                    return f"{what}, gas without a limit"
                case str(yocto) if yocto.isascii() and yocto.isdigit() and len(yocto) <= 39:
                    return f"{what}, {format_near(int(yocto))} NEAR of gas left"
                case other:
                    return f"{what}, gas allowance {inert_json(other, 60)}"
        case _:
            return inert_json(permission, 200)


def _methods(names: list[JsonValue]) -> str:
    if not names:
        return "any method"
    shown = [inert_json(name, 60) for name in names[:MAX_SHOWN_METHODS]]
    rest = f" and {len(names) - MAX_SHOWN_METHODS} more" if len(names) > MAX_SHOWN_METHODS else ""
    return ", ".join(shown) + rest


def _explain(args: AccessKeysArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code == "UNKNOWN_ACCOUNT":
        return f"{args.account_id} does not exist on {context.network}."
    return None


ACCESS_KEYS: Final = Entry(
    name="access_keys",
    kind="view",
    about="access keys of an account",
    args=AccessKeysArgs,
    build=_build,
    answer=_answer,
    explain=_explain,
    examples=(Example("which keys does bob.localnet have", {"account_id": "bob.localnet"}),),
)
