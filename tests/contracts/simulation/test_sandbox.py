"""The process that runs foreign contracts, given what is meant to break it; it answers, or the reason is told."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
import wasmtime

from contracts.calls import ChangeCall, FullAccess, FunctionCall, Transfer
from contracts.simulation.messages import (
    AccountGiven,
    CodeGiven,
    Done,
    Given,
    Ground,
    Job,
    JobStep,
    KeyGiven,
    Measure,
    Need,
    NotGiven,
    Prices,
    RecordsGiven,
)
from contracts.simulation.sandbox import Sandbox, SandboxSettings, SimulationRun, Unsimulated, open_sandbox
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from contracts.vm.receipts import Failure, SuccessValue
from contracts.vm.state import AccessKey, Account
from tests.contracts.vm.test_alt_bn128 import A1, A2
from tests.contracts.vm.wat_contract import WatContract, drop

ALICE, APP = AccountId("alice.test"), AccountId("app.test")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
GROUND = Ground(100, CryptoHash.of(b"block"), 10**18, 10**8)
PRICES = Prices(10**19, 10**8, 300 * TGAS, 300 * TGAS, rewards_contracts=True)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def wat(body: str, *, head: str = "", functions: str = "") -> bytes:
    """A contract with one method, `go`."""
    imports = (
        '(import "env" "log_utf8" (func $log (param i64 i64)))'
        '(import "env" "storage_read" (func $read (param i64 i64 i64) (result i64)))'
    )
    return bytes(
        wasmtime.wat2wasm(
            f'(module {imports} {head} (memory (export "memory") 1) {functions} (func (export "go") {body}))'
        )
    )


class Told:
    """What the daemon would answer: accounts, one contract, and a count of questions."""

    def __init__(self, code: bytes, records: Given | None = None) -> None:
        self.code = code
        self.records = records or RecordsGiven(APP, ())
        self.asked: list[str] = []

    async def answer(self, need: Need) -> Given:
        self.asked.append(need.what)
        match need.what:
            case "account" if need.account_id == APP:
                return AccountGiven(APP, Account(10**26, 0, CryptoHash.of(self.code), 10_000))
            case "account":
                return AccountGiven(need.account_id or ALICE, Account(10**26, 0, None, 182))
            case "key":
                return KeyGiven(ALICE, KEY, AccessKey(5, FullAccess()))
            case "code":
                return CodeGiven(CryptoHash.of(self.code), self.code)
            case "records":
                return self.records
            case _:
                return NotGiven("there is none")


def job(gas: int = 300 * TGAS, given: tuple[Given, ...] = ()) -> Job:
    action = FunctionCall("go", b"{}", Gas(gas), Yocto(0))
    return Job(GROUND, PRICES, ALICE, KEY, (JobStep(ChangeCall(APP, (action,))),), given)


def nothing(_done: Done) -> Measure | None:
    return None


async def run(sandbox: Sandbox, code: bytes, told: Told | None = None) -> SimulationRun | Unsimulated:
    return await sandbox.run(job(), (told or Told(code)).answer, nothing)


async def failure(sandbox: Sandbox, code: bytes) -> str:
    """The text of the contract's failure; it must have run and failed."""
    result = await run(sandbox, code)
    assert isinstance(result, SimulationRun), result
    status = result.done.steps[0].ran[0].execution.status
    assert isinstance(status, Failure), result
    return str(status.error)


async def assert_alive(sandbox: Sandbox) -> None:
    """A transfer is simulated as ever."""
    plan = Job(GROUND, PRICES, ALICE, KEY, (JobStep(ChangeCall(APP, (Transfer(Yocto(7)),))),))
    result = await sandbox.run(plan, Told(b"").answer, lambda _done: Measure((ALICE, APP), ()))
    assert isinstance(result, SimulationRun)
    assert result.measured is not None
    before, after = result.measured.near[1]
    assert (after or 0) - (before or 0) == 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with open_sandbox() as opened:
        yield opened


async def test_a_loop_without_end_ends_with_its_gas(sandbox: Sandbox) -> None:
    assert "Exceeded the prepaid gas" in await failure(sandbox, wat("(loop (br 0))"))


