"""Exact types: account ids against nearcore's own cases, hashes and keys, and amounts that are right to the last digit."""

import hashlib
import json
import pickle
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import InvalidInput
from contracts.types import (
    U128_MAX,
    AccountId,
    CryptoHash,
    PublicKey,
    format_near,
    format_units,
    near_text,
    parse_near,
    parse_units,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "account_ids.json").read_text())
KINDS: dict[str, str] = {entry["account_id"]: entry["kind"] for entry in VECTORS["kinds"]}
KEY = "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF"


@pytest.mark.parametrize("text", VECTORS["valid"])
def test_valid_account_ids(text: str) -> None:
    assert AccountId(text) == text
    assert TypeAdapter(AccountId).validate_json(json.dumps(text)) == text


@pytest.mark.parametrize(
    "text", [*VECTORS["invalid"], "alice.near\n", "alice.near ", "", "ａlice.near", "x" * 65, "a" * 10**6]
)
def test_invalid_account_ids(text: str) -> None:
    with pytest.raises(ValueError, match="account id") as caught:
        AccountId(text)
    assert len(str(caught.value)) < 300
    with pytest.raises(ValidationError):
        TypeAdapter(AccountId).validate_python(text)


@pytest.mark.parametrize(("text", "told"), KINDS.items())
def test_kinds_of_account_ids(text: str, told: str) -> None:
    if told.startswith("invalid"):
        with pytest.raises(ValueError, match="capital"):
            AccountId(text)
        return
    kind = {"near implicit": "near_implicit", "eth implicit": "eth_implicit", "deterministic": "deterministic"}
    expected = next((value for prefix, value in kind.items() if told.startswith(prefix)), "named")
    assert AccountId(text).kind == expected


def test_the_rule_that_is_broken_is_named() -> None:
    for text, rule in (
        ("Alice.near", "capital 'A'"),
        ("a", "1 characters"),
        ("неар", "U+043D"),
        ("a b", "only a-z"),
        ("a..near", "separator"),
    ):
        with pytest.raises(ValueError, match="account id") as caught:
            AccountId(text)
        assert rule in str(caught.value)


def test_parents() -> None:
    assert AccountId("x.alice.near").parent == "alice.near"
    assert AccountId("near").parent is None


@given(raw=st.binary(min_size=32, max_size=32))
def test_hashes_and_keys_come_back_from_their_text(raw: bytes) -> None:
    found = CryptoHash.from_bytes(raw)
    assert CryptoHash(str(found)).raw == raw
    key = PublicKey.from_bytes("ed25519", raw)
    assert (PublicKey(key), key.raw, key.curve) == (key, raw, "ed25519")
    assert PublicKey(key.partition(":")[2]) == key, "no prefix means ed25519"
    assert pickle.loads(pickle.dumps(key)) == key


@given(raw=st.binary(min_size=64, max_size=64))
def test_secp256k1_keys(raw: bytes) -> None:
    key = PublicKey.from_bytes("secp256k1", raw)
    assert (key.raw, key.curve) == (raw, "secp256k1")


def test_ml_dsa_keys_are_listed_by_their_hash() -> None:
    raw = bytes(range(244)) * 8
    key = PublicKey.from_bytes("ml-dsa-65", raw)
    assert (key.raw, key.curve, PublicKey(str(key))) == (raw, "ml-dsa-65", key)
    assert key.listed == "ml-dsa-65-hash:" + base58.b58encode(hashlib.sha3_256(raw).digest()).decode()
    ordinary = PublicKey.from_bytes("ed25519", bytes(32))
    assert ordinary.listed == ordinary


@pytest.mark.parametrize(
    "text", [KEY + "\n", KEY + " ", " " + KEY, "1" + KEY, KEY[:-2], "0" + KEY[1:], "", "é" * 40, "1" * 10**6]
)
def test_what_is_not_32_bytes_of_base58_is_no_hash_and_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="base58"):
        CryptoHash(text)
    with pytest.raises(ValueError, match=r"base58|curve"):
        PublicKey(f"ed25519:{text}")


@pytest.mark.parametrize(
    "text", ["rsa:" + KEY, "ml-dsa-65:" + KEY, "secp256k1:" + KEY, ":" + KEY, "ed25519:ed25519:" + KEY]
)
def test_other_curves_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        PublicKey(text)


def test_a_hash_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="not 31"):
        CryptoHash.from_bytes(bytes(31))


AMOUNTS = st.integers(0, U128_MAX)
DECIMALS = st.integers(0, 38)


@given(units=AMOUNTS, decimals=DECIMALS)
def test_amounts_come_back_exactly(units: int, decimals: int) -> None:
    text = format_units(units, decimals)
    assert parse_units(text, decimals) == units
    with localcontext() as context:
        context.prec = 100
        assert Decimal(text).scaleb(decimals) == units
    assert text == "0" or not text.startswith("00")
    assert "." not in text or not text.endswith("0")


@given(units=st.integers(1, U128_MAX), decimals=DECIMALS)
def test_losses_are_written_with_a_sign(units: int, decimals: int) -> None:
    assert format_units(-units, decimals) == "-" + format_units(units, decimals)


@given(whole=st.integers(0, 10**12), fraction=st.text("0123456789", min_size=1, max_size=24), zeros=st.integers(0, 5))
def test_amounts_as_people_write_them(whole: int, fraction: str, zeros: int) -> None:
    text = "0" * zeros + f"{whole}.{fraction}"
    expected = whole * 10**24 + int(fraction.ljust(24, "0"))
    assert parse_near(text) == expected
    assert parse_near(format_near(expected)) == expected


@given(fraction=st.text("0123456789", min_size=7, max_size=30))
def test_more_decimals_than_the_token_has_are_never_rounded(fraction: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_units(f"1.{fraction}", 6)
    assert caught.value.code == "amount_too_precise"
    assert "has 6" in caught.value.message


MALFORMED = [
    "",
    " 12 ",
    "1,5",
    "1,000",
    "1_000",
    "1e30",
    "NaN",
    "Infinity",
    "-1",
    "+1",
    ".5",
    "5.",
    "1.2.3",
    "0x10",
    "１２",
    "١٢",
    "1 000",
    "12\n",
    "12.5 USDC",
    "½",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_decimal_would_let_through_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_units(text, 6)
    assert caught.value.code == "amount_malformed"
    assert ("comma" in caught.value.message) == ("," in text)


@given(text=st.text(max_size=30))
def test_any_text_is_an_amount_or_a_typed_refusal(text: str) -> None:
    try:
        units = parse_units(text, 24)
    except InvalidInput as error:
        assert error.code.startswith("amount_")  # noqa: PT017 - either end is right
        return
    assert text.isascii()
    assert 0 <= units <= U128_MAX


@pytest.mark.parametrize("text", ["340282366920938463463374607431768211456", "9" * 39, "9" * 10_000])
def test_amounts_above_u128_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_units(text, 0)
    assert caught.value.code == "amount_too_large"
    assert len(caught.value.message) < 300
    assert parse_units(str(U128_MAX), 0) == U128_MAX


@pytest.mark.parametrize(
    ("yocto", "text"),
    [
        (0, "0 NEAR"),
        (1, "1 yoctoNEAR"),
        (10**24, "1 NEAR"),
        (125 * 10**19 + 1, "0.00125 NEAR and 1 yoctoNEAR"),
        (10**24 - 1, "0.999999999999999999999999 NEAR"),
        (1000, "0.000000000000000000001 NEAR"),
    ],
)
def test_an_amount_for_people_is_exact_and_writes_few_yocto_as_such(yocto: int, text: str) -> None:
    assert near_text(yocto) == text
