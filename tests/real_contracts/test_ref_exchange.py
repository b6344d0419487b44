"""Our arithmetic, our exchange and our swap calls against ref-exchange 1.9.17 as its authors compiled it."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.calls import ChangeCall
from contracts.catalogue.entry import BuildContext
from contracts.catalogue.index import find
from contracts.errors import VmError
from contracts.knowledge.exchange import Pool, best_route
from contracts.knowledge.facts import PoolFact, PoolFacts
from contracts.knowledge.pools import PoolIndex
from contracts.knowledge.reading import read_facts, read_further
from contracts.types import U128_MAX, AccountId
from contracts.vm.engine import Engine
from tests.contracts.catalogue.world import LIMITS, REGISTRY
from tests.contracts.localnet_contracts.exchanges import EXCHANGE, USDT, Exchange, WorldReader, action, swap_msg
from tests.contracts.localnet_contracts.world import BOB, CAROL, MINIMUM, NEAR, USDC, WRAP, Story


@pytest.fixture(scope="module")
def real(engine: Engine, real_wasm: Callable[[str], bytes]) -> Exchange:
    return Exchange(engine, real_wasm("ref_exchange"))


@pytest.fixture(scope="module")
def ours(engine: Engine) -> Exchange:
    return Exchange(engine)


def told_return(exchange: Exchange, pool_id: int, token_in: AccountId, amount: int, token_out: AccountId) -> int | None:
    """What get_return answers; None where it panics."""
    try:
        told = exchange.view(
            "get_return", pool_id=pool_id, token_in=token_in, amount_in=str(amount), token_out=token_out
        )
    except VmError:
        return None
    assert isinstance(told, str)
    return int(told)


AMOUNTS = st.integers(1, 100).flatmap(lambda bits: st.integers(1, 2**bits))
INPUTS = st.lists(st.integers(0, 128).flatmap(lambda bits: st.integers(0, 2**bits - 1)), min_size=1, max_size=6)


SHARES_OVERFLOW = 10**35
"""By how much a swap must multiply what a pool holds before the shares that the real one mints for its fees exceed a u128."""


@pytest.mark.shows("swap_quote", "real")
@given(amounts=st.tuples(AMOUNTS, AMOUNTS), fee=st.integers(0, 9_999), inputs=INPUTS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_pools_give_to_the_unit_what_our_arithmetic_says(
    real: Exchange, ours: Exchange, amounts: tuple[int, int], fee: int, inputs: list[int]
) -> None:
    pool_id = real.pool(USDC, USDT, amounts, fee)
    assert ours.pool(USDC, USDT, amounts, fee) == pool_id
    pool = Pool(pool_id, (USDC, USDT), amounts, fee)
    for amount in inputs:
        for token_in in (USDC, USDT):
            expected = pool.amount_out(token_in, amount)
            told = told_return(real, pool_id, token_in, amount, pool.other(token_in))
            assert told == expected or (told is None and amount > SHARES_OVERFLOW * pool.reserves(token_in)[0])
            assert told_return(ours, pool_id, token_in, amount, pool.other(token_in)) == expected


def test_the_real_one_refuses_what_its_shares_cannot_count(real: Exchange) -> None:
    pool_id = real.pool(USDC, USDT, (1, 1), 0)
    most = 463_168_356_949_262_060_896_181_842_395_005_182
    assert told_return(real, pool_id, USDC, most, USDT) == 0
    assert told_return(real, pool_id, USDC, most + 1, USDT) is None


def test_the_largest_numbers_agree_too(real: Exchange, ours: Exchange) -> None:
    held = 2**123
    for exchange in (real, ours):
        pool_id = exchange.pool(USDC, USDT, (held, held // 3), 0)
        pool = Pool(pool_id, (USDC, USDT), (held, held // 3), 0)
        for amount in (1, held, U128_MAX - held, U128_MAX - held + 1, U128_MAX):
            assert told_return(exchange, pool_id, USDC, amount, USDT) == pool.amount_out(USDC, amount)


def test_ours_answers_and_refuses_as_the_real_one(engine: Engine, real_wasm: Callable[[str], bytes]) -> None:
    """The same story on both: equal answers, equal error codes, equal balances. Shares differ: ours pays none to the house."""
    stories = [_story(Exchange(engine, code)) for code in (real_wasm("ref_exchange"), None)]
    assert stories[0] == stories[1]


def _story(exchange: Exchange) -> list[object]:
    first = exchange.pool(USDC, USDT, (5 * 10**8, 4 * 10**8), 30)
    second = exchange.pool(WRAP, USDC, (20 * NEAR, 10**8), 25)
    told: list[object] = []

    def call(sender: AccountId, method: str, args: object = None, deposit: int = 0) -> None:
        told.append((method, _end(exchange.call(sender, EXCHANGE, method, args, deposit=deposit))))

    def send(sender: AccountId, amount: int, msg: str, token_id: AccountId = USDC) -> None:
        told.append((msg, _end(exchange.send(sender, token_id, amount, msg)), exchange.balance(token_id, sender)))

    call(BOB, "storage_deposit", {}, 1)
    send(BOB, 1000, "")
    call(BOB, "storage_deposit", {"registration_only": True}, NEAR)
    call(BOB, "register_tokens", {"token_ids": [USDT]}, 1)
    call(BOB, "storage_deposit", {}, NEAR // 10)
    call(BOB, "storage_deposit", {"registration_only": True}, NEAR // 10)
    call(BOB, "register_tokens", {"token_ids": [USDT, WRAP]}, 1)
    send(BOB, 1000, "")
    told += [exchange.view("get_user_storage_state", account_id=BOB), exchange.view("get_deposits", account_id=BOB)]
    call(BOB, "swap", {"actions": [action(first, USDC, 400, USDT, 1)]}, 1)
    call(BOB, "swap", {"actions": [action(first, USDC, 400, USDT, 10**6)]}, 1)
    call(BOB, "swap", {"actions": [action(first, USDC, None, USDT, 1)]}, 1)
    call(BOB, "swap", {"actions": [action(first, USDC, 400, USDT, 1), action(first, USDT, None, USDC, 1)]})
    call(BOB, "withdraw", {"token_id": USDT, "amount": "0"}, 1)  # bob is not registered with the token
    call(BOB, "withdraw", {"token_id": USDC, "amount": "100", "unregister": True}, 1)
    call(BOB, "withdraw", {"token_id": USDC, "amount": "0", "unregister": True}, 1)
    call(BOB, "unregister_tokens", {"token_ids": [WRAP]}, 1)
    call(BOB, "storage_withdraw", {"amount": str(NEAR)}, 1)
    told += [exchange.view("get_user_storage_state", account_id=BOB), exchange.view("get_deposits", account_id=BOB)]
    exchange.done(BOB, USDT, "storage_deposit", deposit=MINIMUM)
    for steps in (
        [action(first, USDC, 10**6, USDT, 1)],
        [action(first, USDC, 10**6, USDT, 10**7)],
        [action(first, USDC, None, USDT, 1)],
        [action(first, USDC, 500, USDT, 1)],
        [action(second, USDC, 10**6, WRAP, 0), action(second, WRAP, None, USDC, 0), action(first, USDC, None, USDT, 1)],
        [],
    ):
        send(BOB, 10**6, swap_msg(*steps))
    exchange.done(USDC, USDC, "ft_transfer", {"receiver_id": CAROL, "amount": "5000000"}, deposit=1)
    send(CAROL, 10**6, swap_msg(action(first, USDC, 10**6, USDT, 1)))
    told.append(exchange.view("get_lostfound_token", account_id=CAROL, token_id=USDT))
    exchange.done(CAROL, USDT, "storage_deposit", deposit=MINIMUM)
    call(CAROL, "claim_lostfound", {"token_id": USDT}, 1)
    call(CAROL, "claim_lostfound", {"token_id": USDT}, 1)
    told += [exchange.balance(token, person) for token in (USDC, USDT) for person in (BOB, CAROL, EXCHANGE)]
    return told


def _end(story: Story) -> tuple[object, list[str]]:
    """The answer, and the error codes of what failed on the exchange."""
    value: JsonValue = None if story.value is None else json.loads(story.value or b"null")
    codes = [code for failure in story.failures for code in re.findall(r"\bE[0-9]+(?=: )", failure)]
    return value, codes


@pytest.mark.shows("swap", "real")
@pytest.mark.parametrize(("token_in", "token_out", "amount"), [("USDC", "USDT", "25"), ("wNEAR", "USDT", "1.5")])
async def test_the_calls_that_a_swap_builds_give_what_was_quoted(
    engine: Engine, real_wasm: Callable[[str], bytes], token_in: str, token_out: str, amount: str
) -> None:
    exchange = Exchange(engine, real_wasm("ref_exchange"))
    exchange.pool(USDC, USDT, (10**12, 10**12), 5)
    exchange.pool(WRAP, USDC, (200 * NEAR, 10**9), 30)
    exchange.done(BOB, WRAP, "near_deposit", deposit=10 * NEAR)
    context = BuildContext("localnet", "localnet", BOB, REGISTRY, LIMITS)
    entry = find("swap")
    args = entry.parse({"token_in": token_in, "token_out": token_out, "amount": amount}, BOB, REGISTRY)
    reader = WorldReader(exchange.world)
    facts = await read_facts(reader, entry.needs(args, context))
    facts = await read_further(reader, facts, entry.further(args, facts, context))
    built = entry.build(args, facts, context)
    pools = facts.of(PoolFacts(EXCHANGE, (args.token_in.contract_id, USDT)), PoolFact)
    assert isinstance(pools, PoolFact)
    index = PoolIndex()
    index.keep(EXCHANGE, pools.pools)
    again = await read_facts(reader, entry.needs(args, context), pools=index)  # by get_pool_by_ids
    fewer = again.of(PoolFacts(EXCHANGE, (args.token_in.contract_id, USDT)), PoolFact)
    assert isinstance(fewer, PoolFact)
    assert set(fewer.pools) <= set(pools.pools)
    spent = -next(effect.change for effect in built.expected if effect.token == args.token_in.contract_id)
    route = best_route(pools.pools, args.token_in.contract_id, USDT, spent)
    assert best_route(fewer.pools, args.token_in.contract_id, USDT, spent) == route
    assert route is not None
    for call in built.calls:
        assert isinstance(call, ChangeCall)
        assert exchange.world.send(BOB, call.receiver_id, *call.actions).failures == []
    assert exchange.balance(USDT, BOB) == route.amount_out
    least = next(effect for effect in built.expected if effect.token == USDT)
    assert least.at_least
    assert 0 < least.change <= route.amount_out
