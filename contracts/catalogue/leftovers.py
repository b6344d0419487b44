"""What an account has elsewhere and would lose by being deleted, as far as the registry knows where to look."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.knowledge.facts import Absent, ChainFacts, ViewFact, ViewFacts
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry, TokenEntry
from contracts.types import AccountId, JsonObject, base_units, format_near, format_units

_SHOWN: Final = 10
ONE_YOCTO: Final = "0.000000000000000000000001"


@dataclass(frozen=True, slots=True)
class Leftover:
    what: str
    todo: str
    """How to take it away first, in the imperative."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A view that tells of something, and how its answer is read: None where nothing is left there."""

    request: ViewFacts
    read: Callable[[JsonValue], Leftover | None]
    name: str


def leftover_needs(account_id: AccountId, registry: Registry) -> tuple[ViewFacts, ...]:
    return tuple(place.request for place in _places(account_id, registry))


def left_behind(
    account_id: AccountId, facts: ChainFacts, registry: Registry
) -> tuple[tuple[Leftover, ...], tuple[str, ...]]:
    """What was found, and what could not be looked at."""
    found: list[Leftover] = []
    unknown: list[str] = []
    for place in _places(account_id, registry):
        fact = facts.of(place.request, ViewFact)
        if isinstance(fact, Absent):
            if fact.reason in {"failed", "unreadable"}:
                unknown.append(f"{place.name} ({place.request.contract_id}): {inert(fact.detail, 120)}")
            continue
        try:
            left = place.read(fact.value)
        except ValueError as error:
            unknown.append(f"{place.name} ({place.request.contract_id}): {error}")
            continue
        if left is not None:
            found.append(left)
    return tuple(found), tuple(unknown)


def _places(account_id: AccountId, registry: Registry) -> Iterator[_Place]:
    mine: JsonObject = {"account_id": account_id}
    for token in registry.tokens:
        yield _Place(ViewFacts.of(token.contract_id, "ft_balance_of", mine), _tokens(token), "token balance")
        yield _storage(token.contract_id, mine)
    if registry.exchange is not None:
        exchange = registry.exchange.contract_id
        yield _Place(ViewFacts.of(exchange, "get_deposits", mine), _deposits(exchange), "deposits")
        yield _storage(exchange, mine)
    for contract_id in registry.with_role("nft"):
        owned = ViewFacts.of(contract_id, "nft_supply_for_owner", mine)
        yield _Place(owned, _nfts(contract_id), "NFTs")
    for contract_id in registry.with_role("staking_pool"):
        yield _Place(ViewFacts.of(contract_id, "get_account_total_balance", mine), _stake(contract_id), "stake")
    for contract_id in registry.with_role("dao"):
        yield _Place(ViewFacts.of(contract_id, "get_policy", {}), _roles(contract_id, account_id), "DAO roles")


def _storage(contract_id: AccountId, mine: JsonObject) -> _Place:
    def read(value: JsonValue) -> Leftover | None:
        if value is None:
            return None
        total = value.get("total") if isinstance(value, dict) else None
        amount = _whole(total)
        todo = f"/contract_call {contract_id} storage_unregister deposit={ONE_YOCTO}"
        return Leftover(f"{format_near(amount)} NEAR of storage deposit with {contract_id}", todo) if amount else None

    return _Place(ViewFacts.of(contract_id, "storage_balance_of", mine), read, "storage deposit")


def _tokens(token: TokenEntry) -> Callable[[JsonValue], Leftover | None]:
    def read(value: JsonValue) -> Leftover | None:
        amount = _whole(value)
        if not amount:
            return None
        said = (
            f"{amount} base units" if token.decimals is None else f"{format_units(amount, token.decimals)} {token.name}"
        )
        return Leftover(f"{said} ({token.contract_id})", f"/ft_transfer {token.name} to somebody")

    return read


def _deposits(contract_id: AccountId) -> Callable[[JsonValue], Leftover | None]:
    def read(value: JsonValue) -> Leftover | None:
        if not isinstance(value, dict):
            raise ValueError("the answer is not a list of deposits")  # noqa: TRY004  a value of a contract
        held = [token for token, amount in value.items() if _whole(amount)]
        if not held:
            return None
        shown = ", ".join(inert(token, 64) for token in held[:_SHOWN])
        return Leftover(f"deposits of {shown} with {contract_id}", f"withdraw them from {contract_id}")

    return read


def _nfts(contract_id: AccountId) -> Callable[[JsonValue], Leftover | None]:
    def read(value: JsonValue) -> Leftover | None:
        count = _whole(value)
        return Leftover(f"{count} NFTs of {contract_id}", f"/nft_transfer those of {contract_id}") if count else None

    return read


def _stake(contract_id: AccountId) -> Callable[[JsonValue], Leftover | None]:
    def read(value: JsonValue) -> Leftover | None:
        amount = _whole(value)
        said = f"{format_near(amount)} NEAR with the pool {contract_id}"
        return Leftover(said, f"/unstake {contract_id} all and /stake_withdraw {contract_id} all") if amount else None

    return read


def _roles(contract_id: AccountId, account_id: AccountId) -> Callable[[JsonValue], Leftover | None]:
    def read(value: JsonValue) -> Leftover | None:
        roles = value.get("roles") if isinstance(value, dict) else None
        if not isinstance(roles, list):
            raise ValueError("the answer is not a policy with roles")  # noqa: TRY004  a value of a contract
        held: list[str] = []
        for role in roles:
            match role:
                case {"name": str(name), "kind": {"Group": list() as members}} if account_id in members:
                    held.append(inert(name, 60))
                case _:
                    continue
        if not held:
            return None
        said = f"the role {', '.join(held[:_SHOWN])} in the DAO {contract_id}"
        return Leftover(said, f"let {contract_id} remove {account_id} from its roles")

    return read


def _whole(value: JsonValue) -> int:
    units = base_units(value)
    if units is None:
        raise ValueError("the answer is not an amount")
    return units
