"""Matching takes linear time on any text: no regular expression of the sources backtracks over a run of characters."""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
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
    "agent/planning/provenance.py": 2,
    "agent/redaction/codes.py": 1,
    "agent/redaction/shapes.py": 1,
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
        case tuple() | list() | set() | frozenset():
            for item in cast("Iterable[Any]", value):
                yield from _patterns(item)
        case Mapping():
            yield from _patterns([*cast("Mapping[Any, Any]", value).values()])
        case type():
            yield from _patterns([one for name, one in vars(value).items() if not name.startswith("__")])
        case _ if is_dataclass(value):
            yield from _patterns([getattr(value, field.name) for field in fields(value)])
        case _:
            return


def patterns_of(module: ModuleType) -> list[re.Pattern[str]]:
    """The patterns that a module's values hold."""
    return [*_patterns([value for name, value in vars(module).items() if not name.startswith("__")])]


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Calls of `re` with a pattern: those that match anywhere, those that compile one inside functions.

    What a module or a class compiles is a value of it.
    """
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=function)) if function in FUNCTIONS:
                yield node, function
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile")) if id(node) in inside:
                yield node, "compile"
            case _:
                pass


def _flags_of(call: ast.Call, function: str) -> int:
    """The flags that are written in a call: `re.A | re.B`."""
    places = {"compile": 1, "split": 3, "sub": 4, "subn": 4}
    written = next((one.value for one in call.keywords if one.arg == "flags"), None)
    place = places.get(function, 2)
    if written is None and len(call.args) > place:
        written = call.args[place]
    names = [] if written is None else [node.attr for node in ast.walk(written) if isinstance(node, ast.Attribute)]
    return sum({int(getattr(re, name)) for name in names})


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
                if not re.search(rf"^(?:class )?{re.escape(name)}\b", text, re.MULTILINE):
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
            found = _faults_of_call(call, function)
            assert found == [], f"{_name(path)}:{call.lineno}"
    assert built == BUILT


def _faults_of_call(call: ast.Call, function: str) -> list[str]:
    pattern, flags = str(cast("ast.Constant", call.args[0]).value), _flags_of(call, function)
    # Nobody can see here how a compiled one is used.
    return faults_of(pattern, flags) + (search_faults_of(pattern, flags) if function in SEARCHING | {"compile"} else [])


@pytest.mark.parametrize(
    "source",
    [
        r"def f(text): return re.compile(r'\s+$').sub('', text)",
        r"f = lambda text: re.search(r'^\s*x', text, re.MULTILINE)",
        r"def f(text): return re.sub(r'^\s*x', '', text, flags=re.M | re.I)",
        r"async def f(): re.compile('<.*>', re.DOTALL)",
    ],
)
def test_a_pattern_is_found_wherever_it_is_written(source: str) -> None:
    (found,) = _calls(ast.parse(source))
    assert _faults_of_call(*found) != []


@dataclass(frozen=True)
class _Held:
    inner: re.Pattern[str]
    by_name: Mapping[str, tuple[re.Pattern[str], ...]]


class _Holder:
    pattern = re.compile("a")
    held = _Held(re.compile("b"), MappingProxyType({"c": (re.compile("c"), re.compile("d"))}))


def test_patterns_are_found_in_class_attributes_dataclasses_and_mappings() -> None:
    assert [found.pattern for found in _patterns([_Holder])] == ["a", "b", "c", "d"]


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
    [
        r"\s+$",
        r"[a-z0-9._-]*[a-z0-9]",
        r"\s*+,",
        r"(set|change)\w*owner",
        r"(?:\s*,)",
        r"x?\d+px",
        r"<.*>",
        r"a|\d+!",
        r"`|(?m:^\s*[-•*] )",
    ],
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
