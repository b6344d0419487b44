"""What a decision does to a card: confirm builds the plan again, compares, and carries it out; cancel ends it.

Every way to one card meets here, one at a time, so that a card is carried out once whoever confirms it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.answers import call_outcome, rpc_text, sentence, status_of
from agent.approval import Decision
from agent.building import Builder, Step
from agent.errors import ApprovalError
from agent.executor import Approved, Chain, Executor
from agent.locks import KeyedLocks
from agent.planning.conversations import history
from agent.planning.planner import question_or_refusal
from agent.policy_judge import PolicyJudge
from agent.proposing import Proposer, Turn, Weighed, brief, not_checked
from agent.records import Clarification, Refusal, Reply, Route
from agent.store.approvals import Approval
from agent.store.cards import OpenCards, PendingCard
from agent.store.store import Store
from agent.story import Settings, Story
from agent.told import headed, sent_of, tell_card, tell_place
from agent.viewing import look
from contracts.chain.comparing import AccountStanding, LaneStanding
from contracts.chain.outcome import Declined, NotDone, Outcome
from contracts.checks.verdict import CHAT, Channel, Verdict
from contracts.errors import InvalidInput, LedgerConflict, RpcError, SigningError
from contracts.knowledge.facts import At
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry
from contracts.types import AccountId


class SigningChain(Chain, Protocol):
    """The chain client as decisions use it."""

    async def standing(self, chain_id: str, signer_id: AccountId, at: At = "final", /) -> AccountStanding:
        """The account's lanes compared with the ledger, and why nothing can be signed. RpcError, SigningError."""
        ...


