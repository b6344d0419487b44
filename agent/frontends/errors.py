"""Errors as HTTP answers in OpenAI's form, and the few that front ends raise themselves."""

import math
from dataclasses import dataclass
from typing import Final

from agent.errors import AgentError, DaemonError, RequestError
from agent.redaction.texts import redact_answer
from contracts.errors import ContractsError

_STATUS: Final = {
    "invalid_api_key": 401,
    "not_allowed": 403,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_timeout": 408,
    "request_in_progress": 409,
    "idempotency_conflict": 409,
    "body_too_large": 413,
    "too_many_wrong_codes": 429,
    "too_many_requests": 429,
    "too_many_cards": 429,
    "draining": 503,
    "not_ready": 503,
    "plan_failed": 503,
}
_TYPE: Final = {403: "permission_error", 429: "rate_limit_error"}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    status: int
    body: dict[str, object]
    """`{"error": {"message", "type", "param", "code"}}`"""
    headers: dict[str, str]


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, object]:
    return {"error": {"message": redact_answer(message), "type": kind, "param": param, "code": code}}


def answer_for(error: AgentError | ContractsError) -> ErrorAnswer:
    """The status, body and headers that tell a client about an error before its answer began."""
    status = _STATUS.get(error.code) or (400 if isinstance(error, RequestError) else 503 if error.retryable else 500)
    kind = _TYPE.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    param = error.param if isinstance(error, RequestError) else None
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in {429, 503}:
        wait_s = error.retry_after_s if isinstance(error, AgentError) else None
        headers["Retry-After"] = str(max(1, math.ceil(1.0 if wait_s is None else wait_s)))
    return ErrorAnswer(status, error_body(error.message, kind, error.code, param), headers)


def no_key(*, given: bool) -> RequestError:
    what = "this API key is unknown or revoked" if given else "no API key was sent"
    return RequestError(
        "invalid_api_key",
        f"{what}; send the header 'Authorization: Bearer KEY' with the key of the data folder's file api_key, "
        "or one made with: near-agent api-keys create",
    )


def not_ready() -> DaemonError:
    return DaemonError(
        "not_ready",
        "the daemon is starting and still settles what an earlier run left; ask again in a second",
        retryable=True,
        retry_after_s=1.0,
    )


def draining(retry_after_s: float) -> DaemonError:
    return DaemonError(
        "draining",
        "the daemon is shutting down and takes no new requests; ask again when it is back",
        retryable=True,
        retry_after_s=retry_after_s,
    )


def in_progress(key: str) -> RequestError:
    return RequestError(
        "request_in_progress",
        f"a request with the Idempotency-Key {key[:80]!r} is still running; its answer is kept, ask again in a second",
        param="Idempotency-Key",
        retryable=True,
        retry_after_s=1.0,
    )
