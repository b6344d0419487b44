"""Training's part of `agent.toml`: the `[training]` section, and where the data folder is.

Read once, in the command line's entry. The section belongs to training alone; the daemon only knows that it exists.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.data_folder import DATABASE_NAME
from training.errors import ConfigError

_PREFIX = "NEAR_AGENT_TRAINING__"


class TrainingConfig(BaseModel):
    """What a fine-tuning run needs. Every key is also `NEAR_AGENT_TRAINING__<KEY>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = "https://api.openai.com/v1"
    """Any server that speaks OpenAI's files and fine-tuning routes."""
    api_key_env: str | None = "OPENAI_API_KEY"
    """The name of the variable that holds the key, never the key. None for a server that wants none."""
    model: str | None = None
    """The base model to tune."""
    suffix: str | None = Field(default=None, max_length=64)
    n_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate_multiplier: float | Literal["auto"] = "auto"
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    held_out_percent: int = Field(default=20, ge=1, le=80)
    min_examples: int = Field(default=10, ge=1)
    """Lines a training file must have; providers refuse fewer than 10."""
    price_per_million_tokens: float | None = Field(default=None, ge=0)
    """For the estimate; prices change, so none is built in."""
    poll_s: float = Field(default=10.0, gt=0)
    request_timeout_s: float = Field(default=60.0, gt=0)
    follow_timeout_s: float = Field(default=6 * 3600.0, gt=0)
    plan_timeout_s: float = Field(default=60.0, gt=0)
    """For one held-out line in an evaluation."""


class Settings(BaseModel):
    """The configuration as training sees it."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    training: TrainingConfig
    api_key: str | None = Field(default=None, repr=False)
    config_file: Path | None = None

    @property
    def folder(self) -> Path:
        """Where data sets, runs and reports lie."""
        return self.data_dir / "training"

    @property
    def database(self) -> Path:
        return self.data_dir / DATABASE_NAME


def load_settings(config: Path | None, data_dir: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from `--config`, else `NEAR_AGENT_CONFIG`, else `./agent.toml`, then the environment, then options.

    ConfigError: `config_missing` for a named file that is not there, `config_invalid` for a key or value that is wrong.
    """
    named = config or (Path(environ["NEAR_AGENT_CONFIG"]) if environ.get("NEAR_AGENT_CONFIG") else None)
    if named is not None and not named.is_file():
        raise ConfigError("config_missing", f"no configuration file at {named}; check --config or NEAR_AGENT_CONFIG")
    path = named or (Path("agent.toml") if Path("agent.toml").is_file() else None)
    document = _read(path) if path else {}
    section = {**document.get("training", {}), **_from_environment(environ)}
    training = _parse(section)
    folder = data_dir or _data_dir(document, environ)
    key = environ.get(training.api_key_env) if training.api_key_env else None
    return Settings(data_dir=folder, training=training, api_key=key or None, config_file=path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("config_invalid", f"{path} is not valid TOML: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(_PREFIX).lower(): value for name, value in environ.items() if name.startswith(_PREFIX)}


def _data_dir(document: dict[str, Any], environ: Mapping[str, str]) -> Path:
    configured = environ.get("NEAR_AGENT_DAEMON__DATA_DIR") or document.get("daemon", {}).get("data_dir")
    return Path(configured or ".near-agent").expanduser()


def _parse(section: dict[str, Any]) -> TrainingConfig:
    known = list(TrainingConfig.model_fields)
    for key in section:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(known)}"
            raise ConfigError("config_invalid", f"[training] has no key {key!r}{hint}")
    name = section.get("api_key_env")
    if isinstance(name, str) and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ConfigError(
            "config_invalid", "[training] api_key_env is the name of a variable such as OPENAI_API_KEY, not the key"
        )
    try:
        return TrainingConfig.model_validate(section)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError("config_invalid", f"[training] {where}: {first['msg']}") from error
