"""Typing as chat clients change it: typographic quotes and blanks in a command are undone, nothing else is touched.

Clients turn straight quotes into typographic ones and put no-break blanks between words. Where these delimit words or JSON,
what was typed is certain, and it is restored. Anywhere else (an id with a dash, an amount with a fraction sign) it is not,
and the argument is left as it came, for its own reader to refuse. Pure.
"""

import json
import re
import shlex
from typing import Final

from contracts.errors import InvalidInput

_DOUBLE: Final = "“”„‟«»＂〝〞"
_SINGLE: Final = "‘’‚‛‹›＇"
_BLANKS: Final = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"
_TYPED_OTHERWISE: Final = re.compile(f"[{_DOUBLE}{_SINGLE}{_BLANKS}{INVISIBLE}]")
_DECORATION: Final = rf"[\s{_BLANKS}{INVISIBLE}`*_\"'{_DOUBLE}{_SINGLE}]"
DECISION: Final = re.compile(
    rf"(?i){_DECORATION}*+(confirm|cancel){_DECORATION}++([0-9A-HJKMNP-TV-Z]{{8}}){_DECORATION}*+\.?{_DECORATION}*+"
)
"""A decision as a whole message, within what clients put around its words: backticks, emphasis, quotes, blanks, a full stop."""


def split_command(text: str) -> list[str]:
    """Return the words of a command as a shell splits them, typographic quotes and blanks read as the plain ones.

    InvalidInput `malformed_command` if a quotation is not closed.
    """
    text = text.strip(INVISIBLE + _BLANKS + " \t\r\n")
    try:
        words = shlex.split(_plain(text) if _TYPED_OTHERWISE.search(text) else text)
    except ValueError as error:
        raise InvalidInput(
            "malformed_command", f"the command cannot be split into words: {str(error).lower()}; check its quotes"
        ) from error
    return [_plain_json(word) for word in words]


def _plain(text: str) -> str:
    """Return the command with plain quotes around what typographic ones enclose, and plain blanks between its words."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        sign = text[position]
        if sign in "\"'":
            end = _end_of_plain(text, position)
            parts.append(text[position:end])
        elif sign in _DOUBLE + _SINGLE and _begins_word(text, position):
            end = _end_of_quotation(text, position)
            parts.append(shlex.quote(text[position + 1 : end - 1]))
        elif sign == "\\":
            end = position + 2
            parts.append(text[position:end])
        elif sign in _DOUBLE:
            raise _in_doubt(sign)
        else:
            end = position + 1
            parts.append(" " if sign in _BLANKS else sign)
        position = end
    return "".join(parts)


def _end_of_plain(text: str, start: int) -> int:
    """Return the index behind the plain quotation that begins at `start`, or the end of a text that does not close it."""
    position = start + 1
    while position < len(text) and text[position] != text[start]:
        position += 2 if text[start] == '"' and text[position] == "\\" else 1
    return min(position + 1, len(text))


def _begins_word(text: str, position: int) -> bool:
    return position == 0 or text[position - 1] in _WORD_ENDS or text[position - 1] == "="


def _end_of_quotation(text: str, start: int) -> int:
    """Return the index behind the quote that closes a typographic one: of its kind, at the end of a word.

    An apostrophe has a letter behind it, and so closes nothing.
    """
    double = text[start] in _DOUBLE
    closing = _DOUBLE + '"' if double else _SINGLE + "'"
    for position in range(start + 1, len(text)):
        if text[position] in closing and text[position + 1 : position + 2] in _WORD_ENDS:
            return position + 1
        if double and text[position] in closing:
            raise _in_doubt(text[position])
    raise InvalidInput(
        "malformed_command", f"the command cannot be split into words: the quote {text[start]} is not closed"
    )


def _in_doubt(sign: str) -> InvalidInput:
    return InvalidInput(
        "malformed_command",
        f"the quote {sign} stands inside a word or another quotation, so what it encloses is unclear; "
        "put single quotes around the whole value, or leave the inner quotes out",
    )


_WORD_ENDS: Final = frozenset([*_BLANKS, " ", "\t", "\r", "\n", ""])

_OPENS_JSON: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*=)?\s*[\[{]")
_JSON_QUOTE: Final = re.compile(rf"(?<=[{{\[,:])(\s*)[{_DOUBLE}]|[{_DOUBLE}](?=\s*[}}\],:])")


def _plain_json(word: str) -> str:
    """Return a word that is JSON but for typographic quotes around its texts as JSON; any other word as it is."""
    opening = _OPENS_JSON.match(word)
    if opening is None or not any(sign in _DOUBLE for sign in word):
        return word
    start = opening.end() - 1
    if _is_json(word[start:]):
        return word  # the typographic quotes stand inside its texts
    plain = _JSON_QUOTE.sub(lambda found: f'{found[1] or ""}"', word[start:])
    return word[:start] + plain if _is_json(plain) else word


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
