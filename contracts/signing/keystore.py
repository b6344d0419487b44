"""Key files in near-cli's forms, read into the memory of whoever signs.

A file holds `account_id`, `public_key` and `private_key` and is `DIR/NETWORK/ACCOUNT.json` (near-cli), `DIR/ACCOUNT.json`
(other tools) or `DIR/NETWORK/ACCOUNT/ed25519_KEY.json` (near-cli-rs, several keys of one account).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import SigningError
from contracts.folders import sync_folder
from contracts.private_files import create_private
from contracts.signing.keypair import SecretKey
from contracts.types import AccountId, PublicKey

MAX_KEY_FILE_BYTES: Final = 65536
RETIRED: Final = ".retired"
"""Follows the name of a key file that is read no more."""


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
    """Secret keys by account. Built by `load`; shows account ids only, and does not pickle."""

    def __init__(
        self, keys: dict[AccountId, dict[PublicKey, SecretKey]], problems: tuple[KeyFileProblem, ...] = ()
    ) -> None:
        self._keys = keys
        self.problems = problems

    @classmethod
    def load(cls, credentials_dir: Path, network: str) -> Self:
        """The keys of a near-cli folder, all layouts; a missing folder holds none.

        A file that is wrong is in `problems` and makes only its own account unusable.
        """
        store = cls({})
        problems: list[KeyFileProblem] = []
        for path, name in key_files(credentials_dir, network):
            try:
                store.add(*_read(path, name))
            except (OSError, ValueError) as error:
                problems.append(KeyFileProblem(path, name, _reason(error)))
        store.problems = tuple(problems)
        return store

    def add(self, account_id: AccountId, key: SecretKey) -> None:
        self._keys.setdefault(account_id, {})[key.public_key] = key

    def accounts(self) -> tuple[AccountId, ...]:
        """Accounts with at least one usable key, sorted."""
        return tuple(sorted(self._keys))

    def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        """An account's keys, sorted; empty where there is none. SigningError `bad_key_file` where its file is wrong."""
        keys = tuple(sorted(self._keys.get(account_id, {})))
        if not keys:
            for problem in self.problems:
                if problem.account_id == account_id:
                    raise SigningError("bad_key_file", f"key file {problem.path} cannot be used: {problem.reason}")
        return keys

    def unsafe_sign_hash(self, account_id: AccountId, public_key: PublicKey, digest: bytes) -> bytes:
        """The signature over a 32-byte digest, whatever it stands for: only a signer that checked a grant asks.

        SigningError `no_key`.
        """
        key = self._keys.get(account_id, {}).get(public_key)
        if key is None:
            raise SigningError("no_key", f"no key {public_key} of {account_id} is in the credentials folder")
        return key.sign_digest(digest)

    def __repr__(self) -> str:
        return f"KeyStore(accounts={list(self.accounts())})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key store does not leave its process")


def parse_secret(account_id: AccountId, secret_key: str) -> SecretKey:
    """A secret key given as text. SigningError `bad_key` with the reason; the text is not repeated in it."""
    try:
        return SecretKey.parse(secret_key)
    except ValueError as error:
        raise SigningError("bad_key", f"the secret key for {account_id} cannot be used: {error}") from None


def key_files(credentials_dir: Path, network: str) -> Iterator[tuple[Path, str]]:
    """Key files with the account that each is named for, in every layout."""
    for folder in (credentials_dir / network, credentials_dir):
        if folder.is_dir():
            yield from ((path, path.stem) for path in sorted(folder.glob("*.json")) if path.is_file())
    inner = credentials_dir / network
    if inner.is_dir():
        for path in sorted(inner.glob("*/*.json")):
            if path.is_file():
                yield path, path.parent.name


def additional_path(credentials_dir: Path, network: str, account_id: AccountId, public_key: PublicKey) -> Path:
    """Where a further key of an account lies, beside the first."""
    return credentials_dir / network / account_id / f"{public_key.replace(':', '_')}.json"


def retire_key_files(credentials_dir: Path, network: str, account_id: AccountId, public_key: PublicKey) -> list[Path]:
    """Rename the files of one key, so that it is read no more; what they are called now."""
    retired: list[Path] = []
    for path, name in list(key_files(credentials_dir, network)):
        try:
            found = _read(path, name)
        except (OSError, ValueError):
            continue
        if found[0] == account_id and found[1].public_key == public_key:
            there = path.with_name(f"{account_id}.{public_key.replace(':', '_')}{RETIRED}")
            path.replace(there)
            sync_folder(path.parent)
            retired.append(there)
    return retired


def write_key_file(path: Path, account_id: AccountId, key: SecretKey) -> PublicKey:
    """Write a key's file (0600), on disk when this returns. FileExistsError where it is there already."""
    content = {"account_id": account_id, "public_key": key.public_key, "private_key": key.unsafe_text()}
    create_private(path, json.dumps(content))
    return key.public_key


def _read(path: Path, named: str) -> tuple[AccountId, SecretKey]:
    with path.open("rb") as file:
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_KEY_FILE_BYTES} bytes")
    content = _KeyFile.model_validate_json(data)
    name = AccountId(named)
    if content.account_id not in (None, name):
        raise ValueError(f"it is named for {name} and holds a key of {content.account_id}")
    secret = content.private_key or content.secret_key
    if not secret:
        raise ValueError("it has no private_key")
    key = SecretKey.parse(secret)
    if content.public_key not in (None, key.public_key):
        raise ValueError(
            f"its public_key {content.public_key} does not belong to its private_key ({key.public_key} does)"
        )
    return name, key


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # pydantic's own text quotes the input, which may be the secret.
        return "; ".join(f"{'.'.join(map(str, part['loc'])) or 'file'}: {part['type']}" for part in error.errors())
    return str(error)
