"""NEAR's JSON-RPC over HTTP: one client over a list of nodes.

Reads are retried here and nowhere else, over the list, with finite attempts and time. A send is one request to one node
and is never retried here: what its answer means is decided with the ledger (`client.py`). Every timeout is finite and
every body has a size limit.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pydantic import JsonValue
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_random_exponential

from contracts.chain.endpoints import Endpoint
from contracts.chain.pool import Health, Pool
from contracts.chain.rpc_types import (
    AccessKeyItem,
    AccessKeyList,
    AccessKeyView,
    AccountView,
    Answer,
    AtBlock,
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
from contracts.chain.transport import RpcConfig, Transport
from contracts.chain.tx_answer import TxAnswer
from contracts.errors import RpcError
from contracts.outgoing import Guard, open_session
from contracts.rpc_meanings import OLD_BLOCK, about
from contracts.types import AccountId, CryptoHash, JsonObject, PublicKey, Yocto

AnswerT = TypeVar("AnswerT", bound=Answer)
AtBlockT = TypeVar("AtBlockT", bound=AtBlock)

_REFUSES_EVERYTHING: Final = frozenset({"HTTP_STATUS", "ADDRESS_REFUSED"})
"""Errors of a provider that are not about the question."""
_FINALITIES: Final = frozenset({"final", "near-final", "optimistic"})
_KEY_PAGE: Final = 100
_KEPT: Final = 512
"""Accounts, keys and headers that are remembered by the block they were read at."""
_MAX_KEY_PAGES: Final = 100


def _ignore() -> None: ...


@asynccontextmanager
async def open_rpc(
    nodes: Sequence[str | Endpoint], *, config: RpcConfig | None = None, guard: Guard | None = None
) -> AsyncGenerator["RpcClient", None]:
    """A client over these nodes, in order of preference; its connections close with the context.

    The addresses are the configuration's own, so they may lie in a private network, unless a `guard` knows better.
    """
    chosen = config or RpcConfig()
    endpoints = tuple(node if isinstance(node, Endpoint) else Endpoint.of(node) for node in nodes)
    if not endpoints:
        raise RpcError("NO_NODES", "no RPC address is configured; set [networks.NAME] rpc", sent=False)
    pool = Pool.of(endpoints, monotonic=time.monotonic, max_lag_blocks=chosen.max_lag_blocks)
    async with open_session(
        guard or Guard(endpoint.url for endpoint in endpoints),
        timeout_s=chosen.request_timeout_s,
        connect_timeout_s=chosen.connect_timeout_s,
        max_body_bytes=chosen.max_body_bytes,
        connections=chosen.connections,
        headers={"Content-Type": "application/json", "User-Agent": "near-agent"},
    ) as session:
        yield RpcClient(Transport(session, chosen.contract_answer_bytes), pool, chosen)


class RpcClient:
    """Typed calls; every failure is an RpcError. Safe for concurrent use."""

    def __init__(self, transport: Transport, pool: Pool, config: RpcConfig) -> None:
        self._transport = transport
        self._pool = pool
        self._config = config
        self._protocol_config: tuple[float, ProtocolConfig] | None = None
        self._gas_price: tuple[float, Yocto] | None = None
        self._of_operators: tuple[tuple[str, RpcClient], ...] = ()
        self._kept: dict[tuple[str, ...], Answer] = {}
        """What was told about blocks by their hash, oldest first: it never changes."""

    def operators(self) -> tuple[tuple[str, "RpcClient"], ...]:
        """One client per operator, in order of preference: for facts that several must agree on. Always the same ones."""
        if not self._of_operators:
            self._of_operators = tuple(
                (name, RpcClient(self._transport, pool, self._config)) for name, pool in self._pool.operators().items()
            )
        return self._of_operators

    @property
    def pool(self) -> Pool:
        """What is known of the nodes."""
        return self._pool

    async def probe(self, endpoint: Endpoint) -> StatusView:
        """One node's status, asked once. RpcError."""
        return await self._transport.request(endpoint, StatusView, "status", [])

    async def account(self, account_id: AccountId, at: BlockRef = "final") -> AccountView:
        """RpcError `UNKNOWN_ACCOUNT` where it does not exist at that block."""
        return await self._kept_query(AccountView, "view_account", {"account_id": account_id}, at)

    async def access_key(self, account_id: AccountId, public_key: PublicKey, at: BlockRef = "final") -> AccessKeyView:
        """RpcError `UNKNOWN_ACCESS_KEY`, or `UNKNOWN_ACCOUNT`."""
        params: JsonObject = {"account_id": account_id, "public_key": public_key}
        return await self._kept_query(AccessKeyView, "view_access_key", params, at)

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
        self,
        contract_id: AccountId,
        method_name: str,
        args: bytes = b"{}",
        at: BlockRef = "final",
        *,
        may_cut: bool = False,
    ) -> FunctionResult:
        """A view method's bytes and logs; with `may_cut` the beginning of a long answer, `answer_bytes` says how long.

        RpcError `TOO_LARGE` for a longer answer without `may_cut`, `CONTRACT_EXECUTION_ERROR` (details `kind`, e.g. `MethodNotFound`, and `panic`, the contract's own
        text), `NO_CONTRACT_CODE`, `UNKNOWN_ACCOUNT`.
        """
        params: JsonObject = {
            "account_id": contract_id,
            "method_name": method_name,
            "args_base64": base64.b64encode(args).decode(),
        }
        found = await self._query(FunctionResult, "call_function", params, at)
        if found.answer_bytes is not None and not may_cut:
            raise RpcError(
                "TOO_LARGE",
                f"{method_name[:80]} of {contract_id} answered {found.answer_bytes:,} bytes, "
                f"and at most {len(found.result):,} are read",
                details={"limit_bytes": len(found.result)},
            )
        return found

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
        kept = self._kept.get(("block", at)) if isinstance(at, CryptoHash) else None
        if isinstance(kept, BlockView):
            return kept
        found = await self._read(BlockView, "block", _reference(at))
        self._keep(found, "block", found.hash)
        return found

    async def chunk(self, chunk_hash: CryptoHash) -> ChunkView:
        return await self._read(ChunkView, "chunk", {"chunk_id": chunk_hash})

    async def status(self) -> StatusView:
        """The node's chain, head and oldest block."""
        return await self._read(StatusView, "status", [])

    async def validators(self) -> ValidatorsView:
        return await self._read(ValidatorsView, "validators", [None])

    async def gas_price(self) -> Yocto:
        """Yocto per unit of gas at the latest block, or at one of `gas_price_age_s` ago."""
        now = asyncio.get_running_loop().time()
        if self._gas_price is not None and now - self._gas_price[0] < self._config.gas_price_age_s:
            return self._gas_price[1]
        price = (await self._read(GasPriceView, "gas_price", [None])).gas_price
        self._gas_price = (now, price)
        return price

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
        node = self._pool.choose()
        await self._take_turn(node)
        params: JsonObject = {"signed_tx_base64": base64.b64encode(data).decode(), "wait_until": wait_until}
        try:
            answer = await self._transport.request(node.endpoint, TxAnswer, "send_tx", params, on_written)
        except RpcError as error:
            if about(error) != "chain":
                self._pool.failed(node, _asked_pause(error))
            raise
        self._pool.answered(node, None)
        return _about(answer, tx_hash)

    async def _query(self, answer: type[AtBlockT], request_type: str, params: JsonObject, at: BlockRef) -> AtBlockT:
        return await self._read(answer, "query", {"request_type": request_type, **_reference(at), **params})

    async def _kept_query(
        self, answer: type[AtBlockT], request_type: str, params: JsonObject, at: BlockRef
    ) -> AtBlockT:
        """As `_query`; what this client was told about a block that is named by its hash is not asked for again."""
        name = (request_type, *map(str, params.values()))
        kept = self._kept.get((*name, at)) if isinstance(at, CryptoHash) else None
        if isinstance(kept, answer):
            return kept
        found = await self._query(answer, request_type, params, at)
        self._keep(found, *name, found.block_hash)
        return found

    def _keep(self, answer: Answer, *name: str) -> None:
        self._kept[name] = answer
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    async def _read(
        self, answer: type[AnswerT], method: str, params: JsonObject | list[JsonValue], *, once: bool = False
    ) -> AnswerT:
        read = _Read(answer, method, params, once=once)
        asked_at = asyncio.get_running_loop().time()
        try:
            return await self._ask_servers(read)
        except RpcError as error:
            failed = error
        if once or about(failed) == "chain":
            raise failed
        try:
            return await self._ask_again(read, failed, asyncio.get_running_loop().time() - asked_at)
        except RpcError as error:
            if error.code not in OLD_BLOCK or not _names_block(params):
                raise
            return await self._from_archive(read, error)

    async def _ask_again(self, read: "_Read[AnswerT]", failed: RpcError, spent_s: float) -> AnswerT:
        """Further attempts while the failure may pass. The first one was made: most reads need no other, and no retrying."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(self._config.attempts) | stop_after_delay(self._config.read_timeout_s - spent_s),
            wait=lambda state: self._pause_s(read, state),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise failed
                return await self._ask_servers(read)
        raise AssertionError("tenacity either returns an answer or raises")

    async def _from_archive(self, read: "_Read[AnswerT]", missing: RpcError) -> AnswerT:
        """What others have thrown away, from the nodes that keep every block, each asked once."""
        for node in self._pool.archival():
            try:
                return await self._ask_node(node, read, timed=False)
            except RpcError as error:
                if about(error) == "chain":
                    raise
        raise missing

    async def _ask_servers(self, read: "_Read[AnswerT]") -> AnswerT:
        """One attempt: of each operator whose provider does not serve the question the next one is asked, without a pause."""
        pruned: RpcError | None = None
        while True:
            try:
                return await self._ask(read)
            except RpcError as error:
                subject = about(error)
                pruned = error if subject == "pruned" else pruned
                if subject in {"provider", "pruned"} and self._pool.serves_without(read.refused):
                    continue
                # That the block is gone says more than that somebody else does not serve the method.
                raise (pruned or error) if subject == "provider" else error from None

    async def _ask(self, read: "_Read[AnswerT]") -> AnswerT:
        """One request, or two: where the first node takes longer than it usually does, another one is asked as well."""
        node = self._pool.choose(without=read.refused)
        if read.once or not self._pool.other_ready(node, without=read.refused):
            return await self._ask_node(node, read, timed=not read.once)
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(_settled(self._ask_node(node, read)))
            await asyncio.wait({first}, timeout=max(self._config.hedge_floor_s, node.hedge_after_s))
            if first.done() or not self._pool.other_ready(node, without=read.refused):
                found = await first
            else:
                other = self._pool.choose(apart_from=node, without=read.refused)
                second = group.create_task(_settled(self._ask_node(other, read)))
                await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
                quick, late = (first, second) if first.done() else (second, first)
                found = await quick
                if isinstance(found, RpcError) and about(found) != "chain":
                    found = await late
                elif late is first:
                    self._pool.slow(node, asyncio.get_running_loop().time() - begun)
                late.cancel()
        return _told(found)

    async def _ask_node(self, node: Health, read: "_Read[AnswerT]", *, timed: bool = True) -> AnswerT:
        """One request to one node, which others are preferred to from then on where it failed."""
        await self._take_turn(node)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            found = await self._transport.request(node.endpoint, read.answer, read.method, read.params)
            _check_fresh(self._pool, node, found, read.params)
        except RpcError as error:
            subject = about(error)
            if subject in {"provider", "pruned"}:
                read.refused.add(node.endpoint.operator)
            # A node that does not serve this method, or has not got this block, serves others.
            if subject == "passing" or error.code in _REFUSES_EVERYTHING:
                self._pool.failed(node, _asked_pause(error))
            raise
        self._pool.answered(node, loop.time() - begun if timed else None)
        return found

    async def _take_turn(self, node: Health) -> None:
        """Wait for the node's rate limit."""
        wait_s = self._pool.wait_s(node)
        self._pool.begin(node)
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, self._config.read_timeout_s))

    def _pause_s(self, read: "_Read[AnswerT]", state: RetryCallState) -> float:
        """No pause before the turn of a node that is not at fault; else as long as it asks, or backing off with jitter."""
        node = self._pool.choose(without=read.refused)
        rest_s = self._pool.rest_s(node)
        if rest_s == 0.0:
            return 0.0
        if self._pool.pausing(node):
            return min(rest_s, self._config.retry_after_cap_s)
        return wait_random_exponential(multiplier=self._config.backoff_s, max=self._config.max_backoff_s)(state)


