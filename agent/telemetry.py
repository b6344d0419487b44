"""Logs, and what must never be in them: redaction by key name and by shape, also over records before they are stored.

A masked text keeps its length, so that places recorded in it stay right. Redacting twice changes nothing more.
Shapes: ed25519 secrets are 64 bytes in base58 (seed and public half), secp256k1 secrets 32; the public keys of both have
the other's size and stay.
"""

import base64
import io
import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, Literal, TextIO, TypeAlias, cast

import structlog
from pydantic import JsonValue

MASK: Final = "*"
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

_B58: Final = "1-9A-HJ-NP-Za-km-z"
_SECRET_KEY = re.compile(
    r"(?i)(?:.*[_-])?(?:private_?key|secret|secret_?key|seed_?phrase|mnemonic|passw(?:or)?d|passphrase|api_?key|x-api-key"
    r"|authorization|(?:access|refresh|auth|bearer)_?token|confirm_?code|cookie)|seed|bearer"
)
_STOPWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "the and for from with without are was were has had not but his her hers its our your their them which would could "
        "should been being than these those does did done here who whose how why too may might shall get got let see yes "
        "made take took wants needs each both most some others many back while after through per via him she accounts tokens "
        "send contract wallet usdc usdt",
    )
)
"""Frequent words that are not in BIP-39's list: they end a run of words that could be a seed phrase."""

_SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("ed25519:", re.compile(rf"(?i:ed25519:)([{_B58}]{{64,}})")),
    ("secp256k1:", re.compile(rf"(?i:secp256k1:)([{_B58}]{{32,46}})(?![{_B58}])")),
    ("bearer", re.compile(r"(?i:\bbearer)\s+([A-Za-z0-9._~+/=-]{8,})")),
    ("na_", re.compile(r"(?<![A-Za-z0-9_-])(na_[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")),
    ("sk-", re.compile(r"(?<![A-Za-z0-9_-])(sk-[A-Za-z0-9_-]{16,})")),
    ("gsk_", re.compile(r"(?<![A-Za-z0-9_-])(gsk_[A-Za-z0-9]{16,})")),
    ("hf_", re.compile(r"(?<![A-Za-z0-9_-])(hf_[A-Za-z0-9]{16,})")),
    ("confirm", re.compile(r"(?i)\bconfirm[\s:`'\"*]++([0-9A-HJKMNP-TV-Z]{8})(?![0-9A-Za-z])")),
    ("cancel", re.compile(r"(?i)\bcancel[\s:`'\"*]++([0-9A-HJKMNP-TV-Z]{8})(?![0-9A-Za-z])")),
    ("key", re.compile(r"(?i)(?:private|secret|api)[_ -]?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?((?!\*)[^\s\"',;&}\]]{6,})")),
    ("key=", re.compile(r"(?i)[?&]key=((?!\*)[^\s\"'&]{6,})")),
    ("passw", re.compile(r"(?i)passw(?:or)?d[\"']?\s{0,3}[:=]\s{0,3}[\"']?((?!\*)[^\s\"',;&}\]]{3,})")),
)
"""A lower-case text that must occur, and the shape; group 1 is what is masked."""
_TOKEN_BYTES: Final = bytes(
    c if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "+/=_-") else 32 for c in range(256)
)
_BARE = re.compile(rf"(?<![A-Za-z0-9+/=_-])(?<!secp256k1:)[{_B58}]{{85,88}}(?![A-Za-z0-9+/=_-])")
_RUN = re.compile(
    r"(?<!\w)[A-Za-z][a-z]{2,7}(?!\w)(?:[\s,;]{1,4}+(?:\d{1,2}+[.):]?+\s{0,2}+)?+[A-Za-z][a-z]{2,7}+(?!\w)){11,}+",
    re.ASCII,
)
_WORD = re.compile(r"[A-Za-z]+")
_PHRASE_WORDS: Final = 12
_DISTINCT_WORDS: Final = 2
_SHORTEST_PHRASE: Final = 47
_SHORTEST_SECRET: Final = 12
_LONGEST_SECRET_KEY: Final = 64
"""Characters of a key that are looked at."""
_CALLS_WITH_ARGS: Final = ("function_call", "view_function")


def redact(text: str) -> tuple[str, int]:
    """The text with every secret masked, and how many were masked. Lone surrogates become `?`, so that it can be stored."""
    if len(text) < _SHORTEST_SECRET:
        return (text if text.isascii() else _storable(text)), 0
    text, total = _storable(text), 0
    lower = text.lower()
    for trigger, shape in _SHAPES:
        if trigger in lower:
            text, count = shape.subn(_mask_group, text)
            total += count
    if len(text) >= _SHORTEST_PHRASE:
        if _has_long_token(text):
            text, count = _BARE.subn(_mask_all, text)
            total += count
        for start, end in list(_phrases(text)):
            text = text[:start] + MASK * (end - start) + text[end:]
            total += 1
    return text, total


