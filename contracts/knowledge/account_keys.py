"""The keys of an account: those on chain, those that the signer holds, and the one for an account that is to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from contracts.errors import InvalidInput
from contracts.types import AccountId, PublicKey


class KeyItem(Protocol):
    @property
    def public_key(self) -> str: ...
    @property
    def full_access(self) -> bool: ...


class KeyList(Protocol):
    @property
    def keys(self) -> Sequence[KeyItem]: ...


class KeySource(Protocol):
    """The signer, asked for public keys alone. SigningError where it does not answer."""

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]: ...
    async def key_for_new_account(self, account_id: AccountId) -> PublicKey:
        """A key that is on the signer's disk when this returns; the same one when asked again."""
        ...


class NoSigner:
    """For reading facts where nothing is going to be signed."""

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        del account_id
        return ()

    async def key_for_new_account(self, account_id: AccountId) -> PublicKey:
        raise InvalidInput("no_signer", f"there is no signer here that could make a key for {account_id}")


NO_SIGNER: Final = NoSigner()


@dataclass(frozen=True, slots=True)
class KeysFacts:
    """An account's access keys."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class NewKeyFacts:
    """The key of an account that is going to be created: the signer makes and keeps it before anyone is asked."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class KeysFact:
    full: frozenset[str]
    """Full-access keys on chain."""
    limited: frozenset[str]
    """All others on chain."""
    held: frozenset[str]
    """Keys that the signer signs with."""


@dataclass(frozen=True, slots=True)
class NewKeyFact:
    public_key: PublicKey
