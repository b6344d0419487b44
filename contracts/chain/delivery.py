"""From signed bytes in the ledger to their end: send, look up by hash, send the same bytes again, prove dead or say unknown.

DESIGN law 2. No single answer of a node ends an intent: as many operators as are asked for must tell the same end
(`witnesses`). What a node refuses (`NotEnoughBalance`, `InvalidNonce` ...) is followed by a look-up on every operator:
another node may have taken the bytes, and bytes that were refused can be replayed by anyone who saw them for as long as
their nonce and reference block live. So a refusal without a proof ends as `unconfirmed`, with the node's reason in the
message, at once where no earlier send of these bytes can have been taken. Bytes go first to the node that answers best;
sent again they go to the operators in turn, and where some know them already, to those who do not.
An `unconfirmed` intent is never sent again by itself; looking it up later finds its end or the proof of its death, for
instance after another transaction of the same key was included.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

import structlog

from contracts.chain.ledger import TRANSITIONS, Intent, IntentState, Lane, Ledger, SeenNonce, Signed
from contracts.chain.outcome import DeathProof, Effect, ExecutionFailed, Failed, Outcome, Unconfirmed
from contracts.chain.proofs import prove_dead
from contracts.chain.quorum import Operators
from contracts.chain.rpc import RpcClient
from contracts.chain.tx_answer import TxAnswer
from contracts.chain.witnesses import Asked, End, Witnesses, open_witnesses
from contracts.errors import LedgerConflict, RpcError
from contracts.types import CryptoHash

log = structlog.get_logger()

ENDED: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)
_BURIAL: Final[dict[str, IntentState]] = {"expired": "expired", "nonce_passed": "fenced", "fenced": "fenced"}


@dataclass(frozen=True, slots=True)
class SendSettings:
    operators: int = 2
    """How many operators must agree on the signer's state, on a transaction's end, and that bytes are dead; 1 on localnet."""
    confirm_timeout_s: float = 60.0
    """How long a new transaction is followed before it is `unconfirmed`."""
    settle_timeout_s: float = 15.0
    """The same for one that is taken up again after a restart."""
    poll_s: float = 0.5
    """Pause between look-ups."""
    resend_s: float = 3.0
    """Pause between sends of the same bytes, and between attempts at a proof."""
    lanes: int = 8
    """How many transactions of one account are under way side by side, where it has that many keys."""


OnState: TypeAlias = Callable[[IntentState, CryptoHash], Awaitable[None]]
"""Called with each state that a transaction has come to; for progress that people see, so it must neither raise nor wait."""


async def ignore_state(_state: IntentState, _tx_hash: CryptoHash) -> None:
    """For whoever does not watch."""


@dataclass(slots=True)
class _Pursuit:
    """One attempt to bring an intent to its end."""

    intent: Intent
    signed: Signed
    expected: tuple[Effect, ...]
    may_send: bool
    ambiguous: bool
    """An earlier send may have been taken: a refusal then says nothing about whether it was executed."""
    give_up_at: float
    next_send_at: float
    next_proof_at: float
    once: bool = False
    """Give up after one look, unless it is found in a block."""
    sends: int = 0
    trouble: RpcError | None = None
    rival: Intent | None = None
    """The intent that these bytes fence: only one of the two can be executed."""
    on_final: Callable[[], None] = lambda: None
    """Called once enough operators call it final, by one's word before its details are read."""
    on_state: OnState = ignore_state

    @property
    def lane(self) -> Lane:
        """Where the bytes stand."""
        signed = self.signed
        return Lane(self.intent.chain_id, self.intent.signer_id, signed.public_key, signed.nonce_index)


