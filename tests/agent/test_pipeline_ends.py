"""How requests end when they are cut off: cancelled, crashed, stopped; one record each, and nothing sent twice."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.executor import Approved, Executor
from agent.records import UserRequest
from contracts.calls import ChangeCall, Grant, Transfer, ViewCall
from contracts.chain.delivery import OnState, ignore_state
from contracts.chain.ledger import Intent
from contracts.chain.outcome import Effect, Failed, NotDone, Outcome, ViewReturned
from contracts.errors import LedgerConflict
from contracts.types import AccountId, PublicKey, Yocto
from tests.agent.world import Agent, FakeReads, open_agent
from tests.doubles import Clock, MemoryLedger

SEND = "/near_transfer bob.localnet 1.5"


async def cancelled(agent: Agent, request: UserRequest, begun: Callable[[], bool]) -> None:
    """Run a request and cancel it once `begun` says so."""
    task = asyncio.ensure_future(agent.pipeline.handle(request))
    async with asyncio.timeout(60):
        while not begun():
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_request_cancelled_while_reading_keeps_one_record(tmp_path: Path) -> None:
    reads = FakeReads(gate=asyncio.Event())
    async with open_agent(tmp_path, reads=reads) as agent:
        request = agent.request("/ft_balance USDC bob.localnet")
        await cancelled(agent, request, lambda: reads.reads > 0)
        (record,) = await agent.records()
        assert record.status == "interrupted"
        assert record.request.request_id == request.request_id
        assert await agent.store.records.interrupted() == []


async def test_a_request_cancelled_before_it_was_signed_is_never_sent(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(SEND)
        agent.chain.gate = asyncio.Event()
        request = agent.request(f"confirm {card.confirm_code}")
        await cancelled(agent, request, agent.chain.signing.is_set)
        record = await agent.store.records.get(request.request_id)
        assert record is not None
        assert record.status == "interrupted"
        assert [intent.state for intent in await agent.store.ledger.of_request(request.request_id)] == ["abandoned"]
        again = await agent.ask(f"confirm {card.confirm_code}")
        assert again.status == "failed"
        assert [outcome.status for outcome in again.outcomes] == ["not_done"]
        assert agent.chain.executed == []
        assert "⚠ Warning" not in (await agent.ask(SEND)).text


async def test_what_breaks_inside_an_execution_is_told_by_the_ledger(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(SEND)
        agent.chain.endings = ["the process runs into something nobody thought of"]
        reply = await agent.ask(f"confirm {card.confirm_code}")
        assert reply.status == "unconfirmed"
        assert reply.outcomes[0].status == "unconfirmed"
        record = await agent.record(reply)
        assert record.error is not None
        assert record.error["code"] == "internal"
        told = await agent.ask(f"confirm {card.confirm_code}")
        assert told.status == "executed"
        assert len(agent.chain.executed) == 1


async def test_a_transaction_that_takes_too_long_is_not_called_failed(tmp_path: Path) -> None:
    async with open_agent(tmp_path, step_timeout_s=0.2) as agent:
        card = await agent.ask(SEND)
        agent.chain.gate = asyncio.Event()
        reply = await agent.ask(f"confirm {card.confirm_code}")
        assert reply.status == "failed"
        assert reply.outcomes[0].error is not None
        assert reply.outcomes[0].error["code"] == "timeout"
        intents = await agent.store.ledger.of_request(reply.request_id)
        assert [intent.state for intent in intents] == ["abandoned"]


async def test_an_execution_outlives_the_time_of_its_request(tmp_path: Path) -> None:
    async with open_agent(tmp_path, request_timeout_s=2.0) as agent:
        card = await agent.ask(SEND)
        agent.chain.gate = asyncio.Event()
        task = asyncio.ensure_future(agent.ask(f"confirm {card.confirm_code}"))
        await agent.chain.signing.wait()
        await asyncio.sleep(2.2)
        agent.chain.gate.set()
        assert (await task).status == "executed"


@pytest.mark.parametrize("ending", ["lost", "unconfirmed"])
async def test_a_restart_settles_first_and_then_closes_what_was_open(tmp_path: Path, ending: str) -> None:
    """The process ends after the bytes left it; the request's row is still open."""
    clock = Clock()
    async with open_agent(tmp_path, clock=clock) as agent:
        card = await agent.ask(SEND)
        request = agent.request(f"confirm {card.confirm_code}")
        found = await agent.store.cards.by_request(card.request_id)
        assert found is not None
        await agent.store.records.open_request(request.model_copy(update={"text": "confirm ********", "turns": ()}))
        await agent.store.cards.resolve(card.request_id, "confirmed", clock())
        agent.chain.endings = [ending]
        executor = Executor(agent.chain, agent.store.ledger, clock=clock, step_timeout_s=5)
        approved = Approved(
            card.request_id,
            request.request_id,
            "localnet",
            AccountId("alice.localnet"),
            found.calls,
            found.expected,
            "key-alice",
            "text",
            ((),) * len(found.calls),
            keys=found.public_keys,
        )
        if ending == "lost":
            with pytest.raises(ConnectionResetError):
                await executor.run(approved, _nobody)
        else:
            await executor.run(approved, _nobody)
    async with open_agent(tmp_path, clock=clock) as agent:
        agent.count = 100
        await agent.pipeline.recover()
        record = await agent.store.records.get(request.request_id)
        assert record is not None
        assert record.status == "executed"
        assert record.approval_of == card.request_id
        assert [outcome.status for outcome in record.call_outcomes] == ["final"]
        assert "stopped" in record.text
        told = await agent.ask(f"confirm {card.confirm_code}")
        assert told.status == "executed"
        assert agent.chain.executed == []
        await agent.pipeline.recover()
        assert len(await agent.records()) == 3


