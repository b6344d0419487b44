"""All actions by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.catalogue import (
    accounts,
    contract,
    dao,
    dao_changes,
    keys,
    near,
    nft_changes,
    nfts,
    staking,
    storage,
    swap,
    token_calls,
    tokens,
    transactions,
    wrap,
)
from contracts.catalogue.entry import AnyEntry
from contracts.errors import InvalidInput
from contracts.knowledge.names import did_you_mean, nearest

_ENTRIES: Final[tuple[AnyEntry, ...]] = (
    near.NEAR_BALANCE,
    near.ACCOUNT_VIEW,
    near.NEAR_TRANSFER,
    accounts.ACCOUNT_CREATE,
    accounts.ACCOUNT_DELETE,
    keys.ACCESS_KEYS,
    keys.KEY_ADD_FULL,
    keys.KEY_ADD_FUNCTION_CALL,
    keys.KEY_DELETE,
    tokens.FT_BALANCE,
    tokens.FT_METADATA,
    tokens.FT_TOTAL_SUPPLY,
    tokens.FT_TRANSFER,
    token_calls.FT_TRANSFER_CALL,
    storage.STORAGE_DEPOSIT,
    storage.STORAGE_BALANCE,
    wrap.NEAR_WRAP,
    wrap.NEAR_UNWRAP,
    nfts.NFT_TOKEN,
    nfts.NFT_TOKENS,
    nft_changes.NFT_TRANSFER,
    nft_changes.NFT_MINT,
    nft_changes.NFT_APPROVE,
    nft_changes.NFT_REVOKE,
    staking.STAKE,
    staking.UNSTAKE,
    staking.STAKE_WITHDRAW,
    staking.STAKE_BALANCE,
    dao.DAO_PROPOSALS,
    dao.DAO_PROPOSAL,
    dao_changes.DAO_VOTE,
    dao_changes.DAO_PROPOSE_TRANSFER,
    swap.SWAP_QUOTE,
    swap.SWAP,
    contract.CONTRACT_VIEW,
    contract.CONTRACT_CALL,
    contract.CONTRACT_METHODS,
    transactions.TX_STATUS,
)

CATALOGUE: Final[Mapping[str, AnyEntry]] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def find(name: str) -> AnyEntry:
    """The action of that name. InvalidInput `unknown_action` with the nearest one."""
    entry = CATALOGUE.get(name)
    if entry is None:
        raise InvalidInput(
            "unknown_action",
            f"there is no action {name[:60]!r}{did_you_mean(name, CATALOGUE)} /help lists what there is",
            details={"action": name[:60], "nearest": nearest(name, CATALOGUE)},
        )
    return entry