def redact_json(value: JsonValue) -> tuple[JsonValue, int]:
    """A JSON value with secrets masked, by the names of keys and by shape, also inside a call's base64 arguments; how many."""
    return _redact_value(value) if may_hold_secret(value) else (value, 0)


def may_hold_secret(value: JsonValue) -> bool:
    """False only where redaction would change nothing: one look at all texts together, because most values hold none."""
    texts: list[str] = []
    if not _gathered(value, texts):
        return True
    # The separator is in no shape, so that nothing is found across two texts.
    text = "\0".join(texts)
    lower = text.lower()
    return (
        _storable(text) != text
        or any(trigger in lower for trigger, _ in _SHAPES)
        or _has_long_token(text)
        or _RUN.search(text) is not None
    )


def _gathered(value: JsonValue, texts: list[str]) -> bool:
    """Collect the texts of a value; False where it has to be looked at piece by piece."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, list):
            if len(one) >= _PHRASE_WORDS:
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
                clean[_storable(key)], count = _redact_named(key, inner)
                total += count
            if "args" in clean and clean.get("kind") in _CALLS_WITH_ARGS:
                clean["args"], total = _redact_base64(clean["args"], total)
            return clean, total
        case _:
            return value, 0


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
    return bool(words) and len(max(words, key=len)) >= 85


def _phrases(text: str) -> Iterator[tuple[int, int]]:
    """Where 12 or more words stand in a row that could be a seed phrase."""
    for run in _RUN.finditer(text):
        words: list[re.Match[str]] = []
        for word in (*_WORD.finditer(text, run.start(), run.end()), None):
            if word is not None and word[0].lower() not in _STOPWORDS:
                words.append(word)
                continue
            if len(words) >= _PHRASE_WORDS and len({one[0] for one in words}) >= _DISTINCT_WORDS:
                yield words[0].start(), words[-1].end()
            words = []


def _redact_named(key: str, value: JsonValue) -> tuple[JsonValue, int]:
    """A value under its key; the quick way out first, because most of a record is short plain texts and numbers."""
    if not value or value is True:
        return value, 0
    if _names_secret(key[:_LONGEST_SECRET_KEY]):
        return _mask_value(value)
    if isinstance(value, str) and len(value) < _SHORTEST_SECRET and value.isascii():
        return value, 0
    return _redact_value(value)


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
    words = " ".join(value for value in values if isinstance(value, str)) if len(values) >= _PHRASE_WORDS else ""
    if words and any(_phrases(words)):
        return [MASK * 8 for _ in values], 1
    pairs = [_redact_value(value) for value in values]
    return [value for value, _ in pairs], sum(count for _, count in pairs)


def _mask_group(found: re.Match[str]) -> str:
    start, end = found.start(1) - found.start(), found.end(1) - found.start()
    return found[0][:start] + MASK * (end - start) + found[0][end:]


def _mask_all(found: re.Match[str]) -> str:
    return MASK * len(found[0])


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog's processor: the whole event without secrets. Values that are no JSON are shown as their text."""
    clean: dict[str, Any] = {key: _plain(value) for key, value in event.items()}
    if may_hold_secret(clean):
        for key, value in clean.items():
            clean[key], _ = _redact_named(key, value)
    return clean


def _plain(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_plain(inner) for inner in cast("Sequence[object]", value)]
        case dict():
            return {str(key): _plain(inner) for key, inner in cast("Mapping[object, object]", value).items()}
        case _:
            return str(value)


class LogStream(io.TextIOBase):
    """Where logs go: a stream, or without one whatever standard error is at that moment.

    A log that cannot be written (closed terminal, broken pipe, full disk) is lost; the request that logs goes on.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        with suppress(OSError, ValueError):
            return (self._stream or sys.stderr).write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()

    def isatty(self) -> bool:
        return (self._stream or sys.stderr).isatty()


def set_up_logging(level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Send this program's and its libraries' logs to `stream` (standard error): for people on a terminal, else as JSON."""
    target = cast("TextIO", LogStream(stream))
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: list[structlog.typing.Processor] = [redact_event, _renderer(target)]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def _renderer(stream: TextIO) -> structlog.typing.Processor:
    if stream.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(sort_keys=False)
