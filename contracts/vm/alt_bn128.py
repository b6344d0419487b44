"""The curve alt_bn128 as nearcore's host functions use it: sums and multiples of points, and the check of a pairing.

G1 is y² = x³ + 3 over the field of P elements; G2 is the subgroup of order R of y² = x³ + 3/(9 + i) over that field with
i² = -1 (`alt_bn128_pairing`). Numbers are 32 bytes, little-endian; the point at infinity is two zeros. Exact, and not
hidden from anyone who measures time: nothing here is secret.

Points are added in Jacobian coordinates (X/Z², Y/Z³), so that a sum of any length takes one inversion. Sums of multiples
use buckets (Pippenger 1976; Bernstein, Doumen, Lange, Oosterwijk 2012, section 4) with signed digits. The formulas
are dbl-2009-l, madd-2007-bl and add-2007-bl of the Explicit-Formulas Database.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from contracts.vm.alt_bn128_pairing import P, R, Twisted, is_in_g2, is_on_twist, product_is_one

_WORD: Final = 32
_FACTOR_BITS: Final = R.bit_length()
_MAX_DIGIT_BITS: Final = 12

Affine: TypeAlias = tuple[int, int]
G1: TypeAlias = Affine | None
"""None: the point at infinity."""
_Jacobian: TypeAlias = tuple[int, int, int]
_INFINITY: Final[_Jacobian] = (1, 1, 0)


class AltBn128InvalidInput(ValueError):
    """nearcore's `AltBn128InvalidInput`, with its message."""


def split(data: bytes, size: int) -> list[bytes]:
    if len(data) % size:
        raise AltBn128InvalidInput(f"slice of size {len(data)} cannot be precisely split into chunks of size {size}")
    return [data[start : start + size] for start in range(0, len(data), size)]


def g1_sum(elements: Sequence[bytes]) -> bytes:
    """The sum of points, each of a sign (1: negative) and two numbers."""
    total = _INFINITY
    for element in elements:
        if element[0] > 1:
            raise AltBn128InvalidInput("invalid bool")
        point = _read_g1(element[1:])
        if point is not None:
            total = _add_affine(total, (point[0], P - point[1]) if element[0] else point)
    return _write_g1(total)


def g1_multiexp(elements: Sequence[bytes]) -> bytes:
    """The sum of multiples of points, each of two numbers and its factor."""
    points: list[Affine] = []
    factors: list[int] = []
    for element in elements:
        point, factor = _read_g1(element[: 2 * _WORD]), int.from_bytes(element[2 * _WORD :], "little")
        if factor >= R:
            raise AltBn128InvalidInput("invalid fr")
        if point is not None and factor:
            points.append(point)
            factors.append(factor)
    return _write_g1(_sum_of_multiples(points, factors))


def pairing_check(elements: Sequence[bytes]) -> bool:
    """Whether the product of the pairings of a point of G1 with one of G2 each is one."""
    pairs = [(_read_g1(element[: 2 * _WORD]), _read_g2(element[2 * _WORD :])) for element in elements]
    return product_is_one([(point, twisted) for point, twisted in pairs if point is not None and twisted is not None])


def multiexp_additions(count: int) -> int:
    """Additions and doublings of points that a sum of so many multiples takes at most."""
    bits = _digit_bits(count)
    windows = _FACTOR_BITS // bits + 1
    return windows * (count + 2**bits + bits + 1)


# ---- reading and writing


def _read_g1(data: bytes) -> G1:
    x, y = _number(data[:_WORD]), _number(data[_WORD:])
    if x == y == 0:
        return None
    if (y * y - x * x * x - 3) % P:
        raise AltBn128InvalidInput("invalid g1")
    return x, y


def _write_g1(point: _Jacobian) -> bytes:
    x, y, z = point
    if z == 0:
        return bytes(2 * _WORD)
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return (x * square % P).to_bytes(_WORD, "little") + (y * square * inverse % P).to_bytes(_WORD, "little")


