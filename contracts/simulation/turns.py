"""Turns at the sandbox: who is simulated next, and who is told that there is no room.

Identities take turns (round robin), and the persons of a shared key take turns within it. One job of a key runs at a
time, so that no key ever holds every process; confirmations go ahead of proposals, except that after three of them
in a row a proposal goes. Jobs that wait are few for each identity, and the wait has a limit of its own: it says nothing about
the plan, so it ends in `NoCapacity` and never in a report.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

_CONFIRMATIONS_IN_A_ROW: Final = 3
"""Before a proposal that waits gets its turn: keys that confirm again and again must not keep others from making cards."""
_PERSONS: Final = 4
"""Full lines of waiting jobs that the persons of a shared key have together."""


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf a plan is checked."""

    key_id: str
    person: str = ""
    """One of those who share the key."""
    confirming: bool = False
    """A card of the plan waits already, and somebody confirms it."""


NOBODY: Final = Asker("")


@dataclass(frozen=True, slots=True)
class NoCapacity:
    """The plan was not looked at, for a reason that has nothing to do with it; asking again can help."""

    reason: str


@dataclass(slots=True, eq=False)
class _Ticket:
    asker: Asker
    called: asyncio.Event = field(default_factory=asyncio.Event)
    place: int | None = None
    """The process that it may use, once it was called."""


class _Ring:
    """Tickets that wait. Keys go round, persons go round within their key, and a person's own jobs keep their order."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, OrderedDict[str, deque[_Ticket]]] = OrderedDict()

    def add(self, ticket: _Ticket) -> None:
        persons = self._keys.setdefault(ticket.asker.key_id, OrderedDict())
        persons.setdefault(ticket.asker.person, deque()).append(ticket)

    def remove(self, ticket: _Ticket) -> None:
        key_id, person = ticket.asker.key_id, ticket.asker.person
        persons = self._keys[key_id]
        persons[person].remove(ticket)
        if not persons[person]:
            del persons[person]
        if not persons:
            del self._keys[key_id]

    def take(self, busy: Container[str]) -> _Ticket | None:
        """The next ticket of a key that is not busy; its key and person go to the end, as they do when it has ended."""
        for key_id, persons in self._keys.items():
            if key_id not in busy:
                ticket = next(iter(persons.values()))[0]
                self.remove(ticket)
                self.move_back(ticket.asker)
                return ticket
        return None

    def move_back(self, asker: Asker) -> None:
        """To the end with a key and its person, where more of them waits."""
        persons = self._keys.get(asker.key_id)
        if persons is not None:
            self._keys.move_to_end(asker.key_id)
            if asker.person in persons:
                persons.move_to_end(asker.person)

    def waiting(self, asker: Asker) -> tuple[int, int]:
        """Tickets of the person, and of all persons of the key."""
        persons = self._keys.get(asker.key_id, OrderedDict[str, deque[_Ticket]]())
        return len(persons.get(asker.person, ())), sum(map(len, persons.values()))


class FairTurns:
    """Places for jobs, given out by turns. Belongs to one event loop."""

    def __init__(self, places: int, waiting_per_identity: int, queue_s: float) -> None:
        self._free = list(range(places))
        self._most = waiting_per_identity
        self._queue_s = queue_s
        self._busy: set[str] = set()
        self._confirmations, self._proposals = _Ring(), _Ring()
        self._in_a_row = 0

    @asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncGenerator[int | NoCapacity]:
        """Wait for a place, and hold it until the context ends; the lowest free one is given."""
        ring = self._confirmations if asker.confirming else self._proposals
        own, of_key = ring.waiting(asker)
        if own >= self._most or of_key >= self._most * _PERSONS:
            what = "confirmations" if asker.confirming else "plans"
            whose = "yours" if own >= self._most else "your key"
            yield NoCapacity(
                f"{max(own, of_key)} {what} of {whose} are waiting to be checked already, the most allowed"
            )
            return
        ticket = _Ticket(asker)
        ring.add(ticket)
        self._call()
        try:
            await self._wait(ticket)
            if ticket.place is None:
                yield NoCapacity(f"no simulating process was free within {self._queue_s:g} s")
            else:
                yield ticket.place
        finally:
            self._leave(ring, ticket)

    async def _wait(self, ticket: _Ticket) -> None:
        try:
            async with asyncio.timeout(self._queue_s):
                await ticket.called.wait()
        except TimeoutError:
            # It may have been called in the same turn of the loop: then it has its place.
            return

    def _leave(self, ring: _Ring, ticket: _Ticket) -> None:
        if ticket.place is None:
            ring.remove(ticket)
            return
        self._free.append(ticket.place)
        self._free.sort()
        self._busy.discard(ticket.asker.key_id)
        # Whoever came while this job ran goes before the next one of its key.
        self._confirmations.move_back(ticket.asker)
        self._proposals.move_back(ticket.asker)
        self._call()

    def _call(self) -> None:
        """Give free places to those whose turn it is."""
        while self._free:
            ticket = self._next()
            if ticket is None:
                return
            ticket.place = self._free.pop(0)
            self._busy.add(ticket.asker.key_id)
            ticket.called.set()

    def _next(self) -> _Ticket | None:
        first, second = self._confirmations, self._proposals
        if self._in_a_row >= _CONFIRMATIONS_IN_A_ROW:
            first, second = second, first
        ticket = first.take(self._busy) or second.take(self._busy)
        if ticket is not None:
            self._in_a_row = self._in_a_row + 1 if ticket.asker.confirming else 0
        return ticket
