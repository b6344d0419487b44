"""An approved plan, carried out: intents in the ledger first, then each transaction in order, stopping at the first failure."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from agent.errors import AgentError
from contracts.calls import ChangeCall, Grant, ViewCall
from contracts.chain.budget import Reservation
from contracts.chain.delivery import OnState, ignore_state
from contracts.chain.ledger import OPEN, UNSENT, UNSETTLED, Intent, IntentState, Ledger
from contracts.chain.outcome import Effect, Failed, Finalized, NotDone, Outcome, Unconfirmed, ViewReturned
from contracts.errors import ContractsError, LedgerConflict
from contracts.signing.transaction import call_digest, calls_hash
from contracts.types import AccountId, CryptoHash, PublicKey

log = structlog.get_logger()

SENT: Final = UNSETTLED | {"final"}
"""May have changed something on chain, or still may."""
UNKNOWN: Final = "unknown"
"""Stage of a Failed step of which nobody can tell whether it was sent."""

_STATES: Final[Mapping[IntentState, str]] = {
    "sending": "Sending transaction {}",
    "sent": "Sent transaction {}; waiting for a block",
    "included": "Transaction {} is in a block; waiting until it is final",
    "final": "Transaction {} is final",
}
Tell = Callable[[str], Awaitable[None]]
"""Told what is being done, in words for people."""


class Chain(Protocol):
    """The chain client as the agent uses it."""

    async def view(self, call: ViewCall) -> ViewReturned:
        """RpcError where the node refuses or does not answer."""
        ...

    async def execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...] = (),
        *,
        keys: Collection[PublicKey] | None = None,
        on_state: OnState = ignore_state,
    ) -> Outcome: ...

    async def settle(self, intent: Intent) -> Outcome: ...

    async def settle_open(self) -> list[Intent]: ...


@dataclass(frozen=True, slots=True)
class Approved:
    """What was approved, by whom, over which channel. `card_id` is the request id of the card."""

    card_id: str
    request_id: str
    """The request that approves."""
    chain_id: str
    signer_id: AccountId
    calls: tuple[ChangeCall, ...]
    expected: tuple[tuple[Effect, ...], ...]
    """Per call."""
    identity: str
    """Who approved; several are joined by `+`."""
    channel: str
    codes: tuple[tuple[tuple[AccountId, CryptoHash], ...], ...]
    """Per call: the contracts that decide what becomes of it, with their code as it was when this was approved."""
    keys: frozenset[PublicKey]
    """Those that may sign it."""
    reservation: Reservation | None = None
    """What it takes out of the budgets."""

    @property
    def calls_hash(self) -> str:
        return calls_hash(self.chain_id, self.signer_id, self.calls)


def intent_id(card_id: str, step: int) -> str:
    """Names a step of a card. The ledger holds each name once, so no step of a card can begin twice."""
    return f"{card_id}:{step}"


def card_of(intent: Intent) -> str:
    """The card whose step an intent is."""
    return intent.intent_id.rpartition(":")[0]


class Executor:
    """Runs approved plans. `step_timeout_s` ends the wait for one transaction, never the transaction itself."""

    def __init__(
        self,
        chain: Chain,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        step_timeout_s: float,
    ) -> None:
        self._chain = chain
        self._ledger = ledger
        self._clock = clock
        self._step_timeout_s = step_timeout_s

    async def run(self, approved: Approved, tell: Tell) -> tuple[Outcome, ...]:
        """One outcome per call, in order.

        LedgerConflict where the card was begun before, or `over_budget` where another request took what was left of a
        budget: nothing is done then.
        """
        now = self._clock()
        grant = Grant(
            grant_id=f"grant:{approved.card_id}",
            calls_hash=approved.calls_hash,
            call_digests=tuple(call_digest(call) for call in approved.calls),
            chain_id=approved.chain_id,
            signer_id=approved.signer_id,
            identity=approved.identity,
            channel=approved.channel,
            expires_at=now + self._step_timeout_s * len(approved.calls),
        )
        intents = [
            Intent(
                intent_id=intent_id(approved.card_id, step),
                request_id=approved.request_id,
                step=step,
                chain_id=approved.chain_id,
                signer_id=approved.signer_id,
                call=call,
                calls_hash=grant.calls_hash,
                state="planned",
                created_at=now,
                updated_at=now,
                expected=expected,
                codes=codes,
            )
            for step, (call, expected, codes) in enumerate(
                zip(approved.calls, approved.expected, approved.codes, strict=True)
            )
        ]
        try:
            await self._ledger.begin(grant, intents, now, approved.reservation)
        except LedgerConflict as error:
            if error.code == "over_budget":
                await self._ledger.create(intents)  # so that whoever asks again is told why nothing was done
                for intent in intents:
                    await self._give_up(intent, error.message)
            raise
        outcomes: list[Outcome] = []
        for intent in intents:
            if outcomes and not isinstance(outcomes[-1], Finalized):
                outcomes.append(await self._skip(intent))
                continue
            await tell(f"Signing and sending transaction {intent.step + 1} of {len(intents)}")
            outcomes.append(await self._step(intent, grant, approved.keys, _telling(tell)))
        return tuple(outcomes)

    async def results(self, card_id: str, steps: int, *, settle: bool) -> tuple[Outcome, ...]:
        """What became of a card's steps, from the ledger; with `settle`, what is not settled is looked up on chain."""
        outcomes: list[Outcome] = []
        for step in range(steps):
            intent = await self._ledger.get(intent_id(card_id, step))
            if intent is not None and settle and intent.state in OPEN:
                outcomes.append(await self._settle(intent))
            else:
                outcomes.append(outcome_of(intent))
        return tuple(outcomes)

    async def give_up_unsent(self, request_id: str) -> None:
        """Abandon the steps of a request that were not sent; the ledger refuses for those that were."""
        for intent in await self._ledger.of_request(request_id):
            if intent.state in UNSENT:
                await self._give_up(intent, "the request was cut off before it was sent")

    async def settle_all(self) -> None:
        """After a start: bytes that may be on chain are settled first, steps that were never signed are given up."""
        for intent in await self._chain.settle_open():
            log.info("intent_settled", intent_id=intent.intent_id, state=intent.state)
        for intent in await self._ledger.in_states(frozenset({"planned", "approved"})):
            await self._give_up(intent, "the daemon was stopped before it was signed")

    async def _skip(self, intent: Intent) -> Outcome:
        reason = "an earlier step did not succeed"
        try:
            return await self._give_up(intent, reason)
        except AgentError as error:  # the next start gives it up; a step without signed bytes is never sent
            log.error("intent_not_abandoned", intent_id=intent.intent_id, code=error.code)  # noqa: TRY400
            return NotDone(reason)

    async def _step(self, intent: Intent, grant: Grant, keys: frozenset[PublicKey], on_state: OnState) -> Outcome:
        try:
            async with asyncio.timeout(self._step_timeout_s):
                return await self._chain.execute(intent, grant, intent.expected, keys=keys, on_state=on_state)
        except TimeoutError:
            reason = f"it did not end within {self._step_timeout_s:g} s"
            code = "timeout"
        except (AgentError, ContractsError) as error:
            reason, code = error.message, error.code
        log.warning("step_ended_early", intent_id=intent.intent_id, code=code)
        return await self._after(intent, code, reason)

    async def _after(self, intent: Intent, code: str, reason: str) -> Outcome:
        """The truth about a step whose execution broke off: what is not sent is given up, for the rest the ledger speaks."""
        try:
            await self._give_up(intent, reason)
            stored = await self._ledger.get(intent.intent_id)
        except (AgentError, ContractsError) as error:
            log.error("ledger_unreadable", intent_id=intent.intent_id, code=error.code)  # noqa: TRY400
            return Failed(UNKNOWN, code, f"{reason}; the ledger cannot be read either: {error.message}")
        known = outcome_of(stored)
        return Failed("send", code, reason) if isinstance(known, NotDone) else known

    async def _settle(self, intent: Intent) -> Outcome:
        try:
            async with asyncio.timeout(self._step_timeout_s):
                return await self._chain.settle(intent)
        except (TimeoutError, ContractsError):
            return outcome_of(intent)

    async def _give_up(self, intent: Intent, reason: str) -> Outcome:
        """Abandon a step that was not sent. The ledger's compare-and-set refuses for one that was: then nothing changes."""
        try:
            await self._ledger.move(intent.intent_id, "abandoned", self._clock(), NotDone(reason))
        except LedgerConflict as error:
            log.info("intent_went_on", intent_id=intent.intent_id, code=error.code)
        return NotDone(reason)


def _telling(tell: Tell) -> OnState:
    """Tell people how far a transaction is."""

    async def on_state(state: IntentState, tx_hash: CryptoHash) -> None:
        words = _STATES.get(state)
        if words is not None:
            await tell(words.format(tx_hash))

    return on_state


def outcome_of(intent: Intent | None) -> Outcome:
    """What the ledger's state alone says of a step."""
    if intent is None:
        return NotDone("it was interrupted before anything was signed; ask again")
    if intent.outcome is not None:
        return intent.outcome
    if intent.signed is not None and intent.state in OPEN:
        return Unconfirmed(intent.signed.tx_hash, f"It is {intent.state} and not final yet")
    return NotDone(f"it was interrupted before it was sent ({intent.state}); ask again")
