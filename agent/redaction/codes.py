"""Confirmation codes in texts, however they are written. Nothing here decides what a confirmation is.

A code that waits is known, so it is found whatever stands between its characters: `g1a1-azyc`, `G 1 A 1 A Z Y C`, `_G1A1AZYC_`,
zero-width characters, full-width and circled letters, 0 as O. Any other code is known by its shape alone, so it counts only
after `confirm` or `cancel`, or as a whole message, and the forms are fewer: `1000 NEAR` is no code.

All of it is linear in the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import compress
from typing import Final

MASK: Final = "*"

_SIGN: Final = "[0-9A-HJKMNP-TV-Z]"
_DASH: Final = "[-_.\u00b7\u2010-\u2015\u2212]"
_WHOLE: Final = f"{_SIGN}{{8}}"
_PARTED: Final = rf"{_SIGN}{{4}}{_DASH}{_SIGN}{{4}}|{_SIGN}([\s*|,]{{1,3}}|{_DASH}){_SIGN}(?:\%d{_SIGN}){{6}}"
_END: Final = "(?![0-9A-Za-z]|-[0-9a-f]{4}-)"
"""A request id begins with eight such characters too, and goes on."""
_AFTER_WORD: Final = re.compile(
    rf"(?i)(?<![^\W_])(?:confirm|cancel)(?:[\s:`'\"*_]++({_WHOLE}){_END}|[\W_]++({_WHOLE}|{_PARTED % 3}){_END})"
)
_ALONE: Final = re.compile(rf"(?i)[\W_]*+({_WHOLE}|{_PARTED % 2})[\W_]*+")
_WORDS: Final = ("confirm", "cancel")

_ALIASES: Final = {"O": "0", "I": "1", "L": "1"}
"""Crockford's base32 reads these as digits, and so do people."""
_SIGNS: Final[dict[int, str | None]] = {
    code: _ALIASES.get(sign := chr(code).upper(), sign) if chr(code).isalnum() else None for code in range(128)
}
_WRITTEN: Final = frozenset(chr(code) for code, sign in _SIGNS.items() if sign is not None)

_INVISIBLE: Final = frozenset({"Cf", "Mn", "Me"})
_NAMED: Final = re.compile(r"LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .+)?")
_NAMED_RANGES: Final = ((0x180, 0x2B0), (0x1D00, 0x1DC0), (0x2C60, 0x2C80), (0xA720, 0xA800), (0x1F100, 0x1F200))
"""Letters that only their names make Latin ones: small capitals, strokes, squared and regional ones."""
_TAGS: Final = (0xE0020, 0xE007F)
"""Invisible ASCII, which models read."""
_LOOK_ALIKE: Final = {
    "A": "\u0410\u0430\u0391",
    "B": "\u0412\u0392",
    "C": "\u0421\u0441",
    "E": "\u0415\u0435\u0395",
    "G": "\u050d",
    "H": "\u041d\u0397",
    "I": "\u0406\u0456\u0399",
    "J": "\u0408\u0458",
    "K": "\u041a\u039a",
    "M": "\u041c\u039c",
    "N": "\u039d",
    "O": "\u041e\u043e\u039f\u03bf\u2c9e\u0555",
    "P": "\u0420\u0440\u03a1",
    "Q": "\u051b",
    "S": "\u0405\u0455",
    "T": "\u0422\u03a4",
    "W": "\u051d",
    "X": "\u0425\u0445\u03a7",
    "Y": "\u0423\u0443\u03a5",
    "Z": "\u0396",
}
"""Cyrillic, Greek, Coptic and Armenian letters that look like Latin ones."""
_BEYOND: Final = 0x10000
_LAST_FOLDED: Final = 0x1FC00
"""Beyond are CJK ideographs, tags and variation selectors."""


def known_codes(text: str, codes: Iterable[str]) -> list[int]:
    """Return the indices of the characters that spell one of these codes, in order."""
    view = _view(text)
    signs = view.encode("ascii", "ignore").decode("ascii").translate(_SIGNS)
    found = bytearray(len(signs))
    for code in codes:
        begin = signs.find(code)
        while begin >= 0:
            found[begin : begin + len(code)] = b"\1" * len(code)
            begin = signs.find(code, begin + 1)
    if not any(found):
        return []
    written = [place for place, sign in zip(_places(text), view, strict=True) if sign in _WRITTEN]
    return sorted(set(compress(written, found)))


