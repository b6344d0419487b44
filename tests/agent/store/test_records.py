"""Records: one for each request whatever happens, redacted before they reach the disk."""

import asyncio
import json
import sqlite3
from pathlib import Path

import base58
import pytest

from agent.errors import StoreError
from agent.records import Identity, InteractionRecord, Turn, read_records
from agent.store.store import Store, open_store
from tests.agent.store.examples import ALICE, IDENTITY, NOW, grant, intent, record, request, signed

SECRET = base58.b58encode(bytes(range(64))).decode()


async def test_a_record_comes_back_as_it_was(store: Store) -> None:
    await store.records.open_request(request())
    written = record(request())
    assert await store.records.finish(written)
    assert await store.records.get("r1") == written
    assert await store.records.get("r2") is None


async def test_a_request_has_one_record_and_the_first_stays(store: Store) -> None:
    await store.records.open_request(request())
    assert await store.records.finish(record(request(), "first"))
    assert not await store.records.finish(record(request(), "second"))
    found = await store.records.latest(10)
    assert [stored.record.text for stored in found] == ["first"]


async def test_two_ends_at_once_leave_one_record(store: Store) -> None:
    await store.records.open_request(request())
    written: list[bool] = []

    async def end(text: str) -> None:
        written.append(await store.records.finish(record(request(), text)))

    async with asyncio.TaskGroup() as group:
        for text in ("a", "b", "c"):
            group.create_task(end(text))
    assert sorted(written) == [False, False, True]
    assert len(await store.records.latest(10)) == 1


async def test_a_running_request_id_is_not_opened_again(store: Store) -> None:
    await store.records.open_request(request())
    with pytest.raises(StoreError, match="r1") as caught:
        await store.records.open_request(request())
    assert caught.value.code == "request_exists"
    await store.records.finish(record(request()))
    with pytest.raises(StoreError, match="r1"):
        await store.records.open_request(request())
    assert await store.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM running").scalar_one()) == 0


async def test_a_record_without_an_opened_request_is_kept_too(store: Store) -> None:
    assert await store.records.finish(record(request()))
    assert await store.records.get("r1") is not None


async def test_what_an_earlier_process_left_is_interrupted_until_it_is_recorded(path: Path) -> None:
    async with open_store(path) as store:
        for number in range(3):
            await store.records.open_request(request(f"r{number}"))
        await store.records.finish(record(request("r1")))
        assert await store.records.interrupted() == []
    async with open_store(path) as store:
        await store.records.open_request(request("r9"))
        left = await store.records.interrupted()
        assert left == [request("r0"), request("r2")]
        for one in left:
            await store.records.finish(record(one).model_copy(update={"status": "interrupted"}))
        assert await store.records.interrupted() == []
    async with open_store(path) as store:
        assert [one.request_id for one in await store.records.interrupted()] == ["r9"]
        assert sorted(stored.record.request.request_id for stored in await store.records.latest(9)) == [
            "r0",
            "r1",
            "r2",
        ]


async def test_secrets_reach_neither_the_record_nor_the_file(path: Path) -> None:
    text = f"import ed25519:{SECRET} then confirm 7Z4K9QXA"
    async with open_store(path) as store:
        asked = request(text=text, idempotency_key=SECRET).model_copy(
            update={"turns": (Turn(role="user", content=text),), "conversation_id": f"ed25519:{SECRET}"}
        )
        await store.records.open_request(asked)
        on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert SECRET.encode() not in on_disk
        await store.records.finish(record(asked, text).model_copy(update={"error": {"api_key": "hush-hush"}}))
        found = await store.records.get("r1")
        assert found is not None
        assert found.privacy.redactions == 9
        assert found.text == f"import ed25519:{'*' * len(SECRET)} then confirm ********"
    on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (SECRET, "7Z4K9QXA", "hush-hush"):
        assert secret.encode() not in on_disk


async def test_text_that_no_database_takes_is_stored_all_the_same(store: Store) -> None:
    hostile = "a\0b \ud800 é 取引 \U0001f600 ' OR 1=1 --"
    asked = request(text=hostile, idempotency_key="\udfff", message_id="\0")
    await store.records.open_request(asked)
    assert await store.records.finish(record(asked, hostile))
    found = await store.records.get("r1")
    assert found is not None
    assert found.text == hostile.replace("\ud800", "?")


async def test_a_megabyte_is_stored(store: Store) -> None:
    asked = request(text="word " * 200_000)
    await store.records.open_request(asked)
    assert await store.records.finish(record(asked))
    found = await store.records.get("r1")
    assert found is not None
    assert found.request == asked


