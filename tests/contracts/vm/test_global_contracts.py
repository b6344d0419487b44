"""Global contracts (NEP-591) and accounts made of one (NEP-616)."""

import pytest

from contracts.calls import (
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    GlobalAccountId,
    GlobalCodeHash,
    StateInit,
    Transfer,
    UseGlobalContract,
)
from contracts.errors import ChainError
from contracts.signing.action_bytes import deterministic_account_id
from contracts.types import AccountId, CryptoHash, Yocto
from contracts.vm.engine import Engine
from tests.contracts.vm.chain_double import NEAR, TestChain
from tests.contracts.vm.wat_contract import WatContract

ALICE, BOB, MAKER = AccountId("alice.test"), AccountId("bob.test"), AccountId("maker.test")


def answering(text: str) -> bytes:
    contract = WatContract()
    contract.method("say", contract.returns(f'"{text}"'))
    read = contract.host("storage_read", *contract.put("k"), 1)
    contract.method(
        "stored",
        f"(if (i64.eqz {read}) (then {contract.panics('nothing')}))",
        contract.host("value_return", 2**64 - 1, 1),
    )
    return contract.code()


ONE, TWO = answering("one"), answering("two")
HASH = GlobalCodeHash(CryptoHash.of(ONE))


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(Engine())
    chain.create(ALICE)
    chain.create(BOB)
    return chain


def test_publishing_burns_and_needs_no_storage(chain: TestChain) -> None:
    before, usage = chain.balance(ALICE), chain.account(ALICE).storage_usage
    outcome = chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "code_hash"))
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert burnt > 10**20 * len(ONE)
    assert chain.balance(ALICE) == before - burnt
    assert chain.account(ALICE).storage_usage == usage
    assert chain.supply + chain.burnt == chain.created


def test_an_account_runs_a_contract_by_its_hash(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "code_hash"))
    usage = chain.account(BOB).storage_usage
    chain.send(BOB, BOB, UseGlobalContract(HASH))
    assert chain.account(BOB).storage_usage == usage + 32
    assert chain.account(BOB).code_hash is None
    assert chain.call(ALICE, BOB, "say").json == "one"
    assert chain.view(BOB, "say") == "one"
    chain.send(BOB, BOB, DeployContract(TWO))
    assert chain.account(BOB).storage_usage == usage + len(TWO)
    assert chain.view(BOB, "say") == "two"
    chain.send(BOB, BOB, UseGlobalContract(HASH))
    assert chain.account(BOB).storage_usage == usage + 32
    assert chain.view(BOB, "say") == "one"


def test_a_contract_named_by_its_publisher_changes_for_all_who_use_it(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "account_id"))
    usage = chain.account(BOB).storage_usage
    chain.send(BOB, BOB, UseGlobalContract(GlobalAccountId(ALICE)))
    assert chain.account(BOB).storage_usage == usage + len(ALICE)
    assert chain.view(BOB, "say") == "one"
    chain.send(ALICE, ALICE, DeployGlobalContract(TWO, "account_id"))
    assert chain.view(BOB, "say") == "two"


def test_what_nobody_published_cannot_be_used(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, DeployContract(ONE))
    assert chain.send(BOB, BOB, UseGlobalContract(HASH)).failure == {
        "GlobalContractDoesNotExist": {"identifier": {"CodeHash": HASH.code_hash}}
    }
    same = chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "code_hash"), UseGlobalContract(HASH))
    assert "GlobalContractDoesNotExist" in str(same.failure)
    assert "GlobalContractDoesNotExist" in str(chain.send(BOB, BOB, UseGlobalContract(HASH)).failure)
    assert chain.supply + chain.burnt == chain.created


def test_only_the_account_itself_publishes_and_uses_and_it_must_be_able_to_pay(chain: TestChain) -> None:
    for action in (DeployGlobalContract(ONE, "code_hash"), UseGlobalContract(HASH)):
        assert chain.send(ALICE, BOB, action).failure == {"ActorNoPermission": {"account_id": BOB, "actor_id": ALICE}}
    poor = chain.create("poor.test", NEAR // 100)
    failure = chain.send(poor, poor, DeployGlobalContract(ONE, "code_hash")).failure
    assert failure == {"LackBalanceForState": {"account_id": poor, "amount": str(10**20 * len(ONE))}}


def test_an_account_is_made_of_a_contract_and_its_records(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "code_hash"))
    init = StateInit(HASH, ((b"k", b'"v"'), (b"l", b"x" * 1_000)))
    account_id = deterministic_account_id(init)
    before = chain.balance(ALICE)
    outcome = chain.send(ALICE, account_id, DeterministicStateInit(init, Yocto(NEAR)))
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    made = chain.account(account_id)
    assert made.storage_usage == 100 + 32 + (1 + 3 + 40) + (1 + 1_000 + 40)
    assert made.amount == made.storage_usage * 10**19, "as much as storage needs; the rest came back"
    assert chain.balance(ALICE) == before - made.amount - burnt
    assert chain.view(account_id, "stored") == "v"
    again = chain.send(BOB, account_id, DeterministicStateInit(init, Yocto(NEAR)))
    assert again.value == b""
    assert chain.account(account_id) == made
    assert chain.supply + chain.burnt == chain.created


