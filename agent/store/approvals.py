"""Who has approved a card that needs more than one approver."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.store.database import Database
from agent.store.tables import APPROVALS
from contracts.checks.verdict import Channel


@dataclass(frozen=True, slots=True)
class Approval:
    identity: str
    channel: Channel
    at: float


class ApprovalStore:
    """Approvals by card; those of one identity count once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, request_id: str, approval: Approval) -> tuple[Approval, ...]:
        """Store an approval, unless its identity has approved already; all approvals of the card, oldest first."""
        row = {"request_id": request_id, "identity": approval.identity, "channel": approval.channel, "at": approval.at}
        await self._database.write(lambda c: c.execute(upsert(APPROVALS).on_conflict_do_nothing(), row).rowcount)
        return await self.of(request_id)

    async def of(self, request_id: str) -> tuple[Approval, ...]:
        """Approvals of a request's card, oldest first."""
        query = (
            select(APPROVALS.c.identity, APPROVALS.c.channel, APPROVALS.c.at)
            .where(APPROVALS.c.request_id == request_id)
            .order_by(APPROVALS.c.at, APPROVALS.c.identity)
        )
        return await self._database.read(lambda c: tuple(Approval(*row) for row in c.execute(query)))
