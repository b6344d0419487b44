"""Turns by name: one holder at a time, first come first served."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

NameT = TypeVar("NameT")


class Turns(Generic[NameT]):
    """Locks by name; a name that nobody waits for takes no memory."""

    def __init__(self) -> None:
        self._queues: dict[NameT, _Queue] = {}

    @asynccontextmanager
    async def hold(self, name: NameT) -> AsyncGenerator[None, None]:
        """Alone under this name until the context ends, also by cancellation."""
        queue = self._queues.setdefault(name, _Queue(asyncio.Lock()))
        queue.holders += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.holders -= 1
            if not queue.holders:
                del self._queues[name]

    def held(self, name: NameT) -> bool:
        """Whether somebody holds it or waits for it."""
        return name in self._queues

    def __len__(self) -> int:
        return len(self._queues)


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock
    holders: int = 0
    """Those who hold it or wait for it."""
