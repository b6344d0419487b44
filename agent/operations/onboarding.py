"""Contracts that an admin added: kept in a file of the data folder, their methods offered as actions at once.

Adding is an act of the person at the daemon's machine (`near-agent contract add`), never of a request or a model.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, overload

import structlog
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from agent.errors import ConfigError, DaemonError, RequestError
from contracts.catalogue.entry import AnyEntry
from contracts.catalogue.onboarded import PinnedContract, describe_methods, entries_of
from contracts.errors import RpcError
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainReader,
    InterfaceFact,
    InterfaceFacts,
    TokenFact,
    TokenFacts,
)
from contracts.knowledge.inert import inert
from contracts.knowledge.lookalikes import lookalikes
from contracts.knowledge.reading import read_facts
from contracts.knowledge.registry import NEAR_SYMBOL, Network, Registry, TokenEntry
from contracts.private_files import write_private
from contracts.types import AccountId, JsonObject

log = structlog.get_logger()

FILE_NAME: Final = "contracts.json"
MAX_CONTRACTS: Final = 32
"""More tools than a model can tell apart help nobody."""
_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9.]{1,11}", re.ASCII)


class _Book(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    network: Network
    contracts: Annotated[tuple[PinnedContract, ...], Field(max_length=MAX_CONTRACTS)] = ()


class GrowingCatalogue(Mapping[str, AnyEntry]):
    """The actions that are always there, then those of added contracts."""

    def __init__(self, fixed: Mapping[str, AnyEntry]) -> None:
        self._fixed = fixed
        self._more: Mapping[str, AnyEntry] = {}

    def offer(self, contracts: tuple[PinnedContract, ...]) -> None:
        """Replace the actions of added contracts."""
        entries = [entry for contract in contracts for entry in entries_of(contract)]
        self._more = {entry.name: entry for entry in entries if entry.name not in self._fixed}

    def __getitem__(self, name: str) -> AnyEntry:
        return self._fixed[name] if name in self._fixed else self._more[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from self._more

    def __len__(self) -> int:
        return len(self._fixed) + len(self._more)


class GrowingTokens(Sequence[TokenEntry]):
    """The tokens of the registry's data, then those of added contracts, whose symbols are claims like any other."""

    def __init__(self, fixed: Sequence[TokenEntry]) -> None:
        self._fixed = {token.contract_id: token for token in fixed}
        self._all = tuple(fixed)

    def offer(self, contracts: tuple[PinnedContract, ...]) -> None:
        """Replace the tokens of added contracts; one that the data tells of stays as it is."""
        more = (token for token in tokens_of(contracts) if token.contract_id not in self._fixed)
        self._all = (*self._fixed.values(), *more)

    def is_fixed(self, contract_id: AccountId) -> bool:
        return contract_id in self._fixed

    @overload
    def __getitem__(self, place: int) -> TokenEntry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[TokenEntry]: ...
    def __getitem__(self, place: int | slice) -> TokenEntry | Sequence[TokenEntry]:
        return self._all[place]

    def __iter__(self) -> Iterator[TokenEntry]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def growing(registry: Registry, contracts: tuple[PinnedContract, ...] = ()) -> tuple[Registry, GrowingTokens]:
    """The registry with the tokens of added contracts, and where further ones are offered to it."""
    tokens = GrowingTokens(registry.tokens)
    tokens.offer(contracts)
    return replace(registry, tokens=tokens), tokens


def read_contracts(data_dir: Path, network: Network | None) -> tuple[PinnedContract, ...]:
    """The added contracts of a data folder. ConfigError `config_invalid` for a file that cannot be read, or of another
    network than this one.
    """
    path = data_dir / FILE_NAME
    try:
        book = _Book.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise ConfigError(
            "config_invalid", f"{path} cannot be read: {str(error)[:300]}; correct it, or remove it and add them again"
        ) from error
    if network is not None and book.network != network:
        raise ConfigError(
            "config_invalid",
            f"{path} holds contracts of {book.network}, and the network is {network}; use another data folder",
        )
    return book.contracts


def tokens_of(contracts: tuple[PinnedContract, ...]) -> tuple[TokenEntry, ...]:
    """Added contracts that are tokens, for the registry: their symbols are claims like any other."""
    return tuple(
        TokenEntry(
            contract_id=contract.account_id,
            symbol=contract.symbol,
            decimals=contract.decimals,
            source="added by the admin of this daemon",
        )
        for contract in contracts
        if contract.symbol is not None and contract.decimals is not None
    )


