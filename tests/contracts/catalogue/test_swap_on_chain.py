"""What becomes of swaps on the embedded chain whose card was shown before something else happened."""

import time
from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.entry import Built
from contracts.catalogue.index import find
from contracts.chain.outcome import Effect, Finalized, Outcome, PartiallyExecuted
from contracts.knowledge.exchange import least_out
from contracts.knowledge.facts import PoolFact, PoolFacts
from contracts.knowledge.pools import PoolIndex
from contracts.knowledge.reading import read_facts, read_further
from contracts.types import TGAS, AccountId, Gas, Yocto
from tests.contracts.catalogue.test_on_chain import World, open_world
from tests.contracts.catalogue.world import ALICE, USDC, USDT
from tests.doubles import approved

EXCHANGE = AccountId("exchange.localnet")
pytestmark = pytest.mark.shows("swap", "embedded")


async def built(world: World, amount: str, **more: str) -> Built:
    entry = find("swap")
    raw: dict[str, JsonValue] = {"token_in": "USDC", "token_out": "USDT", "amount": amount, **more}
    args = entry.parse(raw, ALICE, world.context.registry)
    facts = await read_facts(world.rpc, entry.needs(args, world.context))
    facts = await read_further(world.rpc, facts, entry.further(args, facts, world.context))
    return entry.build(args, facts, world.context)


async def send(world: World, call: ChangeCall, expected: tuple[Effect, ...] = ()) -> Outcome:
    world.done += 1
    intent, grant = await approved(world.ledger, call, name=f"swap {world.done}", expires_at=time.time() + 600)
    return await world.client.execute(intent, grant, expected)


async def swapped(world: World, made: Built) -> Outcome:
    (call,) = made.calls
    assert isinstance(call, ChangeCall)
    return await send(world, call, made.expected)


async def balance(world: World, token: str) -> str:
    return await world.ask("ft_balance", {"token": token, "account_id": "@me"})


async def test_more_than_the_least_amount_is_success(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        made = await built(world, "100")
        outcome = await swapped(world, made)
        assert isinstance(outcome, Finalized)
        got = next(e.change for e in outcome.execution.effects if (e.account_id, e.token) == (ALICE, USDT))
        assert got == 99_940_010  # 100 less 0.05% of fee and 0.01% of price impact
        assert made.expected[1] == Effect(ALICE, USDT, least_out(got, 5_000), at_least=True)
        assert Effect(ALICE, USDC, -100_000_000) in outcome.execution.effects


async def test_a_price_that_fell_is_partial_and_everything_is_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        late = await built(world, "100", slippage_percent="0.1")
        assert isinstance(await swapped(world, await built(world, "5000")), Finalized)
        before = [await balance(world, token) for token in ("USDC", "USDT")]
        outcome = await swapped(world, late)
        assert isinstance(outcome, PartiallyExecuted)
        assert "E68: slippage error" in outcome.message
        assert "expected at least +99840069 base units of usdt.localnet" in outcome.message
        assert [await balance(world, token) for token in ("USDC", "USDT")] == before
        assert outcome.execution.value == "0"


async def test_an_output_that_could_not_be_delivered_is_not_called_success(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        late = await built(world, "100")
        leave = FunctionCall("storage_unregister", b'{"force":true}', Gas(30 * TGAS), Yocto(1))
        assert isinstance(await send(world, ChangeCall(USDT, (leave,))), Finalized)
        outcome = await swapped(world, late)
        assert isinstance(outcome, PartiallyExecuted)
        assert "is not registered" in outcome.message
        assert "usdt.localnet" in outcome.message
        assert outcome.execution.value == "100000000"  # used, as the exchange says
        asked: dict[str, JsonValue] = {
            "contract_id": EXCHANGE,
            "method_name": "get_lostfound_token",
            "args": {"account_id": ALICE, "token_id": USDT},
        }
        assert (await world.ask("contract_view", asked)).endswith("returned: 99940010")


async def test_pools_that_are_asked_for_by_their_ids_are_those_of_the_pages(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        request, index = PoolFacts(EXCHANGE, (USDC, USDT)), PoolIndex()
        pages = (await read_facts(world.rpc, [request])).of(request, PoolFact)
        assert isinstance(pages, PoolFact)
        index.keep(EXCHANGE, pages.pools)
        again = (await read_facts(world.rpc, [request], pools=index)).of(request, PoolFact)
        assert isinstance(again, PoolFact)
        assert {pool.pool_id for pool in again.pools} <= {pool.pool_id for pool in pages.pools}
        assert set(again.pools) <= set(pages.pools)
        assert any(set(pool.tokens) == {USDC, USDT} for pool in again.pools)
