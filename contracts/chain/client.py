"""The way of a call to the chain: views, and changes that are executed at most once (DESIGN law 2)."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from contracts.calls import Grant, ViewCall
from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.comparing import AccountStanding, LaneWatch
from contracts.chain.delivery import ENDED, Delivery, OnState, SendSettings, ignore_state
from contracts.chain.lanes import LaneChoice, Lanes, Turn
from contracts.chain.ledger import OPEN, UNSENT, UNSETTLED, Intent, Lane, LaneRecord, Ledger, Signed
from contracts.chain.outcome import Effect, Failed, Outcome, Unconfirmed, ViewReturned
from contracts.chain.preparing import Preparer
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import BlockRef
from contracts.chain.turns import Turns
from contracts.chain.views import run_view
from contracts.errors import ContractsError, LedgerConflict, RpcError, SigningError
from contracts.knowledge.facts import At
from contracts.signing.signer import Signer
from contracts.types import AccountId, PublicKey

log = structlog.get_logger()


def no_kill(_name: str) -> None:
    """The kill point of everyday use: nothing happens there."""


class ChainClient:
    """One client for a ledger and a list of nodes.

    `execute` signs an approved intent once, keeps the bytes, sends them and follows them to their end; `settle` goes on
    with bytes of an earlier time and never signs; `fence` ends an intent of unknown end by taking its nonce. One
    transaction is under way in a lane at a time, others queue up. A cancelled call leaves its intent as it stands in the
    ledger; `settle` finishes it.

    Kill points, called with their name: `before_sign`, `after_sign`, `after_signed_stored`, `after_sending_stored`,
    `after_socket_write`, `after_answer`, `after_final_stored`.
    """

    def __init__(
        self,
        rpc: RpcClient,
        ledger: Ledger,
        signer: Signer,
        *,
        clock: Callable[[], float],
        settings: SendSettings,
        kill_point: Callable[[str], None] = no_kill,
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._clock = clock
        self._kill_point = kill_point
        self._preparer = Preparer(rpc, ledger, signer, operators=settings.operators, clock=clock, kill_point=kill_point)
        self._delivery = Delivery(rpc, ledger, clock=clock, settings=settings, kill_point=kill_point)
        self._choice = LaneChoice(rpc, signer, monotonic=time.monotonic, limit=settings.lanes)
        agreed = AgreedReads(rpc, needed=settings.operators)
        self._watch = LaneWatch(agreed, ledger, signer, clock=clock, monotonic=time.monotonic)
        self._intents = Turns[str]()
        self._looked: dict[str, int] = {}
        """In which round an intent of unknown end was last looked up."""
        self._lanes = Lanes()
        self._final: dict[Lane, int] = {}
        """The last nonce of each lane that was told to be final and ours, from before its end is stored."""

    async def view(self, call: ViewCall, at: BlockRef = "final") -> ViewReturned:
        """The answer to a view call, JSON where it is JSON. RpcError."""
        return await run_view(self._rpc, call, at)

    async def execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...] = (),
        *,
        keys: Collection[PublicKey] | None = None,
        on_state: OnState = ignore_state,
    ) -> Outcome:
        """Carry out an approved intent, to the end or to `Unconfirmed`; with `keys`, signed by one of them and no other.

        What fails before the bytes are in the ledger is `Failed` and the intent `abandoned`: nothing was signed that
        anybody else could see. An intent that went further in an earlier call is settled instead. LedgerConflict for an
        intent that is not in the ledger or not approved.
        """
        async with self._intents.hold(intent.intent_id):
            stored = await self._stored(intent.intent_id)
            if stored.state == "approved":
                return await self._execute(stored, grant, expected or stored.expected, keys, on_state)
            return await self._settle(stored)

    async def settle(self, intent: Intent) -> Outcome:
        """Find out what became of an intent whose bytes exist, and bring it to an end where that is possible.

        `sending`, `sent` and `included` ones are looked up by hash and the same bytes are sent again; `unconfirmed` ones
        are only looked up, with an attempt to prove them dead. `signed` ones were never sent: they are sent while their
        grant is valid and abandoned when it has expired. Ended ones return their outcome. LedgerConflict for one that
        was never signed.
        """
        async with self._intents.hold(intent.intent_id):
            return await self._settle(await self._stored(intent.intent_id))

    async def settle_open(self) -> list[Intent]:
        """At the start: settle every intent with signed bytes and no end; returns them as they are afterwards."""
        return await self._settle_all(await self._ledger.in_states(OPEN))

    async def settle_idle(self, limit: int) -> list[Intent]:
        """Look up what is sent and not at its end, apart from what is being followed; at most `limit`, in turns: those first
        that were not looked up for the longest time, of these the newest. Returns those that came to an end.
        """
        waiting = [one for one in await self._ledger.in_states(UNSETTLED) if not self._intents.held(one.intent_id)]
        looked = {one.intent_id: self._looked.get(one.intent_id, 0) for one in waiting}
        waiting.sort(key=lambda intent: (looked[intent.intent_id], -intent.updated_at))
        chosen = waiting[:limit]
        latest = max(looked.values(), default=0) + 1
        self._looked = looked | {one.intent_id: latest for one in chosen}
        settled = await self._settle_all(chosen)
        return [intent for intent in settled if intent.state in ENDED]

    async def give_up_expired(self) -> list[Intent]:
        """Abandon what was approved and never sent, once its grant has expired; returns those, as they are afterwards.

        A write that failed, on a full disk for one, leaves such intents behind, and their budgets reserved. An expired grant
        signs nothing (`store_signed`), and `sending` is stored before the first byte leaves, so none of them can ever be on
        chain. What is being followed is left to whoever does.
        """
        ended: list[Intent] = []
        for intent in await self._ledger.in_states(UNSENT):
            if self._intents.held(intent.intent_id):
                continue
            async with self._intents.hold(intent.intent_id):
                stored = await self._stored(intent.intent_id)
                grant = None if stored.grant_id is None else await self._ledger.grant(stored.grant_id)
                if stored.state in UNSENT and grant is not None and self._clock() >= grant.expires_at:
                    await self._abandon(
                        stored, SigningError("grant_expired", "it was never sent, and its approval has expired")
                    )
                    ended.append(await self._stored(intent.intent_id))
        return ended

    async def fence(self, target: Intent, fence: Intent, grant: Grant) -> tuple[Outcome, Outcome]:
        """Take the nonce of an intent whose end is not known by an approved transaction of no consequence.

        Returns what became of the target and of the fence: exactly one of the two can ever be executed. Where the target has
        ended meanwhile, the fence is abandoned unsent. LedgerConflict for a target that was never signed.
        """
        async with self._intents.hold(fence.intent_id), self._intents.hold(target.intent_id):
            stored = await self._stored(target.intent_id)
            lane = stored.lane
            if stored.signed is None or lane is None:
                raise _never_signed(stored)
            async with self._lanes.hold(lane):
                if stored.state in ENDED:
                    gone = LedgerConflict(
                        "fence_void", f"transaction {stored.signed.tx_hash} has ended: {stored.state}"
                    )
                    return self._ended(stored), await self._abandon(fence, gone)
                try:
                    signed = await self._preparer.sign(fence, grant, lane, nonce=stored.signed.nonce)
                except ContractsError as error:
                    return await self._take_up(stored, stored.signed), await self._abandon(fence, error)
                self._kill_point("after_signed_stored")
                signed_fence = replace(fence, state="signed", signed=signed)
                outcome = await self._delivery.send_new(signed_fence, signed, fence.expected, rival=stored)
                # What the fence's end proves about the target, or the other way round, is written down at once.
                now = await self._stored(target.intent_id)
                if now.state in ENDED:
                    return self._ended(now), outcome
                return await self._take_up(now, stored.signed), outcome

    async def standing(self, chain_id: str, signer_id: AccountId, at: At = "final") -> AccountStanding:
        """All lanes of an account compared with the ledger, and why nothing can be signed where one is not explained.

        A signature is preceded by the same look. RpcError, SigningError.
        """
        return await self._watch.account(chain_id, signer_id, at)

    async def check_lanes(
        self, chain_id: str, held: Mapping[AccountId, Sequence[PublicKey]]
    ) -> list[tuple[Lane, LaneRecord]]:
        """At the start: baselines for the unseen lanes of these keys, and a comparison of all; those something else used."""
        return await self._watch.start(chain_id, held)

    async def acknowledge_key(
        self, chain_id: str, account_id: AccountId, public_key: PublicKey
    ) -> tuple[list[tuple[Lane, LaneRecord]], int]:
        """Go on with the lanes of a key that something else has used, above their nonces at this moment. RpcError.

        Voids the cards that wait for the account; the lanes, and how many cards those were.
        """
        return await self._watch.acknowledge(chain_id, account_id, public_key)

    async def _settle_all(self, intents: list[Intent]) -> list[Intent]:
        async with asyncio.TaskGroup() as group:
            for intent in intents:
                group.create_task(self.settle(intent), name=f"settle {intent.intent_id}")
        return [await self._stored(intent.intent_id) for intent in intents]

    async def _execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...],
        keys: Collection[PublicKey] | None,
        on_state: OnState,
    ) -> Outcome:
        try:
            lanes = await self._choice.lanes(intent.chain_id, intent.signer_id, intent.call, keys)
            await self._watch.check(intent.chain_id, intent.signer_id)
        except ContractsError as error:
            return await self._abandon(intent, error)
        doubted: str | None = None
        while True:
            async with self._lanes.turn(*lanes) as turn:
                lane = turn.lane
                try:
                    signed = await self._preparer.sign(intent, grant, lane, final=self._final.get(lane))
                except ContractsError as error:
                    self._choice.forget(lane)
                    doubt = str(error.details["intent_id"]) if error.code == "nonce_in_doubt" else None
                    if doubt in (None, doubted):
                        return await self._abandon(intent, error)
                    doubted = doubt
                else:
                    self._kill_point("after_signed_stored")
                    return await self._send(intent, signed, expected, turn, on_state)
            # Not within the turn: who settles it holds the intent first, then the lane.
            await self.settle(await self._stored(doubted or ""))

    async def _send(
        self, intent: Intent, signed: Signed, expected: tuple[Effect, ...], turn: Turn, on_state: OnState
    ) -> Outcome:
        """The lane is free as soon as the transaction is final; what it did is read outside of it."""

        def final() -> None:
            self._final[turn.lane] = signed.nonce
            turn.end()

        new = replace(intent, state="signed", signed=signed)
        outcome = await self._delivery.send_new(new, signed, expected, on_final=final, on_state=on_state)
        if isinstance(outcome, Unconfirmed) or not turn.ended:
            self._lanes.mark(turn.lane, clogged=isinstance(outcome, Unconfirmed))
        return outcome

    async def _settle(self, intent: Intent) -> Outcome:
        if intent.state in ENDED and intent.outcome is not None:
            return intent.outcome
        signed, lane = intent.signed, intent.lane
        if intent.state not in OPEN or signed is None or lane is None:
            raise _never_signed(intent)
        async with self._lanes.hold(lane):
            if intent.state != "signed":
                return await self._take_up(intent, signed)
            grant = None if intent.grant_id is None else await self._ledger.grant(intent.grant_id)
            if grant is None or self._clock() >= grant.expires_at:
                expired = SigningError("grant_expired", "it was signed, never sent, and its approval has expired")
                return await self._abandon(intent, expired)
            return await self._delivery.send_new(intent, signed, intent.expected)

    async def _take_up(self, intent: Intent, signed: Signed) -> Outcome:
        """Follow bytes of an earlier time, and remember whether their lane is free of doubt."""
        outcome = await self._delivery.take_up(intent, signed)
        if intent.lane is not None:
            self._lanes.mark(intent.lane, clogged=isinstance(outcome, Unconfirmed))
        return outcome

    def _ended(self, intent: Intent) -> Outcome:
        if intent.outcome is None:
            raise LedgerConflict("no_outcome", f"intent {intent.intent_id} is {intent.state} without an outcome")
        return intent.outcome

    async def _stored(self, intent_id: str) -> Intent:
        stored = await self._ledger.get(intent_id)
        if stored is None:
            raise LedgerConflict("unknown_intent", f"intent {intent_id} is not in the ledger")
        return stored

    async def _abandon(self, intent: Intent, error: ContractsError) -> Outcome:
        outcome = Failed(_stage(error), error.code, error.message)
        try:
            await self._ledger.move(intent.intent_id, "abandoned", self._clock(), outcome)
        except LedgerConflict:
            # Another process that shares the ledger went on with it: what it stored is the answer, if it is at the end.
            if (await self._stored(intent.intent_id)).outcome is None:
                raise
        stored = await self._stored(intent.intent_id)
        return outcome if stored.outcome is None else stored.outcome


def _stage(error: ContractsError) -> str:
    """Where an intent ended that was never sent."""
    match error:
        case SigningError():
            return "sign"
        case LedgerConflict():
            return "ledger"
        case RpcError():
            return "rpc"
        case _:
            return "check"


def _never_signed(intent: Intent) -> LedgerConflict:
    return LedgerConflict(
        "state_moved",
        f"intent {intent.intent_id} is {intent.state}: there are no signed bytes to settle",
        details={"intent_id": intent.intent_id, "state": intent.state},
    )
