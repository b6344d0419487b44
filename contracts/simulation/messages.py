"""What the daemon and the process that runs contracts tell each other: frames of JSON, each with its length before it.

Nothing of it is code: a frame is read by pydantic into the values below, or it is refused. The asking goes both ways: the
daemon hands over a `Job`, the process asks for what it lacks (`Need`) until it has its result (`Done`), and a `Measure`
after that reads balances in the state that the job left.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Base64Bytes, ConfigDict, Discriminator, JsonValue, TypeAdapter

from contracts.calls import ChangeCall
from contracts.types import AccountId, CryptoHash, PublicKey
from contracts.vm.receipts import ActionReceipt, ReceiptExecution
from contracts.vm.state import AccessKey, Account

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""More than the largest contract (4 MiB) or the largest page of state (50 kB a page) takes as JSON."""
LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class AccountGiven:
    account_id: AccountId
    account: Account | None
    """None: there is no such account."""
    kind: Literal["account"] = "account"


@dataclass(frozen=True, slots=True)
class KeyGiven:
    account_id: AccountId
    public_key: PublicKey
    access_key: AccessKey | None
    kind: Literal["key"] = "key"


@dataclass(frozen=True, slots=True)
class KeysGiven:
    """All keys of an account."""

    account_id: AccountId
    keys: tuple[tuple[PublicKey, AccessKey], ...]
    kind: Literal["keys"] = "keys"


@dataclass(frozen=True, slots=True)
class RecordsGiven:
    """A contract's records: all whose key is not above `through`; every one where that is None."""

    account_id: AccountId
    items: tuple[tuple[Base64Bytes, Base64Bytes], ...]
    through: Base64Bytes | None = None
    kind: Literal["records"] = "records"


@dataclass(frozen=True, slots=True)
class RecordGiven:
    """One record; None where there is none under this key."""

    account_id: AccountId
    key: Base64Bytes
    value: Base64Bytes | None
    kind: Literal["record"] = "record"


@dataclass(frozen=True, slots=True)
class CodeGiven:
    code_hash: CryptoHash
    code: Base64Bytes
    kind: Literal["code"] = "code"


@dataclass(frozen=True, slots=True)
class EpochGiven:
    epoch_height: int
    kind: Literal["epoch"] = "epoch"


@dataclass(frozen=True, slots=True)
class NotGiven:
    """It could not be read; what depends on it is unknown."""

    reason: str
    kind: Literal["not_given"] = "not_given"


Given: TypeAlias = AccountGiven | KeyGiven | KeysGiven | RecordsGiven | RecordGiven | CodeGiven | EpochGiven | NotGiven


@dataclass(frozen=True, slots=True)
class Prices:
    """What the node states of its protocol, where it differs from what this program takes for granted."""

    storage_amount_per_byte: int
    min_gas_price: int
    max_gas_burnt: int
    max_total_prepaid_gas: int
    rewards_contracts: bool
    """Whether contracts still get a part of the gas they burn."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The block that a plan is simulated on."""

    height: int
    block_hash: CryptoHash
    timestamp_ns: int
    gas_price: int
    """yoctoNEAR per gas."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A view that is asked right before a transaction, in the state that it will find."""

    contract_id: AccountId
    method_name: str
    args: Base64Bytes


@dataclass(frozen=True, slots=True)
class JobStep:
    call: ChangeCall
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A plan to run. The key signs every transaction, with nonces from the one it has on."""

    ground: Ground
    prices: Prices
    signer_id: AccountId
    public_key: PublicKey
    steps: tuple[JobStep, ...]
    given: tuple[Annotated[Given, Discriminator("kind")], ...] = ()
    """What was read in advance."""
    kind: Literal["job"] = "job"


@dataclass(frozen=True, slots=True)
class TokenOf:
    account_id: AccountId
    contract_id: AccountId


@dataclass(frozen=True, slots=True)
class Measure:
    """Balances before and after the last job."""

    near: tuple[AccountId, ...]
    tokens: tuple[TokenOf, ...]
    kind: Literal["measure"] = "measure"


@dataclass(frozen=True, slots=True)
class Need:
    """What the process lacks. `key` is a storage key or a public key's text as bytes; for `code` the hash is given."""

    what: Literal["account", "key", "keys", "records", "code", "epoch"]
    account_id: AccountId | None = None
    key: Base64Bytes | None = None
    code_hash: CryptoHash | None = None
    kind: Literal["need"] = "need"


@dataclass(frozen=True, slots=True)
class Ran:
    receipt: ActionReceipt
    execution: ReceiptExecution


@dataclass(frozen=True, slots=True)
class StepDone:
    """One transaction with all that followed from it."""

    tx_hash: CryptoHash
    probes: tuple[Base64Bytes | None, ...]
    """What the views returned; None where one failed."""
    refused: JsonValue = None
    """nearcore's InvalidTxError where the chain would not take the transaction."""
    conversion: ReceiptExecution | None = None
    ran: tuple[Ran, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    steps: tuple[StepDone, ...]
    """In order; those after a failed one are left away."""
    unknown: str | None
    """Why the step after these could not be run; None where nothing stopped it."""
    run_ms: float
    """Time at work, without waiting and without compiling."""
    compile_ms: float
    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Measured:
    """In the order asked: (before, after), None where it cannot be read. NEAR is liquid and staked together."""

    near: tuple[tuple[int | None, int | None], ...]
    tokens: tuple[tuple[int | None, int | None], ...]
    run_ms: float
    kind: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Ready:
    """Said once, when the process has started."""

    kind: Literal["ready"] = "ready"


ToProcess: TypeAlias = Annotated[Job | Measure | Given, Discriminator("kind")]
FromProcess: TypeAlias = Annotated[Ready | Need | Done | Measured, Discriminator("kind")]

_WHEN_USED: Final = ConfigDict(defer_build=True)
"""Built at the first plan, not at a daemon's start."""
TO_PROCESS: Final[TypeAdapter[ToProcess]] = TypeAdapter(ToProcess, config=_WHEN_USED)
FROM_PROCESS: Final[TypeAdapter[FromProcess]] = TypeAdapter(FromProcess, config=_WHEN_USED)


def frame(body: bytes) -> bytes:
    """The body with its length before it. ValueError where it is larger than a frame may be."""
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is above the limit of {MAX_FRAME_BYTES}")
    return LENGTH.pack(len(body)) + body
