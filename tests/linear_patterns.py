"""A checker of regular expressions: what in a pattern makes matching take more than linear time on hostile text.

Python's matcher backtracks. Two neighbouring repeats that can share a run of characters are tried at every split of that
run (quadratic), and a repeat around such a repeat at every partition (exponential). A search that begins with a repeat scans
the same run again from each of its characters. Possessive repeats (`*+`) and fixed bounds end all three.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_parse: Any = import_module("re._parser").parse
LONG: Final = 256
"""A repeat with a lower bound than this costs a constant."""
_ALPHABET: Final = frozenset(map(chr, range(0x250))) | frozenset("\u2028\u3000–—…“”‘’−अ千ñяﬁ")

_WORD_CHARACTERS: Final = frozenset(char for char in _ALPHABET if re.match(r"\w", char))


@dataclass(frozen=True, eq=False)
class Repeat:
    first: frozenset[str]
    """The characters with which one round may begin."""
    possessive: bool


@dataclass(frozen=True)
class Shape:
    """The part of a pattern as its neighbours see it."""

    nullable: bool
    heads: tuple[Repeat, ...]
    """The repeats that may begin a match of this part."""
    tails: tuple[Repeat, ...]
    """The repeats that may end one."""
    first: frozenset[str]
    """The characters with which a match may begin."""
    faults: tuple[str, ...] = ()


def faults_of(pattern: str, flags: int = 0) -> list[str]:
    """The reasons why matching may take more than linear time from one starting point."""
    parsed = _parse(pattern, flags)
    return list(dict.fromkeys(_sequence(list(parsed), parsed.state.flags).faults))


def search_faults_of(pattern: str, flags: int = 0) -> list[str]:
    """The reasons why a search may scan the same run of characters again from each of them.

    It does so if a repeat accepts all that stands before it in the pattern, and what follows the repeat can fail.
    """
    parsed = _parse(pattern, flags)
    return list(dict.fromkeys(_rescans(list(parsed), parsed.state.flags, (_ALPHABET,), may_fail=False)))


def _rescans(items: Sequence[Any], flags: int, before: tuple[frozenset[str], ...], *, may_fail: bool) -> Iterator[str]:
    for place, (op, value) in enumerate(items):
        after = may_fail or not all(map(_always_matches, items[place + 1 :]))
        if str(op) in _REPEATS:
            run = frozenset[str].intersection(*before, _shape(op, value, flags).first)
            if _is_long(value[1]) and after and run:
                yield f"a search scans {_sample(run)} again from each of their characters"
        within = (flags | value[1]) & ~value[2] if str(op) == "SUBPATTERN" else flags
        for inner in _inner(str(op), value):
            yield from _rescans(inner, within, before, may_fail=after)
        shape = _shape(op, value, flags)
        beside = _char_before(str(op), value, flags)
        before = (*before, *([] if beside is None else [beside]), *([] if shape.nullable else [shape.first]))


def _inner(op: str, value: Any) -> Iterator[list[Any]]:
    match op:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            yield list(value[2])
        case "SUBPATTERN":
            yield list(value[3])
        case "ATOMIC_GROUP":
            yield list(value)
        case "BRANCH":
            yield from map(list, value[1])
        case _:
            pass


def _char_before(op: str, value: Any, flags: int) -> frozenset[str] | None:
    """The characters of which one must stand before; None if any may."""
    match op:
        case "ASSERT" if value[0] < 0:
            return _sequence(list(value[1]), flags).first
        case "ASSERT_NOT" if value[0] < 0:
            return _ALPHABET - _sequence(list(value[1]), flags).first
        case "AT" if str(value) == "AT_BOUNDARY":
            return _ALPHABET - _WORD_CHARACTERS
        case "AT" if str(value) in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return frozenset("\n" if str(value) == "AT_BEGINNING" and flags & re.MULTILINE else "")
        case _:
            return None


def _always_matches(item: Any) -> bool:
    op, value = item
    return str(op) in _REPEATS and value[0] == 0


def _is_long(high: Any) -> bool:
    return int(high) >= LONG


def _sequence(items: Sequence[Any], flags: int) -> Shape:
    shapes = [_shape(op, value, flags) for op, value in items]
    faults = [fault for shape in shapes for fault in shape.faults]
    for place, left in enumerate(shapes):
        for right in shapes[place + 1 :]:
            faults += _overlaps(left.tails, right.heads, "neighbouring repeats share")
            if not right.nullable:
                break
    return Shape(
        nullable=all(shape.nullable for shape in shapes),
        heads=tuple(_edge(shapes, "heads")),
        tails=tuple(_edge(shapes[::-1], "tails")),
        first=_first(shapes),
        faults=tuple(faults),
    )


def _first(shapes: Sequence[Shape]) -> frozenset[str]:
    found = frozenset[str]()
    for shape in shapes:
        found |= shape.first
        if not shape.nullable:
            break
    return found


def _edge(shapes: Sequence[Shape], side: str) -> Iterator[Repeat]:
    for shape in shapes:
        yield from getattr(shape, side)
        if not shape.nullable:
            return


def _overlaps(left: Sequence[Repeat], right: Sequence[Repeat], what: str) -> list[str]:
    return [
        f"{what} {_sample(one.first & other.first)}"
        for one in left
        for other in right
        if not one.possessive and one.first & other.first
    ]


def _sample(chars: frozenset[str]) -> str:
    return repr("".join(sorted(chars, key=lambda char: (not char.isprintable(), char))[:8]))


def _shape(op: Any, value: Any, flags: int) -> Shape:
    match str(op):
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeat(op, value, flags)
        case "SUBPATTERN":
            return _sequence(list(value[3]), (flags | value[1]) & ~value[2])
        case "ATOMIC_GROUP":
            return _repeat("POSSESSIVE_REPEAT", (1, 1, value), flags)
        case "BRANCH":
            arms = [_sequence(list(arm), flags) for arm in value[1]]
            return Shape(
                nullable=any(arm.nullable for arm in arms),
                heads=tuple(head for arm in arms for head in arm.heads),
                tails=tuple(tail for arm in arms for tail in arm.tails),
                first=frozenset[str]().union(*(arm.first for arm in arms)),
                faults=tuple(fault for arm in arms for fault in arm.faults),
            )
        case "ASSERT" | "ASSERT_NOT" | "AT":
            inside = [] if str(op) == "AT" else list(value[1])
            return Shape(True, (), (), frozenset(), _sequence(inside, flags).faults)
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
            return Shape(nullable=False, heads=(), tails=(), first=_chars(repr((op, value)), op, value, flags))
        case "GROUPREF" | "GROUPREF_IGNORE" | "GROUPREF_UNI_IGNORE" | "GROUPREF_LOC_IGNORE":
            return Shape(
                nullable=True, heads=(), tails=(), first=_ALPHABET
            )  # reads one text, so there is nothing to split
        case _:
            return Shape(nullable=True, heads=(), tails=(), first=_ALPHABET, faults=(f"unread: {op}",))


def _repeat(op: Any, value: Any, flags: int) -> Shape:
    low, high, body = value
    inner = _sequence(list(body), flags)
    possessive = str(op) == "POSSESSIVE_REPEAT"
    nullable = low == 0 or inner.nullable
    faults = list(inner.faults)
    if _is_long(high):
        own = Repeat(inner.first, possessive)
        faults += _overlaps(inner.tails, inner.heads, "a repeat repeats")
        return Shape(nullable, (own, *inner.heads), (own, *inner.tails), inner.first, tuple(faults))
    tails = tuple(Repeat(tail.first, possessive=True) for tail in inner.tails) if possessive else inner.tails
    if high > 1:
        faults += _overlaps(tails, inner.heads, "repeats of a bounded repeat share")
    return Shape(nullable, inner.heads, tails, inner.first, tuple(faults))


_SETS: dict[tuple[str, int], frozenset[str]] = {}


def _chars(key: str, op: Any, value: Any, flags: int) -> frozenset[str]:
    if (key, flags) not in _SETS:
        _SETS[key, flags] = frozenset(char for char in _ALPHABET if _matches(op, value, char, flags))
    return _SETS[key, flags]


def _matches(op: Any, value: Any, char: str, flags: int) -> bool:
    match str(op):
        case "ANY":
            return char != "\n" or bool(flags & re.DOTALL)
        case "LITERAL":
            return chr(value) == char or (bool(flags & re.IGNORECASE) and chr(value).casefold() == char.casefold())
        case "NOT_LITERAL":
            return chr(value) != char
        case _:
            return _in(value, char, flags)


def _in(items: Sequence[Any], char: str, flags: int) -> bool:
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    forms = {form for form in (char, char.lower(), char.upper()) if len(form) == 1} if flags & re.IGNORECASE else {char}
    found = any(_one_of(op, value, form) for op, value in items if str(op) != "NEGATE" for form in forms)
    return found != negated


def _one_of(op: Any, value: Any, char: str) -> bool:
    match str(op):
        case "LITERAL":
            return chr(value) == char
        case "RANGE":
            return value[0] <= ord(char) <= value[1]
        case "CATEGORY":
            return _category(str(value), char)
        case _:
            return True


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


@cache
def _category(value: str, char: str) -> bool:
    return re.match(_CATEGORIES[value], char) is not None
