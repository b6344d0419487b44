"""What must never be written down: secrets masked by the names of keys and by shape, before a log, a record or an answer.

A masked text keeps its length, so that places recorded in it stay right. Redacting twice changes nothing more. Long texts are
looked at window by window, so that the work is linear and other threads get their turns.
"""

import base64
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

from agent.redaction.codes import MASK, may_say_code, said_codes
from agent.redaction.seed_phrases import PHRASE_WORDS, SHORTEST, may_hold_phrase, phrases
from agent.redaction.shapes import BARE, ED25519, LONG, NUMBERS, SHAPES, Shape, found_by, is_base58_pair

WINDOW: Final = 65_536
"""Characters that are looked at in one go."""
_OVERLAP: Final = 4_096
"""More than any secret is long."""

_SECRET_KEY = re.compile(
    r"(?i)(?:.*[_-])?(?:private_?key|secret|secret_?key|(?:seed|recovery|secret)_?(?:phrase|words)|mnemonic|passw(?:or)?d"
    r"|passphrase|api_?key|x-api-key|authorization|(?:access|refresh|auth|bearer)_?token|confirm_?code|cookie)|seed|bearer"
)
_TOKEN_BYTES: Final = bytes(
    c if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "+/=_-") else 32 for c in range(256)
)
_ESCAPE = re.compile(r"\\{1,8}(?:[nrtbf]|u[0-9A-Fa-f]{4})|\\{1,8}")
"""JSON inside JSON: `\\n` before a key would otherwise be a letter of it."""
_LONG_TOKEN: Final = 85
"""Base64 characters that 64 bytes have at least."""
_MANY_NUMBERS: Final = 63
_SHORTEST_SECRET: Final = 12
_LONGEST_SECRET_KEY: Final = 64
"""Characters of a key that are looked at."""
_BY_TRIGGER: Final = {
    trigger: [shape for shape in SHAPES if trigger in shape.triggers] for shape in SHAPES for trigger in shape.triggers
}
_CALLS_WITH_ARGS: Final = ("function_call", "view_function")
_RAW_ARGUMENTS: Final = "args_base64"
"""The argument of an action that holds a call's bytes."""


def redact(text: str) -> tuple[str, int]:
    """The text with every secret masked, and how many were masked. Lone surrogates become `?`, so that it can be stored."""
    if len(text) < _SHORTEST_SECRET:
        return (text if text.isascii() else _storable(text)), 0
    return _masked(_storable(text), shown=False, codes=True)


def redact_answer(text: str) -> str:
    """A text for the client that asked: its own card's code stays, and signatures in base58 do, which look like keys.

    Nor is anything masked for the words before it alone, which a token's name could be chosen to be.
    """
    return text if len(text) < _SHORTEST_SECRET else _masked(_storable(text), shown=True, codes=False)[0]


def redact_card(text: str) -> str:
    """A card as it is kept: as `redact_answer` does it, and codes masked."""
    return _masked(_storable(text), shown=True, codes=True)[0]


def redact_answer_json(value: JsonValue) -> JsonValue:
    """A value for the client that asked, texts only: what a contract calls its fields says nothing about secrets of ours."""
    return _each_text(value, redact_answer)


def redact_card_json(value: JsonValue) -> JsonValue:
    """The data of a card as they are kept, texts only."""
    return _each_text(value, redact_card)


def _each_text(value: JsonValue, clean: Callable[[str], str]) -> JsonValue:
    match value:
        case str():
            return clean(value)
        case list():
            return [_each_text(inner, clean) for inner in value]
        case dict():
            return {_storable(key): _each_text(inner, clean) for key, inner in value.items()}
        case _:
            return value


def holds_secret(value: JsonValue) -> bool:
    """Whether a value that is to leave (a call's arguments) has a secret in it; signatures and codes are none."""
    match value:
        case str():
            return next(_spans(value, keep_signatures=True, guesses=True, codes=False), None) is not None
        case list():
            texts = " ".join(inner for inner in value if isinstance(inner, str))
            return any(phrases(texts)) or any(holds_secret(inner) for inner in value)
        case dict():
            raw = value.get(_RAW_ARGUMENTS)
            if isinstance(raw, str) and holds_secret(_raw_text(raw)):
                return True
            return any(holds_secret(key) or holds_secret(inner) for key, inner in value.items())
        case _:
            return False


def redact_json(value: JsonValue) -> tuple[JsonValue, int]:
    """A JSON value with secrets masked, by the names of keys and by shape, also inside a call's base64 arguments; how many."""
    return _redact_value(value) if may_hold_secret(value) else (value, 0)


def redact_named(key: str, value: JsonValue) -> tuple[JsonValue, int]:
    """A value under its key; the quick way out first, because most of a record is short plain texts and numbers."""
    if not value or value is True:
        return value, 0
    if _names_secret(key[:_LONGEST_SECRET_KEY]):
        return _mask_value(value)
    if isinstance(value, str) and len(value) < _SHORTEST_SECRET and value.isascii():
        return value, 0
    return _redact_value(value)


def may_hold_secret(value: JsonValue) -> bool:
    """False only where redaction would change nothing: one look at all texts together, because most values hold none."""
    texts: list[str] = []
    if not _gathered(value, texts):
        return True
    # The separator is in no shape, so that nothing is found across two texts.
    whole = "\0".join(texts)
    text = _searchable(whole)
    lower = text.lower()
    return (
        _storable(whole) != whole
        or bool(_triggered(lower))
        or _has_long_token(text)
        or text.count(",") >= _MANY_NUMBERS
        or may_hold_phrase(text)
        or may_say_code(text)
    )


