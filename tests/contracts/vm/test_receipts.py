import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

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
from contracts.vm.receipts import (
    SYSTEM,
    ActionReceipt,
    DataReceipt,
    DataReceiver,
    ExecutionStatus,
    Failure,
    Receipt,
    ReceiptExecution,
    SuccessReceiptId,
    SuccessValue,
    Unknown,
    derived_id,
)

ALICE, BOB = AccountId("alice.test"), AccountId("bob.test")
KEY = PublicKey.from_bytes("secp256k1", bytes(range(64)))
HASH = CryptoHash.of(b"x")
ACTIONS: list[Action] = [
    CreateAccount(),
    DeployContract(bytes(range(256))),
    FunctionCall("m", b"\xff\x00", Gas(2**64 - 1), Yocto(2**128 - 1)),
    Transfer(Yocto(1)),
    Stake(Yocto(5), KEY),
    AddKey(KEY, FullAccess()),
    AddKey(KEY, FunctionCallAccess(BOB, ("a", "b"), Yocto(7)), 9),
    DeleteKey(KEY),
    DeleteAccount(BOB),
]
RECEIPTS: TypeAdapter[ActionReceipt | DataReceipt] = TypeAdapter(Receipt)
EXECUTIONS = TypeAdapter(ReceiptExecution)


def test_an_action_receipt_survives_json() -> None:
    receipt = ActionReceipt(
        HASH, ALICE, BOB, ALICE, KEY, Yocto(2**127), tuple(ACTIONS), (HASH,), (DataReceiver(HASH, ALICE),)
    )
    assert RECEIPTS.validate_json(RECEIPTS.dump_json(receipt)) == receipt
    assert not receipt.is_refund


@given(st.one_of(st.none(), st.binary(max_size=200)))
def test_a_data_receipt_survives_json(data: bytes | None) -> None:
    receipt = DataReceipt(HASH, ALICE, BOB, HASH, data)
    assert RECEIPTS.validate_json(RECEIPTS.dump_json(receipt)) == receipt


@pytest.mark.parametrize(
    "status",
    [
        Unknown(),
        Failure({"ActionError": {"index": 0, "kind": {"AccountDoesNotExist": {"account_id": "bob.test"}}}}),
        SuccessValue(b"\x00\xff"),
        SuccessReceiptId(HASH),
    ],
)
def test_an_execution_survives_json(status: ExecutionStatus) -> None:
    execution = ReceiptExecution(HASH, BOB, ("log \N{ROCKET}",), (HASH,), 2**60, Yocto(2**100), status)
    assert EXECUTIONS.validate_json(EXECUTIONS.dump_json(execution)) == execution


def test_refunds_come_from_system() -> None:
    assert ActionReceipt(HASH, SYSTEM, BOB, SYSTEM, KEY, Yocto(0), ()).is_refund


def test_derived_ids_differ_by_parent_height_and_place() -> None:
    ids = {
        derived_id(bytes([parent]) * 32, height, salt)
        for parent in range(3)
        for height in range(3)
        for salt in range(3)
    }
    assert len(ids) == 27
