"""Exact types: account ids, hashes, public keys, gas and amounts. Existence is the proof of well-formedness.

Sources: account ids, nearcore's account-id rules (2 to 64 characters, NEP-616 for `0s`); key strings and hashes, base58.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Final, Literal, NewType, Self, TypeAlias

import base58
from pydantic import GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, core_schema

from contracts.errors import InvalidInput

JsonObject: TypeAlias = dict[str, JsonValue]

Gas = NewType("Gas", int)
"""Gas units; 1 Tgas = 10**12."""
Yocto = NewType("Yocto", int)
"""yoctoNEAR; 1 NEAR = 10**24."""

TGAS: Final = 10**12
NEAR_DECIMALS: Final = 24
_FEW_YOCTO: Final = 10**6
_SHOWN_YOCTO: Final = 1000
"""Below it a remainder is a security deposit and not money."""
U64_MAX: Final = 2**64 - 1
U128_MAX: Final = 2**128 - 1

Curve: TypeAlias = Literal["ed25519", "secp256k1", "ml-dsa-65"]
AccountKind: TypeAlias = Literal["named", "near_implicit", "eth_implicit", "deterministic"]

_ACCOUNT = re.compile(r"(([a-z\d]+[-_])*[a-z\d]+\.)*([a-z\d]+[-_])*[a-z\d]+", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_ETH = re.compile(r"0x[0-9a-f]{40}")
_DETERMINISTIC = re.compile(r"0s[0-9a-f]{40}")
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_BASE_UNITS = re.compile(r"[0-9]{1,39}", re.ASCII)
_KEY_SIZES: Final[dict[str, int]] = {"ed25519": 32, "secp256k1": 64, "ml-dsa-65": 1952}
_KEY_CHARACTERS: Final[dict[str, int]] = {"ed25519": 44, "secp256k1": 88, "ml-dsa-65": 2666}
"""The longest base58 text of that many bytes."""


class _Text(str):
    """A string that was checked when it was made; pydantic builds it through the constructor."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


class AccountId(_Text):
    """A NEAR account id, exactly as on chain (lower case; `@me` is not one). Raises ValueError naming the rule broken."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not 2 <= len(text) <= 64:
            raise ValueError(f"account id {text[:80]!r} has {len(text)} characters; 2 to 64 are allowed")
        if not _ACCOUNT.fullmatch(text):
            raise ValueError(f"account id {text!r} {_broken_rule(text)}")
        return super().__new__(cls, text)

    @property
    def kind(self) -> AccountKind:
        if _HEX64.fullmatch(self):
            return "near_implicit"
        if _ETH.fullmatch(self):
            return "eth_implicit"
        return "deterministic" if _DETERMINISTIC.fullmatch(self) else "named"

    @property
    def parent(self) -> str | None:
        """`alice.near` for `x.alice.near`; None for a top-level name."""
        _, dot, rest = self.partition(".")
        return rest if dot else None


class CryptoHash(_Text):
    """A 32-byte hash as base58 text (block hash, transaction hash, code hash, receipt id)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if len(text) > 50 or len(_base58(text)) != 32:
            raise ValueError(f"hash {text[:80]!r} is not 32 bytes in base58")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """sha256 of the data."""
        return cls.from_bytes(hashlib.sha256(data).digest())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        if len(raw) != 32:
            raise ValueError(f"a hash has 32 bytes, not {len(raw)}")
        return str.__new__(cls, _encoded(raw))

    @property
    def raw(self) -> bytes:
        return _base58(self)