def test_an_account_that_a_transfer_began_is_completed(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "account_id"))
    init = StateInit(GlobalAccountId(ALICE), ())
    account_id = deterministic_account_id(init)
    chain.send(ALICE, account_id, Transfer(Yocto(5)))
    chain.send(BOB, account_id, DeterministicStateInit(init, Yocto(0)), Transfer(Yocto(1)))
    assert chain.view(account_id, "say") == "one"
    assert chain.balance(account_id) == 6


def test_a_state_init_goes_to_the_account_that_it_makes_and_gives_no_rights(chain: TestChain) -> None:
    init = StateInit(HASH, ())
    with pytest.raises(ChainError) as refusal:
        chain.send(ALICE, BOB, DeterministicStateInit(init, Yocto(0)))
    fields = {"receiver_id": BOB, "derived_id": deterministic_account_id(init)}
    assert refusal.value.details["InvalidTxError"] == {
        "ActionsValidation": {"InvalidDeterministicStateInitReceiver": fields}
    }
    chain.send(ALICE, ALICE, DeployGlobalContract(ONE, "code_hash"))
    account_id = deterministic_account_id(init)
    both = chain.send(ALICE, account_id, DeterministicStateInit(init, Yocto(0)), DeployContract(TWO))
    assert both.failure == {"ActorNoPermission": {"account_id": account_id, "actor_id": ALICE}}
    assert chain.state.account(account_id) is None


def test_contracts_publish_use_and_make_accounts(chain: TestChain) -> None:
    init = StateInit(HASH, ((b"k", b'"v"'),))
    account_id = deterministic_account_id(init)
    contract = WatContract()
    at = "(i64.load (i32.const 0))"
    own = f"(i64.store (i32.const 0) {contract.host('promise_batch_create', *contract.put(MAKER))})"
    other = f"(i64.store (i32.const 0) {contract.host('promise_batch_create', *contract.put(account_id))})"
    code_hash = contract.put(HASH.code_hash.raw)
    contract.method(
        "publish", own, contract.host("promise_batch_action_deploy_global_contract", at, *contract.put(ONE))
    )
    contract.method(
        "publish_own",
        own,
        contract.host("promise_batch_action_deploy_global_contract_by_account_id", at, *contract.put(TWO)),
    )
    started = contract.host("promise_batch_action_state_init", at, *code_hash, contract.amount(NEAR))
    entry = contract.host(
        "set_state_init_data_entry", at, "(i64.load (i32.const 8))", *contract.put("k"), *contract.put('"v"')
    )
    contract.method("make", other, f"(i64.store (i32.const 8) {started})", entry)
    contract.method("make_twice", other, f"(i64.store (i32.const 8) {started})", entry, entry)
    contract.method("use", own, contract.host("promise_batch_action_use_global_contract", at, *code_hash))
    use_own = contract.host("promise_batch_action_use_global_contract_by_account_id", at, *contract.put(MAKER))
    contract.method("use_own", own, use_own)
    bad = contract.host("promise_batch_action_use_global_contract", at, *contract.put("short"))
    contract.method("bad_hash", own, bad)
    chain.create(MAKER, 100 * NEAR, contract.code())
    chain.call(ALICE, MAKER, "publish")
    chain.call(ALICE, MAKER, "make")
    assert chain.view(account_id, "stored") == "v"
    assert "has this key already" in chain.call(ALICE, MAKER, "make_twice").panic
    assert "malformed contract code hash" in chain.call(ALICE, MAKER, "bad_hash").panic
    chain.call(ALICE, MAKER, "publish_own")
    chain.call(ALICE, MAKER, "use_own")
    assert chain.view(MAKER, "say") == "two"
    assert chain.supply + chain.burnt == chain.created
