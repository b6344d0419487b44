"""The daemon: everything that is opened, in order, and how it ends.

`open_runtime` opens what answers requests (folder lock, chain, RPC, store, signer, models, pipeline); `run_daemon` puts
the HTTP server around it, and the command line uses it directly where no daemon runs.
"""

import asyncio
import gc
import os
import secrets
import shlex
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, cast

import structlog
from aiohttp import web

from agent.approval import Codes, open_code_key
from agent.cancelling import Canceller
from agent.config import Config, split_listen
from agent.data_folder import (
    API_KEY,
    OPERATOR_KEY,
    DaemonAddress,
    lock_folder,
    read_key,
    remove_address,
    write_address,
    write_key,
)
from agent.errors import ConfigError, DaemonError
from agent.frontends.approvals import ApprovalApi
from agent.frontends.openai_api import ApiSettings, make_app
from agent.frontends.operator import Operator, OperatorApi
from agent.frontends.replies import completion
from agent.frontends.running import RunningRequests
from agent.models.serving import Models, open_models
from agent.pipeline import Pipeline, Settings
from agent.policy_loading import load_policy
from agent.records import Identity, ModelName, Reply
from agent.rotating import Rotator
from agent.signing import signer_spec
from agent.settling import settle_forever
from agent.store.store import Store, open_store
from contracts.chain.client import ChainClient, no_kill
from contracts.chain.delivery import SendSettings
from contracts.chain.endpoints import Endpoint
from contracts.chain.rpc import RpcClient, RpcConfig, open_rpc
from contracts.chain.verifying import Expected, Verifier
from contracts.errors import RpcError
from contracts.knowledge.registry import Registry
from contracts.localnet.server import open_localnet
from contracts.signing.signer_client import open_signer
from contracts.types import AccountId, JsonObject

log = structlog.get_logger()

_FLUSH_S: Final = 2.0
"""What answers that are made get to reach their clients at the end."""
_GC_THRESHOLDS: Final = (10_000, 20, 20)
"""New objects before the young are looked through (Python's own: 700), then rounds before the older ones are."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What answers requests, opened."""

    config: Config
    pipeline: Pipeline
    store: Store
    chain: ChainClient
    verifier: Verifier
    models: Models
    operator: Operator
    first: Identity
    """Holder of the key in the data folder's `api_key`."""
    rpc_url: str
    clock: Callable[[], float]

    def configured_models(self) -> tuple[ModelName, ...]:
        """Names that a request may ask for at this moment."""
        names: list[ModelName] = ["near-agent"]
        if self.models.standard() is not None:
            names.append("near-agent-standard")
        if self.models.specialist() is not None:
            names.append("near-agent-specialist")
        return tuple(names)


