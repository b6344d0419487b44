"""What an evaluation found, as a file and as a few lines for people."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from contracts.private_files import write_private
from training.errors import GateError
from training.evaluation.grading import Verdict

REPORT = "report.json"


class ActionScore(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: int
    exact: int


class Miss(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    expected: str
    got: str


class Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    model: str
    base_url: str
    dataset: str
    lines: int
    exact: int
    actions_right: int
    kinds: dict[str, int]
    """How the candidate answered -> lines."""
    actions: dict[str, ActionScore]
    """By the first expected action."""
    misses: tuple[Miss, ...]
    """The first twenty."""

    @property
    def exact_share(self) -> float:
        return self.exact / self.lines if self.lines else 0.0


def by_action(actions: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, ActionScore]:
    """Scores per first expected action."""
    lines, exact = Counter(actions), Counter(a for a, verdict in zip(actions, verdicts, strict=True) if verdict.exact)
    return {action: ActionScore(lines=lines[action], exact=exact[action]) for action in sorted(lines)}


def save_report(folder: Path, report: Report) -> Path:
    path = folder / REPORT
    write_private(path, report.model_dump_json(indent=1) + "\n")
    return path


def load_report(folder: Path) -> Report:
    """The report of a run; GateError `not_evaluated` where there is none."""
    path = folder / REPORT
    if not path.is_file():
        raise GateError(
            "not_evaluated", f"{folder.name} was not evaluated; run: near-train evaluate --run {folder.name}"
        )
    return Report.model_validate_json(path.read_bytes())
