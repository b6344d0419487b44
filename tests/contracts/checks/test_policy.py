"""What the policy says of built calls."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import (
    AddKey,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    Stake,
    Transfer,
)
from contracts.chain.budget import Spend
from contracts.checks.policy import judge, over_budget, within
from contracts.checks.policy_file import built_in_policy
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto, parse_near
from tests.contracts.checks.policies import (
    ALICE,
    GAS_COST,
    NEAR,
    USDC,
    action,
    call,
    ft_transfer,
    pay,
    policy,
    rules_of,
    subject,
    verdict_of,
)

KEY = PublicKey.from_bytes("ed25519", bytes(32))
FREE = """
limits.NEAR = {free_per_action = "1", free_per_day = "5"}
limits.USDC = {free_per_action = "10", free_per_day = "50"}
"""


@pytest.mark.parametrize(("network", "decision"), [("localnet", "ask"), ("testnet", "ask"), ("mainnet", "deny")])
def test_without_a_file_everything_asks_and_mainnet_denies(network: str, decision: str) -> None:
    place = {"localnet": "localnet", "testnet": "testnet", "mainnet": "mainnet"}[network]
    found = judge(built_in_policy(), subject(pay("bob.localnet", "1"), network=place))  # type: ignore[arg-type]
    assert found.decision == decision
    assert (found.denial is not None) == (decision == "deny")


def test_mainnet_has_to_be_named() -> None:
    assert judge(policy(), subject(pay("bob.near", "1"), network="mainnet")).decision == "deny"
    allowed = policy('networks = ["mainnet"]')
    assert judge(allowed, subject(pay("bob.near", "1"), network="mainnet")).decision == "ask"
    assert judge(allowed, subject(pay("bob.localnet", "1"))).decision == "deny"


def test_what_is_within_the_allowance_needs_nobody() -> None:
    found = verdict_of(FREE, pay("bob.localnet", "1"))
    assert found.decision == "allow"
    assert found.spends == (Spend(NEAR, parse_near("1") + GAS_COST, 0),)
    assert [budget.rule for budget in found.budgets] == ["default.limits.NEAR.free_per_day"]
    assert verdict_of(FREE, ft_transfer("bob.localnet", 10_000_000)).decision == "allow"


@pytest.mark.parametrize(
    "calls",
    [
        (pay("bob.localnet", "1.000000000000000000000001"),),
        (ft_transfer("bob.localnet", 10_000_001),),
        (pay("bob.localnet", "0.6"), pay("bob.localnet", "0.6")),
        (ft_transfer("bob.localnet", 1, token="usdt.localnet"),),
        (call("nft_transfer", {"receiver_id": "bob.localnet", "token_id": "1"}, to=USDC),),
    ],
)
def test_what_is_above_it_asks(calls: tuple[ChangeCall, ...]) -> None:
    found = verdict_of(FREE, *calls)
    assert (found.decision, rules_of(found)) == ("ask", {"free_allowance"})
    assert not any(budget.free for budget in found.budgets)


@pytest.mark.parametrize(
    ("made", "category"),
    [
        (action(AddKey(KEY, FullAccess())), "keys"),
        (action(DeleteKey(KEY)), "keys"),
        (action(DeleteAccount(AccountId("bob.localnet"))), "deletion"),
        (action(DeployContract(b"wasm")), "deploy"),
        (action(Stake(Yocto(1), KEY)), "unusual_action"),
        (call("nft_approve", {"token_id": "1", "account_id": "bob.localnet"}), "nft_approve"),
        (call("nft_approve", {"token_id": "1", "account_id": "bob.localnet", "msg": "{}"}), "nft_approve"),
        (call("increment", raw=b"\x00\x01"), "unread_arguments"),
        (call("increment", raw=b"[1]"), "unread_arguments"),
        (call("increment"), "unknown_method"),
        (call("set_owner", {"owner_id": "bob.localnet"}), "owner_change"),
        (call("proposeNewOwner"), "owner_change"),
        (call("update_contract"), "owner_change"),
        (call(f"set_{'a' * 80}_owner"), "owner_change"),
        (call(f"set_{'a' * 246}_owner"), "owner_change"),
        (call("a" * 257), "owner_change"),
        (call("storage_unregister", {"force": True}), "deletion"),
        (call("act_proposal", {"id": 1, "action": "VoteApprove"}), "dao"),
        (pay("carol.localnet", "0.1"), "first_recipient"),
        (ft_transfer("carol.localnet", 1), "first_recipient"),
    ],
)
def test_some_things_always_ask(made: ChangeCall, category: str) -> None:
    found = verdict_of(FREE, made)
    assert found.decision == "ask"
    assert f"always_ask.{category}" in rules_of(found)


def test_the_worst_of_them_ask_whatever_the_file_says() -> None:
    lax = f"{FREE}\nalways_ask = []"
    assert verdict_of(lax, pay("carol.localnet", "0.1")).decision == "allow"
    for made in (action(AddKey(KEY, FullAccess())), action(DeployContract(b"")), call("set_owner")):
        assert verdict_of(lax, made).decision == "ask"


def test_an_account_in_the_address_book_or_on_the_list_is_no_stranger() -> None:
    assert verdict_of(f'{FREE}recipients.allow = ["carol.localnet"]', pay("carol.localnet", "0.1")).decision == "allow"
    named = f'{FREE}\n[address_book]\ncarol = "carol.localnet"'
    found = verdict_of(named, pay("carol.localnet", "0.1"))
    assert found.decision == "allow"
    assert found.recipients[0].name == "carol"
    assert verdict_of(f'{FREE}recipients.allow = ["*"]', pay("carol.localnet", "0.1")).decision == "ask"


@pytest.mark.parametrize(
    ("body", "made", "rule"),
    [
        ('actions.deny = ["near_transfer"]', pay("bob.localnet", "1"), "default.actions.deny"),
        ('actions.allow = ["ft_transfer"]', pay("bob.localnet", "1"), "default.actions.allow"),
        ('actions.allow = ["near_transfer"]', ft_transfer("bob.localnet", 1), "default.actions.allow"),
        ('contracts.allow = ["wrap.localnet"]', ft_transfer("bob.localnet", 1), "default.contracts.allow"),
        ('contracts.deny = ["*.localnet"]', ft_transfer("bob.localnet", 1), "default.contracts.deny"),
        ('methods.deny = ["*:ft_transfer"]', ft_transfer("bob.localnet", 1), "default.methods.deny"),
        ('methods.allow = ["usdt.localnet:*"]', ft_transfer("bob.localnet", 1), "default.methods.allow"),
        ('recipients.deny = ["bob.localnet"]', pay("bob.localnet", "1"), "default.recipients.deny"),
        ('recipients.allow = ["*.bob.localnet"]', pay("bob.localnet", "1"), "default.recipients.allow"),
        ('max_deposit_near = "1"', call("near_deposit", near="1.1"), "default.max_deposit_near"),
        ("max_gas_tgas = 30", call("near_deposit", tgas=31), "default.max_gas_tgas"),
        ('limits.NEAR.per_action = "1"', pay("bob.localnet", "1.1"), "default.limits.NEAR.per_action"),
        ('limits.NEAR.per_action = "1"', call("near_deposit", near="1.1"), "default.limits.NEAR.per_action"),
        ('limits.usdc.per_action = "1"', ft_transfer("bob.localnet", 1_000_001), "default.limits.usdc.per_action"),
        ('limits.NEAR.per_action = "1"', action(DeleteAccount(ALICE)), "default.limits.NEAR"),
        (
            'limits.NEAR.per_action = "1"',
            call("ft_transfer", {"receiver_id": "bob.localnet", "amount": "1"}, near="2"),
            "default.limits.NEAR.per_action",
        ),
    ],
)
def test_lists_and_caps_deny_and_name_the_rule(body: str, made: ChangeCall, rule: str) -> None:
    found = verdict_of(body, made)
    assert found.decision == "deny"
    assert found.denial is not None
    assert found.denial.rule == rule


def test_an_identity_has_its_own_rules_and_keeps_what_is_denied_for_all() -> None:
    mixed = policy(
        """