class Decider:
    """Confirms and cancels cards. Errors: RpcError, LedgerConflict, StoreError."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        chain: SigningChain,
        builder: Builder,
        proposer: Proposer,
        executor: Executor,
        registry: Registry,
        judge: PolicyJudge,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._chain = chain
        self._builder = builder
        self._proposer = proposer
        self._executor = executor
        self._registry = registry
        self._judge = judge
        self._clock = clock
        self._locks = KeyedLocks()

    async def decide(self, story: Story, decision: Decision) -> Reply:
        """Do what a message `confirm CODE` or `cancel CODE` says; a wrong code is counted."""
        identity, cards = story.request.identity, self._store.cards
        story.route = Route(target="none", model=None, reason=f"a {decision.verb} with a code")
        if not identity.may_confirm:
            text = "This key cannot confirm by text. On the daemon's machine: near-agent approve REQUEST_ID"
            return story.say(Refusal(text=text, why="not_allowed"))
        card = await cards.by_code_hash(identity.key_id, cards.hash_code(identity.key_id, decision.code))
        if card is None:
            try:
                await cards.note_wrong(identity.key_id, self._clock())
            except ApprovalError as error:
                return story.say(Refusal(text=sentence(error.message), why=error.code))
            text = "There is no card of yours with this code; nothing was done."
            return story.say(Refusal(text=text, why="no_such_card"))
        if decision.verb == "confirm":
            return await self.confirm(story, card, "text")
        async with self._locks.of(card.request_id):
            await cards.resolve(card.request_id, "cancelled", self._clock())
            return await self._resolved(story, card)

    async def show_waiting(self, story: Story) -> Reply:
        """The requester's cards that wait, each with the way to decide it: with its code for those who may confirm here."""
        found = await self._store.cards.open_cards(self._clock(), story.request.identity.key_id)
        if not found.readable and not found.damaged:
            return story.reply("answered", "No card of yours waits for approval.")
        texts = [await self._proposer.card_with_decision(story.request.identity, card) for card in found.readable]
        texts += [
            f"The card of request {one} is damaged and cannot be approved. To drop it, write /cancel {one}"
            for one in found.damaged
        ]
        facts = tuple(card.facts for card in found.readable if card.facts is not None)
        return story.reply("answered", "\n\n".join(texts), cards=facts)

    async def cancel_waiting(self, story: Story, request_id: str | None) -> Reply:
        """Cancel the requester's own card of this request, or all of them."""
        found = await self._store.cards.open_cards(self._clock(), story.request.identity.key_id)
        return await self._drop(story, found, request_id)

    async def drop(self, story: Story, request_id: str) -> Reply:
        """Cancel anybody's card of this request."""
        return await self._drop(story, await self._store.cards.open_cards(self._clock()), request_id)

    async def _drop(self, story: Story, found: OpenCards, request_id: str | None) -> Reply:
        """Cancel the cards of this request, or all of them. Damaged ones are known by their ids only."""
        named = {card.request_id: brief(card) for card in found.readable} | dict.fromkeys(
            found.damaged, "a damaged card"
        )
        dropped = [one for one in named if request_id in {None, one}]
        if not dropped:
            which = "No card waits" if request_id is None else f"No card waits for request {inert(request_id, 80)}"
            return story.say(Refusal(text=f"{which}; nothing was cancelled.", why="no_such_card"))
        lines: list[str] = []
        for one in dropped:
            async with self._locks.of(one):
                ended = await self._store.cards.resolve(one, "cancelled", self._clock())
            state = "Cancelled" if ended else "No longer waiting"
            lines.append(f"{state}: {named[one]} (request {one})")
        return story.reply("answered", "\n".join(lines))

    async def hint(self, story: Story) -> Reply | None:
        """The way to decide, for an answer such as "yes" while cards of this conversation wait; None if none does.

        Words that begin a conversation can only be about a card of another one: a command line's lines are such.
        """
        request = story.request
        cards = await self._store.cards.pending_of(request.identity.key_id, self._clock())
        begins = not history(request)
        here = [card for card in cards if begins or card.conversation_id == request.conversation_id]
        if not here:
            return None
        waiting = "\n".join(f"  {brief(card)} (request {card.request_id})" for card in here)
        code = (
            "the code on its card" if request.identity.may_confirm else "near-agent approve REQUEST_ID on its machine"
        )
        how = (
            f"write confirm or cancel and {code}"
            if request.identity.may_confirm
            else f"use {code}, or /cancel REQUEST_ID"
        )
        text = f"Nothing was done. This waits for approval:\n{waiting}\nTo decide, {how}. /cards shows the whole card."
        return story.say(Clarification(text=text, missing=("intent",)))

    async def begin(self, story: Story, steps: Sequence[Step], before: Sequence[str]) -> Reply:
        """What becomes of a new plan: carried out within the free allowance, else a card, or a refusal."""
        turn = Turn.of(story.request)
        weighed = await self._weigh(story, turn, steps)
        if isinstance(weighed, Reply):
            return weighed
        if weighed.verdict.decision == "allow" and story.ask_because is None:
            # One at a time for a turn and for the same calls: the second finds the first and asks.
            async with self._locks.of(turn.turn_hash), self._locks.of(weighed.calls_hash):
                card = await self._proposer.card_of_free(story, turn, weighed)
                if card is not None:
                    return await self._carry_out(story, card, weighed, ("policy", "policy"), before)
        note = None if weighed.verdict.decision == "ask" else story.ask_because
        return await self._proposer.propose(story, turn, weighed, before=before, warning=note)

    async def _weigh(
        self, story: Story, turn: Turn, steps: Sequence[Step], card: PendingCard | None = None
    ) -> Weighed | Reply:
        """As the proposer weighs; refused where a key of the signer was used by something else, so nothing can be signed."""
        lanes: tuple[LaneStanding, ...] = ()
        await story.tell("Checking the plan: simulation, keys and policy")
        if any(step.changes for step in steps):
            # The pre-flight reads the key at the same block, so it is read once.
            at = steps[0].facts.block_hash or "final"
            try:
                standing = await self._chain.standing(self._settings.chain_id, turn.signer_id, at)
            except SigningError as error:
                return story.fail(error.code, sentence(f"{error.message}. Nothing was sent"))
            except RpcError as error:
                return story.fail(error.code, rpc_text("Comparing the account's keys with the chain", error))
            conflict, lanes = standing.conflict, standing.lanes
            if conflict is not None:
                return story.say(Refusal(text=sentence(f"It cannot be signed: {conflict.message}"), why=conflict.code))
        return await self._proposer.weigh(story, turn, steps, lanes, card)

    async def confirm(self, story: Story, card: PendingCard, channel: Channel) -> Reply:
        """One confirmation at a time for a card, and for the same calls: the second is told what became of the first."""
        async with self._locks.of(card.request_id), self._locks.of(card.calls_hash):
            standing = await self._store.cards.by_request(card.request_id)
            if standing is None or standing.status != "pending" or standing.expires_at <= self._clock():
                return await self._resolved(story, card)
            try:
                steps = await self._builder.build(card.plan.calls, AccountId(card.signer_id))
            except InvalidInput as error:
                return story.say(question_or_refusal(error))
            except RpcError as error:
                return story.fail(error.code, rpc_text("Reading the chain again before signing", error))
            turn = Turn.of_card(card)
            story.plan = card.plan
            weighed = await self._weigh(story, turn, steps, card)
            if isinstance(weighed, Reply):
                return weighed
            unchecked = self._proposer.unchecked_now(card, weighed)
            if unchecked:
                return not_checked(story, unchecked, card)
            warning = await self._proposer.changed_since(card, weighed)
            if warning:
                await self._store.cards.resolve(card.request_id, "cancelled", self._clock())
                return await self._proposer.propose(story, turn, weighed, warning=warning)
            return await self._approve(story, card, weighed, channel)

    async def _approve(self, story: Story, card: PendingCard, weighed: Weighed, channel: Channel) -> Reply:
        """One person's approval of a card that stands; with enough of them it is carried out."""
        approval = Approval(story.request.identity.key_id, channel, self._clock())
        refused = refuse_channel(approval, card, weighed.verdict)
        if refused:
            return story.say(Refusal(text=refused, why="other_channel"))
        given = (approval,)
        if weighed.verdict.approvers > 1:
            given = await self._store.approvals.add(card.request_id, approval)
            if len(given) < weighed.verdict.approvers:
                return await self._proposer.show(story, card, repeated=False)
        if not await self._store.cards.resolve(card.request_id, "confirmed", self._clock()):
            return await self._resolved(story, card)
        identities, channels = (one.identity for one in given), dict.fromkeys(one.channel for one in given)
        return await self._carry_out(story, card, weighed, ("+".join(identities), "+".join(channels)))

    async def _carry_out(
        self, story: Story, card: PendingCard, weighed: Weighed, who: tuple[str, str], before: Sequence[str] = ()
    ) -> Reply:
        """Sign and send. `who`: approvers and channels."""
        story.no_deadline()
        story.approval_of = card.request_id
        story.calls, story.calls_hash = weighed.calls, card.calls_hash
        free = who[1] == "policy"
        approved = Approved(
            card_id=card.request_id,
            request_id=story.request.request_id,
            chain_id=card.chain_id,
            signer_id=AccountId(card.signer_id),
            calls=story.calls,
            expected=weighed.expected,
            identity=story.request.identity.key_id if free else who[0],
            channel=who[1],
            codes=weighed.codes,
            keys=card.public_keys,
            reservation=self._judge.reservation(weighed.verdict, card.identity_key_id, free=free),
        )
        try:
            outcomes = await self._executor.run(approved, story.tell)
        except LedgerConflict as error:
            if error.code == "over_budget":
                return story.say(Refusal(text=sentence(f"{error.message}; ask again"), why="over_budget"))
            return await self._tell(story, card)  # the ledger knows this card: it was begun before
        story.outcomes += outcomes
        lines = headed(outcomes, [*before, *await self._account(story, weighed, outcomes)])
        return story.reply(status_of(outcomes), "\n".join(lines))

    async def _account(self, story: Story, weighed: Weighed, outcomes: Sequence[Outcome]) -> list[str]:
        """What became of each planned action, in order; views after the changes are answered where those went well."""
        sent, lines, going_well = sent_of(weighed.sendings, outcomes), list[str](), True
        for place, step in enumerate(weighed.steps):
            found = tell_place(place, step.entry.name, step.built.summary, sent, self._registry)
            if found is not None:
                story.call_outcomes.append(found[0])
                lines += found[1]
                going_well = going_well and found[0].status == "final"
            if step.views and going_well:
                written = await look(self._chain, [step])
                story.call_outcomes += written.outcomes
                lines += written.lines
            elif step.views:
                story.call_outcomes.append(call_outcome(step.entry.name, NotDone("an earlier step did not succeed")))
        return lines

    async def _resolved(self, story: Story, card: PendingCard) -> Reply:
        """What a card that no longer waits came to."""
        story.approval_of = card.request_id
        await self._store.cards.resolve(card.request_id, "expired", self._clock())
        standing = await self._store.cards.by_request(card.request_id)
        if standing and standing.status == "confirmed":
            return await self._tell(story, card)
        expired = standing is None or standing.status == "expired"
        named = f"request {card.request_id}"
        reason = f"the approval of {named} expired; ask again for a new one" if expired else f"{named} was cancelled"
        story.plan, story.calls_hash = card.plan, card.calls_hash
        story.outcomes += [Declined(reason) for _ in card.calls]
        places = {place for places in card.call_steps for place in places}
        story.call_outcomes += [
            call_outcome(card.plan.calls[place].action, Declined(reason)) for place in sorted(places)
        ]
        return story.reply("declined", f"Nothing was sent: {reason}.")

    async def told_again(self, story: Story, card: PendingCard) -> Reply:
        """The stored result of a confirmed card, once nobody is carrying it out any more."""
        async with self._locks.of(card.request_id):
            return await self._tell(story, card)

    async def _tell(self, story: Story, card: PendingCard) -> Reply:
        """The stored result of a card that was confirmed before; what is still open is looked up, never sent anew."""
        story.no_deadline()
        story.approval_of = story.repeats = card.request_id
        story.plan, story.calls, story.calls_hash = card.plan, card.calls, card.calls_hash
        outcomes = await self._executor.results(card.request_id, len(card.calls), settle=True)
        again = "This was confirmed before; nothing is sent twice."
        lines = headed(outcomes, [again, *tell_card(story, card, outcomes, self._registry)])
        return story.reply(status_of(outcomes), "\n".join(lines))


def refuse_channel(approval: Approval, card: PendingCard, verdict: Verdict) -> str | None:
    """Why this approval does not count; None where it does. Another key's own channel is not the one that asked."""
    asked_key, _, asked_person = card.identity_key_id.partition("/")
    key, _, person = approval.identity.partition("/")
    if approval.channel not in CHAT or key != asked_key:
        return None
    # Who holds a shared key can leave its person out: that makes nobody a second one, and the front end no other channel.
    if not verdict.chat_allowed or (asked_person and not person):
        return (
            "This key is shared and nothing says which person writes, so it cannot approve. On the daemon's machine: "
            f"near-agent approve {card.request_id}"
        )
    if verdict.elsewhere:
        return (
            "The policy wants this amount approved over another channel than the one that asked. On the daemon's "
            f"machine: near-agent approve {card.request_id}"
        )
    return None
