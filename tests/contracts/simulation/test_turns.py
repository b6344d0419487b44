"""Turns at the sandbox: exact order, places that no key takes alone, limits that say nothing about a plan."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.simulation.turns import Asker, FairTurns, NoCapacity

LONG_S = 3600.0


@dataclass
class Hall:
    """Jobs at the turns, each of which holds its place until it is let go."""

    turns: FairTurns
    group: asyncio.TaskGroup
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(`came`, `began` or `ended`, name)."""
    began: list[str] = field(default_factory=list[str])
    running: dict[str, Asker] = field(default_factory=dict[str, Asker])
    places: dict[str, int] = field(default_factory=dict[str, int])
    turned_away: dict[str, str] = field(default_factory=dict[str, str])
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    most_running: int = 0
    _gates: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    async def come(self, name: str, asker: Asker) -> None:
        self._gates[name] = asyncio.Event()
        self.log.append(("came", name))
        self.tasks[name] = self.group.create_task(self._job(name, asker))
        await self.settle()

    async def _job(self, name: str, asker: Asker) -> None:
        async with self.turns.turn(asker) as place:
            if isinstance(place, NoCapacity):
                self.turned_away[name] = place.reason
                return
            assert asker.key_id not in {one.key_id for one in self.running.values()}
            self.began.append(name)
            self.log.append(("began", name))
            self.running[name], self.places[name] = asker, place
            self.most_running = max(self.most_running, len(self.running))
            try:
                await self._gates[name].wait()
            finally:
                del self.running[name]
                self.log.append(("ended", name))

    async def end(self, name: str) -> None:
        self._gates[name].set()
        await self.settle()

    async def end_all(self) -> None:
        while self.running:
            await self.end(next(iter(self.running)))

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)


def letters(names: Sequence[str]) -> list[tuple[str, Asker]]:
    """`A1` asks for the key A."""
    return [(name, Asker(name[0])) for name in names]


async def test_identities_go_round_in_exact_order() -> None:
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(1, 8, LONG_S), group)
        for name, asker in letters(["A1", "A2", "A3", "A4", "B1", "B2", "C1", "C2", "C3"]):
            await hall.come(name, asker)
        await hall.end_all()
    assert hall.began == ["A1", "B1", "C1", "A2", "B2", "C2", "A3", "C3", "A4"]


async def test_one_identity_takes_one_of_two_places_whatever_it_asks_for() -> None:
    """Fourteen slow proposals: another identity's job begins at once, and those that are too many are told so."""
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(2, 8, LONG_S), group)
        for number in range(14):
            await hall.come(f"A{number}", Asker("A"))
        assert hall.began == ["A0"]
        assert sorted(hall.turned_away) == sorted(f"A{number}" for number in range(9, 14))
        assert hall.turned_away["A9"] == "8 plans of yours are waiting to be checked already, the most allowed"
        await hall.come("B1", Asker("B"))
        assert hall.began == ["A0", "B1"]
        assert (hall.places["A0"], hall.places["B1"]) == (0, 1)
        await hall.end_all()
    assert hall.began[2:] == [f"A{number}" for number in range(1, 9)]
    assert hall.most_running == 2


async def test_where_both_places_are_taken_one_turn_is_waited_for() -> None:
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(2, 8, LONG_S), group)
        for number in range(5):
            await hall.come(f"A{number}", Asker("A"))
            await hall.come(f"B{number}", Asker("B"))
        await hall.come("C1", Asker("C"))
        assert hall.began == ["A0", "B0"]
        await hall.end("B0")
        assert hall.began == ["A0", "B0", "C1"]
        await hall.end_all()


async def test_confirmations_go_first_and_a_proposal_after_three_of_them() -> None:
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(1, 8, LONG_S), group)
        await hall.come("first", Asker("X"))
        for key in "AB":
            await hall.come(f"propose {key}", Asker(key))
        for key in "CDEFG":
            await hall.come(f"confirm {key}", Asker(key, confirming=True))
        await hall.end_all()
    assert hall.began == [
        "first",
        "confirm C",
        "confirm D",
        "confirm E",
        "propose A",
        "confirm F",
        "confirm G",
        "propose B",
    ]


