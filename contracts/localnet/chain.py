"""The embedded chain: takes transactions, makes blocks, commits each before anyone hears of it, answers for the past.

A block is made at once while there is work, else one every `heartbeat_s`. It is worked out over the committed state,
written by the one writer thread, and published only after the commit; readers see the committed state throughout. So
an answer never tells of something that a restart would not know, and a refused commit leaves the chain where it was.
"""

import asyncio
import hashlib
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from contracts.errors import ChainError
from contracts.localnet.blocks import GENESIS_HEIGHT, Block, Header, QueuedReceipt, complement
from contracts.localnet.genesis import Genesis
from contracts.localnet.producer import BlockDraft
from contracts.localnet.state import ChainState, History
from contracts.localnet.store import Executed, Loaded, StoredReceipt, StoredTransaction
from contracts.localnet.tracking import Level, TransactionTrack, stored_track
from contracts.signing.transaction import SignedTransaction
from contracts.types import TGAS, CryptoHash
from contracts.vm.config import RuntimeConfig
from contracts.vm.execution import BlockContext
from contracts.vm.runtime import Runtime
from contracts.vm.state import StateReader
from contracts.vm.validation import invalid_tx

HEAVY_GAS: Final = 30 * TGAS
"""Receipts with more gas than this run in the writer's thread: 1 Tgas can be 2 ms of endless loop."""
LOOP_WORK_US: Final = 20_000
"""Host functions of a receipt that runs on the event loop; one that needs more is begun again in the writer's thread."""
TURN_S: Final = 0.002
"""How long executions may keep the event loop before others get their turn."""
_log = structlog.get_logger(__name__)


class BlockStore(Protocol):
    """Where blocks are kept. `commit` and `prune` run in the writer thread, the rest on the event loop."""

    def commit(self, block: Block) -> None: ...
    def prune(self, below: int) -> None: ...
    def header_at(self, height: int) -> Header | None: ...
    def header_upto(self, height: int) -> Header | None: ...
    def header_from(self, height: int) -> Header | None: ...
    def header_of(self, block_hash: CryptoHash) -> Header | None: ...
    def transaction(self, tx_hash: CryptoHash) -> StoredTransaction | None: ...
    def receipts_of(self, tx_hash: CryptoHash) -> list[StoredReceipt]: ...
    def receipt(self, receipt_id: CryptoHash) -> StoredReceipt | None: ...
    def transactions_in(self, height: int) -> list[bytes]: ...
    def receipts_in(self, height: int) -> list[StoredReceipt]: ...


@dataclass(frozen=True, slots=True)
class ChainSettings:
    heartbeat_s: float = 1.0
    """Time between blocks while there is nothing to do."""
    finality_lag_blocks: int = 0
    """Blocks that must follow before a block is final; 0: final at once."""
    state_window_blocks: int = 512
    """Blocks before the latest whose state can still be read."""
    max_pending: int = 4_096
    """Transactions waiting for a block; above it, they are refused as nearcore does in a congested shard."""
    max_block_transactions: int = 256
    prune_every_blocks: int = 4_096


@dataclass(slots=True)
class _Submission:
    """A transaction between its arrival and its block."""

    signed: SignedTransaction
    refused: ChainError | None = None
    track: TransactionTrack | None = None


