"""What contracts log of NFTs: their own moves as typed effects, of nobody else's tokens, whatever the text."""

import json

import pytest
from pydantic import JsonValue

from contracts.chain.effects import missing_effects, read_effects
from contracts.chain.outcome import Effect
from contracts.chain.token_logs import Move, logged_moves
from contracts.chain.tx_answer import (
    ActionBody,
    ActionView,
    ExecutionView,
    Failure,
    OutcomeView,
    ReceiptView,
    StatusView,
    SuccessValue,
    TransactionView,
    TxAnswer,
)
from contracts.types import AccountId, CryptoHash

NFT, MALLORY = AccountId("nft.localnet"), AccountId("mallory.localnet")
ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
ROOT, CHILD = CryptoHash.of(b"root"), CryptoHash.of(b"child")


def event(name: str, *data: JsonValue, standard: str = "nep171") -> str:
    return "EVENT_JSON:" + json.dumps({"standard": standard, "version": "1.0.0", "event": name, "data": [*data]})


def given(*token_ids: JsonValue, old: str = ALICE, new: str = BOB) -> JsonValue:
    return {"old_owner_id": old, "new_owner_id": new, "token_ids": [*token_ids]}


def read(*logs: str, methods: tuple[str, ...] = ("nft_transfer",)) -> list[Move]:
    return logged_moves(NFT, logs, methods)


def test_each_token_of_an_event_is_a_move_of_its_own() -> None:
    assert read(event("nft_transfer", given("1", "2"), given("3", old=BOB, new=ALICE))) == [
        Move(NFT, 1, ALICE, BOB, "1"),
        Move(NFT, 1, ALICE, BOB, "2"),
        Move(NFT, 1, BOB, ALICE, "3"),
    ]
    owned: JsonValue = {"owner_id": ALICE, "token_ids": ["7"]}
    assert read(event("nft_mint", owned)) == [Move(NFT, 1, None, ALICE, "7")]
    assert read(event("nft_burn", owned)) == [Move(NFT, 1, ALICE, None, "7")]


@pytest.mark.parametrize(
    "log",
    [
        event("nft_transfer", given("1"), standard="nep245"),
        event("nft_transfer", given("1", old="Not An Account")),
        event("nft_transfer", given(1, None, ["1"])),
        event("nft_transfer", {"old_owner_id": ALICE, "new_owner_id": BOB, "token_ids": "123"}),
        event("nft_mint", {"token_ids": ["1"]}),
        event("nft_approve", given("1")),
        "EVENT_JSON:" + "[" * 100_000,
        "EVENT_JSON:{}",
    ],
)
def test_what_is_no_event_of_an_nft_moves_nothing(log: str) -> None:
    assert read(log) == []


def test_the_line_of_older_contracts_is_read_by_what_was_called() -> None:
    line = "Transfer 7 from alice.localnet to bob.localnet"
    assert read(line) == [Move(NFT, 1, ALICE, BOB, "7")]
    assert read("Transfer the harbour from alice.localnet to bob.localnet")[0].token_id == "the harbour"
    assert read(line, methods=("ft_transfer",)) == [Move(NFT, 7, ALICE, BOB)]
    assert read(line, methods=()) == [Move(NFT, 7, ALICE, BOB)]


# ---- as effects of a transaction


def ran(receipt_id: CryptoHash, executor_id: AccountId, *logs: str, status: StatusView | None = None) -> OutcomeView:
    execution = ExecutionView.model_construct(
        executor_id=executor_id,
        logs=logs,
        receipt_ids=(),
        gas_burnt=1,
        tokens_burnt=1,
        status=status or SuccessValue(b""),
    )
    return OutcomeView.model_construct(id=receipt_id, block_hash=ROOT, outcome=execution)


def effects(*outcomes: OutcomeView, method: str = "nft_transfer", **args: JsonValue) -> tuple[Effect, ...]:
    action = ActionView("FunctionCall", 0, method, json.dumps(args).encode())
    transaction = TransactionView.model_construct(
        hash=ROOT, signer_id=ALICE, public_key="", nonce=1, receiver_id=NFT, actions=(action,)
    )
    receipts = tuple(
        ReceiptView.model_construct(
            receipt_id=outcome.id,
            predecessor_id=ALICE,
            receiver_id=outcome.outcome.executor_id,
            body=ActionBody(ALICE, (action,)),
        )
        for outcome in outcomes
    )
    answer = TxAnswer.model_construct(
        final_execution_status="FINAL",
        status=SuccessValue(b""),
        transaction=transaction,
        transaction_outcome=None,
        receipts_outcome=outcomes,
        receipts=receipts,
    )
    return read_effects(answer, transaction).effects


def test_a_transfer_is_one_effect_less_and_one_more() -> None:
    moved = effects(ran(ROOT, NFT, event("nft_transfer", given("1"))))
    assert moved == (Effect(ALICE, NFT, -1, token_id="1"), Effect(BOB, NFT, 1, token_id="1"))
    back = event("nft_transfer", given("1", old=BOB, new=ALICE))
    assert effects(ran(ROOT, NFT, event("nft_transfer", given("1")), back)) == ()