async def unknown(sandbox: Sandbox, code: bytes) -> str:
    result = await run(sandbox, code)
    assert isinstance(result, SimulationRun)
    assert result.done.steps == ()
    assert result.done.unknown is not None
    return result.done.unknown


async def test_recursion_ends_at_this_machines_stack_and_is_unknown(sandbox: Sandbox) -> None:
    assert "Stack overflow" in await unknown(sandbox, wat("(call $deep)", functions="(func $deep (call $deep))"))


async def test_memory_grows_to_its_limit_and_no_further(sandbox: Sandbox) -> None:
    body = "(if (i32.ne (memory.grow (i32.const 4000)) (i32.const -1)) (then (unreachable)))"
    result = await run(sandbox, wat(body))
    assert isinstance(result, SimulationRun)
    assert isinstance(result.done.steps[0].ran[0].execution.status, SuccessValue)


async def test_logs_are_bounded(sandbox: Sandbox) -> None:
    one = "(call $log (i64.const 1000) (i64.const 0))"
    assert "The length of a log message" in await failure(sandbox, wat(one * 20))
    many = "(call $log (i64.const 1) (i64.const 0))"
    assert "The number of logs" in await failure(sandbox, wat(many * 101))


async def test_code_that_this_engine_cannot_read_is_unknown(sandbox: Sandbox) -> None:
    assert "cannot be prepared here (Deserialization)" in await unknown(sandbox, b"\x00asm\x01\x00\x00\x00 nonsense")


async def test_a_host_function_that_is_missing_here_is_unknown(sandbox: Sandbox) -> None:
    result = await run(sandbox, wat("(call $nobody)", head='(import "env" "from_the_future" (func $nobody))'))
    assert isinstance(result, SimulationRun)
    assert result.done.steps == ()
    assert "from_the_future" in (result.done.unknown or "")


@pytest.mark.parametrize(
    ("function", "params", "call"),
    [
        ("random_seed", "i64", "(call $ask (i64.const 0))"),
        ("validator_total_stake", "i64", "(call $ask (i64.const 0))"),
        ("validator_stake", "i64 i64 i64", "(call $ask (i64.const 9) (i64.const 0) (i64.const 16))"),
    ],
)
async def test_a_contract_neither_plays_for_luck_nor_sees_that_it_is_tried(
    sandbox: Sandbox, function: str, params: str, call: str
) -> None:
    """What such a contract would give in a simulation is no word about what it gives on chain."""
    head = f'(import "env" "{function}" (func $ask (param {params})))'
    result = await run(sandbox, wat(call, head=head, functions='(data (i32.const 0) "alice.test")'))
    assert isinstance(result, SimulationRun)
    assert result.done.steps == ()
    assert f"{function} asks for what is not known before the block is made" in (result.done.unknown or "")


async def test_host_functions_that_take_too_long_are_unknown_and_the_process_lives(sandbox: Sandbox) -> None:
    """The estimate refuses them before they begin, so the process neither computes for long nor is killed for it."""
    contract = WatContract(pages=4)
    pairs = contract.put((A1 + A2) * 10)
    contract.method("go", f"(loop $again {drop(contract.host('alt_bn128_pairing_check', *pairs))} (br $again))")
    async with open_sandbox(settings=SandboxSettings(host_work_s=0.1)) as short:
        await assert_alive(short)
        first = short.pid
        assert "too expensive to compute here: its host functions would take more than 0.1 s" in await unknown(
            short, contract.code()
        )
        assert short.pid == first


async def test_a_bomb_of_functions_is_refused_before_it_is_compiled(sandbox: Sandbox) -> None:
    code = wat("(nop)", functions="(func (nop))" * 10_001)
    assert "TooManyFunctions" in await failure(sandbox, code)


async def test_compiling_that_takes_too_long_is_cut_off() -> None:
    """One big function of nested blocks: small to send, long to compile."""
    body = "(i64.add (i64.const 1) " * 3000 + "(i64.const 1)" + ")" * 3000
    code = wat("".join(f"(drop {body})" for _ in range(4)))
    async with open_sandbox(settings=SandboxSettings(wait_s=0.01)) as sandbox:
        result = await run(sandbox, code)
        assert isinstance(result, Unsimulated)
        assert "was not done within 0.01 s" in result.reason
        assert sandbox.pid is None


