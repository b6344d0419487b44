"""The nearest known name of a misspelt one."""

import difflib
from collections import Counter
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name` (compared without case), or None where none is close."""
    folded = name[:100].casefold()
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = set(difflib.get_close_matches(folded, by_folded, n=5, cutoff=0.6))
    if not close:
        return None

    def likeness(candidate: str) -> tuple[float, int]:
        # Equal ratios are common in short names: letters in another order (USCD) beat another letter (USDT).
        ratio = difflib.SequenceMatcher(None, candidate, folded).ratio()
        return ratio, (Counter(folded) & Counter(candidate)).total()

    return by_folded[max((candidate for candidate in by_folded if candidate in close), key=likeness)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: `; did you mean X?`, or a full stop where no known name is close."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else "."
