"""Fungible tokens: NEP-141 balances and transfers, NEP-148 metadata."""

from typing import Final

from contracts.calls import Action, ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, TextArg, TokenArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example, merge_effects
from contracts.catalogue.receivers import check_receiver, explain_view, missing_account
from contracts.catalogue.storage import registration
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import (
    MAX_DECIMALS,
    Absent,
    AccountFacts,
    ChainFacts,
    FactRequest,
    StorageFacts,
    TokenFact,
    TokenFacts,
)
from contracts.knowledge.inert import inert, inert_json, quoted
from contracts.knowledge.registry import NEAR_SYMBOL, TokenEntry
from contracts.types import TGAS, AccountId, Gas, JsonObject, Yocto, base_units, format_units, parse_units

FT_TRANSFER_GAS: Final = Gas(15 * TGAS)
"""Real contracts burn 2 to 6 Tgas; what is not used comes back."""
ONE_YOCTO: Final = Yocto(1)
"""NEP-141's proof that a full-access key signed."""

MAX_SHOWN_MEMO: Final = 600


class TokenArgs(Args):
    token: TokenArg


class FtBalanceArgs(Args):
    token: TokenArg
    account_id: AccountArg


class FtTransferArgs(Args):
    token: TokenArg
    receiver_id: AccountArg
    amount: AmountArg
    memo: TextArg | None = None


def token_fact(token: TokenEntry, facts: ChainFacts, context: BuildContext) -> TokenFact:
    """The token's metadata on chain.

    InvalidInput `not_a_token`, `account_missing`, `decimals_differ` and `symbol_differs` (chain against registry),
    `too_many_decimals`.
    """
    fact = facts.of(TokenFacts(token.contract_id), TokenFact)
    if isinstance(fact, Absent):
        if fact.reason == "no_account":
            raise missing_account(token.contract_id, context)
        why = {"no_code": "it has no contract", "no_method": "it has no ft_metadata (NEP-148)"}.get(
            fact.reason, f"its ft_metadata says {quoted(fact.detail, 160)}"
        )
        raise InvalidInput(
            "not_a_token",
            f"{token.contract_id} is not a token contract on {context.network}: {why}",
            details={"contract_id": token.contract_id, "reason": fact.reason},
        )
    if token.decimals is not None and token.decimals != fact.decimals:
        raise InvalidInput(
            "decimals_differ",
            f"{token.name} ({token.contract_id}) has {token.decimals} decimals in the registry and says "
            f"{fact.decimals} on chain; its amounts cannot be trusted, so nothing is built",
            details={"contract_id": token.contract_id, "registry": token.decimals, "chain": fact.decimals},
        )
    expected = token.chain_symbol or token.symbol
    if expected is not None and expected.casefold() != fact.symbol.casefold():
        raise InvalidInput(
            "symbol_differs",
            f"{token.name} ({token.contract_id}) calls itself {inert(fact.symbol, 40)!r} on chain, and the registry knows "
            f"it as {expected!r}; it may be another token now, so nothing is built",
            details={"contract_id": token.contract_id, "registry": expected, "chain": inert(fact.symbol, 40)},
        )
    if fact.decimals > MAX_DECIMALS:
        raise InvalidInput(
            "too_many_decimals",
            f"{token.contract_id} says it has {fact.decimals} decimals; at most {MAX_DECIMALS} are supported",
            details={"contract_id": token.contract_id, "decimals": fact.decimals},
        )
    return fact


def token_units(amount: str, token: TokenEntry, decimals: int) -> int:
    """Base units of an amount above zero; `amount_too_precise` names the token, `amount_zero`."""
    try:
        units = parse_units(amount, decimals)
    except InvalidInput as error:
        if error.code != "amount_too_precise":
            raise
        raise InvalidInput(
            error.code,
            f"{amount[:80]} {token.name} is too precise: {token.name} has {decimals} decimals, "
            f"so write at most {decimals} digits after the point",
            details={**error.details, "token": token.contract_id},
        ) from error
    if units == 0:
        raise InvalidInput("amount_zero", f"an amount of 0 {token.name} moves nothing; write how much")
    return units


def token_label(token: TokenEntry) -> str:
    """How a token is named to people: the registry's symbol with its contract, else the contract id alone."""
    return f"{token.symbol} ({token.contract_id})" if token.symbol else token.contract_id


def view_function(contract_id: AccountId, method: str, args: JsonObject) -> ViewFunction:
    return ViewFunction(contract_id, method, compact_json(args))


def explain_token(token: TokenEntry, error: RpcError, context: BuildContext) -> str | None:
    """Words for a view that a token contract did not answer."""
    otherwise = f"{token.contract_id} is not a token contract on {context.network}."
    return explain_view(token.contract_id, error, context, otherwise=otherwise)


