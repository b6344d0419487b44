"""Access keys of an account: which there are, new ones, and their deletion."""

from typing import Final

from pydantic import Field, JsonValue

from contracts.calls import AddKey, ChangeCall, DeleteKey, FullAccess, FunctionCallAccess, Permission, ViewAccessKeys
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, PublicKeyArg, TextListArg
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import explain_absence, missing_account, missing_contract
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.account_keys import KeysFact, KeysFacts
from contracts.knowledge.facts import Absent, ChainFacts, FactRequest, InterfaceFact, InterfaceFacts
from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.names import did_you_mean, nearest
from contracts.signing.signatures import is_anybodys
from contracts.types import AccountId, PublicKey, Yocto, format_near, parse_near

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
    return explain_absence(args.account_id, error, context)


class KeyAddFullArgs(Args):
    public_key: PublicKeyArg


class KeyAddFunctionCallArgs(Args):
    public_key: PublicKeyArg
    contract_id: AccountArg
    method_names: TextListArg | None = Field(None, description="empty means any method")
    allowance: AmountArg | None = Field(None, description="NEAR; absent means unlimited")


class KeyDeleteArgs(Args):
    public_key: PublicKeyArg


def _own_keys(_args: KeyAddFullArgs | KeyDeleteArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (KeysFacts(context.signer_id),)


def _read_keys(facts: ChainFacts, context: BuildContext) -> KeysFact:
    keys = facts.of(KeysFacts(context.signer_id), KeysFact)
    if isinstance(keys, Absent):
        raise missing_account(context.signer_id, context)
    return keys


def _added(public_key: PublicKey, permission: Permission, facts: ChainFacts, context: BuildContext) -> ChangeCall:
    if is_anybodys(public_key):
        raise InvalidInput(
            "weak_key",
            f"{public_key} needs no secret: anybody can sign for it (a point of small order), so it would hand "
            f"{context.signer_id} to everybody; write a key that somebody made",
            details={"public_key": public_key},
        )
    keys = _read_keys(facts, context)
    if public_key.listed in keys.full | keys.limited:
        raise InvalidInput(
            "key_exists",
            f"{public_key} is a key of {context.signer_id} already; /access_keys {context.signer_id} shows what it may do",
            details={"public_key": public_key},
        )
    return ChangeCall(context.signer_id, (AddKey(public_key, permission),))


def _add_full(args: KeyAddFullArgs, facts: ChainFacts, context: BuildContext) -> Built:
    signer_id = context.signer_id
    return Built(
        calls=(_added(args.public_key, FullAccess(), facts, context),),
        summary=f"give {args.public_key} full access to {signer_id}",
        notes=(
            f"warning: whoever holds this key controls {signer_id}: all its money, its keys, its contract and its deletion",
        ),
    )


def _function_call_needs(args: KeyAddFunctionCallArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (KeysFacts(context.signer_id), InterfaceFacts(args.contract_id))


def _add_function_call(args: KeyAddFunctionCallArgs, facts: ChainFacts, context: BuildContext) -> Built:
    names = tuple(dict.fromkeys(args.method_names or ()))
    notes = _check_methods(args.contract_id, names, facts, context)
    allowance = parse_near(args.allowance) if args.allowance is not None else None
    access = FunctionCallAccess(args.contract_id, names, allowance)
    methods = ", ".join(inert(name, 80) for name in names) if names else "any method"
    return Built(
        calls=(_added(args.public_key, access, facts, context),),
        summary=f"let {args.public_key} call {methods} of {args.contract_id} as {context.signer_id}",
        notes=(_paid(allowance), "it can attach no NEAR, so nothing that asks for a yocto", *notes),
    )


def _paid(allowance: Yocto | None) -> str:
    if allowance is None:
        return "warning: no allowance: it may burn all NEAR of the account as gas"
    if allowance == 0:
        raise InvalidInput("allowance_zero", "a key with an allowance of 0 NEAR can pay for no call; write how much")
    return f"its allowance of {format_near(allowance)} NEAR pays gas only; it limits nothing else that the methods do"


def _check_methods(
    contract_id: AccountId, names: tuple[str, ...], facts: ChainFacts, context: BuildContext
) -> tuple[str, ...]:
    """Notes for the card; InvalidInput for a contract that is not there and for methods that its code does not have."""
    fact = facts.of(InterfaceFacts(contract_id), InterfaceFact)
    if isinstance(fact, Absent):
        if fact.reason in {"no_account", "no_code"}:
            raise missing_contract(contract_id, fact, context)
        return (f"unknown: the methods of {contract_id} cannot be read: {inert(fact.detail, 120)}",)
    known = fact.interface.names
    for name in names:
        if name not in known:
            raise InvalidInput(
                "unknown_method",
                f"{contract_id} has no method {inert(name, 60)!r}{did_you_mean(name, known)} "
                f"/contract_methods {contract_id} lists them",
                details={"contract_id": contract_id, "method_name": name[:60], "nearest": nearest(name, known)},
            )
    return () if names else (f"warning: any method of {contract_id}, also those that its code gets later",)


def _delete(args: KeyDeleteArgs, facts: ChainFacts, context: BuildContext) -> Built:
    keys, signer_id, listed = _read_keys(facts, context), context.signer_id, args.public_key.listed
    if listed not in keys.full | keys.limited:
        raise InvalidInput(
            "key_missing",
            f"{args.public_key} is no key of {signer_id}; /access_keys {signer_id} lists them",
            details={"public_key": args.public_key},
        )
    if keys.full <= {listed} and listed in keys.full:
        raise InvalidInput(
            "last_full_access_key",
            f"{args.public_key} is the last full-access key of {signer_id}: without it nobody could ever manage the account; "
            "add another one first (/key_add_full)",
            details={"public_key": args.public_key},
        )
    if args.public_key in keys.held:
        raise InvalidInput(
            "signing_key",
            f"this agent signs for {signer_id} with {args.public_key}; near-agent keys rotate {signer_id} replaces it safely",
            details={"public_key": args.public_key},
        )
    kind = "full-access key" if listed in keys.full else "limited key"
    return Built(
        calls=(ChangeCall(signer_id, (DeleteKey(args.public_key),)),),
        summary=f"delete the {kind} {args.public_key} of {signer_id}",
        notes=("whoever uses this key cannot sign with it any more",),
    )


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

KEY_ADD_FULL: Final = Entry(
    name="key_add_full",
    kind="change",
    about="add a full-access key",
    args=KeyAddFullArgs,
    needs=_own_keys,
    build=_add_full,
    examples=(
        Example(
            "add the full access key ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
            {"public_key": "ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"},
        ),
    ),
)

KEY_ADD_FUNCTION_CALL: Final = Entry(
    name="key_add_function_call",
    kind="change",
    about="add a function-call key",
    args=KeyAddFunctionCallArgs,
    needs=_function_call_needs,
    build=_add_function_call,
    examples=(
        Example(
            "let ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS call increment of counter.localnet for at most "
            "0.25 NEAR of gas",
            {
                "public_key": "ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
                "contract_id": "counter.localnet",
                "method_names": ["increment"],
                "allowance": "0.25",
            },
        ),
    ),
)

KEY_DELETE: Final = Entry(
    name="key_delete",
    kind="change",
    about="delete an access key",
    args=KeyDeleteArgs,
    needs=_own_keys,
    build=_delete,
    examples=(
        Example(
            "remove the key ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
            {"public_key": "ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"},
        ),
    ),
)
