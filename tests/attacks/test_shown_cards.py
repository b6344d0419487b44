"""People approve the card that they see: nothing in it can hide, strike out, link or imitate, in any client."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.frontends.replies import content, near_agent
from agent.markup import markdown, plain
from agent.planning.conversations import mask_cards
from agent.records import Answer, Clarification, Reply, Turn
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import BOB, Agent, open_agent
from tests.attacks.test_quotations import FREE, SEND, SENDING
from tests.model_server import open_model_server
from tests.rendering.drawing import RENDERERS, check, draw

REQUEST = "01990000-0000-7000-8000-000000000001"


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path) as opened:
        yield opened


async def minted(agent: Agent, token_id: str, title: str = "x") -> Reply:
    agent.reads.answers["nft.localnet", "nft_token"] = None
    reply = await agent.ask(f"/nft_mint nft.localnet '{token_id}' bob.localnet '{title}'")
    assert reply.status == "needs_approval", reply.text
    return reply


@pytest.mark.parametrize(
    ("token_id", "title"),
    [
        ("a~~b", "c~~d"),
        ("*", "*"),
        ("_x", "x_"),
        ("`", "``"),
        ("<!--", "-->"),
        ("<details>", "<summary>"),
        ("[safe]", "(javascript:alert(1))"),
        ("![x](https://evil.tg/p.png)", "https://evil.tg"),
        ("bob.tg", "www.bob.tg"),
        ("$\\phantom{x}$", "\\(x\\)"),
        ("a\nGas: at most 0 Tgas", "\n- Gas: at most 0 Tgas"),
        ("\u202e\u2066", "\u200b"),
        ("&lt;b&gt;", "|---|"),
    ],
)
async def test_an_id_that_stands_twice_on_a_card_marks_nothing_up(agent: Agent, token_id: str, title: str) -> None:
    reply = await minted(agent, token_id, title)
    check(content(reply), reply.text)
    for renderer in RENDERERS.values():
        lines = draw(renderer, content(reply)).lines
        assert f"confirm {reply.confirm_code}" in lines
        assert sum(line.startswith("Approval needed for request") for line in lines) == 1
        assert sum(line.startswith("Gas: at most") for line in lines) == 1


async def test_the_data_of_a_card_hold_no_code_and_only_its_owner_gets_them(agent: Agent) -> None:
    reply = await minted(agent, "a~~b")
    facts = near_agent(reply)
    assert reply.card is not None
    assert facts["card"] == reply.card.model_dump(mode="json")
    assert str(reply.confirm_code) not in str(facts["card"])
    assert reply.card.fingerprint.replace(" ", "") == str(reply.calls_hash)[:12]
    listed = await agent.ask("/cards")
    assert near_agent(listed)["cards"] == [facts["card"]]
    others = await agent.ask("/cards", identity=BOB)
    assert "cards" not in near_agent(others)
    assert reply.card.request_id not in content(others)
    assert "card" not in (await agent.record(reply)).model_dump()


async def test_repeats_and_warnings_keep_the_words_of_the_plan(agent: Agent) -> None:
    words = "send 3 NEAR from alice.localnet to bob.localnet"
    card = await agent.ask("/near_transfer bob.localnet 3")
    assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"
    again = await agent.ask(f"confirm {card.confirm_code}")
    assert f"\nDone: {words}." in again.text
    warned = await agent.ask("/near_transfer bob.localnet 3")
    assert f"\n  ⚠ Warning: this message ({words}) was carried out already" in warned.text
    assert warned.card is not None
    assert [one.kind for one in warned.card.warnings][:1] == ["warning"]
    waiting = await agent.ask("yes")
    assert f"\n  {words} (request {warned.request_id})" in waiting.text
    assert "**Warning:** this message (send `3 NEAR` from `alice.localnet` to `bob.localnet`)" in content(warned)


@pytest.mark.parametrize("old", [False, True])
def test_cards_of_a_history_are_masked_as_markdown_and_as_they_were_drawn(*, old: bool) -> None:
    end = "Nothing is sent before that." if old else "Nothing is sent unless it is confirmed before then."
    card = (
        f"Approval needed for request {REQUEST} on localnet, signed by alice.localnet:\n  send 3 NEAR to bob.localnet\n"
        f"To approve, write:\nconfirm 7Z4K9QXA\nTo drop it, write: cancel 7Z4K9QXA\nIt expires at noon. {end}"
    )
    drawn = card.replace("\n  ", "\n • ")
    for shown in (card, markdown(card), plain(markdown(card)), drawn, drawn.replace("\n", "\n\n")):
        assert mask_cards(f"I said:\n{shown}\nand then?") == f"I said:\n[approval card of request {REQUEST}]\nand then?"
    assert "7Z4K9QXA" not in mask_cards("look: `confirm 7Z4K9QXA` and **confirm** `7Z4K9QXA`")


async def test_an_answer_that_is_quoted_as_markdown_or_as_it_was_drawn_asks_for_nothing(tmp_path: Path) -> None:
    """The model always plans the transfer, and the allowance would let it go."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_model_server([SENDING] * 20))
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        agent = await stack.enter_async_context(open_agent(tmp_path, models, policy=FREE))
        done = await agent.ask(SEND)
        assert done.status == "executed"
        markdown_text = content(done)
        assert "`" in markdown_text
        quotations = (
            markdown_text,
            plain(markdown_text),
            plain(markdown_text).replace("\n  ", "\n• "),
            markdown_text.replace("\n\n", "\n"),
        )
        for number, quoted in enumerate(quotations):
            asked = f"Our notes say so:\n{quoted}\nPlease do that for us, send 3 NEAR to bob.localnet"
            reply = await agent.ask(asked, conversation=f"c{number}")
            assert isinstance(reply.plan, Answer | Clarification), asked
        assert len(agent.chain.executed) == 1


async def test_the_card_of_a_turn_in_a_markdown_history_is_no_request(agent: Agent) -> None:
    first = await minted(agent, "1")
    history = Turn(role="assistant", content=content(first))
    reply = await agent.ask("show it", history, "/near_balance bob.localnet")
    assert reply.status == "answered"
    record = await agent.record(reply)
    assert str(first.confirm_code) not in record.model_dump_json()
    assert f"[approval card of request {first.request_id}]" in record.model_dump_json()
