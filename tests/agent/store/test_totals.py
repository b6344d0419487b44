"""Running totals: exact at any size, found by an index, and made for what an older database holds."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, insert

from agent.store import budgets, database, dealings, totals
from agent.store.store import Store, open_store
from agent.store.tables import KNOWN_ACCOUNTS, METADATA
from contracts.chain.budget import DAY_S, HOUR_S, Budget, Reservation, Spend
from contracts.chain.ledger import IntentState
from contracts.chain.outcome import Effect, ExecutionFailed, Finalized, Outcome
from contracts.errors import LedgerConflict
from contracts.knowledge.lookalikes import look_of, lookalikes
from contracts.types import AccountId
from tests.agent.store.examples import ALICE, NOW, intent
from tests.agent.store.test_budgets import USDC, approve, budget, end, execution, reservation, used

DAO = AccountId("dao.localnet")
VOTES: Sequence[tuple[str, IntentState, Outcome, int]] = (
    ("stood", "final", Finalized(execution(Effect(ALICE, "NEAR", -1), burnt=1)), 32),
    ("failed", "failed", ExecutionFailed(execution(burnt=1), "FunctionCallError", "no"), 33),
    ("paid", "failed", ExecutionFailed(execution(Effect(DAO, "NEAR", -8)), "FunctionCallError", "no"), 41),
)
SPENT = st.lists(
    st.tuples(
        st.floats(0, 3 * HOUR_S),
        st.one_of(st.integers(0, 5), st.integers(2**127, 2**128 - 1)),
        st.sampled_from(["key-of-alice", "another-key"]),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=50)
@given(spent=SPENT, since=st.floats(0, 3 * HOUR_S))
def test_the_difference_of_two_totals_is_the_sum_of_what_lies_between(
    spent: Sequence[tuple[float, int, str, bool]], since: float
) -> None:
    engine = create_engine("sqlite://")
    counted: list[tuple[float, int, str, bool]] = []
    with engine.connect() as connection:
        METADATA.create_all(connection)
        for at, units, identity, free in spent:
            signer = {"chain_id": "localnet", "signer_id": str(ALICE), "identity": identity}
            totals.add(connection, signer, "NEAR", units, free=free, at=at)
            counted.append((max([at, *(time for time, *_ in counted)]), units, identity, free))
        for whose in (totals.EVERYBODY, "key-of-alice"):
            for only_free in (False, True):
                series = totals.Series("localnet", ALICE, "NEAR", whose, only_free)
                found = totals.total_at(connection, series, float("inf")) - totals.total_at(connection, series, since)
                assert found == sum(
                    units
                    for at, units, identity, free in counted
                    if at > since and whose in {totals.EVERYBODY, identity} and free >= only_free
                )
    engine.dispose()


async def test_nothing_walks_through_what_was_spent_before(path: Path) -> None:
    """Every statement that reserves, sums, settles and looks for known accounts finds its rows by an index."""
    async with open_store(path) as store:
        await store.ledger.create([intent("a")])
    engine = create_engine(f"sqlite:///{path}")
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection: object, _cursor: object, statement: str, values: tuple[object, ...], *_rest: object) -> None:
        asked.append((statement, values))

    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", note)
        both = (budget(10), Budget("mine", "NEAR", DAY_S, 10, 24, "identity"), budget(10, free=True))
        budgets.reserve(connection, reservation(7, *both, free=True), "localnet", ALICE, ["a"])
        with pytest.raises(LedgerConflict):
            budgets.reserve(connection, reservation(7, *both, free=True), "localnet", ALICE, ["a"])
        budgets.settle(connection, "a", "final", None, NOW)
        with pytest.raises(LedgerConflict):
            budgets.reserve(connection, reservation(7, *both, free=True), "localnet", ALICE, ["a"])
        dealings.like(connection, "localnet", ALICE, "0x" + "ab" * 20)
        event.remove(engine, "before_cursor_execute", note)
        for statement, values in asked:
            if statement.startswith(("SELECT", "UPDATE")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                scanned = {row[3].split()[1] for row in plan if row[3].startswith("SCAN")}
                assert not scanned & set(METADATA.tables), statement
    engine.dispose()
    assert len(asked) > 30


async def test_more_is_free_when_enough_of_it_has_left_the_window(store: Store) -> None:
    hour = budget(100, window_s=HOUR_S)
    for number, units in enumerate((10, 20, 60), start=1):
        at = NOW + number * 60
        await approve(store, f"i{number}", reservation(units, at=at), at)
        await end(store, f"i{number}", "final", None, at, nonce=number)
    later = NOW + 600

    async def more_at(wanted: int) -> float | None:
        return await store.budgets.more_at("localnet", ALICE, "key-of-alice", hour, wanted, later)

    assert await more_at(20) == pytest.approx(NOW + 60 + HOUR_S, abs=0.01)
    assert await more_at(21) == pytest.approx(NOW + 120 + HOUR_S, abs=0.01)
    assert await more_at(100) == pytest.approx(NOW + 180 + HOUR_S, abs=0.01)
    assert await more_at(101) is None
    await approve(store, "open", reservation(5, at=later), later)
    assert await more_at(100) is None  # nobody knows when what is on its way ends
    assert await more_at(95) == pytest.approx(NOW + 180 + HOUR_S, abs=0.01)


async def test_who_loses_a_race_is_told_what_is_left_and_when_more_is(store: Store) -> None:
    hour = Budget("default.limits.USDC.per_hour", USDC, HOUR_S, 50_000_000, 6, "identity", symbol="USDC")
    await approve(store, "a", reservation(20_000_000, hour, token=USDC))
    await end(store, "a", "final", None)
    await approve(store, "winner", reservation(21_000_000, hour, token=USDC))
    with pytest.raises(LedgerConflict) as caught:
        await approve(store, "loser", reservation(12_500_000, hour, token=USDC))
    assert caught.value.message == (
        "it is over the limit of 50 USDC in 1 h for you: 41 USDC used or reserved, 12.5 USDC asked for, 9 USDC left; "
        "enough is free again at 2027-01-15 09:00 UTC; USDC is usdc.localnet; nothing was sent"
    )


async def test_a_vote_for_a_payout_counts_it_whole_unless_it_fails(store: Store) -> None:
    day = budget(100)
    for nonce, (name, state, outcome, counted) in enumerate(VOTES, start=1):
        spends = (Spend("NEAR", 10, 0), Spend("NEAR", 30, 0, DAO))
        await approve(store, name, Reservation("key-of-alice", spends, (day,), NOW, False))
        await end(store, name, state, outcome, nonce=nonce)
        assert await used(store, day) == counted


async def test_an_older_database_keeps_its_sums_and_whom_it_knows(path: Path) -> None:
    path.parent.mkdir()
    _migrate_to(path, "0004")
    rows = [
        (identity, token, str(units).zfill(39), free, NOW - age, state)
        for age in range(40)
        for units in (2**127 + age,)
        for identity in ("key-of-alice", "another-key")
        for token, free, state in (("NEAR", age % 3 == 0, "spent"), (USDC, False, "released"), (USDC, True, "reserved"))
    ]
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO spending (intent_id, chain_id, signer_id, identity, token, units, free, at, state) "
            f"VALUES ('a', 'localnet', '{ALICE}', ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.execute(f"INSERT INTO known_accounts VALUES ('localnet', '{ALICE}', 'bob.shop.localnet')")
        connection.commit()
    async with open_store(path) as store:
        for token, free, scope in (("NEAR", False, "account"), ("NEAR", True, "identity"), (USDC, True, "account")):
            one = Budget("rule", token, 20.5, 2**128, 24, "identity" if scope == "identity" else "account", free)
            wanted = sum(
                int(units)
                for identity, spent, units, was_free, at, state in rows
                if spent == token
                and was_free >= free
                and (scope == "account" or identity == "key-of-alice")
                and (state == "reserved" or (state == "spent" and at > NOW - 20.5))
            )
            assert await used(store, one) == wanted
        found = await store.budgets.like("localnet", ALICE, ["bob-shop.localnet"])
        assert found == {"bob-shop.localnet": ("bob.shop.localnet",)}


def _migrate_to(path: Path, version: str) -> None:
    """A file as an older program left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


