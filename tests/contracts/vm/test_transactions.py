"""Which transactions enter a block: nearcore's refusals, in its shapes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    DeleteAccount,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Stake,
    Transfer,
)
from contracts.errors import ChainError
from contracts.signing.transaction import SignedTransaction, decode_signed_transaction
from contracts.types import U128_MAX, AccountId, Gas, PublicKey, Yocto
from contracts.vm.engine import Engine
from contracts.vm.receipts import SuccessReceiptId
from contracts.vm.state import AccessKey
from tests.contracts.vm.chain_double import NEAR, TGAS, TestChain, function_call, public_key

ENGINE = Engine()
ALICE, BOB = "alice.test", "bob.test"
SECP = PublicKey.from_bytes("secp256k1", bytes(64))
VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "rpc"


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(ENGINE)
    chain.create(ALICE)
    chain.create(BOB)
    return chain


def refusal(chain: TestChain, signed: SignedTransaction) -> JsonValue:
    before = chain.state.changes()
    with pytest.raises(ChainError) as refused:
        chain.runtime.validate_transaction(chain.state, signed, chain.block)
    assert refused.value.code == "INVALID_TRANSACTION"
    assert chain.state.changes() == before
    return refused.value.details["InvalidTxError"]


def near(amount: int) -> Transfer:
    return Transfer(Yocto(amount * NEAR))


def limit_key(chain: TestChain, *names: str, allowance: int | None = None) -> None:
    """Alice's `app` key may only call bob.test."""
    permission = FunctionCallAccess(AccountId(BOB), names, None if allowance is None else Yocto(allowance))
    chain.state.set_access_key(ALICE, public_key("app"), AccessKey(0, permission))


def test_a_good_transaction_is_charged_once(chain: TestChain) -> None:
    signed = chain.sign(ALICE, BOB, near(1))
    chain.runtime.validate_transaction(chain.state, signed, chain.block)
    execution, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    assert execution.id == signed.tx_hash
    assert execution.status == SuccessReceiptId(receipt.receipt_id)
    assert execution.receipt_ids == (receipt.receipt_id,)
    assert execution.gas_burnt == 223_182_562_500
    key = chain.state.access_key(ALICE, public_key(ALICE))
    assert key is not None
    assert key.nonce == signed.transaction.nonce
    assert refusal(chain, signed) == {"InvalidNonce": {"tx_nonce": key.nonce, "ak_nonce": key.nonce}}
    with pytest.raises(ChainError):
        chain.runtime.convert_transaction(chain.state, signed, chain.block)


def test_signatures_are_checked(chain: TestChain) -> None:
    signed = chain.sign(ALICE, BOB, near(1))
    assert refusal(chain, replace(signed, signature=bytes(64))) == "InvalidSignature"
    chain.state.set_access_key(ALICE, SECP, AccessKey(0, FullAccess()))
    other = replace(signed, transaction=replace(signed.transaction, public_key=SECP), signature=bytes(65))
    assert refusal(chain, other) == "InvalidSignature"


def test_the_signer_and_its_key_must_exist(chain: TestChain) -> None:
    assert refusal(chain, chain.sign("nobody.test", BOB, near(1))) == {
        "SignerDoesNotExist": {"signer_id": "nobody.test"}
    }
    assert refusal(chain, chain.sign(ALICE, BOB, near(1), key=BOB)) == {
        "InvalidAccessKeyError": {"AccessKeyNotFound": {"account_id": ALICE, "public_key": public_key(BOB)}}
    }


def test_a_nonce_lies_between_the_keys_and_the_heights(chain: TestChain) -> None:
    chain.state.set_access_key(ALICE, public_key(ALICE), AccessKey(12, FullAccess()))
    bound = chain.height * 10**6
    for nonce in (0, 5, 12):
        assert refusal(chain, chain.sign(ALICE, BOB, near(1), nonce=nonce)) == {
            "InvalidNonce": {"tx_nonce": nonce, "ak_nonce": 12}
        }
    for nonce in (bound, 2**64 - 1):
        assert refusal(chain, chain.sign(ALICE, BOB, near(1), nonce=nonce)) == {
            "NonceTooLarge": {"tx_nonce": nonce, "upper_bound": bound}
        }
    for nonce in (13, bound - 1):
        chain.runtime.validate_transaction(chain.state, chain.sign(ALICE, BOB, near(1), nonce=nonce), chain.block)


