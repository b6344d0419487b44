"""How a command ends: exit codes (INTERFACE.md, Command line), and errors in a line or two."""

import json
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

from contracts.knowledge.inert import printable

DONE: Final = 0
USAGE: Final = 2
WAITS: Final = 3
FAILED: Final = 4
UNCONFIRMED: Final = 5
UNREACHABLE: Final = 6

_BY_STATUS: Final[Mapping[str, int]] = {
    "answered": DONE,
    "executed": DONE,
    "refused": USAGE,
    "unsupported": USAGE,
    "needs_approval": WAITS,
    "clarify": WAITS,
    "declined": FAILED,
    "failed": FAILED,
    "partially_executed": FAILED,
    "unconfirmed": UNCONFIRMED,
}
_NO_NODE: Final = frozenset({"TRANSPORT", "HTTP_STATUS"})
"""Errors of `contracts.errors.RpcError` that mean that no node answered."""


class CommandError(Exception):
    """Ends a command with a message on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int, code: str = "failed") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code


def exit_code_of(answer: Mapping[str, Any]) -> int:
    """The exit code of an answer's `near_agent` part."""
    if answer["status"] == "failed":
        errors = [outcome["error"] for outcome in answer["outcomes"] if outcome["error"]]
        errors += [answer["error"]] if answer.get("error") else []
        if errors and all(error["code"] in _NO_NODE for error in errors):
            return UNREACHABLE
    return _BY_STATUS[answer["status"]]


@contextmanager
def told(*, as_json: bool) -> Generator[None]:
    """Turn what a command raises into its message and exit code."""
    try:
        yield
    except CommandError as error:
        _end(str(error), error.code, error.exit_code, as_json=as_json)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        _end(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), "os_error", USAGE, as_json=as_json)


def say(text: str = "", *, file: TextIO | None = None) -> None:
    """Print text for people, the only way there is: whatever is in it, it does not steer the terminal."""
    print(printable(text), file=file, flush=True)


def print_json(value: object) -> None:
    """Print one line of JSON in ASCII, in which nothing needs to be written out."""
    print(json.dumps(value), flush=True)


def print_error(message: str) -> None:
    say(f"error: {message}", file=sys.stderr)


def _end(message: str, code: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"error": {"code": code, "message": message}})
    print_error(message)
    raise SystemExit(exit_code)
