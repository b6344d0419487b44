"""policy.toml: what it means, and what is wrong with it, by line, key and the nearest known one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checks.policy_file import parse_policy
from contracts.checks.policy_words import summary
from contracts.errors import InvalidInput
from contracts.types import TGAS, parse_near
from tests.contracts.checks.policies import REGISTRY

WHOLE = """
version = 1

[address_book]
carol = "carol.localnet"

[default]
networks = ["localnet"]
actions.deny = ["account_delete"]
methods.allow = ["usdc.localnet:ft_transfer", "*:near_deposit"]
recipients.allow = ["@carol", "*.bob.localnet"]
max_deposit_near = 10
max_gas_tgas = 100
approvers = ["operator"]

[default.limits.NEAR]
per_action = "5"
per_hour = "6"
per_day = "10"
per_week = "20"
free_per_action = "0.5"
free_per_day = "1"
ask_elsewhere_above = "3"
two_approvers_above = "4"

[default.limits."token.localnet"]
decimals = 18
per_day = "1.5"

[identities.0123456789abcdef]
shared = true
user_header = "X-OpenWebUI-User-Id"
limits.USDC = { per_day = "25" }
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, REGISTRY)
    assert caught.value.code == "policy_invalid"
    found = caught.value.details["problems"]
    assert isinstance(found, list)
    return [str(problem) for problem in found]


def test_a_whole_file_is_read_into_exact_units() -> None:
    policy = parse_policy(WHOLE, REGISTRY)
    rules = policy.default
    assert rules.tokens["NEAR"].per_action == parse_near("5")
    assert [budget.window_s for budget in rules.tokens["NEAR"].budgets] == [3600, 86400, 604800, 86400]
    assert rules.tokens["token.localnet"].budgets[0].units == 15 * 10**17
    assert (rules.max_deposit, rules.max_gas, rules.approvers) == (parse_near("10"), 100 * TGAS, ("operator",))
    assert rules.recipients[0] is not None
    assert rules.recipients[0].has("carol.localnet")
    assert rules.recipients[0].has("x.bob.localnet")
    assert not rules.recipients[0].has("xbob.localnet")
    own = policy.rules_of("0123456789abcdef/anna")
    assert (own.shared, own.user_header) == (True, "X-OpenWebUI-User-Id")
    assert own.tokens["usdc.localnet"].budgets[0].units == 25_000_000
    assert own.tokens["NEAR"] == rules.tokens["NEAR"]
    assert policy.rules_of("somebody-else") is rules
    assert policy.address_book.name_of("carol.localnet") == "carol"


