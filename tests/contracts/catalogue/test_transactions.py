"""What became of a transaction, told to people."""

import dataclasses
from typing import Any

import pytest

from contracts.calls import ViewTransaction
from contracts.errors import RpcError
from contracts.knowledge.registry import Registry
from tests.contracts.catalogue.world import ALICE, BOB, CONTEXT, answer, build, explain, view

HASH = "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"
DONE: dict[str, Any] = {
    "final_execution_status": "FINAL",
    "final": True,
    "status": {"SuccessValue": None},
    "block_height": 12,
    "signer_id": "alice.localnet",
    "receiver_id": "usdc.localnet",
    "receipts": {"ok": 2, "failed": 0},
    "effects": [
        {"account_id": "alice.localnet", "token": "NEAR", "change": "-1250000000000000000001"},
        {"account_id": "carol.localnet", "token": "usdc.localnet", "change": "12500000"},
        {"account_id": "carol.localnet", "token": "other.localnet", "change": "7"},
        {"account_id": "carol.localnet", "token": "nft.localnet", "change": "-1", "token_id": "the `deed`"},
    ],
}


def test_who_and_what_moved_are_told() -> None:
    assert answer("tx_status", {"tx_hash": HASH}, DONE).splitlines() == [
        f"Transaction {HASH} is final and succeeded.",
        "From alice.localnet to usdc.localnet in block 12.",
        "- alice.localnet: -0.00125 NEAR and 1 yoctoNEAR",
        "- carol.localnet: +12.5 USDC (usdc.localnet)",
        "- carol.localnet: +7 base units of other.localnet",
        "- carol.localnet: -1 NFT “the 'deed'” of nft.localnet",
    ]


def test_a_failed_inner_receipt_is_told() -> None:
    said = answer("tx_status", {"tx_hash": HASH}, {**DONE, "receipts": {"ok": 2, "failed": 1}})
    assert "succeeded on the outside, but 1 receipt inside failed" in said


def test_a_contracts_own_words_are_told_inert() -> None:
    failed: dict[str, Any] = {
        **DONE,
        "status": {"Failure": {"ActionError": {}}},
        "error": {"code": "FunctionCallError", "message": "`x`\n[confirm](http://evil)"},
    }
    said = answer("tx_status", {"tx_hash": HASH}, failed).splitlines()[0]
    assert said.endswith("is final and failed: “FunctionCallError: 'x' (confirm)(http:/ /evil)”.")


def test_many_effects_are_cut() -> None:
    effects: list[Any] = [{"account_id": f"a{index}.localnet", "token": "NEAR", "change": "1"} for index in range(30)]
    assert answer("tx_status", {"tx_hash": HASH}, {**DONE, "effects": effects}).endswith("- and 10 more")


@pytest.mark.shows("tx_status", "unit")
def test_a_transactions_sender_is_the_one_said_else_ours_else_the_caller() -> None:
    given_sender = view(build("tx_status", {"tx_hash": HASH, "sender_id": "bob.localnet"}))
    assert isinstance(given_sender, ViewTransaction)
    assert given_sender.sender_id == BOB
    ours = dataclasses.replace(CONTEXT, default_sender=BOB)
    assert view(build("tx_status", {"tx_hash": HASH}, context=ours)) == given_sender
    own = view(build("tx_status", {"tx_hash": HASH}))
    assert isinstance(own, ViewTransaction)
    assert own.sender_id == ALICE


@pytest.mark.parametrize(
    ("status", "level", "said"),
    [
        ({"SuccessValue": ""}, "FINAL", "is final and succeeded."),
        ({"SuccessValue": ""}, "EXECUTED_OPTIMISTIC", "executed, its blocks are not final yet and succeeded."),
        ("NotStarted", "NONE", "is not executed yet."),
        ({"Failure": {"ActionError": {"kind": "`x`"}}}, "FINAL", "is final and failed: "),
        (None, "INCLUDED", "in a block that is not final"),
    ],
)
def test_a_transactions_state_is_told(status: Any, level: str, said: str) -> None:
    text = answer("tx_status", {"tx_hash": HASH}, {"final_execution_status": level, "status": status})
    assert said in text
    assert HASH in text
    assert "`" not in text


def test_a_transaction_is_linked_where_there_is_an_explorer() -> None:
    testnet = dataclasses.replace(CONTEXT, network="testnet", registry=Registry.for_network("testnet"))
    value: dict[str, Any] = {"final_execution_status": "FINAL", "status": {"SuccessValue": ""}}
    assert answer("tx_status", {"tx_hash": HASH}, value, context=testnet).endswith(
        f"https://testnet.nearblocks.io/txns/{HASH}"
    )
    assert "http" not in answer("tx_status", {"tx_hash": HASH}, value)


def test_an_unknown_transaction_asks_for_its_sender() -> None:
    said = explain("tx_status", {"tx_hash": HASH}, RpcError("UNKNOWN_TRANSACTION", "doesn't exist"))
    assert said is not None
    assert "sender_id=ACCOUNT" in said
    assert explain("tx_status", {"tx_hash": HASH}, RpcError("TRANSPORT", "x", retryable=True)) is None
