"""How a transaction ended, by more than one word: no node's lie, delay or silence ends an intent, and a good one goes on."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.chain.outcome import Effect, ExecutionFailed, Finalized, Outcome, Unconfirmed
from contracts.types import AccountId, JsonObject
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.fake_nodes import Fault

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
NAMES = ("send_tx", "tx", "EXPERIMENTAL_tx_status")
LOG = (
    'EVENT_JSON:{"standard":"nep141","version":"1.0.0","event":"ft_transfer","data":'
    '[{"old_owner_id":"alice.localnet","new_owner_id":"bob.localnet","amount":"5"}]}'
)


def receipt(**otherwise: JsonValue) -> JsonObject:
    """The receipt of a transfer to bob, told otherwise; of an id that no node has."""
    told: JsonObject = {
        "executor_id": BOB,
        "logs": [],
        "receipt_ids": [],
        "gas_burnt": 223_182_562_500,
        "tokens_burnt": "22318256250000000000",
        "status": {"SuccessValue": ""},
    }
    place = "11111111111111111111111111111112"
    return {"id": place, "block_hash": place, "outcome": {**told, **otherwise}}


PANIC: JsonObject = {"Failure": {"ActionError": {"index": 0, "kind": {"FunctionCallError": {"ExecutionError": "no"}}}}}
LIES: dict[str, JsonObject] = {
    "failed": {"status": PANIC},
    "a value": {"status": {"SuccessValue": "NQ=="}},
    "tokens moved": {"receipts_outcome": [receipt(logs=[LOG])]},
    "a receipt failed": {"receipts_outcome": [receipt(status=PANIC)]},
    "dear gas": {"receipts_outcome": [receipt(tokens_burnt="9" * 30)]},
    "no receipts": {"receipts_outcome": []},
    "NEAR moved": {"receipts": []},
}


async def send(world: World) -> Outcome:
    intent, grant = await world.transfer()
    return await (await world.client()).execute(intent, grant)


async def settle(world: World) -> Outcome:
    intent = await world.ledger.get("one")
    assert intent is not None
    return await (await world.client()).settle(intent)


def names(world: World) -> list[str]:
    return [url.removeprefix("http://").rstrip("/") for url in world.urls]


def lie(world: World, liar: int, told: JsonObject) -> None:
    world.nodes[liar].lies = dict.fromkeys(NAMES, told)
    if "receipts" in told:  # of a transfer whose own receipt is not told either, nothing is left that moved
        world.nodes[liar].lies = {"EXPERIMENTAL_tx_status": {**told, "receipts_outcome": [receipt()]}}


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("liar", [0, 1])
async def test_a_success_that_one_node_invents_is_no_success(liar: int, tmp_path: Path, *, reached: bool) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        honest = 1 - liar
        world.nodes[liar].invents = True
        lost: list[Fault | None] = ["lost"] * 1000
        world.nodes[honest].faults = [] if reached else lost
        outcome = await send(world)
        if liar == 1 and reached:
            assert isinstance(outcome, Finalized), "the bytes never came to the liar"
            return
        assert isinstance(outcome, Unconfirmed)
        assert outcome.code == "RPC_DISAGREE"
        assert f"{names(world)[liar]} says that it succeeded" in outcome.message
        if not reached:
            assert f"{names(world)[honest]} does not know it" in outcome.message
        assert await world.state() == "unconfirmed"
        assert world.moved() == (NEAR if reached else 0), "the other one was sent the bytes too"
        assert len({data for node in world.nodes for data in node.sends}) == 1, "and no others"
        world.nodes[liar].invented.clear()
        if reached:
            assert isinstance(await settle(world), Finalized)
            assert await world.state() == "final"


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("liar", [0, 1])
async def test_a_node_that_invents_what_was_done_ends_nothing(liar: int, name: str, tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        lie(world, liar, LIES[name])
        outcome = await send(world)
        assert isinstance(outcome, Unconfirmed)
        assert outcome.code == "RPC_DISAGREE"
        assert all(one in outcome.message for one in names(world))
        assert "succeeded" in outcome.message
        assert await world.state() == "unconfirmed"
        assert isinstance(await settle(world), Unconfirmed)
        world.nodes[liar].lies = {}
        ended = await settle(world)
        assert isinstance(ended, Finalized)
        assert ended.execution.effects == (Effect(ALICE, "NEAR", -NEAR), Effect(BOB, "NEAR", NEAR))
        assert world.moved() == NEAR


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_of_three_operators_one_liar_changes_nothing(liar: int, name: str, tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=3, operators=2) as world:
        lie(world, liar, LIES[name])
        outcome = await send(world)
        assert isinstance(outcome, Finalized)
        assert outcome.execution.effects == (Effect(ALICE, "NEAR", -NEAR), Effect(BOB, "NEAR", NEAR))


async def test_of_three_operators_one_that_invents_a_success_is_outvoted_by_the_truth(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=3, operators=2) as world:
        world.nodes[0].invents = True
        assert isinstance(await send(world), Finalized)
        assert world.moved() == NEAR


async def test_a_second_operator_that_lags_is_waited_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        first, second = world.nodes
        world.chain.advance(10)

        def fall_back(name: str) -> None:
            second.lag += 3 * (name == "send_tx")

        def catch_up(name: str) -> None:
            second.lag -= min(second.lag, name in NAMES)

        first.on_call, second.on_call = fall_back, catch_up
        assert isinstance(await send(world), Finalized)
        assert second.lag == 0


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_second_operator_that_stays_silent_leaves_it_open(tmp_path: Path, *, hangs: bool) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        silent = world.nodes[1]
        silent.hangs = {"tx", "EXPERIMENTAL_tx_status"} if hangs else set()
        silent.refuses = {} if hangs else dict.fromkeys(NAMES[1:], "INTERNAL_ERROR")
        outcome = await send(world)
        assert isinstance(outcome, Unconfirmed)
        assert outcome.code == "RPC_QUORUM"
        told, quiet = names(world)
        assert f"{told} says that it succeeded" in outcome.message
        assert f"{quiet} gives no answer" in outcome.message
        assert await world.state() == "unconfirmed"
        silent.hangs, silent.refuses = set(), {}
        assert isinstance(await settle(world), Finalized)
        assert len({data for node in world.nodes for data in node.sends}) == 1


@pytest.mark.parametrize("silent", [0, 1, 2])
async def test_two_that_agree_wait_for_no_third(silent: int, tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=3, operators=2) as world:
        world.nodes[silent].hangs = {"tx", "EXPERIMENTAL_tx_status"}
        assert isinstance(await send(world), Finalized)


async def test_of_many_operators_no_more_than_needed_are_asked_how_a_good_transfer_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=5, operators=2) as world:
        world.poll_s = 60.0
        assert isinstance(await send(world), Finalized)
        assert [node.calls.count("EXPERIMENTAL_tx_status") for node in world.nodes] == [1, 1, 0, 0, 0]
        assert [node.calls.count("tx") for node in world.nodes] == [0] * 5


async def test_one_operator_is_asked_no_more_than_needed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert isinstance(await send(world), Finalized)
        calls = world.nodes[0].calls
        assert calls[calls.index("send_tx") :] == ["send_tx", "EXPERIMENTAL_tx_status", "block"]


async def test_failures_that_nodes_word_differently_are_the_same(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        kind: JsonObject = {"AccountDoesNotExist": {"account_id": "nobody.localnet", "of_a_newer_node": 1}}
        worded: JsonObject = {"status": {"Failure": {"ActionError": {"index": None, "kind": kind}}}}
        world.nodes[1].lies = dict.fromkeys(NAMES, worded)
        intent, grant = await world.transfer(to="nobody.localnet")
        assert isinstance(await (await world.client()).execute(intent, grant), ExecutionFailed)
        assert await world.state() == "failed"


@pytest.mark.parametrize("without", [0, 1])
async def test_what_only_one_operator_can_tell_is_not_told(without: int, tmp_path: Path) -> None:
    """An inner receipt paid something out; which, only the node that serves receipts' bodies says."""
    async with open_world(tmp_path, nodes=2) as world:
        inner: JsonObject = {"receipts_outcome": [receipt()]}
        for node in world.nodes:
            node.lies = dict.fromkeys(NAMES, inner)
        world.nodes[without].no_receipts = True
        outcome = await send(world)
        assert isinstance(outcome, Finalized)
        assert not outcome.execution.effects_complete
