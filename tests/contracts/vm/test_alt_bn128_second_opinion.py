"""alt_bn128 by buckets, Jacobian coordinates and a tower of fields gives the same bytes as the affine formulas."""

import sys
from itertools import pairwise
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vm import alt_bn128, alt_bn128_pairing
from contracts.vm.alt_bn128 import P, R
from tests.contracts.vm import affine_alt_bn128 as affine
from tests.contracts.vm.test_alt_bn128 import A1, A2, B2

_COFACTOR = 2 * P - R
"""The twisted curve has R times as many points."""
_SMALL_ORDER = 10069
_GENERATOR = (1, 2)

Twisted = tuple[affine.Fp2, affine.Fp2]


def multiple(factor: int) -> affine.G1:
    found: affine.G1 = None
    for digit in f"{factor:b}":
        found = affine._add(found, found)
        if digit == "1":
            found = affine._add(found, _GENERATOR)
    return found


def multiple2(point: affine.G2, factor: int) -> affine.G2:
    found: affine.G2 = None
    for digit in f"{factor:b}":
        found = affine._add2(found, found)
        if digit == "1":
            found = affine._add2(found, point)
    return found


def bytes1(point: affine.G1) -> bytes:
    return affine._write_g1(point)


def bytes2(point: affine.G2) -> bytes:
    (xa, xb), (ya, yb) = point or ((0, 0), (0, 0))
    return b"".join(number.to_bytes(32, "little") for number in (xa, xb, ya, yb))


def read2(data: bytes) -> Twisted:
    point = affine._read_g2(data)
    assert point is not None
    return point


def flat(number: alt_bn128_pairing.Fp12) -> list[int]:
    """As the affine formulas write it: a polynomial in w of degree 11."""
    found = [0] * 12
    for start, part in enumerate(number):
        for place in range(3):
            affine._at(start + 2 * place, (part[2 * place], part[2 * place + 1]), found)
    return [one % P for one in found]


def on_twist(seed: int) -> Twisted:
    """A point of the twisted curve, as good as never in the subgroup."""
    x = seed
    while True:
        square = affine._plus(affine._times2(affine._times2((x, 1), (x, 1)), (x, 1)), affine._TWIST)
        root = _root2(square)
        if root is not None:
            return (x, 1), root
        x += 1


