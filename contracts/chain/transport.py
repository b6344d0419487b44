"""One JSON-RPC request to one node over HTTP: bytes out, a typed answer or a typed error back. Never repeated here."""

import itertools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import aiohttp
from pydantic import JsonValue

from contracts.chain.endpoints import Endpoint
from contracts.chain.rpc_parse import parse_answer, parse_function_result
from contracts.chain.rpc_types import Answer, FunctionResult
from contracts.errors import RpcError
from contracts.outgoing import AddressRefused, AnswerRefused, AnswerTooLarge, GuardedSession
from contracts.rpc_meanings import rpc_error

AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True, slots=True)
class RpcConfig:
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 20.0
    """One request, connection and answer together; nodes themselves wait up to 10 s for a transaction."""
    max_body_bytes: int = 8 * 1024 * 1024
    contract_answer_bytes: int = 256 * 1024
    """Bytes that are read of a contract's answer to a view call."""
    attempts: int = 4
    """Requests that one read may make, over all nodes."""
    read_timeout_s: float = 30.0
    """One read with all its attempts: none begins after it."""
    backoff_s: float = 0.2
    max_backoff_s: float = 2.0
    retry_after_cap_s: float = 5.0
    """A node that asks for a longer pause is not waited for that long."""
    protocol_config_age_s: float = 300.0
    """How long prices and limits are kept before they are read again."""
    gas_price_age_s: float = 1.0
    """About a block; from one to the next the price changes by a few percent at most."""
    connections: int = 32
    hedge_floor_s: float = 0.25
    """A read is asked of a second node as well, after this or after what the first one usually needs, whichever is later."""
    max_lag_blocks: int = 50
    """A node whose final block is further behind the others' is left out."""


class Transport:
    """Requests over one session. Safe for concurrent use."""

    def __init__(self, session: GuardedSession, contract_answer_bytes: int) -> None:
        self._session = session
        self._contract_answer_bytes = contract_answer_bytes
        self._ids = itertools.count(1)

    async def request(
        self,
        endpoint: Endpoint,
        answer: type[AnswerT],
        method: str,
        params: JsonValue,
        on_written: Callable[[], None] | None = None,
    ) -> AnswerT:
        """RpcError; its `sent` is False only where no connection was made. Redirects are not followed."""
        request_id = str(next(self._ids))
        payload = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()
        status, body, retry_after_s = await self._post(endpoint, payload, on_written)
        try:
            if answer is FunctionResult:
                found = parse_function_result(status, body, request_id, self._contract_answer_bytes)
                return cast("AnswerT", found)
            return parse_answer(answer, status, body, request_id)
        except RpcError as error:
            error.details["node"] = endpoint.operator
            if retry_after_s is not None:
                error.details["retry_after_s"] = retry_after_s
            raise

    async def _post(
        self, endpoint: Endpoint, payload: bytes, on_written: Callable[[], None] | None
    ) -> tuple[int, bytes, float | None]:
        watched = None if on_written is None else _WatchedBody(payload, on_written)
        headers = {"Content-Length": str(len(payload))}
        if endpoint.authorization is not None:
            headers["Authorization"] = endpoint.authorization
        try:
            # A read's few bytes go as they are; a send may have megabytes, and is watched.
            answer = await self._session.request(
                "POST", endpoint.url, data=payload if watched is None else watched.chunks(), headers=headers
            )
        except AddressRefused as error:
            raise _refused(endpoint, error) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
            if isinstance(reason, AddressRefused):
                raise _refused(endpoint, reason) from None
            raise _transport(endpoint, error, sent=False) from None
        except AnswerTooLarge as error:
            raise rpc_error(
                "TOO_LARGE",
                f"the answer of {endpoint.operator} is larger than {error.limit_bytes} bytes",
                details={"node": endpoint.operator, "limit_bytes": error.limit_bytes},
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if watched is not None and watched.failure is not None:
                raise watched.failure from None
            raise _transport(endpoint, error, sent=True) from None
        return answer.status, answer.body, _retry_after(answer.headers.get("Retry-After"))


class _WatchedBody:
    """A request body that tells when the event loop has written it."""

    def __init__(self, payload: bytes, on_written: Callable[[], None]) -> None:
        self._payload = payload
        self._on_written = on_written
        self.failure: BaseException | None = None
        """What `on_written` raised: the HTTP client turns it into an error of its own."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._payload
        with self:
            self._on_written()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.failure = error


def _refused(endpoint: Endpoint, error: AddressRefused) -> RpcError:
    return rpc_error(
        "ADDRESS_REFUSED",
        f"the RPC node of {endpoint.operator} was not asked: {error}",
        sent=False,
        details={"node": endpoint.operator},
    )


def _transport(endpoint: Endpoint, error: Exception, *, sent: bool) -> RpcError:
    says_why = isinstance(error, aiohttp.ClientConnectorError | AnswerRefused)
    reason = str(error) if says_why else type(error).__name__
    return rpc_error(
        "TRANSPORT",
        f"no answer from the RPC node of {endpoint.operator}: {reason}",
        sent=sent,
        details={"node": endpoint.operator},
    )


def _retry_after(header: str | None) -> float | None:
    """Seconds; the date form of the header is not used, it would need a clock that agrees."""
    return float(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 7 else None
