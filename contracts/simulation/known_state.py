"""The state as the simulating process knows it: what it was given, and what it asks for when it needs more."""

from bisect import bisect_left
from collections.abc import Callable

from contracts.errors import ContractsError
from contracts.simulation.messages import (
    AccountGiven,
    CodeGiven,
    EpochGiven,
    Given,
    KeyGiven,
    KeysGiven,
    Need,
    NotGiven,
    RecordGiven,
    RecordsGiven,
)
from contracts.types import AccountId, CryptoHash, PublicKey
from contracts.vm.receipts import ActionReceipt, ReceivedData
from contracts.vm.state import AccessKey, Account


class StateUnknown(ContractsError):
    """Something that the plan depends on cannot be read; code `state_unknown`, the message says what and why."""

    def __init__(self, reason: str) -> None:
        super().__init__("state_unknown", reason)


class _Records:
    """What is known of one contract's records."""

    def __init__(self) -> None:
        self.single: dict[bytes, bytes | None] = {}
        self.page: dict[bytes, bytes] | None = None
        self.sorted_keys: list[bytes] = []
        self.through: bytes | None = None

    def take(self, given: RecordsGiven) -> None:
        self.page = dict(given.items)
        self.sorted_keys = sorted(self.page)
        self.through = given.through

    @property
    def complete(self) -> bool:
        return self.page is not None and self.through is None

    def knows(self, key: bytes) -> bool:
        return key in self.single or (self.page is not None and (self.through is None or key <= self.through))

    def get(self, key: bytes) -> bytes | None:
        if key in self.single:
            return self.single[key]
        return self.page.get(key) if self.page is not None else None


class KnownState:
    """A StateReader over what was given. `ask` gets one thing more; StateUnknown comes out where it is not to be had.

    Receipts that are under way on the chain are not part of it: a simulation begins with none.
    """

    def __init__(self, ask: Callable[[Need], Given], codes: dict[str, bytes]) -> None:
        """`codes` is kept between jobs: code never changes under its hash."""
        self._ask = ask
        self._codes = codes
        self._accounts: dict[str, Account | None] = {}
        self._keys: dict[tuple[str, str], AccessKey | None] = {}
        self._key_lists: dict[str, list[tuple[str, AccessKey]]] = {}
        self._records: dict[str, _Records] = {}
        self._owners: dict[str, AccountId] = {}
        self._epoch_height: int | None = None

    def take(self, given: Given) -> None:
        match given:
            case AccountGiven(account_id, account):
                self._accounts[account_id] = account
                if account is not None and account.code_hash is not None:
                    self._owners[account.code_hash] = account_id
            case KeyGiven(account_id, public_key, access_key):
                self._keys[account_id, public_key] = access_key
            case KeysGiven(account_id, keys):
                self._key_lists[account_id] = sorted((str(public_key), key) for public_key, key in keys)
            case RecordsGiven(account_id):
                self._of(account_id).take(given)
            case RecordGiven(account_id, key, value):
                self._of(account_id).single[key] = value
            case CodeGiven(code_hash, code):
                if CryptoHash.of(code) != code_hash:
                    raise StateUnknown(f"the node's code for {code_hash} is another one")
                self._codes[code_hash] = code
            case EpochGiven(epoch_height):
                self._epoch_height = epoch_height
            case NotGiven(reason):
                raise StateUnknown(reason)

    def epoch_height(self) -> int:
        if self._epoch_height is None:
            self._get(Need("epoch"))
        if self._epoch_height is None:
            raise StateUnknown("the epoch was not told")
        return self._epoch_height

    def account(self, account_id: str) -> Account | None:
        if account_id not in self._accounts:
            self._get(Need("account", AccountId(account_id)))
        return self._accounts[account_id]

    def access_key(self, account_id: str, public_key: str) -> AccessKey | None:
        listed = self._key_lists.get(account_id)
        if listed is not None:
            return dict(listed).get(public_key)
        if (account_id, public_key) not in self._keys:
            self._get(Need("key", AccountId(account_id), public_key.encode()))
        return self._keys[account_id, public_key]

    def access_keys(self, account_id: str) -> list[tuple[str, AccessKey]]:
        if account_id not in self._key_lists:
            self._get(Need("keys", AccountId(account_id)))
        return self._key_lists[account_id]

    def storage(self, account_id: str, key: bytes) -> bytes | None:
        records = self._of(account_id)
        if not records.knows(key):
            self._get(Need("records", AccountId(account_id), key))
        return records.get(key)

    def storage_items(self, account_id: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        records = self._of(account_id)
        if not records.complete:
            self._get(Need("records", AccountId(account_id)))
        if not records.complete or records.page is None:
            raise StateUnknown(f"the state of {account_id} is too large to be read as a whole")
        keys, page = records.sorted_keys, records.page
        found: list[tuple[bytes, bytes]] = []
        for place in range(bisect_left(keys, prefix), len(keys)):
            if not keys[place].startswith(prefix):
                break
            found.append((keys[place], page[keys[place]]))
        return found

    def code(self, code_hash: str) -> bytes | None:
        if code_hash not in self._codes:
            self._get(Need("code", self._owners.get(code_hash), code_hash=CryptoHash(code_hash)))
        return self._codes[code_hash]

    def published(self, name: str) -> str | None:
        """A global contract by its name: nodes tell the code of accounts only."""
        raise StateUnknown(f"the global contract {name} cannot be read")

    def postponed(self, receipt_id: str) -> ActionReceipt | None:  # noqa: ARG002
        return None

    def waiting(self, receiver_id: str, data_id: str) -> str | None:  # noqa: ARG002
        return None

    def received(self, receiver_id: str, data_id: str) -> ReceivedData | None:  # noqa: ARG002
        return None

    def _of(self, account_id: str) -> _Records:
        return self._records.setdefault(account_id, _Records())

    def _get(self, need: Need) -> None:
        given = self._ask(need)
        if not _answers(need, given):
            raise StateUnknown(f"asked for {need.what} of {need.account_id}, told something else")
        self.take(given)


def _answers(need: Need, given: Given) -> bool:
    """Whether this tells what was asked for: a state that answers beside the question is not believed."""
    match given:
        case NotGiven():
            return True
        case AccountGiven(account_id):
            return need.what == "account" and account_id == need.account_id
        case KeyGiven(account_id, public_key):
            return need.what == "key" and account_id == need.account_id and public_key.encode() == need.key
        case KeysGiven(account_id):
            return need.what == "keys" and account_id == need.account_id
        case RecordsGiven(account_id, _, through):
            enough = through is None or (need.key is not None and need.key <= through)
            return need.what == "records" and account_id == need.account_id and enough
        case RecordGiven(account_id, key):
            return need.what == "records" and account_id == need.account_id and key == need.key
        case CodeGiven(code_hash):
            return need.what == "code" and code_hash == need.code_hash
        case EpochGiven():
            return need.what == "epoch"


def public_key_of(need: Need) -> PublicKey:
    """The public key that a `key` need names. ValueError where it is none."""
    return PublicKey((need.key or b"").decode("ascii", "replace"))
