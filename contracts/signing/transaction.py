"""NEAR transactions as bytes: encoder, strict decoder, and the hashes over the bytes.

Layouts: V0, which begins with the signer's id, and V1 (protocol 85), which begins with byte 1 and says how its nonce is
meant. Anything else is a typed `unsupported_action`, never empty or guessed bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from contracts.calls import Action, ChangeCall
from contracts.errors import InvalidInput, UnsupportedAction
from contracts.signing.action_bytes import encode_actions, read_actions
from contracts.signing.borsh import Reader, public_key, signature_of, string, u16, u32, u64
from contracts.types import AccountId, CryptoHash, PublicKey

NonceMode: TypeAlias = Literal["monotonic", "strict"]
_NONCE_MODES: tuple[NonceMode, NonceMode] = ("monotonic", "strict")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction, unsigned."""

    signer_id: AccountId
    public_key: PublicKey
    nonce: int
    receiver_id: AccountId
    block_hash: CryptoHash
    actions: tuple[Action, ...]
    version: Literal[0, 1] = 0
    nonce_mode: NonceMode = "monotonic"
    """`strict` (V1): the nonce must be the key's plus 1, not only above it."""
    nonce_index: int | None = None
    """Which of a gas key's nonces is meant (V1); None for any other key."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction with its signature over the hash. `data` is what goes over the wire."""

    transaction: Transaction
    signature: bytes
    """64 bytes for ed25519, 65 for secp256k1 (r, s, recovery id)."""
    tx_hash: CryptoHash
    data: bytes


def encode_transaction(transaction: Transaction) -> bytes:
    """Borsh of the unsigned transaction.

    InvalidInput `out_of_range` where a number does not fit its field, `needs_v1` where V0 has no place for the nonce.
    """
    body = (
        string(transaction.signer_id),
        public_key(transaction.public_key),
        _nonce(transaction),
        string(transaction.receiver_id),
        transaction.block_hash.raw,
        encode_actions(transaction.actions),
    )
    if transaction.version == 0:
        return b"".join(body)
    return b"".join((b"\1", *body, b"\1" if transaction.nonce_mode == "strict" else b"\0"))


def _nonce(transaction: Transaction) -> bytes:
    nonce, index = u64(transaction.nonce, "nonce"), transaction.nonce_index
    if transaction.version == 0:
        if index is not None or transaction.nonce_mode != "monotonic":
            raise InvalidInput("needs_v1", "a strict nonce and a gas key's nonce need a transaction of version 1")
        return nonce
    return b"\0" + nonce if index is None else b"\1" + nonce + u16(index, "nonce_index")


def transaction_hash(transaction_bytes: bytes) -> CryptoHash:
    """The hash that names a transaction and that is signed: sha256 of the unsigned bytes, V1's tag included."""
    return CryptoHash.of(transaction_bytes)


def signed_transaction(transaction: Transaction, transaction_bytes: bytes, signature: bytes) -> SignedTransaction:
    """A transaction, its encoding and a signature put together; the curve is the signer key's.

    The bytes are not read again: a deploy has megabytes of them. InvalidInput `bad_signature` for a wrong size.
    """
    data = transaction_bytes + signature_of(transaction.public_key, signature)
    return SignedTransaction(transaction, signature, transaction_hash(transaction_bytes), data)


def call_digest(call: ChangeCall) -> str:
    """sha256 (hex) over one call's receiver and Borsh actions."""
    digest = hashlib.sha256(string(call.receiver_id))
    digest.update(encode_actions(call.actions))
    return digest.hexdigest()


def calls_hash(chain_id: str, signer_id: AccountId, calls: Sequence[ChangeCall]) -> str:
    """sha256 (hex) over chain id, signer id and each call's digest in order: all but key, nonce and block hash."""
    return combine_digests(chain_id, signer_id, [call_digest(call) for call in calls])


def combine_digests(chain_id: str, signer_id: AccountId, digests: Sequence[str]) -> str:
    """`calls_hash` from the calls' digests."""
    parts = [string(chain_id), string(signer_id), u32(len(digests)), *(bytes.fromhex(digest) for digest in digests)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def decode_transaction(data: bytes) -> Transaction:
    """The transaction behind unsigned bytes.

    InvalidInput `bad_transaction` unless every byte is accounted for, UnsupportedAction for actions, keys and versions
    that are not known.
    """
    reader = Reader(data)
    transaction = _read_transaction(reader)
    reader.end()
    return transaction


def decode_signed_transaction(data: bytes) -> SignedTransaction:
    """The signed transaction behind wire bytes; errors as `decode_transaction`."""
    reader = Reader(data)
    transaction = _read_transaction(reader)
    unsigned = data[: reader.position]
    signature = reader.signature_of(transaction.public_key)
    reader.end()
    return SignedTransaction(transaction, signature, transaction_hash(unsigned), data)


def _read_transaction(reader: Reader) -> Transaction:
    # A V1 transaction begins with byte 1 where V0 has the low byte of a length, which is at least 2 for an account id.
    is_v1 = reader.u8() == 1
    if not is_v1:
        reader.position -= 1
    signer_id, key = reader.account_id(), reader.public_key()
    has_index = is_v1 and reader.flag()
    nonce = reader.integer(8)
    nonce_index = reader.integer(2) if has_index else None
    receiver_id, block_hash = reader.account_id(), CryptoHash.from_bytes(reader.take(32))
    actions = read_actions(reader)
    if not is_v1:
        return Transaction(signer_id, key, nonce, receiver_id, block_hash, actions)
    mode = reader.u8()
    if mode >= len(_NONCE_MODES):
        raise UnsupportedAction("unsupported_action", f"nonce mode {mode} is not supported")
    return Transaction(signer_id, key, nonce, receiver_id, block_hash, actions, 1, _NONCE_MODES[mode], nonce_index)
