"""What one question costs: its record, and how often its prompt is looked at."""

import json
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from agent.planning.planner import Planner
from agent.planning.prompts import SYSTEM
from agent.records import read_records
from agent.redaction import texts
from contracts.catalogue.index import CATALOGUE
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import REGISTRY, Agent, open_agent
from tests.model_server import ModelServer, call

QUESTION = "how much NEAR does bob.localnet have?"
MAX_RECORD_BYTES = 3_000


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer) -> AsyncGenerator[Agent]:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models))


@dataclass
class Looks:
    """How often the redaction was handed the agent's own text, from outside of it."""

    system: int = 0
    tools: int = 0
    marks: tuple[str, str] = field(default=(SYSTEM[:60], CATALOGUE["near_balance"].about))

    def see(self, frame: FrameType, event: str, _argument: object) -> None:
        entered = event == "call" and frame.f_code.co_filename == texts.__file__
        if not entered or frame.f_back is None or frame.f_back.f_code.co_filename == texts.__file__:
            return
        code = frame.f_code
        given = repr([frame.f_locals[name] for name in code.co_varnames[: code.co_argcount]])
        self.system += self.marks[0] in given
        self.tools += self.marks[1] in given


@contextmanager
def looks() -> Generator[Looks]:
    seen = Looks()
    before: Any = sys.getprofile()
    threading.setprofile(seen.see)
    sys.setprofile(seen.see)
    try:
        yield seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


async def test_the_redaction_sees_the_system_prompt_and_the_tools_once(agent: Agent, server: ModelServer) -> None:
    server.add(*[call("near_balance", account_id="bob.localnet")] * 20)
    with looks() as seen:
        for _ in range(20):
            assert (await agent.ask(QUESTION)).status == "answered"
    assert (seen.system, seen.tools) == (1, 1)


async def test_a_record_of_a_question_is_small_and_reads_back_as_it_was_sent(
    agent: Agent, server: ModelServer, tmp_path: Path
) -> None:
    server.add(
        call("near_balance", account_id="bob.localnet"),
        call("near_transfer", to="bob.localnet", amount="1.5"),
        call("near_transfer", receiver_id="bob.localnet", amount="1.5"),
    )
    await agent.ask(QUESTION)
    await agent.ask("send 1.5 NEAR to bob.localnet please")
    with closing(sqlite3.connect(tmp_path / "agent.db")) as connection:
        (first, _) = connection.execute("SELECT length(CAST(record AS BLOB)) FROM records ORDER BY seq").fetchall()
        assert connection.execute("SELECT count(*) FROM preambles").fetchone() == (1,)
    assert first[0] <= MAX_RECORD_BYTES
    exchanges = [one for record in read_records(tmp_path / "agent.db") for one in record.exchanges]
    kept = [(one.messages, one.tools.model_dump(mode="json")) for one in exchanges]
    sent = [(body["messages"], body["tools"]) for body in server.requests]
    assert json.dumps(kept) == json.dumps(sent)


async def test_the_tools_follow_a_catalogue_that_grows(server: ModelServer, tmp_path: Path) -> None:
    growing = {name: CATALOGUE[name] for name in ("near_balance", "near_transfer")}
    planner = Planner(growing, REGISTRY)
    server.add(*[call("near_balance", account_id="bob.localnet")] * 3)
    async with open_models_at(tmp_path, server) as models, open_agent(tmp_path) as agent:
        provider = models.standard()
        assert provider is not None
        planned = [await planner.plan_words(agent.request(QUESTION), provider, text_only=True) for _ in range(2)]
        growing["account_view"] = CATALOGUE["account_view"]
        planned.append(await planner.plan_words(agent.request(QUESTION), provider, text_only=True))
    assert planned[0].preamble is planned[1].preamble is not planned[2].preamble
    assert [len(json.loads(json.dumps(body["tools"]))) for body in server.requests] == [2, 2, 3]