@dataclass(frozen=True, slots=True)
class _Read(Generic[AnswerT]):
    """One question, over all its attempts."""

    answer: type[AnswerT]
    method: str
    params: JsonObject | list[JsonValue]
    once: bool
    refused: set[str] = field(default_factory=set[str])
    """Operators whose provider does not serve it, or has thrown the block away."""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, RpcError) and about(error) == "passing"


async def _settled(asking: Awaitable[AnswerT]) -> AnswerT | RpcError:
    """An answer or the error, as values: in a group of requests one failure does not end the others."""
    try:
        return await asking
    except RpcError as error:
        return error


def _told(found: AnswerT | RpcError) -> AnswerT:
    if isinstance(found, RpcError):
        raise found
    return found


def _check_fresh(pool: Pool, node: Health, found: Answer, params: JsonObject | list[JsonValue]) -> None:
    """RpcError `STALE_NODE` where the newest final block that a node shows is far behind the others'."""
    if isinstance(params, list) or params.get("finality") != "final":
        return
    match found:
        case AtBlock(block_height=height) | BlockView(height=height):
            pool.saw(node, height)
        case _:
            pass


def _asked_pause(error: RpcError) -> float | None:
    asked = error.details.get("retry_after_s")
    return float(asked) if isinstance(asked, int | float) else None


def _names_block(params: JsonObject | list[JsonValue]) -> bool:
    return isinstance(params, dict) and "block_id" in params


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
