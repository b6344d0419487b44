"""A secret key in memory: made from its text, signs digests, and shows its public half only.

Texts are NEAR's: `ed25519:` and base58 of the 32-byte seed and the 32-byte public key (or of the seed alone), or
`secp256k1:` and base58 of the 32-byte scalar. near_api's `KeyPair` cuts and accepts much that is wrong (another curve, a
public half that does not belong), so a text is checked here first.
"""

import secrets
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, Self, cast

import base58

from contracts.signing.signatures import secp256k1_public_key, unsafe_secp256k1_sign
from contracts.types import PublicKey

SEED_BYTES: Final = 32
_MAX_TEXT: Final = 100


class _Pair(Protocol):
    """What is used of near_api's key pair, which ships without types."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


class SecretKey:
    """A secret key of either curve. Its text leaves it through `unsafe_text` alone; it does not pickle."""

    __slots__ = ("_seed", "_sign", "public_key")

    def __init__(self, seed: bytes, public_key: PublicKey, sign: Callable[[bytes], bytes]) -> None:
        self._seed = seed
        self._sign = sign
        self.public_key = public_key

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Self:
        """A new ed25519 key."""
        return cls._ed25519(random_bytes(SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key behind its text; ValueError says what is wrong and never repeats the text."""
        curve, colon, body = text.strip().rpartition(":")
        if len(body) > _MAX_TEXT:
            raise ValueError("the secret key is too long")
        if colon and curve not in {"ed25519", "secp256k1"}:
            raise ValueError(f"{curve[:20]!r} keys are not supported, use an ed25519 or secp256k1 key")
        try:
            raw = base58.b58decode(body)
        except ValueError:
            raise ValueError("the secret key is not base58") from None
        return cls._secp256k1(raw) if curve == "secp256k1" else cls._checked_ed25519(raw)

    def sign_digest(self, digest: bytes) -> bytes:
        """64 bytes for ed25519, 65 (r, s, recovery id) for secp256k1; deterministic on both curves."""
        return self._sign(digest)

    def unsafe_text(self) -> str:
        """The secret itself, as key files hold it."""
        public = self.public_key.raw if self.public_key.curve == "ed25519" else b""
        return f"{self.public_key.curve}:{base58.b58encode(self._seed + public).decode()}"

    def __repr__(self) -> str:
        return f"SecretKey({self.public_key})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key does not leave its process")

    @classmethod
    def _checked_ed25519(cls, raw: bytes) -> Self:
        if len(raw) not in (SEED_BYTES, 2 * SEED_BYTES):
            raise ValueError(f"the secret key has {len(raw)} bytes; 64 (or a seed of 32) are needed")
        key = cls._ed25519(raw[:SEED_BYTES])
        if raw[SEED_BYTES:] not in (b"", key.public_key.raw):
            raise ValueError("the public half of the secret key does not belong to its seed")
        return key

    @classmethod
    def _ed25519(cls, seed: bytes) -> Self:
        from near_api.signer import (
            KeyPair,
        )  # loads an HTTP client too; most processes that know this type never have a key

        pair = cast("_Pair", KeyPair(seed))
        return cls(seed, PublicKey.from_bytes("ed25519", pair.public_key), pair.sign)

    @classmethod
    def _secp256k1(cls, raw: bytes) -> Self:
        if len(raw) != SEED_BYTES:
            raise ValueError(f"the secret key has {len(raw)} bytes; a secp256k1 key has 32")
        public_key = secp256k1_public_key(raw)
        return cls(raw, public_key, lambda digest: unsafe_secp256k1_sign(raw, digest))
