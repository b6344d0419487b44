"""Which models serve: the configured ones, and the adapter that `specialist.json` in the data folder names.

The file is written by training's promotion, replaced atomically, and overrides `[models.specialist]`. It is looked at
whenever a request needs a model, so a promotion counts for the next request.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.config import ModelConfig, ModelsConfig
from agent.models.openai_chat import LOOPBACK, OpenAIChat
from agent.models.provider import ModelProvider, Target
from contracts.outgoing import Guard

log = structlog.get_logger()

FILE_NAME: Final = "specialist.json"
DEFAULT_TIMEOUT_S: Final = 60.0


class Promoted(BaseModel):
    """`specialist.json`: which adapter serves, and the training run it came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = Field(min_length=1, max_length=256)
    base_url: str = Field(pattern=r"^https?://[^\s/]+\S*$")
    run_id: str | None = None
    promoted_at: float | str | None = None


class SpecialistFile:
    """Reads the file again only when it was replaced. A file that cannot be read serves nobody, and the log says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._promoted: Promoted | None = None

    def current(self) -> Promoted | None:
        try:
            facts = self._path.stat()
        except OSError:
            self._seen = self._promoted = None
            return None
        version = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
        if version != self._seen:
            self._seen = version
            self._promoted = self._read()
        return self._promoted

    def _read(self) -> Promoted | None:
        try:
            promoted = Promoted.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            log.warning("specialist_unreadable", path=str(self._path), problem=str(error)[:300])
            return None
        log.info("specialist_seen", model=promoted.model, base_url=promoted.base_url, run_id=promoted.run_id)
        return promoted


class Models:
    """The providers of this daemon; one client for each endpoint and model, made at its first use."""

    def __init__(
        self,
        config: ModelsConfig,
        specialist: SpecialistFile,
        *,
        monotonic: Callable[[], float],
        closing: AsyncExitStack,
    ) -> None:
        self._config = config
        self._specialist = specialist
        self._monotonic = monotonic
        self._closing = closing
        self._made: dict[tuple[Target, str, str], OpenAIChat] = {}

    def standard(self) -> ModelProvider | None:
        section = self._config.standard
        return self._provider("standard", section.model, section.base_url) if section else None

    def specialist(self) -> ModelProvider | None:
        promoted = self._specialist.current()
        if promoted:
            return self._provider("specialist", promoted.model, promoted.base_url.rstrip("/"))
        section = self._config.specialist
        return self._provider("specialist", section.model, section.base_url) if section else None

    def _provider(self, target: Target, model: str, base_url: str) -> OpenAIChat:
        made = self._made.get((target, model, base_url))
        if made is None:
            section = self._section_of(target, base_url)
            made = self._made[target, model, base_url] = OpenAIChat(
                target,
                model,
                base_url,
                section.api_key if section else None,
                guard=self._guard(base_url),
                timeout_s=section.timeout_s if section else DEFAULT_TIMEOUT_S,
                monotonic=self._monotonic,
                closing=self._closing,
            )
        return made

    def _guard(self, base_url: str) -> Guard:
        """Addresses in the configuration are named there. One in `specialist.json` may be this machine's, where training
        serves an adapter, and otherwise has to be public.
        """
        named = [section.base_url for section in (self._config.standard, self._config.specialist) if section]
        return Guard([*named, base_url] if urlsplit(base_url).hostname in LOOPBACK else named)

    def _section_of(self, target: Target, base_url: str) -> ModelConfig | None:
        """Whose key and time limit count: a key goes only to the address it was configured for, never to another one."""
        sections = [self._config.standard, self._config.specialist]
        if target == "specialist":
            sections.reverse()
        return next((section for section in sections if section and section.base_url == base_url), None)


@asynccontextmanager
async def open_models(
    config: ModelsConfig, data_dir: Path, *, monotonic: Callable[[], float]
) -> AsyncGenerator[Models]:
    """The models that `config` and DATA_DIR/specialist.json name; their clients are closed at the end."""
    async with AsyncExitStack() as closing:
        yield Models(config, SpecialistFile(data_dir / FILE_NAME), monotonic=monotonic, closing=closing)
