"""Money and recipients hidden in built calls: encoded, attached, relayed, renamed. Judged as the policy of a daemon judges them."""

import base64
import json

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, Delegate, DelegateAction, FunctionCall, Transfer, TransferToGasKey
from contracts.checks.policy import judge
from contracts.errors import InvalidInput
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto, parse_near
from tests.contracts.checks.policies import ALICE, USDC, action, call, pay, policy, rules_of, subject, verdict_of

EVE, BOB = "eve.localnet", "bob.localnet"
KEY = PublicKey.from_bytes("ed25519", bytes(32))
FREE = """
limits.NEAR = {free_per_action = "1", free_per_day = "5"}
limits.USDC = {free_per_action = "10", free_per_day = "50"}
"""
BOB_ALONE = f'recipients.allow = ["{BOB}"]\n'


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "msg",
    [
        encoded(json.dumps({"receiver_id": EVE})),
        base64.urlsafe_b64encode(json.dumps({"to": EVE, "?": "~~~"}).encode()).decode().rstrip("="),
        encoded(encoded(json.dumps({"receiver_id": EVE}))),
        encoded(f"pay to {EVE} now"),
        json.dumps({"a": encoded(json.dumps({"b": json.dumps({"c": EVE})}))}),
        '{"to":"\\u0065ve.localnet"}',
        json.dumps(json.dumps({"to": json.dumps([EVE])})),
        f'{{"receiver_id":"{EVE}","receiver_id":"{BOB}"}}',
        f'{{"x":[{{"to":"{BOB}","to":"{BOB}"}}]}}',
        "[" * 150 + f'"{EVE}"' + "]" * 150,
        "swap:1:eve.kaiching",
        "x=1;to=Eve.Localnet;",
        json.dumps({f"to:{EVE}": 1}),
        json.dumps({"receiverId": "eve"}),
        json.dumps({"to": EVE}).encode().hex(),
        encoded("e.near"),
        "d8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
    ],
)
def test_a_recipient_that_is_encoded_or_said_twice_is_denied(msg: str) -> None:
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": msg})
    assert verdict_of(BOB_ALONE, made).decision == "deny"
    assert verdict_of(
        BOB_ALONE, call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": "7"})
    ).decision == ("ask")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"receiver_id":"\\u0065ve.localnet","receiver_id":"bob.localnet","amount":"1"}',
        b'{"receiver_id":"bob.localnet","amount":"99999999","amount":"1"}',
    ],
)
def test_arguments_that_say_a_key_twice_are_judged_as_unreadable(raw: bytes) -> None:
    assert verdict_of(BOB_ALONE, call("ft_transfer", raw=raw)).decision == "deny"
    assert "always_ask.unread_arguments" in rules_of(verdict_of(FREE, call("ft_transfer", raw=raw)))


@pytest.mark.parametrize("raw", [b"\xff\x00eve.localnet", b'{"to":"eve.localnet"', b"\x0c\x00\x00\x00eve.localnet"])
def test_bytes_that_nobody_can_read_do_not_pass_a_list_of_recipients(raw: bytes) -> None:
    assert verdict_of(BOB_ALONE, call("pay", raw=raw)).decision == "deny"


@pytest.mark.parametrize("method", ["near_deposit", "deposit_and_stake", "take_it", "storage_deposit"])
def test_near_that_is_attached_to_a_call_goes_to_a_recipient(method: str) -> None:
    """The contract is the attacker's: its methods can be called whatever is allowed."""
    assert rules_of(verdict_of(FREE + BOB_ALONE, call(method, {}, to=EVE, near="0.5"))) == {"default.recipients.allow"}
    denied = f'recipients.deny = ["{EVE}"]\n'
    assert rules_of(verdict_of(denied, call(method, {}, to=EVE, near="0.5"))) == {"default.recipients.deny"}
    named = f'{BOB_ALONE}contracts.allow = ["{EVE}"]\n'
    assert verdict_of(named, call(method, {}, to=EVE, near="0.5")).decision == "ask"
    assert verdict_of(BOB_ALONE, call("near_deposit", {}, to="wrap.localnet", near="0.5")).decision == "ask"


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("withdraw", {"amount": "999999999", "recipient_address": "f" * 40}),
        ("withdraw_all", {"destination": "0" * 20}),
        ("near_withdraw", {"amount": "0", "all_of_it": True}),
        ("unstake", {"amount": "1", "owner_key": "x"}),
        ("swap", {"actions": [{"token_in": USDC, "amount_in": "0"}], "all": True}),
        ("storage_withdraw", {"amount": "1", "payout": "x"}),
        ("add_proposal", {"proposal": {"description": "", "kind": {"ChangePolicy": {"policy": {}}}}}),
        ("add_proposal", {"proposal": {"kind": {"Transfer": {}, "UpgradeSelf": {}}}}),
    ],
)
def test_a_known_name_with_foreign_arguments_is_an_unknown_method(method: str, args: JsonValue) -> None:
    """`withdraw` of a bridged token empties the balance to an address beside the amount; here it cost no allowance."""
    found = verdict_of(FREE, call(method, args))
    assert found.decision == "ask"
    assert "always_ask.unknown_method" in rules_of(found)


