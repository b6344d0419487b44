"""The embedded chain as one thing to open: folder lock, genesis, database, block producer and RPC server."""

import asyncio
import fcntl
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from contracts.errors import ChainError
from contracts.folders import make_private_folder
from contracts.groups import one_error
from contracts.localnet.chain import Chain, ChainSettings
from contracts.localnet.genesis import genesis_block, read_genesis, read_wasm
from contracts.localnet.genesis_contracts import genesis_contracts
from contracts.localnet.init import (
    EPOCH_LENGTH,
    chain_path,
    genesis_path,
    init_command,
    localnet_folder,
    modules_path,
)
from contracts.localnet.rpc_reads import ChainReads
from contracts.localnet.rpc_sends import ChainSends
from contracts.localnet.rpc_server import RpcServer
from contracts.localnet.store import ChainStore, Loaded
from contracts.localnet.views import ViewRunner
from contracts.private_files import open_private
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.runtime import Runtime

WAIT_TIMEOUT_S: Final = 10.0
"""How long the node waits for a level before it answers TIMEOUT_ERROR (nearcore's default)."""
INIT_TIMEOUT_S: Final = 60.0
SHUTDOWN_TIMEOUT_S: Final = 1.0
"""What requests get to finish when the chain is closed."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Localnet:
    """A running chain."""

    rpc_url: str
    chain: Chain


@asynccontextmanager
async def open_localnet(
    data_dir: Path,
    listen: str = "127.0.0.1:3030",
    *,
    finality_lag_blocks: int = 0,
    heartbeat_s: float = 1.0,
    wait_timeout_s: float = WAIT_TIMEOUT_S,
    epoch_length_blocks: int = EPOCH_LENGTH,
) -> AsyncGenerator[Localnet]:
    """Open the chain of that data folder, made on first use, and serve its RPC on `listen` (HOST:PORT, port 0: any).

    A chain that is there keeps the epoch length and the contracts that it was begun with.
    ChainError `chain_locked` where another process has it open, `listen_refused` where the address cannot be used;
    `genesis_failed`, `bad_genesis` and `wasm_missing` for a first start that cannot be.
    """
    config = RuntimeConfig()
    settings = ChainSettings(heartbeat_s=heartbeat_s, finality_lag_blocks=finality_lag_blocks)
    folder = localnet_folder(data_dir)
    make_private_folder(folder)
    with _lock(folder / "lock"):
        if not genesis_path(data_dir).exists() and not chain_path(data_dir).exists():
            await _make_keys(data_dir, epoch_length_blocks)

        def open_engine() -> Engine:
            return Engine(modules_path(data_dir))

        runtime = Runtime(config, open_engine())
        with _opened_store(chain_path(data_dir)) as store:
            loaded = _load(data_dir, store, runtime, config)
            _tell_of_age(loaded)
            chain = Chain(store, runtime, config, loaded, clock_ns=time.time_ns, settings=settings)
            views = ViewRunner(config, open_engine)
            try:
                async with _producing(chain), _served(chain, views, listen, wait_timeout_s) as rpc_url:
                    yield Localnet(rpc_url, chain)
            finally:
                views.close()
                chain.close()


async def run_localnet(
    data_dir: Path,
    listen: str = "127.0.0.1:3030",
    *,
    finality_lag_blocks: int = 0,
    heartbeat_s: float = 1.0,
    epoch_length_blocks: int = EPOCH_LENGTH,
) -> None:
    """Serve the chain alone until SIGTERM or SIGINT; prints `ready http://HOST:PORT` when it answers."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        async with open_localnet(
            data_dir,
            listen,
            finality_lag_blocks=finality_lag_blocks,
            heartbeat_s=heartbeat_s,
            epoch_length_blocks=epoch_length_blocks,
        ) as localnet:
            sys.stdout.write(f"ready {localnet.rpc_url}\n")
            sys.stdout.flush()
            await stopped.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _producing(chain: Chain) -> AsyncGenerator[None]:
    """Blocks are made until the end; what the body raises comes out as it is, not as a group."""
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chain.run(), name="localnet_blocks")
            try:
                yield
            finally:
                chain.stop()


@contextmanager
def _lock(path: Path) -> Generator[None]:
    with os.fdopen(open_private(path), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            raise ChainError(
                "chain_locked",
                f"the chain in {path.parent} is open in process {owner}; stop that process or use another data folder",
                details={"pid": owner},
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _opened_store(path: Path) -> Generator[ChainStore]:
    """The database; what SQLite says while a chain is opened becomes ChainError `chain_unreadable`."""
    try:
        store = ChainStore(path)
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(path, error) from error
    try:
        yield store
    finally:
        store.close()


def _unreadable(path: Path, error: OSError | sqlite3.Error) -> ChainError:
    return ChainError(
        "chain_unreadable",
        f"the chain in {path} cannot be opened: {error}; free some disk space, or move {path.parent} away to begin a new"
        " chain",
    )


def _load(data_dir: Path, store: ChainStore, runtime: Runtime, config: RuntimeConfig) -> Loaded:
    try:
        return store.load() or _begin(data_dir, store, runtime, config)
    except sqlite3.Error as error:
        raise _unreadable(chain_path(data_dir), error) from error


def _tell_of_age(loaded: Loaded) -> None:
    """A chain that was begun by an earlier program goes on as it is; what it lacks is said once, at each start."""
    lacking: list[str] = []
    for contract in genesis_contracts():
        account = loaded.state.account(contract.account_id)
        if account is None or (contract.wasm is not None and account.code_hash is None):
            lacking.append(contract.account_id)
    if lacking:
        _log.warning(
            "chain_lacks_contracts",
            contracts=lacking,
            todo="this chain was begun by an earlier version; move the localnet folder away to begin one that has them",
        )


def _begin(data_dir: Path, store: ChainStore, runtime: Runtime, config: RuntimeConfig) -> Loaded:
    """The genesis block, made and committed on a chain's first start."""
    genesis = read_genesis(genesis_path(data_dir))
    store.commit(genesis_block(genesis, runtime, config, read_wasm()), genesis.model_dump(mode="json"))
    loaded = store.load()
    if loaded is None:
        raise ChainError("genesis_failed", f"the genesis block was written to {chain_path(data_dir)} and is not there")
    return loaded


async def _make_keys(data_dir: Path, epoch_length: int) -> None:
    """Private keys are made where this process never sees them."""
    child = await asyncio.create_subprocess_exec(
        *init_command(data_dir, epoch_length),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(INIT_TIMEOUT_S):
            _, errors = await child.communicate()
    except (TimeoutError, asyncio.CancelledError):
        child.kill()
        await child.wait()
        raise
    if child.returncode != 0:
        raise ChainError(
            "init_failed", f"no keys could be made in {data_dir}: {errors.decode(errors='replace')[-500:]}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def _served(chain: Chain, views: ViewRunner, listen: str, wait_timeout_s: float) -> AsyncGenerator[str]:
    host, _, port = listen.rpartition(":")
    address = ""
    reads = ChainReads(chain, views, lambda: address, time.time_ns())
    server = RpcServer(reads, ChainSends(chain, wait_timeout_s), sandbox=_is_loopback(host))
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except (OSError, ValueError) as error:
            raise ChainError(
                "listen_refused", f"cannot serve RPC on {listen!r}: {error}; set [localnet] listen"
            ) from error
        real = runner.addresses[0]
        address = f"{host}:{real[1]}"
        yield f"http://{address}"
    finally:
        await runner.cleanup()
