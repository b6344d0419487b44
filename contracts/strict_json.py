"""JSON from outside, strictly: values that JSON can say again, and objects that can be read in one way only."""

import json
import math
import re
from decimal import Decimal
from itertools import islice
from typing import Final, NoReturn, cast

from pydantic import JsonValue
from pydantic_core import from_json

from contracts.types import JsonObject

_MAY_OVERFLOW: Final = re.compile(rb"[0-9]{300}|[0-9.][eE]\+?[0-9]{3}")
"""Numbers that can become an infinite float, such as 1e999, which the parser lets through."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_DIGITS: Final = 400
"""A float's range ends at 309 digits, and Python converts no more than some 4,300."""

_UP_TO_A_VALUE: Final = re.compile(rb'[^",\[{]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?[^",\[{]*+)*+(?:[,\[{]|\Z)', re.DOTALL)
"""Up to the next comma or opening bracket outside of texts, or to the end. It matches everywhere without going back, so that
the search is linear also in what is not JSON.
"""


def count_values(data: bytes | bytearray, most: int) -> int:
    """Return the number of values that a JSON text can have, but for one or two: its commas and opening brackets, up to `most + 1`."""
    found = data.count(b",") + data.count(b"[") + data.count(b"{")
    if found <= most:
        return found  # few enough even if none of them stands inside a text, as for nearly everything that is sent
    return sum(1 for _ in islice(_UP_TO_A_VALUE.finditer(data), most + 1))


def parse_json(data: bytes | str) -> JsonValue:
    """The value; ValueError for what is not JSON, nested deeper than 200, or a number beyond a float's range."""
    raw = data.encode() if isinstance(data, str) else data
    value: JsonValue = from_json(raw, allow_inf_nan=False)
    if _MAY_OVERFLOW.search(raw) and not _finite(value):
        raise ValueError("a number is out of range")
    return value


def parse_exactly(data: bytes) -> tuple[JsonValue, tuple[str, ...]]:
    """The value with its numbers' own digits, and the keys that some object repeats (of those the last value is kept).

    A number that a float would change, or show in other digits, becomes a string of its text. ValueError for what is not
    JSON in UTF-8 or holds a lone surrogate; nesting is bounded by the interpreter's stack.
    """
    text = data.decode()
    repeated: dict[str, None] = {}

    def members(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
        value = dict(pairs)
        if len(value) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    repeated[key] = None
                seen.add(key)
        return value

    try:
        value = cast(
            "JsonValue",
            json.loads(
                text, object_pairs_hook=members, parse_float=_exact, parse_int=_exact_int, parse_constant=_no_number
            ),
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if _SURROGATE.search(data):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError, a ValueError, for half of a pair
    return value, tuple(repeated)


def exact_float(text: str) -> float | None:
    """Return the float that is written again as the same number; None if the text has more digits or range than that."""
    if len(text) > _MAX_DIGITS:
        return None
    value = float(text)
    return value if math.isfinite(value) and Decimal(repr(value)) == Decimal(text) else None


def _exact(text: str) -> float | str:
    value = exact_float(text)
    return text if value is None or "e" in repr(value) else value


def _exact_int(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def unique_keys(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    """An object of `json.loads` (`object_pairs_hook`), read alike by every parser. ValueError where a key comes twice."""
    value: JsonObject = {}
    for key, inner in pairs:
        if key in value:
            raise ValueError(f"the key {key[:80]!r} appears twice")
        value[key] = inner
    return value


def too_deep(value: object, levels: int) -> bool:
    """Whether lists and objects in the value are nested deeper than `levels`. What nests deep is read by few parsers again."""
    match value:
        case list():
            inner = cast("list[object]", value)
        case dict():
            inner = cast("dict[str, object]", value).values()
        case _:
            return False
    return levels == 0 or any(too_deep(one, levels - 1) for one in inner)


def _finite(value: JsonValue) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_finite, value))
        case dict():
            return all(map(_finite, value.values()))
        case _:
            return True
