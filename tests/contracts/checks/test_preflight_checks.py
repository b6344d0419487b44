"""Each check of a plan by itself: passed, failed and not known, from facts made by hand."""

import json
from dataclasses import replace

import pytest
from pydantic import JsonValue, TypeAdapter

from contracts.calls import (
    Action,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Transfer,
)
from contracts.chain.outcome import Effect
from contracts.chain.rpc_types import AccessKeyView, AccessView
from contracts.checks.corrections import correction_of
from contracts.checks.moves import Move, moves_of, questions_of
from contracts.checks.preflight import (
    Findings,
    KnownThings,
    NotRead,
    PlanFacts,
    Seen,
    SeenAccount,
    UsedCode,
    judge_plan,
)
from contracts.checks.report import (
    Balance,
    Check,
    ContractSeen,
    PreflightReport,
    Simulated,
    moved,
    unknown_report,
)
from contracts.knowledge.exchange import PriceImpact
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto

NEAR = 10**24
ALICE, BOB, USDC = AccountId("alice.test"), AccountId("bob.test"), AccountId("usdc.test")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
CODE, OTHER = CryptoHash.of(b"code"), CryptoHash.of(b"other")


def account(near: int = 10, code: CryptoHash | None = None, keys: int | None = None) -> SeenAccount:
    return SeenAccount(near * NEAR, 0, 182, code, keys)


def key(permission: AccessView | None = None) -> AccessKeyView:
    return AccessKeyView.model_construct(nonce=1, permission=permission or FullAccess())


def call(method: str, args: JsonValue, deposit: int = 1, tgas: int = 30) -> FunctionCall:
    return FunctionCall(method, json.dumps(args).encode(), Gas(tgas * TGAS), Yocto(deposit))


def plan(receiver_id: AccountId, *actions: Action, **changes: object) -> PlanFacts:
    """A plan of one transaction by alice, everything in order except for what is changed."""
    facts = PlanFacts(
        signer_id=ALICE,
        calls=(ChangeCall(receiver_id, actions),),
        accounts={ALICE: account(), BOB: account(), USDC: account(code=CODE, keys=0)},
        keys={KEY: key()},
        other_keys=0,
        gas=(30 * TGAS,),
        gas_price=10**8,
        highest_gas_price=10**8,
        storage_amount_per_byte=10**19,
        answers={},
        measured=(2 * TGAS,),
        known=KnownThings(codes={CODE: "the token"}),
        paid_before=lambda _account_id: True,
    )
    return replace(facts, **changes)  # pyright: ignore[reportArgumentType] - names of fields, by the tests


def result(facts: PlanFacts, name: str) -> tuple[str, str]:
    """The one check of this name."""
    (check,) = [check for check in judge_plan(facts).checks if check.name == name]
    return check.result, check.detail


SEND = Transfer(Yocto(NEAR))
PAY = call("ft_transfer", {"receiver_id": BOB, "amount": "100"})


