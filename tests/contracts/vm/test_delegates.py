"""Delegate actions: a relayer pays, the sender acts, once, and only as its key may."""

from dataclasses import replace

import pytest
from pydantic import JsonValue, TypeAdapter

from contracts.calls import (
    Delegate,
    DelegateAction,
    FullAccess,
    FunctionCallAccess,
    GasKeyFullAccess,
    PlainAction,
    Transfer,
)
from contracts.errors import ChainError
from contracts.signing.messages import delegate_hash, signed_delegate
from contracts.types import AccountId, PublicKey, Yocto
from contracts.vm.engine import Engine
from contracts.vm.state import AccessKey
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, function_call, public_key, signing_key
from tests.contracts.vm.wat_contract import WatContract

_ERROR: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
ALICE, BOB, RELAYER, APP = (AccountId(f"{name}.test") for name in ("alice", "bob", "relayer", "app"))


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(Engine())
    for name in (ALICE, BOB, RELAYER):
        chain.create(name)
    contract = WatContract()
    contract.method("who", contract.host("predecessor_account_id", 1), contract.host("value_return", 2**64 - 1, 1))
    contract.method("fail", contract.panics("no"))
    chain.create(APP, NEAR, contract.code())
    return chain


def delegate(
    *actions: PlainAction,
    receiver_id: AccountId = BOB,
    nonce: int = 50,
    max_block_height: int = 10_000,
    key: str = ALICE,
) -> Delegate:
    action = DelegateAction(ALICE, receiver_id, actions, nonce, max_block_height, public_key(key))
    return signed_delegate(action, signing_key(key).sign(delegate_hash(action)).signature)


def test_the_sender_acts_and_the_relayer_pays(chain: TestChain) -> None:
    before = {name: chain.balance(name) for name in (ALICE, BOB, RELAYER)}
    outcome = chain.send(RELAYER, ALICE, delegate(Transfer(Yocto(NEAR))))
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert chain.balance(BOB) == before[BOB] + NEAR
    assert chain.balance(ALICE) == before[ALICE]
    assert chain.balance(RELAYER) == before[RELAYER] - NEAR - burnt
    key = chain.state.access_key(ALICE, public_key(ALICE))
    assert key is not None
    assert key.nonce == 50
    assert chain.supply + chain.burnt == chain.created


def test_a_contract_sees_the_sender(chain: TestChain) -> None:
    outcome = chain.send(RELAYER, ALICE, delegate(function_call("who", gas=30 * TGAS), receiver_id=APP))
    assert [receipt.executor_id for receipt in outcome.receipts[:2]] == [ALICE, APP]
    statuses = [receipt.status for receipt in outcome.receipts if receipt.executor_id == APP]
    assert b"alice.test" in str(statuses[0]).encode()
    assert chain.supply + chain.burnt == chain.created


def test_a_failed_call_gives_the_deposit_to_the_sender_and_the_gas_to_the_relayer(chain: TestChain) -> None:
    before = {name: chain.balance(name) for name in (ALICE, RELAYER)}
    outcome = chain.send(RELAYER, ALICE, delegate(function_call("fail", deposit=NEAR, gas=30 * TGAS), receiver_id=APP))
    burnt = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert chain.balance(ALICE) == before[ALICE] + NEAR
    assert chain.balance(RELAYER) == before[RELAYER] - NEAR - burnt
    assert chain.supply + chain.burnt == chain.created


def test_it_acts_once(chain: TestChain) -> None:
    signed = delegate(Transfer(Yocto(NEAR)))
    chain.send(RELAYER, ALICE, signed)
    balance = chain.balance(BOB)
    again = chain.send(BOB, ALICE, signed)
    assert again.failure == {"DelegateActionInvalidNonce": {"delegate_nonce": 50, "ak_nonce": 50}}
    assert chain.balance(BOB) <= balance
    assert chain.supply + chain.burnt == chain.created


