"""What every ledger must do, whatever it is stored in.

A test class inherits from `LedgerConformance` and gives a fixture `ledger`: an empty one for each test.
"""

import asyncio
from dataclasses import replace

import pytest

from contracts.calls import ChangeCall, FunctionCall, Grant, Transfer
from contracts.chain.ledger import OPEN, Intent, IntentState, Ledger, Signed
from contracts.chain.outcome import DeathProof, Effect, Failed, Unconfirmed
from contracts.errors import LedgerConflict
from contracts.signing.transaction import call_digest, calls_hash
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto

NOW = 1_800_000_000.0
ALICE = AccountId("alice.localnet")
KEY = PublicKey.from_bytes("ed25519", bytes(range(32)))
CALLS = (
    ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(2**128 - 1)),)),
    ChangeCall(
        AccountId("usdc.localnet"), (FunctionCall("ft_transfer", b'{"amount": "\xf0\x9f\x9a\x80"}', Gas(1), Yocto(1)),)
    ),
)
GRANT = Grant(
    grant_id="grant-1",
    calls_hash=calls_hash("localnet", ALICE, CALLS),
    call_digests=tuple(call_digest(call) for call in CALLS),
    chain_id="localnet",
    signer_id=ALICE,
    identity="key-1",
    channel="chat",
    expires_at=NOW + 600,
)


def intent(step: int = 0, *, request: str = "request-1", chain_id: str = "localnet") -> Intent:
    return Intent(
        intent_id=f"{request}:{step}",
        request_id=request,
        step=step,
        chain_id=chain_id,
        signer_id=ALICE,
        call=CALLS[step],
        calls_hash=GRANT.calls_hash,
        state="planned",
        created_at=NOW,
        updated_at=NOW,
        expected=(Effect(ALICE, "NEAR", -(2**100)),),
    )


def signed(nonce: int = 7) -> Signed:
    return Signed(
        tx_hash=CryptoHash.of(f"transaction {nonce}".encode()),
        data=bytes(range(256)) * 3,
        public_key=KEY,
        nonce=nonce,
        reference_hash=CryptoHash.of(b"block"),
        reference_height=10**9,
    )


async def to_signed(ledger: Ledger, nonce: int = 7) -> str:
    await ledger.create([intent()])
    await ledger.approve(GRANT, ["request-1:0"], NOW)
    await ledger.store_signed("request-1:0", "grant-1", signed(nonce), NOW + 1)
    return "request-1:0"


async def state_of(ledger: Ledger, intent_id: str) -> IntentState:
    stored = await ledger.get(intent_id)
    assert stored is not None
    return stored.state


