"""The agent's own part of prompts: stored once by its hash, read back as it was sent, and never with a person's words in it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import base58
import pytest
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from agent.planning.prompts import SYSTEM
from agent.preamble import Preamble, Tools, digest_of
from agent.records import InteractionRecord, ModelExchange, read_records
from agent.store.backup import backup_database, restore_database
from agent.store.store import Store, open_store
from contracts.catalogue.index import CATALOGUE
from contracts.types import JsonObject
from tests.agent.store.examples import NOW, record, request
from training.data.interactions import collect

SECRET = base58.b58encode(bytes(range(64))).decode()
OLD_STORE = Path(__file__).parents[2] / "vectors" / "stores" / "0005.sql"
"""A whole database as version 0005 wrote it: a question, a repaired plan with its confirmation, a slash command."""
OWN = Preamble(SYSTEM, Tools(tuple(entry.tool_schema() for entry in CATALOGUE.values())))
WORDS: JsonObject = {"role": "user", "content": "how much NEAR does bob.localnet have? \u2028 grüße"}


def exchange(*messages: JsonObject, tools: Tools = OWN.tools) -> ModelExchange:
    return ModelExchange(
        target="standard",
        model="m",
        messages=list(messages),
        tools=tools,
        response={"role": "assistant", "content": None},
        finish_reason="tool_calls",
        prompt_tokens=11,
        completion_tokens=7,
        latency_ms=1.5,
    )


def asked(name: str, *exchanges: ModelExchange) -> InteractionRecord:
    return record(request(name)).model_copy(update={"exchanges": exchanges})


def rows(path: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def old_store(path: Path) -> list[JsonObject]:
    """Put the older database at `path`; its records as plain JSON."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_STORE.read_text(encoding="utf-8"))
    return [json.loads(text) for (text,) in rows(path, "SELECT record FROM records ORDER BY seq")]


async def test_many_records_share_one_preamble_and_come_back_byte_for_byte(store: Store, path: Path) -> None:
    written = [asked(f"r{n}", exchange(OWN.message, WORDS), exchange(OWN.message, WORDS, WORDS)) for n in range(5)]
    for one in written:
        assert await store.records.finish(one, OWN)
    found = [stored.record for stored in await store.records.latest(9)]
    assert found == written
    assert [one.model_dump_json() for one in found] == [one.model_dump_json() for one in written]
    assert list(read_records(path)) == written
    assert await store.records.get("r3") == written[3]
    ((digest, text),) = rows(path, "SELECT digest, text FROM preambles")
    assert digest == digest_of(text)
    for named, kept in rows(path, "SELECT preamble, record FROM records"):
        assert named == digest
        assert SYSTEM[:40] not in kept
        assert [one["preamble"] for one in json.loads(kept)["exchanges"]] == [digest, digest]


@pytest.mark.parametrize(
    "other",
    [
        exchange({"role": "system", "content": f"{SYSTEM}\nThe person is called Eve."}, WORDS),
        exchange({"role": "system", "content": SYSTEM, "name": "eve"}, WORDS),
        exchange({"role": "developer", "content": SYSTEM}, WORDS),
        exchange(WORDS, OWN.message),
        exchange(OWN.message, WORDS, tools=Tools(())),
        exchange(),
    ],
)
async def test_text_that_is_not_exactly_the_agents_own_stays_in_its_record(
    store: Store, path: Path, other: ModelExchange
) -> None:
    mixed = asked("r1", exchange(OWN.message, WORDS), other)
    await store.records.finish(mixed, OWN)
    await store.records.finish(asked("r2", other), OWN)
    await store.records.finish(asked("r3", exchange(OWN.message, WORDS)))
    assert list(read_records(path)) == [mixed, asked("r2", other), asked("r3", exchange(OWN.message, WORDS))]
    ((text,),) = rows(path, "SELECT text FROM preambles")
    assert json.loads(text) == [SYSTEM, OWN.tools.model_dump(mode="json")]
    assert [named is None for (named,) in rows(path, "SELECT preamble FROM records ORDER BY seq")] == [
        False,
        True,
        True,
    ]


