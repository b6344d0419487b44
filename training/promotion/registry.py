"""Which specialist serves: `DATA_DIR/specialist.json`, replaced atomically, and the history of what it was.

    {"model", "base_url", "run_id", "promoted_at"}

The daemon of the folder sees a change within two seconds.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from contracts.json_lines import json_line
from contracts.private_files import append_private, write_private
from training.config import Settings
from training.errors import GateError
from training.evaluation.report import load_report
from training.jobs.job import Run, run_folder

SPECIALIST = "specialist.json"


class Specialist(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    base_url: str
    run_id: str
    promoted_at: str
    """ISO 8601, UTC."""


def promote(settings: Settings, run: Run, clock: Callable[[], float]) -> Specialist:
    """Make a run's model the specialist. GateError: `not_succeeded`, `not_evaluated`, `worthless` (no exact plan at all)."""
    if run.status != "succeeded" or not run.fine_tuned_model:
        raise GateError(
            "not_succeeded", f"{run.run_id} is {run.status} and has no model to serve; see: near-train status --follow"
        )
    report = load_report(run_folder(settings, run.run_id))
    if report.model != run.fine_tuned_model:
        raise GateError(
            "not_evaluated", f"the report of {run.run_id} judges {report.model}, not {run.fine_tuned_model}"
        )
    if report.exact == 0:
        raise GateError("worthless", f"{run.fine_tuned_model} had none of {report.lines} held-out plans right")
    now = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
    specialist = Specialist(model=run.fine_tuned_model, base_url=run.base_url, run_id=run.run_id, promoted_at=now)
    _remember(settings.folder, specialist)
    write_private(settings.data_dir / SPECIALIST, specialist.model_dump_json(indent=1) + "\n")
    return specialist


def serving(data_dir: Path) -> Specialist | None:
    """The specialist that serves, None where there is none."""
    path = data_dir / SPECIALIST
    return Specialist.model_validate_json(path.read_bytes()) if path.is_file() else None


def _remember(folder: Path, specialist: Specialist) -> None:
    append_private(folder / "promotions.jsonl", json_line(specialist.model_dump()))
