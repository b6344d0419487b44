"""Slash commands: `/ACTION value ... key=value ...`, a way from text to a plan that needs no model.

Words are split by shlex; positional values follow the catalogue's order, then come `key=value` pairs; objects are quoted
JSON. Nothing here reads the chain or the registry.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agent.planning.typography import INVISIBLE, split_command
from contracts.catalogue.entry import AnyEntry
from contracts.errors import InvalidInput
from contracts.knowledge.inert import inert
from contracts.knowledge.names import nearest
from contracts.types import JsonObject

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_PLAIN = re.compile(r"[ \t\r\n!#-&(-\[\]-~]*", re.ASCII)
"""Nothing that shlex would read as more than a word or a blank: quotes and backslashes."""
_SHOWN = 80
MAX_COMMAND_CHARACTERS = 65_536
"""Of a whole command; splitting one with quotes takes time that grows with the square of its length (0.1 s here)."""


@dataclass(frozen=True, slots=True)
class SlashCall:
    """One action and its arguments as they were typed."""

    action: str
    args: JsonObject


@dataclass(frozen=True, slots=True)
class SlashHelp:
    """`/help` (topic None) or `/help ACTION`."""

    topic: str | None


@dataclass(frozen=True, slots=True)
class ShowCards:
    """`/cards`: the requester's own cards that wait."""


@dataclass(frozen=True, slots=True)
class CancelCards:
    """`/cancel REQUEST_ID`, or `/cancel all` (None)."""

    request_id: str | None


CardCommand: TypeAlias = ShowCards | CancelCards
_CARD_USAGE = ("/cards", "/cancel REQUEST_ID | all")


def is_slash(text: str) -> bool:
    return text.lstrip().lstrip(INVISIBLE).startswith("/")


def parse_slash(text: str, catalogue: Mapping[str, AnyEntry]) -> SlashCall | SlashHelp:
    """The command in a text that begins with `/`. Missing arguments are left to the entry's own reading.

    InvalidInput: `command_too_long`, `malformed_command` (quotes, order), `unknown_action` and `unknown_argument` with the nearest name,
    `repeated_argument`, `too_many_arguments`.
    """
    if len(text) > MAX_COMMAND_CHARACTERS:
        raise InvalidInput(
            "command_too_long", f"the command has {len(text)} characters; at most {MAX_COMMAND_CHARACTERS} are read"
        )
    words = text.split() if _PLAIN.fullmatch(text) else split_command(text)
    name = _action(words[0], catalogue)
    if name == "help":
        return SlashHelp(_action(words[1], catalogue) if words[1:] else None)
    return SlashCall(name, _arguments(catalogue[name], words[1:]))


def parse_card_command(text: str) -> CardCommand | None:
    """The command about waiting cards in a text that begins with `/`; None for any other command.

    InvalidInput `malformed_command` for one with too few or too many words.
    """
    words = text.split(maxsplit=3)[:3]
    match [word.strip(INVISIBLE) for word in words]:
        case ["/cards"]:
            return ShowCards()
        case ["/cancel", "all"]:
            return CancelCards(None)
        case ["/cancel", request_id]:
            return CancelCards(request_id.strip("`'\"").lower())
        case ["/cards" | "/cancel", *_]:
            raise InvalidInput("malformed_command", f"write {' or '.join(_CARD_USAGE)}")
        case _:
            return None


def command_list(catalogue: Mapping[str, AnyEntry]) -> str:
    """Every command with its arguments, one per line."""
    return "\n".join(f"  {usage}" for usage in (*(entry.usage() for entry in catalogue.values()), *_CARD_USAGE))


def _action(written: str, catalogue: Mapping[str, AnyEntry]) -> str:
    name = written.removeprefix("/").lower()
    if name in catalogue or name == "help":
        return name
    found = nearest(name, [*catalogue, "help", "cards", "cancel"])
    hint = f"did you mean /{found}?" if found else "/help lists the commands"
    raise InvalidInput(
        "unknown_action",
        f"there is no command {inert(written, _SHOWN)!r}; {hint}",
        details={"action": written[:_SHOWN], "nearest": found},
    )


def _arguments(entry: AnyEntry, words: list[str]) -> JsonObject:
    order = [parameter.name for parameter in entry.parameters]
    args: JsonObject = {}
    named = False
    for place, word in enumerate(words):
        pair = _PAIR.fullmatch(word)
        if pair is None and named:
            raise InvalidInput(
                "malformed_command",
                f"{inert(word, _SHOWN)!r} comes after a key=value word; write plain values first, or name its argument",
            )
        if pair is None and place >= len(order):
            raise InvalidInput(
                "too_many_arguments",
                f"/{entry.name} takes {len(order)} arguments ({', '.join(order)}); {inert(word, _SHOWN)!r} is one too many",
            )
        named = pair is not None
        name, value = (pair[1], pair[2]) if pair else (order[place], word)
        entry.given({name: value})
        if name in args:
            raise InvalidInput("repeated_argument", f"/{entry.name}: {name} is given twice", details={"argument": name})
        args[name] = value
    return args
