"""The nearest known name of a misspelt one."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name` (compared without case), or None where none is close."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: `; did you mean X?`, or a full stop where no known name is close."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else "."
