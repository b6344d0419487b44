"""Reads that decide where money goes or how much: answered alike by several operators at one block, or not at all.

Decimals scale an amount, a storage minimum is a deposit, a pool's reserves are a price: one node's lie about any of them
would be signed in good faith. What is only shown is read from one node (`RpcClient`).
"""

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from contracts.chain.quorum import Question, agreed
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import (
    AccessKeyList,
    AccessKeyView,
    AccountView,
    BlockView,
    CodeView,
    FunctionResult,
    GasKeyNonces,
    ProtocolConfig,
)
from contracts.errors import RpcError
from contracts.knowledge.epochs import BlockAt
from contracts.knowledge.facts import At
from contracts.knowledge.inert import inert
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto

AnswerT = TypeVar("AnswerT")

_SHOWN: Final = 80


class AgreedReads:
    """The client's reads by their names, each agreed on by `needed` operators, or by all where fewer are configured.

    RpcError `RPC_DISAGREE` and `RPC_QUORUM` besides those of the client. With one operator it asks no more than the client.
    """

    def __init__(self, rpc: RpcClient, *, needed: int) -> None:
        self._rpc = rpc
        self._operators = rpc.operators()
        self._needed = min(needed, len(self._operators))

    @property
    def alone(self) -> bool:
        """One operator's word is enough."""
        return self._needed <= 1

    async def block(self, at: BlockAt = "final") -> BlockView:
        if self.alone:
            return await self._rpc.block(at)
        return await self._final() if at == "final" else await self._block(at)

    async def account(self, account_id: AccountId, at: At = "final") -> AccountView:
        return await self._at(at, account_id, lambda rpc, at: rpc.account(account_id, at), _itself, _account_shown)

    async def access_key(self, account_id: AccountId, public_key: PublicKey, at: At = "final") -> AccessKeyView:
        return await self._at(
            at,
            account_id,
            lambda rpc, at: rpc.access_key(account_id, public_key, at),
            _itself,
            lambda view: f"nonce {view.nonce}",
        )

    async def gas_key_nonces(self, account_id: AccountId, public_key: PublicKey, at: At = "final") -> GasKeyNonces:
        return await self._at(
            at,
            account_id,
            lambda rpc, at: rpc.gas_key_nonces(account_id, public_key, at),
            _itself,
            lambda view: f"nonces {', '.join(map(str, view.nonces[:8]))}",
        )

    async def access_keys(self, account_id: AccountId, at: At = "final") -> AccessKeyList:
        return await self._at(
            at,
            f"the keys of {account_id}",
            lambda rpc, at: rpc.access_keys(account_id, at),
            lambda listed: sorted((item.public_key, repr(item.permission)) for item in listed.keys),
            lambda listed: f"{len(listed.keys)} keys",
        )

    async def call_function(
        self, contract_id: AccountId, method_name: str, args: bytes = b"{}", at: At = "final"
    ) -> FunctionResult:
        return await self._at(
            at,
            f"{inert(method_name, _SHOWN)} of {contract_id}",
            lambda rpc, at: rpc.call_function(contract_id, method_name, args, at),
            lambda found: (found.block_hash, found.result),
            lambda found: inert(found.result[: 4 * _SHOWN].decode(errors="replace"), _SHOWN),
        )

    async def code(self, account_id: AccountId, at: At = "final") -> CodeView:
        """One operator's bytes are enough where the account's agreed state says their hash."""
        if self.alone:
            return await self._rpc.code(account_id, at)
        at = (await self._final()).hash if at == "final" else at
        account = await self.account(account_id, at)
        known = account.code_hash or account.global_contract_hash
        if known is not None:
            try:
                found = await self._rpc.code(account_id, at)
            except RpcError:
                pass  # another one may have it
            else:
                if CryptoHash.of(found.code) == known:
                    return found
        return await self._at(
            at,
            f"the code of {account_id}",
            lambda rpc, at: rpc.code(account_id, at),
            lambda found: CryptoHash.of(found.code),
            lambda found: CryptoHash.of(found.code),
        )

    async def protocol_config(self) -> ProtocolConfig:
        """Agreed: the chain, its limits, and the price of storage."""
        if self.alone:
            return await self._rpc.protocol_config()
        return await self._agreed(
            Question(
                "the protocol's limits",
                lambda rpc: rpc.protocol_config(),
                lambda config: (config.chain_id, config.limits),
                lambda config: f"chain {inert(config.chain_id, 20)}, {config.storage_amount_per_byte} yoctoNEAR a byte",
            )
        )

    async def gas_price(self) -> Yocto:
        """One node's, of this moment: it decides nothing but what is shown and reserved for gas."""
        return await self._rpc.gas_price()

    async def _final(self) -> BlockView:
        """The newest final block that enough operators have: who is ahead knows those of who is behind."""
        seen: list[BlockView] = []

        async def newest(rpc: RpcClient) -> BlockView:
            block = await rpc.block("final")
            seen.append(block)
            return block

        await self._agreed(Question("the newest final block", newest, lambda _: None, _block_shown))
        failure: RpcError | None = None
        for block in sorted(seen, key=lambda block: block.height):
            try:
                return await self._block(block.hash)
            except RpcError as error:
                failure = failure or error  # nobody else knows it: a lie, or a block that is not final everywhere
        raise failure or RpcError("NO_NODES", "no RPC operator is configured", sent=False)

    async def _block(self, at: int | CryptoHash) -> BlockView:
        return await self._agreed(
            Question(
                f"block {at}",
                lambda rpc: rpc.block(at),
                lambda block: (block.height, block.hash, block.timestamp_ns, block.epoch_id),
                _block_shown,
            )
        )

    async def _at(
        self,
        at: At,
        about: str,
        ask: Callable[[RpcClient, At], Awaitable[AnswerT]],
        alike: Callable[[AnswerT], object],
        shown: Callable[[AnswerT], str],
    ) -> AnswerT:
        if self.alone:
            return await ask(self._rpc, at)
        block_hash = (await self._final()).hash if at == "final" else at
        return await self._agreed(
            Question(f"{about} at block {block_hash}", lambda rpc: ask(rpc, block_hash), alike, shown)
        )

    async def _agreed(self, question: Question[AnswerT]) -> AnswerT:
        return await agreed(self._operators, self._needed, question)


def _itself(answer: object) -> object:
    return answer


def _account_shown(account: AccountView) -> str:
    return f"balance {account.amount} yoctoNEAR, code {account.code_hash or 'none'}"


def _block_shown(block: BlockView) -> str:
    return f"height {block.height}, time {math.floor(block.timestamp_ns / 10**9)}"
