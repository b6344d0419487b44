"""State of one final block, read from the nodes: each thing once, as early as it is known to be needed, and counted.

What cannot be read is a `NotGiven` with its reason and never an exception: a pre-flight that lacks something says so.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from contracts.calls import FullAccess, FunctionCallAccess
from contracts.chain.rpc_types import (
    AccessKeyList,
    AccessKeyView,
    AccountView,
    BlockRef,
    BlockView,
    CodeView,
    ProtocolConfig,
    StateView,
    ValidatorsView,
)
from contracts.errors import RpcError
from contracts.knowledge.inert import inert
from contracts.simulation.known_state import public_key_of
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
from contracts.vm.state import AccessKey, Account

PAGE_ITEMS: Final = 10_000
"""Records asked for at once; a node that pages sends at most 50,000 bytes."""
_RECORD_BYTES: Final = 40
"""What every record counts for beside its key and value."""
_MAX_CODE_BYTES: Final = 64 * 1024 * 1024
_KNOWN_CODES: Final = 4096
_KEYS_BLOCKS: Final = 1000
_NO_KEY: Final = ("UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT")


@dataclass(frozen=True, slots=True)
class Pinned:
    """The final block that everything is read at."""

    height: int
    hash: CryptoHash
    timestamp_ns: int
    gas_price: int
    """yoctoNEAR per gas."""
    epoch_id: CryptoHash | None = None

    @classmethod
    def of(cls, block: BlockView) -> "Pinned":
        return cls(block.height, block.hash, block.timestamp_ns, block.gas_price, block.epoch_id)


class StateRpc(Protocol):
    """The node. RpcError where it refuses or does not answer."""

    async def block(self, at: BlockRef = "final") -> BlockView: ...
    async def protocol_config(self) -> ProtocolConfig: ...
    async def account(self, account_id: AccountId, at: BlockRef = "final") -> AccountView: ...
    async def access_key(
        self, account_id: AccountId, public_key: PublicKey, at: BlockRef = "final"
    ) -> AccessKeyView: ...
    async def access_keys(self, account_id: AccountId, at: BlockRef = "final") -> AccessKeyList: ...
    async def code(self, account_id: AccountId, at: BlockRef = "final") -> CodeView: ...
    async def state(
        self, account_id: AccountId, prefix: bytes = b"", at: BlockRef = "final", *, limit: int | None = None
    ) -> StateView: ...
    async def validators(self) -> ValidatorsView: ...


@dataclass(frozen=True, slots=True)
class FullKeys:
    """How many full-access keys an account had at a block."""

    count: int
    height: int


class Codes:
    """What never changes, kept between pre-flights: code by its hash, and the height of an epoch by its id.

    Also which code an account had when last seen, which is only used to ask for it early, and who could replace it.
    `at_hand` is code that need not be asked for.
    """

    def __init__(self, at_hand: Iterable[bytes] = ()) -> None:
        self._codes: OrderedDict[CryptoHash, bytes] = OrderedDict((CryptoHash.of(code), code) for code in at_hand)
        self.last_seen: OrderedDict[AccountId, CryptoHash] = OrderedDict()
        self.epochs: dict[CryptoHash, int] = {}
        self.full_keys: OrderedDict[tuple[AccountId, CryptoHash], FullKeys] = OrderedDict()

    def get(self, code_hash: CryptoHash) -> bytes | None:
        code = self._codes.get(code_hash)
        if code is not None:
            self._codes.move_to_end(code_hash)
        return code

    def add(self, code_hash: CryptoHash, code: bytes) -> None:
        self._codes[code_hash] = code
        while sum(map(len, self._codes.values())) > _MAX_CODE_BYTES:
            self._codes.popitem(last=False)

    def saw(self, account_id: AccountId, code_hash: CryptoHash) -> None:
        self.last_seen[account_id] = code_hash
        self.last_seen.move_to_end(account_id)
        if len(self.last_seen) > _KNOWN_CODES:
            self.last_seen.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Unread:
    """It could not be read, for this reason; `code` is the node's, where it gave one."""

    reason: str
    code: str = ""


KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
AnswerT = TypeVar("AnswerT", AccountView, AccessKeyView, AccessKeyList, CodeView, StateView, ValidatorsView)


