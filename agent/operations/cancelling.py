"""What an operator decides about transactions and keys in doubt.

cancel-tx: an operator ends a transaction of unknown end by a fence, a transfer of 0 to oneself with its key and nonce.

Only one of the two can ever be executed. The fence is an intent of its own in the ledger, under a grant that the operator's
command is; what it proves about the other is stored with it.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from agent.answers import status_of, step_text
from agent.executor import intent_id
from agent.frontends.request_id import new_request_id
from agent.operations.operator_calls import operator_call
from agent.records import Identity, Refusal, Reply, Route, UserRequest
from agent.story import Progress, Story
from contracts.calls import ChangeCall, Grant, Transfer
from contracts.chain.ledger import OPEN, UNSETTLED, Intent, Lane, LaneRecord, Ledger
from contracts.chain.outcome import ExecutionFailed, Finalized, Outcome, PartiallyExecuted
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto

_MAX_STEPS: Final = 100

Recorded = Callable[[UserRequest, Callable[[Story], Awaitable[Reply]], Progress | None], Awaitable[Reply]]
"""Runs work that leaves one record (`Pipeline.recorded`)."""


class Fencing(Protocol):
    """The chain client as a canceller uses it."""

    async def settle(self, intent: Intent) -> Outcome: ...

    async def give_up(self, intent: Intent) -> Outcome:
        """Abandon what was never sent; settle anything else."""
        ...

    async def fence(self, target: Intent, fence: Intent, grant: Grant) -> tuple[Outcome, Outcome]: ...

    async def acknowledge_key(
        self, chain_id: str, account_id: AccountId, public_key: PublicKey
    ) -> tuple[list[tuple[Lane, LaneRecord]], int]: ...


class Canceller:
    """Cancels for the operator. `grant_ttl_s` is how long the fence may take to be signed."""

    def __init__(
        self,
        recorded: Recorded,
        ledger: Ledger,
        chain: Fencing,
        registry: Registry,
        *,
        chain_id: str,
        clock: Callable[[], float],
        grant_ttl_s: float,
        new_id: Callable[[], str] = new_request_id,
    ) -> None:
        self._recorded = recorded
        self._ledger = ledger
        self._chain = chain
        self._registry = registry
        self._chain_id = chain_id
        self._clock = clock
        self._grant_ttl_s = grant_ttl_s
        self._new_id = new_id

    async def cancel(self, identity: Identity, what: str, progress: Progress | None = None) -> Reply:
        """Fence what is open of a request (also by its card's id) or of a transaction hash; one record.

        `executed` where the fence is final; where the original landed first, the reply tells its end.
        """
        request = UserRequest.of_command(
            self._new_id(), f"cancel-tx {what}", identity, f"cancel:{what[:80]}", self._clock()
        )
        return await self._recorded(request, lambda story: self._work(story, what), progress)

    async def acknowledge_key(
        self, account_id: AccountId, public_key: PublicKey
    ) -> tuple[list[tuple[Lane, LaneRecord]], int]:
        """Go on with a key that something else has used: its lanes, none for an unknown key, and how many cards are void now.

        RpcError.
        """
        return await self._chain.acknowledge_key(self._chain_id, account_id, public_key)

    async def _work(self, story: Story, what: str) -> Reply:
        story.route = Route(target="none", model=None, reason="the operator's cancel-tx")
        found = await self._find(what)
        if not found:
            text = f"No transaction of ours belongs to {what[:80]}. near-agent log shows the requests."
            return story.say(Refusal(text=text, why="no_such_transaction"))
        # Settling would send what is signed and not sent yet.
        unsent = [await self._chain.give_up(intent) for intent in found if intent.state == "signed"]
        if unsent:
            found = await self._find(what)
        targets = [intent for intent in found if intent.state in UNSETTLED and intent.fences is None]
        lines = [step_text("a transaction that was signed", outcome, self._registry) for outcome in unsent]
        if not targets and unsent:
            return story.reply("answered", "\n".join(lines))
        if not targets:
            return await self._nothing_open(story, found)
        story.no_deadline()
        for number, target in enumerate(targets):
            await story.tell(f"Fencing transaction {number + 1} of {len(targets)}")
            fenced, outcome = await self._fence(story, target, number)
            story.add("cancel_tx", outcome)
            lines.append(self._told(target, fenced, outcome))
        return story.reply(status_of(story.outcomes), "\n".join(lines))

    async def _nothing_open(self, story: Story, found: list[Intent]) -> Reply:
        """Tell what has ended."""
        lines: list[str] = []
        for intent in found:
            outcome = intent.outcome
            if intent.state in OPEN:
                outcome = await self._chain.settle(intent)
            if outcome is not None:
                lines.append(step_text(f"transaction {intent.step + 1} of this request", outcome, self._registry))
        text = "Nothing of it is open, so there is nothing to cancel."
        return story.say(Refusal(text="\n".join((text, *lines)), why="nothing_open"))

    async def _find(self, what: str) -> list[Intent]:
        """By transaction hash, by the request that confirmed, or by the card's own request."""
        try:
            named = await self._ledger.by_hash(CryptoHash(what))
        except ValueError:
            named = None
        if named is not None:
            return [named]
        found = await self._ledger.of_request(what)
        for step in range(0 if found else _MAX_STEPS):
            intent = await self._ledger.get(intent_id(what, step))
            if intent is None:
                break
            found.append(intent)
        return found

    async def _fence(self, story: Story, target: Intent, number: int) -> tuple[Outcome, Outcome]:
        request_id = story.request.request_id
        call = ChangeCall(target.signer_id, (Transfer(Yocto(0)),))
        fence, grant = operator_call(
            intent_id(request_id, number),
            request_id,
            number,
            call,
            chain_id=target.chain_id,
            signer_id=target.signer_id,
            key_id=story.request.identity.key_id,
            ttl_s=self._grant_ttl_s,
            clock=self._clock,
            fences=target.intent_id,
        )
        story.calls, story.calls_hash = (*story.calls, call), fence.calls_hash
        await self._ledger.begin(grant, [fence], fence.created_at)
        return await self._chain.fence(target, fence, grant)

    def _told(self, target: Intent, fenced: Outcome, outcome: Outcome) -> str:
        tx_hash = target.signed.tx_hash if target.signed else "?"
        if isinstance(fenced, Finalized | PartiallyExecuted | ExecutionFailed):
            return f"It was too late to cancel {tx_hash}:\n" + step_text("the transaction", fenced, self._registry)
        fence = step_text(f"the fence of {tx_hash} (0 NEAR to {target.signer_id} itself)", outcome, self._registry)
        return fence + "\n" + step_text("the transaction that it fences", fenced, self._registry)
