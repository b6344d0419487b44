"""Signatures that are no transactions: a grant each, in the ledger before anybody gets them."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agent.store.store import Store
from contracts.calls import Delegate, DelegateAction, Grant, Transfer
from contracts.chain.ledger import Lane
from contracts.chain.messages import SignedMessages
from contracts.chain.rpc import open_rpc
from contracts.errors import ContractsError, InvalidInput, LedgerConflict, RpcError, SigningError
from contracts.signing.keystore import KeyStore
from contracts.signing.messages import Message, decode_message, delegate_hash, message_hash
from contracts.signing.signatures import verify
from contracts.signing.signer import Step, check_step, delegate_step, message_step
from contracts.signing.transaction import combine_digests
from contracts.types import AccountId, PublicKey, Yocto
from tests.contracts.chain.worlds import RPC
from tests.doubles import Clock, key_store
from tests.fake_nodes import FIRST_NONCE, FakeChain, FakeNode, serve

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
MESSAGE = Message('{"intents": [{"intent": "transfer"}]}', "intents.near", bytes(range(32)))
ACTION = DelegateAction(ALICE, BOB, (Transfer(Yocto(5)),), 0, 5000, PublicKey.from_bytes("ed25519", bytes(32)))


class KeyStoreMessages:
    """Signs as the signer does: what the grant lists and nothing else."""

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self.keys = keys
        self.clock = clock
        self.signed = 0

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        return self.keys.public_keys(account_id)

    async def sign_message(self, account_id: AccountId, public_key: PublicKey, message: Message, grant: Grant) -> bytes:
        return self._sign(message_step(account_id, message), public_key, message_hash(message), grant)

    async def sign_delegate(self, action: DelegateAction, grant: Grant) -> bytes:
        return self._sign(delegate_step(action), action.public_key, delegate_hash(action), grant)

    def _sign(self, step: Step, public_key: PublicKey, digest: bytes, grant: Grant) -> bytes:
        check_step(step, grant, chain_ids=("localnet",), now=self.clock())
        self.signed += 1
        return self.keys.unsafe_sign_hash(step.signer_id, public_key, digest)


def grant_for(step: Step, name: str = "grant-1") -> Grant:
    digests = (step.digest,)
    return Grant(
        name,
        combine_digests("localnet", ALICE, digests),
        digests,
        "localnet",
        ALICE,
        "key-1",
        "console",
        1_800_000_600.0,
    )


class Office:
    def __init__(self, store: Store, issue: SignedMessages, node: FakeNode, clock: Clock) -> None:
        self.store, self.issue, self.node, self.clock = store, issue, node, clock

    async def message(self, grant: Grant, name: str = "m1") -> object:
        return await self.issue.issue_message(grant, MESSAGE, message_id=name, request_id="r1")

    async def delegate(self, grant: Grant, name: str = "m1", action: DelegateAction = ACTION) -> Delegate:
        return await self.issue.issue_delegate(grant, action, message_id=name, request_id="r1")


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncGenerator[Office]:
    keys, clock = key_store(tmp_path / "keys", ALICE, BOB), Clock()
    node = FakeNode(FakeChain({account: keys.public_keys(account)[0] for account in keys.accounts()}))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(node.answer))
        rpc = await stack.enter_async_context(open_rpc([url], config=RPC))
        signer = KeyStoreMessages(keys, clock)
        yield Office(store, SignedMessages(rpc, store.ledger, signer, operators=1, clock=clock), node, clock)


async def test_a_message_is_stored_with_its_grant(office: Office) -> None:
    signed = await office.message(grant_for(message_step(ALICE, MESSAGE)))
    (kept,) = await office.store.ledger.messages_of("r1")
    assert kept == signed
    assert (kept.kind, kept.recipient, kept.nonce) == ("nep413", "intents.near", bytes(range(32)).hex())
    assert decode_message(kept.payload) == MESSAGE
    assert kept.digest == hashlib.sha256(kept.payload).hexdigest()
    assert verify(kept.public_key, message_hash(MESSAGE), kept.signature)
    assert await office.store.ledger.grant("grant-1") is not None


async def test_a_delegate_takes_the_keys_next_nonce(office: Office) -> None:
    lane = Lane("localnet", ALICE, (await office.issue._signer.public_keys(ALICE))[0])
    made = await office.delegate(grant_for(delegate_step(ACTION)))
    assert made.delegate_action.nonce == FIRST_NONCE + 1
    assert verify(lane.public_key, delegate_hash(made.delegate_action), made.signature)
    assert (await office.store.ledger.lane(lane)).nonce == FIRST_NONCE + 1
    again = await office.delegate(grant_for(delegate_step(ACTION), "grant-2"), "m2")
    assert again.delegate_action.nonce == FIRST_NONCE + 2
    assert [one.max_block_height for one in await office.store.ledger.messages_of("r1")] == [5000, 5000]


async def test_a_grant_counts_once_and_for_its_own_message(office: Office) -> None:
    grant = grant_for(message_step(ALICE, MESSAGE))
    await office.message(grant)
    refused: list[tuple[Grant, str, str]] = [
        (grant, "m2", "grant_used"),
        (replace(grant, grant_id="grant-2"), "m1", "message_exists"),
        (grant_for(message_step(ALICE, replace(MESSAGE, recipient="other.near")), "grant-3"), "m3", "grant_mismatch"),
        (grant_for(message_step(BOB, MESSAGE), "grant-4"), "m4", ""),
    ]
    for given, name, code in refused[:3]:
        with pytest.raises(ContractsError) as caught:
            await office.message(given, name)
        assert caught.value.code == code
    assert len(await office.store.ledger.messages_of("r1")) == 1
    office.clock.now += 601
    with pytest.raises(SigningError) as caught:
        await office.message(grant_for(message_step(ALICE, MESSAGE), "grant-5"), "m5")
    assert caught.value.code == "grant_expired"


async def test_no_full_access_key_no_signature(office: Office) -> None:
    access: dict[str, object] = {"allowance": "1", "receiver_id": BOB, "method_names": []}
    office.node.lies = {"view_access_key": {"permission": {"FunctionCall": access}}}  # type: ignore[dict-item]
    with pytest.raises(SigningError) as caught:
        await office.message(grant_for(message_step(ALICE, MESSAGE)))
    assert caught.value.code == "no_key"
    office.node.broken = True
    with pytest.raises(RpcError):
        await office.message(grant_for(message_step(ALICE, MESSAGE)))


async def test_a_delegate_that_has_ended_or_whose_key_is_blocked_is_not_signed(office: Office) -> None:
    past = replace(ACTION, max_block_height=1000)
    with pytest.raises(InvalidInput) as caught:
        await office.delegate(grant_for(delegate_step(past)), action=past)
    assert caught.value.code == "bad_height"
    office.node.lies = {"view_access_key": {"nonce": FIRST_NONCE + 9}}
    with pytest.raises(LedgerConflict) as blocked:
        await office.delegate(grant_for(delegate_step(ACTION)))
    assert blocked.value.code == "key_blocked"
    assert await office.store.ledger.messages_of("r1") == []
