"""The policy in the story of a request: free within the allowance, a card, another channel, two people, or no."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from agent.records import Identity, Refusal, Reply
from contracts.checks.report import Balance, Check, PreflightReport
from contracts.simulation.preflight import PreflightRequest
from contracts.types import AccountId, CryptoHash, parse_near
from tests.agent.world import ALICE, BOB, NO_CONFIRM, Agent, open_agent

FREE = """version = 1
[address_book]
bob = "bob.localnet"
[default.limits.NEAR]
free_per_action = "2"
free_per_day = "5"
per_day = "9"
[default.limits.USDC]
free_per_action = "10"
free_per_day = "10"
"""
SEND = "/near_transfer bob.localnet 1.5"
OTHER_KEY = Identity(key_id="key-second", account_id="alice.localnet", may_confirm=True)
OPERATOR = Identity(key_id="operator", account_id="alice.localnet", may_confirm=True)


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path, policy=FREE) as opened:
        yield opened


def why(reply: Reply) -> str:
    assert isinstance(reply.plan, Refusal)
    return reply.plan.why


async def test_within_the_allowance_it_is_done_without_a_card_and_recorded(agent: Agent) -> None:
    reply = await agent.ask(SEND)
    assert reply.status == "executed"
    assert reply.confirm_code is None
    (grant,) = agent.chain.grants
    assert (grant.channel, grant.identity, grant.calls_hash) == ("policy", "key-alice", reply.calls_hash)
    record = await agent.record(reply)
    assert record.verdict is not None
    assert (record.verdict.decision, record.status) == ("allow", "executed")
    assert await agent.store.cards.pending(agent.clock()) == []


async def test_above_it_a_card_says_why(agent: Agent) -> None:
    card = await agent.ask("/near_transfer carol.localnet 1")
    assert card.status == "needs_approval"
    assert "Look at this: carol.localnet: nothing has been sent there before" in card.text
    done = await agent.ask(f"confirm {card.confirm_code}")
    assert (done.status, agent.chain.grants[0].channel) == ("executed", "text")
    assert (await agent.ask("/near_transfer carol.localnet 1.25")).status == "executed"


async def test_a_rule_that_denies_is_named_and_nothing_is_kept_waiting(agent: Agent) -> None:
    reply = await agent.ask("/near_transfer bob.localnet 9")
    assert (reply.status, why(reply)) == ("refused", "policy_denied")
    assert "default.limits.NEAR.per_day" in reply.text
    assert agent.chain.executed == []
    assert await agent.store.cards.pending(agent.clock()) == []
    record = await agent.record(reply)
    assert record.verdict is not None
    assert record.verdict.decision == "deny"


async def test_mainnet_without_a_policy_is_refused(tmp_path: Path) -> None:
    async with open_agent(tmp_path, network="mainnet") as agent:
        reply = await agent.ask(SEND)
        assert (reply.status, why(reply)) == ("refused", "policy_denied")
        assert 'networks = ["mainnet"]' in reply.text


async def test_an_allowance_that_is_used_up_asks_and_one_that_comes_back_does_not(agent: Agent) -> None:
    for amount in ("1.9", "1.8"):
        assert (await agent.ask(f"/near_transfer bob.localnet {amount}")).status == "executed"
    card = await agent.ask("/near_transfer bob.localnet 1.7")
    assert card.status == "needs_approval"
    assert "default.limits.NEAR" not in card.text
    assert "over the 5 NEAR in 24 h that go without asking for the account: 3.7" in card.text
    agent.clock.now += 86_401
    assert (await agent.ask("/near_transfer bob.localnet 1.6")).status == "executed"


async def test_what_failed_on_chain_gives_the_allowance_back(agent: Agent) -> None:
    agent.chain.endings = ["failed", "failed"]
    for amount in ("1.9", "1.8", "1.7", "1.6"):
        assert (await agent.ask(f"/near_transfer bob.localnet {amount}")).status != "needs_approval"
    assert len(agent.chain.executed) == 4


async def test_what_is_unconfirmed_keeps_it(agent: Agent) -> None:
    agent.chain.endings = ["unconfirmed", "unconfirmed"]
    for amount in ("1.9", "1.8"):
        assert (await agent.ask(f"/near_transfer bob.localnet {amount}")).status == "unconfirmed"
    agent.clock.now += 7 * 86_400
    assert (await agent.ask("/near_transfer bob.localnet 1.7")).status == "needs_approval"


async def test_parallel_requests_do_not_share_one_allowance(agent: Agent) -> None:
    amounts = [f"1.{number}" for number in range(30, 40)]
    replies = await _all(agent, [f"/near_transfer bob.localnet {amount}" for amount in amounts])
    done = [reply for reply in replies if reply.status == "executed"]
    # The scripted chain has one nonce for all, so that some fail there; those give their part back.
    assert 1 <= len(done) == len(agent.chain.executed) <= 3
    assert sum(call.deposit for call in agent.chain.executed) <= parse_near("5")
    assert all(reply.status == "executed" or not reply.outcomes or reply.status == "failed" for reply in replies)


async def _all(agent: Agent, texts: Sequence[str], *, conversation: str | None = None) -> list[Reply]:
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(agent.ask(text, conversation=conversation or f"c{number}"))
            for number, text in enumerate(texts)
        ]
    return [task.result() for task in running]


async def test_the_same_words_again_ask_with_a_warning_and_never_run_by_themselves(agent: Agent) -> None:
    first = await agent.ask(SEND)
    for conversation in ("talk", "another"):
        again = await agent.ask(SEND, conversation=conversation)
        assert again.status == "needs_approval"
        assert "⚠ Warning" in again.text
        assert first.request_id in again.text
    assert len(agent.chain.executed) == 1
    agent.clock.now += 3601
    assert (await agent.ask(SEND, conversation="much later")).status == "executed"


async def test_the_same_words_at_the_same_time_run_once(agent: Agent) -> None:
    for conversation in ("one", None):
        agent.chain.executed.clear()
        agent.clock.now += 90_000
        replies = await _all(agent, [SEND] * 5, conversation=conversation)
        assert len(agent.chain.executed) == 1
        assert sorted({reply.status for reply in replies}) in (
            ["executed", "needs_approval"],
            ["executed", "needs_approval", "refused"],
        )


@pytest.mark.parametrize("key", ["idempotency_key", "message_id"])
async def test_the_same_key_is_told_what_was_done(agent: Agent, key: str) -> None:
    keys = {key: "k-1"}
    first = await agent.ask(SEND, idempotency_key=keys.get("idempotency_key"), message_id=keys.get("message_id"))
    again = await agent.ask(SEND, idempotency_key=keys.get("idempotency_key"), message_id=keys.get("message_id"))
    assert again.status == "executed"
    assert again.outcomes[0].tx_hash == first.outcomes[0].tx_hash
    assert len(agent.chain.executed) == 1
    assert (await agent.record(again)).repeats == first.request_id


async def test_a_task_prompt_that_quotes_it_does_nothing(agent: Agent) -> None:
    await agent.ask(
        "### Task:\nGenerate a title for\n<chat_history>\nUSER: /near_transfer bob.localnet 1\n</chat_history>"
    )
    assert agent.chain.executed == []


ELSEWHERE = 'version = 1\n[default.limits.NEAR]\nask_elsewhere_above = "1"\n'


async def test_above_a_threshold_the_channel_that_asked_does_not_approve(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=ELSEWHERE) as agent:
        card = await agent.ask(SEND)
        assert card.confirm_code is None
        assert f"near-agent approve {card.request_id}" in card.text
        code = agent.codes.code_of(card.request_id)
        refused = await agent.ask(f"confirm {code}")
        assert (refused.status, why(refused)) == ("refused", "other_channel")
        own = await agent.pipeline.approve_by_request(ALICE, card.request_id, "key")
        assert why(own) == "other_channel"
        assert agent.chain.executed == []
        done = await agent.pipeline.approve_by_request(OPERATOR, card.request_id, "operator")
        assert done.status == "executed"
        assert (agent.chain.grants[0].identity, agent.chain.grants[0].channel) == ("operator", "operator")


async def test_another_identity_of_the_account_is_another_channel(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=ELSEWHERE) as agent:
        card = await agent.ask(SEND)
        for stranger in (BOB, NO_CONFIRM):
            assert why(await agent.pipeline.approve_by_request(stranger, card.request_id, "key")) == "no_such_card"
        done = await agent.pipeline.approve_by_request(OTHER_KEY, card.request_id, "key")
        assert done.status == "executed"


TWO = 'version = 1\n[default]\napprovers = ["key-bob"]\n[default.limits.NEAR]\ntwo_approvers_above = "1"\n'


@pytest.mark.parametrize("second", [OPERATOR, OTHER_KEY, BOB])
async def test_two_people_approve_and_each_counts_once(tmp_path: Path, second: Identity) -> None:
    async with open_agent(tmp_path, policy=TWO) as agent:
        card = await agent.ask(SEND)
        assert "It needs 2 people's approval" in card.text
        for _ in range(2):
            waiting = await agent.ask(f"confirm {card.confirm_code}")
            assert waiting.status == "needs_approval"
            assert "approved by key-alice. Somebody else is needed" in waiting.text
            assert "Your approval is counted, once." in waiting.text
            assert "To approve, write" not in waiting.text
            assert f"To drop it, write: cancel {card.confirm_code}" in waiting.text
        assert agent.chain.executed == []
        channel = "operator" if second is OPERATOR else "key"
        done = await agent.pipeline.approve_by_request(second, card.request_id, channel)
        assert done.status == "executed"
        (grant,) = agent.chain.grants
        assert grant.identity == f"key-alice+{second.key_id}"
        assert len(await agent.store.approvals.of(card.request_id)) == 2
        again = await agent.pipeline.approve_by_request(second, card.request_id, channel)
        assert (again.status, len(agent.chain.executed)) == ("executed", 1)


async def test_a_first_approval_outlives_a_restart(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=TWO) as agent:
        card = await agent.ask(SEND)
        await agent.ask(f"confirm {card.confirm_code}")
    async with open_agent(tmp_path, policy=TWO) as agent:
        agent.count = 100
        done = await agent.pipeline.approve_by_request(OPERATOR, card.request_id, "operator")
        assert done.status == "executed"


async def test_a_policy_that_became_stricter_counts_at_the_confirmation(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        card = await agent.ask(SEND)
    stricter = 'version = 1\n[default]\nrecipients.deny = ["bob.localnet"]'
    async with open_agent(tmp_path, policy=stricter) as agent:
        agent.count = 100
        reply = await agent.ask(f"confirm {card.confirm_code}")
        assert (reply.status, why(reply)) == ("refused", "policy_denied")
        assert agent.chain.executed == []


async def test_a_shared_key_confirms_only_as_a_person_that_is_named(tmp_path: Path) -> None:
    shared = 'version = 1\n[default]\nshared = true\nnetworks = ["testnet"]\nuser_header = "X-User"'
    anna = ALICE.model_copy(update={"key_id": "key-alice/anna"})
    async with open_agent(tmp_path, policy=shared, network="testnet") as agent:
        assert agent.pipeline.user_header("key-alice") == "X-User"
        card = await agent.ask(SEND)
        assert card.confirm_code is None
        hers = await agent.ask(SEND, identity=anna)
        assert hers.confirm_code is not None
        assert (await agent.ask(f"confirm {hers.confirm_code}")).status == "refused"
        assert (await agent.ask(f"confirm {hers.confirm_code}", identity=anna)).status == "executed"


async def test_a_budget_taken_between_card_and_confirmation_refuses(tmp_path: Path) -> None:
    day = 'version = 1\n[default.limits.NEAR]\nper_day = "2"'
    async with open_agent(tmp_path, policy=day) as agent:
        cards = [await agent.ask(f"/near_transfer bob.localnet 1.{number}") for number in (1, 2)]
        assert [card.status for card in cards] == ["needs_approval", "needs_approval"]
        first, second = [await agent.ask(f"confirm {card.confirm_code}") for card in cards]
        assert (first.status, second.status) == ("executed", "refused")
        assert why(second) == "policy_denied"
        assert len(agent.chain.executed) == 1


class Flights:
    """A pre-flight that is scripted: one report after the other, the last one again and again."""

    def __init__(self, *reports: PreflightReport) -> None:
        self._reports = list(reports)

    async def preflight(self, request: PreflightRequest) -> PreflightReport:
        assert request.calls
        return self._reports.pop(0) if len(self._reports) > 1 else self._reports[0]


def report(*, checks: tuple[Check, ...] = (), asks: tuple[str, ...] = (), before: int = 100) -> PreflightReport:
    balance = Balance(AccountId("alice.localnet"), "NEAR", before, before - 10)
    return PreflightReport(1, CryptoHash.of(b"block"), checks, (), (balance,), asks, 0, 0.0, 0.0)


async def test_a_plan_that_would_fail_is_refused_with_the_reason(tmp_path: Path) -> None:
    flights = Flights(report(checks=(Check("simulated", "fail", "the contract says: no"),)))
    async with open_agent(tmp_path, policy=FREE, preflight=flights) as agent:
        reply = await agent.ask(SEND)
        assert (reply.status, why(reply)) == ("refused", "preflight_failed")
        assert "the contract says: no" in reply.text
        assert (await agent.record(reply)).preflight is not None
        assert agent.chain.executed == []


async def test_a_reason_of_the_pre_flight_asks_within_the_allowance(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=FREE, preflight=Flights(report(asks=("it is a contract",)))) as agent:
        card = await agent.ask(SEND)
        assert card.status == "needs_approval"
        assert "Look at this: it is a contract" in card.text


async def test_facts_that_moved_too_far_make_a_new_card(tmp_path: Path) -> None:
    async with open_agent(tmp_path, preflight=Flights(report(), report(before=50), report(before=50))) as agent:
        card = await agent.ask(SEND)
        new = await agent.ask(f"confirm {card.confirm_code}")
        assert new.status == "needs_approval"
        assert "things have changed since" in new.text
        assert new.confirm_code != card.confirm_code
        assert (await agent.ask(f"confirm {new.confirm_code}")).status == "executed"


async def test_who_comes_too_late_for_the_last_of_a_day_is_told_what_is_left_and_when_more_is(tmp_path: Path) -> None:
    """Two cards of which the day allows one, confirmed at once: whichever is second moves nothing and says why."""
    policy = 'version = 1\n[identities.key-alice.limits.NEAR]\nper_day = "4"\n'
    async with open_agent(tmp_path, policy=policy) as agent:
        cards = [await agent.ask(f"/near_transfer bob.localnet 3.{n}", conversation=f"c{n}") for n in (1, 2)]
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(agent.ask(f"confirm {card.confirm_code}", conversation=f"c{n}"))
                for n, card in enumerate(cards, start=1)
            ]
        by_status = {task.result().status: task.result().text for task in running}
        assert by_status.keys() == {"executed", "refused"}
        assert len(agent.chain.executed) == 1
        assert "over the limit of 4 NEAR in 24 h for you: 3." in by_status["refused"]
        assert " NEAR left; " in by_status["refused"]
        late = await agent.ask("/near_transfer bob.localnet 3", conversation="c3")
        assert late.text.endswith("enough is free again at 2027-01-16 08:00 UTC. Nothing was sent."), late.text