def test_the_signer_must_be_able_to_pay(chain: TestChain) -> None:
    assert refusal(chain, chain.sign(ALICE, BOB, near(100))) == {
        "NotEnoughBalance": {
            "signer_id": ALICE,
            "balance": str(100 * NEAR),
            "cost": str(100 * NEAR + 2 * 223_182_562_500 * 10**8),
        }
    }
    too_much = Transfer(Yocto(U128_MAX))
    assert refusal(chain, chain.sign(ALICE, BOB, too_much, too_much)) == "CostOverflow"
    chain.create("c.test", 20 * NEAR, bytes(1_000_000))
    error = refusal(chain, chain.sign("c.test", BOB, near(11)))
    assert isinstance(error, dict)
    shortage = error["LackBalanceForState"]
    assert isinstance(shortage, dict)
    assert shortage["signer_id"] == "c.test"
    assert int(str(shortage["amount"])) > NEAR


def test_a_limited_key_calls_one_contract_without_a_deposit(chain: TestChain) -> None:
    limit_key(chain, "go")

    def refused(*actions: Action, receiver: str = BOB) -> JsonValue:
        error = refusal(chain, chain.sign(ALICE, receiver, *actions, key="app"))
        assert isinstance(error, dict)
        return error["InvalidAccessKeyError"]

    chain.runtime.validate_transaction(chain.state, chain.sign(ALICE, BOB, function_call("go"), key="app"), chain.block)
    assert refused(near(1)) == "RequiresFullAccess"
    assert refused(function_call("go"), function_call("go")) == "RequiresFullAccess"
    assert refused() == "RequiresFullAccess"
    assert refused(function_call("go", deposit=1)) == "DepositWithFunctionCall"
    assert refused(function_call("stop")) == {"MethodNameMismatch": {"method_name": "stop"}}
    assert refused(function_call("go"), receiver=ALICE) == {
        "ReceiverMismatch": {"tx_receiver": ALICE, "ak_receiver": BOB}
    }
    limit_key(chain)
    chain.runtime.validate_transaction(
        chain.state, chain.sign(ALICE, BOB, function_call("any"), key="app"), chain.block
    )


def test_an_allowance_bounds_what_a_key_spends(chain: TestChain) -> None:
    limit_key(chain, allowance=10**22)
    signed = chain.sign(ALICE, BOB, function_call("go", gas=TGAS), key="app")
    chain.runtime.validate_transaction(chain.state, signed, chain.block)
    chain.runtime.convert_transaction(chain.state, signed, chain.block)
    key = chain.state.access_key(ALICE, public_key("app"))
    assert key is not None
    assert isinstance(key.permission, FunctionCallAccess)
    assert key.permission.allowance is not None
    assert 10**22 - 10**21 < key.permission.allowance < 10**22
    error = refusal(chain, chain.sign(ALICE, BOB, function_call("go"), key="app"))
    assert isinstance(error, dict)
    inner = error["InvalidAccessKeyError"]
    assert isinstance(inner, dict)
    body = inner["NotEnoughAllowance"]
    assert isinstance(body, dict)
    assert body["allowance"] == str(key.permission.allowance)
    assert set(body) == {"account_id", "public_key", "allowance", "cost"}


@pytest.mark.parametrize(
    ("actions", "error"),
    [
        ([function_call("x", gas=0)], "FunctionCallZeroAttachedGas"),
        (
            [function_call("x", gas=600 * TGAS), function_call("x", gas=600 * TGAS)],
            {"TotalPrepaidGasExceeded": {"total_prepaid_gas": 1200 * TGAS, "limit": 1000 * TGAS}},
        ),
        (
            [Transfer(Yocto(0))] * 101,
            {"TotalNumberOfActionsExceeded": {"total_number_of_actions": 101, "limit": 100}},
        ),
        ([DeleteAccount(AccountId(BOB)), CreateAccount()], "DeleteActionMustBeFinal"),
        (
            [FunctionCall("m" * 257, b"", Gas(1), Yocto(0))],
            {"FunctionCallMethodNameLengthExceeded": {"length": 257, "limit": 256}},
        ),
        ([Stake(Yocto(1), SECP)], {"UnsuitableStakingKey": {"public_key": str(SECP)}}),
        (
            [AddKey(SECP, FunctionCallAccess(AccountId(BOB), ("m" * 257,), None))],
            {"AddKeyMethodNameLengthExceeded": {"length": 257, "limit": 256}},
        ),
        (
            [AddKey(SECP, FunctionCallAccess(AccountId(BOB), ("m" * 255,) * 8, None))],
            {"AddKeyMethodNamesNumberOfBytesExceeded": {"total_number_of_bytes": 2048, "limit": 2000}},
        ),
    ],
)
def test_actions_are_checked_before_anything_else(chain: TestChain, actions: list[Action], error: JsonValue) -> None:
    assert refusal(chain, chain.sign("nobody.test", BOB, *actions)) == {"ActionsValidation": error}


