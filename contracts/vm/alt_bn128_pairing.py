"""The pairing of alt_bn128: the optimal ate pairing (Vercauteren 2010) of points of G1 with points of G2.

The fields are a tower: a + b i with i² = -1, on it polynomials in v with v³ = 9 + i, on those g + h w with w² = v. All
pairs of a product share the squarings of one Miller loop and one final exponentiation, which is split into powers of the
curve's parameter (Scott, Benger, Charlemagne, Dominguez Perez, Kachisa 2009). Products are kept unreduced as long as they
are only added up: a reduction takes as long as two multiplications here.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

P: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
R: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
PARAMETER: Final = 4965661367192848881
"""The curve's t: P, R and the trace of Frobenius are polynomials in it."""

Fp2: TypeAlias = tuple[int, int]
"""a + b i."""
Twisted: TypeAlias = tuple[Fp2, Fp2]
"""A point of the twisted curve over Fp2, not the one at infinity."""
_Jacobian2: TypeAlias = tuple[Fp2, Fp2, Fp2]
_Fp6: TypeAlias = tuple[int, int, int, int, int, int]
"""Three of Fp2, by powers of v."""
Fp12: TypeAlias = tuple[_Fp6, _Fp6]
"""g + h w."""
Pair: TypeAlias = tuple[tuple[int, int], Twisted]


def _non_adjacent(number: int) -> list[int]:
    """Digits -1, 0 and 1 from the highest, no two in a row without a zero."""
    digits: list[int] = []
    while number:
        digit = 2 - number % 4 if number % 2 else 0
        digits.append(digit)
        number = (number - digit) // 2
    return digits[::-1]


_LOOP: Final = _non_adjacent(6 * PARAMETER + 2)
_EIGENVALUE: Final = _non_adjacent(6 * PARAMETER**2)
_PARAMETER_BITS: Final = f"{PARAMETER:b}"


# ---- a + b i


def _times2(one: Fp2, other: Fp2) -> Fp2:
    (a, b), (c, d) = one, other
    first, second = a * c, b * d
    return (first - second) % P, ((a + b) * (c + d) - first - second) % P


def _square2(one: Fp2) -> Fp2:
    a, b = one
    return (a + b) * (a - b) % P, 2 * a * b % P


def _minus2(one: Fp2, other: Fp2) -> Fp2:
    return one[0] - other[0], one[1] - other[1]


def _inverse2(one: Fp2) -> Fp2:
    norm = pow(one[0] * one[0] + one[1] * one[1], -1, P)
    return one[0] * norm % P, -one[1] * norm % P


def _power2(base: Fp2, exponent: int) -> Fp2:
    found: Fp2 = (1, 0)
    for digit in f"{exponent:b}":
        found = _square2(found)
        if digit == "1":
            found = _times2(found, base)
    return found


def _inverses2(numbers: Sequence[Fp2]) -> list[Fp2]:
    """The inverse of each, none of which is zero, by one inversion in all (Montgomery 1987)."""
    norms = [(a * a + b * b) % P for a, b in numbers]
    products = [1]
    for norm in norms:
        products.append(products[-1] * norm % P)
    rest = pow(products[-1], -1, P)
    found: list[Fp2] = []
    for (a, b), norm, before in zip(reversed(numbers), reversed(norms), reversed(products[:-1]), strict=True):
        inverse = rest * before % P
        rest = rest * norm % P
        found.append((a * inverse % P, -b * inverse % P))
    return found[::-1]


