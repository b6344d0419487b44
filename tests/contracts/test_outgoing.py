"""The guard: where a request may go, after the name was resolved, at every hop, and with whose key."""

import gzip
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from contracts.outgoing import (
    AddressRefused,
    AnswerRefused,
    AnswerTooLarge,
    Guard,
    GuardedResolver,
    GuardedSession,
    open_session,
)
from tests.endless import SOCKET_BUFFERS_BYTES, serving_endless
from tests.fake_nodes import serve

METADATA = "169.254.169.254"
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    METADATA,
    "100.100.100.200",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


class FixedResolver(AbstractResolver):
    """Every name is at these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None: ...


@asynccontextmanager
async def session(
    guard: Guard, resolver: AbstractResolver | None = None, *, timeout_s: float = 5.0, max_body_bytes: int = 10_000
) -> AsyncGenerator[GuardedSession]:
    async with open_session(
        guard, timeout_s=timeout_s, connect_timeout_s=2.0, max_body_bytes=max_body_bytes, resolver=resolver
    ) as opened:
        yield opened


def url_of(address: str, port: int = 80) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_private_address_is_refused_as_it_stands_and_behind_a_name(address: str) -> None:
    async with session(Guard([])) as http:
        with pytest.raises(AddressRefused):
            await http.request("GET", url_of(address))
    async with session(Guard([]), FixedResolver(address)) as http:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await http.request("GET", "http://innocent.example.org/")
    assert isinstance(caught.value.os_error, AddressRefused)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_not(address: str) -> None:
    guard = Guard([])
    guard.check_url(URL(url_of(address)))
    guard.check_resolved("example.org", 443, address)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "http:///"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        Guard([]).check_url(URL(url))


async def test_what_the_configuration_names_is_reached_that_host_and_port_only() -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with AsyncExitStack() as stack:
        named, other = [await stack.enter_async_context(serve(hello)) for _ in range(2)]
        async with session(Guard([named])) as http:
            assert (await http.request("POST", named)).body == b"hello"
            with pytest.raises(AddressRefused):
                await http.request("POST", other)


async def test_a_named_host_may_be_in_a_private_network_but_not_at_the_metadata_address() -> None:
    guard = Guard(["http://node.internal:3030"])
    guard.check_resolved("node.internal", 3030, "10.0.0.5")
    for host, port, address in (
        ("node.internal", 3030, METADATA),
        ("node.internal", 3030, "fe80::1"),
        ("node.internal", 80, "10.0.0.5"),
        ("other.internal", 3030, "10.0.0.5"),
    ):
        with pytest.raises(AddressRefused):
            guard.check_resolved(host, port, address)


async def test_of_several_addresses_the_private_ones_are_left_out() -> None:
    resolver = FixedResolver("10.0.0.1", "8.8.8.8", METADATA)
    found = await GuardedResolver(Guard([]), resolver).resolve("mixed.example.org", 80, socket.AF_UNSPEC)
    assert [one["host"] for one in found] == ["8.8.8.8"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_reaches_nobody(status: int) -> None:
    """Not even an address that the configuration names: a body sent there again would carry what was meant for another."""
    reached: list[str] = []

    async def target(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(text="reached")

    async with AsyncExitStack() as stack:
        end = await stack.enter_async_context(serve(target))

        async def redirecting(_request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": end})

        begin = await stack.enter_async_context(serve(redirecting))
        async with session(Guard([begin, end])) as http:
            answer = await http.request("POST", begin, data=b"secret", headers={"Authorization": "Bearer KEY"})
    assert (answer.status, answer.headers["location"]) == (status, end)
    assert reached == []


@pytest.mark.parametrize("announced_bytes", [10**9, None], ids=["with a length", "in chunks"])
async def test_a_body_without_end_is_cut_off_at_its_limit(announced_bytes: int | None) -> None:
    async with serving_endless(b"x" * 1000, announced_bytes=announced_bytes) as endless:
        async with session(Guard([endless.url]), max_body_bytes=50_000) as http:
            with pytest.raises(AnswerTooLarge, match="50000 bytes"):
                await http.request("GET", endless.url)
        await endless.left.wait()
    assert endless.sent_bytes < 50_000 + SOCKET_BUFFERS_BYTES


async def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query["bytes"]))

    async with serve(answer) as url, session(Guard([url]), max_body_bytes=100) as http:
        assert len((await http.request("POST", f"{url}?bytes=100")).body) == 100
        with pytest.raises(AnswerTooLarge):
            await http.request("POST", f"{url}?bytes=101")


@pytest.mark.parametrize("packing", ["gzip", "deflate", "br", "zstd", "x-gzip, gzip"])
async def test_a_packed_answer_is_refused_before_it_is_unpacked(packing: str) -> None:
    asked: list[str | None] = []
    bomb = gzip.compress(b"0" * 10_000_000)

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Accept-Encoding"))
        return web.Response(body=bomb, headers={"Content-Encoding": packing})

    async with serve(answer) as url, session(Guard([url]), max_body_bytes=50_000) as http:
        with pytest.raises(AnswerRefused, match="packed"):
            await http.request("POST", url, headers={"Accept-Encoding": "gzip"})
    assert asked == ["identity"]


async def test_a_byte_now_and_then_does_not_outlast_the_limit_of_the_whole_request() -> None:
    async with serving_endless(b"x", pause_s=0.02) as endless, session(Guard([endless.url]), timeout_s=0.3) as http:
        with pytest.raises(TimeoutError):
            await http.request("GET", endless.url)
        await endless.left.wait()
    assert endless.sent_bytes > 1, "it kept sending"


@given(st.ip_addresses(v=4).filter(lambda ip: not ip.is_global or ip.is_multicast))
def test_no_form_of_an_address_that_is_not_public_passes(address: object) -> None:
    guard = Guard([])
    for form in (f"{address}", f"::ffff:{address}", f"64:ff9b::{address}"):
        with pytest.raises(AddressRefused):
            guard.check_resolved("example.org", 80, form)
