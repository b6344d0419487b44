"""Text from outside cannot reorder, hide, link or mark up what people read."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.knowledge.inert import inert, inert_json, printable

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("USD Coin", "USD Coin"),
        ("héllo 🚀", "héllo 🚀"),
        ("a\nb\r\n\tc", "a b c"),
        ("a\u202eb", "a\\u202eb"),
        ("\u200bx\ufeff", "\\u200bx\\ufeff"),
        ("\x1b[31m", "\\u001b(31m"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
        ("![x](http://evil/p.png)", "!(x)(http:/ /evil/p.png)"),
        ("<img src=x>", "‹img src=x›"),
        ("```sh", "'''sh"),
        ("WWW.evil.com", "WWW .evil.com"),
        ("javascript:alert(1)", "javascript :alert(1)"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_it_is_cut_with_an_ellipsis() -> None:
    assert inert("x" * 200) == "x" * 200
    assert inert("x" * 201) == "x" * 199 + "…"
    assert inert("\u202e" * 200, 50) == ("\\u202e" * 9)[:49] + "…"
    assert len(inert("y" * 50_000_000)) == 200


def test_json_values_are_shown_compactly() -> None:
    assert inert_json("text") == "text"
    assert inert_json({"a": [1, None, True], "b": "`"}) == '{"a": [1, null, true], "b": "\'"}'
    assert inert_json([]) == "[]"
    assert inert_json({"e": {}, "l": ["x](http://evil)"], "n": "a\nb"}) == (
        '{"e": {}, "l": ["x)(http:/ /evil)"], "n": "a\\nb"}'
    )
    assert inert_json(None) == "null"


@settings(deadline=None)
@given(st.text(), st.integers(2, 300))
def test_nothing_active_is_left(text: str, limit: int) -> None:
    shown = inert(text, limit)
    assert len(shown) <= limit
    assert not set("`<>[]|\n\r\t") & set(shown)
    assert "://" not in shown
    assert all(unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for character in shown)
    shown.encode()


@settings(deadline=None)
@given(JSON_VALUES)
def test_no_json_value_is_left_active(value: object) -> None:
    shown = inert_json(value)  # pyright: ignore[reportArgumentType]
    assert not set("`<>|\n") & set(shown)
    assert not any(link in shown for link in ("](", "][", "[!", "]:"))
    assert "://" not in shown
    assert len(shown) <= 1000


def test_json_of_any_depth_and_length_is_cut() -> None:
    deep: JsonValue = []
    for _ in range(5000):
        deep = [deep]
    assert inert_json(deep) == "[" * 32 + "…" + "]" * 32
    assert inert_json([list(range(10)) for _ in range(1_000_000)], 20) == "[[0, 1, 2, 3, 4, 5,…"


@pytest.mark.parametrize(
    "text",
    [
        r"$$\raisebox{3em}{to mallory.near}$$",
        r"$\kern-9em 1 NEAR$",
        r"\(\rlap{paid}\)",
        r"\[\huge x\]",
        r"\begin{equation}x\end{equation}",
        r"\\(x\\)",
        r"\ce{x}",
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    """Open WebUI and LibreChat draw formulas with KaTeX, which can move text over the lines above."""
    for shown in (inert(text), inert_json({text: [text]})):
        assert "$" not in shown
        assert not re.search(r"\\(?:[()\[\]]|begin|end|ce|pu)", shown)


def test_on_a_terminal_lines_and_markup_stay_and_what_steers_is_written_out() -> None:
    assert printable("[a](b) `c` $d\n\t- é 你好") == "[a](b) `c` $d\n\t- é 你好"
    assert printable("\x1b[2J\x9b1m\r\x7f\u202e\u200b\ud800") == (
        "\\u001b[2J\\u009b1m\\u000d\\u007f\\u202e\\u200b\\ud800"
    )


@given(st.text())
def test_nothing_hidden_reaches_a_terminal(text: str) -> None:
    shown = printable(text)
    assert all(character in "\n\t" or unicodedata.category(character)[0] != "C" for character in shown)
