"""`near-train`: from records to a promoted specialist, step by step."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import BaseModel

from contracts.folders import close_folder
from contracts.knowledge.inert import printable
from training.config import Settings, load_settings
from training.errors import ProviderError, TrainingError

if TYPE_CHECKING:
    from training.jobs.job import Run
    from training.jobs.provider import Provider

USAGE, FAILED, UNREACHABLE = 2, 4, 6

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
dataset_app = typer.Typer(no_args_is_help=True, help="Data sets made from records.")
app.add_typer(dataset_app, name="dataset")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Configuration file (default: ./agent.toml).")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Data folder of the daemon.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable answer on stdout.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Run id (default: the newest run).")]


@dataset_app.command("build")
def dataset_build(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:
    """Make training and held-out lines from the executed requests in the records."""
    from training.data import dataset

    with _exit_codes():
        settings = _settings(config, data_dir)
        training = settings.training
        place, manifest = dataset.build(
            settings.database, settings.folder, held_out_percent=training.held_out_percent, seed=training.seed
        )
        lines = {entry.name: entry.lines for entry in manifest.files}
        left_out = ", ".join(f"{reason} {count}" for reason, count in manifest.left_out.items()) or "nothing"
        text = (
            f"{place}\n{lines[dataset.TRAIN]} training lines, {lines[dataset.HELD_OUT]} held out, from "
            f"{manifest.records} records; left out: {left_out}"
        )
        _print(as_json, {"path": str(place), **_plain(manifest)}, text)


@app.command()
def estimate(
    dataset_dir: Annotated[Path | None, typer.Option("--dataset", help="Data set (default: the newest).")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Base model (default: [training] model).")] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count the tokens that a run would train on, and the price where one is configured."""
    with _exit_codes():
        settings = _with_model(_settings(config, data_dir), model)
        place = _dataset(settings, dataset_dir)
        facts, text = _estimate(settings, place)
        _print(as_json, facts, text)


@app.command()
def start(
    dataset_dir: Annotated[Path | None, typer.Option("--dataset", help="Data set (default: the newest).")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Base model (default: [training] model).")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Go on with this run instead of a new one.")] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the lines, show the estimate, upload them and create the fine-tuning job."""
    from training.jobs import job

    with _exit_codes():
        settings = _with_model(_settings(config, data_dir), model)
        run = job.load(settings, run_id) if run_id else None
        place = settings.folder / "datasets" / run.dataset if run else _dataset(settings, dataset_dir)
        facts, text = _estimate(settings, place)
        run = asyncio.run(_submit(settings, run, place, "" if as_json else text))
        _print(as_json, {**_plain(run), "estimate": facts}, f"{run.run_id}: job {run.job_id} is {run.status}")


@app.command()
def status(
    run_id: RunOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for the end, printing events as they come.")] = False,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where a run stands."""
    from training.jobs import job

    with _exit_codes():
        settings = _settings(config, data_dir)
        show = (_show_progress if as_json else _show) if follow else None
        run = asyncio.run(_look(settings, job.load(settings, run_id), show))
        ending = f", model {run.fine_tuned_model}" if run.fine_tuned_model else f": {run.error}" if run.error else ""
        _print(as_json, _plain(run), f"{run.run_id}: job {run.job_id} is {run.status}{ending}")
        if run.status in {"failed", "cancelled"}:
            raise typer.Exit(FAILED)


@app.command()
def evaluate(
    run_id: RunOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Judge this model instead of the run's own.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Where it is served (default: the run's).")] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the candidate for plans on the held-out lines and count the exact ones."""
    from training.data import dataset, formats
    from training.evaluation import report as reports
    from training.evaluation.run import Candidate
    from training.evaluation.run import evaluate as judge
    from training.jobs import job

    with _exit_codes():
        settings = _settings(config, data_dir)
        run = job.load(settings, run_id)
        name = model or run.fine_tuned_model
        if not name:
            raise ProviderError(
                "not_succeeded", f"{run.run_id} is {run.status} and has no model yet; or name one: --model"
            )
        place = settings.folder / "datasets" / run.dataset
        dataset.load_manifest(place)
        lines = formats.check_lines((place / dataset.HELD_OUT).read_bytes(), dataset.HELD_OUT)
        candidate = Candidate(
            name, base_url or run.base_url, settings.training.api_key_env if settings.api_key else None
        )
        limit = settings.training.plan_timeout_s
        report = judge(
            candidate, lines, run_id=run.run_id, dataset=run.dataset, environ=dict(os.environ), timeout_s=limit
        )
        if model is None or model == run.fine_tuned_model:
            reports.save_report(job.run_folder(settings, run.run_id), report)
        text = (
            f"{name}: {report.exact} of {report.lines} plans exact ({report.exact_share:.0%}); answers: {report.kinds}"
        )
        _print(as_json, _plain(report), text)


