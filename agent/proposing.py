"""Plans weighed, and cards: made from built steps, stored, shown with their code, warned on where the same was done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent.answers import sentence
from agent.approval import Codes, GasBound, gas_bound, gas_cost
from agent.building import Reads, Step
from agent.card import Proposal, Waiting, card_facts, card_text, how_to_decide, ids_in, with_names
from agent.errors import ApprovalError, StoreError
from agent.executor import SENT, card_of, intent_id
from agent.findings import Findings, findings_of
from agent.merging import Sending, price_impacts, sendings_of
from agent.planning.conversations import mask_codes, turn_hash
from agent.planning.planner import call_plan
from agent.policy_judge import PolicyJudge, calls_of
from agent.records import Identity, Refusal, Reply, UserRequest
from agent.redaction.texts import redact_card
from agent.store.cards import PendingCard
from agent.store.store import Store
from agent.story import Settings, Story
from contracts.calls import ChangeCall, SetOff
from contracts.chain.comparing import LaneStanding
from contracts.chain.outcome import Effect
from contracts.checks.moves import contracts_of
from contracts.checks.report import PreflightReport, moved, unchecked_now
from contracts.checks.verdict import Verdict
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry
from contracts.signing.transaction import calls_hash
from contracts.simulation.messages import TokenOf
from contracts.simulation.preflight import PreflightRequest
from contracts.simulation.remote_state import Pinned
from contracts.simulation.turns import Asker, NoCapacity
from contracts.types import AccountId, CryptoHash


class Preflight(Protocol):
    async def preflight(self, request: PreflightRequest) -> PreflightReport | NoCapacity:
        """The report of a plan, or that there was no room to make one; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """Who asked for a card, and in which turn of which conversation."""

    key_id: str
    conversation_id: str
    turn_hash: str
    signer_id: AccountId

    @classmethod
    def of(cls, request: UserRequest) -> "Turn":
        identity = request.identity
        return cls(identity.key_id, request.conversation_id, turn_hash(request), AccountId(identity.account_id))

    @classmethod
    def of_card(cls, card: PendingCard) -> "Turn":
        return cls(card.identity_key_id, card.conversation_id, card.turn_hash, AccountId(card.signer_id))


@dataclass(frozen=True, slots=True)
class Weighed:
    """Steps as transactions, with everything that decides whether they may go."""

    steps: Sequence[Step]
    sendings: tuple[Sending, ...]
    calls_hash: str
    bound: GasBound
    preflight: PreflightReport | None
    verdict: Verdict
    sets_off: tuple[SetOff, ...]
    lanes: tuple[LaneStanding, ...]
    """The signer's, as the chain and the ledger know them."""

    @property
    def calls(self) -> tuple[ChangeCall, ...]:
        return tuple(sending.call for sending in self.sendings)

    @property
    def expected(self) -> tuple[tuple[Effect, ...], ...]:
        return tuple(sending.expected for sending in self.sendings)

    @property
    def codes(self) -> tuple[tuple[tuple[AccountId, CryptoHash], ...], ...]:
        """The contracts that decide what becomes of each transaction, with their code as the pre-flight saw it."""
        contracts = () if self.preflight is None else self.preflight.contracts
        seen = {one.account_id: one.code_hash for one in contracts if one.code_hash is not None}
        return tuple(tuple((one, seen[one]) for one in contracts_of(call) if one in seen) for call in self.calls)


