"""Are these nodes the ones that the configuration means: the same chain, the same genesis block, a clock that agrees.

Done at the start for each node, and again now and then: a node that was not reached, or was wrong, is not asked until it is
right. Genesis hashes: the `status` of public nodes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.chain.pool import Health
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import StatusView
from contracts.errors import RpcError
from contracts.types import CryptoHash

log = structlog.get_logger()

GENESIS: Final = {
    "mainnet": CryptoHash("EPnLgE7iEq9s7yTkos96M3cWymH5avBAPm3qx3NXqR8H"),
    "testnet": CryptoHash("FWJ9kR6KFWoyMoNjpLXXGHeuiy7tEY6GmoFeCA5yuc6b"),
}
_PUBLIC: Final = frozenset(GENESIS)

_PAUSES_S: Final = (0.2, 0.5, 1.0)
"""Between looks at the start, as long as no node answers."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What nodes are held against."""

    network: str
    """A localnet may be called anything but a public network's name."""
    max_clock_skew_s: float
    """Between this machine and a node's newest block; not looked at on a localnet, whose blocks come when they are needed."""
    chain_id: str | None = None
    """None: the first right node's."""
    genesis_hash: CryptoHash | None = None


class Verifier:
    """Leaves wrong nodes out of a client's pool, and takes them back when they are right."""

    def __init__(self, rpc: RpcClient, expected: Expected, *, clock: Callable[[], float]) -> None:
        self._rpc = rpc
        self._expected = expected
        self._clock = clock

    async def start(self) -> Expected:
        """Look at every node, and again after a pause where none of them answers. Returns what was found, `chain_id` set.

        RpcError `WRONG_NODES` (details `problems`) where those that answer are all wrong; the first one's error where none
        answers.
        """
        for pause_s in _PAUSES_S:
            try:
                return await self._look()
            except RpcError as error:
                if error.code == "WRONG_NODES":
                    raise
            await asyncio.sleep(pause_s)
        return await self._look()

    async def _look(self) -> Expected:
        silent: list[RpcError] = []
        wrong: list[str] = []
        for health, status in await self._probe():
            if isinstance(status, RpcError):
                silent.append(status)
                self._leave_out(health, f"it did not answer at the start ({status.code})")
                continue
            found = self._expected if self._expected.chain_id is not None else self._fixed(status)
            problem = _problem(status, found, self._clock())
            if problem is None:
                self._expected = self._fixed(status) if self._expected.chain_id is None else self._expected
                self._rpc.pool.leave_out(health, None)
            else:
                wrong.append(f"{health.endpoint.operator} {problem}")
                self._leave_out(health, problem)
        if self._expected.chain_id is not None:
            return self._expected
        if wrong:
            raise RpcError("WRONG_NODES", "; ".join(wrong), sent=False, details={"problems": [*wrong]})
        raise silent[0]

    async def again(self) -> None:
        """Look at every node once more; what is silent stays as it is."""
        for health, status in await self._probe():
            if isinstance(status, RpcError):
                continue
            problem = _problem(status, self._expected, self._clock())
            if problem is None and health.left_out is not None:
                log.info("rpc_node_taken_back", node=health.endpoint.operator)
                self._rpc.pool.leave_out(health, None)
            elif problem is not None and health.left_out is None:
                self._leave_out(health, problem)

    async def watch(self, interval_s: float) -> None:
        """`again`, every `interval_s`, until it is cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.again()

    async def _probe(self) -> list[tuple[Health, StatusView | RpcError]]:
        nodes = self._rpc.pool.health
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._status(health)) for health in nodes]
        return [(health, task.result()) for health, task in zip(nodes, tasks, strict=True)]

    async def _status(self, health: Health) -> StatusView | RpcError:
        try:
            return await self._rpc.probe(health.endpoint)
        except RpcError as error:
            return error

    def _fixed(self, status: StatusView) -> Expected:
        """What the first right node says, where nothing else was known."""
        expected = self._expected
        genesis = expected.genesis_hash or GENESIS.get(status.chain_id) or status.genesis_hash
        return Expected(expected.network, expected.max_clock_skew_s, status.chain_id, genesis)

    def _leave_out(self, health: Health, why: str) -> None:
        if health.left_out != why:
            log.warning("rpc_node_left_out", node=health.endpoint.operator, problem=why)
        self._rpc.pool.leave_out(health, why)


def _problem(status: StatusView, expected: Expected, now: float) -> str | None:
    """Why this is not a node of the network; None where it is."""
    chain_id, network = status.chain_id, expected.network
    if chain_id != network and (network in _PUBLIC or chain_id in _PUBLIC):
        return f"serves {chain_id}, configured is {network}"
    if chain_id != expected.chain_id:
        return f"serves {chain_id}, the other nodes {expected.chain_id}"
    if expected.genesis_hash is not None and status.genesis_hash not in (None, expected.genesis_hash):
        return f"has another genesis block than {network}: {status.genesis_hash}"
    if network in _PUBLIC:
        skew_s = now - status.latest_time.timestamp()
        if abs(skew_s) > expected.max_clock_skew_s:
            side = "behind" if skew_s > 0 else "ahead of"
            return (
                f"shows a newest block {abs(skew_s):.0f} s {side} this machine's clock; "
                "it does not keep up, or the clock is wrong"
            )
    return None
