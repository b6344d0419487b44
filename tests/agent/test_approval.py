"""Decisions, codes and cards."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.approval import Codes, Waiting, card_text, gas_bound, how_to_decide, open_code_key, read_decision
from agent.planning.conversations import mask_cards
from contracts.calls import (
    ChangeCall,
    Delegate,
    DelegateAction,
    FunctionCall,
    Transfer,
    TransferToGasKey,
    WithdrawFromGasKey,
)
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto
from tests.agent.world import protocol_config

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TOKENS = FunctionCall("ft_transfer", b'{"amount":"12500000"}', Gas(30 * TGAS), Yocto(1))
CALL = ChangeCall(AccountId("usdc.localnet"), (TOKENS,))


@given(st.text(ALPHABET, min_size=8, max_size=8), st.sampled_from(["confirm", "Confirm", "CANCEL", "cancel"]))
def test_a_decision_is_the_whole_message(code: str, verb: str) -> None:
    for text in (f"{verb} {code}", f"\n {verb}\t\t{code.lower()}  \n"):
        decision = read_decision(text)
        assert decision is not None
        assert (decision.verb, decision.code) == (verb.lower(), code)
        assert code not in repr(decision)
    for text in (f"{verb} {code}!", f"> {verb} {code}", f"{verb}{code}", f"{verb} {code}0", f"I {verb} {code}", code):
        assert read_decision(text) is None


@pytest.mark.parametrize(
    "text", ["confirm ILOU0000", "confirm 1234567", "confirm 1234-5678", "confirm", "", "confirm \u0660" * 8]
)
def test_other_texts_decide_nothing(text: str) -> None:
    assert read_decision(text) is None


@given(st.uuids().map(str), st.uuids().map(str))
def test_codes_are_eight_signs_and_differ_by_request_and_folder(first: str, second: str) -> None:
    codes = Codes(b"one folder's key")
    code = codes.code_of(first)
    assert len(code) == 8
    assert set(code) <= set(ALPHABET)
    assert codes.code_of(first) == code
    assert Codes(b"another folder's key").code_of(first) != code
    if first != second:
        assert codes.code_of(second) != code


def test_the_code_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = open_code_key(tmp_path)
    assert open_code_key(tmp_path) == key
    assert (tmp_path / "code_key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "code_key").write_text("", encoding="ascii")
    assert open_code_key(tmp_path) not in {b"", key}


def test_a_card_says_what_is_done_and_its_history_can_be_masked() -> None:
    bound = gas_bound([CALL], protocol_config(), 100_000_000)
    text = card_text(
        "request-1",
        network="localnet",
        signer_id=AccountId("alice.localnet"),
        summaries=["send 12.5 USDC (usdc.localnet) from alice.localnet to carol.localnet"],
        notes=["registers carol.localnet with usdc.localnet (0.00125 NEAR)"],
        calls=[CALL],
        bound=bound,
    )
    end = how_to_decide("request-1", 1_800_000_000, Waiting("ABCDEFGH"))
    for part in (
        "12.5 USDC",
        "carol.localnet",
        "deposit 1 yoctoNEAR",
        "30 Tgas",
        "2027-01-15 08:00:00 UTC",
    ):
        assert part in f"{text}\n{end}"
    assert mask_cards(f"{text}\n{end}") == "[approval card of request request-1]"
    assert "near-agent approve request-1" in how_to_decide("request-1", 1_800_000_000, Waiting(None))


def test_the_gas_bound_covers_what_is_attached_at_the_price_of_today() -> None:
    config = protocol_config()
    bound = gas_bound([CALL, CALL], config, 100_000_000)
    assert bound.gas > 60 * TGAS
    assert bound.yocto == bound.gas * 100_000_000
    assert gas_bound([CALL], config, 1).yocto == gas_bound([CALL], config, None).gas * config.min_gas_price
    implicit = ChangeCall(AccountId("a" * 64), (Transfer(Yocto(1)),))
    named = ChangeCall(AccountId("bob.near"), (Transfer(Yocto(1)),))
    assert gas_bound([implicit], config, 1).gas > gas_bound([named], config, 1).gas


def test_a_card_says_what_newer_actions_move() -> None:
    alice, key = AccountId("alice.localnet"), PublicKey.from_bytes("ed25519", bytes(32))
    inner = DelegateAction(alice, CALL.receiver_id, (TOKENS,), 1, 2, key)
    purse = ChangeCall(alice, (TransferToGasKey(key, Yocto(10**24)), WithdrawFromGasKey(key, Yocto(5))))
    carried = ChangeCall(alice, (Delegate(inner, bytes(64)),))
    config = protocol_config()
    text = card_text(
        "request-1",
        network="localnet",
        signer_id=alice,
        summaries=["two"],
        notes=[],
        calls=[purse, carried],
        bound=gas_bound([purse, carried], config, 1),
    )
    assert f"put 1 NEAR into the gas key {key}" in text
    assert f"take 5 yoctoNEAR out of the gas key {key}" in text
    assert "act for alice.localnet to usdc.localnet: call ft_transfer" in text
    assert gas_bound([carried], config, 1).gas > gas_bound([CALL], config, 1).gas


def test_a_methods_name_is_shown_inert() -> None:
    """A method may be called anything in printable ASCII, also what a chat front end would load."""
    named = FunctionCall("![x](https://evil.example)`" + "y" * 200, b"{}", Gas(10**13), Yocto(0))
    call = ChangeCall(AccountId("app.localnet"), (named,))
    bound = gas_bound([call], protocol_config(), 1)
    alice = AccountId("alice.localnet")
    text = card_text(
        "request-1", network="localnet", signer_id=alice, summaries=["x"], notes=[], calls=[call], bound=bound
    )
    assert "call !(x)(https:/ /evil.example)'yyy" in text
    assert "y" * 80 not in text