class TestSigner:
    def test_exists_or_does_not_or_is_not_known(self) -> None:
        assert result(plan(BOB, SEND), "signer")[0] == "pass"
        assert result(plan(BOB, SEND, accounts={BOB: account(), ALICE: None}), "signer")[0] == "fail"
        away = {BOB: account(), ALICE: NotRead("no answer")}
        assert result(plan(BOB, SEND, accounts=away), "signer") == (
            "unknown",
            "alice.test could not be read: no answer",
        )

    def test_a_full_access_key_may_do_anything(self) -> None:
        assert result(plan(BOB, SEND), "key")[0] == "pass"

    @pytest.mark.parametrize(
        ("keys", "expected", "said"),
        [
            ({}, "fail", "holds no key of alice.test"),
            ({KEY: None}, "fail", "is no access key of alice.test"),
            ({KEY: NotRead("no answer")}, "unknown", "could not be read: no answer"),
            ({KEY: key(FunctionCallAccess(USDC, (), None))}, "fail", "RequiresFullAccess"),
        ],
    )
    def test_what_a_key_may_not(
        self, keys: dict[PublicKey, AccessKeyView | NotRead | None], expected: str, said: str
    ) -> None:
        got, detail = result(plan(BOB, SEND, keys=keys), "key")
        assert got == expected
        assert said in detail

    def test_keys_that_were_not_looked_at_may_do_what_others_may_not(self) -> None:
        got, detail = result(plan(BOB, SEND, keys={KEY: None}, other_keys=2), "key")
        assert got == "unknown"
        assert detail.endswith("; 2 more keys that the signer holds were not looked at")
        assert result(plan(BOB, SEND, other_keys=2), "key")[0] == "pass"

    @pytest.mark.parametrize(
        ("access", "action", "said"),
        [
            (FunctionCallAccess(BOB, (), None), call("go", {}, 0), "ReceiverMismatch"),
            (FunctionCallAccess(USDC, ("ft_transfer",), None), call("go", {}, 0), "MethodNameMismatch"),
            (FunctionCallAccess(USDC, (), None), call("go", {}, 1), "DepositWithFunctionCall"),
        ],
    )
    def test_a_function_call_key_is_for_one_contract_its_methods_and_no_deposit(
        self, access: FunctionCallAccess, action: FunctionCall, said: str
    ) -> None:
        assert said in result(plan(USDC, action, keys={KEY: key(access)}), "key")[1]

    def test_a_function_call_key_makes_one_call_at_a_time(self) -> None:
        access = {KEY: key(FunctionCallAccess(USDC, (), None))}
        assert result(plan(USDC, call("go", {}, 0), keys=access), "key")[0] == "pass"
        assert "RequiresFullAccess" in result(plan(USDC, call("go", {}, 0), call("go", {}, 0), keys=access), "key")[1]

    def test_the_allowance_must_cover_the_gas(self) -> None:
        enough = {KEY: key(FunctionCallAccess(USDC, (), Yocto(30 * TGAS * 10**8)))}
        assert result(plan(USDC, call("go", {}, 0), keys=enough), "key")[0] == "pass"
        short = {KEY: key(FunctionCallAccess(USDC, (), Yocto(30 * TGAS * 10**8 - 1)))}
        got, detail = result(plan(USDC, call("go", {}, 0), keys=short), "allowance")
        assert got == "fail"
        assert "0.002999999999999999999999 NEAR left and the gas takes 0.003 NEAR" in detail
        assert "attach at most 29 Tgas, for which it would do" in detail
        none = {KEY: key(FunctionCallAccess(USDC, (), Yocto(TGAS * 10**8 - 1)))}
        assert "add a new function-call key" in result(plan(USDC, call("go", {}, 0), keys=none), "allowance")[1]


class TestFunds:
    def test_deposit_and_gas_fit(self) -> None:
        assert result(plan(BOB, SEND), "balance")[0] == "pass"

    def test_what_is_missing_is_named(self) -> None:
        got, detail = result(plan(BOB, Transfer(Yocto(10 * NEAR))), "balance")
        assert got == "fail"
        assert "0.003 NEAR are missing" in detail

    def test_storage_keeps_its_part(self) -> None:
        stored = SeenAccount(10 * NEAR, 0, 100_000, None)
        facts = plan(BOB, Transfer(Yocto(9 * NEAR)), accounts={ALICE: stored, BOB: account()})
        got, detail = result(facts, "balance")
        assert got == "fail"
        assert "1 NEAR must stay for its storage" in detail
        staked = replace(stored, locked=5 * NEAR)
        assert result(replace(facts, accounts={ALICE: staked, BOB: account()}), "balance")[0] == "pass"

    def test_deleting_needs_nothing_for_storage(self) -> None:
        stored = SeenAccount(NEAR, 0, 1_000_000, None)
        facts = plan(ALICE, DeleteAccount(BOB), accounts={ALICE: stored, BOB: account()})
        assert result(facts, "balance")[0] == "pass"

    def test_a_dear_gas_price_and_later_steps_are_not_known(self) -> None:
        dear = plan(BOB, Transfer(Yocto(10 * NEAR - 30 * TGAS * 10**8)), highest_gas_price=10**9)
        assert result(dear, "balance")[0] == "unknown"
        call_ = ChangeCall(BOB, (Transfer(Yocto(6 * NEAR)),))
        later = replace(dear, calls=(call_, call_), gas=(TGAS, TGAS))
        got, detail = result(later, "balance")
        assert got == "unknown"
        assert "later steps need what earlier ones bring" in detail


