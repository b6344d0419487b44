"""Several actions in one plan: what goes to one receiver in a row is one transaction, and each action has its account."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.building import Builder
from agent.merging import Sending, sendings_of
from agent.records import PlannedCall
from agent.store.store import Store, open_store
from agent.story import Settings
from contracts.calls import FunctionCall, Transfer
from contracts.catalogue.index import CATALOGUE
from contracts.chain.outcome import Effect
from contracts.types import TGAS, AccountId, JsonObject
from tests.agent.codes import codes
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import REGISTRY, Agent, FakeReads, open_agent
from tests.model_server import ModelServer, calls

ALICE = AccountId("alice.localnet")
BOB, CAROL = "bob.localnet", "carol.localnet"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store]:
    async with open_store(tmp_path / "agent.db") as opened:
        yield opened


async def sendings(store: Store, *planned: tuple[str, JsonObject]) -> tuple[Sending, ...]:
    builder = Builder(CATALOGUE, REGISTRY, FakeReads(codes=codes()), store.ledger, Settings("localnet", "localnet"))
    steps = await builder.build([PlannedCall(action=name, args=args) for name, args in planned], ALICE)
    return sendings_of(steps)


def usdc(to: str, amount: str) -> tuple[str, JsonObject]:
    return "ft_transfer", {"token": "USDC", "receiver_id": to, "amount": amount}


def near(to: str, amount: str) -> tuple[str, JsonObject]:
    return "near_transfer", {"receiver_id": to, "amount": amount}


def methods(sending: Sending) -> list[str]:
    return [one.method_name for one in sending.call.actions if isinstance(one, FunctionCall)]


async def test_neighbours_to_one_receiver_are_one_transaction_with_their_effects_together(store: Store) -> None:
    one, other = await sendings(store, usdc(BOB, "1"), usdc(CAROL, "2"), near(BOB, "3"))
    assert (one.call.receiver_id, one.places) == ("usdc.localnet", (0, 1))
    assert methods(one) == ["storage_deposit", "ft_transfer", "storage_deposit", "ft_transfer"]
    assert Effect(ALICE, "usdc.localnet", -3_000_000) in one.expected
    assert Effect(AccountId(CAROL), "usdc.localnet", 2_000_000) in one.expected
    assert (other.call.actions, other.places) == ((Transfer(other.call.deposit),), (2,))


async def test_a_registration_is_made_once(store: Store) -> None:
    (one,) = await sendings(store, usdc(BOB, "1"), usdc(BOB, "2"))
    assert methods(one) == ["storage_deposit", "ft_transfer", "ft_transfer"]


async def test_the_order_is_kept_and_what_is_not_next_to_each_other_stays_apart(store: Store) -> None:
    found = await sendings(store, near(BOB, "1"), near(CAROL, "2"), near(BOB, "3"))
    assert [(sending.call.receiver_id, sending.places) for sending in found] == [
        (BOB, (0,)),
        (CAROL, (1,)),
        (BOB, (2,)),
    ]


async def test_a_view_between_two_changes_keeps_them_apart(store: Store) -> None:
    balance: tuple[str, JsonObject] = ("near_balance", {"account_id": BOB})
    assert len(await sendings(store, near(BOB, "1"), balance, near(BOB, "2"))) == 2


async def test_a_step_after_what_it_needs_goes_with_it(store: Store) -> None:
    wrap: tuple[str, JsonObject] = ("near_wrap", {"amount": "5"})
    send: tuple[str, JsonObject] = ("ft_transfer", {"token": "wNEAR", "receiver_id": BOB, "amount": "5"})
    (one,) = await sendings(store, wrap, send)
    assert methods(one)[-1] == "ft_transfer"
    assert "near_deposit" in methods(one)


@pytest.mark.parametrize(("gas", "transactions"), [("100", 1), ("151", 2)])
async def test_limits_of_a_transaction_are_kept(store: Store, gas: str, transactions: int) -> None:
    one: tuple[str, JsonObject] = (
        "contract_call",
        {
            "contract_id": "usdc.localnet",
            "method_name": "ft_transfer",
            "args": {"receiver_id": BOB, "amount": "1"},
            "gas": gas,
        },
    )
    found = await sendings(store, one, one)
    assert len(found) == transactions
    assert all(sending.call.gas <= 300 * TGAS for sending in found)


async def ask_three(agent: Agent, server: ModelServer) -> str:
    planned = (usdc(BOB, "1"), usdc(CAROL, "2"), near(BOB, "3"))
    server.add(calls(*planned))
    card = await agent.ask(f"send 1 USDC to {BOB}, 2 USDC to {CAROL} and 3 NEAR to {BOB}")
    assert card.text.count("Transaction ") == 2
    assert card.confirm_code is not None
    return card.confirm_code


@pytest.mark.parametrize(
    ("endings", "status", "each"),
    [
        ([], "executed", ["final", "final", "final"]),
        (["final", "failed"], "partially_executed", ["final", "final", "failed"]),
        (["failed"], "failed", ["failed", "failed", "not_done"]),
        (["unconfirmed"], "unconfirmed", ["unconfirmed", "unconfirmed", "not_done"]),
    ],
)
async def test_each_planned_action_has_one_outcome(
    tmp_path: Path, server: ModelServer, endings: list[str], status: str, each: list[str]
) -> None:
    async with open_models_at(tmp_path, server) as models, open_agent(tmp_path, models) as agent:
        code = await ask_three(agent, server)
        agent.chain.endings = endings
        reply = await agent.ask(f"confirm {code}")
        assert reply.status == status
        assert [outcome.action for outcome in reply.outcomes] == ["ft_transfer", "ft_transfer", "near_transfer"]
        assert [outcome.status for outcome in reply.outcomes] == each
        assert reply.outcomes[0].tx_hash == reply.outcomes[1].tx_hash
        for words in (
            f"1 USDC (usdc.localnet) from alice.localnet to {BOB}",
            f"2 USDC (usdc.localnet) from {ALICE} to {CAROL}",
        ):
            assert words in reply.text
        record = await agent.record(reply)
        assert len(record.outcomes) == len(record.calls) == 2
        again = await agent.ask(f"confirm {code}")
        assert [outcome.action for outcome in again.outcomes] == [outcome.action for outcome in reply.outcomes]
