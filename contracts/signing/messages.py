"""What is signed beside transactions: NEP-413 messages and NEP-366 delegate actions. Each can move money.

The prefix keeps them apart from transactions and from each other: 2^31 + number for messages off chain, 2^30 + number for
those on chain.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from contracts.calls import Delegate, DelegateAction
from contracts.errors import InvalidInput
from contracts.signing.action_bytes import encode_delegate, read_delegate
from contracts.signing.borsh import Reader, signature_of, string, u32

NEP413_PREFIX: Final = 2**31 + 413
NEP366_PREFIX: Final = 2**30 + 366
NONCE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Message:
    """A NEP-413 payload. Contracts such as intents.near execute what such a message says."""

    message: str
    recipient: str
    nonce: bytes
    """32 bytes."""
    callback_url: str | None = None


def encode_message(message: Message) -> bytes:
    """Prefix and Borsh of a NEP-413 payload. InvalidInput `bad_message` for a nonce that is not 32 bytes."""
    if len(message.nonce) != NONCE_BYTES:
        raise InvalidInput("bad_message", f"a NEP-413 nonce has {NONCE_BYTES} bytes, not {len(message.nonce)}")
    url = b"\0" if message.callback_url is None else b"\1" + string(message.callback_url)
    return u32(NEP413_PREFIX) + string(message.message) + message.nonce + string(message.recipient) + url


def decode_message(data: bytes) -> Message:
    """The message behind `encode_message`'s bytes; InvalidInput `bad_message` unless every byte is accounted for."""
    if data[:4] != u32(NEP413_PREFIX):
        raise InvalidInput("bad_message", "the bytes do not begin with the prefix of NEP-413")
    reader = Reader(data[4:])
    try:
        text, nonce, recipient = reader.string(), reader.take(NONCE_BYTES), reader.string()
        url = reader.string() if reader.flag() else None
        reader.end()
    except InvalidInput as error:
        raise InvalidInput("bad_message", f"not a NEP-413 message: {error.message}") from error
    return Message(text, recipient, nonce, url)


def message_hash(message: Message) -> bytes:
    """The 32 bytes that are signed. Who verifies must check that the key is a full-access key of the account."""
    return hashlib.sha256(encode_message(message)).digest()


def encode_delegate_payload(action: DelegateAction) -> bytes:
    """Prefix and Borsh of a delegate action: what a signer is handed."""
    return u32(NEP366_PREFIX) + encode_delegate(action)


def decode_delegate_payload(data: bytes) -> DelegateAction:
    """The delegate action behind `encode_delegate_payload`'s bytes.

    InvalidInput `bad_transaction` unless every byte is accounted for, UnsupportedAction as for transactions.
    """
    reader = Reader(data)
    if reader.integer(4) != NEP366_PREFIX:
        raise InvalidInput("bad_transaction", "the bytes do not begin with the prefix of NEP-366")
    action = read_delegate(reader)
    reader.end()
    return action


def delegate_hash(action: DelegateAction) -> bytes:
    """The 32 bytes that the delegate action's key signs."""
    return hashlib.sha256(encode_delegate_payload(action)).digest()


def signed_delegate(action: DelegateAction, signature: bytes) -> Delegate:
    """The action for a relayer's transaction. InvalidInput `bad_signature` where the signature has the wrong size."""
    signature_of(action.public_key, signature)
    return Delegate(action, signature)
