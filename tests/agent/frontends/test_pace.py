"""Processor time is shared fairly by identity, by clocks that the tests set."""

import asyncio
from dataclasses import dataclass, field

import pytest

from agent.errors import RequestError
from agent.frontends.pace import Pace
from agent.limits import Limits
from agent.records import CallOutcome, Reply
from tests.agent.frontends.scripted import SLASH

REPLY = Reply(request_id="r", status="answered", text="", route=SLASH, plan=None)
LIMITS = Limits(processor_share=0.1, processor_burst_s=0.2, body_timeout_s=30)


@dataclass
class Times:
    """A clock that sleeping moves on, and processor time that the tests spend."""

    now_s: float = 0.0
    spent_s: float = 0.0
    slept: list[float] = field(default_factory=list[float])

    def pace(self) -> Pace:
        return Pace(LIMITS, monotonic=lambda: self.now_s, processor_s=lambda: self.spent_s, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    async def work(self, pace: Pace, identity: str, seconds: float) -> None:
        await pace.turn(identity, 0)

        async def steps() -> Reply:
            self.spent_s += seconds / 2
            await asyncio.sleep(0)
            self.spent_s += seconds / 2
            return REPLY

        await pace.measured(identity, steps())


async def test_who_asks_alone_never_waits() -> None:
    times = Times()
    pace = times.pace()
    for _ in range(100):
        await times.work(pace, "a", 1.0)
    assert times.slept == []


async def test_who_used_more_than_its_share_waits_while_others_ask_and_they_do_not() -> None:
    times = Times()
    pace = times.pace()
    done, waited = 0, 0.0
    while times.now_s < 100:
        before = len(times.slept)
        await times.work(pace, "quiet", 0.001)
        assert len(times.slept) == before, "the quiet one never waits"
        begun = times.now_s
        await times.work(pace, "noisy", 0.1)
        done += 1
        waited += times.now_s - begun
        times.now_s += 0.01
    assert waited > 50
    assert done * 0.1 <= 100 * LIMITS.processor_share + LIMITS.processor_burst_s + 0.3


async def test_of_many_that_wait_only_as_many_go_on_as_the_share_allows() -> None:
    times = Times()
    pace = times.pace()
    for _ in range(30):
        await times.work(pace, "noisy", 0.1)  # so that 0.1 s is expected of a request
    await pace.turn("quiet", 0)
    times.now_s += 1.9
    at_once: list[float] = []

    async def one() -> None:
        await pace.turn("quiet", 0)
        await pace.turn("noisy", 0)
        at_once.append(times.now_s)

    for _ in range(3):
        await one()
    assert at_once[2] - at_once[1] >= 0.9


async def test_a_long_debt_is_told_after_the_time_that_a_body_may_take() -> None:
    times = Times()

    async def sleep(seconds: float) -> None:
        await times.sleep(seconds)
        await pace.turn("quiet", 0)

    pace = Pace(LIMITS, monotonic=lambda: times.now_s, processor_s=lambda: 0.0, sleep=sleep)
    pace.charge("noisy", 100.0)
    await pace.turn("quiet", 0)
    with pytest.raises(RequestError) as caught:
        await pace.turn("noisy", 0)
    assert caught.value.code == "too_many_requests"
    assert LIMITS.body_timeout_s <= times.now_s <= LIMITS.body_timeout_s + 1


async def test_a_cancelled_work_is_counted_and_cancelled() -> None:
    times = Times()
    pace = times.pace()
    ended: list[str] = []

    async def steps() -> Reply:
        times.spent_s += 3.0
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return REPLY

    task = asyncio.ensure_future(pace.measured("a", steps()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]
    await pace.turn("b", 0)
    await pace.turn("a", 0)
    assert times.slept


async def test_a_long_answer_counts_for_what_it_costs_elsewhere() -> None:
    times = Times()
    pace = times.pace()
    outcome = CallOutcome(action="contract_view", status="returned", value="x" * 2_000_000)

    async def long() -> Reply:
        return REPLY.model_copy(update={"outcomes": (outcome,)})

    await pace.turn("a", 0)
    await pace.measured("a", long())
    await pace.turn("b", 0)
    await pace.turn("a", 0)
    assert sum(times.slept) >= 1.9


async def test_of_a_new_identity_a_few_begin_before_their_cost_is_known() -> None:
    times = Times()
    pace = times.pace()
    await pace.turn("b", 0)
    for _ in range(5):
        await pace.turn("a", 0)
    assert times.slept == []
    await pace.turn("a", 0)
    assert times.slept


async def test_immediate_refusal_is_not_charged_for_work() -> None:
    times = Times()
    pace = times.pace()
    await pace.turn("b", 0)
    for _ in range(100):
        await pace.turn("a", 0)
        pace.refused("a")
    assert times.slept == []
