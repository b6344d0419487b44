"""Proofs that signed bytes can never be executed (DESIGN law 2), read at one final block F from several operators.

(a) expired: F is past the reference block plus the validity, and the key's nonce at F is below the transaction's.
(b) fenced: another transaction of ours with the same key and nonce is final at or before F. A key's nonce is used once, so
    this one is dead whatever blocks a node still holds. Where the other one has a *higher* nonce this one may have been
    executed before it: then the proof needs nodes with the blocks in between, which is (c).
(c) passed: the key's nonce at F is at or past the transaction's, or the key is gone, and the hash is unknown to nodes that
    hold every block since the reference block.
"""

from dataclasses import dataclass
from typing import Literal

from contracts.chain.agreement import lane_nonce
from contracts.chain.ledger import Lane, Signed
from contracts.chain.outcome import DeathProof
from contracts.chain.quorum import Operators, side_by_side
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import BlockView
from contracts.errors import RpcError


@dataclass(frozen=True, slots=True)
class _Dead:
    reason: Literal["expired", "nonce_passed", "fenced"]
    key_nonce: int | None


@dataclass(frozen=True, slots=True)
class _Case:
    signed: Signed
    lane: Lane
    block: BlockView
    """F."""
    fence: Signed | None


async def prove_dead(
    signed: Signed, lane: Lane, operators: Operators, *, needed: int, fence: Signed | None = None
) -> DeathProof | None:
    """A proof that at least `needed` operators agree on and none contradicts; None where there is none now.

    `fence` is a transaction of ours in the same lane with the same nonce. An operator that cannot tell (unreachable,
    lagging, pruned) does not count. The order of reads matters: first the key at a final block F, then the hashes at nodes
    whose head is at or past F. What was included up to F is then known, and past F nothing with that nonce can be.
    """
    if len(operators) < needed:
        return None
    block = await _final_block(operators)
    if block is None:
        return None
    case = _Case(signed, lane, block, fence if fence is not None and fence.nonce == signed.nonce else None)
    votes = await side_by_side(operators, lambda rpc: _vote(rpc, case))
    found = {name: vote for name, vote in votes.items() if isinstance(vote, _Dead)}
    if None in votes.values() or len(found) < needed or len(set(found.values())) != 1:
        return None
    dead = next(iter(found.values()))
    fence_hash = case.fence.tx_hash if case.fence is not None and dead.reason == "fenced" else None
    return DeathProof(dead.reason, block.height, block.hash, dead.key_nonce, tuple(found), fence_hash)


async def _final_block(operators: Operators) -> BlockView | None:
    for _, rpc in operators:
        try:
            return await rpc.block("final")
        except RpcError:
            continue
    return None


async def _vote(rpc: RpcClient, case: _Case) -> _Dead | None:
    """What one operator says; None: it may still be executed, or was. RpcError where the operator cannot tell."""
    signed, block = case.signed, case.block
    nonce = await lane_nonce(rpc, case.lane, block.hash)
    if nonce is not None and nonce < signed.nonce:
        validity = (await rpc.protocol_config()).transaction_validity_period
        return _Dead("expired", nonce) if block.height > signed.reference_height + validity else None
    fenced = case.fence is not None and await _is_final(rpc, case.fence, case)
    await _check_head(rpc, case, whole_history=not fenced)
    try:
        await rpc.tx(signed.tx_hash, case.lane.signer_id)
    except RpcError as error:
        if error.code != "UNKNOWN_TRANSACTION":
            raise
        return _Dead("fenced" if fenced else "nonce_passed", nonce)
    return None


async def _is_final(rpc: RpcClient, fence: Signed, case: _Case) -> bool:
    """Whether the operator knows the fence as executed in a block up to F. RpcError where it cannot tell."""
    try:
        answer = await rpc.tx(fence.tx_hash, case.lane.signer_id)
    except RpcError as error:
        if error.code == "UNKNOWN_TRANSACTION":
            return False
        raise
    told, where = answer.transaction, answer.transaction_outcome
    if not answer.final or told is None or where is None:
        return False
    same = (told.nonce, told.public_key) == (fence.nonce, str(fence.public_key))
    return same and (await rpc.block(where.block_hash)).height <= case.block.height


async def _check_head(rpc: RpcClient, case: _Case, *, whole_history: bool) -> None:
    """RpcError `NO_HISTORY` where the node is behind F, or lacks blocks in which the transaction could have been."""
    status = await rpc.status()
    behind = status.syncing or status.latest_height < case.block.height
    pruned = status.earliest_height is None or status.earliest_height > case.signed.reference_height
    if behind or (whole_history and pruned):
        raise RpcError("NO_HISTORY", "the node does not hold every block since the transaction was signed")
