"""What a transaction's return value means in words, where success alone says too little."""

from collections.abc import Iterable, Iterator
from typing import Final

from contracts.call_arguments import read_arguments
from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.nfts import shown_nft
from contracts.catalogue.tokens import token_label
from contracts.chain.outcome import Effect, Execution
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry, TokenEntry
from contracts.types import AccountId, base_units, format_units

TRANSFER_CALL: Final = "ft_transfer_call"
MAX_SHOWN_NFTS: Final = 6
_NFT: Final = "nft_"
_PROPOSES: Final = "add_proposal"


def told_result(call: ChangeCall, execution: Execution, registry: Registry) -> str | None:
    """What an ft_transfer_call's receiver used and gave in return, whose NFTs are now, a proposal's number; or None.

    NEP-141: the transaction succeeds and returns the used amount also where that is 0 and all of it came back.
    """
    last = call.actions[-1]
    if not isinstance(last, FunctionCall):
        return None
    if last.method_name.startswith(_NFT):
        return " ".join(moved_nfts(execution.effects)) or None
    if last.method_name == _PROPOSES and type(execution.value) is int:
        return f"It is proposal {execution.value} of {call.receiver_id}."
    if last.method_name != TRANSFER_CALL:
        return None
    match read_arguments(last.args):
        case {"receiver_id": str(receiver_id), "amount": amount} if (sent := base_units(amount)) is not None:
            used = base_units(execution.value)
            told = _used(inert(receiver_id, 64), used, sent, registry.of_contract(call.receiver_id), call.receiver_id)
            return " ".join((told, *_got(call, execution, registry)))
        case _:
            return None


def _got(call: ChangeCall, execution: Execution, registry: Registry) -> Iterator[str]:
    """Known tokens that came to the signer, by their contracts' own events."""
    for effect in execution.effects:
        token = registry.of_contract(effect.token)
        if (
            effect.account_id == execution.signer_id
            and effect.token_id is None
            and effect.token != call.receiver_id
            and token
            and effect.change > 0
        ):
            yield f"{execution.signer_id} got {_amount(effect.change, token, token.contract_id)}."


def moved_nfts(effects: Iterable[Effect]) -> Iterator[str]:
    """Who has which NFTs now and who has them no more, by their contracts' own words."""
    moved = sorted((effect for effect in effects if effect.token_id is not None), key=lambda effect: -effect.change)
    gained = {(effect.token, effect.token_id) for effect in moved if effect.change > 0}
    told = [effect for effect in moved if effect.change > 0 or (effect.token, effect.token_id) not in gained]
    for effect in told[:MAX_SHOWN_NFTS]:
        word = "has" if effect.change > 0 else "no longer has"
        yield f"{effect.account_id} {word} {shown_nft(effect.token, effect.token_id or '')}."
    if len(told) > MAX_SHOWN_NFTS:
        yield f"And {len(told) - MAX_SHOWN_NFTS} more NFTs."


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
