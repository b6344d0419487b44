"""What every ledger must do with lanes, fences and foreign uses, whatever it is stored in."""

from dataclasses import replace

import pytest

from contracts.calls import Grant
from contracts.chain.ledger import ForeignUse, Intent, Lane, LaneRecord, Ledger
from contracts.errors import LedgerConflict
from contracts.types import AccountId
from tests.contracts.chain.ledger_conformance import ALICE, GRANT, KEY, NOW, intent, signed, state_of, to_signed

LANE = Lane("localnet", ALICE, KEY)


async def fence(ledger: Ledger, name: str = "fence", target: str = "request-1:0") -> tuple[Intent, Grant]:
    made = replace(intent(0, request=name), fences=target)
    grant = replace(GRANT, grant_id=f"grant of {name}")
    await ledger.create([made])
    await ledger.approve(grant, [made.intent_id], NOW)
    return made, grant


class LaneConformance:
    async def test_a_lane_that_was_never_seen_is_taken_as_it_is(self, ledger: Ledger) -> None:
        assert await ledger.lane(LANE) == LaneRecord(0)
        assert await ledger.lanes("localnet") == []
        assert await ledger.observe(LANE, 2**63 + 5, NOW) == LaneRecord(2**63 + 5)
        assert await ledger.observe(LANE, 5, NOW) == LaneRecord(2**63 + 5), "a node that is behind says nothing"
        assert await ledger.lanes("localnet") == [(LANE, LaneRecord(2**63 + 5))]
        assert await ledger.lanes("testnet") == []

    async def test_a_key_that_was_seen_unused_is_known(self, ledger: Ledger) -> None:
        """A chain's first keys begin at 0."""
        assert await ledger.observe(LANE, 0, NOW) == LaneRecord(0)
        assert (await ledger.observe(LANE, 1, NOW)).foreign == ForeignUse(0, 1, NOW)

    async def test_lanes_are_apart(self, ledger: Ledger) -> None:
        others = [
            replace(LANE, chain_id="testnet"),
            replace(LANE, signer_id=AccountId("bob.localnet")),
            replace(LANE, nonce_index=0),
            replace(LANE, nonce_index=1),
        ]
        for number, lane in enumerate(others, start=1):
            await ledger.observe(lane, number, NOW)
        assert await ledger.lane(LANE) == LaneRecord(0)
        assert [(await ledger.lane(lane)).nonce for lane in others] == [1, 2, 3, 4]
        found = dict(await ledger.lanes("localnet"))
        assert set(found) == set(others[1:])

    async def test_a_foreign_use_blocks_until_it_is_acknowledged(self, ledger: Ledger) -> None:
        intent_id = await to_signed(ledger, 7)
        foreign = ForeignUse(7, 9, NOW)
        assert await ledger.observe(LANE, 9, NOW) == LaneRecord(7, foreign)
        assert await ledger.observe(LANE, 12, NOW + 5) == LaneRecord(7, foreign), "as it was found first"
        await ledger.create([intent(1)])
        await ledger.approve(replace(GRANT, grant_id="grant-2"), ["request-1:1"], NOW)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed("request-1:1", "grant-2", signed(20), NOW)
        assert caught.value.code == "key_blocked"
        assert await state_of(ledger, "request-1:1") == "approved"
        await ledger.acknowledge(LANE, 12, NOW)
        assert await ledger.lane(LANE) == LaneRecord(12)
        with pytest.raises(LedgerConflict) as caught:
            await ledger.store_signed("request-1:1", "grant-2", signed(12), NOW)
        assert caught.value.code == "nonce_taken"
        await ledger.store_signed("request-1:1", "grant-2", signed(13), NOW)
        assert await state_of(ledger, intent_id) == "signed"
        await ledger.acknowledge(LANE, 3, NOW)
        assert (await ledger.lane(LANE)).nonce == 13, "never back"

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
