"""Outgoing HTTP: the one session that every request to another server goes through, and the guard in front of it.

Where a request may go: addresses of this machine, of private networks, link-local and cloud-metadata ones are refused,
after the name was resolved, unless the configuration names that very host and port. The address that was checked is the one
that is connected to. A name in the configuration may lead into a private network, but never to link-local or metadata
addresses. A redirect is an answer; it is never followed.

What comes back: at most `max_body_bytes`, counted as they arrive and before anything is unpacked or parsed, within one time
limit for the whole request. A server that sends a byte a second, a body without end or a small one that unpacks into a large
one is cut off.
"""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Final, Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
"""Where clouds hand out credentials to whoever asks from inside."""


class AddressRefused(aiohttp.ClientConnectionError, OSError):
    """The guard does not let a request go there; nothing was sent. The message names host and address."""


class AnswerRefused(aiohttp.ClientError):
    """An answer was cut off before it was read: too many bytes, or packed although that was not asked for."""


class AnswerTooLarge(AnswerRefused):
    """The body is larger than `limit_bytes`; the connection was closed."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the answer is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


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
        """Check each request of a session."""
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


@dataclass(frozen=True, slots=True)
class Received:
    """A whole answer, within the limits of its session."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class GuardedSession:
    """Bounded requests to guarded addresses over shared connections, without cookies. Safe for concurrent use."""

    def __init__(self, http: aiohttp.ClientSession, max_body_bytes: int) -> None:
        self._http = http
        self._max_body_bytes = max_body_bytes

    async def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Received:
        """Send one request and return its answer, whatever its status is.

        Raises AddressRefused (by itself, or as the `os_error` of an aiohttp.ClientConnectorError if a name leads there),
        AnswerRefused, TimeoutError if the whole took longer than the session's limit, and aiohttp's other errors.
        """
        # A packed answer is as large as it likes once it is unpacked: none is asked for, and none is taken.
        sent = CIMultiDict(headers or {})
        sent["Accept-Encoding"] = "identity"
        async with self._http.request(
            method, URL(url), data=data, headers=sent, allow_redirects=False, auto_decompress=False
        ) as answer:
            packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
            if packed not in {"", "identity"}:
                answer.close()
                raise AnswerRefused(f"the answer is packed ({packed[:20]!r}), which was not asked for")
            return Received(answer.status, answer.headers, await self._body(answer))

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        if (answer.content_length or 0) <= self._max_body_bytes:
            async for part in answer.content.iter_any():
                body += part
                if len(body) > self._max_body_bytes:
                    break
            else:
                return bytes(body)
        answer.close()
        raise AnswerTooLarge(self._max_body_bytes)

    async def close(self) -> None:
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_session(
    guard: Guard,
    *,
    timeout_s: float,
    connect_timeout_s: float,
    max_body_bytes: int,
    connections: int = 32,
    headers: Mapping[str, str] | None = None,
    resolver: AbstractResolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> GuardedSession:
    """Return a session to be closed. Has to be called in a running event loop.

    `timeout_s` limits each request as a whole, from its turn among `connections` to the last byte of its answer;
    `max_body_bytes` is the largest answer that is read.
    """
    inner = resolver or aiohttp.ThreadedResolver()
    return GuardedSession(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, resolver=GuardedResolver(guard, inner), ssl=ssl_context or True
            ),
            timeout=aiohttp.ClientTimeout(total=timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            middlewares=(guard.middleware,),
        ),
        max_body_bytes,
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
