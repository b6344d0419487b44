"""Chain facts: what an action's `build` must know, read at one block, and how the answers are read.

An answer that says "there is none" (no account, no such method, something unreadable) is a fact too, `Absent`; a node that
cannot answer is an RpcError.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, NoReturn, Protocol, TypeAlias, TypeVar, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.abi import exported_methods
from contracts.knowledge.account_keys import (
    NO_SIGNER,
    KeyList,
    KeysFact,
    KeysFacts,
    KeySource,
    NewKeyFact,
    NewKeyFacts,
)
from contracts.knowledge.epochs import BlockAt, EpochConfig, EpochFact, EpochFacts, read_epoch
from contracts.knowledge.exchange import Pool, read_page
from contracts.types import U128_MAX, AccountId, CryptoHash, JsonObject

At: TypeAlias = Literal["final"] | CryptoHash

MAX_DECIMALS: Final = 38
"""More decimals than this leave no room for one whole token in u128."""
MAX_POOLS: Final = 20_000
POOLS_A_PAGE: Final = 400
"""What one view can tell within its gas."""


class AccountState(Protocol):
    @property
    def amount(self) -> int: ...
    @property
    def locked(self) -> int: ...
    @property
    def has_contract(self) -> bool: ...


class FunctionAnswer(Protocol):
    @property
    def result(self) -> bytes: ...
    @property
    def block_height(self) -> int: ...
    @property
    def block_hash(self) -> CryptoHash: ...


class CodeAnswer(Protocol):
    @property
    def code(self) -> bytes: ...


class BlockAnswer(Protocol):
    @property
    def height(self) -> int: ...
    @property
    def hash(self) -> CryptoHash: ...
    @property
    def timestamp_ns(self) -> int: ...
    @property
    def epoch_id(self) -> CryptoHash | None: ...


class ChainReader(Protocol):
    """What facts are read through. RpcError where the node refuses or does not answer."""

    async def account(self, account_id: AccountId, at: At, /) -> AccountState: ...
    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: At, /) -> FunctionAnswer: ...
    async def code(self, account_id: AccountId, at: At, /) -> CodeAnswer: ...
    async def block(self, at: BlockAt, /) -> BlockAnswer: ...
    async def access_keys(self, account_id: AccountId, at: At, /) -> KeyList: ...
    async def protocol_config(self) -> EpochConfig: ...


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """Whether an account exists, and whether it has code."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token contract's own metadata (NEP-148)."""

    contract_id: AccountId


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """An account's registration with a contract and what it costs (NEP-145)."""

    contract_id: AccountId
    account_id: AccountId


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """The methods that a contract's code exports."""

    contract_id: AccountId


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """What a contract's view method answers; `args` is the text of a JSON object, equal for equal arguments."""

    contract_id: AccountId
    method_name: str
    args: str = "{}"

    @classmethod
    def of(cls, contract_id: AccountId, method_name: str, args: JsonObject) -> "ViewFacts":
        return cls(
            contract_id, method_name, json.dumps(args, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        )


@dataclass(frozen=True, slots=True)
class CodeTextFacts:
    """Whether a text stands in a contract's code: what it can panic with tells versions of a contract apart."""

    contract_id: AccountId
    text: str


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """The simple pools of an exchange with ref-exchange's interface that hold one of two tokens."""

    exchange_id: AccountId
    tokens: tuple[AccountId, AccountId]


FactRequest: TypeAlias = (
    AccountFacts
    | TokenFacts
    | StorageFacts
    | MethodFacts
    | ViewFacts
    | CodeTextFacts
    | PoolFacts
    | KeysFacts
    | NewKeyFacts
    | EpochFacts
)


@dataclass(frozen=True, slots=True)
class AccountFact:
    amount: int
    locked: int
    has_code: bool


class TokenFact(BaseModel):
    """What the contract says of itself; texts are outside data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    symbol: str
    decimals: Annotated[int, Field(ge=0, le=255, strict=True)]


_U128: TypeAlias = Annotated[int, Field(ge=0, le=U128_MAX)]


class _Bounds(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    min: _U128
    max: _U128 | None = None


class _StorageBalance(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    total: _U128
    available: _U128 = 0


@dataclass(frozen=True, slots=True)
class StorageFact:
    """Amounts in yoctoNEAR."""

    registered: int | None
    """NEAR that the contract holds for the account's storage; None: not registered."""
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class MethodFact:
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such thing on chain."""

    reason: Literal["no_account", "no_code", "no_method", "failed", "unreadable"]
    """`failed`: the contract's method panicked; `unreadable`: its answer is not what the standard says."""
    detail: str
    """The node's or the contract's text, outside data."""


@dataclass(frozen=True, slots=True)
class ViewFact:
    """Outside data; its shape is checked by whoever asked."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class CodeTextFact:
    found: bool


@dataclass(frozen=True, slots=True)
class PoolFact:
    pools: tuple[Pool, ...]


FactValue: TypeAlias = (
    AccountFact
    | TokenFact
    | StorageFact
    | MethodFact
    | ViewFact
    | CodeTextFact
    | PoolFact
    | KeysFact
    | NewKeyFact
    | EpochFact
    | Absent
)
FactT = TypeVar(
    "FactT",
    AccountFact,
    TokenFact,
    StorageFact,
    MethodFact,
    ViewFact,
    CodeTextFact,
    PoolFact,
    KeysFact,
    NewKeyFact,
    EpochFact,
)


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """Facts of one block. Height, hash and time are None where nothing was asked, or the answer did not tell."""

    values: Mapping[FactRequest, FactValue]
    block_height: int | None = None
    block_hash: CryptoHash | None = None
    block_time_ns: int | None = None
    """Unix nanoseconds."""

    def of(self, request: FactRequest, kind: type[FactT]) -> FactT | Absent:
        """The fact that was asked for; KeyError or TypeError where `needs` did not ask for it."""
        value = self.values[request]
        if isinstance(value, (kind, Absent)):
            return value
        raise TypeError(f"{request} was answered with {type(value).__name__}")

    @property
    def methods(self) -> dict[str, frozenset[str]]:
        """Method names of the contracts whose list was read, by contract id."""
        return {
            request.contract_id: value.names
            for request, value in self.values.items()
            if isinstance(request, MethodFacts) and isinstance(value, MethodFact)
        }


NO_FACTS: Final = ChainFacts({})


async def read_facts(reader: ChainReader, requests: Sequence[FactRequest], keys: KeySource = NO_SIGNER) -> ChainFacts:
    """All requested facts, read concurrently at one final block. RpcError where a node cannot answer."""
    if not requests:
        return NO_FACTS
    if len(requests) == 1 and isinstance(requests[0], TokenFacts):
        return await _one_token(reader, requests[0])
    block = await reader.block("final")
    values = await _read_all(reader, tuple(dict.fromkeys(requests)), block.hash, keys)
    return ChainFacts(values, block.height, block.hash, block.timestamp_ns)


async def read_further(
    reader: ChainReader, facts: ChainFacts, requests: Sequence[FactRequest], keys: KeySource = NO_SIGNER
) -> ChainFacts:
    """The facts with those that only the first ones showed to be needed, read at the same block; RpcError as before."""
    missing = tuple(request for request in dict.fromkeys(requests) if request not in facts.values)
    if not missing:
        return facts
    if facts.block_hash is None:
        return await read_facts(reader, (*facts.values, *missing), keys)
    return replace(facts, values={**facts.values, **await _read_all(reader, missing, facts.block_hash, keys)})


async def _read_all(
    reader: ChainReader, wanted: Sequence[FactRequest], at: CryptoHash, keys: KeySource
) -> dict[FactRequest, FactValue]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_read(reader, request, at, keys)) for request in wanted]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return {request: task.result() for request, task in zip(wanted, tasks, strict=True)}


async def _one_token(reader: ChainReader, request: TokenFacts) -> ChainFacts:
    # The most frequent case needs no separate block query: the answer itself names its block.
    try:
        answer = await reader.call_function(request.contract_id, "ft_metadata", b"{}", "final")
    except RpcError as error:
        return ChainFacts({request: _absent(error)})
    return ChainFacts({request: _token(answer.result)}, answer.block_height, answer.block_hash)


async def _read(reader: ChainReader, request: FactRequest, at: CryptoHash, keys: KeySource) -> FactValue:
    try:
        match request:
            case AccountFacts(account_id):
                state = await reader.account(account_id, at)
                value: FactValue = AccountFact(state.amount, state.locked, state.has_contract)
            case TokenFacts(contract_id):
                value = _token((await reader.call_function(contract_id, "ft_metadata", b"{}", at)).result)
            case StorageFacts(contract_id, account_id):
                value = await _storage(reader, contract_id, account_id, at)
            case MethodFacts(contract_id):
                value = _methods((await reader.code(contract_id, at)).code)
            case ViewFacts(contract_id, method_name, args):
                value = _view((await reader.call_function(contract_id, method_name, args.encode(), at)).result)
            case CodeTextFacts(contract_id, text):
                value = CodeTextFact(text.encode() in (await reader.code(contract_id, at)).code)
            case PoolFacts():
                value = await _pools(reader, request, at)
            case KeysFacts() | NewKeyFacts():
                value = await _keys(reader, request, at, keys)
            case EpochFacts():
                value = await read_epoch(reader, at)
            case _:
                assert_never(request)
    except RpcError as error:
        return _absent(error)
    else:
        return value


async def _keys(
    reader: ChainReader, request: KeysFacts | NewKeyFacts, at: CryptoHash, keys: KeySource
) -> KeysFact | NewKeyFact:
    account_id = request.account_id
    if isinstance(request, NewKeyFacts):
        return NewKeyFact(await keys.key_for_new_account(account_id))
    listed = (await reader.access_keys(account_id, at)).keys
    full = frozenset(item.public_key for item in listed if item.full_access)
    limited = frozenset(item.public_key for item in listed if not item.full_access)
    return KeysFact(full, limited, frozenset(await keys.public_keys(account_id)))


async def _storage(
    reader: ChainReader, contract_id: AccountId, account_id: AccountId, at: CryptoHash
) -> StorageFact | Absent:
    args = json.dumps({"account_id": account_id}).encode()
    balance = _json((await reader.call_function(contract_id, "storage_balance_of", args, at)).result)
    limits = _json((await reader.call_function(contract_id, "storage_balance_bounds", b"{}", at)).result)
    try:
        bounds = _Bounds.model_validate(limits)
        registered = None if balance is None else _StorageBalance.model_validate(balance).total
    except ValidationError as error:
        return Absent("unreadable", f"storage of {contract_id} answers not as NEP-145: {error.error_count()} errors")
    return StorageFact(registered, bounds.min, bounds.max)


async def _pools(reader: ChainReader, request: PoolFacts, at: CryptoHash) -> PoolFact | Absent:
    """All pools, page by page: which of them hold a token, only the contract's whole list says."""
    exchange_id = request.exchange_id
    count = _json((await reader.call_function(exchange_id, "get_number_of_pools", b"{}", at)).result)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_POOLS:
        return Absent("unreadable", f"{exchange_id} says it has {str(count)[:40]} pools; at most {MAX_POOLS} are read")
    found: list[Pool] = []
    # one page after the other: nodes refuse whoever asks for twenty at once
    for first in range(0, count, POOLS_A_PAGE):
        args = json.dumps({"from_index": first, "limit": POOLS_A_PAGE}).encode()
        page = _json((await reader.call_function(exchange_id, "get_pools", args, at)).result)
        try:
            found += read_page(page, first, POOLS_A_PAGE, request.tokens)
        except ValueError as error:
            return Absent("unreadable", str(error))
    return PoolFact(tuple(found))


def _methods(code: bytes) -> MethodFact | Absent:
    try:
        return MethodFact(frozenset(exported_methods(code)))
    except InvalidInput as error:
        return Absent("unreadable", error.message)


def _view(result: bytes) -> ViewFact | Absent:
    try:
        return ViewFact(json.loads(result, parse_constant=_no_number))
    except (ValueError, RecursionError) as error:
        return Absent("unreadable", f"the answer is not JSON: {str(error)[:160]}")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _token(result: bytes) -> TokenFact | Absent:
    try:
        return TokenFact.model_validate(_json(result))
    except ValidationError as error:
        return Absent("unreadable", f"ft_metadata answers not as NEP-148: {error.error_count()} errors")


def _json(data: bytes) -> JsonValue:
    """The value, or a text that no standard's answer is, where the bytes are no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return "not JSON"


def _absent(error: RpcError) -> Absent:
    """The fact behind a node's refusal; the error itself where it says nothing about the chain."""
    if error.retryable:
        raise error
    match error.code:
        case "UNKNOWN_ACCOUNT" | "INVALID_ACCOUNT":
            return Absent("no_account", error.message)
        case "NO_CONTRACT_CODE":
            return Absent("no_code", error.message)
        case "CONTRACT_EXECUTION_ERROR":
            return Absent(execution_reason(error), error.message)
        case "TOO_LARGE":
            return Absent("unreadable", error.message)
        case _:
            raise error


def execution_reason(error: RpcError) -> Literal["no_account", "no_code", "no_method", "failed"]:
    """Why a view call failed; nodes say it in typed form, in `Debug` text or in both."""
    said = json.dumps(error.details) + error.message
    if "MethodNotFound" in said:
        return "no_method"
    if "CodeDoesNotExist" in said:
        return "no_code"
    return "no_account" if "AccountDoesNotExist" in said or "does not exist while viewing" in said else "failed"
