"""The policy's file: which one counts, and what it says."""

from pathlib import Path
from typing import Final

from agent.errors import ConfigError
from contracts.catalogue.index import CATALOGUE
from contracts.checks.methods import OTHER_ACTIONS
from contracts.checks.policy_file import Policy, built_in_policy, parse_policy
from contracts.errors import InvalidInput
from contracts.knowledge.registry import Registry

POLICY_FILE: Final = "policy.toml"
"""In the data folder, where the configuration names none."""
MAX_BYTES: Final = 1_048_576


def load_policy(named: Path | None, data_dir: Path, registry: Registry) -> Policy:
    """The policy that the configuration names, else the data folder's, else the built-in one.

    ConfigError `policy_missing` for a named file that is not there, `policy_invalid` with all that is wrong in it.
    """
    path = named or data_dir / POLICY_FILE
    if named is None and not path.exists():
        return built_in_policy()
    return read_policy(path, registry)


def read_policy(path: Path, registry: Registry) -> Policy:
    """The policy in a file. ConfigError as `load_policy`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ConfigError("policy_invalid", f"{path} is longer than {MAX_BYTES} bytes; a policy is a few lines")
        return parse_policy(text.decode(), registry, (*CATALOGUE, *OTHER_ACTIONS))
    except OSError as error:
        raise ConfigError(
            "policy_missing", f"{path} cannot be read ({error.strerror}); write it, or correct [policy] file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("policy_invalid", f"{path} is not UTF-8 text (byte {error.start})") from error
    except InvalidInput as error:
        raise ConfigError("policy_invalid", f"{path}: {error.message}", details=error.details) from error
