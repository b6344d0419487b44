"""The pre-flight with processes that a test holds: whose turn it is, what a wait costs, what counts as an answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.calls import ChangeCall, Transfer
from contracts.checks.preflight import KnownThings
from contracts.checks.report import PreflightReport
from contracts.errors import RpcError
from contracts.simulation.messages import Done, Job, Measure
from contracts.simulation.pool import PoolSettings, SandboxPool, open_pool
from contracts.simulation.preflight import PreflightRequest, PreflightService, PreflightSettings
from contracts.simulation.sandbox import Answer, Sandbox, SimulationRun, Unsimulated
from contracts.simulation.turns import Asker, NoCapacity
from contracts.types import AccountId, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB
from tests.contracts.simulation.world import ONE_NEAR, USDC, WRAP, World, call, copied_world

CALL = ChangeCall(WRAP, (call("near_deposit", {}, ONE_NEAR),))
GENEROUS = PoolSettings(processes=2, queue_s=100_000.0, waiting_per_identity=8)


class SkippingLoop(asyncio.SelectorEventLoop):
    """Its clock can be set forward, so that deadlines pass without a wait."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s


class HeldSandbox:
    """A process whose jobs wait until a test lets them go on; then they run in a real one, or come to nothing."""

    def __init__(self, real: Sandbox) -> None:
        self._real = real
        self.jobs = 0
        self.open = asyncio.Event()
        self.entered = asyncio.Event()
        self.lost: str | None = None

    @property
    def pid(self) -> int | None:
        return self._real.pid

    async def warm(self) -> None:
        await self._real.warm()

    async def run(
        self, job: Job, answer: Answer, measure: Callable[[Done], Measure | None]
    ) -> SimulationRun | Unsimulated:
        self.jobs += 1
        self.entered.set()
        await self.open.wait()
        return await self._real.run(job, answer, measure) if self.lost is None else Unsimulated(self.lost)


class Checks:
    """Pre-flights that run side by side."""

    def __init__(self, world: World, held: Sequence[HeldSandbox], settings: PreflightSettings | None = None) -> None:
        self.service = PreflightService(
            world.counted,
            SandboxPool(held, GENEROUS),
            world.wallets,
            known=KnownThings,
            clock=lambda: 1_800_000_000.0,
            settings=settings,
        )

    async def check(self, asker: Asker, plan: ChangeCall = CALL) -> PreflightReport | NoCapacity:
        return await self.service.preflight(PreflightRequest(ALICE, (plan,), asker=asker))


@asynccontextmanager
async def held_world(template: Path, folder: Path, count: int = 2) -> AsyncGenerator[tuple[World, list[HeldSandbox]]]:
    async with copied_world(template, folder / "data") as world:
        yield world, [HeldSandbox(world.sandbox) for _ in range(count)]


def on_a_skipping_loop(body: Callable[[SkippingLoop], Coroutine[None, None, None]]) -> None:
    loop = SkippingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(body(loop))


async def test_fourteen_slow_proposals_of_one_identity_take_one_process(chain_template: Path, tmp_path: Path) -> None:
    async with held_world(chain_template, tmp_path) as (world, held), asyncio.TaskGroup() as group:
        checks = Checks(world, held)
        slow = [group.create_task(checks.check(Asker("low"))) for _ in range(14)]
        await held[0].entered.wait()
        held[1].open.set()
        report = await checks.check(Asker("other", confirming=True))
        assert isinstance(report, PreflightReport)
        assert [step.result for step in report.simulated] == ["success"]
        assert report.unchecked is None
        assert (held[0].jobs, held[1].jobs) == (1, 1)
        held[0].open.set()
        answers = [await task for task in slow]
        refused = [one.reason for one in answers if isinstance(one, NoCapacity)]
        assert refused == ["8 plans of yours are waiting to be checked already, the most allowed"] * 5


async def test_plain_transfers_need_no_turn(chain_template: Path, tmp_path: Path) -> None:
    async with held_world(chain_template, tmp_path, 1) as (world, held), asyncio.TaskGroup() as group:
        checks = Checks(world, held)
        slow = group.create_task(checks.check(Asker("low")))
        await held[0].entered.wait()
        report = await checks.check(Asker("low"), ChangeCall(BOB, (Transfer(Yocto(1)),)))
        assert isinstance(report, PreflightReport)
        assert [step.result for step in report.simulated] == ["success"]
        held[0].open.set()
        await slow