class PublicKey(_Text):
    """`ed25519:`, `secp256k1:` or `ml-dsa-65:` and base58; without a prefix ed25519, which it gets. Other curves: ValueError."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        curve, colon, body = text.partition(":")
        if not colon:
            curve, body = "ed25519", text
        if curve not in _KEY_SIZES:
            raise ValueError(
                f"public key {text[:80]!r}: curve {curve[:20]!r} is not supported, use ed25519 or secp256k1"
            )
        if len(body) > _KEY_CHARACTERS[curve] or len(_base58(body)) != _KEY_SIZES[curve]:
            raise ValueError(f"public key {text[:120]!r} is not {_KEY_SIZES[curve]} bytes in base58")
        return super().__new__(cls, f"{curve}:{body}")

    @classmethod
    def from_bytes(cls, curve: Curve, raw: bytes) -> Self:
        return cls(f"{curve}:{_encoded(raw)}")

    @property
    def curve(self) -> Curve:
        if self.startswith("ed25519:"):
            return "ed25519"
        return "secp256k1" if self.startswith("secp256k1:") else "ml-dsa-65"

    @property
    def listed(self) -> str:
        """As lists of keys show it: an ML-DSA-65 key only by the SHA3-256 of its bytes."""
        if self.curve != "ml-dsa-65":
            return str(self)
        return f"ml-dsa-65-hash:{_encoded(hashlib.sha3_256(self.raw).digest())}"

    @property
    def raw(self) -> bytes:
        return _base58(self.partition(":")[2])


def parse_units(text: str, decimals: int) -> int:
    """Base units of a human amount, exactly: `parse_units("12.5", 6) == 12500000`.

    Raises InvalidInput `amount_malformed` for anything but ASCII digits with at most one point, `amount_too_precise`
    for more decimals than the token has (never rounded), `amount_too_large` above u128.
    """
    shown = text[:80]
    if not _AMOUNT.fullmatch(text):
        hint = ""
        if "," in text:
            hint = "; a comma can mean thousands or decimals: write 1000 or 1.5"
        raise InvalidInput(
            "amount_malformed",
            f"amount {shown!r} is not a plain decimal number such as 12.5{hint}",
            details={"amount": shown},
        )
    whole, _, fraction = text.partition(".")
    if len(fraction) > decimals:
        raise InvalidInput(
            "amount_too_precise",
            f"amount {shown!r} has {len(fraction)} decimals, the token has {decimals}; write at most {decimals}",
            details={"amount": shown, "decimals": decimals},
        )
    digits = (whole + fraction.ljust(decimals, "0")).lstrip("0") or "0"
    if len(digits) > 39 or int(digits) > U128_MAX:
        raise InvalidInput(
            "amount_too_large", f"amount {shown!r} is above 2^128-1 base units", details={"amount": shown}
        )
    return int(digits)


def base_units(value: object) -> int | None:
    """An amount as NEP-141 contracts write it, a u128 as decimal text; None for anything else."""
    if isinstance(value, str) and _BASE_UNITS.fullmatch(value) and int(value) <= U128_MAX:
        return int(value)
    return None


def account_of(value: JsonValue) -> AccountId | None:
    """The account that JSON of a contract names; None where it is no account id."""
    try:
        return AccountId(value) if isinstance(value, str) else None
    except ValueError:
        return None


def format_units(units: int, decimals: int) -> str:
    """The exact human amount of base units, without trailing zeros: `format_units(12500000, 6) == "12.5"`."""
    if units < 0:
        return "-" + format_units(-units, decimals)
    digits = str(units).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def parse_near(text: str) -> Yocto:
    """yoctoNEAR of an amount in NEAR; errors as `parse_units`."""
    return Yocto(parse_units(text, NEAR_DECIMALS))


def format_near(yocto: int) -> str:
    """The exact amount in NEAR, without unit."""
    return format_units(yocto, NEAR_DECIMALS)


def near_text(yocto: int) -> str:
    """The exact amount with its unit, for people: the few yocto of a security deposit are not written with 24 zeros.

    `near_text(1) == "1 yoctoNEAR"`, `near_text(1250000000000000000000 + 1) == "0.00125 NEAR and 1 yoctoNEAR"`.
    """
    near, few = divmod(yocto, _FEW_YOCTO)
    if not few or few >= _SHOWN_YOCTO:
        return f"{format_near(yocto)} NEAR"
    return f"{format_near(near * _FEW_YOCTO)} NEAR and {few} yoctoNEAR" if near else f"{few} yoctoNEAR"


# Base58 costs 15 to 30 us a value, and the same keys and hashes come again and again. Callers bound the length first.
@lru_cache(maxsize=4096)
def _encoded(raw: bytes) -> str:
    return base58.b58encode(raw).decode()


@lru_cache(maxsize=4096)
def _base58(text: str) -> bytes:
    # The library cuts spaces and line ends off the end; here they make the text malformed.
    try:
        return base58.b58decode(text) if text.isalnum() else b""
    except ValueError:
        return b""


def _broken_rule(text: str) -> str:
    for character in text:
        if not character.isascii():
            return f"contains {character!r} (U+{ord(character):04X}); only a-z, 0-9 and . - _ are allowed"
        if character.isupper():
            return f"contains the capital {character!r}; account ids are lower case"
        if not (character.isalnum() or character in ".-_"):
            return f"contains {character!r}; only a-z, 0-9 and . - _ are allowed"
    return "has a separator (. - _) at an end or next to another one"
