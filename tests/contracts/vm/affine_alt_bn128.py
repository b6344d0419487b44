"""A second opinion on alt_bn128: affine formulas, double-and-add, one Miller loop for each pair, one plain final power.

G1 is y² = x³ + 3 over the field of P elements; G2 is the subgroup of order R of y² = x³ + 3/(9 + i) over that field with
i² = -1; the pairing is the optimal ate pairing (Vercauteren 2010) into the field of P¹² elements, here polynomials in w
with w¹² = 18 w⁶ - 82, where i = w⁶ - 9. Numbers are 32 bytes, little-endian; the point at infinity is two zeros. Exact, and
not hidden from anyone who measures time: nothing here is secret.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

P: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
R: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
_LOOP: Final = 29793968203157093288
"""6 t + 2 of the curve's parameter t."""
_FINAL: Final = (P**12 - 1) // R
_WORD: Final = 32

Fp2: TypeAlias = tuple[int, int]
"""a + b i."""
G1: TypeAlias = tuple[int, int] | None
"""None: the point at infinity."""
G2: TypeAlias = tuple[Fp2, Fp2] | None
_Fp12: TypeAlias = list[int]


class AltBn128InvalidInput(ValueError):
    """nearcore's `AltBn128InvalidInput`, with its message."""


def split(data: bytes, size: int) -> list[bytes]:
    if len(data) % size:
        raise AltBn128InvalidInput(f"slice of size {len(data)} cannot be precisely split into chunks of size {size}")
    return [data[start : start + size] for start in range(0, len(data), size)]


def g1_sum(elements: Sequence[bytes]) -> bytes:
    """The sum of points, each of a sign (1: negative) and two numbers."""
    total: G1 = None
    for element in elements:
        if element[0] > 1:
            raise AltBn128InvalidInput("invalid bool")
        point = _read_g1(element[1:])
        total = _add(total, (point[0], -point[1] % P) if point is not None and element[0] else point)
    return _write_g1(total)


def g1_multiexp(elements: Sequence[bytes]) -> bytes:
    """The sum of multiples of points, each of two numbers and its factor."""
    total: G1 = None
    for element in elements:
        point, factor = _read_g1(element[: 2 * _WORD]), int.from_bytes(element[2 * _WORD :], "little")
        if factor >= R:
            raise AltBn128InvalidInput("invalid fr")
        multiple: G1 = None
        for digit in f"{factor:b}":
            multiple = _add(multiple, multiple)
            if digit == "1":
                multiple = _add(multiple, point)
        total = _add(total, multiple)
    return _write_g1(total)


def pairing_check(elements: Sequence[bytes]) -> bool:
    """Whether the product of the pairings of a point of G1 with one of G2 each is one."""
    pairs = [(_read_g1(element[: 2 * _WORD]), _read_g2(element[2 * _WORD :])) for element in elements]
    product = _one()
    for point, twisted in pairs:
        if point is not None and twisted is not None:
            product = _times(product, _miller(point, twisted))
    return product == _one() or _power(product, _FINAL) == _one()


# ---- reading and writing


def _read_g1(data: bytes) -> G1:
    x, y = _number(data[:_WORD]), _number(data[_WORD:])
    if x == y == 0:
        return None
    if (y * y - x * x * x - 3) % P:
        raise AltBn128InvalidInput("invalid g1")
    return x, y


def _write_g1(point: G1) -> bytes:
    x, y = point or (0, 0)
    return x.to_bytes(_WORD, "little") + y.to_bytes(_WORD, "little")


def _read_g2(data: bytes) -> G2:
    numbers = [_number(data[start : start + _WORD]) for start in range(0, len(data), _WORD)]
    x, y = (numbers[0], numbers[1]), (numbers[2], numbers[3])
    if not any(numbers):
        return None
    if _minus(_times2(y, y), _plus(_times2(_times2(x, x), x), _TWIST)) != (0, 0) or not _in_g2((x, y)):
        raise AltBn128InvalidInput("invalid g2")
    return x, y


def _number(data: bytes) -> int:
    number = int.from_bytes(data, "little")
    if number >= P:
        raise AltBn128InvalidInput("invalid fq")
    return number


# ---- the curve over the field itself


def _add(one: G1, other: G1) -> G1:
    if one is None or other is None:
        return other if one is None else one
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = 3 * x1 * x1 * pow(2 * y1, -1, P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P)
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


# ---- the field of a + b i, and the twisted curve over it


def _plus(one: Fp2, other: Fp2) -> Fp2:
    return (one[0] + other[0]) % P, (one[1] + other[1]) % P


def _minus(one: Fp2, other: Fp2) -> Fp2:
    return (one[0] - other[0]) % P, (one[1] - other[1]) % P


