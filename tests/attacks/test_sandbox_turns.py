"""One identity keeps the sandbox busy: the others' cards are made, stand, and are confirmed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.records import Identity
from contracts.checks.report import Balance, Check, PreflightReport, Simulated, unknown_report
from contracts.simulation.preflight import PreflightRequest
from contracts.simulation.turns import Asker, FairTurns, NoCapacity
from tests.agent.test_preflighting import GOOD
from tests.agent.world import ALICE, BOB, NO_CONFIRM, Agent, open_agent

LOW = NO_CONFIRM
FULL = NoCapacity("no simulating process was free within 30 s")
TOO_MANY = (
    "It could not be checked now: 8 plans of yours are waiting to be checked already, the most allowed. "
    "Nothing was sent; ask again."
)
LOST = "the simulating process ended: its processor time was over"
UNSIMULATED = replace(
    GOOD,
    checks=(GOOD.checks[0], Check("simulation", "unknown", LOST, 0)),
    simulated=(Simulated("unknown", LOST),),
    balances=(),
    asks=("what it does could not be simulated",),
    unchecked=LOST,
)
"""The facts are read, the process was lost."""
SILENT = replace(GOOD, balances=(), unchecked="TIMEOUT_ERROR: the node is busy")


class Scripted:
    """A pre-flight that answers as it is told, the last answer again and again."""

    def __init__(self, *answers: PreflightReport | NoCapacity) -> None:
        self.answers = list(answers)
        self.askers: list[Asker] = []

    async def preflight(self, request: PreflightRequest) -> PreflightReport | NoCapacity:
        self.askers.append(request.asker)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Busy:
    """A pre-flight with two processes, in which the jobs of one key do not end."""

    def __init__(self, slow_key: str) -> None:
        self._turns = FairTurns(2, 8, 3600.0)
        self._slow_key = slow_key
        self.let_go = asyncio.Event()
        self.arrived = 0

    async def preflight(self, request: PreflightRequest) -> PreflightReport | NoCapacity:
        self.arrived += 1
        async with self._turns.turn(request.asker) as place:
            if isinstance(place, NoCapacity):
                return place
            if request.asker.key_id == self._slow_key:
                await self.let_go.wait()
            return GOOD


async def test_fourteen_slow_proposals_delay_nobody_elses_card_and_void_none(tmp_path: Path) -> None:
    busy = Busy(LOW.key_id)
    async with open_agent(tmp_path, preflight=busy) as agent, asyncio.TaskGroup() as group:
        before = await agent.ask("/near_transfer bob.localnet 1")
        slow = [
            group.create_task(
                agent.ask(f"/near_transfer bob.localnet 0.{number + 1}", identity=LOW, conversation=f"low {number}")
            )
            for number in range(14)
        ]
        while busy.arrived < 15:
            await asyncio.sleep(0)
        done = await agent.ask(f"confirm {before.confirm_code}")
        assert done.status == "executed", done.text
        card = await agent.ask("/near_transfer alice.localnet 1", identity=BOB)
        assert card.status == "needs_approval", card.text
        assert card.confirm_code is not None
        busy.let_go.set()
        answers = [await task for task in slow]
        unchecked = [answer.text for answer in answers if answer.text.startswith("It could not be checked now")]
        assert unchecked == [TOO_MANY] * 5
        assert {answer.status for answer in answers if answer.text != TOO_MANY} == {"needs_approval", "refused"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (FULL, FULL.reason),
        (UNSIMULATED, LOST),
        (SILENT, "TIMEOUT_ERROR: the node is busy"),
        (unknown_report("it took longer than 20 s"), "it took longer than 20 s"),
    ],
    ids=["no turn", "process lost", "silent node", "too slow"],
)
async def test_failed_check_leaves_the_card_to_be_confirmed_again(
    tmp_path: Path, answer: PreflightReport | NoCapacity, said: str
) -> None:
    scripted = Scripted(GOOD, answer, answer, GOOD)
    async with open_agent(tmp_path, preflight=scripted) as agent:
        card = await agent.ask("/near_transfer bob.localnet 1")
        for _ in range(2):
            reply = await agent.ask(f"confirm {card.confirm_code}")
            assert reply.status == "refused"
            assert reply.text == (
                f"It could not be checked now: {said}. Nothing was sent, and the card of request {card.request_id} "
                "still waits; confirm it again."
            )
            assert await _status(agent, card.request_id) == "pending"
            assert agent.chain.executed == []
        done = await agent.ask(f"confirm {card.confirm_code}")
        assert done.status == "executed", done.text
        assert len(agent.chain.executed) == 1


async def test_a_real_answer_that_differs_still_voids_the_card(tmp_path: Path) -> None:
    taken = replace(GOOD, balances=(Balance(GOOD.balances[1].account_id, "NEAR", 10**25, 0),))
    async with open_agent(tmp_path, preflight=Scripted(GOOD, FULL, taken)) as agent:
        card = await agent.ask("/near_transfer bob.localnet 1")
        await agent.ask(f"confirm {card.confirm_code}")
        again = await agent.ask(f"confirm {card.confirm_code}")
        assert again.status == "needs_approval"
        assert "the last card is void" in again.text
        assert await _status(agent, card.request_id) == "cancelled"
        assert agent.chain.executed == []


async def test_a_failure_that_the_facts_show_is_an_answer_although_the_process_was_lost(tmp_path: Path) -> None:
    failing = replace(UNSIMULATED, checks=(Check("balance", "fail", "alice.localnet has too little NEAR"),))
    async with open_agent(tmp_path, preflight=Scripted(GOOD, failing)) as agent:
        card = await agent.ask("/near_transfer bob.localnet 1")
        reply = await agent.ask(f"confirm {card.confirm_code}")
        assert reply.text.startswith("It would fail, so nothing was sent: alice.localnet has too little NEAR")
        assert agent.chain.executed == []


async def test_plan_that_was_never_simulated_is_confirmed_as_such(tmp_path: Path) -> None:
    """A person approved "not known what it does"; where facts that were read for the card are lost, nothing is sent."""
    scripted = Scripted(UNSIMULATED, unknown_report("no node answers"), UNSIMULATED)
    async with open_agent(tmp_path, preflight=scripted) as agent:
        card = await agent.ask("/near_transfer bob.localnet 1")
        assert "Simulated: not known what it does" in card.text
        refused = await agent.ask(f"confirm {card.confirm_code}")
        assert refused.text.startswith("It could not be checked now: no node answers")
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_a_proposal_without_a_turn_makes_no_card(tmp_path: Path) -> None:
    async with open_agent(tmp_path, preflight=Scripted(FULL, GOOD)) as agent:
        reply = await agent.ask("/near_transfer bob.localnet 1")
        assert (reply.status, reply.confirm_code) == ("refused", None)
        assert reply.text == (
            "It could not be checked now: no simulating process was free within 30 s. Nothing was sent; ask again."
        )
        assert (await agent.ask("/near_transfer bob.localnet 1")).status == "needs_approval"


async def test_a_turn_is_that_of_the_key_and_of_its_person(tmp_path: Path) -> None:
    scripted = Scripted(GOOD)
    shared = Identity(key_id="key-chat/ann", account_id="alice.localnet", may_confirm=True)
    async with open_agent(tmp_path, preflight=scripted) as agent:
        card = await agent.ask("/near_transfer bob.localnet 1", identity=shared)
        # Whoever confirms waits, and not whoever asked.
        await agent.pipeline.approve_by_request(ALICE, card.request_id, "operator")
    assert scripted.askers == [Asker("key-chat", "ann"), Asker("key-alice", confirming=True)]


async def _status(agent: Agent, request_id: str) -> str:
    card = await agent.store.cards.by_request(request_id)
    assert card is not None
    return card.status
