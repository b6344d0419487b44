"""Our bytes and signatures beside those of near-kit and py-near, and amounts beside plain integer arithmetic."""

import hashlib
from collections.abc import Sequence
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from near import keys as kit_keys
from near import nep413

from contracts.calls import Action, Delegate, DelegateAction, PlainAction
from contracts.signing.messages import Message, delegate_hash, message_hash, signed_delegate
from contracts.signing.transaction import (
    Transaction,
    decode_signed_transaction,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import U128_MAX, AccountId, CryptoHash, PublicKey, format_units, parse_units
from tests.contracts.second_opinions import (
    near_kit,
    near_kit_delegate_hash,
    near_kit_signed,
    py_near,
    py_near_delegate_hash,
)
from tests.contracts.signing.strategies import (
    ACCOUNTS,
    CLASSIC_PERMISSIONS,
    DELEGATES,
    HASHES,
    KEYS,
    PUBLISHING,
    TRANSACTIONS,
    U64,
    USING,
    classic_actions,
)

SEEDS = st.binary(min_size=32, max_size=32)
PY_NEAR_PLAIN: st.SearchStrategy[PlainAction] = classic_actions(KEYS, CLASSIC_PERMISSIONS) | PUBLISHING | USING
MANY = settings(
    max_examples=1_000, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@MANY
@given(transaction=TRANSACTIONS)
def test_a_thousand_transactions_of_every_kind_are_written_as_near_kit_writes_them(transaction: Transaction) -> None:
    assert encode_transaction(transaction) == near_kit(transaction)


@MANY
@given(
    seed=SEEDS,
    accounts=st.tuples(ACCOUNTS, ACCOUNTS),
    nonce=U64,
    block_hash=HASHES,
    actions=st.lists(PY_NEAR_PLAIN, max_size=3),
    inner=st.none() | st.lists(PY_NEAR_PLAIN, max_size=2),
)
def test_a_thousand_transactions_are_signed_as_py_near_and_near_kit_sign_them(
    seed: bytes,
    accounts: tuple[AccountId, AccountId],
    nonce: int,
    block_hash: CryptoHash,
    actions: Sequence[PlainAction],
    inner: Sequence[PlainAction] | None,
) -> None:
    signing_key = SigningKey(seed)
    key = PublicKey.from_bytes("ed25519", bytes(signing_key.verify_key))
    all_actions: list[Action] = [*actions]
    if inner is not None:
        delegate = DelegateAction(*accounts, tuple(inner), nonce, nonce, key)
        assert delegate_hash(delegate) == py_near_delegate_hash(delegate)
        all_actions.append(signed_delegate(delegate, signing_key.sign(delegate_hash(delegate)).signature))
    transaction = Transaction(accounts[0], key, nonce, accounts[1], block_hash, tuple(all_actions))
    data = encode_transaction(transaction)
    signed = signed_transaction(transaction, data, signing_key.sign(transaction_hash(data).raw).signature)
    assert signed.data == py_near(transaction, seed + key.raw)
    assert (signed.tx_hash, signed.data) == near_kit_signed(transaction, seed)
    assert decode_signed_transaction(signed.data) == signed


@given(delegate=DELEGATES)
def test_delegate_actions_are_hashed_as_near_kit_hashes_them(delegate: Delegate) -> None:
    assert delegate_hash(delegate.delegate_action) == near_kit_delegate_hash(delegate.delegate_action)


@given(text=st.text(max_size=40), recipient=st.text(max_size=20), nonce=SEEDS, url=st.none() | st.text(max_size=20))
def test_messages_are_hashed_as_near_kit_hashes_them(text: str, recipient: str, nonce: bytes, url: str | None) -> None:
    assert message_hash(Message(text, recipient, nonce, url)) == nep413.nep413_hash(text, recipient, nonce, url)


@given(seed=SEEDS, data=st.binary(max_size=40))
def test_near_kit_signs_with_the_same_key_the_same(seed: bytes, data: bytes) -> None:
    pair = kit_keys.Ed25519KeyPair(seed)
    digest = hashlib.sha256(data).digest()
    assert pair.sign(digest) == SigningKey(seed).sign(digest).signature
    assert str(pair.public_key) == PublicKey.from_bytes("ed25519", bytes(SigningKey(seed).verify_key))


def test_ten_thousand_amounts_come_back_exactly() -> None:
    random = Random(20_261_121)
    for _ in range(10_000):
        decimals = random.randrange(39)
        units = random.choice((random.randrange(U128_MAX + 1), random.randrange(10 ** random.randrange(1, 39)), 0))
        text = format_units(units, decimals)
        assert parse_units(text, decimals) == units
        whole, _, fraction = text.partition(".")
        assert int(whole + fraction.ljust(decimals, "0")) == units
        assert parse_units(f"{whole}.{fraction.ljust(decimals, '0')}" if decimals else whole, decimals) == units
