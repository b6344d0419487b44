"""One transaction's way through the blocks: what is known of it, how far it is, and its outcome."""

from collections.abc import Iterator
from typing import Literal, TypeAlias, assert_never

from contracts.localnet.store import Executed, StoredReceipt, StoredTransaction
from contracts.signing.transaction import SignedTransaction, decode_signed_transaction
from contracts.types import CryptoHash
from contracts.vm.receipts import (
    ActionReceipt,
    DataReceipt,
    ExecutionStatus,
    SuccessReceiptId,
    Unknown,
)

Level: TypeAlias = Literal["NONE", "INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"]
"""nearcore's TxExecutionStatus, `wait_until` and `final_execution_status` of the RPC."""


class TransactionTrack:
    """An included transaction with its receipts; the chain adds to it block by block until everything is final."""

    def __init__(self, signed: SignedTransaction, included: Executed) -> None:
        self.signed = signed
        self.included = included
        self.receipts: dict[CryptoHash, ActionReceipt] = {}
        self.executed: dict[CryptoHash, Executed] = {}

    def add_receipt(self, receipt: ActionReceipt | DataReceipt) -> None:
        """A receipt that was made; data receipts have no outcome and are not followed."""
        if isinstance(receipt, ActionReceipt):
            self.receipts[receipt.receipt_id] = receipt

    def add_execution(self, executed: Executed) -> None:
        self.executed[executed.execution.id] = executed

    @property
    def complete(self) -> bool:
        """Every receipt is executed, refunds included."""
        return len(self.executed) == len(self.receipts)

    def level(self, final_height: int) -> Level:
        """The highest level reached."""
        included_final = self.included.height <= final_height
        if not self._done():
            return "INCLUDED_FINAL" if included_final else "INCLUDED"
        if not included_final:
            return "EXECUTED_OPTIMISTIC"
        return "FINAL" if self.settled(final_height) else "EXECUTED"

    def reached(self, level: Level, final_height: int) -> bool:
        """Whether a wait for that level is over."""
        match level:
            case "NONE" | "INCLUDED":
                return True
            case "EXECUTED_OPTIMISTIC":
                return self._done()
            case "INCLUDED_FINAL":
                return self.included.height <= final_height
            case "EXECUTED":
                return self._done() and self.included.height <= final_height
            case "FINAL":
                return self.settled(final_height)
            case _:
                assert_never(level)

    def settled(self, final_height: int) -> bool:
        """Nothing about it can change any more."""
        heights = [executed.height for executed in self.executed.values()]
        return self.complete and max(heights, default=self.included.height) <= final_height

    def status(self) -> ExecutionStatus:
        """The status of the receipt that the transaction's value was handed on to; Unknown while it is under way."""
        status = self.included.execution.status
        while isinstance(status, SuccessReceiptId):
            executed = self.executed.get(status.receipt_id)
            if executed is None:
                return Unknown()
            status = executed.execution.status
        return status

    def outcomes(self) -> list[Executed]:
        """The receipts' outcomes, each before those of the receipts that it made."""
        return [self.executed[receipt_id] for receipt_id in self._walk() if receipt_id in self.executed]

    def made_receipts(self) -> list[ActionReceipt]:
        """All action receipts, in the same order."""
        return [self.receipts[receipt_id] for receipt_id in self._walk()]

    def _done(self) -> bool:
        return all(id_ in self.executed or receipt.is_refund for id_, receipt in self.receipts.items())

    def _walk(self) -> Iterator[CryptoHash]:
        waiting = list(reversed(self.included.execution.receipt_ids))
        while waiting:
            receipt_id = waiting.pop()
            if receipt_id not in self.receipts:
                continue
            yield receipt_id
            executed = self.executed.get(receipt_id)
            if executed is not None:
                waiting.extend(reversed(executed.execution.receipt_ids))


def stored_track(stored: StoredTransaction, receipts: list[StoredReceipt]) -> TransactionTrack:
    """The track of a transaction as the database has it."""
    track = TransactionTrack(decode_signed_transaction(stored.data), stored.included)
    for item in receipts:
        track.add_receipt(item.receipt)
        if item.executed is not None:
            track.add_execution(item.executed)
    return track
