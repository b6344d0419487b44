"""Recent requests and answers of each identity, by which a prompt that quotes them is recognized. Bounded, in memory."""

from collections import OrderedDict, deque
from typing import Final

MAX_IDENTITIES: Final = 1024
MAX_TEXTS: Final = 16
"""Of each kind for an identity; a front end asks for titles and tags right after the answer."""
MAX_CHARACTERS: Final = 2000


class RecentWords:
    """The last texts of each identity, the least recently seen identity forgotten first."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[deque[str], deque[str]]] = OrderedDict()

    def note(self, key_id: str, request: str, answer: str) -> None:
        """Remember a request and its answer."""
        requests, answers = self._of.setdefault(key_id, (deque(maxlen=MAX_TEXTS), deque(maxlen=MAX_TEXTS)))
        self._of.move_to_end(key_id)
        requests.append(request[:MAX_CHARACTERS])
        answers.append(answer[:MAX_CHARACTERS])
        if len(self._of) > MAX_IDENTITIES:
            self._of.popitem(last=False)

    def requests(self, key_id: str) -> tuple[str, ...]:
        return tuple(self._of[key_id][0]) if key_id in self._of else ()

    def answers(self, key_id: str) -> tuple[str, ...]:
        return tuple(self._of[key_id][1]) if key_id in self._of else ()
