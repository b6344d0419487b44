"""The kinds of arguments: how each is declared, written by people and models, and read into an exact value.

A kind is declared once as an annotation (`receiver_id: AccountArg`); the tool schema, the usage line and the reading all
come from it. Nothing here asks the chain.
"""

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, cast, get_args

from Crypto.Hash import keccak
from pydantic import BaseModel, ConfigDict, JsonValue

from contracts.call_arguments import MAX_ARGUMENT_BYTES
from contracts.errors import InvalidInput
from contracts.knowledge.names import did_you_mean, nearest
from contracts.knowledge.registry import Registry, TokenEntry
from contracts.strict_json import exact_float, unique_keys
from contracts.types import TGAS, U64_MAX, AccountId, CryptoHash, Gas, JsonObject, PublicKey, parse_units

ArgumentKind: TypeAlias = Literal[
    "account_id",
    "token",
    "amount",
    "amount_or_all",
    "decimal",
    "string",
    "list[string]",
    "int",
    "json",
    "object",
    "public_key",
    "tgas",
    "tx_hash",
]

CALLER: Final = "@me"
MAX_JSON_DEPTH: Final = 64
_WHOLE_FLOATS: Final = 2**53
_MAX_BASE64: Final = -(-MAX_ARGUMENT_BYTES // 3) * 4

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)
_NUMBERS: Final[frozenset[ArgumentKind]] = frozenset({"amount", "amount_or_all", "decimal", "int", "tgas"})


@dataclass(frozen=True, slots=True)
class Kind:
    """Marks a field with its kind, as `catalogue.json` names it."""

    kind: ArgumentKind
    symbols: bool = False
    """An account id that may also be written as a token's symbol."""
    choices: tuple[str, ...] = ()
    """The only texts that are allowed; empty: any."""


AccountArg: TypeAlias = Annotated[AccountId, Kind("account_id")]
ContractArg: TypeAlias = Annotated[AccountId, Kind("account_id", symbols=True)]
TokenArg: TypeAlias = Annotated[TokenEntry, Kind("token")]
AmountArg: TypeAlias = Annotated[str, Kind("amount")]
"""Text of a plain decimal number; it becomes base units in `build`, where the decimals are known."""
TextArg: TypeAlias = Annotated[str, Kind("string")]
ObjectArg: TypeAlias = Annotated[JsonObject | list[JsonValue], Kind("object")]
"""A method's JSON arguments: an object, or an array by position."""
GasArg: TypeAlias = Annotated[Gas, Kind("tgas")]
HashArg: TypeAlias = Annotated[CryptoHash, Kind("tx_hash")]
AmountOrAllArg: TypeAlias = Annotated[str, Kind("amount_or_all")]
"""As AmountArg, or `all`."""
DecimalArg: TypeAlias = Annotated[str, Kind("decimal")]
"""Text of a plain decimal number that is no amount: a percentage."""
IntArg: TypeAlias = Annotated[int, Kind("int")]
"""A whole number from 0 to 2^64-1."""
TextListArg: TypeAlias = Annotated[tuple[str, ...], Kind("list[string]")]
PublicKeyArg: TypeAlias = Annotated[PublicKey, Kind("public_key")]

ALL: Final = "all"
"""The word for everything there is, where an amount may be left to the contract."""

ArgumentValue: TypeAlias = (
    AccountId | TokenEntry | CryptoHash | PublicKey | Gas | int | str | tuple[str, ...] | JsonValue
)


class Args(BaseModel):
    """What an action takes; fields stand in the catalogue's order, each declared with one of the kinds above."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument as the tool schema, the usage line and the reading see it."""

    name: str
    kind: ArgumentKind
    required: bool
    about: str
    symbols: bool = False
    choices: tuple[str, ...] = ()


@functools.cache
def parameters_of(args: type[Args]) -> tuple[Parameter, ...]:
    """The declared arguments in order. TypeError for a field without a kind."""
    found: list[Parameter] = []
    for name, field in args.model_fields.items():
        # An optional field is a union, and the mark stands on one of its members.
        members = [mark for member in get_args(field.annotation) for mark in get_args(member)]
        kinds = [mark for mark in (*field.metadata, *members) if isinstance(mark, Kind)]
        if len(kinds) != 1:
            raise TypeError(f"{args.__name__}.{name} is declared with {len(kinds)} kinds, one is needed")
        mark = kinds[0]
        found.append(
            Parameter(name, mark.kind, field.is_required(), field.description or "", mark.symbols, mark.choices)
        )
    return tuple(found)


