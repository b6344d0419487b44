"""Cards: made from built steps, stored, shown with their code, and warned on where the same was done before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.answers import sentence
from agent.approval import Codes, card_text, gas_bound, how_to_decide
from agent.building import Reads, Step, changes_of, expected_of
from agent.errors import ApprovalError
from agent.executor import SENT, card_of, intent_id
from agent.planning.conversations import mask_codes, maybe_codes, turn_hash
from agent.planning.planner import call_plan
from agent.records import Refusal, Reply, UserRequest
from agent.store.cards import PendingCard
from agent.store.store import Store
from agent.story import Settings, Story
from contracts.signing.transaction import calls_hash
from contracts.types import AccountId


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


class Proposer:
    """Makes and shows cards. Errors: RpcError where prices cannot be read, StoreError."""

    def __init__(
        self, settings: Settings, store: Store, reads: Reads, codes: Codes, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._store = store
        self._reads = reads
        self._codes = codes
        self._clock = clock

    async def propose(
        self, story: Story, turn: Turn, steps: Sequence[Step], *, before: Sequence[str] = (), warning: str | None = None
    ) -> Reply:
        """Store a card for these steps and show it below `before`; `refused` where too many cards wait already."""
        request_id, now = story.request.request_id, self._clock()
        calls = changes_of(steps)
        story.calls, story.calls_hash = calls, calls_hash(self._settings.chain_id, turn.signer_id, calls)
        warning = warning or await self._done_before(turn, story.calls_hash)
        notes = [*([warning] if warning else []), *(note for step in steps for note in step.built.notes)]
        card = PendingCard(
            request_id=request_id,
            identity_key_id=turn.key_id,
            conversation_id=turn.conversation_id,
            turn_hash=turn.turn_hash,
            code_hash=self._store.cards.hash_code(turn.key_id, self._codes.code_of(request_id)),
            calls_hash=story.calls_hash,
            chain_id=self._settings.chain_id,
            signer_id=turn.signer_id,
            plan=call_plan(tuple(step.planned for step in steps)),
            calls=calls,
            call_steps=tuple(place for place, step in enumerate(steps) for _ in step.changes),
            expected=expected_of(steps),
            text=card_text(
                request_id,
                network=self._settings.network,
                signer_id=turn.signer_id,
                summaries=[step.built.summary for step in steps],
                notes=notes,
                calls=calls,
                bound=gas_bound(calls, await self._reads.protocol_config(), await self._reads.gas_price()),
            ),
            created_at=now,
            expires_at=now + self._settings.approval_ttl_s,
        )
        try:
            standing = await self._store.cards.add(card)
        except ApprovalError as error:
            return story.say(Refusal(text=sentence(error.message), why=error.code))
        return await self.show(story, standing, repeated=standing.request_id != request_id, before=before)

    async def show(self, story: Story, card: PendingCard, *, repeated: bool, before: Sequence[str] = ()) -> Reply:
        """A pending card, with its code for its own identity where that may confirm by text."""
        identity = story.request.identity
        code = None
        if identity.may_confirm and identity.key_id == card.identity_key_id:
            code = self._codes.code_of(card.request_id)
            stored = self._store.cards.hash_code(card.identity_key_id, code)
            if stored != card.code_hash:  # the code key is another one than the card was made with
                await self._store.cards.replace_code(card.request_id, stored)
        if repeated:
            story.repeats, story.plan = card.request_id, card.plan
        story.calls, story.calls_hash = card.calls, card.calls_hash
        end = how_to_decide(card.request_id, code, card.expires_at, repeated=repeated)
        return story.reply("needs_approval", "\n".join((*before, card.text, end)), confirm_code=code)

    async def without_codes(self, request: UserRequest) -> UserRequest:
        """The request with the codes of its identity's waiting cards blanked, wherever they stand in it."""
        written = maybe_codes(request)
        if not written:
            return request
        waiting = await self._store.cards.pending_of(request.identity.key_id, self._clock())
        live = written & {self._codes.code_of(card.request_id) for card in waiting}
        return mask_codes(request, live) if live else request

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

    async def done_since(self, card: PendingCard) -> str | None:
        """A warning where a card's calls were executed by way of another card, which this one does not name."""
        found = await self._executed(card.calls_hash, AccountId(card.signer_id), card.created_at)
        return None if found is None or found in card.text else _again("the same", found)

    async def _done_before(self, turn: Turn, digest: str) -> str | None:
        """A warning that names the earlier request, where this turn or these calls were carried out already."""
        same = await self._store.cards.confirmed_same_turn(turn.key_id, turn.conversation_id, turn.turn_hash)
        if same:
            steps = [await self._store.ledger.get(intent_id(same.request_id, step)) for step in range(len(same.calls))]
            if any(intent is not None and intent.state in SENT for intent in steps):
                return _again("this message", same.request_id)
        since = self._clock() - self._settings.duplicate_window_s
        found = await self._executed(digest, turn.signer_id, since)
        return None if found is None else _again("the same", found)

    async def _executed(self, digest: str, signer_id: AccountId, since: float) -> str | None:
        """The request whose card led to these calls being executed, or sent, at or after `since`."""
        found = await self._store.records.find_executed(digest, signer_id, since)
        return None if found is None else card_of((await self._store.ledger.of_request(found))[0])


def _again(what: str, request_id: str) -> str:
    return f"WARNING: {what} was carried out already, by request {request_id}; confirming does it once more"
