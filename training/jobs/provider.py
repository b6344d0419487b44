"""OpenAI's files and fine-tuning routes at any base URL, through the openai package on a guarded session.

A create that is repeated can start a second paid job. So creates go out once; where the answer is lost, the caller looks the
work up by its run id before it sends again.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from pydantic import JsonValue

from contracts.errors import ApiError
from contracts.openai_client import OpenAIClient
from contracts.outgoing import Guard, open_session
from contracts.types import JsonObject
from training.config import Settings
from training.errors import ConfigError, ProviderError
from training.jobs.answers import Event, Job, Keyed, Page, Uploaded, parse

MAX_PAGES: Final = 50
PAGE_ITEMS: Final = 100
RUN_KEY: Final = "near_agent_run"
"""Metadata key that carries our run id."""
CONNECT_TIMEOUT_S: Final = 10.0
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Of an answer. A full page of jobs has about 300 KB."""
_READ_RETRIES: Final = 2


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
    """One fine-tuning server. Errors: ProviderError with the server's own words, inert; `code` `no_answer` if it was lost."""

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    async def upload(self, name: str, content: bytes) -> str:
        """The id of an uploaded training file; a file of that name that is already there is used instead."""
        known = await self.find_file(name)
        if known:
            return known
        with _translated(doing := f"uploading {name}"):
            answer = await self._client.upload("/files", {"purpose": "fine-tune"}, name, content)
        return parse(Uploaded, answer, doing).id

    async def find_file(self, name: str) -> str | None:
        """The id of the uploaded file with that name, None if there is none."""
        doing = "listing files"
        async for item in self._items("/files", {"purpose": "fine-tune"}, doing):
            file = parse(Uploaded, item, doing)
            if file.filename == name:
                return file.id
        return None

    async def create_job(self, request: JobRequest) -> Job:
        """The run's job; one that exists already for this run id is returned instead of a second."""
        known = await self.find_job(request.run_id)
        if known is not None:
            return known
        hyperparameters: JsonObject = {
            "n_epochs": request.n_epochs,
            "batch_size": request.batch_size,
            "learning_rate_multiplier": request.learning_rate_multiplier,
        }
        body: JsonObject = {
            "model": request.model,
            "training_file": request.training_file,
            "seed": request.seed,
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
            "metadata": {RUN_KEY: request.run_id},
        }
        if request.validation_file:
            body["validation_file"] = request.validation_file
        if request.suffix:
            body["suffix"] = request.suffix
        with _translated(doing := "creating the job"):
            answer = await self._client.post("/fine_tuning/jobs", body)
        return parse(Job, answer, doing)

    async def find_job(self, run_id: str) -> Job | None:
        doing = "listing jobs"
        async for item in self._items("/fine_tuning/jobs", {"metadata": {RUN_KEY: run_id}}, doing):
            job = parse(Job, item, doing)
            if job.metadata.get(RUN_KEY) == run_id:
                return job
        return None

    async def job(self, job_id: str) -> Job:
        with _translated(doing := f"reading job {job_id}"):
            answer = await self._client.get(_job_path(job_id), retries=_READ_RETRIES)
        return parse(Job, answer, doing)

    async def events(self, job_id: str) -> list[Event]:
        """A job's newest events, oldest first."""
        with _translated(doing := f"reading events of {job_id}"):
            answer = await self._client.get(f"{_job_path(job_id)}/events", {"limit": PAGE_ITEMS}, retries=_READ_RETRIES)
        items = (parse(Page, answer, doing).data or [])[:PAGE_ITEMS]
        events = [parse(Event, item, doing) for item in items]
        return sorted(events, key=lambda event: (event.created_at, event.id))

    async def _items(self, path: str, params: JsonObject, doing: str) -> AsyncGenerator[JsonValue]:
        """Items over pages, a finite number of them: a server that always has more must not hold us."""
        after: str | None = None
        for _ in range(MAX_PAGES):
            asked: JsonObject = {"limit": PAGE_ITEMS, **params, **({"after": after} if after else {})}
            with _translated(doing):
                answer = await self._client.get(path, asked)
            page = parse(Page, answer, doing)
            for item in page.data or ():
                yield item
            if page.has_more is False or not page.data:
                return
            last = parse(Keyed, page.data[-1], doing).id
            if last == after:
                return
            after = last


@asynccontextmanager
async def open_provider(settings: Settings, *, max_body_bytes: int = MAX_BODY_BYTES) -> AsyncGenerator[Provider]:
    """The server at `[training] base_url`. ConfigError `missing_key` if the variable of its key is not set."""
    training = settings.training
    if training.api_key_env and settings.api_key is None:
        raise ConfigError(
            "missing_key",
            f"the variable {training.api_key_env} is not set; put the provider's key there, or set [training] api_key_env",
        )
    async with open_session(
        Guard([training.base_url]),
        timeout_s=training.request_timeout_s,
        connect_timeout_s=min(CONNECT_TIMEOUT_S, training.request_timeout_s),
        max_body_bytes=max_body_bytes,
    ) as session:
        yield Provider(OpenAIClient(session, training.base_url, settings.api_key, timeout_s=training.request_timeout_s))


def _job_path(job_id: str) -> str:
    return f"/fine_tuning/jobs/{quote(job_id, safe='')}"


@contextmanager
def _translated(doing: str) -> Generator[None]:
    try:
        yield
    except ApiError as error:
        if error.status is not None:
            message = f"{doing}: the provider answered {error.status}: {error.message}"
            raise ProviderError(error.code, message) from error
        if error.code == "bad_answer":
            raise ProviderError("bad_answer", f"{doing}: {error.message}") from error
        message = f"{doing}: no answer from the provider ({error.message}); run the command again"
        raise ProviderError("no_answer", message) from error