async def test_a_preamble_stays_while_a_record_names_it(store: Store) -> None:
    await store.records.finish(asked("r1", exchange(OWN.message, WORDS)), OWN)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await store.write(lambda c: c.exec_driver_sql("DELETE FROM preambles"))
    assert await store.records.get("r1") is not None


async def test_a_secret_in_a_preamble_is_on_no_disk_and_counted_for_each_record(path: Path) -> None:
    leaky = Preamble(f"Use ed25519:{SECRET}.", OWN.tools)
    async with open_store(path) as store:
        for name in ("r1", "r2"):
            await store.records.finish(asked(name, exchange(leaky.message, WORDS)), leaky)
            found = await store.records.get(name)
            assert found is not None
            assert found.privacy.redactions == 1
            assert found.exchanges[0].messages[0]["content"] == f"Use ed25519:{'*' * len(SECRET)}."
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in path.parent.iterdir())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE preambles SET text = replace(text, 'Never', 'Always')", "damaged"),
        ("DELETE FROM preambles", "not in the database"),
    ],
)
async def test_a_preamble_that_is_not_what_its_digest_says_is_never_taken(path: Path, damage: str, said: str) -> None:
    async with open_store(path) as store:
        await store.records.finish(asked("r1", exchange(OWN.message, WORDS)), OWN)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(ValidationError, match=said):
        list(read_records(path))


async def test_backup_and_restore_keep_preambles(path: Path, tmp_path: Path) -> None:
    written = asked("r1", exchange(OWN.message, WORDS))
    async with open_store(path) as store:
        await store.records.finish(written, OWN)
        backup_database(path, tmp_path / "backup.db")
    path.unlink()
    restore_database(tmp_path / "backup.db", path, clock=lambda: NOW)
    assert list(read_records(path)) == [written]


async def test_a_model_may_say_what_looks_like_a_reference(store: Store) -> None:
    odd = exchange(OWN.message, {"role": "user", "content": '"preamble":"0"'})
    odd = odd.model_copy(update={"response": {"preamble": "0" * 64}})
    await store.records.finish(asked("r1", odd), OWN)
    assert await store.records.get("r1") == asked("r1", odd)


def test_records_of_an_earlier_version_are_read_before_any_migration(path: Path) -> None:
    before = old_store(path)
    records = list(read_records(path))
    assert [json.loads(one.model_dump_json()) for one in records] == before
    assert [len(one.exchanges) for one in records] == [1, 2, 0, 0]
    assert records[0].exchanges[0].begins_with(Preamble(SYSTEM, records[0].exchanges[0].tools))
    assert len(records[0].exchanges[0].tools.root) == 38
    assert [one.kind for one in collect(records).interactions] == ["words", "words", "slash"]


async def test_an_earlier_database_goes_on_with_both_forms(path: Path, tmp_path: Path) -> None:
    before = old_store(path)
    new = asked("r1", exchange(OWN.message, WORDS))
    async with open_store(path) as store:
        await store.records.finish(new, OWN)
        backup_database(path, tmp_path / "backup.db")
        stored = [one.record for one in await store.records.latest(9)]
    restore_database(tmp_path / "backup.db", path, clock=lambda: NOW)
    restored = list(read_records(path))
    assert restored == stored
    assert [json.loads(one.model_dump_json()) for one in restored[:-1]] == before
    assert restored[-1] == new


async def test_an_older_backup_is_migrated_and_read(path: Path, tmp_path: Path) -> None:
    before = old_store(tmp_path / "old" / "backup.db")
    restore_database(tmp_path / "old" / "backup.db", path, clock=lambda: NOW)
    assert [json.loads(one.model_dump_json()) for one in read_records(path)] == before
