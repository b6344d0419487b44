"""The options that every command has, and the configuration read once from file, environment and command line."""

import os
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from agent.commands.exits import FAILED, UNREACHABLE, USAGE, CommandError

if TYPE_CHECKING:
    from agent.config import Config

ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="Configuration file [default: ./agent.toml where it exists]")
]
DataDirOption: TypeAlias = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder [default: ./.near-agent]")
]
MODEL: Final = "near-agent"
ModelOption: TypeAlias = Annotated[
    str, typer.Option("--model", help="near-agent, near-agent-standard or near-agent-specialist")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Machine-readable answers on stdout")]

_DEFAULT_DATA_DIR: Final = ".near-agent"
_DATA_DIR_VARIABLE: Final = "NEAR_AGENT_DAEMON__DATA_DIR"
_CONFIG_VARIABLE: Final = "NEAR_AGENT_CONFIG"
_PREFIX: Final = "NEAR_AGENT_"
_PLAIN_VARIABLES: Final = frozenset(
    {
        _CONFIG_VARIABLE,
        _DATA_DIR_VARIABLE,
        "NEAR_AGENT_NETWORK",
        "NEAR_AGENT_ACCOUNT_ID",
        "NEAR_AGENT_DAEMON__LISTEN",
        "NEAR_AGENT_LOCALNET__LISTEN",
    }
)
"""Variables known without the configuration's schema, whose import costs more than all else that `ask` does."""


def read_config(config: Path | None, data_dir: Path | None) -> "Config":
    """The whole configuration, checked. CommandError with every problem in it.

    What is opened by it logs: from here on to standard error, without secrets, and of commands no more than errors.
    """
    from agent.config import load_config
    from agent.telemetry import set_up_logging

    set_up_logging("error")
    with domain_errors():
        return load_config(config, os.environ, {"daemon.data_dir": data_dir})


def find_data_dir(config: Path | None, data_dir: Path | None) -> Path:
    """Where the data folder is, quickly; anything unusual goes through the full configuration and its checks."""
    if all(name in _PLAIN_VARIABLES for name in os.environ if name.startswith(_PREFIX)):
        found = _plain_data_dir(config, data_dir, os.environ)
        if found is not None:
            return found
    return read_config(config, data_dir).data_dir


def wants_colours() -> bool:
    """Whether a terminal may be written to in colours: NO_COLOR is not set, or empty (no-color.org)."""
    return not os.environ.get("NO_COLOR")


@contextmanager
def domain_errors() -> Generator[None]:
    """The packages' errors as this command's end."""
    from agent.data_folder import FolderInUse
    from agent.errors import AgentError, ConfigError, DaemonError, RequestError
    from contracts.errors import ChainError, ContractsError, InvalidInput, RpcError, SigningError

    try:
        yield
    except FolderInUse as error:
        raise CommandError(str(error), USAGE, "already_running") from None
    except (AgentError, ContractsError) as error:
        usage = isinstance(error, ConfigError | InvalidInput | DaemonError | RequestError | ChainError | SigningError)
        exit_code = USAGE if usage else UNREACHABLE if isinstance(error, RpcError) else FAILED
        todo = "; near-agent doctor tries each address and says what to do" if exit_code == UNREACHABLE else ""
        raise CommandError(f"{error.message}{todo}", exit_code, error.code) from None


def _plain_data_dir(config: Path | None, data_dir: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = config or (Path(environ[_CONFIG_VARIABLE]) if environ.get(_CONFIG_VARIABLE) else None)
    path = named or Path("agent.toml")
    configured = _DEFAULT_DATA_DIR
    if named or path.is_file():
        try:
            configured = tomllib.loads(path.read_text(encoding="utf-8")).get("daemon", {}).get("data_dir", configured)
            return Path(data_dir or environ.get(_DATA_DIR_VARIABLE) or configured).expanduser()
        except (OSError, ValueError, AttributeError, TypeError):
            return None
    return Path(data_dir or environ.get(_DATA_DIR_VARIABLE) or configured).expanduser()