async def test_a_confirmation_has_room_where_the_proposals_of_its_identity_are_too_many() -> None:
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(1, 2, LONG_S), group)
        for number in range(4):
            await hall.come(f"A{number}", Asker("A"))
        await hall.come("confirm", Asker("A", confirming=True))
        assert list(hall.turned_away) == ["A3"]
        await hall.end("A0")
        assert hall.began == ["A0", "confirm"]
        await hall.end_all()


async def test_persons_of_a_shared_key_take_turns_within_it() -> None:
    """A key does not get more of the places by naming more persons."""
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(2, 2, LONG_S), group)
        for name in ("1 ann", "2 ann", "3 ann", "1 bea", "2 bea", "1 cem"):
            await hall.come(name, Asker("shared", name[2:]))
        assert hall.began == ["1 ann"]
        await hall.end_all()
        assert hall.began == ["1 ann", "1 bea", "1 cem", "2 ann", "2 bea", "3 ann"]
        for number in range(12):
            await hall.come(f"many {number}", Asker("shared", str(number)))
        assert list(hall.turned_away) == ["many 9", "many 10", "many 11"]
        assert hall.turned_away["many 9"].startswith("8 plans of your key are waiting")
        await hall.end_all()


async def test_who_waits_too_long_is_told_and_leaves_no_trace() -> None:
    async with asyncio.TaskGroup() as group:
        turns = FairTurns(1, 1, 0.0)
        hall = Hall(turns, group)
        async with turns.turn(Asker("A")) as place:
            assert place == 0
            async with turns.turn(Asker("B")) as nothing:
                assert nothing == NoCapacity("no simulating process was free within 0 s")
        await hall.come("B", Asker("B"))
        assert hall.began == ["B"]
        await hall.end_all()


@pytest.mark.parametrize("cancelled", ["A0", "B0", "C0"])
async def test_a_cancelled_job_gives_back_its_place_or_leaves_the_line(cancelled: str) -> None:
    async with asyncio.TaskGroup() as group:
        hall = Hall(FairTurns(1, 8, LONG_S), group)
        for name, asker in letters(["A0", "B0", "C0", "A1"]):
            await hall.come(name, asker)
        hall.tasks[cancelled].cancel()
        await hall.settle()
        await hall.end_all()
    assert [name for name in hall.began if name != cancelled] == [
        name for name in ("A0", "B0", "C0", "A1") if name != cancelled
    ]


@given(
    st.integers(1, 3),
    st.lists(st.one_of(st.sampled_from("ABCDE"), st.integers(0, 5)), min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_no_identity_is_passed_twice_while_it_waits(places: int, events: list[str | int]) -> None:
    """Letters come, numbers end the n-th job that runs. No place is free while somebody waits who may go."""

    async def play() -> None:
        async with asyncio.TaskGroup() as group:
            hall = Hall(FairTurns(places, 100, LONG_S), group)
            came: list[str] = []
            for number, event in enumerate(events):
                if isinstance(event, str):
                    came.append(f"{event}{number}")
                    await hall.come(came[-1], Asker(event))
                elif hall.running:
                    await hall.end(list(hall.running)[event % len(hall.running)])
                assert hall.most_running <= places
                waiting = {name[0] for name in came if name not in hall.began} - {name[0] for name in hall.running}
                assert not waiting or len(hall.running) == places
            await hall.end_all()
            assert sorted(hall.began) == sorted(came)
            for name in came:
                _assert_passed_once_at_most(hall.log, name)

    asyncio.run(play())


def _assert_passed_once_at_most(log: Sequence[tuple[str, str]], name: str) -> None:
    """From when a job waits and none of its key runs or waits before it, every other key begins once at most."""
    began = log.index(("began", name))
    since = log.index(("came", name))
    for place, (what, other) in enumerate(log[:began]):
        if what == "ended" and other[0] == name[0]:
            since = max(since, place)
    passed = Counter(other[0] for what, other in log[since:began] if what == "began")
    assert all(count == 1 for count in passed.values()), (name, log)
