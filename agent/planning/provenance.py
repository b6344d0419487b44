"""Where every value of a change plan came from (DESIGN law 6): the requester's own words, the registry, or code.

A value that a model brought from anywhere else (its own memory, a contract's answer in the history, another person's
text) is found here, and the plan becomes a question that names it. Pure.
"""

import re
import string
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from agent.planning.units import NOTHING_SPOKEN, Units, accepted_units, is_amount_of, words_of
from agent.records import Source
from contracts.knowledge.address_book import NO_NAMES, AddressBook, folded
from contracts.knowledge.registry import NEAR_SYMBOL, Registry, TokenEntry
from contracts.types import JsonObject

ValueKind: TypeAlias = Literal["account", "contract", "token", "amount", "percent", "index", "name", "text", "bytes"]
"""How a value is compared: `contract` is an account that may be said by its token's symbol, `percent` and `index` are
numbers that may stand as `0.5%` and `#3`, `name` is a method's name, `text` a message, `bytes` base64; see `trace`."""

Words: TypeAlias = Sequence[tuple[int, str]]
"""The requester's own turns, newest first: index of the turn and its text."""

ME: Final = "@me"
_ALONE_BEFORE: Final = r"(?<![\w.-])"
_ALONE_AFTER: Final = r"(?![\w-]|\.\w)"
"""What is quickly seen not to stand alone; `_is_longer` decides."""
_APART: Final = (re.compile(_ALONE_BEFORE), re.compile(_ALONE_AFTER))
_NAME_APART: Final = (re.compile(_ALONE_BEFORE, re.ASCII), re.compile(_ALONE_AFTER, re.ASCII))
"""Letters of other scripts may stand next to a name, as in `发给bob.near`."""
_BEFORE_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/._-])(?<!==)")
_AFTER_BASE64: Final = re.compile(r"(?![A-Za-z0-9+/=_-])")
_WORD: Final = re.compile(r"\S+")
_LOWER: Final = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
MAX_PLACES: Final = 1000
"""Of one long value in one text that are looked at: a value that stands inside of so many longer names was not said."""
_SHORT: Final = 64
"""Characters of a value that a pattern finds, which costs no more than so many steps at each place."""
_ME_WORDS = re.compile(r"(?i)(?<![\w@.-])(?:@me|me|my|mine|myself|i)(?![\w@-]|\.\w)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_GROUPED = re.compile(r"\d{1,3}(?:[ \u00a0\u2009\u202f']\d{3})+(?!\d)")
"""`1 000 000` and `1'000`: neither 1 nor 000 is a number of its own."""
_PERCENT: Final = re.compile(r"\s?(?:%|percent\b|per cent\b|pct\b)", re.IGNORECASE)
_SLIPPAGE: Final = re.compile(r"slippage[^\d]*\Z", re.IGNORECASE)
MAX_VALUES: Final = 200
_ALL_OF_IT: Final = re.compile(
    r"(?i)(?<![\w.-])(?<!that's )(?<!that’s )(?<!is )(?<!thats )(?<!at )(?:all|everything)(?![\w-]|\.\w)"
)
"""Not in `that's all` and `at all`."""
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_UNITS: Final = frozenset({"near", "n", "tgas"})
"""What may stand right behind a number's digits, token symbols apart; `2k` and `1e5` are other numbers."""
_BESIDE: Final[Mapping[ValueKind, str]] = {"index": "#", "percent": "%"}


@dataclass(frozen=True, slots=True)
class Unsourced:
    """A value that the requester never gave."""

    action: str
    argument: str
    value: str


def trace(
    action: str,
    args: JsonObject,
    kinds: Mapping[str, ValueKind],
    words: Words,
    *,
    caller: str,
    registry: Registry,
    book: AddressBook = NO_NAMES,
) -> tuple[dict[str, Source], tuple[Unsourced, ...]]:
    """The source of each argument of a change, and those that have none.

    Accounts, tokens and numbers must stand as a token of their own (`12.5` is not in `112.5`, `bob.near` not in
    `x-bob.near`), ids and symbols in any case, messages as written. Objects and lists are walked: every string and number
    inside needs a source, and so do keys that are no names of fields; a key that holds true or false must be named. An
    amount that stands next to another unit than the argument's is not the argument's. An account may be said by a name
    that `book`, and nothing else, has for it. More than MAX_VALUES different values in one argument have no source: nobody
    writes them, and looking for them would hold everybody up.
    """
    units = accepted_units(action, args, registry)
    sources: dict[str, Source] = {}
    missing: list[Unsourced] = []
    for name, value in args.items():
        kind = kinds.get(name, "text")
        found: Source | None = Source(kind="code")
        leaves = dict.fromkeys((type(leaf), leaf) for leaf in _leaves(value))
        if len(leaves) > MAX_VALUES:
            missing.append(Unsourced(action, name, f"{len(leaves)} values"))
            continue
        for _, leaf in leaves:
            found = _source(leaf, kind, words, caller, registry, units.get(name))
            if found is None and kind in {"account", "contract"}:
                found = _by_name(str(leaf), words, book)
            if found is None:
                missing.append(Unsourced(action, name, str(leaf)[:200]))
                break
        if found:
            sources[name] = found
    return sources, tuple(missing)


class _Switch(str):
    """The key of a true or false."""

    __slots__ = ()


def _leaves(value: JsonValue) -> Iterator[str | int | float]:
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if _FIELD.fullmatch(key) is None:
                yield key  # no name of a field: a value, such as an account that something is promised to
            # The key is what `"force": true` says.
            yield from (_Switch(key),) if isinstance(inner, bool) else _leaves(inner)


def _source(
    value: str | float, kind: ValueKind, words: Words, caller: str, registry: Registry, units: Units | None
) -> Source | None:
    if isinstance(value, _Switch):
        return _name(value, words)
    if isinstance(value, int | float) or (kind in {"amount", "index", "percent", "text"} and _NUMBER.fullmatch(value)):
        digits = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
        return _number(digits, words, registry, units, beside=_BESIDE.get(kind, ""))
    match kind:
        case "account":
            return _account(value, words, caller)
        case "contract":
            return _account(value, words, caller) or _said_token(value, words, registry)
        case "token":
            return _token(value, words, registry)
        case "amount" | "index" | "percent":
            return _search(_ALL_OF_IT, words) if value == "all" else _token_of_text(value, words)
        case "name":
            return _name(value, words)
        case "text" | "bytes":
            return (_message if kind == "text" else _base64)(value, words)


def _by_name(account_id: str, words: Words, book: AddressBook) -> Source | None:
    """An account that was said by one of its names in the address book."""
    return _first(_said_name(name, words) for name in book.names_of(account_id))


def _said_name(name: str, words: Words) -> Source | None:
    """The name as a token of its own, compared as the address book compares."""
    wanted = folded(name)
    for turn, text in words:
        composed = unicodedata.normalize("NFC", text)
        places = [place for place, sign in enumerate(composed) for _ in sign.casefold()]
        for found in re.finditer(re.escape(wanted), composed.casefold()):
            start, end = places[found.start()], places[found.end() - 1] + 1
            if not _is_longer(composed[start - 1 : start] if start else "", composed[end : end + 2]):
                span = (start, end) if composed == text else None
                return Source(kind="address_book", turn=turn, span=span, written=composed[start:end])
    return None


def _is_longer(before: str, after: str) -> bool:
    """Whether what stands around a name makes it a part of another one."""
    return _continues(before) or before in {".", "-"} or _goes_on(after)


def _name(value: str, words: Words) -> Source | None:
    return _token_of_text(value, words) or _token_of_text(value.replace("_", " "), words)


def _account(value: str, words: Words, caller: str) -> Source | None:
    said = _token_of_text(value, words)
    if said:
        return said
    if value == ME:
        return _search(_ME_WORDS, words)
    return Source(kind="code") if value == caller else None


def _token(value: str, words: Words, registry: Registry) -> Source | None:
    """A token said by symbol or contract. One of the registry that was not said counts unless another one was."""
    said = _token_of_text(value, words)
    if said:
        return said
    if _known_token(value, registry) is None:
        return Source(kind="code") if value.casefold() == NEAR_SYMBOL.casefold() else None
    by_other_name = _said_token(value, words, registry)
    if by_other_name:
        return by_other_name
    another = _first(_token_of_text(symbol, words[:1]) for symbol in (*registry.symbols, NEAR_SYMBOL))
    return None if another else Source(kind="registry")


def _said_token(value: str, words: Words, registry: Registry) -> Source | None:
    """A token of the registry that was said by its symbol or its contract."""
    known = _known_token(value, registry)
    names = [known.contract_id, *([known.symbol] if known.symbol else [])] if known else []
    said = _first(_token_of_text(name, words) for name in names)
    return Source(kind="registry", turn=said.turn, span=said.span) if said else None


def _known_token(value: str, registry: Registry) -> TokenEntry | None:
    return registry.by_symbol.get(value.casefold()) or registry.of_contract(value)


def _number(value: str, words: Words, registry: Registry, accepted: Units | None, *, beside: str = "") -> Source | None:
    """The number as a token of its own: not inside another number, a name, a date, a percentage or a sum of money.

    `accepted`: the units it may have; None for any. `beside`: a sign that may stand next to it nevertheless.
    """
    wanted = canonical_number(value)
    units = _UNITS | {symbol.casefold() for symbol in registry.symbols}
    for turn, text in words:
        single = _GROUPED.sub(lambda grouped: "_" * len(grouped[0]), text)
        spoken = NOTHING_SPOKEN if accepted is None else words_of(single)
        for found in _NUMBER.finditer(single):
            start, end = found.span()
            if canonical_number(found[0]) != wanted or not _stands_alone(single, start, end, units, beside):
                continue
            if accepted is None or is_amount_of(single, start, end, accepted, spoken, registry):
                return Source(kind="words", turn=turn, span=(start, end))
    return None


def _stands_alone(text: str, start: int, end: int, units: frozenset[str], beside: str) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 40]
    if before[-1:] != beside and not _may_precede(before):
        return False
    if beside == "%":
        # Any other number, such as the amount of a swap, is no percentage.
        return bool(_PERCENT.match(after)) or (
            bool(_SLIPPAGE.search(text[max(0, start - 40) : start])) and _may_follow(after)
        )
    unit = re.match(r"[^\W\d_]+", after)
    if unit:
        return unit[0].casefold() in units and not re.match(r"[\d_]", after[unit.end() :])
    return not re.match(r"\s?[%$€£¥]", after) and _may_follow(after)


def _may_precede(before: str) -> bool:
    """Whether a number can begin after these characters: not one of its own digits, signs or separators, nor money's sign."""
    last = before[-1:]
    if not last or last.isspace():
        return True
    if _continues(last) or before[0].isdigit():
        return False
    kind = unicodedata.category(last)
    return kind in {"Ps", "Pe", "Pi", "Pf"} or last in "=`" or (kind == "Po" and last not in ".,/:#'%&@\\·")


def _may_follow(after: str) -> bool:
    """Whether a number can end before these characters: whatever its separators are, no other digits go on behind them."""
    first, second = after[:1], after[1:2]
    if not first or first.isspace():
        return True
    if _continues(first) or first in "%#@&\\":
        return False
    kind = unicodedata.category(first)
    if first == "." or kind == "Pd":
        return not _continues(second)
    return (kind in {"Pe", "Pi", "Pf", "Po"} or first == "`") and not second.isdigit()


def _token_of_text(value: str, words: Words) -> Source | None:
    """The value without regard to case, and not as a part of a longer name."""
    folded = _lower_ascii(value)
    for turn, text in words:
        for start in _places(folded, _lower_ascii(text)):
            if _stands_apart(text, start, start + len(value), _NAME_APART):
                return Source(kind="words", turn=turn, span=(start, start + len(value)))
    return None


def _places(value: str, text: str) -> Iterator[int]:
    """The first places of a value in a text. A pattern compares a long value anew at each place."""
    if 0 < len(value) <= _SHORT:
        yield from (found.start() for found in re.finditer(f"(?<![A-Za-z0-9_]){re.escape(value)}", text))
        return
    start = text.find(value) if value else -1
    for _ in range(MAX_PLACES):
        if start < 0:
            return
        yield start
        start = text.find(value, start + 1)


def _stands_apart(text: str, start: int, end: int, around: tuple[re.Pattern[str], re.Pattern[str]]) -> bool:
    before, after = around
    apart = before.match(text, start) and after.match(text, end)
    return bool(apart) and not _is_longer(text[max(start - 1, 0) : start], text[end : end + 2])


@lru_cache(maxsize=64)
def _lower_ascii(text: str) -> str:
    """The text of the same length. Other letters keep their case: two that look alike are two accounts."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


@lru_cache(maxsize=64)
def _closed_up(text: str) -> tuple[str, list[int], list[int]]:
    """The text with single blanks between its words, and where each word begins: in it, and in the text."""
    closed, begins, position = list[str](), list[int](), 0
    origins: list[int] = []
    for found in _WORD.finditer(text):
        closed.append(found[0])
        begins.append(position)
        origins.append(found.start())
        position += len(found[0]) + 1
    return " ".join(closed), begins, origins


def _goes_on(after: str) -> bool:
    return _continues(after[:1]) or after[:1] == "-" or (after[:1] == "." and _continues(after[1:2]))


def _continues(character: str) -> bool:
    """Whether a character next to a name makes it another name; invisible ones do."""
    return bool(character) and (
        character.isalnum() or character == "_" or unicodedata.category(character) in {"Cf", "Mn", "Me", "Mc"}
    )


def _message(value: str, words: Words) -> Source | None:
    """A message as it was written, or with other spaces between its words; one word must be a word of its own."""
    wanted = " ".join(value.split())
    if not wanted:
        return Source(kind="code")
    for turn, text in words:
        closed, begins, origins = _closed_up(text)
        for place in _places(wanted, closed):
            first, last = bisect_right(begins, place) - 1, bisect_right(begins, place + len(wanted) - 1) - 1
            start = origins[first] + place - begins[first]
            end = origins[last] + place + len(wanted) - begins[last]
            if _stands_apart(text, start, end, _APART):
                return Source(kind="words", turn=turn, span=(start, end))
    return None


def _base64(value: str, words: Words) -> Source | None:
    """Raw bytes exactly as they were written, and not as a part of longer base64: `/`, `+` and `=` go on in it."""
    for turn, text in words:
        for start in _places(value, text):
            end = start + len(value)
            if not _BEFORE_BASE64.match(text, start) or not _AFTER_BASE64.match(text, end):
                continue
            if _continues(text[max(start - 1, 0) : start]) or _goes_on(text[end : end + 2]):
                break
            return Source(kind="words", turn=turn, span=(start, end))
    return None


def _search(pattern: re.Pattern[str], words: Words) -> Source | None:
    for turn, text in words:
        found = pattern.search(text)
        if found:
            return Source(kind="words", turn=turn, span=found.span())
    return None


def canonical_number(number: str) -> str:
    """The same text for the same decimal number; compared as text, so that nothing is rounded."""
    whole, _, fraction = number.partition(".")
    return f"{whole.lstrip('0') or '0'}.{fraction.rstrip('0')}"


def _first(found: Iterable[Source | None]) -> Source | None:
    return next((source for source in found if source), None)
