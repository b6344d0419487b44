"""Wrapped NEAR of near/core-contracts through its main flows, with receivers of ft_transfer_call in all three outcomes."""

from collections.abc import Callable

import pytest

from contracts.calls import FunctionCall
from contracts.errors import VmError
from contracts.types import AccountId, Gas, Yocto
from contracts.vm.engine import Engine
from contracts.vm.receipts import Failure, SuccessValue
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, function_call
from tests.contracts.vm.wat_contract import WatContract

WRAP, ALICE, BOB = "wrap.test", "alice.test", "bob.test"
MINIMUM = 1_250_000_000_000_000_000_000


def answering(value: str) -> bytes:
    """A receiver that returns this from ft_on_transfer: the amount it does not want."""
    contract = WatContract()
    contract.method("ft_on_transfer", contract.returns(value))
    return contract.code()


def panicking() -> bytes:
    contract = WatContract()
    contract.method("ft_on_transfer", contract.panics("not today"))
    return contract.code()


@pytest.fixture
def chain(engine: Engine, real_wasm: Callable[[str], bytes]) -> TestChain:
    chain = TestChain(engine)
    chain.create(ALICE)
    chain.create(BOB)
    chain.create(WRAP, 10 * NEAR, real_wasm("w_near"))
    assert chain.call(WRAP, WRAP, "new").value == b""
    return chain


def register(chain: TestChain, name: str) -> None:
    chain.call(ALICE, WRAP, "storage_deposit", {"account_id": name}, deposit=MINIMUM)


def funded(chain: TestChain) -> None:
    register(chain, ALICE)
    chain.call(ALICE, WRAP, "near_deposit", deposit=10 * NEAR)


def balance(chain: TestChain, name: str) -> int:
    value = chain.view(WRAP, "ft_balance_of", {"account_id": name})
    assert isinstance(value, str)
    return int(value)


def transfer_call(chain: TestChain, receiver: str, amount: int, gas: int = 100 * TGAS) -> Outcome:
    outcome = chain.call(
        ALICE,
        WRAP,
        "ft_transfer_call",
        {"receiver_id": receiver, "amount": str(amount), "msg": "m"},
        deposit=1,
        gas=gas,
    )
    assert chain.supply + chain.burnt == chain.created
    return outcome


def test_it_starts_once(chain: TestChain) -> None:
    assert chain.call(WRAP, WRAP, "new").panic == ("Smart contract panicked: The contract has already been initialized")
    metadata = chain.view(WRAP, "ft_metadata")
    assert isinstance(metadata, dict)
    assert (metadata["spec"], metadata["symbol"], metadata["decimals"]) == ("ft-1.0.0", "wNEAR", 24)
    assert chain.view(WRAP, "ft_total_supply") == "0"


def test_storage_is_paid_for_and_the_excess_returned(chain: TestChain) -> None:
    assert chain.view(WRAP, "storage_balance_bounds") == {"min": str(MINIMUM), "max": str(MINIMUM)}
    assert chain.view(WRAP, "storage_balance_of", {"account_id": BOB}) is None
    usage = chain.account(WRAP).storage_usage
    before = chain.balance(BOB)
    outcome = chain.call(BOB, WRAP, "storage_deposit", {}, deposit=NEAR)
    assert outcome.json == {"total": str(MINIMUM), "available": "0"}
    paid = before - chain.balance(BOB) - outcome.transaction.tokens_burnt
    paid -= sum(execution.tokens_burnt for execution in outcome.receipts)
    assert paid == MINIMUM
    record = 1 + 4 + len(BOB) + 16 + 40  # prefix and Borsh name, a u128, and what every record costs
    assert chain.account(WRAP).storage_usage == usage + record
    assert chain.view(WRAP, "storage_balance_of", {"account_id": BOB}) == {"total": str(MINIMUM), "available": "0"}
    little = chain.call(ALICE, WRAP, "storage_deposit", {}, deposit=1)
    assert "The attached deposit is less than the mimimum storage balance" in little.panic
    assert chain.supply + chain.burnt == chain.created