class TestReceivers:
    @pytest.mark.parametrize(
        ("receiver_id", "seen", "action", "expected", "said"),
        [
            (BOB, account(), SEND, "pass", "bob.test exists"),
            (BOB, None, SEND, "fail", "bob.test does not exist"),
            (BOB, NotRead("no answer"), SEND, "unknown", "no answer"),
            (BOB, account(), call("go", {}), "fail", "has no contract"),
            (BOB, None, CreateAccount(), "pass", "created by the plan"),
            (AccountId("ab" * 32), None, SEND, "pass", "comes to life"),
            (AccountId("0x" + "ab" * 20), None, SEND, "pass", "comes to life"),
            (AccountId("ab" * 32), None, call("go", {}), "fail", "does not exist"),
        ],
    )
    def test_a_receiver(self, receiver_id: AccountId, seen: Seen, action: Action, expected: str, said: str) -> None:
        facts = plan(receiver_id, action, accounts={ALICE: account(), receiver_id: seen})
        got, detail = result(facts, "receiver")
        assert (got, said in detail) == (expected, True), detail

    def test_an_account_that_the_plan_makes_first_is_there(self) -> None:
        new = AccountId("new.alice.test")
        calls = (ChangeCall(new, (CreateAccount(), SEND)), ChangeCall(new, (SEND,)))
        facts = replace(plan(new, SEND), calls=calls, gas=(1, 1), accounts={ALICE: account(), new: None})
        assert [check.result for check in judge_plan(facts).checks if check.name == "receiver"] == ["pass", "pass"]

    @pytest.mark.parametrize(
        ("seen", "method", "expected"),
        [
            (account(), "ft_transfer", "pass"),
            (None, "ft_transfer", "fail"),
            (NotRead("no answer"), "ft_transfer", "unknown"),
            (account(), "ft_transfer_call", "fail"),
            (account(code=CODE), "ft_transfer_call", "pass"),
        ],
    )
    def test_a_recipient_of_tokens(self, seen: Seen, method: str, expected: str) -> None:
        action = call(method, {"receiver_id": BOB, "amount": "1", "msg": ""})
        facts = plan(USDC, action, accounts={ALICE: account(), USDC: account(code=CODE), BOB: seen})
        assert result(facts, "recipient")[0] == expected


class TestTokens:
    def asked(self, answer: bytes | None, about: str = "registered", action: FunctionCall = PAY) -> PlanFacts:
        facts = plan(USDC, action)
        (question,) = [one for one in questions_of(ALICE, facts.calls[0]) if one.about == about]
        return replace(facts, answers={(0, question): answer})

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [(b'{"total":"1","available":"0"}', "pass"), (b"null", "fail"), (None, "unknown")],
    )
    def test_registration(self, answer: bytes | None, expected: str) -> None:
        assert result(self.asked(answer), "storage")[0] == expected

    def test_the_correction_names_who_and_where(self) -> None:
        detail = result(self.asked(b"null"), "storage")[1]
        assert detail == "bob.test is not registered with usdc.test: add a storage_deposit for it first"

    def test_not_asked_is_not_known(self) -> None:
        assert result(plan(USDC, PAY), "storage")[0] == "unknown"

    def test_registering_in_the_same_transaction_counts(self) -> None:
        facts = plan(USDC, call("storage_deposit", {"account_id": BOB}), PAY)
        assert result(facts, "storage")[0] == "pass"

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [(b'"100"', "pass"), (b'"99"', "fail"), (b"99", "unknown"), (None, "unknown"), (b'"1e3"', "unknown")],
    )
    def test_the_balance(self, answer: bytes | None, expected: str) -> None:
        assert result(self.asked(answer, "balance"), "token_balance")[0] == expected

    def test_wrapping_first_brings_the_tokens(self) -> None:
        facts = plan(USDC, call("near_deposit", {}, NEAR), PAY)
        (question,) = [one for one in questions_of(ALICE, facts.calls[0]) if one.about == "balance"]
        assert result(replace(facts, answers={(0, question): b'"0"'}), "token_balance")[0] == "pass"


