"""What pools give, which route is best, and what is refused of an exchange's answers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.errors import InvalidInput
from contracts.knowledge.exchange import (
    FEE_DIVISOR,
    MILLION,
    Pool,
    best_route,
    least_out,
    parse_percent,
    read_infos,
)
from contracts.types import U128_MAX, AccountId

IN, MIDDLE, OTHER, OUT = (AccountId(f"{name}.localnet") for name in ("in", "middle", "other", "out"))

RESERVES = st.integers(0, 10**30)
POOLS = st.lists(
    st.tuples(
        st.sampled_from(list(itertools.permutations((IN, MIDDLE, OTHER, OUT), 2))),
        RESERVES,
        RESERVES,
        st.integers(0, 9_999),
    ),
    max_size=12,
).map(lambda rows: [Pool(number, tokens, (a, b), fee) for number, (tokens, a, b, fee) in enumerate(rows)])


def test_a_pool_gives_what_the_product_allows() -> None:
    pool = Pool(0, (IN, OUT), (500_000_000, 400_000_000), 30)
    assert pool.amount_out(IN, 1_000_000) == 796_012
    assert pool.amount_out(OUT, 1_000_000) == 1_243_151
    assert pool.amount_out(IN, 0) is None
    assert Pool(0, (IN, OUT), (0, 5), 30).amount_out(IN, 1) is None
    assert pool.amount_out(IN, U128_MAX) is None


@given(RESERVES, RESERVES, st.integers(0, 9_999), st.integers(1, 10**30))
def test_no_swap_makes_a_pool_poorer(held_in: int, held_out: int, fee: int, amount: int) -> None:
    pool = Pool(0, (IN, OUT), (held_in, held_out), fee)
    given_out = pool.amount_out(IN, amount)
    if given_out is not None:
        assert 0 <= given_out < held_out
        assert (held_in + amount) * (held_out - given_out) >= held_in * held_out


@given(POOLS, st.integers(1, 10**24))
def test_the_best_route_is_the_best_of_all_of_one_or_two_pools(pools: list[Pool], amount: int) -> None:
    every = [out for pool in pools if set(pool.tokens) == {IN, OUT} and (out := pool.amount_out(IN, amount))]
    for first, second in itertools.permutations(pools, 2):
        between = set(first.tokens) & set(second.tokens)
        if IN in first.tokens and OUT in second.tokens and between == {first.other(IN)} and OUT not in first.tokens:
            middle = first.amount_out(IN, amount)
            out = middle and second.amount_out(first.other(IN), middle)
            every += [out] if out else []
    route = best_route(pools, IN, OUT, amount)
    assert (route.amount_out if route else 0) == max(every, default=0)
    if route:
        assert route.hops[0].token_in == IN
        assert route.hops[-1].token_out == OUT
        assert 0 <= route.price_impact_ppm <= MILLION
        assert 0 <= route.fee_ppm < MILLION


def test_of_two_equal_routes_the_shorter_one_is_taken() -> None:
    free = (10**30, 10**30)
    pools = [Pool(0, (IN, MIDDLE), free, 0), Pool(1, (MIDDLE, OUT), free, 0), Pool(2, (IN, OUT), free, 0)]
    route = best_route(pools, IN, OUT, 10)
    assert route is not None
    assert [hop.pool.pool_id for hop in route.hops] == [2]
    better = best_route([*pools[:2], Pool(2, (IN, OUT), (10**30, 5 * 10**29), 0)], IN, OUT, 10)
    assert better is not None
    assert [hop.pool.pool_id for hop in better.hops] == [0, 1]
    assert best_route(pools[:1], IN, OUT, 10) is None
    assert best_route([Pool(0, (IN, OUT), (10**30, 1), 0)], IN, OUT, 10) is None


def test_price_impact_and_fee_are_told_apart() -> None:
    route = best_route([Pool(0, (IN, OUT), (10**24, 10**24), 30)], IN, OUT, 10**22)
    assert route is not None
    assert route.fee_ppm == 3_000
    assert route.price_impact_ppm == 9_872  # 1% of the pool, less its fee, against the whole
    two = best_route(
        [Pool(0, (IN, MIDDLE), (10**24, 10**24), 30), Pool(1, (MIDDLE, OUT), (10**24, 10**24), 5)], IN, OUT, 10**21
    )
    assert two is not None
    assert two.fee_ppm == (FEE_DIVISOR**2 - 9_970 * 9_995) * MILLION // FEE_DIVISOR**2


@given(st.integers(1, U128_MAX), st.integers(0, MILLION))
def test_the_least_amount_never_rounds_against_the_requester(quoted: int, slippage: int) -> None:
    least = least_out(quoted, slippage)
    assert 1 <= least <= quoted
    assert least * MILLION <= max(MILLION, quoted * (MILLION - slippage))


@pytest.mark.parametrize(("text", "parts"), [("0", 0), ("0.5", 5_000), ("0.0001", 1), ("100", MILLION), ("07", 70_000)])
def test_percentages_are_exact(text: str, parts: int) -> None:
    assert parse_percent(text) == parts


@pytest.mark.parametrize("text", ["", "-1", "0.00001", "100.0001", "1e2", "½", "٣", "NaN", "5%", "9" * 5000])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_percent(text)
    assert refused.value.code == "percent_malformed"
    assert len(refused.value.message) < 200


def info(**other: JsonValue) -> dict[str, JsonValue]:
    pool: dict[str, JsonValue] = {
        "pool_kind": "SIMPLE_POOL",
        "token_account_ids": [IN, OUT],
        "amounts": ["5", "7"],
        "total_fee": 30,
        "shares_total_supply": "1",
        "amp": 0,
    }
    return pool | other


def test_a_page_gives_its_simple_pools() -> None:
    page: JsonValue = [
        info(),
        info(token_account_ids=[MIDDLE, OTHER]),
        info(pool_kind="STABLE_SWAP", token_account_ids=[IN, OUT, OTHER], amounts=["1", "2", "3"]),
        info(token_account_ids=[OUT, MIDDLE]),
        info(token_account_ids=[IN, IN]),
        info(token_account_ids=["Not An Account", OUT]),
        info(token_account_ids=[IN], amounts=["1"]),
        info(amounts=["1", "2", "3"]),
        info(total_fee=10_000),
        info(total_fee=-1),
    ]
    assert read_infos(page, range(40, 50)) == (
        Pool(40, (IN, OUT), (5, 7), 30),
        Pool(41, (MIDDLE, OTHER), (5, 7), 30),
        Pool(43, (OUT, MIDDLE), (5, 7), 30),
    )


@pytest.mark.parametrize(
    "page",
    [None, {}, "x", [1], [info(amounts=["x", "1"])], [info(amounts=["-1", "1"])], [info(amounts=[str(2**128), "1"])]],
)
def test_what_is_no_page_of_pools_is_not_read(page: JsonValue) -> None:
    with pytest.raises(ValueError, match="the exchange answers not as ref-exchange"):
        read_infos(page, range(10))


def test_more_pools_than_asked_for_are_not_read() -> None:
    with pytest.raises(ValueError, match="answers 3 pools where 2 were asked for"):
        read_infos([info(), info(), info()], range(2))
