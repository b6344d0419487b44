"""In the background: what was sent and has no end yet is looked up again, so that later questions are told the end.

What was approved and never sent is given up once its approval has expired, so that it does not hold its budget.
"""

import asyncio
from functools import partial
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

    async def give_up_expired(self) -> list[Intent]:
        """Abandon what was never sent and can be signed no more; those."""
        ...


async def settle_forever(chain: Settling, *, interval_s: float) -> None:
    """One round every `interval_s`, until it is cancelled. A round that fails is told in the log, and the next one comes."""
    while True:
        await asyncio.sleep(interval_s)
        for work in (partial(chain.settle_idle, AT_ONCE), chain.give_up_expired):
            try:
                for intent in await work():
                    log.info(
                        "intent_settled", intent_id=intent.intent_id, request_id=intent.request_id, state=intent.state
                    )
            except* (AgentError, ContractsError) as group:
                log.warning("settling_failed", problems=[str(error) for error in group.exceptions])
