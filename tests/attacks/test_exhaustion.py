"""Input that is made to cost: the daemon goes on answering, and its records stay readable."""

from pathlib import Path

import pytest

from agent.planning.slash import MAX_COMMAND_CHARACTERS
from agent.records import Turn
from contracts.chain.outcome_reader import decode_value
from tests.agent.world import open_agent

MEGABYTE = 1_000_000


@pytest.mark.parametrize("unit", ['"a ', "\\a"], ids=["quoted", "escaped"])
async def test_a_command_of_a_megabyte_is_refused_before_it_is_split(tmp_path: Path, unit: str) -> None:
    """Splitting one of 4 MB holds the event loop for minutes."""
    async with open_agent(tmp_path) as agent:
        reply = await agent.ask("/near_balance " + unit * (MEGABYTE // len(unit)))
        assert reply.status == "refused"
        assert str(MAX_COMMAND_CHARACTERS) in reply.text


@pytest.mark.parametrize("depth", [64, 199, 201])
async def test_a_contract_cannot_answer_what_no_record_holds(tmp_path: Path, depth: int) -> None:
    async with open_agent(tmp_path) as agent:
        agent.reads.answers["counter.localnet", "get_num"] = decode_value(b"[" * depth + b"]" * depth)
        reply = await agent.ask("/contract_view counter.localnet get_num", idempotency_key="k")
        assert reply.status == "answered"
        # Read back by the log, by training, and for the same Idempotency-Key.
        again = await agent.ask("/contract_view counter.localnet get_num", idempotency_key="k")
        assert again.status == "answered"
        first, second = await agent.records()
        assert second.repeats == first.request.request_id


async def test_a_conversation_of_thousands_of_turns_is_one_request(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        turns = [Turn(role="assistant" if n % 2 else "user", content="x") for n in range(5_000)]
        reply = await agent.ask(*turns, "/near_balance @me")
        assert reply.status == "answered"


@pytest.mark.parametrize(
    "unit", ["send tokens now ", "abandon ability ", "confirm 7Z4K9QXA ", "key=abcdef1 ", "a", "7Z4K9QXA "]
)
async def test_megabytes_are_cut_before_they_are_searched(tmp_path: Path, unit: str) -> None:
    text = unit * (3_500_000 // len(unit))
    async with open_agent(tmp_path) as agent:
        reply = await agent.ask(*[text[: 10 * MEGABYTE // 4]] * 2, text, "/near_balance bob.localnet")
        assert reply.status == "answered"
        kept = await agent.record(reply)
        assert sum(len(turn.content) for turn in kept.request.turns) < 400_000
        assert kept.request.turns[-1].content == "/near_balance bob.localnet"
        assert (await agent.ask(text)).status in {"refused", "unsupported"}


async def test_many_small_messages_are_cut_too_and_the_turn_keeps_its_name(tmp_path: Path) -> None:
    turns = ["send 1 to bob"] * 60_000
    async with open_agent(tmp_path) as agent:
        first = await agent.ask(*turns, "/near_transfer bob.localnet 1")
        assert first.status == "needs_approval"
        kept = (await agent.record(first)).request
        assert len(kept.turns) + kept.turns_left_out == 60_001
        again = await agent.ask(*turns, "/near_transfer bob.localnet 1")
        assert again.confirm_code == first.confirm_code
        later = await agent.ask(*turns, "send 1 to bob", "/near_transfer bob.localnet 1")
        assert later.confirm_code != first.confirm_code
