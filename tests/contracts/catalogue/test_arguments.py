"""How written arguments are read: exactly, or refused with what would be right."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.catalogue.arguments import (
    MAX_JSON_DEPTH,
    Parameter,
    compact_json,
    read_account,
    read_amount,
    read_argument,
    read_gas,
    read_hash,
    read_object,
)
from contracts.errors import InvalidInput
from contracts.types import AccountId, JsonObject
from tests.contracts.catalogue.world import ALICE, REGISTRY

NOT_TEXT: list[JsonValue] = [12.5, True, [], {}]
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's own example


def refusal(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


def test_me_is_the_caller() -> None:
    assert read_account("@me", ALICE, REGISTRY) == ALICE
    assert read_account("@ME", ALICE, REGISTRY) == ALICE


def test_capitals_are_refused_with_the_id_in_lower_case() -> None:
    with refusal("account_upper_case") as refused:
        read_account("Bob.localnet", ALICE, REGISTRY)
    assert refused.value.message == "account ids are lower case; did you mean bob.localnet?"
    assert refused.value.details["nearest"] == "bob.localnet"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("bob..localnet", "did you mean bob.localnet?"),
        ("@bob.localnet", "did you mean bob.localnet?"),
        ("b", "2 to 64 are allowed"),
        ("bоb.localnet", "U+043E"),
        ("bob.localnet\n", "only a-z, 0-9 and . - _ are allowed"),
        ("x" * 100, "2 to 64 are allowed"),
    ],
)
def test_a_wrong_account_id_is_refused_with_the_rule(written: str, said: str) -> None:
    with refusal("account_malformed") as refused:
        read_account(written, ALICE, REGISTRY)
    assert said in refused.value.message


def test_a_mixed_case_address_must_keep_its_checksum() -> None:
    assert read_account(CHECKSUMMED, ALICE, REGISTRY) == CHECKSUMMED.lower()
    assert read_account("0x" + CHECKSUMMED[2:].upper(), ALICE, REGISTRY) == CHECKSUMMED.lower()
    with refusal("account_checksum"):
        read_account(CHECKSUMMED.replace("5aAe", "5aae"), ALICE, REGISTRY)
    with refusal("account_checksum"):
        read_account(CHECKSUMMED.replace("053F", "054F"), ALICE, REGISTRY)
    with refusal("account_upper_case"):
        read_account("0x" + "Zz" * 20, ALICE, REGISTRY)


@pytest.mark.parametrize("digit", range(2, 42))
def test_a_checksum_catches_every_single_changed_digit_of_its_example(digit: int) -> None:
    other = "1" if CHECKSUMMED[digit] != "1" else "2"
    with refusal("account_checksum"):
        read_account(CHECKSUMMED[:digit] + other + CHECKSUMMED[digit + 1 :], ALICE, REGISTRY)


@pytest.mark.parametrize(
    ("written", "readings"),
    [("1,000", ["1000", "1.000"]), ("1,5", ["15", "1.5"]), ("1,000.50", ["1000.50", "1.00050"]), ("1.000,5", None)],
)
def test_a_comma_is_asked_about(written: str, readings: list[str] | None) -> None:
    with refusal("amount_malformed") as refused:
        read_amount("amount", written)
    assert refused.value.message.count("?") == 1
    if readings:
        assert refused.value.details["readings"] == readings


@pytest.mark.parametrize(
    "written", ["-1", "1e3", "1_000", "0x10", "NaN", "١٢", "１２", " 12", "12 ", "12.", ".5", "12 NEAR"]
)
def test_only_plain_decimals_are_amounts(written: str) -> None:
    with refusal("amount_malformed"):
        read_amount("amount", written)


def test_an_amount_may_be_a_whole_json_number_but_never_a_float() -> None:
    amount = Parameter("amount", "amount", required=True, about="")
    assert read_argument(amount, 12, ALICE, REGISTRY) == "12"
    for value in NOT_TEXT:
        with refusal("not_text"):
            read_argument(amount, value, ALICE, REGISTRY)


def test_gas_is_read_in_tgas() -> None:
    assert read_gas("30") == 30 * 10**12
    assert read_gas("0.5") == 5 * 10**11
    with refusal("amount_too_precise"):
        read_gas("0.0000000000001")
    with refusal("gas_too_large"):
        read_gas("99999999999")


def test_a_hash_has_32_bytes() -> None:
    text = "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"
    assert read_hash(text) == text
    for wrong in ("abc", text[:-4], "0" * 44, text + "1"):
        with refusal("hash_malformed"):
            read_hash(wrong)


def test_a_contract_argument_takes_a_symbol_where_that_is_said() -> None:
    plain = Parameter("contract_id", "account_id", required=True, about="")
    symbols = Parameter("contract_id", "account_id", required=True, about="", symbols=True)
    assert read_argument(symbols, "usdc", ALICE, REGISTRY) == "usdc.localnet"
    with refusal("account_malformed") as refused:
        read_argument(plain, "USDC", ALICE, REGISTRY)
    assert "its contract is usdc.localnet" in refused.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":1,"a":2}', "the key 'a' appears twice"),
        ('{"a":1.5}', "write amounts as strings"),
        ('{"a":1e30}', "write amounts as strings"),
        ('{"a":NaN}', "write amounts as strings"),
        ('{"a":-Infinity}', "write amounts as strings"),
        ("{", "not usable as JSON"),
        ("[" * 200_000, "nested deeper"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper"),
        ('{"a":' + "9" * 5000 + "}", "not usable as JSON"),
    ],
)
def test_json_that_is_not_exact_is_refused(text: str, said: str) -> None:
    with refusal("malformed_json") as refused:
        read_object("args", text)
    assert said in refused.value.message


@pytest.mark.parametrize("value", ["[]", "1", '"x"', "null", [], 1, True, None])
def test_arguments_are_an_object(value: Any) -> None:
    with refusal("not_an_object"):
        read_object("args", value)


def test_a_parsed_object_is_held_to_the_same() -> None:
    with refusal("malformed_json"):
        read_object("args", {"a": [{"b": 1.5}]})
    with refusal("not_unicode"):
        read_object("args", {"a": "\ud800"})
    with refusal("not_unicode"):
        read_object("args", '{"a": "\\udc00"}')
    assert read_object("args", {"amount": 2**128 - 1, "b": [None, True]}) == {"amount": 2**128 - 1, "b": [None, True]}


def test_text_is_kept_as_it_is() -> None:
    memo = Parameter("memo", "string", required=False, about="")
    assert read_argument(memo, '"}; drop', ALICE, REGISTRY) == '"}; drop'
    with refusal("not_unicode"):
        read_argument(memo, "\udfff", ALICE, REGISTRY)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES, max_size=5))
def test_arguments_reach_a_contract_as_the_same_json(value: JsonObject) -> None:
    data = compact_json(read_object("args", value))
    assert json.loads(data) == value
    assert compact_json(read_object("args", data.decode())) == data
    assert b"\n" not in data


@settings(deadline=None)
@given(st.text(max_size=80))
def test_reading_an_account_gives_an_account_or_a_refusal(text: str) -> None:
    try:
        found = read_account(text, ALICE, REGISTRY)
    except InvalidInput as error:
        found = error
    if isinstance(found, InvalidInput):
        assert found.code in {"account_malformed", "account_upper_case", "account_checksum"}
        assert len(found.message) < 400
    else:
        assert AccountId(found) == found


def test_depth_is_counted_from_the_object_itself() -> None:
    value: JsonObject = {}
    for _ in range(MAX_JSON_DEPTH):
        value = {"a": value}
    assert read_object("args", value) == value
    with refusal("malformed_json"):
        read_object("args", {"a": value})
