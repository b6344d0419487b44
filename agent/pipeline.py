"""The story of one request, from its words to its record; read it top to bottom.

    request -> confirm or cancel? -> route -> plan -> facts -> calls -> view now, or a card
    confirm -> built again and compared -> grant -> each transaction once, in order -> answer -> record

What a confirmation does is in `deciding`, how a request ends in its one record, also when it broke, in `ending`. Retries
are in the RPC client and the model clients.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agent.answers import rpc_text
from agent.approval import Codes, read_decision
from agent.building import Builder, Reads, split_at_change
from agent.deciding import Decider, SigningChain
from agent.ending import Ending, Work
from agent.executor import Executor
from agent.frontends.request_id import new_request_id
from agent.markup import as_shown
from agent.models.provider import ModelProvider, Serving
from agent.planning.asking import asking
from agent.planning.authorship import (
    Authorship,
    FrontEndPrompt,
    OwnWords,
    WrappedWords,
    authorship,
    last_words,
    surroundings,
)
from agent.planning.conversations import KEPT_MESSAGE_CHARACTERS, history, mask_text
from agent.planning.forms import answer_form
from agent.planning.planner import Planned, Planner, question_or_refusal
from agent.planning.prompts import (
    ASKS_NOTHING,
    ASSENT,
    MAX_TEXT_CHARACTERS,
    MIXED_PROMPT,
    ONLY_QUOTES,
    SECRETS_STAY,
    no_model_text,
)
from agent.planning.recent import RecentWords
from agent.planning.router import route_back, route_without_model, route_words
from agent.planning.slash import CancelCards, ShowCards, is_slash, parse_card_command
from agent.planning.vocabulary import Vocabulary
from agent.policy_judge import PolicyJudge
from agent.proposing import Preflight, Proposer
from agent.records import (
    Answer,
    CallPlan,
    Clarification,
    Identity,
    Refusal,
    Reply,
    Route,
    Unsupported,
    UserRequest,
)
from agent.redaction.texts import holds_secret, redact
from agent.store.cards import PendingCard
from agent.store.shortening import is_same_text
from agent.store.store import Store
from agent.story import Progress, Settings, Story
from agent.viewing import look
from contracts.catalogue.entry import AnyEntry
from contracts.catalogue.index import CATALOGUE
from contracts.checks.policy_file import Policy, built_in_policy
from contracts.checks.verdict import Channel
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.account_keys import NO_SIGNER, KeySource
from contracts.knowledge.registry import Registry
from contracts.types import AccountId

_RECENT_RECORDS: Final = 200
"""Records read at a start, so that a front end's prompt about a request of before is recognized."""


