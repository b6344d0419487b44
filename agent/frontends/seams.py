"""What a front end needs of the daemon behind it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from agent.records import Identity, Reply, UserRequest
from agent.store.cards import PendingCard
from contracts.checks.verdict import Channel

Progress: TypeAlias = Callable[[str], Awaitable[None]]
"""Told what a running request is doing, in words for people."""


class RequestHandler(Protocol):
    """The pipeline as front ends see it. Neither method raises; each call leaves exactly one record."""

    async def handle(self, request: UserRequest, progress: Progress | None = None) -> Reply: ...

    async def plan_only(self, request: UserRequest) -> Reply: ...


class Approver(Protocol):
    """The pipeline as those who approve see it."""

    async def approve_by_request(
        self, identity: Identity, request_id: str, channel: Channel, progress: Progress | None = None
    ) -> Reply:
        """Confirm a card by its request's id, for an identity that may approve it."""
        ...

    def may_approve(self, identity: Identity, card: PendingCard, channel: Channel) -> bool:
        """Whether this identity's approval can count for the card."""
        ...


class CardDesk(Approver, Protocol):
    """The pipeline as the operator sees it."""

    async def drop_by_request(self, identity: Identity, request_id: str, progress: Progress | None = None) -> Reply:
        """Cancel anybody's card that waits."""
        ...


class KeyRing(Protocol):
    """Who a bearer key belongs to."""

    async def authenticate(self, plaintext: str) -> Identity | None:
        """None for a key that is unknown or revoked."""
        ...
