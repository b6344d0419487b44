"""The matrix as a Markdown table: every cell works, failed, or says why the client has none."""

from collections.abc import Iterable, Sequence

from tests.clients.seams import CELLS, Cell, Row


class Matrix:
    """Collects the results of a run."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._found: dict[tuple[str, Cell], str] = {}

    def note(self, row: str, cell: Cell, result: str) -> None:
        self._found[row, cell] = result

    def empty(self) -> list[tuple[str, Cell]]:
        """Return the cells without a result."""
        return [(row.name, cell) for row in self._rows for cell in CELLS if (row.name, cell) not in self._found]

    def markdown(self) -> str:
        """Return the table, with the reasons as notes below it."""
        reasons: list[str] = []

        def mark(row: Row, cell: Cell) -> str:
            if cell not in row.cannot:
                return self._found.get((row.name, cell), "")
            if row.cannot[cell] not in reasons:
                reasons.append(row.cannot[cell])
            return f"no ({reasons.index(row.cannot[cell]) + 1})"

        lines = [_line(["client", *CELLS]), _line(["---"] * (len(CELLS) + 1))]
        lines += [_line([row.name, *(mark(row, cell) for cell in CELLS)]) for row in self._rows]
        notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
        return "\n".join([*lines, "", *notes]).strip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
