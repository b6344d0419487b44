"""Rolling budgets: reserved with the grant, settled by what happened, never spent twice."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.store.budgets import MAX_AHEAD_S
from agent.store.store import Store, open_store
from contracts.chain.budget import DAY_S, HOUR_S, Budget, Reservation, Spend
from contracts.chain.ledger import IntentState
from contracts.chain.outcome import Effect, Execution, ExecutionFailed, Finalized, NotDone, Outcome, PartiallyExecuted
from contracts.errors import LedgerConflict
from contracts.types import CryptoHash
from tests.agent.store.examples import ALICE, BOB, NOW, grant, intent, signed

USDC = "usdc.localnet"
BLOCK = CryptoHash.of(b"block")


def budget(units: int, *, token: str = "NEAR", window_s: float = DAY_S, free: bool = False) -> Budget:
    return Budget(f"default.limits.{token}.{window_s:g}.{free}", token, window_s, units, 24, "account", free)


def reservation(
    units: int,
    *budgets: Budget,
    token: str = "NEAR",
    at: float = NOW,
    free: bool = False,
    identity: str = "key-of-alice",
) -> Reservation:
    return Reservation(identity, (Spend(token, units, 0),), budgets, at, free)


async def approve(store: Store, name: str, reserved: Reservation, now: float = NOW) -> None:
    await store.ledger.create([intent(name)])
    await store.ledger.approve(grant(f"grant of {name}", expires_at=now + 10**9), [name], now, reserved)


async def end(
    store: Store, name: str, state: IntentState, outcome: Outcome | None, now: float = NOW, nonce: int = 1
) -> None:
    await store.ledger.store_signed(name, f"grant of {name}", signed(nonce), now)
    await store.ledger.move(name, "sending", now)
    await store.ledger.move(name, state, now, outcome)


def execution(*effects: Effect, burnt: int = 0, complete: bool = True) -> Execution:
    return Execution(BLOCK, 1, BLOCK, ALICE, BOB, None, (), effects, 1, burnt, complete)


async def used(store: Store, one: Budget, at: float = NOW, identity: str = "key-of-alice") -> int:
    return (await store.budgets.used("localnet", ALICE, identity, [one], at))[one.rule]


async def test_a_reservation_counts_at_once_and_what_is_above_the_limit_leaves_nothing_behind(store: Store) -> None:
    day = budget(100)
    await approve(store, "a", reservation(60, day))
    await store.ledger.create([intent("b")])
    with pytest.raises(LedgerConflict) as caught:
        await store.ledger.approve(grant("g"), ["b"], NOW, reservation(41, day))
    assert caught.value.code == "over_budget"
    assert caught.value.details == {"rule": day.rule, "used": "60", "wanted": "41", "limit": "100"}
    assert await store.ledger.grant("g") is None
    left = await store.ledger.get("b")
    assert left is not None
    assert left.state == "planned"
    await store.ledger.approve(grant("g"), ["b"], NOW, reservation(40, day))
    assert await used(store, day) == 100


async def test_u128_sums_are_exact(store: Store) -> None:
    most = 2**128 - 1
    wide = budget(most)
    for number, units in enumerate((most // 3, most // 7, 10**13, 10**26 - 1)):
        await approve(store, f"i{number}", reservation(units, wide))
    assert await used(store, wide) == most // 3 + most // 7 + 10**13 + 10**26 - 1


@pytest.mark.parametrize("state", ["sending", "sent", "included", "unconfirmed"])
async def test_an_open_transaction_keeps_its_reservation_however_old_it_is(store: Store, state: IntentState) -> None:
    hour = budget(100, window_s=HOUR_S)
    await approve(store, "a", reservation(100, hour))
    await end(store, "a", state, None)
    assert await used(store, hour, NOW + 40 * DAY_S) == 100


@pytest.mark.parametrize("state", ["expired", "fenced"])
async def test_a_proof_that_it_is_dead_frees_it(store: Store, state: IntentState) -> None:
    day = budget(100)
    await approve(store, "a", reservation(100, day))
    await end(store, "a", state, None)
    assert await used(store, day) == 0


async def test_what_was_never_sent_is_freed(store: Store) -> None:
    day = budget(100)
    await approve(store, "a", reservation(100, day))
    await store.ledger.move("a", "abandoned", NOW, NotDone("given up"))
    assert await used(store, day) == 0


@pytest.mark.parametrize(
    ("state", "outcome", "near", "usdc"),
    [
        ("final", Finalized(execution(Effect(ALICE, "NEAR", -30), Effect(ALICE, USDC, -5), burnt=2)), 32, 5),
        ("final", Finalized(execution(Effect(ALICE, "NEAR", 30), burnt=2)), 2, 80),
        ("final", Finalized(execution(Effect(ALICE, "NEAR", -30), burnt=2, complete=False)), 90, 80),
        ("final", PartiallyExecuted(execution(Effect(ALICE, USDC, -7), burnt=1), "inner"), 1, 7),
        ("failed", ExecutionFailed(execution(burnt=3), "FunctionCallError", "no"), 3, 0),
        ("final", None, 90, 80),
    ],
)
async def test_final_effects_replace_the_reservation(
    store: Store, state: IntentState, outcome: Outcome | None, near: int, usdc: int
) -> None:
    near_day, usdc_day = budget(90), budget(80, token=USDC)
    both = Reservation("key-of-alice", (Spend("NEAR", 90, 0), Spend(USDC, 80, 0)), (near_day, usdc_day), NOW, False)
    await approve(store, "a", both)
    await end(store, "a", state, outcome)
    assert (await used(store, near_day), await used(store, usdc_day)) == (near, usdc)


async def test_what_is_spent_leaves_the_window_and_a_clock_that_jumps_back_frees_nothing(store: Store) -> None:
    hour = budget(100, window_s=HOUR_S)
    await approve(store, "a", reservation(100, hour))
    await end(store, "a", "final", None)
    assert await used(store, hour, NOW + HOUR_S - 1) == 100
    assert await used(store, hour, NOW - 30 * DAY_S) == 100
    assert await used(store, hour, NOW + HOUR_S) == 0
    await approve(store, "b", reservation(100, hour, at=NOW + HOUR_S), NOW + HOUR_S)
    await end(store, "b", "final", None, NOW + HOUR_S, nonce=2)
    assert await used(store, hour, NOW - 30 * DAY_S) == 100


async def test_scopes_and_the_free_allowance_count_their_own(store: Store) -> None:
    free, mine = budget(100, free=True), Budget("identities.k.limits.NEAR.per_day", "NEAR", DAY_S, 100, 24, "identity")
    await approve(store, "a", reservation(30, free, free=True))
    await approve(store, "b", reservation(50, free=False, identity="another-key"))
    assert await used(store, free) == 30
    assert await used(store, mine) == 30
    assert await used(store, mine, identity="another-key") == 50
    assert await used(store, budget(100)) == 80


async def test_final_transactions_make_accounts_known(store: Store) -> None:
    await approve(store, "a", reservation(1))
    assert await store.budgets.known("localnet", ALICE, [BOB, "x"]) == frozenset()
    await end(store, "a", "final", None)
    assert await store.budgets.known("localnet", ALICE, [BOB, "x"]) == {"bob.localnet"}
    assert await store.budgets.known("localnet", BOB, [BOB]) == frozenset()


async def test_parallel_requests_cannot_spend_the_same_allowance(store: Store) -> None:
    day, names = budget(100), [f"i{number}" for number in range(20)]
    taken: list[str] = []

    async def one(name: str) -> None:
        try:
            await approve(store, name, reservation(30, day))
        except LedgerConflict:
            return
        taken.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(one(name))
    assert len(taken) == 3
    assert await used(store, day) == 90


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "final", "final", "fail", "die", "forget", "wait", "back"]),
        st.integers(0, 60),
        st.integers(0, 7),
    ),
    max_size=30,
)


BEHIND = [
    ("ask", 60, 0),
    ("back", 60, 0),
    ("wait", 59, 0),
    ("final", 0, 0),
    ("wait", 20, 0),
    ("ask", 60, 0),
    ("final", 0, 0),
]
"""A clock that went back, while blocks go on: the time of the first execution is known from the blocks alone."""


@settings(max_examples=15)
@given(steps=STEPS)
@example(steps=BEHIND)
async def test_whatever_the_order_executed_spends_stay_within_the_limit_of_every_window(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int, int]]
) -> None:
    async with open_store(tmp_path_factory.mktemp("budgets") / "agent.db") as store:
        executed = await _lived(store, steps, limit=100)
    for start, _ in executed:
        within = sum(units for at, units in executed if start <= at < start + HOUR_S)
        assert within <= 100


async def _lived(store: Store, steps: Sequence[tuple[str, int, int]], limit: int) -> list[tuple[float, int]]:
    """Times and amounts of what was executed in a history of requests, ends and clock jumps."""
    hour = budget(limit, window_s=HOUR_S)
    clock = block_time = NOW
    waiting: list[tuple[str, int]] = []
    executed: list[tuple[float, int]] = []
    for number, (what, units, place) in enumerate(steps):
        name = f"i{number}"
        match what:
            case "ask":
                at = max(clock, block_time)
                try:
                    await approve(store, name, reservation(units, hour, at=at), clock)
                except LedgerConflict:
                    continue
                waiting.append((name, units))
            case "wait":
                clock += units * 60
                block_time += units * 60
                store.budgets.latest.note(int(block_time * 1e9))
            case "back":
                clock = max(clock - units * 600, block_time - MAX_AHEAD_S)
            case _ if waiting:
                name, reserved = waiting.pop(place % len(waiting))
                if await _ended(store, name, what, reserved, clock, number + 1):
                    executed.append((block_time, reserved))
            case _:
                pass
    return executed


async def _ended(store: Store, name: str, what: str, reserved: int, clock: float, nonce: int) -> bool:
    """End one transaction; whether it was executed. `reserved` is spent in full."""
    match what:
        case "final":
            spent = Finalized(execution(Effect(ALICE, "NEAR", -reserved)))
            await end(store, name, "final", spent, clock, nonce)
        case "fail":
            failed = ExecutionFailed(execution(), "FunctionCallError", "no")
            await end(store, name, "failed", failed, clock, nonce)
        case "die":
            await end(store, name, "expired", None, clock, nonce)
        case _:
            await end(store, name, "unconfirmed", None, clock, nonce)
    return what == "final"