class Proposer:
    """Weighs plans, makes and shows cards. Errors: RpcError where prices cannot be read, StoreError."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        reads: Reads,
        codes: Codes,
        judge: PolicyJudge,
        clock: Callable[[], float],
        registry: Registry,
        preflight: Preflight | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reads = reads
        self._codes = codes
        self._judge = judge
        self._clock = clock
        self._registry = registry
        self._preflight = preflight

    async def weigh(
        self,
        story: Story,
        turn: Turn,
        steps: Sequence[Step],
        lanes: tuple[LaneStanding, ...],
        card: PendingCard | None = None,
    ) -> Weighed | Reply:
        """Return the findings of the pre-flight and the policy on these steps, or a reply if one of them ends the plan.

        With a card they are those of its plan, built again because somebody confirms it.
        """
        sendings = sendings_of(steps)
        calls = tuple(sending.call for sending in sendings)
        story.calls, story.calls_hash = calls, calls_hash(self._settings.chain_id, turn.signer_id, calls)
        for step in steps:
            self._store.budgets.latest.note(step.facts.block_time_ns)
        config, price = await self._reads.protocol_config(), await self._reads.gas_price()
        sets_off = tuple(one for step in steps for one in step.built.sets_off)
        known = await self._judge.known(turn.signer_id, (*calls, *calls_of(sets_off)))
        report = None
        if self._preflight is not None:
            asker = asker_of(story.request.identity, confirming=card is not None)
            request = await self._preflight_request(turn, steps, sendings, asker, known=known, gas_price=price)
            report = await self._preflight.preflight(request)
            if isinstance(report, NoCapacity):
                return not_checked(story, report.reason, card)
            story.preflight = report
            if report.failure is not None:
                text = f"It would fail, so nothing was sent: {report.refusal}"
                return story.say(Refusal(text=sentence(text), why="preflight_failed"))
        verdict = await self._judge.judge(
            turn.key_id,
            turn.signer_id,
            calls,
            gas_yocto=tuple(gas_cost([call], config, price) for call in calls),
            known=known,
            asks=() if report is None else report.asks,
            sets_off=sets_off,
            outflows={} if report is None else report.outflows,
        )
        story.verdict = verdict
        if verdict.denial is not None:
            text = f"The policy does not allow it ({verdict.denial.rule}): {verdict.denial.text}"
            return story.say(Refusal(text=sentence(f"{text}. Nothing was sent"), why="policy_denied"))
        bound = gas_bound(calls, config, price)
        return Weighed(steps, sendings, story.calls_hash, bound, report, verdict, sets_off, lanes)

    async def _preflight_request(
        self,
        turn: Turn,
        steps: Sequence[Step],
        sendings: tuple[Sending, ...],
        asker: Asker,
        *,
        known: frozenset[str],
        gas_price: int,
    ) -> PreflightRequest:
        """Return what the pre-flight is asked: the transactions, and the balances of all tokens that the policy limits."""
        calls = tuple(sending.call for sending in sendings)
        called = [*dict.fromkeys(contract_id for call in calls for contract_id in contracts_of(call))]
        payers = (turn.signer_id, *(one.payer_id for step in steps for one in step.built.sets_off))
        return PreflightRequest(
            turn.signer_id,
            calls,
            tuple(sending.expected for sending in sendings),
            paid_before=known.__contains__,
            price_impacts=price_impacts(steps, sendings),
            used_codes=await self._store.codes.used(self._settings.chain_id, turn.signer_id, called),
            asker=asker,
            block=_built_at(steps, gas_price),
            watched=tuple(
                TokenOf(account_id, token)
                for token in sorted(self._judge.limited(turn.key_id))
                for account_id in payers
            ),
        )

    async def propose(
        self, story: Story, turn: Turn, weighed: Weighed, *, before: Sequence[str] = (), warning: str | None = None
    ) -> Reply:
        """Store a card and show it below `before`; `refused` where too many cards wait already."""
        warnings = [one for one in (warning, await self.done_before(turn, weighed.calls_hash)) if one is not None]
        card = self._card(story, turn, weighed, warnings)
        if not shows_accounts(card):
            text = (
                "An account that this pays or calls is spelled like a confirmation code or a secret, which no card shows, so "
                "nobody could see what they approve. Nothing was sent"
            )
            return story.say(Refusal(text=sentence(text), why="account_not_shown"))
        try:
            standing = await self._store.cards.add(card)
        except ApprovalError as error:
            waiting = await self._store.cards.pending_of(turn.key_id, self._clock())
            lines = "".join(f"\n  {brief(card)} (request {card.request_id})" for card in waiting)
            return story.say(Refusal(text=f"{sentence(error.message)}{lines}", why=error.code))
        return await self.show(story, standing, repeated=standing.request_id != story.request.request_id, before=before)

    async def card_of_free(self, story: Story, turn: Turn, weighed: Weighed) -> PendingCard | None:
        """A card that is confirmed by the free allowance; None where this turn, or the same calls, need a person's word.

        Nothing that was done before is done again without asking, whatever the allowance.
        """
        if await self.done_before(turn, weighed.calls_hash) is not None:
            return None
        card = self._card(story, turn, weighed, ())
        standing = await self._store.cards.add_confirmed(card)
        return standing if standing.request_id == card.request_id else None

    def _card(self, story: Story, turn: Turn, weighed: Weighed, warnings: Sequence[str]) -> PendingCard:
        request_id, now = story.request.request_id, self._clock()
        steps, calls = weighed.steps, weighed.calls
        named = [with_names(step.built.summary, step.planned) for step in steps]
        notes = [note for _, more in named for note in more] + [note for step in steps for note in step.built.notes]
        report = weighed.preflight
        facts = card_facts(
            Proposal(
                request_id=request_id,
                network=self._settings.network,
                signer_id=turn.signer_id,
                summaries=[summary for summary, _ in named],
                notes=[*dict.fromkeys(notes)],
                calls=calls,
                calls_hash=weighed.calls_hash,
                bound=weighed.bound,
                expires_at=now + self._settings.approval_ttl_s,
                findings=Findings()
                if report is None
                else findings_of(report, turn.signer_id, self._registry, weighed.bound.gas),
                verdict=weighed.verdict,
                warnings=warnings,
            )
        )
        return PendingCard(
            request_id=request_id,
            identity_key_id=turn.key_id,
            conversation_id=turn.conversation_id,
            turn_hash=turn.turn_hash,
            code_hash=self._store.cards.hash_code(turn.key_id, self._codes.code_of(request_id)),
            calls_hash=weighed.calls_hash,
            chain_id=self._settings.chain_id,
            signer_id=turn.signer_id,
            lanes={one.lane.name: one.nonce for one in weighed.lanes if one.held},
            plan=call_plan(tuple(step.planned for step in steps)),
            calls=calls,
            call_steps=tuple(sending.places for sending in weighed.sendings),
            expected=weighed.expected,
            sets_off=weighed.sets_off,
            verdict=weighed.verdict,
            preflight=weighed.preflight,
            text=card_text(facts),
            facts=facts,
            created_at=now,
            expires_at=now + self._settings.approval_ttl_s,
        )

    async def show(self, story: Story, card: PendingCard, *, repeated: bool, before: Sequence[str] = ()) -> Reply:
        """A pending card, with its code for its own identity where that may confirm by text."""
        waiting = await self._waiting(story.request.identity, card, repeated=repeated)
        if repeated:
            story.repeats, story.plan = card.request_id, card.plan
        story.calls, story.calls_hash = card.calls, card.calls_hash
        end = how_to_decide(card.request_id, card.expires_at, waiting)
        text = "\n".join((*before, card.text, end))
        return story.reply("needs_approval", text, confirm_code=waiting.code, card=card.facts)

    async def card_with_decision(self, identity: Identity, card: PendingCard) -> str:
        """The card's text and the way to decide it, for this identity."""
        waiting = await self._waiting(identity, card, repeated=False)
        return f"{card.text}\n{how_to_decide(card.request_id, card.expires_at, waiting)}"

    async def _waiting(self, identity: Identity, card: PendingCard, *, repeated: bool) -> Waiting:
        """Return the ways in which this identity can decide the card: its code is for its own identity, if that may confirm here."""
        verdict = card.verdict
        elsewhere = verdict is not None and (verdict.elsewhere or not verdict.chat_allowed)
        code = None
        if identity.may_confirm and identity.key_id == card.identity_key_id and not elsewhere:
            code = self._codes.code_of(card.request_id)
            stored = self._store.cards.hash_code(card.identity_key_id, code)
            if stored != card.code_hash:  # the code key is another one than the card was made with
                await self._store.cards.replace_code(card.request_id, stored)
        approvers = 1 if verdict is None else verdict.approvers
        given = await self._store.approvals.of(card.request_id) if approvers > 1 else ()
        approved_by = tuple(one.identity for one in given)
        return Waiting(code, elsewhere, approvers, approved_by, identity.key_id in approved_by, repeated)

    async def without_codes(self, request: UserRequest) -> UserRequest:
        """The request with the codes of its identity's waiting cards blanked, wherever and however they are written in it."""
        waiting = await self._store.cards.waiting_of(request.identity.key_id)
        return mask_codes(request, [self._codes.code_of(card) for card in waiting]) if waiting else request

    async def pending_of(self, request: UserRequest) -> PendingCard | None:
        """The card that this very turn waits for already."""
        turn = Turn.of(request)
        return await self._store.cards.pending_same_turn(
            turn.key_id, turn.conversation_id, turn.turn_hash, self._clock()
        )

    async def standing(self, request_id: str) -> PendingCard | None:
        """The card of a request, or the later one of its turn that was confirmed in its place."""
        card = await self._store.cards.by_request(request_id)
        if card is None or card.status != "cancelled":
            return card
        later = await self._store.cards.confirmed_same_turn(card.identity_key_id, card.conversation_id, card.turn_hash)
        return later if later and later.created_at >= card.created_at else card

    def unchecked_now(self, card: PendingCard, weighed: Weighed) -> str | None:
        """Return why nobody can say now whether a card still stands, if nothing else about it changed."""
        if weighed.calls_hash != card.calls_hash or card.preflight is None or weighed.preflight is None:
            return None
        return unchecked_now(card.preflight, weighed.preflight)

    async def changed_since(self, card: PendingCard, weighed: Weighed) -> str | None:
        """Why a card no longer stands: other calls, facts that moved too far, or the same done by way of another card."""
        if weighed.calls_hash != card.calls_hash:
            return "the chain has changed since the last card, which is void: this is what would be done now"
        used = _used_since(card, weighed.lanes)
        if used is not None:
            return used
        if weighed.sets_off != card.sets_off:
            return "the last card is void: the proposal does something else now than when the card was made"
        if card.preflight is not None and weighed.preflight is not None:
            reason = moved(card.preflight, weighed.preflight, self._registry.amount)
            if reason is not None:
                return f"the last card is void, things have changed since: {reason}"
        found = await self._executed(card.calls_hash, AccountId(card.signer_id), card.created_at)
        return None if found is None or found in card.text else await self._again("the same", found)

    async def done_before(self, turn: Turn, digest: str) -> str | None:
        """A warning that names the earlier request, where this turn or these calls were carried out already."""
        same = await self._store.cards.confirmed_same_turn(turn.key_id, turn.conversation_id, turn.turn_hash)
        if same:
            steps = [await self._store.ledger.get(intent_id(same.request_id, step)) for step in range(len(same.calls))]
            if any(intent is not None and intent.state in SENT for intent in steps):
                return await self._again("this message", same.request_id)
        since = self._clock() - self._settings.duplicate_window_s
        found = await self._executed(digest, turn.signer_id, since)
        if found is not None:
            return await self._again("the same", found)
        if await self._store.ledger.acknowledged_since(self._settings.chain_id, turn.signer_id, since):
            return (
                f"a key of {turn.signer_id} was used outside of what this agent remembers, so this may have been "
                "carried out already; look at the account's last transactions before you confirm"
            )
        return None

    async def _again(self, what: str, request_id: str) -> str:
        try:
            card = await self._store.cards.by_request(request_id)
        except StoreError as error:
            if error.code != "card_unreadable":
                raise
            card = None
        words = "" if card is None else f" ({brief(card)})"
        return f"{what}{words} was carried out already, by request {request_id}; confirming does it once more"

    async def _executed(self, digest: str, signer_id: AccountId, since: float) -> str | None:
        """The request whose card led to these calls being executed, or sent, at or after `since`."""
        found = await self._store.records.find_executed(digest, signer_id, since)
        return None if found is None else card_of((await self._store.ledger.of_request(found))[0])


