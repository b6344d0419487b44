"""Swaps on the network's exchange (ref-exchange's interface): what one would give, and the swap with its least amount.

A swap is one ft_transfer_call whose message names the pools: the exchange keeps nothing for the caller, who therefore need
not register there, and sends what comes out back in the same transaction. Where the price has fallen below the least
amount the exchange panics and the token gives everything back. Where the output cannot be delivered the exchange keeps it
and the input is spent all the same (facts of ref-exchange's token_receiver.rs), so the caller is registered first.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from contracts.calls import ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.arguments import AmountArg, Args, DecimalArg, TokenArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.storage import Registration, registration
from contracts.catalogue.tokens import ONE_YOCTO, token_fact, token_label, token_units
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.exchange import Hop, PriceImpact, Route, best_route, least_out, parse_percent, percent
from contracts.knowledge.facts import (
    Absent,
    ChainFacts,
    FactRequest,
    PoolFact,
    PoolFacts,
    StorageFact,
    StorageFacts,
    TokenFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.inert import inert, inert_json, quoted, quoted_json
from contracts.knowledge.registry import NEAR_SYMBOL, TokenEntry
from contracts.types import TGAS, AccountId, Gas, JsonObject, base_units, format_units

WARN_FEE_PPM: Final = 10_000
"""1 %; usual pools take 0.01 to 0.3 %."""
SWAP_GAS: Final = Gas(150 * TGAS)
"""ref-exchange 1.9.17 needs less than 60 for two pools; tokens may need more. What is not used comes back."""


class SwapQuoteArgs(Args):
    token_in: TokenArg
    token_out: TokenArg
    amount: AmountArg = Field(description="of token_in")


class SwapArgs(SwapQuoteArgs):
    slippage_percent: DecimalArg | None = Field(None, description="default from the configuration")


@dataclass(frozen=True, slots=True)
class Quote:
    """The best route at the facts' block, agreed with by the contract's own `get_return`."""

    exchange_id: AccountId
    route: Route
    decimals_in: int
    decimals_out: int


def exchange_of(context: BuildContext) -> AccountId:
    """InvalidInput `no_exchange` where the registry knows none."""
    exchange = context.registry.exchange
    if exchange is None:
        raise InvalidInput(
            "no_exchange",
            f"no exchange is known on {context.network}, so nothing can be swapped",
            details={"network": context.network},
        )
    return exchange.contract_id


def _pools_of(args: SwapQuoteArgs, context: BuildContext) -> PoolFacts:
    if args.token_in.contract_id == args.token_out.contract_id:
        raise InvalidInput(
            "same_token",
            f"both tokens are {token_label(args.token_in)}; name two different ones",
            details={"contract_id": args.token_in.contract_id},
        )
    return PoolFacts(exchange_of(context), (args.token_in.contract_id, args.token_out.contract_id))


def _quote_needs(args: SwapQuoteArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    tokens = (args.token_in.contract_id, args.token_out.contract_id)
    return (*(TokenFacts(token) for token in tokens), _pools_of(args, context))


def _swap_needs(args: SwapArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (*_quote_needs(args, context), StorageFacts(args.token_out.contract_id, context.signer_id))


def _returns(args: SwapQuoteArgs, facts: ChainFacts, context: BuildContext) -> tuple[FactRequest, ...]:
    """What the contract itself says of each pool on the route; nothing where `build` will refuse anyhow."""
    try:
        route, _ = _route(args, facts, context)
    except InvalidInput:
        return ()
    return tuple(_get_return(exchange_of(context), hop) for hop in route.hops)


def _get_return(exchange_id: AccountId, hop: Hop) -> ViewFacts:
    return ViewFacts.of(exchange_id, "get_return", _return_args(hop))


def _return_args(hop: Hop) -> JsonObject:
    return {
        "pool_id": hop.pool.pool_id,
        "token_in": hop.token_in,
        "amount_in": str(hop.amount_in),
        "token_out": hop.token_out,
    }


def _route(args: SwapQuoteArgs, facts: ChainFacts, context: BuildContext) -> tuple[Route, int]:
    """The best route by our own arithmetic, and the decimals of what goes in."""
    request = _pools_of(args, context)
    decimals = token_fact(args.token_in, facts, context).decimals
    token_fact(args.token_out, facts, context)
    units = token_units(args.amount, args.token_in, decimals)
    pools = facts.of(request, PoolFact)
    if isinstance(pools, Absent):
        raise InvalidInput(
            "exchange_unreadable",
            f"the pools of {request.exchange_id} cannot be read: {inert(pools.detail, 160)}",
            details={"exchange_id": request.exchange_id, "reason": pools.reason},
        )
    route = best_route(pools.pools, *request.tokens, units)
    if route is None:
        raise InvalidInput(
            "no_route",
            f"{request.exchange_id} has no pools by which {args.amount[:80]} {token_label(args.token_in)} would give any "
            f"{token_label(args.token_out)}; only pools of two tokens with a constant product are used",
            details={"exchange_id": request.exchange_id, "tokens": [*request.tokens]},
        )
    return route, decimals


def _quote(args: SwapQuoteArgs, facts: ChainFacts, context: BuildContext) -> Quote:
    """InvalidInput `quote_differs` where the contract says something else than our arithmetic."""
    route, decimals_in = _route(args, facts, context)
    exchange_id = exchange_of(context)
    for hop in route.hops:
        said = facts.of(_get_return(exchange_id, hop), ViewFact)
        told = base_units(said.value) if isinstance(said, ViewFact) else None
        if told != hop.amount_out:
            answer = quoted_json(said.value, 80) if isinstance(said, ViewFact) else inert(said.detail, 120)
            raise InvalidInput(
                "quote_differs",
                f"pool {hop.pool.pool_id} of {exchange_id} should give {hop.amount_out} base units of {hop.token_out} by "
                f"what it holds, and its get_return says {answer}; its price cannot be trusted, so nothing is built",
                details={"exchange_id": exchange_id, "pool_id": hop.pool.pool_id},
            )
    return Quote(exchange_id, route, decimals_in, token_fact(args.token_out, facts, context).decimals)


def _quote_build(args: SwapQuoteArgs, facts: ChainFacts, context: BuildContext) -> Built:
    quote = _quote(args, facts, context)
    call = ViewFunction(quote.exchange_id, "get_return", compact_json(_return_args(quote.route.hops[-1])))
    return Built((call,), f"what {_input(args, quote)} would give in {token_label(args.token_out)}")


def _quote_answer(args: SwapQuoteArgs, returned: ViewReturned, facts: ChainFacts, context: BuildContext) -> str:
    quote = _quote(args, facts, context)
    units = base_units(returned.value)
    if units is None:
        return f"{quote.exchange_id} answered {inert_json(returned.value)}, which is not an amount."
    given = f"{format_units(units, quote.decimals_out)} {token_label(args.token_out)}"
    text = f"{_input(args, quote)} would give {given} on {quote.exchange_id} at block {returned.block_height}"
    return f"{text}; {_terms(quote, context)}. The price moves with every trade."


def _explain(args: SwapQuoteArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code != "CONTRACT_EXECUTION_ERROR":
        return None
    return f"{exchange_of(context)} gives no quote for {token_label(args.token_in)}: {quoted(error.message)}"


def _swap_build(args: SwapArgs, facts: ChainFacts, context: BuildContext) -> Built:
    slippage = _slippage(args, context)
    quote = _quote(args, facts, context)
    route, token_in, token_out = quote.route, args.token_in.contract_id, args.token_out.contract_id
    impact = _impact(quote, args, context)
    least = least_out(route.amount_out, slippage)
    register = _register(args, facts, context)
    transfer = ChangeCall(token_in, (_transfer(args, quote, least),))
    first = (ChangeCall(token_out, register.actions),) if register.actions else ()
    signer_id = context.signer_id
    effects = (
        Effect(signer_id, token_in, -route.amount_in),
        Effect(signer_id, token_out, least, at_least=True),
        Effect(signer_id, NEAR_SYMBOL, -ONE_YOCTO),
    )
    paid = (Effect(signer_id, NEAR_SYMBOL, -register.deposit),)
    spent = Effect(signer_id, NEAR_SYMBOL, -register.deposit - ONE_YOCTO)
    return Built(
        calls=(*first, transfer),
        summary=(
            f"swap {_input(args, quote)} for at least {format_units(least, quote.decimals_out)} "
            f"{token_label(args.token_out)} on {quote.exchange_id}, for {signer_id}"
        ),
        expected=(*effects[:2], spent),
        expected_per_call=(paid, effects) if first else (effects,),
        notes=_notes(args, quote, slippage, register, facts, context),
        price_impact=impact,
    )


def _register(args: SwapArgs, facts: ChainFacts, context: BuildContext) -> Registration:
    """InvalidInput `storage_unknown`: an output that cannot be delivered stays with the exchange, so it must be known."""
    token_id, signer_id = args.token_out.contract_id, context.signer_id
    storage = facts.of(StorageFacts(token_id, signer_id), StorageFact)
    if isinstance(storage, Absent):
        raise InvalidInput(
            "storage_unknown",
            f"whether {signer_id} is registered with {token_id} is unknown ({inert(storage.detail, 120)}); if it is not, the "
            "exchange would keep what the swap gives, so nothing is built",
            details={"contract_id": token_id, "reason": storage.reason},
        )
    return registration(token_id, signer_id, facts)


def _transfer(args: SwapArgs, quote: Quote, least: int) -> FunctionCall:
    """ft_transfer_call with the pools to go through. Only the last pool's least amount counts: before it nothing leaves."""
    hops = quote.route.hops
    actions: list[JsonObject] = []
    for place, hop in enumerate(hops):
        action: JsonObject = {"pool_id": hop.pool.pool_id, "token_in": hop.token_in, "token_out": hop.token_out}
        if place == 0:  # a later one takes what the one before it gave
            action["amount_in"] = str(hop.amount_in)
        actions.append({**action, "min_amount_out": str(least) if place == len(hops) - 1 else "0"})
    msg: JsonObject = {"force": 0, "actions": [*actions]}
    if args.token_out.wraps_near:  # newer exchanges would pay NEAR instead of the token that is promised here
        msg["skip_unwrap_near"] = True
    sent: JsonObject = {
        "receiver_id": quote.exchange_id,
        "amount": str(quote.route.amount_in),
        "msg": compact_json(msg).decode(),
    }
    return FunctionCall("ft_transfer_call", compact_json(sent), SWAP_GAS, ONE_YOCTO)