def test_it_is_told_in_plain_words() -> None:
    words = summary(parse_policy(WHOLE, REGISTRY))
    for part in (
        "networks: localnet; everything else is denied",
        "recipients: only carol.localnet, *.bob.localnet",
        "methods: only usdc.localnet:ft_transfer, *:near_deposit",
        "actions: never account_delete",
        "one action sends at most 5 NEAR",
        "the account spends at most 10 NEAR in 24 h",
        "the account spends at most 1 NEAR in 24 h without asking",
        "up to 0.5 NEAR go without asking",
        "above 4 NEAR two people approve",
        "this identity spends at most 25 USDC (usdc.localnet) in 24 h",
        "the key is shared, told apart by the header X-OpenWebUI-User-Id",
        "Address book: carol is carol.localnet",
    ):
        assert part in words
    assert "nothing goes without asking" in summary(parse_policy("version = 1", REGISTRY))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "version = 1\n[default]\nrecipents.allow = []",
            "line 3: default.recipents is not a known key; nearest: recipients",
        ),
        ("version = 1\n[defualt]", "line 2: defualt is not a known key; nearest: default"),
        (
            "version = 1\n[default]\nrecipients.alow = []",
            "line 3: default.recipients.alow is not a known key; nearest: allow",
        ),
        (
            "version = 1\n[default.limits.NEAR]\nper_dai = 1",
            "line 3: default.limits.NEAR.per_dai is not a known key; nearest: per_day",
        ),
        ('version = 1\n[default]\nalways_ask = ["kyes"]', "'kyes' is not known; nearest: keys"),
        ('version = 1\n[default]\nnetworks = ["tesnet"]', "'tesnet' is not known; nearest: testnet"),
        (
            "version = 1\n[default.limits.USDX]\nper_day = 1",
            "line 2: default.limits.USDX is no token of localnet; nearest: USDC; or write",
        ),
        ('version = 1\n[default.limits."t.localnet"]\nper_day = 1', "needs decimals = ..."),
        ("version = 1\n[default.limits.USDC]\ndecimals = 5", "says 5 decimals, the registry 6"),
        ('version = 1\n[default.limits.USDC]\nper_day = "0.0000001"', "has 7 decimals, the token has 6"),
        ("version = 1\n[default.limits.NEAR]\nper_day = 1.5", 'it is no amount; write it as text, such as "12.5"'),
        ('version = 1\n[default.limits.NEAR]\nper_day = "-1"', "is not a plain decimal number"),
        (
            "version = 1\n[default.limits.NEAR]\nfree_per_action = 1",
            "needs free_per_hour, free_per_day or free_per_week",
        ),
        ('version = 1\n[default]\nmethods.deny = ["x"]', "write contract:method"),
        (
            'version = 1\n[address_book]\nbob = "bob.localnet"\n[default]\nrecipients.allow = ["@bop"]',
            "line 5: default.recipients.allow names @bop, which is not in the address book; nearest: @bob",
        ),
        ('version = 1\n[address_book]\nbob = "Bob"', "address_book.bob"),
        ("version = 2", "version"),
        ("", "version"),
        ("version = ", "it is not TOML"),
        ('version = 1\n[default]\nuser_header = "a b"', "user_header"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text)), problems(text)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert len(problems("version = 1\n[default]\na = 1\nb = 2\n[identities.k]\nc = 3")) == 3


@given(text=st.text(max_size=200))
def test_any_text_is_a_policy_or_a_typed_refusal(text: str) -> None:
    for one in (text, f"version = 1\n{text}", f"version = 1\n[default]\n{text}"):
        with suppress(InvalidInput):
            parse_policy(one, REGISTRY)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """The address book, lists, limits and keys that are not known: in one message, each with its line."""
    text = """version = "1"
[address_book]
bob = "Bob"
"b.c" = "carol.localnet"
CAROL = "carol.localnet"
carol = "carol.localnet"
[default]
networks = ["localnet", "tesnet"]
recipients.allow = ["@bob", "@carrol", "NOT AN ACCOUNT"]
actions.deny = ["near_tranfer"]
wrong = true
[default.limits.USDC]
per_day = "0.0000001"
[default.limits.NEAR]
per_action = 1.5
free_per_action = "1"
[identities.k]
max_deposit_near = "1,5"
"""
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, REGISTRY, ("near_transfer",))
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    wanted = (
        "line 1: version",
        "line 3: address_book.bob: account id 'Bob'",
        "line 4: address_book.b.c has a dot",
        "line 6: address_book.carol is the same name as 'CAROL'",
        "line 8: default.networks.1: 'tesnet' is not known; nearest: testnet",
        "line 9: default.recipients.allow names @carrol, which is not in the address book",
        "line 9: default.recipients.allow holds 'NOT AN ACCOUNT'",
        "line 10: default.actions.deny holds 'near_tranfer', which is no action; nearest: near_transfer",
        "line 11: default.wrong is not a known key",
        "line 13: default.limits.USDC.per_day cannot be used",
        "line 15: default.limits.NEAR.per_action",
        "line 16: default.limits.NEAR.free_per_action needs free_per_hour",
        "line 18: identities.k.max_deposit_near cannot be used",
    )
    for part in wanted:
        assert [problem for problem in problems if str(problem).startswith(part)], (part, problems)
    assert len(problems) == len(wanted), problems
