"""Each kind of argument has a way to be traced to the requester's words, and a model's call of it becomes a plan."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import pytest

from agent.planning.planner import VALUE_KINDS
from agent.records import CallPlan, Clarification
from contracts.catalogue.arguments import ArgumentKind
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import open_agent
from tests.model_server import call, open_model_server


def test_no_kind_is_without_a_way() -> None:
    assert set(VALUE_KINDS) == set(get_args(ArgumentKind))


@pytest.mark.parametrize(
    ("words", "args", "asked"),
    [
        (
            "approve proposal #3 of dao.localnet",
            {"dao_id": "dao.localnet", "proposal_id": "3", "vote": "approve"},
            None,
        ),
        ("approve proposal 3 of dao.localnet", {"dao_id": "dao.localnet", "proposal_id": 3, "vote": "approve"}, None),
        ("approve proposal 33 of dao.localnet", {"dao_id": "dao.localnet", "proposal_id": "3", "vote": "approve"}, "3"),
        ("say yes to 3 of dao.localnet", {"dao_id": "dao.localnet", "proposal_id": "3", "vote": "approve"}, "approve"),
    ],
)
async def test_a_vote_by_words(tmp_path: Path, words: str, args: dict[str, str], asked: str | None) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_model_server())
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        agent = await stack.enter_async_context(open_agent(tmp_path, models))
        server.add(call("dao_vote", **args))
        reply = await agent.plan(words)
        if asked is None:
            assert isinstance(reply.plan, CallPlan)
            (planned,) = reply.plan.calls
            assert planned.args == {"dao_id": "dao.localnet", "proposal_id": "3", "vote": "approve"}
        else:
            assert isinstance(reply.plan, Clarification)
            assert repr(asked) in reply.text
