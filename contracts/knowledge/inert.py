"""Text from outside, made harmless for the people who read it (token names, contract answers, logs, memos).

It stays readable and stays on one line: nothing in it can reorder the text around it, hide, begin a list or a code
block, load an image, or become a link in a chat front end.
"""

import json
import re
import unicodedata
from typing import Final

from pydantic import JsonValue

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories that show nothing or steer what is shown: controls, bidi, zero-width, tags, surrogates."""
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs that show as nothing."""
_VARIATIONS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u034f\u17b4\u17b5]")
_MARKUP: Final = str.maketrans({"`": "'", "<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "|": "\u00a6"})
_ADDRESS: Final = re.compile(r"://|\bwww\.|\b(mailto|data|javascript|tel):", re.IGNORECASE)


def inert(text: str, limit: int = 200) -> str:
    """The text on one line of at most `limit` characters (an ellipsis included), without markup, links or hidden signs."""
    cut = text[: limit + 1]  # before the loops: a contract may answer megabytes
    shown = " ".join("".join(_character(character) for character in cut.translate(_MARKUP)).split())
    shown = _ADDRESS.sub(lambda found: f"{found.group()[:-1]} {found.group()[-1]}", shown)
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "\u2026"


def inert_json(value: JsonValue, limit: int = 1000) -> str:
    """A JSON value as `inert` text: strings bare, everything else as compact JSON."""
    if isinstance(value, str):
        return inert(value, limit)
    return inert(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), limit)


def _character(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in _HIDDEN or character in _BLANK_LETTERS or _VARIATIONS.match(character):
        return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
    return character
