"""A chain without its server: for tests that pass a store, a clock or settings of their own."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from contracts.localnet.chain import BlockStore, Chain, ChainSettings
from contracts.localnet.init import chain_path, localnet_folder
from contracts.localnet.store import ChainStore
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.runtime import Runtime


def _itself(store: ChainStore) -> BlockStore:
    return store


@asynccontextmanager
async def opened_chain(
    data_dir: Path,
    *,
    wrap: Callable[[ChainStore], BlockStore] = _itself,
    clock_ns: Callable[[], int] = time.time_ns,
    validity: int = 86_400,
    settings: ChainSettings | None = None,
) -> AsyncGenerator[Chain]:
    """The chain of a folder that has one, with no task making blocks: call `make_block` or run `run()`."""
    config = replace(RuntimeConfig(), transaction_validity_period=validity)
    runtime = Runtime(config, Engine(localnet_folder(data_dir) / "modules"))
    store = ChainStore(chain_path(data_dir))
    try:
        loaded = store.load()
        assert loaded is not None
        chain = Chain(
            wrap(store), runtime, config, loaded, clock_ns=clock_ns, settings=settings or ChainSettings(heartbeat_s=60)
        )
        try:
            yield chain
        finally:
            chain.close()
    finally:
        store.close()
