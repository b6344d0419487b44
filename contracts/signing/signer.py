"""The only door to a key: a signature for transaction bytes, against a grant that covers them."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from contracts.calls import ChangeCall, Grant
from contracts.errors import SigningError
from contracts.signing.keystore import KeyStore
from contracts.signing.transaction import Transaction, call_digest, combine_digests, decode_transaction
from contracts.types import AccountId, PublicKey


class Signer(Protocol):
    """Signs what a grant covers and nothing else. Errors: SigningError."""

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        """The 64-byte ed25519 signature over the transaction's hash.

        SigningError `no_key`, `grant_mismatch` or `grant_expired`; InvalidInput or UnsupportedAction for bytes that are
        not a transaction.
        """
        ...

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        """The keys it can sign with for an account; empty where it has none."""
        ...


class KeyStoreSigner:
    """A signer over keys in this process. It decodes the bytes itself and trusts nothing that is said about them."""

    def __init__(self, keys: KeyStore, *, chain_id: str, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._chain_id = chain_id
        self._clock = clock

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        transaction = decode_transaction(transaction_bytes)
        check_grant(transaction, grant, chain_id=self._chain_id, now=self._clock())
        digest = hashlib.sha256(transaction_bytes).digest()
        return self._keys.unsafe_sign_hash(transaction.signer_id, transaction.public_key, digest)

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        return self._keys.public_keys(account_id)


def check_grant(transaction: Transaction, grant: Grant, *, chain_id: str, now: float) -> None:
    """Raise SigningError `grant_mismatch` or `grant_expired` unless the grant covers this transaction, as one of its calls."""
    if now >= grant.expires_at:
        raise SigningError("grant_expired", f"grant {grant.grant_id} has expired; ask again to get a new approval")
    differs = None
    if grant.chain_id != chain_id:
        differs = f"is for chain {grant.chain_id}, this signer serves {chain_id}"
    elif grant.signer_id != transaction.signer_id:
        differs = f"is for {grant.signer_id}, the transaction is signed by {transaction.signer_id}"
    elif combine_digests(grant.chain_id, grant.signer_id, grant.call_digests) != grant.calls_hash:
        differs = "lists calls that are not the approved ones"
    elif call_digest(ChangeCall(transaction.receiver_id, transaction.actions)) not in grant.call_digests:
        differs = f"does not cover this call to {transaction.receiver_id}"
    if differs is not None:
        raise SigningError("grant_mismatch", f"grant {grant.grant_id} {differs}; nothing was signed")
