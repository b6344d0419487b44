"""Accounts, keys, contract data and waiting receipts: what a chain's state is to the runtime, and changes over it."""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar, assert_never

from contracts.calls import GlobalAccountId, GlobalCodeHash, GlobalContract, Permission
from contracts.types import CryptoHash
from contracts.vm.receipts import ActionReceipt, ReceivedData

TextT = TypeVar("TextT", str, bytes)
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Account:
    amount: int
    """Liquid yoctoNEAR."""
    locked: int
    """Staked yoctoNEAR."""
    code_hash: CryptoHash | None
    """sha256 of the contract's own code; None without one."""
    storage_usage: int
    """Bytes: 100 for the account, plus keys, code and data records."""
    global_contract: GlobalContract | None = None
    """The published contract that it uses in the place of code of its own."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    nonce: int
    """0 for a gas key, whose nonces are in `nonces`."""
    permission: Permission
    nonces: tuple[int, ...] = ()
    """A gas key's nonces, by index."""


class StateReader(Protocol):
    """The state as of one moment. None everywhere means absent."""

    def account(self, account_id: str) -> Account | None: ...
    def access_key(self, account_id: str, public_key: str) -> AccessKey | None: ...
    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        """All keys of an account, sorted by public key text."""
        ...

    def storage(self, account_id: str, key: bytes) -> bytes | None: ...
    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Records whose key begins with the prefix, sorted by key."""
        ...

    def code(self, code_hash: str) -> bytes | None: ...
    def published(self, name: str) -> str | None:
        """The code hash of a global contract, by its `published_name`."""
        ...

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        """A receipt that waits for data."""
        ...

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        """The id of the postponed receipt that waits for this data."""
        ...

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        """Data that came before its receipt, or before the receipt's other data."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What an overlay changed, by kind; a value None deletes."""

    accounts: dict[str, Account | None]
    access_keys: dict[tuple[str, str], AccessKey | None]
    """By account id and public key."""
    storage: dict[tuple[str, bytes], bytes | None]
    """By account id and key."""
    code: dict[str, bytes]
    """By code hash; never deleted."""
    postponed: dict[str, ActionReceipt | None]
    """By receipt id."""
    waiting: dict[tuple[str, str], str | None]
    """Receipt id by receiver id and data id."""
    received: dict[tuple[str, str], ReceivedData | None]
    """By receiver id and data id."""
    published: dict[str, str] = field(default_factory=dict[str, str])
    """Code hashes of global contracts by `published_name`; replaced, never deleted ("" in what leads back)."""


def published_name(contract: GlobalContract) -> str:
    """Under which name the state knows a global contract."""
    match contract:
        case GlobalCodeHash(code_hash):
            return f"hash:{code_hash}"
        case GlobalAccountId(account_id):
            return f"account:{account_id}"
        case _:
            assert_never(contract)


def contract_hash(state: "StateReader", account: Account) -> CryptoHash | None:
    """The hash of the code that an account runs, its own or a global contract's; None without any."""
    if account.global_contract is None:
        return account.code_hash
    found = state.published(published_name(account.global_contract))
    return CryptoHash(found) if found is not None else None


class EmptyState:
    """A state with nothing in it: the ground under a genesis."""

    def account(self, account_id: str) -> Account | None:  # noqa: ARG002
        return None

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:  # noqa: ARG002
        return None

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:  # noqa: ARG002
        return []

    def storage(self, account_id: str, key: bytes) -> bytes | None:  # noqa: ARG002
        return None

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:  # noqa: ARG002
        return []

    def code(self, code_hash: str) -> bytes | None:  # noqa: ARG002
        return None

    def published(self, name: str) -> str | None:  # noqa: ARG002
        return None

    def postponed(self, receipt_id: str) -> ActionReceipt | None:  # noqa: ARG002
        return None

    def waiting(self, receiver_id: str, data_id: str) -> str | None:  # noqa: ARG002
        return None

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:  # noqa: ARG002
        return None


@dataclass(slots=True)
class _Layer:
    accounts: dict[str, Account | None] = field(default_factory=dict[str, Account | None])
    access_keys: dict[str, dict[str, AccessKey | None]] = field(default_factory=dict[str, dict[str, AccessKey | None]])
    storage: dict[str, dict[bytes, bytes | None]] = field(default_factory=dict[str, dict[bytes, bytes | None]])
    code: dict[str, bytes] = field(default_factory=dict[str, bytes])
    published: dict[str, str] = field(default_factory=dict[str, str])
    postponed: dict[str, ActionReceipt | None] = field(default_factory=dict[str, ActionReceipt | None])
    waiting: dict[tuple[str, str], str | None] = field(default_factory=dict[tuple[str, str], str | None])
    received: dict[tuple[str, str], ReceivedData | None] = field(
        default_factory=dict[tuple[str, str], ReceivedData | None]
    )


