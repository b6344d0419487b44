"""Exact plans: what counts as the same, and what never does."""

import pytest

from training.evaluation.grading import canonical, grade

TRANSFER = [("near_transfer", {"receiver_id": "bob.localnet", "amount": "1.5"})]


@pytest.mark.parametrize(
    ("args", "exact"),
    [
        ({"amount": "1.50", "receiver_id": "Bob.localnet"}, True),
        ({"amount": " 1.5 ", "receiver_id": "bob.localnet", "memo": None}, True),
        ({"amount": "15", "receiver_id": "bob.localnet"}, False),
        ({"amount": "1.5", "receiver_id": "b0b.localnet"}, False),
        ({"amount": 1.5, "receiver_id": "bob.localnet"}, False),
        ({"amount": "1.5"}, False),
        ({"amount": "1.5", "receiver_id": "bob.localnet", "memo": "x"}, False),
    ],
)
def test_the_same_plan_in_another_spelling_is_exact(args: dict[str, object], exact: bool) -> None:  # noqa: FBT001
    verdict = grade(TRANSFER, "plan", [("near_transfer", args)])  # pyright: ignore[reportArgumentType]
    assert verdict.exact is exact
    assert verdict.actions_right


def test_order_number_and_kind_count() -> None:
    two = [*TRANSFER, ("near_balance", {"account_id": "@me"})]
    assert grade(two, "plan", two).exact
    assert not grade(two, "plan", list(reversed(two))).actions_right
    assert not grade(TRANSFER, "plan", two).exact
    assert not grade(TRANSFER, "clarify", TRANSFER).exact


def test_amounts_compare_as_numbers_and_odd_ones_as_text() -> None:
    assert canonical({"amount": "0012.500"}) == {"amount": "12.5"}
    assert canonical({"amount": "1e3"}) == {"amount": "1e3"}
    assert canonical({"amount": "all"}) == {"amount": "all"}
    assert canonical({"amount": "9" * 60}) == {"amount": "9" * 60}
    assert canonical({"memo": " Hi "}) == {"memo": "Hi"}
