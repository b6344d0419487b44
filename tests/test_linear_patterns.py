"""Matching takes linear time on any text: no regular expression of the sources backtracks over a run of characters."""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from tests.linear_patterns import faults_of, search_faults_of

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for package in ("contracts", "agent", "training")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
SEARCHING = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
FUNCTIONS = SEARCHING | {"match", "fullmatch"}
BUILT = {
    # Patterns that are built of escaped texts and lookarounds of one character.
    "agent/card.py": 1,
    "agent/planning/readings.py": 1,
    "agent/planning/provenance.py": 1,
}
BOUNDED = {
    "contracts.types._ACCOUNT": "matched against at most 64 characters",
    "contracts.checks.named_accounts._SHAPED": "matched against at most 64 characters",
    "contracts.chain.rpc_parse._VM_KIND": "each mark is a literal; only the last of its letters begins another match",
}
"""Patterns that the checker reports, and why their text is short enough, or why the report is wrong."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _module(path: Path) -> ModuleType:
    return importlib.import_module(_name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"))


def _patterns(value: Any) -> Iterator[re.Pattern[str]]:
    match value:
        case re.Pattern(pattern=str()):
            yield value
        case tuple() | list() | frozenset():
            for item in cast("Iterable[Any]", value):
                yield from _patterns(item)
        case dict():
            yield from _patterns([*cast("dict[Any, Any]", value).values()])
        case _:
            return


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=function)) if function in FUNCTIONS:
                yield node, function
            case _:
                pass


def _searched(texts: str) -> frozenset[str]:
    return frozenset(found[1] for found in re.finditer(rf"\b(\w+)\.(?:{'|'.join(SEARCHING)})\(", texts))


def test_no_pattern_of_the_sources_backtracks_over_a_run() -> None:
    texts = {path: path.read_text() for path in SOURCES}
    names_searched = _searched("\n".join(texts.values()))
    seen: set[str] = set()
    faults: dict[str, list[str]] = {}
    for path, text in texts.items():
        module = _module(path)
        for name, value in vars(module).items():
            for pattern in _patterns(value):
                full = f"{module.__name__}.{name}"
                if not re.search(rf"^{re.escape(name)}\b", text, re.MULTILINE):
                    continue  # imported
                seen.add(full)
                found = faults_of(pattern.pattern, pattern.flags)
                if name in names_searched or not isinstance(value, re.Pattern):
                    found += search_faults_of(pattern.pattern, pattern.flags)
                if found:
                    faults[full] = found
    assert len(seen) > 100
    assert {name: found for name, found in faults.items() if name not in BOUNDED} == {}
    assert BOUNDED.keys() <= faults.keys(), "a pattern that needs no exception any more"


def test_no_pattern_inside_a_function_backtracks_over_a_run() -> None:
    built: dict[str, int] = {}
    for path in SOURCES:
        for call, function in _calls(ast.parse(path.read_text())):
            if not isinstance(call.args[0], ast.Constant):
                built[_name(path)] = built.get(_name(path), 0) + 1
                continue
            pattern = str(call.args[0].value)
            found = faults_of(pattern) + (search_faults_of(pattern) if function in SEARCHING else [])
            assert found == [], f"{_name(path)}:{call.lineno}"
    assert built == BUILT


@pytest.mark.parametrize(
    "pattern",
    [
        r"[^\S\n]*(?:[-+]*|x\b)[^\S\n]*\d",
        r"\s*\[\s*([^\[\]]+?)\s*\]",
        r"[?]\s*[\"')]*\s*\Z",
        r"<\s*/?\s*chat>",
        r"(a+)+b",
        r"(?:\w+\s*)*!",
        r"(?:a|b+)*c",
        r"\d+(?:\.)?\d+x",
        r"(?i)a*A*b",
        r"\w{0,300}\d*x",
        r".*?\s*,",
    ],
)
def test_neighbouring_repeats_of_the_same_characters_are_found(pattern: str) -> None:
    assert faults_of(pattern) != []


@pytest.mark.parametrize(
    "pattern",
    [
        r"[^\S\n]*+(?:[-+]*+|x\b)[^\S\n]*+\d",
        r"[?][\s\"')]*+\Z",
        r"<\s*+/?\s*+chat>",
        r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.near",
        r'"(?:[^"\\]|\\.)*"',
        r"\s*\d{1,20}\s*",
        r"(?>\s*)\s*x",
        r"\w{1,64}\d{1,8}x",
    ],
)
def test_patterns_of_linear_time_are_not_reported(pattern: str) -> None:
    assert faults_of(pattern) == []


@pytest.mark.parametrize(
    "pattern",
    [r"\s+$", r"[a-z0-9._-]*[a-z0-9]", r"\s*+,", r"(set|change)\w*owner", r"(?:\s*,)", r"x?\d+px", r"<.*>", r"a|\d+!"],
)
def test_a_search_that_scans_a_run_from_each_character_is_found(pattern: str) -> None:
    assert search_faults_of(pattern) != []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s+",
        r"\A\s*x",
        r"(?<!\w)\w+!",
        r"\b\w+\b!",
        r"(?<=,)\s*x",
        r"[(]\s*x",
        r"(set|change)\w{0,80}owner",
        r"<[^<>]*>",
    ],
)
def test_a_search_of_linear_time_is_not_reported(pattern: str) -> None:
    assert search_faults_of(pattern) == []