def _needs_metadata(args: TokenArgs | FtBalanceArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (TokenFacts(args.token.contract_id),)


def _explain(args: TokenArgs | FtBalanceArgs, error: RpcError, context: BuildContext) -> str | None:
    return explain_token(args.token, error, context)


def _balance_build(args: FtBalanceArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token_fact(args.token, facts, context)
    call = view_function(args.token.contract_id, "ft_balance_of", {"account_id": args.account_id})
    return Built((call,), f"look at the {args.token.name} balance of {args.account_id}")


def _balance_answer(args: FtBalanceArgs, returned: ViewReturned, facts: ChainFacts, context: BuildContext) -> str:
    units = base_units(returned.value)
    if units is None:
        return f"{args.token.contract_id} answered {inert_json(returned.value)}, which is not an amount."
    decimals = token_fact(args.token, facts, context).decimals
    return f"{args.account_id} has {format_units(units, decimals)} {token_label(args.token)}."


def _supply_build(args: TokenArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token_fact(args.token, facts, context)
    return Built((view_function(args.token.contract_id, "ft_total_supply", {}),), f"total supply of {args.token.name}")


def _supply_answer(args: TokenArgs, returned: ViewReturned, facts: ChainFacts, context: BuildContext) -> str:
    units = base_units(returned.value)
    if units is None:
        return f"{args.token.contract_id} answered {inert_json(returned.value)}, which is not an amount."
    decimals = token_fact(args.token, facts, context).decimals
    return f"The total supply is {format_units(units, decimals)} {token_label(args.token)}."


def _metadata_build(args: TokenArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    return Built((view_function(args.token.contract_id, "ft_metadata", {}),), f"metadata of {args.token.name}")


def _metadata_answer(args: TokenArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    match returned.value:
        case {"name": str(name), "symbol": str(symbol), "decimals": int(decimals)}:
            text = (
                f"{args.token.contract_id} calls itself {inert(name, 80)!r} with the symbol {inert(symbol, 40)!r} "
                f"and {decimals} decimals."
            )
        case _:
            return f"{args.token.contract_id} answered {inert_json(returned.value)}, which is not NEP-148 metadata."
    if not 0 <= decimals <= MAX_DECIMALS:
        text += f" That cannot be: a token has 0 to {MAX_DECIMALS} decimals, so amounts of it mean nothing."
    if args.token.symbol is None:
        return f"{text} It is not in the registry: a name proves nothing, the contract id does."
    if args.token.decimals != decimals:
        return f"{text} The registry says {args.token.decimals} decimals: amounts of it cannot be trusted."
    return text


def _transfer_needs(args: FtTransferArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    contract_id = args.token.contract_id
    return (TokenFacts(contract_id), StorageFacts(contract_id, args.receiver_id), AccountFacts(args.receiver_id))


def _transfer_build(args: FtTransferArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token, receiver_id, signer_id = args.token, args.receiver_id, context.signer_id
    decimals = token_fact(token, facts, context).decimals
    units = token_units(args.amount, token, decimals)
    check_parties(token, receiver_id, context)
    notes = list(check_receiver(receiver_id, facts, context))
    if other := context.registry.of_contract(receiver_id):
        notes.append(f"warning: {receiver_id} is the {other.name} token contract; tokens sent to it may be lost")
    register = registration(token.contract_id, receiver_id, facts)
    sent: JsonObject = {"receiver_id": receiver_id, "amount": str(units)}
    if args.memo is not None:
        sent["memo"] = args.memo
        notes.append(f"memo: {quoted(args.memo, MAX_SHOWN_MEMO)}")
    transfer = FunctionCall("ft_transfer", compact_json(sent), FT_TRANSFER_GAS, ONE_YOCTO)
    actions: tuple[Action, ...] = (*register.actions, transfer)
    deposit = register.deposit + ONE_YOCTO
    return Built(
        calls=(ChangeCall(token.contract_id, actions),),
        summary=f"send {format_units(units, decimals)} {token_label(token)} from {signer_id} to {receiver_id}",
        expected=merge_effects(
            (
                Effect(signer_id, token.contract_id, -units),
                Effect(receiver_id, token.contract_id, units),
                Effect(signer_id, NEAR_SYMBOL, -deposit),
            )
        ),
        notes=(*register.notes, *notes),
    )


def check_parties(token: TokenEntry, receiver_id: AccountId, context: BuildContext) -> None:
    """InvalidInput `receiver_is_token`, `receiver_is_sender`."""
    if receiver_id == token.contract_id:
        raise InvalidInput(
            "receiver_is_token",
            f"{receiver_id} is the {token.name} contract itself: tokens sent to it are lost",
            details={"receiver_id": receiver_id},
        )
    if receiver_id == context.signer_id:
        raise InvalidInput(
            "receiver_is_sender",
            f"{receiver_id} is the sender; a token contract refuses a transfer to oneself",
            details={"receiver_id": receiver_id},
        )


FT_BALANCE: Final = Entry(
    name="ft_balance",
    kind="view",
    about="token balance",
    args=FtBalanceArgs,
    needs=_needs_metadata,
    build=_balance_build,
    answer=_balance_answer,
    explain=_explain,
    examples=(
        Example("how much USDC does bob.localnet have", {"token": "USDC", "account_id": "bob.localnet"}),
        Example("my USDT balance", {"token": "USDT", "account_id": "@me"}),
    ),
)

FT_METADATA: Final = Entry(
    name="ft_metadata",
    kind="view",
    about="NEP-148 metadata",
    args=TokenArgs,
    build=_metadata_build,
    answer=_metadata_answer,
    explain=_explain,
    examples=(Example("how many decimals does USDC have", {"token": "USDC"}),),
)

FT_TOTAL_SUPPLY: Final = Entry(
    name="ft_total_supply",
    kind="view",
    about="total supply",
    args=TokenArgs,
    needs=_needs_metadata,
    build=_supply_build,
    answer=_supply_answer,
    explain=_explain,
    examples=(Example("total supply of wNEAR", {"token": "wNEAR"}),),
)

FT_TRANSFER: Final = Entry(
    name="ft_transfer",
    kind="change",
    about="send a token (NEP-141)",
    args=FtTransferArgs,
    needs=_transfer_needs,
    build=_transfer_build,
    examples=(
        Example(
            "send 12.5 USDC to carol.localnet", {"token": "USDC", "receiver_id": "carol.localnet", "amount": "12.5"}
        ),
    ),
)
