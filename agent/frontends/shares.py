"""Shares of something limited, such as slots or bytes, that each identity has in use."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from agent.errors import DaemonError, RequestError

_PERSON: Final = "/"
"""Separates a shared key's id from the user that its front end names."""


class Shares:
    """Counts per identity, per key and in all. An identity is a key's id, or KEY/USER for a user of a shared key."""

    def __init__(self, what: str, *, each: int, shared_key_factor: int, in_all: int | None = None) -> None:
        self._what = what
        """In the plural, with what is happening to them: `requests are running`."""
        self._each = each
        self._shared = each * shared_key_factor
        self._in_all = in_all
        self._identities: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._total = 0

    def of(self, identity: str) -> int:
        """Return the amount that the identity has in use."""
        return self._identities[identity]

    def take(self, identity: str, amount: int = 1) -> None:
        """Take that much. RequestError `too_many_requests` above the identity's limit, DaemonError `busy` above the total."""
        refusal = self._refusal(identity, amount)
        if refusal is not None:
            raise RequestError("too_many_requests", refusal, retryable=True, retry_after_s=1.0)
        if self._in_all is not None and self._total + amount > self._in_all:
            raise DaemonError(
                "busy",
                f"{self._total:,} {self._what}, and the daemon takes {self._in_all:,} of all keys together; "
                "ask again in a second",
                retryable=True,
                retry_after_s=1.0,
            )
        self._identities[identity] += amount
        self._keys[_key(identity)] += amount
        self._total += amount

    @contextmanager
    def taken(self, identity: str) -> Generator[None]:
        """Take one for as long as the block runs; errors as `take`."""
        self.take(identity)
        try:
            yield
        finally:
            self.give_back(identity)

    def give_back(self, identity: str, amount: int = 1) -> None:
        """Give back what was taken."""
        for counts, name in ((self._identities, identity), (self._keys, _key(identity))):
            counts[name] -= amount
            if counts[name] <= 0:
                # A trusted front end names any number of users.
                del counts[name]
        self._total -= amount

    def _refusal(self, identity: str, amount: int) -> str | None:
        key = _key(identity)
        whose = "this key" if key == identity else "this user"
        if self._identities[identity] + amount > self._each:
            return self._refused(self._identities[identity], whose, self._each)
        if key != identity and self._keys[key] + amount > self._shared:
            return self._refused(self._keys[key], "this shared key", self._shared)
        return None

    def _refused(self, used: int, whose: str, limit: int) -> str:
        return f"{used:,} {self._what} for {whose}, and {limit:,} are allowed at once; ask again in a second"


def _key(identity: str) -> str:
    return identity.partition(_PERSON)[0]
