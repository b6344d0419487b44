import asyncio
from collections.abc import Generator
from dataclasses import replace

import pytest
import wasmtime

from contracts.errors import ChainError, VmError
from contracts.localnet.views import MAX_WAITING, QUICK_VIEW_GAS, QUICK_WORK_US, VIEW_WORK_US, ViewRunner
from contracts.types import TGAS, AccountId, CryptoHash
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext
from contracts.vm.host_work import pairing_check_us
from contracts.vm.state import Account, EmptyState, Overlay
from tests.contracts.vm.test_alt_bn128 import A1, A2
from tests.contracts.vm.wat_contract import WatContract, drop

CONTRACT = AccountId("spin.localnet")
CONTEXT = BlockContext(
    height=9, timestamp_ns=1, epoch_height=0, gas_price=10**8, block_hash=CryptoHash.of(b"b"), random_seed=bytes(32)
)
WAT = """
(module
  (import "env" "value_return" (func $value_return (param i64 i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "done")
  (func $count (param $turns i32)
    (loop $again
      (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1))))))
  (func (export "short") (call $value_return (i64.const 4) (i64.const 0)))
  (func (export "long") (call $count (i32.const 10000000)) (call $value_return (i64.const 4) (i64.const 0)))
  (func (export "panic_late") (call $count (i32.const 10000000)) unreachable)
  (func (export "endless") (loop $again (br $again))))
"""


@pytest.fixture
def state() -> Overlay:
    overlay = Overlay(EmptyState())
    code = wasmtime.wat2wasm(WAT)
    overlay.set_account(CONTRACT, Account(10**24, 0, overlay.add_code(bytes(code)), 1_000))
    return overlay


@pytest.fixture
def runner() -> Generator[ViewRunner]:
    config = RuntimeConfig()
    runner = ViewRunner(replace(config, limits=replace(config.limits, max_gas_burnt=60 * TGAS)), Engine)
    yield runner
    runner.close()


async def _view(runner: ViewRunner, state: Overlay, method: str) -> tuple[bytes, int]:
    answer = await runner.view(state, CONTRACT, method, b"", CONTEXT)
    return answer.result, answer.gas_burnt


async def test_a_short_view_ends_on_the_loop(runner: ViewRunner, state: Overlay) -> None:
    result, burnt = await _view(runner, state, "short")
    assert result == b"done"
    assert burnt < QUICK_VIEW_GAS


async def test_a_long_view_leaves_the_loop_to_others(runner: ViewRunner, state: Overlay) -> None:
    turns = 0
    async with asyncio.TaskGroup() as tasks:
        view = tasks.create_task(_view(runner, state, "long"))
        while not view.done():
            turns += 1
            await asyncio.sleep(0)
    result, burnt = view.result()
    assert result == b"done"
    assert burnt > QUICK_VIEW_GAS
    assert turns > 5


@pytest.mark.parametrize(("method", "code"), [("panic_late", "Unreachable"), ("endless", "GasLimitExceeded")])
async def test_what_goes_wrong_late_is_told(runner: ViewRunner, state: Overlay, method: str, code: str) -> None:
    with pytest.raises(VmError) as caught:
        await _view(runner, state, method)
    assert caught.value.code == code


async def test_too_many_long_views_are_turned_away(runner: ViewRunner, state: Overlay) -> None:
    async with asyncio.TaskGroup() as tasks:
        views = [tasks.create_task(_view(runner, state, "long")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(ChainError) as caught:
            await _view(runner, state, "long")
        assert caught.value.code == "INTERNAL_ERROR"
        # Short ones still pass, and a place is free again when one has ended.
        assert (await _view(runner, state, "short"))[0] == b"done"
        assert (await views[0])[0] == b"done"
        assert (await _view(runner, state, "long"))[0] == b"done"
        for view in views[2:]:
            view.cancel()


def _pairings(count: int) -> Overlay:
    contract = WatContract(pages=8)
    checked = contract.host("alt_bn128_pairing_check", *contract.put((A1 + A2) * count))
    contract.method("check", drop(checked), contract.returns("done"))
    overlay = Overlay(EmptyState())
    overlay.set_account(CONTRACT, Account(10**24, 0, overlay.add_code(contract.code()), 1_000))
    return overlay


async def test_host_functions_of_a_view_have_a_limit_on_the_loop_and_a_higher_one_in_the_thread(
    runner: ViewRunner, state: Overlay
) -> None:
    """What does not fit on the loop waits in line with the long views; what fits nowhere is refused before it is done."""
    small, large = _pairings(3), _pairings(110)
    assert QUICK_WORK_US < pairing_check_us(3) < VIEW_WORK_US < pairing_check_us(110)
    async with asyncio.TaskGroup() as tasks:
        views = [tasks.create_task(_view(runner, state, "long")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(ChainError, match="reached its limits"):
            await _view(runner, small, "check")
        for view in views[1:]:
            view.cancel()
    assert (await _view(runner, small, "check"))[0] == b"done"
    config = RuntimeConfig()
    wide = ViewRunner(config, Engine)
    try:
        with pytest.raises(VmError) as caught:
            await _view(wide, large, "check")
    finally:
        wide.close()
    assert caught.value.code == "TooExpensiveHere"
    assert "too expensive to compute here: its host functions would take more than 0.5 s" in caught.value.message
