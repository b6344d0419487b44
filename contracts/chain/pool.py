"""Which node is asked next: health, latency, pauses that nodes ask for, limits, height. No sockets here."""

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts.chain.endpoints import Endpoint
from contracts.errors import RpcError

_SMOOTHING: Final = 0.2
"""Weight of the newest latency in the average."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_SLOWER: Final = 3.0
"""A node is left for a faster one when it is this many times slower, and by more than `_SLOWER_S`."""
_SLOWER_S: Final = 0.1
_SAMPLES: Final = 5
_STALE_S: Final = 30.0
"""How long a node that was behind is not asked, unless it is seen to have caught up."""


@dataclass(slots=True)
class Health:
    """What is known of one node."""

    endpoint: Endpoint
    samples: int = 0
    latency_s: float = 0.0
    """Exponentially weighted average of its answers to reads."""
    deviation_s: float = 0.0
    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    """Until then others are preferred: it failed, or asked for a pause."""
    failed_at: float = -math.inf
    """When it failed last."""
    paused_until: float = 0.0
    """The pause that it asked for."""
    next_slot: float = 0.0
    """When its rate limit allows the next request."""
    left_out: str | None = None
    """Why it is not asked at all: another chain, a wrong clock."""
    stale_until: float = 0.0
    height: int = 0
    """The newest final block that it has shown."""

    @property
    def hedge_after_s(self) -> float:
        """About the 95th percentile of its latency."""
        return self.latency_s + 2 * self.deviation_s


@dataclass(slots=True)
class Heights:
    """The newest final blocks that operators have shown."""

    by_operator: dict[str, int] = field(default_factory=dict[str, int])

    def reference(self) -> int:
        """The height that nodes are measured by: of three operators and more the second highest, so that one that makes
        heights up makes nobody else look stale.
        """
        heights = sorted(self.by_operator.values(), reverse=True)
        return heights[1] if len(heights) > 2 else max(heights, default=0)


class Pool:
    """The nodes of a network, or of one operator; what is known of them is shared."""

    def __init__(
        self,
        health: Sequence[Health],
        heights: Heights,
        *,
        monotonic: Callable[[], float],
        max_lag_blocks: int,
    ) -> None:
        self._health = tuple(health)
        self._heights = heights
        self._monotonic = monotonic
        self._max_lag_blocks = max_lag_blocks
        self._current = 0

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint], *, monotonic: Callable[[], float], max_lag_blocks: int) -> "Pool":
        health = [Health(endpoint) for endpoint in endpoints]
        return cls(health, Heights(), monotonic=monotonic, max_lag_blocks=max_lag_blocks)

    @property
    def health(self) -> tuple[Health, ...]:
        return self._health

    def operators(self) -> dict[str, "Pool"]:
        """One pool for each operator, in order of preference."""
        names = dict.fromkeys(one.endpoint.operator for one in self._health)
        return {
            name: Pool(
                [one for one in self._health if one.endpoint.operator == name],
                self._heights,
                monotonic=self._monotonic,
                max_lag_blocks=self._max_lag_blocks,
            )
            for name in names
        }

    def archival(self) -> tuple[Health, ...]:
        return tuple(one for one in self._health if one.endpoint.archival and one.left_out is None)

    def choose(self, *, apart_from: Health | None = None, without: Container[str] = ()) -> Health:
        """The node to ask now: the one that answered last, unless it is at fault, at its limit, or much slower than another.

        Where none can be asked without a wait, the one whose last failure is the longest ago: several that fail take turns,
        however long the others are preferred to each. A pause that a node asked for is kept as long as there is another one.
        `without`: operators that are not asked. RpcError `NO_NODES` where nobody is left.
        """
        usable = [one for one in self._usable() if one is not apart_from and one.endpoint.operator not in without]
        if not usable:
            why = "; ".join(f"{one.endpoint.operator}: {one.left_out}" for one in self._health if one.left_out)
            raise RpcError(
                "NO_NODES", f"no RPC node can be asked{f' ({why})' if why else ''}", retryable=True, sent=False
            )
        now = self._monotonic()
        ready = [one for one in usable if max(one.not_before, one.next_slot, one.stale_until) <= now]
        if not ready:
            return min(usable, key=lambda one: _turn(one, now))
        chosen = ready[0]
        best = min((one for one in ready if one.samples >= _SAMPLES), key=lambda one: one.latency_s, default=chosen)
        much_slower = chosen.samples >= _SAMPLES and chosen.latency_s > best.latency_s * _SLOWER
        return best if much_slower and chosen.latency_s - best.latency_s > _SLOWER_S else chosen

    def other_ready(self, than: Health, *, without: Container[str] = ()) -> bool:
        """Whether another node can be asked without a wait."""
        now = self._monotonic()
        return any(
            one is not than and one.endpoint.operator not in without and max(one.not_before, one.next_slot) <= now
            for one in self._usable()
        )

    def serves_without(self, operators: Container[str]) -> bool:
        """Whether there is a node of another operator."""
        return any(one.endpoint.operator not in operators for one in self._usable())

    def rest_s(self, one: Health) -> float:
        """Return the seconds for which the node is still at fault, or keeps a pause that it asked for; 0 for most."""
        return max(0.0, max(one.not_before, one.stale_until) - self._monotonic())

    def any_ready(self) -> bool:
        """Whether some node has not failed just now."""
        now = self._monotonic()
        return any(one.not_before <= now for one in self._usable())

    def pausing(self, one: Health) -> bool:
        """Whether it asked for a pause that is not over."""
        return one.paused_until > self._monotonic()

    def wait_s(self, one: Health) -> float:
        """How long this node asks to be left alone from now; 0 for most."""
        return max(0.0, one.next_slot - self._monotonic())

    def begin(self, one: Health) -> None:
        """A request goes out: its place under the node's limit is taken."""
        if one.endpoint.requests_per_s is not None:
            one.next_slot = max(self._monotonic(), one.next_slot) + 1 / one.endpoint.requests_per_s

    def answered(self, one: Health, took_s: float | None) -> None:
        """`took_s` None: the node was asked to wait, so the time says nothing."""
        one.failures, one.not_before, one.paused_until, one.failed_at = 0, 0.0, 0.0, -math.inf
        self._current = self._health.index(one)
        if took_s is not None:
            self._note(one, took_s)

    def slow(self, one: Health, took_s: float) -> None:
        """Another node answered first, after this one had had that long."""
        self._note(one, max(took_s, one.latency_s))

    def failed(self, one: Health, retry_after_s: float | None) -> None:
        """Others are preferred for a while: as long as the node asks, else longer after each failure in a row."""
        one.failures += 1
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(one.failures - 1, 10), _LONGEST_PAUSE_S)
        one.failed_at = self._monotonic()
        one.not_before = one.failed_at + (pause_s if retry_after_s is None else retry_after_s)
        one.paused_until = one.not_before if retry_after_s is not None else 0.0

    def leave_out(self, one: Health, why: str | None) -> None:
        """Never ask it, or ask it again (None)."""
        one.left_out = why

    def saw(self, one: Health, height: int) -> None:
        """A node showed its newest final block. RpcError `STALE_NODE` where that is far behind the others'."""
        one.height = max(one.height, height)
        operator = one.endpoint.operator
        self._heights.by_operator[operator] = max(height, self._heights.by_operator.get(operator, 0))
        newest = self._heights.reference()
        if height + self._max_lag_blocks >= newest:
            one.stale_until = 0.0
            return
        one.stale_until = self._monotonic() + _STALE_S
        raise RpcError(
            "STALE_NODE",
            f"the RPC node of {operator} is at block {height}, {newest - height} blocks behind the others; it is left out",
            retryable=True,
            details={"node": operator, "block_height": height, "newest": newest},
        )

    def _usable(self) -> list[Health]:
        """Nodes that may be asked, from the one that answered last; archival ones only where there is no other."""
        ring = [*self._health[self._current :], *self._health[: self._current]]
        asked = [one for one in ring if one.left_out is None]
        return [one for one in asked if not one.endpoint.archival] or asked

    def _note(self, one: Health, took_s: float) -> None:
        if one.samples == 0:
            one.latency_s, one.deviation_s = took_s, took_s / 2
        else:
            one.deviation_s += _SMOOTHING * (abs(took_s - one.latency_s) - one.deviation_s)
            one.latency_s += _SMOOTHING * (took_s - one.latency_s)
        one.samples += 1


def _turn(one: Health, now: float) -> tuple[bool, float, float]:
    """Smallest first: whose turn it is where nobody can be asked without a wait."""
    if one.paused_until > now:
        return True, one.paused_until, 0.0
    return False, one.failed_at, max(one.not_before, one.next_slot)
