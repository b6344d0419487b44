"""An exchange's pools are read page by page at one block; answers that are no pools are a fact, not an error."""

import json
from dataclasses import dataclass, field

import pytest
from pydantic import JsonValue

from contracts.errors import RpcError
from contracts.knowledge.exchange import Pool
from contracts.knowledge.facts import Absent, At, PoolFact, PoolFacts
from contracts.knowledge.reading import MAX_POOLS, POOLS_A_PAGE, read_facts
from contracts.types import AccountId
from tests.contracts.knowledge.test_facts import BLOCK, FakeReader, Result

EXCHANGE, IN, OUT, OTHER = (AccountId(f"{name}.localnet") for name in ("exchange", "in", "out", "other"))
REQUEST = PoolFacts(EXCHANGE, (IN, OUT))


def info(first: str, second: str) -> JsonValue:
    tokens: list[JsonValue] = [first, second]
    return {"pool_kind": "SIMPLE_POOL", "token_account_ids": tokens, "amounts": ["5", "7"], "total_fee": 30, "amp": 0}


@dataclass
class Exchange(FakeReader):
    """Has these pools and answers with pages of them."""

    pools: list[JsonValue] = field(default_factory=list[JsonValue])
    says: JsonValue = None
    """How many it says it has; None: as many as there are."""
    pages: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: At) -> Result:
        assert (contract_id, at) == (EXCHANGE, BLOCK)
        if method == "get_number_of_pools":
            return Result(json.dumps(len(self.pools) if self.says is None else self.says).encode())
        asked = json.loads(args)
        first, limit = asked["from_index"], asked["limit"]
        self.pages.append((first, limit))
        return Result(json.dumps(self.pools[first : first + limit]).encode())


async def read(reader: FakeReader) -> PoolFact | Absent:
    return (await read_facts(reader, [REQUEST])).of(REQUEST, PoolFact)


async def test_all_pages_are_read_and_what_holds_neither_token_is_left_out() -> None:
    pools = [info(OTHER, "else.localnet")] * (2 * POOLS_A_PAGE + 1)
    pools[3] = info(IN, OUT)
    pools[-1] = info(OUT, OTHER)
    reader = Exchange(pools=pools)
    assert await read(reader) == PoolFact(
        (Pool(3, (IN, OUT), (5, 7), 30), Pool(2 * POOLS_A_PAGE, (OUT, OTHER), (5, 7), 30))
    )
    assert reader.pages == [(start, POOLS_A_PAGE) for start in (0, POOLS_A_PAGE, 2 * POOLS_A_PAGE)]


async def test_an_exchange_without_pools_has_none() -> None:
    assert await read(Exchange()) == PoolFact(())


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
    error = RpcError("CONTRACT_EXECUTION_ERROR", "wasm execution failed with error: MethodNotFound")
    found = await read(FakeReader({"get_number_of_pools": error}))
    assert isinstance(found, Absent)
    assert found.reason == "no_method"