class Pipeline:
    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        chain: SigningChain,
        reads: Reads,
        agreed: Reads | None = None,
        registry: Registry,
        models: Serving,
        codes: Codes,
        clock: Callable[[], float],
        policy: Policy | None = None,
        preflight: Preflight | None = None,
        keys: KeySource = NO_SIGNER,
        catalogue: Mapping[str, AnyEntry] = CATALOGUE,
        new_id: Callable[[], str] = new_request_id,
        kill_point: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._chain = chain
        self._models = models
        self._clock = clock
        self._catalogue = catalogue
        self.vocabulary = Vocabulary(catalogue, registry, (policy or built_in_policy()).address_book)
        self._new_id = new_id
        self._recent = RecentWords()
        self._planner = Planner(catalogue, registry, (policy or built_in_policy()).address_book)
        self._builder = Builder(catalogue, registry, reads, store.ledger, settings, keys=keys, agreed=agreed)
        self._judge = PolicyJudge(policy or built_in_policy(), settings, registry, store.budgets, clock)
        self._proposer = Proposer(settings, store, reads, codes, self._judge, clock, registry, preflight)
        self._executor = Executor(chain, store.ledger, clock=clock, step_timeout_s=settings.step_timeout_s)
        self._decider = Decider(
            settings,
            store,
            chain=chain,
            builder=self._builder,
            proposer=self._proposer,
            executor=self._executor,
            registry=registry,
            judge=self._judge,
            clock=clock,
        )
        self._ending = Ending(
            settings,
            store,
            proposer=self._proposer,
            executor=self._executor,
            registry=registry,
            clock=clock,
            kill_point=kill_point,
        )

    # ---- the doors: each leaves one record and raises nothing but a cancellation

    async def handle(self, request: UserRequest, progress: Progress | None = None) -> Reply:
        """Answer a request of a conversation. Too many wrong codes: a Refusal with why `too_many_wrong_codes`."""
        story = Story.of(request, progress, self._clock)
        reply = await self._ending.recorded(story, self._converse)
        self._recent.note(request.identity.key_id, story.request.text, mask_text(as_shown(reply.text)))
        return reply

    async def plan_only(self, request: UserRequest) -> Reply:
        """The plan of a text and nothing else: no chain, no card, the caller stays `@me`."""
        return await self._ending.recorded(Story.of(request, None, self._clock, text_only=True), self._only_plan)

    async def approve_by_request(
        self, identity: Identity, request_id: str, channel: Channel, progress: Progress | None = None
    ) -> Reply:
        """Confirm a card by its request's id, for a channel that models and chat clients cannot write to.

        The approver's identity must be the card's, act for the same account, or be named in the policy; others are told that
        there is no card.
        """
        request = UserRequest.of_command(
            self._new_id(), f"approve {request_id}", identity, f"approval:{request_id}", self._clock()
        )

        async def approve(story: Story) -> Reply:
            story.route = Route(target="none", model=None, reason=f"an approval by request id ({channel})")
            record = await self._store.records.get(request_id)
            card = await self._store.cards.by_request(record.repeats if record and record.repeats else request_id)
            if card is None or not self._judge.may_approve(identity, card, channel):
                text = f"There is no card for request {request_id}. near-agent approve --list shows those that wait."
                return story.say(Refusal(text=text, why="no_such_card"))
            return await self._decider.confirm(story, card, channel)

        return await self._ending.recorded(Story.of(request, progress, self._clock), approve)

    async def drop_by_request(self, identity: Identity, request_id: str, progress: Progress | None = None) -> Reply:
        """Cancel anybody's card that waits, for the operator."""
        request = UserRequest.of_command(
            self._new_id(), f"drop {request_id}", identity, f"approval:{request_id}", self._clock()
        )

        async def drop(story: Story) -> Reply:
            story.route = Route(target="none", model=None, reason="a card dropped by request id")
            return await self._decider.drop(story, request_id)

        return await self._ending.recorded(Story.of(request, progress, self._clock), drop)

    async def recorded(self, request: UserRequest, work: Work, progress: Progress | None = None) -> Reply:
        """Other work of the daemon, with the same deadline and one record."""
        return await self._ending.recorded(Story.of(request, progress, self._clock), work)

    def may_approve(self, identity: Identity, card: PendingCard, channel: Channel) -> bool:
        """Whether an approval by this identity can count for the card."""
        return self._judge.may_approve(identity, card, channel)

    def user_header(self, key_id: str) -> str | None:
        """The HTTP header that names the person of a shared key, where the policy trusts one."""
        return self._judge.user_header(key_id)

    async def recover(self) -> None:
        """After a start, before any request: settle what is on chain, then close what an earlier process left open."""
        for stored in await self._store.records.latest(_RECENT_RECORDS):
            request = stored.record.request
            self._recent.note(request.identity.key_id, request.text, as_shown(stored.record.text))
        await self._executor.settle_all()
        for request in await self._store.records.interrupted():
            story = Story.of(request, None, self._clock)
            await self._ending.close_cut_off(story, give_up=False)

    # ---- from words to a plan

    async def _converse(self, story: Story) -> Reply:
        decision = read_decision(last_words(story.said))
        if decision:
            return await self._decider.decide(story, decision)
        whose = self._read_authorship(story)
        stored = await self._same_key(story)
        # A slash command is planned first: most are views, and need no look at the cards.
        if stored is None and not is_slash(story.request.text):
            stored = await self._same_turn(story)
        if stored:
            return stored
        plan = _without_secrets(story, await self._plan(story, whose))
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
        written = await look(self._chain, now)
        story.call_outcomes += written.outcomes
        if later:
            return await self._decider.begin(story, later, written.lines)
        failed = any(outcome.status == "failed" for outcome in written.outcomes)
        return story.reply("failed" if failed else "answered", "\n".join(written.lines))

    async def _only_plan(self, story: Story) -> Reply:
        if read_decision(last_words(story.said)):
            return story.say(Answer(text="A confirmation counts in a conversation only; nothing was done."))
        plan = await self._plan(story, self._read_authorship(story))
        if isinstance(plan, Reply):
            return plan
        commands = [self._catalogue[call.action].slash(call.args) for call in plan.calls]
        return story.reply("answered", "\n".join(commands))

    def _read_authorship(self, story: Story) -> Authorship:
        """Read whose words the message holds, and keep only the person's as the request."""
        request = story.request
        earlier = [turn.content for _, turn in history(request) if turn.role == "user"]
        key_id = request.identity.key_id
        whose = authorship(
            request.text,
            surroundings(
                (turn.content for turn in request.turns if turn.role == "system"),
                () if story.text_only else (*self._recent.requests(key_id), *earlier),
                () if story.text_only else self._recent.answers(key_id),
            ),
        )
        match whose:
            case OwnWords(_, doubtful):
                story.ask_because = (
                    "approval is needed: the message may quote somebody else's words" if doubtful else None
                )
            case WrappedWords(words):
                story.request = request.model_copy(update={"text": words})
                story.ask_because = "approval is needed: the front end sent other text along with the request"
            case FrontEndPrompt():
                # It comes under the id of the message that it is about.
                story.request = request.model_copy(update={"message_id": None})
        return whose

    async def _plan(self, story: Story, whose: Authorship) -> CallPlan | Reply:
        """The plan, or the reply that ends the request without one."""
        way = route_without_model(whose)
        if way:
            story.route = way
        if isinstance(whose, FrontEndPrompt):
            return story.say(_answer_to_prompt(whose))
        plan = await (self._plan_command(story) if way else self._plan_free_text(story))
        if isinstance(plan, CallPlan):
            story.plan = plan
        return plan

    async def _plan_command(self, story: Story) -> CallPlan | Reply:
        request = story.request
        if request.text != last_words(story.said) and len(story.said) <= KEPT_MESSAGE_CHARACTERS:
            text = "The command holds what looks like a confirmation code, which is never passed on; leave it out."
            return story.say(Refusal(text=text, why="code_in_command"))
        answered = await self._answer_card_command(story)
        if answered is not None:
            return answered
        plan = self._planner.plan_slash(request, text_only=story.text_only)
        return plan if isinstance(plan, CallPlan) else story.say(plan)

    async def _plan_free_text(self, story: Story) -> CallPlan | Reply:
        planned = await self._plan_words(story)
        if isinstance(planned, Reply):
            return planned
        story.mark("planned")
        plan = planned.plan
        if plan is None:
            code, _, reason = (planned.failure or "model_failed").partition(": ")
            text = f"The model {story.route.model} gave no usable answer ({code}: {reason}). "
            return story.fail(code, text + "Nothing was done; slash commands work without a model: /help")
        if not isinstance(plan, CallPlan):
            return story.say(plan)
        if not story.text_only and any(self._catalogue[call.action].kind == "change" for call in plan.calls):
            match asking(story.request.text):
                case "asks_nothing":
                    return story.say(Clarification(text=ASKS_NOTHING, missing=("intent",)))
                case "unclear":
                    story.ask_because = story.ask_because or "approval is needed: the message does not say to do it"
                case "asks":
                    pass
        return plan

    async def _answer_card_command(self, story: Story) -> Reply | None:
        """Answer `/cards` and `/cancel`; None for any other command."""
        try:
            command = parse_card_command(story.request.text)
        except InvalidInput as error:
            return story.say(question_or_refusal(error))
        match command:
            case None:
                return None
            case _ if story.text_only:
                return story.say(Answer(text="Cards wait in a conversation only; nothing was done."))
            case ShowCards():
                return await self._decider.show_waiting(story)
            case CancelCards(request_id):
                return await self._decider.cancel_waiting(story, request_id)

    async def _plan_words(self, story: Story) -> Planned | Reply:
        """Free text by a model: the specialist first where one serves, the standard one after it."""
        request = story.request
        standard, specialist = self._models.standard(), self._models.specialist()
        story.route = route_words(request.model, standard, specialist)
        first = {"none": None, "standard": standard, "specialist": specialist}[story.route.target]
        if not story.text_only and ASSENT.fullmatch(request.text) and (hint := await self._decider.hint(story)):
            return hint
        if first is None:
            return story.say(Unsupported(text=no_model_text(self._planner.commands(), request.text), why="no_model"))
        if len(request.text) > MAX_TEXT_CHARACTERS:
            text = f"The message is too long: models are shown at most {MAX_TEXT_CHARACTERS} characters."
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
        story.preamble = planned.preamble
        return planned

    # ---- the same request again

    async def _same_key(self, story: Story) -> Reply | None:
        """The stored result of an earlier request with the same Idempotency-Key or message id; None to go on."""
        request, records = story.request, self._store.records
        record, text = None, redact(story.request.text)[0]  # as records keep it
        if request.idempotency_key:
            record = await records.find_by_key(request.identity.key_id, idempotency_key=request.idempotency_key)
            if record and not is_same_text(record.request.text, text):
                story.repeats = record.request.request_id
                text = "This Idempotency-Key was used for another request; send a new one."
                return story.say(Refusal(text=text, why="idempotency_conflict"))
        if record is None and request.message_id:
            record = await records.find_by_key(request.identity.key_id, message_id=request.message_id)
        if record is None or not is_same_text(record.request.text, text):
            return None
        card = await self._proposer.standing(record.request.request_id)
        if card and card.status == "pending" and card.expires_at > self._clock():
            return await self._proposer.show(story, card, repeated=True)
        if card and card.status == "confirmed":
            return await self._decider.told_again(story, card)
        match record.status:
            case "answered" | "executed" | "partially_executed" | "unconfirmed" | "declined" as status:
                return story.repeat(record, status)
            case _:
                return None

    async def _same_turn(self, story: Story) -> Reply | None:
        """The card that this very turn waits for already."""
        card = await self._proposer.pending_of(story.request)
        return await self._proposer.show(story, card, repeated=True) if card else None


def _answer_to_prompt(prompt: FrontEndPrompt) -> Answer | Clarification:
    """The answer in the form that the prompt asks for; a question if it asks for none, or for a change besides."""
    if prompt.mixed:
        return Clarification(text=MIXED_PROMPT, missing=("intent",))
    if prompt.form is None:
        return Clarification(text=ONLY_QUOTES, missing=("intent",))
    return Answer(text=answer_form(prompt.form, prompt.quoted), verbatim=True)


def _why_not_taken(planned: Planned) -> str | None:
    """None where a specialist's plan is taken: exactly one valid action."""
    if planned.failure:
        return planned.failure
    if not isinstance(planned.plan, CallPlan):
        return f"it answered with {planned.plan.kind if planned.plan else 'nothing'}"
    return None if len(planned.plan.calls) == 1 else f"it named {len(planned.plan.calls)} actions"


def _without_secrets(story: Story, plan: CallPlan | Reply) -> CallPlan | Reply:
    """The plan, or a refusal where an argument is what no node and no contract may see."""
    if isinstance(plan, CallPlan) and any(holds_secret(call.args) for call in plan.calls):
        return story.say(Refusal(text=SECRETS_STAY, why="secret_in_plan"))
    return plan
