"""Swaps on an exchange with ref-exchange's interface: pools as its views tell them, what a swap gives, the best route.

The arithmetic is that contract's `simple_pool.rs` (ref-finance/ref-contracts), in whole numbers: a pool of two tokens whose
product stays constant, the fee taken from what goes in. Other kinds of pools (stable, rated, degen) are left out: their
arithmetic is not here, so their price could not be checked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from contracts.errors import InvalidInput
from contracts.types import U128_MAX, AccountId, format_units, parse_units

FEE_DIVISOR: Final = 10_000
MILLION: Final = 1_000_000
WARN_PRICE_IMPACT_PPM: Final = 10_000
PERCENT_DECIMALS: Final = 4
"""Digits after the point of a percentage: one part in a million is 0.0001%."""
_U256_MAX: Final = 2**256 - 1

_U128: TypeAlias = Annotated[int, Field(ge=0, le=U128_MAX)]


@dataclass(frozen=True, slots=True)
class SwapSettings:
    """What a swap may cost besides the pool's fee, in parts of a million."""

    slippage_ppm: int = 5_000
    """How much less than quoted a swap may give, where the requester does not say."""
    max_slippage_ppm: int = 50_000
    """More is refused, whoever asks for it."""
    max_price_impact_ppm: int = 100_000
    """A swap that moves the price by more is refused."""


DEFAULT_SWAP: Final = SwapSettings()


def percent(ppm: int) -> str:
    """Parts of a million as people write them: 5000 is 0.5%."""
    return f"{format_units(ppm, PERCENT_DECIMALS)}%"


@dataclass(frozen=True, slots=True)
class PriceImpact:
    """By how much a swap alone moves the price, and by how much one may, in parts of a million."""

    ppm: int
    most_ppm: int

    @property
    def is_too_high(self) -> bool:
        return self.ppm > self.most_ppm

    @property
    def is_high(self) -> bool:
        """High enough to be told for itself, and for a person to decide."""
        return self.ppm >= WARN_PRICE_IMPACT_PPM


def parse_percent(text: str) -> int:
    """Parts of a million of a percentage from 0 to 100; InvalidInput `percent_malformed`."""
    try:
        parts = parse_units(text, PERCENT_DECIMALS)
    except InvalidInput:
        parts = MILLION + 1
    if parts > MILLION:
        raise InvalidInput(
            "percent_malformed",
            f"{text[:40]!r} is not a percentage from 0 to 100 with at most {PERCENT_DECIMALS} decimals, such as 0.5",
            details={"percent": text[:40]},
        )
    return parts


@dataclass(frozen=True, slots=True)
class Pool:
    """Two tokens and what the pool holds of each, in base units; `fee` in parts of FEE_DIVISOR."""

    pool_id: int
    tokens: tuple[AccountId, AccountId]
    amounts: tuple[int, int]
    fee: int

    def other(self, token: AccountId) -> AccountId:
        return self.tokens[1] if token == self.tokens[0] else self.tokens[0]

    def reserves(self, token_in: AccountId) -> tuple[int, int]:
        """What the pool holds of the token that goes in, and of the one that comes out."""
        return self.amounts if token_in == self.tokens[0] else (self.amounts[1], self.amounts[0])

    def amount_out(self, token_in: AccountId, amount_in: int) -> int | None:
        """What the contract's `get_return` answers; None where it panics (empty pool, nothing in, overflow)."""
        held_in, held_out = self.reserves(token_in)
        if 0 in {amount_in, held_in, held_out} or held_in + amount_in > U128_MAX:
            return None
        after_fee = amount_in * (FEE_DIVISOR - self.fee)
        if after_fee * held_out > _U256_MAX:
            return None
        return after_fee * held_out // (FEE_DIVISOR * held_in + after_fee)


@dataclass(frozen=True, slots=True)
class Hop:
    """One pool of a route."""

    pool: Pool
    token_in: AccountId
    amount_in: int
    amount_out: int

    @property
    def token_out(self) -> AccountId:
        return self.pool.other(self.token_in)


