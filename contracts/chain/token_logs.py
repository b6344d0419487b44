"""What token contracts log of themselves: NEP-141 and NEP-171 events (NEP-297), and the log lines of older contracts."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.strict_json import parse_json
from contracts.types import AccountId, account_of, base_units

_EVENT: Final = "EVENT_JSON:"
_MAX_LOGS: Final = 10_000
"""Nodes send at most 100 a receipt; more are a hostile answer."""
_OLD_TRANSFER: Final = re.compile(r"(?:Transfer|Refund) ([0-9]{1,39}) from (\S{2,64}) to (\S{2,64})", re.ASCII)
_OLD_NFT_TRANSFER: Final = re.compile(r"Transfer (\S.{0,1000}) from (\S{2,64}) to (\S{2,64})")
_OLD_DEPOSIT: Final = re.compile(r"Deposit ([0-9]{1,39}) NEAR to (\S{2,64})", re.ASCII)
_OLD_WITHDRAW: Final = re.compile(r"Withdraw ([0-9]{1,39}) (?:yocto)?NEAR from (\S{2,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Move:
    """NEAR, units of a token, or one NFT (`token_id`, an amount of 1) that changed hands; None: made, or destroyed."""

    token: str
    amount: int
    loser: AccountId | None
    gainer: AccountId | None
    token_id: str | None = None


def logged_moves(contract_id: AccountId, logs: tuple[str, ...], methods: Collection[str]) -> list[Move]:
    """What a contract says that it moved in one receipt, of its own tokens only; `methods` are those that were called."""
    logs = logs[:_MAX_LOGS]
    events = [move for log in logs if log.startswith(_EVENT) for move in _event_moves(contract_id, log[len(_EVENT) :])]
    if events:
        return events
    nfts = any(method.startswith("nft_") for method in methods)
    read = _old_nft_moves if nfts else _old_moves
    return [move for log in logs for move in read(contract_id, log)]


def _event_moves(contract_id: AccountId, text: str) -> Iterator[Move]:
    try:
        event = parse_json(text)
    except ValueError:
        return
    match event:
        case {"standard": "nep141", "event": "ft_transfer" | "ft_mint" | "ft_burn" as name, "data": list() as items}:
            read = _units
        case {"standard": "nep171", "event": "nft_transfer" | "nft_mint" | "nft_burn" as name, "data": list() as items}:
            read = _nfts
        case _:
            return
    for item in items:
        if not isinstance(item, dict):
            continue
        if name.endswith("_transfer"):
            loser, gainer = account_of(item.get("old_owner_id")), account_of(item.get("new_owner_id"))
            known = loser is not None and gainer is not None
        else:
            owner, mint = account_of(item.get("owner_id")), name.endswith("_mint")
            loser, gainer = (None, owner) if mint else (owner, None)
            known = owner is not None
        if known:
            yield from read(contract_id, item, loser, gainer)


def _units(
    contract_id: AccountId, item: Mapping[str, JsonValue], loser: AccountId | None, gainer: AccountId | None
) -> Iterator[Move]:
    amount = base_units(item.get("amount"))
    if amount is not None:
        yield Move(contract_id, amount, loser, gainer)


def _nfts(
    contract_id: AccountId, item: Mapping[str, JsonValue], loser: AccountId | None, gainer: AccountId | None
) -> Iterator[Move]:
    token_ids = item.get("token_ids")
    for token_id in token_ids if isinstance(token_ids, list) else ():
        if isinstance(token_id, str):
            yield Move(contract_id, 1, loser, gainer, token_id)


def _old_moves(contract_id: AccountId, log: str) -> Iterator[Move]:
    """near-contract-standards before NEP-297, and wNEAR's own lines."""
    if found := _OLD_TRANSFER.fullmatch(log):
        loser, gainer = account_of(found[2]), account_of(found[3])
        if loser is not None and gainer is not None:
            yield Move(contract_id, int(found[1]), loser, gainer)
    elif found := _OLD_DEPOSIT.fullmatch(log):
        yield Move(contract_id, int(found[1]), None, account_of(found[2]))
    elif found := _OLD_WITHDRAW.fullmatch(log):
        yield Move(contract_id, int(found[1]), account_of(found[2]), None)


def _old_nft_moves(contract_id: AccountId, log: str) -> Iterator[Move]:
    """The same line of near-contract-standards' NFTs, with a token's id where fungible tokens have an amount."""
    found = _OLD_NFT_TRANSFER.fullmatch(log)
    loser, gainer = (account_of(found[2]), account_of(found[3])) if found else (None, None)
    if found and loser is not None and gainer is not None:
        yield Move(contract_id, 1, loser, gainer, found[1])
