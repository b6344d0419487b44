"""Text from outside, made harmless for the people who read it (token names, contract answers, logs, memos).

It stays readable and stays on one line: nothing in it can reorder the text around it, hide, begin a list or a code
block, load an image, or become a link or a formula in a chat front end. Formulas (KaTeX) can be drawn over other lines.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the command line prints with this module, and is to start without pydantic's 80 ms
    from pydantic import JsonValue

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories that show nothing or steer what is shown: controls, bidi, zero-width, tags, surrogates."""
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs that show as nothing."""
_VARIATIONS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u034f\u17b4\u17b5]")
_MAX_DEPTH: Final = 32
"""Of the lists and objects that are shown; a contract may answer with thousands, one in the other."""
_MARKUP: Final = str.maketrans(
    {"`": "'", "“": '"', "”": '"', "<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "|": "\u00a6", "$": "\uff04"}
)
_FORMULA: Final = re.compile(r"\\(?=[()\[\]]|begin\b|end\b|ce\b|pu\b)")
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ADDRESS: Final = re.compile(r"://|\bwww\.|\b(mailto|data|javascript|tel):", re.IGNORECASE)


def inert(text: str, limit: int = 200) -> str:
    """The text on one line of at most `limit` characters (an ellipsis included), without markup, links or hidden signs."""
    cut = text[: limit + 1]  # before the loops: a contract may answer megabytes
    cut = _FORMULA.sub("\u29f5", cut).translate(_MARKUP)
    shown = " ".join("".join(_character(character) for character in cut).split())
    shown = _ADDRESS.sub(lambda found: f"{found.group()[:-1]} {found.group()[-1]}", shown)
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "\u2026"


def quoted(text: str, limit: int = 200) -> str:
    """The text as `inert`, in quotation marks that nothing in it can close: so that it cannot pass for words of the agent."""
    return f"“{inert(text, limit)}”"


def quoted_json(value: "JsonValue", limit: int = 1000) -> str:
    """A JSON value as `inert_json`; a text in quotation marks, unless it is a number, as contracts write large ones."""
    return quoted(value, limit) if isinstance(value, str) and not _NUMBER.fullmatch(value) else inert_json(value, limit)


def inert_lines(text: str, limit: int) -> str:
    """As `inert`, each line by itself: for texts that are lists or paragraphs."""
    cut = text[: limit + 1]
    shown = "\n".join(inert(line, limit) for line in cut.splitlines())
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "\u2026"


def inert_json(value: "JsonValue", limit: int = 1000) -> str:
    """A JSON value as `inert` text: strings bare, everything else as compact JSON, whose own brackets stay.

    Those cannot make a link: what follows one in JSON is never a parenthesis, and those inside texts are replaced.
    """
    if isinstance(value, str):
        return inert(value, limit)
    shown = ""
    for piece in _pieces(value, limit, 0):
        shown += piece
        if len(shown) > limit:
            return shown[: limit - 1] + "\u2026"
    return shown


def _pieces(value: "JsonValue", limit: int, depth: int) -> Iterator[str]:
    match value:
        case dict() | list() if depth == _MAX_DEPTH:
            yield "\u2026"
        case dict():
            for place, (key, inner) in enumerate(value.items()):
                yield f"{', ' if place else '{'}{_leaf(key, limit)}: "
                yield from _pieces(inner, limit, depth + 1)
            yield "}" if value else "{}"
        case list():
            for place, inner in enumerate(value):
                yield ", " if place else "["
                yield from _pieces(inner, limit, depth + 1)
            yield "]" if value else "[]"
        case _:
            yield _leaf(value, limit)


def _leaf(value: "JsonValue", limit: int) -> str:
    cut = value[: limit + 1] if isinstance(value, str) else value
    return inert(json.dumps(cut, ensure_ascii=False), limit)


def printable(text: str) -> str:
    """Text for a terminal, as it is except for what would steer it or hide: such characters are written out.

    Lines, tabs and markup stay, since a terminal does nothing with markup.
    """
    return "".join(character if character in "\n\t" else _written_out(character) for character in text)


def _character(character: str) -> str:
    return " " if character in "\n\r\t" else _written_out(character)


def _written_out(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN or character in _BLANK_LETTERS or _VARIATIONS.match(character):
        return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
    return character
