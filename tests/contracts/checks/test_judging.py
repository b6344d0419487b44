"""Built calls as the policy reads them: typed actions, amounts, and every account that they name."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.checks.judging import Judged, read_call
from contracts.checks.methods import EVERY
from contracts.types import U128_MAX
from tests.contracts.checks.policies import USDC, call

HEX = "ab" * 32


def read(method: str, args: JsonValue, *, to: str = USDC, raw: bytes | None = None) -> Judged:
    (one,) = read_call(call(method, args, to=to, raw=raw))
    return one


def named(method: str, args: JsonValue) -> dict[str, str]:
    return dict(read(method, args).recipients)


@pytest.mark.parametrize(
    ("method", "args", "action", "tokens"),
    [
        ("ft_transfer", {"receiver_id": "bob.near", "amount": "5"}, "ft_transfer", ((USDC, 5),)),
        ("ft_transfer_call", {"receiver_id": "x.near", "amount": "5", "msg": ""}, "ft_transfer_call", ((USDC, 5),)),
        ("near_deposit", {}, "near_wrap", ()),
        ("near_withdraw", {"amount": "7"}, "near_unwrap", ((USDC, 7),)),
        ("storage_deposit", {"account_id": "bob.near"}, "storage_deposit", ()),
        ("nft_transfer", {"receiver_id": "bob.near", "token_id": "1"}, "nft_transfer", ((f"nft:{USDC}", 1),)),
        ("deposit_and_stake", {}, "stake", ()),
        ("unstake_all", {}, "unstake", ()),
        ("withdraw", {"amount": "1"}, "stake_withdraw", ()),
        ("act_proposal", {"id": 1, "action": "VoteApprove"}, "dao_vote", ()),
        ("create_account", {"new_account_id": "dave.near"}, "account_create", ()),
        (
            "swap",
            {"actions": [{"token_in": "a.near", "amount_in": "9", "token_out": "b.near"}]},
            "swap",
            (("a.near", 9),),
        ),
        ("swap", {"actions": []}, "swap", ()),
        ("swap", {"actions": "?"}, "contract_call", ((EVERY, U128_MAX),)),
        ("increment", {}, "contract_call", ()),
        ("ft_transfer", {"receiver_id": "bob.near", "amount": "all"}, "ft_transfer", ((USDC, U128_MAX),)),
        ("ft_transfer", {"receiver_id": "bob.near", "amount": 5}, "ft_transfer", ((USDC, 5),)),
        ("ft_transfer", {"receiver_id": "bob.near"}, "ft_transfer", ((USDC, U128_MAX),)),
        ("ft_transfer", {"receiver_id": "bob.near", "amount": "1e3"}, "ft_transfer", ((USDC, U128_MAX),)),
    ],
)
def test_a_known_method_is_its_typed_action(
    method: str, args: JsonValue, action: str, tokens: tuple[tuple[str, int], ...]
) -> None:
    one = read(method, args)
    assert (one.action, one.tokens) == (action, tokens)


@pytest.mark.parametrize(
    ("args", "accounts"),
    [
        ({"receiver_id": "bob.near", "memo": "for eve.near"}, {"bob.near": "receiver_id"}),
        ({"receiver_id": "bob.near", "msg": "eve.near"}, {"bob.near": "receiver_id", "eve.near": "msg"}),
        (
            {"receiver_id": "ref.near", "msg": json.dumps({"receiver_id": "eve.near"})},
            {"ref.near": "receiver_id", "eve.near": "msg.receiver_id"},
        ),
        (
            {"receiver_id": "ref.near", "msg": json.dumps({"a": [{"msg": json.dumps({"to": "aurora"})}]})},
            {"ref.near": "receiver_id", "aurora": "msg.a.msg.to"},
        ),
        ({"receiver_id": "aurora", "msg": f"0 {HEX} x"}, {"aurora": "receiver_id", HEX: "msg"}),
        ({"receiver_id": "aurora", "msg": "pay=eve.near;7"}, {"aurora": "receiver_id", "eve.near": "msg"}),
        ({"receiver_id": "aurora", "msg": "PAY EVE.NEAR"}, {"aurora": "receiver_id", "eve.near": "msg"}),
        ({"receiver_id": "aurora", "msg": "..eve.near-"}, {"aurora": "receiver_id", "eve.near": "msg"}),
        ({"receiver_id": "aurora", "msg": f"to-{HEX}_1"}, {"aurora": "receiver_id", HEX: "msg"}),
        ({"receiver_id": "0x" + "1a" * 20}, {"0x" + "1a" * 20: "receiver_id"}),
        ({"payouts": {"eve.near": "10", HEX: "1"}}, {"eve.near": "payouts.eve.near", HEX: f"payouts.{HEX}"}),
        ({"account_ids": ["bob", "eve"]}, {"bob": "account_ids", "eve": "account_ids"}),
        ({"amount": "12500000", "rate": "12.5", "token_id": "7", "name": "lunch"}, {}),
        (
            {"kind": {"FunctionCall": {"args": base64.b64encode(b'{"receiver_id":"eve.near"}').decode()}}},
            {"eve.near": "kind.FunctionCall.args.receiver_id"},
        ),
    ],
)
def test_every_account_in_the_arguments_is_found(args: JsonValue, accounts: dict[str, str]) -> None:
    assert named("ft_transfer_call", args) == accounts


def test_accounts_in_bytes_that_are_no_json_are_found_too() -> None:
    one = read("pay", None, raw=b"to eve.near 5")
    assert one.recipients == (("eve.near", "arguments"), ("", "arguments"))
    assert one.categories == ("unread_arguments",)


@pytest.mark.parametrize(
    "msg", ["[" * 50 + '"eve.near"' + "]" * 50, "x" * 70_000, '{"a":' * 40 + '"eve.near"' + "}" * 40]
)
def test_what_is_too_deep_or_too_long_to_read_is_said(msg: str) -> None:
    assert "" in named("ft_transfer_call", {"receiver_id": "x.near", "msg": msg})


@pytest.mark.parametrize("piece", ["x", "a.", "a-", ".", "a..", "0x", "a.near "])
def test_texts_that_are_made_to_be_slow_are_read(piece: str) -> None:
    """Linear in their length: quadratic would be minutes here."""
    found = named("ft_transfer_call", {"receiver_id": "x.near", "msg": piece * (65_000 // len(piece))})
    assert set(found) <= {"x.near", "a.near"}


def test_a_swap_without_a_minimum_is_seen_in_a_message() -> None:
    step = {"pool_id": 1, "token_in": "a.near", "token_out": "b.near", "min_amount_out": "0"}
    found = read("ft_transfer_call", {"receiver_id": "x.near", "amount": "1", "msg": json.dumps({"actions": [step]})})
    assert "no_minimum_out" in found.categories
    safe = {**step, "min_amount_out": "1"}
    found = read("ft_transfer_call", {"receiver_id": "x.near", "amount": "1", "msg": json.dumps({"actions": [safe]})})
    assert found.categories == ()


@pytest.mark.parametrize(
    ("second", "asks"),
    [
        ({"min_amount_out": "5"}, False),
        ({"min_amount_out": "0"}, True),
        ({"min_amount_out": "5", "amount_in": "3"}, True),
        ({"min_amount_out": "5", "token_in": "other.near"}, True),
    ],
)
def test_a_route_has_the_minimum_of_its_last_step_where_that_takes_all_of_the_first(
    second: dict[str, str], *, asks: bool
) -> None:
    steps = [
        {"pool_id": 1, "token_in": "a.near", "amount_in": "9", "token_out": "b.near", "min_amount_out": "0"},
        {"pool_id": 2, "token_in": "b.near", "token_out": "c.near", **second},
    ]
    found = read("ft_transfer_call", {"receiver_id": "x.near", "amount": "9", "msg": json.dumps({"actions": steps})})
    assert ("no_minimum_out" in found.categories) is asks


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8) | st.just("eve.near"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, layers=st.integers(0, 3))
def test_an_account_is_found_however_it_is_wrapped(value: JsonValue, layers: int) -> None:
    hidden: JsonValue = {"x": value, "y": "eve.near"}
    for _ in range(layers):
        hidden = {"msg": json.dumps(hidden)}
    assert "eve.near" in named("anything", hidden)


@given(raw=st.binary(max_size=60), method=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_any_bytes_are_read(raw: bytes, method: str) -> None:
    (one,) = read_call(call(method, raw=raw))
    assert one.contract_id == USDC
