"""The only door to a key: signatures for transactions, messages and delegate actions, against a grant that covers them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.calls import ChangeCall, DelegateAction, Grant
from contracts.errors import SigningError
from contracts.signing.action_bytes import encode_actions
from contracts.signing.borsh import string, u32, u64
from contracts.signing.messages import NEP366_PREFIX, Message, message_hash
from contracts.signing.transaction import Transaction, call_digest, combine_digests
from contracts.types import AccountId, PublicKey


class Signer(Protocol):
    """Signs what a grant covers and nothing else. Errors: SigningError."""

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        """The signature over the transaction's hash: 64 bytes (ed25519) or 65 (secp256k1).

        SigningError `no_key`, `grant_mismatch`, `grant_expired`, `step_signed`, `over_cap` or `signer_down`; InvalidInput
        or UnsupportedAction for bytes that are not a transaction.
        """
        ...

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        """The keys it can sign with for an account; empty where it has none."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be signed, as the signer read it from the bytes."""

    signer_id: AccountId
    digest: str
    """As `Grant.call_digests` lists it."""
    what: str
    """In words."""


def transaction_step(transaction: Transaction) -> Step:
    digest = call_digest(ChangeCall(transaction.receiver_id, transaction.actions))
    return Step(transaction.signer_id, digest, f"this call to {transaction.receiver_id}")


def message_step(account_id: AccountId, message: Message) -> Step:
    """A NEP-413 message is covered as a whole: its text, recipient, nonce and callback."""
    return Step(account_id, message_hash(message).hex(), f"this message to {message.recipient[:80]!r}")


def delegate_step(action: DelegateAction) -> Step:
    """A delegate action is covered with how long it can be relayed, but for key and nonce."""
    digest = hashlib.sha256(u32(NEP366_PREFIX))
    digest.update(string(action.receiver_id) + encode_actions(action.actions))
    digest.update(u64(action.max_block_height, "max_block_height"))
    return Step(action.sender_id, digest.hexdigest(), f"this delegate action on {action.receiver_id}")


def check_step(step: Step, grant: Grant, *, chain_ids: Sequence[str], now: float) -> None:
    """Raise SigningError `grant_mismatch` or `grant_expired` unless the grant covers this step."""
    if now >= grant.expires_at:
        raise SigningError("grant_expired", f"grant {grant.grant_id} has expired; ask again to get a new approval")
    differs = None
    if grant.chain_id not in chain_ids:
        differs = f"is for chain {grant.chain_id}, this signer serves {', '.join(chain_ids)}"
    elif grant.signer_id != step.signer_id:
        differs = f"is for {grant.signer_id}, the transaction is signed by {step.signer_id}"
    elif combine_digests(grant.chain_id, grant.signer_id, grant.call_digests) != grant.calls_hash:
        differs = "lists calls that are not the approved ones"
    elif step.digest not in grant.call_digests:
        differs = f"does not cover {step.what}"
    if differs is not None:
        raise SigningError("grant_mismatch", f"grant {grant.grant_id} {differs}; nothing was signed")
