"""Any OpenAI-compatible chat endpoint, through the openai package on its aiohttp transport.

The cheap path is used: `client.post(..., cast_to=object)` skips the library's walk over messages and tools, and hands the
body over as it came. It is checked here, because servers answer HTML, `{"error": ...}` or no choices with status 200.
The package costs 0.8 s and 60 MB to import, so it is imported when the first request needs a model, in a thread.
"""

import asyncio
import importlib
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import aiohttp
import structlog
from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from agent.errors import ModelError
from agent.models.provider import ModelAnswer, Target, ToolCall
from agent.preamble import Preamble, Tools
from agent.records import ModelExchange
from contracts.knowledge.inert import inert
from contracts.outgoing import Guard, open_session
from contracts.strict_json import too_deep
from contracts.types import JsonObject

if TYPE_CHECKING:
    from openai import AsyncOpenAI

log = structlog.get_logger()

RETRIES: Final = 1
"""Sends after the first one, for connection errors, 408, 409, 429 and 5xx; the library waits 0.5 to 8 s between them."""
CONNECT_TIMEOUT_S: Final = 5.0
MAX_DEPTH: Final = 64
MAX_ANSWER_CHARACTERS: Final = 262_144
"""Of an answer as JSON. It becomes part of the record."""
_OFFERS_KEPT: Final = 8
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Function(BaseModel):
    name: str
    arguments: str | dict[str, JsonValue] | None = None


class _ToolCall(BaseModel):
    id: str | None = None
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class OpenAIChat:
    """A model behind `base_url`. The client is made at the first use and closed with `closing`."""

    def __init__(
        self,
        target: Target,
        model: str,
        base_url: str,
        api_key: SecretStr | None,
        *,
        guard: Guard,
        timeout_s: float,
        monotonic: Callable[[], float],
        closing: AsyncExitStack,
    ) -> None:
        self._guard = guard
        self._target: Target = target
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._closing = closing
        self._opening = asyncio.Lock()
        self._client: AsyncOpenAI | None = None
        self._offer = lru_cache(maxsize=_OFFERS_KEPT)(_offer)
        """The tools are most of a body; they are serialised once and not for each request."""

    @property
    def target(self) -> Target:
        return self._target

    @property
    def model(self) -> str:
        return self._model

    @property
    def base_url(self) -> str:
        return self._base_url

    async def complete(self, preamble: Preamble, messages: Sequence[JsonObject]) -> ModelAnswer:
        """One chat completion; the endpoint's failures are in the exchange's `error`."""
        client = await self._opened()
        openai = importlib.import_module("openai")
        prompt = [preamble.message, *messages]
        start = self._monotonic()
        raw: object = None
        failure: str | None = None
        try:
            raw = await client.post("/chat/completions", content=self._body(preamble, prompt), cast_to=object)
        except openai.APIConnectionError as error:
            failure = _connection_failure(error, self._timeout_s)
        except openai.APIStatusError as error:
            failure = f"model_status_{error.status_code}: {_line(error.body or error.message)}"
        except openai.OpenAIError as error:
            failure = f"model_failed: {_line(error)}"
        # What is not Unicode in the prompt; an answer that says it is JSON and is not escapes the library as JSONDecodeError.
        except ValueError as error:
            failure = f"model_bad_answer: {_line(error)}"
        latency_ms = (self._monotonic() - start) * 1000
        return self._read(prompt, preamble.tools, raw, failure, latency_ms)

    def _body(self, preamble: Preamble, prompt: list[JsonObject]) -> bytes:
        """The request's body, byte for byte as the library would write it."""
        return f'{{"model":{_json(self._model)},"messages":{_json(prompt)}{self._offer(preamble)}}}'.encode()

    def _read(
        self, messages: list[JsonObject], tools: Tools, raw: object, failure: str | None, latency_ms: float
    ) -> ModelAnswer:
        answer, message = _Answer(), None
        if failure is None:
            answer, failure = _parse(raw)
        choice = answer.choices[0] if answer.choices else None
        if choice is not None:
            message = cast("dict[str, list[dict[str, JsonValue]]]", raw)["choices"][0].get("message")
        usage = answer.usage or _Usage()
        exchange = ModelExchange(
            target=self._target,
            model=self._model,
            messages=messages,
            tools=tools,
            response=message,
            finish_reason=choice.finish_reason if choice else None,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            latency_ms=round(latency_ms, 3),
            error=failure,
        )
        said = choice.message if choice else _Message()
        calls = tuple(_tool_call(number, call) for number, call in enumerate(said.tool_calls or []))
        return ModelAnswer(exchange, said.content or "", calls, said.refusal)

    async def _opened(self) -> "AsyncOpenAI":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
                self._closing.push_async_callback(self._client.close)
                log.info("model_client_opened", model=self._model, base_url=self._base_url)
            return self._client

    def _connect(self) -> "AsyncOpenAI":
        openai = importlib.import_module("openai")
        timeout = openai.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
        # A proxy of the environment would also catch addresses of this machine.
        loopback = urlsplit(self._base_url).hostname in LOOPBACK
        client: AsyncOpenAI = openai.AsyncOpenAI(
            api_key=self._api_key.get_secret_value() if self._api_key else "none",
            base_url=self._base_url,
            timeout=timeout,
            max_retries=RETRIES,
            http_client=self._guarded(openai.DefaultAioHttpClient, timeout, trust_env=not loopback),
        )
        # The library fills these from the environment and would send them to any base_url.
        client.organization = client.project = client.admin_api_key = None
        return client

    def _guarded(self, make: Callable[..., Any], timeout: object, *, trust_env: bool) -> Any:
        """The library's client over a session that asks the guard; a redirect is an answer, and is not followed."""
        http_client = make(timeout=timeout, trust_env=trust_env, follow_redirects=False)
        transport = http_client._transport  # noqa: SLF001 -- its session has no other place to be set
        if not hasattr(transport, "client"):
            raise ModelError(
                "model_library", "this version of the openai package has another transport; install the pinned one"
            )
        limits = aiohttp.ClientTimeout(total=self._timeout_s)
        transport.client = lambda: open_session(self._guard, timeout=limits, ssl_context=transport.ssl_context)
        return http_client


