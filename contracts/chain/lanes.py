"""Which lane a transaction goes in: several keys of one account, or a gas key's nonces, send side by side.

One transaction at a time stands in a lane. Who waits gets the first lane that becomes free and suits him, in the order of
coming.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from contracts.calls import ChangeCall
from contracts.chain.ledger import Lane
from contracts.chain.prechecks import check_key
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import AccessView, GasKeyAccess
from contracts.errors import ContractsError, InvalidInput, RpcError, SigningError
from contracts.signing.signer import Signer
from contracts.types import AccountId, PublicKey

PERMISSIONS_AGE_S: Final = 60.0
"""How long it is remembered what a key may do; before a signature it is read anew."""


@dataclass(slots=True)
class _Waiter:
    lanes: Sequence[Lane]
    given: "asyncio.Future[Lane]"


class Turn:
    """One's time in a lane; it ends once, with its context or before."""

    def __init__(self, lane: Lane, give_back: Callable[[Lane], None]) -> None:
        self.lane = lane
        self.ended = False
        self._give_back = give_back

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._give_back(self.lane)


class Lanes:
    """Lanes in use by this process. Lanes left with a transaction of unknown end are taken last."""

    def __init__(self) -> None:
        self._held: set[Lane] = set()
        self._waiters: list[_Waiter] = []
        self._clogged: set[Lane] = set()

    @asynccontextmanager
    async def hold(self, *lanes: Lane) -> AsyncGenerator[Lane, None]:
        """Alone in one of these lanes until the context ends, also by cancellation; the first one that is free."""
        async with self.turn(*lanes) as turn:
            yield turn.lane

    @asynccontextmanager
    async def turn(self, *lanes: Lane) -> AsyncGenerator[Turn, None]:
        """As `hold`, for who may leave before the context ends."""
        turn = Turn(await self._take(sorted(lanes, key=lambda one: one in self._clogged)), self._give_back)
        try:
            yield turn
        finally:
            turn.end()

    def mark(self, lane: Lane, *, clogged: bool) -> None:
        """Remember whether a transaction of unknown end stands in the lane."""
        if clogged:
            self._clogged.add(lane)
        else:
            self._clogged.discard(lane)

    def __len__(self) -> int:
        return len(self._held) + len(self._waiters)

    async def _take(self, lanes: Sequence[Lane]) -> Lane:
        for lane in lanes:
            if lane not in self._held:
                self._held.add(lane)
                return lane
        waiter = _Waiter(lanes, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await waiter.given
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.given.cancelled():
                self._give_back(waiter.given.result())  # given in the same moment as it was cancelled
            raise

    def _give_back(self, lane: Lane) -> None:
        for waiter in self._waiters:
            if lane in waiter.lanes and not waiter.given.done():
                self._waiters.remove(waiter)
                waiter.given.set_result(lane)
                return
        self._held.discard(lane)


class LaneChoice:
    """The lanes of an account that may carry a call: what the signer holds keys for, as the chain lets them sign."""

    def __init__(self, rpc: RpcClient, signer: Signer, *, monotonic: Callable[[], float], limit: int) -> None:
        self._rpc = rpc
        self._signer = signer
        self._monotonic = monotonic
        self._limit = limit
        self._known: dict[tuple[AccountId, PublicKey], tuple[float, AccessView]] = {}

    async def lanes(
        self, chain_id: str, signer_id: AccountId, call: ChangeCall, only: Collection[PublicKey] | None = None
    ) -> tuple[Lane, ...]:
        """At most `limit` lanes, plain keys first; `only`: those of these keys.

        SigningError `no_key`; else the last key's refusal: InvalidInput with nearcore's name, or RpcError.
        """
        refusal: ContractsError = SigningError(
            "no_key", f"the signer holds no key of {signer_id}; import one with `near-agent keys import {signer_id}`"
        )
        plain: list[Lane] = []
        purses: list[Lane] = []
        for key in await self._signer.public_keys(signer_id):
            if only is not None and key not in only:
                continue
            try:
                permission = await self._permission(signer_id, key)
                check_key(call, permission)
            except (InvalidInput, RpcError) as error:
                refusal = error
                continue
            if isinstance(permission, GasKeyAccess):
                purses += [Lane(chain_id, signer_id, key, index) for index in range(permission.num_nonces)]
            else:
                plain.append(Lane(chain_id, signer_id, key))
            if len(plain) >= self._limit:
                break
        if not plain and not purses:
            raise refusal
        return tuple((*plain, *purses)[: self._limit])

    def forget(self, lane: Lane) -> None:
        """Read again what this key may do: the chain said something else than is remembered."""
        self._known.pop((lane.signer_id, lane.public_key), None)

    async def _permission(self, signer_id: AccountId, key: PublicKey) -> AccessView:
        known = self._known.get((signer_id, key))
        if known is not None and self._monotonic() - known[0] < PERMISSIONS_AGE_S:
            return known[1]
        view = await self._rpc.access_key(signer_id, key)
        self._known[signer_id, key] = (self._monotonic(), view.permission)
        return view.permission