class TestGasCodeAndPrice:
    @pytest.mark.parametrize(
        ("measured", "expected"), [((2 * TGAS,), "pass"), ((25 * TGAS,), "unknown"), ((), "unknown")]
    )
    def test_gas_is_measured_with_a_margin(self, measured: tuple[int, ...], expected: str) -> None:
        assert result(plan(USDC, PAY, measured=measured), "gas")[0] == expected

    def test_scarce_gas_names_what_to_attach(self) -> None:
        assert result(plan(USDC, PAY, measured=(25 * TGAS,)), "gas")[1].endswith("attach 33 Tgas")

    def test_known_code_passes_and_tells_who_can_replace_it(self) -> None:
        assert result(plan(USDC, PAY), "code") == (
            "pass",
            "usdc.test runs known code (the token); nobody has a full-access key to replace it",
        )
        open_to_change = {ALICE: account(), BOB: account(), USDC: account(code=CODE, keys=2)}
        assert "one of its 2 full-access keys" in result(plan(USDC, PAY, accounts=open_to_change), "code")[1]

    def test_code_that_nobody_knows_is_told_as_a_first_use_and_asks_nothing(self) -> None:
        first = plan(USDC, PAY, known=KnownThings())
        got, detail = result(first, "code")
        assert got == "unknown"
        assert detail.startswith(f"you use usdc.test for the first time and its code ({CODE}) is not known here; ")
        assert judge_plan(first).asks == ()

    def test_code_that_was_used_before_is_known(self) -> None:
        again = plan(USDC, PAY, known=KnownThings(), used_codes={USDC: UsedCode(CODE, 1_800_000_000.0)})
        got, detail = result(again, "code")
        assert got == "pass"
        assert detail.startswith("usdc.test runs the code that it had when you last used it on 2027-01-15; ")
        assert judge_plan(again).asks == ()

    @pytest.mark.parametrize("known", [KnownThings(), KnownThings(codes={CODE: "the token"})])
    def test_code_that_changed_since_the_last_use_asks(self, known: KnownThings) -> None:
        changed = plan(USDC, PAY, known=known, used_codes={USDC: UsedCode(OTHER, 1_800_000_000.0)})
        assert result(changed, "code")[0] == "unknown"
        assert judge_plan(changed).asks == ("the code of usdc.test changed since you last used it on 2027-01-15",)
        assert judge_plan(replace(changed, calls=(ChangeCall(USDC, (SEND,)),))).asks == ()

    def test_a_global_contract_by_name_is_a_contract_whose_code_can_change_at_any_time(self) -> None:
        follower = replace(account(keys=0), code_of=BOB)
        facts = plan(USDC, PAY, accounts={ALICE: account(), BOB: account(), USDC: follower})
        assert result(facts, "receiver")[0] == "pass"
        got, detail = result(facts, "code")
        assert got == "unknown"
        assert detail.startswith("usdc.test runs the code that bob.test publishes, which can change at any time; ")
        before = replace(facts, used_codes={USDC: UsedCode(CODE, 1_800_000_000.0)})
        assert judge_plan(before).asks == ("the code of usdc.test changed since you last used it on 2027-01-15",)

    @pytest.mark.parametrize(
        ("ppm", "expected", "asks"),
        [(9_999, "pass", 0), (10_000, "pass", 1), (100_000, "pass", 1), (100_001, "fail", 1)],
    )
    def test_the_price_impact_of_a_swap(self, ppm: int, expected: str, asks: int) -> None:
        facts = plan(USDC, PAY, price_impacts={0: PriceImpact(ppm, 100_000)})
        assert result(facts, "price_impact")[0] == expected
        assert len(judge_plan(facts).asks) == asks


