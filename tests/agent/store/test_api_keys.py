"""API keys: shown once, kept as a hash, ended at once."""

import re
from itertools import count
from pathlib import Path

import pytest

from agent.store import api_keys
from agent.store.store import Store, open_store


async def test_a_key_names_its_holder(store: Store) -> None:
    key_id, plaintext = await store.api_keys.create("alice.localnet", True)
    assert re.fullmatch(r"na_[A-Za-z0-9_-]{43}", plaintext)
    identity = await store.api_keys.authenticate(plaintext)
    assert identity is not None
    assert (identity.key_id, identity.account_id, identity.may_confirm) == (key_id, "alice.localnet", True)
    assert await store.api_keys.authenticate(plaintext) == identity


@pytest.mark.parametrize("wrong", ["", "na_", "na_" + "A" * 43, "xx_" + "A" * 43, "na_" + "é" * 43, "A" * 1_000_000])
async def test_what_is_no_key_is_nobodys(store: Store, wrong: str) -> None:
    await store.api_keys.create("alice.localnet", True)
    assert await store.api_keys.authenticate(wrong) is None


async def test_a_revoked_key_ends_at_once(store: Store) -> None:
    key_id, plaintext = await store.api_keys.create("alice.localnet", False)
    assert await store.api_keys.authenticate(plaintext) is not None
    assert await store.api_keys.revoke(key_id)
    assert await store.api_keys.authenticate(plaintext) is None
    assert not await store.api_keys.revoke(key_id)
    assert not await store.api_keys.revoke("no such key")


async def test_a_key_of_another_process_counts_here(path: Path, store: Store) -> None:
    async with open_store(path) as other:
        _, plaintext = await other.api_keys.create("bob.localnet", True)
    identity = await store.api_keys.authenticate(plaintext)
    assert identity is not None
    assert identity.account_id == "bob.localnet"


async def test_the_list_shows_no_key(path: Path) -> None:
    times = count(100)
    async with open_store(path, clock=lambda: float(next(times))) as store:
        first, plaintext = await store.api_keys.create("alice.localnet", True)
        second, _ = await store.api_keys.create("bob.localnet", False)
        await store.api_keys.revoke(first)
        listed = await store.api_keys.list()
    assert [(key.key_id, key.account_id, key.may_confirm, key.created_at, key.revoked_at) for key in listed] == [
        (first, "alice.localnet", True, 100.0, 102.0),
        (second, "bob.localnet", False, 101.0, None),
    ]
    assert plaintext not in repr(listed)
    on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert plaintext.encode() not in on_disk


async def test_what_is_remembered_of_keys_is_bounded(store: Store) -> None:
    for _ in range(5):
        _, plaintext = await store.api_keys.create("alice.localnet", True)
        assert await store.api_keys.authenticate(plaintext) is not None
        assert await store.api_keys.authenticate("na_" + "A" * 43) is None
    assert len(store.api_keys._seen) == 5
    assert api_keys.CACHE_SIZE == 1024
