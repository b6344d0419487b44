"""The story of a request without a model: commands, cards, confirmations, repetitions, records."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.records import Answer, CallPlan, Clarification, Refusal, Reply, Turn
from contracts.calls import ChangeCall, FunctionCall, Transfer
from contracts.errors import RpcError
from contracts.types import AccountId, Yocto
from tests.agent.world import ALICE, BOB, NO_CONFIRM, Agent, open_agent

SEND = "/near_transfer bob.localnet 1.5"
SENT = ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(1_500_000_000_000_000_000_000_000)),))


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path) as opened:
        yield opened


def code(reply: Reply) -> str:
    assert reply.status == "needs_approval"
    assert reply.confirm_code
    return reply.confirm_code


async def test_a_view_is_answered_at_once_with_exact_amounts(agent: Agent) -> None:
    reply = await agent.ask("/near_balance bob.localnet")
    assert reply.status == "answered"
    assert "10000 NEAR" in reply.text
    assert (reply.route.target, reply.route.reason) == ("none", "a slash command")
    (outcome,) = reply.outcomes
    assert (outcome.action, outcome.status, outcome.block_height) == ("near_balance", "returned", 100)
    record = await agent.record(reply)
    assert record.plan == reply.plan
    assert record.status == "answered"


async def test_a_missing_argument_is_asked_for(agent: Agent) -> None:
    reply = await agent.ask("/near_balance")
    assert reply.status == "clarify"
    assert isinstance(reply.plan, Clarification)
    assert reply.plan.missing == ("account_id",)


@pytest.mark.parametrize(
    ("text", "why", "said"),
    [
        ("/near_balnce bob.localnet", "unknown_action", "near_balance"),
        ("/near_transfer reciever_id=bob.localnet amount=1", "unknown_argument", "receiver_id"),
        ("/ft_transfer USDC bob.localnet 12.5000001", "amount_too_precise", "6 decimals"),
        ("/near_transfer bob.localnet 1e5", "amount_malformed", "1e5"),
        ("/ft_transfer USDD bob.localnet 1", "unknown_token", "USD"),
        ("/near_transfer nobody.localnet 1", "account_missing", "nobody.localnet"),
        ("/near_transfer 'bob.localnet 1", "malformed_command", "quot"),
        ("/help near_balnce", "unknown_action", "near_balance"),
    ],
)
async def test_what_is_wrong_is_refused_with_what_would_be_right(agent: Agent, text: str, why: str, said: str) -> None:
    reply = await agent.ask(text)
    assert reply.status == "refused"
    record = await agent.record(reply)
    assert record.status == "refused"
    assert said in reply.text
    assert isinstance(reply.plan, Refusal)
    assert reply.plan.why == why
    assert record.plan == reply.plan
    assert await agent.store.cards.pending(agent.clock()) == []


async def test_a_comma_is_asked_about(agent: Agent) -> None:
    reply = await agent.ask("/near_transfer bob.localnet 1,000")
    assert reply.status == "clarify"
    assert "thousands" in reply.text


async def test_help_lists_commands_and_explains_one(agent: Agent) -> None:
    everything = await agent.ask("/help")
    assert "/ft_transfer token receiver_id amount [memo]" in everything.text
    one = await agent.ask("/help ft_transfer")
    assert "memo" in one.text
    assert isinstance(one.plan, Answer)


async def test_a_change_shows_a_card_and_is_sent_once_after_its_code(agent: Agent) -> None:
    card = await agent.ask(SEND)
    for part in ("bob.localnet", "alice.localnet", "1.5 NEAR", "localnet", "Tgas", f"confirm {code(card)}"):
        assert part in card.text
    assert agent.chain.executed == []

    done = await agent.ask(f"confirm {code(card)}", conversation="another conversation")
    assert done.status == "executed"
    assert agent.chain.executed == [SENT]
    assert done.calls_hash == card.calls_hash
    assert agent.chain.grants[0].calls_hash == card.calls_hash
    assert agent.chain.grants[0].channel == "text"
    tx_hash = done.outcomes[0].tx_hash
    assert tx_hash is not None
    assert tx_hash in done.text

    again = await agent.ask(f"  CONFIRM {code(card).lower()} ")
    assert again.status == "executed"
    assert again.outcomes[0].tx_hash == tx_hash
    assert agent.chain.executed == [SENT]
    record = await agent.record(again)
    assert record.repeats == record.approval_of == card.request_id


async def test_registration_comes_with_the_transfer_and_is_said(agent: Agent) -> None:
    card = await agent.ask("/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5")
    assert "registers carol.localnet" in card.text
    await agent.ask(f"confirm {code(card)}")
    (call,) = agent.chain.executed
    assert [action.method_name for action in call.actions if isinstance(action, FunctionCall)] == [
        "storage_deposit",
        "ft_transfer",
    ]
    assert b'"12500000"' in call.actions[1].args if isinstance(call.actions[1], FunctionCall) else False


async def test_what_cannot_be_paid_is_refused_before_a_card(agent: Agent) -> None:
    agent.reads.balances["alice.localnet"] = 2 * 10**24
    reply = await agent.ask("/near_transfer bob.localnet 2.5")
    assert reply.status == "refused"
    assert "alice.localnet has 2 NEAR, so 2.5 NEAR and the gas cannot leave it" in reply.text
    assert (await agent.ask("/near_transfer bob.localnet 2")).status == "needs_approval"


async def test_codes_are_in_no_record(agent: Agent) -> None:
    card = await agent.ask(SEND)
    secret = code(card)
    await agent.ask(SEND, Turn(role="assistant", content=card.text), f"confirm {secret}")
    await agent.ask(SEND, Turn(role="assistant", content=card.text), "/near_balance @me")
    for record in await agent.records():
        assert secret not in record.model_dump_json()
    assert len(await agent.records()) == 3


async def test_only_a_last_message_that_is_nothing_else_confirms(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    for text in (
        f"please confirm {secret}",
        f"confirm {secret}\nthanks",
        f"confirm  {secret}!",
        f"confirm {secret} {secret}",
    ):
        reply = await agent.ask(text)
        assert reply.status in {"unsupported", "clarify"}
    assert agent.chain.executed == []
    assert (await agent.ask(f"confirm {secret}")).status == "executed"


@pytest.mark.parametrize("words", ["confirm", "Confirm {code}!", "confirm {code}0", "cancel 123", "> confirm {code}"])
async def test_what_is_almost_a_confirmation_is_told_how_to_write_one(agent: Agent, words: str) -> None:
    card = await agent.ask(SEND)
    reply = await agent.ask(words.format(code=card.confirm_code), conversation="other")
    assert reply.status in {"unsupported", "clarify"}
    assert reply.text.startswith("Nothing was done")
    assert agent.chain.executed == []
    assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_a_task_prompt_that_quotes_commands_does_nothing(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    before = agent.reads.reads
    for prompt in (
        f"### Task:\nGenerate a concise, 3-5 word title.\n<chat_history>\nUSER: confirm {secret}\n</chat_history>",
        f"### Task:\nSuggest 3-5 relevant follow-up questions.\n{SEND}",
        "Provide a concise, 5-word-or-less title for the conversation: /near_transfer bob.localnet 9",
    ):
        reply = await agent.ask(prompt)
        assert reply.status == "answered"
        assert "confirm" not in reply.text
    assert agent.chain.executed == []
    assert agent.reads.reads == before
    assert len(await agent.store.cards.pending(agent.clock())) == 1


async def test_another_identitys_code_is_not_found(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    reply = await agent.ask(f"confirm {secret}", identity=BOB)
    assert reply.status == "refused"
    assert agent.chain.executed == []
    assert (await agent.ask(f"confirm {secret}")).status == "executed"


async def test_five_wrong_codes_cancel_the_cards(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    for n in range(4):
        reply = await agent.ask(f"confirm {n}{n}{n}{n}AAAA")
        assert isinstance(reply.plan, Refusal)
        assert reply.plan.why == "no_such_card"
    fifth = await agent.ask("cancel ZZZZZZZZ")
    assert isinstance(fifth.plan, Refusal)
    assert fifth.plan.why == "too_many_wrong_codes"
    assert (await agent.ask(f"confirm {secret}")).status == "declined"
    assert agent.chain.executed == []
    assert len(await agent.records()) == 7


async def test_cancel_ends_a_card(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    assert (await agent.ask(f"cancel {secret}")).status == "declined"
    assert (await agent.ask(f"confirm {secret}")).status == "declined"
    assert (await agent.ask(f"cancel {secret}")).status == "declined"
    assert agent.chain.executed == []


async def test_a_cancel_after_the_execution_tells_the_result(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    await agent.ask(f"confirm {secret}")
    assert (await agent.ask(f"cancel {secret}")).status == "executed"


async def test_an_expired_card_is_declined(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    agent.clock.now += 601
    reply = await agent.ask(f"confirm {secret}")
    assert reply.status == "declined"
    assert "expired" in reply.text
    assert agent.chain.executed == []


async def test_the_same_turn_sent_again_returns_the_card(agent: Agent) -> None:
    first = await agent.ask(SEND)
    again = await agent.ask(SEND)
    assert again.confirm_code == first.confirm_code
    assert again.calls_hash == first.calls_hash
    assert len(await agent.store.cards.pending(agent.clock())) == 1
    other = await agent.ask(SEND, conversation="a second talk")
    assert other.confirm_code != first.confirm_code


async def test_two_tabs_at_once_get_one_card(agent: Agent) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(agent.ask(SEND)) for _ in range(4)]
    assert len({task.result().confirm_code for task in asked}) == 1
    assert len(await agent.store.cards.pending(agent.clock())) == 1


async def test_a_repeated_turn_after_execution_is_warned_about(agent: Agent) -> None:
    card = await agent.ask(SEND)
    await agent.ask(f"confirm {code(card)}")
    agent.clock.now += 10_000
    again = await agent.ask(SEND)
    assert (
        "\n  ⚠ Warning: this message (send 1.5 NEAR from alice.localnet to bob.localnet) was carried out already"
        in again.text
    )
    assert card.request_id in again.text
    assert code(again) != code(card)
    await agent.ask(f"confirm {code(again)}")
    assert agent.chain.executed == [SENT, SENT]


async def test_the_same_calls_within_the_window_are_warned_about(agent: Agent) -> None:
    card = await agent.ask(SEND)
    await agent.ask(f"confirm {code(card)}")
    within = await agent.ask(SEND, conversation="b")
    assert card.request_id in within.text
    await agent.ask(f"cancel {code(within)}")
    agent.clock.now += 3601
    assert "⚠ Warning" not in (await agent.ask(SEND, conversation="c")).text


async def test_a_second_card_for_calls_done_meanwhile_asks_again(agent: Agent) -> None:
    first = await agent.ask(SEND, conversation="a")
    second = await agent.ask(SEND, conversation="b")
    assert "⚠ Warning" not in second.text
    await agent.ask(f"confirm {code(first)}")
    asked = await agent.ask(f"confirm {code(second)}")
    assert asked.status == "needs_approval"
    assert first.request_id in asked.text
    assert agent.chain.executed == [SENT]
    assert (await agent.ask(f"confirm {code(asked)}")).status == "executed"


@pytest.mark.parametrize("key", ["idempotency_key", "message_id"])
async def test_the_same_key_is_told_the_stored_result(agent: Agent, key: str) -> None:
    chosen = "k-1" if key == "idempotency_key" else None
    message = "m-1" if key == "message_id" else None
    card = await agent.ask(SEND, idempotency_key=chosen, message_id=message)
    waiting = await agent.ask(SEND, idempotency_key=chosen, message_id=message, conversation="elsewhere")
    assert waiting.confirm_code == card.confirm_code
    done = await agent.ask(f"confirm {code(card)}")
    told = await agent.ask(SEND, idempotency_key=chosen, message_id=message)
    assert told.status == "executed"
    assert told.outcomes[0].tx_hash == done.outcomes[0].tx_hash
    assert agent.chain.executed == [SENT]


async def test_a_key_used_for_other_words_is_refused(agent: Agent) -> None:
    await agent.ask("/near_balance @me", idempotency_key="k")
    reply = await agent.ask("/near_balance bob.localnet", idempotency_key="k")
    assert isinstance(reply.plan, Refusal)
    assert reply.plan.why == "idempotency_conflict"
    same = await agent.ask("/near_balance @me", idempotency_key="k")
    assert same.status == "answered"


async def test_a_fourth_card_is_refused(agent: Agent) -> None:
    for n in range(1, 4):
        assert (await agent.ask(f"/near_transfer bob.localnet {n}")).status == "needs_approval"
    fourth = await agent.ask("/near_transfer bob.localnet 4")
    assert fourth.status == "refused"
    assert "the first expires in 600 s" in fourth.text
    assert (await agent.ask("/near_transfer alice.localnet 1", identity=BOB)).status == "needs_approval"


async def test_a_key_that_may_not_confirm_sees_no_code(agent: Agent) -> None:
    card = await agent.ask(SEND, identity=NO_CONFIRM)
    assert card.status == "needs_approval"
    assert card.confirm_code is None
    secret = agent.codes.code_of(card.request_id)
    assert secret not in card.text
    assert f"near-agent approve {card.request_id}" in card.text
    refused = await agent.ask(f"confirm {secret}", identity=NO_CONFIRM)
    assert refused.status == "refused"
    approved = await agent.pipeline.approve_by_request(NO_CONFIRM, card.request_id, "operator")
    assert approved.status == "executed"
    assert agent.chain.grants[0].channel == "operator"
    record = await agent.record(approved)
    assert record.approval_of == card.request_id


async def test_approval_by_request_id_is_for_the_account_only(agent: Agent) -> None:
    card = await agent.ask(SEND)
    assert (await agent.pipeline.approve_by_request(BOB, card.request_id, "operator")).status == "refused"
    assert (await agent.pipeline.approve_by_request(ALICE, "no such request", "operator")).status == "refused"
    repeated = await agent.ask(SEND)
    assert (await agent.pipeline.approve_by_request(ALICE, repeated.request_id, "operator")).status == "executed"
    assert (await agent.pipeline.approve_by_request(ALICE, card.request_id, "operator")).status == "executed"
    assert agent.chain.executed == [SENT]


async def test_two_confirmations_at_once_execute_once(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    agent.chain.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(agent.ask(f"confirm {secret}")) for _ in range(3)]
        await agent.chain.signing.wait()
        agent.chain.gate.set()
    assert agent.chain.executed == [SENT]
    assert {task.result().status for task in asked} == {"executed"}
    assert len({task.result().outcomes[0].tx_hash for task in asked}) == 1


async def test_two_requests_at_once_do_not_mix(agent: Agent) -> None:
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(agent.ask("/near_transfer bob.localnet 1", conversation="a"))
        theirs = group.create_task(agent.ask("/near_transfer alice.localnet 2", identity=BOB, conversation="b"))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(agent.ask(f"confirm {code(mine.result())}"))
        second = group.create_task(agent.ask(f"confirm {code(theirs.result())}", identity=BOB))
    assert first.result().calls_hash == mine.result().calls_hash
    assert second.result().calls_hash == theirs.result().calls_hash
    signers = {grant.signer_id: grant.calls_hash for grant in agent.chain.grants}
    assert signers == {"alice.localnet": mine.result().calls_hash, "bob.localnet": theirs.result().calls_hash}


async def test_what_changed_since_the_card_gets_a_new_card(agent: Agent) -> None:
    card = await agent.ask("/ft_transfer USDC carol.localnet 1")
    agent.reads.registered.add(("usdc.localnet", "carol.localnet"))
    asked = await agent.ask(f"confirm {code(card)}")
    assert asked.status == "needs_approval"
    assert asked.calls_hash != card.calls_hash
    assert "changed" in asked.text
    assert agent.chain.executed == []
    assert (await agent.ask(f"confirm {code(asked)}")).status == "executed"
    assert (await agent.ask(f"confirm {code(card)}")).status == "declined"
    assert len(agent.chain.executed) == 1


@pytest.mark.parametrize(
    ("ending", "status", "outcome"),
    [
        ("failed", "failed", "failed"),
        ("partial", "partially_executed", "partial"),
        ("unconfirmed", "unconfirmed", "unconfirmed"),
    ],
)
async def test_an_execution_that_does_not_succeed_is_told(agent: Agent, ending: str, status: str, outcome: str) -> None:
    card = await agent.ask(SEND)
    agent.chain.endings = [ending]
    reply = await agent.ask(f"confirm {code(card)}")
    assert (reply.status, reply.outcomes[0].status) == (status, outcome)
    assert str(reply.outcomes[0].tx_hash) in reply.text
    assert "`confirm`" not in reply.text  # a contract's own words are inert


async def test_an_unconfirmed_one_is_looked_up_when_confirmed_again(agent: Agent) -> None:
    card = await agent.ask(SEND)
    agent.chain.endings = ["unconfirmed"]
    first = await agent.ask(f"confirm {code(card)}")
    again = await agent.ask(f"confirm {code(card)}")
    assert (first.status, again.status) == ("unconfirmed", "executed")
    assert agent.chain.executed == [SENT]


async def test_a_node_that_is_down_fails_the_request_and_keeps_the_card(agent: Agent) -> None:
    card = await agent.ask(SEND)
    agent.reads.down = RpcError("TRANSPORT", "connection refused", retryable=True)
    assert (await agent.ask("/ft_balance USDC @me")).status == "failed"
    assert (await agent.ask(f"confirm {code(card)}")).status == "failed"
    agent.reads.down = None
    assert (await agent.ask(f"confirm {code(card)}")).status == "executed"


async def test_a_refused_view_is_explained(agent: Agent) -> None:
    reply = await agent.ask("/near_balance nobody.localnet")
    assert reply.status == "failed"
    assert reply.outcomes[0].error is not None
    assert reply.outcomes[0].error["code"] == "UNKNOWN_ACCOUNT"
    assert "does not exist" in reply.text


async def test_the_plan_endpoint_reads_text_only(agent: Agent) -> None:
    reply = await agent.plan("/ft_transfer Xyz Bob.Testnet 12.5")
    assert isinstance(reply.plan, CallPlan)
    (call,) = reply.plan.calls
    assert (call.action, call.args) == ("ft_transfer", {"token": "Xyz", "receiver_id": "bob.testnet", "amount": "12.5"})
    symbol = await agent.plan("/storage_deposit USDC Carol.localnet")
    assert isinstance(symbol.plan, CallPlan)
    assert symbol.plan.calls[0].args == {"contract_id": "USDC", "account_id": "carol.localnet"}
    mine = await agent.plan("/near_balance @me")
    assert isinstance(mine.plan, CallPlan)
    assert mine.plan.calls[0].args == {"account_id": "@me"}
    assert agent.reads.reads == 0
    assert await agent.store.cards.pending(agent.clock()) == []
    assert {record.status for record in await agent.records()} == {"answered"}


async def test_a_confirmation_at_the_plan_endpoint_does_nothing(agent: Agent) -> None:
    secret = code(await agent.ask(SEND))
    reply = await agent.plan(f"confirm {secret}")
    assert isinstance(reply.plan, Answer)
    assert agent.chain.executed == []


async def test_free_text_without_a_model_lists_the_commands(agent: Agent) -> None:
    reply = await agent.ask("send 5 NEAR to bob.localnet")
    assert reply.status == "unsupported"
    assert "/near_transfer receiver_id amount" in reply.text
    assert "[models.standard]" in reply.text


async def test_progress_is_told(agent: Agent) -> None:
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    card = await agent.ask(SEND)
    done = await agent.pipeline.handle(agent.request(f"confirm {code(card)}"), hear)
    assert heard == [
        "Checking the plan: simulation, keys and policy",
        "Signing and sending transaction 1 of 1",
        f"Sending transaction {done.outcomes[0].tx_hash}",
    ]
