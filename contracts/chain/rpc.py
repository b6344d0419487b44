"""NEAR's JSON-RPC over HTTP: one client over a list of nodes.

Reads are retried here and nowhere else, over the list, with finite attempts and time. A send is one request to one node
and is never retried here: what its answer means is decided with the ledger (`client.py`). Every timeout is finite and
every body has a size limit.
"""

import asyncio
import base64
import ipaddress
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
from pydantic import JsonValue
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_random_exponential
from yarl import URL

from contracts.chain.rpc_parse import parse_answer
from contracts.chain.rpc_types import (
    AccessKeyItem,
    AccessKeyList,
    AccessKeyView,
    AccountView,
    Answer,
    BlockRef,
    BlockView,
    ChunkView,
    CodeView,
    FunctionResult,
    GasKeyNonces,
    GasPriceView,
    ProtocolConfig,
    StateView,
    StatusView,
    ValidatorsView,
    WaitUntil,
)
from contracts.chain.tx_answer import TxAnswer
from contracts.errors import RpcError
from contracts.types import AccountId, CryptoHash, JsonObject, PublicKey, Yocto

AnswerT = TypeVar("AnswerT", bound=Answer)

_FINALITIES: Final = frozenset({"final", "near-final", "optimistic"})
_KEY_PAGE: Final = 100
_MAX_KEY_PAGES: Final = 100


def _ignore() -> None: ...


@dataclass(frozen=True, slots=True)
class RpcConfig:
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 20.0
    """One request, connection and answer together; nodes themselves wait up to 10 s for a transaction."""
    max_body_bytes: int = 8 * 1024 * 1024
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
    connections: int = 32


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str
    """May hold a provider's key: never shown."""
    operator: str
    """Who runs it, as far as the address tells; shown in messages."""

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """RpcError `BAD_ADDRESS` for anything but an http or https URL."""
        parsed = URL(url)
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise RpcError(
                "BAD_ADDRESS", f"{url.partition('?')[0]!r} is not an http(s) address of an RPC node", sent=False
            )
        return cls(url, _operator(parsed.host, parsed.port))


@asynccontextmanager
async def open_rpc(urls: Sequence[str], *, config: RpcConfig | None = None) -> AsyncGenerator["RpcClient", None]:
    """A client over these nodes, in order of preference; its connections close with the context."""
    chosen = config or RpcConfig()
    endpoints = tuple(Endpoint.of(url) for url in urls)
    if not endpoints:
        raise RpcError("NO_NODES", "no RPC address is configured; set [networks.NAME] rpc", sent=False)
    timeout = aiohttp.ClientTimeout(
        total=chosen.request_timeout_s, connect=chosen.connect_timeout_s, sock_connect=chosen.connect_timeout_s
    )
    connector = aiohttp.TCPConnector(limit=chosen.connections)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        # No compression: a small answer must not unpack into a large one.
        headers={"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "near-agent"},
    ) as session:
        yield RpcClient(session, endpoints, chosen)


