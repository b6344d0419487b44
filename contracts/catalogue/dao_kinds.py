"""What a DAO's proposal does, in exact words: read from its kind, never from its description."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.call_arguments import Ambiguous, NotJson, lenient_json
from contracts.errors import InvalidInput
from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.sputnik import KIND_LABELS, kind_body, kind_name
from contracts.types import TGAS, U64_MAX, U128_MAX, AccountId, JsonObject, base_units, format_near, format_units

MAX_SHOWN_CALLS: Final = 20
_SHOWN: Final = 600
"""Characters of arguments, policies and the like."""

Money: TypeAlias = Callable[[AccountId | None, int], str]
"""An exact amount in words: the token's contract (None: NEAR) and its base units."""

_U128: TypeAlias = Annotated[int, Field(ge=0, le=U128_MAX)]
_ModelT = TypeVar("_ModelT", bound="_Body")


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Payout(_Body):
    """The body of a Transfer."""

    token_id: AccountId | None
    """None: NEAR."""
    receiver_id: AccountId
    amount: _U128
    msg: str | None = None


class Call(_Body):
    """One call of a FunctionCall proposal; `args` is base64."""

    method_name: str
    args: str
    deposit: _U128
    gas: Annotated[int, Field(ge=0, le=U64_MAX)]


class Calls(_Body):
    receiver_id: AccountId
    actions: tuple[Call, ...]


class _Membership(_Body):
    member_id: AccountId
    role: str


class _RemoteUpgrade(_Body):
    receiver_id: AccountId
    method_name: str
    hash: str


@dataclass(frozen=True, slots=True)
class Deed:
    """`does` follows "to" in a sentence; `lines` are for the card."""

    does: str
    lines: tuple[str, ...] = ()


def payout_of(kind: JsonValue) -> Payout | None:
    """The payout of a Transfer; None for other kinds. InvalidInput `unreadable_proposal`."""
    if kind_name(kind) != "Transfer":
        return None
    body = kind_body(kind)
    return _read(Payout, {**body, "token_id": body.get("token_id") or None})


def calls_of(kind: JsonValue) -> Calls | None:
    """The calls of a FunctionCall; None for other kinds. InvalidInput `unreadable_proposal`."""
    return _read(Calls, kind_body(kind)) if kind_name(kind) == "FunctionCall" else None


def describe(kind: JsonValue, money: Money) -> Deed:
    """What is done when the proposal passes. InvalidInput `unknown_kind`, `unreadable_proposal`."""
    name, body = kind_name(kind), kind_body(kind)
    match name:
        case "Transfer":
            return _payout(_read(Payout, {**body, "token_id": body.get("token_id") or None}), money)
        case "FunctionCall":
            return _calls(_read(Calls, body), money)
        case "AddMemberToRole" | "RemoveMemberFromRole":
            change = _read(_Membership, body)
            verb, to = ("add", "to") if name == "AddMemberToRole" else ("remove", "from")
            return Deed(f"{verb} {change.member_id} {to} the role {inert(change.role, 60)}")
        case "UpgradeRemote":
            upgrade = _read(_RemoteUpgrade, body)
            method, code = inert(upgrade.method_name, 80), inert(upgrade.hash, 64)
            return Deed(f"call {method} of {upgrade.receiver_id} with the stored code {code}")
        case _ if name in _PLAIN:
            return Deed(_PLAIN[name], _whole(body) if body else ())
        case _:
            known = ", ".join(KIND_LABELS)
            raise InvalidInput(
                "unknown_kind",
                f"what a proposal of the kind {inert(name, 60)!r} does is not known here (known: {known})",
                details={"kind": inert(name, 60)},
            )


_PLAIN: Final = {
    "ChangeConfig": "change the DAO's name, purpose and metadata",
    "ChangePolicy": "replace the DAO's whole policy: who may do what, and which votes decide",
    "ChangePolicyAddOrUpdateRole": "add or replace a role in the DAO's policy",
    "ChangePolicyRemoveRole": "remove a role from the DAO's policy",
    "ChangePolicyUpdateDefaultVotePolicy": "change which votes decide in the DAO",
    "ChangePolicyUpdateParameters": "change the DAO's bonds and periods",
    "UpgradeSelf": "replace the DAO's own contract code",
    "SetStakingContract": "set the contract whose tokens weigh votes",
    "AddBounty": "add a bounty that the DAO will pay",
    "BountyDone": "pay out a bounty",
    "Vote": "do nothing on chain: it is a vote of opinion",
    "FactoryInfoUpdate": "change who may upgrade the DAO",
}


def _payout(payout: Payout, money: Money) -> Deed:
    what = f"pay {money(payout.token_id, payout.amount)} to {payout.receiver_id}"
    if payout.msg is None:
        return Deed(what)
    lines = (
        f"it goes to the contract with the message “{inert(payout.msg, _SHOWN)}”, which says what is done with it",
    )
    return Deed(f"{what} by ft_transfer_call", (*lines, *_cut(payout.msg)))


def _calls(calls: Calls, money: Money) -> Deed:
    shown = calls.actions[:MAX_SHOWN_CALLS]
    lines = [line for call in shown for line in _call(calls.receiver_id, call, money)]
    if len(calls.actions) > len(shown):
        lines.append(f"warning: only {len(shown)} of {len(calls.actions)} calls are shown")
    count = "one method" if len(calls.actions) == 1 else f"{len(calls.actions)} methods"
    return Deed(f"call {count} of {calls.receiver_id} as the DAO", tuple(lines))


def _call(receiver_id: AccountId, call: Call, money: Money) -> tuple[str, ...]:
    paid = f" with {format_near(call.deposit)} NEAR" if call.deposit else ""
    gas = format_units(call.gas, len(str(TGAS)) - 1)
    head = f"{inert(call.method_name, 80)} of {receiver_id}{paid} and {gas} Tgas"
    value, text = _arguments(call.args)
    if value is None:
        return (f"{head}, {text}",)
    lines = [f"{head}: {inert_json(value, _SHOWN)}", *_cut(text)]
    amount = base_units(value.get("amount"))
    if call.method_name in {"ft_transfer", "ft_transfer_call"} and amount is not None:
        lines.append(f"its amount is {money(receiver_id, amount)}")
    return tuple(lines)


def _arguments(encoded: str) -> tuple[JsonObject | None, str]:
    """The JSON object of base64 arguments and its text; None and what else they are."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None, f"with arguments that are no base64: {inert(encoded, 80)}"
    text = raw.decode("utf-8", "replace") or "{}"
    try:
        value = lenient_json(text)
    except NotJson:
        return None, f"with {len(raw)} bytes of arguments that are no JSON: 0x{raw[:32].hex()}"
    except Ambiguous:
        return None, f"with arguments that contracts can read in several ways: “{inert(text, _SHOWN)}”"
    if not isinstance(value, dict):
        return None, f"with the arguments {inert(text, _SHOWN)}"
    return value, text


def _whole(body: JsonObject) -> tuple[str, ...]:
    shown = inert_json(body, _SHOWN)
    return (shown, *_cut(inert_json(body, 100 * _SHOWN)))


def _cut(text: str) -> tuple[str, ...]:
    if len(text) <= _SHOWN:
        return ()
    return (f"warning: only {_SHOWN} of {len(text)} characters of it are shown",)


def _read(model: type[_ModelT], body: JsonObject) -> _ModelT:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(
            "unreadable_proposal",
            f"the proposal's {model.__name__.strip('_')} is not as sputnik-dao writes it: {error.error_count()} fields "
            "differ, so what it does cannot be told",
        ) from error
