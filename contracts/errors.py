"""Errors of the package, one tree.

    ContractsError
    ├── InvalidInput              what a person or a model asked for cannot be built; nothing was sent
    ├── UnsupportedAction         bytes or actions that this version does not handle
    ├── RpcError                  an RPC node's answer or silence; `retryable` says whether asking again can help
    ├── ApiError                  a server with OpenAI's protocol refused, was silent, or answered what cannot be read
    ├── SigningError              no key, wrong key, or a grant that does not cover the bytes
    ├── LedgerConflict            a compare-and-set lost: grant already used, nonce taken, state moved on
    ├── VmError                   a contract trapped, panicked or broke a limit in the virtual machine
    └── ChainError                the embedded chain refuses a transaction or a request

Every error has a stable `code`, a `retryable` flag and `details`: facts with names, never only a sentence. The message
says what happened, to which id, and what to do next. A failed execution on chain is a value (`Outcome`), not an error.
"""

from collections.abc import Mapping

from pydantic import JsonValue


class ContractsError(Exception):
    """What this package raises. `str(error)` is the message for people."""

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, details: Mapping[str, JsonValue] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details: dict[str, JsonValue] = dict(details or {})


class InvalidInput(ContractsError):
    """Arguments that cannot become a call: malformed, too precise, unknown, missing or contradictory."""


class UnsupportedAction(ContractsError):
    """An action, key type or transaction version outside what is supported; code `unsupported_action`."""


class RpcError(ContractsError):
    """An RPC node answered with an error, with something unreadable, or not at all.

    `code` is nearcore's cause name (`UNKNOWN_ACCOUNT`, `INVALID_TRANSACTION`, `TIMEOUT_ERROR` ...) or `TRANSPORT`,
    `HTTP_STATUS`, `BAD_ANSWER`, `TOO_LARGE`. `sent` is False only where it is certain that no byte of the request left.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        sent: bool = True,
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(code, message, retryable=retryable, details=details)
        self.sent = sent


class ApiError(ContractsError):
    """A server that speaks OpenAI's protocol gave no usable answer; its words in the message are inert.

    `code` is the server's own or `http_STATUS` where it answered with an HTTP error (`status`), otherwise `timed_out`,
    `no_answer` (no connection, or an answer that was cut off) or `bad_answer`.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(code, message)
        self.status = status


class SigningError(ContractsError):
    """The signer has no such key, the key's file is wrong, or the grant does not cover these bytes."""


class LedgerConflict(ContractsError):
    """A compare-and-set in the ledger lost; nothing was written."""


class VmError(ContractsError):
    """The virtual machine refused or stopped a contract: panic, trap, limit, missing method, forbidden in a view."""


class ChainError(ContractsError):
    """The embedded chain refuses a transaction or a request, in nearcore's terms (`details` holds the typed body)."""
