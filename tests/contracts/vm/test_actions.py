"""The eight actions: what they do, what they cost in storage, and nearcore's typed failures."""

import pytest

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Stake,
    Transfer,
)
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto
from contracts.vm.engine import Engine
from contracts.vm.receipts import ActionReceipt, SuccessValue
from contracts.vm.state import Account
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, function_call, public_key
from tests.contracts.vm.wat_contract import WatContract, drop

ENGINE = Engine()
ALICE, BOB = "alice.test", "bob.test"
NEW_KEY = PublicKey.from_bytes("ed25519", bytes(range(32)))
IMPLICIT = NEW_KEY.raw.hex()
ETH = "0x" + "ab" * 20
DETERMINISTIC = "0s" + "cd" * 20


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(ENGINE)
    chain.create(ALICE)
    chain.create(BOB)
    return chain


def conserved(chain: TestChain) -> bool:
    return chain.supply + chain.burnt == chain.created


def near(amount: int) -> Transfer:
    return Transfer(Yocto(amount * NEAR))


def call_permission(*names: str, allowance: int | None = None) -> FunctionCallAccess:
    return FunctionCallAccess(AccountId(BOB), names, None if allowance is None else Yocto(allowance))


# transfers


def test_a_transfer_moves_exactly_its_amount_and_burns_its_fees(chain: TestChain) -> None:
    outcome = chain.send(ALICE, BOB, Transfer(Yocto(15 * NEAR // 10)))
    assert chain.balance(BOB) == 1015 * NEAR // 10
    burnt = outcome.transaction.tokens_burnt + outcome.final.tokens_burnt
    assert burnt == 2 * 223_182_562_500 * 10**8  # 0.0000446 NEAR
    assert chain.balance(ALICE) == 985 * NEAR // 10 - burnt
    assert outcome.final.receipt_ids == ()  # nothing to refund (NEP-536)


def test_a_transfer_to_a_missing_named_account_comes_back(chain: TestChain) -> None:
    outcome = chain.send(ALICE, "nobody.test", near(3))
    assert outcome.failure == {"AccountDoesNotExist": {"account_id": "nobody.test"}}
    assert outcome.receipts[0].status != outcome.receipts[1].status
    assert chain.balance(ALICE) == 100 * NEAR - chain.burnt
    assert outcome.receipts[1].tokens_burnt == 0
    assert conserved(chain)


def test_a_transfer_brings_an_implicit_account_to_life_with_its_key(chain: TestChain) -> None:
    chain.send(ALICE, IMPLICIT, near(1))
    assert chain.account(IMPLICIT) == Account(NEAR, 0, None, 100 + 82)
    ((key, access_key),) = chain.state.access_keys(IMPLICIT)
    assert key == NEW_KEY
    assert access_key.permission == FullAccess()
    assert access_key.nonce == (chain.height - 1) * 10**6
    chain.send(ALICE, IMPLICIT, near(1))
    assert chain.balance(IMPLICIT) == 2 * NEAR


@pytest.mark.parametrize("name", [ETH, DETERMINISTIC])
def test_other_implicit_accounts_come_to_life_without_key_or_contract(chain: TestChain, name: str) -> None:
    chain.send(ALICE, name, near(1))
    assert chain.account(name) == Account(NEAR, 0, None, 100)
    assert chain.state.access_keys(name) == []


def test_transfers_to_implicit_ids_pay_for_a_possible_creation(chain: TestChain) -> None:
    plain = chain.send(ALICE, BOB, near(1))
    first = chain.send(ALICE, IMPLICIT, near(1))
    again = chain.send(ALICE, IMPLICIT, near(1))
    assert first.final.gas_burnt == again.final.gas_burnt
    assert first.final.gas_burnt - plain.final.gas_burnt == 3_850_000_000_000 + 101_765_125_000


def test_an_implicit_account_is_not_made_by_more_than_a_single_transfer(chain: TestChain) -> None:
    outcome = chain.send(ALICE, IMPLICIT, near(1), near(1))
    assert outcome.failure == {"AccountDoesNotExist": {"account_id": IMPLICIT}}
    outcome = chain.send(ALICE, IMPLICIT, CreateAccount(), near(1))
    assert outcome.failure == {"OnlyImplicitAccountCreationAllowed": {"account_id": IMPLICIT}}
    assert chain.state.account(IMPLICIT) is None
    assert conserved(chain)


# accounts


def test_a_subaccount_is_created_with_money_and_key_in_one_go(chain: TestChain) -> None:
    outcome = chain.send(ALICE, "sub.alice.test", CreateAccount(), near(2), AddKey(NEW_KEY, FullAccess()))
    assert isinstance(outcome.final.status, SuccessValue)
    assert chain.account("sub.alice.test") == Account(2 * NEAR, 0, None, 100 + 82)


def test_an_account_without_money_may_exist_when_it_is_small(chain: TestChain) -> None:
    chain.send(ALICE, "sub.alice.test", CreateAccount(), AddKey(NEW_KEY, FullAccess()))
    assert chain.balance("sub.alice.test") == 0


@pytest.mark.parametrize(
    ("receiver", "kind"),
    [
        (BOB, {"AccountAlreadyExists": {"account_id": BOB}}),
        ("x.bob.test", {"CreateAccountNotAllowed": {"account_id": "x.bob.test", "predecessor_id": ALICE}}),
        ("x.sub.alice.test", {"CreateAccountNotAllowed": {"account_id": "x.sub.alice.test", "predecessor_id": ALICE}}),
        (
            "short",
            {
                "CreateAccountOnlyByRegistrar": {
                    "account_id": "short",
                    "registrar_account_id": "registrar",
                    "predecessor_id": ALICE,
                }
            },
        ),
    ],
)
def test_names_that_alice_may_not_create(chain: TestChain, receiver: str, kind: object) -> None:
    assert chain.send(ALICE, receiver, CreateAccount(), near(1)).failure == kind
    assert conserved(chain)


def test_the_registrar_creates_short_names(chain: TestChain) -> None:
    chain.create("registrar")
    chain.send("registrar", "short", CreateAccount(), near(1))
    assert chain.balance("short") == NEAR


def test_an_account_is_deleted_and_its_balance_paid_out(chain: TestChain) -> None:
    outcome = chain.send(ALICE, ALICE, DeleteAccount(AccountId(BOB)))
    assert isinstance(outcome.final.status, SuccessValue)
    assert chain.state.account(ALICE) is None
    assert chain.state.access_keys(ALICE) == []
    assert chain.balance(BOB) + chain.burnt == 200 * NEAR


def test_a_payout_to_a_missing_beneficiary_is_gone(chain: TestChain) -> None:
    for name in ("nobody.test", IMPLICIT):
        chain.create("rich.test")
        chain.send("rich.test", "rich.test", DeleteAccount(AccountId(name)))
        assert chain.state.account(name) is None
        assert conserved(chain)  # counted as lost


def test_an_account_with_much_state_or_a_stake_is_not_deleted(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("fill", drop(contract.host("storage_write", *contract.put("k"), 10_000, 0, 0)))
    chain.create("big.test", code=contract.code())
    chain.call("big.test", "big.test", "fill", b"")
    outcome = chain.send("big.test", "big.test", DeleteAccount(AccountId(BOB)))
    assert outcome.failure == {"DeleteAccountWithLargeState": {"account_id": "big.test"}}
    chain.send(BOB, BOB, Stake(Yocto(NEAR), NEW_KEY))
    outcome = chain.send(BOB, BOB, DeleteAccount(AccountId(ALICE)))
    assert outcome.failure == {"DeleteAccountStaking": {"account_id": BOB}}
    assert conserved(chain)


# keys


def test_keys_are_added_with_a_nonce_of_their_block_and_deleted(chain: TestChain) -> None:
    before = chain.account(ALICE).storage_usage
    chain.send(ALICE, ALICE, AddKey(NEW_KEY, FullAccess(), 77))
    added = chain.state.access_key(ALICE, NEW_KEY)
    assert added is not None
    assert added.nonce == (chain.height - 1) * 10**6
    assert chain.account(ALICE).storage_usage == before + 82
    chain.send(ALICE, ALICE, DeleteKey(NEW_KEY))
    assert chain.state.access_key(ALICE, NEW_KEY) is None
    assert chain.account(ALICE).storage_usage == before


@pytest.mark.parametrize(
    ("permission", "size"),
    [
        (call_permission(), 42 + 40 + 1 + 4 + 8 + 4),
        (call_permission(allowance=5), 42 + 40 + 17 + 4 + 8 + 4),
        (call_permission("ab", "c\u00e9"), 42 + 40 + 1 + 4 + 8 + 4 + 4 + 2 + 4 + 3),
    ],
)
def test_function_call_keys_take_what_their_borsh_takes(
    chain: TestChain, permission: FunctionCallAccess, size: int
) -> None:
    before = chain.account(ALICE).storage_usage
    chain.send(ALICE, ALICE, AddKey(NEW_KEY, permission))
    assert chain.account(ALICE).storage_usage == before + size
    chain.send(ALICE, ALICE, DeleteKey(NEW_KEY))
    assert chain.account(ALICE).storage_usage == before


def test_a_secp256k1_key_takes_32_bytes_more(chain: TestChain) -> None:
    before = chain.account(ALICE).storage_usage
    chain.send(ALICE, ALICE, AddKey(PublicKey.from_bytes("secp256k1", bytes(64)), FullAccess()))
    assert chain.account(ALICE).storage_usage == before + 114


def test_key_failures(chain: TestChain) -> None:
    own = public_key(ALICE)
    assert chain.send(ALICE, ALICE, AddKey(own, FullAccess())).failure == {
        "AddKeyAlreadyExists": {"account_id": ALICE, "public_key": own}
    }
    assert chain.send(ALICE, ALICE, DeleteKey(NEW_KEY)).failure == {
        "DeleteKeyDoesNotExist": {"account_id": ALICE, "public_key": NEW_KEY}
    }


@pytest.mark.parametrize(
    "action",
    [
        AddKey(NEW_KEY, FullAccess()),
        DeleteKey(NEW_KEY),
        DeployContract(b"code"),
        Stake(Yocto(1), NEW_KEY),
        DeleteAccount(AccountId(ALICE)),
    ],
)
def test_only_an_account_itself_may_do_this_to_it(chain: TestChain, action: Action) -> None:
    assert chain.send(ALICE, BOB, action).failure == {"ActorNoPermission": {"account_id": BOB, "actor_id": ALICE}}
    assert chain.send(ALICE, "nobody.test", action).failure == {"AccountDoesNotExist": {"account_id": "nobody.test"}}


# contracts and stake


def test_code_is_deployed_replaced_and_paid_for_by_storage(chain: TestChain) -> None:
    before = chain.account(ALICE).storage_usage
    contract = WatContract()
    contract.method("run", contract.returns("one"))
    code = contract.code()
    chain.send(ALICE, ALICE, DeployContract(code))
    assert chain.account(ALICE).code_hash == CryptoHash.of(code)
    assert chain.account(ALICE).storage_usage == before + len(code)
    assert chain.call(BOB, ALICE, "run", b"").value == b"one"
    chain.send(ALICE, ALICE, DeployContract(b"no wasm"))
    assert chain.account(ALICE).storage_usage == before + 7
    assert chain.call(BOB, ALICE, "run", b"").failure == {
        "FunctionCallError": {"CompilationError": {"PrepareError": "Deserialization"}}
    }


def test_an_account_that_cannot_pay_for_its_storage_fails(chain: TestChain) -> None:
    outcome = chain.send(ALICE, "sub.alice.test", CreateAccount(), near(1), DeployContract(bytes(200_000)))
    assert outcome.failure == {
        "LackBalanceForState": {
            "account_id": "sub.alice.test",
            "amount": str((200_000 + 100) * 10**19 - NEAR),
        }
    }
    assert chain.state.account("sub.alice.test") is None
    assert conserved(chain)


def test_a_call_of_an_account_without_contract(chain: TestChain) -> None:
    outcome = chain.call(ALICE, BOB, "run", deposit=NEAR)
    assert outcome.failure == {"FunctionCallError": {"CompilationError": {"CodeDoesNotExist": {"account_id": BOB}}}}
    assert chain.balance(BOB) == 100 * NEAR
    assert conserved(chain)


def test_a_stake_is_locked_and_released(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, Stake(Yocto(60 * NEAR), NEW_KEY))
    account = chain.account(ALICE)
    assert account.locked == 60 * NEAR
    assert account.amount + chain.burnt == 40 * NEAR
    outcome = chain.send(ALICE, ALICE, Stake(Yocto(200 * NEAR), NEW_KEY))
    assert outcome.failure == {
        "TriesToStake": {
            "account_id": ALICE,
            "stake": str(200 * NEAR),
            "locked": str(60 * NEAR),
            "balance": str(chain.balance(ALICE)),
        }
    }
    chain.send(ALICE, ALICE, Stake(Yocto(0), NEW_KEY))
    assert chain.account(ALICE).locked == 0
    outcome = chain.send(ALICE, ALICE, Stake(Yocto(0), NEW_KEY))
    assert outcome.failure == {"TriesToUnstake": {"account_id": ALICE}}
    assert conserved(chain)


# together


def test_actions_of_one_receipt_roll_back_together(chain: TestChain) -> None:
    outcome = chain.send(
        ALICE, "sub.alice.test", CreateAccount(), near(5), AddKey(NEW_KEY, FullAccess()), DeleteKey(public_key(ALICE))
    )
    error = outcome.final.status
    assert "'index': 3" in str(error)
    assert chain.state.account("sub.alice.test") is None
    assert chain.state.access_key("sub.alice.test", NEW_KEY) is None
    assert chain.balance(ALICE) == 100 * NEAR - chain.burnt


def test_gas_that_was_not_used_comes_back_to_the_signer(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("run", contract.returns("1"))
    chain.create("c.test", code=contract.code())
    outcome = chain.call(ALICE, "c.test", "run", b"", gas=300 * TGAS)
    assert chain.balance(ALICE) == 100 * NEAR - outcome.transaction.tokens_burnt - outcome.receipts[0].tokens_burnt
    refund = outcome.receipts[1]
    assert refund.executor_id == ALICE
    assert refund.tokens_burnt == 0


def test_a_contract_earns_three_tenths_of_the_gas_its_call_burnt(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("run", contract.returns("1"))
    chain.create("c.test", code=contract.code())
    outcome = chain.call(ALICE, "c.test", "run", b"")
    fixed = 108_059_500_000 + 780_000_000_000 + 2_235_934 * len("run")
    assert chain.balance("c.test") - 100 * NEAR == (outcome.final.gas_burnt - fixed) * 3 // 10 * 10**8


def test_two_calls_in_one_receipt_add_their_gas_and_return_the_last_result(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("first", contract.returns("1"))
    contract.method("second", contract.returns("2"))
    chain.create("c.test", code=contract.code())
    outcome = chain.send(ALICE, "c.test", function_call("first", b""), function_call("second", b""))
    assert outcome.value == b"2"
    one = chain.call(ALICE, "c.test", "first", b"")
    assert outcome.final.gas_burnt > one.final.gas_burnt + 780_000_000_000
    outcome = chain.send(ALICE, "c.test", function_call("first", b""), near(1))
    assert outcome.value == b""


def test_a_function_call_key_gets_unused_gas_back_into_its_allowance(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("run", contract.returns("1"))
    chain.create(BOB + "by", code=contract.code())
    permission = FunctionCallAccess(AccountId(BOB + "by"), ("run",), Yocto(NEAR))
    chain.send(ALICE, ALICE, AddKey(public_key("app.key"), permission))
    chain.nonce = chain.height * 10**6
    chain.height += 5
    outcome = chain.send(ALICE, BOB + "by", function_call("run", b"", gas=200 * TGAS), key="app.key")
    left = chain.state.access_key(ALICE, public_key("app.key"))
    assert left is not None
    assert isinstance(left.permission, FunctionCallAccess)
    assert left.permission.allowance == NEAR - outcome.transaction.tokens_burnt - outcome.receipts[0].tokens_burnt


def test_a_refund_whose_account_is_gone_is_lost_and_makes_no_account(chain: TestChain) -> None:
    refund = ActionReceipt(
        CryptoHash.of(b"refund"),
        AccountId("system"),
        AccountId(IMPLICIT),
        AccountId("system"),
        NEW_KEY,
        Yocto(0),
        (Transfer(Yocto(5)),),
    )
    result = chain.runtime.apply_receipt(chain.state, refund, chain.block)
    assert result.lost == 5
    assert result.new_receipts == ()
    assert chain.state.account(IMPLICIT) is None


def test_the_price_at_purchase_holds_until_the_end(chain: TestChain) -> None:
    contract = WatContract()
    contract.method("run", contract.returns("1"))
    chain.create("c.test", code=contract.code())
    signed = chain.sign(ALICE, "c.test", FunctionCall("run", b"", Gas(50 * TGAS), Yocto(0)))
    execution, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    chain.burnt += execution.tokens_burnt
    chain.gas_price *= 20
    outcome = Outcome(execution)
    chain.run([receipt], outcome)
    assert outcome.receipts[0].tokens_burnt == outcome.receipts[0].gas_burnt * 10**8
    assert conserved(chain)