THERE, BACK = event("nft_transfer", given("1")), event("nft_transfer", given("1", old=BOB, new=ALICE))
ON = event("nft_transfer", given("1", old=BOB, new=MALLORY))
MINT, BURN = (
    event("nft_mint", {"owner_id": BOB, "token_ids": ["1"]}),
    event("nft_burn", {"owner_id": BOB, "token_ids": ["1"]}),
)


@pytest.mark.parametrize(
    ("logs", "changes"),
    [
        ((THERE, THERE), {ALICE: -1, BOB: 1}),
        ((event("nft_transfer", given("1", "1")),), {ALICE: -1, BOB: 1}),
        ((THERE, THERE, BACK), {}),
        ((THERE, BACK, BACK), {}),
        ((THERE, BACK, THERE), {ALICE: -1, BOB: 1}),
        ((THERE, ON, ON), {ALICE: -1, MALLORY: 1}),
        ((ON, THERE), {ALICE: -1, MALLORY: 1}),
        ((MINT, MINT), {BOB: 1}),
        ((MINT, MINT, BURN, BURN), {}),
        ((event("nft_transfer", given("2")), THERE, event("nft_transfer", given("2")), THERE), {ALICE: -1, BOB: 1}),
    ],
)
@pytest.mark.parametrize("split", [False, True], ids=["one receipt", "a receipt each"])
def test_an_nft_that_is_logged_twice_moved_once(logs: tuple[str, ...], changes: dict[str, int], *, split: bool) -> None:
    """There is one of each, so it cannot go the same way twice without coming back in between."""
    receipts = (
        [ran(CryptoHash.of(bytes([n])), NFT, log) for n, log in enumerate(logs)] if split else [ran(ROOT, NFT, *logs)]
    )
    moved = {one.account_id: one.change for one in effects(*receipts) if one.token_id == "1"}
    assert moved == changes


def test_units_that_are_logged_twice_moved_twice() -> None:
    units = event("ft_transfer", {"old_owner_id": ALICE, "new_owner_id": BOB, "amount": "5"}, standard="nep141")
    assert effects(ran(ROOT, NFT, units, units)) == (Effect(ALICE, NFT, -10), Effect(BOB, NFT, 10))


def test_a_contract_speaks_of_its_own_tokens_only_and_what_failed_never_happened() -> None:
    mine = event("nft_transfer", given("1", old=BOB, new=ALICE))
    assert effects(ran(ROOT, MALLORY, mine), ran(CHILD, NFT, event("nft_mint", {}))) == (
        Effect(ALICE, MALLORY, 1, token_id="1"),
        Effect(BOB, MALLORY, -1, token_id="1"),
    )
    assert effects(ran(ROOT, NFT, mine, status=Failure("it panicked"))) == ()


def test_units_and_nfts_of_one_contract_are_kept_apart() -> None:
    """A contract of both standards: a thousand units are not a thousand NFTs, and no NFT has an empty name's place."""
    units = event("ft_transfer", {"old_owner_id": ALICE, "new_owner_id": BOB, "amount": "1000"}, standard="nep141")
    moved = effects(ran(ROOT, NFT, units, event("nft_transfer", given("", "#1"))))
    assert set(moved) == {
        Effect(account, NFT, change * sign, token_id=token_id)
        for account, sign in ((ALICE, -1), (BOB, 1))
        for token_id, change in ((None, 1000), ("", 1), ("#1", 1))
    }
    expected = (Effect(BOB, NFT, 1, token_id="2"), Effect(BOB, NFT, 1, token_id="#1"), Effect(BOB, NFT, 1000))
    found = read_effects(
        TxAnswer.model_construct(
            final_execution_status="FINAL",
            status=SuccessValue(b""),
            transaction_outcome=None,
            receipts_outcome=(ran(ROOT, NFT, units, event("nft_transfer", given("#1"))),),
            receipts=(),
        ),
        TransactionView.model_construct(
            hash=ROOT, signer_id=ALICE, public_key="", nonce=1, receiver_id=NFT, actions=()
        ),
    )
    assert missing_effects(expected, found) == (Effect(BOB, NFT, 1, token_id="2"),)


def test_of_a_contract_that_logs_nothing_the_call_itself_tells() -> None:
    silent = ran(ROOT, NFT)
    assert effects(silent, receiver_id=BOB, token_id="1") == (
        Effect(ALICE, NFT, -1, token_id="1"),
        Effect(BOB, NFT, 1, token_id="1"),
    )
    assert effects(silent, receiver_id=BOB, token_id="1", approval_id=3) == ()
    assert effects(silent, method="nft_mint", token_owner_id=BOB, token_id="1") == (Effect(BOB, NFT, 1, token_id="1"),)
    assert effects(silent, receiver_id=BOB, token_id=1) == ()
