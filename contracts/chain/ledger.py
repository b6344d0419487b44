"""The ledger: which transaction is where on its way, so that no intent is ever signed twice (DESIGN law 2).

Here are the states, the pure transitions between them, and the Protocol that a store implements. Each method of the
Protocol is one short, durable database transaction: when it returns, the fact is on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from contracts.calls import ChangeCall, Grant
from contracts.chain.budget import Reservation
from contracts.chain.outcome import Effect, Outcome
from contracts.errors import LedgerConflict
from contracts.types import AccountId, CryptoHash, PublicKey

IntentState: TypeAlias = Literal[
    "planned",
    "approved",
    "signed",
    "sending",
    "sent",
    "included",
    "final",
    "failed",
    "expired",
    "fenced",
    "abandoned",
    "unconfirmed",
]

TRANSITIONS: Final[dict[IntentState, frozenset[IntentState]]] = {
    "planned": frozenset({"approved", "abandoned"}),
    "approved": frozenset({"signed", "abandoned"}),
    "signed": frozenset({"sending", "abandoned"}),
    "sending": frozenset({"sent", "included", "final", "failed", "expired", "fenced", "unconfirmed"}),
    "sent": frozenset({"included", "final", "failed", "expired", "fenced", "unconfirmed"}),
    "included": frozenset({"final", "failed", "sent", "unconfirmed"}),
    "unconfirmed": frozenset({"included", "final", "failed", "expired", "fenced"}),
    "final": frozenset(),
    "failed": frozenset(),
    "expired": frozenset(),
    "fenced": frozenset(),
    "abandoned": frozenset(),
}
"""`included` can fall back to `sent` when the block that held it is not final. `failed` is a final execution that failed,
`expired` and `fenced` are the proofs that the bytes are dead, `abandoned` was never sent."""

OPEN: Final[frozenset[IntentState]] = frozenset({"signed", "sending", "sent", "included", "unconfirmed"})
"""Signed bytes exist and the end is not known."""
UNSENT: Final[frozenset[IntentState]] = frozenset({"planned", "approved", "signed"})
"""Not a byte has left: `sending` is stored before the first one does."""
UNSETTLED: Final[frozenset[IntentState]] = frozenset({"sending", "sent", "included", "unconfirmed"})
"""May be on chain or get there."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What is stored with the state `signed`: enough to send the same bytes again and to prove them dead."""

    tx_hash: CryptoHash
    data: bytes
    """The signed transaction's wire bytes."""
    public_key: PublicKey
    nonce: int
    reference_hash: CryptoHash
    reference_height: int
    """Height of the block whose hash is in the transaction; validity counts from here."""
    nonce_index: int | None = None
    """Which of a gas key's nonces it takes; None for any other key."""


@dataclass(frozen=True, slots=True)
class Lane:
    """An order of nonces on one chain: a key's own, or one of a gas key's."""

    chain_id: str
    signer_id: AccountId
    public_key: PublicKey
    nonce_index: int | None = None

    @property
    def name(self) -> str:
        """The key, with `#` and the index where it is a gas key's."""
        return str(self.public_key) if self.nonce_index is None else f"{self.public_key}#{self.nonce_index}"


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """A key's nonce on chain is above every nonce that the ledger knows: something else signed with it."""

    known_nonce: int
    chain_nonce: int
    found_at: float


@dataclass(frozen=True, slots=True)
class SeenNonce:
    """A lane's nonce on chain, read at the block of this height."""

    lane: Lane
    nonce: int
    height: int


