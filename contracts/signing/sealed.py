"""Secret keys at rest under a passphrase: argon2id for the key, secretbox (XSalsa20-Poly1305) for the text.

The file names account and public key in the clear, so that it can be listed without the passphrase. The cost of argon2id is
in the file, within bounds, so that a hostile file cannot ask for all memory.
"""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import SigningError
from contracts.private_files import create_private
from contracts.signing.keypair import SecretKey
from contracts.signing.keystore import MAX_KEY_FILE_BYTES
from contracts.types import AccountId, PublicKey

SUFFIX: Final = ".sealed"
_MAX_OPERATIONS: Final = 16
_MAX_MEMORY_BYTES: Final = 1024**3
MIN_PASSPHRASE: Final = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one guess at a passphrase."""

    operations: int
    memory_bytes: int


MODERATE: Final = Cost(pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)
"""256 MiB, below a second."""


class SealedKey(BaseModel):
    """A sealed key's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1]
    account_id: AccountId
    public_key: PublicKey
    kdf: Literal["argon2id"]
    operations: Annotated[int, Field(ge=1, le=_MAX_OPERATIONS)]
    memory_bytes: Annotated[int, Field(ge=8192, le=_MAX_MEMORY_BYTES)]
    salt: Base64Bytes
    box: Base64Bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """A passphrase made into the key of its boxes: it closes further keys without being asked for again. As secret as they are."""

    salt: bytes
    cost: Cost
    box: SecretBox = field(repr=False)

    @classmethod
    def under(
        cls, passphrase: str, *, cost: Cost = MODERATE, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> Self:
        """A new one. SigningError `weak_passphrase`."""
        if len(passphrase) < MIN_PASSPHRASE:
            raise SigningError(
                "weak_passphrase", f"a passphrase has at least {MIN_PASSPHRASE} characters; nothing was written"
            )
        return cls.of(passphrase, random_bytes(pwhash.argon2id.SALTBYTES), cost)

    @classmethod
    def of(cls, passphrase: str, salt: bytes, cost: Cost) -> Self:
        """SigningError `no_memory` where argon2id does not get what it costs."""
        try:
            key = pwhash.argon2id.kdf(
                SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=cost.operations, memlimit=cost.memory_bytes
            )
        except CryptoError as error:
            needed = cost.memory_bytes // 2**20
            raise SigningError("no_memory", f"a passphrase takes {needed} MiB of memory, which is not there") from error
        return cls(salt, cost, SecretBox(key))


def sealed_path(folder: Path, network: str, account_id: AccountId, public_key: PublicKey) -> Path:
    return folder / "sealed" / network / f"{account_id}.{public_key.replace(':', '_')}{SUFFIX}"


def seal(
    path: Path,
    account_id: AccountId,
    key: SecretKey,
    under: Seal,
    *,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> PublicKey:
    """Write a key's sealed file (0600). FileExistsError where it is there."""
    box = bytes(under.box.encrypt(key.unsafe_text().encode(), random_bytes(SecretBox.NONCE_SIZE)))
    content = {
        "version": 1,
        "account_id": account_id,
        "public_key": key.public_key,
        "kdf": "argon2id",
        "operations": under.cost.operations,
        "memory_bytes": under.cost.memory_bytes,
        "salt": base64.b64encode(under.salt).decode(),
        "box": base64.b64encode(box).decode(),
    }
    create_private(path, json.dumps(content))
    return key.public_key


def read_sealed(folder: Path, network: str) -> list[SealedKey]:
    """The sealed keys of a network; files that are none are left out."""
    found: list[SealedKey] = []
    for path in sorted((folder / "sealed" / network).glob(f"*{SUFFIX}")):
        try:
            with path.open("rb") as file:
                found.append(SealedKey.model_validate_json(file.read(MAX_KEY_FILE_BYTES)))
        except (OSError, ValidationError):
            continue
    return found


def unseal(sealed: SealedKey, passphrase: str) -> tuple[SecretKey, Seal]:
    """The key inside, and what it was closed with. SigningError `wrong_passphrase` also where the file was changed."""
    wrong = SigningError("wrong_passphrase", f"the passphrase does not open the sealed key of {sealed.account_id}")
    if len(sealed.salt) != pwhash.argon2id.SALTBYTES:
        raise wrong
    under = Seal.of(passphrase, sealed.salt, Cost(sealed.operations, sealed.memory_bytes))
    try:
        key = SecretKey.parse(under.box.decrypt(sealed.box).decode())
    except (CryptoError, ValueError):
        raise wrong from None
    if key.public_key != sealed.public_key:
        raise wrong
    return key, under