class LedgerConformance:
    async def test_what_goes_in_comes_out(self, ledger: Ledger) -> None:
        await ledger.create([intent(0), intent(1)])
        assert await ledger.of_request("request-1") == [intent(0), intent(1)]
        assert await ledger.get("request-1:1") == intent(1)
        assert await ledger.get("request-2:0") is None
        assert await ledger.of_request("request-2") == []
        await ledger.approve(GRANT, ["request-1:0", "request-1:1"], NOW + 1)
        assert await ledger.grant("grant-1") == GRANT
        assert await ledger.grant("grant-2") is None
        await ledger.store_signed("request-1:1", "grant-1", signed(), NOW + 2)
        expected = replace(intent(1), state="signed", grant_id="grant-1", signed=signed(), updated_at=NOW + 2)
        assert await ledger.get("request-1:1") == expected
        assert await ledger.by_hash(signed().tx_hash) == expected
        assert await ledger.by_hash(CryptoHash.of(b"other")) is None

    async def test_an_id_is_stored_once_and_all_or_nothing(self, ledger: Ledger) -> None:
        await ledger.create([intent(1)])
        with pytest.raises(LedgerConflict):
            await ledger.create([intent(0), intent(1)])
        assert await ledger.get("request-1:0") is None

    async def test_a_grant_is_given_once_and_all_or_nothing(self, ledger: Ledger) -> None:
        await ledger.create([intent(0), intent(1), intent(0, request="request-2")])
        await ledger.approve(GRANT, ["request-1:0"], NOW)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.approve(GRANT, ["request-1:1"], NOW)
        assert caught.value.code == "grant_used"
        with pytest.raises(LedgerConflict) as caught:
            await ledger.approve(replace(GRANT, grant_id="grant-2"), ["request-2:0", "request-1:0"], NOW)
        assert caught.value.code == "state_moved"
        assert await state_of(ledger, "request-2:0") == "planned"
        assert await state_of(ledger, "request-1:1") == "planned"
        assert await ledger.grant("grant-2") is None

    async def test_begun_is_created_and_approved_at_once(self, ledger: Ledger) -> None:
        await ledger.begin(GRANT, [intent(0), intent(1)], NOW + 1)
        assert await ledger.of_request("request-1") == [
            replace(one, state="approved", grant_id="grant-1", updated_at=NOW + 1) for one in (intent(0), intent(1))
        ]
        await ledger.store_signed("request-1:1", "grant-1", signed(), NOW + 2)
        assert await state_of(ledger, "request-1:1") == "signed"
        other = intent(0, request="request-2")
        for grant, begun in ((GRANT, [other]), (replace(GRANT, grant_id="grant-2"), [other, intent(0)])):
            with pytest.raises(LedgerConflict) as caught:
                await ledger.begin(grant, begun, NOW + 2)
            assert caught.value.code in {"grant_used", "intent_exists"}
        assert await ledger.get("request-2:0") is None
        assert await ledger.grant("grant-2") is None

    async def test_a_grant_is_consumed_once_per_step(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed(intent_id, "grant-1", signed(8), NOW + 2)
        assert caught.value.code in {"grant_used", "state_moved"}
        stored = await ledger.get(intent_id)
        assert stored is not None
        assert stored.signed == signed(7)
        assert await ledger.last_nonce("localnet", ALICE, KEY) == 7

    async def test_a_grant_covers_its_own_intents_until_it_expires(self, ledger: Ledger) -> None:
        await ledger.create([intent(0), intent(1)])
        await ledger.approve(GRANT, ["request-1:0"], NOW)
        for intent_id, grant_id, now, code in (
            ("request-1:1", "grant-1", NOW, "grant_used"),
            ("request-1:0", "grant-2", NOW, "grant_used"),
            ("request-1:0", "grant-1", NOW + 600, "grant_expired"),
        ):
            with pytest.raises(LedgerConflict) as caught:
                await ledger.store_signed(intent_id, grant_id, signed(), now)
            assert caught.value.code == code
        assert await ledger.last_nonce("localnet", ALICE, KEY) == 0
        await ledger.store_signed("request-1:0", "grant-1", signed(), NOW + 599.9)

    async def test_a_nonce_is_taken_once_and_only_rises(self, ledger: Ledger) -> None:
        await ledger.create([intent(0), intent(1)])
        await ledger.approve(GRANT, ["request-1:0", "request-1:1"], NOW)
        await ledger.store_signed("request-1:0", "grant-1", signed(2**63 + 5), NOW)
        for nonce in (2**63 + 5, 1):
            with pytest.raises(LedgerConflict) as caught:
                await ledger.store_signed("request-1:1", "grant-1", signed(nonce), NOW)
            assert caught.value.code == "nonce_taken"
        assert await state_of(ledger, "request-1:1") == "approved"
        await ledger.store_signed("request-1:1", "grant-1", signed(2**64 - 1), NOW)
        assert await ledger.last_nonce("localnet", ALICE, KEY) == 2**64 - 1
        assert await ledger.last_nonce("testnet", ALICE, KEY) == 0
        assert await ledger.last_nonce("localnet", AccountId("bob.localnet"), KEY) == 0

    async def test_two_at_once_take_one_nonce(self, ledger: Ledger) -> None:
        await ledger.create([intent(0), intent(1)])
        await ledger.approve(GRANT, ["request-1:0", "request-1:1"], NOW)

        async def store(intent_id: str) -> str:
            try:
                await ledger.store_signed(intent_id, "grant-1", signed(9), NOW)
            except LedgerConflict as error:
                return error.code
            return "stored"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(store(name)) for name in ("request-1:0", "request-1:1")]
        assert sorted(task.result() for task in tasks) == ["nonce_taken", "stored"]

    async def test_states_move_along_the_transitions_only(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.move(intent_id, "sent", NOW)
        assert caught.value.code == "state_moved"
        path: tuple[IntentState, ...] = ("sending", "sent", "included", "sent", "included", "unconfirmed", "included")
        for to in path:
            await ledger.move(intent_id, to, NOW)
            assert await state_of(ledger, intent_id) == to
        with pytest.raises(LedgerConflict):
            await ledger.move("request-9:0", "sending", NOW)

    async def test_the_first_outcome_stays(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger)
        await ledger.move(intent_id, "sending", NOW)
        unknown = Unconfirmed(signed().tx_hash, "no node has confirmed it", "TIMEOUT_ERROR")
        await ledger.move(intent_id, "unconfirmed", NOW + 1, unknown)
        await ledger.move(intent_id, "unconfirmed", NOW + 2, replace(unknown, message="another"))
        stored = await ledger.get(intent_id)
        assert stored is not None
        assert (stored.outcome, stored.updated_at) == (unknown, NOW + 1)
        proof = DeathProof("nonce_passed", 5, CryptoHash.of(b"block 5"), None, ("one.org", "two.org"))
        dead = Failed("send", "NotEnoughBalance", "it never will", signed().tx_hash, proof)
        await ledger.move(intent_id, "fenced", NOW + 3, dead)
        with pytest.raises(LedgerConflict):
            await ledger.move(intent_id, "final", NOW + 4)
        ended = await ledger.get(intent_id)
        assert ended is not None
        assert (ended.state, ended.outcome) == ("fenced", dead)

    async def test_open_intents_are_found_oldest_first(self, ledger: Ledger) -> None:
        await ledger.create([replace(intent(0, request="request-3"), created_at=NOW + 50), intent(0), intent(1)])
        await ledger.approve(GRANT, ["request-1:0", "request-1:1"], NOW)
        await ledger.approve(replace(GRANT, grant_id="grant-3"), ["request-3:0"], NOW)
        await ledger.store_signed("request-3:0", "grant-3", signed(1), NOW)
        await ledger.store_signed("request-1:1", "grant-1", signed(2), NOW)
        await ledger.move("request-1:1", "sending", NOW)
        assert [found.intent_id for found in await ledger.in_states(OPEN)] == ["request-3:0", "request-1:1"]
        assert [found.intent_id for found in await ledger.in_states(frozenset({"approved"}))] == ["request-1:0"]
        assert await ledger.in_states(frozenset({"final"})) == []
