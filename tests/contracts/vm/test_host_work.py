"""Host functions are bounded by estimated time as well as by gas, before they begin."""

import pytest

from contracts.calls import FunctionCall
from contracts.errors import VmError
from contracts.types import AccountId
from contracts.vm.host_work import (
    CHARGE_US,
    ECRECOVER_US,
    ED25519_VERIFY_US,
    HOST_WORK_US,
    HostWork,
    g1_multiexp_us,
    g1_sum_us,
    pairing_check_us,
)
from tests.contracts.vm.chain_double import TGAS, TestChain, function_call
from tests.contracts.vm.test_alt_bn128 import A1, A2, ALONE, FIRST, ONE
from tests.contracts.vm.test_host import call, chain_with, return_register
from tests.contracts.vm.wat_contract import WatContract, drop

CALLS = [
    ("alt_bn128_g1_sum", [(b"\0" + ALONE) * 3], True, g1_sum_us(3)),
    ("alt_bn128_g1_multiexp", [(FIRST + ONE) * 3], True, g1_multiexp_us(3)),
    ("alt_bn128_pairing_check", [(A1 + A2) * 2], False, pairing_check_us(2)),
    ("ed25519_verify", [bytes(64), b"message", bytes(32)], False, ED25519_VERIFY_US),
]


@pytest.mark.parametrize(("name", "data", "registers", "cost_us"), CALLS, ids=[case[0] for case in CALLS])
def test_each_function_counts_its_time_before_it_begins(
    name: str,
    data: list[bytes],
    registers: bool,  # noqa: FBT001 - whether it ends in a register
    cost_us: int,
) -> None:
    contract = WatContract()
    arguments = [number for one in data for number in contract.put(one)]
    called = contract.host(name, *arguments, *((0,) if registers else ()))
    contract.method("run", called if registers else drop(called))
    chain = chain_with(contract)

    def run(work: HostWork) -> None:
        chain.runtime.view(chain.state, AccountId("c.test"), "run", b"", chain.block, work)

    free = HostWork()
    run(free)
    charges_us = free.used_us - cost_us
    assert 0 < charges_us <= 20 * CHARGE_US
    assert not free.refused
    short = HostWork(cost_us - 1)
    with pytest.raises(VmError) as caught:
        run(short)
    assert caught.value.code == "TooExpensiveHere"
    assert short.refused
    # Only charges were counted: the function itself did not begin.
    assert short.used_us <= charges_us


def test_ecrecover_counts_its_time() -> None:
    contract = WatContract()
    digest, signature = contract.put(b"d" * 32), contract.put((1).to_bytes(32) * 2)
    contract.method("run", drop(contract.host("ecrecover", *digest, *signature, 0, 0, 0)))
    chain, work = chain_with(contract), HostWork()
    chain.runtime.view(chain.state, AccountId("c.test"), "run", b"", chain.block, work)
    assert work.used_us > ECRECOVER_US


def test_a_loop_of_the_cheapest_calls_ends_too() -> None:
    contract = WatContract()
    contract.method("run", f"(loop $again {drop(contract.host('block_index'))} (br $again))")
    chain, work = chain_with(contract), HostWork(1_000 * CHARGE_US)
    with pytest.raises(VmError) as caught:
        chain.runtime.view(chain.state, AccountId("c.test"), "run", b"", chain.block, work)
    assert caught.value.code == "TooExpensiveHere"
    assert 990 * CHARGE_US < work.used_us <= 1_000 * CHARGE_US


def test_a_receipt_that_takes_too_long_fails_as_a_fact_about_the_host_and_pays_for_its_gas() -> None:
    contract = WatContract(pages=4)
    pairs = 40
    checked = drop(contract.host("alt_bn128_pairing_check", *contract.put((A1 + A2) * pairs)))
    contract.method("run", f"(loop $again {checked} (br $again))")
    chain = chain_with(contract)
    outcome = _call_with_less(chain, pairing_check_us(pairs))
    assert outcome.startswith("Link Error: too expensive to compute here: its host functions would take more than")
    assert chain.supply + chain.burnt == chain.created


def _call_with_less(chain: TestChain, work_us: int) -> str:
    """The failure of `run` where so much time is there for its one receipt."""
    signed = chain.sign("alice.test", "c.test", *_run())
    execution, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    chain.burnt += execution.tokens_burnt
    result = chain.runtime.apply_receipt(chain.state, receipt, chain.block, HostWork(work_us))
    assert result.execution is not None
    chain.burnt += result.execution.tokens_burnt - result.contract_reward
    for refund in result.new_receipts:
        refunded = chain.runtime.apply_receipt(chain.state, refund, chain.block)
        assert refunded.execution is not None
    assert result.execution.gas_burnt > chain.config.ext_costs.alt_bn128_pairing_check_base
    failure = str(result.execution.status)
    return failure[failure.index("Link Error") :]


def _run() -> tuple[FunctionCall]:
    return (function_call("run", gas=300 * TGAS),)


def test_one_limit_is_shared_by_all_calls_of_a_receipt() -> None:
    contract = WatContract()
    called = contract.host("alt_bn128_g1_sum", *contract.put((b"\0" + ALONE) * 3), 0)
    contract.method("run", called)
    chain = chain_with(contract)
    signed = chain.sign("alice.test", "c.test", *(function_call("run", gas=20 * TGAS) for _ in range(5)))
    _, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    work = HostWork(3 * g1_sum_us(3) + 200 * CHARGE_US)
    chain.runtime.apply_receipt(chain.state.child(), receipt, chain.block, work)
    assert not work.refused
    assert work.used_us > 5 * g1_sum_us(3)
    short = HostWork(3 * g1_sum_us(3))
    chain.runtime.apply_receipt(chain.state.child(), receipt, chain.block, short)
    assert short.refused


def test_contracts_on_chain_stay_far_below_the_limit() -> None:
    """A verifier of a Groth16 proof: a few multiples and four pairings."""
    contract = WatContract()
    multiples = contract.host("alt_bn128_g1_multiexp", *contract.put((FIRST + ONE) * 4), 0)
    checked = drop(contract.host("alt_bn128_pairing_check", *contract.put((A1 + A2) * 4)))
    outcome = call(multiples, checked, return_register(contract), contract=contract)
    assert len(outcome.value) == 64
    assert 10 * (g1_multiexp_us(4) + pairing_check_us(4)) < HOST_WORK_US