class Delivery:
    """Moves intents from `signed` on. The caller holds the intent's and its key's turn."""

    def __init__(
        self,
        rpc: RpcClient,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        settings: SendSettings,
        kill_point: Callable[[str], None],
    ) -> None:
        self._rpc = rpc
        self._operators: Operators = rpc.operators()
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._kill_point = kill_point

    async def send_new(
        self,
        intent: Intent,
        signed: Signed,
        expected: tuple[Effect, ...],
        *,
        rival: Intent | None = None,
        on_final: Callable[[], None] = lambda: None,
        on_state: OnState = ignore_state,
    ) -> Outcome:
        """Follow bytes that were just stored as `signed`: `sending` on disk, then the socket, then to their end.

        With `rival`, the intent that these bytes fence, that one is looked up as well: its end can be theirs. `on_final` is
        called when enough operators say that they are final, before their end is stored.
        """
        await self._ledger.move(intent.intent_id, "sending", self._clock())
        self._kill_point("after_sending_stored")
        await on_state("sending", signed.tx_hash)
        now = asyncio.get_running_loop().time()
        return await self._follow(
            _Pursuit(
                replace(intent, state="sending"),
                signed,
                expected,
                may_send=True,
                ambiguous=False,
                give_up_at=now + self._settings.confirm_timeout_s,
                next_send_at=now,
                next_proof_at=now,
                rival=rival,
                on_final=on_final,
                on_state=on_state,
            )
        )

    async def take_up(self, intent: Intent, signed: Signed) -> Outcome:
        """Follow an intent of an earlier time that may be on chain: look up first, then send the same bytes again.

        An `unconfirmed` one is looked up once, and its death proven where possible; a person decides what else.
        """
        now = asyncio.get_running_loop().time()
        once = intent.state == "unconfirmed"
        return await self._follow(
            _Pursuit(
                intent,
                signed,
                intent.expected,
                may_send=not once,
                ambiguous=True,
                give_up_at=now + self._settings.settle_timeout_s,
                next_send_at=now,
                next_proof_at=now,
                once=once,
            ),
            look_first=True,
        )

    async def _follow(self, pursuit: _Pursuit, *, look_first: bool = False) -> Outcome:
        try:
            async with self._witnesses(pursuit) as witnesses:
                while True:
                    answer = None if look_first else await self._send_if_due(pursuit, witnesses)
                    look_first = False
                    outcome = await self._advance(pursuit, witnesses, answer)
                    if outcome is not None:
                        return outcome
                    looked_once = pursuit.once and pursuit.intent.state == "unconfirmed"
                    if looked_once or asyncio.get_running_loop().time() >= pursuit.give_up_at:
                        return await self._give_up(pursuit, witnesses)
                    await asyncio.sleep(self._settings.poll_s)
        except LedgerConflict:
            # Another process that shares the ledger was faster: what it stored is the answer.
            stored = await self._ledger.get(pursuit.intent.intent_id)
            if stored is None or stored.outcome is None:
                raise
            return stored.outcome

    def _witnesses(self, pursuit: _Pursuit) -> AbstractAsyncContextManager[Witnesses]:
        intent, signed, needed = pursuit.intent, pursuit.signed, min(self._settings.operators, len(self._operators))
        asked = Asked(signed.tx_hash, intent.signer_id, pursuit.expected, needed)
        if needed > 1:
            return open_witnesses(self._operators, asked)
        return open_witnesses(self._operators, asked, pursuit.on_final)

    async def _send_if_due(self, pursuit: _Pursuit, witnesses: Witnesses) -> TxAnswer | None:
        """Hand the bytes to the next node, if it is time; its answer, None for an error or where nothing was due."""
        loop = asyncio.get_running_loop()
        if not pursuit.may_send or loop.time() < pursuit.next_send_at:
            return None
        known = pursuit.intent.state == "included" or witnesses.furthest is not None
        target = self._next_node(pursuit, witnesses.unaware if known else None)
        if target is None:
            return None
        pursuit.sends += 1
        pursuit.next_send_at = loop.time() + self._settings.resend_s
        signed = pursuit.signed
        answer: TxAnswer | None = None
        sent = True
        try:
            answer = await target.send_tx(
                signed.data,
                signed.tx_hash,
                "NONE" if known else "FINAL",  # where its end is told already, nobody waits for another node's
                on_written=lambda: self._kill_point("after_socket_write"),
            )
            pursuit.ambiguous = True
        except RpcError as error:
            log.info("tx_send_failed", tx_hash=signed.tx_hash, code=error.code, node=error.details.get("node"))
            pursuit.trouble = error
            sent = error.sent
            pursuit.ambiguous = pursuit.ambiguous or known or (error.sent and not _refused(error))
            if _refused(error):
                pursuit.may_send = pursuit.ambiguous
            elif not error.sent:
                pursuit.next_send_at = loop.time()  # nothing went out: the next node gets it without a pause
        self._kill_point("after_answer")
        ended = answer is not None and answer.final  # stored with its outcome right away, one write less
        if sent and not ended and pursuit.intent.state == "sending":
            await self._move(pursuit, "sent")
            log.info("tx_sent", tx_hash=signed.tx_hash, intent_id=pursuit.intent.intent_id)
        return answer

    def _next_node(self, pursuit: _Pursuit, unaware: tuple[RpcClient, ...] | None) -> RpcClient | None:
        """Who gets the bytes: the node that answers best, then the operators in turn; of a known hash, who does not know it."""
        if unaware is not None:
            return unaware[pursuit.sends % len(unaware)] if unaware and len(self._operators) > 1 else None
        if pursuit.sends == 0 or len(self._operators) == 1:
            return self._rpc
        return self._operators[pursuit.sends % len(self._operators)][1]

    async def _advance(self, pursuit: _Pursuit, witnesses: Witnesses, answer: TxAnswer | None) -> Outcome | None:
        """One round: the end if it is agreed on, else note how far it is, else look for a proof."""
        if answer is not None and answer.final:
            witnesses.claim()
        # Who is slower than a pause between look-ups is heard in a later one; of the last look all that is to be had is taken.
        last = pursuit.once or asyncio.get_running_loop().time() >= pursuit.give_up_at
        end = await witnesses.look(
            patience_s=self._settings.settle_timeout_s if last else self._settings.poll_s,
            few=answer is not None and answer.final,
        )
        if end is not None:
            return await self._finish(pursuit, end)
        found = witnesses.furthest
        known = found if found is not None else answer
        if pursuit.trouble is None or (known is not None and known.final):
            pursuit.trouble = witnesses.trouble or pursuit.trouble
        if known is not None and known.included:
            pursuit.ambiguous = True
            if not (pursuit.once and known.final):
                await self._move(pursuit, "included")
            return None
        if known is not None or not witnesses.everyone_unaware:
            return None
        if pursuit.intent.state == "included":
            await self._move(pursuit, "sent")  # the block that held it was not final
        return await self._bury_if_dead(pursuit, witnesses)

    async def _finish(self, pursuit: _Pursuit, end: End) -> Outcome:
        """Store and return the outcome of a final transaction."""
        pursuit.on_final()
        state: IntentState = "failed" if isinstance(end, ExecutionFailed) else "final"
        await self._end(pursuit, state, end)
        log.info("tx_finalized", tx_hash=pursuit.signed.tx_hash, kind=end.kind, state=state)
        return end

    async def _bury_if_dead(self, pursuit: _Pursuit, witnesses: Witnesses) -> Outcome | None:
        loop = asyncio.get_running_loop()
        if loop.time() < pursuit.next_proof_at:
            return None
        pursuit.next_proof_at = loop.time() + self._settings.resend_s
        lane = pursuit.lane
        if pursuit.rival is not None:
            await self._end_if_final(pursuit.rival)
        executed = await self._ledger.executed_from(lane, pursuit.signed.nonce)
        proof = await prove_dead(
            pursuit.signed,
            lane,
            self._operators,
            needed=self._settings.operators,
            fence=executed[0].signed if executed else None,
        )
        if proof is None:
            return await self._give_up(pursuit, witnesses) if _nothing_to_wait_for(pursuit) else None
        outcome = _dead(pursuit, proof)
        await self._end(pursuit, _BURIAL[proof.reason], outcome)
        if proof.key_nonce is not None:
            # Where none of ours took its nonce, something else did: the account is blocked from here on.
            await self._ledger.observe([SeenNonce(lane, proof.key_nonce, proof.block_height)], self._clock())
        log.info("tx_proven_dead", tx_hash=pursuit.signed.tx_hash, reason=proof.reason, block_height=proof.block_height)
        return outcome

    async def _end_if_final(self, intent: Intent) -> None:
        """Store the end of an intent that an operator calls final; otherwise leave it as it is."""
        stored = await self._ledger.get(intent.intent_id)
        if stored is None or stored.signed is None or stored.state in ENDED:
            return
        now = asyncio.get_running_loop().time()
        look = _Pursuit(
            stored,
            stored.signed,
            stored.expected,
            may_send=False,
            ambiguous=True,
            give_up_at=now,
            next_send_at=now,
            next_proof_at=now,
        )
        async with self._witnesses(look) as witnesses:
            end = await witnesses.look(patience_s=self._settings.settle_timeout_s)
        if end is not None:
            await self._finish(look, end)

    async def _give_up(self, pursuit: _Pursuit, witnesses: Witnesses) -> Outcome:
        """Say that it is not known. Bytes and hash stay in the ledger."""
        if pursuit.intent.state == "unconfirmed" and pursuit.intent.outcome is not None:
            return pursuit.intent.outcome
        doubt, tx_hash = witnesses.doubt(), pursuit.signed.tx_hash
        error = doubt or pursuit.trouble
        if doubt is not None:
            why = doubt.message
        elif error is not None and _refused(error) and not pursuit.ambiguous:
            why = f"{error.message}; not executed so far"
        else:
            why = "no node has confirmed it" + ("" if error is None else f" (last: {error.message})")
        code = "unconfirmed" if error is None else str(error.details.get("kind", error.code))
        outcome = Unconfirmed(
            tx_hash, f"Transaction {tx_hash}: {why}. It can still be executed until it expires.", code
        )
        await self._move(pursuit, "unconfirmed", outcome)
        log.warning("tx_unconfirmed", tx_hash=tx_hash, code=code)
        return outcome

    async def _end(self, pursuit: _Pursuit, state: IntentState, outcome: Outcome) -> None:
        await self._move(pursuit, state, outcome)
        self._kill_point("after_final_stored")

    async def _move(self, pursuit: _Pursuit, to: IntentState, outcome: Outcome | None = None) -> None:
        intent = pursuit.intent
        if intent.state == to and outcome is None:
            return
        await self._ledger.move(intent.intent_id, to, self._clock(), outcome)
        pursuit.intent = replace(intent, state=to, outcome=outcome)
        await pursuit.on_state(to, pursuit.signed.tx_hash)