def relayed(*actions: Transfer | FunctionCall, to: str = EVE) -> ChangeCall:
    inner = DelegateAction(AccountId("mallory.localnet"), AccountId(to), actions, 1, 10**9, KEY)
    return ChangeCall(inner.sender_id, (Delegate(inner, bytes(65)),))


def test_what_a_relayed_action_moves_is_the_relayers() -> None:
    """Its sender signed it, whoever relays it pays for what is attached."""
    five = relayed(Transfer(parse_near("5")))
    assert "default.limits.NEAR.per_action" in rules_of(verdict_of('limits.NEAR.per_action = "1"', five))
    assert rules_of(verdict_of(BOB_ALONE, five)) == {"default.recipients.allow"}
    hidden = relayed(FunctionCall("x", json.dumps({"to": EVE}).encode(), Gas(TGAS), Yocto(1)), to=BOB)
    assert rules_of(verdict_of(BOB_ALONE, hidden)) == {"default.recipients.allow"}
    assert verdict_of('limits.NEAR.two_approvers_above = "1"', five).approvers == 2
    assert verdict_of(FREE, five).spends[0].units > parse_near("5")


def test_near_in_a_gas_key_is_near() -> None:
    made = action(TransferToGasKey(KEY, parse_near("5")))
    assert "default.limits.NEAR.per_action" in rules_of(verdict_of('limits.NEAR.per_action = "1"', made))
    assert verdict_of('limits.NEAR.two_approvers_above = "1"', made).approvers == 2


def test_an_allowance_does_not_stand_in_for_two_people_or_another_channel() -> None:
    for rule in ("two_approvers_above", "ask_elsewhere_above"):
        body = f'limits.NEAR = {{free_per_action = "10", free_per_day = "50", {rule} = "1"}}'
        assert verdict_of(body, pay(BOB, "1")).decision == "allow"
        assert verdict_of(body, pay(BOB, "2")).decision == "ask"


def test_an_identitys_own_limit_does_not_drop_those_of_the_account() -> None:
    mixed = policy(
        """
limits.NEAR = {per_action = "5", per_day = "10", two_approvers_above = "4"}
[identities.bot]
limits.NEAR = {per_action = "20"}
"""
    )
    found = judge(mixed, subject(pay(BOB, "15"), identity="bot"))
    assert [budget.rule for budget in found.budgets] == ["default.limits.NEAR.per_day"]
    assert (found.budgets[0].scope, found.approvers) == ("account", 2)


@pytest.mark.parametrize(
    "body",
    ['recipients.deny = ["Eve.near"]', 'contracts.deny = ["eve near"]', 'methods.deny = ["EVE.near:take"]'],
)
def test_a_list_that_could_never_match_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput, match="which no account can be called"):
        policy(body)


def test_wrapping_is_no_way_round_the_limit_of_near() -> None:
    limit = 'limits.NEAR = {per_action = "1", free_per_action = "1", free_per_day = "2"}'
    assert verdict_of(limit, call("near_deposit", {}, to="wrap.localnet", near="1.1")).decision == "deny"
    wrapped = call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, to="wrap.localnet")
    assert rules_of(verdict_of(limit, wrapped)) == {"free_allowance"}
    assert rules_of(verdict_of(limit, call("near_withdraw", {"amount": "9"}, to="wrap.localnet"))) == {"free_allowance"}


def test_a_swap_for_nothing_asks_whatever_its_least_amount_is_called() -> None:
    swap = {"Swap": {"pool_ids": ["a|b|100"], "output_token": "usdt.localnet", "min_output_amount": "0"}}
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": json.dumps(swap)})
    assert "always_ask.no_minimum_out" in rules_of(verdict_of(FREE, made))


@pytest.mark.parametrize("minimum", ["0", None, "all", 0])
def test_a_swap_for_nothing_always_asks(minimum: JsonValue) -> None:
    step: dict[str, JsonValue] = {"pool_id": 1, "token_in": USDC, "token_out": "wrap.localnet"}
    msg = {"actions": [step if minimum is None else {**step, "min_amount_out": minimum}]}
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": encoded(json.dumps(msg))})
    assert "always_ask.no_minimum_out" in rules_of(verdict_of(FREE, made))
    assert verdict_of(FREE, pay(ALICE, "0.1")).decision == "allow"
