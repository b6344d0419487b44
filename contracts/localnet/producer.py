"""One block in the making: transactions become receipts, receipts run, and all of it stays an overlay until sealed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.localnet.blocks import (
    Block,
    ExecutedReceipt,
    Header,
    IncludedTransaction,
    QueuedReceipt,
    digest,
    sealed,
)
from contracts.signing.transaction import SignedTransaction
from contracts.types import CryptoHash
from contracts.vm.execution import BlockContext
from contracts.vm.fees import prepaid_gas
from contracts.vm.host_work import HostWork
from contracts.vm.receipts import ActionReceipt, DataReceipt, ReceiptExecution
from contracts.vm.runtime import ReceiptResult, Runtime
from contracts.vm.state import Overlay, StateReader


@dataclass(slots=True)
class BlockDraft:
    """A block while it is made. Nothing outside changes; dropping the draft forgets it."""

    runtime: Runtime
    state: StateReader
    context: BlockContext
    prev: Header
    next_position: int
    """Queue position for the first new receipt."""
    gas_used: int = 0
    tokens_burnt: int = 0
    _overlay: Overlay = field(init=False)
    _transactions: list[IncludedTransaction] = field(default_factory=list[IncludedTransaction])
    _executed: list[ExecutedReceipt] = field(default_factory=list[ExecutedReceipt])
    _consumed: list[QueuedReceipt] = field(default_factory=list[QueuedReceipt])
    _queued: list[QueuedReceipt] = field(default_factory=list[QueuedReceipt])

    def __post_init__(self) -> None:
        self._overlay = Overlay(self.state)

    def include(self, signed: SignedTransaction) -> None:
        """Turn a transaction into its first receipt. ChainError, and no change, where it is not valid here and now."""
        self.runtime.validate_transaction(self._overlay, signed, self.context)
        layer = self._overlay.child()
        execution, receipt = self.runtime.convert_transaction(layer, signed, self.context)
        self._overlay.merge(layer)
        self._transactions.append(IncludedTransaction(signed, execution))
        self._count(execution)
        self._queue(signed.tx_hash, (receipt,))

    def try_run(self, item: QueuedReceipt, work_us: int) -> bool:
        """As `run`, where its host functions take no longer than that; False, and no change, where they would."""
        work = HostWork(work_us)
        layer = self._overlay.child()
        result = self.runtime.apply_receipt(layer, item.receipt, self.context, work)
        if work.refused:
            return False
        self._take(item, layer, result)
        return True

    def run(self, item: QueuedReceipt) -> None:
        """Execute a receipt of an earlier block, or store it where it waits for data."""
        layer = self._overlay.child()
        self._take(item, layer, self.runtime.apply_receipt(layer, item.receipt, self.context, HostWork()))

    def _take(self, item: QueuedReceipt, layer: Overlay, result: ReceiptResult) -> None:
        self._overlay.merge(layer)
        self._consumed.append(item)
        if result.execution is not None:
            self._executed.append(ExecutedReceipt(item.tx_hash, result.execution))
            self._count(result.execution)
            self.tokens_burnt += result.lost - result.contract_reward
        self._queue(item.tx_hash, result.new_receipts)

    def attached_gas(self, item: QueuedReceipt) -> int:
        """Gas that executing a receipt can take at most, fees apart; for data, that of the receipt that waits for it."""
        receipt: ActionReceipt | DataReceipt | None = item.receipt
        if isinstance(receipt, DataReceipt):
            waiting_id = self._overlay.waiting(receipt.receiver_id, receipt.data_id)
            receipt = self._overlay.postponed(waiting_id) if waiting_id is not None else None
        return prepaid_gas(receipt.actions) if isinstance(receipt, ActionReceipt) else 0

    def seal(self) -> Block:
        prev, context = self.prev, self.context
        outcomes = [
            repr((item.execution.id, item.execution.status, item.execution.logs)).encode()
            for item in (*self._transactions, *self._executed)
        ]
        header = sealed(
            height=context.height,
            prev_hash=prev.hash,
            timestamp_ns=context.timestamp_ns,
            gas_used=self.gas_used,
            tokens_burnt=self.tokens_burnt,
            total_supply=prev.total_supply - self.tokens_burnt,
            tx_root=digest([item.signed.data for item in self._transactions]),
            receipts_root=digest([item.receipt.receipt_id.encode() for item in self._consumed]),
            outcome_root=digest(outcomes),
            prev_state_root=prev.state_root,
        )
        return Block(
            header=header,
            changes=self._overlay.changes(),
            transactions=tuple(self._transactions),
            executed=tuple(self._executed),
            consumed=tuple(item.position for item in self._consumed),
            queued=tuple(self._queued),
        )

    def _count(self, execution: ReceiptExecution) -> None:
        self.gas_used += execution.gas_burnt
        self.tokens_burnt += execution.tokens_burnt

    def _queue(self, tx_hash: CryptoHash, receipts: Iterable[ActionReceipt | DataReceipt]) -> None:
        for receipt in receipts:
            self._queued.append(QueuedReceipt(self.next_position, tx_hash, receipt))
            self.next_position += 1
