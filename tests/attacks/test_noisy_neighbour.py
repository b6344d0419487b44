"""One identity cannot take the daemon from the others: what a request can make the process do is bounded before it is done."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from agent.errors import DaemonError, RequestError
from agent.frontends.approvals import ApprovalApi
from agent.frontends.bodies import Bodies
from agent.frontends.openai_api import ApiSettings, make_app
from agent.frontends.operator import Operator, OperatorApi
from agent.frontends.pace import Pace
from agent.frontends.running import RunningRequests
from agent.frontends.seams import Progress
from agent.frontends.shares import Shares
from agent.frontends.wire import ChatRequest, parse_chat, parse_plan
from agent.limits import Limits
from agent.records import Reply, UserRequest
from contracts.calls import ViewFunction
from contracts.catalogue.contract import CONTRACT_VIEW, ContractViewArgs
from contracts.catalogue.entry import BuildContext
from contracts.chain.outcome_reader import MAX_VALUES, decode_value
from contracts.chain.rpc import RpcClient, RpcConfig, open_rpc
from contracts.chain.rpc_parse import parse_answer, parse_function_result
from contracts.chain.rpc_types import FunctionResult
from contracts.chain.views import run_view
from contracts.knowledge.facts import (
    NO_FACTS,
    Absent,
    FactRequest,
    PoolFacts,
    StorageFacts,
    TokenFacts,
    ViewFacts,
)
from contracts.knowledge.reading import read_facts
from contracts.knowledge.registry import Registry
from contracts.strict_json import count_values
from contracts.types import AccountId
from tests.agent.frontends.scripted import KEY, OneKey, ScriptedPipeline, Served, reply_to, served
from tests.attacks.test_exhaustion import NoCards
from tests.contracts.catalogue.world import LIMITS as CHAIN_LIMITS
from tests.fake_nodes import serve

COUNTER: Final = AccountId("counter.localnet")
VIEW: Final = ContractViewArgs.model_validate({"contract_id": COUNTER, "method_name": "get_num"})
CONTEXT: Final = BuildContext("localnet", "localnet", COUNTER, Registry.for_network("localnet"), CHAIN_LIMITS)
MIB: Final = 1024 * 1024
LIMITS: Final = Limits()
SHAPES: Final = {
    "numbers": b"0,",
    "empty objects": b"{},",
    "objects of one key": b'{"a":0},',
    "texts": b'"",',
    "pairs": b"[[]],",
}


def messages(unit: bytes, size: int) -> bytes:
    return b'{"model":"near-agent","messages":[' + unit * (size // len(unit)) + b"0]}"


def said(text: str) -> dict[str, object]:
    return {"model": "near-agent", "messages": [{"role": "user", "content": text}]}


# ---- a body's values are counted before it is parsed


@pytest.mark.parametrize("unit", SHAPES.values(), ids=SHAPES)
async def test_a_body_of_a_million_values_is_refused_before_it_is_parsed(unit: bytes) -> None:
    async with served() as daemon, aiohttp.ClientSession() as http:
        for path in ("/v1/chat/completions", "/v1/near/plan"):
            body = messages(unit, 4 * MIB - 64)
            async with http.post(f"{daemon.url}{path}", data=io.BytesIO(body), headers=daemon.headers) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (413, "body_too_large")
        assert daemon.bodies.held_bytes("key-alice") == 0
        assert daemon.pipeline.requests == []


@pytest.mark.parametrize("unit", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("parse", [parse_chat, parse_plan])
def test_of_a_list_of_no_messages_one_error_is_built(
    unit: bytes, parse: Callable[[bytes, Limits], ChatRequest]
) -> None:
    body = messages(unit, LIMITS.max_json_values)
    assert count_values(body, LIMITS.max_json_values) <= LIMITS.max_json_values
    with pytest.raises(RequestError) as caught:
        parse(body, LIMITS)
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__cause__.error_count() <= 2
    assert caught.value.param == "messages[0]" or (caught.value.param or "").startswith("messages[0].")


def test_of_a_list_of_no_parts_one_error_is_built() -> None:
    body = json.dumps({"model": "near-agent", "messages": [{"role": "user", "content": [0] * 10_000}]}).encode()
    with pytest.raises(RequestError) as caught:
        parse_chat(body, LIMITS)
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__cause__.error_count() == 1


def test_a_conversation_has_two_thousand_messages_at_most() -> None:
    message: dict[str, object] = {"role": "user", "content": "x"}
    most = json.dumps({"model": "near-agent", "messages": [message] * 2_000}).encode()
    more = json.dumps({"model": "near-agent", "messages": [message] * 2_001}).encode()
    assert len(parse_chat(most, LIMITS).turns) == 2_000
    for parse in (parse_chat, parse_plan):
        with pytest.raises(RequestError, match="2,001 items, and 2,000 are allowed") as caught:
            parse(more, LIMITS)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "messages")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def _values(value: JsonValue) -> int:
    match value:
        case list():
            return 1 + sum(map(_values, value))
        case dict():
            return 1 + sum(map(_values, value.values()))
        case _:
            return 1


@given(_JSON, st.integers(0, 40))
def test_no_value_goes_uncounted(value: JsonValue, most: int) -> None:
    """Each value but the outermost follows a comma or an opening bracket; an empty list or object counts one more."""
    values = _values(value)
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        found = count_values(text.encode(), most)
        assert found >= min(values - 1, most + 1)
        assert found <= most or found == most + 1
        assert count_values(text.encode(), 2 * values) <= 2 * values


@given(st.binary(max_size=300), st.integers(0, 5))
def test_whatever_is_counted_the_count_ends(data: bytes, most: int) -> None:
    assert 0 <= count_values(data, most) <= most + 1


# ---- slots: who floods is told to wait, and nobody else waits


class Held:
    """A pipeline's script: free text hangs until it is let go, everything else is answered at once."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.running = 0
        self.full = asyncio.Event()
        self.most = LIMITS.requests

    async def __call__(self, request: UserRequest, progress: Progress | None) -> Reply:
        del progress
        if not request.text.startswith("think"):
            return reply_to(request)
        self.running += 1
        if self.running == self.most:
            self.full.set()
        try:
            await self.let_go.wait()
        finally:
            self.running -= 1
        return reply_to(request)


