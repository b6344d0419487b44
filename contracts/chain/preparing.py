"""From an approved intent to signed bytes in the ledger: what a node would refuse is told first, then the lane's next nonce."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from contracts.calls import Grant
from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.agreement import SignerState, read_signer
from contracts.chain.ledger import Intent, Lane, Ledger, SeenNonce, Signed
from contracts.chain.nonce import check_ours, in_doubt, next_nonce
from contracts.chain.prechecks import check_funds, check_gas, check_key
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import ProtocolConfig
from contracts.errors import InvalidInput, SigningError
from contracts.signing.signatures import verify
from contracts.signing.signer import Signer
from contracts.signing.transaction import (
    NonceMode,
    SignedTransaction,
    Transaction,
    encode_transaction,
    signed_transaction,
)

V1_PROTOCOL: Final = 86
"""From this protocol version on (nearcore 2.13) nodes take V1 transactions with a strict nonce."""


@dataclass(frozen=True, slots=True)
class _Ready:
    lane: Lane
    state: SignerState
    nonce: int
    version: Literal[0, 1]
    nonce_mode: NonceMode


class Preparer:
    """Signs, unsent, and stores the bytes in one ledger transaction; on a conflict they are thrown away.

    Where another process took the nonce meanwhile nothing is signed again: the signer gives one signature for a step of a
    grant, because nobody can prove to it that the first bytes were not sent. The requester asks again.
    """

    def __init__(
        self,
        rpc: RpcClient,
        ledger: Ledger,
        signer: Signer,
        *,
        operators: int,
        clock: Callable[[], float],
        kill_point: Callable[[str], None],
    ) -> None:
        self._rpc = rpc
        self._agreed = AgreedReads(rpc, needed=operators)
        self._ledger = ledger
        self._signer = signer
        self._clock = clock
        self._kill_point = kill_point

    async def sign(
        self, intent: Intent, grant: Grant, lane: Lane, *, nonce: int | None = None, final: int | None = None
    ) -> Signed:
        """The bytes, stored. `nonce` is a fence's: that of the transaction it fences.

        `final`: the lane's nonce that is known to be final and ours although its end is not stored yet.

        InvalidInput, SigningError, RpcError or LedgerConflict (`nonce_taken` ...) where nothing was stored.
        """
        ready = await self._ready(intent, lane, nonce, final)
        self._kill_point("before_sign")
        transaction = await self._signature(intent, grant, ready)
        self._kill_point("after_sign")
        signed = Signed(
            tx_hash=transaction.tx_hash,
            data=transaction.data,
            public_key=lane.public_key,
            nonce=ready.nonce,
            reference_hash=ready.state.block_hash,
            reference_height=ready.state.block_height,
            nonce_index=lane.nonce_index,
        )
        await self._ledger.store_signed(intent.intent_id, grant.grant_id, signed, self._clock())
        return signed

    async def _ready(self, intent: Intent, lane: Lane, fenced_nonce: int | None, final: int | None) -> _Ready:
        """The signer at a final block, after the checks that a node would make too, and the nonce to use."""
        known = await self._ledger.lane(lane)
        if fenced_nonce is None:
            check_ours(lane, known)
        config = await self._rpc.protocol_config()
        if config.chain_id != intent.chain_id:
            raise InvalidInput(
                "wrong_chain",
                f"approved for chain {intent.chain_id}, the RPC node serves {config.chain_id}; nothing was signed",
            )
        state = await read_signer(self._agreed, lane)
        check_key(intent.call, state.permission)
        check_gas(intent.call, config)
        price = await self._rpc.gas_price()
        check_funds(intent.signer_id, intent.call, state.account, config, price, state.permission)
        if fenced_nonce is not None:
            _check_not_passed(lane, fenced_nonce, state)
            return _Ready(lane, state, fenced_nonce, 0 if lane.nonce_index is None else 1, "monotonic")
        (known,) = await self._ledger.observe([SeenNonce(lane, state.nonce, state.block_height)], self._clock())
        doubt = None if state.nonce == final else in_doubt(lane, known)
        if doubt is not None:
            check_ours(lane, known)
            raise doubt
        nonce = next_nonce(lane, known, on_chain=state.nonce, height=state.block_height)
        strict = _strict(intent, config) and nonce == state.nonce + 1
        version = 1 if strict or lane.nonce_index is not None else 0
        return _Ready(lane, state, nonce, version, "strict" if strict else "monotonic")

    async def _signature(self, intent: Intent, grant: Grant, ready: _Ready) -> SignedTransaction:
        lane = ready.lane
        transaction = Transaction(
            intent.signer_id,
            lane.public_key,
            ready.nonce,
            intent.call.receiver_id,
            ready.state.block_hash,
            intent.call.actions,
            ready.version,
            ready.nonce_mode,
            lane.nonce_index,
        )
        unsigned = encode_transaction(transaction)
        signature = await self._signer.sign(unsigned, grant)
        signed = signed_transaction(transaction, unsigned, signature)
        if not verify(lane.public_key, signed.tx_hash.raw, signature):
            raise SigningError("bad_signature", f"the signer's signature is not one of key {lane.public_key}")
        return signed


def _strict(intent: Intent, config: ProtocolConfig) -> bool:
    """A step that follows others goes directly after what its key did last, or not at all."""
    return intent.step > 0 and config.protocol_version >= V1_PROTOCOL


def _check_not_passed(lane: Lane, nonce: int, state: SignerState) -> None:
    if state.nonce >= nonce:
        raise InvalidInput(
            "nonce_passed",
            f"the nonce of {lane.name} on chain is {state.nonce}, so a fence with nonce {nonce} cannot be executed any more; "
            "nothing was sent",
        )
