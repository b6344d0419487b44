"""The RPC client over real sockets: which node is asked, how often, for how long, and what counts as sent."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from contracts.chain.endpoints import Endpoint
from contracts.chain.rpc import RpcClient, open_rpc
from contracts.chain.transport import RpcConfig
from contracts.errors import RpcError
from contracts.rpc_meanings import ABOUT, About, about
from contracts.types import AccountId, CryptoHash
from tests.fake_nodes import serve

ALICE = AccountId("alice.near")
HASH = CryptoHash.of(b"block")
OLDER = CryptoHash.of(b"older block")
ACCOUNT = {
    "amount": "5",
    "locked": "0",
    "code_hash": "1" * 32,
    "storage_usage": 1,
    "block_height": 7,
    "block_hash": HASH,
}
FAST = RpcConfig(
    connect_timeout_s=0.5,
    request_timeout_s=0.5,
    max_body_bytes=20_000,
    attempts=3,
    backoff_s=0.001,
    max_backoff_s=0.002,
    retry_after_cap_s=0.01,
    hedge_floor_s=10.0,
)
NO_PAUSES = replace(FAST, backoff_s=60.0, max_backoff_s=60.0, retry_after_cap_s=60.0)
"""A pause is a test that does not end."""
DEAD = "http://127.0.0.1:9/"

Handler = Callable[[dict[str, Any]], web.StreamResponse | Awaitable[web.StreamResponse]]


def result(request: dict[str, Any], value: object) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": request["id"], "result": value})


def error(request: dict[str, Any], name: str, status: int = 200) -> web.Response:
    body: dict[str, Any] = {"name": "HANDLER_ERROR", "cause": {"name": name, "info": {}}, "message": "x", "data": name}
    return web.json_response({"jsonrpc": "2.0", "id": request["id"], "error": body}, status=status)


@dataclass
class Node:
    """Answers with each handler in turn, the last one for ever."""

    handlers: list[Handler]
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        answer = handler(body)
        return answer if isinstance(answer, web.StreamResponse) else await answer


class Net:
    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def serve(self, node: "Node") -> str:
        return await self.stack.enter_async_context(serve(node.answer))

    async def client(self, *nodes: Node | str, config: RpcConfig = FAST) -> RpcClient:
        urls = [node if isinstance(node, str) else await self.serve(node) for node in nodes]
        return await self.stack.enter_async_context(open_rpc(urls, config=config))


@pytest.fixture
async def net() -> AsyncGenerator[Net, None]:
    async with AsyncExitStack() as stack:
        yield Net(stack)


def good(request: dict[str, Any]) -> web.Response:
    return result(request, ACCOUNT)


def text(status: int, body: str = "<html>no</html>", **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: web.Response(status=status, text=body, content_type="text/html", headers=named)


async def test_what_is_known_of_a_block_is_not_asked_again(net: Net) -> None:
    node = Node([good])
    client = await net.client(node)
    told = await client.account(ALICE)
    assert await client.account(ALICE, HASH) == told
    assert len(node.seen) == 1, "the answer for the final block named this one"
    await client.account(ALICE)
    await client.account(AccountId("bob.near"), HASH)
    await client.account(ALICE, 7)
    assert len(node.seen) == 4, "the final block moves on, others have their own state, a height can be another chain's"
    for _, of_one in client.operators():
        await of_one.account(ALICE, HASH)
    assert len(node.seen) == 5, "what operators are asked to agree on is asked of each"
    await client.account(ALICE, OLDER)
    await client.account(ALICE, OLDER)
    assert len(node.seen) == 7, "an answer about another block than asked for is not kept under the one asked for"


async def test_a_gas_price_is_kept_for_about_a_block(net: Net) -> None:
    prices = iter(range(1, 9))
    node = Node([lambda request: result(request, {"gas_price": str(next(prices))})])
    client = await net.client(node)
    assert [await client.gas_price() for _ in range(3)] == [1, 1, 1]
    fresh = await net.client(node, config=replace(FAST, gas_price_age_s=0))
    assert [await fresh.gas_price() for _ in range(3)] == [2, 3, 4]


async def test_requests_are_json_rpc_with_object_params_and_own_ids(net: Net) -> None:
    node = Node([good])
    client = await net.client(node)
    await client.account(ALICE)
    await client.account(ALICE, 17)
    await client.account(ALICE, OLDER)
    await client.account(ALICE, "optimistic")
    params = [seen["params"] for seen in node.seen]
    assert params[0] == {"request_type": "view_account", "finality": "final", "account_id": ALICE}
    assert [given.get("block_id") for given in params] == [None, 17, OLDER, None]
    assert params[3]["finality"] == "optimistic"
    assert len({seen["id"] for seen in node.seen}) == 4


RETRIED: list[Handler] = [
    lambda request: error(request, "UNKNOWN_BLOCK", 422),
    lambda request: error(request, "INTERNAL_ERROR", 500),
    lambda request: error(request, "TIMEOUT_ERROR", 408),
    text(502),
    text(429, Retry_After="3600"),
    text(200),
    lambda _request: web.json_response({"jsonrpc": "2.0", "id": "another", "result": ACCOUNT}),
    lambda request: result(request, {**ACCOUNT, "amount": 1.5}),
    lambda request: result(request, {**ACCOUNT, "account": "x" * 30_000}),
]


@pytest.mark.parametrize("bad", RETRIED)
async def test_what_another_try_can_help_is_tried_again(bad: Handler, net: Net) -> None:
    node = Node([bad, good])
    assert (await (await net.client(node)).account(ALICE)).amount == 5
    assert len(node.seen) == 2


@pytest.mark.parametrize("bad", RETRIED)
async def test_another_node_answers_for_a_bad_one(bad: Handler, net: Net) -> None:
    first, second = Node([bad]), Node([good])
    client = await net.client(first, second)
    for _ in range(3):
        assert (await client.account(ALICE)).amount == 5
    assert (len(first.seen), len(second.seen)) == (1, 3), "the node that answered is asked from then on"


def names_about(subject: About) -> list[str]:
    return [name for name, found in ABOUT.items() if found == subject]


@pytest.mark.parametrize("name", names_about("chain"))
async def test_a_fact_of_the_chain_is_asked_for_once(name: str, net: Net) -> None:
    node, other = Node([lambda request: error(request, name)]), Node([good])
    with pytest.raises(RpcError) as caught:
        await (await net.client(node, other)).account(ALICE)
    assert (caught.value.code, caught.value.retryable) == (name, False)
    assert str(caught.value.details["node"]).startswith("127.0.0.1:")
    assert (len(node.seen), len(other.seen)) == (1, 0)


def old_form(number: int) -> Callable[[dict[str, Any]], web.Response]:
    """A provider's own error, without a cause."""

    def answer(request: dict[str, Any], status: int = 200) -> web.Response:
        body = {"code": number, "message": "the method does not exist/is not available"}
        return web.json_response({"jsonrpc": "2.0", "id": request["id"], "error": body}, status=status)

    return answer


