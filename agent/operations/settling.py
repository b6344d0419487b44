"""In the background: what was sent and has no end yet is looked up again, so that later questions are told the end."""

import asyncio
from typing import Final, Protocol

import structlog

from agent.errors import AgentError
from contracts.chain.ledger import Intent
from contracts.errors import ContractsError

log = structlog.get_logger()

AT_ONCE: Final = 16
"""Transactions looked up in one round."""


class Settling(Protocol):
    async def settle_idle(self, limit: int) -> list[Intent]:
        """Look up what nobody follows; what came to its end."""
        ...


async def settle_forever(chain: Settling, *, interval_s: float) -> None:
    """One round every `interval_s`, until it is cancelled. A round that fails is told in the log, and the next one comes."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            for intent in await chain.settle_idle(AT_ONCE):
                log.info("intent_settled", intent_id=intent.intent_id, request_id=intent.request_id, state=intent.state)
        except* (AgentError, ContractsError) as group:
            log.warning("settling_failed", problems=[str(error) for error in group.exceptions])
