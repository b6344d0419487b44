"""What RPC nodes answer, as frozen values. Unknown fields are ignored, known ones are checked: a value is well-formed.

Shapes: nearcore's JSON-RPC document. Amounts travel as decimal strings, gas and nonces as JSON numbers (newer nodes send
some as strings); both become `int`.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainValidator

from contracts.calls import FullAccess, FunctionCallAccess
from contracts.knowledge.limits import Limits
from contracts.types import U64_MAX, U128_MAX, AccountId, CryptoHash, Gas, Yocto

BlockRef: TypeAlias = Literal["final", "near-final", "optimistic"] | int | CryptoHash
"""A block by finality, height or hash."""

WaitUntil: TypeAlias = Literal["NONE", "INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"]

_DIGITS = re.compile(r"[0-9]{1,39}", re.ASCII)
_NO_CODE: Final = "1" * 32


def _integer(value: JsonValue) -> JsonValue:
    """Digits in a string become an int; bool, float and anything else is refused by raising ValueError."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if type(value) is int:
        return value
    raise ValueError("not an integer")


def _octets(value: JsonValue) -> bytes:
    if not isinstance(value, list):
        raise ValueError("not a list of bytes")  # noqa: TRY004 - pydantic turns ValueError into its own error
    try:
        return bytes(cast("list[int]", value))
    except TypeError:
        raise ValueError("not a list of bytes") from None


def _base64(value: JsonValue) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not base64 text")  # noqa: TRY004 - as above
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def _code_hash(value: JsonValue) -> JsonValue:
    return None if value == _NO_CODE else value


U64: TypeAlias = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=U64_MAX)]
U128: TypeAlias = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=U128_MAX)]
YoctoText: TypeAlias = Annotated[Yocto, BeforeValidator(_integer), Field(ge=0, le=U128_MAX)]
GasNumber: TypeAlias = Annotated[Gas, BeforeValidator(_integer), Field(ge=0, le=U64_MAX)]
Octets: TypeAlias = Annotated[bytes, PlainValidator(_octets)]
Base64: TypeAlias = Annotated[bytes, PlainValidator(_base64)]
CodeHash: TypeAlias = Annotated[CryptoHash | None, BeforeValidator(_code_hash)]


class Answer(BaseModel):
    """A value parsed from an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class AtBlock(Answer):
    """A state that was read at one block."""

    block_height: U64
    block_hash: CryptoHash


class AccountView(AtBlock):
    amount: YoctoText
    locked: YoctoText
    code_hash: CodeHash
    """None: no contract of its own."""
    storage_usage: U64
    """Bytes."""
    global_contract_hash: CryptoHash | None = None
    global_contract_account_id: AccountId | None = None

    @property
    def has_contract(self) -> bool:
        return any((self.code_hash, self.global_contract_hash, self.global_contract_account_id))


@dataclass(frozen=True, slots=True)
class GasKeyAccess:
    """A gas key (protocol 85): pays gas from its own balance, with several nonces."""

    balance: Yocto
    num_nonces: int
    function_call: FunctionCallAccess | None
    """None: full access."""


@dataclass(frozen=True, slots=True)
class OtherAccess:
    """A permission that this version does not know, by its name."""

    name: str


AccessView: TypeAlias = FullAccess | FunctionCallAccess | GasKeyAccess | OtherAccess


def _access(value: JsonValue) -> AccessView:
    match value:
        case "FullAccess":
            return FullAccess()
        case {"FunctionCall": {"receiver_id": str()} as body}:
            return _function_call_access(body)
        case {"GasKeyFullAccess": {"balance": balance, "num_nonces": int(nonces)}}:
            return GasKeyAccess(Yocto(_amount(balance)), nonces, None)
        case {"GasKeyFunctionCall": {"balance": balance, "num_nonces": int(nonces)} as body}:
            function_call = _function_call_access(body)
            return GasKeyAccess(Yocto(_amount(balance)), nonces, function_call)
        case str(name):
            return OtherAccess(name[:80])
        case dict() if len(value) == 1:
            return OtherAccess(str(next(iter(value)))[:80])
        case _:
            raise ValueError("not an access key permission")


def _function_call_access(body: Mapping[str, JsonValue]) -> FunctionCallAccess:
    names, allowance = body.get("method_names"), body.get("allowance")
    if not isinstance(names, list):
        raise ValueError("method_names is not a list")  # noqa: TRY004 - as above
    return FunctionCallAccess(
        receiver_id=AccountId(str(body.get("receiver_id"))),
        method_names=tuple(str(name) for name in names),
        allowance=None if allowance is None else Yocto(_amount(allowance)),
    )


def _amount(value: JsonValue) -> int:
    number = _integer(value)
    if not isinstance(number, int) or not 0 <= number <= U128_MAX:
        raise ValueError("not an amount")
    return number


Access: TypeAlias = Annotated[AccessView, PlainValidator(_access)]


class AccessKeyView(AtBlock):
    nonce: U64
    permission: Access


class GasKeyNonces(AtBlock):
    nonces: tuple[U64, ...]


class AccessKeyItem(Answer):
    public_key: str
    """As the node shows it: ML-DSA keys appear as `ml-dsa-65-hash:`, which cannot be turned back into the key."""
    nonce: U64 = Field(validation_alias=AliasPath("access_key", "nonce"))
    permission: Access = Field(validation_alias=AliasPath("access_key", "permission"))

    @property
    def full_access(self) -> bool:
        return isinstance(self.permission, FullAccess)


class AccessKeyList(AtBlock):
    keys: tuple[AccessKeyItem, ...]
    last_key: str | None = None
    """Where the next page begins after; None on the last page."""


class FunctionResult(AtBlock):
    result: Octets
    logs: tuple[str, ...]
    answer_bytes: int | None = None
    """The length of the contract's answer, if `result` is only its beginning."""


