"""The chain's whole state in memory, and the way back to the state of recent blocks."""

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from contracts.localnet.rpc_errors import internal_error
from contracts.vm.receipts import ActionReceipt, ReceivedData
from contracts.vm.state import AccessKey, Account, Changes

_KeyT = TypeVar("_KeyT", bound=Hashable)
_ValueT = TypeVar("_ValueT")
_SortedT = TypeVar("_SortedT", str, bytes)


class ChainState:
    """Every account, key, record and waiting receipt as of the latest block; a `vm.state.StateReader`."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, dict[str, AccessKey]] = {}
        self._storage: dict[str, dict[bytes, bytes]] = {}
        self._code: dict[str, bytes] = {}
        self._published: dict[str, str] = {}
        self._postponed: dict[str, ActionReceipt] = {}
        self._waiting: dict[tuple[str, str], str] = {}
        self._received: dict[tuple[str, str], ReceivedData] = {}

    def account(self, account_id: str) -> Account | None:
        return self._accounts.get(account_id)

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:
        keys = self._keys.get(account_id)
        return keys.get(public_key) if keys is not None else None

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        return sorted(self._keys.get(account_id, {}).items(), key=lambda item: item[0])

    def storage(self, account_id: str, key: bytes) -> bytes | None:
        records = self._storage.get(account_id)
        return records.get(key) if records is not None else None

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        records = self._storage.get(account_id, {})
        return sorted(item for item in list(records.items()) if item[0].startswith(prefix))

    def code(self, code_hash: str) -> bytes | None:
        return self._code.get(code_hash)

    def published(self, name: str) -> str | None:
        return self._published.get(name)

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        return self._postponed.get(receipt_id)

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        return self._waiting.get((receiver_id, data_id))

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        return self._received.get((receiver_id, data_id))

    def total_supply(self) -> int:
        """All liquid and staked yoctoNEAR."""
        return sum(account.amount + account.locked for account in self._accounts.values())

    def back(self, changes: Changes) -> Changes:
        """The changes that lead back from where these lead to."""
        return Changes(
            accounts={key: self.account(key) for key in changes.accounts},
            access_keys={key: self.access_key(*key) for key in changes.access_keys},
            storage={key: self.storage(*key) for key in changes.storage},
            code={},
            postponed={key: self.postponed(key) for key in changes.postponed},
            waiting={key: self.waiting(*key) for key in changes.waiting},
            received={key: self.received(*key) for key in changes.received},
            published={key: self._published.get(key, "") for key in changes.published},
        )

    def apply(self, changes: Changes) -> None:
        """Take a block's changes over."""
        _put(self._accounts, changes.accounts)
        for (account_id, key), access_key in changes.access_keys.items():
            _put(self._keys.setdefault(account_id, {}), {key: access_key})
        for (account_id, key), value in changes.storage.items():
            _put(self._storage.setdefault(account_id, {}), {key: value})
        self._code.update(changes.code)
        self._published.update(changes.published)
        _put(self._postponed, changes.postponed)
        _put(self._waiting, changes.waiting)
        _put(self._received, changes.received)


def _put(table: dict[_KeyT, _ValueT], changes: Mapping[_KeyT, _ValueT | None]) -> None:
    for key, value in changes.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def _noted_height(note: tuple[int, Changes]) -> int:
    return note[0]


class History:
    """The latest state, and the changes that lead back from it through at most `depth` blocks.

    A `PastState` may be read from another thread while blocks are added: what leads back from a block is noted, and the
    height counted up, before the block is applied; a reader looks at the state first, and at height and notes after.
    """

    def __init__(self, state: ChainState, height: int, depth: int) -> None:
        self.state = state
        self.height = height
        self._notes: deque[tuple[int, Changes]] = deque(maxlen=depth)

    def add(self, changes: Changes, height: int) -> None:
        """The changes of the next block, which has that height."""
        self._notes.append((self.height, self.state.back(changes)))
        self.height = height
        self.state.apply(changes)

    def at(self, height: int) -> "PastState | None":
        """The state after the block of that height; None where it is further back than what is kept."""
        oldest = self._notes[0][0] if self._notes else self.height
        return PastState(self, height) if oldest <= height <= self.height else None

    def since(self, height: int) -> list[Changes]:
        """What leads back to that height, the oldest first; INTERNAL_ERROR where that is no longer kept."""
        if height == self.height:
            return []
        notes = list(self._notes)  # one step of the interpreter, unlike a loop over a deque that grows meanwhile
        if notes[0][0] > height:
            raise internal_error(f"the state of block {height} left the window while it was read; ask at a newer block")
        return [back for _, back in notes[bisect_left(notes, height, key=_noted_height) :]]


class PastState:
    """The state after one block, whatever blocks follow: the oldest change that leads back to it holds."""

    def __init__(self, history: History, height: int) -> None:
        self._history = history
        self._state = history.state
        self._height = height

    def account(self, account_id: str) -> Account | None:
        latest = self._state.account(account_id)
        for changes in self._history.since(self._height):
            if account_id in changes.accounts:
                return changes.accounts[account_id]
        return latest

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:
        latest = self._state.access_key(account_id, public_key)
        for changes in self._history.since(self._height):
            if (account_id, public_key) in changes.access_keys:
                return changes.access_keys[account_id, public_key]
        return latest

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        keys: dict[str, AccessKey | None] = dict(self._state.access_keys(account_id))
        for changes in reversed(self._history.since(self._height)):
            keys.update({key: value for (owner, key), value in changes.access_keys.items() if owner == account_id})
        return list(_present(keys))

    def storage(self, account_id: str, key: bytes) -> bytes | None:
        latest = self._state.storage(account_id, key)
        for changes in self._history.since(self._height):
            if (account_id, key) in changes.storage:
                return changes.storage[account_id, key]
        return latest

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        records: dict[bytes, bytes | None] = dict(self._state.storage_items(account_id, prefix))
        for changes in reversed(self._history.since(self._height)):
            for (owner, key), value in changes.storage.items():
                if owner == account_id and key.startswith(prefix):
                    records[key] = value
        return list(_present(records))

    def code(self, code_hash: str) -> bytes | None:
        return self._state.code(code_hash)

    def published(self, name: str) -> str | None:
        latest = self._state.published(name)
        for changes in self._history.since(self._height):
            if name in changes.published:
                return changes.published[name] or None
        return latest

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        latest = self._state.postponed(receipt_id)
        for changes in self._history.since(self._height):
            if receipt_id in changes.postponed:
                return changes.postponed[receipt_id]
        return latest

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        latest = self._state.waiting(receiver_id, data_id)
        for changes in self._history.since(self._height):
            if (receiver_id, data_id) in changes.waiting:
                return changes.waiting[receiver_id, data_id]
        return latest

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        latest = self._state.received(receiver_id, data_id)
        for changes in self._history.since(self._height):
            if (receiver_id, data_id) in changes.received:
                return changes.received[receiver_id, data_id]
        return latest


def _present(table: dict[_SortedT, _ValueT | None]) -> Iterator[tuple[_SortedT, _ValueT]]:
    for key in sorted(table):
        value = table[key]
        if value is not None:
            yield key, value
