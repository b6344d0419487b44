"""Reading JSON-RPC params: each reader returns a checked value or raises nearcore's PARSE_ERROR."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pydantic import JsonValue

from contracts.errors import InvalidInput, UnsupportedAction
from contracts.localnet.rpc_errors import parse_error
from contracts.localnet.tracking import Level
from contracts.signing.transaction import SignedTransaction, decode_signed_transaction
from contracts.types import AccountId, CryptoHash, JsonObject, PublicKey

BlockReference: TypeAlias = int | CryptoHash | Literal["final", "near-final", "optimistic", "genesis", "earliest"]
_LEVELS: Final[dict[str, Level]] = {level: level for level in get_args(Level)}


@dataclass(frozen=True, slots=True)
class Params:
    """Params given by name."""

    values: Mapping[str, JsonValue]

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            raise parse_error(f"missing field `{name}`" if value is None else f"field `{name}` is not a string")
        return value

    def account_id(self, name: str = "account_id") -> AccountId:
        text = self.text(name)
        try:
            return AccountId(text)
        except ValueError as error:
            raise parse_error(f'invalid value: "{text[:80]}", {error}') from error

    def hash(self, name: str) -> CryptoHash:
        try:
            return CryptoHash(self.text(name))
        except ValueError as error:
            raise parse_error(f"invalid value for `{name}`: {error}") from error

    def public_key(self, name: str = "public_key") -> PublicKey:
        try:
            return PublicKey(self.text(name))
        except ValueError as error:
            raise parse_error(f"invalid value for `{name}`: {error}") from error

    def raw(self, name: str) -> bytes:
        """Bytes given as base64."""
        return decode_base64(self.text(name), name)

    def optional_raw(self, name: str) -> bytes | None:
        return None if self.values.get(name) is None else self.raw(name)

    def count(self, name: str) -> int | None:
        """A whole number of 1 or more; None where it is not given."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise parse_error(f"invalid value for `{name}`: a whole number of 1 or more is expected")
        return value

    def level(self) -> Level:
        value = self.values.get("wait_until", "EXECUTED_OPTIMISTIC")
        level = _LEVELS.get(value) if isinstance(value, str) else None
        if level is None:
            raise parse_error(f"unknown variant `{str(value)[:40]}`, expected one of {', '.join(_LEVELS)}")
        return level

    def block(self) -> BlockReference:
        """`finality`, `block_id` or `sync_checkpoint`; exactly one is expected."""
        block_id = self.values.get("block_id")
        if block_id is not None:
            return block_reference(block_id)
        match self.values.get("finality"), self.values.get("sync_checkpoint"):
            case ("final" | "near-final" | "optimistic") as finality, None:
                return finality
            case None, "genesis":
                return "genesis"
            case None, "earliest_available":
                return "earliest"
            case _:
                raise parse_error("expected one of `block_id`, `finality` or `sync_checkpoint`")

    def signed_transaction(self) -> SignedTransaction:
        data = self.text("signed_tx_base64")
        try:
            return decode_signed_transaction(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError) as error:
            raise parse_error(f"Failed to decode transaction: {error}") from error
        except (InvalidInput, UnsupportedAction) as error:
            raise parse_error(f"Failed to decode transaction: {error.message}") from error


def block_reference(block_id: JsonValue) -> int | CryptoHash:
    """A height or a block hash."""
    if isinstance(block_id, int) and not isinstance(block_id, bool) and block_id >= 0:
        return block_id
    if isinstance(block_id, str):
        try:
            return CryptoHash(block_id)
        except ValueError as error:
            raise parse_error(f"invalid block_id: {error}") from error
    raise parse_error("block_id is neither a height nor a block hash")


def decode_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise parse_error(f"`{name}` is not base64: {error}") from error


def named(params: JsonValue, *names: str) -> Params:
    """Params by name; a positional list gets the names given here, in order."""
    if isinstance(params, dict):
        return Params(params)
    if params is None:
        return Params({})
    if isinstance(params, list):
        if len(params) > len(names):
            raise parse_error(f"expected at most {len(names)} positional params, got {len(params)}")
        values: JsonObject = dict(zip(names, params, strict=False))
        return Params(values)
    raise parse_error("params are neither an object nor an array")
