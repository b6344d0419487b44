"""Paths as clients write them: a base address with a slash too many, and OpenAI's calls that are not served."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

_NOT_SERVED: Final = {
    "/v1/completions": (
        "there are no legacy completions here; send the text as a user message to POST /v1/chat/completions"
    ),
    "/v1/embeddings": (
        "there are no embeddings here: this API serves POST /v1/chat/completions and POST /v1/responses only; "
        "point the client's embeddings at another server"
    ),
}
"""Calls of OpenAI's API that clients try, and the call that they need instead."""

_SLASHES: Final = re.compile(r"//+")


def not_served(path: str) -> str | None:
    """Return the message for a call of OpenAI's API that is not served; None for any other plain path."""
    if path.startswith("/v1/responses/"):
        return "responses are not kept, so none can be fetched or deleted; send the conversation to POST /v1/responses"
    return _NOT_SERVED.get(path)


def plain_path(path: str) -> str:
    """Return the path without double and trailing slashes."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"


@web.middleware
async def read_plain_path(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Serve a path with double or trailing slashes as the plain one.

    Redirecting, as aiohttp's own middleware does, would cost clients their body, and browsers refuse it after a preflight.
    """
    path = request.rel_url.raw_path
    plain = plain_path(path)
    if plain == path or request.method == "OPTIONS":
        return await handler(request)
    plain_request = request.clone(rel_url=request.rel_url.with_path(plain, encoded=True, keep_query=True))
    found = await request.app.router.resolve(plain_request)
    found.add_app(request.app)
    plain_request._match_info = found  # noqa: SLF001 - the only way to pass on `{name}`; aiohttp's middleware does the same
    return await found.handler(plain_request)
