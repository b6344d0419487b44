"""Names that a policy's file gives to accounts, and how people write them.

A name is compared in Unicode's canonical form (NFC) and without regard to case, and as a whole; an `@` before it may stay or
go. Nothing is guessed: a name that is written in another way, or only looks the same, is no name of the book.
"""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from contracts.types import AccountId

MAX_NAME: Final = 64
_MARK: Final = "@"
_INSIDE: Final = frozenset(" -_'’&")
_WORDS_OF_THE_CALLER: Final = frozenset({"me", "i", "my", "mine", "myself", "all"})


@dataclass(frozen=True, slots=True)
class Named:
    """A name as the file has it, and its account."""

    name: str
    account_id: AccountId


@dataclass(frozen=True, slots=True)
class AddressBook:
    """One for all identities of a daemon, as its policy's file has one."""

    entries: tuple[Named, ...] = ()
    by_name: Mapping[str, Named] = field(default_factory=dict[str, Named])
    """By the folded name."""
    by_account: Mapping[str, Named] = field(default_factory=dict[str, Named])
    """The first of an account's names."""

    @classmethod
    def of(cls, accounts: Mapping[str, AccountId]) -> Self:
        entries = tuple(Named(name, account_id) for name, account_id in accounts.items())
        by_account = {str(entry.account_id): entry for entry in reversed(entries)}
        return cls(entries, {folded(entry.name): entry for entry in entries}, by_account)

    def named(self, written: str) -> Named | None:
        """What the book has under a name as somebody wrote it."""
        return self.by_name.get(folded(written.removeprefix(_MARK)))

    def name_of(self, account_id: str) -> str | None:
        found = self.by_account.get(account_id)
        return None if found is None else found.name

    def names_of(self, account_id: str) -> Iterator[str]:
        return (entry.name for entry in self.entries if entry.account_id == account_id)


NO_NAMES: Final = AddressBook()


def folded(text: str) -> str:
    """What two ways to write one name have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def wrong_names(names: Collection[str], symbols: Collection[str]) -> Iterator[tuple[str, str]]:
    """The names that a book cannot have, each with the reason; `symbols` are those of tokens."""
    tokens = {folded(symbol) for symbol in symbols}
    seen: dict[str, str] = {}
    for name in names:
        reason = _wrong(name)
        if reason is None and folded(name) in tokens:
            reason = "is a token's symbol"
        if reason is None and folded(name) in seen:
            reason = f"is the same name as {seen[folded(name)]!r}: case does not count"
        seen.setdefault(folded(name), name)
        if reason is not None:
            yield name, reason


def _wrong(name: str) -> str | None:
    if not 2 <= len(name) <= MAX_NAME:
        return f"has {len(name)} characters; 2 to {MAX_NAME} make a name"
    if "." in name:
        return "has a dot, as account ids have; a name must not be taken for one"
    if folded(name) in _WORDS_OF_THE_CALLER:
        return "is a word for somebody else: whoever asks, or everything"
    strange = next((sign for sign in name if not _may_stand(sign)), None)
    if strange is not None:
        return f"holds U+{ord(strange):04X}; letters, digits, single spaces and -_'& make a name"
    if name != " ".join(name.split()) or not any(sign.isalpha() for sign in name):
        return "begins or ends with a space, has two together, or no letter at all"
    return "is an account id itself" if _is_implicit(name) else None


def _may_stand(sign: str) -> bool:
    return sign in _INSIDE or sign.isalnum() or unicodedata.category(sign) in {"Mn", "Mc"}


def _is_implicit(name: str) -> bool:
    try:
        return AccountId(name).kind != "named"
    except ValueError:
        return False
