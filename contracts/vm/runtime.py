"""The runtime: transactions become receipts, receipts change accounts and make further receipts.

Pure and synchronous: state comes in as a reader or an overlay, time as a `BlockContext`. Follows nearcore's
`verify_and_charge_tx`, `process_receipt` and `apply_action_receipt`: gas is bought at one price when the transaction is
taken (NEP-536), what is left comes back in a receipt from `system`, and so does the deposit of a receipt that failed.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from pydantic import JsonValue

from contracts.errors import ChainError, VmError
from contracts.signing.transaction import SignedTransaction
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from contracts.vm.actions import ReceiptDraft, ReceiptRun, refund_draft, run_contract
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext, CallContext, Execution
from contracts.vm.failures import action_failure, function_call_failure, no_code
from contracts.vm.fees import bought_gas, deposits, send_gas
from contracts.vm.host_work import HostWork
from contracts.vm.keys import used_key
from contracts.vm.receipts import (
    ActionReceipt,
    DataReceipt,
    ExecutionStatus,
    Failure,
    ReceiptExecution,
    ReceivedData,
    SuccessReceiptId,
    SuccessValue,
    derived_id,
)
from contracts.vm.state import Overlay, StateReader
from contracts.vm.validation import check_charge, check_form, storage_shortage

__all__ = ["BlockContext", "ReceiptResult", "Runtime", "ViewResult"]

_NOBODY: Final = PublicKey.from_bytes("ed25519", bytes(32))


@dataclass(frozen=True, slots=True)
class ReceiptResult:
    """What came of a receipt."""

    execution: ReceiptExecution | None
    """None where nothing ran: the receipt waits for data, or the data waits for more."""
    new_receipts: tuple[ActionReceipt | DataReceipt, ...] = ()
    activated: ActionReceipt | None = None
    """The action receipt that ran: the one given, or the postponed one whose last data arrived."""
    contract_reward: int = 0
    """The part of `tokens_burnt` that went to the contract instead; yoctoNEAR."""
    lost: int = 0
    """yoctoNEAR of a refund that nobody could take; gone."""


@dataclass(frozen=True, slots=True)
class ViewResult:
    result: bytes
    logs: tuple[str, ...]
    gas_burnt: int


class Runtime:
    """Applies transactions, receipts and views under one set of protocol parameters."""

    def __init__(self, config: RuntimeConfig, engine: Engine) -> None:
        self.config = config
        self._engine = engine

    def validate_transaction(self, state: StateReader, signed: SignedTransaction, block: BlockContext) -> None:
        """ChainError INVALID_TRANSACTION (details: nearcore's InvalidTxError) unless it may enter this block.

        Whether its block hash is known and young enough is for the chain to say.
        """
        check_form(self.config, signed)
        check_charge(self.config, state, signed.transaction, block)

    def convert_transaction(
        self, overlay: Overlay, signed: SignedTransaction, block: BlockContext
    ) -> tuple[ReceiptExecution, ActionReceipt]:
        """Charge the signer, use up the nonce, and make the receipt.

        The transaction must have passed `validate_transaction`; what depends on the state is checked again, with the
        same errors and before anything changes.
        """
        transaction = signed.transaction
        signer_id, receiver_id, actions = transaction.signer_id, transaction.receiver_id, transaction.actions
        charge = check_charge(self.config, overlay, transaction, block)
        paid = charge.deposit + (charge.gas_cost if transaction.nonce_index is None else 0)
        overlay.set_account(signer_id, replace(charge.account, amount=charge.account.amount - paid))
        access_key = used_key(
            charge.access_key, transaction.nonce, transaction.nonce_index, charge.gas_cost, charge.deposit
        )
        overlay.set_access_key(signer_id, transaction.public_key, access_key)
        receipt = ActionReceipt(
            receipt_id=derived_id(signed.tx_hash.raw, block.height, 0),
            predecessor_id=signer_id,
            receiver_id=receiver_id,
            signer_id=signer_id,
            signer_public_key=transaction.public_key,
            gas_price=Yocto(block.gas_price),
            actions=actions,
        )
        gas = send_gas(self.config, actions, receiver_id, sir=signer_id == receiver_id)
        execution = ReceiptExecution(
            id=signed.tx_hash,
            executor_id=signer_id,
            logs=(),
            receipt_ids=(receipt.receipt_id,),
            gas_burnt=gas,
            tokens_burnt=Yocto(gas * block.gas_price),
            status=SuccessReceiptId(receipt.receipt_id),
        )
        return execution, receipt

    def apply_receipt(
        self, overlay: Overlay, receipt: ActionReceipt | DataReceipt, block: BlockContext, work: HostWork | None = None
    ) -> ReceiptResult:
        """Run a receipt, or keep it (or its data) until all it waits for is there.

        Calls whose host functions take more than `work` allows (by default `HOST_WORK_US`) fail with a LinkError.
        """
        work = work or HostWork()
        match receipt:
            case ActionReceipt():
                missing = [
                    data_id
                    for data_id in receipt.input_data_ids
                    if overlay.received(receipt.receiver_id, data_id) is None
                ]
                if not missing:
                    return self._run(overlay, receipt, block, work)
                for data_id in missing:
                    overlay.set_waiting(receipt.receiver_id, data_id, receipt.receipt_id)
                overlay.set_postponed(receipt.receipt_id, receipt)
                return ReceiptResult(None)
            case DataReceipt():
                return self._deliver(overlay, receipt, block, work)
            case _:
                assert_never(receipt)

    def view(
        self,
        state: StateReader,
        contract_id: AccountId,
        method_name: str,
        args: bytes,
        block: BlockContext,
        work: HostWork | None = None,
    ) -> ViewResult:
        """Call a method without a transaction; nothing changes. VmError, details: nearcore's FunctionCallError.

        `work` bounds the time of host functions, by default to `HOST_WORK_US`.
        """
        account = state.account(contract_id)
        if account is None:
            raise no_code(contract_id)
        context = CallContext(
            config=self.config,
            block=block,
            current_account_id=contract_id,
            signer_account_id=contract_id,
            signer_public_key=bytes((0,)) + _NOBODY.raw,
            predecessor_account_id=contract_id,
            method_name=method_name,
            input=args,
            prepaid_gas=self.config.limits.max_gas_burnt,
            attached_deposit=0,
            random_seed=block.random_seed,
            action_hash=block.block_hash.raw,
            is_view=True,
        )
        execution = Execution(context, account, Overlay(state), work or HostWork())
        run_contract(self._engine, execution)
        return ViewResult(execution.returned, tuple(execution.logs), execution.burnt)

    def _deliver(self, overlay: Overlay, receipt: DataReceipt, block: BlockContext, work: HostWork) -> ReceiptResult:
        receiver_id = receipt.receiver_id
        overlay.set_received(receiver_id, receipt.data_id, ReceivedData(receipt.data))
        waiting_id = overlay.waiting(receiver_id, receipt.data_id)
        waiting = overlay.postponed(waiting_id) if waiting_id is not None else None
        if waiting_id is None or waiting is None:
            return ReceiptResult(None)
        overlay.set_waiting(receiver_id, receipt.data_id, None)
        if any(overlay.received(receiver_id, data_id) is None for data_id in waiting.input_data_ids):
            return ReceiptResult(None)
        overlay.set_postponed(waiting_id, None)
        return self._run(overlay, waiting, block, work)

    def _run(self, overlay: Overlay, receipt: ActionReceipt, block: BlockContext, work: HostWork) -> ReceiptResult:
        promise_results = _take_data(overlay, receipt)
        layer = overlay.child()
        run = ReceiptRun(self.config, self._engine, layer, block, receipt, promise_results, work)
        failure = self._apply_actions(run, layer, receipt)
        if failure is None:
            for contract, code in run.published:
                layer.publish(contract, code)
            overlay.merge(layer)
            drafts = run.drafts
        else:
            drafts = []
        lost = deposits(receipt.actions) if receipt.is_refund and failure is not None else 0
        if not receipt.is_refund:
            drafts = [*drafts, *self._refunds(receipt, run, failed=failure is not None)]
        reward = self._reward(overlay, receipt, run)
        new_receipts, status = _finish(receipt, block, run, drafts, failure)
        burnt_gas = 0 if receipt.is_refund else run.gas_burnt
        execution = ReceiptExecution(
            id=receipt.receipt_id,
            executor_id=receipt.receiver_id,
            logs=tuple(run.logs),
            receipt_ids=tuple(new.receipt_id for new in new_receipts if isinstance(new, ActionReceipt)),
            gas_burnt=run.gas_burnt,
            tokens_burnt=Yocto(burnt_gas * receipt.gas_price + (run.tokens_burnt if failure is None else 0)),
            status=status,
        )
        return ReceiptResult(execution, new_receipts, receipt, reward, lost)

    def _apply_actions(self, run: ReceiptRun, layer: Overlay, receipt: ActionReceipt) -> JsonValue:
        """nearcore's ActionError of the first action that fails, or None; the account is put into the layer."""
        for index in range(len(receipt.actions)):
            try:
                run.apply(index)
            except ChainError as error:
                return {"index": index, "kind": action_failure(error)}
            except VmError as error:
                return {"index": index, "kind": dict(function_call_failure(error))}
        if run.account is not None:
            shortage = storage_shortage(run.account, self.config)
            if shortage:
                fields: JsonValue = {"account_id": str(receipt.receiver_id), "amount": str(shortage)}
                return {"index": None, "kind": {"LackBalanceForState": fields}}
            layer.set_account(receipt.receiver_id, run.account)
        return None

    def _refunds(self, receipt: ActionReceipt, run: ReceiptRun, *, failed: bool) -> list[ReceiptDraft]:
        """The deposit back to the predecessor where it failed, and unused gas back to the signer, if there is any."""
        drafts: list[ReceiptDraft] = []
        deposit = deposits(receipt.actions) if failed else 0
        if deposit:
            drafts.append(refund_draft(receipt.predecessor_id, deposit))
        bought = bought_gas(self.config, receipt.actions, receipt.receiver_id)
        unused = (bought - (run.gas_burnt if failed else run.gas_used)) * receipt.gas_price
        if unused:
            drafts.append(refund_draft(receipt.signer_id, unused, receipt.signer_id, receipt.signer_public_key))
        return drafts

    def _reward(self, overlay: Overlay, receipt: ActionReceipt, run: ReceiptRun) -> int:
        """The contract's part of the gas burnt by its calls, failed ones too, where its account still exists."""
        numerator, denominator = self.config.burnt_gas_reward
        reward = run.function_call_gas * numerator // denominator * receipt.gas_price
        account = overlay.account(receipt.receiver_id)
        if not reward or account is None:
            return 0
        overlay.set_account(receipt.receiver_id, replace(account, amount=account.amount + reward))
        return reward


def _take_data(overlay: Overlay, receipt: ActionReceipt) -> tuple[ReceivedData, ...]:
    taken: list[ReceivedData] = []
    for data_id in receipt.input_data_ids:
        received = overlay.received(receipt.receiver_id, data_id)
        if received is None:
            raise ChainError(
                "INTERNAL_ERROR", f"receipt {receipt.receipt_id} ran before its data {data_id}; the state is damaged"
            )
        taken.append(received)
        overlay.set_received(receipt.receiver_id, data_id, None)
    return tuple(taken)


def _finish(
    receipt: ActionReceipt, block: BlockContext, run: ReceiptRun, drafts: list[ReceiptDraft], failure: JsonValue
) -> tuple[tuple[ActionReceipt | DataReceipt, ...], ExecutionStatus]:
    """Give the new receipts their ids and send the result to whoever waits for it."""
    returned = run.returned if failure is None else None
    if isinstance(returned, ReceiptDraft):
        # Whoever waits for this receipt's result now waits for the returned receipt's.
        returned.output_data_receivers.extend(receipt.output_data_receivers)
    parent = run.receipt_hash
    new_receipts: list[ActionReceipt | DataReceipt] = [
        _receipt(draft, derived_id(parent, block.height, index)) for index, draft in enumerate(drafts)
    ]
    if not isinstance(returned, ReceiptDraft):
        for receiver in receipt.output_data_receivers:
            receipt_id = derived_id(parent, block.height, len(new_receipts))
            new_receipts.append(
                DataReceipt(receipt_id, receipt.receiver_id, receiver.receiver_id, receiver.data_id, returned)
            )
    if failure is not None or returned is None:
        return tuple(new_receipts), Failure({"ActionError": failure})
    if isinstance(returned, ReceiptDraft):
        index = next(place for place, draft in enumerate(drafts) if draft is returned)
        return tuple(new_receipts), SuccessReceiptId(new_receipts[index].receipt_id)
    return tuple(new_receipts), SuccessValue(returned)


def _receipt(draft: ReceiptDraft, receipt_id: CryptoHash) -> ActionReceipt:
    return ActionReceipt(
        receipt_id=receipt_id,
        predecessor_id=draft.predecessor_id,
        receiver_id=draft.receiver_id,
        signer_id=draft.signer_id,
        signer_public_key=draft.signer_public_key,
        gas_price=draft.gas_price,
        actions=draft.actions,
        input_data_ids=draft.input_data_ids,
        output_data_receivers=tuple(draft.output_data_receivers),
    )
