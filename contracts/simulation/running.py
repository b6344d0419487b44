"""A plan carried out on an overlay: each transaction with all its receipts, the next on what the one before it left."""

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from pydantic import JsonValue

from contracts.calls import FunctionCall
from contracts.errors import ChainError, VmError
from contracts.signing.transaction import SignedTransaction, Transaction, encode_transaction, transaction_hash
from contracts.simulation.known_state import KnownState, StateUnknown
from contracts.simulation.messages import Done, Job, JobStep, Measure, Measured, Ran, StepDone
from contracts.simulation.prices import config_of
from contracts.types import AccountId
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext
from contracts.vm.host_work import HOST_WORK_US, HostWork
from contracts.vm.receipts import ActionReceipt, DataReceipt, Failure, ReceiptExecution, SuccessReceiptId
from contracts.vm.runtime import Runtime
from contracts.vm.state import Overlay, StateReader

MAX_RECEIPTS: Final = 1_000
"""Of one transaction. Real ones make a few dozen; this stops those that make nothing else."""
_BLOCK_NS: Final = 600_000_000
_OURS: Final = (
    "Link Error:",
    "WebAssembly trap: Stack overflow.",
)
"""Failures that say something about this machine, not about the chain: a host function that it does not have, whose
answer is not known before the block is made, or that would take too long in Python, and the depth of its stack, which
nearcore counts in another way."""
_OUR_ENGINES: Final = ("Deserialization", "Instantiate")
"""The same of code: what this engine cannot read or has no room for. Nearcore's own limits are checked before, by name."""


@dataclass(slots=True)
class Times:
    """Milliseconds since the job began."""

    waited: float = 0.0
    compiled: float = 0.0