def _offer(preamble: Preamble) -> str:
    """The members of a body that offer the tools; empty if there are none."""
    tools = preamble.tools.model_dump(mode="json")
    return f',"tools":{_json(tools)},"tool_choice":"auto"' if tools else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _connection_failure(error: Exception, timeout_s: float) -> str:
    """The aiohttp transport calls every broken connection a ConnectTimeout; its cause says what it was."""
    openai, httpx = importlib.import_module("openai"), importlib.import_module("httpx2")
    cause = error.__cause__
    if isinstance(error, openai.APITimeoutError) and not isinstance(cause, httpx.ConnectTimeout):
        return f"model_timeout: no answer within {timeout_s:g} s"
    return f"model_unreachable: {_line(cause or error)}"


def _parse(raw: object) -> tuple[_Answer, str | None]:
    """The answer, or why it is none: text instead of JSON, an error with status 200, no choices, wrong types, too much."""
    if not isinstance(raw, dict):
        return _Answer(), f"model_bad_answer: no JSON object but {_line(raw)}"
    body = cast("dict[str, JsonValue]", raw)
    try:
        answer = _Answer.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        said = ".".join(str(part) for part in problem["loc"]) + ": " + problem["msg"]
        return _Answer(), f"model_bad_answer: {_line(body.get('error') or said)}"
    if not answer.choices:
        return _Answer(), f"model_bad_answer: no choices; {_line(body.get('error') or 'the list is empty')}"
    if too_deep(body, MAX_DEPTH):
        return _Answer(), f"model_bad_answer: nested deeper than {MAX_DEPTH} levels"
    # In ASCII, as it can hold what is not Unicode.
    size = len(json.dumps(body["choices"]))
    if size > MAX_ANSWER_CHARACTERS:
        return _Answer(), f"model_bad_answer: {size} characters; at most {MAX_ANSWER_CHARACTERS} are read"
    return answer, None


def _tool_call(number: int, call: _ToolCall) -> ToolCall:
    arguments = call.function.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments if arguments is not None else {})
    return ToolCall(call.id or f"call_{number}", call.function.name, text)


def _line(value: object) -> str:
    """What an endpoint said, on one line and harmless."""
    if isinstance(value, dict):
        body = cast("dict[str, object]", value)
        value = body.get("message") or json.dumps(body, default=str)
    return inert(str(value), 300)