@asynccontextmanager
async def open_runtime(
    config: Config,
    *,
    localnet_listen: str | None = None,
    lock_wait_s: float = 0.0,
    kill_point: Callable[[str], None] = no_kill,
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[Runtime]:
    """Open all of it on the data folder, alone. FolderInUse, ConfigError, StoreError, ChainError, RpcError.

    `pipeline.recover()` is the caller's next step.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_one_error())
        stack.enter_context(lock_folder(config.data_dir, wait_s=lock_wait_s))
        policy = load_policy(config.policy.file, config.data_dir, Registry.for_network(config.network))
        # First, so that its process starts while the chain and the store are opened.
        signer = await stack.enter_async_context(open_signer(signer_spec(config)))
        nodes = config.rpc_endpoints
        if config.embedded:
            localnet = await stack.enter_async_context(
                open_localnet(
                    config.data_dir,
                    localnet_listen or config.localnet.listen,
                    finality_lag_blocks=config.localnet.finality_lag_blocks,
                    heartbeat_s=config.localnet.heartbeat_s,
                    epoch_length_blocks=config.localnet.epoch_length_blocks,
                )
            )
            nodes = (Endpoint.of(localnet.rpc_url),)
        rpc = await stack.enter_async_context(open_rpc(nodes, config=_rpc_config(config)))
        verifier = Verifier(rpc, Expected(config.network, config.rpc.max_clock_skew_s), clock=clock)
        chain_id = await _chain_id(config, rpc, verifier)
        store = await stack.enter_async_context(open_store(config.database_path, clock=clock))
        held = await signer.held()
        chain = ChainClient(
            rpc, store.ledger, signer, clock=clock, settings=_send_settings(config), kill_point=kill_point
        )
        models = await stack.enter_async_context(open_models(config.models, config.data_dir, monotonic=time.monotonic))
        pipeline = Pipeline(
            settings=_pipeline_settings(config, chain_id),
            store=store,
            chain=chain,
            reads=rpc,
            registry=Registry.for_network(config.network),
            models=models,
            codes=Codes(open_code_key(config.data_dir)),
            policy=policy,
            clock=clock,
            kill_point=kill_point,
        )
        first = await _first_identity(config, store, tuple(sorted(held.accounts)))
        canceller = Canceller(
            pipeline.recorded,
            store.ledger,
            chain,
            Registry.for_network(config.network),
            chain_id=chain_id,
            clock=clock,
            grant_ttl_s=_pipeline_settings(config, chain_id).step_timeout_s,
        )
        rotator = Rotator(
            pipeline.recorded,
            store.ledger,
            chain,
            signer,
            Registry.for_network(config.network),
            data_dir=config.data_dir,
            chain_id=chain_id,
            clock=clock,
            grant_ttl_s=_pipeline_settings(config, chain_id).step_timeout_s,
            drain_s=config.rpc.confirm_timeout_s,
            kill_point=kill_point,
        )
        await _tell_of_lanes(chain, chain_id)
        yield Runtime(
            config=config,
            pipeline=pipeline,
            store=store,
            chain=chain,
            models=models,
            operator=Operator(pipeline, store.cards, store.api_keys, first, clock, lanes=canceller, rotation=rotator),
            first=first,
            verifier=verifier,
            # Without what may hold a provider's key: it goes into a file and into the log.
            rpc_url=nodes[0].url if config.network == "localnet" else nodes[0].shown,
            clock=clock,
        )


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
    with _signals() as signals, _one_error():
        async with AsyncExitStack() as stack:
            tasks = asyncio.TaskGroup()
            running = RunningRequests(tasks)
            ready = asyncio.Event()
            try:
                async with asyncio.timeout(None) as starting:
                    # What a start leaves unfinished, the next one goes on with.
                    signals.hurry = lambda: starting.reschedule(0)
                    runtime = await stack.enter_async_context(open_runtime(config, kill_point=kill_point, clock=clock))
                    await stack.enter_async_context(tasks)
                    url = await stack.enter_async_context(_serving(runtime, running, ready))
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


@contextmanager
def _one_error() -> Generator[None]:
    """Task groups wrap what ends them, also an error of the code inside them; a single one is raised as it was."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _innermost(group) from None


def _innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error in nested groups; the group where there are several."""
    inner, *others = group.exceptions
    if others:
        return group
    return (
        _innermost(cast("BaseExceptionGroup[BaseException]", inner)) if isinstance(inner, BaseExceptionGroup) else inner
    )


@asynccontextmanager
async def _serving(runtime: Runtime, running: RunningRequests, ready: asyncio.Event) -> AsyncGenerator[str]:
    """The HTTP server; its address. DaemonError `listen_refused`."""
    config = runtime.config
    settings = ApiSettings(
        configured_models=runtime.configured_models,
        ready=ready.is_set,
        started_at=runtime.clock(),
        clock=runtime.clock,
        user_header=runtime.pipeline.user_header,
    )
    operator_key = secrets.token_urlsafe(32)

    def answer(reply: Reply) -> JsonObject:
        return completion(reply, "near-agent", int(runtime.clock()))

    operator = OperatorApi(runtime.operator, running, operator_key, answer)
    keys = runtime.store.api_keys
    approvals = ApprovalApi(runtime.pipeline, runtime.store.cards, keys, running, answer, runtime.clock)
    app = make_app(runtime.pipeline, keys, running, settings, *operator.routes(), *approvals.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FLUSH_S)
    await runner.setup()
    host, port = split_listen(config.daemon.listen)
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise DaemonError(
                "listen_refused",
                f"cannot listen on {config.daemon.listen}: {os.strerror(error.errno or 0)}; set [daemon] listen, or stop what is there",
            ) from error
        write_key(config.data_dir, OPERATOR_KEY, operator_key)
        real_port: int = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{real_port}"
    finally:
        await runner.cleanup()


async def _first_identity(config: Config, store: Store, accounts: tuple[AccountId, ...]) -> Identity:
    """Whom the key in `api_key` stands for; the key is made where the file holds none that is in force."""
    kept = read_key(config.data_dir, API_KEY)
    identity = await store.api_keys.authenticate(kept) if kept else None
    if identity is None:
        account_id = _first_account(config, accounts)
        _, plaintext = await store.api_keys.create(account_id, config.network == "localnet")
        write_key(config.data_dir, API_KEY, plaintext)
        identity = await store.api_keys.authenticate(plaintext)
    if identity is None:
        raise DaemonError("key_lost", f"the key just written to {config.data_dir / API_KEY} is not known; start again")
    return identity


def _first_account(config: Config, accounts: tuple[AccountId, ...]) -> AccountId:
    """The configured account, else the only one that has a key. ConfigError `config_invalid` names what to set."""
    if config.first_account is not None:
        return config.first_account
    if len(accounts) == 1:
        return accounts[0]
    names = ", ".join(accounts[:5]) + (" ..." if len(accounts) > 5 else "")
    found = f"{names} have a key in {config.credentials_dir}" if accounts else "no account has a key"
    raise ConfigError(
        "config_invalid",
        f"{found} for {config.network}; set account_id (or NEAR_AGENT_ACCOUNT_ID) to the one the first API key acts for"
        + ("" if accounts else ", and make its key with: near-agent keys generate ACCOUNT"),
    )


async def _chain_id(config: Config, rpc: RpcClient, verifier: Verifier) -> str:
    """The chain's own name. ConfigError where every node that answers is wrong: another network, genesis block or clock."""
    try:
        found = await verifier.start()
    except RpcError as error:
        if error.code != "WRONG_NODES":
            raise
        raise ConfigError(
            "config_invalid",
            f"no RPC node can be used: {error.message}; correct [networks.{config.network}] rpc, network, or this clock",
        ) from error
    operators, needed = len(rpc.operators()), config.chosen_network.proof_operators
    if operators < needed:
        log.warning(
            "rpc_operators_too_few",
            operators=operators,
            needed=needed,
            todo=f"add an address of another operator to [networks.{config.network}] rpc: "
            "until then one operator's word counts, and no transaction can be proven dead",
        )
    return found.chain_id or config.network


async def _tell_of_lanes(chain: ChainClient, chain_id: str) -> None:
    """At the start: keys that something else has used are blocked, and the log says so."""
    for lane, record in await chain.check_lanes(chain_id):
        foreign = record.foreign
        log.warning(
            "key_blocked",
            account_id=lane.signer_id,
            public_key=lane.name,
            known_nonce=foreign and foreign.known_nonce,
            chain_nonce=foreign and foreign.chain_nonce,
            todo=f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}",
        )


