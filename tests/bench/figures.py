"""Figures, their budgets and the tables they are printed in; what a process used, from /proc."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    budget: float | None = None
    """None: told for comparison, without a budget."""
    wanted: Literal["at most", "at least"] = "at most"

    @property
    def ratio(self) -> float | None:
        """Value over budget: below 1 is good for `at most`, above 1 for `at least`."""
        return None if self.budget is None else self.value / self.budget

    @property
    def holds(self) -> bool:
        if self.ratio is None:
            return True
        return self.ratio <= 1 if self.wanted == "at most" else self.ratio >= 1


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    table = Table(title=title, title_justify="left", width=110)
    table.add_column("what")
    for name in ("measured", "budget", "ratio", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in figures:
        budget = "" if figure.budget is None else f"{'<=' if figure.wanted == 'at most' else '>='} {figure.budget:g}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        verdict = "" if figure.ratio is None else ("ok" if figure.holds else "MISSES")
        table.add_row(figure.name, f"{shown(figure.value)} {figure.unit}", budget, ratio, verdict)
    Console(width=110).print(table)


def shown(value: float) -> str:
    """Three digits that matter, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` (0 to 1) of all values do not exceed; ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, children apart."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Resident memory in MB (10**6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"process {pid} has no memory of its own")