class RpcClient:
    """Typed calls; every failure is an RpcError. Safe for concurrent use."""

    def __init__(self, session: aiohttp.ClientSession, endpoints: tuple[Endpoint, ...], config: RpcConfig) -> None:
        self._session = session
        self._endpoints = endpoints
        self._config = config
        self._current = 0
        self._ids = itertools.count(1)
        self._protocol_config: tuple[float, ProtocolConfig] | None = None

    def operators(self) -> tuple[tuple[str, "RpcClient"], ...]:
        """One client per operator, in order of preference: for facts that several must agree on."""
        names = dict.fromkeys(endpoint.operator for endpoint in self._endpoints)
        return tuple(
            (name, RpcClient(self._session, tuple(e for e in self._endpoints if e.operator == name), self._config))
            for name in names
        )

    async def account(self, account_id: AccountId, at: BlockRef = "final") -> AccountView:
        """RpcError `UNKNOWN_ACCOUNT` where it does not exist at that block."""
        return await self._query(AccountView, "view_account", {"account_id": account_id}, at)

    async def access_key(self, account_id: AccountId, public_key: PublicKey, at: BlockRef = "final") -> AccessKeyView:
        """RpcError `UNKNOWN_ACCESS_KEY`, or `UNKNOWN_ACCOUNT`."""
        params: JsonObject = {"account_id": account_id, "public_key": public_key}
        return await self._query(AccessKeyView, "view_access_key", params, at)

    async def gas_key_nonces(
        self, account_id: AccountId, public_key: PublicKey, at: BlockRef = "final"
    ) -> GasKeyNonces:
        """A gas key's nonces, by their index; RpcError `UNKNOWN_ACCESS_KEY`, or what a node without gas keys answers."""
        params: JsonObject = {"account_id": account_id, "public_key": public_key}
        return await self._query(GasKeyNonces, "view_gas_key_nonces", params, at)

    async def access_keys(self, account_id: AccountId, at: BlockRef = "final") -> AccessKeyList:
        """All keys of an account; empty where it does not exist. Nodes that page their lists are read page by page."""
        page: JsonObject = {}
        keys: list[AccessKeyItem] = []
        for _ in range(_MAX_KEY_PAGES):
            try:
                answer = await self._query(
                    AccessKeyList, "view_access_key_list", {"account_id": account_id, **page}, at
                )
            except RpcError as error:
                if error.code != "TOO_MANY_ACCESS_KEYS" or page:
                    raise
                page = {"limit": _KEY_PAGE}
                continue
            keys.extend(answer.keys)
            if answer.last_key is None or not answer.keys:
                return answer.model_copy(update={"keys": tuple(keys), "last_key": None})
            page, at = {"limit": _KEY_PAGE, "after_key": answer.last_key}, answer.block_hash
        raise RpcError("TOO_LARGE", f"{account_id} has more than {_KEY_PAGE * _MAX_KEY_PAGES} access keys")

    async def call_function(
        self, contract_id: AccountId, method_name: str, args: bytes = b"{}", at: BlockRef = "final"
    ) -> FunctionResult:
        """A view method's bytes and logs.

        RpcError `CONTRACT_EXECUTION_ERROR` (details `kind`, e.g. `MethodNotFound`, and `panic`, the contract's own
        text), `NO_CONTRACT_CODE`, `UNKNOWN_ACCOUNT`.
        """
        params: JsonObject = {
            "account_id": contract_id,
            "method_name": method_name,
            "args_base64": base64.b64encode(args).decode(),
        }
        return await self._query(FunctionResult, "call_function", params, at)

    async def code(self, account_id: AccountId, at: BlockRef = "final") -> CodeView:
        """The contract's WebAssembly; RpcError `NO_CONTRACT_CODE`."""
        return await self._query(CodeView, "view_code", {"account_id": account_id}, at)

    async def state(
        self, account_id: AccountId, prefix: bytes = b"", at: BlockRef = "final", *, limit: int | None = None
    ) -> StateView:
        """Raw storage under a prefix; RpcError `TOO_LARGE_CONTRACT_STATE` above 50,000 bytes on most nodes.

        Nodes that page (nearcore 2.13) answer with at most `limit` records and `last_key` where there are more, and do
        not look at the size of the whole; others know no limit.
        """
        params: JsonObject = {"account_id": account_id, "prefix_base64": base64.b64encode(prefix).decode()}
        if limit is not None:
            params["limit"] = limit
        return await self._query(StateView, "view_state", params, at)

    async def block(self, at: BlockRef = "final") -> BlockView:
        """RpcError `UNKNOWN_BLOCK`, also for skipped heights."""
        return await self._read(BlockView, "block", _reference(at))

    async def chunk(self, chunk_hash: CryptoHash) -> ChunkView:
        return await self._read(ChunkView, "chunk", {"chunk_id": chunk_hash})

    async def status(self) -> StatusView:
        """The node's chain, head and oldest block."""
        return await self._read(StatusView, "status", [])

    async def validators(self) -> ValidatorsView:
        return await self._read(ValidatorsView, "validators", [None])

    async def gas_price(self) -> Yocto:
        """Yocto per unit of gas at the latest block."""
        return (await self._read(GasPriceView, "gas_price", [None])).gas_price

    async def protocol_config(self) -> ProtocolConfig:
        """Prices, limits and validity; kept for `protocol_config_age_s`."""
        now = asyncio.get_running_loop().time()
        if self._protocol_config is not None and now - self._protocol_config[0] < self._config.protocol_config_age_s:
            return self._protocol_config[1]
        config = await self._read(ProtocolConfig, "EXPERIMENTAL_protocol_config", {"finality": "final"})
        self._protocol_config = (now, config)
        return config

    async def tx(self, tx_hash: CryptoHash, sender_id: AccountId, wait_until: WaitUntil = "NONE") -> TxAnswer:
        """What the node knows of a transaction; RpcError `UNKNOWN_TRANSACTION`.

        With `NONE` the answer comes at once. Otherwise the node waits up to 10 s and then answers `TIMEOUT_ERROR`, also
        for a hash it does not know; such a wait is one request and not retried.
        """
        params: JsonObject = {"tx_hash": tx_hash, "sender_account_id": sender_id, "wait_until": wait_until}
        answer = await self._read(TxAnswer, "tx", params, once=wait_until != "NONE")
        return _about(answer, tx_hash)

    async def experimental_tx_status(
        self, tx_hash: CryptoHash, sender_id: AccountId, wait_until: WaitUntil = "NONE"
    ) -> TxAnswer:
        """As `tx`, with the receipts; RpcError `METHOD_NOT_FOUND` on nodes without it."""
        params: JsonObject = {"tx_hash": tx_hash, "sender_account_id": sender_id, "wait_until": wait_until}
        answer = await self._read(TxAnswer, "EXPERIMENTAL_tx_status", params, once=wait_until != "NONE")
        return _about(answer, tx_hash)

    async def send_tx(
        self,
        data: bytes,
        tx_hash: CryptoHash,
        wait_until: WaitUntil = "FINAL",
        *,
        on_written: Callable[[], None] = _ignore,
    ) -> TxAnswer:
        """Hand signed bytes to one node, once. Later calls go to another node where this one failed.

        `RpcError.sent` is False only where no connection was made. `on_written` is called when the request has been
        written to the socket; what it raises comes out of here.
        """
        endpoint = self._endpoints[self._current]
        params: JsonObject = {"signed_tx_base64": base64.b64encode(data).decode(), "wait_until": wait_until}
        try:
            return _about(await self._request(endpoint, TxAnswer, "send_tx", params, on_written), tx_hash)
        except RpcError as error:
            if error.retryable:
                self._turn_from(endpoint)
            raise

    async def _query(self, answer: type[AnswerT], request_type: str, params: JsonObject, at: BlockRef) -> AnswerT:
        return await self._read(answer, "query", {"request_type": request_type, **_reference(at), **params})

    async def _read(self, answer: type[AnswerT], method: str, params: JsonValue, *, once: bool = False) -> AnswerT:
        asked_at = asyncio.get_running_loop().time()
        try:
            return await self._ask(answer, method, params)
        except RpcError as error:
            if once or not self._worth_asking_again(error):
                raise
            failed = error
        spent_s = asyncio.get_running_loop().time() - asked_at
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._worth_asking_again),
            stop=stop_after_attempt(self._config.attempts) | stop_after_delay(self._config.read_timeout_s - spent_s),
            wait=self._pause_s,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                # The first attempt is the one above: most reads need no other, and so no retrying.
                if attempt.retry_state.attempt_number == 1:
                    raise failed
                return await self._ask(answer, method, params)
        raise AssertionError("tenacity either returns an answer or raises")

    async def _ask(self, answer: type[AnswerT], method: str, params: JsonValue) -> AnswerT:
        """One request to the preferred node, which is another one from then on where this one failed."""
        endpoint = self._endpoints[self._current]
        try:
            return await self._request(endpoint, answer, method, params)
        except RpcError as error:
            if self._worth_asking_again(error):
                self._turn_from(endpoint)
            raise

    def _worth_asking_again(self, error: BaseException) -> bool:
        """The one place that says which failed reads are repeated."""
        if not isinstance(error, RpcError):
            return False
        elsewhere = error.code in {"GARBAGE_COLLECTED_BLOCK", "HTTP_STATUS"} and len(self._endpoints) > 1
        return error.retryable or elsewhere

    def _turn_from(self, endpoint: Endpoint) -> None:
        if self._endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self._endpoints)

    def _pause_s(self, state: RetryCallState) -> float:
        """No pause before another node's first turn; then as long as the node asks, or backing off with jitter."""
        if state.attempt_number < len(self._endpoints):
            return 0.0
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.details.get("retry_after_s") if isinstance(error, RpcError) else None
        if isinstance(asked, int | float):
            return min(float(asked), self._config.retry_after_cap_s)
        return wait_random_exponential(multiplier=self._config.backoff_s, max=self._config.max_backoff_s)(state)

    async def _request(
        self,
        endpoint: Endpoint,
        answer: type[AnswerT],
        method: str,
        params: JsonValue,
        on_written: Callable[[], None] | None = None,
    ) -> AnswerT:
        request_id = str(next(self._ids))
        payload = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()
        status, body, retry_after_s = await self._post(endpoint, payload, on_written)
        try:
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
        try:
            async with self._session.post(
                endpoint.url,
                # A read's few bytes go as they are; a send may have megabytes, and is watched.
                data=payload if watched is None else watched.chunks(),
                headers={"Content-Length": str(len(payload))},
                allow_redirects=False,
            ) as response:
                body = await self._body(endpoint, response)
                return response.status, body, _retry_after(response.headers.get("Retry-After"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _transport(endpoint, error, sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if watched is not None and watched.failure is not None:
                raise watched.failure from None
            raise _transport(endpoint, error, sent=True) from None

    async def _body(self, endpoint: Endpoint, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self._config.max_body_bytes:
                response.close()
                raise RpcError(
                    "TOO_LARGE",
                    f"the answer of {endpoint.operator} is larger than {self._config.max_body_bytes} bytes",
                    retryable=True,
                    details={"node": endpoint.operator, "limit_bytes": self._config.max_body_bytes},
                )
            parts.append(part)
        return b"".join(parts)


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


def _reference(at: BlockRef) -> JsonObject:
    return {"finality": at} if at in _FINALITIES else {"block_id": at}


def _about(answer: TxAnswer, tx_hash: CryptoHash) -> TxAnswer:
    if answer.transaction is not None and answer.transaction.hash != tx_hash:
        raise RpcError(
            "BAD_ANSWER",
            f"asked about transaction {tx_hash}, the node answered about {answer.transaction.hash}",
            retryable=True,
        )
    return answer


def _transport(endpoint: Endpoint, error: Exception, *, sent: bool) -> RpcError:
    reason = str(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
    return RpcError(
        "TRANSPORT",
        f"no answer from the RPC node of {endpoint.operator}: {reason}",
        retryable=True,
        sent=sent,
        details={"node": endpoint.operator},
    )


def _retry_after(header: str | None) -> float | None:
    """Seconds; the date form of the header is not used, it would need a clock that agrees."""
    return float(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 7 else None


def _operator(host: str, port: int | None) -> str:
    """`fastnear.com` for all its hosts. For an IP address or localhost, the port is part of the name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        return ".".join(labels[-2:]) if len(labels) > 1 else f"{host}:{port}"
    return f"{host}:{port}"
