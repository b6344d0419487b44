"""What a decision does to a card: confirm builds the plan again, compares, and carries it out; cancel ends it.

Every way to one card meets here, one at a time, so that a card is carried out once whoever confirms it.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.answers import call_outcome, rpc_text, sentence, status_of, step_text
from agent.approval import Decision
from agent.building import Builder, Step, changes_of, expected_of
from agent.errors import ApprovalError
from agent.executor import Approved, Chain, Executor
from agent.locks import KeyedLocks
from agent.planning.planner import question_or_refusal
from agent.proposing import Proposer, Turn
from agent.records import Refusal, Reply, Route
from agent.store.cards import PendingCard
from agent.store.store import Store
from agent.story import Settings, Story
from agent.viewing import look
from contracts.catalogue.entry import AnyEntry
from contracts.chain.outcome import Declined, Finalized, NotDone
from contracts.errors import InvalidInput, LedgerConflict, RpcError
from contracts.knowledge.registry import Registry
from contracts.signing.transaction import calls_hash
from contracts.types import AccountId


class Decider:
    """Confirms and cancels cards. Errors: RpcError, LedgerConflict, StoreError."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        chain: Chain,
        builder: Builder,
        proposer: Proposer,
        executor: Executor,
        registry: Registry,
        catalogue: Mapping[str, AnyEntry],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._chain = chain
        self._builder = builder
        self._proposer = proposer
        self._executor = executor
        self._registry = registry
        self._catalogue = catalogue
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

    async def confirm(self, story: Story, card: PendingCard, channel: str) -> Reply:
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
            story.plan = card.plan
            digest = calls_hash(self._settings.chain_id, AccountId(card.signer_id), changes_of(steps))
            if digest == card.calls_hash:
                warning = await self._proposer.done_since(card)
            else:
                warning = "the chain has changed since the last card, which is void: this is what would be done now"
            if warning:
                await self._store.cards.resolve(card.request_id, "cancelled", self._clock())
                return await self._proposer.propose(story, Turn.of_card(card), steps, warning=warning)
            if not await self._store.cards.resolve(card.request_id, "confirmed", self._clock()):
                return await self._resolved(story, card)
            return await self._carry_out(story, card, steps, channel)

    async def _carry_out(self, story: Story, card: PendingCard, steps: Sequence[Step], channel: str) -> Reply:
        story.no_deadline()
        story.approval_of = card.request_id
        story.calls, story.calls_hash = changes_of(steps), card.calls_hash
        approved = Approved(
            card_id=card.request_id,
            request_id=story.request.request_id,
            chain_id=card.chain_id,
            signer_id=AccountId(card.signer_id),
            calls=story.calls,
            expected=expected_of(steps),
            identity=story.request.identity.key_id,
            channel=channel,
        )
        try:
            outcomes = await self._executor.run(approved, story.tell)
        except LedgerConflict:
            return await self._tell(story, card)  # the ledger knows this card: it was begun before
        story.outcomes += outcomes
        lines: list[str] = []
        left, going_well = iter(outcomes), True
        for step in steps:
            for call, outcome in [(call, next(left)) for call in step.changes]:
                going_well = going_well and isinstance(outcome, Finalized)
                story.call_outcomes.append(call_outcome(step.entry.name, outcome))
                lines.append(step_text(step.built.summary, outcome, self._registry, call))
            if step.views and going_well:
                written = await look(self._chain, [step])
                story.call_outcomes += written.outcomes
                lines += written.lines
            elif step.views:
                story.call_outcomes.append(call_outcome(step.entry.name, NotDone("an earlier step did not succeed")))
        return story.reply(status_of(outcomes), "\n".join(lines))

    async def _resolved(self, story: Story, card: PendingCard) -> Reply:
        """What a card that no longer waits came to."""
        story.approval_of = card.request_id
        await self._store.cards.resolve(card.request_id, "expired", self._clock())
        standing = await self._store.cards.by_request(card.request_id)
        if standing and standing.status == "confirmed":
            return await self._tell(story, card)
        expired = standing is None or standing.status == "expired"
        reason = "the approval expired; ask again for a new one" if expired else "it was cancelled"
        story.plan, story.calls_hash = card.plan, card.calls_hash
        for place in card.call_steps:
            story.add(card.plan.calls[place].action, Declined(reason))
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
        lines = ["This was confirmed before; nothing is sent twice."]
        for place, call, outcome in zip(card.call_steps, card.calls, outcomes, strict=True):
            planned = card.plan.calls[place]
            story.add(planned.action, outcome)
            lines.append(step_text(self._catalogue[planned.action].slash(planned.args), outcome, self._registry, call))
        return story.reply(status_of(outcomes), "\n".join(lines))
