"""Key files in near-cli's form, read into memory for the signer alone.

A file is `ACCOUNT.json` with `account_id`, `public_key` and `private_key`; near-cli keeps it in `DIR/NETWORK/`, other tools
directly in `DIR/`. Secrets are ed25519: base58 of the 32-byte seed and the 32-byte public key. near_api's `KeyPair` cuts
and accepts much that is wrong (another curve, a public half that does not belong), so a secret is checked here first.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol, Self, cast

import base58
from near_api.signer import KeyPair
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import SigningError
from contracts.types import AccountId, PublicKey

MAX_KEY_FILE_BYTES: Final = 65536
_SEED_BYTES: Final = 32


class _Pair(Protocol):
    """What is used of near_api's key pair, which ships without types."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    account_id: AccountId | None = None
    public_key: PublicKey | None = None
    private_key: str | None = Field(default=None, repr=False)
    secret_key: str | None = Field(default=None, repr=False)
    """The same field's name in older files."""


@dataclass(frozen=True, slots=True)
class KeyFileProblem:
    """A key file that cannot be used, and why; the reason names no secret."""

    path: Path
    account_id: str
    reason: str


class KeyStore:
    """Key pairs by account. Built by `load`; shows account ids only, and does not pickle."""

    def __init__(self, pairs: dict[AccountId, dict[PublicKey, _Pair]], problems: tuple[KeyFileProblem, ...]) -> None:
        self._pairs = pairs
        self.problems = problems

    @classmethod
    def load(cls, credentials_dir: Path, network: str) -> Self:
        """The keys of a near-cli folder, both layouts; a missing folder holds none.

        A file that is wrong is in `problems` and makes only its own account unusable.
        """
        pairs: dict[AccountId, dict[PublicKey, _Pair]] = {}
        problems: list[KeyFileProblem] = []
        for path in _key_files(credentials_dir, network):
            try:
                account_id, public_key, pair = _read(path)
            except (OSError, ValueError) as error:
                problems.append(KeyFileProblem(path, path.stem, _reason(error)))
            else:
                pairs.setdefault(account_id, {})[public_key] = pair
        return cls(pairs, tuple(problems))

    def accounts(self) -> tuple[AccountId, ...]:
        """Accounts with at least one usable key, sorted."""
        return tuple(sorted(self._pairs))

    def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        """An account's keys, sorted; empty where there is none. SigningError `bad_key_file` where its file is wrong."""
        keys = tuple(sorted(self._pairs.get(account_id, {})))
        if not keys:
            for problem in self.problems:
                if problem.account_id == account_id:
                    raise SigningError("bad_key_file", f"key file {problem.path} cannot be used: {problem.reason}")
        return keys

    def unsafe_sign_hash(self, account_id: AccountId, public_key: PublicKey, digest: bytes) -> bytes:
        """The 64-byte ed25519 signature over a digest, whatever it stands for: only a signer that checked a grant asks.

        SigningError `no_key`.
        """
        pair = self._pairs.get(account_id, {}).get(public_key)
        if pair is None:
            raise SigningError("no_key", f"no key {public_key} of {account_id} is in the credentials folder")
        return pair.sign(digest)

    def __repr__(self) -> str:
        return f"KeyStore(accounts={list(self.accounts())})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key store does not leave its process")


def generate_key_file(
    path: Path, account_id: AccountId, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> PublicKey:
    """Make a new ed25519 key and write its file (0600, never over an existing one); returns the public key.

    FileExistsError where the file is there already.
    """
    return _write(path, account_id, random_bytes(_SEED_BYTES))


def import_key_file(path: Path, account_id: AccountId, secret_key: str) -> PublicKey:
    """Write a secret key given as text (`ed25519:` and base58) as `generate_key_file` does.

    SigningError `bad_key` with the reason; the text is not repeated in it.
    """
    try:
        seed = _seed(secret_key)
    except ValueError as error:
        raise SigningError("bad_key", f"the secret key for {account_id} cannot be used: {error}") from None
    return _write(path, account_id, seed)


def _key_files(credentials_dir: Path, network: str) -> Iterator[Path]:
    for folder in (credentials_dir / network, credentials_dir):
        if folder.is_dir():
            yield from sorted(path for path in folder.glob("*.json") if path.is_file())


def _read(path: Path) -> tuple[AccountId, PublicKey, _Pair]:
    with path.open("rb") as file:
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_KEY_FILE_BYTES} bytes")
    content = _KeyFile.model_validate_json(data)
    name = AccountId(path.stem)
    if content.account_id not in (None, name):
        raise ValueError(f"it is named for {name} and holds a key of {content.account_id}")
    secret = content.private_key or content.secret_key
    if not secret:
        raise ValueError("it has no private_key")
    pair = _pair(_seed(secret))
    public_key = PublicKey.from_bytes("ed25519", pair.public_key)
    if content.public_key not in (None, public_key):
        raise ValueError(f"its public_key {content.public_key} does not belong to its private_key ({public_key} does)")
    return name, public_key, pair


def _seed(secret: str) -> bytes:
    """The 32-byte seed of `ed25519:` + base58(seed 32 + public 32), or of the seed alone; ValueError otherwise."""
    curve, colon, body = secret.strip().rpartition(":")
    if colon and curve != "ed25519":
        raise ValueError(f"{curve[:20]!r} keys are not supported, use an ed25519 key")
    if len(body) > 100:
        raise ValueError("the secret key is too long")
    try:
        raw = base58.b58decode(body)
    except ValueError:
        raise ValueError("the secret key is not base58") from None
    if len(raw) not in (_SEED_BYTES, 2 * _SEED_BYTES):
        raise ValueError(f"the secret key has {len(raw)} bytes; 64 (or a seed of 32) are needed")
    seed, public = raw[:_SEED_BYTES], raw[_SEED_BYTES:]
    if public and _pair(seed).public_key != public:
        raise ValueError("the public half of the secret key does not belong to its seed")
    return seed


def _pair(seed: bytes) -> _Pair:
    return cast("_Pair", KeyPair(seed))


def _write(path: Path, account_id: AccountId, seed: bytes) -> PublicKey:
    public = _pair(seed).public_key
    public_key = PublicKey.from_bytes("ed25519", public)
    text = json.dumps(
        {
            "account_id": account_id,
            "public_key": public_key,
            "private_key": f"ed25519:{base58.b58encode(seed + public).decode()}",
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written aside and linked into place, so that a crash leaves either no key file or a whole one.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    return public_key


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # pydantic's own text quotes the input, which may be the secret.
        return "; ".join(f"{'.'.join(map(str, part['loc'])) or 'file'}: {part['type']}" for part in error.errors())
    return str(error)
