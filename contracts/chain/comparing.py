"""An account's lanes next to the chain: at the start, before a card, and before a signature (the rule is in `nonce`).

A lost use of a key shows on whichever lane carried it, so all lanes of the account are looked at, whichever is to sign: those
of keys that the signer holds, and those that the ledger knows from before.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.ledger import Lane, LaneRecord, Ledger, SeenNonce
from contracts.chain.nonce import blocked
from contracts.chain.rpc_types import GasKeyAccess
from contracts.errors import LedgerConflict, RpcError
from contracts.knowledge.facts import At
from contracts.signing.signer import Signer
from contracts.types import AccountId, PublicKey

log = structlog.get_logger()

COMPARED_AGE_S: Final = 30.0
"""Seconds for which a comparison of all lanes counts for the signatures that follow it. The lane that signs is read each time."""
_READS_AT_ONCE: Final = 8
_NO_KEY: Final = frozenset({"UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT", "UNKNOWN_GAS_KEY"})

Account = tuple[str, AccountId]
"""A chain's id, and an account on it."""


@dataclass(frozen=True, slots=True)
class LaneStanding:
    """A lane of an account that has the key now."""

    lane: Lane
    nonce: int
    """On chain."""
    record: LaneRecord
    held: bool = True
    """Whether the signer has the key; the ledger may know others of former times."""


@dataclass(frozen=True, slots=True)
class AccountStanding:
    lanes: tuple[LaneStanding, ...]
    conflict: LedgerConflict | None
    """The reason why nothing can be signed for the account, and what to do; None if every nonce is explained."""


class LaneWatch:
    """Compares lanes for one process."""

    def __init__(
        self,
        reads: AgreedReads,
        ledger: Ledger,
        signer: Signer,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._reads = reads
        self._ledger = ledger
        self._signer = signer
        self._clock = clock
        self._monotonic = monotonic
        self._compared: dict[Account, float] = {}
        """When all lanes of an account were last found explained, in monotonic seconds."""
        self._gone: set[tuple[Account, PublicKey]] = set()
        """Keys of former times that the account has no more; not asked for again."""
        self._slots = asyncio.Semaphore(_READS_AT_ONCE)

    async def account(self, chain_id: str, signer_id: AccountId, at: At = "final") -> AccountStanding:
        """Compare all lanes of an account. RpcError, SigningError: a lane that cannot be read may be the one that was used."""
        return await self._compare((chain_id, signer_id), await self._signer.public_keys(signer_id), at)

    async def check(self, chain_id: str, signer_id: AccountId) -> None:
        """LedgerConflict `key_blocked` unless all lanes were found explained, now or a moment ago. RpcError, SigningError."""
        age_s = self._monotonic() - self._compared.get((chain_id, signer_id), -COMPARED_AGE_S)
        if age_s < COMPARED_AGE_S:
            return
        standing = await self.account(chain_id, signer_id)
        if standing.conflict is not None:
            raise standing.conflict

    async def start(
        self, chain_id: str, held: Mapping[AccountId, Sequence[PublicKey]]
    ) -> list[tuple[Lane, LaneRecord]]:
        """Store the baselines of unseen lanes and compare the others; returns the lanes that something else has used.

        An account of which a lane cannot be read now is compared before its next signature.
        """
        known = {lane.signer_id for lane, _ in await self._ledger.lanes(chain_id)}
        for signer_id in sorted(known | set(held)):
            try:
                await self._compare((chain_id, signer_id), held.get(signer_id, ()), "final")
            except RpcError as error:
                log.warning("lanes_not_compared", account_id=signer_id, code=error.code)
        return [(lane, record) for lane, record in await self._ledger.lanes(chain_id) if record.foreign is not None]

    async def acknowledge(
        self, chain_id: str, signer_id: AccountId, public_key: PublicKey
    ) -> tuple[list[tuple[Lane, LaneRecord]], int]:
        """Make the nonces of a key's lanes on chain their baselines; the lanes, and how many cards that voided. RpcError.

        No lanes: neither the ledger knows the key, nor has the signer a key that the account knows.
        """
        known = [lane for lane, _ in await self._ledger.lanes(chain_id, signer_id) if lane.public_key == public_key]
        held = public_key in await self._signer.public_keys(signer_id)
        if not known and not held:
            return [], 0
        seen = {one.lane: one for one in await self._read((chain_id, signer_id), public_key, "final")}
        gone = {lane: SeenNonce(lane, 0, 0) for lane in known}
        voided = await self._ledger.acknowledge([*(gone | seen).values()], self._clock())
        return [(lane, await self._ledger.lane(lane)) for lane in gone | seen], voided

    async def _compare(self, account: Account, held: Iterable[PublicKey], at: At) -> AccountStanding:
        chain_id, signer_id = account
        held = set(held)
        known = {lane.public_key for lane, _ in await self._ledger.lanes(chain_id, signer_id)}
        former = {key for key in known - held if (account, key) not in self._gone}
        keys = sorted(held | former)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_or_error(account, key, at)) for key in keys]
        seen: list[SeenNonce] = []
        for key, task in zip(keys, tasks, strict=True):
            found = task.result()
            if isinstance(found, RpcError):
                raise found
            if not found and key in former:
                self._gone.add((account, key))
            seen += found
        records = await self._ledger.observe(seen, self._clock())
        conflicts = [blocked(lane, record) for lane, record in await self._ledger.lanes(chain_id, signer_id)]
        conflict = next((one for one in conflicts if one is not None), None)
        if conflict is None:
            self._compared[account] = self._monotonic()
        else:
            self._compared.pop(account, None)
        lanes = (
            LaneStanding(one.lane, one.nonce, record, one.lane.public_key in held)
            for one, record in zip(seen, records, strict=True)
        )
        return AccountStanding(tuple(lanes), conflict)

    async def _read_or_error(self, account: Account, key: PublicKey, at: At) -> list[SeenNonce] | RpcError:
        """One error of several reads is enough, and a task group would wrap them."""
        try:
            return await self._read(account, key, at)
        except RpcError as error:
            return error

    async def _read(self, account: Account, key: PublicKey, at: At) -> list[SeenNonce]:
        """The lanes of a key; none where the account does not know it. RpcError."""
        chain_id, signer_id = account
        async with self._slots:
            try:
                view = await self._reads.access_key(signer_id, key, at)
                if not isinstance(view.permission, GasKeyAccess):
                    return [SeenNonce(Lane(chain_id, signer_id, key), view.nonce, view.block_height)]
                nonces = (await self._reads.gas_key_nonces(signer_id, key, view.block_hash)).nonces
            except RpcError as error:
                if error.code in _NO_KEY:
                    return []
                raise
        return [
            SeenNonce(Lane(chain_id, signer_id, key, index), nonce, view.block_height)
            for index, nonce in enumerate(nonces)
        ]
