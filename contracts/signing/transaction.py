"""Borsh of NEAR transactions: the one encoder, its strict decoder, and the hashes over the bytes.

Layout: nearcore's `Transaction` V0 with the eight classic actions (facts in NEPs; checked against byte vectors that
independent implementations agree on). Anything else is a typed `unsupported_action`, never empty or guessed bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Permission,
    Stake,
    Transfer,
)
from contracts.errors import InvalidInput, UnsupportedAction
from contracts.types import U64_MAX, U128_MAX, AccountId, CryptoHash, Gas, PublicKey, Yocto

_CURVES: Final = {"ed25519": 0, "secp256k1": 1}
_SIGNATURE_SIZES: Final = {0: 64, 1: 65}


@dataclass(frozen=True, slots=True)
class Transaction:
    """A V0 transaction, unsigned."""

    signer_id: AccountId
    public_key: PublicKey
    nonce: int
    receiver_id: AccountId
    block_hash: CryptoHash
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction with its signature over the hash. `data` is what goes over the wire."""

    transaction: Transaction
    signature: bytes
    """64 bytes for ed25519."""
    tx_hash: CryptoHash
    data: bytes


def encode_transaction(transaction: Transaction) -> bytes:
    """Borsh of the unsigned transaction. InvalidInput `out_of_range` where a number does not fit its field."""
    return b"".join(
        (
            _string(transaction.signer_id),
            _public_key(transaction.public_key),
            _u64(transaction.nonce, "nonce"),
            _string(transaction.receiver_id),
            transaction.block_hash.raw,
            encode_actions(transaction.actions),
        )
    )


def encode_actions(actions: Sequence[Action]) -> bytes:
    """Borsh of a list of actions, its count first."""
    return b"".join((_u32(len(actions)), *map(_action, actions)))


def transaction_hash(transaction_bytes: bytes) -> CryptoHash:
    """The hash that names a transaction and that is signed: sha256 of the unsigned bytes."""
    return CryptoHash.of(transaction_bytes)


def signed_transaction(transaction: Transaction, transaction_bytes: bytes, signature: bytes) -> SignedTransaction:
    """A transaction, its encoding and a signature put together; the curve is the signer key's.

    The bytes are not read again: a deploy has megabytes of them.
    """
    curve = _CURVES[transaction.public_key.curve]
    if len(signature) != _SIGNATURE_SIZES[curve]:
        raise InvalidInput(
            "bad_signature", f"a {transaction.public_key.curve} signature has {_SIGNATURE_SIZES[curve]} bytes"
        )
    data = b"".join((transaction_bytes, bytes((curve,)), signature))
    return SignedTransaction(transaction, signature, transaction_hash(transaction_bytes), data)


def call_digest(call: ChangeCall) -> str:
    """sha256 (hex) over one call's receiver and Borsh actions."""
    digest = hashlib.sha256(_string(call.receiver_id))
    digest.update(encode_actions(call.actions))
    return digest.hexdigest()


def calls_hash(chain_id: str, signer_id: AccountId, calls: Sequence[ChangeCall]) -> str:
    """sha256 (hex) over chain id, signer id and each call's digest in order: all but key, nonce and block hash."""
    return combine_digests(chain_id, signer_id, [call_digest(call) for call in calls])