class CodeView(AtBlock):
    code: Base64 = Field(validation_alias="code_base64")
    hash: CryptoHash


class StateItem(Answer):
    key: Base64
    value: Base64


class StateView(AtBlock):
    values: tuple[StateItem, ...]
    last_key: str | None = None


class BlockView(Answer):
    author: str
    height: U64 = Field(validation_alias=AliasPath("header", "height"))
    hash: CryptoHash = Field(validation_alias=AliasPath("header", "hash"))
    prev_hash: CryptoHash = Field(validation_alias=AliasPath("header", "prev_hash"))
    timestamp_ns: U64 = Field(validation_alias=AliasPath("header", "timestamp_nanosec"))
    """Unix nanoseconds by the block's producer."""
    gas_price: YoctoText = Field(validation_alias=AliasPath("header", "gas_price"))
    """Yocto per unit of gas."""
    epoch_id: CryptoHash | None = Field(default=None, validation_alias=AliasPath("header", "epoch_id"))


class ChunkTransaction(Answer):
    hash: CryptoHash
    signer_id: AccountId
    receiver_id: AccountId


class ChunkView(Answer):
    author: str
    hash: CryptoHash = Field(validation_alias=AliasPath("header", "chunk_hash"))
    shard_id: U64 = Field(validation_alias=AliasPath("header", "shard_id"))
    height_created: U64 = Field(validation_alias=AliasPath("header", "height_created"))
    height_included: U64 = Field(validation_alias=AliasPath("header", "height_included"))
    transactions: tuple[ChunkTransaction, ...]


class GasPriceView(Answer):
    gas_price: YoctoText


class StatusView(Answer):
    chain_id: str = Field(max_length=80)
    genesis_hash: CryptoHash | None = None
    protocol_version: U64
    latest_height: U64 = Field(validation_alias=AliasPath("sync_info", "latest_block_height"))
    latest_hash: CryptoHash = Field(validation_alias=AliasPath("sync_info", "latest_block_hash"))
    latest_time: datetime = Field(validation_alias=AliasPath("sync_info", "latest_block_time"))
    earliest_height: U64 | None = Field(default=None, validation_alias=AliasPath("sync_info", "earliest_block_height"))
    """The oldest block this node still has; None where it does not say."""
    syncing: bool = Field(validation_alias=AliasPath("sync_info", "syncing"))
    version: str = Field(validation_alias=AliasPath("version", "version"))


class ValidatorItem(Answer):
    account_id: AccountId
    stake: YoctoText


class ValidatorsView(Answer):
    epoch_height: U64
    epoch_start_height: U64
    current_validators: tuple[ValidatorItem, ...]


class Fee(Answer):
    """Gas of one step: bought by the sender, and burnt where it executes."""

    send_sir: GasNumber
    send_not_sir: GasNumber
    execution: GasNumber


def _at(*path: str) -> AliasPath:
    return AliasPath("runtime_config", *path)


def _limit(name: str) -> AliasPath:
    return _at("wasm_config", "limit_config", name)


def _fee(name: str) -> AliasPath:
    return _at("transaction_costs", "action_creation_config", name)


class ProtocolConfig(Answer):
    """Prices, limits and validity as the node states them for its current protocol version.

    Fields that a node may leave out are None there: unknown, never a constant put in.
    """

    chain_id: str = Field(max_length=80)
    protocol_version: U64
    genesis_height: U64
    epoch_length: U64
    transaction_validity_period: U64
    """Blocks after the reference block in which a transaction can still be included."""
    min_gas_price: YoctoText
    max_gas_price: YoctoText
    storage_amount_per_byte: YoctoText = Field(validation_alias=_at("storage_amount_per_byte"))
    max_gas_burnt: GasNumber = Field(validation_alias=_limit("max_gas_burnt"))
    max_total_prepaid_gas: GasNumber = Field(validation_alias=_limit("max_total_prepaid_gas"))
    max_transaction_size: U64 = Field(validation_alias=_limit("max_transaction_size"))
    max_actions_per_receipt: U64 = Field(validation_alias=_limit("max_actions_per_receipt"))
    max_length_method_name: U64 | None = Field(default=None, validation_alias=_limit("max_length_method_name"))
    max_arguments_length: U64 | None = Field(default=None, validation_alias=_limit("max_arguments_length"))
    max_contract_size: U64 | None = Field(default=None, validation_alias=_limit("max_contract_size"))
    receipt_fee: Fee = Field(validation_alias=_at("transaction_costs", "action_receipt_creation_config"))
    transfer_fee: Fee | None = Field(default=None, validation_alias=_fee("transfer_cost"))
    function_call_fee: Fee | None = Field(default=None, validation_alias=_fee("function_call_cost"))
    create_account_fee: Fee | None = Field(default=None, validation_alias=_fee("create_account_cost"))

    @property
    def limits(self) -> Limits | None:
        """The limits that a call must keep; None where the node states them incompletely."""
        names, arguments, contract = self.max_length_method_name, self.max_arguments_length, self.max_contract_size
        if names is None or arguments is None or contract is None:
            return None
        return Limits(
            max_total_prepaid_gas=self.max_total_prepaid_gas,
            max_actions_per_receipt=self.max_actions_per_receipt,
            max_length_method_name=names,
            max_arguments_length=arguments,
            max_transaction_size=self.max_transaction_size,
            max_contract_size=contract,
            storage_amount_per_byte=self.storage_amount_per_byte,
        )
