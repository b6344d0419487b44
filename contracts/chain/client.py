"""The way of a call to the chain: views, and changes that are executed at most once (DESIGN law 2)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from contracts.calls import Grant, ViewCall
from contracts.chain.delivery import ENDED, Delivery, SendSettings
from contracts.chain.ledger import OPEN, Intent, Ledger, Signed
from contracts.chain.nonce import Lane, Turns, next_nonce
from contracts.chain.outcome import Effect, Failed, Outcome, ViewReturned
from contracts.chain.prechecks import check_funds, check_gas, check_key
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import AccessKeyView, BlockRef
from contracts.chain.views import run_view
from contracts.errors import ContractsError, InvalidInput, LedgerConflict, RpcError, SigningError
from contracts.signing.signer import Signer
from contracts.signing.transaction import SignedTransaction, Transaction, encode_transaction, signed_transaction
from contracts.types import CryptoHash, PublicKey

_NONCE_ATTEMPTS: Final = 3
"""How often bytes are thrown away because another process took the nonce."""


def no_kill(_name: str) -> None:
    """The kill point of everyday use: nothing happens there."""


class ChainClient:
    """One client for a ledger and a list of nodes.

    `execute` signs an approved intent once, keeps the bytes, sends them and follows them to their end; `settle` goes on
    with bytes of an earlier time and never signs. One transaction per key is under way at a time, others queue up. A
    cancelled call leaves its intent as it stands in the ledger; `settle` finishes it.

    Kill points, called with their name: `before_sign`, `after_sign`, `after_signed_stored`, `after_sending_stored`,
    `after_socket_write`, `after_answer`, `after_final_stored`.
    """

    def __init__(
        self,
        rpc: RpcClient,
        ledger: Ledger,
        signer: Signer,
        *,
        clock: Callable[[], float],
        settings: SendSettings,
        kill_point: Callable[[str], None] = no_kill,
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._signer = signer
        self._clock = clock
        self._kill_point = kill_point
        self._delivery = Delivery(rpc, ledger, clock=clock, settings=settings, kill_point=kill_point)
        self._intents = Turns[str]()
        self._lanes = Turns[Lane]()

    async def view(self, call: ViewCall, at: BlockRef = "final") -> ViewReturned:
        """The answer to a view call, JSON where it is JSON. RpcError."""
        return await run_view(self._rpc, call, at)

    async def execute(self, intent: Intent, grant: Grant, expected: tuple[Effect, ...] = ()) -> Outcome:
        """Carry out an approved intent, to the end or to `Unconfirmed`.

        What fails before the bytes are in the ledger is `Failed` and the intent `abandoned`: nothing was signed that
        anybody else could see. An intent that went further in an earlier call is settled instead. LedgerConflict for an
        intent that is not in the ledger or not approved.
        """
        async with self._intents.hold(intent.intent_id):
            stored = await self._stored(intent.intent_id)
            if stored.state == "approved":
                return await self._execute(stored, grant, expected or stored.expected)
            return await self._settle(stored)

    async def settle(self, intent: Intent) -> Outcome:
        """Find out what became of an intent whose bytes exist, and bring it to an end where that is possible.

        `sending`, `sent` and `included` ones are looked up by hash and the same bytes are sent again; `unconfirmed` ones
        are only looked up, with an attempt to prove them dead. `signed` ones were never sent: they are sent while their
        grant is valid and abandoned when it has expired. Ended ones return their outcome. LedgerConflict for one that
        was never signed.
        """
        async with self._intents.hold(intent.intent_id):
            return await self._settle(await self._stored(intent.intent_id))

    async def settle_open(self) -> list[Intent]:
        """At the start: settle every intent with signed bytes and no end; returns them as they are afterwards."""
        open_intents = await self._ledger.in_states(OPEN)
        async with asyncio.TaskGroup() as group:
            for intent in open_intents:
                group.create_task(self.settle(intent), name=f"settle {intent.intent_id}")
        return [await self._stored(intent.intent_id) for intent in open_intents]

    async def _execute(self, intent: Intent, grant: Grant, expected: tuple[Effect, ...]) -> Outcome:
        try:
            key = await self._pick_key(intent)
        except ContractsError as error:
            return await self._abandon(intent, error)
        async with self._lanes.hold(Lane(intent.chain_id, intent.signer_id, key)):
            try:
                signed = await self._sign(intent, grant, key)
            except ContractsError as error:
                return await self._abandon(intent, error)
            self._kill_point("after_signed_stored")
            return await self._delivery.send_new(replace(intent, state="signed", signed=signed), signed, expected)

    async def _settle(self, intent: Intent) -> Outcome:
        if intent.state in ENDED and intent.outcome is not None:
            return intent.outcome
        signed = intent.signed
        if intent.state not in OPEN or signed is None:
            raise LedgerConflict(
                "state_moved",
                f"intent {intent.intent_id} is {intent.state}: there are no signed bytes to settle",
                details={"intent_id": intent.intent_id, "state": intent.state},
            )
        async with self._lanes.hold(Lane(intent.chain_id, intent.signer_id, signed.public_key)):
            if intent.state != "signed":
                return await self._delivery.take_up(intent, signed)
            grant = None if intent.grant_id is None else await self._ledger.grant(intent.grant_id)
            if grant is None or self._clock() >= grant.expires_at:
                expired = SigningError("grant_expired", "it was signed, never sent, and its approval has expired")
                return await self._abandon(intent, expired)
            return await self._delivery.send_new(intent, signed, intent.expected)

    async def _stored(self, intent_id: str) -> Intent:
        stored = await self._ledger.get(intent_id)
        if stored is None:
            raise LedgerConflict("unknown_intent", f"intent {intent_id} is not in the ledger")
        return stored

    async def _pick_key(self, intent: Intent) -> PublicKey:
        """A key that the signer holds and that may sign the call, the only one unasked."""
        keys = await self._signer.public_keys(intent.signer_id)
        if len(keys) == 1:
            return keys[0]
        refusal: ContractsError = SigningError(
            "no_key", f"no key of {intent.signer_id} is in the credentials folder; import one with `keys import`"
        )
        for key in keys:
            try:
                check_key(intent.call, await self._rpc.access_key(intent.signer_id, key))
            except (InvalidInput, RpcError) as error:
                refusal = error
            else:
                return key
        raise refusal

    async def _sign(self, intent: Intent, grant: Grant, key: PublicKey) -> Signed:
        """Sign, unsent, and store the bytes in one ledger transaction; on a conflict they are thrown away."""
        for attempt in range(_NONCE_ATTEMPTS):
            view, nonce = await self._prepare(intent, key)
            self._kill_point("before_sign")
            transaction = await self._signature(intent, grant, key, nonce, view.block_hash)
            self._kill_point("after_sign")
            signed = Signed(
                tx_hash=transaction.tx_hash,
                data=transaction.data,
                public_key=key,
                nonce=nonce,
                reference_hash=view.block_hash,
                reference_height=view.block_height,
            )
            try:
                await self._ledger.store_signed(intent.intent_id, grant.grant_id, signed, self._clock())
            except LedgerConflict as error:
                if error.code != "nonce_taken" or attempt + 1 == _NONCE_ATTEMPTS:
                    raise
            else:
                return signed
        raise AssertionError("the loop returns or raises")

    async def _prepare(self, intent: Intent, key: PublicKey) -> tuple[AccessKeyView, int]:
        """The key at a final block and the nonce to use, after the checks that a node would make too."""
        config = await self._rpc.protocol_config()
        if config.chain_id != intent.chain_id:
            raise InvalidInput(
                "wrong_chain",
                f"approved for chain {intent.chain_id}, the RPC node serves {config.chain_id}; nothing was signed",
            )
        view = await self._rpc.access_key(intent.signer_id, key)
        check_key(intent.call, view)
        check_gas(intent.call, config)
        account = await self._rpc.account(intent.signer_id, view.block_hash)
        check_funds(intent.signer_id, intent.call, account, config, await self._rpc.gas_price())
        lane = Lane(intent.chain_id, intent.signer_id, key)
        return view, await next_nonce(self._ledger, lane, on_chain=view.nonce, height=view.block_height)

    async def _signature(
        self, intent: Intent, grant: Grant, key: PublicKey, nonce: int, block_hash: CryptoHash
    ) -> SignedTransaction:
        transaction = Transaction(
            intent.signer_id, key, nonce, intent.call.receiver_id, block_hash, intent.call.actions
        )
        unsigned = encode_transaction(transaction)
        signature = await self._signer.sign(unsigned, grant)
        signed = signed_transaction(transaction, unsigned, signature)
        try:
            VerifyKey(key.raw).verify(signed.tx_hash.raw, signature)
        except (BadSignatureError, ValueError):
            raise SigningError("bad_signature", f"the signer's signature is not one of key {key}") from None
        return signed

    async def _abandon(self, intent: Intent, error: ContractsError) -> Outcome:
        outcome = Failed(_stage(error), error.code, error.message)
        try:
            await self._ledger.move(intent.intent_id, "abandoned", self._clock(), outcome)
        except LedgerConflict:
            # Another process that shares the ledger went on with it: what it stored is the answer, if it is at the end.
            if (await self._stored(intent.intent_id)).outcome is None:
                raise
        stored = await self._stored(intent.intent_id)
        return outcome if stored.outcome is None else stored.outcome


def _stage(error: ContractsError) -> str:
    """Where an intent ended that was never sent."""
    match error:
        case SigningError():
            return "sign"
        case LedgerConflict():
            return "ledger"
        case RpcError():
            return "rpc"
        case _:
            return "check"
