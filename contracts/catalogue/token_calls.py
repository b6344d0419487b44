"""Tokens sent with a message to a contract, which says how many of them it used (NEP-141 `ft_transfer_call`)."""

from typing import Final

from contracts.calls import Action, ChangeCall, FunctionCall
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, TextArg, TokenArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example, merge_effects
from contracts.catalogue.receivers import missing_account
from contracts.catalogue.storage import registration
from contracts.catalogue.tokens import ONE_YOCTO, check_parties, token_fact, token_label, token_units
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainFacts,
    FactRequest,
    StorageFacts,
    TokenFacts,
)
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, Gas, format_units

FT_TRANSFER_CALL_GAS: Final = Gas(100 * TGAS)
"""The token keeps about 30 for itself and its callback, the receiver gets the rest; what is not used comes back."""
MAX_SHOWN_MSG: Final = 600


class FtTransferCallArgs(Args):
    token: TokenArg
    receiver_id: AccountArg
    amount: AmountArg
    msg: TextArg


def _needs(args: FtTransferCallArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    contract_id = args.token.contract_id
    return (TokenFacts(contract_id), StorageFacts(contract_id, args.receiver_id), AccountFacts(args.receiver_id))


def _build(args: FtTransferCallArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token, receiver_id, signer_id = args.token, args.receiver_id, context.signer_id
    decimals = token_fact(token, facts, context).decimals
    units = token_units(args.amount, token, decimals)
    check_parties(token, receiver_id, context)
    receiver = facts.of(AccountFacts(receiver_id), AccountFact)
    if isinstance(receiver, Absent):
        raise missing_account(receiver_id, context)
    if not receiver.has_code:
        raise InvalidInput(
            "receiver_is_no_contract",
            f"{receiver_id} has no contract, so nothing there could take the message and the tokens would come back; "
            "ft_transfer sends tokens to a person",
            details={"receiver_id": receiver_id},
        )
    register = registration(token.contract_id, receiver_id, facts)
    sent = compact_json({"receiver_id": receiver_id, "amount": str(units), "msg": args.msg})
    transfer = FunctionCall("ft_transfer_call", sent, FT_TRANSFER_CALL_GAS, ONE_YOCTO)
    actions: tuple[Action, ...] = (*register.actions, transfer)
    unseen = f"warning: only {MAX_SHOWN_MSG} of {len(args.msg)} characters of the message are shown"
    return Built(
        calls=(ChangeCall(token.contract_id, actions),),
        summary=(
            f"send {format_units(units, decimals)} {token_label(token)} from {signer_id} to the contract {receiver_id} "
            "with a message"
        ),
        expected=merge_effects(
            (
                Effect(signer_id, token.contract_id, -units),
                Effect(receiver_id, token.contract_id, units),
                Effect(signer_id, NEAR_SYMBOL, -register.deposit - ONE_YOCTO),
            )
        ),
        notes=(
            *register.notes,
            f"message: “{inert(args.msg, MAX_SHOWN_MSG)}”",
            *((unseen,) if len(args.msg) > MAX_SHOWN_MSG else ()),
            f"{receiver_id} decides by the message what it does with the tokens; what it does not use comes back",
        ),
    )


FT_TRANSFER_CALL: Final = Entry(
    name="ft_transfer_call",
    kind="change",
    about="send a token with a message to a contract",
    args=FtTransferCallArgs,
    needs=_needs,
    build=_build,
    examples=(
        Example(
            "send 12.5 USDC to counter.localnet with the message 0",
            {"token": "USDC", "receiver_id": "counter.localnet", "amount": "12.5", "msg": "0"},
        ),
    ),
)