@app.command()
def promote(
    run_id: RunOption = None, config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False
) -> None:
    """Let a run's model serve as the specialist."""
    from training.jobs import job
    from training.promotion import registry

    with _exit_codes():
        settings = _settings(config, data_dir)
        specialist = registry.promote(settings, job.load(settings, run_id), time.time)
        _print(as_json, _plain(specialist), f"{specialist.model} ({specialist.run_id}) serves as the specialist")


async def _submit(settings: Settings, run: "Run | None", place: Path, estimated: str) -> "Run":
    from training.jobs import job
    from training.jobs.provider import open_provider

    async with open_provider(settings) as provider:
        run = run or job.prepare(settings, place, time.time)
        if estimated:
            _show(estimated)
        try:
            return await job.submit(settings, run, provider)
        except ProviderError as error:
            raise ProviderError(
                error.code, f"{error.message} (run {run.run_id}: near-train start --run {run.run_id})"
            ) from error


async def _look(settings: Settings, run: "Run", show: Callable[[str], None] | None) -> "Run":
    """The run as its provider knows it now; with `show`, at its end."""
    from training.jobs import job
    from training.jobs.provider import open_provider

    async with open_provider(settings) as provider:
        run = await job.refresh(settings, run, provider)
        return run if show is None else await _follow(settings, run, provider, show)


async def _follow(settings: Settings, run: "Run", provider: "Provider", show: Callable[[str], None]) -> "Run":
    from training.jobs import job

    seen: set[str] = set()
    deadline = time.monotonic() + settings.training.follow_timeout_s
    while True:
        for event in await provider.events(run.job_id or ""):
            if event.id not in seen:
                seen.add(event.id)
                at = time.strftime("%H:%M:%S", time.gmtime(event.created_at))
                show(f"{at} {event.level or 'info'} {event.message or ''}")
        if run.status in job.ENDED:
            return run
        if time.monotonic() > deadline:
            message = f"{run.run_id} is still {run.status}; follow it again with: near-train status --follow"
            raise ProviderError("no_answer", message)
        await asyncio.sleep(settings.training.poll_s)
        run = await job.refresh(settings, run, provider)


def _estimate(settings: Settings, place: Path) -> tuple[dict[str, object], str]:
    from training.jobs import cost, job

    training = settings.training
    lines = job.checked_lines(settings, place)
    found = cost.estimate(lines, training.model or "", training.n_epochs, training.price_per_million_tokens)
    price = (
        "no price is configured ([training] price_per_million_tokens)"
        if found.price is None
        else f"about {found.price:.2f}"
    )
    text = (
        f"{found.lines} lines, {found.tokens} tokens x {found.epochs} epochs = {found.trained_tokens} trained tokens "
        f"({found.how}); {price}"
    )
    facts: dict[str, object] = {
        "lines": found.lines,
        "tokens": found.tokens,
        "epochs": found.epochs,
        "trained_tokens": found.trained_tokens,
        "how": found.how,
        "price": found.price,
    }
    return facts, text


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    ranks = Path(sys.prefix, "share", "near-agent", "tiktoken")
    if ranks.is_dir():
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(ranks))
    settings = load_settings(config, data_dir, os.environ)
    if settings.folder.is_dir():
        close_folder(settings.folder)  # earlier versions made it, and the data sets in it, readable by everybody
    return settings


def _with_model(settings: Settings, model: str | None) -> Settings:
    if model is None:
        return settings
    return settings.model_copy(update={"training": settings.training.model_copy(update={"model": model})})


def _dataset(settings: Settings, named: Path | None) -> Path:
    from training.data import dataset

    return named or dataset.latest(settings.folder)


def _plain(value: BaseModel) -> dict[str, object]:
    return value.model_dump(mode="json")


def _print(as_json: bool, facts: Mapping[str, object], text: str) -> None:
    _show(json.dumps(facts) if as_json else text)


def _show(text: str) -> None:
    print(printable(text), flush=True)


def _show_progress(text: str) -> None:
    """Beside a machine-readable answer on standard output."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def _exit_codes() -> Generator[None]:
    try:
        yield
    except ProviderError as error:
        _fail(error, UNREACHABLE if error.code == "no_answer" else FAILED)
    except TrainingError as error:
        _fail(error, USAGE)
    except OSError as error:
        _show_progress(f"near-train: {error}; what was written before stands, nothing is half written [disk]")
        raise typer.Exit(FAILED) from error


def _fail(error: TrainingError, code: int) -> NoReturn:
    _show_progress(f"near-train: {error.message} [{error.code}]")
    raise typer.Exit(code)


def main() -> None:
    """The entry point of `near-train`."""
    app()


if __name__ == "__main__":
    main()
