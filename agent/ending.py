"""The end of every request: one record, whatever the request ran into, and what the ledger knows of its transactions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from agent.answers import sentence, status_of
from agent.errors import AgentError
from agent.executor import Executor, card_of, outcome_of
from agent.proposing import Proposer
from agent.records import Reply, Status
from agent.redaction.replies import redact_reply
from agent.store.store import Store
from agent.story import Settings, Story
from agent.told import headed, tell_card
from contracts.chain.outcome import NotDone
from contracts.errors import ContractsError
from contracts.knowledge.registry import Registry

log = structlog.get_logger()

Work = Callable[[Story], Awaitable[Reply]]


class Ending:
    """Runs a request to its record. It raises nothing but a cancellation."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        proposer: Proposer,
        executor: Executor,
        registry: Registry,
        clock: Callable[[], float],
        kill_point: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._proposer = proposer
        self._executor = executor
        self._registry = registry
        self._clock = clock
        self._kill_point = kill_point

    async def recorded(self, story: Story, work: Work) -> Reply:
        """Do the work within the request's deadline and leave its record, whatever happens."""
        try:
            async with asyncio.timeout(self._settings.request_timeout_s) as story.deadline:
                story.request = await self._proposer.without_codes(story.request)
                await self._store.records.open_request(story.request)
                reply = await work(story)
        except asyncio.CancelledError:
            await self.close_cut_off(story, give_up=True)
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
        return redact_reply(reply)

    async def _broken(self, story: Story, code: str, text: str) -> Reply:
        """The end of a request that broke off; what the ledger knows of its transactions says more than the error."""
        log.warning("request_failed", request_id=story.request.request_id, code=code, problem=text)
        lines = await self._read_back(story, give_up=True)
        failed = story.fail(code, text)
        if not lines:
            return failed
        return story.reply(status_of(story.outcomes), "\n".join(headed(story.outcomes, (text, *lines))))

    async def _close(self, story: Story, status: Status | Literal["interrupted"], text: str) -> None:
        request = story.request
        try:
            async with asyncio.timeout(self._settings.record_timeout_s):
                await self._store.records.finish(story.record(status, text), story.preamble)
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

    async def close_cut_off(self, story: Story, *, give_up: bool) -> None:
        """The record of a request that was cancelled, or that an earlier process left open."""
        text = "The daemon was stopped in the middle of this request."
        story.error = {"code": "interrupted", "message": text}
        lines = await self._read_back(story, give_up=give_up)
        sent = any(not isinstance(outcome, NotDone) for outcome in story.outcomes)
        status = status_of(story.outcomes) if sent else "interrupted"
        await self._close(story, status, "\n".join(headed(story.outcomes, (text, *lines)) if sent else (text, *lines)))

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
        return tell_card(story, card, [outcome_of(intent) for intent in intents], self._registry)
