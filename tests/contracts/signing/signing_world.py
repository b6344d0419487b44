"""Grants and transactions for the signer's tests."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.calls import Action, ChangeCall, Grant, Transfer
from contracts.signing.caps import Caps, Network
from contracts.signing.journal import Journal
from contracts.signing.sealed import Cost
from contracts.signing.transaction import Transaction, call_digest, calls_hash, encode_transaction
from contracts.signing.vault import KeyFolders, Vault
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from tests.doubles import Clock

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
NEAR = 10**24
CHEAP = Cost(1, 8192)


def transfer(amount: int = NEAR, receiver_id: AccountId = BOB) -> ChangeCall:
    return ChangeCall(receiver_id, (Transfer(Yocto(amount)),))


def change(receiver_id: AccountId, *actions: Action) -> ChangeCall:
    return ChangeCall(receiver_id, actions)


def grant_for(
    *calls: ChangeCall, name: str = "g1", chain_id: str = "localnet", expires_at: float = 1_800_000_600.0
) -> Grant:
    return Grant(
        grant_id=name,
        calls_hash=calls_hash(chain_id, ALICE, calls),
        call_digests=tuple(call_digest(call) for call in calls),
        chain_id=chain_id,
        signer_id=ALICE,
        identity="key-1",
        channel="chat",
        expires_at=expires_at,
    )


def bytes_of(
    key: PublicKey, call: ChangeCall, *, nonce: int = 7, block: bytes = b"block", signer_id: AccountId = ALICE
) -> bytes:
    return encode_transaction(Transaction(signer_id, key, nonce, call.receiver_id, CryptoHash.of(block), call.actions))


@dataclass
class OpenVault:
    vault: Vault
    journal: Journal
    clock: Clock
    key: PublicKey
    folders: KeyFolders

    def sign(self, data: bytes, grant: Grant) -> bytes:
        with self.journal.batch():
            return self.vault.sign(data, grant)


@contextmanager
def open_vault(
    folder: Path, caps: Caps | None = None, *, network: Network = "localnet", clock: Clock | None = None
) -> Generator[OpenVault]:
    """A vault with one key of alice, which is made on first use."""
    clock = clock or Clock()
    folders = KeyFolders(folder / "keys", network, folder / "signer", direct=True)
    folders.own.mkdir(parents=True, exist_ok=True)
    with Journal.open(folders.own / "journal.sqlite") as journal:
        vault = Vault(folders, journal, caps or Caps(), clock=clock, cost=CHEAP)
        vault.reload()
        yield OpenVault(vault, journal, clock, vault.new_key(ALICE), folders)