def never_paid(_account_id: AccountId) -> bool:
    return False


class TestAsks:
    def asks(self, receiver_id: AccountId, action: Action = SEND, **changes: object) -> tuple[str, ...]:
        findings: Findings = judge_plan(plan(receiver_id, action, **changes))
        return findings.asks

    def test_a_usual_payment_asks_nothing(self) -> None:
        assert self.asks(BOB) == ()

    @pytest.mark.parametrize("text", ["ab" * 32, "0x" + "ab" * 20, "0s" + "ab" * 20])
    def test_an_account_that_a_transfer_would_make(self, text: str) -> None:
        new = AccountId(text)
        assert self.asks(new, accounts={ALICE: account(), new: None}) == (
            f"{new} does not exist yet: a wrong character in it loses what is sent",
        )

    def test_a_known_contract_and_a_token_to_itself(self) -> None:
        known = KnownThings(accounts={USDC: "the USDC token", BOB: "a friend"})
        assert self.asks(BOB, known=known) == ()
        assert self.asks(USDC, known=known) == (
            "usdc.test is a contract (the USDC token): what is sent to it may be lost",
        )
        itself = call("ft_transfer", {"receiver_id": USDC, "amount": "1"})
        assert self.asks(USDC, itself) == ("usdc.test is the token's own contract: tokens sent to it are lost",)

    def test_the_first_time_is_told_and_is_the_policys_affair(self) -> None:
        facts = plan(USDC, PAY, paid_before=never_paid)
        assert result(facts, "history") == ("pass", "nothing was sent to bob.test before")
        assert result(plan(BOB, SEND), "history") == ("pass", "something was sent to bob.test before")
        assert judge_plan(facts).asks == ()


class TestMoves:
    def test_what_calls_hand_over(self) -> None:
        actions = (
            SEND,
            PAY,
            call("ft_transfer_call", {"receiver_id": BOB, "amount": "7", "msg": ""}),
            call("nft_transfer", {"receiver_id": BOB, "token_id": "1"}),
            call("nft_approve", {"account_id": BOB, "token_id": "1", "msg": "x"}),
            call("anything", {"receiver_id": BOB}),
            DeleteAccount(BOB),
        )
        assert moves_of(ChangeCall(USDC, actions)) == (
            Move("NEAR", USDC, NEAR, "near"),
            Move(USDC, BOB, 100, "token"),
            Move(USDC, BOB, 7, "token", calls_recipient=True),
            Move(USDC, BOB, None, "item"),
            Move(USDC, BOB, None, "item", calls_recipient=True),
            Move("NEAR", BOB, None, "near"),
        )

    @pytest.mark.parametrize(
        "args", [b"", b"[]", b'{"receiver_id":7}', b'{"receiver_id":"UPPER"}', b"\xff", b"[" * 999]
    )
    def test_arguments_that_say_nothing_move_nothing(self, args: bytes) -> None:
        action = FunctionCall("ft_transfer", args, Gas(TGAS), Yocto(1))
        assert moves_of(ChangeCall(USDC, (action,))) == ()


BEFORE, IN_NEAR = Balance(ALICE, USDC, 1000, 900), Balance(ALICE, "NEAR", 10**28, 10**28 - 1)


def balances(*tokens: Balance) -> dict[str, object]:
    return {"balances": (*tokens, IN_NEAR)}


AMOUNTS = KnownThings(tokens={USDC: ("USDC", 2)})


