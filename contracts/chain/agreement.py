"""What several operators say of one account at one block, before money moves: they agree, or nothing is signed.

A single node can lie about a nonce or a balance, or be behind. So the signer's account and key are read at one final block
from as many operators as are asked for; a difference is an error with their names, never a choice between them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from contracts.chain.ledger import Lane
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import AccessKeyView, AccessView, AccountView, BlockRef
from contracts.errors import RpcError
from contracts.types import CryptoHash

Operators: TypeAlias = Sequence[tuple[str, RpcClient]]
"""Each operator's name and nodes."""

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class SignerState:
    """A signer at one final block."""

    block_height: int
    block_hash: CryptoHash
    nonce: int
    """Of the lane."""
    permission: AccessView
    account: AccountView
    operators: tuple[str, ...] = ()
    """Who agreed; empty where one answer was enough."""

    def facts(self) -> tuple[object, ...]:
        """What operators must agree on."""
        account = self.account
        return (self.nonce, self.permission, account.amount, account.locked, account.storage_usage, self.block_hash)


async def read_signer(rpc: RpcClient, operators: Operators, lane: Lane, *, needed: int) -> SignerState:
    """The signer's state, agreed on by `needed` operators, or by all where fewer are configured.

    RpcError `RPC_DISAGREE` where two differ, `RPC_QUORUM` where too few answer; `UNKNOWN_ACCESS_KEY`, `UNKNOWN_ACCOUNT`
    and the like as the first one answers.
    """
    needed = min(needed, len(operators))
    if needed <= 1:
        return await _read(rpc, lane, "final")
    first_name, first = await _first(operators, lane)
    said: dict[str, SignerState] = {first_name: first}
    rest = [operator for operator in operators if operator[0] != first_name]
    while len(said) < needed and rest:
        asked, rest = rest[: needed - len(said)], rest[needed - len(said) :]
        answers = await side_by_side(asked, lambda rpc: _read(rpc, lane, first.block_hash))
        for name, answer in answers.items():
            if isinstance(answer, SignerState):
                said[name] = answer
            elif not is_silent(answer):
                raise _disagree(lane, first, {first_name: "knows the key", name: answer.code})
        _check_same(lane, said)
    if len(said) < needed:
        raise RpcError(
            "RPC_QUORUM",
            f"{len(said)} of {needed} RPC operators answered about {lane.signer_id} at block {first.block_height} "
            f"({', '.join(said)}); nothing was signed. Try again, or add an address of another operator",
            retryable=True,
            details={"operators": [*said], "needed": needed},
        )
    return SignerState(first.block_height, first.block_hash, first.nonce, first.permission, first.account, tuple(said))


async def side_by_side(
    operators: Operators, question: Callable[[RpcClient], Awaitable[AnswerT]]
) -> dict[str, AnswerT | RpcError]:
    """Each operator's answer, or its error, in their order."""

    async def answer(rpc: RpcClient) -> AnswerT | RpcError:
        try:
            return await question(rpc)
        except RpcError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(answer(rpc)) for name, rpc in operators}
    return {name: task.result() for name, task in tasks.items()}


async def lane_nonce(rpc: RpcClient, lane: Lane, at: BlockRef) -> int | None:
    """A lane's nonce at a block; None where the key, its account or the gas key's index is gone. RpcError otherwise."""
    try:
        if lane.nonce_index is None:
            return (await rpc.access_key(lane.signer_id, lane.public_key, at)).nonce
        nonces = await rpc.gas_key_nonces(lane.signer_id, lane.public_key, at)
    except RpcError as error:
        if error.code in {"UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT", "UNKNOWN_GAS_KEY"}:
            return None
        raise
    return nonces.nonces[lane.nonce_index] if lane.nonce_index < len(nonces.nonces) else None


async def _first(operators: Operators, lane: Lane) -> tuple[str, SignerState]:
    """The first operator that answers chooses the block."""
    silent: RpcError | None = None
    for name, rpc in operators:
        try:
            return name, await _read(rpc, lane, "final")
        except RpcError as error:
            if not is_silent(error):
                raise
            silent = error
    raise silent or RpcError("NO_NODES", "no RPC operator is configured", sent=False)


async def _read(rpc: RpcClient, lane: Lane, at: BlockRef) -> SignerState:
    view = await rpc.access_key(lane.signer_id, lane.public_key, at)
    account = await rpc.account(lane.signer_id, view.block_hash)
    return SignerState(view.block_height, view.block_hash, await _nonce(rpc, lane, view), view.permission, account)


async def _nonce(rpc: RpcClient, lane: Lane, view: AccessKeyView) -> int:
    if lane.nonce_index is None:
        return view.nonce
    nonce = await lane_nonce(rpc, lane, view.block_hash)
    if nonce is None:
        raise RpcError(
            "UNKNOWN_ACCESS_KEY", f"gas key {lane.public_key} of {lane.signer_id} has no nonce {lane.nonce_index}"
        )
    return nonce


def is_silent(error: RpcError) -> bool:
    """The operator said nothing about the chain: it was not reached, is behind, or has thrown the block away."""
    return error.retryable or error.code in {"UNKNOWN_BLOCK", "GARBAGE_COLLECTED_BLOCK", "HTTP_STATUS"}


def _check_same(lane: Lane, said: dict[str, SignerState]) -> None:
    (first_name, first), *others = said.items()
    for name, state in others:
        if state.facts() != first.facts():
            raise _disagree(lane, first, {first_name: _shown(first), name: _shown(state)})


def _shown(state: SignerState) -> str:
    return f"nonce {state.nonce}, balance {state.account.amount} yoctoNEAR"


def _disagree(lane: Lane, first: SignerState, said: dict[str, str]) -> RpcError:
    told = "; ".join(f"{name} says {what}" for name, what in said.items())
    return RpcError(
        "RPC_DISAGREE",
        f"RPC operators disagree about {lane.signer_id} at block {first.block_height}, so its state is unknown: {told}. "
        "Nothing was signed. Find out which of them is wrong and take it out of the configuration",
        details={"operators": [*said], "block_height": first.block_height},
    )