def _slippage(args: SwapArgs, context: BuildContext) -> int:
    if args.slippage_percent is None:
        return context.swap.slippage_ppm
    slippage = parse_percent(args.slippage_percent)
    if slippage > context.swap.max_slippage_ppm:
        raise InvalidInput(
            "slippage_too_high",
            f"a slippage of {args.slippage_percent[:40]}% would let others take that much of the swap; the configuration "
            f"allows at most {percent(context.swap.max_slippage_ppm)}",
            details={"argument": "slippage_percent", "max_ppm": context.swap.max_slippage_ppm},
        )
    return slippage


def _impact(quote: Quote, args: SwapArgs, context: BuildContext) -> PriceImpact:
    impact = PriceImpact(quote.route.price_impact_ppm, context.swap.max_price_impact_ppm)
    if impact.is_too_high:
        raise InvalidInput(
            "price_impact_too_high",
            f"{_input(args, quote)} would move the price by {percent(impact.ppm)} ({_through(quote, context)} hold little, or "
            f"the amount is tiny); the configuration allows at most {percent(impact.most_ppm)}: swap another "
            "amount",
            details={"price_impact_ppm": impact.ppm, "max_ppm": impact.most_ppm},
        )
    fee = quote.route.fee_ppm
    if fee > impact.most_ppm:
        raise InvalidInput(
            "fee_too_high",
            f"{_through(quote, context)} would keep {percent(fee)} of {_input(args, quote)} as a fee, and gives the most all the "
            f"same; at most {percent(impact.most_ppm)} are paid, as for the price: look for another token or exchange",
            details={"fee_ppm": fee, "max_ppm": impact.most_ppm},
        )
    return impact


