"""An exchange's pools are read at one block, all or the deepest; answers that are no pools are a fact, not an error."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.errors import RpcError
from contracts.knowledge.exchange import Pool, best_route
from contracts.knowledge.facts import Absent, At, PoolFact, PoolFacts
from contracts.knowledge.pools import (
    AT_ONCE,
    BETWEEN,
    DIRECT,
    MAX_AGE_S,
    MAX_POOLS,
    MISSED_AGE_S,
    POOLS_A_PAGE,
    PoolIndex,
    promising,
)
from contracts.knowledge.reading import read_facts
from contracts.types import AccountId
from tests.contracts.knowledge.test_facts import BLOCK, FakeReader, Result

EXCHANGE, IN, OUT, OTHER = (AccountId(f"{name}.localnet") for name in ("exchange", "in", "out", "other"))
REQUEST = PoolFacts(EXCHANGE, (IN, OUT))
NO_METHOD = RpcError("CONTRACT_EXECUTION_ERROR", "wasm execution failed with error: MethodNotFound")


def info(first: str, second: str, amounts: tuple[int, int] = (5, 7)) -> JsonValue:
    tokens: list[JsonValue] = [first, second]
    held: list[JsonValue] = [str(amount) for amount in amounts]
    return {"pool_kind": "SIMPLE_POOL", "token_account_ids": tokens, "amounts": held, "total_fee": 30, "amp": 0}


@dataclass
class Exchange(FakeReader):
    """Has these pools and answers with pages of them, or with those that are asked for."""

    pools: list[JsonValue] = field(default_factory=list[JsonValue])
    says: JsonValue = None
    """How many it says it has; None: as many as there are."""
    pages: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    calls: list[str] = field(default_factory=list[str])
    by_ids: RpcError | None = None
    """Its answer to get_pool_by_ids; None: the pools."""
    at_once: int = 0
    most_at_once: int = 0

    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: At) -> Result:
        assert (contract_id, at) == (EXCHANGE, BLOCK)
        self.calls.append(method)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return Result(json.dumps(self._answer(method, json.loads(args))).encode())

    def _answer(self, method: str, asked: dict[str, Any]) -> JsonValue:
        match method:
            case "get_number_of_pools":
                return len(self.pools) if self.says is None else self.says
            case "get_pools":
                self.pages.append((asked["from_index"], asked["limit"]))
                return self.pools[asked["from_index"] : asked["from_index"] + asked["limit"]]
            case "get_pool_by_ids" if self.by_ids is not None:
                raise self.by_ids
            case "get_pool_by_ids":
                return [self.pools[pool_id] for pool_id in asked["pool_ids"]]
            case "get_pool":
                return self.pools[asked["pool_id"]]
            case _:
                raise AssertionError(method)


async def read(reader: FakeReader, index: PoolIndex | None = None) -> PoolFact | Absent:
    return (await read_facts(reader, [REQUEST], pools=index)).of(REQUEST, PoolFact)


async def test_all_pages_are_read_a_few_at_once_and_what_holds_neither_token_is_left_out() -> None:
    pools = [info(OTHER, "else.localnet")] * (9 * POOLS_A_PAGE + 1)
    pools[3] = info(IN, OUT)
    pools[-1] = info(OUT, OTHER)
    reader = Exchange(pools=pools)
    assert await read(reader) == PoolFact(
        (Pool(3, (IN, OUT), (5, 7), 30), Pool(9 * POOLS_A_PAGE, (OUT, OTHER), (5, 7), 30))
    )
    assert sorted(reader.pages) == [(page * POOLS_A_PAGE, POOLS_A_PAGE) for page in range(10)]
    assert reader.most_at_once == AT_ONCE


async def test_an_exchange_without_pools_has_none() -> None:
    assert await read(Exchange()) == PoolFact(())


class TestLargeExchanges:
    """Whose list is kept: what a pool holds is always read at the block of the card."""

    def exchange(self) -> Exchange:
        """More than a page of pools: two of both tokens, and a way over a third."""
        pools = [info(OTHER, "else.localnet")] * (POOLS_A_PAGE + 5)
        pools[7] = info(IN, OUT, (1_000, 1_000))
        pools[70] = info(IN, OTHER, (5_000, 5_000))
        pools[401] = info(OTHER, OUT, (9_000, 9_000))
        pools[402] = info(OUT, IN, (2_000, 2_000))
        return Exchange(pools=pools)

    async def test_once_known_it_takes_one_request_and_what_it_tells_is_of_now(self) -> None:
        reader, index = self.exchange(), PoolIndex(lambda: 0.0)
        first = await read(reader, index)
        assert isinstance(first, PoolFact)
        assert {pool.pool_id for pool in first.pools} == {7, 70, 401, 402}
        reader.calls.clear()
        reader.pools[402] = info(OUT, IN, (1, 8))
        again = await read(reader, index)
        assert isinstance(again, PoolFact)
        assert reader.calls == ["get_pool_by_ids"]
        assert {pool.pool_id: pool.amounts for pool in again.pools}[402] == (1, 8)
        assert {pool.pool_id for pool in again.pools} == {7, 70, 401, 402}

    async def test_without_the_view_for_several_each_is_asked_for(self) -> None:
        reader, index = self.exchange(), PoolIndex(lambda: 0.0)
        await read(reader, index)
        reader.calls.clear()
        reader.by_ids = NO_METHOD
        again = await read(reader, index)
        assert isinstance(again, PoolFact)
        assert sorted(reader.calls) == ["get_pool"] * 4 + ["get_pool_by_ids"]
        assert len(again.pools) == 4

    @pytest.mark.parametrize("age_s", [MAX_AGE_S, MAX_AGE_S + 1])
    async def test_an_old_list_is_read_again(self, age_s: float) -> None:
        now = [0.0]
        reader, index = self.exchange(), PoolIndex(lambda: now[0])
        await read(reader, index)
        now[0], reader.pages = age_s, []
        await read(reader, index)
        assert len(reader.pages) == 2

    async def test_a_list_that_does_not_fit_any_more_is_read_again(self) -> None:
        reader, index = self.exchange(), PoolIndex(lambda: 0.0)
        await read(reader, index)
        reader.pages = []
        reader.by_ids = RpcError("CONTRACT_EXECUTION_ERROR", "Smart contract panicked: E85: invalid pool")
        assert await read(reader, index) == await read(self.exchange())
        assert len(reader.pages) == 2

    async def test_no_way_known_is_believed_for_a_minute(self) -> None:
        now = [0.0]
        reader, index = Exchange(pools=[info(OTHER, "else.localnet")] * (POOLS_A_PAGE + 1)), PoolIndex(lambda: now[0])
        assert await read(reader, index) == PoolFact(())
        reader.calls.clear()
        reader.pools[9] = info(IN, OUT)
        now[0] = MISSED_AGE_S - 1
        assert await read(reader, index) == PoolFact(())
        assert reader.calls == []
        now[0] = MISSED_AGE_S
        assert await read(reader, index) == PoolFact((Pool(9, (IN, OUT), (5, 7), 30),))

    async def test_a_small_exchange_is_read_whole_each_time(self) -> None:
        reader, index = Exchange(pools=[info(IN, OUT)] * 2), PoolIndex(lambda: 0.0)
        await read(reader, index)
        await read(reader, index)
        assert reader.calls == ["get_number_of_pools", "get_pools"] * 2

    async def test_a_node_that_does_not_answer_is_an_error_and_no_reason_to_page(self) -> None:
        reader, index = self.exchange(), PoolIndex(lambda: 0.0)
        await read(reader, index)
        reader.by_ids = RpcError("TIMEOUT_ERROR", "later", retryable=True)
        with pytest.raises(RpcError, match="later"):
            await read(reader, index)


class TestPromising:
    def test_the_deepest_are_chosen_and_no_more(self) -> None:
        direct = [Pool(number, (IN, OUT), (number, number), 30) for number in range(1, 20)]
        assert promising(direct, IN, OUT) == (19, 18, 17, 16)
        assert promising(direct, OUT, IN) == (19, 18, 17, 16)

    def test_of_two_pools_the_scarcer_one_counts(self) -> None:
        """Whoever makes a token can fill a pool with it, and has to put in the other one all the same."""
        pools: list[Pool] = []
        for number in range(8):
            between = AccountId(f"t{number}.localnet")
            pools.append(Pool(2 * number, (IN, between), (100 + number, 50), 30))
            pools.append(Pool(2 * number + 1, (between, OUT), (50, 10), 30))
        fake = AccountId("fake.localnet")
        pools += [Pool(90, (IN, fake), (1, 10**30), 30), Pool(91, (fake, OUT), (10**30, 1), 30)]
        empty = AccountId("empty.localnet")
        pools += [Pool(92, (IN, empty), (0, 0), 30), Pool(93, (empty, OUT), (0, 0), 30)]
        assert promising(pools, IN, OUT) == (14, 15, 12, 13, 10, 11, 8, 9)

    @given(
        st.lists(
            st.tuples(st.sampled_from([IN, OUT, OTHER]), st.sampled_from([IN, OUT, OTHER]), st.integers(0, 10**6)),
            max_size=12,
        ),
        st.integers(1, 10**4),
    )
    def test_few_pools_are_all_chosen_that_a_route_could_take(
        self, drawn: list[tuple[AccountId, AccountId, int]], amount: int
    ) -> None:
        """With at most as many pools of a pair as are looked at, the best direct trade is found."""
        pools = [
            Pool(number, (first, second), (held, held + 1), 30)
            for number, (first, second, held) in enumerate(drawn)
            if first != second
        ]
        direct = [pool for pool in pools if {IN, OUT} == set(pool.tokens)][:DIRECT]
        chosen = set(promising(direct, IN, OUT))
        best = best_route(direct, IN, OUT, amount)
        assert best is None or best.hops[0].pool.pool_id in chosen
        assert len(promising(pools, IN, OUT)) <= DIRECT + 2 * BETWEEN


@pytest.mark.parametrize("says", ["3", -1, MAX_POOLS + 1, 10**40, 1.5, [], True])
async def test_a_count_that_is_none_asks_for_no_page(says: JsonValue) -> None:
    reader = Exchange(says=says)
    found = await read(reader)
    assert isinstance(found, Absent)
    assert found.reason == "unreadable"
    assert reader.pages == []


async def test_a_page_that_is_none_is_a_fact() -> None:
    found = await read(Exchange(pools=[{"pool_kind": 1}]))
    assert isinstance(found, Absent)
    assert "not as ref-exchange" in found.detail


async def test_a_contract_that_is_no_exchange_is_a_fact() -> None:
    found = await read(FakeReader({"get_number_of_pools": NO_METHOD}))
    assert isinstance(found, Absent)
    assert found.reason == "no_method"