def said_codes(text: str) -> Iterator[tuple[int, int]]:
    """Spans of what looks like a code after `confirm` or `cancel`."""
    yield from _in_text(text, _said(_view(text)))


def shaped_codes(text: str) -> Iterator[tuple[int, int]]:
    """Spans of what looks like a code after `confirm` or `cancel`, or of the code that is all of the text."""
    view = _view(text)
    alone = _ALONE.fullmatch(view)
    if alone is not None and _mixed(alone[1]):
        yield from _in_text(text, [alone.span(1)])
    else:
        yield from _in_text(text, _said(view))


def may_say_code(text: str) -> bool:
    """One quick look: False only if `said_codes` finds nothing."""
    return _says_word(_view(text))


def blank(text: str, places: Iterable[int]) -> str:
    """The text with the characters at these indices masked; its length does not change."""
    masked = [*places]
    if not masked:
        return text
    signs = list(text)
    for place in masked:
        signs[place] = MASK
    return "".join(signs)


def _mixed(code: str) -> bool:
    """Digits and letters both: fewer words and amounts are taken for codes, and 6 of 7 codes are."""
    return any(sign.isdigit() for sign in code) and any(sign.isalpha() for sign in code)


def _says_word(view: str) -> bool:
    lower = view.lower()
    return any(word in lower for word in _WORDS)


def _said(view: str) -> Iterator[tuple[int, int]]:
    if not _says_word(view):
        return
    for found in _AFTER_WORD.finditer(view):
        group = 1 if found[1] else 2
        if group == 1 or _mixed(found[group]):
            yield found.span(group)


def _in_text(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans of the view as spans of the text."""
    found = [*spans]
    if found:
        place_of = _places(text)
        yield from ((place_of[begin], place_of[end - 1] + 1) for begin, end in found)


def _view(text: str) -> str:
    """The text as a reader sees it: compatibility forms and look-alikes as ASCII, nothing invisible."""
    if text.isascii():
        return text
    table, runs = _folding()
    return runs.sub(lambda run: run[0].translate(table), text)


def _places(text: str) -> range | list[int]:
    """For each index in the view the index in the text."""
    if text.isascii():
        return range(len(text))
    table, _ = _folding()
    return [place for place, sign in enumerate(text) for _ in table.get(ord(sign), sign)]


@cache
def _folding() -> tuple[dict[int, str], "re.Pattern[str]"]:
    """Return the folded form of each character, and the runs that have such characters at least at every second index.

    One character at a time would cost ten times as much, and the engine compares ranges beyond U+FFFF one by one, so there
    is only one of those.
    """
    table = {code: folded for code in range(128, _LAST_FOLDED) if (folded := _folded(code)) is not None}
    for begin, end in _NAMED_RANGES:
        for code in range(begin, end):
            named = _NAMED.search(unicodedata.name(chr(code), "")) if code not in table else None
            if named is not None:
                table[code] = named[1]
    table |= {ord(sign): latin for latin, signs in _LOOK_ALIKE.items() for sign in signs}
    table |= dict.fromkeys(range(0xE0000, 0xE01F0), "")
    table |= {code: chr(code - 0xE0000) for code in range(*_TAGS)}
    signs = "".join(_ranges([code for code in sorted(table) if code < _BEYOND])) + "\U00010000-\U0010ffff"
    table |= {code: chr(code) for code in range(128)}
    return table, re.compile(f"[{signs}](?:[\\x00-\\x7f]?[{signs}])*+")


def _ranges(codes: Sequence[int]) -> Iterator[str]:
    """Ranges of a character class."""
    begin = last = codes[0]
    for code in (*codes[1:], -1):
        if code != last + 1:
            yield f"{chr(begin)}-{chr(last)}"
            begin = code
        last = code


def _folded(code: int) -> str | None:
    sign = chr(code)
    category = unicodedata.category(sign)
    if category in _INVISIBLE:
        return ""
    if category in {"Nd", "No"} and (digit := unicodedata.digit(sign, None)) is not None:
        return str(digit)
    if not unicodedata.decomposition(sign):
        return None
    parts = unicodedata.normalize("NFKD", sign)
    plain = "".join(part for part in parts if part.isascii())
    # What keeps a letter of its own (ΐ, か゛) is left to the table of look-alikes.
    return plain or None