def _notes(
    args: SwapArgs, quote: Quote, slippage: int, register: Registration, facts: ChainFacts, context: BuildContext
) -> tuple[str, ...]:
    given = f"{format_units(quote.route.amount_out, quote.decimals_out)} {args.token_out.name}"
    notes = [
        f"quoted at block {facts.block_height}: {given}; the least amount is {percent(slippage)} below (slippage)",
        _terms(quote, context),
        "below the least amount nothing is swapped and the tokens come back",
    ]
    if quote.route.fee_ppm >= WARN_FEE_PPM:
        notes.append(f"warning: the pools keep {percent(quote.route.fee_ppm)} of it as their fee")
    notes += [
        f"warning: {token.contract_id} is not in the registry: whoever made it decides what it is worth"
        for token in (args.token_in, args.token_out)
        if token.symbol is None
    ]
    return (*register.notes, *notes)


def _terms(quote: Quote, context: BuildContext) -> str:
    route = quote.route
    return f"price impact {percent(route.price_impact_ppm)}, fee {percent(route.fee_ppm)}, through {_through(quote, context)}"


def _through(quote: Quote, context: BuildContext) -> str:
    def name(token_id: AccountId) -> str:
        known: TokenEntry | None = context.registry.of_contract(token_id)
        return known.name if known else token_id

    pools = (f"pool {hop.pool.pool_id} ({name(hop.token_in)} to {name(hop.token_out)})" for hop in quote.route.hops)
    return " and ".join(pools)


def _input(args: SwapQuoteArgs, quote: Quote) -> str:
    return f"{format_units(quote.route.amount_in, quote.decimals_in)} {token_label(args.token_in)}"


SWAP_QUOTE: Final = Entry(
    name="swap_quote",
    kind="view",
    about="quote on the configured exchange (ref-exchange interface)",
    args=SwapQuoteArgs,
    needs=_quote_needs,
    further=_returns,
    build=_quote_build,
    answer=_quote_answer,
    explain=_explain,
    examples=(Example("how much USDC would 2 wNEAR give", {"token_in": "wNEAR", "token_out": "USDC", "amount": "2"}),),
)

SWAP: Final = Entry(
    name="swap",
    kind="change",
    about="swap with a minimum out",
    args=SwapArgs,
    needs=_swap_needs,
    further=_returns,
    build=_swap_build,
    examples=(
        Example("swap 10 USDC to USDT", {"token_in": "USDC", "token_out": "USDT", "amount": "10"}),
        Example(
            "swap 1.5 wNEAR for USDT with at most 1% slippage",
            {"token_in": "wNEAR", "token_out": "USDT", "amount": "1.5", "slippage_percent": "1"},
        ),
    ),
)
