"""Nonces: one transaction at a time for each key, each with a nonce above all that the ledger and the chain know."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from contracts.chain.ledger import Ledger
from contracts.errors import LedgerConflict
from contracts.types import AccountId, PublicKey

NONCE_RANGE_PER_BLOCK: Final = 10**6
"""nearcore refuses a nonce at or above block height times this (NonceTooLarge)."""
HEADROOM_BLOCKS: Final = 100
"""The height that counts is that of the block to come, which is a little higher than any that was read."""

NameT = TypeVar("NameT")


@dataclass(frozen=True, slots=True)
class Lane:
    """A key's own order of nonces on one chain."""

    chain_id: str
    signer_id: AccountId
    public_key: PublicKey


class Turns(Generic[NameT]):
    """Locks by name, first come first served; a name that nobody waits for takes no memory."""

    def __init__(self) -> None:
        self._queues: dict[NameT, _Queue] = {}

    @asynccontextmanager
    async def hold(self, name: NameT) -> AsyncGenerator[None, None]:
        """Alone under this name until the context ends, also by cancellation."""
        queue = self._queues.setdefault(name, _Queue(asyncio.Lock()))
        queue.holders += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.holders -= 1
            if not queue.holders:
                del self._queues[name]

    def __len__(self) -> int:
        return len(self._queues)


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock
    holders: int = 0
    """Those who hold it or wait for it."""


async def next_nonce(ledger: Ledger, lane: Lane, *, on_chain: int, height: int) -> int:
    """One above the highest nonce that the chain has used or that was ever stored for this key.

    A restored ledger, or a wallet with the same key, is covered by the chain's nonce. LedgerConflict `nonce_too_large`
    where the chain would not take it at this height.
    """
    stored = await ledger.last_nonce(lane.chain_id, lane.signer_id, lane.public_key)
    nonce = max(stored, on_chain) + 1
    if nonce >= (height + HEADROOM_BLOCKS) * NONCE_RANGE_PER_BLOCK:
        raise LedgerConflict(
            "nonce_too_large",
            f"the next nonce {nonce} of {lane.public_key} is above what block {height} allows; "
            "is the ledger that of another chain?",
            details={"nonce": str(nonce), "block_height": height},
        )
    return nonce
