"""The findings of a pre-flight as a card tells them: balances, doubts, and what could not be checked. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from agent.records import CardCheck, CardEffect
from contracts.catalogue.results import moved_nfts
from contracts.chain.effects import NEAR
from contracts.checks.report import Balance, PreflightReport
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry
from contracts.types import NEAR_DECIMALS, AccountId, format_units

MAX_EFFECTS: Final = 50
_SHOWN: Final = 160
_SHOWN_NAME: Final = 40
_DUST_YOCTO: Final = 1000
_FROM_WORST: Final[tuple[Literal["unknown", "failure", "partial"], ...]] = ("unknown", "failure", "partial")


@dataclass(frozen=True, slots=True)
class Findings:
    effects: tuple[CardEffect, ...] = ()
    """The signer's outflows first; without the few yocto that a call carries as a proof of full access."""
    nfts: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """Reasons not to rely on the simulation, or its end short of success."""
    unknown: tuple[str, ...] = ()
    """Each check that could not be made, with its reason."""
    simulation: Literal["success", "partial", "failure", "unknown", "none"] = "none"
    gas_tgas: str | None = None
    block_height: int | None = None
    """None: nothing was checked."""
    checks: tuple[CardCheck, ...] = ()


def findings_of(report: PreflightReport, signer_id: AccountId, registry: Registry, at_most: int) -> Findings:
    """The findings of a report; text from outside in them is inert.

    `at_most` is the gas that the plan can burn at all: the margin goes no further.
    """
    changes = sorted(
        (balance for balance in report.balances if balance.change and not _is_dust(balance)),
        key=lambda balance: (balance.account_id != signer_id, balance.change > 0),
    )
    bound = min(sum(simulated.gas_bound for simulated in report.simulated), at_most)
    return Findings(
        effects=tuple(_effect(balance, registry) for balance in changes[:MAX_EFFECTS]),
        nfts=tuple(said.removesuffix(".") for said in moved_nfts(sorted(report.nfts, key=str))),
        doubts=(*_doubts(report), *_left_out(len(changes))),
        unknown=_unknown(report),
        simulation=_simulation(report),
        gas_tgas=format_units(bound // 10**10, 2) if bound else None,
        block_height=report.block_height,
        checks=tuple(
            CardCheck(
                name=check.name,
                result=check.result,
                detail=inert(check.detail, _SHOWN),
                transaction=None if check.call is None else check.call + 1,
            )
            for check in report.checks
        ),
    )


def _simulation(report: PreflightReport) -> Literal["success", "partial", "failure", "unknown", "none"]:
    results = {simulated.result for simulated in report.simulated}
    if not results:
        return "none"
    for worse in _FROM_WORST:
        if worse in results:
            return worse
    return "success"


def _doubts(report: PreflightReport) -> tuple[str, ...]:
    simulation = _simulation(report)
    reasons = (simulated.reason for simulated in report.simulated if simulated.result != "success")
    reason = next((reason for reason in reasons if reason), None)
    why = f": {inert(reason, _SHOWN)}" if reason else ""
    doubts: list[str] = []
    if simulation in {"partial", "failure"}:
        doubts.append(f"simulated, it ends in {simulation}{why}")
    if any(check.name == "code" and check.result == "unknown" for check in report.checks):
        doubts.append(
            "it runs code that is not known here and may do otherwise when it is sent than when it is simulated"
        )
    return tuple(doubts)


def _left_out(changes: int) -> tuple[str, ...]:
    return (
        (f"the plan changes {changes} balances; a card holds {MAX_EFFECTS} of them",) if changes > MAX_EFFECTS else ()
    )


def _unknown(report: PreflightReport) -> tuple[str, ...]:
    told = [f"{check.name}: {inert(check.detail, _SHOWN)}" for check in report.unknowns]
    reasons = dict.fromkeys(simulated.reason for simulated in report.simulated if simulated.result == "unknown")
    said = {check.detail for check in report.unknowns}
    told += [f"what it does: {inert(reason, _SHOWN)}" for reason in reasons if reason and reason not in said]
    return tuple(dict.fromkeys(told))


def _is_dust(balance: Balance) -> bool:
    """The card tells these yocto as a deposit; here they would hide the rest."""
    return balance.token == NEAR and abs(balance.change) < _DUST_YOCTO


def _effect(balance: Balance, registry: Registry) -> CardEffect:
    token = registry.of_contract(balance.token)
    if balance.token == NEAR:
        decimals, symbol = NEAR_DECIMALS, NEAR
    elif token is not None and token.decimals is not None:
        decimals, symbol = token.decimals, inert(token.name, _SHOWN_NAME)
    else:
        decimals, symbol = 0, None
    return CardEffect(
        account_id=balance.account_id,
        token=balance.token,
        symbol=symbol,
        before=format_units(balance.before, decimals),
        after=format_units(balance.after, decimals),
        change=format_units(balance.change, decimals),
    )
