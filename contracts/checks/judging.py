"""What a built call is, whoever built it: its typed action, what it can take at most, and every account it names.

A known NEP method inside a `contract_call` is read as the action of that name, so nothing goes round the policy by being
called by hand. What a method name says is a claim of the contract: the NEAR that is attached is counted whatever it is
called, and a name that is not known here always asks. Sources: NEP-141, 145, 171, 178, 199; sputnik-dao v2, ref-exchange
and staking-pool sources.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, assert_never

from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    Delegate,
    DeleteAccount,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    Stake,
    Transfer,
    TransferToGasKey,
)
from contracts.checks.methods import ARGUMENTS, KNOWN, Category, Found
from contracts.strict_json import parse_json, unique_keys
from contracts.types import AccountId, JsonObject, base_units

MAX_RECIPIENTS: Final = 64
"""More accounts in one call's arguments than that are not told apart: the call is refused by the judge."""

_MAX_DEPTH: Final = 12
_MAX_TEXT: Final = 65_536
_MAX_BRACKETS: Final = 128
"""More than that in a text that is not read as JSON, and another parser may still read it."""
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_HEX_LENGTH: Final = 64
_ETH_LENGTH: Final = 42
_SHAPED: Final = re.compile(r"(?:[a-z\d]+(?:[-_][a-z\d]+)*\.)*[a-z\d]+(?:[-_][a-z\d]+)*", re.ASCII)
_IMPLICIT: Final = re.compile(r"[0-9a-f]{64}|0[xs][0-9a-f]{40}", re.ASCII)
_BREAK: Final = re.compile(r"[^a-z\d._-]+|[._-]{2,}", re.ASCII)
"""Between the words of a text; an account id has no two separators next to each other."""
_SEPARATOR: Final = re.compile(r"[._-]")
_TOP_LEVEL: Final = (".near", ".testnet", ".localnet", ".tg", ".sweat", ".aurora")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_BARE_ETH: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
"""How a message to Aurora's engine names who gets the tokens there."""
_MINIMUM: Final = re.compile(r"min(imum)?_?(amount|out|receive)|amount_out_min|least_amount")
"""Names of what a swap must give at least: ref-exchange's `min_amount_out`, its DCL pools' `min_output_amount`, others'."""
_SHORTEST: Final = 8
"""Of an encoded text that is looked into: `a.near` in base64."""
_URL_SAFE: Final = str.maketrans("-_", "+/")
_ACCOUNT_KEY: Final = re.compile(
    r"(?:^|_)(account|receiver|recipient|owner|beneficiary|sender|member|delegate|operator|user|to|target|payee|council"
    r"|referral|new_owner|old_owner|predecessor|signer)(?:_?[iI]ds?|s)?$"
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


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote for something that another account then does."""

    contract_id: AccountId
    proposal_id: int | None
    """None: nobody can say which."""


def votes_of(call: ChangeCall) -> Iterator[Vote]:
    """The votes in a transaction by which something that stands elsewhere may be carried out."""
    for action in call.actions:
        match action:
            case FunctionCall():
                vote = vote_of(call.receiver_id, action)
                if vote is not None:
                    yield vote
            case Delegate(inner):
                yield from votes_of(ChangeCall(inner.receiver_id, inner.actions))
            case _:
                pass


def vote_of(contract_id: AccountId, call: FunctionCall) -> Vote | None:
    """sputnik-dao's `act_proposal`, but to reject or remove, and a multisig's `confirm`; None for other calls."""
    if call.method_name not in _VOTES:
        return None
    arguments = _arguments(call.args)
    if arguments is None or _repeats_a_key(call.args):
        return Vote(contract_id, None)
    if call.method_name == "act_proposal" and arguments.get("action") in _AGAINST:
        return None
    if call.method_name == "confirm" and "request_id" not in arguments:
        return None
    wanted = arguments.get("id") if call.method_name == "act_proposal" else None
    known = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0
    return Vote(contract_id, wanted if known and isinstance(wanted, int) else None)


_VOTES: Final = frozenset({"act_proposal", "confirm"})
_AGAINST: Final = ("VoteReject", "VoteRemove")


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
        case Stake() | TransferToGasKey() | DeterministicStateInit() | Delegate():
            return _read_payment(receiver_id, action)
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


def _read_payment(
    receiver_id: AccountId, action: Stake | TransferToGasKey | DeterministicStateInit | Delegate
) -> Judged:
    """Actions that cost NEAR and that a person is always asked about."""
    to: tuple[tuple[str, str], ...] = ((receiver_id, "receiver"),)
    match action:
        case Stake(stake):
            near, to = stake, ()
        case TransferToGasKey() | DeterministicStateInit():
            near = action.deposit
        case Delegate(inner):
            # Whoever relays it pays for what is attached to its actions.
            within = [_read_action(inner.receiver_id, one, creates=False) for one in inner.actions]
            near = sum(one.near for one in within)
            to = ((inner.receiver_id, "receiver"), *(named for one in within for named in one.recipients))
        case _:
            assert_never(action)
    return _judged(action.kind, receiver_id, near=near, recipients=to, categories=("unusual_action",))


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
    twice = arguments is not None and _repeats_a_key(call.args)
    reader = KNOWN.get(call.method_name)
    unread = arguments is None or twice
    found: Found = ("contract_call", (), ("raw_arguments" if unread else "unknown_method",))
    if reader is not None and arguments is not None and not twice:
        found = reader(contract_id, arguments)
    action, tokens, categories = found
    if reader is not None and arguments is not None and not arguments.keys() <= ARGUMENTS[call.method_name]:
        categories = (*categories, "unknown_method")
    if reader is None and _OWNER_LIKE.search(call.method_name.replace("_", "").lower()):
        categories = (*categories, "owner_change")
    named = _Named(skip=frozenset({"memo"}) if reader is not None else frozenset())
    if arguments is not None:
        named.read(arguments, "", 0)
        if twice:
            named.unread("arguments")  # contracts differ in which of the two they take
    elif (text := _text(call.args)) is not None:
        named.within(text, "arguments")
    else:
        named.unread("arguments")
    if call.method_name.startswith("mt_"):
        categories = (*categories, "unread_amount")
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
        return args.decode()
    except UnicodeDecodeError:
        return None


class _Named:
    """Collects every account that arguments name, also in JSON inside texts and in base64 of it."""

    def __init__(self, skip: frozenset[str]) -> None:
        self.accounts: dict[str, str] = {}
        """Account -> where it stands first."""
        self.no_minimum = False
        self._skip = skip

    def read(self, value: JsonValue, where: str, depth: int, key: str = "", *, goes_on: bool = False) -> None:
        """Read one value; `key` is the name it stands under, `goes_on` a swap whose result is all swapped on."""
        match value:
            case str():
                self._read_text(value, where, depth, key)
            case dict() if depth < _MAX_DEPTH:
                self.no_minimum = self.no_minimum or (not goes_on and _swaps_for_nothing(value))
                for name, inner in value.items():
                    if depth == 0 and name in self._skip:
                        continue
                    place = f"{where}.{name}" if where else name
                    if len(name) > 40 or not name.isalpha():
                        self._read_name(name, place)
                    self.read(inner, place, depth + 1, name)
            case list() if depth < _MAX_DEPTH:
                for inner, following in zip_longest(value, value[1:]):
                    self.read(inner, where, depth + 1, key, goes_on=_takes_all_of(following, inner))
            case dict() | list():
                self.unread(where)  # nested deeper than anyone reads
            case _:
                pass

    def _read_text(self, text: str, where: str, depth: int, key: str) -> None:
        if _is_account(text, key):
            self._note(text, where)
        elif len(text) > 2 and (inner := _inner_json(text)) is not None:
            if _repeats_a_key(text):
                self.unread(where)  # contracts differ in which of the two they take
            self.read(inner, where, depth + 1, key)
        elif (decoded := _decoded(text)) is not None:
            self.read(decoded, where, depth + 1, key)
        else:
            self.within(text, where)
            if key == "msg":
                self._words(text, where)

    def _read_name(self, name: str, where: str) -> None:
        if _is_account(name, ""):
            self._note(name, where)
        else:
            self.within(name, where)

    def _words(self, text: str, where: str) -> None:
        """Anything that is shaped like an account in a text that a contract reads."""
        for word in _words_of(text[:_MAX_TEXT]):
            if _is_account(word, ""):
                self._note(word, where)
            elif _BARE_ETH.fullmatch(word):
                self._note(f"0x{word}", where)

    def unread(self, where: str) -> None:
        """Here is something that nobody can tell the accounts of."""
        self._note("", where)

    def within(self, text: str, where: str) -> None:
        """Accounts inside a longer text."""
        if len(text) > _MAX_TEXT or text.count("[") + text.count("{") > _MAX_BRACKETS:
            self.unread(where)
        elif "." in text or len(text) >= 42:
            for word in _words_of(text):
                if (word.endswith(_TOP_LEVEL) or _IMPLICIT.fullmatch(word)) and _is_account(word, ""):
                    self._note(word, where)

    def _note(self, account_id: str, where: str) -> None:
        self.accounts.setdefault(account_id, where)


def _words_of(text: str) -> Iterator[str]:
    """Words that may be account ids, in lower case; linear in the text's length, whatever it holds."""
    for part in _BREAK.split(text.lower()):
        word = part.strip("._-")
        yield word
        if len(word) > _ETH_LENGTH:
            yield from _SEPARATOR.split(word)


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


def _decoded(text: str) -> str | None:
    """The text that a text is the hex or base64 of; None where it is that of none."""
    if not _SHORTEST <= len(text) <= _MAX_TEXT or _BASE64.fullmatch(text) is None:
        return None
    padded = text.rstrip("=").translate(_URL_SAFE)
    decoders = (bytes.fromhex,) if _HEX.fullmatch(text) else ()
    for decode, written in (*((one, text) for one in decoders), (_of_base64, padded + "=" * (-len(padded) % 4))):
        try:
            decoded = decode(written).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if decoded.isprintable() or decoded.lstrip()[:1] in {"{", "["}:
            return decoded
    return None


def _of_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _repeats_a_key(text: str | bytes) -> bool:
    """Whether an object of this JSON has a key twice."""
    try:
        json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        return True
    return False


def _inner_json(text: str) -> JsonValue:
    """The list, object or text that a text holds as JSON; None where it holds none."""
    if len(text) > _MAX_TEXT:
        return None
    inner = text.strip()
    if inner[:1] not in {"{", "[", '"'}:
        return None
    try:
        value = parse_json(inner)
    except ValueError:
        return None
    return value if isinstance(value, dict | list | str) and value != text else None


def _swaps_for_nothing(value: Mapping[str, JsonValue]) -> bool:
    """Whether this is a swap by its fields, and what must come out of it is nothing."""
    least = [inner for name, inner in value.items() if _MINIMUM.match(name)]
    swaps = "token_in" in value and "token_out" in value
    return any(not _above_zero(inner) for inner in least) or (swaps and not least)


def _above_zero(value: JsonValue) -> bool:
    return (base_units(value) or 0) > 0


def _takes_all_of(following: JsonValue, swap: JsonValue) -> bool:
    """A route's step that names no amount of its own takes what the one before it gave: the minimum is the last one's."""
    match swap, following:
        case {"token_out": str(token)}, {"token_in": taken, "token_out": str()}:
            return token == taken and following.get("amount_in") is None
        case _:
            return False


def recipients_of(judged: tuple[Judged, ...], signer_id: AccountId) -> Iterator[tuple[str, str]]:
    """Every account that a transaction's actions name besides the signer, once each; "" stands for one nobody could read."""
    seen = {str(signer_id)}
    for one in judged:
        for account_id, where in one.recipients:
            if account_id not in seen:
                seen.add(account_id)
                yield account_id, where
