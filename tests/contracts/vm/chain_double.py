"""A chain of one: blocks without time or storage, for tests of the runtime."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from nacl.signing import SigningKey
from pydantic import JsonValue, TypeAdapter

from contracts.calls import Action, FullAccess, FunctionCall
from contracts.signing.transaction import (
    SignedTransaction,
    Transaction,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext
from contracts.vm.keys import key_storage_bytes, purse
from contracts.vm.receipts import (
    ActionReceipt,
    DataReceipt,
    Failure,
    ReceiptExecution,
    SuccessReceiptId,
    SuccessValue,
)
from contracts.vm.runtime import Runtime
from contracts.vm.state import AccessKey, Account, EmptyState, Overlay

NEAR = 10**24
TGAS = 10**12
CONFIG = RuntimeConfig()
_PANIC: TypeAdapter[dict[str, dict[str, str]]] = TypeAdapter(dict[str, dict[str, str]])
BLOCK_HASH = CryptoHash.of(b"a block")


def signing_key(account_id: str) -> SigningKey:
    return SigningKey(CryptoHash.of(account_id.encode()).raw)


def public_key(account_id: str) -> PublicKey:
    return PublicKey.from_bytes("ed25519", bytes(signing_key(account_id).verify_key))


@dataclass
class Outcome:
    """A transaction's conversion and all that ran because of it, in order."""

    transaction: ReceiptExecution
    receipts: list[ReceiptExecution] = field(default_factory=list[ReceiptExecution])

    @property
    def final(self) -> ReceiptExecution:
        """The receipt whose result is the transaction's."""
        by_id = {execution.id: execution for execution in self.receipts}
        execution = self.transaction
        while isinstance(execution.status, SuccessReceiptId):
            execution = by_id[execution.status.receipt_id]
        return execution

    @property
    def value(self) -> bytes:
        status = self.final.status
        assert isinstance(status, SuccessValue), status
        return status.value

    @property
    def json(self) -> object:
        return json.loads(self.value)

    @property
    def failure(self) -> object:
        """The ActionError's kind of the final receipt."""
        status = self.final.status
        assert isinstance(status, Failure), status
        assert isinstance(status.error, dict)
        error = status.error["ActionError"]
        assert isinstance(error, dict)
        return error["kind"]

    @property
    def panic(self) -> str:
        return _PANIC.validate_python(self.failure)["FunctionCallError"]["ExecutionError"]

    @property
    def logs(self) -> list[str]:
        return [line for execution in self.receipts for line in execution.logs]


class TestChain:
    """Accounts with one full-access key each, derived from their names."""

    __test__ = False

    def __init__(self, engine: Engine | None = None, config: RuntimeConfig = CONFIG) -> None:
        self.config = config
        self.engine = engine or Engine()
        self.runtime = Runtime(config, self.engine)
        self.state = Overlay(EmptyState())
        self.height = 100
        self.epoch_height = 1
        self.gas_price = config.min_gas_price
        self.burnt = 0
        self.created = 0
        self.nonce = 99 * 10**6

    @property
    def block(self) -> BlockContext:
        return BlockContext(
            height=self.height,
            timestamp_ns=1_700_000_000_000_000_000 + self.height * 10**9,
            epoch_height=self.epoch_height,
            gas_price=self.gas_price,
            block_hash=BLOCK_HASH,
            random_seed=bytes(32),
        )

    def create(self, name: str, amount: int = 100 * NEAR, code: bytes | None = None) -> AccountId:
        account_id = AccountId(name)
        usage = 100 + key_storage_bytes(self.config, public_key(name), FullAccess()) + len(code or b"")
        code_hash = self.state.add_code(code) if code is not None else None
        self.state.set_account(account_id, Account(amount, 0, code_hash, usage))
        self.state.set_access_key(account_id, public_key(name), AccessKey(0, FullAccess()))
        self.created += amount
        return account_id

    def account(self, name: str) -> Account:
        account = self.state.account(name)
        assert account is not None, name
        return account

    def balance(self, name: str) -> int:
        return self.account(name).amount

    def sign(
        self, signer: str, receiver: str, *actions: Action, nonce: int | None = None, key: str | None = None
    ) -> SignedTransaction:
        if nonce is None:
            self.nonce += 1
            nonce = self.nonce
        name = key or signer
        transaction = Transaction(AccountId(signer), public_key(name), nonce, AccountId(receiver), BLOCK_HASH, actions)
        data = encode_transaction(transaction)
        return signed_transaction(transaction, data, signing_key(name).sign(transaction_hash(data).raw).signature)

    def send(self, signer: str, receiver: str, *actions: Action, key: str | None = None) -> Outcome:
        """Run a transaction and all receipts that follow, a block for each generation."""
        return self.deliver(self.sign(signer, receiver, *actions, key=key))

    def deliver(self, signed: SignedTransaction) -> Outcome:
        self.runtime.validate_transaction(self.state, signed, self.block)
        execution, receipt = self.runtime.convert_transaction(self.state, signed, self.block)
        self.burnt += execution.tokens_burnt
        outcome = Outcome(execution)
        self.run([receipt], outcome)
        return outcome

    def run(self, receipts: list[ActionReceipt | DataReceipt], outcome: Outcome) -> None:
        waiting = deque(receipts)
        while waiting:
            self.height += 1
            for _ in range(len(waiting)):
                result = self.runtime.apply_receipt(self.state, waiting.popleft(), self.block)
                waiting.extend(result.new_receipts)
                if result.execution is not None:
                    outcome.receipts.append(result.execution)
                    self.burnt += result.execution.tokens_burnt - result.contract_reward
                self.burnt += result.lost

    def call(
        self,
        signer: str,
        contract: str,
        method: str,
        args: Mapping[str, JsonValue] | bytes | None = None,
        *,
        deposit: int = 0,
        gas: int = 100 * TGAS,
    ) -> Outcome:
        return self.send(signer, contract, function_call(method, args, deposit=deposit, gas=gas))

    def view(self, contract: str, method: str, args: Mapping[str, JsonValue] | bytes | None = None) -> object:
        result = self.runtime.view(self.state, AccountId(contract), method, encoded(args), self.block)
        return json.loads(result.result)

    @property
    def supply(self) -> int:
        """All NEAR in accounts and gas keys; receipts in flight apart."""
        changes = self.state.changes()
        held = sum(account.amount + account.locked for account in changes.accounts.values() if account is not None)
        return held + sum(purse(key) for key in changes.access_keys.values() if key is not None)


def encoded(args: Mapping[str, JsonValue] | bytes | None) -> bytes:
    return args if isinstance(args, bytes) else json.dumps(args or {}).encode()


def function_call(
    method: str, args: Mapping[str, JsonValue] | bytes | None = None, *, deposit: int = 0, gas: int = 100 * TGAS
) -> FunctionCall:
    return FunctionCall(method, encoded(args), Gas(gas), Yocto(deposit))