class RemoteState:
    """Reads at one block. `group` runs what is read in advance and is the caller's to end.

    `slots` bounds the requests that are under way, together with other plans that have the same.
    """

    def __init__(
        self,
        rpc: StateRpc,
        block: Pinned,
        codes: Codes,
        group: asyncio.TaskGroup,
        max_calls: int,
        slots: asyncio.Semaphore | None = None,
    ) -> None:
        self._rpc = rpc
        self.block = block
        self._codes = codes
        self._group = group
        self._max_calls = max_calls
        self._slots = slots or asyncio.Semaphore(max_calls)
        self.silent: str | None = None
        """Return why a node gave no answer to something, if asking again can help."""
        self.calls = 0
        """Requests so far."""
        self._accounts: dict[AccountId, asyncio.Task[AccountView | Unread | None]] = {}
        self._keys: dict[tuple[AccountId, PublicKey], asyncio.Task[AccessKeyView | Unread | None]] = {}
        self._lists: dict[AccountId, asyncio.Task[AccessKeyList | Unread]] = {}
        self._pages: dict[AccountId, asyncio.Task[RecordsGiven | Unread]] = {}
        self._fetched: dict[CryptoHash, asyncio.Task[CodeGiven | Unread]] = {}

    # what is read, each once

    async def account(self, account_id: AccountId) -> AccountView | Unread | None:
        """None: there is no such account at the block."""
        return await self._once(self._accounts, account_id, lambda: self._read_account(account_id))

    async def access_key(self, account_id: AccountId, key: PublicKey) -> AccessKeyView | Unread | None:
        return await self._once(self._keys, (account_id, key), lambda: self._read_key(account_id, key))

    async def access_keys(self, account_id: AccountId) -> AccessKeyList | Unread:
        return await self._once(self._lists, account_id, lambda: self._read_keys(account_id))

    async def full_keys(self, account_id: AccountId) -> FullKeys | Unread:
        """Who can replace a contract's code. Read at this block, or known from one of the last ten minutes or so."""
        likely = self.likely_code(account_id)
        kept = self._codes.full_keys.get((account_id, likely)) if likely is not None else None
        if kept is not None and 0 <= self.block.height - kept.height <= _KEYS_BLOCKS:
            return kept
        listed = await self.access_keys(account_id)
        if isinstance(listed, Unread):
            return listed
        count = sum(not isinstance(item.permission, FunctionCallAccess) for item in listed.keys)
        account = await self.account(account_id)
        found = FullKeys(count, self.block.height)
        code_hash = (account.code_hash or account.global_contract_hash) if isinstance(account, AccountView) else None
        if code_hash is not None:
            self._codes.full_keys[account_id, code_hash] = found
            if len(self._codes.full_keys) > _KNOWN_CODES:
                self._codes.full_keys.popitem(last=False)
        return found

    async def first_page(self, account_id: AccountId) -> RecordsGiven | Unread:
        """All records of a contract, or as many as the node gives at once."""
        return await self._once(self._pages, account_id, lambda: self._read_page(account_id))

    async def code(self, account_id: AccountId, code_hash: CryptoHash) -> CodeGiven | Unread:
        kept = self._codes.get(code_hash)
        if kept is not None:
            return CodeGiven(code_hash, kept)
        return await self._once(self._fetched, code_hash, lambda: self._read_code(account_id, code_hash))

    def seen(self, account_id: AccountId) -> AccountView | Unread | None:
        """An account that was read already; Unread where it was not."""
        task = self._accounts.get(account_id)
        return task.result() if task is not None and task.done() else Unread("it was not asked for")

    def likely_code(self, account_id: AccountId) -> CryptoHash | None:
        """The code that the account had when it was last seen."""
        return self._codes.last_seen.get(account_id)

    async def whole_contract(self, account_id: AccountId) -> list[Given]:
        """What running a contract will ask for, as far as it can be read at once."""
        likely = self.likely_code(account_id)
        async with asyncio.TaskGroup() as group:
            account = group.create_task(self.account(account_id))
            page = group.create_task(self.first_page(account_id))
            early = group.create_task(self.code(account_id, likely)) if likely is not None else None
        given = [self._account_given(account_id, account.result())]
        if not isinstance(given[0], AccountGiven) or given[0].account is None:
            return [item for item in given if isinstance(item, AccountGiven)]
        records = page.result()
        if isinstance(records, RecordsGiven) and not _too_many(records, account.result()):
            given.append(records)
        code_hash = given[0].account.code_hash
        if code_hash is not None:
            code = (
                early.result() if early is not None and code_hash == likely else await self.code(account_id, code_hash)
            )
            if isinstance(code, CodeGiven):
                given.append(code)
        return given

    # what the simulation asks for

    async def answer(self, need: Need) -> Given:
        account_id = need.account_id
        if need.what == "epoch":
            return await self._epoch()
        if account_id is None:
            return NotGiven(f"{need.what} of no account was asked for")
        match need.what:
            case "account":
                return self._account_given(account_id, await self.account(account_id))
            case "key":
                return await self._key_given(account_id, need)
            case "keys":
                return self._keys_given(account_id, await self.access_keys(account_id))
            case "records":
                return await self._records_given(account_id, need.key)
            case "code":
                if need.code_hash is None:
                    return NotGiven("code of no hash was asked for")
                return _given(await self.code(account_id, need.code_hash))

    async def _records_given(self, account_id: AccountId, key: bytes | None) -> Given:
        page = await self.first_page(account_id)
        account = await self.account(account_id)
        if isinstance(page, Unread):
            return NotGiven(page.reason)
        if _too_many(page, account):
            return NotGiven(f"the node shows more state of {account_id} than the account is said to use")
        if page.through is None or (key is not None and key <= page.through):
            return page
        if key is None:
            return NotGiven(f"the state of {account_id} is too large to be read as a whole")
        answer = await self._read(lambda: self._rpc.state(account_id, key, self.block.hash, limit=1))
        if isinstance(answer, Unread):
            return NotGiven(answer.reason)
        first = next((item for item in answer.values if item.key == key), None)
        if first is None and any(not item.key.startswith(key) for item in answer.values):
            return NotGiven(f"the node answers about other records of {account_id} than asked")
        return RecordGiven(account_id, key, None if first is None else first.value)

    async def _key_given(self, account_id: AccountId, need: Need) -> Given:
        try:
            public_key = public_key_of(need)
        except ValueError:
            return NotGiven(f"a key of {account_id} that is none was asked for")
        view = await self.access_key(account_id, public_key)
        if isinstance(view, Unread):
            return NotGiven(view.reason)
        if view is None:
            return KeyGiven(account_id, public_key, None)
        access_key = _vm_key(view.nonce, view.permission)
        if access_key is None:
            return NotGiven(f"the key {public_key} of {account_id} is of a kind that cannot be simulated")
        return KeyGiven(account_id, public_key, access_key)

    def _keys_given(self, account_id: AccountId, listed: AccessKeyList | Unread) -> Given:
        if isinstance(listed, Unread):
            return NotGiven(listed.reason)
        keys: list[tuple[PublicKey, AccessKey]] = []
        for item in listed.keys:
            access_key = _vm_key(item.nonce, item.permission)
            try:
                public_key = PublicKey(item.public_key)
            except ValueError:
                access_key = None
                public_key = None
            if access_key is None or public_key is None:
                return NotGiven(f"{account_id} has a key of a kind that cannot be simulated")
            keys.append((public_key, access_key))
        return KeysGiven(account_id, tuple(keys))

    def _account_given(self, account_id: AccountId, view: AccountView | Unread | None) -> Given:
        match view:
            case Unread(reason):
                return NotGiven(reason)
            case None:
                return AccountGiven(account_id, None)
            case AccountView():
                if view.global_contract_account_id is not None:
                    return NotGiven(f"{account_id} uses a global contract by account, whose code is not told")
                code_hash = view.code_hash or view.global_contract_hash
                return AccountGiven(account_id, Account(view.amount, view.locked, code_hash, view.storage_usage))

    async def _epoch(self) -> Given:
        epoch_id = self.block.epoch_id
        known = self._codes.epochs.get(epoch_id) if epoch_id is not None else None
        if known is not None:
            return EpochGiven(known)
        view = await self._read(self._rpc.validators)
        if isinstance(view, Unread):
            return NotGiven(view.reason)
        # The node answers for its latest block, which can be in the epoch after the pinned one's.
        height = view.epoch_height - (1 if view.epoch_start_height > self.block.height else 0)
        if epoch_id is not None:
            self._codes.epochs = {epoch_id: height}
        return EpochGiven(height)

    # requests

    async def _read_account(self, account_id: AccountId) -> AccountView | Unread | None:
        view = await self._read(lambda: self._rpc.account(account_id, self.block.hash))
        if isinstance(view, Unread):
            return None if view.code == "UNKNOWN_ACCOUNT" else view
        code_hash = view.code_hash or view.global_contract_hash
        if code_hash is not None:
            self._codes.saw(account_id, code_hash)
        return view

    async def _read_key(self, account_id: AccountId, key: PublicKey) -> AccessKeyView | Unread | None:
        view = await self._read(lambda: self._rpc.access_key(account_id, key, self.block.hash))
        return None if isinstance(view, Unread) and view.code in _NO_KEY else view

    async def _read_keys(self, account_id: AccountId) -> AccessKeyList | Unread:
        return await self._read(lambda: self._rpc.access_keys(account_id, self.block.hash))

    async def _read_page(self, account_id: AccountId) -> RecordsGiven | Unread:
        answer = await self._read(lambda: self._rpc.state(account_id, b"", self.block.hash, limit=PAGE_ITEMS))
        if isinstance(answer, Unread):
            return answer
        items = tuple((item.key, item.value) for item in answer.values)
        if answer.last_key is None:
            return RecordsGiven(account_id, items)
        if not items:
            return Unread(f"the node gives an empty page of the state of {account_id}")
        return RecordsGiven(account_id, items, max(key for key, _ in items))

    async def _read_code(self, account_id: AccountId, code_hash: CryptoHash) -> CodeGiven | Unread:
        view = await self._read(lambda: self._rpc.code(account_id, self.block.hash))
        if isinstance(view, Unread):
            return view
        if CryptoHash.of(view.code) != code_hash:
            return Unread(f"the node's code of {account_id} is not the one that the account names")
        self._codes.add(code_hash, view.code)
        return CodeGiven(code_hash, view.code)

    async def _read(self, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT | Unread:
        """One request, at most `max_calls` in all."""
        if self.calls >= self._max_calls:
            return Unread(f"it takes more than {self._max_calls} requests to nodes")
        self.calls += 1
        try:
            async with self._slots:
                answer = await ask()
        except RpcError as error:
            if error.retryable:
                self.silent = self.silent or inert(f"{error.code}: {error.message}", 160)
            if error.code == "TOO_LARGE_CONTRACT_STATE":
                return Unread("state too large to read: the node gives at most 50 kB of it", error.code)
            return Unread(inert(f"{error.code}: {error.message}", 160), error.code)
        if not isinstance(answer, ValidatorsView) and answer.block_hash != self.block.hash:
            return Unread("the node answered for another block than asked")
        return answer

    async def _once(
        self, tasks: dict[KeyT, asyncio.Task[ValueT]], name: KeyT, read: Callable[[], Awaitable[ValueT]]
    ) -> ValueT:
        task = tasks.get(name)
        if task is None:
            task = tasks[name] = self._group.create_task(_awaited(read))
        return await asyncio.shield(task)


async def _awaited(read: Callable[[], Awaitable[ValueT]]) -> ValueT:
    return await read()


def _given(read: CodeGiven | Unread) -> Given:
    return NotGiven(read.reason) if isinstance(read, Unread) else read


def _too_many(page: RecordsGiven, account: AccountView | Unread | None) -> bool:
    """Whether a node shows more state than the account is charged for: one of the two is not true."""
    if not isinstance(account, AccountView):
        return False
    return sum(len(key) + len(value) + _RECORD_BYTES for key, value in page.items) > account.storage_usage


def _vm_key(nonce: int, permission: object) -> AccessKey | None:
    """The key as the virtual machine knows it; None for kinds that it does not."""
    return AccessKey(nonce, permission) if isinstance(permission, FullAccess | FunctionCallAccess) else None
