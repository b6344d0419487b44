"""What a person can take for another account, and what is simply another name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.knowledge.lookalikes import Likeness, lookalikes
from contracts.types import AccountId

HEX = "a" * 30 + "0123" + "b" * 30
NAMES = st.from_regex(r"[a-z0-9]{2,12}(-[a-z0-9]{1,8})?(\.[a-z0-9]{2,8}){0,2}", fullmatch=True)


def like(account_id: str, *known: str) -> list[tuple[str, Likeness]]:
    return [(found.known, found.likeness) for found in lookalikes(AccountId(account_id), known)]


@pytest.mark.parametrize(
    ("account_id", "known", "likeness"),
    [
        ("b0b.near", "bob.near", "same_shape"),
        ("a1ice.near", "alice.near", "same_shape"),
        ("aiice.near", "alice.near", "same_shape"),
        ("rnary.near", "mary.near", "same_shape"),
        ("evve.near", "ewe.near", "same_shape"),
        ("my-name.near", "my_name.near", "same_shape"),
        ("alice.nearn", "alice.nearm", "one_edit"),
        ("alixe.near", "alice.near", "one_edit"),
        ("alicce.near", "alice.near", "one_edit"),
        ("alce.near", "alice.near", "one_edit"),
        ("alcie.near", "alice.near", "one_edit"),
        ("usdt.tether-tokem.near", "usdt.tether-token.near", "one_edit"),
        ("usdt-tether-token.near", "usdt.tether-token.near", "one_edit"),
        ("alice.near.evil.near", "alice.near", "extended"),
        ("alice-near.near", "alice.near", "extended"),
        ("alice_near_official.near", "alice.near", "extended"),
        ("aaaa" + "c" * 56 + "bbbb", HEX, "same_ends"),
        ("0x" + "ab12" + "0" * 32 + "cd34", "0x" + "ab12" + "f" * 32 + "cd34", "same_ends"),
        ("c" + HEX[1:], HEX, "one_edit"),
    ],
)
def test_what_looks_alike(account_id: str, known: str, likeness: Likeness) -> None:
    assert like(account_id, known) == [(known, likeness)]


@pytest.mark.parametrize(
    ("account_id", "known"),
    [
        ("bob.near", "bob.near"),
        ("bob.near", "rob.near"),
        ("bob.near", "carol.near"),
        ("alice.near", "alice.testnet"),
        ("alice.near", "malice-and-more.near"),
        ("eve.alice.near", "bob.alice.near"),
        ("c" * 64, "d" * 64),
        ("bob.near", HEX),
    ],
)
def test_what_is_another_name(account_id: str, known: str) -> None:
    assert like(account_id, known) == []


def test_a_known_account_is_not_compared_and_all_others_are_named_in_order() -> None:
    assert like("b0b.near", "b0b.near", "bob.near") == []
    assert [known for known, _ in like("a1ice.near", "alice.near", "bob.near", "aiice.near", "alice.near")] == [
        "alice.near",
        "aiice.near",
    ]


def test_words_are_for_a_card() -> None:
    (found,) = lookalikes(AccountId("b0b.near"), ["bob.near"])
    assert found.words == "is written with signs that look like those of bob.near"


@given(NAMES, NAMES)
def test_two_accounts_look_alike_both_ways_or_one_extends_the_other(one: str, other: str) -> None:
    forth, back = like(one, other), like(other, one)
    if forth and forth[0][1] != "extended":
        assert back
        assert back[0][1] == forth[0][1]


@given(NAMES, st.integers(0, 40), st.sampled_from("abcdefgh0123456789"))
def test_one_other_character_is_always_found_in_long_names(name: str, place: int, sign: str) -> None:
    head, dot, end = name.partition(".")
    head = f"longer{head}"
    place %= len(head)
    changed = head[:place] + sign + head[place + 1 :]
    if changed != head:
        assert like(changed + dot + end, head + dot + end)