def _root2(number: affine.Fp2) -> affine.Fp2 | None:
    """By the complex method; P is 3 modulo 4."""
    a, b = number
    norm = pow(a * a + b * b, (P + 1) // 4, P)
    for sign in (1, -1):
        half = (a + sign * norm) * pow(2, -1, P) % P
        real = pow(half, (P + 1) // 4, P)
        if real and real * real % P == half:
            root = real, b * pow(2 * real, -1, P) % P
            return root if affine._times2(root, root) == number else None
    return None


SMALL = st.integers(0, 5)
"""Multiples of the generator that meet one another, their opposites (by R - 1) and infinity in the buckets."""
FACTORS = st.one_of(
    SMALL, st.integers(0, R - 1), st.integers(R - 5, R - 1), st.sampled_from([2**k for k in range(254)])
)
POINTS = st.one_of(SMALL, st.integers(R - 3, R - 1), st.integers(0, R - 1))


@given(st.lists(st.tuples(st.integers(0, 1), POINTS), max_size=12))
@settings(max_examples=60)
def test_sums_are_the_same_bytes(items: list[tuple[int, int]]) -> None:
    elements = [bytes((sign,)) + bytes1(multiple(point)) for sign, point in items]
    assert alt_bn128.g1_sum(elements) == affine.g1_sum(elements)


@given(st.lists(st.tuples(POINTS, FACTORS), max_size=12))
@settings(max_examples=60)
def test_sums_of_multiples_are_the_same_bytes(items: list[tuple[int, int]]) -> None:
    elements = [bytes1(multiple(point)) + factor.to_bytes(32, "little") for point, factor in items]
    assert alt_bn128.g1_multiexp(elements) == affine.g1_multiexp(elements)


@pytest.mark.parametrize("count", [40, 150])
def test_long_sums_of_multiples_are_the_same_bytes(count: int) -> None:
    """Each length of digits that the number of elements leads to."""
    points, point = list[bytes](), multiple(7)
    for _ in range(count):
        points.append(bytes1(point))
        point = affine._add(point, _GENERATOR)
    factors = [pow(3, 200 + index, R).to_bytes(32, "little") for index in range(count)]
    elements = [one + factor for one, factor in zip(points, factors, strict=True)]
    assert alt_bn128.g1_multiexp(elements) == affine.g1_multiexp(elements)


@given(st.integers(1, R - 1), st.integers(1, R - 1))
@settings(max_examples=5)
def test_pairings_are_the_same_numbers(one: int, other: int) -> None:
    point, twisted = multiple(one), multiple2(read2(A2), other)
    assert point is not None
    assert twisted is not None
    found = alt_bn128_pairing.final_power(alt_bn128_pairing.miller([(point, twisted)]))
    assert flat(found) == affine._power(affine._miller(point, twisted), affine._FINAL)


@given(st.lists(st.tuples(st.integers(0, R - 1), st.integers(0, R - 1)), min_size=1, max_size=3), st.integers(0, 2))
@settings(max_examples=8)
def test_checks_of_pairings_are_the_same_answers(items: list[tuple[int, int]], besides: int) -> None:
    """The product of e(a G, b H) is one if a last pair makes up for all of them."""
    last = (besides - sum(one * other for one, other in items)) % R
    pairs = [(multiple(one), multiple2(read2(A2), other)) for one, other in items]
    pairs.append((multiple(last), read2(A2)))
    elements = [bytes1(one) + bytes2(other) for one, other in pairs]
    assert alt_bn128.pairing_check(elements) is affine.pairing_check(elements) is (besides == 0)


@given(st.lists(st.integers(0, P - 1), min_size=12, max_size=12))
@settings(max_examples=5)
def test_the_final_power_is_the_plain_one(numbers: list[int]) -> None:
    g, h = tuple(numbers[:6]), tuple(numbers[6:])
    assert len(g) == 6
    assert len(h) == 6
    if any(numbers):
        assert flat(alt_bn128_pairing.final_power((g, h))) == affine._power(flat((g, h)), affine._FINAL)


@pytest.mark.parametrize("seed", [1, 5, 9])
def test_membership_of_the_subgroup_is_the_same_answer_for_points_of_every_order(seed: int) -> None:
    found = on_twist(seed)
    orders = (1, R, _COFACTOR, R * _COFACTOR // _SMALL_ORDER)
    for point in (multiple2(found, factor) for factor in orders):
        assert point is not None
        assert alt_bn128_pairing.is_on_twist(point)
        assert alt_bn128_pairing.is_in_g2(point) is affine._in_g2(point)
    inside = multiple2(found, _COFACTOR)
    assert inside is not None
    assert alt_bn128_pairing.is_in_g2(inside)


def test_the_first_bad_element_names_the_fault() -> None:
    bad_g1, bad_fq = A1[:32] + bytes(32), P.to_bytes(32, "little") + bytes(32)
    outside = A2[:96] + B2[96:]
    twisted_order = bytes2(on_twist(3))
    for elements in (
        [A1 + A2, bad_g1 + outside],
        [bad_fq + A2, A1 + outside],
        [A1 + outside, bad_fq + A2],
        [bytes(64) + twisted_order],
    ):
        said: list[str] = []
        for check, error in (
            (alt_bn128.pairing_check, alt_bn128.AltBn128InvalidInput),
            (affine.pairing_check, affine.AltBn128InvalidInput),
        ):
            with pytest.raises(error) as caught:
                check(elements)
            said.append(str(caught.value))
        assert said[0] == said[1]


@pytest.mark.parametrize("count", [1, 2, 7, 30, 120])
def test_the_count_of_additions_is_never_below_those_that_are_made(count: int) -> None:
    """What a call may cost is estimated from it before the call begins."""
    counted = {function.__code__ for function in (alt_bn128._double, alt_bn128._add, alt_bn128._add_affine)}
    made = 0

    def count_calls(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        # The doubling inside an addition of a point to itself takes the place of its second half.
        inside = frame.f_back is not None and frame.f_back.f_code in counted
        made += event == "call" and frame.f_code in counted and not inside

    factor = (R - 1).to_bytes(32, "little")
    elements = [bytes1(multiple(number + 1)) + factor for number in range(count)]
    sys.setprofile(count_calls)
    try:
        alt_bn128.g1_multiexp(elements)
    finally:
        sys.setprofile(None)
    assert count < made <= alt_bn128.multiexp_additions(count)


def test_the_count_of_additions_grows_slower_than_the_number_of_multiples() -> None:
    counts = [alt_bn128.multiexp_additions(count) for count in (1, 10, 100, 937)]
    assert all(before < after for before, after in pairwise(counts))
    assert counts[3] < 937 * 254 // 4
