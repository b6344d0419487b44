"""Gas keys and V1 transactions: purses, nonces by index, strict nonces; no yocto is lost on the way."""

import pytest

from contracts.calls import (
    Action,
    AddKey,
    DeleteAccount,
    DeleteKey,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    Permission,
    Transfer,
    TransferToGasKey,
    WithdrawFromGasKey,
)
from contracts.errors import ChainError
from contracts.signing.transaction import (
    NonceMode,
    SignedTransaction,
    Transaction,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import AccountId, Yocto
from contracts.vm.engine import Engine
from contracts.vm.state import AccessKey
from tests.contracts.vm.chain_double import BLOCK_HASH, NEAR, TGAS, TestChain, function_call, public_key, signing_key
from tests.contracts.vm.wat_contract import WatContract

ALICE, BOB, APP = AccountId("alice.test"), AccountId("bob.test"), AccountId("app.test")
GAS = public_key("gas")


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(Engine())
    chain.create(ALICE)
    chain.create(BOB)
    contract = WatContract()
    contract.method("ping", contract.returns("1"))
    chain.create(APP, NEAR, contract.code())
    return chain


def key(chain: TestChain) -> AccessKey:
    found = chain.state.access_key(ALICE, GAS)
    assert found is not None
    return found


def balance(chain: TestChain) -> int:
    permission = key(chain).permission
    assert isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess)
    return permission.balance


def funded(chain: TestChain, permission: Permission | None = None, amount: int = NEAR) -> None:
    chain.send(ALICE, ALICE, AddKey(GAS, permission or GasKeyFullAccess(Yocto(0), 3)))
    chain.send(ALICE, ALICE, TransferToGasKey(GAS, Yocto(amount)))


def signed(
    *actions: Action,
    nonce: int,
    index: int | None,
    receiver: AccountId = BOB,
    mode: NonceMode = "monotonic",
    signer: str = "gas",
) -> SignedTransaction:
    transaction = Transaction(ALICE, public_key(signer), nonce, receiver, BLOCK_HASH, actions, 1, mode, index)
    data = encode_transaction(transaction)
    return signed_transaction(transaction, data, signing_key(signer).sign(transaction_hash(data).raw).signature)


def refused(chain: TestChain, transaction: SignedTransaction) -> object:
    with pytest.raises(ChainError) as error:
        chain.deliver(transaction)
    return error.value.details["InvalidTxError"]


def test_a_gas_key_has_a_purse_and_nonces_and_takes_their_storage(chain: TestChain) -> None:
    usage = chain.account(ALICE).storage_usage
    height = chain.height
    funded(chain)
    assert key(chain) == AccessKey(0, GasKeyFullAccess(Yocto(NEAR), 3), (height * 10**6,) * 3)
    assert chain.account(ALICE).storage_usage == usage + 33 + 8 + 19 + 40 + 3 * (33 + 2 + 8 + 40)
    chain.send(ALICE, ALICE, WithdrawFromGasKey(GAS, Yocto(NEAR)))
    chain.send(ALICE, ALICE, DeleteKey(GAS))
    assert chain.account(ALICE).storage_usage == usage
    assert chain.supply + chain.burnt == chain.created


def test_the_key_pays_for_gas_and_the_account_for_deposits(chain: TestChain) -> None:
    funded(chain)
    alice, purse = chain.balance(ALICE), balance(chain)
    nonce = key(chain).nonces[1] + 7
    outcome = chain.deliver(signed(Transfer(Yocto(5)), nonce=nonce, index=1))
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert chain.balance(ALICE) == alice - 5
    assert balance(chain) == purse - burnt
    first = key(chain).nonces[0]
    assert key(chain).nonces == (first, nonce, first)
    assert key(chain).nonce == 0
    assert chain.supply + chain.burnt == chain.created