def _line_to_try(config: Config, url: str) -> str:
    key_file = shlex.quote(str(config.data_dir / API_KEY))
    body = '{"model":"near-agent","messages":[{"role":"user","content":"/near_balance @me"}]}'
    return (
        f'try: curl -s {url}/v1/chat/completions -H "Authorization: Bearer $(cat {key_file})" '
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _rpc_config(config: Config) -> RpcConfig:
    rpc = config.rpc
    return RpcConfig(
        connect_timeout_s=rpc.connect_timeout_s,
        request_timeout_s=rpc.request_timeout_s,
        max_body_bytes=rpc.max_body_bytes,
        attempts=rpc.attempts,
        read_timeout_s=rpc.read_timeout_s,
        max_lag_blocks=rpc.max_lag_blocks,
        hedge_floor_s=rpc.hedge_ms / 1000,
    )


def _send_settings(config: Config) -> SendSettings:
    rpc = config.rpc
    return SendSettings(
        operators=config.chosen_network.proof_operators,
        confirm_timeout_s=rpc.confirm_timeout_s,
        settle_timeout_s=rpc.settle_timeout_s,
        poll_s=rpc.poll_s,
        resend_s=rpc.resend_s,
        lanes=rpc.lanes,
    )


def _pipeline_settings(config: Config, chain_id: str) -> Settings:
    return Settings(
        network=config.network,
        chain_id=chain_id,
        request_timeout_s=config.daemon.request_timeout_s,
        # Longer than the chain client's own wait and its last look-up.
        step_timeout_s=config.rpc.confirm_timeout_s + 2 * config.rpc.request_timeout_s,
        approval_ttl_s=config.daemon.approval_ttl_s,
        duplicate_window_s=config.daemon.duplicate_window_s,
        swap=config.swap.settings,
    )