recipients.deny = ["evil.localnet"]
limits.NEAR = {per_action = "1"}
[identities.big]
recipients.allow = ["bob.localnet", "evil.localnet"]
limits.NEAR = {per_action = "100", per_day = "100"}
"""
    )
    assert judge(mixed, subject(pay("bob.localnet", "50"))).decision == "deny"
    big = judge(mixed, subject(pay("bob.localnet", "50"), identity="big"))
    assert big.decision == "ask"
    assert [(budget.scope, budget.rule) for budget in big.budgets] == [
        ("identity", "identities.big.limits.NEAR.per_day")
    ]
    assert judge(mixed, subject(pay("bob.localnet", "50"), identity="big/person")).decision == "ask"
    assert judge(mixed, subject(pay("evil.localnet", "1"), identity="big")).decision == "deny"
    assert judge(mixed, subject(pay("carol.localnet", "1"), identity="big")).decision == "deny"


@pytest.mark.parametrize(("near", "elsewhere", "approvers"), [("5", False, 1), ("6", True, 1), ("11", True, 2)])
def test_amounts_say_who_approves_and_where(near: str, elsewhere: bool, approvers: int) -> None:  # noqa: FBT001
    body = 'limits.NEAR = {ask_elsewhere_above = "5", two_approvers_above = "10"}'
    whole = verdict_of(body, pay("bob.localnet", near))
    assert (whole.elsewhere, whole.approvers) == (elsewhere, approvers)
    half = str(int(near) / 2)
    parts = verdict_of(body, pay("bob.localnet", half), pay("bob.localnet", half))
    assert (parts.elsewhere, parts.approvers) == (elsewhere, approvers)


def test_a_whole_account_is_above_every_amount() -> None:
    body = 'limits.NEAR = {ask_elsewhere_above = "5", two_approvers_above = "10"}'
    found = verdict_of(body, action(DeleteAccount(AccountId("bob.localnet"))))
    assert (found.decision, found.elsewhere, found.approvers) == ("ask", True, 2)


def test_a_shared_key_confirms_only_where_the_person_is_named() -> None:
    shared = policy('networks = ["localnet", "testnet"]\nshared = true')
    assert judge(shared, subject(pay("bob.localnet", "1"))).chat_allowed
    assert not judge(shared, subject(pay("bob.testnet", "1"), network="testnet")).chat_allowed
    assert judge(shared, subject(pay("bob.testnet", "1"), network="testnet", identity="key/anna")).chat_allowed


def test_reasons_of_the_pre_flight_ask_whatever_the_allowance() -> None:
    found = judge(policy(FREE), subject(pay("bob.localnet", "1"), known=("bob.localnet",), asks=("it does not exist",)))
    assert (found.decision, rules_of(found)) == ("ask", {"preflight"})


def test_budgets_deny_and_an_empty_free_one_asks() -> None:
    body = 'limits.NEAR = {per_day = "5", free_per_action = "1", free_per_day = "2"}'
    found = verdict_of(body, pay("bob.localnet", "1"))
    day, free = "default.limits.NEAR.per_day", "default.limits.NEAR.free_per_day"
    near = parse_near("1")
    assert within(found, {}).decision == "allow"
    asked = within(found, {day: near, free: near})
    assert (asked.decision, rules_of(asked)) == ("ask", {free})
    assert [budget.rule for budget in asked.budgets] == [day]
    denied = within(found, {day: 4 * near + 1, free: 0})
    assert (denied.decision, rules_of(denied)) == ("deny", {day})
    assert denied.denial is not None
    assert denied.denial.text == (
        "it is over the limit of 5 NEAR in 24 h for the account: 4.000000000000000000000001 NEAR used or reserved, "
        "1.001 NEAR asked for, gas counted, 0.999999999999999999999999 NEAR left; more is free when what is on its way has "
        "ended and earlier spending has left the window"
    )
    soon = within(found, {day: 5 * near}, {day: 1_800_000_001.0}).denial
    assert soon is not None
    assert soon.text.endswith("0 NEAR left; enough is free again at 2027-01-15 08:01 UTC")
    assert within(found, {day: 4 * near - GAS_COST, free: 0}).decision == "allow"


def test_limits_speak_of_a_token_by_its_symbol_in_whole_units_and_name_its_contract() -> None:
    body = 'always_ask = []\nlimits.USDC = {per_action = "20", per_day = "50"}'
    over = verdict_of(body, ft_transfer("bob.localnet", 20_500_000)).denial
    assert over is not None
    assert over.text == (
        "ft_transfer sends 20.5 USDC (usdc.localnet), at most 20 USDC (usdc.localnet) in one action are allowed"
    )
    (day,) = verdict_of(body, ft_transfer("bob.localnet", 12_500_000)).budgets
    assert over_budget(replace(day, scope="identity"), 41_000_000, 12_500_000).startswith(
        "over the limit of 50 USDC in 24 h for you: 41 USDC used or reserved, 12.5 USDC asked for, 9 USDC left; "
    )
    assert over_budget(day, 0, 50_000_001, 1e9).endswith(
        "50 USDC left; it never goes in one plan; ask for less; USDC is usdc.localnet"
    )


def test_a_new_account_is_one_action_and_its_key_is_its_own() -> None:
    made = ChangeCall(
        AccountId("dave.alice.localnet"),
        (CreateAccount(), Transfer(parse_near("1")), AddKey(KEY, FullAccess())),
    )
    found = verdict_of(f'{FREE}actions.allow = ["account_create"]', made)
    assert rules_of(found) == {"always_ask.first_recipient"}


@given(
    limit=st.integers(0, 2**100),
    parts=st.lists(st.integers(0, 2**100), min_size=1, max_size=5),
    used=st.integers(0, 2**100),
)
def test_a_budget_is_never_passed_whatever_the_amounts(limit: int, parts: list[int], used: int) -> None:
    body = f'limits."nft:x.localnet" = {{per_day = "{limit}"}}\nlimits.USDC = {{per_day = "{limit}"}}'
    raw = policy(body.replace(f'USDC = {{per_day = "{limit}"', f'USDC = {{per_day = "{limit // 10**6}"'))
    calls = [ft_transfer("bob.localnet", units) for units in parts]
    found = judge(raw, subject(*calls, known=("bob.localnet",)))
    rule = "default.limits.USDC.per_day"
    decided = within(found, {rule: used}).decision
    assert (decided == "deny") == (used + sum(parts) > limit // 10**6 * 10**6)


def test_gas_and_attached_near_are_counted_with_every_call() -> None:
    both = ChangeCall(
        AccountId(USDC),
        (
            FunctionCall("storage_deposit", b'{"account_id":"bob.localnet"}', Gas(TGAS), parse_near("0.1")),
            FunctionCall("ft_transfer", b'{"receiver_id":"bob.localnet","amount":"5"}', Gas(TGAS), Yocto(1)),
        ),
    )
    found = verdict_of("", both, pay("bob.localnet", "1"))
    assert found.spends == (
        Spend(NEAR, parse_near("0.1") + 1 + GAS_COST, 0),
        Spend(USDC, 5, 0),
        Spend(NEAR, parse_near("1") + GAS_COST, 1),
    )
