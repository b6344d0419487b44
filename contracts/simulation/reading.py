"""What the simulating process reports, read as nodes' answers are: the same outcome, effects and texts as of a real one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from contracts.calls import Action, ChangeCall, FunctionCall, total_deposit
from contracts.chain.effects import missing_effects, read_effects
from contracts.chain.outcome import Effect, Execution, ExecutionFailed, PartiallyExecuted
from contracts.chain.outcome_reader import failure_text, in_units, read_outcome
from contracts.chain.rpc_types import BlockView
from contracts.chain.tx_answer import (
    ActionBody,
    ActionView,
    ExecutionView,
    Failure,
    OutcomeView,
    Pending,
    ReceiptView,
    StatusView,
    SuccessReceipt,
    SuccessValue,
    TransactionView,
    TxAnswer,
)
from contracts.checks.corrections import correction_of
from contracts.checks.preflight import with_margin
from contracts.checks.report import Check, Simulated
from contracts.knowledge.inert import inert
from contracts.simulation.messages import Job, StepDone
from contracts.types import CryptoHash
from contracts.vm import receipts as vm
from contracts.vm.receipts import SYSTEM, ReceiptExecution

_SHOWN: Final = 400


@dataclass(frozen=True, slots=True)
class Reading:
    """One simulated transaction, and what it means for the plan."""

    simulated: Simulated
    check: Check
    ask: str | None = None
    burnt_yocto: int = 0
    """What gas took from the signer."""
    burnt_gas: int = 0
    """Of the gas that is attached: by its receipts, refunds and what is bought for the first one apart."""


def read_step(
    step: StepDone,
    place: int,
    call: ChangeCall,
    job: Job,
    block: BlockView,
    expected: tuple[Effect, ...],
    first_receipt_gas: int,
    tokens: Mapping[str, tuple[str, int]] = MappingProxyType({}),
) -> Reading:
    """The outcome of the transaction at this place of the plan.

    `first_receipt_gas` is what executing its first receipt costs before any contract runs: bought beside what is attached.
    `tokens`: names and decimals, by contract, in which amounts are told.
    """
    if step.refused is not None or step.conversion is None:
        name, text = failure_text({"InvalidTxError": step.refused})
        return _failed(place, f"the chain would not take it: {text or name}", ())
    answer = _answer(step, step.conversion, call, job)
    outcome = read_outcome(answer, block, expected)
    execution = outcome.execution
    logs = tuple(log for receipt in execution.receipts for log in receipt.logs)
    burnt = sum(ran.execution.gas_burnt for ran in step.ran if ran.receipt.predecessor_id != SYSTEM)
    burnt = max(0, burnt - first_receipt_gas)
    match outcome:
        case ExecutionFailed(_, _, message):
            name, _ = tokens.get(call.receiver_id, ("", 0))
            lacks_wrapped = name.casefold() == "wnear" and execution.signer_id in message
            return _failed(place, message, logs, execution, burnt, sends_wrapped=lacks_wrapped)
        case PartiallyExecuted(_, message):
            missed = bool(answer.transaction and missing_effects(expected, read_effects(answer, answer.transaction)))
            said = in_units(message, expected, tokens.get)
            return _partial(place, said, logs, execution, burnt, missed=missed)
        case _:
            simulated = _simulated("success", None, logs, execution)
            check = Check("simulation", "pass", "it succeeds when simulated", place)
            return Reading(simulated, check, None, execution.tokens_burnt, burnt)


def unknown_step(place: int, reason: str) -> Reading:
    return Reading(
        Simulated("unknown", inert(reason, _SHOWN)), Check("simulation", "unknown", inert(reason, _SHOWN), place)
    )


def _failed(
    place: int,
    message: str,
    logs: tuple[str, ...],
    execution: Execution | None = None,
    burnt: int = 0,
    *,
    sends_wrapped: bool = False,
) -> Reading:
    said = inert(message, _SHOWN)
    todo = correction_of(message, sends_wrapped=sends_wrapped)
    detail = f"simulated, it fails: “{said}”" + (f". To correct it: {todo}" if todo else "")
    simulated = Simulated("failure", said, logs) if execution is None else _simulated("failure", said, logs, execution)
    spent = execution.tokens_burnt if execution is not None else 0
    return Reading(simulated, Check("simulation", "fail", detail, place), None, spent, burnt)


def _partial(
    place: int, message: str, logs: tuple[str, ...], execution: Execution, burnt: int, *, missed: bool
) -> Reading:
    """The transaction stands, and not all of it does what was meant: what was not used comes back, a person decides."""
    said = inert(message, _SHOWN)
    simulated = _simulated("partial", said, logs, execution)
    what = "it does not move what the plan says" if missed else "a part of it fails"
    ask = f"{what} when simulated: {said}"
    check = Check("simulation", "pass", f"it succeeds when simulated, but {what}: {said}", place)
    return Reading(simulated, check, ask, execution.tokens_burnt, burnt)


def _simulated(
    result: Literal["success", "partial", "failure"], reason: str | None, logs: tuple[str, ...], execution: Execution
) -> Simulated:
    return Simulated(result, reason, logs, execution.effects, with_margin(execution.gas_burnt))


# ---- the report in the form of a node's final answer


def _answer(step: StepDone, conversion: ReceiptExecution, call: ChangeCall, job: Job) -> TxAnswer:
    transaction = TransactionView.model_construct(
        hash=step.tx_hash,
        signer_id=job.signer_id,
        public_key=str(job.public_key),
        nonce=0,
        receiver_id=call.receiver_id,
        actions=tuple(_action(action) for action in call.actions),
    )
    outcomes = {ran.execution.id: _outcome(ran.execution, job.ground.block_hash) for ran in step.ran}
    receipts = tuple(
        ReceiptView.model_construct(
            receipt_id=ran.receipt.receipt_id,
            predecessor_id=ran.receipt.predecessor_id,
            receiver_id=ran.receipt.receiver_id,
            body=ActionBody(ran.receipt.signer_id, tuple(_action(action) for action in ran.receipt.actions)),
        )
        for ran in step.ran
    )
    own = _outcome(conversion, job.ground.block_hash)
    status = own.outcome.status
    for _ in range(len(outcomes) + 1):
        if not isinstance(status, SuccessReceipt):
            break
        following = outcomes.get(status.receipt_id)
        status = Failure("the receipt did not run") if following is None else following.outcome.status
    return TxAnswer.model_construct(
        final_execution_status="FINAL",
        status=status,
        transaction=transaction,
        transaction_outcome=own,
        receipts_outcome=tuple(outcomes.values()),
        receipts=receipts,
    )


def _outcome(execution: ReceiptExecution, block_hash: CryptoHash) -> OutcomeView:
    return OutcomeView.model_construct(
        id=execution.id,
        block_hash=block_hash,
        outcome=ExecutionView.model_construct(
            executor_id=execution.executor_id,
            logs=execution.logs,
            receipt_ids=execution.receipt_ids,
            gas_burnt=execution.gas_burnt,
            tokens_burnt=execution.tokens_burnt,
            status=_status(execution.status),
        ),
    )


def _status(status: vm.ExecutionStatus) -> StatusView:
    match status:
        case vm.Unknown():
            return Pending("Unknown")
        case vm.Failure(error):
            return Failure(error)
        case vm.SuccessValue(value):
            return SuccessValue(value)
        case vm.SuccessReceiptId(receipt_id):
            return SuccessReceipt(receipt_id)


def _action(action: Action) -> ActionView:
    """As a node shows it; only what moves NEAR or names a token's method matters here."""
    kind = "".join(part.title() for part in action.kind.split("_"))
    if isinstance(action, FunctionCall):
        return ActionView(kind, action.deposit, action.method_name, action.args)
    return ActionView(kind, total_deposit((action,)))
