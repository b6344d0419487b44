"""Completion of what a person types: commands, argument names, and the accounts, tokens and names that the daemon knows."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CALLER: Final = "@me"
_ALWAYS: Final = ("confirm ", "cancel ", "/help ", "/cards", "/cancel ", "/quit")
_HELP: Final = ("/help", "/h")
_MAX: Final = 50
"""Further ones help nobody to choose."""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    kind: str
    """As `contracts.catalogue.arguments` names it: `account_id`, `token` ..."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """The words that can be completed, read from `GET /v1/near/names`."""

    actions: Mapping[str, tuple[Argument, ...]]
    accounts: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    book: Mapping[str, str] = field(default_factory=dict[str, str])
    """Accounts by their names in the address book."""

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> "Names":
        actions = {
            str(action["name"]): tuple(
                Argument(str(item["name"]), str(item["kind"]), tuple(map(str, item["choices"])))
                for item in action["arguments"]
            )
            for action in found["actions"]
        }
        return cls(actions, tuple(found["accounts"]), tuple(found["tokens"]), dict(found["names"]))


NO_NAMES: Final = Names({})


@dataclass(frozen=True, slots=True)
class Completion:
    text: str
    """Stands in place of the last `replaces` characters before the cursor."""
    replaces: int
    about: str = ""


def completions(line: str, names: Names) -> list[Completion]:
    """The ways in which the last word of a line can go on, at most fifty.

    In a command: its name, then for each argument in turn what its kind takes, and the names of those not given yet. In
    other words: accounts, tokens and names of the address book. Case does not count.
    """
    before, word = _split(line)
    if not before and not word:
        return []
    if not before:
        commands = (Completion(text, len(word)) for text in (*_ALWAYS, *(f"/{name} " for name in names.actions)))
        found = [one for one in commands if one.text.startswith(word)]
        return (found or [*_values(word, ("account_id", "token"), names)])[:_MAX]
    if before[0] in _HELP:
        return [Completion(f"{name} ", len(word)) for name in names.actions if name.startswith(word)][:_MAX]
    if not before[0].startswith("/"):
        return [*_values(word, ("account_id", "token"), names)][:_MAX] if word else []
    return [*_of_command(names.actions.get(before[0][1:], ()), before[1:], word, names)][:_MAX]


def _split(line: str) -> tuple[list[str], str]:
    """The words before the last one, and that one, which is empty behind a blank."""
    words = line.split()
    return (words, "") if not line or line[-1].isspace() else (words[:-1], words[-1])


def _of_command(arguments: tuple[Argument, ...], given: list[str], word: str, names: Names) -> Iterator[Completion]:
    by_name = {argument.name: argument for argument in arguments}
    named = {one.partition("=")[0] for one in given if one.partition("=")[0] in by_name and "=" in one}
    name, equals, value = word.partition("=")
    if equals and name in by_name:
        yield from _of_argument(by_name[name], value, names)
        return
    place = sum(one.partition("=")[0] not in by_name or "=" not in one for one in given)
    if not named and place < len(arguments):
        yield from _of_argument(arguments[place], word, names)
    # Positional words fill the arguments from the first one on.
    for argument in arguments[place:]:
        if argument.name not in named and argument.name.startswith(word):
            yield Completion(f"{argument.name}=", len(word), argument.kind)


def _of_argument(argument: Argument, word: str, names: Names) -> Iterator[Completion]:
    for choice in _starting(word, argument.choices):
        yield Completion(f"{shlex.quote(choice)} ", len(word))
    if not argument.choices:
        yield from _values(word, (argument.kind,), names)


def _values(word: str, kinds: tuple[str, ...], names: Names) -> Iterator[Completion]:
    if "account_id" in kinds:
        mark = "@" if word.startswith("@") else ""
        for name in _starting(word.removeprefix("@"), names.book):
            yield Completion(f"{shlex.quote(mark + name)} ", len(word), f"{names.book[name]} (address book)")
        for account_id in _starting(word, (CALLER, *names.accounts)):
            yield Completion(f"{account_id} ", len(word), "the caller" if account_id == CALLER else "account")
    if "token" in kinds:
        for token in _starting(word, names.tokens):
            yield Completion(f"{token} ", len(word), "token")


def _starting(word: str, texts: Iterable[str]) -> Iterator[str]:
    begun = word.casefold()
    return (text for text in texts if text.casefold().startswith(begun))


class FreshNames:
    """The names of this moment, asked for once a line: contracts come to be added while a chat goes on."""

    def __init__(self, ask: Callable[[], Names]) -> None:
        self._ask = ask
        self._names: Names | None = None

    def forget(self) -> None:
        self._names = None

    def now(self) -> Names:
        if self._names is None:
            self._names = self._ask()
        return self._names