_NON_RESIDUE: Final = (9, 1)
_TWIST: Final = _times2((3, 0), _inverse2(_NON_RESIDUE))
_FROBENIUS: Final = tuple(_power2(_NON_RESIDUE, power * (P - 1) // 6) for power in range(6))
"""(9 + i)^(k (P - 1) / 6): the factor of w^k under x -> x^P."""


# ---- the twisted curve


def is_on_twist(point: Twisted) -> bool:
    x, y = point
    left, right = _square2(y), _times2(_square2(x), x)
    return not any((left[place] - right[place] - _TWIST[place]) % P for place in range(2))


def is_in_g2(point: Twisted) -> bool:
    """Whether a point of the twisted curve has order R.

    Frobenius F satisfies F² - T F + P = 0 with the trace T = 6 t² + 1 and P + 1 - T = R. Where F q = (T - 1) q,
    that says R q = 0; and on the points of order R, F multiplies by P, which is T - 1 modulo R.
    """
    x, y, z = _multiple_by_eigenvalue(point)
    if z == (0, 0):
        return False
    (wanted_x, wanted_y), square = _frobenius_point(point), _square2(z)
    return _times2(wanted_x, square) == x and _times2(_times2(wanted_y, square), z) == y


def _frobenius_point(point: Twisted) -> Twisted:
    (xa, xb), (ya, yb) = point
    return _times2((xa, -xb), _FROBENIUS[2]), _times2((ya, -yb), _FROBENIUS[3])


def _multiple_by_eigenvalue(point: Twisted) -> _Jacobian2:
    """(T - 1) times a point of any order."""
    negative = (point[0], (-point[1][0], -point[1][1]))
    total: _Jacobian2 = (*point, (1, 0))
    for digit in _EIGENVALUE[1:]:
        total = _double2(total)
        if digit:
            total = _add_affine2(total, point if digit > 0 else negative)
    return total


def _double2(point: _Jacobian2) -> _Jacobian2:
    x, y, z = point
    y_square, slope = _square2(y), _square2(x)
    slope = 3 * slope[0], 3 * slope[1]
    twice = _times2(x, y_square)
    twice, fourth = (4 * twice[0], 4 * twice[1]), _square2(y_square)
    squared = _square2(slope)
    x3 = (squared[0] - 2 * twice[0]) % P, (squared[1] - 2 * twice[1]) % P
    down, z3 = _times2(slope, _minus2(twice, x3)), _times2(y, z)
    y3 = (down[0] - 8 * fourth[0]) % P, (down[1] - 8 * fourth[1]) % P
    return x3, y3, (2 * z3[0] % P, 2 * z3[1] % P)


def _add_affine2(one: _Jacobian2, other: Twisted) -> _Jacobian2:
    (x1, y1, z1), (x2, y2) = one, other
    if z1 == (0, 0):
        return x2, (y2[0] % P, y2[1] % P), (1, 0)
    z_square = _square2(z1)
    right, high = _times2(x2, z_square), _times2(_times2(y2, z1), z_square)
    width = (right[0] - x1[0]) % P, (right[1] - x1[1]) % P
    height = (high[0] - y1[0]) % P, (high[1] - y1[1]) % P
    if width == (0, 0):
        return ((1, 0), (1, 0), (0, 0)) if height != (0, 0) else _double2(one)
    square = _square2(width)
    cube, base, squared = _times2(square, width), _times2(x1, square), _square2(height)
    x3 = (squared[0] - cube[0] - 2 * base[0]) % P, (squared[1] - cube[1] - 2 * base[1]) % P
    down, low = _times2(height, _minus2(base, x3)), _times2(y1, cube)
    return x3, ((down[0] - low[0]) % P, (down[1] - low[1]) % P), _times2(z1, width)


# ---- the field of the pairing

_ONE6: Final[_Fp6] = (1, 0, 0, 0, 0, 0)
_ZERO6: Final[_Fp6] = (0, 0, 0, 0, 0, 0)
ONE: Final[Fp12] = (_ONE6, _ZERO6)


def _times6(one: _Fp6, other: _Fp6) -> _Fp6:
    """Unreduced: six products of two numbers of Fp2 (Devegili, OhEigeartaigh, Scott, Dahab 2006, section 4)."""
    a, b, c, d, e, f = one
    k, l, m, n, o, p = other  # noqa: E741 - the letters follow one another
    ak, bl, cm, dn, eo, fp = a * k, b * l, c * m, d * n, e * o, f * p
    r0, i0 = ak - bl, (a + b) * (k + l) - ak - bl
    r1, i1 = cm - dn, (c + d) * (m + n) - cm - dn
    r2, i2 = eo - fp, (e + f) * (o + p) - eo - fp
    ac, bd, km, ln = a + c, b + d, k + m, l + n
    u, w = ac * km, bd * ln
    r01, i01 = u - w - r0 - r1, (ac + bd) * (km + ln) - u - w - i0 - i1
    ac, bd, km, ln = a + e, b + f, k + o, l + p
    u, w = ac * km, bd * ln
    r02, i02 = u - w - r0 - r2, (ac + bd) * (km + ln) - u - w - i0 - i2
    ac, bd, km, ln = c + e, d + f, m + o, n + p
    u, w = ac * km, bd * ln
    r12, i12 = u - w - r1 - r2, (ac + bd) * (km + ln) - u - w - i1 - i2
    return (
        r0 + 9 * r12 - i12,
        i0 + r12 + 9 * i12,
        r01 + 9 * r2 - i2,
        i01 + r2 + 9 * i2,
        r02 + r1,
        i02 + i1,
    )


def times(one: Fp12, other: Fp12) -> Fp12:
    (g, h), (k, l) = one, other  # noqa: E741 - as above
    a, b, c, d, e, f = gk = _times6(g, k)
    m, n, o, p, q, r = hl = _times6(h, l)
    both = _times6(_plus6(g, h), _plus6(k, l))
    first = (a + 9 * q - r) % P, (b + q + 9 * r) % P, (c + m) % P, (d + n) % P, (e + o) % P, (f + p) % P
    s, t, u, v, w, x = (whole - left - right for whole, left, right in zip(both, gk, hl, strict=True))
    return first, (s % P, t % P, u % P, v % P, w % P, x % P)


def _square(one: Fp12) -> Fp12:
    g, h = one
    m, n, o, p, q, r = _times6(g, h)
    # (g + h)(g + v h) - g h - v g h is the part without w.
    a, b, c, d, e, f = _times6(_plus6(g, h), _plus6(g, _times_v(h)))
    first = (a - m - 9 * q + r) % P, (b - n - q - 9 * r) % P, (c - o - m) % P
    second = (d - p - n) % P, (e - q - o) % P, (f - r - p) % P
    return (*first, *second), (2 * m % P, 2 * n % P, 2 * o % P, 2 * p % P, 2 * q % P, 2 * r % P)


def _plus6(one: _Fp6, other: _Fp6) -> _Fp6:
    a, b, c, d, e, f = one
    k, l, m, n, o, p = other  # noqa: E741 - as above
    return a + k, b + l, c + m, d + n, e + o, f + p


def _times_v(one: _Fp6) -> _Fp6:
    a, b, c, d, e, f = one
    return 9 * e - f, e + 9 * f, a, b, c, d


def _negative6(one: _Fp6) -> _Fp6:
    a, b, c, d, e, f = one
    return -a % P, -b % P, -c % P, -d % P, -e % P, -f % P


def _conjugate(one: Fp12) -> Fp12:
    """x^(P^6), which is the inverse once x was raised to P^6 - 1."""
    return one[0], _negative6(one[1])


def _inverse(one: Fp12) -> Fp12:
    g, h = one
    s, t, u, v, w, x = (a - b for a, b in zip(_times6(g, g), _times_v(_times6(h, h)), strict=True))
    inverse = _inverse6((s % P, t % P, u % P, v % P, w % P, x % P))
    return times(one=(g, _negative6(h)), other=(inverse, _ZERO6))


def _inverse6(one: _Fp6) -> _Fp6:
    a, b, c = one[:2], one[2:4], one[4:]
    bc, cc, ab = _times2(b, c), _square2(c), _times2(a, b)
    x = _minus2(_square2(a), _times2(_NON_RESIDUE, bc))
    y = _minus2(_times2(_NON_RESIDUE, cc), ab)
    z = _minus2(_square2(b), _times2(a, c))
    cy, bz = _times2(c, y), _times2(b, z)
    mixed, ax = _times2(_NON_RESIDUE, (cy[0] + bz[0], cy[1] + bz[1])), _times2(a, x)
    norm = _inverse2((ax[0] + mixed[0], ax[1] + mixed[1]))
    return (*_times2(x, norm), *_times2(y, norm), *_times2(z, norm))


def _frobenius(one: Fp12) -> Fp12:
    """x^P."""
    (a, b, c, d, e, f), (k, l, m, n, o, p) = one  # noqa: E741 - as above
    first = (a, -b % P, *_times2((c, -d), _FROBENIUS[2]), *_times2((e, -f), _FROBENIUS[4]))
    second = (
        *_times2((k, -l), _FROBENIUS[1]),
        *_times2((m, -n), _FROBENIUS[3]),
        *_times2((o, -p), _FROBENIUS[5]),
    )
    return first, second


def _to_parameter(base: Fp12) -> Fp12:
    found = base
    for digit in _PARAMETER_BITS[1:]:
        found = _square(found)
        if digit == "1":
            found = times(found, base)
    return found


# ---- the pairing


def product_is_one(pairs: Sequence[Pair]) -> bool:
    """Whether the product of the pairings is one. The second points are of order R."""
    return not pairs or final_power(miller(pairs)) == ONE


def miller(pairs: Sequence[Pair]) -> Fp12:
    """The product of the Miller loops of the pairs, up to factors that the final power makes one."""
    # A line is divided by -y of the point of G1, so that its part without w is one.
    inverses = [pow(y, -1, P) for (_, y), _ in pairs]
    scales = [(-x * inverse % P, inverse) for ((x, _), _), inverse in zip(pairs, inverses, strict=True)]
    bases = [twisted for _, twisted in pairs]
    opposite = [(x, (-y[0] % P, -y[1] % P)) for x, y in bases]
    reached, found = list(bases), ONE
    for digit in _LOOP[1:]:
        found = _through(_square(found), reached, reached, scales)
        if digit:
            found = _through(found, reached, bases if digit > 0 else opposite, scales)
    first = [_frobenius_point(point) for point in bases]
    second = [_frobenius_point(point) for point in first]
    found = _through(found, reached, first, scales)
    return _through(found, reached, [(x, (-y[0] % P, -y[1] % P)) for x, y in second], scales)


def _through(found: Fp12, reached: list[Twisted], others: Sequence[Twisted], scales: Sequence[Fp2]) -> Fp12:
    """`found` times the lines through the points reached and the others; what is reached moves on to their sums.

    A multiple of a point of order R meets neither its opposite nor infinity on the way, so no line is vertical.
    """
    tangents = others is reached
    below = [(2 * y[0], 2 * y[1]) for _, y in reached]
    if not tangents:
        below = [_minus2(other[0], one[0]) for one, other in zip(reached, others, strict=True)]
    for place, inverse in enumerate(_inverses2(below)):
        x, y = reached[place]
        other_x, other_y = others[place]
        if tangents:
            a, b = _square2(x)
            above = 3 * a, 3 * b
        else:
            above = _minus2(other_y, y)
        slope = _times2(above, inverse)
        across, up = scales[place]
        product, squared = _times2(slope, x), _square2(slope)
        line = (slope[0] * across % P, slope[1] * across % P)
        found = _times_line(found, line, ((product[0] - y[0]) * up % P, (product[1] - y[1]) * up % P))
        x3 = (squared[0] - x[0] - other_x[0]) % P, (squared[1] - x[1] - other_x[1]) % P
        down = _times2(slope, _minus2(x, x3))
        reached[place] = x3, ((down[0] - y[0]) % P, (down[1] - y[1]) % P)
    return found


def _times_line(one: Fp12, low: Fp2, high: Fp2) -> Fp12:
    """Times 1 + (low + high v) w."""
    g, h = one
    a, b, c, d, e, f = _times_sparse(h, low, high)
    k, l, m, n, o, p = g  # noqa: E741 - as above
    first = (k + 9 * e - f) % P, (l + e + 9 * f) % P, (m + a) % P, (n + b) % P, (o + c) % P, (p + d) % P
    a, b, c, d, e, f = _times_sparse(g, low, high)
    k, l, m, n, o, p = h  # noqa: E741 - as above
    return first, ((k + a) % P, (l + b) % P, (m + c) % P, (n + d) % P, (o + e) % P, (p + f) % P)


def _times_sparse(one: _Fp6, low: Fp2, high: Fp2) -> _Fp6:
    """Times low + high v, unreduced."""
    a, b, c, d, e, f = one
    (k, l), (m, n) = low, high  # noqa: E741 - as above
    kl, mn, km, ln = k + l, m + n, k + m, l + n
    u, w = a * k, b * l
    r0, i0 = u - w, (a + b) * kl - u - w
    u, w = c * m, d * n
    r1, i1 = u - w, (c + d) * mn - u - w
    ac, bd, ef = a + c, b + d, e + f
    u, w = ac * km, bd * ln
    r01, i01 = u - w - r0 - r1, (ac + bd) * (km + ln) - u - w - i0 - i1
    u, w = e * k, f * l
    r2, i2 = u - w + r1, ef * kl - u - w + i1
    u, w = e * m, f * n
    r3, i3 = u - w, ef * mn - u - w
    return r0 + 9 * r3 - i3, i0 + r3 + 9 * i3, r01, i01, r2, i2


def final_power(number: Fp12) -> Fp12:
    """The number to the power of (P^12 - 1) / R."""
    number = times(_conjugate(number), _inverse(number))
    number = times(_frobenius(_frobenius(number)), number)
    by1 = _to_parameter(number)
    by2 = _to_parameter(by1)
    by3 = _to_parameter(by2)
    once = _frobenius(number)
    twice = _frobenius(once)
    # The names are those of Scott et al., section 3.
    y0 = times(times(once, twice), _frobenius(twice))
    y1, y3, y5 = _conjugate(number), _conjugate(_frobenius(by1)), _conjugate(by2)
    y2 = _frobenius(_frobenius(by2))
    y4 = _conjugate(times(by1, _frobenius(by2)))
    y6 = _conjugate(times(by3, _frobenius(by3)))
    t0 = times(times(_square(y6), y4), y5)
    t1 = times(times(y3, y5), t0)
    t0 = times(t0, y2)
    t1 = _square(times(_square(t1), t0))
    t0 = _square(times(t1, y1))
    return times(t0, times(t1, y0))
