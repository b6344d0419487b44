"""Reading chain facts: all that were asked for at one block, concurrently, and what the answers say."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.abi import ABI_METHOD, exported_methods
from contracts.knowledge.account_keys import NO_SIGNER, KeysFact, KeysFacts, KeySource, NewKeyFact, NewKeyFacts
from contracts.knowledge.epochs import EpochFacts, read_epoch
from contracts.knowledge.facts import (
    NO_FACTS,
    Absent,
    AccountFact,
    AccountFacts,
    AccountState,
    ChainFacts,
    ChainReader,
    CodeTextFact,
    CodeTextFacts,
    FactRequest,
    FactValue,
    InterfaceFact,
    InterfaceFacts,
    PoolFacts,
    StorageFact,
    StorageFacts,
    TokenFact,
    TokenFacts,
    ViewFact,
    ViewFacts,
    execution_reason,
)
from contracts.knowledge.interface import InterfaceCache, carries_abi, interface_of
from contracts.knowledge.pools import PoolIndex, read_pools
from contracts.rpc_meanings import about
from contracts.strict_json import parse_exactly
from contracts.types import U128_MAX, AccountId, CryptoHash

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
class _Sources:
    """What facts come from besides the chain."""

    keys: KeySource
    interfaces: InterfaceCache | None
    pools: PoolIndex | None


async def read_facts(
    reader: ChainReader,
    requests: Sequence[FactRequest],
    keys: KeySource = NO_SIGNER,
    interfaces: InterfaceCache | None = None,
    pools: PoolIndex | None = None,
) -> ChainFacts:
    """All requested facts, read concurrently at one final block. RpcError where a node cannot answer."""
    if not requests:
        return NO_FACTS
    if len(requests) == 1 and isinstance(requests[0], TokenFacts):
        return await _one_token(reader, requests[0])
    block = await reader.block("final")
    values = await _read_all(reader, tuple(dict.fromkeys(requests)), block.hash, _Sources(keys, interfaces, pools))
    return ChainFacts(values, block.height, block.hash, block.timestamp_ns)


async def read_further(
    reader: ChainReader,
    facts: ChainFacts,
    requests: Sequence[FactRequest],
    keys: KeySource = NO_SIGNER,
    interfaces: InterfaceCache | None = None,
    pools: PoolIndex | None = None,
) -> ChainFacts:
    """The facts with those that only the first ones showed to be needed, read at the same block; RpcError as before."""
    missing = tuple(request for request in dict.fromkeys(requests) if request not in facts.values)
    if not missing:
        return facts
    if facts.block_hash is None:
        return await read_facts(reader, (*facts.values, *missing), keys, interfaces, pools)
    more = await _read_all(reader, missing, facts.block_hash, _Sources(keys, interfaces, pools))
    return replace(facts, values={**facts.values, **more})


async def _read_all(
    reader: ChainReader, wanted: Sequence[FactRequest], at: CryptoHash, sources: _Sources
) -> dict[FactRequest, FactValue]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_read(reader, request, at, sources)) for request in wanted]
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


async def _read(reader: ChainReader, request: FactRequest, at: CryptoHash, sources: _Sources) -> FactValue:
    try:
        match request:
            case AccountFacts(account_id):
                state = await reader.account(account_id, at)
                value: FactValue = AccountFact(state.amount, state.locked, state.has_contract, _code_hash(state))
            case TokenFacts(contract_id):
                value = _token((await reader.call_function(contract_id, "ft_metadata", b"{}", at)).result)
            case StorageFacts(contract_id, account_id):
                value = await _storage(reader, contract_id, account_id, at)
            case InterfaceFacts(contract_id):
                value = await _interface(reader, contract_id, at, sources.interfaces)
            case ViewFacts(contract_id, method_name, args):
                value = _view((await reader.call_function(contract_id, method_name, args.encode(), at)).result)
            case CodeTextFacts(contract_id, text):
                value = CodeTextFact(text.encode() in (await reader.code(contract_id, at)).code)
            case PoolFacts():
                value = await read_pools(reader, request, at, sources.pools)
            case KeysFacts() | NewKeyFacts():
                value = await _keys(reader, request, at, sources.keys)
            case EpochFacts():
                value = await read_epoch(reader, at)
            case _:
                assert_never(request)
    except RpcError as error:
        return _absent(error)
    else:
        return value


def _code_hash(state: AccountState) -> CryptoHash | None:
    return state.code_hash or state.global_contract_hash


async def _interface(
    reader: ChainReader, contract_id: AccountId, at: CryptoHash, cache: InterfaceCache | None
) -> InterfaceFact | Absent:
    state = await reader.account(contract_id, at)
    if not state.has_contract:
        return Absent("no_code", f"{contract_id} has no contract")
    code_hash = _code_hash(state)
    known = cache.get(code_hash) if cache is not None and code_hash is not None else None
    if known is not None:
        return InterfaceFact(known, code_hash)
    try:
        exports = exported_methods((await reader.code(contract_id, at)).code)
    except InvalidInput as error:
        return Absent("unreadable", error.message)
    interface = interface_of(exports, await _abi(reader, contract_id, at) if carries_abi(exports) else None)
    if cache is not None and code_hash is not None:
        cache.keep(code_hash, interface)
    return InterfaceFact(interface, code_hash)


async def _abi(reader: ChainReader, contract_id: AccountId, at: CryptoHash) -> bytes | None:
    try:
        return (await reader.call_function(contract_id, ABI_METHOD, b"{}", at)).result
    except RpcError as error:
        if about(error) != "chain":
            raise
        return None  # a contract that panics there has no ABI


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


def _view(result: bytes) -> ViewFact | Absent:
    try:
        value, repeated = parse_exactly(result)
    except ValueError as error:
        return Absent("unreadable", f"the answer is not JSON: {str(error)[:160]}")
    # Decisions rest on facts, and parsers differ in which of two equal keys they take.
    return Absent("unreadable", f"the answer repeats the key {repeated[0][:80]!r}") if repeated else ViewFact(value)


def _token(result: bytes) -> TokenFact | Absent:
    try:
        return TokenFact.model_validate(_json(result))
    except ValidationError as error:
        return Absent("unreadable", f"ft_metadata answers not as NEP-148: {error.error_count()} errors")


def _json(data: bytes) -> JsonValue:
    """Return the value, or a text that no standard's answer is if the bytes are not JSON or repeat a key."""
    try:
        value, repeated = parse_exactly(data)
    except ValueError:
        return "not JSON"
    return "a key is repeated" if repeated else value


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
