"""Epochs and how long they take, measured: waiting times are told in epochs and in hours that this chain really needs."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from contracts.errors import RpcError
from contracts.types import CryptoHash

NO_EPOCH: Final = CryptoHash.from_bytes(bytes(32))
"""The id of a chain's first epochs, which is no block's hash."""
_LOOK_BACK: Final = 1_000
"""Blocks that are measured over where the chain is younger than an epoch."""
_MEASURED_OVER: Final = 20
"""Fewer blocks say nothing about how fast they come."""

BlockAt: TypeAlias = Literal["final"] | int | CryptoHash


class TimedBlock(Protocol):
    @property
    def height(self) -> int: ...
    @property
    def hash(self) -> CryptoHash: ...
    @property
    def timestamp_ns(self) -> int: ...
    @property
    def epoch_id(self) -> CryptoHash | None: ...


class EpochConfig(Protocol):
    @property
    def epoch_length(self) -> int: ...


class EpochReader(Protocol):
    """RpcError where the node refuses or does not answer."""

    async def block(self, at: BlockAt, /) -> TimedBlock: ...
    async def protocol_config(self) -> EpochConfig: ...


@dataclass(frozen=True, slots=True)
class EpochFacts:
    """The length of an epoch in blocks, and the time that a block takes."""


@dataclass(frozen=True, slots=True)
class EpochFact:
    length: int
    """Blocks."""
    into: int | None
    """Blocks since the current one began; None where that cannot be read."""
    block_ns: int | None
    """Nanoseconds a block, measured over the last epochs; None where there is nothing to measure yet."""

    def until(self, epochs: int) -> str:
        """How long it is until that many epochs have begun, in words."""
        blocks = epochs * self.length - (self.into or 0)
        said = f"{epochs} epochs of {self.length} blocks"
        if self.block_ns is None:
            return said
        return (
            f"{said}, about {_duration(blocks * self.block_ns)} at the measured {self.block_ns / 10**9:.2f} s a block"
        )


async def read_epoch(reader: EpochReader, at: CryptoHash) -> EpochFact:
    """nearcore names an epoch by the hash of the last block of the epoch before the previous one: one block then tells
    where the current epoch began and how long the blocks since have taken.
    """
    head = await reader.block(at)
    length = (await reader.protocol_config()).epoch_length
    then = await _block(reader, head.epoch_id) if head.epoch_id not in {None, NO_EPOCH} else None
    into = None
    if then is not None:
        into = min(max(0, head.height - then.height - length), length)
    else:
        then = await _block(reader, max(1, head.height - _LOOK_BACK))
    if then is None or head.height - then.height < _MEASURED_OVER:
        return EpochFact(length, into, None)
    return EpochFact(length, into, max(0, head.timestamp_ns - then.timestamp_ns) // (head.height - then.height))


async def _block(reader: EpochReader, at: int | CryptoHash | None) -> TimedBlock | None:
    """The block, or None where this node has none there; RpcError where it does not answer."""
    if at is None:
        return None
    try:
        return await reader.block(at)
    except RpcError as error:
        if error.code in {"UNKNOWN_BLOCK", "GARBAGE_COLLECTED_BLOCK"}:
            return None
        raise


def _duration(nanoseconds: int) -> str:
    minutes = nanoseconds // (60 * 10**9)
    if minutes < 120:
        return f"{minutes} minutes" if minutes != 1 else "1 minute"
    hours = (minutes + 30) // 60
    return f"{hours} hours" if hours < 72 else f"{(hours + 12) // 24} days"
