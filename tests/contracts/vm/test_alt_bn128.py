"""Points and pairings on alt_bn128, against the vectors of nearcore's own tests (`vm/runner logic/tests/alt_bn128.rs`)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vm.alt_bn128 import AltBn128InvalidInput, P, R, g1_multiexp, g1_sum, pairing_check, split
from contracts.vm.config import RuntimeConfig
from tests.contracts.vm.test_host import call, return_register
from tests.contracts.vm.wat_contract import WatContract


def le(text: str) -> bytes:
    """Numbers in hexadecimal, each as 32 bytes."""
    return b"".join(int(word, 16).to_bytes(32, "little") for word in text.split())


NOTHING = bytes(64)
ALONE = le(
    "2d6b17489d86fcd5f91e8e92eb55081d8cb4413e408047249ef4fb5baa1b518b"
    " 1e4d0a30dbadd9dad40f7847c7013754ded8d0371c052d19f01453f4ae1506d7"
)
THREE = (
    le(
        "26a1602aeb36e32dd1c534b1c014e920b138f4a8b87f2833ea6051c8cbd5eea2"
        " 01eb929f0ab6720df89837a84f2787d6d8a8bd97e0daab0576321d85143633ee"
    ),
    le(
        "15ad51e3d708bdf9ae99a3732af9354cc7b0f2ce71832b958b3e9b0215e63578"
        " 231d7b68932527abdeb71488bd5c1e339306c10490d3c65f7daaa651a367c618"
    ),
    le(
        "1302ac2f870ef22bdec4cd48058f309bcef761a7b40f78744157f3bbf25a016d"
        " 0c75e87050e62a4c3bf1e261da5a0f11c7ccaa090a0585365658f7a2b4b96fee"
    ),
)
SUM_OF_THREE = le(
    "2ee5c54dee890fb79c9964f7a08c7295111990435dc3adff9fb6d63aadded21f"
    " 2c3fa1abf295e7df565379efcdb0398d08fc959a0a7e5d3f30118fefe9450a67"
)
FIRST = le(
    "12b453155ca3be5d0b14a4804cc39a0b4635b06d512735350cd031051644d3ec"
    " 2944829dcfa7dd72bb04d12e46869e6a6c8162698f9a6c35724f91f597e25fc4"
)
SIGNED_SUM = (
    b"\0"
    + FIRST
    + b"\1"
    + le(
        "032b2c8b9f1e7f5e53c262ae87ccd1366df1af019f2dbfe1a58a6749ba4b923f"
        " 304cda5602a44a5cea16280a60720540748bf609164ae0464063a772111d7e6f"
    ),
    le(
        "1e2e53eecef3185d5c874e783cb184d302692a22c20f5f3b3993882e184d8fe8"
        " 03fc2454d3d88f9eac441e9b85a9041e925f30cca7a82d039d1ffb582bfb2004"
    ),
)
MULTIPLES = (
    FIRST
    + le(
        "112b450c0769c7cd80ffa552aaab2153adb5646664ee091639784a7f887411f7"
        " 032b2c8b9f1e7f5e53c262ae87ccd1366df1af019f2dbfe1a58a6749ba4b923f"
        " 0017741cde8d55ccce3a1dac210f531d22f574885226ea46fbbce4a4c75f7ed8"
        " 19e4956d3cf5e04f938bc9dee72f2fcab15934c7e0450ae15afee161606b071a"
    ),
    le(
        "2923a9d452a047e0f24ab419d7893ecbf0c32a842afd88f991a6723decba82aa"
        " 2e3a00f94191675c0730510133c2fca248160750d87b5157c534146d4d260b61"
    ),
)
A1 = le(
    "0763111c06b5066cc812f8e058d5b82a7bc356c83a1a5ab743ea4e7163d90a75"
    " 041068a8ed41f6755c1ad2d30aacc3974a4fae3293aee34c7103b4c073358624"
)
A2 = le(
    "291aea4fac742aaf8772caa00c8763d509c3d6f20d1be64d73c10d06db031a01"
    " 1de7a958e4adb3a128cd3b942b13bc85ee4124f0dee6f4266b39707c81c06fd4"
    " 1e2d816ba8b96e5cb444883a2b095533becb805c654418fa2c65bba533a34311"
    " 195dd519dc841a301a14de412c520b858c01ccc7ba0bd4177dd85d4b116416bb"
)
B1 = le(
    "1f1cebcff0a999ffa7c1b582e9afd6c875760fde2679e9fd830bf3979504b04f"
    " 179fe95fb3fb3807ebbad5ed2b40ddd06f7b73525382a64a43489606b3454a53"
)
B2 = le(
    "201eef3c872a7313da79f6aa628cc9795314fbac78484fdae2eba5086755ad6d"
    " 204e0376b942fe92ba6e2746d07d62f5dede7b8b6e172fa89ea0c5c4ccabaa31"
    " 00e9f62300f921f5d4f2f7008aec59449a3f5e75add585ec4eccf04f5dc5b32f"
    " 17c150f0fb2ff472816b41868b98b9170233ee4647fe4bc41a1336c9a2c6567c"
)
ONE = (1).to_bytes(32, "little")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", NOTHING),
        (b"\0" + ALONE, ALONE),
        SIGNED_SUM,
        (b"".join(b"\0" + point for point in THREE), SUM_OF_THREE),
        (b"\0" + ALONE + b"\1" + ALONE, NOTHING),
        (b"\1" + NOTHING, NOTHING),
    ],
)
def test_sums(data: bytes, expected: bytes) -> None:
    assert g1_sum(split(data, 65)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", NOTHING),
        (ALONE + ONE, ALONE),
        MULTIPLES,
        (b"".join(point + ONE for point in THREE), SUM_OF_THREE),
        (ALONE + bytes(32), NOTHING),
    ],
)
def test_sums_of_multiples(data: bytes, expected: bytes) -> None:
    assert g1_multiexp(split(data, 96)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", True), (A1 + A2 + B1 + B2, True), (A1 + A2 + A1 + B2, False), (bytes(192), True), (A1 + bytes(128), True)],
)
def test_pairings(data: bytes, expected: bool) -> None:  # noqa: FBT001 - what is expected
    assert pairing_check(split(data, 192)) is expected


@given(st.integers(0, R - 1), st.integers(0, R - 1))
@settings(max_examples=10)
def test_multiples_add_up_and_end_at_the_order(one: int, other: int) -> None:
    def times(factor: int) -> bytes:
        return g1_multiexp([ALONE + factor.to_bytes(32, "little")])

    assert g1_sum([b"\0" + times(one), b"\0" + times(other)]) == times((one + other) % R)
    assert g1_sum([b"\0" + times(R - 1), b"\0" + ALONE]) == NOTHING


def test_a_pairing_is_linear_in_its_first_point() -> None:
    """e(2a, q) · e(-a, q) · e(-a, q) = 1."""
    twice = g1_multiexp([A1 + (2).to_bytes(32, "little")])
    negative = g1_multiexp([A1 + (R - 1).to_bytes(32, "little")])
    assert pairing_check([twice + A2, negative + A2, negative + A2])


NOT_IN_G1 = le("111 222")
NOT_IN_G2 = bytes(64) + le("0 0 0 111")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("alt_bn128_g1_sum", b"\x5c", "slice of size 1 cannot be precisely split into chunks of size 65"),
        ("alt_bn128_g1_sum", b"\0" + NOT_IN_G1, "invalid g1"),
        ("alt_bn128_g1_sum", b"\x5c" + ALONE, "invalid bool"),
        ("alt_bn128_g1_sum", b"\0" + P.to_bytes(32, "little") + bytes(32), "invalid fq"),
        ("alt_bn128_g1_multiexp", b"XXXX", "slice of size 4 cannot be precisely split into chunks of size 96"),
        ("alt_bn128_g1_multiexp", FIRST + b"\xff" * 32, "invalid fr"),
        ("alt_bn128_pairing_check", b"XXXX", "slice of size 4 cannot be precisely split into chunks of size 192"),
        ("alt_bn128_pairing_check", NOT_IN_G2, "invalid g2"),
    ],
)
def test_what_is_no_point_stops_the_contract(name: str, data: bytes, said: str) -> None:
    contract = WatContract()
    registers = () if name == "alt_bn128_pairing_check" else (0,)
    called = contract.host(name, *contract.put(data), *registers)
    outcome = call(called if registers else f"(drop {called})", contract=contract)
    assert outcome.panic == f"AltBn128 invalid input: {said}"


def test_contracts_compute_and_pay_for_each_element() -> None:
    contract = WatContract()
    data = b"".join(b"\0" + point for point in THREE)
    outcome = call(
        contract.host("alt_bn128_g1_sum", *contract.put(data), 0), return_register(contract), contract=contract
    )
    assert outcome.value == SUM_OF_THREE
    contract = WatContract()
    checked = contract.host("alt_bn128_pairing_check", *contract.put(A1 + A2 + B1 + B2))
    store = f"(i64.store (i32.const 0) {checked})"
    outcome = call(store, contract.host("value_return", 8, 0), contract=contract)
    assert int.from_bytes(outcome.value, "little") == 1
    costs = RuntimeConfig().ext_costs
    assert outcome.final.gas_burnt > costs.alt_bn128_pairing_check_base + 2 * costs.alt_bn128_pairing_check_element


def test_a_point_outside_the_subgroup_is_none() -> None:
    with pytest.raises(AltBn128InvalidInput, match="invalid g2"):
        pairing_check([A1 + A2[:96] + B2[96:]])
