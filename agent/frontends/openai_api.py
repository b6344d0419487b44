"""The OpenAI-compatible HTTP API: chat completions and responses (JSON and SSE), models, plans, and the daemon's health.

Every answer carries `x-request-id`, which is also the id of the request's record. A client that goes away does not end
its request: the work runs on in the daemon's task group and is recorded.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import ClientConnectionResetError, web

from agent.approval import read_decision
from agent.errors import AgentError, DaemonError, RequestError, StoreError
from agent.frontends import sse
from agent.frontends.bodies import Bodies
from agent.frontends.errors import ErrorAnswer, answer_for, error_body
from agent.frontends.identities import identity_of, user_of
from agent.frontends.own_prompts import own_prompt
from agent.frontends.paths import not_served, plain_path, read_plain_path
from agent.frontends.replies import not_read, plan_answer
from agent.frontends.request_id import new_request_id
from agent.frontends.running import Event, Note, Quiet, RunningRequest, RunningRequests
from agent.frontends.seams import KeyRing, Progress, RequestHandler
from agent.frontends.shapes import ShapedAnswer
from agent.frontends.wire import (
    MODEL_NAMES,
    ChatRequest,
    conversation_id,
    header_id,
    model_not_found,
    parse_plan,
)
from agent.frontends.wire_forms import CHAT_COMPLETIONS, RESPONSES, AnswerForm, WireForm
from agent.limits import Limits
from agent.planning.authorship import last_words
from agent.planning.conversations import bounded
from agent.records import FrontEnd, Identity, ModelName, Refusal, Reply, UserRequest
from contracts.errors import ContractsError
from contracts.types import JsonObject

_WRONG_CODE_PAUSE_S: Final = 60.0
_STORE_CODES: Final = frozenset({"store_full", "store_failed", "store_closed"})
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "x-request-id, retry-after",
}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_REQUEST_ID = web.RequestKey("request_id", str)

_encode = json.JSONEncoder(separators=(",", ":")).encode

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the HTTP layer needs to know of the daemon."""

    configured_models: Callable[[], tuple[ModelName, ...]]
    started_at: float
    """Unix seconds; `created` of the models."""
    limits: Limits
    clock: Callable[[], float] = time.time
    """Unix seconds."""
    ping_interval_s: float = 3.0
    """Silence after which a stream gets a comment, so that no client or proxy gives up."""
    user_header: Callable[[str], str | None] = lambda _key_id: None
    """The header in which a key's front end names the person, where the policy trusts it with that."""