def read_argument(parameter: Parameter, value: JsonValue, caller: AccountId, registry: Registry) -> ArgumentValue:
    """The exact value of one argument as written; InvalidInput says what is wrong and what would be right."""
    if parameter.kind == "object":
        return read_call_arguments(parameter.name, value)
    if parameter.kind == "list[string]":
        return read_text_list(parameter.name, value)
    if parameter.kind == "json":
        return read_json(parameter.name, value)
    text = read_text(parameter, value)
    match parameter.kind:
        case "account_id":
            return _account_argument(parameter, text, caller, registry)
        case "token":
            return registry.token(text)
        case "string":
            return _one_of(parameter, text)
        case _:
            return _READERS[parameter.kind](parameter.name, text)


def read_text(parameter: Parameter, value: JsonValue) -> str:
    """The argument as text. Whole numbers are taken as they print; a float is refused, it may not be what was written."""
    if isinstance(value, int) and not isinstance(value, bool) and parameter.kind in _NUMBERS:
        return str(value)
    if not isinstance(value, str):
        said = "a JSON number with decimals" if isinstance(value, float) else f"JSON {json_type(value)}"
        raise InvalidInput(
            "not_text",
            f'{parameter.name} is {said}; write it as text, such as "{_SAMPLES[parameter.kind]}"',
            details={"argument": parameter.name},
        )
    if not _is_unicode(value):
        raise _not_unicode(parameter.name)
    return value


def read_amount(name: str, text: str) -> str:
    """The text, when it is a plain decimal number; `amount_malformed` with the two readings where a comma allows two."""
    if "," in text:
        raise InvalidInput(
            "amount_malformed",
            f"{name} {text[:80]!r} can be read in two ways: does the comma separate thousands "
            f"({_thousands(text)}) or decimals ({_decimals(text)})? Write one of them without a comma",
            details={"argument": name, "amount": text[:80], "readings": [_thousands(text), _decimals(text)]},
        )
    parse_units(text, len(text.partition(".")[2]))
    return text


def read_amount_or_all(name: str, text: str) -> str:
    """The amount, or `all` in lower case."""
    return ALL if text.strip().casefold() == ALL else read_amount(name, text)


def read_whole_number(name: str, text: str) -> int:
    """0 to 2^64-1, in ASCII digits; `number_malformed`."""
    if not _WHOLE.fullmatch(text) or int(text) > U64_MAX:
        raise InvalidInput(
            "number_malformed",
            f"{name} {text[:80]!r} is not a whole number from 0 to 2^64-1; write digits only",
            details={"argument": name},
        )
    return int(text)


def read_public_key(name: str, text: str) -> PublicKey:
    """An `ed25519:` or `secp256k1:` key; `public_key_malformed` never repeats the text, which may be a secret key."""
    try:
        return PublicKey(text)
    except ValueError as error:
        raise InvalidInput(
            "public_key_malformed",
            f"{name} is not a public key; write ed25519: or secp256k1: and base58 of the key's 32 or 64 bytes",
            details={"argument": name},
        ) from error


def read_text_list(name: str, value: JsonValue) -> tuple[str, ...]:
    """Texts, given as a JSON list, as its text, or separated by commas."""
    if isinstance(value, str):
        value = (
            _json_text(name, value)
            if value.lstrip().startswith("[")
            else [*filter(None, map(str.strip, value.split(",")))]
        )
    if not isinstance(value, list) or not all(isinstance(item, str) and _is_unicode(item) for item in value):
        raise InvalidInput(
            "not_a_list",
            f'{name} is not a list of texts; write ["get_num", "increment"], or get_num,increment',
            details={"argument": name},
        )
    return tuple(cast("list[str]", value))


def read_gas(text: str) -> Gas:
    """Gas units of a number of Tgas."""
    gas = parse_units(text, len(str(TGAS)) - 1)
    if gas > U64_MAX:
        raise InvalidInput("gas_too_large", f"{text} Tgas does not fit a transaction; write at most 300")
    return Gas(gas)


