"""The one reader of request bodies: bounded in bytes, seconds and JSON values for each identity, before they are parsed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

from agent.errors import DaemonError, RequestError
from agent.frontends.pace import Pace
from agent.frontends.shares import Shares
from agent.limits import Limits
from contracts.strict_json import count_values


class Bodies:
    """Bodies in memory, counted against the identity whose key came with the headers."""

    def __init__(self, limits: Limits, pace: Pace) -> None:
        self._limits = limits
        self._pace = pace
        factor = limits.shared_key_factor
        self._open = Shares("bodies are being received", each=limits.bodies, shared_key_factor=factor)
        self._bytes = Shares(
            "bytes of bodies are in memory",
            each=limits.body_bytes,
            shared_key_factor=factor,
            in_all=limits.body_bytes_in_all,
        )

    def held_bytes(self, identity: str) -> int:
        """Bytes of bodies that are in memory for this identity."""
        return self._bytes.of(identity)

    @asynccontextmanager
    async def read(self, http: web.Request, identity: str) -> AsyncGenerator[bytes]:
        """The whole body, JSON of a bounded number of values; it counts as held until the block ends, which only parses it.

        RequestError `body_too_large`, `body_timeout` or `too_many_requests`; DaemonError `busy`.
        """
        limits = self._limits
        if (http.content_length or 0) > limits.max_body_bytes:
            raise _too_large(limits.max_body_bytes)
        await self._pace.turn(identity, http.content_length or 0)
        body = bytearray()
        try:
            with self._open.taken(identity):
                await self._receive(http, identity, body)
                with self._pace.parsing(identity):
                    _check_values(body, limits.max_json_values)
                    yield bytes(body)
        except (RequestError, DaemonError):
            self._pace.refused(identity)
            raise
        finally:
            self._bytes.give_back(identity, len(body))

    async def _receive(self, http: web.Request, identity: str, body: bytearray) -> None:
        """Add to `body` what arrives; each of its bytes is taken of the identity's share."""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                async for part in http.content.iter_any():
                    if len(body) + len(part) > limits.max_body_bytes:
                        raise _too_large(limits.max_body_bytes)
                    self._bytes.take(identity, len(part))
                    body += part
        except TimeoutError:
            waited = f"{limits.body_timeout_s:g} s"
            raise RequestError("body_timeout", f"the body did not arrive within {waited}; send it again") from None


def _check_values(body: bytearray, most: int) -> None:
    if count_values(body, most) > most:
        message = f"the body holds more than {most:,} JSON values; send less of the conversation"
        raise RequestError("body_too_large", message)


def _too_large(limit: int) -> RequestError:
    return RequestError("body_too_large", f"the body is above {limit:,} bytes; send less of the conversation")
