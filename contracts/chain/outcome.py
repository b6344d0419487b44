"""What became of a call: values, not exceptions. Built from what nodes answer, with every receipt and effect."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, JsonValue, PlainSerializer

from contracts.types import AccountId, CryptoHash

Units: TypeAlias = Annotated[int, PlainSerializer(str, return_type=str, when_used="json")]
"""Base units, signed; a string in JSON."""


Place: TypeAlias = tuple[AccountId, str, str | None]
"""Account, token and NFT."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an account gains (or loses, below zero) of NEAR, of one token, or one NFT."""

    account_id: AccountId
    token: str
    """`NEAR`, or the token contract's account id."""
    change: Units
    at_least: bool = False
    """Of an expected effect: more is as good (what a swap gives)."""
    token_id: str | None = None
    """Which NFT of the contract `token`; the change is then a number of NFTs, 1 or -1. Outside data."""

    @property
    def place(self) -> Place:
        return self.account_id, self.token, self.token_id


@dataclass(frozen=True, slots=True)
class ReceiptOutcome:
    receipt_id: CryptoHash
    executor_id: AccountId
    success: bool
    logs: tuple[str, ...]
    gas_burnt: int
    tokens_burnt: Units
    failure: JsonValue = None
    """nearcore's typed failure, None on success."""


@dataclass(frozen=True, slots=True)
class ViewReturned:
    value: JsonValue
    block_height: int
    block_hash: CryptoHash
    logs: tuple[str, ...] = ()
    cut: str | None = None
    """The part of the answer that is kept in `value`, if it is not all of it."""
    repeated: tuple[str, ...] = ()
    """Keys that an object of the answer repeats: `value` has the last value of each."""
    kind: Literal["view_returned"] = "view_returned"


@dataclass(frozen=True, slots=True)
class Execution:
    """A transaction on chain, as its final answer tells it."""

    tx_hash: CryptoHash
    block_height: int
    block_hash: CryptoHash
    signer_id: AccountId
    receiver_id: AccountId
    value: JsonValue
    """Decoded return value: JSON where it is JSON, else text, else base64; None where nothing was returned."""
    receipts: tuple[ReceiptOutcome, ...]
    effects: tuple[Effect, ...]
    """From receipts, NEP-297 events and returned amounts; gas apart."""
    gas_burnt: int
    tokens_burnt: Units
    effects_complete: bool = True
    """False where the node gives no receipts: NEAR that inner receipts moved is then missing from `effects`."""
    expected: tuple[Effect, ...] = ()
    """What the plan said it would move."""


@dataclass(frozen=True, slots=True)
class Finalized:
    """Final, and no receipt failed."""

    execution: Execution
    kind: Literal["finalized"] = "finalized"


@dataclass(frozen=True, slots=True)
class PartiallyExecuted:
    """Success on the outside, with a failed inner receipt or another effect than expected."""

    execution: Execution
    message: str
    kind: Literal["partially_executed"] = "partially_executed"


@dataclass(frozen=True, slots=True)
class ExecutionFailed:
    """Included and failed; `message` is the contract's or the chain's own text, outside data."""

    execution: Execution
    code: str
    """nearcore's error name, e.g. `FunctionCallError`, `AccountDoesNotExist`, `LackBalanceForState`."""
    message: str
    kind: Literal["execution_failed"] = "execution_failed"


@dataclass(frozen=True, slots=True)
class Declined:
    """The requester cancelled, or the approval expired."""

    reason: str
    kind: Literal["declined"] = "declined"


@dataclass(frozen=True, slots=True)
class DeathProof:
    """Why signed bytes can never be executed, read at one final block on several operators (DESIGN law 2).

    `expired`: the block is past the reference block plus the validity and the key's nonce there is below the
    transaction's. `nonce_passed`: the key's nonce there is at or past the transaction's, or the key is gone, and nodes
    that hold every block since the reference block do not know the hash. `fenced`: another transaction with the same key
    and nonce is final, so this one cannot be, and its hash is unknown.
    """

    reason: Literal["expired", "nonce_passed", "fenced"]
    block_height: int
    block_hash: CryptoHash
    key_nonce: int | None
    """None: the key, or its account, is gone."""
    operators: tuple[str, ...]
    fence_hash: CryptoHash | None = None
    """With `fenced`: the transaction that took the nonce."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not come to an execution, and it never will: nothing was sent, or what was sent is proven dead."""

    stage: str
    code: str
    message: str
    tx_hash: CryptoHash | None = None
    proof: DeathProof | None = None
    """Present where signed bytes left this process and are proven dead."""
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Sent, and neither found nor proven dead within the time allowed; it may still happen."""

    tx_hash: CryptoHash
    message: str
    code: str = "unconfirmed"
    """The last refusal or error of a node, e.g. `NotEnoughBalance`, `TIMEOUT_ERROR`."""
    kind: Literal["unconfirmed"] = "unconfirmed"


@dataclass(frozen=True, slots=True)
class NotDone:
    """A later step of a plan that was not begun because an earlier one did not succeed."""

    reason: str
    kind: Literal["not_done"] = "not_done"


Outcome: TypeAlias = Annotated[
    ViewReturned | Finalized | PartiallyExecuted | ExecutionFailed | Declined | Failed | Unconfirmed | NotDone,
    Discriminator("kind"),
]
