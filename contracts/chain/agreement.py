"""A signer at one final block, before money moves: several operators agree on it, or nothing is signed."""

from dataclasses import dataclass

from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.ledger import Lane
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import AccessKeyView, AccessView, AccountView
from contracts.errors import RpcError
from contracts.knowledge.facts import At
from contracts.types import CryptoHash


@dataclass(frozen=True, slots=True)
class SignerState:
    """A signer at one final block."""

    block_height: int
    block_hash: CryptoHash
    nonce: int
    """Of the lane."""
    permission: AccessView
    account: AccountView


async def read_signer(reads: AgreedReads, lane: Lane) -> SignerState:
    """The signer's state, agreed on. RpcError `RPC_DISAGREE`, `RPC_QUORUM`, `UNKNOWN_ACCESS_KEY`, `UNKNOWN_ACCOUNT` and
    the like.
    """
    view = await reads.access_key(lane.signer_id, lane.public_key)
    account = await reads.account(lane.signer_id, view.block_hash)
    return SignerState(view.block_height, view.block_hash, await _nonce(reads, lane, view), view.permission, account)


async def lane_nonce(rpc: RpcClient | AgreedReads, lane: Lane, at: At) -> int | None:
    """A lane's nonce at a block; None where the key, its account or the gas key's index is gone. RpcError otherwise."""
    try:
        if lane.nonce_index is None:
            return (await rpc.access_key(lane.signer_id, lane.public_key, at)).nonce
        nonces = await rpc.gas_key_nonces(lane.signer_id, lane.public_key, at)
    except RpcError as error:
        if error.code in {"UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT", "UNKNOWN_GAS_KEY"}:
            return None
        raise
    return nonces.nonces[lane.nonce_index] if lane.nonce_index < len(nonces.nonces) else None


async def _nonce(reads: AgreedReads, lane: Lane, view: AccessKeyView) -> int:
    if lane.nonce_index is None:
        return view.nonce
    nonce = await lane_nonce(reads, lane, view.block_hash)
    if nonce is None:
        raise RpcError(
            "UNKNOWN_ACCESS_KEY", f"gas key {lane.public_key} of {lane.signer_id} has no nonce {lane.nonce_index}"
        )
    return nonce
