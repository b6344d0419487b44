"""The second meter of host functions: time of this process, estimated before the work is done.

Gas prices host functions at the speed of nearcore's native code. Here they are Python: 300 Tgas of them can take seconds,
during which the interpreter does nothing else, in whichever thread they run. So each call also counts estimated
microseconds, and is refused before it begins where the limit would be passed. Counted units and not a clock, so that a
busy machine decides as an idle one does.

The estimates were measured on one core of 2024 and rounded up; `make bench` is no part of them.
"""

from typing import Final

from contracts.vm.alt_bn128 import multiexp_additions
from contracts.vm.failures import too_expensive_here

HOST_WORK_US: Final = 2_000_000
"""Of one receipt on the embedded chain, and of one simulated plan. Real contracts stay below a hundredth of it."""

CHARGE_US: Final = 2
"""One charge of gas with the Python around it; the cheapest host call makes one, most make two to five."""
ED25519_VERIFY_US: Final = 120
ECRECOVER_US: Final = 100
_POINT_US: Final = 8
"""Reading a point of G1, and adding it to another."""
_ADDITION_US: Final = 6
_PAIRING_BASE_US: Final = 10_000
"""The final power and what all pairs share."""
_PAIRING_US: Final = 5_000


def g1_sum_us(count: int) -> int:
    return count * _POINT_US


def g1_multiexp_us(count: int) -> int:
    return count * _POINT_US + multiexp_additions(count) * _ADDITION_US


def pairing_check_us(count: int) -> int:
    return _PAIRING_BASE_US + count * _PAIRING_US


class HostWork:
    """Estimated microseconds that the host functions of one view, receipt or simulated plan have taken."""

    __slots__ = ("limit_us", "refused", "used_us")

    def __init__(self, limit_us: int = HOST_WORK_US) -> None:
        self.limit_us = limit_us
        self.used_us = 0
        self.refused = False
        """Something was refused: with a higher limit the outcome may be another one."""

    def take(self, us: int) -> None:
        """Count work that is about to be done. VmError `TooExpensiveHere` where it is too much; then nothing more is done."""
        if self.refused or self.used_us + us > self.limit_us:
            self.refused = True
            raise too_expensive_here(self.limit_us)
        self.used_us += us
