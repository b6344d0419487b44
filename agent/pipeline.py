"""The story of one request, from its words to its record; read it top to bottom.

    request -> confirm or cancel? -> route -> plan -> facts -> calls -> view now, or a card
    confirm -> built again and compared -> grant -> each transaction once, in order -> answer -> record

`Pipeline` is the one place that catches everything, because every request ends in exactly one record. The deadlines of a
request are here; retries are in the RPC client and the model clients.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from agent.answers import call_outcome, failed_view, rpc_text, sentence, status_of, step_text
from agent.approval import Codes, Decision, read_decision
from agent.building import Builder, Reads, Step, changes_of, expected_of, split_at_change
from agent.errors import AgentError, ApprovalError
from agent.executor import Approved, Chain, Executor, card_of, outcome_of
from agent.frontends.request_id import new_request_id
from agent.locks import KeyedLocks
from agent.models.provider import ModelProvider, Serving
from agent.planning.conversations import answer_task_prompt, is_task_prompt
from agent.planning.planner import Planned, Planner, question_or_refusal
from agent.planning.prompts import MAX_TEXT_CHARACTERS, no_model_text
from agent.planning.router import route_back, route_without_model, route_words
from agent.planning.slash import is_slash
from agent.proposing import Proposer, Turn
from agent.records import (
    Answer,
    CallOutcome,
    CallPlan,
    Identity,
    Refusal,
    Reply,
    Route,
    Status,
    Unsupported,
    UserRequest,
)
from agent.store.cards import PendingCard
from agent.store.store import Store
from agent.story import Progress, Settings, Story
from agent.telemetry import redact
from contracts.catalogue.entry import AnyEntry
from contracts.catalogue.index import CATALOGUE
from contracts.chain.outcome import Declined, Finalized, NotDone, Outcome
from contracts.errors import ContractsError, InvalidInput, LedgerConflict, RpcError
from contracts.knowledge.registry import Registry
from contracts.signing.transaction import calls_hash
from contracts.types import AccountId

log = structlog.get_logger()

Work = Callable[[Story], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Written:
    """Views that were carried out: text, and what front ends show."""

    lines: list[str] = field(default_factory=list[str])
    outcomes: list[CallOutcome] = field(default_factory=list[CallOutcome])


class Pipeline:
    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        chain: Chain,
        reads: Reads,
        registry: Registry,
        models: Serving,
        codes: Codes,
        clock: Callable[[], float],
        catalogue: Mapping[str, AnyEntry] = CATALOGUE,
        new_id: Callable[[], str] = new_request_id,
        kill_point: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._chain = chain
        self._registry = registry
        self._models = models
        self._clock = clock
        self._catalogue = catalogue
        self._new_id = new_id
        self._kill_point = kill_point
        self._locks = KeyedLocks()
        self._planner = Planner(catalogue, registry)
        self._builder = Builder(
            catalogue, registry, reads, store.ledger, network=settings.network, chain_id=settings.chain_id
        )
        self._proposer = Proposer(settings, store, reads, codes, clock)
        self._executor = Executor(chain, store.ledger, clock=clock, step_timeout_s=settings.step_timeout_s)

    # ---- the doors: each leaves one record and raises nothing but a cancellation

    async def handle(self, request: UserRequest, progress: Progress | None = None) -> Reply:
        """Answer a request of a conversation. Too many wrong codes: a Refusal with why `too_many_wrong_codes`."""
        return await self._recorded(Story.of(request, progress, self._clock), self._converse)

    async def plan_only(self, request: UserRequest) -> Reply:
        """The plan of a text and nothing else: no chain, no card, the caller stays `@me`."""
        return await self._recorded(Story.of(request, None, self._clock, text_only=True), self._only_plan)

    async def approve_by_request(
        self, identity: Identity, request_id: str, channel: str, progress: Progress | None = None
    ) -> Reply:
        """Confirm a card by its request's id, for a channel that models and chat clients cannot write to.

        The approver's identity must be the card's, or act for the same account; others are told that there is no card.
        """
        request = UserRequest(
            request_id=self._new_id(),
            text=f"approve {request_id}",
            turns=(),
            identity=identity,
            front_end="cli",
            conversation_id=f"approval:{request_id}",
            received_at=self._clock(),
        )

        async def approve(story: Story) -> Reply:
            story.route = Route(target="none", model=None, reason=f"an approval by request id ({channel})")
            record = await self._store.records.get(request_id)
            card = await self._store.cards.by_request(record.repeats if record and record.repeats else request_id)
            if card is None or not _may_approve(identity, card):
                text = f"There is no card for request {request_id}. near-agent approve --list shows those that wait."
                return story.say(Refusal(text=text, why="no_such_card"))
            return await self._confirm(story, card, channel)

        return await self._recorded(Story.of(request, progress, self._clock), approve)

    async def recover(self) -> None:
        """After a start, before any request: settle what is on chain, then close what an earlier process left open."""
        await self._executor.settle_all()
        for request in await self._store.records.interrupted():
            story = Story.of(request, None, self._clock)
            await self._close_cut_off(story, give_up=False)

    # ---- from words to a plan

    async def _converse(self, story: Story) -> Reply:
        decision = read_decision(story.said)
        if decision:
            return await self._decide(story, decision)
        stored = await self._same_key(story)
        # A slash command is planned first: most are views, and need no look at the cards.
        if stored is None and not is_slash(story.request.text):
            stored = await self._same_turn(story)
        if stored:
            return stored
        plan = await self._plan(story)
        if isinstance(plan, Reply):
            return plan
        if is_slash(story.request.text) and self._catalogue[plan.calls[0].action].kind == "change":
            stored = await self._same_turn(story)
            if stored:
                return stored
        signer_id = AccountId(story.request.identity.account_id)
        try:
            steps = await self._builder.build(plan.calls, signer_id)
        except InvalidInput as error:
            return story.say(question_or_refusal(error))
        except RpcError as error:
            return story.fail(error.code, rpc_text("Reading the chain", error))
        story.mark("built")
        now, later = split_at_change(steps)
        written = await self._look(now)
        story.call_outcomes += written.outcomes
        if later:
            return await self._proposer.propose(story, Turn.of(story.request), later, before=written.lines)
        failed = any(outcome.status == "failed" for outcome in written.outcomes)
        return story.reply("failed" if failed else "answered", "\n".join(written.lines))

    async def _only_plan(self, story: Story) -> Reply:
        if read_decision(story.said):
            return story.say(Answer(text="A confirmation counts in a conversation only; nothing was done."))
        plan = await self._plan(story)
        if isinstance(plan, Reply):
            return plan
        commands = [self._catalogue[call.action].slash(call.args) for call in plan.calls]
        return story.reply("answered", "\n".join(commands))

    async def _plan(self, story: Story) -> CallPlan | Reply:
        """The plan, or the reply that ends the request without one."""
        request = story.request
        way = route_without_model(request.text)
        if way:
            story.route = way
            if is_task_prompt(request.text):
                return story.say(Answer(text=answer_task_prompt(request.text)))
            if request.text != story.said:
                text = "The command holds what looks like a confirmation code, which is never passed on; leave it out."
                return story.say(Refusal(text=text, why="code_in_command"))
            plan = self._planner.plan_slash(request, text_only=story.text_only)
            if not isinstance(plan, CallPlan):
                return story.say(plan)
        else:
            planned = await self._plan_words(story)
            if isinstance(planned, Reply):
                return planned
            story.mark("planned")
            if planned.plan is None:
                code, _, reason = (planned.failure or "model_failed").partition(": ")
                text = f"The model {story.route.model} gave no usable answer ({code}: {reason}). "
                return story.fail(code, text + "Nothing was done; slash commands work without a model: /help")
            plan = planned.plan
            if not isinstance(plan, CallPlan):
                return story.say(plan)
        story.plan = plan
        return plan

    async def _plan_words(self, story: Story) -> Planned | Reply:
        """Free text by a model: the specialist first where one serves, the standard one after it."""
        request = story.request
        standard, specialist = self._models.standard(), self._models.specialist()
        story.route = route_words(request.model, standard, specialist)
        first = {"none": None, "standard": standard, "specialist": specialist}[story.route.target]
        if first is None:
            return story.say(Unsupported(text=no_model_text(self._planner.commands(), request.text), why="no_model"))
        if len(request.text) > MAX_TEXT_CHARACTERS:
            text = f"The message has {len(request.text)} characters; models are shown at most {MAX_TEXT_CHARACTERS}."
            return story.say(Refusal(text=text, why="text_too_long"))
        alone = standard is None or first is standard or request.model == "near-agent-specialist"
        planned = await self._ask_model(story, first, repair=alone)
        why = None if alone else _why_not_taken(planned)
        if why is None or standard is None:
            return planned
        story.route = route_back(first, standard, why)
        return await self._ask_model(story, standard, repair=True)

    async def _ask_model(self, story: Story, provider: ModelProvider, *, repair: bool) -> Planned:
        await story.tell(f"Planning with {provider.model}")
        planned = await self._planner.plan_words(story.request, provider, text_only=story.text_only, repair=repair)
        story.exchanges += planned.exchanges
        return planned

    # ---- the same request again

    async def _same_key(self, story: Story) -> Reply | None:
        """The stored result of an earlier request with the same Idempotency-Key or message id; None to go on."""
        request, records = story.request, self._store.records
        record, text = None, redact(story.request.text)[0]  # as records keep it
        if request.idempotency_key:
            record = await records.find_by_key(request.identity.key_id, idempotency_key=request.idempotency_key)
            if record and record.request.text != text:
                story.repeats = record.request.request_id
                text = "This Idempotency-Key was used for another request; send a new one."
                return story.say(Refusal(text=text, why="idempotency_conflict"))
        if record is None and request.message_id:
            record = await records.find_by_key(request.identity.key_id, message_id=request.message_id)
        if record is None or record.request.text != text:
            return None
        card = await self._proposer.standing(record.request.request_id)
        if card and card.status == "pending" and card.expires_at > self._clock():
            return await self._proposer.show(story, card, repeated=True)
        if card and card.status == "confirmed":
            async with self._locks.of(card.request_id):
                return await self._tell(story, card)
        match record.status:
            case "answered" | "executed" | "partially_executed" | "unconfirmed" | "declined" as status:
                return story.repeat(record, status)
            case _:
                return None

    async def _same_turn(self, story: Story) -> Reply | None:
        """The card that this very turn waits for already."""
        card = await self._proposer.pending_of(story.request)
        return await self._proposer.show(story, card, repeated=True) if card else None

    # ---- views

    async def _look(self, steps: Sequence[Step]) -> _Written:
        written = _Written()
        for step in steps:
            for view in step.views:
                try:
                    returned = await self._chain.view(view)
                except RpcError as error:
                    explained = step.entry.explain(step.args, error, step.context)
                    written.lines.append(explained or rpc_text(f"/{step.entry.name}", error))
                    written.outcomes.append(failed_view(step.entry.name, error))
                else:
                    written.lines.append(step.entry.answer(step.args, returned, step.facts, step.context))
                    written.outcomes.append(call_outcome(step.entry.name, returned))
        return written

    # ---- a decision

    async def _decide(self, story: Story, decision: Decision) -> Reply:
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
            return await self._confirm(story, card, "text")
        async with self._locks.of(card.request_id):
            await cards.resolve(card.request_id, "cancelled", self._clock())
            return await self._resolved(story, card)

    async def _confirm(self, story: Story, card: PendingCard, channel: str) -> Reply:
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
            for outcome in [next(left) for _ in step.changes]:
                going_well = going_well and isinstance(outcome, Finalized)
                story.call_outcomes.append(call_outcome(step.entry.name, outcome))
                lines.append(step_text(step.built.summary, outcome, self._registry))
            if step.views and going_well:
                written = await self._look([step])
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
            self._add(story, card.plan.calls[place].action, Declined(reason))
        return story.reply("declined", f"Nothing was sent: {reason}.")

    async def _tell(self, story: Story, card: PendingCard) -> Reply:
        """The stored result of a card that was confirmed before; what is still open is looked up, never sent anew."""
        story.no_deadline()
        story.approval_of = story.repeats = card.request_id
        story.plan, story.calls, story.calls_hash = card.plan, card.calls, card.calls_hash
        outcomes = await self._executor.results(card.request_id, len(card.calls), settle=True)
        lines = ["This was confirmed before; nothing is sent twice."]
        for place, outcome in zip(card.call_steps, outcomes, strict=True):
            planned = card.plan.calls[place]
            self._add(story, planned.action, outcome)
            lines.append(step_text(self._catalogue[planned.action].slash(planned.args), outcome, self._registry))
        return story.reply(status_of(outcomes), "\n".join(lines))

    def _add(self, story: Story, action: str, outcome: Outcome) -> None:
        story.outcomes.append(outcome)
        story.call_outcomes.append(call_outcome(action, outcome))

    # ---- the end of every request

    async def _recorded(self, story: Story, work: Work) -> Reply:
        try:
            async with asyncio.timeout(self._settings.request_timeout_s) as story.deadline:
                story.request = await self._proposer.without_codes(story.request)
                await self._store.records.open_request(story.request)
                reply = await work(story)
        except asyncio.CancelledError:
            await self._close_cut_off(story, give_up=True)
            raise
        except TimeoutError:
            limit = f"{self._settings.request_timeout_s:g} s"
            reply = await self._broken(story, "timeout", f"It took longer than {limit} and was given up. Try again.")
        except (AgentError, ContractsError) as error:
            reply = await self._broken(story, error.code, sentence(error.message))
        except Exception:  # every request ends in a record, whatever it ran into
            log.exception("request_broke", request_id=story.request.request_id)
            reply = await self._broken(story, "internal", "Something went wrong inside the daemon; its log says what.")
        await self._close(story, reply.status, reply.text)
        return reply

    async def _broken(self, story: Story, code: str, text: str) -> Reply:
        """The end of a request that broke off; what the ledger knows of its transactions says more than the error."""
        log.warning("request_failed", request_id=story.request.request_id, code=code, problem=text)
        lines = await self._read_back(story, give_up=True)
        failed = story.fail(code, text)
        return story.reply(status_of(story.outcomes), "\n".join((text, *lines))) if lines else failed

    async def _close(self, story: Story, status: Status | Literal["interrupted"], text: str) -> None:
        request = story.request
        try:
            async with asyncio.timeout(self._settings.record_timeout_s):
                await self._store.records.finish(story.record(status, text))
        except Exception as error:  # a record that cannot be written must not end the daemon
            # The row of the running request stays, and the next start closes it.
            log.exception("record_not_written", request_id=request.request_id, problem=str(error))
        self._kill_point("after_record")
        log.info(
            "request_finished",
            request_id=request.request_id,
            front_end=request.front_end,
            target=story.route.target,
            model=story.route.model,
            status=status,
            duration_ms=round((self._clock() - request.received_at) * 1000, 1),
        )

    async def _close_cut_off(self, story: Story, *, give_up: bool) -> None:
        """The record of a request that was cancelled, or that an earlier process left open."""
        text = "The daemon was stopped in the middle of this request."
        story.error = {"code": "interrupted", "message": text}
        lines = await self._read_back(story, give_up=give_up)
        sent = any(not isinstance(outcome, NotDone) for outcome in story.outcomes)
        status = status_of(story.outcomes) if sent else "interrupted"
        await self._close(story, status, "\n".join((text, *lines)))

    async def _read_back(self, story: Story, *, give_up: bool) -> list[str]:
        """What the ledger knows of a request's transactions, put into the story, and in words; nothing where it had none.

        `give_up`: what was not sent never will be, so that asking again is safe.
        """
        try:
            async with asyncio.timeout(self._settings.record_timeout_s):
                if give_up and story.approval_of:
                    await self._executor.give_up_unsent(story.request.request_id)
                intents = await self._store.ledger.of_request(story.request.request_id)
                card = await self._store.cards.by_request(card_of(intents[0])) if intents else None
        except (AgentError, ContractsError, TimeoutError) as error:
            log.error("outcome_not_read", request_id=story.request.request_id, problem=str(error))  # noqa: TRY400
            return []
        if card is None:
            return []
        story.outcomes, story.call_outcomes = [], []
        story.approval_of, story.plan, story.calls_hash = card.request_id, card.plan, card.calls_hash
        story.calls = tuple(intent.call for intent in intents)
        lines: list[str] = []
        for intent in intents:
            planned, outcome = card.plan.calls[card.call_steps[intent.step]], outcome_of(intent)
            self._add(story, planned.action, outcome)
            lines.append(step_text(self._catalogue[planned.action].slash(planned.args), outcome, self._registry))
        return lines


def _why_not_taken(planned: Planned) -> str | None:
    """None where a specialist's plan is taken: exactly one valid action."""
    if planned.failure:
        return planned.failure
    if not isinstance(planned.plan, CallPlan):
        return f"it answered with {planned.plan.kind if planned.plan else 'nothing'}"
    return None if len(planned.plan.calls) == 1 else f"it named {len(planned.plan.calls)} actions"


def _may_approve(identity: Identity, card: PendingCard) -> bool:
    return identity.key_id == card.identity_key_id or identity.account_id == card.signer_id