def test_what_is_refused_leaves_the_nonce_alone(chain: TestChain) -> None:
    good = delegate(Transfer(Yocto(1)))
    forged = replace(good, delegate_action=replace(good.delegate_action, actions=(Transfer(Yocto(2)),)))
    assert chain.send(RELAYER, ALICE, forged).failure == "DelegateActionInvalidSignature"
    assert chain.send(RELAYER, ALICE, delegate(max_block_height=chain.height)).failure == "DelegateActionExpired"
    assert chain.send(RELAYER, BOB, good).failure == {
        "DelegateActionSenderDoesNotMatchTxReceiver": {"sender_id": ALICE, "receiver_id": BOB}
    }
    refused = chain.send(RELAYER, ALICE, delegate(nonce=10**15)).failure
    assert isinstance(refused, dict)
    assert "DelegateActionNonceTooLarge" in refused
    unknown = chain.send(RELAYER, ALICE, delegate(key=BOB)).failure
    fields = {"account_id": ALICE, "public_key": public_key(BOB)}
    assert unknown == {"DelegateActionAccessKeyError": {"AccessKeyNotFound": fields}}
    assert chain.state.access_key(ALICE, public_key(ALICE)) == AccessKey(0, FullAccess())
    assert chain.supply + chain.burnt == chain.created


def key_error(outcome: Outcome) -> object:
    return _ERROR.validate_python(outcome.failure)["DelegateActionAccessKeyError"]


def test_a_function_call_key_delegates_what_it_may_call(chain: TestChain) -> None:
    permission = FunctionCallAccess(APP, ("who",), Yocto(1))
    chain.state.set_access_key(ALICE, public_key("app-key"), AccessKey(0, permission))

    def tried(*actions: PlainAction, receiver_id: AccountId = APP, nonce: int = 60) -> object:
        signed = delegate(*actions, receiver_id=receiver_id, nonce=nonce, key="app-key")
        return key_error(chain.send(RELAYER, ALICE, signed))

    assert tried(Transfer(Yocto(1))) == "RequiresFullAccess"
    assert tried(function_call("who", deposit=1)) == "DepositWithFunctionCall"
    assert tried(function_call("who"), receiver_id=BOB) == {
        "ReceiverMismatch": {"tx_receiver": BOB, "ak_receiver": APP}
    }
    assert tried(function_call("fail")) == {"MethodNameMismatch": {"method_name": "fail"}}
    signed = delegate(function_call("who"), receiver_id=APP, nonce=60, key="app-key")
    chain.send(RELAYER, ALICE, signed)
    assert chain.state.access_key(ALICE, public_key("app-key")) == AccessKey(60, permission)


def test_a_gas_key_signs_no_delegate_action(chain: TestChain) -> None:
    gas_key = AccessKey(0, GasKeyFullAccess(Yocto(NEAR), 1), (0,))
    chain.state.set_access_key(ALICE, public_key("gas"), gas_key)
    refused = chain.send(RELAYER, ALICE, delegate(Transfer(Yocto(1)), key="gas")).failure
    assert refused == {"DelegateActionAccessKeyError": "DelegateActionRequiresNonGasKey"}


def test_a_transaction_carries_one_delegate_action(chain: TestChain) -> None:
    with pytest.raises(ChainError, match="DelegateActionMustBeOnlyOne"):
        chain.send(RELAYER, ALICE, delegate(), delegate(nonce=51))
    with pytest.raises(ChainError, match="FunctionCallZeroAttachedGas"):
        chain.send(RELAYER, ALICE, delegate(function_call("who", gas=0)))


def test_an_ml_dsa_key_delegates_nothing(chain: TestChain) -> None:
    key = PublicKey.from_bytes("ml-dsa-65", bytes(1952))
    action = DelegateAction(ALICE, BOB, (), 1, 10_000, key)
    assert chain.send(RELAYER, ALICE, Delegate(action, bytes(3309))).failure == "DelegateActionInvalidSignature"