def test_unused_gas_goes_back_into_the_purse(chain: TestChain) -> None:
    permission = GasKeyFunctionCallAccess(Yocto(0), 2, APP, ("ping",))
    funded(chain, permission)
    alice, purse = chain.balance(ALICE), balance(chain)
    outcome = chain.deliver(
        signed(function_call("ping", gas=100 * TGAS), nonce=key(chain).nonces[0] + 1, index=0, receiver=APP)
    )
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert (chain.balance(ALICE), balance(chain)) == (alice, purse - burnt)
    assert chain.supply + chain.burnt == chain.created


def test_a_gas_key_for_function_calls_calls_only_what_it_may(chain: TestChain) -> None:
    funded(chain, GasKeyFunctionCallAccess(Yocto(0), 1, APP, ("ping",)))
    nonce = key(chain).nonces[0] + 1
    assert refused(chain, signed(Transfer(Yocto(1)), nonce=nonce, index=0)) == {
        "InvalidAccessKeyError": "RequiresFullAccess"
    }
    assert refused(chain, signed(function_call("other"), nonce=nonce, index=0, receiver=APP)) == {
        "InvalidAccessKeyError": {"MethodNameMismatch": {"method_name": "other"}}
    }


def test_what_is_wrong_with_nonces_and_funds_is_refused_in_nearcores_words(chain: TestChain) -> None:
    funded(chain, amount=10**18)
    nonce = key(chain).nonces[0] + 1
    assert refused(chain, signed(Transfer(Yocto(1)), nonce=nonce, index=None)) == {
        "InvalidNonceIndex": {"tx_nonce_index": None, "num_nonces": 3}
    }
    assert refused(chain, signed(Transfer(Yocto(1)), nonce=nonce, index=3)) == {
        "InvalidNonceIndex": {"tx_nonce_index": 3, "num_nonces": 3}
    }
    assert refused(chain, signed(Transfer(Yocto(1)), nonce=nonce - 1, index=0)) == {
        "InvalidNonce": {"tx_nonce": nonce - 1, "ak_nonce": nonce - 1}
    }
    poor = refused(chain, signed(Transfer(Yocto(1)), nonce=nonce, index=0))
    assert isinstance(poor, dict)
    assert "NotEnoughGasKeyBalance" in poor
    chain.send(ALICE, ALICE, TransferToGasKey(GAS, Yocto(NEAR)))
    much = refused(chain, signed(Transfer(Yocto(1000 * NEAR)), nonce=nonce, index=0))
    assert much == {
        "NotEnoughBalanceForDeposit": {
            "signer_id": ALICE,
            "balance": str(chain.balance(ALICE)),
            "cost": str(1000 * NEAR),
            "reason": "NotEnoughBalance",
        }
    }
    ordinary = refused(chain, signed(Transfer(Yocto(1)), nonce=nonce, index=0, signer=ALICE))
    assert isinstance(ordinary, dict)
    assert "InvalidAccessKeyError" in ordinary


@pytest.mark.parametrize("index", [None, 2])
def test_a_strict_nonce_is_exactly_the_next(chain: TestChain, index: int | None) -> None:
    funded(chain)
    access_key = chain.state.access_key(ALICE, public_key(ALICE))
    assert access_key is not None
    last, signer = (access_key.nonce, ALICE) if index is None else (key(chain).nonces[index], "gas")
    gap = signed(Transfer(Yocto(1)), nonce=last + 2, index=index, mode="strict", signer=signer)
    assert refused(chain, gap) == {"InvalidNonce": {"tx_nonce": last + 2, "ak_nonce": last}}
    chain.deliver(signed(Transfer(Yocto(1)), nonce=last + 1, index=index, mode="strict", signer=signer))
    chain.deliver(signed(Transfer(Yocto(1)), nonce=last + 9, index=index, signer=signer))
    assert chain.supply + chain.burnt == chain.created


