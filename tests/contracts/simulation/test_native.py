"""Plans that run no contract are carried out without a process for it, and as the process would."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from contracts.calls import AddKey, ChangeCall, CreateAccount, DeleteKey, FullAccess, FunctionCall, Transfer
from contracts.checks.preflight import KnownThings
from contracts.simulation.messages import AccountGiven, Done, Given, Ground, Job, JobStep, Measure, Need
from contracts.simulation.native import NativeRuns, runs_no_code
from contracts.simulation.pool import open_pool
from contracts.simulation.preflight import PreflightRequest, PreflightService
from contracts.simulation.prices import prices_of
from contracts.simulation.remote_state import Codes, Pinned, RemoteState
from contracts.simulation.sandbox import SimulationRun, Unsimulated
from contracts.types import AccountId, Gas, PublicKey, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB
from tests.contracts.simulation.world import ONE_NEAR, USDC, World, report_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW_KEY = PublicKey.from_bytes("ed25519", secrets.token_bytes(32))
TRANSFER = Transfer(Yocto(ONE_NEAR))
VIEW = FunctionCall("ft_metadata", b"{}", Gas(10**13), Yocto(0))


@pytest.mark.parametrize(
    "calls",
    [
        (ChangeCall(BOB, (TRANSFER,)),),
        (ChangeCall(USDC, (TRANSFER,)),),
        (ChangeCall(BOB, (TRANSFER,)), ChangeCall(ALICE, (AddKey(NEW_KEY, FullAccess()), DeleteKey(NEW_KEY)))),
        (ChangeCall(AccountId("new.alice.localnet"), (CreateAccount(), TRANSFER, AddKey(NEW_KEY, FullAccess()))),),
        (ChangeCall(AccountId("nobody.localnet"), (TRANSFER,)),),
        (ChangeCall(BOB, (AddKey(NEW_KEY, FullAccess()),)),),
        (ChangeCall(ALICE, (DeleteKey(NEW_KEY),)),),
        (ChangeCall(BOB, (Transfer(Yocto(10**37)),)),),
    ],
    ids=["transfer", "to a contract", "keys", "account", "to nobody", "of another", "no such key", "too much"],
)
async def test_it_does_what_the_process_does(world: World, calls: tuple[ChangeCall, ...]) -> None:
    assert runs_no_code(calls)
    job = await _job(world, *calls)
    async with asyncio.TaskGroup() as group:
        state = RemoteState(world.rpc, Pinned.of(await world.rpc.block(job.ground.block_hash)), Codes(), group, 40)
        here = await NativeRuns().run(job, state.answer, _balances)
        beside = await world.sandbox.run(job, state.answer, _balances)
    assert isinstance(here, SimulationRun)
    assert isinstance(beside, SimulationRun)
    assert replace(here.done, run_ms=0, compile_ms=0) == replace(beside.done, run_ms=0, compile_ms=0)
    assert here.measured is not None
    assert beside.measured is not None
    assert here.measured.near == beside.measured.near


async def test_a_transfer_starts_no_process(world: World) -> None:
    async with open_pool() as pool:
        service = PreflightService(world.rpc, pool, world.wallets, known=KnownThings, clock=float)
        report = await report_of(service, PreflightRequest(ALICE, (ChangeCall(BOB, (TRANSFER,)),)))
        assert pool.pids == ()
    assert [simulated.result for simulated in report.simulated] == ["success"]
    assert {(one.account_id, one.change) for one in report.balances} == {(ALICE, -ONE_NEAR), (BOB, ONE_NEAR)}


async def test_code_is_left_to_the_process_and_never_runs_here(world: World) -> None:
    call = ChangeCall(USDC, (TRANSFER, VIEW))
    assert not runs_no_code((call,))
    job = await _job(world, call)
    async with asyncio.TaskGroup() as group:
        state = RemoteState(world.rpc, Pinned.of(await world.rpc.block(job.ground.block_hash)), Codes(), group, 40)
        found = await NativeRuns().run(job, state.answer, _balances)
    assert isinstance(found, SimulationRun)
    assert found.done.unknown is not None
    assert "which was not to be" in found.done.unknown


async def test_a_state_that_answers_beside_the_question_ends_the_run(world: World) -> None:
    async def nonsense(_need: Need) -> Given:
        return AccountGiven(AccountId("other.localnet"), None)

    found = await NativeRuns().run(await _job(world, ChangeCall(BOB, (TRANSFER,))), nonsense, _balances)
    assert found == Unsimulated("too many questions")


async def test_a_balance_that_the_plan_did_not_need_is_not_told(world: World) -> None:
    job = await _job(world, ChangeCall(BOB, (TRANSFER,)))
    async with asyncio.TaskGroup() as group:
        state = RemoteState(world.rpc, Pinned.of(await world.rpc.block(job.ground.block_hash)), Codes(), group, 40)
        found = await NativeRuns().run(job, state.answer, lambda _done: Measure((USDC,), ()))
    assert isinstance(found, SimulationRun)
    assert found.measured is None


def _balances(_done: Done) -> Measure:
    return Measure((ALICE,), ())


async def _job(world: World, *calls: ChangeCall) -> Job:
    block, stated = await world.rpc.block("final"), await world.rpc.protocol_config()
    key = (await world.wallets.public_keys(ALICE))[0]
    ground = Ground(block.height, block.hash, block.timestamp_ns, block.gas_price)
    return Job(ground, prices_of(stated), ALICE, key, tuple(JobStep(call) for call in calls))