def _refused(error: RpcError) -> bool:
    """The node looked at these bytes and will not take them, now or later."""
    return error.code == "INVALID_TRANSACTION" and not error.retryable


def _nothing_to_wait_for(pursuit: _Pursuit) -> bool:
    """Refused by the only node that ever saw the bytes, for a reason that no later block turns into a proof.

    After InvalidNonce (another wallet's transaction took the nonce) or a missing key, the proof comes with finality.
    """
    error = pursuit.trouble
    if error is None or pursuit.ambiguous or not _refused(error):
        return False
    return error.details.get("kind") not in {"InvalidNonce", "AccessKeyNotFound", "SignerDoesNotExist", "Expired"}


def _dead(pursuit: _Pursuit, proof: DeathProof) -> Failed:
    error = pursuit.trouble
    refused = error is not None and _refused(error)
    code = str(error.details.get("kind")) if error is not None and refused else proof.reason
    match proof.reason:
        case "expired":
            why = "it expired"
        case "nonce_passed":
            why = "its nonce can no longer be used"
        case "fenced":
            why = f"transaction {proof.fence_hash} took its nonce"
        case _:
            assert_never(proof.reason)
    told = f"{error.message}; " if error is not None and refused else ""
    message = (
        f"{told}transaction {pursuit.signed.tx_hash} was not executed and never will be: {why} "
        f"(block {proof.block_height}). Nothing moved; ask again if you still want it."
    )
    return Failed("send", code, message, pursuit.signed.tx_hash, proof)