async def _ask(http: aiohttp.ClientSession, daemon: Served, headers: dict[str, str], text: str) -> tuple[int, str, str]:
    """Status, error code and Retry-After."""
    async with http.post(f"{daemon.url}/v1/chat/completions", json=said(text), headers=headers) as answer:
        body = await answer.json()
        return answer.status, body.get("error", {}).get("code", ""), answer.headers.get("Retry-After", "")


async def test_a_flood_by_one_key_keeps_nobody_waiting_and_not_its_own_confirmation() -> None:
    held = Held()
    async with served(held) as daemon, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        mallory, others = daemon.headers_of("mallory"), daemon.headers
        async with asyncio.TaskGroup() as tasks:
            flood = [tasks.create_task(_ask(http, daemon, mallory, f"think {n}")) for n in range(128)]
            await held.full.wait()
            assert await _ask(http, daemon, mallory, "/near_balance @me") == (429, "too_many_requests", "1")
            assert (await _ask(http, daemon, mallory, "confirm 7K3M9QRT"))[0] == 200
            assert (await _ask(http, daemon, mallory, " cancel 7k3m9qrt "))[0] == 200
            for text in ("/near_balance @me", "confirm 7K3M9QRT"):
                assert (await _ask(http, daemon, others, text))[0] == 200
            async with http.get(f"{daemon.url}/healthz") as answer:
                assert answer.status == 200
            assert held.running == LIMITS.requests
            held.let_go.set()
        statuses = sorted(task.result()[0] for task in flood)
        assert statuses == [200] * LIMITS.requests + [429] * (128 - LIMITS.requests)
        assert (await _ask(http, daemon, mallory, "/near_balance @me"))[0] == 200


async def test_the_users_of_a_shared_key_have_sixteen_each_and_sixty_four_together() -> None:
    held = Held()
    held.most = 64
    async with (
        served(held, user_header="X-User") as daemon,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):

        def as_user(name: str) -> dict[str, str]:
            return {**daemon.headers, "X-User": name}

        async with asyncio.TaskGroup() as tasks:
            floods = [
                tasks.create_task(_ask(http, daemon, as_user(user), f"think {n}"))
                for user in ("anna", "berta", "carla", "dora")
                for n in range(16)
            ]
            await held.full.wait()
            assert (await _ask(http, daemon, as_user("anna"), "hello"))[1] == "too_many_requests"
            assert (await _ask(http, daemon, as_user("emma"), "hello"))[1] == "too_many_requests"
            assert (await _ask(http, daemon, as_user("emma"), "confirm 7K3M9QRT"))[0] == 200
            assert (await _ask(http, daemon, daemon.headers_of("frieda"), "hello"))[0] == 200
            held.let_go.set()
        assert {task.result()[0] for task in floods} == {200}


