"""The one guard for outgoing HTTP: where a request may go whose address comes from configuration or from documents.

Addresses of this machine, of private networks, link-local and cloud-metadata ones are refused, after the name was resolved
and at every hop, unless the configuration names that very host and port. The address that was checked is the one that is
connected to. A name in the configuration may lead into a private network, but never to link-local or metadata addresses.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
"""Where clouds hand out credentials to whoever asks from inside."""


class AddressRefused(aiohttp.ClientConnectionError, OSError):
    """The guard does not let a request go there; nothing was sent. The message names host and address."""


class Guard:
    """Decides by host, port and address. `named` are the addresses (URLs) that the configuration names."""

    def __init__(self, named: Iterable[str]) -> None:
        urls = [URL(address) for address in named]
        self._named = frozenset((_plain(url.host), url.port) for url in urls if url.host)

    def check_url(self, url: URL) -> None:
        """AddressRefused for another scheme than http and https, or an IP address that may not be reached."""
        if url.scheme not in {"http", "https"} or not url.host:
            raise AddressRefused(f"{url.scheme or 'no scheme'}: only http and https addresses are requested")
        address = _ip(url.host)
        if address is not None and not self.names(url.host, url.port):
            self._check(url.host, address, named=False)

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """AddressRefused where a host's address may not be reached."""
        found = _ip(address)
        if found is None:
            raise AddressRefused(f"{host} resolves to {address!r}, which is no IP address")
        self._check(host, found, named=self.names(host, port))

    def names(self, host: str, port: int | None) -> bool:
        """Whether the configuration names this host and port."""
        return (_plain(host), port) in self._named

    def _check(self, host: str, address: IpAddress, *, named: bool) -> None:
        for one in _meant(address):
            local = one.is_link_local or one.is_unspecified or one.is_multicast or one in _METADATA
            if local or not (named or one.is_global):
                raise AddressRefused(
                    f"{host} leads to {address}, which is not an address of the public internet; "
                    "a host in a private network has to be named in the configuration"
                )

    async def middleware(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """For each request of a session, and for each redirect that it follows."""
        self.check_url(request.url)
        return await handler(request)


class GuardedResolver(AbstractResolver):
    """Resolves, and leaves out what the guard refuses."""

    def __init__(self, guard: Guard, inner: AbstractResolver) -> None:
        self._guard = guard
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses that may be reached; AddressRefused where none may."""
        refused: AddressRefused | None = None
        allowed: list[ResolveResult] = []
        for found in await self._inner.resolve(host, port, family):
            try:
                self._guard.check_resolved(host, port, found["host"])
            except AddressRefused as error:
                refused = error
            else:
                allowed.append(found)
        if refused is not None and not allowed:
            raise refused
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def open_session(
    guard: Guard,
    *,
    timeout: aiohttp.ClientTimeout,
    connections: int = 32,
    headers: dict[str, str] | None = None,
    resolver: AbstractResolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """A guarded HTTP session without cookies. Redirects that a request follows are checked too, and lose its key where they
    lead to another host.
    """
    inner = resolver or aiohttp.ThreadedResolver()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections, resolver=GuardedResolver(guard, inner), ssl=ssl_context or True
        ),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        middlewares=(guard.middleware,),
    )


def _plain(host: str | None) -> str:
    return (host or "").lower().rstrip(".")


@lru_cache(maxsize=256)
def _ip(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _meant(address: IpAddress) -> tuple[IpAddress, ...]:
    """The address, and the IPv4 address that it stands for in a mapped, translated or tunnelled form."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inner = [address.ipv4_mapped, address.sixtofour, address.teredo[1] if address.teredo else None]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    meant = tuple(one for one in inner if one is not None)
    # A mapped address is the IPv4 address itself.
    return meant if address.ipv4_mapped is not None else (address, *meant)
