"""Signatures that are no transactions: NEP-413 messages and NEP-366 delegate actions. Each can move money.

So each takes a grant of its own and is in the ledger before anybody gets it: signed, then one database transaction consumes
the grant and stores the signature (on a conflict it is thrown away), then it is handed out.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.calls import Delegate, DelegateAction, FullAccess, Grant
from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.agreement import read_signer
from contracts.chain.ledger import Lane, LaneRecord, SeenNonce, SignedMessage
from contracts.chain.nonce import check_ours, next_nonce
from contracts.chain.rpc import RpcClient
from contracts.errors import InvalidInput, LedgerConflict, SigningError
from contracts.signing.messages import (
    Message,
    delegate_hash,
    encode_delegate_payload,
    encode_message,
    message_hash,
    signed_delegate,
)
from contracts.signing.signatures import verify
from contracts.types import AccountId, PublicKey

_ATTEMPTS = 3
"""How often a delegate's signature is thrown away because something else took its nonce."""


class MessageSigner(Protocol):
    """The signer, for what is no transaction. SigningError where the grant does not cover it."""

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]: ...

    async def sign_message(
        self, account_id: AccountId, public_key: PublicKey, message: Message, grant: Grant
    ) -> bytes: ...

    async def sign_delegate(self, action: DelegateAction, grant: Grant) -> bytes: ...


class MessageLedger(Protocol):
    async def store_message(self, message: SignedMessage, grant: Grant, now: float) -> None:
        """One transaction: consume the grant, take a delegate's nonce, keep the signature.

        LedgerConflict `grant_used`, `grant_expired`, `message_exists`, `nonce_taken` or `key_blocked`.
        """
        ...

    async def messages_of(self, request_id: str) -> list[SignedMessage]: ...

    async def observe(self, seen: Sequence[SeenNonce], now: float) -> list[LaneRecord]: ...


class SignedMessages:
    """Issues signatures against grants (`signing.signer.message_step` and `delegate_step` say what a grant lists)."""

    def __init__(
        self,
        rpc: RpcClient,
        ledger: MessageLedger,
        signer: MessageSigner,
        *,
        operators: int,
        clock: Callable[[], float],
    ) -> None:
        self._agreed = AgreedReads(rpc, needed=operators)
        self._ledger = ledger
        self._signer = signer
        self._clock = clock

    async def issue_message(self, grant: Grant, message: Message, *, message_id: str, request_id: str) -> SignedMessage:
        """Sign a NEP-413 message with a full-access key, and store it. SigningError, RpcError, LedgerConflict."""
        lane, _ = await self._full_access(grant)
        digest = message_hash(message)
        signature = await self._signer.sign_message(lane.signer_id, lane.public_key, message, grant)
        _check(lane.public_key, digest, signature)
        signed = SignedMessage(
            message_id,
            request_id,
            "nep413",
            lane.chain_id,
            lane.signer_id,
            lane.public_key,
            message.recipient,
            message.nonce.hex(),
            digest.hex(),
            encode_message(message),
            signature,
        )
        await self._ledger.store_message(signed, grant, self._clock())
        return signed

    async def issue_delegate(
        self, grant: Grant, action: DelegateAction, *, message_id: str, request_id: str
    ) -> Delegate:
        """Sign a delegate action for a relayer, and store it. Key and nonce are chosen here; the given ones are ignored.

        A transaction of the same key that is included before it is relayed makes it void. InvalidInput `bad_height` for one
        that is past its height already; SigningError, RpcError, LedgerConflict.
        """
        for attempt in range(_ATTEMPTS):
            lane, (known, on_chain, height) = await self._full_access(grant)
            if action.max_block_height <= height:
                raise InvalidInput(
                    "bad_height", f"the delegate action ends at block {action.max_block_height}, it is {height}"
                )
            nonce = next_nonce(lane, known, on_chain=on_chain, height=height)
            made = DelegateAction(
                action.sender_id, action.receiver_id, action.actions, nonce, action.max_block_height, lane.public_key
            )
            signature = await self._signer.sign_delegate(made, grant)
            digest = delegate_hash(made)
            _check(lane.public_key, digest, signature)
            signed = SignedMessage(
                message_id,
                request_id,
                "delegate",
                lane.chain_id,
                lane.signer_id,
                lane.public_key,
                made.receiver_id,
                str(nonce),
                digest.hex(),
                encode_delegate_payload(made),
                signature,
                made.max_block_height,
            )
            try:
                await self._ledger.store_message(signed, grant, self._clock())
            except LedgerConflict as error:
                if error.code != "nonce_taken" or attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return signed_delegate(made, signature)
        raise AssertionError("the loop returns or raises")

    async def _full_access(self, grant: Grant) -> tuple[Lane, tuple[LaneRecord, int, int]]:
        """A key of the grant's account that verifiers accept, with what is known of its nonce, and the block's height."""
        refusal = "the signer holds none"
        for key in await self._signer.public_keys(grant.signer_id):
            lane = Lane(grant.chain_id, grant.signer_id, key)
            state = await read_signer(self._agreed, lane)
            if not isinstance(state.permission, FullAccess):
                refusal = f"{key} is a key for function calls"
                continue
            seen = SeenNonce(lane, state.nonce, state.block_height)
            (known,) = await self._ledger.observe([seen], self._clock())
            check_ours(lane, known)
            return lane, (known, state.nonce, state.block_height)
        raise SigningError("no_key", f"no full-access key of {grant.signer_id} can sign this: {refusal}")


def _check(public_key: PublicKey, digest: bytes, signature: bytes) -> None:
    if not verify(public_key, digest, signature):
        raise SigningError("bad_signature", f"the signer's signature is not one of key {public_key}")
