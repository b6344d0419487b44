"""A bounded check of JSON values against the JSON Schemas of contracts' ABIs (draft 7, as schemars writes it).

The schema is outside data: its work is counted and cut off, it is never fetched from anywhere, and its regular
expressions are not run. What the check does not know (`pattern`, `if`, `dependencies` ...) it passes over and says so:
the contract itself has the last word.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from contracts.knowledge.inert import inert, inert_json
from contracts.knowledge.names import did_you_mean
from contracts.types import AccountId, JsonObject, base_units

MAX_STEPS: Final = 20_000
MAX_DEPTH: Final = 64
_SHOWN: Final = 60
_REFERENCES: Final = ("#/definitions/", "#/$defs/")
_ACCOUNT: Final = "AccountId"
_INTEGERS: Final = {f"{sign}int{bits}": bits for sign in ("u", "") for bits in (8, 16, 32, 64, 128)}
"""The format `units` of our own documents: u128 and u64 as text."""
_LIMITS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}
_NAMES: Final[Mapping[str, str]] = {
    "object": "an object",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
}
_KNOWN: Final = frozenset(
    {
        "$ref", "$schema", "$comment", "title", "description", "default", "examples", "definitions", "$defs", "readOnly",
        "writeOnly", "deprecated", "type", "enum", "const", "properties", "required", "additionalProperties", "items",
        "additionalItems", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "minLength", "maxLength", "minProperties", "maxProperties", "anyOf", "oneOf", "allOf", "not", "format",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    problem: str | None
    """The first thing that is wrong, with its place; None where nothing is."""
    complete: bool
    """False where a part of the schema was not understood, or the work was cut off."""
    numbers: frozenset[str] = frozenset()
    """The places of floats for which the schema asks for a number."""


def check(value: JsonValue, schema: JsonValue, definitions: JsonObject, place: str = "arguments") -> Checked:
    """Whether a value is what the schema asks for."""
    run = _Run(definitions)
    try:
        problem = next(run.problems(value, schema, place, 0), None)
    except _CutOff:
        return Checked(None, complete=False)
    return Checked(problem, run.complete, frozenset(run.numbers))


class _CutOff(Exception):
    """The work limit is reached; it never leaves this module."""


@dataclass(slots=True)
class _Run:
    definitions: JsonObject
    complete: bool = True
    steps: int = field(default=0)
    numbers: set[str] = field(default_factory=set[str])

    def problems(self, value: JsonValue, schema: JsonValue, place: str, depth: int) -> Iterator[str]:
        self._spend(1, depth)
        if schema is False:
            yield f"{place} may not be given"
        if not isinstance(schema, dict):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            # Draft 7 reads nothing that stands beside a reference.
            yield from self._referred(value, reference, place, depth)
            return
        self.complete = self.complete and schema.keys() <= _KNOWN
        yield from self._kind(value, schema, place)
        yield from self._listed(value, schema, place)
        if isinstance(value, bool):
            pass
        elif isinstance(value, int | float):
            yield from _bounds(value, schema, place)
        elif isinstance(value, str):
            if schema.get("format") == "units" and base_units(value) is None:
                yield f"{place} is {inert(value, _SHOWN)}, it must be a whole number of base units in digits"
            yield from _sizes(len(value), schema, "minLength", "maxLength", f"{place} has {{}} characters")
        elif isinstance(value, list):
            yield from self._items(value, schema, place, depth)
        elif isinstance(value, dict):
            yield from self._members(value, schema, place, depth)
        yield from self._combined(value, schema, place, depth)

    def _spend(self, steps: int, depth: int = 0) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS or depth > MAX_DEPTH:
            raise _CutOff

    def _referred(self, value: JsonValue, reference: str, place: str, depth: int) -> Iterator[str]:
        name = next((reference.removeprefix(start) for start in _REFERENCES if reference.startswith(start)), None)
        if reference == "#" or name is None or name not in self.definitions:
            self.complete = False
            return
        if name == _ACCOUNT and isinstance(value, str):
            try:
                AccountId(value)
            except ValueError as error:
                yield f"{place}: {error}"
        yield from self.problems(value, self.definitions[name], place, depth + 1)

    def _kind(self, value: JsonValue, schema: JsonObject, place: str) -> Iterator[str]:
        wanted = schema.get("type")
        names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
        if isinstance(value, float) and "number" in names:
            self.numbers.add(place)
        if names and not any(isinstance(name, str) and _is(value, name) for name in names):
            kinds = " or ".join(_NAMES.get(str(name), str(name)) for name in names[:5])
            shown = f"{'the text ' if isinstance(value, str) else ''}{inert_json(value, _SHOWN)}"
            yield f"{place} is {shown}, it must be {inert(kinds, 80)}"

    def _listed(self, value: JsonValue, schema: JsonObject, place: str) -> Iterator[str]:
        allowed = _list(schema, "enum")
        self._spend(len(allowed))
        if "enum" in schema and not any(_same(value, one) for one in allowed):
            shown = ", ".join(inert_json(one, 40) for one in allowed[:20])
            yield f"{place} is {inert_json(value, _SHOWN)}, it must be one of {shown}"
        if "const" in schema and not _same(value, schema["const"]):
            yield f"{place} is {inert_json(value, _SHOWN)}, it must be {inert_json(schema['const'], _SHOWN)}"

    def _items(self, value: list[JsonValue], schema: JsonObject, place: str, depth: int) -> Iterator[str]:
        yield from _sizes(len(value), schema, "minItems", "maxItems", f"{place} has {{}} items")
        items = schema.get("items")
        each: Iterator[JsonValue] = iter(items) if isinstance(items, list) else itertools.repeat(items)
        rest = schema.get("additionalItems")
        for number, inner in enumerate(value):
            yield from self.problems(inner, next(each, rest), f"{place}[{number}]", depth + 1)

    def _members(self, value: JsonObject, schema: JsonObject, place: str, depth: int) -> Iterator[str]:
        yield from _sizes(len(value), schema, "minProperties", "maxProperties", f"{place} has {{}} fields")
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        required = _list(schema, "required")
        self._spend(len(required))
        for name in required:
            if isinstance(name, str) and name not in value:
                yield f"{place} lacks {inert(name, _SHOWN)}"
        rest = schema.get("additionalProperties")
        for name, inner in value.items():
            inside = f"{place}.{inert(name, _SHOWN)}"
            if name in known:
                yield from self.problems(inner, known[name], inside, depth + 1)
            elif rest is False:
                self._spend(len(known))
                yield f"{place} has no {inert(name, _SHOWN)}{did_you_mean(name, known)}"
            else:
                yield from self.problems(inner, rest, inside, depth + 1)

    def _combined(self, value: JsonValue, schema: JsonObject, place: str, depth: int) -> Iterator[str]:
        for part in _list(schema, "allOf"):
            yield from self.problems(value, part, place, depth + 1)
        for name in ("anyOf", "oneOf"):
            parts = _list(schema, name)
            found = [next(self.problems(value, part, place, depth + 1), None) for part in parts]
            if parts and None not in found:
                yield found[0] if len(found) == 1 and found[0] else f"{place} is none of the {len(parts)} allowed forms"
            elif name == "oneOf" and found.count(None) > 1:
                yield f"{place} is more than one of the {len(parts)} allowed forms"
        if "not" in schema and next(self.problems(value, schema["not"], place, depth + 1), None) is None:
            yield f"{place} has a form that is not allowed"


def floats_in(value: JsonValue, place: str) -> Iterator[str]:
    """The places of the floats in a value, as `check` names them."""
    match value:
        case float():
            yield place
        case list():
            for number, inner in enumerate(value):
                yield from floats_in(inner, f"{place}[{number}]")
        case dict():
            for name, inner in value.items():
                yield from floats_in(inner, f"{place}.{inert(name, _SHOWN)}")
        case _:
            return


def _is(value: JsonValue, name: str) -> bool:
    match name:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "integer":
            # serde reads no integer from 5.0, which JSON Schema would take for one.
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as JSON: true is not 1, at any depth."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
        case dict(), dict():
            return one.keys() == other.keys() and all(_same(inner, other[name]) for name, inner in one.items())
        case _:
            return one == other


def _bounds(value: float, schema: JsonObject, place: str) -> Iterator[str]:
    bits = _INTEGERS.get(str(schema.get("format")))
    if bits is not None:
        signed = not str(schema["format"]).startswith("u")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        if not low <= value <= high:
            yield f"{place} is {value}, it must be {low} to {high}"
    for name, fits in _LIMITS.items():
        limit = schema.get(name)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and not fits(value, limit):
            yield f"{place} is {value}, its {name} is {limit}"


def _sizes(size: int, schema: JsonObject, least: str, most: str, said: str) -> Iterator[str]:
    low, high = schema.get(least), schema.get(most)
    if isinstance(low, int | float) and size < low:
        yield f"{said.format(size)}, at least {low} are needed"
    if isinstance(high, int | float) and size > high:
        yield f"{said.format(size)}, at most {high} are allowed"


def _list(schema: JsonObject, name: str) -> list[JsonValue]:
    value = schema.get(name)
    return value if isinstance(value, list) else []
