"""The pipeline in this process, for commands where no daemon runs: same folder, same lock, no HTTP port."""

import asyncio
import concurrent.futures
import json
from collections.abc import Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agent.commands.settings import MODEL, domain_errors
from agent.commands.streamed import Answered, Began, Doing, Streamed
from agent.config import Config
from agent.frontends.approvals import cards_for
from agent.frontends.errors import no_key
from agent.frontends.replies import completion
from agent.frontends.request_id import new_request_id
from agent.frontends.running import Note, Quiet, RunningRequest, RunningRequests, Work
from agent.frontends.wire import conversation_id, model_not_found, parse_chat
from agent.records import Identity, Reply, UserRequest
from agent.runtime import Runtime, open_runtime
from agent.telemetry import set_up_logging

T = TypeVar("T")

LOCK_WAIT_S: Final = 1.0
"""The folder's owner was waited for already; this is for two commands that begin together."""
_LOOK_S: Final = 60.0
"""A look for an event is begun anew after this much silence."""
_ANY_PORT: Final = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class InProcessSession:
    """Answers on the runtime's own event loop, which runs in a thread so that the chain goes on while a person types."""

    network: str
    _runtime: Runtime
    _running: RunningRequests
    _loop: asyncio.AbstractEventLoop
    _stop: asyncio.Event

    def complete(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> dict[str, Any]:
        return self._run(self._complete({"model": model, "messages": messages}, conversation_id))

    @property
    def goes_on(self) -> str:
        return f"in this process, which waits for it for up to {self._runtime.config.daemon.grace_s:g} s before it ends"

    def stream(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> Generator[Streamed]:
        request = self._run(self._request({"model": model, "messages": messages}, conversation_id))
        running = self._run(self._start(request))
        yield Began(request.request_id)
        while True:
            match self._run(running.next_event(_LOOK_S)):
                case Note(text):
                    yield Doing(text)
                case Quiet():
                    pass
                case Reply() as reply:
                    yield Answered(completion(reply, request.model, int(self._runtime.clock())))
                    return

    def names(self) -> dict[str, Any]:
        return self._run(self._runtime.operator.names())

    def approve(self, request_id: str) -> dict[str, Any]:
        return self._run(self._approve(request_id))

    def drop(self, request_id: str) -> dict[str, Any]:
        return self._run(self._work(lambda progress: self._runtime.operator.drop(request_id, progress), MODEL))

    def approve_as(self, key: str, request_id: str) -> dict[str, Any]:
        return self._run(self._approve_as(key, request_id))

    def cards_as(self, key: str) -> dict[str, Any]:
        return self._run(self._cards_as(key))

    def cards(self) -> dict[str, Any]:
        return self._run(self._runtime.operator.list_cards())

    def cancel_tx(self, what: str) -> dict[str, Any]:
        return self._run(self._work(lambda progress: self._runtime.operator.cancel_tx(what, progress), MODEL))

    def acknowledge_key(self, account_id: str, public_key: str) -> dict[str, Any]:
        return self._run(self._runtime.operator.acknowledge_key(account_id, public_key))

    def rotate_key(self, account_id: str, public_key: str | None) -> dict[str, Any]:
        operator = self._runtime.operator
        return self._run(self._work(lambda progress: operator.rotate_key(account_id, public_key, progress), MODEL))

    def create_key(self, account_id: str | None, may_confirm: bool | None) -> dict[str, Any]:
        return self._run(self._runtime.operator.create_key(account_id, may_confirm))

    def api_keys(self) -> dict[str, Any]:
        return self._run(self._runtime.operator.list_keys())

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        return self._run(self._runtime.operator.revoke_key(key_id))

    def add_contract(self, account_id: str) -> dict[str, Any]:
        return self._run(self._runtime.operator.contracts.add(account_id))

    def contracts(self) -> dict[str, Any]:
        return self._run(self._runtime.operator.contracts.listed())

    def remove_contract(self, account_id: str) -> dict[str, Any]:
        return self._run(self._runtime.operator.contracts.remove(account_id))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with domain_errors():
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _complete(self, body: dict[str, Any], named: str | None) -> dict[str, Any]:
        request = await self._request(body, named)
        return await self._work(lambda progress: self._runtime.pipeline.handle(request, progress), request.model)

    async def _request(self, body: dict[str, Any], named: str | None) -> UserRequest:
        chat = parse_chat(json.dumps(body).encode(), self._runtime.config.limits)
        if chat.model not in self._runtime.configured_models():
            raise model_not_found(chat.model)
        identity = self._runtime.first
        return UserRequest(
            request_id=new_request_id(),
            text=chat.text,
            turns=chat.turns,
            identity=identity,
            front_end="cli",
            conversation_id=conversation_id({}, named, identity.key_id, chat.turns),
            model=chat.model,
            received_at=self._runtime.clock(),
        )

    async def _start(self, request: UserRequest) -> RunningRequest:
        return self._running.start(
            lambda progress: self._runtime.pipeline.handle(request, progress), by=self._runtime.first.key_id
        )

    async def _approve(self, request_id: str) -> dict[str, Any]:
        return await self._work(lambda progress: self._runtime.operator.approve(request_id, progress), MODEL)

    async def _approve_as(self, key: str, request_id: str) -> dict[str, Any]:
        identity, pipeline = await self._holder(key), self._runtime.pipeline
        return await self._work(
            lambda progress: pipeline.approve_by_request(identity, request_id, "key", progress), MODEL
        )

    async def _cards_as(self, key: str) -> dict[str, Any]:
        runtime = self._runtime
        return await cards_for(await self._holder(key), runtime.pipeline, runtime.store.cards, runtime.clock())

    async def _holder(self, key: str) -> Identity:
        identity = await self._runtime.store.api_keys.authenticate(key)
        if identity is None:
            raise no_key(given=True)
        return identity

    async def _work(self, work: Work, model: str) -> dict[str, Any]:
        reply = await self._running.start(work, by=self._runtime.first.key_id).reply()
        return completion(reply, model, int(self._runtime.clock()))


@contextmanager
def open_in_process(config: Config) -> Generator[InProcessSession]:
    """A session over a runtime of our own, closed at the end. CommandError where it cannot be opened."""
    set_up_logging("warning")
    opened: Future[InProcessSession] = Future()
    with ThreadPoolExecutor(1, "runtime") as threads, domain_errors():
        held = threads.submit(asyncio.run, _hold(config, opened))
        first: list[Future[Any]] = [opened, held]
        concurrent.futures.wait(first, return_when=concurrent.futures.FIRST_COMPLETED)
        if not opened.done():
            held.result()
        session = opened.result()
        try:
            yield session
        finally:
            session.stop()
            held.result()


async def _hold(config: Config, opened: "Future[InProcessSession]") -> None:
    """Open everything, hand out the session, and wait until it is to end."""
    stop = asyncio.Event()
    async with open_runtime(config, localnet_listen=_ANY_PORT, lock_wait_s=LOCK_WAIT_S) as runtime:
        await runtime.pipeline.recover()
        async with asyncio.TaskGroup() as tasks:
            running = RunningRequests(tasks, limits=config.limits)
            opened.set_result(InProcessSession(config.network, runtime, running, asyncio.get_running_loop(), stop))
            await stop.wait()
            await running.drain(config.daemon.grace_s)
