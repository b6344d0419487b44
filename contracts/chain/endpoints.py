"""RPC addresses: who runs them, what they may be asked, and how they are shown without a provider's key."""

import base64
import ipaddress
from dataclasses import dataclass, field, replace

from yarl import URL

from contracts.errors import RpcError


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str = field(repr=False)
    """May hold a provider's key: never shown. User and password are in `authorization`."""
    operator: str
    """Who runs it: as configured, else as far as the address tells. Shown in messages."""
    archival: bool = False
    """Keeps every block; asked where others have thrown one away."""
    requests_per_s: float | None = None
    """What the provider allows; None: no limit is known."""
    authorization: str | None = field(default=None, repr=False)
    """The header's value."""

    @classmethod
    def of(cls, url: str, operator: str | None = None) -> "Endpoint":
        """RpcError `BAD_ADDRESS` for anything but an http or https URL; the message shows no key."""
        try:
            parsed = URL(url)
        except ValueError:
            parsed = URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise RpcError("BAD_ADDRESS", f"{shown(url)!r} is not an http(s) address of an RPC node", sent=False)
        authorization = None
        if parsed.user is not None or parsed.password is not None:
            pair = f"{parsed.user or ''}:{parsed.password or ''}".encode()
            authorization = f"Basic {base64.b64encode(pair).decode()}"
        plain = str(parsed.with_user(None)) if authorization else url
        return cls(plain, operator or operator_of(parsed.host, parsed.port), authorization=authorization)

    def with_bearer(self, token: str) -> "Endpoint":
        """The same, opened by a provider's key in a header."""
        return replace(self, authorization=f"Bearer {token}")

    @property
    def shown(self) -> str:
        """Scheme, host and port."""
        return shown(self.url)


def shown(url: str) -> str:
    """An address without what may hold a key: its user, path, query and fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "an address without a scheme"
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{scheme[:16]}://{host[:253]}"


def operator_of(host: str, port: int | None) -> str:
    """`fastnear.com` for all its hosts. For an IP address or localhost, the port is part of the name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        return ".".join(labels[-2:]) if len(labels) > 1 else f"{host}:{port}"
    return f"{host}:{port}"
