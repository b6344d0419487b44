"""OpenAI's files and fine-tuning routes at any base URL, through the openai client.

The client repeats a timed-out request by itself, and a create that is repeated can start a second paid job. So creates
go out once; where the answer is lost, the caller looks the work up by its run id before it sends again.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import openai
from openai.pagination import SyncCursorPage
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent, SupervisedHyperparametersParam

from training.config import Settings
from training.errors import ConfigError, ProviderError

ItemT = TypeVar("ItemT", FileObject, FineTuningJob)
MAX_PAGES = 50
RUN_KEY = "near_agent_run"
"""Metadata key that carries our run id."""


@dataclass(frozen=True)
class JobRequest:
    """What `POST /fine_tuning/jobs` is asked for."""

    run_id: str
    model: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    n_epochs: int | Literal["auto"]
    batch_size: int | Literal["auto"]
    learning_rate_multiplier: float | Literal["auto"]


class Provider:
    """One fine-tuning server. Errors: ProviderError with the server's own words; `code` `no_answer` where it was lost."""

    def __init__(self, settings: Settings) -> None:
        training = settings.training
        if training.api_key_env and settings.api_key is None:
            raise ConfigError(
                "missing_key",
                f"the variable {training.api_key_env} is not set; put the provider's key there, or set [training] api_key_env",
            )
        self._client = _client(training.base_url, settings.api_key or "none", training.request_timeout_s)

    def upload(self, name: str, content: bytes) -> str:
        """The id of an uploaded training file; a file of that name that is already there is used instead."""
        known = self.find_file(name)
        if known:
            return known
        with _translated("uploading " + name):
            uploaded = self._client.files.create(file=(name, content), purpose="fine-tune")
        return _required(uploaded.id, "a file id")

    def find_file(self, name: str) -> str | None:
        """The id of the uploaded file with that name, None where there is none."""
        with _translated("listing files"):
            return next(
                (file.id for file in _pages(self._client.files.list(purpose="fine-tune")) if file.filename == name),
                None,
            )

    def create_job(self, request: JobRequest) -> FineTuningJob:
        """The run's job; one that exists already for this run id is returned instead of a second."""
        known = self.find_job(request.run_id)
        if known is not None:
            return known
        hyperparameters: SupervisedHyperparametersParam = {
            "n_epochs": request.n_epochs,
            "batch_size": request.batch_size,
            "learning_rate_multiplier": request.learning_rate_multiplier,
        }
        with _translated("creating the job"):
            job = self._client.fine_tuning.jobs.create(
                model=request.model,
                training_file=request.training_file,
                validation_file=request.validation_file or openai.omit,
                suffix=request.suffix or openai.omit,
                seed=request.seed,
                method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
                metadata={RUN_KEY: request.run_id},
            )
        _required(job.id, "a job id")
        return job

    def find_job(self, run_id: str) -> FineTuningJob | None:
        with _translated("listing jobs"):
            jobs = _pages(self._client.fine_tuning.jobs.list(metadata={RUN_KEY: run_id}))
            return next((job for job in jobs if (job.metadata or {}).get(RUN_KEY) == run_id), None)

    def job(self, job_id: str) -> FineTuningJob:
        with _translated(f"reading job {job_id}"):
            job = self._client.with_options(max_retries=2).fine_tuning.jobs.retrieve(job_id)
        _required(job.status, "a job status")
        return job

    def events(self, job_id: str) -> list[FineTuningJobEvent]:
        """A job's events, oldest first."""
        with _translated(f"reading events of {job_id}"):
            page = self._client.with_options(max_retries=2).fine_tuning.jobs.list_events(job_id, limit=100)
            return sorted(page.data or [], key=lambda event: (event.created_at, event.id))


def _pages(page: SyncCursorPage[ItemT]) -> Iterator[ItemT]:
    """Items over pages, a finite number of them: a server that always says `has_more` must not hold us."""
    for _ in range(MAX_PAGES):
        yield from page.data
        if not page.has_next_page():
            return
        page = page.get_next_page()


def _client(base_url: str, key: str, timeout_s: float) -> openai.OpenAI:
    # Organization and project are read from the environment and would go to any base URL: sent to nobody.
    client = openai.OpenAI(base_url=base_url, api_key=key, timeout=timeout_s, max_retries=0)
    client.organization = client.project = None
    return client


@contextmanager
def _translated(doing: str) -> Generator[None]:
    try:
        yield
    except openai.APIStatusError as error:
        code = str(error.code or f"http_{error.status_code}")
        raise ProviderError(code, f"{doing}: the provider answered {error.status_code}: {_words(error)}") from error
    except openai.APIConnectionError as error:
        raise ProviderError(
            "no_answer", f"{doing}: no answer from the provider ({error}); run the command again"
        ) from error
    except openai.OpenAIError as error:
        raise ProviderError("bad_answer", f"{doing}: {error}") from error


def _words(error: openai.APIError) -> str:
    body = error.body
    if isinstance(body, dict):
        return str(cast("dict[str, object]", body).get("message") or error)[:500]
    return str(body or error)[:500]


def _required(value: str | None, what: str) -> str:
    if not value:
        raise ProviderError(
            "bad_answer", f"the provider's answer lacks {what}; is base_url an OpenAI-compatible server?"
        )
    return value
