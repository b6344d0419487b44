"""Texts for people as Markdown for chat clients, and that Markdown as plain text again for terminals.

Inside the daemon a text for people is plain: one paragraph per line, and a line that begins with two blanks is an item
below it. Chat clients render Markdown, each in a dialect of its own (CommonMark, GFM, links found in bare text, formulas,
emoji), and texts hold ids, amounts and words from outside. So `markdown` trusts no text: outside code spans it leaves only
English words, short numbers and a few signs, none of which means anything in any dialect. Everything else stands in a code
span, whoever wrote it. `plain` takes exactly this subset off again.

Imports nothing heavy: the command line prints with it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from contracts.knowledge.inert import printable

ITEM: Final = "  "
"""The beginning of a line that is an item."""
_ITEMS: Final = (ITEM, "- ", "* ", "• ")
"""Models write items as they are used to."""
WARNING: Final = "⚠ "
"""The beginning of an item that people must not overlook."""

_IN_SPANS: Final = str.maketrans({"`": "'", "<": "\u2039", ">": "\u203a", "$": "\uff04"})
"""A span needs only the first. Some clients look for tags and formulas before they look for spans."""
_FORMULA: Final = re.compile(r"\\(?=[()\[\]])")

_LINK: Final = r"https://(?:testnet\.)?nearblocks\.io/txns/[1-9A-HJ-NP-Za-km-z]{32,64}"
"""The only addresses that become links: a transaction in the registry's explorers."""
_FIXED: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} UTC"
    r"|(?:confirm|cancel) (?:[0-9A-HJKMNP-TV-Z]{8}|CODE)"
    r"|near-agent (?:(?:api-keys|contract|keys|localnet|policy) )?[a-z][a-z-]*(?: --[a-z-]+| [0-9a-f]{8}(?:-[0-9a-f]{1,12}){4}| [A-Z][A-Z_]+)*"
)
_CALLED: Final = (
    r"(?<=usage: )/[a-z_]+(?: [a-z0-9_\[\]|]+)*|/[a-z_]+(?: [A-Z][A-Z_]{2,})+|[A-Za-z_][A-Za-z0-9_]*\([^()]*\)"
)
"""A usage, a command with placeholders, a method's signature."""
_WHOLE: Final = re.compile(r"/(?!.*[.:](?: |$)).*|\[[a-z_.]+\]|[a-z_]+ = .*")
"""A line that is one span: a command, or of a configuration file."""
_UNIT: Final = r"(?:%|yoctoNEAR|Tgas|[A-Za-z]?[A-Z]{2}[A-Za-z0-9]*+(?:\.[A-Za-z0-9]+)?)"
_NUMBER: Final = r"(?:≈ )?[0-9][0-9.]*"
_AMOUNT: Final = rf"{_NUMBER}(?: → {_NUMBER})+(?: {_UNIT})?|{_NUMBER} {_UNIT}"
_AFTER: Final = ")”\"’'.,;:!?…"
_TAIL: Final = r"[)”\"’']{0,2}[.,;:!?…]?[)”\"’']?"
"""At most one stop: two dots or question marks become other signs in some clients."""
_ONE_TAIL: Final = re.compile(_TAIL)
_LEAD: Final = "(“\"‘'"
_KNOWN: Final = re.compile(
    rf"(?P<lead>[{_LEAD}]{{0,2}})(?:(?P<link>{_LINK})|(?P<code>{_FIXED}|{_CALLED}|{_AMOUNT})"
    rf"|(?<=“)(?P<said>(?! )[^“”]+(?<! ))(?=”)|(?<=\")(?P<cited>(?! )[^\"]+(?<! ))(?=\")|(?<=')(?P<named>(?! )[^']+(?<! ))(?='))(?P<tail>{_TAIL})(?= |$)"
)
"""Spans with blanks in them: times, commands, amounts with their units, and quotations."""
_ENDS_PIECE: Final = re.compile(rf"({_TAIL})(?: |$)")
_OPENS_JSON: Final = "{["
_JSON_SIGN: Final = re.compile(r"\"(?:[^\"\\]|\\.)*+\"|[\[\]{}]")
_PROSE: Final = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|[→≈–—…·⚠]")
_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_TYPOGRAPHY: Final = frozenset({"c", "r", "p", "tm"})
"""`(c)` and the like become signs in some clients."""
_MAX_LEAD: Final = 3
_LABEL: Final = re.compile(r"⚠ [A-Z][a-z]+(?: [a-z]+){0,2}:(?= )")
_PARAMETER: Final = re.compile(r"[a-z][a-z0-9_]*(?=: )")
"""An item's first word that is explained behind its colon: an argument's name, though it may be an English word."""
_SPAN: Final = re.compile(r"`([^`\n]+)`|<(https://[^<>\s]+)>|\*\*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or several that belong together, with the punctuation around."""

    lead: str
    core: str
    tail: str
    kind: Literal["prose", "code", "link"]

    def shown(self) -> str:
        match self.kind:
            case "prose":
                return f"{self.lead}{self.core}{self.tail}"
            case "code":
                return f"{self.lead}{code(self.core)}{self.tail}"
            case "link":
                return f"{self.lead}<{self.core}>{self.tail}"


def code(text: str) -> str:
    """A code span that shows the text on one line, hidden signs written out: inert, whatever the text is."""
    return f"`{_inert(text) or '(empty)'}`"


@lru_cache(maxsize=32)
def markdown(text: str) -> str:
    """The text as Markdown that every renderer shows alike: paragraphs, items, a bold line above items, and code spans.

    A line is bold if it ends with a colon and items follow.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    items = [line.startswith(_ITEMS) for line in lines]
    pieces: list[str] = []
    for number, line in enumerate(lines):
        if number:
            pieces.append("\n" if items[number] and items[number - 1] else "\n\n")
        if items[number]:
            pieces.append(f"- {_item(line.removeprefix(line[:2]))}")
        elif line.rstrip().endswith(":") and items[number + 1 : number + 2] == [True]:
            pieces.append(f"**{_inline(line)}**")
        else:
            pieces.append(_inline(line))
    return "".join(pieces)


def plain(text: str) -> str:
    """Return what `markdown` wrote as plain text for a terminal: spans, bold words and links bare, items indented."""
    return "\n".join("".join((indent, *(run.text for run in runs))) for indent, runs in shown_lines(text))


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a line that is shown in one style."""

    text: str
    kind: Literal["plain", "bold", "code", "link"]


def shown_lines(text: str) -> Iterator[tuple[str, list[Run]]]:
    """The lines of what `markdown` wrote, without blank ones: the indentation of each, and its runs."""
    for line in text.split("\n"):
        if line.startswith("- "):
            yield ITEM, list(_runs(line.removeprefix("- ")))
        elif line:
            yield "", list(_runs(line))


def _runs(line: str) -> Iterator[Run]:
    position, bold = 0, False
    for found in _SPAN.finditer(line):
        if found.start() > position:
            yield Run(line[position : found.start()], "bold" if bold else "plain")
        position = found.end()
        if found[1]:
            yield Run(found[1], "code")
        elif found[2]:
            yield Run(found[2], "link")
        else:
            bold = not bold
    if position < len(line):
        yield Run(line[position:], "bold" if bold else "plain")


def as_shown(text: str) -> str:
    """The text as people see it in a chat client, without its layout; front ends quote it so, or as Markdown."""
    return plain(markdown(text))


def _inert(text: str) -> str:
    return _FORMULA.sub("\u29f5", printable(" ".join(text.split())).translate(_IN_SPANS))


def _inline(line: str) -> str:
    """One line as Markdown."""
    line = _inert(line)
    if _WHOLE.fullmatch(line):
        return code(line)
    label = _LABEL.match(line)
    if label is None:
        return _words(line)
    return f"{WARNING}**{label[0].removeprefix(WARNING)}** {_words(line[label.end() + 1 :])}"


def _item(line: str) -> str:
    name = _PARAMETER.match(line)
    return _inline(line) if name is None else f"{code(name[0])}: {_inline(line[name.end() + 2 :])}"


def _words(line: str) -> str:
    return " ".join(piece.shown() for piece in _merged(_pieces(line)))


def _pieces(line: str) -> Iterator[_Piece]:
    position, json_ends = 0, True
    while position < len(line):
        if json_ends and line[position] in _OPENS_JSON:
            end = _end_of_json(line, position)
            json_ends = end is not None  # else every further bracket would look through the rest in vain
            tail = None if end is None else _ENDS_PIECE.match(line, end)
            if end is not None and tail is not None:
                yield _Piece("", line[position:end], tail[1], "code")
                position = tail.end()
                continue
        found = _KNOWN.match(line, position)
        if found is not None:
            core = found["link"] or found["code"] or found["said"] or found["cited"] or found["named"]
            yield _Piece(found["lead"], core, found["tail"], "link" if found["link"] else "code")
            position = found.end() + 1
            continue
        end = line.find(" ", position)
        end = len(line) if end < 0 else end
        yield _word(line[position:end], first=position == 0)
        position = end + 1


def _end_of_json(line: str, start: int) -> int | None:
    """Return the index behind the value whose bracket stands at `start`; None if it does not close."""
    depth = 0
    for found in _JSON_SIGN.finditer(line, start):
        depth += 1 if found[0] in _OPENS_JSON else -1 if found[0] in "]}" else 0
        if depth == 0:
            return found.end()
    return None


def _word(word: str, *, first: bool) -> _Piece:
    """A word between blanks. A number and a stop that begin a line would begin a list."""
    begun = word.lstrip(_LEAD)
    core = begun.rstrip(_AFTER)
    lead, tail = word[: len(word) - len(begun)], begun[len(core) :]
    if not core or len(lead) > _MAX_LEAD or not _ONE_TAIL.fullmatch(tail):
        return _Piece("", word, "", "code")
    is_typography = "(" in lead and ")" in tail and core.lower() in _TYPOGRAPHY
    is_number = _SHORT_NUMBER.fullmatch(core) is not None and not (first and tail)
    is_prose = is_number or (_PROSE.fullmatch(core) is not None and not is_typography)
    return _Piece(lead, core, tail, "prose" if is_prose else "code")


def _merged(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """Pieces of code with nothing between them as one."""
    row: list[_Piece] = []
    for piece in pieces:
        if row and not (row[-1].kind == piece.kind == "code" and not row[-1].tail and not piece.lead):
            yield _joined(row)
            row = []
        row.append(piece)
    if row:
        yield _joined(row)


def _joined(row: list[_Piece]) -> _Piece:
    """One piece of those of a row, joined once: to add each to those before it would copy all of them again."""
    if len(row) == 1:
        return row[0]
    return _Piece(row[0].lead, " ".join(piece.core for piece in row), row[-1].tail, "code")
