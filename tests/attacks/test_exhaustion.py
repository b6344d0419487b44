"""Input that is made to cost: the daemon goes on answering, and its records stay readable."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import JsonValue

from agent.frontends.approvals import ApprovalApi
from agent.frontends.bodies import Bodies
from agent.frontends.openai_api import ApiSettings, make_app
from agent.frontends.pace import Pace
from agent.frontends.running import RunningRequests
from agent.frontends.seams import Progress
from agent.limits import Limits
from agent.planning.provenance import trace
from agent.planning.slash import MAX_COMMAND_CHARACTERS
from agent.records import Identity, Reply, Turn
from agent.store.cards import PendingCard
from contracts.chain.outcome_reader import decode_value
from contracts.checks.verdict import Channel
from contracts.knowledge.registry import Registry
from tests.agent.frontends.scripted import KEY, OneKey, ScriptedPipeline
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


class NoCards:
    """A pipeline and a store of cards behind the approvals' route, which asks neither."""

    async def approve_by_request(
        self, identity: Identity, request_id: str, channel: Channel, progress: Progress | None = None
    ) -> Reply:
        raise AssertionError((identity, len(request_id), channel, progress))

    def may_approve(self, identity: Identity, card: PendingCard, channel: Channel) -> bool:
        raise AssertionError((identity, card, channel))

    async def pending(self, now: float) -> list[PendingCard]:
        raise AssertionError(now)


async def test_an_id_of_megabytes_is_no_id_and_fills_no_record() -> None:
    """Anybody with an API key could fill the disk: the id that nothing has was told, recorded and indexed."""
    async with asyncio.TaskGroup() as tasks:
        limits, nothing = Limits(), NoCards()
        running, bodies = RunningRequests(tasks, limits=limits), Bodies(limits, Pace(limits))
        approvals = ApprovalApi(nothing, nothing, OneKey(), running, bodies, lambda _reply: {}, lambda: 0.0)
        settings = ApiSettings(configured_models=lambda: (), started_at=0.0, limits=limits)
        runner = web.AppRunner(make_app(ScriptedPipeline(), OneKey(), running, bodies, settings, *approvals.routes()))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/near/approvals"
            async with (
                aiohttp.ClientSession() as http,
                http.post(
                    url, json={"request_id": "x" * MEGABYTE}, headers={"Authorization": f"Bearer {KEY}"}
                ) as answer,
            ):
                assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_value")
        finally:
            await runner.cleanup()


def test_a_models_thousands_of_values_are_not_looked_for_one_by_one() -> None:
    """What a model may answer at most, against the longest text that it may have been given."""
    registry = Registry.for_network("localnet")
    words = [(0, "zz " * 5_300 + " z 7")]

    def trace_of(values: list[JsonValue]) -> int:
        _, missing = trace(
            "contract_call", {"args": {"x": values}}, {"args": "text"}, words, caller="a.localnet", registry=registry
        )
        return len(missing)

    assert trace_of(["z"] * 16_000) == trace_of([7] * 16_000) == 0
    assert trace_of([str(number) for number in range(10_000)]) == 1
    said = "1 foo " * 2_500 + " usdc"
    _, missing = trace(
        "near_transfer", {"amount": "1"}, {"amount": "amount"}, [(0, said)], caller="a.localnet", registry=registry
    )
    assert len(missing) == 1
