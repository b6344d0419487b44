"""What moved and what became of it, read from receipts: gas apart, failed logs never, and nobody speaks for another token."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.chain.effects import Effects, missing_effects, read_effects
from contracts.chain.outcome import Effect, ExecutionFailed, Finalized, PartiallyExecuted
from contracts.chain.outcome_reader import decode_value, failure_text, read_outcome
from contracts.chain.rpc_types import BlockView
from contracts.chain.tx_answer import TxAnswer
from contracts.errors import RpcError
from contracts.types import AccountId, CryptoHash

SAMPLES = Path(__file__).resolve().parents[2] / "vectors" / "rpc"
ALICE, BOB, USDC = AccountId("alice.testnet"), AccountId("bob.testnet"), AccountId("usdc.testnet")
BLOCK = BlockView.model_validate(
    json.loads((SAMPLES / "block_final.json").read_text())["response"]["result"],
)


def sample(name: str) -> TxAnswer:
    return TxAnswer.model_validate(json.loads((SAMPLES / name).read_text())["response"]["result"])


def _id(name: str) -> str:
    return CryptoHash.of(name.encode())


class Story:
    """A transaction's answer, told receipt by receipt."""

    def __init__(self, *actions: JsonValue, signer: str = ALICE, receiver: str = USDC, value: str = "") -> None:
        self.signer, self.receiver, self.actions, self.value = signer, receiver, list(actions), value
        self.outcomes: list[dict[str, Any]] = []
        self.receipts: list[dict[str, Any]] = []

    def receipt(
        self,
        name: str,
        executor: str,
        *,
        logs: tuple[str, ...] = (),
        fails: bool = False,
        children: tuple[str, ...] = (),
        predecessor: str | None = None,
        actions: list[JsonValue] | None = None,
        signer: str = ALICE,
    ) -> "Story":
        failure = {"ActionError": {"index": 0, "kind": {"FunctionCallError": {"ExecutionError": "no"}}}}
        self.outcomes.append(
            {
                "id": _id(name),
                "block_hash": BLOCK.hash,
                "outcome": {
                    "executor_id": executor,
                    "logs": list(logs),
                    "receipt_ids": [_id(child) for child in children],
                    "gas_burnt": 1000,
                    "tokens_burnt": "100",
                    "status": {"Failure": failure} if fails else {"SuccessValue": ""},
                },
            }
        )
        if predecessor is not None:
            body = {"signer_id": signer, "actions": actions or []}
            self.receipts.append(
                {
                    "receipt_id": _id(name),
                    "predecessor_id": predecessor,
                    "receiver_id": executor,
                    "receipt": {"Action": body},
                }
            )
        return self

    def answer(self, *, with_receipts: bool = True, status: JsonValue = None) -> TxAnswer:
        told: dict[str, Any] = {
            "final_execution_status": "FINAL",
            "status": status or {"SuccessValue": self.value},
            "transaction": {
                "hash": _id("tx"),
                "signer_id": self.signer,
                "public_key": "ed25519:x",
                "nonce": 1,
                "receiver_id": self.receiver,
                "actions": self.actions,
            },
            "transaction_outcome": {
                "id": _id("tx"),
                "block_hash": BLOCK.hash,
                "outcome": {
                    "executor_id": self.signer,
                    "logs": [],
                    "receipt_ids": [_id("first")],
                    "gas_burnt": 5,
                    "tokens_burnt": "7",
                    "status": {"SuccessReceiptId": _id("first")},
                },
            },
            "receipts_outcome": self.outcomes,
        }
        if with_receipts:
            told["receipts"] = self.receipts
        return TxAnswer.model_validate(told)

    def effects(self, *, with_receipts: bool = True) -> Effects:
        answer = self.answer(with_receipts=with_receipts)
        assert answer.transaction is not None
        return read_effects(answer, answer.transaction)

    def moved(self) -> set[tuple[str, str, int]]:
        return {(effect.account_id, effect.token, effect.change) for effect in self.effects().effects}


def transfer(amount: int) -> JsonValue:
    return {"Transfer": {"deposit": str(amount)}}


def function_call(method: str, deposit: int = 0, **args: str) -> JsonValue:
    encoded = base64.b64encode(json.dumps(args).encode()).decode()
    return {"FunctionCall": {"method_name": method, "args": encoded, "gas": 1, "deposit": str(deposit)}}


def event(name: str, **data: JsonValue) -> str:
    return "EVENT_JSON:" + json.dumps({"standard": "nep141", "version": "1.0.0", "event": name, "data": [data]})


def moves(amount: str = "5", old: str = ALICE, new: str = BOB) -> str:
    return event("ft_transfer", old_owner_id=old, new_owner_id=new, amount=amount)


