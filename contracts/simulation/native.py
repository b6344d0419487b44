"""Plans that run no contract, carried out in this process: what they do is the protocol's own affair.

There is no code of others in them, so nothing that the simulating process would have to keep in.
"""

import time
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
    def load(self, code_hash: CryptoHash, code: bytes, limits: Limits) -> NoReturn:
        raise StateUnknown(f"code {code_hash} of {len(code)} bytes (limits {limits}) would run, which was not to be")


class _Lacking(Exception):  # noqa: N818 -- no error: the run begins again with what it lacked
    def __init__(self, need: Need) -> None:
        super().__init__(need.what)
        self.need = need


class NativeRuns:
    """Carries out jobs of plans that run no code."""

    def __init__(self) -> None:
        self._engine = _NoCode()

    async def run(
        self,
        job: Job,
        answer: Callable[[Need], Awaitable[Given]],
        measure: Callable[[Done], Measure],
    ) -> SimulationRun | Unsimulated:
        """As `Sandbox.run`: what the plan does, and the balances that `measure` names."""
        given = list(job.given)
        for _ in range(_MAX_NEEDS):
            try:
                return self._once(replace(job, given=tuple(given)), measure)
            except _Lacking as lacking:
                given.append(await answer(lacking.need))
        return Unsimulated("too many questions")

    def _once(self, job: Job, measure: Callable[[Done], Measure]) -> SimulationRun:
        run = PlanRun(job, KnownState(_lacks, {}), self._engine, Times())
        done = run.run()
        return SimulationRun(done, _measured(run, measure(done)), 0.0)


def _measured(run: PlanRun, wanted: Measure) -> Measured:
    began = time.perf_counter()
    return replace(run.measure(wanted), run_ms=round((time.perf_counter() - began) * 1000, 3))


def _lacks(need: Need) -> NoReturn:
    raise _Lacking(need)
