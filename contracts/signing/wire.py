"""What goes over the signer's socket: frames of JSON, each at most 6 MiB, a length of 4 bytes (big endian) before it.

A transaction has at most 1.5 MiB (nearcore), base64 makes 2 of it, and a grant is small; a client that announces more is cut
off before a byte of it is read.
"""

import json
import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, TypeAdapter

from contracts.calls import Grant
from contracts.errors import ContractsError, InvalidInput, SigningError, UnsupportedAction
from contracts.types import AccountId, JsonObject, PublicKey

MAX_FRAME_BYTES: Final = 6 * 1024 * 1024
HEADER_BYTES: Final = 4
SOCKET_NAME: Final = "signer.sock"
READY: Final = "ready"
"""What the process writes to its standard output when the socket answers."""


def _of_digests(grant: Grant) -> Grant:
    if not all(_SHA256.fullmatch(digest) for digest in grant.call_digests):
        raise ValueError("a digest of a call is no sha256 in hex")
    return grant


_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_AskedGrant: TypeAlias = Annotated[Grant, AfterValidator(_of_digests)]


class Numbered(BaseModel):
    """What is read of a request that cannot be read, so that whoever asked is answered at once."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: int


class _Ask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: int


class Sign(_Ask):
    op: Literal["sign"] = "sign"
    grant: _AskedGrant
    transaction: Base64Bytes


class MessageText(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    recipient: str
    nonce: Base64Bytes
    callback_url: str | None = None


class SignMessage(_Ask):
    op: Literal["sign_message"] = "sign_message"
    grant: _AskedGrant
    account_id: AccountId
    public_key: PublicKey
    message: MessageText


class SignDelegate(_Ask):
    op: Literal["sign_delegate"] = "sign_delegate"
    grant: _AskedGrant
    payload: Base64Bytes


class Held(_Ask):
    """What keys there are, the files read again."""

    op: Literal["held"] = "held"


class PublicKeys(_Ask):
    """One account's keys, from memory; the files are read again where it has none."""

    op: Literal["public_keys"] = "public_keys"
    account_id: AccountId


class NewKey(_Ask):
    op: Literal["new_key"] = "new_key"
    account_id: AccountId


class Generate(_Ask):
    op: Literal["generate"] = "generate"
    account_id: AccountId
    more: bool = False
    passphrase: Annotated[str | None, Field(repr=False)] = None


class Import(_Ask):
    op: Literal["import"] = "import"
    account_id: AccountId
    secret: Annotated[str, Field(repr=False, max_length=4096)]
    passphrase: Annotated[str | None, Field(repr=False)] = None


class Unlock(_Ask):
    op: Literal["unlock"] = "unlock"
    passphrase: Annotated[str, Field(repr=False)]


class Endorse(_Ask):
    op: Literal["endorse"] = "endorse"
    grant_id: Annotated[str, Field(max_length=200)]
    public_key: PublicKey
    signature: Annotated[Base64Bytes, Field(max_length=128)]


class Leave(_Ask):
    op: Literal["leave"] = "leave"
    account_id: AccountId
    public_key: PublicKey


class Retire(_Ask):
    op: Literal["retire"] = "retire"
    account_id: AccountId
    public_key: PublicKey


Ask: TypeAlias = Annotated[
    Sign
    | SignMessage
    | SignDelegate
    | Held
    | PublicKeys
    | NewKey
    | Generate
    | Import
    | Unlock
    | Endorse
    | Leave
    | Retire,
    Field(discriminator="op"),
]
ASK: Final[TypeAdapter[Ask]] = TypeAdapter(Ask)

_ERRORS: Final[dict[str, type[ContractsError]]] = {
    kind.__name__: kind for kind in (SigningError, InvalidInput, UnsupportedAction)
}


def frame(value: JsonObject) -> bytes:
    """A value with its length before it."""
    return framed(json.dumps(value).encode())


def framed(body: bytes) -> bytes:
    """InvalidInput `too_large` above the limit."""
    if len(body) > MAX_FRAME_BYTES:
        raise InvalidInput("too_large", f"{len(body)} bytes do not fit a request to the signer ({MAX_FRAME_BYTES})")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def error_body(number: int, error: ContractsError) -> JsonObject:
    return {
        "id": number,
        "error": {
            "kind": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "details": error.details,
        },
    }


class _Error(BaseModel):
    kind: str
    code: str
    message: str
    retryable: bool = False
    details: JsonObject = Field(default_factory=dict)


class Answer(BaseModel):
    """An answer as the client reads it: `ok` or `error`."""

    id: int
    ok: JsonObject | None = None
    error: _Error | None = None

    def value(self) -> JsonObject:
        """What was answered, or the error raised as what it was."""
        if self.error is not None:
            kind = _ERRORS.get(self.error.kind, SigningError)
            raise kind(self.error.code, self.error.message, retryable=self.error.retryable, details=self.error.details)
        if self.ok is None:
            raise SigningError("signer_answer", "the signer answered with neither a result nor an error")
        return self.ok


class HeldKeys(BaseModel):
    """Accounts and public keys that the signer has. No secret."""

    model_config = ConfigDict(frozen=True)

    pid: int
    memory_closed: bool
    """No other process of this user can read its memory (PR_GET_DUMPABLE is 0)."""
    network: str
    credentials_dir: str
    accounts: dict[AccountId, tuple[PublicKey, ...]]
    locked: dict[AccountId, tuple[PublicKey, ...]]
    """Sealed and not opened."""
    problems: tuple["Problem", ...]


class Problem(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    account_id: str
    reason: str


class KeptKey(BaseModel):
    model_config = ConfigDict(frozen=True)

    public_key: PublicKey
    path: str