NOT_SERVED: list[Handler] = [
    *[lambda request, name=name: error(request, name) for name in ("METHOD_NOT_FOUND", "PARSE_ERROR", "NEW_NAME")],
    lambda request: error(request, "METHOD_NOT_FOUND", 501),
    old_form(-32601),
    lambda request: web.json_response(
        {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}}, status=501
    ),
    old_form(-32700),
    old_form(-32602),
    *[text(status) for status in (307, 400, 401, 403, 404, 405, 501)],
]


@pytest.mark.parametrize("bad", NOT_SERVED)
async def test_method_that_a_provider_does_not_serve_is_asked_of_each_other_operator_once(
    bad: Handler, net: Net
) -> None:
    nodes = [Node([bad]), Node([bad]), Node([good])]
    client = await net.client(*nodes, config=NO_PAUSES)
    assert (await client.account(ALICE)).amount == 5
    assert [len(node.seen) for node in nodes] == [1, 1, 1]
    assert (await client.account(ALICE)).amount == 5
    assert [len(node.seen) for node in nodes] == [1, 1, 2], "the one that serves it is asked from then on"


@pytest.mark.parametrize("bad", NOT_SERVED)
async def test_where_nobody_serves_it_everybody_is_asked_once(bad: Handler, net: Net) -> None:
    nodes = [Node([bad]) for _ in range(6)]
    with pytest.raises(RpcError) as caught:
        await (await net.client(*nodes, config=NO_PAUSES)).account(ALICE)
    assert about(caught.value) == "provider"
    assert not caught.value.retryable
    assert [len(node.seen) for node in nodes] == [1] * 6, "more than the attempts that failures which pass have"


async def test_while_one_provider_does_not_serve_it_the_other_ones_failures_are_waited_for(net: Net) -> None:
    without, busy = Node([lambda request: error(request, "METHOD_NOT_FOUND")]), Node([text(502), text(502), good])
    assert (await (await net.client(without, busy)).account(ALICE)).amount == 5
    assert (len(without.seen), len(busy.seen)) == (1, 3)


