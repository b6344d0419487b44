"""Errors of the daemon, one tree.

    AgentError
    ├── ConfigError        the configuration cannot be used: unknown key, bad value, missing file
    ├── StoreError         the database refused: full, locked, damaged, newer than this program, or closed
    ├── ApprovalError      a card or a code cannot be used: too many cards, too many wrong codes
    ├── RequestError       a front end's request is malformed, not allowed, or names what does not exist
    └── DaemonError        the daemon is draining, already running, or not there

Every error has a stable `code`, a `retryable` flag and `details`: facts with names. The message says what happened, to
which id, and what to do next. Errors of calls, chain and signer are `contracts.errors`; HTTP statuses are the front
end's business.
"""

from collections.abc import Mapping

from pydantic import JsonValue


class AgentError(Exception):
    """What this package raises. `str(error)` is the message for people."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        """Seconds after which asking again can help; None where that is not known."""
        self.details: dict[str, JsonValue] = dict(details or {})


class ConfigError(AgentError):
    """`config_invalid` (details: `problems`, one line each) or `config_missing`."""


class StoreError(AgentError):
    """`store_full`, `store_failed`, `store_closed`, `store_newer`, `store_missing` or `card_unreadable`.

    Nothing of the write was stored.
    """


class ApprovalError(AgentError):
    """`too_many_cards` (a fourth pending card) or `too_many_wrong_codes` (pending cards were cancelled)."""


class RequestError(AgentError):
    """What a client sent cannot be served; `param` names the field at fault where there is one."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(code, message, retryable=retryable, retry_after_s=retry_after_s, details=details)
        self.param = param


class DaemonError(AgentError):
    """`draining`, `already_running`, `no_daemon` and the like."""
