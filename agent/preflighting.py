"""The pre-flight of a daemon, opened with what its network is known to hold."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from contracts.checks.preflight import KnownThings
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry, known_codes
from contracts.localnet.genesis import read_wasm
from contracts.simulation.pool import PoolSettings, open_pool
from contracts.simulation.preflight import Keys, PreflightService, PreflightSettings
from contracts.simulation.remote_state import Codes, StateRpc
from contracts.simulation.sandbox import SandboxSettings
from contracts.types import CryptoHash

SIMULATION: Final = "simulation"
"""The folder of compiled contracts in the data folder; only the simulating processes write there."""


@asynccontextmanager
async def open_preflight(
    data_dir: Path,
    registry: Registry,
    rpc: StateRpc,
    keys: Keys,
    clock: Callable[[], float],
    *,
    settings: PreflightSettings | None = None,
    pool: PoolSettings | None = None,
    sandbox: SandboxSettings | None = None,
) -> AsyncGenerator[PreflightService]:
    """The service; its processes start when plans need them and end with the context."""
    genesis = read_wasm() if registry.network == "localnet" else {}
    codes = Codes(genesis.values())
    hashes: dict[str, str] = {
        **{entry.code_hash: entry.about for entry in known_codes()},
        **{CryptoHash.of(code): f"{name} of the embedded chain" for name, code in genesis.items()},
    }
    async with open_pool(data_dir / SIMULATION, pool, sandbox) as opened:
        yield PreflightService(
            rpc,
            opened,
            keys,
            known=lambda: _known(registry, hashes),
            codes=codes,
            clock=clock,
            settings=settings,
        )


def _known(registry: Registry, codes: Mapping[str, str]) -> KnownThings:
    """What is known at this moment: the registry's tokens grow."""
    return KnownThings(
        accounts={
            **{entry.account_id: inert(entry.about, 60) for entry in registry.accounts},
            **{token.contract_id: f"the {token.name} token" for token in registry.tokens},
        },
        codes=codes,
        tokens={
            token.contract_id: (token.name, token.decimals) for token in registry.tokens if token.decimals is not None
        },
    )