def test_the_samples_tell_what_moved() -> None:
    answer = sample("tx_success_with_event_and_value.json")
    outcome = read_outcome(answer, BLOCK, (Effect(ALICE, USDC, -5), Effect(BOB, USDC, 5)))
    assert isinstance(outcome, Finalized)
    assert outcome.execution.value == "5"
    assert outcome.execution.effects == (
        Effect(ALICE, "NEAR", -1),
        Effect(ALICE, USDC, -5),
        Effect(BOB, USDC, 5),
        Effect(USDC, "NEAR", 1),
    )
    assert not outcome.execution.effects_complete, "inner receipts are executed, and not shown by `tx`"


def test_a_failed_receipt_inside_is_partial() -> None:
    outcome = read_outcome(sample("tx_success_with_failed_inner_receipt.json"), BLOCK)
    assert isinstance(outcome, PartiallyExecuted)
    assert outcome.message == "a receipt on dex.testnet failed: E10: account not registered"
    assert [receipt.success for receipt in outcome.execution.receipts] == [True, False, True]
    assert outcome.execution.receipts[1].failure is not None


def test_a_created_account_gets_its_deposit_and_gas_refunds_are_no_effect() -> None:
    answer = sample("experimental_tx_status_receipts.json")
    assert answer.transaction is not None
    effects = read_effects(answer, answer.transaction)
    assert effects.complete
    near = {effect.account_id: effect.change for effect in effects.effects}
    assert near == {"rpc-examples.testnet": -5 * 10**24, "contract.rpc-examples.testnet": 5 * 10**24}


