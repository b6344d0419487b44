"""A JSON line is one line for every reader."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.json_lines import json_line

BREAKS = [chr(code) for code in range(sys.maxunicode + 1) if len(f"a{chr(code)}b".splitlines()) > 1]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(alphabet=[*BREAKS, "a", '"', "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet=[*BREAKS, "k"]), inner, max_size=4),
    max_leaves=8,
)


def test_all_line_ends_of_unicode_are_known_here() -> None:
    assert {"\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"} == set(BREAKS)
    text = json_line({"a": "".join(BREAKS), "".join(BREAKS): 1})
    assert len(text.splitlines()) == 1
    assert json.loads(text) == {"a": "".join(BREAKS), "".join(BREAKS): 1}


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_there_are_as_many_lines_as_values_and_each_is_read_back(values: list[object]) -> None:
    content = "".join(f"{json_line(value)}\n" for value in values)
    assert [json.loads(line) for line in content.splitlines()] == values


def test_letters_stay_readable() -> None:
    assert json_line({"text": "zahl 5 Ⓝ an Jürgen"}) == '{"text": "zahl 5 Ⓝ an Jürgen"}'


def test_value_that_is_no_json_is_no_line() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_line(float("nan"))