async def test_pages_follow_the_order_of_finishing(store: Store) -> None:
    for number in range(5):
        await store.records.open_request(request(f"r{number}"))
    for number in (3, 1, 4, 0, 2):
        await store.records.finish(record(request(f"r{number}")))
    newest = await store.records.latest(2)
    assert [stored.record.request.request_id for stored in newest] == ["r0", "r2"]
    first = await store.records.latest(3, after=0)
    assert [stored.record.request.request_id for stored in first] == ["r3", "r1", "r4"]
    rest = await store.records.latest(3, after=first[-1].seq)
    assert [stored.record.request.request_id for stored in rest] == ["r0", "r2"]
    assert await store.records.latest(3, after=rest[-1].seq) == []


async def test_an_idempotency_key_or_message_id_finds_the_identitys_own_result(store: Store) -> None:
    other = Identity(key_id="key-of-bob", account_id="bob.localnet", may_confirm=False)
    records = store.records
    await records.finish(record(request("r1", idempotency_key="k", message_id="m")))
    await records.finish(record(request("r2", idempotency_key="k", identity=other)))
    await records.finish(record(request("r3", idempotency_key="k"), repeats="r1"))
    by_key = await records.find_by_key(IDENTITY.key_id, idempotency_key="k")
    by_message = await records.find_by_key(IDENTITY.key_id, message_id="m")
    assert by_key is not None
    assert by_key.request.request_id == "r1"
    assert by_message == by_key
    assert await records.find_by_key(IDENTITY.key_id, idempotency_key="m") is None
    assert await records.find_by_key(IDENTITY.key_id, idempotency_key="", message_id=None) is None
    await records.finish(record(request("r4", idempotency_key="k")))
    newest = await records.find_by_key(IDENTITY.key_id, idempotency_key="k")
    assert newest is not None
    assert newest.request.request_id == "r4"


async def test_the_decision_on_a_card_is_found_by_the_cards_request(store: Store) -> None:
    confirm = record(request("r2", "confirm")).model_copy(update={"approval_of": "r1"})
    again = record(request("r3", "confirm"), repeats="r2").model_copy(update={"approval_of": "r1"})
    await store.records.finish(confirm)
    await store.records.finish(again)
    assert await store.records.approval_of("r1") == confirm
    assert await store.records.approval_of("r2") is None


async def test_the_same_calls_are_found_while_they_may_have_been_executed(store: Store) -> None:
    ledger, find = store.ledger, store.records.find_executed
    await ledger.create([intent(calls_hash="h")])
    await ledger.approve(grant(), ["i1"], NOW)
    assert await find("h", ALICE, NOW - 10) is None
    await ledger.store_signed("i1", "g1", signed(1), NOW)
    for state in ("signed", "sending", "unconfirmed"):
        await ledger.move("i1", state, NOW)
        assert await find("h", ALICE, NOW - 10) == await find("h", ALICE, NOW + 1) == "r1"
    await ledger.move("i1", "final", NOW)
    assert await find("h", ALICE, NOW - 10) == "r1"
    assert await find("h", ALICE, NOW + 1) is None
    assert await find("h", "bob.localnet", NOW - 10) is None
    assert await find("other", ALICE, NOW - 10) is None


async def test_training_reads_the_records_of_a_running_and_of_a_stopped_daemon(path: Path) -> None:
    async with open_store(path) as store:
        written = [record(request(f"r{number}")) for number in range(450)]
        async with asyncio.TaskGroup() as group:
            for one in written:
                group.create_task(store.records.finish(one))
        live = list(read_records(path))
    stopped = list(read_records(path))
    assert live == stopped
    assert len(live) == 450
    assert {one.request.request_id for one in live} == {one.request.request_id for one in written}


def test_reading_records_changes_nothing_and_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"agent\.db"):
        list(read_records(tmp_path / "agent.db"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "other #1.db").write_text("no database at all, but long enough to be read as one" * 10)
    with pytest.raises(sqlite3.DatabaseError):
        list(read_records(tmp_path / "other #1.db"))


async def test_a_record_on_disk_is_plain_json_with_its_schema_version(store: Store, path: Path) -> None:
    await store.records.finish(record(request()))
    connection = sqlite3.connect(path)
    try:
        (text,) = connection.execute("SELECT record FROM records").fetchone()
    finally:
        connection.close()
    assert json.loads(text)["schema_version"] == 2
    assert InteractionRecord.model_validate_json(text) == record(request())
