"""The chain's whole state in memory, and the way back to the state of recent blocks."""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import TypeVar

from contracts.vm.receipts import ActionReceipt, ReceivedData
from contracts.vm.state import AccessKey, Account, Changes, StateReader

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
        return sorted(item for item in records.items() if item[0].startswith(prefix))

    def code(self, code_hash: str) -> bytes | None:
        return self._code.get(code_hash)

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        return self._postponed.get(receipt_id)

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        return self._waiting.get((receiver_id, data_id))

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        return self._received.get((receiver_id, data_id))

    def total_supply(self) -> int:
        """All liquid and staked yoctoNEAR."""
        return sum(account.amount + account.locked for account in self._accounts.values())

    def apply(self, changes: Changes) -> Changes:
        """Take a block's changes over; returns the changes that lead back."""
        return Changes(
            accounts={key: _put(self._accounts, key, value) for key, value in changes.accounts.items()},
            access_keys={
                (account_id, key): _put(self._keys.setdefault(account_id, {}), key, value)
                for (account_id, key), value in changes.access_keys.items()
            },
            storage={
                (account_id, key): _put(self._storage.setdefault(account_id, {}), key, value)
                for (account_id, key), value in changes.storage.items()
            },
            code=self._add_code(changes.code),
            postponed={key: _put(self._postponed, key, value) for key, value in changes.postponed.items()},
            waiting={key: _put(self._waiting, key, value) for key, value in changes.waiting.items()},
            received={key: _put(self._received, key, value) for key, value in changes.received.items()},
        )

    def _add_code(self, code: dict[str, bytes]) -> dict[str, bytes]:
        self._code.update(code)
        return {}


def _put(table: dict[_KeyT, _ValueT], key: _KeyT, value: _ValueT | None) -> _ValueT | None:
    before = table.get(key)
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return before


class History:
    """The changes that lead back from the latest state, newest last; at most `depth` blocks of them."""

    def __init__(self, state: ChainState, depth: int) -> None:
        self._state = state
        self._back: deque[Changes] = deque(maxlen=depth)

    def add(self, back: Changes) -> None:
        self._back.append(back)

    def before(self, blocks: int) -> StateReader | None:
        """The state as it was that many blocks ago; None where that is further back than what is kept."""
        if blocks == 0:
            return self._state
        if blocks > len(self._back):
            return None
        return _PastState(self._state, list(self._back)[-blocks:])


class _PastState:
    """The latest state seen through the changes that lead back, the oldest first: its first mention of a key holds."""

    def __init__(self, state: ChainState, back: list[Changes]) -> None:
        self._state = state
        self._back = back

    def account(self, account_id: str) -> Account | None:
        for changes in self._back:
            if account_id in changes.accounts:
                return changes.accounts[account_id]
        return self._state.account(account_id)

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:
        for changes in self._back:
            if (account_id, public_key) in changes.access_keys:
                return changes.access_keys[account_id, public_key]
        return self._state.access_key(account_id, public_key)

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        keys: dict[str, AccessKey | None] = dict(self._state.access_keys(account_id))
        for changes in reversed(self._back):
            keys.update({key: value for (owner, key), value in changes.access_keys.items() if owner == account_id})
        return list(_present(keys))

    def storage(self, account_id: str, key: bytes) -> bytes | None:
        for changes in self._back:
            if (account_id, key) in changes.storage:
                return changes.storage[account_id, key]
        return self._state.storage(account_id, key)

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        records: dict[bytes, bytes | None] = dict(self._state.storage_items(account_id, prefix))
        for changes in reversed(self._back):
            for (owner, key), value in changes.storage.items():
                if owner == account_id and key.startswith(prefix):
                    records[key] = value
        return list(_present(records))

    def code(self, code_hash: str) -> bytes | None:
        return self._state.code(code_hash)

    def postponed(self, receipt_id: str) -> ActionReceipt | None:
        for changes in self._back:
            if receipt_id in changes.postponed:
                return changes.postponed[receipt_id]
        return self._state.postponed(receipt_id)

    def waiting(self, receiver_id: str, data_id: str) -> str | None:
        for changes in self._back:
            if (receiver_id, data_id) in changes.waiting:
                return changes.waiting[receiver_id, data_id]
        return self._state.waiting(receiver_id, data_id)

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:
        for changes in self._back:
            if (receiver_id, data_id) in changes.received:
                return changes.received[receiver_id, data_id]
        return self._state.received(receiver_id, data_id)


def _present(table: dict[_SortedT, _ValueT | None]) -> Iterator[tuple[_SortedT, _ValueT]]:
    for key in sorted(table):
        value = table[key]
        if value is not None:
            yield key, value
