"""A fine-tuning run: its file on disk, and the steps that resume where they stopped.

    DATA_DIR/training/runs/RUN_ID/{run.json, report.json}

Each step is written down before and after it goes out, so a run that was killed anywhere goes on with
`near-train start --run RUN_ID` and never starts a second job.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.private_files import write_private
from training.config import Settings
from training.data import dataset
from training.data.formats import Line, check_lines
from training.errors import ConfigError, DatasetError, ProviderError
from training.jobs.answers import Status
from training.jobs.provider import JobRequest, Provider

ENDED = ("succeeded", "failed", "cancelled")
"""Every other status, known or not, counts as still alive."""


class Run(BaseModel):
    """What is known of one run; written after every step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    dataset: str
    base_url: str
    model: str
    training_file: str | None = None
    validation_file: str | None = None
    job_id: str | None = None
    status: Status = "new"
    """The provider's word; `unknown` if it has none."""
    fine_tuned_model: str | None = None
    error: str | None = None


def new_run_id(clock: Callable[[], float]) -> str:
    """`run-` with the date and 32 random bits."""
    return f"run-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(clock()))}-{secrets.token_hex(4)}"


def run_folder(settings: Settings, run_id: str) -> Path:
    return settings.folder / "runs" / run_id


def save(settings: Settings, run: Run) -> Run:
    folder = run_folder(settings, run.run_id)
    write_private(folder / "run.json", run.model_dump_json(indent=1) + "\n")
    return run


def load(settings: Settings, run_id: str | None) -> Run:
    """A run by its id, or the newest one; ConfigError `no_such_run`."""
    if run_id is None:
        found = sorted((settings.folder / "runs").glob("*/run.json"), key=lambda path: path.parent.name)
        if not found:
            raise ConfigError("no_such_run", "no run yet; begin one with: near-train start")
        return _read(found[-1])
    path = run_folder(settings, run_id) / "run.json"
    if Path(run_id).name != run_id or not path.is_file():
        raise ConfigError("no_such_run", f"no run {run_id!r} in {settings.folder / 'runs'}")
    return _read(path)


def _read(path: Path) -> Run:
    try:
        return Run.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "file"
        raise ConfigError(
            "run_unreadable", f"{path} cannot be read ({field}: {first['msg']}); name another run: --run ID"
        ) from None


def checked_lines(settings: Settings, place: Path) -> list[Line]:
    """The training lines of a data set, checked as a provider would; DatasetError names what is wrong."""
    dataset.load_manifest(place)
    lines = check_lines((place / dataset.TRAIN).read_bytes(), dataset.TRAIN)
    check_lines((place / dataset.HELD_OUT).read_bytes(), dataset.HELD_OUT)
    minimum = settings.training.min_examples
    if len(lines) < minimum:
        raise DatasetError(
            "too_few_examples",
            f"{place / dataset.TRAIN} has {len(lines)} examples, at least {minimum} are needed; collect more executed requests",
        )
    return lines


def prepare(settings: Settings, place: Path, clock: Callable[[], float]) -> Run:
    """A new run on disk for a data set; ConfigError `no_model` without a base model."""
    model = settings.training.model
    if not model:
        raise ConfigError("no_model", "[training] model is not set; name the base model to tune, or pass --model")
    run = Run(run_id=new_run_id(clock), dataset=place.name, base_url=settings.training.base_url, model=model)
    return save(settings, run)


async def submit(settings: Settings, run: Run, provider: Provider) -> Run:
    """Upload what is not uploaded and create the job that is not created; safe to call again after any interruption."""
    place = settings.folder / "datasets" / run.dataset
    if run.training_file is None:
        uploaded = await provider.upload(f"{run.run_id}-train.jsonl", (place / dataset.TRAIN).read_bytes())
        run = save(settings, run.model_copy(update={"training_file": uploaded}))
    held_out = (place / dataset.HELD_OUT).read_bytes()
    if run.validation_file is None and held_out:
        uploaded = await provider.upload(f"{run.run_id}-held-out.jsonl", held_out)
        run = save(settings, run.model_copy(update={"validation_file": uploaded}))
    if run.job_id is None:
        training = settings.training
        request = JobRequest(
            run_id=run.run_id,
            model=run.model,
            training_file=run.training_file or "",
            validation_file=run.validation_file,
            suffix=training.suffix,
            seed=training.seed,
            n_epochs=training.n_epochs,
            batch_size=training.batch_size,
            learning_rate_multiplier=training.learning_rate_multiplier,
        )
        job = await provider.create_job(request)
        run = save(settings, run.model_copy(update={"job_id": job.id, "status": job.status}))
    return run


async def refresh(settings: Settings, run: Run, provider: Provider) -> Run:
    """The run with its job's present status; ProviderError `not_submitted` where no job was created yet."""
    if run.job_id is None:
        raise ProviderError(
            "not_submitted", f"{run.run_id} has no job yet; go on with: near-train start --run {run.run_id}"
        )
    job = await provider.job(run.job_id)
    seen = {"status": job.status, "fine_tuned_model": job.fine_tuned_model, "error": job.error}
    return save(settings, run.model_copy(update=seen))