def read_hash(text: str) -> CryptoHash:
    try:
        return CryptoHash(text)
    except ValueError as error:
        raise InvalidInput(
            "hash_malformed",
            f"{error}; a transaction hash has 43 or 44 base58 characters",
            details={"tx_hash": text[:80]},
        ) from error


def read_account(text: str, caller: AccountId, registry: Registry) -> AccountId:
    """The account id, `@me` being the caller.

    InvalidInput `account_upper_case`, `account_checksum` (EIP-55 of a mixed-case 0x id), `account_malformed`.
    """
    if text.casefold() == CALLER:
        return caller
    if _ADDRESS.fullmatch(text) and text.lower() != text:
        return _checksummed(text)
    try:
        return AccountId(text)
    except ValueError as error:
        lower = text.lower()
        if lower != text and text.isascii() and _well_formed(lower):
            raise InvalidInput(
                "account_upper_case",
                f"account ids are lower case; did you mean {lower}?",
                details={"account_id": text[:80], "nearest": lower},
            ) from error
        known = (*registry.account_ids, caller)
        raise InvalidInput(
            "account_malformed",
            f"{error}{did_you_mean(text.strip('@ ').lower(), known)}",
            details={"account_id": text[:80], "nearest": nearest(text.strip("@ "), known)},
        ) from error


def read_object(name: str, value: JsonValue, *, numbers: bool = False) -> JsonObject:
    """Return a JSON object, given as one or as its text, without NaN, repeated keys and lone surrogates.

    Numbers with decimals are taken only if `numbers` is true, and then only those that a float holds as they are written.
    """
    if isinstance(value, str):
        value = _json_text(name, value, numbers=numbers)
    if not isinstance(value, dict):
        raise InvalidInput(
            "not_an_object",
            f'{name} is JSON {json_type(value)}; write an object, such as {{"account_id": "bob.near"}}',
            details={"argument": name},
        )
    _check_exact(name, value, 0, numbers=numbers)
    return value


def read_call_arguments(name: str, value: JsonValue) -> JsonObject | list[JsonValue]:
    """Return the JSON arguments of a method: an object, or an array that it reads by position; numbers as in `read_json`."""
    if isinstance(value, str):
        value = _json_text(name, value, numbers=True)
    if isinstance(value, list):
        _check_exact(name, value, 0, numbers=True)
        return value
    return read_object(name, value, numbers=True)


def read_json(name: str, value: JsonValue) -> JsonValue:
    """Return any JSON value, given as one or as its text, with numbers that a float holds exactly; `malformed_json`."""
    if isinstance(value, str):
        value = _json_text(name, value, numbers=True)
    _check_exact(name, value, 0, numbers=True)
    return value


def read_base64(name: str, text: str) -> bytes:
    """Return the bytes of standard base64 with its padding, at most MAX_ARGUMENT_BYTES.

    InvalidInput `malformed_base64`, `arguments_too_long`.
    """
    if len(text) > _MAX_BASE64:
        raise InvalidInput(
            "arguments_too_long",
            f"{name} has {len(text)} characters; at most {_MAX_BASE64} are taken, which are {MAX_ARGUMENT_BYTES} bytes",
            details={"argument": name},
        )
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            "malformed_base64",
            f"{name} is not base64: {error}; write the argument bytes in the standard alphabet with padding, such as AQAAAA==",
            details={"argument": name},
        ) from error


