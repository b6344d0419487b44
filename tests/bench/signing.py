"""Signing: from a call to the bytes that are sent, the grant checked on the way."""

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Final

from contracts.calls import Action, ChangeCall, DeployContract, Grant, Transfer
from contracts.signing.keystore import KeyStore
from contracts.signing.transaction import (
    Transaction,
    call_digest,
    calls_hash,
    encode_transaction,
    signed_transaction,
)
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from tests.bench.figures import Figure, percentile
from tests.doubles import KeyStoreSigner, generate_key_file

_ALICE: Final = AccountId("alice.localnet")
_BLOCK: Final = CryptoHash.of(b"bench")


def signing_figures(folder: Path) -> list[Figure]:
    """The bytes and their signature alone, then the whole way: decoded again by the signer, held against the grant."""
    public_key = generate_key_file(folder / "keys" / f"{_ALICE}.json", _ALICE)
    keys = KeyStore.load(folder / "keys", "localnet")
    transfer, deploy = Transfer(Yocto(1)), DeployContract(bytes(10**6))
    figures: list[Figure] = []
    for name, action, times, budget in (("a transfer", transfer, 2000, 0.1), ("a 1 MB deploy", deploy, 50, 10)):
        alone, checked = _alone(keys, public_key, action, times), _checked(keys, public_key, action, times)
        figures.append(Figure(f"signing {name}: encode, hash, sign; p50", alone, "ms", budget))
        figures.append(Figure(f"signing {name}: through the signer, its grant checked; p50", checked, "ms", budget))
    return figures


def _alone(keys: KeyStore, public_key: PublicKey, action: Action, times: int) -> float:
    measured: list[float] = []
    for nonce in range(1, times + 1):
        started = time.perf_counter()
        data = encode_transaction(Transaction(_ALICE, public_key, nonce, _ALICE, _BLOCK, (action,)))
        keys.unsafe_sign_hash(_ALICE, public_key, hashlib.sha256(data).digest())
        measured.append((time.perf_counter() - started) * 1000)
    return percentile(measured, 0.5)


def _checked(keys: KeyStore, public_key: PublicKey, action: Action, times: int) -> float:
    """Milliseconds to encode, have signed and append the signature; the grant is made before."""
    signer = KeyStoreSigner(keys, chain_id="localnet", clock=lambda: 0.0)
    call = ChangeCall(_ALICE, (action,))
    grant = Grant(
        grant_id="bench",
        calls_hash=calls_hash("localnet", _ALICE, (call,)),
        call_digests=(call_digest(call),),
        chain_id="localnet",
        signer_id=_ALICE,
        identity="bench",
        channel="bench",
        expires_at=1.0,
    )

    async def all_of_them() -> list[float]:
        measured: list[float] = []
        for nonce in range(1, times + 1):
            started = time.perf_counter()
            transaction = Transaction(_ALICE, public_key, nonce, _ALICE, _BLOCK, call.actions)
            data = encode_transaction(transaction)
            signed_transaction(transaction, data, await signer.sign(data, grant))
            measured.append((time.perf_counter() - started) * 1000)
        return measured

    return percentile(asyncio.run(all_of_them()), 0.5)
