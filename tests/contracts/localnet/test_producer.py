"""Receipts of a block in the making: begun again in a thread where their host functions would hold the loop."""

from contracts.localnet.blocks import Header, QueuedReceipt, sealed
from contracts.localnet.chain import HEAVY_GAS, LOOP_WORK_US
from contracts.localnet.producer import BlockDraft
from contracts.types import TGAS, CryptoHash
from contracts.vm.host_work import pairing_check_us
from contracts.vm.receipts import SuccessValue
from tests.contracts.vm.chain_double import function_call
from tests.contracts.vm.test_alt_bn128 import A1, A2
from tests.contracts.vm.test_host import chain_with
from tests.contracts.vm.wat_contract import WatContract, drop

ROOT = CryptoHash.of(b"root")


def _header() -> Header:
    return sealed(
        height=100,
        prev_hash=ROOT,
        timestamp_ns=1,
        gas_used=0,
        tokens_burnt=0,
        total_supply=10**33,
        tx_root=ROOT,
        receipts_root=ROOT,
        outcome_root=ROOT,
        prev_state_root=ROOT,
    )


def test_a_receipt_below_the_heavy_gas_that_takes_too_long_on_the_loop_changes_nothing_there() -> None:
    pairs = 3
    contract = WatContract()
    checked = drop(contract.host("alt_bn128_pairing_check", *contract.put((A1 + A2) * pairs)))
    written = drop(contract.host("storage_write", *contract.put("key"), *contract.put("value"), 0))
    contract.method("run", written, checked, contract.returns("done"))
    chain = chain_with(contract)
    assert pairing_check_us(pairs) > LOOP_WORK_US
    signed = chain.sign("alice.test", "c.test", function_call("run", gas=29 * TGAS))
    _, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    draft = BlockDraft(chain.runtime, chain.state, chain.block, _header(), 1)
    item = QueuedReceipt(0, signed.tx_hash, receipt)
    assert draft.attached_gas(item) <= HEAVY_GAS
    assert not draft.try_run(item, LOOP_WORK_US)
    untouched = draft.seal()
    assert (untouched.executed, untouched.consumed, untouched.queued, draft.gas_used) == ((), (), (), 0)
    draft.run(item)
    block = draft.seal()
    assert block.consumed == (0,)
    (executed,) = block.executed
    assert executed.execution.status == SuccessValue(b"done")


def test_a_receipt_that_fits_is_done_at_once() -> None:
    contract = WatContract()
    contract.method("run", contract.returns("done"))
    chain = chain_with(contract)
    signed = chain.sign("alice.test", "c.test", function_call("run", gas=29 * TGAS))
    _, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    draft = BlockDraft(chain.runtime, chain.state, chain.block, _header(), 1)
    assert draft.try_run(QueuedReceipt(0, signed.tx_hash, receipt), LOOP_WORK_US)
    assert len(draft.seal().executed) == 1
