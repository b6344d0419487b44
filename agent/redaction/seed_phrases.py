"""Seed phrases: twelve words and more in a row that are all in BIP-39's English list.

Checksums are not asked for: a phrase with one word mistyped is as much a secret. The list is the data file beside this one,
with its source and licence.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

PHRASE_WORDS: Final = 12
"""BIP-39 has 12, 15, 18, 21 and 24."""
SHORTEST: Final = PHRASE_WORDS * 4 - 1
_DISTINCT: Final = 2
_WORD = re.compile(r"[A-Za-z]+")
# Words of 3 to 8 letters with a few other signs between them: spaces, commas, quotes, numbers, line ends, escapes.
_RUN = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,8}+(?:[^A-Za-z\0]{1,24}+[A-Za-z]{3,8}+){11,}+", re.ASCII)


@cache
def words() -> frozenset[str]:
    """The 2048 words."""
    content = json.loads(Path(__file__).with_name("bip39_english.json").read_text(encoding="utf-8"))
    return frozenset(content["words"].split())


def may_hold_phrase(text: str) -> bool:
    """One quick look: False only where there is none."""
    return _RUN.search(text) is not None


def phrases(text: str, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Where phrases stand, between two places."""
    known = words()
    for run in _RUN.finditer(text, begin, len(text) if end is None else end):
        row: list[re.Match[str]] = []
        for word in _WORD.finditer(text, run.start(), run.end()):
            if word[0].lower() in known:
                row.append(word)
                continue
            yield from _phrase(row)
            row = []
        yield from _phrase(row)


def _phrase(row: list[re.Match[str]]) -> Iterator[tuple[int, int]]:
    if len(row) >= PHRASE_WORDS and len({word[0].lower() for word in row}) >= _DISTINCT:
        yield row[0].start(), row[-1].end()