@dataclass(frozen=True, slots=True)
class LaneRecord:
    nonce: int
    """The highest that was ever stored or seen; 0 for a lane that is not known."""
    foreign: ForeignUse | None = None
    """Not acknowledged yet: nothing is signed for the account."""
    baseline: int = 0
    """The nonce on chain when the lane was first seen or last acknowledged. Every later one must be one of ours."""
    baseline_height: int = 0
    """The block at which the baseline was read; 0 where an earlier version stored it."""
    in_doubt: str | None = None
    """From `observe`: the intent that has the nonce on chain, and whose own end is not known yet."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One transaction that a requester asked for, from the plan to its end. `step` is its place in the plan."""

    intent_id: str
    request_id: str
    step: int
    chain_id: str
    signer_id: AccountId
    call: ChangeCall
    calls_hash: str
    state: IntentState
    created_at: float
    updated_at: float
    grant_id: str | None = None
    signed: Signed | None = None
    outcome: Outcome | None = None
    expected: tuple[Effect, ...] = ()
    """What the plan says this step moves; kept with the intent so that it is checked after a restart too."""
    fences: str | None = None
    """The intent whose key and nonce this one takes, so that only one of the two can ever be executed."""
    review: str | None = None
    """Why a person has to look at it (`restored`): it is looked up on chain, and never signed or sent again by itself."""
    codes: tuple[tuple[AccountId, CryptoHash], ...] = ()
    """The contracts that decide what becomes of it, with their code as it was when this was approved, as far as read."""

    @property
    def lane(self) -> Lane | None:
        """Where its bytes stand; None before it is signed."""
        signed = self.signed
        return None if signed is None else Lane(self.chain_id, self.signer_id, signed.public_key, signed.nonce_index)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A signature that is no transaction, as it is kept: what was given away, and until when it counts."""

    message_id: str
    request_id: str
    kind: Literal["nep413", "delegate"]
    chain_id: str
    signer_id: AccountId
    public_key: PublicKey
    recipient: str
    """Whom a message is for; the receiver of a delegate action."""
    nonce: str
    """A message's 32 bytes in hex, or the key's nonce that a delegate action takes."""
    digest: str
    """The 32 bytes that were signed, in hex."""
    payload: bytes
    """Prefix and Borsh."""
    signature: bytes
    max_block_height: int | None = None
    """Until when a delegate action can be relayed."""


class Ledger(Protocol):
    """Where intents live. Errors: LedgerConflict where a compare-and-set loses; then nothing was written."""

    async def create(self, intents: Sequence[Intent]) -> None:
        """Store new intents in state `planned`."""
        ...

    async def approve(
        self, grant: Grant, intent_ids: Sequence[str], now: float, reservation: Reservation | None = None
    ) -> None:
        """Store the grant and move its intents, in plan order, from `planned` to `approved`; all or nothing.

        With a reservation its budgets are drawn on in the same transaction: LedgerConflict `over_budget`.
        """
        ...

    async def begin(
        self, grant: Grant, intents: Sequence[Intent], now: float, reservation: Reservation | None = None
    ) -> None:
        """`create` and `approve` in one transaction: all or nothing, LedgerConflict as those."""
        ...

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        """One transaction: consume the grant for this step, raise the key's nonce, keep the bytes, `approved` -> `signed`.

        A fence takes the nonce of the intent that it fences, as long as that one is open.
        LedgerConflict `grant_used`, `grant_expired`, `grant_void`, `nonce_taken`, `key_blocked` (also where another lane
        of the account is blocked), `fence_void` or `state_moved`; the caller throws the bytes away.
        """
        ...

    async def move(self, intent_id: str, to: IntentState, now: float, outcome: Outcome | None = None) -> None:
        """Move an intent along TRANSITIONS, with its outcome where it ends. LedgerConflict `state_moved` if not allowed.

        Moving to the state it already has is allowed and keeps the first outcome.
        """
        ...

    async def get(self, intent_id: str) -> Intent | None: ...

    async def grant(self, grant_id: str) -> Grant | None: ...

    async def of_request(self, request_id: str) -> list[Intent]:
        """A request's intents in plan order."""
        ...

    async def by_hash(self, tx_hash: CryptoHash) -> Intent | None: ...

    async def in_states(self, states: frozenset[IntentState]) -> list[Intent]:
        """All intents in these states, oldest first."""
        ...

    async def last_nonce(self, chain_id: str, signer_id: AccountId, public_key: PublicKey) -> int:
        """The highest nonce ever stored for a key; 0 for none."""
        ...

    async def lane(self, lane: Lane) -> LaneRecord:
        """What is known of a lane."""
        ...

    async def lanes(self, chain_id: str, signer_id: AccountId | None = None) -> list[tuple[Lane, LaneRecord]]:
        """Every lane that was ever used or seen on a chain, or those of one account."""
        ...

    async def observe(self, seen: Sequence[SeenNonce], now: float) -> list[LaneRecord]:
        """Compare nonces on chain with what is known of their lanes, by the rule in `contracts.chain.nonce`; in their order.

        Lanes with a foreign use are blocked until `acknowledge`. Baselines are stored for unseen lanes only, never raised.
        """
        ...

    async def acknowledge(self, seen: Sequence[SeenNonce], now: float) -> int:
        """Make what a person has looked at the lanes' baselines, and void the cards that wait for their accounts.

        Returns the number of voided cards: one of them may have been carried out already, by what the person has seen.
        """
        ...

    async def executed_from(self, lane: Lane, nonce: int) -> list[Intent]:
        """Intents of a lane with this nonce or a higher one whose execution is final, lowest nonce first."""
        ...

    async def fences_of(self, intent_id: str) -> list[Intent]:
        """What was made to fence an intent, oldest first."""
        ...


def check_transition(intent_id: str, current: IntentState, to: IntentState) -> None:
    """Raise LedgerConflict `state_moved` unless an intent may go from one state to the other."""
    if to != current and to not in TRANSITIONS[current]:
        raise LedgerConflict(
            "state_moved",
            f"intent {intent_id} is {current} and cannot become {to}",
            details={"intent_id": intent_id, "state": current, "to": to},
        )
