"""The signer's caps: exact amounts, and what cannot be weighed needs approvers."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from contracts.errors import InvalidInput
from contracts.signing.caps import Caps, NearCap, TokenCap, default_caps, over_caps, parse_caps, spending
from contracts.signing.journal import NATIVE
from contracts.types import AccountId, Gas, PublicKey, Yocto

NEAR = 10**24
BOB, USDC = AccountId("bob.near"), AccountId("usdc.near")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
CAPS = Caps(
    near=NearCap(per_transaction="5", per_day="20"),
    tokens={USDC: TokenCap(decimals=6, per_transaction="100", per_day="150")},
    other_tokens="approvers",
    other_calls="approvers",
)


def call(method: str, args: object, deposit: int = 1, gas: int = 0) -> FunctionCall:
    raw = args if isinstance(args, bytes) else json.dumps(args).encode()
    return FunctionCall(method, raw, Gas(gas), Yocto(deposit))


def reasons(
    receiver_id: AccountId, *actions: Action, caps: Caps = CAPS, own: frozenset[PublicKey] = frozenset()
) -> str:
    return "; ".join(over_caps(spending(receiver_id, actions, caps, own), caps, {}))


def test_the_file_is_read_strictly() -> None:
    caps = parse_caps(
        '[near]\nper_transaction = "0.5"\n[tokens."usdc.near"]\ndecimals = 6\nper_day = "10"\n'
        f'[approvers]\nneeded = 1\npublic_keys = ["{KEY}"]\n'
    )
    assert caps.near.per_transaction == "0.5"
    assert caps.approvers.public_keys == (KEY,)
    for wrong in (
        "[near]\nper_transaction = 5\n",
        '[near]\nper_transaction = "5 NEAR"\n',
        '[near]\nper_transaktion = "5"\n',
        '[tokens."usdc.near"]\nper_day = "1"\n',
        '[tokens."usdc.near"]\ndecimals = 6\nper_day = "0.0000001"\n',
        '[tokens."NOT AN ACCOUNT"]\ndecimals = 6\n',
        "near = [",
    ):
        with pytest.raises(InvalidInput) as caught:
            parse_caps(wrong)
        assert caught.value.code == "bad_caps"


def test_the_caps_in_the_security_page_are_read() -> None:
    page = (Path(__file__).parents[3] / "SECURITY.md").read_text()
    (sample,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    caps = parse_caps(sample)
    assert (caps.other_tokens, caps.other_calls) == ("approvers", "approvers")
    assert "above 5 per transaction" in reasons(BOB, Transfer(Yocto(6 * NEAR)), caps=caps)


def test_localnet_has_no_caps_and_public_networks_do() -> None:
    assert not default_caps("localnet").set
    for network in ("testnet", "mainnet"):
        assert default_caps(network).set
    everything = Transfer(Yocto(10**9 * NEAR))
    assert reasons(BOB, everything, caps=default_caps("localnet")) == ""
    assert "above 100 per transaction" in reasons(BOB, everything, caps=default_caps("testnet"))


@given(amount=st.integers(0, 2**128 - 1))
def test_near_is_compared_to_the_yocto(amount: int) -> None:
    assert (reasons(BOB, Transfer(Yocto(amount))) == "") == (amount <= 5 * NEAR)


def test_amounts_of_one_transaction_are_added() -> None:
    assert reasons(BOB, Transfer(Yocto(3 * NEAR)), Transfer(Yocto(2 * NEAR))) == ""
    assert "above 5" in reasons(BOB, Transfer(Yocto(3 * NEAR)), Transfer(Yocto(2 * NEAR)), Transfer(Yocto(1)))
    assert "above 5" in reasons(BOB, Stake(Yocto(6 * NEAR), KEY))
    gas = spending(BOB, [call("near_deposit", {}, deposit=7, gas=300 * 10**12)], CAPS, frozenset())
    assert gas.amounts == {NATIVE: 7 + 300 * 10**12 * 10**8}


def test_tokens_are_weighed_by_their_arguments() -> None:
    fine = call("ft_transfer", {"receiver_id": BOB, "amount": "100000000"})
    assert reasons(USDC, fine) == ""
    assert "above 100 per transaction" in reasons(USDC, call("ft_transfer", {"amount": "100000001"}))
    spent = spending(USDC, [fine], CAPS, frozenset())
    assert over_caps(spent, CAPS, {USDC: 50_000_000}) == ()
    assert "150.000001 usdc.near in 24 hours is above 150" in "; ".join(over_caps(spent, CAPS, {USDC: 50_000_001}))


@pytest.mark.parametrize(
    "args",
    [
        b"",
        b"[]",
        b'{"amount":"1","amount":"999999999999"}',
        b'{"amount":1}',
        b'{"amount":"-1"}',
        b'{"amount":"\xd9\xa1"}',
        b'{"amount":"1e9"}',
        b'{"amount":"' + b"9" * 40 + b'"}',
        b"[" * 5000,
        b'{"x":"' + b"x" * 70_000 + b'","amount":"1"}',
    ],
)
def test_arguments_that_can_be_read_in_two_ways_need_approvers(args: bytes) -> None:
    assert "no cap can weigh: ft_transfer of usdc.near" in reasons(USDC, call("ft_transfer", args))


def test_what_no_amount_bounds_needs_approvers() -> None:
    stranger = PublicKey.from_bytes("ed25519", bytes([1]) * 32)
    for action in (
        AddKey(stranger, FullAccess()),
        AddKey(stranger, FunctionCallAccess(BOB, (), None)),
        AddKey(stranger, FunctionCallAccess(BOB, (), Yocto(1))),
        DeleteAccount(BOB),
        DeployContract(b"code"),
        call("swap", {}),
        call("ft_transfer", {"amount": "1"}),
    ):
        assert "no cap can weigh" in reasons(BOB, action), action
    for action in (
        CreateAccount(),
        DeleteKey(stranger),
        AddKey(KEY, FullAccess()),
        call("storage_deposit", {}),
    ):
        assert reasons(BOB, action, own=frozenset({KEY})) == "", action
    near_alone = Caps(near=CAPS.near)
    for allowance, said in ((NEAR, ""), (6 * NEAR, "above 5")):
        assert said in reasons(BOB, AddKey(stranger, FunctionCallAccess(BOB, (), Yocto(allowance))), caps=near_alone)
    assert reasons(BOB, AddKey(stranger, FunctionCallAccess(BOB, (), Yocto(NEAR))), caps=near_alone) == ""
    assert "'burn' of usdc.near" in reasons(USDC, call("burn", {"amount": "1"}), caps=CAPS)