class PlanRun:
    """One job. After `run`, `measure` reads what it changed."""

    def __init__(self, job: Job, state: KnownState, engine: Engine, times: Times, work_us: int = HOST_WORK_US) -> None:
        """`work_us` is for the host functions of all its transactions together, and again for what `measure` asks."""
        self._job = job
        self._state = state
        self._engine = engine
        self._times = times
        self._config = config_of(job.prices)
        self._runtime = Runtime(self._config, engine)
        self._overlay = Overlay(state)
        self._blocks = 0
        self._work_us = work_us
        self._work = HostWork(work_us)

    def run(self) -> Done:
        began = time.perf_counter()
        steps: list[StepDone] = []
        unknown = None
        try:
            for given in self._job.given:
                self._state.take(given)
            key = self._state.access_key(self._job.signer_id, self._job.public_key)
            nonce = key.nonce if key is not None else 0
            for place, step in enumerate(self._job.steps, start=1):
                done = self._step(step, nonce + place)
                steps.append(done)
                if _failed(done):
                    break
        except StateUnknown as error:
            unknown = error.message
        spent = (time.perf_counter() - began) * 1000 - self._times.waited - self._times.compiled
        return Done(tuple(steps), unknown, round(spent, 3), round(self._times.compiled, 3))

    def measure(self, asked: Measure) -> Measured:
        began, waited = time.perf_counter(), self._times.waited
        self._work = HostWork(self._work_us)
        near = tuple((self._near(self._state, who), self._near(self._overlay, who)) for who in asked.near)
        tokens = tuple(
            (
                self._token(self._state, item.contract_id, item.account_id),
                self._token(self._overlay, item.contract_id, item.account_id),
            )
            for item in asked.tokens
        )
        spent = (time.perf_counter() - began) * 1000 - (self._times.waited - waited)
        return Measured(near, tokens, round(spent, 3))

    def _step(self, step: JobStep, nonce: int) -> StepDone:
        job = self._job
        probes = tuple(self._view(self._overlay, item.contract_id, item.method_name, item.args) for item in step.probes)
        call = step.call
        transaction = Transaction(
            job.signer_id, job.public_key, nonce, call.receiver_id, job.ground.block_hash, call.actions
        )
        tx_hash = transaction_hash(encode_transaction(transaction))
        layer = self._overlay.child()
        try:
            # Nobody signed it: what a signature proves is the signer's affair, everything else is checked as on chain.
            signed = SignedTransaction(transaction, b"", tx_hash, b"")
            conversion, receipt = self._runtime.convert_transaction(layer, signed, self._block())
        except ChainError as error:
            refused: JsonValue = error.details.get("InvalidTxError", error.code)
            return StepDone(tx_hash, probes, refused=refused)
        ran = self._receipts(layer, receipt)
        self._overlay.merge(layer)
        return StepDone(tx_hash, probes, conversion=conversion, ran=tuple(ran))

    def _receipts(self, overlay: Overlay, first: ActionReceipt) -> list[Ran]:
        """All receipts of a transaction, a block for each generation. StateUnknown where one cannot be run here."""
        ran: list[Ran] = []
        waiting: deque[ActionReceipt | DataReceipt] = deque([first])
        while waiting:
            block = self._block()
            for _ in range(len(waiting)):
                receipt = waiting.popleft()
                result = self._runtime.apply_receipt(
                    overlay, receipt, self._with_epoch(block, overlay, receipt), self._work
                )
                waiting.extend(result.new_receipts)
                if result.execution is not None and result.activated is not None:
                    _check_ours(result.execution)
                    ran.append(Ran(result.activated, result.execution))
            if len(ran) + len(waiting) > MAX_RECEIPTS:
                raise StateUnknown(f"the transaction makes more than {MAX_RECEIPTS} receipts")
        return ran

    def _block(self) -> BlockContext:
        self._blocks += 1
        ground = self._job.ground
        return BlockContext(
            height=ground.height + self._blocks,
            timestamp_ns=ground.timestamp_ns + self._blocks * _BLOCK_NS,
            epoch_height=0,
            gas_price=ground.gas_price,
            block_hash=ground.block_hash,
            random_seed=bytes(32),
            foretold=True,
        )

    def _with_epoch(
        self, block: BlockContext, overlay: StateReader, receipt: ActionReceipt | DataReceipt
    ) -> BlockContext:
        """The epoch is read from the node only for contracts whose code can ask for it, and that run."""
        if isinstance(receipt, ActionReceipt) and not any(isinstance(one, FunctionCall) for one in receipt.actions):
            return block
        account = overlay.account(receipt.receiver_id)
        if account is None or account.code_hash is None:
            return block
        code = overlay.code(account.code_hash)
        if code is None or b"epoch_height" not in code:
            return block
        return replace(block, epoch_height=self._state.epoch_height())

    def _near(self, state: StateReader, account_id: AccountId) -> int | None:
        try:
            account = state.account(account_id)
        except StateUnknown:
            return None
        return 0 if account is None else account.amount + account.locked

    def _token(self, state: StateReader, contract_id: AccountId, account_id: AccountId) -> int | None:
        answer = self._view(state, contract_id, "ft_balance_of", b'{"account_id":"' + account_id.encode() + b'"}')
        digits = (answer or b"").strip().strip(b'"')
        return int(digits) if digits.isdigit() and len(digits) <= 39 else None

    def _view(self, state: StateReader, contract_id: AccountId, method_name: str, args: bytes) -> bytes | None:
        """What a view returns; None where it fails or what it reads is not to be had."""
        try:
            return self._runtime.view(state, contract_id, method_name, args, self._block(), self._work).result
        except (VmError, StateUnknown):
            return None


def _check_ours(execution: ReceiptExecution) -> None:
    """StateUnknown where a contract was stopped by a limit of this machine: the chain might have let it go on."""
    match execution.status:
        case Failure({"ActionError": {"kind": {"FunctionCallError": {"ExecutionError": str(text)}}}}):
            if text.startswith(_OURS):
                raise StateUnknown(f"{execution.executor_id} needs what cannot be simulated: {text[:160]}")
        case Failure(
            {"ActionError": {"kind": {"FunctionCallError": {"CompilationError": {"PrepareError": str(why)}}}}}
        ):
            if why in _OUR_ENGINES:
                raise StateUnknown(f"the code of {execution.executor_id} cannot be prepared here ({why})")
        case _:
            pass


def _failed(done: StepDone) -> bool:
    """Whether the transaction, by the receipt that its result was handed on to, did not succeed."""
    if done.refused is not None or done.conversion is None:
        return True
    statuses = {ran.execution.id: ran.execution.status for ran in done.ran}
    status = done.conversion.status
    for _ in range(len(statuses) + 1):
        if not isinstance(status, SuccessReceiptId):
            break
        status = statuses.get(status.receipt_id, Failure("the receipt did not run"))
    return isinstance(status, Failure)