async def test_a_process_without_room_dies_alone() -> None:
    """The limit of its address space is below what an instance reserves; the daemon is told, and the next job is run."""
    code = wat("(nop)")
    async with open_sandbox(settings=SandboxSettings(memory_bytes=300 * 1024 * 1024)) as sandbox:
        result = await run(sandbox, code)
        assert result.reason if isinstance(result, Unsimulated) else result.done.unknown
        await assert_alive(sandbox)


class TestStatesThatLie:
    async def test_an_answer_beside_the_question(self, sandbox: Sandbox) -> None:
        told = Told(wat("(drop (call $read (i64.const 1) (i64.const 0) (i64.const 0)))"), RecordsGiven(ALICE, ()))
        result = await run(sandbox, told.code, told)
        assert isinstance(result, SimulationRun)
        assert "told something else" in (result.done.unknown or "")
        await assert_alive(sandbox)

    async def test_records_that_stop_before_the_key(self, sandbox: Sandbox) -> None:
        told = Told(wat("(drop (call $read (i64.const 1) (i64.const 0) (i64.const 0)))"), RecordsGiven(APP, (), b""))
        result = await run(sandbox, told.code, told)
        assert isinstance(result, SimulationRun)
        assert "told something else" in (result.done.unknown or "")

    async def test_code_that_is_not_what_its_hash_says(self, sandbox: Sandbox) -> None:
        told = Told(wat("(nop) (nop)"))

        async def answer(need: Need) -> Given:
            if need.what == "code":
                return CodeGiven(need.code_hash or GROUND.block_hash, b"another")
            return await told.answer(need)

        result = await sandbox.run(job(), answer, nothing)
        assert isinstance(result, SimulationRun)
        assert "is another one" in (result.done.unknown or "")

    async def test_what_cannot_be_read_stops_the_plan_with_its_reason(self, sandbox: Sandbox) -> None:
        told = Told(wat("(drop (call $read (i64.const 1) (i64.const 0) (i64.const 0)))"), NotGiven("state too large"))
        result = await run(sandbox, told.code, told)
        assert isinstance(result, SimulationRun)
        assert (result.done.steps, result.done.unknown) == ((), "state too large")


class TestLife:
    async def test_it_starts_at_the_first_job_and_is_kept(self) -> None:
        async with open_sandbox() as sandbox:
            assert sandbox.pid is None
            await assert_alive(sandbox)
            first = sandbox.pid
            await assert_alive(sandbox)
            assert sandbox.pid == first is not None
        assert not _is_there(first)

    async def test_a_killed_process_is_replaced(self) -> None:
        async with open_sandbox() as sandbox:
            await assert_alive(sandbox)
            first = sandbox.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            result = await run(sandbox, wat("(nop)"))
            assert isinstance(result, (Unsimulated, SimulationRun))
            await assert_alive(sandbox)
            assert sandbox.pid not in (None, first)

    async def test_a_cancelled_job_leaves_nothing_behind_for_the_next(self, sandbox: Sandbox) -> None:
        asked = asyncio.Event()

        async def never(_need: Need) -> Given:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError("never")

        async with asyncio.TaskGroup() as group:
            task = group.create_task(sandbox.run(job(), never, nothing))
            await asked.wait()
            task.cancel()
        await assert_alive(sandbox)

    async def test_it_ends_with_its_daemon(self, tmp_path: Path) -> None:
        """The daemon is killed in the middle of a job: the process's input ends and so does it."""
        program = (
            "import asyncio\n"
            "from contracts.simulation.sandbox import open_sandbox\n"
            "async def main():\n"
            "    async with open_sandbox() as sandbox:\n"
            "        await sandbox.warm()\n"
            "        print(sandbox.pid, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        assert daemon.stdout is not None
        pid = 0
        while not pid:
            line = (await daemon.stdout.readline()).strip()
            pid = int(line) if line.isdigit() else 0
        daemon.kill()
        await daemon.wait()
        async with asyncio.timeout(60):
            while _is_there(pid):
                await asyncio.sleep(0.02)


def _is_there(pid: int | None) -> bool:
    """Running: one that has ended and waits for its parent is not."""
    try:
        return pid is not None and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