class Overlay:
    """Changes kept in memory over a reader that is never written to; itself a StateReader.

    `child()` opens a layer above this one; `merge(child)` takes its changes over, and dropping a child forgets them.
    """

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._own = _Layer()

    def child(self) -> "Overlay":
        return Overlay(self)

    def merge(self, child: "Overlay") -> None:
        """Take over the changes of a child made by `child()`."""
        mine, other = self._own, child._own  # noqa: SLF001  another layer of the same class
        mine.accounts.update(other.accounts)
        for account_id, keys in other.access_keys.items():
            mine.access_keys.setdefault(account_id, {}).update(keys)
        for account_id, records in other.storage.items():
            mine.storage.setdefault(account_id, {}).update(records)
        mine.code.update(other.code)
        mine.published.update(other.published)
        mine.postponed.update(other.postponed)
        mine.waiting.update(other.waiting)
        mine.received.update(other.received)

    def changes(self) -> Changes:
        own = self._own
        return Changes(
            accounts=dict(own.accounts),
            access_keys={
                (account_id, key): value for account_id, keys in own.access_keys.items() for key, value in keys.items()
            },
            storage={
                (account_id, key): value
                for account_id, records in own.storage.items()
                for key, value in records.items()
            },
            code=dict(own.code),
            postponed=dict(own.postponed),
            waiting=dict(own.waiting),
            received=dict(own.received),
            published=dict(own.published),
        )

    def account(self, account_id: str) -> Account | None:
        own = self._own.accounts
        return own[account_id] if account_id in own else self._reader.account(account_id)

    def set_account(self, account_id: str, account: Account | None) -> None:
        self._own.accounts[account_id] = account

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:
        own = self._own.access_keys.get(account_id)
        if own is not None and public_key in own:
            return own[public_key]
        return self._reader.access_key(account_id, public_key)

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        below = self._reader.access_keys(account_id)
        own = self._own.access_keys.get(account_id)
        return _merged(below, own, "") if own else below

    def set_access_key(self, account_id: str, public_key: str, access_key: AccessKey | None) -> None:
        self._own.access_keys.setdefault(account_id, {})[public_key] = access_key

    def storage(self, account_id: str, key: bytes) -> bytes | None:
        own = self._own.storage.get(account_id)
        if own is not None and key in own:
            return own[key]
        return self._reader.storage(account_id, key)

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        below = self._reader.storage_items(account_id, prefix)
        own = self._own.storage.get(account_id)
        return _merged(below, own, prefix) if own else below

    def set_storage(self, account_id: str, key: bytes, value: bytes | None) -> None:
        self._own.storage.setdefault(account_id, {})[key] = value

    def code(self, code_hash: str) -> bytes | None:
        own = self._own.code.get(code_hash)
        return own if own is not None else self._reader.code(code_hash)

    def add_code(self, code: bytes) -> CryptoHash:
        """Keep contract code under its sha256, which is returned."""
        code_hash = CryptoHash.of(code)
        self._own.code[code_hash] = code
        return code_hash

    def published(self, name: str) -> str | None:
        own = self._own.published.get(name)
        return own if own is not None else self._reader.published(name)

    def publish(self, contract: GlobalContract, code: bytes) -> None:
        """Keep code as a global contract, in the place of what had that name before."""
        self._own.published[published_name(contract)] = self.add_code(code)

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        own = self._own.postponed
        return own[receipt_id] if receipt_id in own else self._reader.postponed(receipt_id)

    def set_postponed(self, receipt_id: str, receipt: ActionReceipt | None) -> None:
        self._own.postponed[receipt_id] = receipt

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        own = self._own.waiting
        key = (receiver_id, data_id)
        return own[key] if key in own else self._reader.waiting(receiver_id, data_id)

    def set_waiting(self, receiver_id: str, data_id: str, receipt_id: str | None) -> None:
        self._own.waiting[receiver_id, data_id] = receipt_id

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        own = self._own.received
        key = (receiver_id, data_id)
        return own[key] if key in own else self._reader.received(receiver_id, data_id)

    def set_received(self, receiver_id: str, data_id: str, received: ReceivedData | None) -> None:
        self._own.received[receiver_id, data_id] = received

    def delete_account(self, account_id: str) -> None:
        """Remove the account with its keys and its data. Code stays: other accounts may share it."""
        for public_key, _ in self.access_keys(account_id):
            self.set_access_key(account_id, public_key, None)
        for key, _ in self.storage_items(account_id, b""):
            self.set_storage(account_id, key, None)
        self.set_account(account_id, None)


def _merged(
    below: list[tuple[TextT, ValueT]], own: dict[TextT, ValueT | None], prefix: TextT
) -> list[tuple[TextT, ValueT]]:
    merged: dict[TextT, ValueT | None] = dict(below)
    merged.update((key, value) for key, value in own.items() if key.startswith(prefix))
    return [(key, merged_value) for key in sorted(merged) if (merged_value := merged[key]) is not None]
