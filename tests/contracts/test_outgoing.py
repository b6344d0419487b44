"""The guard: where a request may go, after the name was resolved, at every hop, and with whose key."""

import re
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from contracts.outgoing import AddressRefused, Guard, open_session
from tests.fake_nodes import serve

ROOT = Path(__file__).parents[2]
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
async def session(guard: Guard, resolver: AbstractResolver | None = None) -> AsyncGenerator[aiohttp.ClientSession]:
    limits = aiohttp.ClientTimeout(total=5, connect=2)
    async with open_session(guard, timeout=limits, resolver=resolver) as opened:
        yield opened


def url_of(address: str, port: int = 80) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_private_address_is_refused_as_it_stands_and_behind_a_name(address: str) -> None:
    async with session(Guard([])) as http:
        with pytest.raises(AddressRefused):
            await http.get(url_of(address))
    async with session(Guard([]), FixedResolver(address)) as http:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await http.get("http://innocent.example.org/")
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
            async with http.post(named) as answer:
                assert await answer.text() == "hello"
            with pytest.raises(AddressRefused):
                await http.post(other)


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
    async with session(Guard([]), resolver) as http:
        connector = http.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        found = await connector._resolver.resolve("mixed.example.org", 80, socket.AF_UNSPEC)
    assert [one["host"] for one in found] == ["8.8.8.8"]


async def test_redirects_are_checked_and_lose_the_key_of_another_host() -> None:
    seen: list[tuple[str, str | None]] = []

    async def target(request: web.Request) -> web.Response:
        seen.append((request.host, request.headers.get("Authorization")))
        return web.Response(text="reached")

    async with AsyncExitStack() as stack:
        end = await stack.enter_async_context(serve(target))
        where = ""

        async def redirecting(_request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": where})

        begin = await stack.enter_async_context(serve(redirecting))
        async with session(Guard([begin, end])) as http:
            where = f"http://{METADATA}/latest/meta-data/"
            with pytest.raises(AddressRefused):
                await http.post(begin, headers={"Authorization": "Bearer KEY"})
            where = end
            async with http.post(begin, headers={"Authorization": "Bearer KEY"}) as answer:
                assert await answer.text() == "reached"
    assert [key for _, key in seen] == [None]


@given(st.ip_addresses(v=4).filter(lambda ip: not ip.is_global or ip.is_multicast))
def test_no_form_of_an_address_that_is_not_public_passes(address: object) -> None:
    guard = Guard([])
    for form in (f"{address}", f"::ffff:{address}", f"64:ff9b::{address}"):
        with pytest.raises(AddressRefused):
            guard.check_resolved("example.org", 80, form)


# ---- nobody goes past it

CLIENTS = re.compile(r"ClientSession\(|urllib\.request|urlopen|http\.client|httpx|requests\.(get|post)|open_connection")
ALLOWED = {
    "contracts/outgoing.py": "the guard itself",
    "contracts/signing/signer_client.py": "a Unix socket",
    "agent/models/openai_chat.py": "the openai package's exceptions; its session is the guard's",
    "agent/commands/client.py": "the daemon of the data folder, at the address in its own file",
    "agent/commands/doctor.py": "the same",
    "agent/commands/chain.py": "the same, for the embedded chain",
    "training/evaluation/run.py": "a child daemon on loopback",
}


def test_http_clients_are_made_behind_the_guard_alone() -> None:
    """So a URL that stands in a contract's metadata, a token's icon or an NFT's media is never fetched: nothing could."""
    found = {
        str(path.relative_to(ROOT))
        for package in ("contracts", "agent", "training")
        for path in (ROOT / package).rglob("*.py")
        if CLIENTS.search(path.read_text(encoding="utf-8"))
    }
    assert found <= set(ALLOWED)


def test_sessions_behind_the_guard_go_to_configured_addresses_only() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in ("contracts", "agent", "training")
        for path in (ROOT / package).rglob("*.py")
        if "outgoing import" in path.read_text(encoding="utf-8")
    }
    assert users == {
        "contracts/chain/rpc.py",
        "contracts/chain/transport.py",
        "agent/models/openai_chat.py",
        "agent/models/serving.py",
        "agent/commands/doctor.py",
    }