def _read_g2(data: bytes) -> Twisted | None:
    numbers = [_number(data[start : start + _WORD]) for start in range(0, len(data), _WORD)]
    if not any(numbers):
        return None
    point = (numbers[0], numbers[1]), (numbers[2], numbers[3])
    if not is_on_twist(point) or not is_in_g2(point):
        raise AltBn128InvalidInput("invalid g2")
    return point


def _number(data: bytes) -> int:
    number = int.from_bytes(data, "little")
    if number >= P:
        raise AltBn128InvalidInput("invalid fq")
    return number


# ---- the curve over the field itself


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    x_square, y_square = x * x, y * y % P
    twice = 4 * x * y_square % P
    slope = 3 * x_square % P
    x3 = (slope * slope - 2 * twice) % P
    return x3, (slope * (twice - x3) - 8 * y_square * y_square) % P, 2 * y * z % P


def _add_affine(one: _Jacobian, other: Affine) -> _Jacobian:
    x1, y1, z1 = one
    x2, y2 = other
    if z1 == 0:
        return x2, y2, 1
    z_square = z1 * z1 % P
    width = (x2 * z_square - x1) % P
    height = (y2 * z1 * z_square - y1) % P
    if width == 0:
        return _INFINITY if height else _double(one)
    square = width * width % P
    cube, base = square * width % P, x1 * square % P
    x3 = (height * height - cube - 2 * base) % P
    return x3, (height * (base - x3) - y1 * cube) % P, z1 * width % P


def _add(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    x1, y1, z1 = one
    x2, y2, z2 = other
    if z1 == 0 or z2 == 0:
        return one if z2 == 0 else other
    square1, square2 = z1 * z1 % P, z2 * z2 % P
    left, low = x1 * square2 % P, y1 * z2 * square2 % P
    width = (x2 * square1 - left) % P
    height = (y2 * z1 * square1 - low) % P
    if width == 0:
        return _INFINITY if height else _double(one)
    square = width * width % P
    cube, base = square * width % P, left * square % P
    x3 = (height * height - cube - 2 * base) % P
    return x3, (height * (base - x3) - low * cube) % P, z1 * z2 * width % P


# ---- multiples


def _sum_of_multiples(points: Sequence[Affine], factors: Sequence[int]) -> _Jacobian:
    """Digits of `bits` bits, from the highest: points with the same digit share a bucket, which is multiplied once."""
    bits = _digit_bits(len(points))
    digits = [_signed_digits(factor, bits) for factor in factors]
    opposite = [(x, P - y) for x, y in points]
    total = _INFINITY
    for place in reversed(range(_FACTOR_BITS // bits + 1)):
        for _ in range(bits if total[2] else 0):
            total = _double(total)
        buckets = [_INFINITY] * (2 ** (bits - 1) + 1)
        for index, row in enumerate(digits):
            digit = row[place]
            if digit > 0:
                buckets[digit] = _add_affine(buckets[digit], points[index])
            elif digit < 0:
                buckets[-digit] = _add_affine(buckets[-digit], opposite[index])
        total = _add(total, _weighted(buckets))
    return total


def _weighted(buckets: Sequence[_Jacobian]) -> _Jacobian:
    """The sum of each bucket times its index."""
    running = total = _INFINITY
    for bucket in reversed(buckets[1:]):
        running = _add(running, bucket)
        total = _add(total, running)
    return total


def _digit_bits(count: int) -> int:
    """The length of a digit that takes the fewest additions."""
    return min(range(2, _MAX_DIGIT_BITS + 1), key=lambda bits: (_FACTOR_BITS // bits + 1) * (count + 2**bits))


def _signed_digits(factor: int, bits: int) -> list[int]:
    """From the lowest, each from -2^(bits - 1) to 2^(bits - 1) - 1; one more than the factor has, for the last carry."""
    digits: list[int] = []
    half, base = 2 ** (bits - 1), 2**bits
    for _ in range(_FACTOR_BITS // bits + 1):
        digit = factor % base
        if digit >= half:
            digit -= base
        digits.append(digit)
        factor = (factor - digit) >> bits
    return digits
