"""Cards: at most three wait, each is resolved once, wrong codes are counted, and codes are never on disk."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from agent.errors import ApprovalError
from agent.store.cards import Resolution
from agent.store.store import Store, open_store
from agent.store.tables import CARDS
from tests.agent.store.examples import NOW, card, card_facts

ME = "key-of-alice"


async def test_a_card_comes_back_whole(store: Store) -> None:
    assert await store.cards.add(card()) == card()
    assert await store.cards.by_request("r1") == card()
    assert await store.cards.by_code_hash(ME, "code of r1") == card()
    assert await store.cards.by_request("r2") is None
    assert await store.cards.pending_of(ME, NOW) == [card()]
    assert await store.cards.pending(NOW) == [card()]


async def test_a_code_is_the_identitys_own(store: Store) -> None:
    await store.cards.add(card())
    assert await store.cards.by_code_hash("key-of-bob", "code of r1") is None
    assert await store.cards.pending_of("key-of-bob", NOW) == []


async def test_a_fourth_card_is_refused_until_one_is_resolved_or_expires(store: Store) -> None:
    cards = store.cards
    for number in range(3):
        await cards.add(card(f"r{number}", created_at=NOW + number))
    with pytest.raises(ApprovalError, match=r"3 cards .* /cards .*/cancel REQUEST_ID or /cancel all") as caught:
        await cards.add(card("r3", created_at=NOW + 3))
    assert caught.value.code == "too_many_cards"
    assert await cards.by_request("r3") is None
    await cards.add(card("b0", key_id="key-of-bob"))
    assert await cards.resolve("r0", "cancelled", NOW + 3)
    await cards.add(card("r3", created_at=NOW + 3))
    await cards.add(card("r4", created_at=NOW + 601))
    expired = await cards.by_request("r1")
    assert expired is not None
    assert (expired.status, expired.resolved_at) == ("expired", NOW + 601)


async def test_of_many_cards_at_once_three_stand(store: Store) -> None:
    refused: list[str] = []

    async def add(number: int) -> None:
        try:
            await store.cards.add(card(f"r{number}"))
        except ApprovalError as error:
            refused.append(error.code)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(add(number))
    assert refused == ["too_many_cards"] * 5
    assert len(await store.cards.pending_of(ME, NOW)) == 3


async def test_the_same_turn_twice_at_once_makes_one_card(store: Store) -> None:
    standing: list[str] = []

    async def add(name: str) -> None:
        standing.append((await store.cards.add(card(name, turn_hash="same"))).request_id)

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(add(name))
    assert len(set(standing)) == 1
    found = await store.cards.pending_same_turn(ME, "c1", "same", NOW)
    assert found is not None
    assert found.request_id == standing[0]
    assert await store.cards.pending_same_turn(ME, "c2", "same", NOW) is None
    assert await store.cards.pending_same_turn(ME, "c1", "same", NOW + 600) is None


async def test_the_confirmed_card_of_a_turn_is_found_later(store: Store) -> None:
    await store.cards.add(card("r1", turn_hash="same"))
    assert await store.cards.confirmed_same_turn(ME, "c1", "same") is None
    await store.cards.resolve("r1", "confirmed", NOW + 1)
    await store.cards.add(card("r2", turn_hash="same", created_at=NOW + 2))
    found = await store.cards.confirmed_same_turn(ME, "c1", "same")
    assert found is not None
    assert (found.request_id, found.status) == ("r1", "confirmed")


async def test_of_many_decisions_at_once_one_resolves_the_card(store: Store) -> None:
    await store.cards.add(card())
    done: list[bool] = []

    async def decide(to: Resolution) -> None:
        done.append(await store.cards.resolve("r1", to, NOW + 1))

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(decide("confirmed" if number % 2 else "cancelled"))
    assert done.count(True) == 1
    assert not await store.cards.resolve("no such card", "confirmed", NOW)


async def test_an_expired_card_is_not_confirmed_and_stays_expired_when_the_clock_goes_back(store: Store) -> None:
    await store.cards.add(card())
    assert not await store.cards.resolve("r1", "confirmed", NOW + 600)
    found = await store.cards.by_request("r1")
    assert found is not None
    assert found.status == "expired"
    assert not await store.cards.resolve("r1", "confirmed", NOW)


async def test_a_resolved_card_is_still_found_by_its_code(store: Store) -> None:
    await store.cards.add(card())
    await store.cards.resolve("r1", "confirmed", NOW + 1)
    found = await store.cards.by_code_hash(ME, "code of r1")
    assert found is not None
    assert (found.status, found.resolved_at) == ("confirmed", NOW + 1)
    await store.cards.add(card("r2", code_hash="code of r1", created_at=NOW + 2))
    pending = await store.cards.by_code_hash(ME, "code of r1")
    assert pending is not None
    assert pending.request_id == "r2"


async def test_a_code_is_replaced_while_its_card_waits(store: Store) -> None:
    await store.cards.add(card())
    assert await store.cards.replace_code("r1", "another")
    assert await store.cards.by_code_hash(ME, "code of r1") is None
    assert await store.cards.by_code_hash(ME, "another") is not None
    await store.cards.resolve("r1", "cancelled", NOW)
    assert not await store.cards.replace_code("r1", "third")


async def test_the_fifth_wrong_code_within_a_minute_cancels_the_cards(store: Store) -> None:
    cards = store.cards
    await cards.add(card())
    await cards.add(card("b1", key_id="key-of-bob"))
    for number in range(4):
        assert await cards.note_wrong(ME, NOW + number) == number + 1
    with pytest.raises(ApprovalError, match="5 wrong codes") as caught:
        await cards.note_wrong(ME, NOW + 4)
    assert caught.value.code == "too_many_wrong_codes"
    assert caught.value.retry_after_s == 60
    mine, others = await cards.by_request("r1"), await cards.by_request("b1")
    assert mine is not None
    assert others is not None
    assert (mine.status, others.status) == ("cancelled", "pending")
    assert not await cards.resolve("r1", "confirmed", NOW + 5)


async def test_wrong_codes_are_forgotten_after_a_minute(store: Store) -> None:
    for number in range(4):
        await store.cards.note_wrong(ME, NOW + number)
    assert await store.cards.note_wrong(ME, NOW + 62.5) == 2
    assert await store.cards.note_wrong(ME, NOW + 200) == 1


async def test_a_clock_that_goes_back_blocks_for_a_minute_at_most(store: Store) -> None:
    for _ in range(4):
        await store.cards.note_wrong(ME, NOW)
    with pytest.raises(ApprovalError):
        await store.cards.note_wrong(ME, NOW - 86_400)
    assert await store.cards.note_wrong(ME, NOW - 86_400 + 61) == 1


async def test_codes_are_kept_hashed_with_salt_and_identity_and_the_text_without_them(path: Path) -> None:
    async with open_store(path) as store:
        hashed = store.cards.hash_code(ME, "7Z4K9QXA")
        assert hashed == store.cards.hash_code(ME, "7z4k9qxa")
        assert hashed != store.cards.hash_code("key-of-bob", "7Z4K9QXA")
        await store.cards.add(card(code_hash=hashed, text="To approve, write: confirm 7Z4K9QXA"))
        found = await store.cards.by_code_hash(ME, store.cards.hash_code(ME, "7Z4K9QXA"))
        assert found is not None
        assert found.text == "To approve, write: confirm ********"
        assert found.plan.calls[0].args == {"password": "kept"}
    async with open_store(path) as store:
        assert store.cards.hash_code(ME, "7Z4K9QXA") == hashed
    async with open_store(path.with_name("other.db")) as store:
        assert store.cards.hash_code(ME, "7Z4K9QXA") != hashed
    assert b"7Z4K9QXA" not in path.read_bytes()


async def test_the_data_of_a_card_are_kept_without_secrets_and_codes(path: Path) -> None:
    pair = "3D4YudUahN1nawWogh8pAKSj92sUNMdbZGjn7kERKzYoTy8tnFQuwoGUC51DowKqorvkr2pytJSnwuSbsNVfqygr"
    facts = card_facts(f"memo ed25519:{pair}, confirm 7Z4K9QXA")
    async with open_store(path) as store:
        kept = await store.cards.add(card().model_copy(update={"facts": facts}))
        assert kept.facts is not None
        assert (await store.cards.by_request("r1")) == kept
        assert kept.facts.summary[0].startswith("memo ed25519:***")
        assert kept.words == kept.facts.summary
        assert kept.facts.fingerprint == facts.fingerprint
    stored = path.read_bytes()
    assert pair.encode() not in stored
    assert b"7Z4K9QXA" not in stored


async def test_a_card_of_an_earlier_version_is_told_as_its_commands(store: Store) -> None:
    await store.cards.add(card())

    def without_facts(connection: Connection) -> None:
        (text,) = connection.execute(select(CARDS.c.card)).scalars()
        earlier = {name: value for name, value in json.loads(text).items() if name != "facts"}
        connection.execute(update(CARDS).values(card=json.dumps(earlier)))

    await store.cards._database.write(without_facts)
    found = await store.cards.by_request("r1")
    assert found is not None
    assert found.facts is None
    assert found.words == ("/near_transfer password=kept",)
