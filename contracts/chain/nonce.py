"""Nonces: which the next one is, and whether the one on chain is explained by what the ledger knows.

The rule that keeps a transaction from being executed twice after the data folder was rolled back (a snapshot of the disk or
of the machine was put back, and the chain went on): **a lane's nonce on chain is explained by the lane's stored baseline, or
by a transaction of ours that has this very nonce.** Anything else means that the key was used outside of what this ledger
remembers, by another program or by this one in the time that was rolled back. Then nothing is signed for the *account*, with
whichever of its keys, until a person has acknowledged it, which voids the cards that wait.

Baselines are stored when a lane is first seen (at the start for all keys that are held) and when a person acknowledges. A lane
without a baseline is taken as it is only if its key was never used, or if the ledger has no trace of the account at all.
"""

from collections.abc import Collection
from typing import Final, Literal, TypeAlias

from contracts.chain.ledger import IntentState, Lane, LaneRecord
from contracts.errors import LedgerConflict

NONCE_RANGE_PER_BLOCK: Final = 10**6
"""nearcore refuses a nonce at or above block height times this (NonceTooLarge), and starts a new key at a multiple of it."""
HEADROOM_BLOCKS: Final = 100
"""The height that counts is that of the block to come, which is a little higher than any that was read."""

Finding: TypeAlias = Literal["explained", "in_doubt", "foreign"]

_EXECUTED: Final[frozenset[IntentState]] = frozenset({"final", "failed"})
_MAYBE_EXECUTED: Final[frozenset[IntentState]] = frozenset({"sending", "sent", "included", "unconfirmed"})


def explain(on_chain: int, baseline: int, ours: Collection[IntentState]) -> Finding:
    """Judge a lane's nonce on chain; `ours` are the states of our transactions with exactly this nonce.

    `in_doubt`: ours may have been executed, or something else took its nonce. A nonce of ours that was never sent, or whose
    transaction is proven dead, explains nothing.
    """
    if on_chain <= baseline or any(state in _EXECUTED for state in ours):
        return "explained"
    return "in_doubt" if any(state in _MAYBE_EXECUTED for state in ours) else "foreign"


def may_adopt(on_chain: int, *, account_is_new: bool) -> bool:
    """Whether a lane without a baseline may get this one without a person's word.

    `account_is_new`: the ledger has no card, transaction, signed message or other lane of the account. A key that was never
    used stands at the multiple of 10**6 that nearcore gave it when it was added.
    """
    return account_is_new or on_chain % NONCE_RANGE_PER_BLOCK == 0


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
    seen = foreign.known_nonce or known.baseline_height
    ours = f"the highest of ours is {foreign.known_nonce}" if seen else "this ledger has never seen it"
    return LedgerConflict(
        "key_blocked",
        f"key {lane.name} of {lane.signer_id} was used by something else: its nonce on chain is "
        f"{foreign.chain_nonce}, {ours}. Nothing is signed for {lane.signer_id}. Find out what was sent (another wallet "
        "with this key, or this agent before its data folder was restored or rolled back), then: "
        f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}",
        details={
            "account_id": lane.signer_id,
            "public_key": str(lane.public_key),
            "known_nonce": str(foreign.known_nonce),
            "chain_nonce": str(foreign.chain_nonce),
        },
    )


def in_doubt(lane: Lane, known: LaneRecord) -> LedgerConflict | None:
    """The conflict of a lane whose nonce on chain may be that of our transaction, or of another in its place."""
    if known.in_doubt is None:
        return None
    return LedgerConflict(
        "nonce_in_doubt",
        f"the last nonce of key {lane.name} of {lane.signer_id} on chain is that of our transaction of "
        f"{known.in_doubt}, which no node has confirmed: something else may have taken its nonce. Ask again once it is "
        f"confirmed; if no node ever does, look at the account's history, then: "
        f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}",
        retryable=True,
        details={"account_id": lane.signer_id, "public_key": str(lane.public_key), "intent_id": known.in_doubt},
    )