@dataclass(frozen=True, slots=True)
class Route:
    """One pool, or two with a token between them."""

    hops: tuple[Hop, ...]

    @property
    def amount_in(self) -> int:
        return self.hops[0].amount_in

    @property
    def amount_out(self) -> int:
        return self.hops[-1].amount_out

    @property
    def price_impact_ppm(self) -> int:
        """By how much less comes out than at the price before the swap, fees apart; rounded up."""
        ideal, divisor = self.amount_in, 1
        for hop in self.hops:
            held_in, held_out = hop.pool.reserves(hop.token_in)
            ideal *= (FEE_DIVISOR - hop.pool.fee) * held_out
            divisor *= FEE_DIVISOR * held_in
        return MILLION - self.amount_out * divisor * MILLION // ideal

    @property
    def fee_ppm(self) -> int:
        """All the pools' fees together."""
        kept = 1
        for hop in self.hops:
            kept *= FEE_DIVISOR - hop.pool.fee
        whole = FEE_DIVISOR ** len(self.hops)
        return (whole - kept) * MILLION // whole


def best_route(pools: Sequence[Pool], token_in: AccountId, token_out: AccountId, amount_in: int) -> Route | None:
    """The route that gives most, the shorter one where two give the same; None where nothing comes out of any."""
    direct = _best(pools, token_in, token_out, amount_in)
    routes = [Route((direct,))] if direct else []
    between = {pool.other(token_in) for pool in pools if token_in in pool.tokens} - {token_out}
    for token in sorted(between):
        first = _best(pools, token_in, token, amount_in)
        second = _best(pools, token, token_out, first.amount_out) if first else None
        if first and second:
            routes.append(Route((first, second)))
    return max(routes, key=lambda route: (route.amount_out, -len(route.hops)), default=None)


def least_out(amount_out: int, slippage_ppm: int) -> int:
    """The least that a swap quoted at `amount_out` may give: never rounded up, at least 1."""
    return max(1, amount_out * (MILLION - slippage_ppm) // MILLION)


def _best(pools: Iterable[Pool], token_in: AccountId, token_out: AccountId, amount_in: int) -> Hop | None:
    best: Hop | None = None
    for pool in pools:
        if token_in not in pool.tokens or token_out not in pool.tokens:
            continue
        amount_out = pool.amount_out(token_in, amount_in)
        if amount_out and (best is None or amount_out > best.amount_out):
            best = Hop(pool, token_in, amount_in, amount_out)
    return best


class _PoolInfo(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    pool_kind: str
    token_account_ids: tuple[str, ...]
    amounts: tuple[_U128, ...]
    total_fee: int


_INFOS: Final = TypeAdapter(list[_PoolInfo])


def read_infos(value: JsonValue, pool_ids: Sequence[int]) -> tuple[Pool, ...]:
    """The simple pools among those that were asked for by these ids. ValueError where the answer is no such list."""
    try:
        infos = _INFOS.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"the exchange answers not as ref-exchange: {error.error_count()} errors") from error
    if len(infos) > len(pool_ids):
        raise ValueError(f"the exchange answers {len(infos)} pools where {len(pool_ids)} were asked for")
    found = (_pool(info, pool_id) for info, pool_id in zip(infos, pool_ids, strict=False))
    return tuple(pool for pool in found if pool)


def _pool(info: _PoolInfo, pool_id: int) -> Pool | None:
    """None for a pool of another kind, or with what no pool of this kind can have."""
    if info.pool_kind != "SIMPLE_POOL" or not 0 <= info.total_fee < FEE_DIVISOR:
        return None
    try:
        first, second = (AccountId(token) for token in info.token_account_ids)
        held_first, held_second = info.amounts
    except ValueError:
        return None
    return Pool(pool_id, (first, second), (held_first, held_second), info.total_fee) if first != second else None
