"""What a card does not show cannot be approved; what was approved once happens once."""

import asyncio
from pathlib import Path

from tests.agent.world import open_agent

PAY = "/near_transfer bob.localnet 1.5"


async def test_a_card_shows_the_memo(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        reply = await agent.ask('/ft_transfer USDC bob.localnet 5 memo="deposit\u202e 4711"')
        assert "memo: deposit\\u202e 4711" in reply.text
        assert "\u202e" not in reply.text


async def test_two_cards_for_the_same_calls_confirmed_at_once_execute_once(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        first = await agent.ask(PAY, conversation="one tab")
        second = await agent.ask(PAY, conversation="another tab")
        agent.chain.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            confirms = [
                group.create_task(agent.ask(f"confirm {card.confirm_code}", conversation=tab))
                for card, tab in ((first, "one tab"), (second, "another tab"))
            ]
            await agent.chain.signing.wait()
            for _ in range(20):
                await agent.reads.block("final")
                await agent.records()
            agent.chain.gate.set()
        assert sorted(task.result().status for task in confirms) == ["executed", "needs_approval"]
        assert len(agent.chain.executed) == 1
        assert any("carried out already" in task.result().text for task in confirms)
