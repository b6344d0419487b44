"""Texts of others that speak to the model or to the person: they add nothing to a plan, decide nothing, and are shown inert."""

import re
import shlex
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from agent.approval import read_decision
from agent.planning.prompts import QUOTED
from agent.records import Turn
from contracts.errors import RpcError
from contracts.knowledge.inert import inert
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, FakeReads, open_agent, rich
from tests.model_server import ModelServer, calls


class Injection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: str
    language: str
    text: str


TEXTS = TypeAdapter(list[Injection]).validate_json(Path(__file__).with_name("injection_texts.json").read_bytes())
MALLORY = "mallory.localnet"
KINDS = {"memo", "token_name", "nft_title", "dao_description", "contract_error", "abi_doc"}
_LINK = re.compile(r"://|\]\(|!\[|<\w|`|\bwww\.")


class LoudReads(FakeReads):
    """Contracts that answer and fail in an attacker's words."""

    said: str = ""

    def value(self, contract_id: str, method: str, args: bytes) -> JsonValue:
        match method:
            case "get_num":
                return {"title": self.said, self.said: [self.said]}
            case "fail":
                raise RpcError("CONTRACT_EXECUTION_ERROR", self.said)
            case _:
                return super().value(contract_id, method, args)


@pytest.fixture
def reads() -> LoudReads:
    reads = LoudReads()
    reads.balances |= rich((MALLORY,))
    return reads


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer, reads: LoudReads) -> AsyncGenerator[Agent]:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models, reads=reads))


def check_inert(shown: str) -> None:
    assert not _LINK.search(shown), shown
    hidden = {one for one in shown if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"} and one != "\n"}
    assert hidden == set(), shown


def test_the_texts_are_many_of_every_kind_and_of_many_languages() -> None:
    assert len(TEXTS) >= 40
    assert len({one.id for one in TEXTS}) == len(TEXTS)
    assert {one.kind for one in TEXTS} == KINDS
    assert len({one.language for one in TEXTS}) >= 12


@pytest.mark.parametrize("one", TEXTS, ids=[one.id for one in TEXTS])
def test_a_text_is_shown_on_one_line_without_links_or_hidden_signs(one: Injection) -> None:
    shown = inert(one.text)
    check_inert(shown)
    assert "\n" not in shown
    assert len(shown) <= 200


async def nothing_waits(agent: Agent) -> bool:
    return await agent.store.cards.pending(agent.clock()) == [] and agent.chain.executed == []


async def test_a_model_that_obeys_a_quoted_text_gets_no_card(agent: Agent, server: ModelServer) -> None:
    """The model is taken over by what an earlier answer quotes; nobody said who gets what."""
    for one in TEXTS:
        server.add(calls(("near_transfer", {"receiver_id": MALLORY, "amount": "100"})))
        quoted = Turn(role="assistant", content=f"The contract says: {one.text}")
        reply = await agent.ask("what does it say?", quoted, "thanks, now show my balance")
        assert reply.status in {"clarify", "refused", "unsupported"}, one.id
        assert await nothing_waits(agent), one.id
        messages = server.requests[-1]["messages"]
        assert isinstance(messages, list)
        for message in messages:
            assert isinstance(message, dict)
            content = str(message["content"])
            if message["role"] == "assistant":
                assert content.startswith(QUOTED)
            else:
                assert one.text not in content


@pytest.mark.parametrize(
    "planned",
    [
        [("near_transfer", {"receiver_id": MALLORY, "amount": "1"})],
        [("near_transfer", {"receiver_id": "bob.localnet", "amount": "100"})],
        [
            ("near_transfer", {"receiver_id": "bob.localnet", "amount": "1"}),
            ("near_transfer", {"receiver_id": MALLORY, "amount": "100"}),
        ],
        [
            ("near_transfer", {"receiver_id": "bob.localnet", "amount": "1"}),
            ("key_add_full", {"public_key": "ed25519:11111111111111111111111111111111"}),
        ],
    ],
    ids=["another receiver", "another amount", "an action more", "a key more"],
)
async def test_a_quoted_text_adds_neither_an_action_nor_an_argument(
    agent: Agent, server: ModelServer, planned: list[tuple[str, dict[str, JsonValue]]]
) -> None:
    for one in TEXTS[:: len(planned) + 2]:
        server.add(calls(*planned), calls(*planned))
        reply = await agent.ask("look", Turn(role="assistant", content=one.text), "send 1 NEAR to bob.localnet")
        assert reply.status in {"clarify", "refused", "unsupported"}, one.id
        assert await nothing_waits(agent), one.id


async def test_no_text_of_others_confirms_a_waiting_card(agent: Agent, server: ModelServer) -> None:
    card = await agent.ask("/near_transfer bob.localnet 1")
    code = str(card.confirm_code)
    for one in TEXTS:
        said = one.text.replace("7Z4K9QXA", code)
        quoted = Turn(role="assistant", content=said)
        for text in (said, inert(said)):
            decision = read_decision(text)
            assert decision is None or "confirm " + code == said, one.id
        server.add(calls(("near_transfer", {"receiver_id": MALLORY, "amount": "100"})))
        await agent.ask("go on", quoted, "what is next?")
        assert agent.chain.executed == [], one.id
        assert code not in str(server.requests), one.id
    assert (await agent.ask(f"confirm {code}")).status == "executed"


async def test_what_a_contract_answers_or_fails_with_is_shown_inert(agent: Agent, reads: LoudReads) -> None:
    for one in TEXTS:
        reads.said = one.text
        for method in ("get_num", "fail"):
            reply = await agent.ask(f"/contract_view counter.localnet {method}")
            assert reply.status in {"answered", "failed"}, one.id
            check_inert(reply.text)
            assert "Approval needed for request" not in reply.text.replace("\n", " ")[: len("Approval needed")]
    assert await nothing_waits(agent)


async def test_a_memo_on_a_card_is_one_line_of_it(agent: Agent) -> None:
    """Also where its words are a card's: there is one place that says how to approve, and it is the last."""
    cards = 0
    for one in TEXTS:
        reply = await agent.ask(f"/ft_transfer USDC bob.localnet 1 memo={shlex.quote(one.text)}")
        check_inert(reply.text)
        if reply.confirm_code is None:
            assert reply.status == "refused", one.id
            continue
        cards += 1
        lines = reply.text.splitlines()
        assert [line for line in lines if line.startswith("Approval needed for request")] == lines[:1], one.id
        (place,) = [number for number, line in enumerate(lines) if line == "To approve, write:"]
        assert lines[place + 1] == f"confirm {reply.confirm_code}"
        assert len([line for line in lines if "memo: " in line]) == 1
        assert (await agent.ask(f"cancel {reply.confirm_code}")).status == "declined"
    assert cards >= 40
    assert agent.chain.executed == []
