"""Receipts and their execution: what travels between accounts, and what became of it. All values are JSON-able.

`pydantic.TypeAdapter(Receipt)` and `TypeAdapter(ReceiptExecution)` dump and load them; amounts are strings in JSON and
bytes are base64. Shapes follow nearcore's `Receipt` and `ExecutionOutcome`.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Base64Bytes, Discriminator, JsonValue

from contracts.calls import Action, YoctoField
from contracts.types import AccountId, CryptoHash, PublicKey

SYSTEM: Final = AccountId("system")
"""Predecessor of refunds and of nothing else; such receipts burn no gas and never create an account."""


@dataclass(frozen=True, slots=True)
class DataReceiver:
    """Where a receipt's result goes: the receipt at `receiver_id` that waits for `data_id`."""

    data_id: CryptoHash
    receiver_id: AccountId


@dataclass(frozen=True, slots=True)
class ActionReceipt:
    """Actions for one account, run together or not at all, once all of `input_data_ids` have arrived."""

    receipt_id: CryptoHash
    predecessor_id: AccountId
    receiver_id: AccountId
    signer_id: AccountId
    """Who signed the transaction that it all began with, and pays for gas."""
    signer_public_key: PublicKey
    gas_price: YoctoField
    """yoctoNEAR per gas at which the gas was bought."""
    actions: tuple[Action, ...]
    input_data_ids: tuple[CryptoHash, ...] = ()
    output_data_receivers: tuple[DataReceiver, ...] = ()
    kind: Literal["action"] = "action"

    @property
    def is_refund(self) -> bool:
        return self.predecessor_id == SYSTEM


@dataclass(frozen=True, slots=True)
class DataReceipt:
    """A result on its way to the receipt that waits for it; `data` is None where the sender's receipt failed."""

    receipt_id: CryptoHash
    predecessor_id: AccountId
    receiver_id: AccountId
    data_id: CryptoHash
    data: Base64Bytes | None
    kind: Literal["data"] = "data"


def derived_id(parent: bytes, block_height: int, salt: int) -> CryptoHash:
    """The id of the `salt`-th thing that `parent` (32 bytes) made at this height, as nearcore derives receipt ids."""
    return CryptoHash.from_bytes(derived_hash(parent, block_height, salt))


def derived_hash(parent: bytes, block_height: int, salt: int) -> bytes:
    """`derived_id` as 32 bytes."""
    return hashlib.sha256(parent + block_height.to_bytes(8, "little") + salt.to_bytes(8, "little")).digest()


Receipt: TypeAlias = Annotated[ActionReceipt | DataReceipt, Discriminator("kind")]


@dataclass(frozen=True, slots=True)
class ReceivedData:
    """Data that arrived before all of a receipt's inputs did; `data` is None for a failed sender."""

    data: Base64Bytes | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not executed yet."""

    kind: Literal["unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """`error` is nearcore's TxExecutionError as JSON, e.g. `{"ActionError": {"index": 0, "kind": {...}}}`."""

    error: JsonValue
    kind: Literal["failure"] = "failure"


@dataclass(frozen=True, slots=True)
class SuccessValue:
    """The returned bytes, empty where nothing was returned."""

    value: Base64Bytes
    kind: Literal["success_value"] = "success_value"


@dataclass(frozen=True, slots=True)
class SuccessReceiptId:
    """The result is the result of this receipt."""

    receipt_id: CryptoHash
    kind: Literal["success_receipt_id"] = "success_receipt_id"


ExecutionStatus: TypeAlias = Annotated[Unknown | Failure | SuccessValue | SuccessReceiptId, Discriminator("kind")]


@dataclass(frozen=True, slots=True)
class ReceiptExecution:
    """The outcome of a transaction's conversion or of one action receipt (nearcore's ExecutionOutcomeWithId)."""

    id: CryptoHash
    executor_id: AccountId
    logs: tuple[str, ...]
    receipt_ids: tuple[CryptoHash, ...]
    gas_burnt: int
    """A bound from below: trie node costs are not known here."""
    tokens_burnt: YoctoField
    status: ExecutionStatus
