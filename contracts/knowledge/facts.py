"""Chain facts: what an action's `build` must know of one block, and what it is asked through (`reading` reads them).

An answer that says "there is none" (no account, no such method, something unreadable) is a fact too, `Absent`; a node that
cannot answer is an RpcError.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from contracts.errors import RpcError
from contracts.knowledge.account_keys import KeyList, KeysFact, KeysFacts, NewKeyFact, NewKeyFacts
from contracts.knowledge.epochs import BlockAt, EpochConfig, EpochFact, EpochFacts
from contracts.knowledge.exchange import Pool
from contracts.knowledge.interface import Interface
from contracts.types import AccountId, CryptoHash, JsonObject

At: TypeAlias = Literal["final"] | CryptoHash

MAX_DECIMALS: Final = 38
"""More decimals than this leave no room for one whole token in u128."""


class AccountState(Protocol):
    @property
    def amount(self) -> int: ...
    @property
    def locked(self) -> int: ...
    @property
    def has_contract(self) -> bool: ...
    @property
    def code_hash(self) -> CryptoHash | None: ...
    @property
    def global_contract_hash(self) -> CryptoHash | None: ...


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
class InterfaceFacts:
    """A contract's methods with their arguments, from its ABI, from standards, or from its exports."""

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
    | InterfaceFacts
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
    code_hash: CryptoHash | None = None
    """Of its own code, or of the global contract that it names by hash; None: none, or one whose author can change it."""


class TokenFact(BaseModel):
    """What the contract says of itself; texts are outside data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    symbol: str
    decimals: Annotated[int, Field(ge=0, le=255, strict=True)]


@dataclass(frozen=True, slots=True)
class StorageFact:
    """Amounts in yoctoNEAR."""

    registered: int | None
    """NEAR that the contract holds for the account's storage; None: not registered."""
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class InterfaceFact:
    interface: Interface
    code_hash: CryptoHash | None
    """None where the code can change without a change of the account."""


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
    | InterfaceFact
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
    InterfaceFact,
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
            request.contract_id: value.interface.names
            for request, value in self.values.items()
            if isinstance(request, InterfaceFacts) and isinstance(value, InterfaceFact)
        }


NO_FACTS: Final = ChainFacts({})


def out_of_gas(error: RpcError) -> bool:
    """Return whether a view failed because it took more gas than nodes give to a view."""
    said = json.dumps(error.details) + error.message
    return error.code == "CONTRACT_EXECUTION_ERROR" and any(text in said for text in _OUT_OF_GAS)


_OUT_OF_GAS: Final = (
    "GasLimitExceeded",
    "GasExceeded",
    "Exceeded the maximum amount of gas allowed to burn per contract",
    "Exceeded the prepaid gas",
)
"""nearcore's `HostError` in `Debug` and in `Display` form."""


def execution_reason(error: RpcError) -> Literal["no_account", "no_code", "no_method", "failed"]:
    """Why a view call failed; nodes say it in typed form, in `Debug` text or in both."""
    said = json.dumps(error.details) + error.message
    if "MethodNotFound" in said:
        return "no_method"
    if "CodeDoesNotExist" in said:
        return "no_code"
    return "no_account" if "AccountDoesNotExist" in said or "does not exist while viewing" in said else "failed"