class OpenAiApi:
    """The routes. Errors before an answer begins become OpenAI's error body; see `frontends.errors`."""

    def __init__(
        self,
        pipeline: RequestHandler,
        keys: KeyRing,
        running: RunningRequests,
        bodies: Bodies,
        settings: ApiSettings,
    ) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._running = running
        self._bodies = bodies
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/responses", self._respond),
            web.post("/v1/near/plan", self._plan),
            web.get("/v1/models", self._models),
            web.get("/v1/models/{name}", self._model),
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.options("/{path:.*}", self._preflight),
        ]

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        return await self._converse(http, CHAT_COMPLETIONS)

    async def _respond(self, http: web.Request) -> web.StreamResponse:
        return await self._converse(http, RESPONSES)

    async def _converse(self, http: web.Request, wire_form: WireForm) -> web.StreamResponse:
        identity = await self._identity(http)
        self._running.check()
        async with self._bodies.read(http, identity.key_id) as body:
            asked = wire_form.parse(body, self._settings.limits)
            self._check_model(asked.model)
            request = self._request(http, identity, asked, wire_form.front_end)
            finish = _finishing(request, asked)
        running = self._running.start(
            lambda progress: self._handle(request, finish, progress),
            by=identity.key_id,
            decision=read_decision(last_words(request.text)) is not None,
            idempotency_key=request.idempotency_key,
        )
        form = wire_form.answer(request, asked)
        if asked.stream:
            return await self._stream(http, running, form)
        reply = await running.reply()
        _raise_refused(reply)
        return _json(form.whole(reply))

    async def _handle(self, request: UserRequest, finish: Callable[[Reply], Reply], progress: Progress) -> Reply:
        return finish(await self._pipeline.handle(request, progress))

    async def _plan(self, http: web.Request) -> web.StreamResponse:
        identity = await self._identity(http)
        self._running.check()
        async with self._bodies.read(http, identity.key_id) as body:
            asked = parse_plan(body, self._settings.limits)
        self._check_model(asked.model)
        request = self._request(http, identity, asked, "plan")
        running = self._running.start(lambda _progress: self._pipeline.plan_only(request), by=identity.key_id)
        reply = await running.reply()
        if reply.status == "failed":
            raise RequestError("plan_failed", reply.text, retryable=True)
        return _json(plan_answer(reply))

    async def _models(self, http: web.Request) -> web.StreamResponse:
        await identity_of(http, self._keys)
        return _json({"object": "list", "data": [self._model_card(n) for n in self._settings.configured_models()]})

    async def _model(self, http: web.Request) -> web.StreamResponse:
        await identity_of(http, self._keys)
        name = http.match_info["name"]
        for known in MODEL_NAMES:
            if name == known:
                self._check_model(known)
                return _json(self._model_card(known))
        raise model_not_found(name)

    async def _healthz(self, _http: web.Request) -> web.StreamResponse:
        return _json({"status": "ok"})

    async def _readyz(self, _http: web.Request) -> web.StreamResponse:
        if self._running.draining or not self._running.ready():
            status = "draining" if self._running.draining else "starting"
            return _json({"status": status}, status=503, headers={"Retry-After": "1"})
        return _json({"status": "ready"})

    async def _preflight(self, http: web.Request) -> web.StreamResponse:
        asked = http.headers.get("Access-Control-Request-Headers", "authorization, content-type")
        return web.Response(status=204, headers={**_PREFLIGHT, "Access-Control-Allow-Headers": asked})

    async def _stream(self, http: web.Request, running: RunningRequest, form: AnswerForm) -> web.StreamResponse:
        """The events of a running request. Headers wait for the first one, so that an early refusal has its status."""
        stream: sse.EventStream | None = None
        event: Event | None = None
        over = b""
        try:
            while not isinstance(event, Reply):
                event = await running.next_event(self._settings.ping_interval_s)
                if stream is None:
                    if isinstance(event, Reply):
                        _raise_refused(event)
                    stream = await sse.open_stream(http, _headers(http), self._settings.limits.answer_timeout_s)
                    await stream.write(form.opening())
                match event:
                    case Note(text):
                        over = form.progress_over()
                        await stream.write(form.progress(text))
                    case Quiet():
                        await stream.write(sse.PING)
                    case Reply():
                        await stream.write(over + b"".join(form.rest(event)), last=True)
        except DaemonError as error:
            if stream is None:
                raise
            await stream.write(over + form.failure(error), last=True)
        except ClientConnectionResetError:
            log.info("client_gone", request_id=http[_REQUEST_ID])
        return web.Response() if stream is None else stream.response

    async def _identity(self, http: web.Request) -> Identity:
        return await user_of(http, self._keys, self._settings.user_header)

    def _check_model(self, name: ModelName) -> None:
        # The routed model always exists; for the others a file is looked at.
        if name != MODEL_NAMES[0] and name not in self._settings.configured_models():
            raise model_not_found(name)

    def _request(self, http: web.Request, identity: Identity, chat: ChatRequest, front_end: FrontEnd) -> UserRequest:
        request = UserRequest(
            request_id=http[_REQUEST_ID],
            text=chat.text,
            turns=chat.turns,
            identity=identity,
            front_end=front_end,
            conversation_id=conversation_id(http.headers, chat.conversation_id, identity.key_id, chat.turns),
            model=chat.model,
            idempotency_key=header_id(http.headers, "Idempotency-Key"),
            message_id=header_id(http.headers, "X-OpenWebUI-Message-Id"),
            received_at=self._settings.clock(),
        )
        # Before anything searches it, and before it is held for as long as the request runs.
        return bounded(request)

    def _model_card(self, name: ModelName) -> JsonObject:
        return {"id": name, "object": "model", "created": int(self._settings.started_at), "owned_by": "near-agent"}