def test_limits_that_a_transactions_size_hides_hold_too(chain: TestChain) -> None:
    """Code and arguments of 4 MiB do not fit a transaction; without its limit their own limits show."""
    limits = replace(chain.config.limits, max_transaction_size=2**30)
    wide = TestChain(ENGINE, replace(chain.config, limits=limits))
    size = 4_194_305
    assert refusal(wide, wide.sign(ALICE, BOB, DeployContract(bytes(size)))) == {
        "ActionsValidation": {"ContractSizeExceeded": {"size": size, "limit": size - 1}}
    }
    assert refusal(wide, wide.sign(ALICE, BOB, function_call("x", bytes(size)))) == {
        "ActionsValidation": {"FunctionCallArgumentsLengthExceeded": {"length": size, "limit": size - 1}}
    }
    signed = chain.sign(ALICE, BOB, DeployContract(bytes(1_572_864)))
    assert refusal(chain, signed) == {
        "TransactionSizeExceeded": {"size": len(signed.data), "limit": 1_572_864},
    }


def test_a_transaction_read_from_the_wire_is_the_same(chain: TestChain) -> None:
    signed = decode_signed_transaction(chain.sign(ALICE, BOB, near(1)).data)
    chain.runtime.validate_transaction(chain.state, signed, chain.block)


@pytest.mark.parametrize(
    "path", sorted(VECTORS.glob("invalid_tx_*.json")), ids=lambda path: path.stem.removeprefix("invalid_tx_")
)
def test_refusals_have_the_fields_of_the_samples(chain: TestChain, path: Path) -> None:
    """Every sample of a refusal that this room makes has exactly the keys that the runtime's own has."""
    made = {_shape(error) for error in _all_refusals(chain)}
    sample = json.loads(path.read_text())["response"]["error"]["data"]["TxExecutionError"]["InvalidTxError"]
    elsewhere = {"Expired", "InvalidChain", "ShardCongested"}
    assert _shape(sample) in made or _shape(sample).split("(")[0] in elsewhere


def _shape(error: JsonValue) -> str:
    if isinstance(error, dict):
        return ",".join(f"{key}({_shape(value)})" for key, value in sorted(error.items()))
    return error if isinstance(error, str) and error[:1].isupper() else "."


def _all_refusals(chain: TestChain) -> list[JsonValue]:
    limit_key(chain, "go", allowance=1)
    chain.create("c.test", 20 * NEAR, bytes(1_000_000))
    sent = [
        chain.sign("nobody.test", BOB, near(1)),
        chain.sign(ALICE, BOB, near(1), key=BOB),
        chain.sign(ALICE, BOB, near(1), nonce=0),
        chain.sign(ALICE, BOB, near(1), nonce=2**60),
        chain.sign(ALICE, BOB, near(1000)),
        chain.sign("c.test", BOB, near(11)),
        replace(chain.sign(ALICE, BOB, near(1)), signature=bytes(64)),
        chain.sign(ALICE, BOB, function_call("x", gas=0)),
        chain.sign(ALICE, BOB, function_call("x", gas=2000 * TGAS)),
        chain.sign(ALICE, BOB, function_call("go"), key="app"),
    ]
    errors = [refusal(chain, signed) for signed in sent]
    limit_key(chain, "go")
    sent = [
        chain.sign(ALICE, BOB, near(1), key="app"),
        chain.sign(ALICE, BOB, function_call("go", deposit=1), key="app"),
        chain.sign(ALICE, BOB, function_call("stop"), key="app"),
        chain.sign(ALICE, ALICE, function_call("go"), key="app"),
    ]
    return [*errors, *(refusal(chain, signed) for signed in sent)]