class Chain:
    """One chain with one block producer, `run()`. All methods belong to the event loop."""

    def __init__(
        self,
        store: BlockStore,
        runtime: Runtime,
        config: RuntimeConfig,
        loaded: Loaded,
        *,
        clock_ns: Callable[[], int],
        settings: ChainSettings,
    ) -> None:
        self.config = config
        self._runtime = runtime
        self.settings = settings
        self.head = loaded.head
        self.earliest = loaded.earliest
        self.genesis = loaded.genesis
        self.epoch_length = Genesis.model_validate(loaded.genesis).epoch_length or config.epoch_length
        """Blocks."""
        self.genesis_header = loaded.genesis_header
        self.fault: str | None = None
        """Why the latest block could not be written; None while the disk is fine."""
        self._store = store
        self._state: ChainState = loaded.state
        self._history = History(loaded.state, loaded.head.height, settings.state_window_blocks)
        self._clock_ns = clock_ns
        self._ahead_ns = max(0, loaded.head.timestamp_ns - clock_ns())
        """How far this chain's time is ahead of the clock, because heights were skipped."""
        self._target = 0
        """The height that a fast forward is under way to."""
        self._queue: deque[QueuedReceipt] = deque(loaded.queue)
        self._next_position = max((item.position for item in loaded.queue), default=0) + 1
        self._loaded_height = loaded.head.height
        self._headers: OrderedDict[int, Header] = OrderedDict({loaded.head.height: loaded.head})
        self._heights: dict[CryptoHash, int] = {loaded.head.hash: loaded.head.height}
        self._pool: dict[CryptoHash, _Submission] = {}
        self._open: dict[CryptoHash, _Submission] = {}
        self._active = {tx_hash: track for tx_hash in loaded.unfinished if (track := self._stored(tx_hash)) is not None}
        self._published = asyncio.Event()
        self._work = asyncio.Event()
        self._stopping = False
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localnet-writer")

    @property
    def final_height(self) -> int:
        """Blocks that were there when the chain was opened are final: there is no other producer to contradict them."""
        return max(self.head.height - self.settings.finality_lag_blocks, self._loaded_height)

    @property
    def busy(self) -> bool:
        """Transactions or receipts wait for a block."""
        return bool(self._pool or self._queue)

    def header_at(self, height: int) -> Header | None:
        if height > self.head.height:
            return None
        return self._headers.get(height) or self._store.header_at(height)

    def header_upto(self, height: int) -> Header | None:
        """The last published block up to that height."""
        height = min(height, self.head.height)
        return self._headers.get(height) or self._store.header_upto(height)

    def header_of(self, block_hash: CryptoHash) -> Header | None:
        height = self._heights.get(block_hash)
        if height is not None:
            return self._headers[height]
        found = self._store.header_of(block_hash)
        # A block that is on disk but not published yet is not there for anyone.
        return found if found is not None and found.height <= self.head.height else None

    def header_of_chunk(self, chunk_hash: CryptoHash) -> Header | None:
        return self.header_of(complement(chunk_hash))

    def state_at(self, header: Header) -> StateReader | None:
        """The state after that block; None where it is no longer kept."""
        return self._history.at(header.height)

    def total_of_accounts(self) -> int:
        """All yoctoNEAR in accounts, receipts under way apart."""
        return self._state.total_supply()

    def context(self, header: Header) -> BlockContext:
        """A view at that block sees it as the current one."""
        return BlockContext(
            height=header.height,
            timestamp_ns=header.timestamp_ns,
            epoch_height=self.epoch_height(header.height),
            gas_price=self.config.min_gas_price,
            block_hash=header.hash,
            random_seed=hashlib.sha256(b"random" + header.hash.raw).digest(),
        )

    def epoch_height(self, height: int) -> int:
        return (height - GENESIS_HEIGHT) // self.epoch_length

    def epoch_start(self, height: int) -> int:
        """The first height of the epoch of that height; there is a block at it."""
        return GENESIS_HEIGHT + self.epoch_height(height) * self.epoch_length

    def find(self, tx_hash: CryptoHash) -> TransactionTrack | None:
        """What is known of an included transaction; None while it is not in a published block."""
        active = self._active.get(tx_hash)
        if active is not None:
            return active
        stored = self._stored(tx_hash)
        return stored if stored is not None and stored.included.height <= self.head.height else None

    def transactions_in(self, header: Header) -> list[bytes]:
        return self._store.transactions_in(header.height)

    def receipts_in(self, header: Header) -> list[StoredReceipt]:
        return self._store.receipts_in(header.height)

    def receipt(self, receipt_id: CryptoHash) -> StoredReceipt | None:
        return self._store.receipt(receipt_id)

    async def submit(self, signed: SignedTransaction, level: Level) -> TransactionTrack:
        """Take a transaction and wait until it has reached the level; it is on disk in every case.

        Bytes that are known already are not taken again: their track is the answer. ChainError `INVALID_TRANSACTION`
        (details hold nearcore's InvalidTxError) where it is refused, `INTERNAL_ERROR` where its block could not be
        written. The caller sets the deadline; after a timeout the transaction may still be executed.
        """
        track = self.find(signed.tx_hash)
        if track is None:
            submission = self._admit(signed)
            while submission.track is None:
                if submission.refused is not None:
                    raise submission.refused
                await self._published.wait()
            track = submission.track
        await self._until(track, level)
        return track

    async def follow(self, tx_hash: CryptoHash, level: Level) -> TransactionTrack:
        """Wait for a transaction that was sent by anybody, perhaps not yet; the caller sets the deadline."""
        while (track := self.find(tx_hash)) is None:
            await self._published.wait()
        await self._until(track, level)
        return track

    async def fast_forward(self, blocks: int) -> None:
        """Wait until the chain is that many heights further, with a block at the start of each epoch on the way.

        Skipped heights have no block, as on a chain whose producers missed them; each counts as a heartbeat of time.
        ChainError `INTERNAL_ERROR` where a block could not be written.
        """
        target = self._target = max(self._target, self.head.height) + blocks
        self._work.set()
        while self.head.height < target:
            await self._published.wait()
            if self.fault is not None:
                raise ChainError("INTERNAL_ERROR", self.fault, retryable=True)

    async def run(self) -> None:
        """Make blocks until `stop()`; the block in hand is finished first."""
        while not self._stopping:
            if not self._has_work():
                await self._pause()
            if self._stopping:
                break
            self._work.clear()
            await self.make_block()

    def stop(self) -> None:
        self._stopping = True
        self._work.set()

    def close(self) -> None:
        """Wait for a commit that is under way; then no thread touches the store any more."""
        self._writer.shutdown(wait=True)

    async def _until(self, track: TransactionTrack, level: Level) -> None:
        while not track.reached(level, self.final_height):
            await self._published.wait()

    def _stored(self, tx_hash: CryptoHash) -> TransactionTrack | None:
        stored = self._store.transaction(tx_hash)
        return stored_track(stored, self._store.receipts_of(tx_hash)) if stored is not None else None

    def _admit(self, signed: SignedTransaction) -> _Submission:
        known = self._open.get(signed.tx_hash)
        if known is not None:
            return known
        if len(self._open) >= self.settings.max_pending:
            raise invalid_tx(
                "ShardCongested",
                f"{len(self._open)} transactions wait for a block; send the same bytes again later",
                shard_id=0,
                congestion_level=1.0,
            )
        submission = self._open[signed.tx_hash] = self._pool[signed.tx_hash] = _Submission(signed)
        self._work.set()
        return submission

    def _has_work(self) -> bool:
        # After a refused commit only new transactions and the heartbeat try again, so that a full disk does not spin.
        return bool(self._pool) or (self.fault is None and (bool(self._queue) or self._target > self.head.height))

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self.settings.heartbeat_s):
                await self._work.wait()
        except TimeoutError:
            return

    async def make_block(self) -> None:
        """One block of what waits now, committed and published. `run` calls it; two at a time are not allowed."""
        prev = self.head
        draft = BlockDraft(self._runtime, self._state, self._next_context(prev), prev, self._next_position)
        batch = self._take_batch()
        turn = _Turn()
        for submission in batch:
            self._include(draft, submission)
            await turn.give()
        taken = 0
        for item in list(self._queue):
            if draft.gas_used >= self.config.gas_limit:
                break
            if draft.attached_gas(item) > HEAVY_GAS or not draft.try_run(item, LOOP_WORK_US):
                await asyncio.get_running_loop().run_in_executor(self._writer, draft.run, item)
            await turn.give()
            taken += 1
        block = draft.seal()
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._store.commit, block)
        except (sqlite3.Error, OSError) as error:
            self._refuse(batch, error)
        else:
            self._publish(block, batch, taken)
            await self._prune()

    def _next_context(self, prev: Header) -> BlockContext:
        height = self._next_height(prev)
        ahead_ns = self._ahead_ns + self._skipped_ns(prev, height)
        return BlockContext(
            height=height,
            timestamp_ns=max(self._clock_ns() + ahead_ns, prev.timestamp_ns + 1),
            epoch_height=self.epoch_height(height),
            gas_price=self.config.min_gas_price,
            block_hash=prev.hash,
            random_seed=hashlib.sha256(b"random" + prev.hash.raw + height.to_bytes(8, "little")).digest(),
        )

    def _next_height(self, prev: Header) -> int:
        if self._target <= prev.height:
            return prev.height + 1
        return min(self._target, self.epoch_start(prev.height) + self.epoch_length)

    def _skipped_ns(self, prev: Header, height: int) -> int:
        return int(self.settings.heartbeat_s * 10**9) * (height - prev.height - 1)

    def _take_batch(self) -> list[_Submission]:
        """The next transactions; those of one key by nonce, because a higher one would kill the lower ones."""
        batch = list(self._pool.values())[: self.settings.max_block_transactions]
        for submission in batch:
            del self._pool[submission.signed.tx_hash]
        return sorted(batch, key=lambda submission: submission.signed.transaction.nonce)

    def _include(self, draft: BlockDraft, submission: _Submission) -> None:
        try:
            self._check_age(submission.signed, draft.context.height)
            draft.include(submission.signed)
        except ChainError as error:
            submission.refused = error

    def _check_age(self, signed: SignedTransaction, height: int) -> None:
        """nearcore answers Expired for a block hash that is too old and for one that it does not know."""
        reference = self.header_of(signed.transaction.block_hash)
        if reference is None or height - reference.height > self.config.transaction_validity_period:
            raise invalid_tx("Expired", f"the block hash of transaction {signed.tx_hash} is unknown or too old")

    def _refuse(self, batch: list[_Submission], error: Exception) -> None:
        self.fault = f"block {self._next_height(self.head)} could not be written: {error}"
        self._target = 0
        _log.error("block_refused", height=self.head.height + 1, error=str(error))
        for submission in batch:
            submission.refused = ChainError("INTERNAL_ERROR", self.fault, retryable=True)
            del self._open[submission.signed.tx_hash]
        self._announce()

    def _publish(self, block: Block, batch: list[_Submission], taken: int) -> None:
        header = block.header
        self._history.add(block.changes, header.height)
        self._ahead_ns += self._skipped_ns(self.head, header.height)
        for _ in range(taken):
            self._queue.popleft()
        self._queue.extend(block.queued)
        self._next_position += len(block.queued)
        self.head, self.fault = header, None
        self._remember(header)
        for included in block.transactions:
            executed = Executed(included.execution, header.height, header.hash)
            self._active[included.signed.tx_hash] = TransactionTrack(included.signed, executed)
        for ran in block.executed:
            self._active[ran.tx_hash].add_execution(Executed(ran.execution, header.height, header.hash))
        for item in block.queued:
            self._active[item.tx_hash].add_receipt(item.receipt)
        for submission in batch:
            submission.track = self._active.get(submission.signed.tx_hash)
            del self._open[submission.signed.tx_hash]
        final = self.final_height
        for tx_hash in [tx_hash for tx_hash, track in self._active.items() if track.settled(final)]:
            del self._active[tx_hash]
        self._announce()

    def _announce(self) -> None:
        published, self._published = self._published, asyncio.Event()
        published.set()

    def _remember(self, header: Header) -> None:
        self._headers[header.height] = header
        self._heights[header.hash] = header.height
        if len(self._headers) > self.settings.state_window_blocks:
            _, oldest = self._headers.popitem(last=False)
            del self._heights[oldest.hash]

    async def _prune(self) -> None:
        """Empty blocks live for twice the validity of a transaction: longer than anyone can need their hash."""
        if self.head.height % self.settings.prune_every_blocks:
            return
        below = self.head.height - 2 * self.config.transaction_validity_period
        if below <= self.earliest.height:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._store.prune, below)
        except (sqlite3.Error, OSError) as error:
            _log.warning("prune_refused", height=below, error=str(error))
        else:
            self.earliest = self._store.header_from(below) or self.earliest


class _Turn:
    """Lets the rest of the loop run now and then between executions, which take a millisecond each."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def give(self) -> None:
        if self._loop.time() - self._since > TURN_S:
            await asyncio.sleep(0)
            self._since = self._loop.time()