def _masked(text: str, *, shown: bool, codes: bool) -> tuple[str, int]:
    spans = _merged(sorted(set(_spans(text, keep_signatures=shown, guesses=not shown, codes=codes))))
    if not spans:
        return text, 0
    pieces: list[str] = []
    place = 0
    for begin, end in spans:
        pieces += (text[place:begin], MASK * (end - begin))
        place = end
    return "".join((*pieces, text[place:])), len(spans)


def _spans(text: str, *, keep_signatures: bool, guesses: bool, codes: bool) -> Iterator[tuple[int, int]]:
    text = _searchable(text)
    lower = text.lower()
    shapes = [shape for shape in _triggered(lower) if guesses or not shape.guess]
    if len(text) >= SHORTEST and _has_long_token(text):
        shapes += (BARE, *LONG)
    if text.count(",") >= _MANY_NUMBERS:
        shapes.append(NUMBERS)
    if codes:
        yield from said_codes(text)
    with_phrases = len(text) >= SHORTEST
    for begin in range(0, len(text), WINDOW):
        end = min(begin + WINDOW + _OVERLAP, len(text))
        for shape in shapes:
            proven = keep_signatures and shape in (ED25519, BARE)
            for span in found_by(shape, text, begin, end):
                if not proven or is_base58_pair(text[slice(*span)]):
                    yield span
        if with_phrases:
            yield from phrases(text, begin, end)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that overlap or were seen from two windows, as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in spans:
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _searchable(text: str) -> str:
    """As long as the text, escapes as blanks."""
    return _ESCAPE.sub(lambda found: " " * len(found[0]), text) if "\\" in text else text


def _triggered(lower: str) -> tuple[Shape, ...]:
    """The shapes that can be in a lower-cased text."""
    triggers = [trigger for trigger in _BY_TRIGGER if trigger in lower]
    return tuple({shape for trigger in triggers for shape in _BY_TRIGGER[trigger]}) if triggers else ()


def _gathered(value: JsonValue, texts: list[str]) -> bool:
    """Collect the texts of a value; False where it has to be looked at piece by piece."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, list):
            if len(one) >= PHRASE_WORDS and not all(isinstance(inner, dict) for inner in one):
                return False
            left += one
        elif isinstance(one, dict):
            if "args" in one and one.get("kind") in _CALLS_WITH_ARGS:
                return False
            for key in one:
                if not key.isascii() or _names_secret(key[:_LONGEST_SECRET_KEY]):
                    return False
            left += one.values()
    return True


def _redact_value(value: JsonValue) -> tuple[JsonValue, int]:
    match value:
        case str():
            return redact(value)
        case list():
            return _redact_list(value)
        case dict():
            total = 0
            clean: dict[str, JsonValue] = {}
            for key, inner in value.items():
                clean[_storable(key)], count = redact_named(key, inner)
                total += count
            if "args" in clean and clean.get("kind") in _CALLS_WITH_ARGS:
                clean["args"], total = _redact_base64(clean["args"], total)
            return clean, total
        case _:
            return value, 0


def _raw_text(value: str) -> str:
    """The text in base64, broken UTF-8 replaced; empty for what is not base64."""
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except ValueError:
        return ""


def _redact_base64(value: JsonValue, total: int) -> tuple[JsonValue, int]:
    """Contract arguments as records keep them: base64 of bytes that mostly are JSON text."""
    try:
        text = base64.b64decode(value if isinstance(value, str) else "", validate=True).decode()
    except ValueError:
        return value, total
    clean, count = redact(text)
    return (base64.b64encode(clean.encode()).decode() if count else value), total + count


def _storable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _has_long_token(text: str) -> bool:
    """Whether an unbroken run of base64 characters is long enough for 64 bytes; linear also on hostile texts."""
    words = text.encode(errors="replace").translate(_TOKEN_BYTES).split()
    return bool(words) and len(max(words, key=len)) >= _LONG_TOKEN


@lru_cache(maxsize=2048)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None


def _mask_value(value: JsonValue) -> tuple[JsonValue, int]:
    """The value of a key that names a secret: every text and number in it masked."""
    match value:
        case None | bool():
            return value, 0
        case str() | int() | float():
            masked = MASK * (len(value) if isinstance(value, str) else 8)
            return masked, int(masked != value)
        case list():
            pairs = [_mask_value(inner) for inner in value]
            return [inner for inner, _ in pairs], sum(count for _, count in pairs)
        case dict():
            return _redact_value(value)


def _redact_list(values: list[JsonValue]) -> tuple[JsonValue, int]:
    """A list, also where its texts are a phrase cut into words, or its numbers a key."""
    if len(values) >= PHRASE_WORDS:
        words = " ".join(value for value in values if isinstance(value, str))
        numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
        key = len(numbers) == len(values) == _MANY_NUMBERS + 1 and redact(str(numbers))[1] > 0
        if key or (words and any(phrases(words))):
            return [MASK * 8 for _ in values], 1
    pairs = [_redact_value(value) for value in values]
    return [value for value, _ in pairs], sum(count for _, count in pairs)
