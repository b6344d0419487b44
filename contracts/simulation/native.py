"""Plans that run no contract, carried out in this process: what they do is the protocol's own affair.

There is no code of others in them, so nothing that the simulating process would have to keep in.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, NoReturn

from contracts.calls import AddKey, ChangeCall, CreateAccount, DeleteKey, Transfer
from contracts.simulation.known_state import KnownState, StateUnknown
from contracts.simulation.messages import Done, Given, Job, Measure, Measured, Need
from contracts.simulation.running import PlanRun, Times
from contracts.simulation.sandbox import SimulationRun, Unsimulated
from contracts.types import CryptoHash
from contracts.vm.config import Limits
from contracts.vm.engine import Engine

_NATIVE: Final = (Transfer, CreateAccount, AddKey, DeleteKey)
_MAX_NEEDS: Final = 20
"""Things that a plan may ask for beside what is read for every one."""


def runs_no_code(calls: tuple[ChangeCall, ...]) -> bool:
    """Whether these are plain actions, which no contract sees."""
    return all(isinstance(action, _NATIVE) for call in calls for action in call.actions)


class _NoCode(Engine):
    def __init__(self) -> None:
        """Without a compiler: nothing is to be compiled."""

    def load(self, code_hash: CryptoHash, code: bytes, limits: Limits) -> NoReturn:
        raise StateUnknown(f"code {code_hash} of {len(code)} bytes (limits {limits}) would run, which was not to be")


class _Lacking(Exception):
    """The run begins again with what it lacks."""

    def __init__(self, need: Need) -> None:
        super().__init__(need.what)
        self.need = need


class NativeRuns:
    """Carries out jobs of plans that run no code."""

    def __init__(self) -> None:
        self._engine = _NoCode()

    async def run(
        self, job: Job, answer: Callable[[Need], Awaitable[Given]], measure: Callable[[Done], Measure]
    ) -> SimulationRun | Unsimulated:
        """As `Sandbox.run`: what the plan does, and the balances that `measure` names."""
        given = list(job.given)
        for _ in range(_MAX_NEEDS):
            run = PlanRun(replace(job, given=tuple(given)), KnownState(_lacks, {}), self._engine, Times())
            try:
                done = run.run()
            except _Lacking as lacking:
                given.append(await answer(lacking.need))
            else:
                return SimulationRun(done, _measured(run, measure(done)), 0.0)
        return Unsimulated("too many questions")


def _measured(run: PlanRun, wanted: Measure) -> Measured | None:
    """None where a balance is asked for that the plan did not need."""
    try:
        return run.measure(wanted)
    except _Lacking:
        return None


def _lacks(need: Need) -> NoReturn:
    raise _Lacking(need)