def test_deleting_a_gas_key_burns_what_little_it_holds(chain: TestChain) -> None:
    funded(chain, amount=2 * NEAR)
    assert chain.send(ALICE, ALICE, DeleteKey(GAS)).failure == {
        "GasKeyBalanceTooHigh": {"account_id": ALICE, "public_key": GAS, "balance": str(2 * NEAR)}
    }
    assert chain.send(ALICE, ALICE, DeleteAccount(BOB)).failure == {
        "GasKeyBalanceTooHigh": {"account_id": ALICE, "public_key": None, "balance": str(2 * NEAR)}
    }
    chain.send(ALICE, ALICE, WithdrawFromGasKey(GAS, Yocto(2 * NEAR - 7)))
    outcome = chain.send(ALICE, ALICE, DeleteKey(GAS))
    receipt = next(receipt for receipt in outcome.receipts if receipt.executor_id == ALICE)
    assert receipt.tokens_burnt == receipt.gas_burnt * chain.gas_price + 7
    assert chain.supply + chain.burnt == chain.created


def test_anybody_fills_a_purse_and_only_the_owner_empties_it(chain: TestChain) -> None:
    funded(chain)
    chain.send(BOB, ALICE, TransferToGasKey(GAS, Yocto(3)))
    assert balance(chain) == NEAR + 3
    assert chain.send(BOB, ALICE, WithdrawFromGasKey(GAS, Yocto(3))).failure == {
        "ActorNoPermission": {"account_id": ALICE, "actor_id": BOB}
    }
    assert chain.send(ALICE, ALICE, WithdrawFromGasKey(GAS, Yocto(2 * NEAR))).failure == {
        "InsufficientGasKeyBalance": {
            "account_id": ALICE,
            "public_key": GAS,
            "balance": str(NEAR + 3),
            "required": str(2 * NEAR),
        }
    }
    for action in (TransferToGasKey(public_key(ALICE), Yocto(1)), WithdrawFromGasKey(public_key("no"), Yocto(1))):
        failure = chain.send(ALICE, ALICE, action).failure
        assert isinstance(failure, dict)
        assert "GasKeyDoesNotExist" in failure
    assert chain.supply + chain.burnt == chain.created


@pytest.mark.parametrize(
    ("permission", "error"),
    [
        (GasKeyFullAccess(Yocto(0), 0), {"GasKeyInvalidNumNonces": {"requested_nonces": 0, "limit": 1024}}),
        (GasKeyFullAccess(Yocto(0), 1025), {"GasKeyInvalidNumNonces": {"requested_nonces": 1025, "limit": 1024}}),
        (GasKeyFullAccess(Yocto(1), 1), {"AddGasKeyWithNonZeroBalance": {"balance": "1"}}),
        (GasKeyFunctionCallAccess(Yocto(0), 1, APP, (), Yocto(1)), "GasKeyFunctionCallAllowanceNotAllowed"),
    ],
)
def test_gas_keys_that_cannot_be_added(chain: TestChain, permission: Permission, error: object) -> None:
    with pytest.raises(ChainError) as refusal:
        chain.send(ALICE, ALICE, AddKey(GAS, permission))
    assert refusal.value.details["InvalidTxError"] == {"ActionsValidation": error}


def test_a_contract_adds_and_fills_gas_keys(chain: TestChain) -> None:
    contract = WatContract()
    raw = contract.put(b"\0" + GAS.raw)
    promise = contract.host("promise_batch_create", *contract.put("maker.test"))
    contract.method(
        "make",
        f"(i64.store (i32.const 0) {promise})",
        contract.host("promise_batch_action_add_gas_key_with_full_access", "(i64.load (i32.const 0))", *raw, 2),
        contract.host(
            "promise_batch_action_transfer_to_gas_key", "(i64.load (i32.const 0))", *raw, contract.amount(NEAR)
        ),
    )
    chain.create("maker.test", 10 * NEAR, contract.code())
    chain.call(ALICE, "maker.test", "make")
    made = chain.state.access_key("maker.test", GAS)
    assert made is not None
    assert made.permission == GasKeyFullAccess(Yocto(NEAR), 2)
    assert len(made.nonces) == 2
    assert chain.supply + chain.burnt == chain.created
