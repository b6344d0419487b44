"""A pipeline that answers from a script, and the daemon's HTTP layer around it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from agent.frontends.bodies import Bodies
from agent.frontends.openai_api import ApiSettings, make_app
from agent.frontends.pace import Pace
from agent.frontends.running import RunningRequests
from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.records import (
    Answer,
    CallOutcome,
    CallPlan,
    Identity,
    ModelName,
    PlannedCall,
    Reply,
    Route,
    UserRequest,
)

ALICE = Identity(key_id="key-alice", account_id="alice.localnet", may_confirm=True)
KEY = "na_test_key_of_alice"
SLASH = Route(target="none", model=None, reason="slash_command")

Script: TypeAlias = Callable[[UserRequest, Progress | None], Awaitable[Reply]]


def reply_to(request: UserRequest, text: str = "", status: str = "answered", **fields: object) -> Reply:
    values: dict[str, object] = {
        "request_id": request.request_id,
        "status": status,
        "text": text or f"you said: {request.text}",
        "route": SLASH,
        "plan": Answer(text="x"),
    }
    return Reply.model_validate({**values, **fields})


def card(request: UserRequest) -> Reply:
    call = PlannedCall(action="near_transfer", args={"receiver_id": "bob.localnet", "amount": "1.5"})
    return reply_to(
        request,
        "Send 1.5 NEAR to bob.localnet\nConfirm: confirm 7K3M9QRT",
        "needs_approval",
        plan=CallPlan(calls=(call,), plan_hash="a" * 64),
        confirm_code="7K3M9QRT",
        calls_hash="b" * 64,
        outcomes=(CallOutcome(action="near_transfer", status="not_done"),),
        prompt_tokens=5,
        completion_tokens=7,
    )


async def echo(request: UserRequest, progress: Progress | None) -> Reply:
    del progress
    return reply_to(request)


@dataclass
class ScriptedPipeline:
    script: Script = echo
    requests: list[UserRequest] = field(default_factory=list[UserRequest])
    finished: list[str] = field(default_factory=list[str])
    cancelled: list[str] = field(default_factory=list[str])

    async def handle(self, request: UserRequest, progress: Progress | None = None) -> Reply:
        self.requests.append(request)
        try:
            reply = await self.script(request, progress)
        except asyncio.CancelledError:
            self.cancelled.append(request.request_id)
            raise
        self.finished.append(request.request_id)
        return reply

    async def plan_only(self, request: UserRequest) -> Reply:
        return await self.handle(request)


class OneKey:
    """Alice's key, and any number of others' that nobody else uses: `KEY_of_NAME`."""

    async def authenticate(self, plaintext: str) -> Identity | None:
        if plaintext == KEY:
            return ALICE
        name = plaintext.removeprefix(f"{KEY}_of_")
        return None if name == plaintext else ALICE.model_copy(update={"key_id": f"key-{name}"})


@dataclass
class Served:
    url: str
    pipeline: ScriptedPipeline
    running: RunningRequests
    models: list[ModelName]
    bodies: Bodies

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}

    def headers_of(self, name: str) -> dict[str, str]:
        """Of another key's holder."""
        return {"Authorization": f"Bearer {KEY}_of_{name}"}


@asynccontextmanager
async def served(
    script: Script = echo,
    *,
    ping_interval_s: float = 3.0,
    ready: bool = True,
    body_timeout_s: float = 10.0,
    limits: Limits | None = None,
    user_header: str | None = None,
) -> AsyncGenerator[Served]:
    pipeline = ScriptedPipeline(script)
    models: list[ModelName] = ["near-agent"]
    async with asyncio.TaskGroup() as tasks:
        limits = limits or Limits(body_timeout_s=body_timeout_s)
        running, bodies = RunningRequests(tasks, limits=limits, ready=lambda: ready), Bodies(limits, Pace(limits))
        settings = ApiSettings(
            configured_models=lambda: tuple(models),
            started_at=1_700_000_000.0,
            clock=lambda: 1_700_000_123.25,
            ping_interval_s=ping_interval_s,
            limits=limits,
            user_header=lambda _key_id: user_header,
        )
        runner = web.AppRunner(
            make_app(pipeline, OneKey(), running, bodies, settings), access_log=None, shutdown_timeout=1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield Served(f"http://{host}:{port}", pipeline, running, models, bodies)
        finally:
            await running.drain(0.0)
            await runner.cleanup()
