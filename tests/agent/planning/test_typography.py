"""Typing as chat clients change it: restored where it delimits words, refused where the meaning is in doubt."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.approval import Decision, read_decision
from agent.planning.typography import split_command
from agent.records import CallPlan, Clarification, Refusal
from contracts.errors import InvalidInput
from tests.agent.world import Agent, open_agent

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/x ‘{“text”:”hi”}’", ["/x", '{"text":"hi"}']),
        ("/x '{“text”:”hi”}'", ["/x", '{"text":"hi"}']),
        ("/x args=‘{“a”: [“b”, “c”]}’", ["/x", 'args={"a": ["b", "c"]}']),
        ("/x text=“it’s fine” a", ["/x", "text=it’s fine", "a"]),
        ("/x ‘it’s fine’ z", ["/x", "it’s fine", "z"]),
        ("/x «hola» „tag“", ["/x", "hola", "tag"]),
        ("/x “mixed\" ‘ends'", ["/x", "mixed", "ends"]),
        (f"/x{NBSP}bob.localnet{NBSP}1.5", ["/x", "bob.localnet", "1.5"]),
        ("/x\u202fbob.localnet\u30001.5", ["/x", "bob.localnet", "1.5"]),
        (f"\ufeff/x a{NBSP}", ["/x", "a"]),
        ('/x "he said “hi”"', ["/x", "he said “hi”"]),
        ('/x \'{"a": "he said “hi”"}\'', ["/x", '{"a": "he said “hi”"}']),
        ("/x it’s", ["/x", "it’s"]),
        ("/x “a\u00a0b”", ["/x", "a\u00a0b"]),
        ("/x wait…", ["/x", "wait…"]),
    ],
)
def test_quotes_and_blanks_that_delimit_are_restored(typed: str, words: list[str]) -> None:
    assert split_command(typed) == words


@pytest.mark.parametrize("typed", ["/x “open", "/x ‘open", "/x “a “b” c”", "/x a”b", "/x 'open", "/x “a”b"])
def test_quotation_in_doubt_is_malformed(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        split_command(typed)
    assert caught.value.code == "malformed_command"


@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1), min_size=1))
def test_ascii_words_in_plain_quotes_are_never_changed(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
    assert split_command(f"/x {quoted}")[1:] == words


@pytest.mark.parametrize(
    "typed",
    [
        "confirm 7K2M9QXA",
        "confirm `7K2M9QXA`",
        "`confirm 7K2M9QXA`",
        "**confirm 7K2M9QXA**.",
        "“confirm 7K2M9QXA”",
        f"confirm{NBSP}7K2M9QXA",
        f"confirm 7K2M9QXA.{NBSP}",
        "Confirm *7k2m9qxa*",
        "'confirm 7K2M9QXA'.",
        "\u200bconfirm 7K2M9QXA",
    ],
)
def test_decision_counts_within_a_clients_decoration(typed: str) -> None:
    assert read_decision(typed) == Decision("confirm", "7K2M9QXA")


@pytest.mark.parametrize(
    "typed",
    [
        "confirm 7K2M9QXA!",
        "confirm 7K2M9QXA..",
        "confirm 7K2M-9QXA",
        "confirm 7K2M 9QXA",
        "confirm7K2M9QXA",
        "confirm 7K2M9QXA please",
        "please confirm 7K2M9QXA",
        "confirm 7K2M9QXA cancel 7K2M9QXA",
        "> confirm 7K2M9QXA",
        "confirm\u200b-7K2M9QXA",
        "confirm ７K2M9QXA",
    ],
)
def test_decision_with_anything_else_around_it_is_none(typed: str) -> None:
    assert read_decision(typed) is None


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    "typed",
    [
        f"/near_transfer{NBSP}bob.localnet{NBSP}1.5",
        "/near_transfer “bob.localnet” ‘1.5’",
        "/near_transfer receiver_id=“bob.localnet” amount=”1.5”",
        "\ufeff/near_transfer bob.localnet 1.5",
    ],
)
async def test_command_from_a_typographic_client_is_the_plain_one(agent: Agent, typed: str) -> None:
    reply = await agent.ask(typed)
    assert isinstance(reply.plan, CallPlan)
    assert reply.plan.calls[0].args == {"receiver_id": "bob.localnet", "amount": "1.5"}


IN_DOUBT = (
    *(f"/near_transfer {receiver} 1" for receiver in (
        "bob–x.localnet", "bob—x.localnet", "bob‑x.localnet", "bob−x.localnet", "bob‐x.localnet", "bob\u00adx.localnet",
        "bob…localnet", "bob․localnet", "bob。localnet", "bob．localnet", "bob\u200b.localnet", "bob\u2060.localnet",
        "ｂｏｂ.localnet", "bоb.localnet", "bob’s.localnet", "bob‘.localnet", "“bob”.localnet", "bob.localnet”",
        "bob·localnet", "bob.localnet。", "@bob.localnet…",
    )),
    *(f"/near_transfer bob.localnet {amount}" for amount in (
        "½", "1½", "1⁄2", "1∕2", "¼", "１.5", "1.５", "1،5", "1٫5", "١", "1…5", "1–2", "1—2", "−1", "–1", "1’000", "1‘000",
        "1\u200b5", "1·5", "1．5", "5Ⓝ…", "²", "٣", "∞", "‘1’5",
    )),
    "/key_delete ed25519‑8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
    "/key_delete ed25519：8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS",
    "/tx_status 8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmk…",
    "/ft_transfer USDC‘ bob.localnet 1",
    "/ft_transfer “USDC bob.localnet 1",
    "/contract_call counter.localnet increment ‘{“by”: ½}’",
)  # fmt: skip


@pytest.mark.parametrize("typed", IN_DOUBT)
async def test_value_in_doubt_is_asked_about_and_never_corrected(agent: Agent, typed: str) -> None:
    reply = await agent.ask(typed)
    assert isinstance(reply.plan, Refusal | Clarification)
    assert await agent.store.cards.pending(agent.clock()) == []


def test_there_are_at_least_forty_cases_in_doubt() -> None:
    assert len(set(IN_DOUBT)) >= 40
