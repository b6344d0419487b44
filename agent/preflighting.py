"""The pre-flight of a daemon: opened with what its network is known to hold, and told in three lines of a card."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from contracts.catalogue.results import moved_nfts
from contracts.chain.effects import NEAR
from contracts.checks.preflight import KnownThings
from contracts.checks.report import Balance, PreflightReport
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry, known_codes
from contracts.localnet.genesis import read_wasm
from contracts.simulation.pool import PoolSettings, open_pool
from contracts.simulation.preflight import Keys, PreflightService, PreflightSettings
from contracts.simulation.remote_state import Codes, StateRpc
from contracts.simulation.sandbox import SandboxSettings
from contracts.types import NEAR_DECIMALS, AccountId, CryptoHash, format_units

SIMULATION: Final = "simulation"
"""The folder of compiled contracts in the data folder; only the simulating processes write there."""

_SHOWN_BALANCES: Final = 6
_SHOWN_UNKNOWNS: Final = 3
_SHOWN: Final = 160
_DUST_YOCTO: Final = 1000


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


def card_lines(report: PreflightReport, signer_id: AccountId, registry: Registry, at_most: int) -> tuple[str, str, str]:
    """What was checked, what it does, and what that is worth; text from outside in it is inert.

    `at_most` is the gas that the plan can burn at all: the margin goes no further.
    """
    return _checked(report), _simulated(report, signer_id, registry), _worth(report, at_most)


def _checked(report: PreflightReport) -> str:
    passed = sum(check.result == "pass" for check in report.checks)
    line = f"Checked at block {report.block_height}: {passed} of {len(report.checks)} checks passed"
    unknown = [f"{check.name} ({inert(check.detail, _SHOWN)})" for check in report.unknowns[:_SHOWN_UNKNOWNS]]
    more = len(report.unknowns) - len(unknown)
    if not unknown:
        return line
    return f"{line}; not known: {'; '.join(unknown)}" + (f"; and {more} more" if more > 0 else "")


def _simulated(report: PreflightReport, signer_id: AccountId, registry: Registry) -> str:
    results = [simulated.result for simulated in report.simulated]
    if not results or "unknown" in results:
        return "Simulated: not known what it does"
    word = "it succeeds" if set(results) == {"success"} else f"it ends {results[-1]}"
    if any(check.name == "code" and check.result == "unknown" for check in report.checks):
        word += " by code that is not known here and may do otherwise when it is sent"
    changed = [balance for balance in report.balances if balance.change]
    changes = sorted(
        (balance for balance in changed if not _is_dust(balance)), key=lambda balance: balance.account_id != signer_id
    )
    nfts = "".join(f"; {said.removesuffix('.')}" for said in moved_nfts(sorted(report.nfts, key=str)))
    if changed and not changes and not nfts:
        return f"Simulated: {word}; no balance changes by more than a few yoctoNEAR"
    shown = [_change(balance, registry) for balance in changes[:_SHOWN_BALANCES]]
    more = len(changes) - len(shown)
    told = ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else "no balance changes"
    return f"Simulated: {word}; {told}{nfts}"


def _is_dust(balance: Balance) -> bool:
    """The yocto that a call carries as a proof of full access: the card tells it as a deposit; here it hides the rest."""
    return balance.token == NEAR and abs(balance.change) < _DUST_YOCTO


def _change(balance: Balance, registry: Registry) -> str:
    token = registry.of_contract(balance.token)
    if balance.token == NEAR:
        decimals, name = NEAR_DECIMALS, NEAR
    elif token is not None and token.decimals is not None:
        decimals, name = token.decimals, token.name
    else:
        decimals, name = 0, f"base units of {balance.token}"
    before, after = format_units(balance.before, decimals), format_units(balance.after, decimals)
    return f"{balance.account_id} from {before} to {after} {name}"


def _worth(report: PreflightReport, at_most: int) -> str:
    reason = next((simulated.reason for simulated in report.simulated if simulated.result != "success"), None)
    bound = min(sum(simulated.gas_bound for simulated in report.simulated), at_most)
    gas = (
        f"Gas by simulation: about {format_units(bound // 10**10, 2)} Tgas with a margin"
        if bound
        else "Gas: not measured"
    )
    return f"{gas}; {inert(reason, _SHOWN)}" if reason else gas