def test_shares_are_counted_for_each_identity_and_for_its_key() -> None:
    shares = Shares("slots are taken", each=2, shared_key_factor=2, in_all=6)
    for identity in ("k/a", "k/a", "k/b", "k/b"):
        shares.take(identity)
    for identity in ("k/a", "k/c"):
        with pytest.raises(RequestError) as caught:
            shares.take(identity)
        assert caught.value.code == "too_many_requests"
        assert caught.value.retry_after_s
    shares.take("other", 2)
    with pytest.raises(DaemonError) as busy:
        shares.take("third")
    assert busy.value.code == "busy"
    shares.give_back("k/a")
    shares.take("k/c")
    assert [shares.of(name) for name in ("k/a", "k/b", "k/c", "other")] == [1, 2, 1, 2]


# ---- bodies: bytes in memory, and the time that they may take


class Sender:
    """A client that declares a body and sends a part of it."""

    def __init__(self, url: str, path: str, key: str) -> None:
        self._address = urlsplit(url)
        self._path = path
        self._key = key

    async def send(self, declared: int, part: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port, limit=MIB)
        head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n"
        writer.write(f"{head}Content-Length: {declared}\r\n\r\n".encode() + part)
        return reader, writer


async def _until(condition: Callable[[], int], reached: int) -> None:
    async with asyncio.timeout(20):
        while condition() < reached:
            await asyncio.sleep(0.01)


