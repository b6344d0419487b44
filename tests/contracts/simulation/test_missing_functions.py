"""What this machine's host functions lack: a contract that needs one is unknown by the function's name, never guessed."""

import pytest
import pytest_asyncio

from contracts.calls import ChangeCall, DeployContract
from contracts.types import AccountId
from contracts.vm.host import NOT_OFFERED, host_functions
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL
from tests.contracts.simulation.world import World, call
from tests.contracts.vm.wat_contract import WatContract, compiled

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEWER = "promise_something_newer"
"""Of a protocol that came later: it stands in no table."""


def needing_all() -> bytes:
    """A method for each of the functions that are not offered, which calls it, and one that calls none."""
    contract = WatContract()
    for name in NOT_OFFERED:
        function = host_functions()[name]
        called = contract.host(name, *[0] * len(function.params))
        contract.method(f"call_{name}", f"(drop {called})" if function.result else called)
    contract.method("call_nothing", contract.returns("1"))
    return contract.code()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(world: World) -> AccountId:
    await world.done(BOB, BOB, DeployContract(needing_all()))
    return BOB


@pytest.mark.parametrize("name", NOT_OFFERED)
async def test_a_contract_that_calls_it_is_unknown_by_its_name(world: World, deployed: AccountId, name: str) -> None:
    report = await world.one(ALICE, deployed, call(f"call_{name}", {}, 0))
    (simulated,) = report.simulated
    assert simulated.result == "unknown"
    assert simulated.reason is not None
    assert name in simulated.reason
    assert report.failure is None
    assert "what it does could not be simulated" in report.asks


async def test_its_other_methods_are_foretold(world: World, deployed: AccountId) -> None:
    change = ChangeCall(deployed, (call("call_nothing", {}, 0),))
    assert await world.assert_came_true(ALICE, change) == "success"


async def test_a_function_that_nobody_here_has_heard_of_is_unknown_by_its_name(world: World) -> None:
    text = f"""(module
      (import "env" "{NEWER}" (func $newer (param i64) (result i64)))
      (func (export "use_it") (drop (call $newer (i64.const 0))))
      (memory (export "memory") 1))"""
    await world.done(CAROL, CAROL, DeployContract(compiled(text)))
    report = await world.one(ALICE, CAROL, call("use_it", {}, 0))
    (simulated,) = report.simulated
    assert simulated.result == "unknown"
    assert simulated.reason is not None
    assert NEWER in simulated.reason
