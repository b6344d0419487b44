"""The arithmetic of the tables."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Figure, cpu_seconds, percentile, rss_mb, shown


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_covers_its_part(values: list[float], part: float) -> None:
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values)


def test_percentiles_of_a_hundred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, part) for part in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_budget_holds_from_its_side() -> None:
    assert Figure("time", 2, "ms", 4).holds
    assert not Figure("time", 5, "ms", 4).holds
    assert Figure("rate", 400, "/s", 300, "at least").holds
    assert not Figure("rate", 200, "/s", 300, "at least").holds
    assert Figure("told", 1e9, "ms").holds
    assert Figure("time", 2, "ms", 4).ratio == 0.5


def test_digits_that_matter() -> None:
    assert [shown(value) for value in (1234.5, 12.34, 1.234, 0.1234)] == ["1234", "12.3", "1.23", "0.123"]


def test_a_process_has_memory_and_time() -> None:
    assert rss_mb(os.getpid()) > 10
    assert cpu_seconds(os.getpid()) > 0
