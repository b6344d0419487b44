"""Nonces: each above all that the ledger and the chain know of its lane, and below what the chain takes at its height."""

from typing import Final

from contracts.chain.ledger import Lane, LaneRecord
from contracts.errors import LedgerConflict

NONCE_RANGE_PER_BLOCK: Final = 10**6
"""nearcore refuses a nonce at or above block height times this (NonceTooLarge)."""
HEADROOM_BLOCKS: Final = 100
"""The height that counts is that of the block to come, which is a little higher than any that was read."""


def next_nonce(lane: Lane, known: LaneRecord, *, on_chain: int, height: int) -> int:
    """One above the highest nonce that the chain has used or that was ever stored for this lane.

    LedgerConflict `nonce_too_large` where the chain would not take it at this height, `key_blocked` while something else's
    use of the key is not acknowledged.
    """
    check_ours(lane, known)
    nonce = max(known.nonce, on_chain) + 1
    if nonce >= (height + HEADROOM_BLOCKS) * NONCE_RANGE_PER_BLOCK:
        raise LedgerConflict(
            "nonce_too_large",
            f"the next nonce {nonce} of {lane.name} is above what block {height} allows; "
            "is the ledger that of another chain?",
            details={"nonce": str(nonce), "block_height": height},
        )
    return nonce


def check_ours(lane: Lane, known: LaneRecord) -> None:
    """LedgerConflict `key_blocked` for a lane that something else has used, with what to do."""
    conflict = blocked(lane, known)
    if conflict is not None:
        raise conflict


def blocked(lane: Lane, known: LaneRecord) -> LedgerConflict | None:
    """The conflict that `check_ours` raises; None where only we have used the lane."""
    foreign = known.foreign
    if foreign is None:
        return None
    return LedgerConflict(
        "key_blocked",
        f"key {lane.name} of {lane.signer_id} was used by something else: its nonce on chain is "
        f"{foreign.chain_nonce}, the highest of ours is {foreign.known_nonce}. Nothing is signed with it. Find out what "
        f"was sent (another wallet with this key, or a restored ledger), then: "
        f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}",
        details={
            "account_id": lane.signer_id,
            "public_key": str(lane.public_key),
            "known_nonce": str(foreign.known_nonce),
            "chain_nonce": str(foreign.chain_nonce),
        },
    )
