"""What a node says about one transaction: its status, its receipts and what each of them did."""

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import Field, JsonValue, PlainValidator, TypeAdapter

from contracts.chain.rpc_types import U64, U128, Answer, Base64, GasNumber, WaitUntil
from contracts.types import AccountId, CryptoHash

_BASE64: Final = TypeAdapter[bytes](Base64)
_HASH: Final = TypeAdapter(CryptoHash)
_AMOUNT: Final = TypeAdapter[int](U128)

_FINALITY: Final[dict[WaitUntil, int]] = {
    "NONE": 0,
    "INCLUDED": 1,
    "EXECUTED_OPTIMISTIC": 2,
    "INCLUDED_FINAL": 2,
    "EXECUTED": 3,
    "FINAL": 4,
}


@dataclass(frozen=True, slots=True)
class Pending:
    """`NotStarted`, `Started`, or a receipt whose end is `Unknown`."""

    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    error: JsonValue
    """nearcore's typed error: `{"ActionError": ...}` or `{"InvalidTxError": ...}`."""


@dataclass(frozen=True, slots=True)
class SuccessValue:
    value: bytes


@dataclass(frozen=True, slots=True)
class SuccessReceipt:
    """The value is the one of another receipt."""

    receipt_id: CryptoHash


StatusView: TypeAlias = Pending | Failure | SuccessValue | SuccessReceipt


def _status(value: JsonValue) -> StatusView:
    match value:
        case "NotStarted" | "Started" | "Unknown":
            return Pending(value)
        case {"Failure": error}:
            return Failure(error)
        case {"SuccessValue": text}:
            return SuccessValue(_BASE64.validate_python(text))
        case {"SuccessReceiptId": text}:
            return SuccessReceipt(_HASH.validate_python(text))
        case _:
            raise ValueError("not an execution status")


Status: TypeAlias = Annotated[StatusView, PlainValidator(_status)]


@dataclass(frozen=True, slots=True)
class ActionView:
    """One action as nodes show it; `kind` is nearcore's name."""

    kind: str
    deposit: int = 0
    """Yocto that goes from the receipt's predecessor to its receiver; in a delegate action, what its relayer pays in."""
    method_name: str | None = None
    args: bytes = b""


def _action(value: JsonValue) -> ActionView:
    match value:
        case str(kind):
            return ActionView(kind[:80])
        case {"FunctionCall": {"method_name": str(method_name), "args": args, "deposit": deposit}}:
            return ActionView(
                "FunctionCall", _AMOUNT.validate_python(deposit), method_name, _BASE64.validate_python(args)
            )
        case dict() if len(value) == 1:
            kind, body = next(iter(value.items()))
            if kind == "Delegate":
                return ActionView(kind, _delegated(body))
            if kind in {"Transfer", "DeterministicStateInit"} and isinstance(body, dict):
                return ActionView(kind, _AMOUNT.validate_python(body.get("deposit")))
            return ActionView(kind[:80])
        case _:
            raise ValueError("not an action")


def _delegated(body: JsonValue) -> int:
    """The deposits of what a delegate action holds: its sender gets them from the relayer and passes them on."""
    match body:
        case {"delegate_action": {"actions": list() as actions}}:
            return sum(_action(action).deposit for action in actions)
        case _:
            raise ValueError("not a delegate action")


Action: TypeAlias = Annotated[ActionView, PlainValidator(_action)]


class TransactionView(Answer):
    hash: CryptoHash
    signer_id: AccountId
    public_key: str
    nonce: U64
    receiver_id: AccountId
    actions: tuple[Action, ...]


class ExecutionView(Answer):
    executor_id: AccountId
    logs: tuple[str, ...]
    receipt_ids: tuple[CryptoHash, ...]
    gas_burnt: GasNumber
    tokens_burnt: U128
    status: Status


class OutcomeView(Answer):
    """What one receipt, or the transaction itself, did."""

    id: CryptoHash
    block_hash: CryptoHash
    outcome: ExecutionView


@dataclass(frozen=True, slots=True)
class ActionBody:
    signer_id: AccountId
    """`system` in a refund of a deposit."""
    actions: tuple[ActionView, ...]


def _receipt_body(value: JsonValue) -> ActionBody | None:
    match value:
        case {"Action": {"signer_id": str(signer_id), "actions": list() as actions}}:
            return ActionBody(AccountId(signer_id), tuple(_action(item) for item in actions))
        case dict():
            return None
        case _:
            raise ValueError("not a receipt")


class ReceiptView(Answer):
    receipt_id: CryptoHash
    predecessor_id: AccountId
    receiver_id: AccountId
    body: Annotated[ActionBody | None, PlainValidator(_receipt_body)] = Field(validation_alias="receipt")
    """None for data and for the distribution of global contracts: nothing moves with them."""


class TxAnswer(Answer):
    """The answer of send_tx, tx and EXPERIMENTAL_tx_status. Below the level asked for, only the first field is there."""

    final_execution_status: WaitUntil
    status: Status | None = None
    transaction: TransactionView | None = None
    transaction_outcome: OutcomeView | None = None
    receipts_outcome: tuple[OutcomeView, ...] = ()
    receipts: tuple[ReceiptView, ...] | None = None
    """None where the method does not give them."""

    @property
    def included(self) -> bool:
        """In a block, final or not."""
        return _FINALITY[self.final_execution_status] >= 1

    @property
    def final(self) -> bool:
        """Every receipt, refunds too, is executed in a final block, and the answer tells the outcome."""
        return self.final_execution_status == "FINAL" and not isinstance(self.status, Pending | None)
