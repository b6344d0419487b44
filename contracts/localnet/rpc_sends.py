"""The methods of the RPC that send transactions or follow them."""

import asyncio
from typing import Final

from pydantic import JsonValue

from contracts.errors import ChainError
from contracts.localnet.chain import Chain
from contracts.localnet.json_views import receipt_view, track_view
from contracts.localnet.rpc_errors import (
    RpcRefusal,
    internal_error,
    invalid_transaction,
    parse_error,
    timed_out,
    unknown_transaction,
)
from contracts.localnet.rpc_params import Params, named
from contracts.localnet.tracking import Level, TransactionTrack
from contracts.signing.transaction import SignedTransaction
from contracts.types import JsonObject

MAX_FORWARD_EPOCHS: Final = 100
"""At once; each takes a block."""


class ChainSends:
    """Answers for one chain. Every method takes the raw params and returns the JSON-RPC result."""

    def __init__(self, chain: Chain, wait_timeout_s: float) -> None:
        self._chain = chain
        self._wait_timeout_s = wait_timeout_s

    async def send_tx(self, params: JsonValue) -> JsonObject:
        asked = named(params, "signed_tx_base64", "wait_until")
        level = asked.level()
        track = await self._submit(asked.signed_transaction(), level)
        return {"final_execution_status": "NONE"} if level == "NONE" else self._view(track)

    async def broadcast_tx_async(self, params: JsonValue) -> str:
        """The hash. It is on disk by then: this chain does not acknowledge what a restart would forget."""
        signed = named(params, "signed_tx_base64").signed_transaction()
        await self._submit(signed, "NONE")
        return signed.tx_hash

    async def broadcast_tx_commit(self, params: JsonValue) -> JsonObject:
        signed = named(params, "signed_tx_base64").signed_transaction()
        return self._view(await self._submit(signed, "EXECUTED_OPTIMISTIC"))

    async def tx(self, params: JsonValue) -> JsonObject:
        return self._view(await self._lookup(params))

    async def tx_status(self, params: JsonValue) -> JsonObject:
        """As `tx`, with the receipts."""
        track = await self._lookup(params)
        return {**self._view(track), "receipts": [receipt_view(receipt) for receipt in track.made_receipts()]}

    async def fast_forward(self, params: JsonValue) -> JsonObject:
        """near-sandbox's `sandbox_fast_forward`: answers when the chain is `delta_height` blocks further."""
        blocks = named(params, "delta_height").count("delta_height")
        limit = MAX_FORWARD_EPOCHS * self._chain.epoch_length
        if blocks is None or blocks > limit:
            raise parse_error(f"`delta_height` is expected, 1 to {limit} (that is {MAX_FORWARD_EPOCHS} epochs)")
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                await self._chain.fast_forward(blocks)
        except TimeoutError as error:
            raise timed_out() from error
        except ChainError as error:
            raise _refusal(error) from error
        return {}

    async def _submit(self, signed: SignedTransaction, level: Level) -> TransactionTrack:
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                return await self._chain.submit(signed, level)
        except TimeoutError as error:
            raise timed_out() from error
        except ChainError as error:
            raise _refusal(error) from error

    async def _lookup(self, params: JsonValue) -> TransactionTrack:
        asked = _by_hash_or_bytes(params)
        level = asked.level()
        if "signed_tx_base64" in asked.values:
            tx_hash = asked.signed_transaction().tx_hash
        else:
            tx_hash = asked.hash("tx_hash")
            asked.account_id("sender_account_id")
        if level == "NONE":
            track = self._chain.find(tx_hash)
            if track is None:
                raise unknown_transaction(tx_hash)
            return track
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                return await self._chain.follow(tx_hash, level)
        except TimeoutError as error:
            raise timed_out() from error

    def _view(self, track: TransactionTrack) -> JsonObject:
        return track_view(track, self._chain.final_height)


def _by_hash_or_bytes(params: JsonValue) -> Params:
    """Positional: hash and sender, or the signed bytes alone."""
    if isinstance(params, list) and len(params) == 1:
        return named(params, "signed_tx_base64")
    return named(params, "tx_hash", "sender_account_id", "wait_until")


def _refusal(error: ChainError) -> RpcRefusal:
    if error.code == "INTERNAL_ERROR":
        return internal_error(error.message)
    return invalid_transaction(error)
