"""A disk that is full in the middle of a request: what was never sent gives its budget back, and nothing else does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.executor import Approved, Executor
from agent.operations.settling import settle_forever
from agent.store.budgets import BudgetStore, LatestTime
from agent.store.database import Database, open_database
from agent.store.ledger import SqlLedger
from contracts.calls import ChangeCall, Transfer
from contracts.chain.budget import DAY_S, Budget, Reservation, Spend
from contracts.chain.client import ChainClient
from contracts.chain.ledger import Intent, IntentState, Signed
from contracts.chain.outcome import Failed, NotDone, Outcome, Unconfirmed
from contracts.chain.rpc import open_rpc
from contracts.types import AccountId, Yocto
from tests.contracts.chain.worlds import NEAR, RPC, World, open_world, settings

ALICE = AccountId("alice.localnet")
CALL = ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(NEAR)),))
STEP_S = 10.0
STATES: dict[str, IntentState] = {"store_signed": "approved", "move": "signed"}
"""The write that fails first, and the state in which it leaves the step."""


class FullDisk(SqlLedger):
    """The real ledger on a disk that is full from a named write on, until there is room again."""

    full_from: str | None = None
    full = False

    def _touch(self, name: str) -> None:
        self.full = self.full or name == self.full_from
        if self.full:
            raise StoreError("store_full", "the disk is full; nothing was stored")

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        self._touch("store_signed")
        await super().store_signed(intent_id, grant_id, signed, now)

    async def move(self, intent_id: str, to: IntentState, now: float, outcome: Outcome | None = None) -> None:
        self._touch("move")
        await super().move(intent_id, to, now, outcome)

    def freed(self) -> None:
        self.full, self.full_from = False, None


@dataclass
class Desk:
    world: World
    database: Database
    budgets: BudgetStore
    ledger: FullDisk
    chain: ChainClient
    executor: Executor

    async def run(self, calls: int = 1) -> tuple[Outcome, ...]:
        """Two steps at most, each with a reservation of 1 NEAR."""
        spends = tuple(Spend("NEAR", NEAR, call) for call in range(calls))
        approved = Approved(
            "card",
            "request",
            "localnet",
            ALICE,
            (CALL,) * calls,
            ((),) * calls,
            "key",
            "text",
            ((),) * calls,
            frozenset(await self.world.signer.public_keys(ALICE)),
            reservation=Reservation("key", spends, (self.budget,), self.world.clock(), free=False),
        )
        return await self.executor.run(approved, _nobody)

    @property
    def budget(self) -> Budget:
        return Budget("default.limits.NEAR.per_day", "NEAR", DAY_S, 2 * NEAR, 24, "account", free=False)

    async def reserved(self) -> int:
        used = await self.budgets.used("localnet", ALICE, "key", [self.budget], self.world.clock())
        return used[self.budget.rule] // NEAR

    async def states(self, calls: int = 1) -> list[str]:
        found = [await self.ledger.get(f"card:{step}") for step in range(calls)]
        return [intent.state for intent in found if intent is not None]


async def _nobody(_text: str) -> None: ...


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(tmp_path))
        database = await stack.enter_async_context(open_database(tmp_path / "agent.db", busy_timeout_s=5))
        rpc = await stack.enter_async_context(open_rpc(world.urls, config=RPC))
        latest = LatestTime()
        ledger, budgets = FullDisk(database, latest), BudgetStore(database, latest)
        chain = ChainClient(rpc, ledger, world.signer, clock=world.clock, settings=settings())
        await chain.check_lanes("localnet", {ALICE: await world.signer.public_keys(ALICE)})
        executor = Executor(chain, ledger, clock=world.clock, step_timeout_s=STEP_S)
        yield Desk(world, database, budgets, ledger, chain, executor)


@pytest.mark.parametrize("write", STATES)
async def test_intent_left_approved_by_a_full_disk_gives_its_budget_back_without_a_restart(
    desk: Desk, write: str
) -> None:
    desk.ledger.full_from = write
    first, second = await desk.run(calls=2)
    assert isinstance(first, Failed)
    assert isinstance(second, NotDone)
    assert await desk.states(2) == [STATES[write], "approved"]
    assert await desk.reserved() == 2
    # While its approval is good it may still be signed, so it is left alone; so it is while the disk is full.
    desk.ledger.freed()
    assert await desk.chain.give_up_expired() == []
    desk.world.clock.now += 2 * STEP_S + 1
    desk.ledger.full_from = "move"
    with pytest.raises(StoreError):
        await desk.chain.give_up_expired()
    assert await desk.reserved() == 2
    desk.ledger.freed()
    ended = await desk.chain.give_up_expired()
    assert [(intent.intent_id, intent.state) for intent in ended] == [("card:0", "abandoned"), ("card:1", "abandoned")]
    assert await desk.reserved() == 0
    assert desk.world.chain.order == []
    outcomes = await desk.executor.results("card", 2, settle=True)
    assert [isinstance(outcome, Failed) and outcome.code for outcome in outcomes] == ["grant_expired", "grant_expired"]


async def test_the_background_does_it_and_goes_on_while_the_disk_is_full(desk: Desk) -> None:
    desk.ledger.full_from = "store_signed"
    await desk.run()
    desk.world.clock.now += STEP_S + 1
    failed = 0

    class Chain:
        async def settle_idle(self, limit: int) -> list[Intent]:
            return await desk.chain.settle_idle(limit)

        async def give_up_expired(self) -> list[Intent]:
            nonlocal failed
            try:
                return await desk.chain.give_up_expired()
            except StoreError:
                failed += 1
                if failed == 2:
                    desk.ledger.freed()
                raise

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(settle_forever(Chain(), interval_s=0.01))
        while await desk.states() != ["abandoned"]:
            await asyncio.sleep(0.01)
        task.cancel()
    assert failed == 2
    assert await desk.reserved() == 0


async def test_sent_intent_keeps_its_budget_however_late_it_is(desk: Desk) -> None:
    node = desk.world.nodes[0]
    node.faults, node.refusal = ["refuse"], {"NotEnoughBalance": {"signer_id": ALICE, "balance": "1", "cost": "2"}}
    node.earliest, node.resent = 5000, "InvalidNonce"
    (outcome,) = await desk.run()
    assert isinstance(outcome, Unconfirmed)
    desk.world.clock.now += DAY_S
    assert await desk.chain.give_up_expired() == []
    assert await desk.states() == ["unconfirmed"]
    assert await desk.reserved() == 1


async def test_intent_under_way_is_left_alone_also_if_the_clock_jumps(desk: Desk) -> None:
    """The signing that is under way finds its approval expired itself; nobody takes the step from under it."""
    seen: list[list[Intent]] = []

    class Slow(FullDisk):
        async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
            desk.world.clock.now += 10 * STEP_S
            seen.append(await chain.give_up_expired())
            await super().store_signed(intent_id, grant_id, signed, desk.world.clock())

    ledger = Slow(desk.database, desk.budgets.latest)
    rpc = await desk.world.stack.enter_async_context(open_rpc(desk.world.urls, config=RPC))
    chain = ChainClient(rpc, ledger, desk.world.signer, clock=desk.world.clock, settings=settings())
    desk.executor = Executor(chain, ledger, clock=desk.world.clock, step_timeout_s=STEP_S)
    (outcome,) = await desk.run()
    assert isinstance(outcome, Failed)
    assert outcome.code == "grant_expired"
    assert seen == [[]]
    assert await desk.states() == ["abandoned"]
    assert (await desk.reserved(), desk.world.chain.order) == (0, [])
