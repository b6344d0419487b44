"""The arguments of a call, read as leniently as the contracts that execute them.

Contracts deserialize with serde_json (near-sdk), which ignores unknown fields and skips over what stands in them: numbers
beyond a float's range, lone surrogates, invalid UTF-8, any depth. A strict parser refuses all of that, and refused must never
come to mean "moves nothing". This reader accepts it, and returns None ("unread") where two contracts could read two different
things: serde also reads a struct from an array, and parsers differ in which of two equal keys they take. Callers count what
is unread as everything that the call could move.

Source: serde_json 1.0 `read.rs` (`ignore_str`, `ignore_number`) and `de.rs`.
"""

import math
import re
from json import JSONDecodeError, JSONDecoder
from typing import Final

from pydantic import JsonValue

from contracts.types import JsonObject

MAX_ARGUMENT_BYTES: Final = 65_536
"""Longer arguments stay unread: they would have to be parsed before anything bounds the work."""
MAX_NESTING: Final = 128
"""serde_json's own limit for values that a contract keeps; what it ignores may nest deeper and stays unread here."""

_MAX_DIGITS: Final = 400
"""A float's range ends at 309 digits and a u128's at 39. Python refuses to convert more than a configured number of digits."""
_STRINGS_AND_BRACKETS: Final = re.compile(rb'"(?:[^"\\]+|\\.)*\\?(?:"|\Z)|[\[{\]}]', re.DOTALL)
"""A string without an end runs to the end, so that each byte is looked at once."""
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The text is not JSON, so no JSON parser of a contract accepts it."""


class Ambiguous(ValueError):
    """The text may be JSON, and parsers differ in what it says, or it is too long or nested too deep to read."""


def read_arguments(args: bytes) -> JsonObject | None:
    """Return the arguments' fields, empty for no bytes; None if they stay unread.

    Unread are bytes that are no JSON object, a key that occurs twice in any object (escapes resolved), more than
    MAX_ARGUMENT_BYTES, and nesting deeper than MAX_NESTING. Never raises.
    """
    if not args:
        return {}
    try:
        value = lenient_json(args)
    except (NotJson, Ambiguous):
        return None
    return value if isinstance(value, dict) else None


def lenient_json(data: bytes | str) -> JsonValue:
    """Return the value of any JSON text that serde_json accepts. Raises NotJson or Ambiguous.

    What cannot be written again as JSON is replaced: numbers beyond a float's range by an infinity, invalid UTF-8 and lone
    surrogates by a placeholder.
    """
    if len(data) > MAX_ARGUMENT_BYTES:
        raise Ambiguous(f"{len(data)} bytes are more than the {MAX_ARGUMENT_BYTES} that are read")
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if _nests_too_deep(raw):
        raise Ambiguous(f"it is nested deeper than {MAX_NESTING} levels")
    try:
        value: JsonValue = _DECODER.decode(raw.decode("utf-8", "replace"))
    except JSONDecodeError as error:
        raise NotJson(str(error)) from error
    except RecursionError as error:
        raise Ambiguous("it is nested too deep for the stack") from error
    return _without_surrogates(value) if _SURROGATE.search(raw) else value


def _nests_too_deep(raw: bytes) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= MAX_NESTING:
        return False
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(raw):
        match found.group()[:1]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_NESTING:
                    return True
            case b"]" | b"}":
                depth -= 1
            case _:
                pass
    return False


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Ambiguous("a key occurs twice")
    return value


def _number(text: str) -> int | float:
    if len(text) <= _MAX_DIGITS:
        return int(text)
    return -math.inf if text.startswith("-") else math.inf


def _without_surrogates(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_without_surrogates(inner) for inner in value]
        case dict():
            return _unique(
                [(key.encode("utf-8", "replace").decode(), _without_surrogates(inner)) for key, inner in value.items()]
            )
        case _:
            return value


_DECODER: Final = JSONDecoder(object_pairs_hook=_unique, parse_int=_number)
