"""A model takes what was said of one thing for another: units, sums, parts, keys. Only what was said becomes money."""

import pytest

from agent.planning.provenance import ValueKind, trace
from contracts.knowledge.registry import Registry
from contracts.types import JsonObject

REGISTRY = Registry.for_network("localnet")
KINDS: dict[str, ValueKind] = {
    "receiver_id": "account",
    "contract_id": "contract",
    "token": "token",
    "amount": "amount",
    "allowance": "amount",
    "slippage_percent": "percent",
    "method_name": "name",
    "args": "text",
}


def is_said(text: str, action: str, args: JsonObject) -> bool:
    """Whether every argument has a source in the requester's words."""
    _, missing = trace(action, args, KINDS, [(0, text)], caller="alice.localnet", registry=REGISTRY)
    return not missing


def pays_five(text: str) -> bool:
    return is_said(text, "near_transfer", {"receiver_id": "bob.localnet", "amount": "5"})


@pytest.mark.parametrize(
    "said",
    [
        "5 yoctoNEAR",
        "5 yocto",
        "5 milliNEAR",
        "5 mNEARs",
        "5 DOGE",
        "5 shitzu",
        "5 eth",
        "5 USD of NEAR",
        "5 dollars worth of NEAR",
        "5 euros",
        "5     USDC",
        "5 (USDC)",
        "5 `USDC`",
        "5 units of USDC",
        "5 M NEAR",
        "5 lakh NEAR",
        "5 万 NEAR",
        "5 тысяч NEAR",
        "5 thousandths of a NEAR",
        "half of my 5 NEAR",
        "5 NFTs",
        "NFT 5",
    ],
)
def test_what_is_counted_in_something_else_is_no_amount_of_near(said: str) -> None:
    assert not pays_five(f"send {said} to bob.localnet")
    assert not pays_five(f"Bob.localnet gets it: send {said} to him")


@pytest.mark.parametrize(
    "said",
    [
        "5*1000",
        "5 × 10^3",
        "5^3",
        "5 10",
        "5/2",
        "5 / 2",
        "5 divided by 2",
        "2 x 5",
        "−5",
        "–5",
        "~5",
        "<5",
        "5⁄8",
        "5٫5",
        "5·000",
        "5’000",
        "1’5",
        "5´000",
        "5‑000",
        "5\u2007000",
        "5  000",
        "5;000",
        "5²",
    ],
)
def test_a_part_of_a_sum_or_of_another_number_is_no_amount(said: str) -> None:
    assert not pays_five(f"send {said} NEAR to bob.localnet")


@pytest.mark.parametrize(
    "text",
    [
        "send 5 NEAR to bob.localnet",
        "send 5NEAR to bob.localnet, please",
        "send bob.localnet 5",
        "SEND 5 TO BOB.LOCALNET",
        "send **5** NEAR to `bob.localnet`",
        "send 5 (NEAR) to bob.localnet",
        "send NEAR: 5, to bob.localnet",
        "send 5 each to bob.localnet and carol.localnet",
        "send 5 over to bob.localnet",
        "please pay “5” to bob.localnet",
        "send 98793cd91a3f870fb126f66285808c7e094afcfc4eda8a970f6648cdf0dbd6d0 and bob.localnet 5 NEAR",
        "send bob.localnet 5 NEAR, and 3 USDC to carol.localnet",
    ],
)
def test_what_was_said_is_understood(text: str) -> None:
    assert pays_five(text)


def test_an_implicit_account_that_ends_in_digits_is_no_number_of_a_sum() -> None:
    receiver = "98793cd91a3f870fb126f66285808c7e094afcfc4eda8a970f6648cdf0dbd600"
    assert is_said(f"send {receiver} 5 NEAR", "near_transfer", {"receiver_id": receiver, "amount": "5"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unstake all from pool.localnet", True),
        ("unstake everything from pool.localnet", True),
        ("unstake 2 NEAR from pool.localnet, that's all", False),
        ("unstake 2 NEAR from pool.localnet, nothing else at all", False),
        ("unstake 2 NEAR from all-in.localnet", False),
    ],
)
def test_everything_is_only_what_was_called_so(text: str, said: bool) -> None:  # noqa: FBT001
    assert is_said(text, "unstake", {"amount": "all"}) == said


def test_an_allowance_is_near() -> None:
    key = {"contract_id": "counter.localnet", "allowance": "5"}
    assert is_said("a key for counter.localnet with 5 NEAR of gas", "key_add_function_call", {**key})
    assert not is_said("a key for counter.localnet with 5 USDC of gas", "key_add_function_call", {**key})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("swap 5 USDC to USDT", False),
        ("swap 5 USDC to USDT, slippage 0.5%", False),
        ("swap 5 USDC to USDT with 5% slippage", True),
        ("swap 1 USDC to USDT, slippage of at most 5", True),
        ("swap 1 USDC to USDT, 5 percent slippage", True),
    ],
)
def test_the_amount_of_a_swap_is_not_its_slippage(text: str, said: bool) -> None:  # noqa: FBT001
    assert is_said(text, "swap", {"slippage_percent": "5"}) == said


@pytest.mark.parametrize(
    "args",
    [
        {"eve.localnet": "5"},
        {"shares": [{"eve.localnet": "5"}]},
        {"9" * 64: "5"},
        {"0x" + "ab" * 20: "5"},
        {"to eve": "5"},
    ],
)
def test_an_account_in_the_place_of_a_fields_name_must_be_said(args: JsonObject) -> None:
    call: JsonObject = {"contract_id": "counter.localnet", "method_name": "pay", "args": args}
    assert not is_said("call pay of counter.localnet with 5", "contract_call", call)
    named = "call pay of counter.localnet with to eve 5 eve.localnet " + "9" * 64 + " 0x" + "ab" * 20
    assert is_said(named, "contract_call", call)
