"""View calls without holding the event loop: short ones run at once, the few long ones again in a thread.

A view may burn as much gas as a transaction, which takes seconds of one core. Nearly all end within a few Tgas and a few
milliseconds of host functions, so a view gets that much on the loop; where it is not enough, its second run gets the whole
limit in a thread. Views change nothing, so running one twice is only time.

Instructions leave the interpreter to the loop while they run, host functions do not, in whichever thread they are. Nobody
pays for a view and nobody has to say who asks, so their host functions get `VIEW_WORK_US` at most, one view at a time.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from contracts.errors import VmError
from contracts.localnet.rpc_errors import internal_error
from contracts.types import TGAS, AccountId
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext
from contracts.vm.host_work import HostWork
from contracts.vm.runtime import Runtime, ViewResult
from contracts.vm.state import StateReader

QUICK_VIEW_GAS: Final = 20 * TGAS
"""About 40 ms of endless loop."""
QUICK_WORK_US: Final = 20_000
"""Host functions of a view on the loop: 10,000 charges. Views of real contracts make a few hundred."""
VIEW_WORK_US: Final = 500_000
"""Host functions of a view in the thread: a hundred pairings, or sums of 2,000 multiples. Above it, it is refused."""
MAX_WAITING: Final = 8
"""Long views under way or waiting; one runs at a time."""
_OUT_OF_GAS: Final = frozenset(("GasLimitExceeded", "GasExceeded"))


class ViewRunner:
    """Runs views on engines of its own: the block producer's is busy in its thread at times."""

    def __init__(self, config: RuntimeConfig, open_engine: Callable[[], Engine]) -> None:
        quick = replace(config, limits=replace(config.limits, max_gas_burnt=QUICK_VIEW_GAS))
        self._config = config
        self._open_engine = open_engine
        self._quick = Runtime(quick, open_engine())
        self._long: Runtime | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localnet-views")
        self._waiting = 0

    def close(self) -> None:
        """Drop what waits; a view that runs ends by its gas."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def view(
        self, state: StateReader, contract_id: AccountId, method_name: str, args: bytes, context: BlockContext
    ) -> ViewResult:
        """What the method returns. `state` must keep still and bear reads from another thread.

        VmError as `Runtime.view`, also where its host functions take too long; INTERNAL_ERROR where too many long
        views wait.
        """
        work = HostWork(QUICK_WORK_US)
        try:
            return self._quick.view(state, contract_id, method_name, args, context, work)
        except VmError as error:
            if error.code not in _OUT_OF_GAS and not work.refused:
                raise
        if self._waiting >= MAX_WAITING:
            raise internal_error("The node reached its limits. Try again later.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._run_long, state, contract_id, method_name, args, context
            )
        finally:
            self._waiting -= 1

    def _run_long(
        self, state: StateReader, contract_id: AccountId, method_name: str, args: bytes, context: BlockContext
    ) -> ViewResult:
        if self._long is None:
            self._long = Runtime(self._config, self._open_engine())
        return self._long.view(state, contract_id, method_name, args, context, HostWork(VIEW_WORK_US))
