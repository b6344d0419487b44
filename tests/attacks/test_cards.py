"""What a card does not show cannot be approved; what was approved once happens once."""

import asyncio
from pathlib import Path

from tests.agent.world import ALICE, BOB, NO_CONFIRM, open_agent

PAY = "/near_transfer bob.localnet 1.5"


async def test_a_card_shows_the_memo(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        reply = await agent.ask('/ft_transfer USDC bob.localnet 5 memo="deposit\u202e 4711"')
        assert "memo: “deposit\\u202e 4711”" in reply.text
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


async def test_a_kill_between_the_approval_and_the_ledger_sends_nothing_and_says_so(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY)
        assert await agent.store.cards.resolve(card.request_id, "confirmed", agent.clock())
    async with open_agent(tmp_path) as agent:
        await agent.pipeline.recover()
        agent.count = 10
        for _ in range(2):
            told = await agent.ask(f"confirm {card.confirm_code}")
            assert told.status == "failed"
            assert "interrupted before anything was signed; ask again" in told.text
        operator = BOB.model_copy(update={"key_id": "operator", "account_id": "alice.localnet"})
        assert (await agent.pipeline.approve_by_request(operator, card.request_id, "operator")).status == "failed"
        assert agent.chain.executed == []
        fresh = await agent.ask(PAY)
        assert fresh.status == "needs_approval"
        assert "⚠ Warning" not in fresh.text
        assert (await agent.ask(f"confirm {fresh.confirm_code}")).status == "executed"
        assert len(agent.chain.executed) == 1


async def test_a_clock_that_jumps_brings_no_card_back(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY)
        start = agent.clock()
        agent.clock.now = start + 10_000
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "declined"
        agent.clock.now = start - 10_000
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "declined"
        assert agent.chain.executed == []
        later = await agent.ask(PAY)
        done = await agent.ask(f"confirm {later.confirm_code}")
        assert done.status == "executed"
        agent.clock.now = start - 20_000
        assert (await agent.ask(f"confirm {later.confirm_code}")).status == "executed"
        assert len(agent.chain.executed) == 1
        assert "⚠ Warning" in (await agent.ask(PAY)).text


async def test_another_key_neither_sees_nor_decides_nor_repeats(tmp_path: Path) -> None:
    other = ALICE.model_copy(update={"key_id": "key-alice-2"})
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(PAY, idempotency_key="k", message_id="m")
        for identity in (other, BOB, NO_CONFIRM):
            for verb in ("confirm", "cancel"):
                answer = await agent.ask(f"{verb} {card.confirm_code}", identity=identity)
                assert answer.status == "refused"
                assert card.request_id not in answer.text
            own = await agent.ask(PAY, identity=identity, idempotency_key="k", message_id="m")
            assert own.request_id in own.text
            assert card.request_id not in own.text
            assert own.confirm_code != card.confirm_code
        refused = await agent.pipeline.approve_by_request(BOB, card.request_id, "console")
        assert refused.status == "refused"
        assert agent.chain.executed == []
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_the_same_key_after_a_card_was_replaced_is_told_what_was_done(tmp_path: Path) -> None:
    said = "/ft_transfer USDC bob.localnet 5"
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(said, idempotency_key="k")
        agent.reads.registered.add(("usdc.localnet", "bob.localnet"))
        replaced = await agent.ask(f"confirm {card.confirm_code}")
        assert replaced.status == "needs_approval"
        assert (await agent.ask(f"confirm {replaced.confirm_code}")).status == "executed"
        again = await agent.ask(said, idempotency_key="k")
        assert again.status == "executed"
        assert "nothing is sent twice" in again.text
        assert len(agent.chain.executed) == 1


async def test_a_plan_under_a_key_is_no_result_of_a_request_under_it(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        planned = agent.request("/near_balance @me", idempotency_key="k").model_copy(update={"front_end": "plan"})
        assert (await agent.pipeline.plan_only(planned)).status == "answered"
        told = await agent.ask("/near_balance @me", idempotency_key="k")
        assert [outcome.status for outcome in told.outcomes] == ["returned"]


async def test_a_retry_under_a_key_is_known_where_its_words_were_redacted(tmp_path: Path) -> None:
    said = f'/contract_view counter.localnet get_num args=\'{{"of": "ed25519:{"3" * 88}"}}\''
    async with open_agent(tmp_path) as agent:
        agent.reads.answers["counter.localnet", "get_num"] = 7
        first = await agent.ask(said, idempotency_key="k")
        again = await agent.ask(said, idempotency_key="k")
        assert (first.status, again.status) == ("answered", "answered")
        assert (await agent.record(again)).repeats == first.request_id
