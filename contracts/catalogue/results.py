"""What a transaction's return value means in words, where success alone says too little."""

from typing import Final

from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.tokens import base_units, token_label
from contracts.chain.outcome import Execution
from contracts.chain.strict_json import parse_json
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry, TokenEntry
from contracts.types import AccountId, format_units

TRANSFER_CALL: Final = "ft_transfer_call"


def told_result(call: ChangeCall, execution: Execution, registry: Registry) -> str | None:
    """One sentence for an ft_transfer_call: what the receiver used; None for transactions that need none.

    NEP-141: the transaction succeeds and returns the used amount also where that is 0 and all of it came back.
    """
    last = call.actions[-1]
    if not isinstance(last, FunctionCall) or last.method_name != TRANSFER_CALL:
        return None
    try:
        arguments = parse_json(last.args)
    except ValueError:
        return None
    match arguments:
        case {"receiver_id": str(receiver_id), "amount": amount} if (sent := base_units(amount)) is not None:
            used = base_units(execution.value)
            return _used(inert(receiver_id, 64), used, sent, registry.of_contract(call.receiver_id), call.receiver_id)
        case _:
            return None


def _used(receiver_id: str, used: int | None, sent: int, token: TokenEntry | None, token_id: AccountId) -> str:
    if used is None:
        return f"It is not known how much {receiver_id} used: look at the balance."
    if used == 0:
        return f"No tokens moved: {receiver_id} used none of {_amount(sent, token, token_id)}, all of it came back."
    if used >= sent:
        return f"{receiver_id} used all of {_amount(sent, token, token_id)}."
    decimals = token.decimals if token else None
    part = str(used) if decimals is None else format_units(used, decimals)
    return f"{receiver_id} used {part} of {_amount(sent, token, token_id)}, the rest came back."


def _amount(units: int, token: TokenEntry | None, token_id: AccountId) -> str:
    if token is None or token.decimals is None:
        return f"{units} base units of {token_id}"
    return f"{format_units(units, token.decimals)} {token_label(token)}"