def combine_digests(chain_id: str, signer_id: AccountId, digests: Sequence[str]) -> str:
    """`calls_hash` from the calls' digests."""
    parts = [_string(chain_id), _string(signer_id), _u32(len(digests)), *(bytes.fromhex(digest) for digest in digests)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def decode_transaction(data: bytes) -> Transaction:
    """The transaction behind unsigned bytes; InvalidInput `bad_transaction` unless every byte is accounted for."""
    reader = _Reader(data)
    transaction = _read_transaction(reader)
    reader.end()
    return transaction


def decode_signed_transaction(data: bytes) -> SignedTransaction:
    """The signed transaction behind wire bytes; InvalidInput `bad_transaction` unless every byte is accounted for."""
    reader = _Reader(data)
    transaction = _read_transaction(reader)
    unsigned = data[: reader.position]
    curve = reader.u8()
    if curve != _CURVES[transaction.public_key.curve]:
        raise InvalidInput("bad_transaction", "the signature's curve is not the public key's")
    signature = reader.take(_SIGNATURE_SIZES[curve])
    reader.end()
    return SignedTransaction(transaction, signature, transaction_hash(unsigned), data)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _u64(value: int, name: str) -> bytes:
    return _integer(value, 8, U64_MAX, name)


def _u128(value: int, name: str) -> bytes:
    return _integer(value, 16, U128_MAX, name)


def _integer(value: int, size: int, limit: int, name: str) -> bytes:
    if isinstance(value, bool) or not 0 <= value <= limit:
        raise InvalidInput("out_of_range", f"{name} {value} is outside 0 to {limit}", details={"field": name})
    return value.to_bytes(size, "little")


def _bytes(value: bytes) -> bytes:
    return _u32(len(value)) + value


def _string(value: str) -> bytes:
    return _bytes(value.encode())


def _public_key(key: PublicKey) -> bytes:
    return bytes((_CURVES[key.curve],)) + key.raw


def _permission(permission: Permission) -> bytes:
    match permission:
        case FunctionCallAccess(receiver_id, method_names, allowance):
            paid = b"\0" if allowance is None else b"\1" + _u128(allowance, "allowance")
            names = b"".join(_string(name) for name in method_names)
            return b"\0" + paid + _string(receiver_id) + _u32(len(method_names)) + names
        case FullAccess():
            return b"\1"
        case _:
            assert_never(permission)


def _action(action: Action) -> bytes:
    match action:
        case CreateAccount():
            return b"\0"
        case DeployContract(code):
            return b"".join((b"\1", _u32(len(code)), code))
        case FunctionCall(method_name, args, gas, deposit):
            return b"\2" + _string(method_name) + _bytes(args) + _u64(gas, "gas") + _u128(deposit, "deposit")
        case Transfer(deposit):
            return b"\3" + _u128(deposit, "deposit")
        case Stake(stake, public_key):
            return b"\4" + _u128(stake, "stake") + _public_key(public_key)
        case AddKey(public_key, permission, nonce):
            return b"\5" + _public_key(public_key) + _u64(nonce, "nonce") + _permission(permission)
        case DeleteKey(public_key):
            return b"\6" + _public_key(public_key)
        case DeleteAccount(beneficiary_id):
            return b"\7" + _string(beneficiary_id)
        case _:
            assert_never(action)


class _Reader:
    """Bytes read once, front to back; every length is checked against what is left."""

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

    def bytes_(self) -> bytes:
        return self.take(self.integer(4))

    def string(self) -> str:
        try:
            return self.bytes_().decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("bad_transaction", "a string in the transaction is not UTF-8") from error

    def account_id(self) -> AccountId:
        try:
            return AccountId(self.string())
        except ValueError as error:
            raise InvalidInput("bad_transaction", str(error)) from error

    def public_key(self) -> PublicKey:
        match self.u8():
            case 0:
                return PublicKey.from_bytes("ed25519", self.take(32))
            case 1:
                return PublicKey.from_bytes("secp256k1", self.take(64))
            case curve:
                raise UnsupportedAction("unsupported_action", f"public keys of type {curve} are not supported")


def _read_transaction(reader: _Reader) -> Transaction:
    # A V1 transaction begins with byte 1 where V0 has the low byte of a length, which is at least 2 for an account id.
    if reader.u8() == 1:
        raise UnsupportedAction("unsupported_action", "V1 transactions are not supported, send a V0 transaction")
    reader.position -= 1
    return Transaction(
        signer_id=reader.account_id(),
        public_key=reader.public_key(),
        nonce=reader.integer(8),
        receiver_id=reader.account_id(),
        block_hash=CryptoHash.from_bytes(reader.take(32)),
        actions=tuple(_read_action(reader) for _ in range(reader.count())),
    )


def _read_permission(reader: _Reader) -> Permission:
    match reader.u8():
        case 0:
            allowance = Yocto(reader.integer(16)) if _flag(reader) else None
            receiver_id = reader.account_id()
            return FunctionCallAccess(receiver_id, tuple(reader.string() for _ in range(reader.count())), allowance)
        case 1:
            return FullAccess()
        case index:
            raise UnsupportedAction("unsupported_action", f"access key permission {index} is not supported")


def _flag(reader: _Reader) -> bool:
    flag = reader.u8()
    if flag > 1:
        raise InvalidInput("bad_transaction", f"an option is marked {flag}, only 0 and 1 are allowed")
    return flag == 1


def _read_action(reader: _Reader) -> Action:
    match reader.u8():
        case 0:
            return CreateAccount()
        case 1:
            return DeployContract(reader.bytes_())
        case 2:
            name, args = reader.string(), reader.bytes_()
            return FunctionCall(name, args, Gas(reader.integer(8)), Yocto(reader.integer(16)))
        case 3:
            return Transfer(Yocto(reader.integer(16)))
        case 4:
            return Stake(Yocto(reader.integer(16)), reader.public_key())
        case 5:
            key, nonce = reader.public_key(), reader.integer(8)
            return AddKey(key, _read_permission(reader), nonce)
        case 6:
            return DeleteKey(reader.public_key())
        case 7:
            return DeleteAccount(reader.account_id())
        case index:
            raise UnsupportedAction(
                "unsupported_action",
                f"action {index} is not supported; the classic actions are 0 to 7",
                details={"index": index},
            )
