"""What a built call is, whoever built it: its typed action, what it can take at most, and every account it names.

A known NEP method inside a `contract_call` is read as the action of that name, so nothing goes round the policy by being
called by hand. What a method name says is a claim of the contract: the NEAR that is attached is counted whatever it is
called, and a name that is not known here always asks. Sources: NEP-141, 145, 171, 178, 199; sputnik-dao v2, ref-exchange
and staking-pool sources.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    FullAccess,
    FunctionCall,
    Transfer,
)
from contracts.chain.strict_json import parse_json
from contracts.types import U128_MAX, AccountId, JsonObject

Category: TypeAlias = Literal[
    "keys",
    "deletion",
    "deploy",
    "owner_change",
    "unusual_action",
    "unknown_method",
    "raw_arguments",
    "nft_approve",
    "dao",
    "no_minimum_out",
    "first_recipient",
]
"""Kinds of calls that a person is always asked about."""
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

NFT_PREFIX: Final = "nft:"
MAX_RECIPIENTS: Final = 64
"""More accounts in one call's arguments than that are not told apart: the call is refused by the judge."""

_MAX_DEPTH: Final = 12
_MAX_TEXT: Final = 65_536
_UNITS: Final = re.compile(r"[0-9]{1,39}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_HEX_LENGTH: Final = 64
_ETH_LENGTH: Final = 42
_SHAPED: Final = re.compile(r"(?:[a-z\d]+(?:[-_][a-z\d]+)*\.)*[a-z\d]+(?:[-_][a-z\d]+)*", re.ASCII)
_IMPLICIT: Final = re.compile(r"[0-9a-f]{64}|0[xs][0-9a-f]{40}", re.ASCII)
_WITHIN: Final = re.compile(
    r"(?<![a-z\d._-])(?:(?:[a-z\d]+(?:[-_][a-z\d]+)*\.)+(?:near|testnet|localnet|tg|sweat|aurora)"
    r"|[0-9a-f]{64}|0[xs][0-9a-f]{40})(?![a-z\d_-]|\.[a-z\d])",
    re.ASCII | re.IGNORECASE,
)
_ACCOUNT_KEY: Final = re.compile(
    r"(?:^|_)(account|receiver|recipient|owner|beneficiary|sender|member|delegate|operator|user|to|target|payee|council"
    r"|referral|new_owner|old_owner|predecessor|signer)(?:_ids?|s)?$"
)
_OWNER_LIKE: Final = re.compile(
    r"(set|change|update|transfer|propose|accept|claim|add|remove|grant|revoke|extend|renounce|assign)"
    r"\w*(owner|admin|operator|guardian|manager|minter|role|governance|council|whitelist|key|contract|code|permission"
    r"|policy)|^(owner|upgrade|migrate|deploy|init|selfdestruct|upstagecode|updeploycode|setcode|acl|unsafe)\w*"
    r"|^pa(un)?pause\w*|^new(default\w*)?$"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One action of a transaction, as the policy sees it."""

    action: str
    """The catalogue's name, `contract_call` where the method is none that is known."""
    contract_id: AccountId
    method: str | None
    near: int
    """NEAR attached or sent, in yocto."""
    gas: int
    tokens: tuple[tuple[str, int], ...]
    """Tokens that leave the signer at most, in base units; NFTs in pieces."""
    recipients: tuple[tuple[str, str], ...]
    """(account, where it stands)."""
    categories: tuple[Category, ...] = ()
    everything: bool = False
    """All NEAR of the account leaves."""


_Found: TypeAlias = tuple[str, tuple[tuple[str, int], ...], tuple[Category, ...]]
"""Action, tokens, categories."""
_Reader: TypeAlias = Callable[[AccountId, JsonObject], _Found]


def read_call(call: ChangeCall) -> tuple[Judged, ...]:
    """Each action of a transaction, read."""
    creates = any(isinstance(action, CreateAccount) for action in call.actions)
    return tuple(_read_action(call.receiver_id, action, creates=creates) for action in call.actions)


def _read_action(receiver_id: AccountId, action: Action, *, creates: bool) -> Judged:
    match action:
        case FunctionCall():
            return _read_function_call(receiver_id, action)
        case Transfer(deposit):
            name = "account_create" if creates else "near_transfer"
            return _judged(name, receiver_id, near=deposit, recipients=((receiver_id, "receiver"),))
        case CreateAccount():
            return _judged("account_create", receiver_id, recipients=((receiver_id, "new account"),))
        case AddKey() if creates:
            return _judged("account_create", receiver_id)
        case AddKey(_, permission):
            name = "key_add_full" if isinstance(permission, FullAccess) else "key_add_function_call"
            return _judged(name, receiver_id, categories=("keys",))
        case DeleteAccount(beneficiary_id):
            to = ((beneficiary_id, "beneficiary"),)
            return _judged("account_delete", receiver_id, recipients=to, categories=("deletion",), everything=True)
        case _:
            return _judged(
                _NAMES.get(action.kind, action.kind),
                receiver_id,
                categories=(_OF_KIND.get(action.kind, "unusual_action"),),
            )


_NAMES: Final[Mapping[str, str]] = {"delete_key": "key_delete"}
_OF_KIND: Final[Mapping[str, Category]] = {
    "delete_key": "keys",
    "deploy_contract": "deploy",
    "deploy_global_contract": "deploy",
    "use_global_contract": "deploy",
}


def _judged(
    action: str,
    contract_id: AccountId,
    *,
    near: int = 0,
    recipients: tuple[tuple[str, str], ...] = (),
    categories: tuple[Category, ...] = (),
    everything: bool = False,
) -> Judged:
    return Judged(action, contract_id, None, near, 0, (), recipients, categories, everything)


def _read_function_call(contract_id: AccountId, call: FunctionCall) -> Judged:
    arguments = _arguments(call.args)
    reader = _KNOWN.get(call.method_name)
    found: _Found = ("contract_call", (), ("raw_arguments" if arguments is None else "unknown_method",))
    if reader is not None and arguments is not None:
        found = reader(contract_id, arguments)
    action, tokens, categories = found
    if reader is None and _OWNER_LIKE.search(call.method_name.replace("_", "").lower()):
        categories = (*categories, "owner_change")
    named = _Named(skip=frozenset({"memo"}) if reader is not None else frozenset())
    if arguments is not None:
        named.read(arguments, "", 0)
    elif (text := _text(call.args)) is not None:
        named.within(text, "arguments")
    if named.no_minimum:
        categories = (*categories, "no_minimum_out")
    to = tuple(named.accounts.items())
    return Judged(action, contract_id, call.method_name, call.deposit, call.gas, tokens, to, categories)


def _arguments(args: bytes) -> JsonObject | None:
    """The JSON object; an empty one for no bytes; None for anything else."""
    if not args:
        return {}
    try:
        value = parse_json(args)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(args: bytes) -> str | None:
    try:
        return args[:_MAX_TEXT].decode()
    except UnicodeDecodeError:
        return None


class _Named:
    """Collects every account that arguments name, also in JSON inside texts and in base64 of it."""

    def __init__(self, skip: frozenset[str]) -> None:
        self.accounts: dict[str, str] = {}
        """Account -> where it stands first."""
        self.no_minimum = False
        self._skip = skip

    def read(self, value: JsonValue, where: str, depth: int, key: str = "") -> None:
        """Read one value; `key` is the name it stands under."""
        match value:
            case str():
                self._read_text(value, where, depth, key)
            case dict() if depth < _MAX_DEPTH:
                if "token_in" in value and "token_out" in value:
                    self.no_minimum = self.no_minimum or not _above_zero(value.get("min_amount_out"))
                for name, inner in value.items():
                    if depth == 0 and name in self._skip:
                        continue
                    place = f"{where}.{name}" if where else name
                    if (len(name) > 40 or not name.isalpha()) and _is_account(name, ""):
                        self._note(name, place)
                    self.read(inner, place, depth + 1, name)
            case list() if depth < _MAX_DEPTH:
                for inner in value:
                    self.read(inner, where, depth + 1, key)
            case dict() | list():
                self._note("", where)  # nested deeper than anyone reads: not told apart
            case _:
                pass

    def _read_text(self, text: str, where: str, depth: int, key: str) -> None:
        if _is_account(text, key):
            self._note(text, where)
        elif len(text) > 2 and (inner := _inner_json(text, key)) is not None:
            self.read(inner, where, depth + 1, key)
        else:
            self.within(text, where)

    def within(self, text: str, where: str) -> None:
        """Accounts inside a longer text."""
        if len(text) > _MAX_TEXT:
            self._note("", where)
        elif "." in text or len(text) >= 42:
            for found in _WITHIN.finditer(text):
                self._note(found[0].lower(), where)

    def _note(self, account_id: str, where: str) -> None:
        self.accounts.setdefault(account_id, where)


def _is_account(text: str, key: str) -> bool:
    """Whether a text is shaped like an account id: with a dot, implicit, or any under a key that says account."""
    length = len(text)
    if not 2 <= length <= 64 or (text.isdigit() and length != _HEX_LENGTH) or _SHAPED.fullmatch(text) is None:
        return False
    if length in {_HEX_LENGTH, _ETH_LENGTH} and _IMPLICIT.fullmatch(text):
        return True
    if "." in text:
        return _NUMBER.fullmatch(text) is None
    return bool(_ACCOUNT_KEY.search(key))


def _inner_json(text: str, key: str) -> JsonValue:
    """The list or object that a text holds as JSON, or under `args` as base64 of it; None where it holds none."""
    if len(text) > _MAX_TEXT:
        return None
    inner = text.strip()
    if key == "args" and inner[:1] not in {"{", "["}:
        try:
            inner = base64.b64decode(inner, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
    if inner[:1] not in {"{", "[", '"'}:
        return None
    try:
        value = parse_json(inner)
    except ValueError:
        return None
    return value if isinstance(value, dict | list | str) and value != text else None


def _above_zero(value: JsonValue) -> bool:
    return isinstance(value, str) and _UNITS.fullmatch(value) is not None and int(value) > 0


def _units(value: JsonValue) -> int:
    """An amount in arguments; one that is none counts as everything there can be."""
    if isinstance(value, str) and _UNITS.fullmatch(value):
        return min(int(value), U128_MAX)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= U128_MAX:
        return value
    return U128_MAX


def _plain(action: str, *categories: Category) -> _Reader:
    def read(_contract_id: AccountId, _arguments: JsonObject) -> _Found:
        return action, (), categories

    return read


def _own_token(action: str) -> _Reader:
    def read(contract_id: AccountId, arguments: JsonObject) -> _Found:
        return action, ((contract_id, _units(arguments.get("amount"))),), ()

    return read


def _own_nft(action: str, *categories: Category) -> _Reader:
    def read(contract_id: AccountId, _arguments: JsonObject) -> _Found:
        return action, ((f"{NFT_PREFIX}{contract_id}", 1),), categories

    return read


def _swap(_contract_id: AccountId, arguments: JsonObject) -> _Found:
    """ref-exchange's own `swap`: what goes in is the first step's, later steps swap what came out."""
    steps = arguments.get("actions")
    tokens = tuple(
        (str(step["token_in"]), _units(step["amount_in"]))
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, dict) and "token_in" in step and step.get("amount_in") is not None
    )
    return "swap", tokens, () if tokens else ("unknown_method",)


def _unregister(_contract_id: AccountId, _arguments: JsonObject) -> _Found:
    return "storage_unregister", (), ("deletion",)


def _withdraw(contract_id: AccountId, arguments: JsonObject) -> _Found:
    """A staking pool's, or with a token id an exchange's: what comes back belongs to the signer already."""
    del contract_id
    return ("exchange_withdraw" if "token_id" in arguments else "stake_withdraw"), (), ()


_KNOWN: Final[Mapping[str, _Reader]] = {
    "ft_transfer": _own_token("ft_transfer"),
    "ft_transfer_call": _own_token("ft_transfer_call"),
    "near_deposit": _plain("near_wrap"),
    "near_withdraw": _own_token("near_unwrap"),
    "storage_deposit": _plain("storage_deposit"),
    "storage_withdraw": _plain("storage_withdraw"),
    "storage_unregister": _unregister,
    "nft_transfer": _own_nft("nft_transfer"),
    "nft_transfer_call": _own_nft("nft_transfer"),
    "nft_approve": _own_nft("nft_approve", "nft_approve"),
    "nft_revoke": _plain("nft_revoke"),
    "nft_revoke_all": _plain("nft_revoke"),
    "nft_mint": _plain("nft_mint"),
    "deposit_and_stake": _plain("stake"),
    "deposit": _plain("stake"),
    "stake": _plain("stake"),
    "stake_all": _plain("stake"),
    "unstake": _plain("unstake"),
    "unstake_all": _plain("unstake"),
    "withdraw": _withdraw,
    "withdraw_all": _plain("stake_withdraw"),
    "act_proposal": _plain("dao_vote", "dao"),
    "add_proposal": _plain("dao_propose_transfer", "dao"),
    "swap": _swap,
    "create_account": _plain("account_create"),
}


def recipients_of(judged: tuple[Judged, ...], signer_id: AccountId) -> Iterator[tuple[str, str]]:
    """Every account that a transaction's actions name besides the signer, once each; "" stands for one nobody could read."""
    seen = {str(signer_id)}
    for one in judged:
        for account_id, where in one.recipients:
            if account_id not in seen:
                seen.add(account_id)
                yield account_id, where