def test_the_wait_for_a_turn_is_not_the_time_of_the_plan(chain_template: Path, tmp_path: Path) -> None:
    async def body(loop: SkippingLoop) -> None:
        async with held_world(chain_template, tmp_path, 1) as (world, held), asyncio.TaskGroup() as group:
            checks = Checks(world, held, PreflightSettings(total_s=20.0))
            async with _all_places(checks.service):
                waiting = group.create_task(checks.check(Asker("other")))
                await _until(lambda: _waits(checks.service, Asker("other")))
                loop.skipped_s += 1_000.0
                await asyncio.sleep(0)
            held[0].open.set()
            report = await waiting
            assert isinstance(report, PreflightReport)
            assert [step.result for step in report.simulated] == ["success"]

    on_a_skipping_loop(body)


def test_the_time_at_the_process_is_the_time_of_the_plan(chain_template: Path, tmp_path: Path) -> None:
    async def body(loop: SkippingLoop) -> None:
        async with held_world(chain_template, tmp_path, 1) as (world, held), asyncio.TaskGroup() as group:
            checks = Checks(world, held, PreflightSettings(total_s=20.0))
            running = group.create_task(checks.check(Asker("other")))
            await held[0].entered.wait()
            loop.skipped_s += 21.0
            report = await running
            assert isinstance(report, PreflightReport)
            assert report.unchecked == "it took longer than 20 s"
            # The place is free again.
            held[0].open.set()
            after = await checks.check(Asker("other"))
            assert isinstance(after, PreflightReport)
            assert after.unchecked is None

    on_a_skipping_loop(body)


async def test_a_lost_process_is_told_as_not_checked(chain_template: Path, tmp_path: Path) -> None:
    async with held_world(chain_template, tmp_path, 1) as (world, held):
        checks = Checks(world, held)
        held[0].lost = "the simulating process ended: its processor time was over"
        held[0].open.set()
        report = await checks.check(Asker("other"))
        assert isinstance(report, PreflightReport)
        assert report.unchecked == held[0].lost
        assert report.block_hash is not None
        assert report.asks[-1] == "what it does could not be simulated"


async def test_a_node_that_does_not_answer_is_told_as_not_checked(chain_template: Path, tmp_path: Path) -> None:
    async with held_world(chain_template, tmp_path, 1) as (world, held):
        checks = Checks(world, held)
        held[0].open.set()
        error = RpcError("TIMEOUT_ERROR", "the node is busy", retryable=True)
        with world.counted.telling(WRAP, error):
            report = await checks.check(Asker("other"))
        assert isinstance(report, PreflightReport)
        assert report.unchecked == "TIMEOUT_ERROR: the node is busy"
        with world.counted.telling(WRAP, RpcError("TOO_LARGE_CONTRACT_STATE", "too large")):
            known = await checks.check(Asker("other"))
        assert isinstance(known, PreflightReport)
        assert known.unchecked is None


async def test_the_plans_of_a_key_share_their_requests_to_nodes(chain_template: Path, tmp_path: Path) -> None:
    async with held_world(chain_template, tmp_path, 1) as (world, held), asyncio.TaskGroup() as group:
        checks = Checks(world, held, PreflightSettings(reads_per_key=2))
        held[0].open.set()
        world.counted.gate = asyncio.Event()
        plans = [
            group.create_task(checks.check(Asker("low", str(person)), ChangeCall(receiver_id, CALL.actions)))
            for person, receiver_id in enumerate((WRAP, USDC, AccountId("pool.localnet")))
        ]
        await _until(lambda: world.counted.under_way == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.counted.under_way == 2
        world.counted.gate.set()
        for plan in plans:
            await plan
        assert world.counted.most_under_way == 2


async def test_two_processes_work_side_by_side_and_end_with_the_pool() -> None:
    async with open_pool(settings=GENEROUS) as pool:
        assert pool.pids == ()
        async with pool.turn(Asker("A")) as one, pool.turn(Asker("B")) as other:
            assert not isinstance(one, NoCapacity)
            assert not isinstance(other, NoCapacity)
            await one.warm()
            await other.warm()
            assert len(set(pool.pids)) == 2
        # The first one is taken where both are free.
        async with pool.turn(Asker("B")) as again:
            assert again is one
    assert pool.pids == ()


@asynccontextmanager
async def _all_places(service: PreflightService) -> AsyncGenerator[None]:
    async with service._pool.turn(Asker("somebody")) as place:
        assert not isinstance(place, NoCapacity)
        yield


def _waits(service: PreflightService, asker: Asker) -> bool:
    return service._pool._turns._proposals.waiting(asker) == (1, 1)


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.001)