FAILURES = {
    "tx_failure_account_already_exists.json": ("AccountAlreadyExists", "sub.alice.testnet"),
    "tx_failure_account_does_not_exist.json": ("AccountDoesNotExist", "nobody.testnet"),
    "tx_failure_code_does_not_exist.json": ("FunctionCallError", "there is no contract on the account"),
    "tx_failure_contract_panic.json": ("FunctionCallError", "The account doesn't have enough balance"),
    "tx_failure_gas_exceeded.json": ("FunctionCallError", "Exceeded the prepaid gas."),
    "tx_failure_lack_balance_for_state.json": ("LackBalanceForState", "1820000000000000000000"),
    "tx_failure_method_not_found.json": ("FunctionCallError", "the contract has no such method"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_have_a_name_and_the_contracts_words(name: str) -> None:
    outcome = read_outcome(sample(name), BLOCK, (Effect(BOB, "NEAR", 1),))
    assert isinstance(outcome, ExecutionFailed)
    code, text = FAILURES[name]
    assert outcome.code == code
    assert text in outcome.message


def test_an_invalid_transaction_in_a_chunk_has_an_outcome_too() -> None:
    assert failure_text({"InvalidTxError": {"InvalidNonce": {"tx_nonce": 1, "ak_nonce": 2}}}) == (
        "InvalidNonce",
        "InvalidNonce, tx_nonce 1, ak_nonce 2",
    )
    assert failure_text("odd")[0] == "UnknownFailure"
    assert failure_text({"ActionError": {"kind": "Odd"}}) == ("Odd", "Odd")


def test_an_answer_without_the_outcome_is_none() -> None:
    for name in ("send_tx_none.json", "tx_pending_status.json"):
        with pytest.raises(RpcError, match="does not tell its outcome"):
            read_outcome(sample(name), BLOCK)


def test_deposits_of_failed_receipts_and_their_refunds_are_no_effect() -> None:
    story = (
        Story(function_call("f", 10))
        .receipt("first", USDC, predecessor=ALICE, actions=[function_call("f", 10)], fails=True, children=("refund",))
        .receipt("refund", ALICE, predecessor="system", actions=[transfer(10)], signer="system")
    )
    assert story.moved() == set()


def test_near_that_a_contract_pays_out_is_an_effect() -> None:
    story = (
        Story(function_call("near_withdraw", 1))
        .receipt("first", USDC, predecessor=ALICE, actions=[function_call("near_withdraw", 1)], children=("pay",))
        .receipt("pay", ALICE, predecessor=USDC, actions=[transfer(100)])
        .receipt("gas", ALICE, predecessor="system", actions=[transfer(77)])
    )
    assert story.moved() == {(ALICE, "NEAR", 99), (USDC, "NEAR", -99)}


def test_a_transfer_to_oneself_moves_nothing() -> None:
    story = Story(transfer(5), receiver=ALICE).receipt("first", ALICE)
    assert story.effects() == Effects((), complete=True)


def test_a_relayer_pays_in_what_a_delegate_action_moves() -> None:
    relayer = "relayer.testnet"
    inner: JsonValue = {"sender_id": ALICE, "receiver_id": BOB, "actions": [{"CreateAccount": {}}, transfer(5)]}
    delegate: JsonValue = {"Delegate": {"delegate_action": inner, "signature": "ed25519:x"}}

    def story(*, fails: bool) -> set[tuple[str, str, int]]:
        told = Story(delegate, signer=relayer, receiver=ALICE).receipt("first", ALICE, children=("inner",))
        told.receipt("inner", BOB, predecessor=ALICE, actions=[transfer(5)], signer=relayer, fails=fails)
        return told.moved()

    assert story(fails=False) == {(relayer, "NEAR", -5), (BOB, "NEAR", 5)}
    assert story(fails=True) == {(relayer, "NEAR", -5), (ALICE, "NEAR", 5)}, "the refund goes to the sender"


def test_a_deleted_accounts_balance_goes_to_its_beneficiary() -> None:
    story = (
        Story({"DeleteAccount": {"beneficiary_id": BOB}}, receiver=ALICE)
        .receipt("first", ALICE, children=("rest",))
        .receipt("rest", BOB, predecessor="system", actions=[transfer(10**24)], signer="system")
    )
    assert story.moved() == {(ALICE, "NEAR", -(10**24)), (BOB, "NEAR", 10**24)}


def test_tokens_move_mint_and_burn_by_their_own_contracts_events() -> None:
    logs = (
        moves("5"),
        event("ft_mint", owner_id=BOB, amount="7"),
        event("ft_burn", owner_id=ALICE, amount="1", memo="x"),
    )
    assert Story().receipt("first", USDC, logs=logs).moved() == {(ALICE, USDC, -6), (BOB, USDC, 12)}


def test_another_contract_cannot_speak_for_a_token() -> None:
    story = (
        Story().receipt("first", USDC, logs=(moves("5"),)).receipt("evil", "evil.near", logs=(moves("9", BOB, ALICE),))
    )
    assert story.moved() == {
        (ALICE, USDC, -5),
        (BOB, USDC, 5),
        (ALICE, "evil.near", 9),
        (BOB, "evil.near", -9),
    }


def test_logs_of_failed_receipts_never_happened() -> None:
    assert Story().receipt("first", USDC, logs=(moves("5"),), fails=True).moved() == set()


MALFORMED = [
    "EVENT_JSON:",
    "EVENT_JSON:{",
    "EVENT_JSON:[]",
    "EVENT_JSON:" + "[" * 10_000,
    moves("-5"),
    moves("5.0"),
    moves("1e9"),
    moves("9" * 40),
    moves(str(2**128)),
    moves("٥"),
    moves("5", "Not An Account", BOB),
    event("ft_transfer", old_owner_id=ALICE, amount="5"),
    event("ft_transfer", old_owner_id=ALICE, new_owner_id=BOB, amount=5),
    event("ft_mint", owner_id=None, amount="5"),
    "EVENT_JSON:" + json.dumps({"standard": "nep141", "event": "ft_transfer", "data": ["x", None, 5]}),
    "EVENT_JSON:" + json.dumps({"standard": "nep171", "event": "ft_transfer", "data": [{}]}),
    "Transfer 5 from a to b and more",
    "Deposit x NEAR to alice.testnet",
]


@pytest.mark.parametrize("log", MALFORMED)
def test_malformed_events_are_no_effect(log: str) -> None:
    assert Story().receipt("first", USDC, logs=(log,)).moved() == set()


@given(logs=st.lists(st.text(max_size=40).map(lambda text: "EVENT_JSON:" + text) | st.text(max_size=40), max_size=4))
def test_no_log_makes_the_reader_crash(logs: list[str]) -> None:
    Story().receipt("first", USDC, logs=tuple(logs)).moved()


def test_token_contracts_older_than_events() -> None:
    logs = ("Transfer 5 from alice.testnet to bob.testnet", "Deposit 9 NEAR to bob.testnet", "Memo: hi")
    assert Story().receipt("first", USDC, logs=logs).moved() == {(ALICE, USDC, -5), (BOB, USDC, 14)}
    burnt = Story().receipt("first", USDC, logs=("Withdraw 4 yoctoNEAR from alice.testnet",))
    assert burnt.moved() == {(ALICE, USDC, -4)}
    both = Story().receipt("first", USDC, logs=(moves("5"), "Transfer 5 from alice.testnet to bob.testnet"))
    assert both.moved() == {(ALICE, USDC, -5), (BOB, USDC, 5)}, "told twice, moved once"


def test_a_token_that_logs_nothing_moves_what_the_call_says() -> None:
    plain = Story(function_call("ft_transfer", receiver_id=BOB, amount="5")).receipt("first", USDC)
    assert plain.moved() == {(ALICE, USDC, -5), (BOB, USDC, 5)}
    call = function_call("ft_transfer_call", receiver_id=BOB, amount="5", msg="")
    used = Story(call, value="IjMi").receipt("first", USDC)
    assert used.moved() == {(ALICE, USDC, -3), (BOB, USDC, 3)}, "the returned amount is the one that was used"
    garbage = Story(call, value="e30=").receipt("first", USDC)
    assert garbage.moved() == set()


def test_without_receipts_inner_near_is_unknown_and_not_called_missing() -> None:
    story = (
        Story(function_call("near_withdraw", 1))
        .receipt("first", USDC, children=("pay",))
        .receipt("pay", ALICE, predecessor=USDC, actions=[transfer(100)])
    )
    effects = story.effects(with_receipts=False)
    assert not effects.complete
    assert missing_effects([Effect(ALICE, "NEAR", 99)], effects) == ()
    assert missing_effects([Effect(ALICE, USDC, -99)], effects) == (Effect(ALICE, USDC, -99),)
    assert story.effects().complete
    assert missing_effects([Effect(ALICE, "NEAR", 98)], story.effects()) == (Effect(ALICE, "NEAR", 98),)


def test_expected_effects_are_summed_and_near_that_comes_back_is_no_miss() -> None:
    effects = Effects((Effect(ALICE, "NEAR", -10), Effect(BOB, USDC, 5)), complete=True)
    assert missing_effects([Effect(BOB, USDC, 2), Effect(BOB, USDC, 3)], effects) == ()
    assert missing_effects([Effect(ALICE, "NEAR", -25)], effects) == ()
    assert missing_effects([Effect(ALICE, "NEAR", -9)], effects) == (Effect(ALICE, "NEAR", -9),)
    assert missing_effects([Effect(BOB, USDC, 6)], effects) == (Effect(BOB, USDC, 6),)
    assert missing_effects([Effect(BOB, "NEAR", 0)], effects) == ()


def test_gas_is_summed_over_the_transaction_and_its_receipts() -> None:
    outcome = read_outcome(Story(transfer(1)).receipt("first", USDC).receipt("x", BOB).answer(), BLOCK)
    assert (outcome.execution.gas_burnt, outcome.execution.tokens_burnt) == (2005, 207)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", None),
        (b"null", None),
        (b'"5"', "5"),
        (b'{"a": [1]}', {"a": [1]}),
        (b"340282366920938463463374607431768211455", 2**128 - 1),
        ("héllo".encode(), "héllo"),
        (b"\xff\xfe", "//4="),
        (b"NaN", "NaN"),
        (b'{"a": 1e999}', {"a": "1e999"}),
        (b"-" + b"9" * 400 + b".5", "-" + "9" * 400 + ".5"),
        (b"9" * 5000, "9" * 5000),
        (b"[1e300, 1e-999]", ["1e300", "1e-999"]),
        (b"50000000000000000000001.0", "50000000000000000000001.0"),
        (
            b'{"rate": 0.1, "price": [1.50, 0.30000000000000000001]}',
            {"rate": 0.1, "price": [1.5, "0.30000000000000000001"]},
        ),
        (b'{"owner": "a", "owner": "b"}', '{"owner": "a", "owner": "b"}'),
        (rb'"\ud800"', r'"\ud800"'),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        ('{"a": 1}'.encode("utf-16"), "//57ACIAYQAiADoAIAAxAH0A"),
        (b"[" * 1000, "[" * 1000),
    ],
)
def test_return_values_can_be_said_again_in_json(data: bytes, value: JsonValue) -> None:
    assert decode_value(data) == value
    assert json.loads(json.dumps(decode_value(data), allow_nan=False)) == value


def test_logs_are_kept_within_what_the_chain_allows() -> None:
    outcome = read_outcome(Story().receipt("first", USDC, logs=("x" * 10**6,) * 300).answer(), BLOCK)
    logs = outcome.execution.receipts[0].logs
    assert (len(logs), len(logs[0])) == (100, 16 * 1024)


@pytest.mark.parametrize(("answered", "partial"), [(b"false", True), (b"true", False), (b"", False)])
def test_a_registrar_that_answers_false_created_nothing(answered: bytes, *, partial: bool) -> None:
    """near/near-linkdrop pays back and succeeds; the answer alone says that there is no account."""
    story = Story(
        function_call("create_account", 0, new_account_id="x.testnet"),
        receiver="testnet",
        value=base64.b64encode(answered).decode(),
    )
    story.receipt("first", "testnet", predecessor=ALICE)
    outcome = read_outcome(story.answer(), BLOCK)
    assert isinstance(outcome, PartiallyExecuted if partial else Finalized)
    if isinstance(outcome, PartiallyExecuted):
        assert outcome.message == "testnet answered false: it did not create the account"
