"""Blocks: the header that is kept of each, and the whole that is committed at once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.signing.transaction import SignedTransaction
from contracts.types import CryptoHash
from contracts.vm.receipts import ActionReceipt, DataReceipt, ReceiptExecution
from contracts.vm.state import Changes

GENESIS_HEIGHT: Final = 1
ZERO_HASH: Final = CryptoHash.from_bytes(bytes(32))
"""What nearcore puts where there is nothing to hash."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is kept of a block. The roots are digests over the lists, not Merkle roots: there is nobody to prove to."""

    height: int
    hash: CryptoHash
    prev_hash: CryptoHash
    timestamp_ns: int
    """Unix time; always later than the block before."""
    gas_used: int
    tokens_burnt: int
    """yoctoNEAR burnt in this block."""
    total_supply: int
    tx_root: CryptoHash
    receipts_root: CryptoHash
    """Over the receipts executed in this block."""
    outcome_root: CryptoHash
    prev_state_root: CryptoHash
    """A chain of digests over all outcomes before this block."""

    @property
    def state_root(self) -> CryptoHash:
        """The chain of digests with this block's outcomes."""
        return (
            self.prev_state_root
            if self.empty
            else CryptoHash.of(f"{self.prev_state_root}|{self.outcome_root}".encode())
        )

    @property
    def chunk_hash(self) -> CryptoHash:
        """The name of the block's one chunk: the complement of the block's hash, so that either leads to the other."""
        return complement(self.hash)

    @property
    def empty(self) -> bool:
        """A heartbeat: nothing was executed."""
        return self.outcome_root == ZERO_HASH


@dataclass(frozen=True, slots=True)
class QueuedReceipt:
    """A receipt on its way to the next block, with the transaction it stems from."""

    position: int
    tx_hash: CryptoHash
    receipt: ActionReceipt | DataReceipt


@dataclass(frozen=True, slots=True)
class IncludedTransaction:
    signed: SignedTransaction
    execution: ReceiptExecution


@dataclass(frozen=True, slots=True)
class ExecutedReceipt:
    tx_hash: CryptoHash
    execution: ReceiptExecution


@dataclass(frozen=True, slots=True)
class Block:
    """All that one block changes: committed as one database transaction."""

    header: Header
    changes: Changes
    transactions: tuple[IncludedTransaction, ...]
    executed: tuple[ExecutedReceipt, ...]
    consumed: tuple[int, ...]
    """Queue positions of the receipts taken in."""
    queued: tuple[QueuedReceipt, ...]
    """New receipts, for the next block."""


def complement(value: CryptoHash) -> CryptoHash:
    """The hash with every bit turned over."""
    return CryptoHash.from_bytes(bytes(byte ^ 0xFF for byte in value.raw))


def trusted_hash(text: str) -> CryptoHash:
    """A hash as this program wrote it itself, without the check of its form."""
    return str.__new__(CryptoHash, text)


def digest(parts: Sequence[bytes]) -> CryptoHash:
    """sha256 over the parts' own sha256; the zero hash for an empty list."""
    if not parts:
        return ZERO_HASH
    return CryptoHash.of(b"".join(hashlib.sha256(part).digest() for part in parts))


def sealed(
    height: int,
    prev_hash: CryptoHash,
    timestamp_ns: int,
    gas_used: int,
    tokens_burnt: int,
    total_supply: int,
    tx_root: CryptoHash,
    receipts_root: CryptoHash,
    outcome_root: CryptoHash,
    prev_state_root: CryptoHash,
) -> Header:
    """The header with its hash, which covers every other field."""
    fields = (height, timestamp_ns, gas_used, tokens_burnt, total_supply)
    numbers = b"".join(value.to_bytes(32, "little") for value in fields)
    roots = f"{prev_hash}|{tx_root}|{receipts_root}|{outcome_root}|{prev_state_root}".encode()
    return Header(
        height=height,
        hash=CryptoHash.of(numbers + roots),
        prev_hash=prev_hash,
        timestamp_ns=timestamp_ns,
        gas_used=gas_used,
        tokens_burnt=tokens_burnt,
        total_supply=total_supply,
        tx_root=tx_root,
        receipts_root=receipts_root,
        outcome_root=outcome_root,
        prev_state_root=prev_state_root,
    )