class Contracts:
    """Adds, lists and removes. Errors: RequestError, DaemonError (a node that does not answer)."""

    def __init__(
        self,
        contracts: tuple[PinnedContract, ...],
        catalogue: GrowingCatalogue,
        tokens: GrowingTokens,
        registry: Registry,
        reads: ChainReader,
        *,
        data_dir: Path,
        clock: Callable[[], float],
    ) -> None:
        self._contracts = {contract.account_id: contract for contract in contracts}
        self.catalogue = catalogue
        self._tokens = tokens
        self._registry = registry
        self._reads = reads
        self._data_dir = data_dir
        self._clock = clock
        self._lock = asyncio.Lock()
        catalogue.offer(contracts)
        tokens.offer(contracts)

    async def add(self, written: str) -> JsonObject:
        """Pin a contract to its present code and offer its described methods; once more: pin it anew."""
        account_id = _account(written)
        async with self._lock:
            if account_id not in self._contracts and len(self._contracts) >= MAX_CONTRACTS:
                raise RequestError("too_many_contracts", f"{MAX_CONTRACTS} contracts are added, which is the most")
            account, described, token = await self._look(account_id)
            if account.code_hash is None:
                raise RequestError(
                    "not_pinnable",
                    f"{account_id} runs a global contract that its author can change at any time; use contract_call",
                    param="account_id",
                )
            methods = describe_methods(described.interface)
            if not methods.methods:
                raise RequestError(
                    "nothing_described",
                    f"{account_id} has no ABI, and its methods are those of no known standard, so nothing says what they "
                    f"take; use contract_call. /contract_methods {account_id} lists their names",
                    param="account_id",
                )
            contract = PinnedContract(
                account_id=account_id,
                code_hash=account.code_hash,
                added_at=self._clock(),
                methods=methods.methods,
                symbol=_symbol(token),
                decimals=token.decimals if token is not None and token.decimals <= 38 else None,
            )
            await self._keep({**self._contracts, account_id: contract})
            log.info(
                "contract_added", contract_id=account_id, code_hash=contract.code_hash, actions=len(methods.methods)
            )
        warnings = [f"{account_id} {like.words}" for like in lookalikes(account_id, self._registry.account_ids)]
        if described.interface.problem is not None:
            warnings.append(inert(described.interface.problem, 300))
        left_out: JsonObject = dict(methods.left_out)
        return {**_shown(contract), "left_out": left_out, "warnings": [*warnings]}

    async def listed(self) -> JsonObject:
        """All of them, each with whether its code is still the one that was added; null where the node does not say."""
        contracts = tuple(self._contracts.values())
        requests = [AccountFacts(contract.account_id) for contract in contracts]
        try:
            facts = await read_facts(self._reads, requests)
        except RpcError:
            return {"contracts": [{**_shown(contract), "unchanged": None} for contract in contracts]}
        shown: list[JsonValue] = []
        for contract, request in zip(contracts, requests, strict=True):
            account = facts.of(request, AccountFact)
            unchanged = isinstance(account, AccountFact) and account.code_hash == contract.code_hash
            shown.append({**_shown(contract), "unchanged": unchanged})
        return {"contracts": shown}

    async def remove(self, written: str) -> JsonObject:
        account_id = _account(written)
        async with self._lock:
            if account_id not in self._contracts:
                raise RequestError(
                    "not_found",
                    f"{account_id} is not among the added contracts; near-agent contract list",
                    param="account_id",
                )
            await self._keep({name: one for name, one in self._contracts.items() if name != account_id})
            log.info("contract_removed", contract_id=account_id)
        return {"account_id": account_id, "removed": True}

    async def _look(self, account_id: AccountId) -> tuple[AccountFact, InterfaceFact, TokenFact | None]:
        """The account, what it can be asked, and its token's metadata where it is one, at one block."""
        wanted = (AccountFacts(account_id), InterfaceFacts(account_id), TokenFacts(account_id))
        try:
            facts = await read_facts(self._reads, wanted)
        except RpcError as error:
            raise DaemonError(error.code, f"{account_id} cannot be read: {error.message}", retryable=True) from error
        account, described = facts.of(wanted[0], AccountFact), facts.of(wanted[1], InterfaceFact)
        if isinstance(account, Absent) or isinstance(described, Absent):
            network = self._registry.network
            missing = "does not exist" if isinstance(account, Absent) else "has no contract that can be read"
            raise RequestError("no_contract", f"{account_id} {missing} on {network}", param="account_id")
        token = facts.of(wanted[2], TokenFact)
        is_token = "ft_transfer" in described.interface.names and not self._tokens.is_fixed(account_id)
        return account, described, token if is_token and isinstance(token, TokenFact) else None

    async def _keep(self, contracts: dict[AccountId, PinnedContract]) -> None:
        """On disk first, then offered."""
        kept = tuple(contracts.values())
        text = _Book(network=self._registry.network, contracts=kept).model_dump_json(indent=1)
        await asyncio.to_thread(write_private, self._data_dir / FILE_NAME, text + "\n")
        self._contracts = contracts
        self.catalogue.offer(kept)
        self._tokens.offer(kept)


def _shown(contract: PinnedContract) -> JsonObject:
    actions: list[JsonValue] = [
        {"action": entry.name, "kind": entry.kind, "usage": entry.usage()} for entry in entries_of(contract)
    ]
    return {
        "account_id": contract.account_id,
        "code_hash": contract.code_hash,
        "added_at": contract.added_at,
        "symbol": contract.symbol,
        "actions": actions,
    }


def _symbol(token: TokenFact | None) -> str | None:
    """A token's symbol, where it is one that can be written and is not NEAR's."""
    if token is None or not _SYMBOL.fullmatch(token.symbol) or token.symbol.casefold() == NEAR_SYMBOL.casefold():
        return None
    return token.symbol


def _account(written: str) -> AccountId:
    try:
        return AccountId(written)
    except ValueError as error:
        raise RequestError("invalid_value", str(error), param="account_id") from None
