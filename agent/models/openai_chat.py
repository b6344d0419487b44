"""Any OpenAI-compatible chat endpoint, through the openai package on a guarded session.

What a server answers is checked here before it is used: servers answer `{"error": ...}` or no choices with status 200.
The package costs 0.8 s and 60 MB to import, so it is imported when the first request needs a model, in a thread.
"""

import asyncio
import importlib
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, cast

import structlog
from pydantic import BaseModel, Field, JsonValue, SecretStr, ValidationError

from agent.models.provider import ModelAnswer, Target, ToolCall
from agent.preamble import Preamble, Tools
from agent.records import ModelExchange
from contracts.errors import ApiError
from contracts.knowledge.inert import inert, inert_json
from contracts.outgoing import Guard, open_session
from contracts.strict_json import too_deep
from contracts.types import JsonObject

if TYPE_CHECKING:
    from contracts.openai_client import OpenAIClient

log = structlog.get_logger()

RETRIES: Final = 1
"""Sends after the first one, for connection errors, 408, 409, 429 and 5xx; the package waits 0.5 to 8 s between them."""
CONNECT_TIMEOUT_S: Final = 5.0
MAX_BODY_BYTES: Final = 1024 * 1024
"""Of an answer as it comes. The longest that models write, with their reasoning, is about half of it."""
MAX_DEPTH: Final = 64
MAX_CHOICES: Final = 8
"""One is asked for."""
MAX_TOOL_CALLS: Final = 128
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


_ToolCalls: TypeAlias = Annotated[list[_ToolCall], Field(max_length=MAX_TOOL_CALLS, fail_fast=True)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: _ToolCalls | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


_Choices: TypeAlias = Annotated[list[_Choice], Field(max_length=MAX_CHOICES, fail_fast=True)]


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(BaseModel):
    choices: _Choices | None = None
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
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._guard = guard
        self._target: Target = target
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._closing = closing
        self._max_body_bytes = max_body_bytes
        self._opening = asyncio.Lock()
        self._client: OpenAIClient | None = None
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
        prompt = [preamble.message, *messages]
        start = self._monotonic()
        raw: JsonValue = None
        failure: str | None = None
        try:
            raw = await client.post("/chat/completions", self._body(preamble, prompt), retries=RETRIES)
        except ApiError as error:
            failure = _failure(error)
        except UnicodeEncodeError as error:  # the prompt holds what is not Unicode
            failure = f"model_bad_prompt: {inert(str(error), 300)}"
        latency_ms = (self._monotonic() - start) * 1000
        return self._read(prompt, preamble.tools, raw, failure, latency_ms)

    def _body(self, preamble: Preamble, prompt: list[JsonObject]) -> bytes:
        """The request's body, byte for byte as the library would write it."""
        return f'{{"model":{_json(self._model)},"messages":{_json(prompt)}{self._offer(preamble)}}}'.encode()

    def _read(
        self, messages: list[JsonObject], tools: Tools, raw: JsonValue, failure: str | None, latency_ms: float
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

    async def _opened(self) -> "OpenAIClient":
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
                log.info("model_client_opened", model=self._model, base_url=self._base_url)
            return self._client

    async def _connect(self) -> "OpenAIClient":
        package = await asyncio.to_thread(importlib.import_module, "contracts.openai_client")
        session = open_session(
            self._guard,
            timeout_s=self._timeout_s,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            max_body_bytes=self._max_body_bytes,
        )
        self._closing.push_async_callback(session.close)
        key = self._api_key.get_secret_value() if self._api_key else None
        client: OpenAIClient = package.OpenAIClient(session, self._base_url, key, timeout_s=self._timeout_s)
        return client


def _failure(error: ApiError) -> str:
    match error.code:
        case _ if error.status is not None:
            return f"model_status_{error.status}: {error.message}"
        case "timed_out":
            return f"model_timeout: {error.message}"
        case "bad_answer":
            return f"model_bad_answer: {error.message}"
        case _:
            return f"model_unreachable: {error.message}"


def _offer(preamble: Preamble) -> str:
    """The members of a body that offer the tools; empty if there are none."""
    tools = preamble.tools.model_dump(mode="json")
    return f',"tools":{_json(tools)},"tool_choice":"auto"' if tools else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _parse(body: JsonValue) -> tuple[_Answer, str | None]:
    """The answer, or why it is none: an error with status 200, no choices, wrong types, too much."""
    if not isinstance(body, dict):
        return _Answer(), f"model_bad_answer: no JSON object but {_line(body)}"
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


def _line(value: JsonValue) -> str:
    """Return an endpoint's words, on one line and inert."""
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        value = value["message"]
    return inert_json(value, 300)
