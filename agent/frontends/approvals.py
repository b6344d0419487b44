"""Approvals by API key: a second person, or another identity of the same account, approves a card by its request id.

The key is the approver's own; the front end that asked holds another one. Cards are shown without codes.
"""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.errors import RequestError
from agent.frontends.bodies import Bodies
from agent.frontends.identities import identity_of
from agent.frontends.operator import ShortText, shown_card
from agent.frontends.running import RunningRequests
from agent.frontends.seams import Approver, KeyRing
from agent.records import Identity, Reply
from agent.store.cards import PendingCard
from contracts.types import JsonObject


class Waiting(Protocol):
    async def pending(self, now: float) -> list[PendingCard]: ...


class _Approval(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    request_id: ShortText


class ApprovalApi:
    """The routes for who holds an API key. Errors: RequestError, DaemonError `draining`, StoreError."""

    def __init__(
        self,
        pipeline: Approver,
        cards: Waiting,
        keys: KeyRing,
        running: RunningRequests,
        bodies: Bodies,
        answer: Callable[[Reply], JsonObject],
        clock: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._cards = cards
        self._keys = keys
        self._running = running
        self._bodies = bodies
        self._answer = answer
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/near/approvals", self._list), web.post("/v1/near/approvals", self._approve)]

    async def _list(self, http: web.Request) -> web.StreamResponse:
        identity = await identity_of(http, self._keys)
        return web.json_response(await cards_for(identity, self._pipeline, self._cards, self._clock()))

    async def _approve(self, http: web.Request) -> web.StreamResponse:
        identity = await identity_of(http, self._keys)
        async with self._bodies.read(http, identity.key_id) as body:
            try:
                asked = _Approval.model_validate_json(body)
            except ValidationError:
                raise RequestError("invalid_value", 'write {"request_id": "..."}', param="request_id") from None
        running = self._running.start(
            lambda progress: self._pipeline.approve_by_request(identity, asked.request_id, "key", progress),
            by=identity.key_id,
            decision=True,
        )
        return web.json_response(self._answer(await running.reply()))


async def cards_for(identity: Identity, pipeline: Approver, cards: Waiting, now: float) -> JsonObject:
    """The cards that this identity may approve with its key, oldest first."""
    waiting = await cards.pending(now)
    return {"cards": [shown_card(card) for card in waiting if pipeline.may_approve(identity, card, "key")]}
