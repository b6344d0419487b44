"""Markdown as people see it, drawn by markdown-it-py: the visible text, and every sign of markup besides our own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

HOSTILE: Final[Sequence[str]] = json.loads((Path(__file__).parent / "hostile.json").read_text("utf-8"))

OUR_BLOCKS: Final = frozenset(
    {
        "paragraph_open",
        "paragraph_close",
        "bullet_list_open",
        "bullet_list_close",
        "list_item_open",
        "list_item_close",
        "inline",
    }
)
OUR_INLINES: Final = frozenset({"text", "code_inline", "strong_open", "strong_close"})
_EXPLORER: Final = "nearblocks.io/txns/"


@dataclass(frozen=True, slots=True)
class Drawn:
    lines: tuple[str, ...]
    """The visible text of each paragraph and item, in order."""
    foreign: tuple[str, ...]
    """Markup that the daemon never writes."""


def renderers() -> dict[str, MarkdownIt]:
    """CommonMark alone, and with everything that chat clients add to it and markdown-it-py has without further packages."""
    extended = MarkdownIt("commonmark", {"html": True, "typographer": True}).enable(["table", "strikethrough"])
    return {"commonmark": MarkdownIt("commonmark"), "extended": extended.enable(["replacements"])}


def draw(renderer: MarkdownIt, text: str) -> Drawn:
    lines: list[str] = []
    foreign: list[str] = []
    for token in renderer.parse(text):
        if token.type == "inline":
            lines.append("".join(_visible(inner, foreign) for inner in token.children or ()))
        elif token.type not in OUR_BLOCKS:
            foreign.append(f"{token.type} {token.content}")
    return Drawn(tuple(lines), tuple(foreign))


def _visible(token: Token, foreign: list[str]) -> str:
    is_ours = token.type in OUR_INLINES or (
        token.type in {"link_open", "link_close"}
        and (token.type == "link_close" or _EXPLORER in str(token.attrs["href"]))
    )
    if not is_ours:
        foreign.append(f"{token.type} {token.content}")
    return token.content
