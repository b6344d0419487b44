"""The openai package's client over a guarded session: JSON out, JSON or one typed error back.

The package knows the protocol: authentication, multipart uploads, which failures are worth a second attempt, how long to
wait. It is given no say about the rest. Its transport is a session of `contracts.outgoing`, so addresses are checked,
redirects are not followed, and bytes and seconds are bounded; an answer's body is parsed here, with a bounded depth, and its
headers never reach the package (a charset such as `punycode` would be decoded in quadratic time). Proxies, organization and
project of the environment are not used: they would apply to any address.

Importing this costs 0.8 s and 60 MB, so it is imported when it is first needed.
"""

import re
from collections.abc import Awaitable, Mapping
from typing import Final

import aiohttp
import httpx2
import openai
from openai._types import RequestOptions  # the type of `options`, which the package does not export
from pydantic import JsonValue

from contracts.errors import ApiError
from contracts.knowledge.inert import inert, inert_json
from contracts.outgoing import AddressRefused, AnswerRefused, GuardedSession
from contracts.strict_json import parse_json
from contracts.types import JsonObject

_LONGEST_PAUSE_S: Final = 8
"""A server that asks for a longer pause before the next attempt gets none; the package would wait two minutes."""
_SHOWN: Final = 300
"""Characters of a server's words in a message."""
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")
"""The form of a server's name for an error, which becomes the error's code."""


class OpenAIClient:
    """Requests to one server that speaks OpenAI's protocol. Errors: ApiError. Safe for concurrent use."""

    def __init__(self, session: GuardedSession, base_url: str, api_key: str | None, *, timeout_s: float) -> None:
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",
            base_url=base_url,
            timeout=timeout_s,
            max_retries=0,
            http_client=httpx2.AsyncClient(
                transport=_Transport(session, timeout_s), trust_env=False, follow_redirects=False
            ),
        )
        # The package fills these from the environment and would send them to any base_url.
        self._client.organization = self._client.project = self._client.admin_api_key = None

    async def get(self, path: str, params: Mapping[str, JsonValue] | None = None, *, retries: int = 0) -> JsonValue:
        """The answer's JSON. `retries`: further attempts after failures that pass."""
        options: RequestOptions = {"max_retries": retries, "params": dict(params or {})}
        return await self._answer(self._client.get(path, cast_to=httpx2.Response, options=options))

    async def post(self, path: str, body: JsonObject | bytes, *, retries: int = 0) -> JsonValue:
        """As `get`; bytes are JSON that is sent as it is."""
        options: RequestOptions = {"max_retries": retries}
        if isinstance(body, bytes):
            asking = self._client.post(path, cast_to=httpx2.Response, content=body, options=options)
        else:
            asking = self._client.post(path, cast_to=httpx2.Response, body=body, options=options)
        return await self._answer(asking)

    async def upload(self, path: str, fields: JsonObject, name: str, content: bytes) -> JsonValue:
        """As `post`, for a form with a file in its field `file`."""
        options: RequestOptions = {"max_retries": 0, "headers": {"Content-Type": "multipart/form-data"}}
        files = [("file", (name, content))]
        return await self._answer(
            self._client.post(path, cast_to=httpx2.Response, body=fields, files=files, options=options)
        )

    async def _answer(self, asking: Awaitable[httpx2.Response]) -> JsonValue:
        try:
            answer = await asking
        except openai.APIStatusError as error:
            raise _status_error(error.response) from None
        except openai.APIConnectionError as error:
            raise ApiError("no_answer", inert(str(error.__cause__ or error), _SHOWN)) from None
        except openai.OpenAIError as error:
            raise ApiError("bad_answer", inert(str(error), _SHOWN)) from None
        try:
            return parse_json(answer.content)
        except ValueError as error:
            begins = inert(answer.text, 100)
            raise ApiError("bad_answer", f"the answer is not JSON ({inert(str(error), 100)}): {begins}") from None


class _Transport(httpx2.AsyncBaseTransport):
    """The package's requests on a guarded session.

    A failure that may pass is raised as one of the package's own, which it repeats; one that has used up the time limit, and
    an answer or address that was refused, end the request as an ApiError.
    """

    def __init__(self, session: GuardedSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread() or None
        try:
            received = await self._session.request(request.method, str(request.url), data=body, headers=request.headers)
        except AnswerRefused as error:
            raise ApiError("bad_answer", str(error)) from None
        except (AddressRefused, aiohttp.ServerTimeoutError, aiohttp.ClientConnectorError) as error:
            reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            if isinstance(reason, AddressRefused):
                raise ApiError("no_answer", inert(str(reason), _SHOWN)) from None
            raise httpx2.ConnectError(str(error) or type(error).__name__) from error
        except TimeoutError:
            raise ApiError("timed_out", f"no whole answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(str(error) or type(error).__name__) from error
        return httpx2.Response(
            received.status,
            headers={"Content-Type": "application/json", **_pause(received.headers.get("Retry-After"))},
            content=received.body,
            request=request,
        )


def _pause(retry_after: str | None) -> dict[str, str]:
    if retry_after is None:
        return {}
    seconds = retry_after if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 7 else None
    if seconds is None or int(seconds) > _LONGEST_PAUSE_S:
        return {"X-Should-Retry": "false"}
    return {"Retry-After": seconds}


def _status_error(answer: httpx2.Response) -> ApiError:
    """An HTTP error in the server's own words, which OpenAI's protocol puts into `error.message` and `error.code`."""
    try:
        body = parse_json(answer.content)
    except ValueError:
        body = answer.text
    said = body.get("error", body) if isinstance(body, dict) else body
    code = said.get("code") if isinstance(said, dict) else None
    return ApiError(
        code if isinstance(code, str) and _CODE.fullmatch(code) else f"http_{answer.status_code}",
        words_of(said) or f"HTTP {answer.status_code}",
        status=answer.status_code,
    )


def words_of(said: JsonValue) -> str:
    """A server's words, on one line and inert: an error object's message, otherwise the value itself."""
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        said = said["message"]
    return inert_json(said, _SHOWN)
