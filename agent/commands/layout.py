"""Lines of an answer at a terminal's width, broken between words only.

A number, an id, a hash or a code is one word, however long: what is wider than the terminal stands alone on a line and goes
over its edge, where the terminal itself folds it and copies it as one. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wcwidth import wcswidth

from agent.markup import Run

_HANGING: Final = "  "
"""Lines that go on are indented by this much more than the one that began."""
_BETWEEN_SIGNS: Final = re.compile(
    "(?<=[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])(?=[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])"
)
"""Kana and ideographs, which are written without blanks."""


@dataclass(frozen=True, slots=True)
class _Word:
    runs: tuple[Run, ...]
    spaced: bool
    """A blank stands before it."""

    @property
    def cells(self) -> int:
        return sum(cells(run.text) for run in self.runs)


def cells(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return max(wcswidth(text), 0)


def wrap(indent: str, runs: Sequence[Run], width: int) -> Iterator[list[Run]]:
    """The line as lines of at most `width` columns, but for words that are wider. Joined again, its words are the same."""
    room = max(width - len(indent) - len(_HANGING), 1)
    line: list[Run] = [Run(indent, "plain")] if indent else []
    used, begun = len(indent), False
    for word in _words(runs, room):
        blank = word.spaced and begun
        if begun and used + blank + word.cells > width:
            yield line
            line, used, blank = [Run(indent + _HANGING, "plain")], len(indent) + len(_HANGING), False
            if word.cells > room:  # at the edge itself, so that it is all that these rows hold
                line, used = [], 0
        if blank:
            # Between two parts of one span, the blank belongs to it.
            inside = bool(line) and line[-1].kind == word.runs[0].kind
            line.append(Run(" ", word.runs[0].kind if inside else "plain"))
        line += word.runs
        used += blank + word.cells
        begun = True
    yield line


def _words(runs: Sequence[Run], room: int) -> Iterator[_Word]:
    word: list[Run] = []
    spaced = False
    for run in runs:
        whole = run.kind in {"code", "link"} and cells(run.text) <= room
        for number, part in enumerate([run.text] if whole else run.text.split(" ")):
            if number:
                if word:
                    yield _Word(tuple(word), spaced)
                word, spaced = [], True
            for place, piece in enumerate([part] if whole else _BETWEEN_SIGNS.split(part)):
                if place:
                    yield _Word(tuple(word), spaced)
                    word, spaced = [], False
                if piece:
                    word.append(Run(piece, run.kind))
    if word:
        yield _Word(tuple(word), spaced)
