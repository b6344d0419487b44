"""Reading a long text takes work in proportion to its length, whatever it repeats. Counted, never timed."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning import authorship, forms, provenance
from contracts.knowledge.registry import Registry
from tests.linear_patterns import search_faults_of
from tests.test_linear_patterns import patterns_of


class Counting:
    """A pattern that counts its matches."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.matches = 0

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        for found in self._pattern.finditer(text):
            self.matches += 1
            yield found


@pytest.mark.parametrize(
    "unit", ["write ", "write title ", "title ", "为", "为标题", "生成标题", "generate the ", "a ", "\n\n"]
)
def test_verbs_and_objects_of_a_form_are_each_looked_at_once(unit: str) -> None:
    text = unit * 2000
    for grammar in forms._GRAMMARS:  # pyright: ignore[reportPrivateUsage]
        verbs, stops = Counting(grammar.verbs), Counting(grammar.stops)
        objects = {name: Counting(pattern) for name, pattern in grammar.objects.items()}
        counted = replace(
            grammar,
            verbs=cast("re.Pattern[str]", verbs),
            stops=cast("re.Pattern[str]", stops),
            objects=cast("dict[forms.FormName, re.Pattern[str]]", objects),
        )
        assert [*counted.asked(text)] == [*grammar.asked(text)]
        assert max(verbs.matches, stops.matches, *(one.matches for one in objects.values())) <= len(text)


@pytest.mark.parametrize(
    ("text", "verb", "wanted"), [("write a title", "write", "title"), ("为对话生成标题", "生成", "标题")]
)
def test_no_pattern_matches_a_verb_together_with_its_object(text: str, verb: str, wanted: str) -> None:
    """One that did would look for every object behind every verb."""
    assert forms.asked_form(text) == forms.Form("title")
    reads = 0
    for pattern in patterns_of(forms):
        for found in pattern.finditer(text):
            spans = {found.span(group) for group in range(pattern.groups + 1)}
            begins, ends = min(start for start, _ in spans if start >= 0), max(end for _, end in spans)
            whole = text[begins:ends]
            assert not (verb in whole and wanted in whole), pattern.pattern[:80]
            reads += verb in whole or wanted in whole
    assert reads >= 2


def test_blank_lines_are_read_once() -> None:
    """64 KiB of line ends held the event loop for 28 s: each began a search for the mark of an item behind all the others."""
    marks = authorship._MARKS  # pyright: ignore[reportPrivateUsage]
    assert search_faults_of(marks.pattern, marks.flags) == []
    assert marks.sub("", "\n\n- a\n \t• b\n\n") == "\n\na\nb\n\n"


_APART = (r"(?<![\w.-])", r"(?![\w-]|\.\w)")
_PIECES = st.lists(
    st.sampled_from(["a", "A", "b", "a b", " ", "  ", "\n", ".", "-", "給", "é", "\u200b", "@", "x-", "1"]), max_size=9
)


@given(_PIECES, _PIECES)
def test_values_are_found_where_a_pattern_of_them_would_find_them(value_of: list[str], text_of: list[str]) -> None:
    value, text = "".join(value_of), "".join(text_of)
    for kind, flags, between in (("text", 0, r"\s+"), ("name", re.IGNORECASE | re.ASCII, None)):
        parts = value.split() if between else [value]
        said, _ = provenance.trace(
            "x",
            {"value": value},
            {"value": kind},  # type: ignore[dict-item]
            [(0, text)],
            caller="alice.localnet",
            registry=Registry.for_network("localnet"),
        )
        if "value" in said and said["value"].span is not None:
            pattern = (between or "").join(map(re.escape, parts)).join(_APART)
            assert said["value"].span in {found.span() for found in re.finditer(pattern, text, flags)}


class CountingText(str):
    """A text that counts how often it is searched."""

    __slots__ = ("searches",)

    def find(self, *args: object) -> int:
        self.searches = getattr(self, "searches", 0) + 1
        return super().find(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a" * 100, "a " * 99 + "a", "b" * 100, ""])
def test_a_value_is_looked_for_at_a_bounded_number_of_places(value: str) -> None:
    """Thousands of words of a model's message against a text of the same word held the event loop for seconds."""
    text = CountingText("a" * 8000 + " a" * 8000)
    text.searches = 0
    places = [*provenance._places(value, text)]  # pyright: ignore[reportPrivateUsage]
    assert len(places) <= text.searches <= provenance.MAX_PLACES + 1