def test_near_is_wrapped_and_unwrapped(chain: TestChain) -> None:
    funded(chain)
    assert balance(chain, ALICE) == 10 * NEAR
    assert chain.view(WRAP, "ft_total_supply") == str(10 * NEAR)
    before = chain.balance(ALICE)
    outcome = chain.call(ALICE, WRAP, "near_withdraw", {"amount": str(4 * NEAR)}, deposit=1)
    assert outcome.logs == [f"Withdraw {4 * NEAR} yoctoNEAR from alice.test"]
    assert balance(chain, ALICE) == 6 * NEAR
    burnt = outcome.transaction.tokens_burnt + sum(execution.tokens_burnt for execution in outcome.receipts)
    assert chain.balance(ALICE) == before + 4 * NEAR - burnt
    assert chain.call(ALICE, WRAP, "near_withdraw", {"amount": str(7 * NEAR)}, deposit=1).panic == (
        "Smart contract panicked: The account doesn't have enough balance"
    )
    assert chain.supply + chain.burnt == chain.created


def test_depositing_registers_an_account_out_of_the_amount(chain: TestChain) -> None:
    chain.call(BOB, WRAP, "near_deposit", deposit=NEAR)
    assert balance(chain, BOB) == NEAR - MINIMUM


def test_tokens_are_transferred_between_registered_accounts(chain: TestChain) -> None:
    funded(chain)
    register(chain, BOB)
    outcome = chain.call(
        ALICE, WRAP, "ft_transfer", {"receiver_id": BOB, "amount": "125", "memo": "lunch"}, deposit=1, gas=30 * TGAS
    )
    assert outcome.value == b""
    assert outcome.logs == ["Transfer 125 from alice.test to bob.test", "Memo: lunch"]
    assert (balance(chain, ALICE), balance(chain, BOB)) == (10 * NEAR - 125, 125)


@pytest.mark.parametrize(
    ("args", "deposit", "text"),
    [
        ({"receiver_id": "carol.test", "amount": "1"}, 1, "The account carol.test is not registered"),
        ({"receiver_id": BOB, "amount": "1"}, 0, "Requires attached deposit of exactly 1 yoctoNEAR"),
        ({"receiver_id": BOB, "amount": str(11 * NEAR)}, 1, "The account doesn't have enough balance"),
        ({"receiver_id": BOB, "amount": "0"}, 1, "The amount should be a positive number"),
        ({"receiver_id": ALICE, "amount": "1"}, 1, "Sender and receiver should be different"),
        ({"receiver_id": BOB}, 1, "missing field `amount`"),
    ],
)
def test_what_a_transfer_refuses(chain: TestChain, args: dict[str, str], deposit: int, text: str) -> None:
    funded(chain)
    register(chain, BOB)
    outcome = chain.call(ALICE, WRAP, "ft_transfer", dict(args), deposit=deposit)
    assert outcome.panic.startswith("Smart contract panicked: ")
    assert text in outcome.panic
    assert balance(chain, ALICE) == 10 * NEAR
    assert chain.supply + chain.burnt == chain.created


