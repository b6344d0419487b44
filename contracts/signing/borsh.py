"""Borsh, as far as NEAR's transactions need it: little-endian integers, length-prefixed bytes, and a strict reader."""

from typing import Final

from contracts.errors import InvalidInput, UnsupportedAction
from contracts.types import U64_MAX, U128_MAX, AccountId, Curve, PublicKey

CURVES: Final[dict[Curve, int]] = {"ed25519": 0, "secp256k1": 1, "ml-dsa-65": 2}
SIGNATURE_BYTES: Final[dict[int, int]] = {0: 64, 1: 65, 2: 3309}
_KEYS: Final[dict[int, tuple[Curve, int]]] = {0: ("ed25519", 32), 1: ("secp256k1", 64), 2: ("ml-dsa-65", 1952)}
_U16_MAX: Final = 2**16 - 1


def u16(value: int, name: str) -> bytes:
    return _integer(value, 2, _U16_MAX, name)


def u32(value: int) -> bytes:
    """A length or a count."""
    return value.to_bytes(4, "little")


def u64(value: int, name: str) -> bytes:
    return _integer(value, 8, U64_MAX, name)


def u128(value: int, name: str) -> bytes:
    return _integer(value, 16, U128_MAX, name)


def _integer(value: int, size: int, limit: int, name: str) -> bytes:
    if isinstance(value, bool) or not 0 <= value <= limit:
        raise InvalidInput("out_of_range", f"{name} {value} is outside 0 to {limit}", details={"field": name})
    return value.to_bytes(size, "little")


def octets(value: bytes) -> bytes:
    return u32(len(value)) + value


def string(value: str) -> bytes:
    """InvalidInput `bad_text` for a lone surrogate, which has no UTF-8."""
    try:
        return octets(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput("bad_text", f"text {value[:80]!r} cannot be written as UTF-8") from error


def public_key(key: PublicKey) -> bytes:
    return bytes((CURVES[key.curve],)) + key.raw


def signature_of(key: PublicKey, signature: bytes) -> bytes:
    """Curve byte and signature; InvalidInput `bad_signature` where the size is not that of the key's curve."""
    curve = CURVES[key.curve]
    if len(signature) != SIGNATURE_BYTES[curve]:
        raise InvalidInput("bad_signature", f"a {key.curve} signature has {SIGNATURE_BYTES[curve]} bytes")
    return bytes((curve,)) + signature


class Reader:
    """Bytes read once, front to back; every length is checked against what is left. InvalidInput `bad_transaction`."""

    __slots__ = ("_data", "_size", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._size = len(data)
        self.position = 0

    def take(self, size: int) -> bytes:
        start, end = self.position, self.position + size
        if end > self._size:
            raise InvalidInput("bad_transaction", f"transaction bytes end at {self._size}, {end} are needed")
        self.position = end
        return self._data[start:end]

    def end(self) -> None:
        if self.position != self._size:
            raise InvalidInput("bad_transaction", f"{self._size - self.position} bytes follow the transaction")

    def count(self) -> int:
        """A list's count, refused at once where the bytes cannot hold it: every item has at least one byte."""
        count = self.integer(4)
        if self.position + count > self._size:
            raise InvalidInput("bad_transaction", f"a list of {count} items does not fit the transaction bytes")
        return count

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def u8(self) -> int:
        return self.take(1)[0]

    def flag(self) -> bool:
        flag = self.u8()
        if flag > 1:
            raise InvalidInput("bad_transaction", f"an option is marked {flag}, only 0 and 1 are allowed")
        return flag == 1

    def octets(self) -> bytes:
        return self.take(self.integer(4))

    def string(self) -> str:
        try:
            return self.octets().decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("bad_transaction", "a string in the transaction is not UTF-8") from error

    def account_id(self) -> AccountId:
        try:
            return AccountId(self.string())
        except ValueError as error:
            raise InvalidInput("bad_transaction", str(error)) from error

    def public_key(self) -> PublicKey:
        number = self.u8()
        if number not in _KEYS:
            raise UnsupportedAction("unsupported_action", f"public keys of type {number} are not supported")
        curve, size = _KEYS[number]
        return PublicKey.from_bytes(curve, self.take(size))

    def signature_of(self, key: PublicKey) -> bytes:
        """A signature of the key's curve, without its curve byte."""
        curve = self.u8()
        if curve != CURVES[key.curve]:
            raise InvalidInput("bad_transaction", "the signature's curve is not the public key's")
        return self.take(SIGNATURE_BYTES[curve])