def shows_accounts(card: PendingCard) -> bool:
    """Return whether a card as people see it names each account that its transactions go to, and each that is paid by them.

    What is blanked as a code or as a secret may be the part in which an account differs from the one that was meant.
    """
    named = {str(call.receiver_id) for call in card.calls}
    if card.verdict is not None:
        named.update(one.account_id for one in card.verdict.recipients if one.account_id)
    return named <= ids_in(redact_card(card.text))


def brief(card: PendingCard) -> str:
    """Return what a card would do, in one line."""
    return inert("; ".join(card.words), _BRIEF)


_BRIEF: Final = 160


def asker_of(identity: Identity, *, confirming: bool) -> Asker:
    """Return the asker whose turn a check takes: the key, and within a shared key its person."""
    key_id, _, person = identity.key_id.partition("/")
    return Asker(key_id, person, confirming)


def not_checked(story: Story, reason: str, card: PendingCard | None) -> Reply:
    """The reply where the plan could not be looked at. A card stays as it is: this says nothing about its plan."""
    text = f"It could not be checked now: {reason}. Nothing was sent"
    text += f", and the card of request {card.request_id} still waits; confirm it again" if card else "; ask again"
    return story.say(Refusal(text=sentence(text), why="not_checked"))


def _built_at(steps: Sequence[Step], gas_price: int) -> Pinned | None:
    """The block whose facts the plan was built from, so that the pre-flight looks at the same one."""
    facts = steps[0].facts
    if facts.block_height is None or facts.block_hash is None or facts.block_time_ns is None:
        return None
    return Pinned(facts.block_height, facts.block_hash, facts.block_time_ns, gas_price)


def _used_since(card: PendingCard, lanes: Sequence[LaneStanding]) -> str | None:
    """Return why the card may have been carried out in a time that the ledger does not remember; None if it cannot have been.

    A card is signed in the lanes that were stored with it and in no other, so what became of it shows there.
    """
    now = {one.lane.name: one for one in lanes}
    if not card.lanes:
        made_without = "the last card is void: it was made before the signer had a key"
        return made_without if any(one.held for one in lanes) else None
    gone = sorted(set(card.lanes) - set(now))
    if gone:
        return f"the last card is void: {', '.join(gone)} is no key of {card.signer_id} any more, so its last use is unknown"
    if not any(now[name].held for name in card.lanes):
        return f"the last card is void: the signer has none of its keys of {card.signer_id} any more"
    if any(now[name].record.baseline > nonce for name, nonce in card.lanes.items()):
        return f"the last card is void: a use of a key of {card.signer_id} by something else was acknowledged since"
    return None
