"""The pools of an exchange: all of them page by page, or only those that a trade may go through, at the asked block.

A large exchange has thousands of pools, and only its whole list says which of them hold a token. The list is therefore
kept for a while; it chooses the pools that are read again, and what they held then is never the price of anything.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.errors import RpcError
from contracts.groups import one_error
from contracts.knowledge.exchange import Pool, read_infos
from contracts.knowledge.facts import Absent, ChainReader, PoolFact, PoolFacts, execution_reason
from contracts.types import AccountId, CryptoHash, JsonObject

MAX_POOLS: Final = 20_000
POOLS_A_PAGE: Final = 400
"""What one view can tell within its gas."""
AT_ONCE: Final = 4
"""Requests side by side: nodes refuse whoever asks for twenty at once."""
MAX_AGE_S: Final = 3600.0
"""Pools that were made since the list was read are not traded through."""
MISSED_AGE_S: Final = 60.0
"""The same where the list knows no way between two tokens."""
DIRECT: Final = 4
BETWEEN: Final = 4
"""Pools of both tokens, and tokens between them, that are looked at again: the deepest."""
_MAX_EXCHANGES: Final = 4


@dataclass(slots=True)
class _Listed:
    pools: dict[int, Pool]
    read_at: float


class PoolIndex:
    """The pools of large exchanges as they were last seen. `now` counts seconds and never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._listed: dict[AccountId, _Listed] = {}

    def keep(self, exchange_id: AccountId, pools: Iterable[Pool]) -> None:
        """A whole list, just read."""
        self._listed.pop(exchange_id, None)
        self._listed[exchange_id] = _Listed({pool.pool_id: pool for pool in pools}, self._now())
        while len(self._listed) > _MAX_EXCHANGES:
            del self._listed[next(iter(self._listed))]

    def promising(self, request: PoolFacts) -> tuple[int, ...] | None:
        """Ids of the pools to read again, none where no pool can be of use; None: the whole list must be read."""
        listed = self._listed.get(request.exchange_id)
        age = MAX_AGE_S if listed is None else self._now() - listed.read_at
        if listed is None or age >= MAX_AGE_S:
            return None
        found = promising(listed.pools.values(), *request.tokens)
        return None if not found and age >= MISSED_AGE_S else found

    def saw(self, exchange_id: AccountId, pools: Iterable[Pool]) -> None:
        """What some of them hold now."""
        listed = self._listed.get(exchange_id)
        if listed is not None:
            listed.pools.update((pool.pool_id, pool) for pool in pools)


def promising(pools: Iterable[Pool], token_in: AccountId, token_out: AccountId) -> tuple[int, ...]:
    """The deepest pools of both tokens, and the deepest pairs of pools with one token between them."""
    direct: list[Pool] = []
    firsts: dict[AccountId, Pool] = {}
    seconds: dict[AccountId, Pool] = {}
    for pool in pools:
        has_in, has_out = token_in in pool.tokens, token_out in pool.tokens
        if has_in and has_out:
            direct.append(pool)
        elif has_in:
            _deeper(firsts, pool.other(token_in), pool)
        elif has_out:
            _deeper(seconds, pool.other(token_out), pool)
    direct.sort(key=_depth, reverse=True)
    depths = {token: _depth_of_two(firsts[token], seconds[token], token_in) for token in firsts.keys() & seconds}
    between = sorted((token for token in depths if depths[token]), key=lambda token: (-depths[token], token))[:BETWEEN]
    chosen = [*direct[:DIRECT], *(pool for token in between for pool in (firsts[token], seconds[token]))]
    return tuple(pool.pool_id for pool in chosen)


def _depth(pool: Pool) -> int:
    return pool.amounts[0] * pool.amounts[1]


def _deeper(found: dict[AccountId, Pool], token: AccountId, pool: Pool) -> None:
    known = found.get(token)
    if known is None or _depth(pool) > _depth(known):
        found[token] = pool


def _depth_of_two(first: Pool, second: Pool, token_in: AccountId) -> int:
    """What the scarcer of two pools holds, in the token that goes in: nobody makes a way deep with a token of his own."""
    held_in, held_between = first.reserves(token_in)
    taken_between, _ = second.reserves(first.other(token_in))
    return min(held_in, taken_between * held_in // held_between) if held_between else 0


async def read_pools(
    reader: ChainReader, request: PoolFacts, at: CryptoHash, index: PoolIndex | None
) -> PoolFact | Absent:
    """What the pools of use hold at this block. RpcError where a node does not answer or the exchange refuses."""
    views = _Views(reader, request.exchange_id, at)
    chosen = None if index is None else index.promising(request)
    try:
        if index is not None and chosen is not None:
            again = await views.some(tuple(sorted(chosen)))  # of two alike the first is taken
            index.saw(request.exchange_id, again)
            if again or not chosen:
                return PoolFact(_holding(again, request))
        pools = await views.all()
    except ValueError as error:
        return Absent("unreadable", str(error))
    if index is not None and views.count > POOLS_A_PAGE:
        index.keep(request.exchange_id, pools)
    return PoolFact(_holding(pools, request))


def _holding(pools: Iterable[Pool], request: PoolFacts) -> tuple[Pool, ...]:
    return tuple(pool for pool in pools if not set(request.tokens).isdisjoint(pool.tokens))


class _Views:
    """An exchange's views at one block. ValueError for answers that are not ref-exchange's."""

    def __init__(self, reader: ChainReader, exchange_id: AccountId, at: CryptoHash) -> None:
        self._reader = reader
        self._exchange_id = exchange_id
        self._at = at
        self._few = asyncio.Semaphore(AT_ONCE)
        self.count = 0

    async def all(self) -> tuple[Pool, ...]:
        count = await self._ask("get_number_of_pools", {})
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_POOLS:
            said = f"{self._exchange_id} says it has {str(count)[:40]} pools; at most {MAX_POOLS} are read"
            raise ValueError(said)
        self.count = count
        with one_error():
            async with asyncio.TaskGroup() as group:
                pages = [group.create_task(self._page(first)) for first in range(0, count, POOLS_A_PAGE)]
        return tuple(pool for page in pages for pool in page.result())

    async def some(self, pool_ids: tuple[int, ...]) -> tuple[Pool, ...]:
        """These pools, in one request where the exchange has the view for it; none where it refuses."""
        if not pool_ids:
            return ()
        try:
            return read_infos(await self._ask("get_pool_by_ids", {"pool_ids": [*pool_ids]}), pool_ids)
        except RpcError as error:
            if error.code != "CONTRACT_EXECUTION_ERROR":
                raise
            if execution_reason(error) != "no_method":
                return ()  # one of them is no pool (any more): the list is of no use
        with one_error():
            async with asyncio.TaskGroup() as group:
                each = [group.create_task(self._one(pool_id)) for pool_id in pool_ids]
        return tuple(pool for task in each for pool in task.result())

    async def _one(self, pool_id: int) -> tuple[Pool, ...]:
        return read_infos([await self._ask("get_pool", {"pool_id": pool_id})], (pool_id,))

    async def _page(self, first: int) -> tuple[Pool, ...]:
        page = await self._ask("get_pools", {"from_index": first, "limit": POOLS_A_PAGE})
        return read_infos(page, range(first, first + POOLS_A_PAGE))

    async def _ask(self, method: str, args: JsonObject) -> JsonValue:
        async with self._few:
            answer = await self._reader.call_function(self._exchange_id, method, json.dumps(args).encode(), self._at)
        try:
            return json.loads(answer.result)
        except RecursionError as error:
            raise ValueError("the answer is nested too deeply") from error
