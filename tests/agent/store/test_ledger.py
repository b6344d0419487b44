"""The ledger in SQL: states, grants used once, nonces that only rise, and a differential run against the one in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agent.store.store import Store, open_store
from contracts.chain.ledger import OPEN, TRANSITIONS, Intent, IntentState, Ledger
from contracts.chain.outcome import DeathProof, Failed, Outcome, Unconfirmed
from contracts.errors import LedgerConflict
from contracts.types import U64_MAX, CryptoHash
from tests.agent.store.examples import ALICE, CALL, KEY, NOW, OTHER_KEY, grant, intent, signed
from tests.contracts.chain.lane_conformance import LaneConformance
from tests.contracts.chain.ledger_conformance import LedgerConformance
from tests.doubles import MemoryLedger

PROOF = DeathProof("nonce_passed", 5, CryptoHash.of(b"block 5"), None, ("one.org", "two.org"))
FAILED = Failed("send", "Expired", "too late", proof=PROOF)
UNCONFIRMED = Unconfirmed(CryptoHash.of(b"tx"), "not found")


class TestSqlLedger(LedgerConformance, LaneConformance):
    @pytest.fixture
    def ledger(self, store: Store) -> Ledger:
        return store.ledger


async def conflict(awaitable: Awaitable[object]) -> str:
    with pytest.raises(LedgerConflict) as caught:
        await awaitable
    return caught.value.code


async def brought_to(ledger: Ledger, state: IntentState, name: str = "i1", nonce: int = 1) -> None:
    """An intent on the shortest way to a state."""
    await ledger.create([intent(name)])
    if state in {"planned", "abandoned"}:
        return await ledger.move(name, state, NOW)
    await ledger.approve(grant(f"grant of {name}"), [name], NOW)
    if state == "approved":
        return None
    await ledger.store_signed(name, f"grant of {name}", signed(nonce), NOW)
    if state == "signed":
        return None
    await ledger.move(name, "sending", NOW)
    return await ledger.move(name, state, NOW)


async def test_what_is_stored_comes_back_whole(store: Store) -> None:
    ledger = store.ledger
    await ledger.create([intent()])
    assert await ledger.get("i1") == intent()
    await ledger.approve(grant(), ["i1"], NOW + 1)
    assert await ledger.grant("g1") == grant()
    bytes_of = signed(2**63 + 5)
    await ledger.store_signed("i1", "g1", bytes_of, NOW + 2)
    await ledger.move("i1", "sending", NOW + 3)
    await ledger.move("i1", "failed", NOW + 4, FAILED)
    found = await ledger.get("i1")
    assert found is not None
    assert (found.state, found.signed, found.outcome, found.grant_id) == ("failed", bytes_of, FAILED, "g1")
    assert (found.call, found.created_at, found.updated_at) == (CALL, NOW, NOW + 4)
    assert await ledger.by_hash(bytes_of.tx_hash) == found
    assert await ledger.by_hash(CryptoHash.of(b"?")) is None
    assert await ledger.get("i2") is None
    assert await ledger.grant("g2") is None
    assert await ledger.last_nonce("localnet", ALICE, KEY) == 2**63 + 5


async def test_amounts_above_64_bits_are_kept_exactly(store: Store) -> None:
    await store.ledger.create([intent()])
    deposit = await store.read(lambda c: c.execute(text("SELECT deposit_yocto FROM intents")).scalar_one())
    assert deposit == str(2**128)
    found = await store.ledger.get("i1")
    assert found is not None
    assert found.call.deposit == 2**128


async def test_a_requests_intents_come_in_plan_order_and_states_oldest_first(store: Store) -> None:
    ledger = store.ledger
    await ledger.create([intent("b", step=1), intent("a", step=0), intent("x", request_id="r2")])
    assert [found.intent_id for found in await ledger.of_request("r1")] == ["a", "b"]
    await ledger.approve(grant(), ["a"], NOW - 3600)
    states: frozenset[IntentState] = frozenset({"planned", "approved"})
    assert [found.intent_id for found in await ledger.in_states(states)] == ["b", "a", "x"]
    assert await ledger.in_states(OPEN) == []
    assert await ledger.in_states(frozenset()) == []


async def test_an_intent_id_is_stored_once_and_a_batch_whole_or_not(store: Store) -> None:
    await store.ledger.create([intent("a")])
    assert await conflict(store.ledger.create([intent("b"), intent("a")])) == "intent_exists"
    assert await store.ledger.get("b") is None
    await store.ledger.create([])


async def test_a_grant_is_stored_once_and_covers_planned_intents_only(store: Store) -> None:
    ledger = store.ledger
    await ledger.create([intent("a"), intent("b", step=1)])
    assert await conflict(ledger.approve(grant(), ["a", "missing"], NOW)) == "state_moved"
    assert await ledger.grant("g1") is None
    found = await ledger.get("a")
    assert found is not None
    assert found.state == "planned"
    await ledger.approve(grant(), ["a"], NOW)
    assert await conflict(ledger.approve(grant(), ["b"], NOW)) == "grant_used"
    assert await conflict(ledger.approve(grant("g2"), ["a"], NOW)) == "state_moved"


async def test_a_grant_is_consumed_once_for_each_step(store: Store) -> None:
    ledger = store.ledger
    await ledger.create([intent("a"), intent("b", step=1), intent("c", request_id="r2")])
    await ledger.approve(grant("g1"), ["a", "b"], NOW)
    await ledger.approve(grant("g2"), ["c"], NOW)
    await ledger.store_signed("a", "g1", signed(1), NOW)
    await ledger.store_signed("b", "g1", signed(2), NOW)
    assert await conflict(ledger.store_signed("a", "g1", signed(3), NOW)) == "grant_used"
    assert await conflict(ledger.store_signed("c", "g1", signed(3), NOW)) == "grant_used"
    assert await conflict(ledger.store_signed("c", "no such grant", signed(3), NOW)) == "grant_used"
    assert await ledger.last_nonce("localnet", ALICE, KEY) == 2
    first = await ledger.get("a")
    assert first is not None
    assert first.signed == signed(1)


async def test_an_expired_grant_signs_nothing(store: Store) -> None:
    await store.ledger.create([intent("a")])
    await store.ledger.approve(grant(expires_at=NOW + 10), ["a"], NOW)
    assert await conflict(store.ledger.store_signed("a", "g1", signed(1), NOW + 10)) == "grant_expired"
    assert await store.ledger.last_nonce("localnet", ALICE, KEY) == 0
    await store.ledger.store_signed("a", "g1", signed(1), NOW + 9.9)


async def test_an_abandoned_intent_is_not_signed(store: Store) -> None:
    await store.ledger.create([intent("a")])
    await store.ledger.approve(grant(), ["a"], NOW)
    await store.ledger.move("a", "abandoned", NOW)
    assert await conflict(store.ledger.store_signed("a", "g1", signed(1), NOW)) == "state_moved"
    assert await store.ledger.last_nonce("localnet", ALICE, KEY) == 0


async def test_nonces_of_a_key_only_rise_and_keys_do_not_mix(store: Store) -> None:
    ledger = store.ledger
    for name in "abcdef":
        await ledger.create([intent(name)])
        await ledger.approve(grant(f"g{name}"), [name], NOW)
    await ledger.store_signed("a", "ga", signed(99), NOW)
    for nonce in (99, 98, 0):
        assert await conflict(ledger.store_signed("b", "gb", signed(nonce, salt="other"), NOW)) == "nonce_taken"
    await ledger.store_signed("b", "gb", signed(100), NOW)
    await ledger.store_signed("c", "gc", signed(5, key=OTHER_KEY), NOW)
    await ledger.store_signed("d", "gd", signed(U64_MAX), NOW)
    assert await conflict(ledger.store_signed("e", "ge", signed(U64_MAX - 1), NOW)) == "nonce_taken"
    assert await ledger.last_nonce("localnet", ALICE, KEY) == U64_MAX
    assert await ledger.last_nonce("localnet", ALICE, OTHER_KEY) == 5
    assert await ledger.last_nonce("testnet", ALICE, KEY) == 0


@pytest.mark.parametrize("to", TRANSITIONS)
async def test_only_the_ways_that_are_drawn_can_be_gone(store: Store, to: IntentState) -> None:
    ledger = store.ledger
    reachable: list[IntentState] = [state for state in TRANSITIONS if state != "planned"]
    for number, state in enumerate(reachable, start=1):
        if state == "included":
            await brought_to(ledger, "sent", state, number)
            await ledger.move(state, "included", NOW)
        else:
            await brought_to(ledger, state, state, number)
    await ledger.create([intent("planned")])
    for state in TRANSITIONS:
        allowed = to == state or (to in TRANSITIONS[state] and to not in {"approved", "signed"})
        if allowed:
            await ledger.move(state, to, NOW)
        else:
            assert await conflict(ledger.move(state, to, NOW)) == "state_moved", state
    assert await conflict(ledger.move("missing", to, NOW)) == "state_moved"


async def test_the_first_outcome_of_a_state_stays(store: Store) -> None:
    ledger = store.ledger
    await brought_to(ledger, "sending")
    await ledger.move("i1", "unconfirmed", NOW, UNCONFIRMED)
    await ledger.move("i1", "unconfirmed", NOW, FAILED)
    await ledger.move("i1", "unconfirmed", NOW)
    found = await ledger.get("i1")
    assert found is not None
    assert found.outcome == UNCONFIRMED
    await ledger.move("i1", "failed", NOW, FAILED)
    await ledger.move("i1", "failed", NOW, UNCONFIRMED)
    found = await ledger.get("i1")
    assert found is not None
    assert found.outcome == FAILED


async def test_of_many_at_once_one_consumes_the_grant(store: Store) -> None:
    ledger = store.ledger
    await ledger.create([intent()])
    await ledger.approve(grant(), ["i1"], NOW)
    codes: list[str] = []

    async def sign(nonce: int) -> None:
        try:
            await ledger.store_signed("i1", "g1", signed(nonce), NOW)
            codes.append("signed")
        except LedgerConflict as error:
            codes.append(error.code)

    async with asyncio.TaskGroup() as group:
        for nonce in range(1, 21):
            group.create_task(sign(nonce))
    assert sorted(codes) == ["grant_used"] * 19 + ["signed"]


async def test_of_two_processes_at_once_one_takes_the_nonce(path: Path, store: Store) -> None:
    async with open_store(path) as second:
        await store.ledger.create([intent("a"), intent("b", step=1)])
        await store.ledger.approve(grant(), ["a", "b"], NOW)
        outcomes: list[str] = []

        async def sign(ledger: Ledger, name: str) -> None:
            try:
                await ledger.store_signed(name, "g1", signed(1, salt=name), NOW)
                outcomes.append("signed")
            except LedgerConflict as error:
                outcomes.append(error.code)

        async with asyncio.TaskGroup() as group:
            group.create_task(sign(store.ledger, "a"))
            group.create_task(sign(second.ledger, "b"))
        assert sorted(outcomes) == ["nonce_taken", "signed"]


Step: TypeAlias = Callable[[Ledger], Awaitable[object]]

NAMES = st.sampled_from("abc")
GRANTS = st.sampled_from(["g1", "g2"])
TIMES = st.sampled_from([NOW - 100, NOW, NOW + 50, NOW + 700])
STATES = st.sampled_from([state for state in TRANSITIONS if state not in {"approved", "signed"}])
OUTCOMES: st.SearchStrategy[Outcome | None] = st.sampled_from([None, FAILED, UNCONFIRMED])


def _create(name: str) -> Step:
    return lambda ledger: ledger.create([intent(name)])


def _approve(name: str, names: list[str], now: float) -> Step:
    return lambda ledger: ledger.approve(grant(name), names, now)


def _sign(name: str, grant_id: str, nonce: int, now: float) -> Step:
    return lambda ledger: ledger.store_signed(name, grant_id, signed(nonce, salt=name), now)


def _move(name: str, to: IntentState, now: float, outcome: Outcome | None) -> Step:
    return lambda ledger: ledger.move(name, to, now, outcome)


STEPS = st.lists(
    st.builds(_create, NAMES)
    | st.builds(_approve, GRANTS, st.lists(NAMES, min_size=1, max_size=3, unique=True), TIMES)
    | st.builds(_sign, NAMES, GRANTS, st.integers(0, 6), TIMES)
    | st.builds(_move, NAMES, STATES, TIMES, OUTCOMES),
    max_size=30,
)


async def _told(step: Step, ledger: Ledger) -> str:
    try:
        await step(ledger)
    except LedgerConflict as error:
        return error.code
    return "done"


async def _everything(ledger: Ledger) -> list[Intent]:
    return await ledger.in_states(frozenset(TRANSITIONS))


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store's file, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "agent.db"

    async def make() -> None:
        async with open_store(path):
            pass

    asyncio.run(make())
    return path


@given(first=st.lists(st.builds(_create, NAMES), max_size=3), steps=STEPS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_of_steps_ends_as_in_the_ledger_in_memory(
    migrated: Path, first: list[Step], steps: list[Step]
) -> None:
    async def run() -> None:
        memory = MemoryLedger()
        with TemporaryDirectory() as folder:
            async with open_store(Path(copy(migrated, folder))) as store:
                last = 0
                for step in (*first, *steps):
                    assert await _told(step, store.ledger) == await _told(step, memory)
                    nonce = await store.ledger.last_nonce("localnet", ALICE, KEY)
                    assert nonce >= last
                    last = nonce
                found = await _everything(store.ledger)
                assert sorted(found, key=lambda one: one.intent_id) == sorted(
                    await _everything(memory), key=lambda one: one.intent_id
                )
                used = [one.signed.nonce for one in found if one.signed is not None]
                assert len(used) == len(set(used))
                assert max(used, default=0) == last

    asyncio.run(run())