async def test_two_nodes_that_fail_take_turns(net: Net) -> None:
    first, second = Node([text(502)]), Node([text(502)])
    client = await net.client(first, second, config=replace(FAST, attempts=4))
    for _ in range(5):
        client.pool.failed(client.pool.health[0], None)
    with pytest.raises(RpcError):
        await client.account(ALICE)
    assert (len(first.seen), len(second.seen)) == (2, 2)


async def test_old_blocks_are_looked_for_on_another_node(net: Net) -> None:
    pruned, archival = Node([lambda request: error(request, "GARBAGE_COLLECTED_BLOCK")]), Node([good])
    assert (await (await net.client(pruned, archival)).account(ALICE, 5)).amount == 5
    with pytest.raises(RpcError, match="GARBAGE"):
        await (await net.client(pruned)).account(ALICE, 5)


async def test_attempts_end(net: Net) -> None:
    node = Node([text(503)])
    with pytest.raises(RpcError) as caught:
        await (await net.client(node)).account(ALICE)
    assert (caught.value.code, caught.value.details["status"]) == ("HTTP_STATUS", 503)
    assert len(node.seen) == 3


async def test_an_answer_that_is_too_large_is_cut_off(net: Net) -> None:
    async def endless(_request: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=b"[" * 10_000_000)

    with pytest.raises(RpcError) as caught:
        await (await net.client(Node([endless]))).account(ALICE)
    assert (caught.value.code, caught.value.details["limit_bytes"]) == ("TOO_LARGE", 20_000)


async def test_a_silent_node_is_not_waited_for_long(net: Net) -> None:
    async def silent(_request: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    config = RpcConfig(connect_timeout_s=0.1, request_timeout_s=0.1, attempts=1)
    with pytest.raises(RpcError) as caught:
        await (await net.client(Node([silent]), config=config)).account(ALICE)
    assert (caught.value.code, caught.value.sent, caught.value.retryable) == ("TRANSPORT", True, True)


async def test_redirects_are_not_followed(net: Net) -> None:
    target = Node([good])
    url = await net.stack.enter_async_context(serve(target.answer))
    node = Node([text(307, "", Location=url)])
    with pytest.raises(RpcError) as caught:
        await (await net.client(node)).account(ALICE)
    assert (caught.value.code, caught.value.details["status"]) == ("HTTP_STATUS", 307)
    assert target.seen == []


async def test_not_sent_means_that_no_connection_was_made(net: Net) -> None:
    client = await net.client(DEAD)
    with pytest.raises(RpcError) as caught:
        await client.send_tx(b"bytes", HASH)
    assert (caught.value.code, caught.value.sent) == ("TRANSPORT", False)
    written: list[str] = []
    node = Node([text(502)])
    with pytest.raises(RpcError) as caught:
        await (await net.client(node)).send_tx(b"bytes", HASH, on_written=lambda: written.append("now"))
    assert caught.value.sent
    assert written == ["now"]


async def test_a_send_is_one_request_and_the_next_goes_elsewhere(net: Net) -> None:
    first, second = Node([text(502)]), Node([lambda request: result(request, {"final_execution_status": "NONE"})])
    client = await net.client(first, second)
    with pytest.raises(RpcError):
        await client.send_tx(b"x" * 2_000_000, HASH)
    assert (len(first.seen), len(second.seen)) == (1, 0)
    assert (await client.send_tx(b"bytes", HASH, "NONE")).final_execution_status == "NONE"
    assert second.seen[0]["params"] == {"signed_tx_base64": "Ynl0ZXM=", "wait_until": "NONE"}


async def test_a_refusal_keeps_the_node(net: Net) -> None:
    refusal = {"TxExecutionError": {"InvalidTxError": "InvalidSignature"}}

    def refuse(request: dict[str, Any]) -> web.Response:
        body: dict[str, Any] = {"cause": {"name": "INVALID_TRANSACTION", "info": {}}, "data": refusal}
        return web.json_response({"jsonrpc": "2.0", "id": request["id"], "error": body})

    first, second = Node([refuse]), Node([good])
    client = await net.client(first, second)
    for _ in range(2):
        with pytest.raises(RpcError, match="InvalidSignature"):
            await client.send_tx(b"bytes", HASH)
    assert (len(first.seen), len(second.seen)) == (2, 0)


async def test_what_a_kill_point_raises_comes_out(net: Net) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    node = Node([lambda request: result(request, {"final_execution_status": "NONE"})])
    with pytest.raises(Stop):
        await (await net.client(node)).send_tx(b"bytes", HASH, on_written=stop)


async def test_an_answer_about_another_transaction_is_no_answer(net: Net) -> None:
    other = {"hash": CryptoHash.of(b"other"), "signer_id": ALICE, "public_key": "k", "nonce": 1, "receiver_id": ALICE}
    told: dict[str, Any] = {
        "final_execution_status": "FINAL",
        "status": {"SuccessValue": ""},
        "transaction": {**other, "actions": []},
    }
    client = await net.client(Node([lambda request: result(request, told)]))
    for asked in (client.tx(HASH, ALICE), client.experimental_tx_status(HASH, ALICE), client.send_tx(b"", HASH)):
        with pytest.raises(RpcError) as caught:
            await asked
        assert caught.value.code == "BAD_ANSWER"


async def test_waiting_for_a_level_is_one_request(net: Net) -> None:
    node = Node([lambda request: error(request, "TIMEOUT_ERROR", 408)])
    with pytest.raises(RpcError):
        await (await net.client(node)).tx(HASH, ALICE, "FINAL")
    assert len(node.seen) == 1


async def test_long_key_lists_are_read_page_by_page(net: Net) -> None:
    def key(number: int) -> dict[str, Any]:
        return {"public_key": f"ed25519:{number}", "access_key": {"nonce": number, "permission": "FullAccess"}}

    def page(request: dict[str, Any]) -> web.Response:
        asked = request["params"]
        if "limit" not in asked:
            return error(request, "TOO_MANY_ACCESS_KEYS")
        start = int(asked.get("after_key", "ed25519:-1").partition(":")[2]) + 1
        keys = [key(number) for number in range(start, min(start + 100, 250))]
        more = {"last_key": keys[-1]["public_key"]} if start + 100 < 250 else {}
        return result(request, {"keys": keys, "block_height": 7, "block_hash": HASH, **more})

    node = Node([page])
    listed = await (await net.client(node)).access_keys(ALICE)
    assert [item.nonce for item in listed.keys] == list(range(250))
    assert [seen["params"].get("block_id") for seen in node.seen] == [None, None, HASH, HASH]


async def test_pages_that_never_end_are_given_up(net: Net) -> None:
    item = {"public_key": "ed25519:1", "access_key": {"nonce": 1, "permission": "FullAccess"}}
    same = {"keys": [item], "last_key": "ed25519:1", "block_height": 7, "block_hash": HASH}
    with pytest.raises(RpcError) as caught:
        await (await net.client(Node([lambda request: result(request, same)]))).access_keys(ALICE)
    assert caught.value.code == "TOO_LARGE"


async def test_the_protocol_config_is_kept_for_its_time(net: Net) -> None:
    sample = Path(__file__).parents[2] / "vectors" / "rpc" / "protocol_config.json"
    config = json.loads(sample.read_text())["response"]["result"]
    node = Node([lambda request: result(request, config)])
    client = await net.client(node)
    assert await client.protocol_config() == await client.protocol_config()
    assert len(node.seen) == 1
    fresh = await net.client(node, config=RpcConfig(protocol_config_age_s=0))
    await fresh.protocol_config()
    await fresh.protocol_config()
    assert len(node.seen) == 3


async def test_many_at_once(net: Net) -> None:
    node = Node([good])
    client = await net.client(node)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.account(ALICE)) for _ in range(50)]
    assert all(task.result().amount == 5 for task in tasks)
    assert len({seen["id"] for seen in node.seen}) == 50


