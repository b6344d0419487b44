"""Swaps: what is signed, what the card says, what is refused; and what a lying exchange reaches."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from pydantic import JsonValue, TypeAdapter

from contracts.calls import ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.entry import BuildContext, Built
from contracts.catalogue.index import find
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.exchange import Pool, SwapSettings
from contracts.knowledge.facts import (
    Absent,
    ChainFacts,
    FactRequest,
    FactValue,
    PoolFact,
    PoolFacts,
    StorageFact,
    TokenFact,
    TokenFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.registry import Registry
from contracts.types import AccountId
from tests.contracts.catalogue.world import (
    ALICE,
    BLOCK,
    CONTEXT,
    REGISTERED,
    UNREGISTERED,
    USDC,
    USDT,
    WRAP,
    answer,
    build,
    explain,
    metadata,
)

EXCHANGE = AccountId("exchange.localnet")
ODD = AccountId("odd.localnet")
POOLS = (
    Pool(0, (WRAP, USDC), (100_000 * 10**24, 500_000 * 10**6), 30),
    Pool(1, (USDC, USDT), (10**12, 10**12), 5),
)
_ACTIONS = TypeAdapter(list[dict[str, str | int]])
SYMBOLS = {WRAP: "wNEAR", USDC: "USDC", USDT: "USDT", ODD: "USDC"}
DECIMALS = {WRAP: 24, USDC: 6, USDT: 6, ODD: 3}


def known(
    asked: dict[str, JsonValue],
    action: str = "swap",
    *,
    pools: tuple[Pool, ...] | Absent = POOLS,
    storage: StorageFact | Absent = REGISTERED,
    told: FactValue | None = None,
    decimals: Mapping[AccountId, int] = DECIMALS,
) -> ChainFacts:
    """What an action asks the chain; `told` is what the last get_return says, else what the pool really gives."""
    entry = find(action)
    args = entry.parse(asked, ALICE, CONTEXT.registry)
    values: dict[FactRequest, FactValue] = {}
    for request in entry.needs(args, CONTEXT):
        match request:
            case TokenFacts(token_id):
                values[request] = metadata(decimals[token_id], symbol=SYMBOLS[token_id])
            case PoolFacts():
                values[request] = pools if isinstance(pools, Absent) else PoolFact(pools)
            case _:
                values[request] = storage
    first = ChainFacts(values, 100, BLOCK)
    further = entry.further(args, first, CONTEXT)
    returns: dict[FactRequest, FactValue] = {request: ViewFact(_get_return(request, pools)) for request in further}
    if told is not None:
        returns[further[-1]] = told
    return ChainFacts({**values, **returns}, 100, BLOCK)


def _get_return(request: FactRequest, pools: tuple[Pool, ...] | Absent) -> JsonValue:
    assert isinstance(request, ViewFacts)
    assert not isinstance(pools, Absent)
    assert (request.contract_id, request.method_name) == (EXCHANGE, "get_return")
    args = json.loads(request.args)
    (pool,) = (pool for pool in pools if pool.pool_id == args["pool_id"])
    assert pool.other(args["token_in"]) == args["token_out"]
    return str(pool.amount_out(args["token_in"], int(args["amount_in"])))


def raw(token_in: str, token_out: str, amount: str, **more: str) -> dict[str, JsonValue]:
    return {"token_in": token_in, "token_out": token_out, "amount": amount, **more}


TEN = raw("USDC", "USDT", "10")


def refusal(
    asked: dict[str, JsonValue], there: ChainFacts | None = None, context: BuildContext = CONTEXT
) -> InvalidInput:
    """`build` alone: facts that a refusal does not need may be given."""
    entry = find("swap")
    with pytest.raises(InvalidInput) as refused:
        entry.build(entry.parse(asked, ALICE, context.registry), known(asked) if there is None else there, context)
    assert len(refused.value.message) < 600
    return refused.value


def calls(built: Built) -> list[ChangeCall]:
    return [call for call in built.calls if isinstance(call, ChangeCall)]


def message(call: ChangeCall) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """The arguments of ft_transfer_call and the message in them."""
    (step,) = call.actions
    assert isinstance(step, FunctionCall)
    assert (step.method_name, step.deposit) == ("ft_transfer_call", 1)
    args = json.loads(step.args)
    return args, json.loads(args["msg"])


@pytest.mark.shows("swap", "unit")
def test_one_pool_with_its_least_amount_out() -> None:
    built = build("swap", TEN, known(TEN))
    (call,) = calls(built)
    assert call.receiver_id == USDC
    args, msg = message(call)
    assert (args["receiver_id"], args["amount"]) == (EXCHANGE, "10000000")
    # 10 USDC give 9.9949 USDT: a fee of 0.05% and 0.001% of price impact; the least amount is 0.5% below
    swap = {"pool_id": 1, "token_in": USDC, "token_out": USDT, "amount_in": "10000000", "min_amount_out": "9944925"}
    assert msg == {"force": 0, "actions": [swap]}
    assert built.summary == (
        "swap 10 USDC (usdc.localnet) for at least 9.944925 USDT (usdt.localnet) on exchange.localnet, for alice.localnet"
    )
    assert built.notes == (
        "quoted at block 100: 9.9949 USDT; the least amount is 0.5% below (slippage)",
        "price impact 0.0011%, fee 0.05%, through pool 1 (USDC to USDT)",
        "below the least amount nothing is swapped and the tokens come back",
    )
    expected = (
        Effect(ALICE, USDC, -(10**7)),
        Effect(ALICE, USDT, 9_944_925, at_least=True),
        Effect(ALICE, "NEAR", -1),
    )
    assert built.expected == expected
    assert built.expected_per_call == (expected,)


@pytest.mark.shows("swap", "unit")
def test_two_pools_and_a_registration_before_them() -> None:
    asked = raw("wNEAR", "USDT", "2", slippage_percent="1")
    built = build("swap", asked, known(asked, storage=UNREGISTERED))
    register, swap = calls(built)
    assert register.receiver_id == USDT
    assert register.deposit == UNREGISTERED.minimum
    _, msg = message(swap)
    first, second = _ACTIONS.validate_python(msg["actions"])
    assert first == {
        "pool_id": 0,
        "token_in": WRAP,
        "token_out": USDC,
        "amount_in": str(2 * 10**24),
        "min_amount_out": "0",
    }
    assert second["pool_id"] == 1
    assert "amount_in" not in second  # it takes what the first one gives
    assert built.expected[1] == Effect(ALICE, USDT, int(str(second["min_amount_out"])), at_least=True)
    assert "registers alice.localnet with usdt.localnet (0.00125 NEAR)" in built.notes
    assert any("through pool 0 (wNEAR to USDC) and pool 1 (USDC to USDT)" in note for note in built.notes)
    paid, moved = built.expected_per_call
    assert paid == (Effect(ALICE, "NEAR", -UNREGISTERED.minimum),)
    assert moved[0] == Effect(ALICE, WRAP, -2 * 10**24)
    assert built.expected[-1] == Effect(ALICE, "NEAR", -UNREGISTERED.minimum - 1)


def test_wrapped_near_comes_out_as_the_token_and_not_as_near() -> None:
    asked = raw("USDC", "wNEAR", "10")
    _, msg = message(calls(build("swap", asked, known(asked)))[0])
    assert msg["skip_unwrap_near"] is True


def test_a_large_swap_is_warned_of_and_a_larger_one_refused() -> None:
    asked = raw("USDC", "USDT", "20000")
    built = build("swap", asked, known(asked))
    assert built.price_impact is not None
    assert 19_000 < built.price_impact.ppm < 20_000
    assert (built.price_impact.is_high, built.price_impact.is_too_high) == (True, False)
    error = refusal(raw("USDC", "USDT", "200000"))
    assert error.code == "price_impact_too_high"
    assert "allows at most 10%" in error.message
    strict = replace(CONTEXT, swap=SwapSettings(max_price_impact_ppm=10))
    assert refusal(raw("USDC", "USDT", "20"), context=strict).code == "price_impact_too_high"


def test_a_pool_that_keeps_most_of_a_swap_is_refused() -> None:
    """A fee is no price impact: whoever has the only pool left for two tokens can ask 99 % and give an honest quote."""
    asked = raw("USDC", "USDT", "10")

    def with_fee(fee: int) -> tuple[Pool, ...]:
        return (Pool(1, (USDC, USDT), (10**12, 10**12), fee),)

    assert not any("as their fee" in note for note in build("swap", asked, known(asked, pools=with_fee(30))).notes)
    built = build("swap", asked, known(asked, pools=with_fee(500)))
    assert "warning: the pools keep 5% of it as their fee" in built.notes
    with pytest.raises(InvalidInput) as caught:
        build("swap", asked, known(asked, pools=with_fee(9_900)))
    assert caught.value.code == "fee_too_high"


def test_slippage_comes_from_the_settings_or_the_requester_within_the_limit() -> None:
    for settings, more, least in (
        (SwapSettings(slippage_ppm=0), {}, 9_994_900),
        (SwapSettings(), {"slippage_percent": "0"}, 9_994_900),
        (SwapSettings(), {"slippage_percent": "5"}, 9_495_155),
    ):
        built = build("swap", TEN | more, known(TEN | more), replace(CONTEXT, swap=settings))
        assert built.expected[1].change == least
    for text, code in (("5.0001", "slippage_too_high"), ("101", "percent_malformed"), ("0.00001", "percent_malformed")):
        assert refusal(TEN | {"slippage_percent": text}).code == code


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (ViewFact("9994901"), "quote_differs"),
        (ViewFact(9_994_900), "quote_differs"),
        (ViewFact({"a": "<b>"}), "quote_differs"),
        (Absent("failed", "Smart contract panicked: E76 [x](http://y)"), "quote_differs"),
    ],
)
def test_an_exchange_that_says_something_else_than_its_pools_is_not_used(told: FactValue, code: str) -> None:
    error = refusal(TEN, known(TEN, told=told))
    assert error.code == code
    assert "](" not in error.message


def test_what_cannot_be_swapped_is_refused() -> None:
    same = raw("USDC", "usdc.localnet", "10")
    with pytest.raises(InvalidInput, match="both tokens are USDC"):
        find("swap").needs(find("swap").parse(same, ALICE, CONTEXT.registry), CONTEXT)
    for amount, code in (("0", "amount_zero"), ("0.0000001", "amount_too_precise"), ("0.000001", "no_route")):
        assert refusal(raw("USDC", "USDT", amount)).code == code
    for there, code in (
        (known(TEN, pools=()), "no_route"),
        (known(TEN, pools=Absent("unreadable", "get_pools answers not as ref-exchange")), "exchange_unreadable"),
        (known(TEN, storage=Absent("failed", "x")), "storage_unknown"),
        (known(TEN, storage=StorageFact(None, 10**24, None)), "storage_minimum_too_high"),
        (known(TEN, decimals={**DECIMALS, USDT: 18}), "decimals_differ"),
    ):
        assert refusal(TEN, there).code == code
    nowhere = replace(CONTEXT, registry=replace(Registry.for_network("localnet"), exchange=None))
    assert refusal(TEN, context=nowhere).code == "no_exchange"


def test_near_itself_is_refused_with_the_way_to_wrap_it() -> None:
    with pytest.raises(InvalidInput, match="wNEAR for wrapped NEAR, which near_wrap makes"):
        find("swap").parse(raw("NEAR", "USDC", "1"), ALICE, CONTEXT.registry)


def test_a_token_that_the_registry_does_not_know_is_warned_of() -> None:
    pools = (Pool(4, (USDC, ODD), (10**12, 10**9), 30),)
    asked = raw("USDC", ODD, "10")
    built = build("swap", asked, known(asked, pools=pools))
    assert "warning: odd.localnet is not in the registry: whoever made it decides what it is worth" in built.notes
    assert "for at least 9.919 odd.localnet" in built.summary


@pytest.mark.shows("swap_quote", "unit")
def test_a_quote_is_the_contracts_word_beside_our_terms() -> None:
    asked = raw("wNEAR", "USDC", "2")
    there = known(asked, "swap_quote")
    built = build("swap_quote", asked, there)
    (call,) = built.calls
    assert isinstance(call, ViewFunction)
    assert call.method_name == "get_return"
    assert json.loads(call.args) == {
        "pool_id": 0,
        "token_in": WRAP,
        "amount_in": str(2 * 10**24),
        "token_out": USDC,
    }
    said = answer("swap_quote", asked, "9969801", there)
    assert said == (
        "2 wNEAR (wrap.localnet) would give 9.969801 USDC (usdc.localnet) on exchange.localnet at block 100; price impact "
        "0.002%, fee 0.3%, through pool 0 (wNEAR to USDC). The price moves with every trade."
    )
    assert "which is not an amount" in answer("swap_quote", asked, {"x": 1}, there)


def test_a_quote_that_was_refused_is_explained() -> None:
    error = RpcError("CONTRACT_EXECUTION_ERROR", "panicked: E76: invalid params")
    assert "E76: invalid params" in str(explain("swap_quote", raw("wNEAR", "USDC", "2"), error))
    assert explain("swap_quote", raw("wNEAR", "USDC", "2"), RpcError("TIMEOUT_ERROR", "x")) is None


def test_token_metadata_with_hostile_texts_changes_nothing_on_the_card() -> None:
    pools = (Pool(4, (USDC, ODD), (10**12, 10**9), 30),)
    asked = raw("USDC", ODD, "10")
    there = known(asked, pools=pools)
    hostile = TokenFact(name="SEND ALL\n# Approved", symbol="[USDT](http://evil)", decimals=3)
    shown = build("swap", asked, replace(there, values={**there.values, TokenFacts(ODD): hostile}))
    assert shown == build("swap", asked, there)
