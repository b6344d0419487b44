"""Markdown as people see it, drawn by markdown-it-py: the visible text, and every sign of markup besides our own."""

import json
import random
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent.markup import ITEM, plain
from contracts.knowledge.inert import printable

HOSTILE: Final[Sequence[str]] = json.loads((Path(__file__).parent / "hostile.json").read_text("utf-8"))

_BLOCKS: Final = frozenset(
    f"{name}_{end}" for name in ("paragraph", "bullet_list", "list_item") for end in ("open", "close")
)
_INLINES: Final = frozenset({"text", "code_inline", "strong_open", "strong_close"})
_EXPLORER: Final = "nearblocks.io/txns/"
_SHOWN_AS: Final = str.maketrans({"`": "'", "<": "\u2039", ">": "\u203a", "$": "\uff04"})


@dataclass(frozen=True, slots=True)
class Drawn:
    lines: tuple[str, ...]
    """The visible text of each paragraph and item, in order."""
    foreign: tuple[str, ...]
    """Markup that the daemon never writes."""


def renderers() -> dict[str, MarkdownIt]:
    """CommonMark alone, and with everything that chat clients add to it and markdown-it-py has without further packages."""
    extended = MarkdownIt("commonmark", {"html": True, "typographer": True})
    return {
        "commonmark": MarkdownIt("commonmark"),
        "extended": extended.enable(["table", "strikethrough", "replacements"]),
    }


RENDERERS: Final = renderers()


def draw(renderer: MarkdownIt, text: str) -> Drawn:
    lines: list[str] = []
    foreign: list[str] = []
    for token in renderer.parse(text):
        if token.type == "inline":
            lines.append("".join(_visible(inner, foreign) for inner in token.children or ()))
        elif token.type not in _BLOCKS:
            foreign.append(f"{token.type} {token.content}")
    return Drawn(tuple(lines), tuple(foreign))


def _visible(token: Token, foreign: list[str]) -> str:
    is_link = token.type == "link_close" or (token.type == "link_open" and _EXPLORER in str(token.attrs["href"]))
    if token.type not in _INLINES and not is_link:
        foreign.append(f"{token.type} {token.content}")
    return token.content


def check(shown: str, text: str | None = None) -> None:
    """Renderers show the Markdown as its plain text, which is the text it was made of if that is given."""
    visible = [line.removeprefix(ITEM) for line in plain(shown).split("\n") if line]
    for name, renderer in RENDERERS.items():
        drawn = draw(renderer, shown)
        assert [*drawn.lines] == visible, (name, shown)
        assert drawn.foreign == (), (name, shown)
    if text is not None:
        meant = intended(text)
        assert visible == meant, [pair for pair in zip_longest(visible, meant) if pair[0] != pair[1]][:1]


def intended(text: str) -> list[str]:
    """The lines of a text as they are to be seen: hidden signs written out, four signs as look-alikes, blanks collapsed."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip():
            item = next((mark for mark in (ITEM, "- ", "* ", "• ") if line.startswith(mark)), "")
            lines.append(_seen(printable(" ".join(line.removeprefix(item).split()))))
    return lines


def _seen(line: str) -> str:
    shown = line.translate(_SHOWN_AS)
    for sign in "()[]":
        shown = shown.replace(f"\\{sign}", f"\u29f5{sign}")
    return shown


def hostile_texts(count: int) -> Iterator[str]:
    """The table first, then texts joined from it and from random signs; the same ones in every run."""
    yield from HOSTILE[:count]
    chance = random.Random(20260101)
    for _ in range(max(0, count - len(HOSTILE))):
        parts = [
            chance.choice(HOSTILE)[:80]
            if chance.random() < 0.7
            else chr(chance.choice((chance.randrange(32, 127), chance.randrange(0x250, 0x3000))))
            for _ in range(chance.randint(1, 6))
        ]
        yield chance.choice(("", " ", "\n", "~~", "`")).join(parts)


def quoted(text: str) -> str:
    """The text as one word of a slash command."""
    return shlex.quote(text)
