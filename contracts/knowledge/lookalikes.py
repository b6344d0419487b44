"""Accounts that a person can take for another one: typing errors, signs that look alike, and addresses made to deceive.

Pure. The caller says what is known: the address book, whom an account has dealt with, and the registry.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from contracts.types import AccountId

Likeness: TypeAlias = Literal["same_shape", "one_edit", "same_ends", "extended"]
"""`same_shape`: equal where 0 and o, 1, l and i, rn and m, vv and w, - and _ look the same. `one_edit`: one character
more, less, other, or two exchanged. `same_ends`: a hex address with the same beginning and end, which is what people
compare. `extended`: the known name as the beginning of a longer one that belongs to somebody else."""

_SHAPES: Final = (("0", "o"), ("1", "l"), ("i", "l"), ("rn", "m"), ("vv", "w"), ("_", "-"))
_MIN_EDITED: Final = 4
"""Characters of a name before its common end; shorter names that differ in one are simply other names."""
_MIN_EXTENDED: Final = 6
_ENDS: Final = 4
"""Hex digits at each end that wallets show."""


_SIGNS: Final = "abcdefghijklmnopqrstuvwxyz0123456789-_."
"""Of account ids."""


@dataclass(frozen=True, slots=True)
class LookAlike:
    known: AccountId
    likeness: Likeness

    @property
    def words(self) -> str:
        """What the two have in common, for a card: follows "it"."""
        match self.likeness:
            case "same_shape":
                return f"is written with signs that look like those of {self.known}"
            case "one_edit":
                return f"differs in one character from {self.known}"
            case "same_ends":
                return f"begins and ends like {self.known}, and is another address"
            case "extended":
                return f"begins like {self.known}, and belongs to somebody else"


def lookalikes(account_id: str, known: Iterable[str]) -> tuple[LookAlike, ...]:
    """The known accounts that this one looks like, in their order; none where it is known itself, or is no account id."""
    names = tuple(dict.fromkeys(known))
    if account_id in names or not _is_id(account_id):
        return ()
    shape = _shape(account_id)
    found: list[LookAlike] = []
    for name in names:
        likeness = _likeness(account_id, shape, name)
        if likeness is not None:
            found.append(LookAlike(AccountId(name), likeness))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Search:
    """Where the accounts stand that one could be taken for, in a table of known ones; `lookalikes` tells which of them it is.

    Whoever looks like it has one of `looks` or is one of `ids`, or is a hex address with the same length and `ends`.
    """

    looks: tuple[str, ...]
    ids: tuple[str, ...]
    ends: tuple[str, str, int] | None


def look_of(account_id: str) -> str:
    """The same text for all ids of one shape. Tables keep it: where it changes, a migration makes theirs anew."""
    return _shape(account_id).replace(".", "-")


def search_for(account_id: str) -> Search:
    """What to look for; a few thousand ids, so that a table of any size is searched by its index."""
    start = 2 if account_id.startswith(("0x", "0s")) else 0
    hexed = _is_id(account_id) and AccountId(account_id).kind != "named"
    ends = (account_id[: start + _ENDS], account_id[-_ENDS:], len(account_id)) if hexed else None
    beginnings = (account_id[:length] for length in range(_MIN_EXTENDED, len(account_id) + 1))
    looks = dict.fromkeys(look_of(beginning) for beginning in (account_id, *beginnings))
    return Search(tuple(looks), tuple(dict.fromkeys(_edited(account_id))), ends)


def _edited(text: str) -> Iterator[str]:
    """Every text that one edit of `_one_edit` makes of this one."""
    for place in range(len(text) + 1):
        before, after = text[:place], text[place:]
        for sign in _SIGNS:
            yield before + sign + after
            yield before + sign + after[1:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]


def _likeness(account_id: str, shape: str, name: str) -> Likeness | None:
    if _shape(name) == shape:
        return "same_shape"
    kind = AccountId(account_id).kind
    if kind != "named" and AccountId(name).kind == kind:
        start = 2 if kind != "near_implicit" else 0
        same = account_id[start : start + _ENDS] == name[start : start + _ENDS] and account_id[-_ENDS:] == name[-_ENDS:]
        return "same_ends" if same else "one_edit" if _one_edit(account_id, name) else None
    own, other = _without_common_end(account_id, name)
    if min(len(own), len(other)) >= _MIN_EDITED and _one_edit(own, other):
        return "one_edit"
    if len(name) >= _MIN_EXTENDED and account_id.startswith((f"{name}.", f"{name}-", f"{name}_")):
        return "extended"
    flat = name.replace(".", "-")
    if len(name) >= _MIN_EXTENDED and flat != name and account_id.replace("_", "-").startswith(flat):
        return "extended"
    return None


def _is_id(text: str) -> bool:
    try:
        AccountId(text)
    except ValueError:
        return False
    return True


def _shape(text: str) -> str:
    for sign, same in _SHAPES:
        text = text.replace(sign, same)
    return text


def _without_common_end(one: str, other: str) -> tuple[str, str]:
    """Both without the labels that they share at the end: `.near` says nothing about who is meant."""
    mine, theirs = one.split("."), other.split(".")
    while len(mine) > 1 and len(theirs) > 1 and mine[-1] == theirs[-1]:
        mine.pop()
        theirs.pop()
    return ".".join(mine), ".".join(theirs)


def _one_edit(one: str, other: str) -> bool:
    """Whether one insertion, deletion, substitution or exchange of neighbours makes the two equal; not for equal ones."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    if len(one) == len(other):
        rest = one[start:], other[start:]
        exchanged = rest[0][:2] == rest[1][1::-1] and rest[0][2:] == rest[1][2:]
        return rest[0][1:] == rest[1][1:] or exchanged
    shorter, longer = sorted((one, other), key=len)
    return longer[start + 1 :] == shorter[start:]
