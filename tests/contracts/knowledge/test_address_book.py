"""Names of accounts: what can be one, and when two are the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.knowledge.address_book import AddressBook, wrong_names
from contracts.types import AccountId

BOB, EVE = AccountId("bob.testnet"), AccountId("eve.testnet")


@pytest.mark.parametrize("written", ["bob", "Bob", "BOB", "@bob", "@Bob"])
def test_case_and_an_at_sign_do_not_matter(written: str) -> None:
    found = AddressBook.of({"Bob": BOB}).named(written)
    assert found is not None
    assert (found.name, found.account_id) == ("Bob", BOB)


@pytest.mark.parametrize(
    "written",
    [
        "b\N{CYRILLIC SMALL LETTER O}b",
        "b\N{GREEK SMALL LETTER OMICRON}b",
        "b0b",
        "bob ",
        " bob",
        "b\N{ZERO WIDTH SPACE}ob",
        "bo\N{COMBINING CEDILLA}b",
        "@@bob",
        "bob.testnet",
        "bobby",
        "",
        "\N{FULLWIDTH LATIN SMALL LETTER B}ob",
    ],
)
def test_what_only_looks_like_a_name_is_none(written: str) -> None:
    assert AddressBook.of({"bob": BOB}).named(written) is None


def test_a_name_is_one_however_its_signs_are_composed() -> None:
    book = AddressBook.of({"Zoë": BOB, "МАМА": EVE, "Straße": EVE})
    for written, account_id in ((unicodedata.normalize("NFD", "ZOË"), BOB), ("мама", EVE), ("STRASSE", EVE)):
        found = book.named(written)
        assert found is not None
        assert found.account_id == account_id
    assert [*book.names_of(EVE)] == ["МАМА", "Straße"]
    assert book.name_of(EVE) == "МАМА"
    assert book.name_of("nobody.testnet") is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bob.shop", "has a dot"),
        ("me", "is a word for somebody else"),
        ("All", "is a word for somebody else"),
        ("b", "has 1 characters"),
        ("USDC", "is a token's symbol"),
        ("usdc", "is a token's symbol"),
        ("near", "is a token's symbol"),
        ("12", "no letter at all"),
        ("a" * 64, "is an account id itself"),
        ("0x" + "a" * 40, "is an account id itself"),
        ("my  boss", "two together"),
        ("boss ", "ends with a space"),
        ("b\N{RIGHT-TO-LEFT OVERRIDE}ob", "U+202E"),
        ("bob\n", "U+000A"),
        ("@bob", "U+0040"),
        ("[bob](x)", "U+005B"),
    ],
)
def test_names_that_a_book_cannot_have(name: str, reason: str) -> None:
    ((wrong, told),) = wrong_names([name], ["USDC", "NEAR"])
    assert (wrong, reason in told) == (name, True), told


def test_two_names_that_are_one() -> None:
    ((wrong, told),) = wrong_names(["bob", "carol", "BOB"], [])
    assert (wrong, told) == ("BOB", "is the same name as 'bob': case does not count")
    assert not [*wrong_names(["bob", "my landlord", "Zoë-2", "O'Neil", "B&B"], ["USDC"])]


@given(st.text(min_size=2, max_size=20))
def test_a_name_that_may_stand_in_a_book_is_found_as_it_stands(name: str) -> None:
    if not [*wrong_names([name], [])]:
        found = AddressBook.of({name: BOB}).named(name)
        assert found is not None
