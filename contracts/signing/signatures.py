"""Signatures over 32-byte hashes: verified for ed25519 and secp256k1, made for secp256k1 (deterministic, RFC 6979)."""

from typing import Any, Final, cast

import coincurve
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from contracts.types import PublicKey

_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""ed25519's points of order 1, 2, 4 and 8 and their other encodings, without the sign (libsodium's ge25519_has_small_order)."""
_UNCOMPRESSED: Final = b"\4"
_RECOVERY_IDS: Final = 4


def verify(public_key: PublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether the key signed the 32-byte digest, as nearcore decides it. Never for ML-DSA-65, which nothing here verifies."""
    match public_key.curve:
        case "ed25519":
            return _verify_ed25519(public_key.raw, digest, signature)
        case "secp256k1":
            return _verify_secp256k1(public_key.raw, digest, signature)
        case "ml-dsa-65":
            return False


def is_anybodys(public_key: PublicKey) -> bool:
    """Whether signatures for this key can be made without any secret: S = 0 fits such a point for one message in eight.

    nearcore's verification is not the strict one, so that a key of zeros, which looks like nobody's, is everybody's.
    """
    raw = public_key.raw
    return public_key.curve == "ed25519" and raw[:31] + bytes([raw[31] & 0x7F]) in _SMALL_ORDER


def secp256k1_public_key(secret: bytes) -> PublicKey:
    """The key that belongs to a 32-byte secret. ValueError for 0 and for the curve's order and above."""
    if len(secret) != 32:
        raise ValueError(f"a secp256k1 secret has 32 bytes, not {len(secret)}")
    raw = coincurve.PrivateKey(secret).public_key.format(compressed=False)
    return PublicKey.from_bytes("secp256k1", raw[1:])


def unsafe_secp256k1_sign(secret: bytes, digest: bytes) -> bytes:
    """r, s (the lower one) and recovery id over a 32-byte digest, whatever it stands for: 65 bytes."""
    key = cast("Any", coincurve.PrivateKey(secret))  # the package's types leave the nonce open
    return bytes(key.sign_recoverable(digest, hasher=None))


def recover_secp256k1(digest: bytes, signature: bytes) -> bytes | None:
    """The 64-byte key whose r, s, recovery id these are; None where there is none."""
    try:
        recovered = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    return recovered.format(compressed=False)[1:]


def _verify_ed25519(key: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(digest, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _verify_secp256k1(key: bytes, digest: bytes, signature: bytes) -> bool:
    """The recovery id must be one, but is not compared: nearcore drops it."""
    if len(signature) != 65 or signature[64] >= _RECOVERY_IDS:
        return False
    try:
        return coincurve.PublicKey(_UNCOMPRESSED + key).verify(_der(signature), digest, hasher=None)
    except ValueError:
        return False


def _der(signature: bytes) -> bytes:
    r, s = _der_integer(signature[:32]), _der_integer(signature[32:64])
    return bytes((0x30, len(r) + len(s))) + r + s


def _der_integer(raw: bytes) -> bytes:
    body = raw.lstrip(b"\0")
    if not body or body[0] & 0x80:
        body = b"\0" + body
    return bytes((2, len(body))) + body
