"""The signer signs what a grant covers, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from contracts.calls import ChangeCall, Grant, Transfer
from contracts.errors import InvalidInput, SigningError, UnsupportedAction
from contracts.signing.signer import check_step, transaction_step
from contracts.signing.transaction import (
    Transaction,
    call_digest,
    calls_hash,
    encode_transaction,
    transaction_hash,
)
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from tests.doubles import Clock, KeyStoreSigner, key_store

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
CALLS = tuple(ChangeCall(BOB, (Transfer(Yocto(amount)),)) for amount in (1, 2))
GRANT = Grant(
    grant_id="g1",
    calls_hash=calls_hash("localnet", ALICE, CALLS),
    call_digests=tuple(call_digest(call) for call in CALLS),
    chain_id="localnet",
    signer_id=ALICE,
    identity="key-1",
    channel="chat",
    expires_at=1_800_000_600.0,
)


def _transaction(key: PublicKey, call: ChangeCall = CALLS[0], signer_id: AccountId = ALICE) -> Transaction:
    return Transaction(signer_id, key, 7, call.receiver_id, CryptoHash.of(b"block"), call.actions)


async def test_a_covered_call_is_signed(tmp_path: Path) -> None:
    keys = key_store(tmp_path, ALICE)
    signer = KeyStoreSigner(keys, chain_id="localnet", clock=Clock())
    (key,) = await signer.public_keys(ALICE)
    for call in CALLS:
        data = encode_transaction(_transaction(key, call))
        signature = await signer.sign(data, GRANT)
        VerifyKey(key.raw).verify(transaction_hash(data).raw, signature)
    assert await signer.public_keys(BOB) == ()


CHANGES: dict[str, tuple[Callable[[Grant], Grant], str]] = {
    "another chain": (lambda grant: replace(grant, chain_id="testnet"), "chain testnet"),
    "another signer": (lambda grant: replace(grant, signer_id=BOB), "is for bob.localnet"),
    "one call less": (lambda grant: replace(grant, call_digests=grant.call_digests[:1]), "not the approved ones"),
    "calls turned round": (lambda grant: replace(grant, call_digests=grant.call_digests[::-1]), "not the approved"),
    "another hash": (lambda grant: replace(grant, calls_hash="00" * 32), "not the approved ones"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_any_difference_voids_the_grant(name: str, tmp_path: Path) -> None:
    change, reason = CHANGES[name]
    keys = key_store(tmp_path, ALICE)
    signer = KeyStoreSigner(keys, chain_id="localnet", clock=Clock())
    data = encode_transaction(_transaction(keys.public_keys(ALICE)[0]))
    with pytest.raises(SigningError) as caught:
        await signer.sign(data, change(GRANT))
    assert caught.value.code == "grant_mismatch"
    assert reason in caught.value.message


async def test_time_accounts_and_keys_are_checked(tmp_path: Path) -> None:
    keys = key_store(tmp_path, ALICE, BOB)
    clock = Clock()
    signer = KeyStoreSigner(keys, chain_id="localnet", clock=clock)
    alice, bob = keys.public_keys(ALICE)[0], keys.public_keys(BOB)[0]
    for transaction, code in (
        (_transaction(alice, ChangeCall(BOB, (Transfer(Yocto(3)),))), "grant_mismatch"),
        (_transaction(alice, ChangeCall(ALICE, CALLS[0].actions)), "grant_mismatch"),
        (_transaction(bob, signer_id=BOB), "grant_mismatch"),
        (_transaction(bob), "no_key"),
    ):
        with pytest.raises(SigningError) as caught:
            await signer.sign(encode_transaction(transaction), GRANT)
        assert caught.value.code == code
    clock.now = GRANT.expires_at
    with pytest.raises(SigningError) as caught:
        await signer.sign(encode_transaction(_transaction(alice)), GRANT)
    assert caught.value.code == "grant_expired"


@given(data=st.binary(max_size=200))
async def test_bytes_that_are_no_transaction_are_never_signed(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    signer = KeyStoreSigner(
        key_store(tmp_path_factory.getbasetemp() / "keys", ALICE), chain_id="localnet", clock=Clock()
    )
    with pytest.raises((InvalidInput, UnsupportedAction)):
        await signer.sign(data, GRANT)


@given(amount=st.integers(3, 2**128 - 1))
def test_no_other_amount_is_covered(amount: int) -> None:
    key = PublicKey.from_bytes("ed25519", bytes(32))
    step = transaction_step(_transaction(key, ChangeCall(BOB, (Transfer(Yocto(amount)),))))
    with pytest.raises(SigningError):
        check_step(step, GRANT, chain_ids=("localnet",), now=0)
