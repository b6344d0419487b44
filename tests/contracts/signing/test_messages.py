"""NEP-413 messages against the vectors, NEP-366 payloads, and secp256k1 signatures against nearcore's rules."""

import base64

import pytest
from eth_keys.datatypes import PrivateKey as EthKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import DelegateAction, Transfer
from contracts.errors import InvalidInput
from contracts.signing.messages import (
    Message,
    decode_delegate_payload,
    decode_message,
    delegate_hash,
    encode_delegate_payload,
    encode_message,
    message_hash,
    signed_delegate,
)
from contracts.signing.signatures import (
    recover_secp256k1,
    secp256k1_public_key,
    unsafe_secp256k1_sign,
    verify,
)
from contracts.types import AccountId, PublicKey, Yocto
from tests.contracts.signing.vectors import NO_KEY, SECP256K1_SECRET, VECTORS, vector_signature

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NEP413 = {vector["name"]: vector for vector in VECTORS["nep413"]}
ACTION = DelegateAction(AccountId("alice.near"), AccountId("bob.near"), (Transfer(Yocto(1)),), 2, 3, NO_KEY)


@pytest.mark.parametrize("name", NEP413)
def test_a_message_is_signed_as_the_vectors_say(name: str) -> None:
    vector, expected = NEP413[name], NEP413[name]["expected"]
    nonce = bytes.fromhex(vector["nonce_hex"])
    message = Message(vector["message"], vector["recipient"], nonce, vector["callback_url"])
    data = encode_message(message)
    assert data[:4].hex() == expected["prefix_hex"]
    assert message_hash(message).hex() == expected["signing_hash_hex"]
    signature = vector_signature("signer", message_hash(message))
    assert base64.b64encode(signature).decode() == expected["signature_base64"]
    assert verify(PublicKey(vector["public_key"]), message_hash(message), signature)
    assert decode_message(data) == message


def test_four_messages_are_in_the_vectors() -> None:
    assert len(NEP413) == 4


@given(data=st.binary(max_size=100))
def test_other_bytes_are_no_message_and_no_delegate_action(data: bytes) -> None:
    prefix = encode_message(Message("", "", bytes(32)))[:4]
    for attempt in (data, prefix + data):
        try:
            found = decode_message(attempt)
        except InvalidInput:
            continue
        assert encode_message(found) == attempt
    with pytest.raises(InvalidInput):
        decode_delegate_payload(data)


def test_a_nonce_has_32_bytes() -> None:
    with pytest.raises(InvalidInput, match="32 bytes, not 31"):
        encode_message(Message("hi", "app.near", bytes(31)))


def test_a_delegate_payload_comes_back_and_cannot_be_taken_for_a_message() -> None:
    data = encode_delegate_payload(ACTION)
    assert data[:4].hex() == "6e010040"
    assert decode_delegate_payload(data) == ACTION
    assert len(delegate_hash(ACTION)) == 32
    with pytest.raises(InvalidInput, match="prefix of NEP-413"):
        decode_message(data)
    with pytest.raises(InvalidInput, match="follow"):
        decode_delegate_payload(data + b"\0")
    with pytest.raises(InvalidInput, match="64 bytes"):
        signed_delegate(ACTION, bytes(65))


@given(secret=st.integers(1, ORDER - 1), digest=st.binary(min_size=32, max_size=32))
def test_secp256k1_signs_as_eth_keys_does(secret: int, digest: bytes) -> None:
    raw = secret.to_bytes(32)
    key, signature = secp256k1_public_key(raw), unsafe_secp256k1_sign(raw, digest)
    assert signature == EthKey(raw).sign_msg_hash(digest).to_bytes()
    assert key.raw == EthKey(raw).public_key.to_bytes()
    assert verify(key, digest, signature)
    assert recover_secp256k1(digest, signature) == key.raw
    assert not verify(key, bytes(31) + bytes((digest[0] ^ 1,)), signature)


def test_a_signature_with_the_higher_s_is_refused_as_nearcore_does() -> None:
    key, digest = secp256k1_public_key(SECP256K1_SECRET), bytes(range(32))
    signature = unsafe_secp256k1_sign(SECP256K1_SECRET, digest)
    s = int.from_bytes(signature[32:64])
    high = signature[:32] + (ORDER - s).to_bytes(32) + bytes((signature[64] ^ 1,))
    assert recover_secp256k1(digest, high) == key.raw
    assert not verify(key, digest, high)
    other_id = signature[:64] + bytes((signature[64] ^ 1,))
    assert verify(key, digest, other_id), "the recovery id is read and not used"


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), bytes(65), b"\xff" * 65, bytes(64) + b"\4", b"\xff" * 64 + b"\0", b"\1" * 66]
)
def test_what_is_no_signature_verifies_for_no_key(signature: bytes) -> None:
    digest = bytes(32)
    assert not verify(secp256k1_public_key(SECP256K1_SECRET), digest, signature)
    assert not verify(NO_KEY, digest, signature)
    assert not verify(PublicKey.from_bytes("secp256k1", bytes(64)), digest, signature)
    assert not verify(PublicKey.from_bytes("ml-dsa-65", bytes(1952)), digest, signature)


def test_secrets_outside_the_curve_are_refused() -> None:
    for secret in (bytes(32), b"\xff" * 32, ORDER.to_bytes(32), b"short"):
        with pytest.raises(ValueError, match=r".+"):
            secp256k1_public_key(secret)