async def test_a_restart_closes_requests_that_had_nothing_on_chain(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        request = agent.request("what is my balance")
        await agent.store.records.open_request(request)
    async with open_agent(tmp_path) as agent:
        await agent.pipeline.recover()
        (record,) = await agent.records()
        assert (record.request.request_id, record.status) == (request.request_id, "interrupted")


async def test_steps_that_were_never_signed_are_given_up_at_the_start(tmp_path: Path) -> None:
    call = ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(1)),))
    async with open_agent(tmp_path) as agent:
        intent = Intent(
            "card:0", "request", 0, "localnet", AccountId("alice.localnet"), call, "00", "planned", 1.0, 1.0
        )
        await agent.store.ledger.create([intent])
        await agent.pipeline.recover()
        stored = await agent.store.ledger.get("card:0")
        assert stored is not None
        assert stored.state == "abandoned"


async def test_the_record_is_written_before_the_last_kill_point(tmp_path: Path) -> None:
    seen: list[str] = []
    async with open_agent(tmp_path, kill_point=seen.append) as agent:
        await agent.ask("/near_balance @me")
        assert seen == ["after_record"]
        assert len(await agent.records()) == 1


async def test_a_request_id_that_ran_already_gets_no_second_record(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        request = agent.request("/near_balance @me")
        first = await agent.pipeline.handle(request)
        second = await agent.pipeline.handle(request)
        assert (first.status, second.status) == ("answered", "failed")
        assert len(await agent.records()) == 1


# ---- the executor alone, over a ledger that fails


class OneChain:
    """Ends every execution as told."""

    def __init__(self, ledger: MemoryLedger, *outcomes: Outcome | Exception) -> None:
        self.outcomes = list(outcomes)
        self.ledger = ledger

    async def view(self, call: ViewCall) -> ViewReturned:
        raise AssertionError(f"nothing is viewed here: {call}")

    async def execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...] = (),
        *,
        keys: Collection[PublicKey] | None = None,
        on_state: OnState = ignore_state,
    ) -> Outcome:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def settle(self, intent: Intent) -> Outcome:
        raise AssertionError(f"nothing is settled here: {intent.intent_id}")

    async def settle_open(self) -> list[Intent]:
        return []


CALL = ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(1)),))
APPROVED = Approved(
    "card",
    "request",
    "localnet",
    AccountId("alice.localnet"),
    (CALL, CALL),
    ((), ()),
    "key",
    "text",
    ((), ()),
    frozenset(),
)


async def _nobody(_text: str) -> None:
    pass


async def test_a_card_is_begun_once() -> None:
    ledger = MemoryLedger()
    executor = Executor(OneChain(ledger, Failed("sign", "no_key", "no key")), ledger, clock=Clock(), step_timeout_s=5)
    first = await executor.run(APPROVED, _nobody)
    assert isinstance(first[0], Failed)
    assert isinstance(first[1], NotDone)
    with pytest.raises(LedgerConflict):
        await executor.run(APPROVED, _nobody)


async def test_a_full_disk_before_sending_is_a_failure() -> None:
    ledger = MemoryLedger()
    chain = OneChain(ledger, StoreError("store_full", "the disk is full"))
    executor = Executor(chain, ledger, clock=Clock(), step_timeout_s=5)
    first, second = await executor.run(APPROVED, _nobody)
    assert isinstance(first, Failed)
    assert (first.stage, first.code) == ("send", "store_full")
    assert isinstance(second, NotDone)
    assert [ledger.intents[name].state for name in ("card:0", "card:1")] == ["abandoned", "abandoned"]


async def test_a_ledger_that_cannot_be_read_leaves_the_step_unknown() -> None:
    broken = False

    async def on_call(name: str) -> None:
        if broken and name in {"move", "get"}:
            raise StoreError("store_failed", "the disk is gone")

    ledger = MemoryLedger(on_call)

    class Breaking(OneChain):
        async def execute(
            self,
            intent: Intent,
            grant: Grant,
            expected: tuple[Effect, ...] = (),
            *,
            keys: Collection[PublicKey] | None = None,
            on_state: OnState = ignore_state,
        ) -> Outcome:
            nonlocal broken
            broken = True
            return await super().execute(intent, grant, expected, keys=keys, on_state=on_state)

    chain = Breaking(ledger, StoreError("store_failed", "the disk is gone"))
    executor = Executor(chain, ledger, clock=Clock(), step_timeout_s=5)
    first, second = await executor.run(APPROVED, _nobody)
    assert isinstance(first, Failed)
    assert first.stage == "unknown"
    assert isinstance(second, NotDone)
