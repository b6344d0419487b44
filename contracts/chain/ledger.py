"""The ledger: which transaction is where on its way, so that no intent is ever signed twice (DESIGN law 2).

Here are the states, the pure transitions between them, and the Protocol that a store implements. Each method of the
Protocol is one short, durable database transaction: when it returns, the fact is on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from contracts.calls import ChangeCall, Grant
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


class Ledger(Protocol):
    """Where intents live. Errors: LedgerConflict where a compare-and-set loses; then nothing was written."""

    async def create(self, intents: Sequence[Intent]) -> None:
        """Store new intents in state `planned`."""
        ...

    async def approve(self, grant: Grant, intent_ids: Sequence[str], now: float) -> None:
        """Store the grant and move its intents, in plan order, from `planned` to `approved`."""
        ...

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        """One transaction: consume the grant for this step, raise the key's nonce, keep the bytes, `approved` -> `signed`.

        LedgerConflict `grant_used`, `grant_expired`, `nonce_taken` or `state_moved`; the caller throws the bytes away.
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


def check_transition(intent_id: str, current: IntentState, to: IntentState) -> None:
    """Raise LedgerConflict `state_moved` unless an intent may go from one state to the other."""
    if to != current and to not in TRANSITIONS[current]:
        raise LedgerConflict(
            "state_moved",
            f"intent {intent_id} is {current} and cannot become {to}",
            details={"intent_id": intent_id, "state": current, "to": to},
        )
