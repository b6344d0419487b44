"""Which node is asked: hedged reads, pauses, limits, stale nodes, archives. Over real sockets where sockets matter."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from contracts.chain.endpoints import Endpoint, shown
from contracts.chain.pool import Health, Heights, Pool
from contracts.chain.rpc import open_rpc
from contracts.chain.transport import RpcConfig
from contracts.errors import RpcError
from contracts.outgoing import Guard
from tests.contracts.chain.test_rpc import ALICE, FAST, HASH, Net, Node, error, good, result, text
from tests.doubles import Clock


@pytest.fixture
async def net() -> AsyncGenerator[Net, None]:
    async with AsyncExitStack() as stack:
        yield Net(stack)


def pool(*urls: str, clock: Clock | None = None, lag: int = 10) -> Pool:
    return Pool.of([Endpoint.of(url) for url in urls], monotonic=clock or Clock(0.0), max_lag_blocks=lag)


A, B, C = "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"


async def stalling(request: dict[str, Any]) -> web.StreamResponse:
    await asyncio.sleep(30)
    return good(request)


HEDGED = RpcConfig(connect_timeout_s=2.0, request_timeout_s=5.0, attempts=1, hedge_floor_s=0.02)


async def test_a_stalling_node_is_passed_by_a_second_one(net: Net) -> None:
    first, second = Node([stalling]), Node([good])
    client = await net.client(first, second, config=HEDGED)
    assert (await client.account(ALICE)).amount == 5
    assert (len(first.seen), len(second.seen)) == (1, 1)
    assert (await client.account(ALICE)).amount == 5
    assert len(first.seen) == 1, "the one that answered is asked from then on"


async def test_of_two_that_are_asked_a_failure_waits_for_the_other(net: Net) -> None:
    async def late(request: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return good(request)

    client = await net.client(Node([late]), Node([text(502)]), config=HEDGED)
    assert (await client.account(ALICE)).amount == 5
    client = await net.client(Node([stalling]), Node([lambda r: error(r, "UNKNOWN_ACCOUNT")]), config=HEDGED)
    with pytest.raises(RpcError, match="UNKNOWN_ACCOUNT"):
        await client.account(ALICE)


async def test_sends_are_never_hedged(net: Net) -> None:
    async def late(request: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return result(request, {"final_execution_status": "NONE"})

    first, second = Node([late]), Node([late])
    client = await net.client(first, second, config=HEDGED)
    await client.send_tx(b"bytes", HASH)
    await client.tx(HASH, ALICE, "FINAL")
    assert (len(first.seen), len(second.seen)) == (2, 0)


async def test_an_old_block_is_looked_for_in_the_archive(net: Net) -> None:
    for missing in ("GARBAGE_COLLECTED_BLOCK", "UNKNOWN_BLOCK"):
        pruned, archive = Node([lambda r, missing=missing: error(r, missing)]), Node([good])
        urls = [await net.serve(pruned), await net.serve(archive)]
        nodes = [Endpoint.of(urls[0]), Endpoint(urls[1], "archive", archival=True)]
        client = await net.stack.enter_async_context(open_rpc(nodes, config=FAST))
        assert (await client.account(ALICE, 5)).amount == 5
        assert len(archive.seen) == 1
        with pytest.raises(RpcError, match=missing):
            await client.account(ALICE)
        assert len(archive.seen) == 1, "it is asked for nothing else"


async def test_a_nodes_pause_is_kept(net: Net) -> None:
    busy, idle = Node([text(429, Retry_After="30"), good]), Node([good])
    client = await net.client(busy, idle)
    for _ in range(3):
        await client.account(ALICE)
    assert (len(busy.seen), len(idle.seen)) == (1, 3)


async def test_a_stale_node_is_left_out(net: Net) -> None:
    def at(height: int) -> Node:
        account = {"amount": "5", "locked": "0", "code_hash": "1" * 32, "storage_usage": 1}
        return Node([lambda r: result(r, {**account, "block_height": height, "block_hash": HASH})])

    behind, ahead = at(100), at(1000)
    client = await net.client(ahead, behind)
    await client.account(ALICE)
    client.pool.failed(client.pool.health[0], 1e12)
    with pytest.raises(RpcError) as caught:
        await client.account(ALICE)
    assert caught.value.code == "STALE_NODE"
    assert "900 blocks behind" in caught.value.message
    client.pool.answered(client.pool.health[0], None)
    asked = len(behind.seen)
    assert (await client.account(ALICE)).block_height == 1000
    assert len(behind.seen) == asked


async def test_keys_of_providers_are_sent_and_never_shown(net: Net) -> None:
    seen: list[str | None] = []

    class Listening(Node):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            seen.append(request.headers.get("Authorization"))
            return await super().answer(request)

    url = await net.serve(Listening([lambda r: error(r, "UNKNOWN_ACCOUNT")]))
    for node in (
        Endpoint.of(url.replace("http://", "http://ann:SECRET@")),
        Endpoint.of(url + "?apiKey=SECRET").with_bearer("SECRET"),
    ):
        client = await net.stack.enter_async_context(open_rpc([node], config=FAST))
        with pytest.raises(RpcError) as caught:
            await client.account(ALICE)
        told = f"{caught.value} {caught.value.details} {node!r} {node.shown} {client.pool.health!r}"
        assert "SECRET" not in told
    assert seen == ["Basic YW5uOlNFQ1JFVA==", "Bearer SECRET"]
    with pytest.raises(RpcError) as caught:
        Endpoint.of("ftp://ann:SECRET@host/SECRET?x=SECRET")
    assert "SECRET" not in caught.value.message
    assert shown("https://ann:SECRET@host:1/SECRET?SECRET#SECRET") == "https://host:1"


async def test_an_address_that_the_guard_refuses_is_not_asked(net: Net) -> None:
    node = Node([good])
    url = await net.serve(node)
    client = await net.stack.enter_async_context(open_rpc([url], config=FAST, guard=Guard([])))
    for asking in (client.account(ALICE), client.send_tx(b"bytes", HASH)):
        with pytest.raises(RpcError) as caught:
            await asking
        assert (caught.value.code, caught.value.sent) == ("ADDRESS_REFUSED", False)
    assert node.seen == []


async def test_a_redirect_to_the_metadata_address_is_an_answer_and_not_followed(net: Net) -> None:
    node = Node([text(307, "", Location="http://169.254.169.254/latest/meta-data/")])
    with pytest.raises(RpcError) as caught:
        await (await net.client(node)).account(ALICE)
    assert (caught.value.code, caught.value.details["status"]) == ("HTTP_STATUS", 307)


# ---- the pool alone


def test_a_node_at_fault_is_avoided_longer_each_time() -> None:
    clock = Clock(0.0)
    nodes = pool(A, B, clock=clock)
    first, second = nodes.health
    assert nodes.choose() is first
    for pause_s in (0.5, 1.0, 2.0):
        nodes.failed(first, None)
        assert first.not_before == clock.now + pause_s
        assert nodes.choose() is second
    nodes.failed(second, 60.0)
    assert nodes.choose() is first, "the one that is ready first"
    nodes.answered(first, 0.1)
    assert (first.failures, first.not_before) == (0, 0.0)


def test_of_two_that_fail_none_is_asked_twice_in_a_row() -> None:
    """Whichever is preferred sooner: one that has failed often before rests longer than one that fails for the first time."""
    clock = Clock(0.0)
    nodes = pool(A, B, clock=clock)
    often, seldom = nodes.health
    for _ in range(5):
        nodes.failed(often, None)
    asked: list[Health] = []
    for _ in range(8):
        clock.now += 0.05
        asked.append(nodes.choose())
        nodes.failed(asked[-1], None)
    assert asked == [seldom, often] * 4


def test_a_failing_node_is_left_for_one_that_waits_for_its_turn() -> None:
    clock = Clock(0.0)
    limited = Endpoint(A, "one", requests_per_s=1.0)
    nodes = Pool.of([limited, Endpoint.of(B)], monotonic=clock, max_lag_blocks=1)
    first, second = nodes.health
    nodes.begin(first)
    nodes.failed(second, None)
    assert nodes.choose() is first
    assert (nodes.rest_s(first), nodes.wait_s(first)) == (0.0, 1.0), "its turn is waited for, and nothing else"


def test_a_failing_node_is_left_for_one_that_was_behind() -> None:
    clock = Clock(0.0)
    nodes = pool(A, B, clock=clock)
    behind, other = nodes.health
    nodes.saw(other, 1000)
    with pytest.raises(RpcError, match="blocks behind"):
        nodes.saw(behind, 10)
    nodes.failed(behind, None)
    clock.now += 1.0
    nodes.failed(other, None)
    assert nodes.choose() is behind
    assert nodes.rest_s(behind) > 0, "after a pause"


def test_a_pause_that_a_node_asks_for_is_kept_also_while_the_other_one_fails() -> None:
    clock = Clock(0.0)
    nodes = pool(A, B, clock=clock)
    asking, other = nodes.health
    nodes.failed(asking, 30.0)
    for _ in range(4):
        assert nodes.choose() is other
        nodes.failed(other, None)
        clock.now += 0.1
    clock.now = 30.0
    assert nodes.choose() is asking


def test_operators_are_left_out_of_one_question() -> None:
    nodes = pool("http://a.one.org", "http://b.one.org", "http://two.org")
    (one, two) = nodes.operators()
    assert nodes.choose(without={one}).endpoint.operator == two
    assert nodes.serves_without({one})
    assert not nodes.serves_without({one, two})
    assert not nodes.other_ready(nodes.health[2], without={one})


def test_a_much_slower_node_is_left_for_a_faster_one() -> None:
    nodes = pool(A, B)
    first, second = nodes.health
    for _ in range(6):
        nodes.answered(second, 0.05)
        nodes.answered(first, 0.9)
    assert nodes.choose() is second
    assert 0.9 <= first.hedge_after_s <= 2.0
    for _ in range(50):
        nodes.answered(first, 0.06)
    assert nodes.choose() is first, "a little slower is not worth a change"


def test_a_limit_is_kept() -> None:
    clock = Clock(0.0)
    endpoint = Endpoint("http://127.0.0.1:1", "one", requests_per_s=10.0)
    nodes = Pool.of([endpoint, Endpoint.of(B)], monotonic=clock, max_lag_blocks=1)
    limited, other = nodes.health
    nodes.begin(limited)
    assert nodes.choose() is other
    assert nodes.wait_s(limited) == pytest.approx(0.1)
    clock.now = 0.1
    assert nodes.wait_s(limited) == 0.0
    assert nodes.choose() is limited


def test_archives_are_asked_only_where_there_is_nothing_else() -> None:
    archive = Endpoint(A, "archive", archival=True)
    nodes = Pool.of([archive, Endpoint.of(B)], monotonic=Clock(0.0), max_lag_blocks=1)
    assert nodes.choose().endpoint.url == B
    nodes.leave_out(nodes.health[1], "of another chain")
    assert nodes.choose().endpoint is archive
    nodes.leave_out(nodes.health[0], "of another chain")
    with pytest.raises(RpcError) as caught:
        nodes.choose()
    assert (caught.value.code, caught.value.sent) == ("NO_NODES", False)
    assert "of another chain" in caught.value.message


def test_operators_share_what_is_known() -> None:
    nodes = pool("http://a.one.org", "http://b.one.org", "http://two.org")
    one, two = nodes.operators().values()
    nodes.failed(nodes.health[0], None)
    assert one.choose().endpoint.url == "http://b.one.org"
    two.saw(two.health[0], 500)
    with pytest.raises(RpcError, match="blocks behind"):
        one.saw(one.health[1], 400)


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=6), st.integers(10**9, 10**15))
def test_one_operator_cannot_make_the_others_stale(heights: list[int], made_up: int) -> None:
    """Of three operators and more, the second highest counts."""
    told = Heights({str(number): height for number, height in enumerate(heights)})
    honest = max(heights)
    told.by_operator["liar"] = made_up
    assert told.reference() == honest


def test_health_shows_no_address() -> None:
    assert "SECRET" not in repr(Health(Endpoint.of("https://host/SECRET?apiKey=SECRET")))
