"""Ways to make the budgets count too little: invented times, failures that moved money, strangers that are only named."""

from pathlib import Path

from agent.store.store import open_store
from contracts.chain.outcome import Effect, ExecutionFailed
from contracts.types import JsonObject
from tests.agent.codes import codes
from tests.agent.store.test_budgets import ALICE, USDC, approve, budget, end, execution, reservation, used
from tests.agent.test_merging import sendings
from tests.agent.world import FakeReads, open_agent
from tests.attacks.test_policy import contract_call

FREE = """version = 1
[default]
always_ask = ["first_recipient"]
[address_book]
bob = "bob.localnet"
guests = "guestbook.localnet"
[default.limits.NEAR]
free_per_action = "2"
free_per_day = "4"
"""
YEAR_2100_NS = 4_102_444_800 * 10**9


async def test_a_node_that_invents_a_later_time_frees_no_budget(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=FREE) as agent:
        for amount in ("1.9", "1.8"):
            assert (await agent.ask(f"/near_transfer bob.localnet {amount}")).status == "executed"
            agent.store.budgets.latest.note(YEAR_2100_NS)
        assert (await agent.ask("/near_transfer bob.localnet 1.7")).status == "needs_approval"
        assert len(agent.chain.executed) == 2


async def test_a_failure_that_moved_tokens_keeps_what_they_were_worth(tmp_path: Path) -> None:
    """The last receipt fails, the transfer before it stays done: the budget is not given back."""
    async with open_store(tmp_path / "agent.db") as store:
        day = budget(100, token=USDC)
        await approve(store, "a", reservation(80, day, token=USDC))
        moved = ExecutionFailed(execution(Effect(ALICE, USDC, -80)), "FunctionCallError", "exceeded the prepaid gas")
        await end(store, "a", "failed", moved)
        assert await used(store, day) == 80


async def test_an_account_that_was_only_named_stays_a_stranger(tmp_path: Path) -> None:
    """First named in a harmless text, then paid without a question: not so."""
    async with open_agent(tmp_path, policy=FREE, reads=FakeReads(codes=codes())) as agent:
        card = await agent.ask(contract_call("guestbook.localnet", "add_message", {"text": "hi carol.localnet"}))
        assert card.confirm_code is not None, card.text
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"
        asked = await agent.ask("/near_transfer carol.localnet 0.5", conversation="other")
        assert asked.status == "needs_approval"
        assert "nothing has been sent there before" in asked.text


async def test_two_equal_calls_are_two_whatever_their_arguments_say(tmp_path: Path) -> None:
    """Registrations that repeat are made once; nothing else disappears by looking like one."""
    args: JsonObject = {"registration_only": True}
    planned: JsonObject = {"contract_id": "guestbook.localnet", "method_name": "add_message", "args": args}
    async with open_store(tmp_path / "agent.db") as store:
        (one,) = await sendings(store, ("contract_call", planned), ("contract_call", planned))
        assert len(one.call.actions) == 2