def test_too_little_gas_fails_without_effect(chain: TestChain) -> None:
    funded(chain)
    register(chain, BOB)
    outcome = chain.call(ALICE, WRAP, "ft_transfer", {"receiver_id": BOB, "amount": "1"}, deposit=1, gas=TGAS // 10)
    assert outcome.panic == "Exceeded the prepaid gas."
    assert balance(chain, BOB) == 0
    assert chain.supply + chain.burnt == chain.created


@pytest.mark.parametrize(
    ("answer", "used"),
    [('"0"', 100), ('"30"', 70), ('"100"', 0), ('"1000"', 0), ("no json", 0), ("", 0)],
)
def test_a_receiver_uses_all_or_returns_a_part(chain: TestChain, answer: str, used: int) -> None:
    funded(chain)
    chain.create("dex.test", NEAR, answering(answer))
    register(chain, "dex.test")
    outcome = transfer_call(chain, "dex.test", 100)
    assert outcome.json == str(used)
    assert balance(chain, "dex.test") == used
    assert balance(chain, ALICE) == 10 * NEAR - used
    assert ("Refund" in " ".join(outcome.logs)) == (used != 100)


def test_a_receiver_that_panics_gets_nothing_and_the_transaction_succeeds(chain: TestChain) -> None:
    funded(chain)
    chain.create("dex.test", NEAR, panicking())
    register(chain, "dex.test")
    outcome = transfer_call(chain, "dex.test", 100)
    assert outcome.json == "0"
    assert balance(chain, "dex.test") == 0
    assert balance(chain, ALICE) == 10 * NEAR
    failed = [execution for execution in outcome.receipts if isinstance(execution.status, Failure)]
    assert [execution.executor_id for execution in failed] == ["dex.test"]
    assert "Smart contract panicked: not today" in str(failed[0].status)


def test_a_receiver_without_contract_or_account_gets_nothing(chain: TestChain) -> None:
    funded(chain)
    register(chain, BOB)
    register(chain, "nobody.test")
    for receiver in (BOB, "nobody.test"):
        outcome = transfer_call(chain, receiver, 100)
        assert outcome.json == "0"
        assert balance(chain, ALICE) == 10 * NEAR


def test_tokens_that_a_panicking_receiver_passed_on_cannot_be_taken_back(chain: TestChain) -> None:
    """Resolve takes what is still there: a receiver that spent its tokens keeps them, and the sender is told."""
    funded(chain)
    register(chain, BOB)
    contract = WatContract()
    pay = contract.host(
        "promise_create",
        *contract.put(WRAP),
        *contract.put("ft_transfer"),
        *contract.put('{"receiver_id":"bob.test","amount":"60"}'),
        contract.amount(1),
        10 * TGAS,
    )
    answer = contract.host(
        "promise_then",
        pay,
        *contract.put("thief.test"),
        *contract.put("answer"),
        0,
        0,
        contract.amount(0),
        5 * TGAS,
    )
    contract.method("ft_on_transfer", contract.host("promise_return", answer))
    contract.method("answer", contract.returns('"100"'))
    chain.create("thief.test", NEAR, contract.code())
    register(chain, "thief.test")
    outcome = transfer_call(chain, "thief.test", 100, gas=200 * TGAS)
    assert outcome.json == "60"
    assert (balance(chain, "thief.test"), balance(chain, BOB)) == (0, 60)


def test_an_account_is_unregistered_and_its_storage_paid_back(chain: TestChain) -> None:
    funded(chain)
    usage = chain.account(WRAP).storage_usage
    register(chain, BOB)
    assert chain.call(BOB, WRAP, "storage_unregister", {}, deposit=1).json is True
    assert chain.view(WRAP, "storage_balance_of", {"account_id": BOB}) is None
    assert chain.account(WRAP).storage_usage == usage
    assert chain.call(BOB, WRAP, "storage_unregister", {}, deposit=1).json is False
    refused = chain.call(ALICE, WRAP, "storage_unregister", {}, deposit=1)
    assert "Can't unregister the account with the positive balance without force" in refused.panic


def test_actions_of_one_transaction_register_and_transfer_together(chain: TestChain) -> None:
    funded(chain)
    both = chain.send(
        ALICE,
        WRAP,
        function_call("storage_deposit", {"account_id": "carol.test"}, deposit=MINIMUM, gas=10 * TGAS),
        FunctionCall("ft_transfer", b'{"receiver_id":"carol.test","amount":"7"}', Gas(30 * TGAS), Yocto(1)),
    )
    assert isinstance(both.final.status, SuccessValue)
    assert balance(chain, "carol.test") == 7
    neither = chain.send(
        ALICE,
        WRAP,
        function_call("storage_deposit", {"account_id": "dave.test"}, deposit=MINIMUM, gas=10 * TGAS),
        FunctionCall("ft_transfer", b'{"receiver_id":"dave.test","amount":"0"}', Gas(30 * TGAS), Yocto(1)),
    )
    assert "The amount should be a positive number" in neither.panic
    assert chain.view(WRAP, "storage_balance_of", {"account_id": "dave.test"}) is None
    assert chain.supply + chain.burnt == chain.created


def test_a_view_cannot_change_anything(chain: TestChain) -> None:
    with pytest.raises(VmError) as refusal:
        chain.view(WRAP, "near_deposit")
    assert "ProhibitedInView" in str(refusal.value.details)
    with pytest.raises(VmError) as refusal:
        chain.runtime.view(chain.state, AccountId(WRAP), "ft_balance_of", b"not json", chain.block)
    assert "GuestPanic" in str(refusal.value.details)