def make_app(
    pipeline: RequestHandler,
    keys: KeyRing,
    running: RunningRequests,
    bodies: Bodies,
    settings: ApiSettings,
    *more_routes: web.RouteDef,
) -> web.Application:
    """The daemon's web application."""
    app = web.Application(middlewares=[_answer_errors, read_plain_path])
    app.add_routes([*more_routes, *OpenAiApi(pipeline, keys, running, bodies, settings).routes()])
    app.on_response_prepare.append(_set_headers)
    return app


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    request[_REQUEST_ID] = new_request_id()
    try:
        return await handler(request)
    except (AgentError, ContractsError) as error:
        answer = answer_for(error)
    except web.HTTPException as error:
        answer = _http_error(request, error)
    except (web.RequestPayloadError, ConnectionResetError):
        message = "the body cannot be read: its encoding is broken, or the connection ended before it"
        answer = answer_for(RequestError("invalid_body", message))
    log.info("request_rejected", request_id=request[_REQUEST_ID], status=answer.status, path=request.path)
    return _json(answer.body, status=answer.status, headers=answer.headers)


async def _set_headers(http: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_headers(http))


def _headers(http: web.Request) -> dict[str, str]:
    # A request that failed before the middleware saw it has no id yet.
    return {**_CORS, "x-request-id": http.get(_REQUEST_ID) or new_request_id()}


def _http_error(http: web.Request, error: web.HTTPException) -> ErrorAnswer:
    """aiohttp's own answers (no such route, wrong method, broken body) in OpenAI's form."""
    allow = error.headers.get("Allow")
    # The route of CORS preflights takes every path, so an unknown one looks like a wrong method.
    status = 404 if error.status == 405 and allow == "OPTIONS" else error.status
    path = plain_path(http.path)
    message = {
        404: not_served(path)
        or f"there is no route {path[:200]}; the API begins at /v1, for example POST /v1/chat/completions",
        405: f"{path[:200]} does not take {http.method}, but {allow}",
    }.get(status, error.reason)
    headers = {"Allow": allow} if status == 405 and allow else {}
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "bad_request")
    return ErrorAnswer(status, error_body(message, "invalid_request_error", code), headers)


def _finishing(request: UserRequest, asked: ChatRequest) -> Callable[[Reply], Reply]:
    """Return what makes the pipeline's reply the answer: JSON of the shape that is asked for, or a remark on what was not read.

    Everything that can fail is done here, before the request begins. RequestError as `ShapedAnswer.to`.
    """
    if asked.shape is not None:
        return ShapedAnswer.to(request, asked.shape).in_place_of
    # A title is no place for a remark.
    if not asked.unread or own_prompt(request) is not None:
        return lambda reply: reply
    remark = not_read(asked.unread)
    return lambda reply: reply.model_copy(update={"text": f"{reply.text}\n\n{remark}"})


def _raise_refused(reply: Reply) -> None:
    """The ends that have an HTTP status of their own: refused for what was sent before, or nothing could be written down."""
    match reply.plan:
        case Refusal(why="too_many_wrong_codes"):
            raise RequestError("too_many_wrong_codes", reply.text, retryable=True, retry_after_s=_WRONG_CODE_PAUSE_S)
        case Refusal(why="idempotency_conflict"):
            raise RequestError("idempotency_conflict", reply.text, param="Idempotency-Key")
        case _:
            pass
    if reply.error is not None and not reply.outcomes and reply.error.get("code") in _STORE_CODES:
        raise StoreError(str(reply.error["code"]), reply.text, retryable=True)


def _json(
    body: JsonObject | dict[str, object], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=_encode(body).encode("ascii"),
        status=status,
        headers=headers,
        content_type="application/json",
    )