def test_addresses_are_grouped_by_operator() -> None:
    operators = {
        "https://free.rpc.fastnear.com": "fastnear.com",
        "https://rpc.mainnet.fastnear.com/?apiKey=SECRET": "fastnear.com",
        "https://near.lava.build": "lava.build",
        "http://127.0.0.1:3030": "127.0.0.1:3030",
        "http://[::1]:3030": "::1:3030",
        "http://localhost:3030/": "localhost:3030",
    }
    assert {url: Endpoint.of(url).operator for url in operators} == operators
    for wrong in ("ftp://near.org", "near.org", "", "http://"):
        with pytest.raises(RpcError) as caught:
            Endpoint.of(wrong)
        assert caught.value.code == "BAD_ADDRESS"


async def test_operators_have_their_own_nodes() -> None:
    urls = ["http://127.0.0.1:1", "http://a.example.org", "http://b.example.org"]
    async with open_rpc(urls) as client:
        assert [(name, len(rpc.pool.health)) for name, rpc in client.operators()] == [
            ("127.0.0.1:1", 1),
            ("example.org", 2),
        ]
    with pytest.raises(RpcError, match="no RPC address"):
        async with open_rpc([]):
            pass


async def test_a_providers_key_is_in_no_message(net: Net) -> None:
    client = await net.client("http://127.0.0.1:9/?apiKey=SECRET")
    with pytest.raises(RpcError) as caught:
        await client.account(ALICE)
    assert "SECRET" not in f"{caught.value} {caught.value.details} {caught.value.__cause__}"