_IDS = st.from_regex(r"[abo0l1rnmv]{2,5}([._-][abo0l1rnm]{2,4}){0,2}\.near", fullmatch=True)
_HEX = st.from_regex(r"0xa[bc]a{36}[ab]c", fullmatch=True)


@settings(max_examples=60)
@given(known=st.lists(st.one_of(_IDS, _HEX), max_size=12, unique=True), stranger=st.one_of(_IDS, _HEX), edit=st.data())
def test_a_search_by_index_finds_every_account_that_looks_alike(
    known: list[str], stranger: str, edit: st.DataObject
) -> None:
    if known:
        near = edit.draw(st.sampled_from(known))
        stranger = edit.draw(st.sampled_from([stranger, *_disguised(near)]))
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        METADATA.create_all(connection)
        for account_id in known:
            row = {"chain_id": "c", "signer_id": "s", "account_id": account_id, "look": look_of(account_id)}
            connection.execute(insert(KNOWN_ACCOUNTS), row)
        found = dealings.like(connection, "c", "s", stranger)
    engine.dispose()
    strangers = [name for name in known if name != stranger]
    assert {one.known for one in lookalikes(stranger, strangers)} <= {*found}


def _disguised(name: str) -> tuple[str, ...]:
    return (
        name.replace("o", "0").replace("rn", "m"),
        name.replace(".", "-", 1) + "x.near",
        f"{name[:-5]}.shop{name[-5:]}",
        name[1:],
        f"{name[1]}{name[0]}{name[2:]}",
        f"{name[:3]}a{name[3:]}",
    )