def _times2(one: Fp2, other: Fp2) -> Fp2:
    return (one[0] * other[0] - one[1] * other[1]) % P, (one[0] * other[1] + one[1] * other[0]) % P


def _inverse2(one: Fp2) -> Fp2:
    norm = pow(one[0] * one[0] + one[1] * one[1], -1, P)
    return one[0] * norm % P, -one[1] * norm % P


def _power2(base: Fp2, exponent: int) -> Fp2:
    found: Fp2 = (1, 0)
    for digit in f"{exponent:b}":
        found = _times2(found, found)
        if digit == "1":
            found = _times2(found, base)
    return found


_TWIST: Final = _times2((3, 0), _inverse2((9, 1)))
_FROBENIUS_X: Final = _power2((9, 1), (P - 1) // 3)
_FROBENIUS_Y: Final = _power2((9, 1), (P - 1) // 2)


def _slope(one: tuple[Fp2, Fp2], other: tuple[Fp2, Fp2]) -> Fp2 | None:
    """Of the line through two points, or of the tangent; None for a vertical one."""
    (x1, y1), (x2, y2) = one, other
    if x1 != x2:
        return _times2(_minus(y2, y1), _inverse2(_minus(x2, x1)))
    if y1 != y2 or y1 == (0, 0):
        return None
    return _times2(_times2((3, 0), _times2(x1, x1)), _inverse2(_plus(y1, y1)))


def _add2(one: G2, other: G2) -> G2:
    if one is None or other is None:
        return other if one is None else one
    slope = _slope(one, other)
    if slope is None:
        return None
    x3 = _minus(_minus(_times2(slope, slope), one[0]), other[0])
    return x3, _minus(_times2(slope, _minus(one[0], x3)), one[1])


def _in_g2(point: tuple[Fp2, Fp2]) -> bool:
    multiple: G2 = None
    for digit in f"{R:b}":
        multiple = _add2(multiple, multiple)
        if digit == "1":
            multiple = _add2(multiple, point)
    return multiple is None


# ---- the field of the pairing, and the pairing


def _one() -> _Fp12:
    return [1] + [0] * 11


def _times(one: _Fp12, other: _Fp12) -> _Fp12:
    product = [0] * 23
    for place, factor in enumerate(one):
        if factor:
            for shift, number in enumerate(other):
                product[place + shift] += factor * number
    for place in range(22, 11, -1):
        product[place - 6] += 18 * product[place]
        product[place - 12] -= 82 * product[place]
    return [number % P for number in product[:12]]


def _power(base: _Fp12, exponent: int) -> _Fp12:
    found = _one()
    for digit in f"{exponent:b}":
        found = _times(found, found)
        if digit == "1":
            found = _times(found, base)
    return found


def _at(place: int, number: Fp2, into: _Fp12) -> None:
    """Add a + b i, which is a - 9 b + b w⁶, times w to the power of `place`."""
    into[place] += number[0] - 9 * number[1]
    into[place + 6] += number[1]


def _line(one: tuple[Fp2, Fp2], other: tuple[Fp2, Fp2], point: tuple[int, int]) -> _Fp12:
    """The line through two points of the twist, which stand at (x w², y w³), at a point of G1."""
    found, slope = [0] * 12, _slope(one, other)
    if slope is None:
        found[0] += point[0]
        _at(2, _minus((0, 0), one[0]), found)
    else:
        found[0] -= point[1]
        _at(1, _times2(slope, (point[0], 0)), found)
        _at(3, _minus(one[1], _times2(slope, one[0])), found)
    return [number % P for number in found]


def _miller(point: tuple[int, int], twisted: tuple[Fp2, Fp2]) -> _Fp12:
    found, reached = _one(), twisted
    for digit in f"{_LOOP:b}"[1:]:
        found = _times(_times(found, found), _line(reached, reached, point))
        reached = _stay(_add2(reached, reached))
        if digit == "1":
            found = _times(found, _line(reached, twisted, point))
            reached = _stay(_add2(reached, twisted))
    first = _frobenius(twisted)
    second = _frobenius(first)
    found = _times(found, _line(reached, first, point))
    reached = _stay(_add2(reached, first))
    return _times(found, _line(reached, (second[0], _minus((0, 0), second[1])), point))


def _frobenius(point: tuple[Fp2, Fp2]) -> tuple[Fp2, Fp2]:
    (xa, xb), (ya, yb) = point
    return _times2((xa, -xb % P), _FROBENIUS_X), _times2((ya, -yb % P), _FROBENIUS_Y)


def _stay(point: G2) -> tuple[Fp2, Fp2]:
    """No multiple below the order of a point of G2 is the point at infinity."""
    if point is None:
        raise ArithmeticError("a point of prime order has a smaller one")
    return point
