"""Contracts on the virtual machine, without blocks or signatures: one call in, everything that follows from it out."""

import json
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from contracts.calls import Action, FunctionCall, total_deposit
from contracts.errors import VmError
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext
from contracts.vm.receipts import (
    ActionReceipt,
    DataReceipt,
    Failure,
    ReceiptExecution,
    SuccessReceiptId,
    SuccessValue,
)
from contracts.vm.runtime import Runtime
from contracts.vm.state import Account, EmptyState, Overlay

NEAR: Final = 10**24
MINIMUM: Final = 1_250_000_000_000_000_000_000
WASM: Final = Path(__file__).parents[3] / "contracts" / "localnet" / "wasm"
ALICE: Final = AccountId("alice.localnet")
BOB: Final = AccountId("bob.localnet")
CAROL: Final = AccountId("carol.localnet")
WRAP: Final = AccountId("wrap.localnet")
USDC: Final = AccountId("usdc.localnet")
COUNTER: Final = AccountId("counter.localnet")
BOOK: Final = AccountId("guestbook.localnet")
_NO_KEY: Final = PublicKey.from_bytes("ed25519", bytes(32))


@dataclass(frozen=True, slots=True)
class Story:
    """What one call led to: every executed receipt in order, and what the first one's result came to in the end."""

    executions: tuple[ReceiptExecution, ...]
    value: bytes | None
    """None where the receipt that carries the result failed."""

    @property
    def json(self) -> JsonValue:
        assert self.value is not None, self.executions
        return json.loads(self.value)

    @property
    def logs(self) -> list[str]:
        return [line for execution in self.executions for line in execution.logs]

    @property
    def events(self) -> list[str]:
        return [line.removeprefix("EVENT_JSON:") for line in self.logs if line.startswith("EVENT_JSON:")]

    @property
    def failures(self) -> list[str]:
        return [json.dumps(e.status.error) for e in self.executions if isinstance(e.status, Failure)]

    @property
    def panic(self) -> str:
        """The first failure's text; the call must have failed."""
        assert self.value is None, self.value
        return self.failures[0]


class World:
    """A state that calls change, with 1,000 NEAR for alice, bob, carol and every contract."""

    def __init__(self, engine: Engine) -> None:
        self.config = RuntimeConfig()
        self.runtime = Runtime(self.config, engine)
        self.overlay = Overlay(EmptyState())
        self._numbers = count()
        self.later_s = 0
        """Seconds that have passed besides one a call."""
        for account_id in (ALICE, BOB, CAROL):
            self.add_account(account_id)

    def add_account(self, account_id: AccountId, code: bytes | None = None) -> None:
        code_hash = None if code is None else self.overlay.add_code(code)
        usage = 100 + len(code or b"")
        self.overlay.set_account(account_id, Account(1_000 * NEAR, 0, code_hash, usage))

    def balance(self, account_id: AccountId) -> int:
        account = self.overlay.account(account_id)
        assert account is not None
        return account.amount

    def storage_usage(self, account_id: AccountId) -> int:
        account = self.overlay.account(account_id)
        assert account is not None
        return account.storage_usage

    def send(self, sender: AccountId, receiver: AccountId, *actions: Action) -> Story:
        """One receipt with these actions and all that follow, the deposits paid by the sender, gas for nothing."""
        deposit = total_deposit(actions)
        account = self.overlay.account(sender)
        assert account is not None
        self.overlay.set_account(sender, replace(account, amount=account.amount - deposit))
        number = next(self._numbers)
        first = ActionReceipt(
            receipt_id=CryptoHash.of(number.to_bytes(8, "little")),
            predecessor_id=sender,
            receiver_id=receiver,
            signer_id=sender,
            signer_public_key=_NO_KEY,
            gas_price=Yocto(0),
            actions=actions,
        )
        return self._run(first, self.block(number))

    def call(self, sender: AccountId, receiver: AccountId, method: str, args: object = None, **options: int) -> Story:
        return self.send(sender, receiver, function_call(method, args, **options))

    def view(self, contract: AccountId, method: str, args: object = None) -> JsonValue:
        raw = as_input(args)
        return json.loads(self.runtime.view(self.overlay, contract, method, raw, self.block(0)).result)

    def view_error(self, contract: AccountId, method: str, args: object = None) -> str:
        try:
            answer = self.view(contract, method, args)
        except VmError as error:
            return json.dumps(error.details) + error.message
        raise AssertionError(f"{method} answered {answer!r}")

    def _run(self, first: ActionReceipt, block: BlockContext) -> Story:
        executions: dict[str, ReceiptExecution] = {}
        waiting: deque[ActionReceipt | DataReceipt] = deque([first])
        while waiting:
            result = self.runtime.apply_receipt(self.overlay, waiting.popleft(), block)
            waiting.extend(result.new_receipts)
            if result.execution is not None:
                executions[result.execution.id] = result.execution
        return Story(tuple(executions.values()), _final_value(executions, first.receipt_id))

    def block(self, number: int) -> BlockContext:
        return BlockContext(
            height=1_000 + number,
            timestamp_ns=1_700_000_000_000_000_000 + (number + self.later_s) * 10**9,
            epoch_height=1,
            gas_price=self.config.min_gas_price,
            block_hash=CryptoHash.of(b"block" + number.to_bytes(8, "little")),
            random_seed=bytes(32),
        )


def as_input(args: object) -> bytes:
    """Bytes go as they are, anything else as JSON; nothing is an empty object."""
    if isinstance(args, bytes):
        return args
    return json.dumps({} if args is None else args).encode()


def function_call(method: str, args: object = None, *, deposit: int = 0, tgas: int = 100) -> FunctionCall:
    return FunctionCall(method, as_input(args), Gas(tgas * TGAS), Yocto(deposit))


def _final_value(executions: dict[str, ReceiptExecution], receipt_id: str) -> bytes | None:
    status = executions[receipt_id].status
    while isinstance(status, SuccessReceiptId):
        status = executions[status.receipt_id].status
    return status.value if isinstance(status, SuccessValue) else None


def wasm(name: str) -> bytes:
    return (WASM / f"{name}.wasm").read_bytes()


def event(name: str, **data: str) -> str:
    """NEP-297's line without its prefix, keys in the standard's order."""
    body = {"standard": "nep141", "version": "1.0.0", "event": name, "data": [data]}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