def compact_json(value: JsonObject | list[JsonValue], *, numbers: bool = False) -> bytes:
    """The bytes that a contract gets: UTF-8, sorted keys, no spaces; equal objects give equal bytes.

    InvalidInput for a value that JSON cannot hold exactly (NaN, lone surrogate, and a float unless `numbers`).
    """
    _check_exact("args", value, 0, numbers=numbers)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def json_type(value: JsonValue) -> str:
    """JSON's own name of a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "array"
        case dict():
            return "object"


_READERS: Final[dict[ArgumentKind, Callable[[str, str], ArgumentValue]]] = {
    "amount": read_amount,
    "decimal": read_amount,
    "amount_or_all": read_amount_or_all,
    "int": read_whole_number,
    "public_key": read_public_key,
    "tgas": lambda _name, text: read_gas(text),
    "tx_hash": lambda _name, text: read_hash(text),
}
"""Kinds whose value comes from the text alone."""

_SAMPLES: Final[dict[ArgumentKind, str]] = {
    "account_id": "bob.near",
    "token": "USDC",
    "amount": "12.5",
    "amount_or_all": "12.5",
    "decimal": "0.5",
    "string": "text",
    "list[string]": "[]",
    "int": "7",
    "json": "{}",
    "object": "{}",
    "public_key": "ed25519:8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
    "tgas": "30",
    "tx_hash": "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
}


def _one_of(parameter: Parameter, text: str) -> str:
    if not parameter.choices:
        return text
    chosen = text.strip().casefold()
    if chosen not in parameter.choices:
        raise InvalidInput(
            "not_a_choice",
            f"{parameter.name} is {text[:80]!r}; write one of: {', '.join(parameter.choices)}",
            details={"argument": parameter.name, "nearest": nearest(chosen, parameter.choices)},
        )
    return chosen


def _account_argument(parameter: Parameter, text: str, caller: AccountId, registry: Registry) -> AccountId:
    token = registry.by_symbol.get(text.casefold())
    if token and parameter.symbols:
        return token.contract_id
    if token and not _well_formed(text):
        raise InvalidInput(
            "account_malformed",
            f"{parameter.name} wants an account id; {text} is a token, its contract is {token.contract_id}",
            details={"account_id": text, "nearest": token.contract_id},
        )
    return read_account(text, caller, registry)


def _checksummed(text: str) -> AccountId:
    digits = text[2:]
    if digits != digits.upper() and digits != _eip55(digits.lower()):
        raise InvalidInput(
            "account_checksum",
            f"the capitals in {text} are a checksum (EIP-55) and it does not match: at least one character is wrong; "
            "copy the address again",
            details={"account_id": text},
        )
    return AccountId(text.lower())


def _eip55(digits: str) -> str:
    hashed = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    pairs = zip(digits, hashed, strict=False)
    return "".join(digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in pairs)


def _well_formed(text: str) -> AccountId | None:
    try:
        return AccountId(text)
    except ValueError:
        return None


def _thousands(text: str) -> str:
    return text.replace(",", "")[:80]


def _decimals(text: str) -> str:
    head, _, tail = text.rpartition(",")
    return f"{head.replace(',', '').replace('.', '')}.{tail.replace('.', '')}"[:80]


def _json_text(name: str, text: str, *, numbers: bool = False) -> JsonValue:
    decimals = _exact_number if numbers else _refuse_number
    try:
        return cast(
            "JsonValue",
            json.loads(text, object_pairs_hook=unique_keys, parse_float=decimals, parse_constant=_refuse_number),
        )
    except RecursionError as error:
        raise _too_deep(name) from error
    except ValueError as error:
        raise InvalidInput(
            "malformed_json",
            f"{name}: this is not usable as JSON: {str(error)[:200]}; in a command it stands in single quotes, "
            """for example args='{"key": "value"}'""",
            details={"argument": name},
        ) from error


def _refuse_number(text: str) -> JsonValue:
    raise ValueError(f"the number {text[:40]} is not exact; write amounts as strings")


def _exact_number(text: str) -> float:
    value = exact_float(text)
    if value is None:
        raise ValueError(f"the number {text[:40]} has more digits than a float holds; write amounts as strings")
    return value


def _check_exact(name: str, value: JsonValue, depth: int, *, numbers: bool = False) -> None:
    if depth > MAX_JSON_DEPTH:
        raise _too_deep(name)
    # Beyond 2^53 a parser before this one may have rounded off whole units.
    if isinstance(value, float) and not (numbers and abs(value) < _WHOLE_FLOATS):
        raise InvalidInput(
            "malformed_json",
            f"{name} holds the number {value!r}, which is not exact; write amounts as strings",
            details={"argument": name},
        )
    if isinstance(value, str) and not _is_unicode(value):
        raise _not_unicode(name)
    if isinstance(value, list):
        for inner in value:
            _check_exact(name, inner, depth + 1, numbers=numbers)
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_exact(name, key, depth + 1)
            _check_exact(name, inner, depth + 1, numbers=numbers)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _not_unicode(name: str) -> InvalidInput:
    return InvalidInput(
        "not_unicode", f"{name} holds half of a surrogate pair, which no contract reads", details={"argument": name}
    )


def _too_deep(name: str) -> InvalidInput:
    return InvalidInput(
        "malformed_json", f"{name} is nested deeper than {MAX_JSON_DEPTH} levels", details={"argument": name}
    )
