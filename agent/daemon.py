"""The daemon: the HTTP server around what `open_runtime` opens, how it starts, and how it ends."""

import asyncio
import gc
import os
import secrets
import shlex
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

import structlog
from aiohttp import web

from agent.config import Config, split_listen
from agent.data_folder import (
    API_KEY,
    OPERATOR_KEY,
    DaemonAddress,
    remove_address,
    write_address,
    write_key,
)
from agent.errors import DaemonError
from agent.frontends.approvals import ApprovalApi
from agent.frontends.bodies import Bodies
from agent.frontends.connections import MAX_HEADER_BYTES, MAX_HEADERS, Connections
from agent.frontends.openai_api import ApiSettings, make_app
from agent.frontends.operator import OperatorApi
from agent.frontends.pace import Pace
from agent.frontends.replies import completion
from agent.frontends.running import RunningRequests
from agent.operations.settling import settle_forever
from agent.records import Reply
from agent.runtime import Runtime, open_runtime
from contracts.chain.client import no_kill
from contracts.groups import one_error
from contracts.types import JsonObject

log = structlog.get_logger()

_FLUSH_S: Final = 2.0
"""What answers that are made get to reach their clients at the end."""
_GC_THRESHOLDS: Final = (10_000, 20, 20)
"""New objects before the young are looked through (Python's own: 700), then rounds before the older ones are."""


async def run_daemon(
    config: Config,
    *,
    announce: Callable[[str], None],
    kill_point: Callable[[str], None] = no_kill,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish within `grace_s`.

    `announce` gets the `ready` line and a line to try. Errors as `open_runtime`, and DaemonError `listen_refused`.
    """
    with _signals() as signals, one_error():
        async with AsyncExitStack() as stack:
            tasks = asyncio.TaskGroup()
            ready = asyncio.Event()
            pace = Pace(config.limits)
            connections = Connections(config.limits, monotonic=time.monotonic)
            running = RunningRequests(tasks, limits=config.limits, pace=pace, ready=ready.is_set)
            try:
                async with asyncio.timeout(None) as starting:
                    # What a start leaves unfinished, the next one goes on with.
                    signals.hurry = lambda: starting.reschedule(0)
                    runtime = await stack.enter_async_context(open_runtime(config, kill_point=kill_point, clock=clock))
                    await stack.enter_async_context(tasks)
                    url = await stack.enter_async_context(
                        _serving(runtime, running, Bodies(config.limits, pace), connections)
                    )
                    await runtime.pipeline.recover()
            except TimeoutError:
                if not signals.stop.is_set():
                    raise
                log.info("daemon_stopped", ready=False)
                return
            signals.hurry = _nothing
            address = DaemonAddress(pid=os.getpid(), url=url, rpc_url=runtime.rpc_url, network=config.network)
            write_address(config.data_dir, address)
            stack.callback(remove_address, config.data_dir)
            _keep_pauses_short()
            for work in (
                settle_forever(runtime.chain, interval_s=config.rpc.settle_interval_s),
                runtime.verifier.watch(config.rpc.watch_interval_s),
                connections.sweep_forever(),
            ):
                stack.callback(tasks.create_task(work).cancel)
            ready.set()
            log.info("daemon_ready", url=url, rpc_url=runtime.rpc_url, network=config.network)
            announce(f"ready {url}")
            announce(_line_to_try(config, url))
            await signals.stop.wait()
            log.info("daemon_stopping", running=len(running), grace_s=config.daemon.grace_s)
            remove_address(config.data_dir)
            signals.hurry = running.cut
            await running.drain(config.daemon.grace_s)
        log.info("daemon_stopped", ready=True)


def _nothing() -> None: ...


def _keep_pauses_short() -> None:
    """Once, when everything is loaded and open: what is there now lives until the end and is left out of collections.

    A full garbage collection walks every module and schema that was loaded, tens of milliseconds in which nothing is
    answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class _Signals:
    """What SIGTERM and SIGINT do: ask for the end, and hurry whatever is waited for at that moment."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry: Callable[[], None] = _nothing

    def __call__(self) -> None:
        self.stop.set()
        self.hurry()


@contextmanager
def _signals() -> Generator[_Signals]:
    loop = asyncio.get_running_loop()
    signals = _Signals()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, signals)
    try:
        yield signals
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _serving(
    runtime: Runtime, running: RunningRequests, bodies: Bodies, connections: Connections
) -> AsyncGenerator[str]:
    """The HTTP server; its address. DaemonError `listen_refused`."""
    config = runtime.config
    settings = ApiSettings(
        configured_models=runtime.configured_models,
        started_at=runtime.clock(),
        clock=runtime.clock,
        user_header=runtime.pipeline.user_header,
        limits=config.limits,
    )
    operator_key = secrets.token_urlsafe(32)

    def answer(reply: Reply) -> JsonObject:
        return completion(reply, "near-agent", int(runtime.clock()))

    operator = OperatorApi(runtime.operator, running, bodies, operator_key, answer)
    keys = runtime.store.api_keys
    approvals = ApprovalApi(runtime.pipeline, runtime.store.cards, keys, running, bodies, answer, runtime.clock)
    app = make_app(runtime.pipeline, keys, running, bodies, settings, *operator.routes(), *approvals.routes())
    connections.watch(app)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_FLUSH_S,
        max_headers=MAX_HEADERS,
        max_field_size=MAX_HEADER_BYTES,
        max_line_size=MAX_HEADER_BYTES,
    )
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("aiohttp's runner has no server after its setup")
    host, port = split_listen(config.daemon.listen)
    try:
        try:
            listening = await asyncio.get_running_loop().create_server(lambda: connections.admit(server), host, port)
        except OSError as error:
            raise DaemonError(
                "listen_refused",
                f"cannot listen on {config.daemon.listen}: {os.strerror(error.errno or 0)}; set [daemon] listen, or stop what is there",
            ) from error
        write_key(config.data_dir, OPERATOR_KEY, operator_key)
        real_port: int = listening.sockets[0].getsockname()[1]
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{real_port}"
        finally:
            listening.close()
    finally:
        await runner.cleanup()


def _line_to_try(config: Config, url: str) -> str:
    key_file = shlex.quote(str(config.data_dir / API_KEY))
    body = '{"model":"near-agent","messages":[{"role":"user","content":"/near_balance @me"}]}'
    return (
        f'try: curl -s {url}/v1/chat/completions -H "Authorization: Bearer $(cat {key_file})" '
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
