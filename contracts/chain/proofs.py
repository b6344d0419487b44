"""Proofs that signed bytes can never be executed (DESIGN law 2), read at one final block from several operators.

Built here are (a), expiry, and (c), the nonce has passed or the key is gone and the hash is unknown to nodes that hold
every block in which it could have been.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from contracts.chain.ledger import Signed
from contracts.chain.outcome import DeathProof
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import BlockView
from contracts.errors import RpcError
from contracts.types import AccountId

Operators: TypeAlias = Sequence[tuple[str, RpcClient]]
"""Each operator's name and nodes."""


@dataclass(frozen=True, slots=True)
class _Dead:
    reason: Literal["expired", "nonce_passed"]
    key_nonce: int | None


async def prove_dead(signed: Signed, signer_id: AccountId, operators: Operators, *, needed: int) -> DeathProof | None:
    """A proof that at least `needed` operators agree on and none contradicts; None where there is none now.

    An operator that cannot tell (unreachable, lagging, pruned) does not count. The order of reads matters: first the
    key at a final block F, then the hash at nodes whose head is at or past F. What was included up to F is then known,
    and past F nothing with that nonce can be.
    """
    if len(operators) < needed:
        return None
    block = await _final_block(operators)
    if block is None:
        return None
    found: dict[str, _Dead] = {}
    for name, rpc in operators:
        try:
            vote = await _vote(rpc, signed, signer_id, block)
        except RpcError:
            continue
        if vote is None:
            return None
        found[name] = vote
    if len(found) < needed or len(set(found.values())) != 1:
        return None
    dead = next(iter(found.values()))
    return DeathProof(dead.reason, block.height, block.hash, dead.key_nonce, tuple(found))


async def _final_block(operators: Operators) -> BlockView | None:
    for _, rpc in operators:
        try:
            return await rpc.block("final")
        except RpcError:
            continue
    return None


async def _vote(rpc: RpcClient, signed: Signed, signer_id: AccountId, block: BlockView) -> _Dead | None:
    """What one operator says; None: it may still be executed, or was. RpcError where the operator cannot tell."""
    nonce = await _key_nonce(rpc, signed, signer_id, block)
    if nonce is not None and nonce < signed.nonce:
        validity = (await rpc.protocol_config()).transaction_validity_period
        return _Dead("expired", nonce) if block.height > signed.reference_height + validity else None
    status = await rpc.status()
    if (
        status.syncing
        or status.latest_height < block.height
        or status.earliest_height is None
        or status.earliest_height > signed.reference_height
    ):
        raise RpcError("NO_HISTORY", "the node does not hold every block since the transaction was signed")
    try:
        await rpc.tx(signed.tx_hash, signer_id)
    except RpcError as error:
        if error.code != "UNKNOWN_TRANSACTION":
            raise
        return _Dead("nonce_passed", nonce)
    return None


async def _key_nonce(rpc: RpcClient, signed: Signed, signer_id: AccountId, block: BlockView) -> int | None:
    try:
        return (await rpc.access_key(signer_id, signed.public_key, block.hash)).nonce
    except RpcError as error:
        if error.code in {"UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT"}:
            return None
        raise
