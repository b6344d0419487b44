"""What every ledger must do with lanes, fences and foreign uses, whatever it is stored in."""

from dataclasses import replace

import pytest

from contracts.calls import Grant
from contracts.chain.ledger import ForeignUse, Intent, IntentState, Lane, LaneRecord, Ledger, SeenNonce
from contracts.chain.nonce import Finding
from contracts.errors import LedgerConflict
from contracts.types import AccountId
from tests.contracts.chain.ledger_conformance import ALICE, GRANT, KEY, NOW, intent, signed, state_of, to_signed

LANE = Lane("localnet", ALICE, KEY)


async def seen_at(ledger: Ledger, nonce: int, *, lane: Lane = LANE, now: float = NOW) -> LaneRecord:
    """What the ledger says of a nonce on chain."""
    (record,) = await ledger.observe([SeenNonce(lane, nonce, 90)], now)
    return record


async def fence(ledger: Ledger, name: str = "fence", target: str = "request-1:0") -> tuple[Intent, Grant]:
    made = replace(intent(0, request=name), fences=target)
    grant = replace(GRANT, grant_id=f"grant of {name}")
    await ledger.create([made])
    await ledger.approve(grant, [made.intent_id], NOW)
    return made, grant


class LaneConformance:
    async def test_the_lanes_of_an_account_without_a_trace_are_taken_as_they_are(self, ledger: Ledger) -> None:
        assert await ledger.lane(LANE) == LaneRecord(0)
        assert await ledger.lanes("localnet") == []
        first, second = replace(LANE, nonce_index=0), replace(LANE, nonce_index=1)
        known = [LaneRecord(2**63 + 5, None, 2**63 + 5, 90), LaneRecord(7, None, 7, 90)]
        seen = [SeenNonce(first, 2**63 + 5, 90), SeenNonce(second, 7, 90)]
        assert await ledger.observe(seen, NOW) == known, "all of them at once"
        assert await seen_at(ledger, 5, lane=first) == known[0], "a node that is behind says nothing"
        assert await ledger.lanes("localnet") == [(first, known[0]), (second, known[1])]
        assert await ledger.lanes("localnet", ALICE) == await ledger.lanes("localnet")
        assert await ledger.lanes("localnet", AccountId("bob.localnet")) == []
        assert await ledger.lanes("testnet") == []

    async def test_a_baseline_is_never_raised_by_what_is_seen_later(self, ledger: Ledger) -> None:
        """A chain's first keys begin at 0."""
        assert await seen_at(ledger, 0) == LaneRecord(0, None, 0, 90)
        blocked = await seen_at(ledger, 1)
        assert (blocked.foreign, blocked.baseline) == (ForeignUse(0, 1, NOW), 0)

    async def test_an_unseen_lane_of_a_known_account_is_taken_only_if_its_key_was_never_used(
        self, ledger: Ledger
    ) -> None:
        unused, used = replace(LANE, nonce_index=1), replace(LANE, nonce_index=2)
        await seen_at(ledger, 5)
        assert await seen_at(ledger, 812_000_000, lane=unused) == LaneRecord(812_000_000, None, 812_000_000, 90)
        assert await seen_at(ledger, 812_000_001, lane=used) == LaneRecord(0, ForeignUse(0, 812_000_001, NOW))

    async def test_a_transaction_is_a_trace_of_its_account(self, ledger: Ledger) -> None:
        await ledger.create([intent(0)])
        assert (await seen_at(ledger, 5)).foreign == ForeignUse(0, 5, NOW)

    @pytest.mark.parametrize(
        ("states", "finding"),
        [
            ((), "foreign"),
            (("abandoned",), "foreign"),
            (("sending",), "in_doubt"),
            (("sending", "unconfirmed"), "in_doubt"),
            (("sending", "final"), "explained"),
            (("sending", "failed"), "explained"),
            (("sending", "fenced"), "foreign"),
            (("sending", "expired"), "foreign"),
        ],
    )
    async def test_a_nonce_is_explained_by_a_transaction_of_ours_that_has_it(
        self, ledger: Ledger, states: tuple[IntentState, ...], finding: Finding
    ) -> None:
        await seen_at(ledger, 5)
        intent_id = await to_signed(ledger, 6)
        for state in states:
            await ledger.move(intent_id, state, NOW)
        found = await seen_at(ledger, 6)
        assert found.foreign == (ForeignUse(6, 6, NOW) if finding == "foreign" else None)
        assert found.in_doubt == (intent_id if finding == "in_doubt" else None)
        assert (await seen_at(ledger, 5)).in_doubt is None

    async def test_one_blocked_lane_blocks_the_account(self, ledger: Ledger) -> None:
        other = replace(LANE, nonce_index=3)
        await ledger.observe([SeenNonce(LANE, 5, 90), SeenNonce(other, 5, 90)], NOW)
        await seen_at(ledger, 6, lane=other)
        await ledger.create([intent(0)])
        await ledger.approve(GRANT, [intent(0).intent_id], NOW)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed(intent(0).intent_id, GRANT.grant_id, signed(6), NOW)
        assert caught.value.code == "key_blocked"
        assert other.name in caught.value.message

    async def test_lanes_are_apart(self, ledger: Ledger) -> None:
        others = [
            replace(LANE, chain_id="testnet"),
            replace(LANE, signer_id=AccountId("bob.localnet")),
            replace(LANE, nonce_index=0),
            replace(LANE, signer_id=AccountId("carol.localnet"), nonce_index=1),
        ]
        for number, lane in enumerate(others, start=1):
            await seen_at(ledger, number, lane=lane)
        assert await ledger.lane(LANE) == LaneRecord(0)
        assert [(await ledger.lane(lane)).nonce for lane in others] == [1, 2, 3, 4]
        found = dict(await ledger.lanes("localnet"))
        assert set(found) == set(others[1:])

    async def test_a_foreign_use_blocks_until_it_is_acknowledged(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger, 7)
        foreign = ForeignUse(7, 9, NOW)
        assert await seen_at(ledger, 9) == LaneRecord(7, foreign)
        assert await seen_at(ledger, 12, now=NOW + 5) == LaneRecord(7, foreign), "as it was found first"
        await ledger.create([intent(1)])
        await ledger.approve(replace(GRANT, grant_id="grant-2"), ["request-1:1"], NOW)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed("request-1:1", "grant-2", signed(20), NOW)
        assert caught.value.code == "key_blocked"
        assert await state_of(ledger, "request-1:1") == "approved"
        await ledger.acknowledge([SeenNonce(LANE, 12, 90)], NOW)
        assert await ledger.lane(LANE) == LaneRecord(12, None, 12, 90)
        assert await seen_at(ledger, 12) == LaneRecord(12, None, 12, 90)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed("request-1:1", "grant-2", signed(12), NOW)
        assert caught.value.code == "nonce_taken"
        await ledger.store_signed("request-1:1", "grant-2", signed(13), NOW)
        assert await state_of(ledger, intent_id) == "signed"
        await ledger.acknowledge([SeenNonce(LANE, 3, 91)], NOW)
        assert await ledger.lane(LANE) == LaneRecord(13, None, 12, 90), "never back"

    async def test_a_fence_takes_the_nonce_of_what_it_fences(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger, 7)
        made, grant = await fence(ledger)
        assert [one.intent_id for one in await ledger.fences_of(intent_id)] == [made.intent_id]
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed(made.intent_id, grant.grant_id, replace(signed(7), data=b"x"), NOW)
        assert caught.value.code == "fence_void", "what was never sent needs no fence"
        await ledger.move(intent_id, "sending", NOW)
        other = replace(signed(7), tx_hash=signed(70).tx_hash, data=b"other bytes")
        for wrong in (replace(other, nonce=8), replace(other, nonce_index=0)):
            with pytest.raises(LedgerConflict) as caught:
                await ledger.store_signed(made.intent_id, grant.grant_id, wrong, NOW)
            assert caught.value.code == "fence_void"
        await ledger.store_signed(made.intent_id, grant.grant_id, other, NOW)
        assert (await ledger.lane(LANE)).nonce == 7
        stored = await ledger.get(made.intent_id)
        assert stored is not None
        assert (stored.fences, stored.lane) == (intent_id, LANE)

    async def test_an_ended_intent_is_fenced_no_more(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger, 7)
        await ledger.move(intent_id, "sending", NOW)
        await ledger.move(intent_id, "final", NOW)
        made, grant = await fence(ledger)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed(made.intent_id, grant.grant_id, replace(signed(7), data=b"x"), NOW)
        assert caught.value.code == "fence_void"

    async def test_what_was_executed_in_a_lane_is_found_lowest_first(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger, 7)
        await ledger.create([intent(1)])
        await ledger.approve(replace(GRANT, grant_id="grant-2"), ["request-1:1"], NOW)
        await ledger.store_signed("request-1:1", "grant-2", signed(9), NOW)
        for one in (intent_id, "request-1:1"):
            await ledger.move(one, "sending", NOW)
        assert await ledger.executed_from(LANE, 0) == []
        await ledger.move("request-1:1", "failed", NOW)
        await ledger.move(intent_id, "final", NOW)
        found = [one.intent_id for one in await ledger.executed_from(LANE, 7)]
        assert found == [intent_id, "request-1:1"]
        assert [one.intent_id for one in await ledger.executed_from(LANE, 8)] == ["request-1:1"]
        assert await ledger.executed_from(LANE, 10) == []
        assert await ledger.executed_from(replace(LANE, nonce_index=0), 0) == []