async def _status(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(20):
        return int((await reader.readline()).split()[1])


async def test_slow_bodies_hold_a_bounded_number_of_bytes() -> None:
    limits = Limits(body_bytes=4 * 65_536, body_bytes_in_all=6 * 65_536)
    async with served(limits=limits) as daemon, aiohttp.ClientSession() as http:
        sender = Sender(daemon.url, "/v1/chat/completions", f"{KEY}_of_mallory")
        part = b" " * 65_536
        slow = [await sender.send(MIB, part) for _ in range(4)]
        await _until(lambda: daemon.bodies.held_bytes("key-mallory"), 4 * 65_536)
        more = [await sender.send(MIB, part) for _ in range(56)]
        assert {await _status(reader) for reader, _ in more} == {429}
        assert daemon.bodies.held_bytes("key-mallory") == limits.body_bytes
        assert (await _ask(http, daemon, daemon.headers, "hello"))[0] == 200
        for _, writer in (*slow, *more):
            writer.close()
        async with asyncio.timeout(20):
            while daemon.bodies.held_bytes("key-mallory"):
                await asyncio.sleep(0.01)


async def test_an_identity_sends_so_many_bodies_at_once() -> None:
    async with served(limits=Limits(bodies=2)) as daemon, aiohttp.ClientSession() as http:
        sender = Sender(daemon.url, "/v1/near/plan", f"{KEY}_of_mallory")
        slow = [await sender.send(1_000, b"{ ") for _ in range(2)]
        await _until(lambda: daemon.bodies.held_bytes("key-mallory"), 4)
        reader, writer = await sender.send(1_000, b"{ ")
        assert await _status(reader) == 429
        assert (await _ask(http, daemon, daemon.headers, "hello"))[0] == 200
        for _, open_writer in (*slow, (reader, writer)):
            open_writer.close()


async def test_a_body_is_not_read_before_its_key_is_known() -> None:
    async with served() as daemon:
        reader, writer = await Sender(daemon.url, "/v1/chat/completions", "wrong").send(4 * MIB, b"{")
        assert await _status(reader) == 401
        writer.close()


async def test_bodies_of_approvals_and_of_the_operator_have_the_same_reader() -> None:
    limits = Limits(body_timeout_s=0.2)
    async with asyncio.TaskGroup() as tasks:
        running, bodies, nothing = RunningRequests(tasks, limits=limits), Bodies(limits, Pace(limits)), NoCards()
        approvals = ApprovalApi(nothing, nothing, OneKey(), running, bodies, lambda _reply: {}, lambda: 0.0)
        operator = OperatorApi(cast("Operator", nothing), running, bodies, "operator-key", lambda _reply: {})
        settings = ApiSettings(configured_models=lambda: (), started_at=0.0, limits=limits)
        routes = (*approvals.routes(), *operator.routes())
        app = make_app(ScriptedPipeline(), OneKey(), running, bodies, settings, *routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            posts = [(route.path, route.method) for route in routes]
            assert len([path for path, method in posts if method == "POST"]) == 8
            for path in [path for path, method in posts if method == "POST"]:
                key = KEY if path == "/v1/near/approvals" else "operator-key"
                reader, writer = await Sender(url, path, key).send(100, b"{")
                assert await _status(reader) == 408, path
                writer.close()
                flood = b"[" + b"0," * 60_000 + b"0]"
                reader, writer = await Sender(url, path, key).send(len(flood), flood)
                assert await _status(reader) == 413, path
                writer.close()
        finally:
            await runner.cleanup()


# ---- a contract's answer: its beginning is decoded, and it says so

ANSWERS: Final = {
    "a text": b'"' + b"x" * 1_999_998 + b'"',
    "numbers": b"[" + b"1," * 999_999 + b"1]",
    "objects": b"[" + b"{}," * 666_665 + b"{}]",
    "half characters": "é".encode() * 1_000_001,
    "no text": b"\xff" * 2_000_000,
}


@asynccontextmanager
async def _node(answer: bytes) -> AsyncGenerator[RpcClient]:
    """A node of whose contracts every view answers these bytes."""

    octets = to_json(list(answer))

    async def query(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        found: dict[str, object] = {"block_height": 7, "block_hash": "1" * 32}
        if asked["method"] == "block":
            header = {"height": 7, "hash": "1" * 32, "prev_hash": "1" * 32, "timestamp_nanosec": "1", "gas_price": "1"}
            found = {"author": "node", "header": header, "chunks": []}
        else:
            found |= {"result": [], "logs": ["x" * 20_000] * 101}
        body = to_json({"jsonrpc": "2.0", "id": asked["id"], "result": found})
        return web.Response(body=body.replace(b'"result":[]', b'"result":' + octets))

    async with serve(query) as url, open_rpc([url], config=RpcConfig(max_body_bytes=256 * MIB, attempts=1)) as rpc:
        yield rpc


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_of_a_contracts_two_megabytes_the_beginning_is_read(answer: bytes) -> None:
    async with _node(answer) as rpc:
        returned = await run_view(rpc, ViewFunction(COUNTER, "get_num", b"{}"))
        note = f"cut: 262,144 of {len(answer):,} bytes shown"
        assert returned.cut == note
        assert isinstance(returned.value, str)
        assert returned.value.endswith(f"({note})")
        assert len(returned.value) <= 4 * 262_144 // 3 + 100
        assert sum(map(len, returned.logs)) <= 100 * 16_384
        told = CONTRACT_VIEW.answer(VIEW, returned, NO_FACTS, CONTEXT)
        assert told.endswith(f"({note})")
        assert len(told) < 2_000


async def test_no_fact_is_read_out_of_the_beginning_of_an_answer() -> None:
    """A number with blanks behind it is a number also when it is cut."""
    answer = b"1" + b" " * 262_144
    facts: tuple[FactRequest, ...] = (
        TokenFacts(COUNTER),
        StorageFacts(COUNTER, COUNTER),
        ViewFacts(COUNTER, "get_num"),
        PoolFacts(COUNTER, (COUNTER, COUNTER)),
    )
    async with _node(answer) as rpc:
        for request in facts:
            for asked in ((request,), (request, ViewFacts(COUNTER, "other"))):
                found = (await read_facts(rpc, asked)).values[request]
                assert isinstance(found, Absent)
                assert found.reason == "unreadable"
                assert f"{len(answer):,} bytes" in found.detail


def test_an_answer_of_many_values_is_kept_as_text() -> None:
    many = b"[" + b"{}," * 80_000 + b"{}]"
    assert decode_value(many) == many.decode()
    few = b"[" + b"{}," * (MAX_VALUES // 2 - 2) + b"{}]"
    assert decode_value(few) == json.loads(few)


@given(
    data=st.binary(max_size=200).map(lambda unit: unit * (30_000 // max(len(unit), 1))),
    most=st.integers(1, 40_000),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
)
def test_bytes_are_cut_before_they_are_parsed_and_are_the_same(
    data: bytes, most: int, separators: tuple[str, str]
) -> None:
    result = {"logs": ['"result":[1,2]', "]"], "result": list(data), "block_height": 7, "block_hash": "1" * 32}
    body = json.dumps({"jsonrpc": "2.0", "result": result, "id": "1"}, separators=separators).encode()
    plain = parse_answer(FunctionResult, 200, body, "1")
    found = parse_function_result(200, body, "1", most)
    assert found.logs == plain.logs
    if len(data) <= most or len(body) <= 16_384:
        assert (found.result, found.answer_bytes) == (plain.result, None)
    else:
        assert (found.result, found.answer_bytes) == (plain.result[:most], len(data))