def report(**changes: object) -> PreflightReport:
    made = PreflightReport(
        block_height=7,
        block_hash=CryptoHash.of(b"block"),
        checks=(Check("signer", "pass", "there"),),
        simulated=(Simulated("success", None, ("log",), (Effect(ALICE, USDC, -100),), 10**12),),
        balances=(BEFORE, IN_NEAR),
        asks=("first",),
        rpc_calls=7,
        own_ms=1.5,
        compile_ms=0.0,
        contracts=(ContractSeen(USDC, CODE, 0),),
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - as above


class TestReports:
    def test_a_report_survives_json_with_every_digit(self) -> None:
        adapter = TypeAdapter(PreflightReport)
        text = adapter.dump_json(report())
        assert b'"9999999999999999999999999999"' in text
        assert adapter.validate_json(text) == report()
        assert moved(adapter.validate_json(text), report(), AMOUNTS.amount) is None

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"contracts": (ContractSeen(USDC, OTHER, 0),)}, "code of usdc.test was replaced"),
            ({"simulated": (Simulated("partial", "x"),)}, "was success and is partial now"),
            ({"simulated": (Simulated("unknown", "x"),)}, "was success and is unknown now"),
            ({"checks": (Check("balance", "fail", "too little"),)}, "too little"),
            ({"asks": ("first", "second")}, "second"),
            (
                balances(Balance(ALICE, USDC, 1000, 898)),
                "would take 1.02 USDC from alice.test now, and would take 1 USDC",
            ),
            (
                balances(Balance(ALICE, USDC, 899, 799)),
                "alice.test had 10 USDC when the card was made and has 8.99 USDC now",
            ),
            (balances(BEFORE, Balance(BOB, USDC, 0, 100)), "would give 1 USDC to bob.test now, and would not when"),
            ({"balances": (IN_NEAR,)}, "would not take 1 USDC from alice.test now, and would when"),
        ],
    )
    def test_what_moved_beyond_the_tolerance(self, changes: dict[str, object], said: str) -> None:
        assert said in (moved(report(), report(**changes), AMOUNTS.amount) or "")

    @pytest.mark.parametrize(
        "changes",
        [
            balances(Balance(ALICE, USDC, 5000, 4900)),
            balances(Balance(ALICE, USDC, 1000, 901)),
            balances(BEFORE, Balance(BOB, USDC, 100, 100)),
            {"asks": ()},
            {"block_height": 90, "own_ms": 3.0, "rpc_calls": 1},
        ],
    )
    def test_what_may_move(self, changes: dict[str, object]) -> None:
        assert moved(report(), report(**changes), AMOUNTS.amount) is None

    def test_a_report_that_could_not_be_made_is_unknown_and_asks(self) -> None:
        made = unknown_report("no node answers")
        assert made.failure is None
        assert [check.detail for check in made.unknowns] == ["no node answers"]
        assert made.asks == ("the plan could not be checked before signing",)
        assert "unknown now" in (moved(report(asks=made.asks), made, AMOUNTS.amount) or "")


@pytest.mark.parametrize(
    ("failure", "todo"),
    [
        ("The account bob.test is not registered", "storage_deposit"),
        ("The account doesn't have enough balance", "send less"),
        ("Exceeded the prepaid gas.", "attach more gas"),
        ("Requires attached deposit of exactly 1 yoctoNEAR", "1 yoctoNEAR"),
        ("the contract has no such method", "/contract_methods"),
        ("LackBalanceForState, account_id x, amount 1", "leave more NEAR"),
        ("missing field `amount`", "correct the arguments"),
    ],
)
def test_usual_failures_have_a_correction(failure: str, todo: str) -> None:
    assert todo in (correction_of(failure) or "")


def test_an_unusual_failure_has_none() -> None:
    assert correction_of("the moon is full") is None


def test_without_wrapped_near_the_correction_is_to_wrap() -> None:
    failure = "Smart contract panicked: The account alice.localnet is not registered"
    assert "near_wrap" in (correction_of(failure, sends_wrapped=True) or "")
    assert "register the account first" in (correction_of(failure) or "")
    assert correction_of("the moon is full", sends_wrapped=True) is None
