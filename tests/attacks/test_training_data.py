"""Data sets are private, whole for every reader, and hold every request that was executed, however it was approved."""

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.model_server import calls, open_model_server
from training.cli import app
from training.data import dataset
from training.data.formats import check_lines

FREE = """
version = 1
[address_book]
bob = "bob.localnet"
[default.limits.NEAR]
free_per_action = "2"
free_per_day = "5"
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def build(folder: Path) -> tuple[Path, dataset.Manifest]:
    return dataset.build(folder / "agent.db", folder / "training", held_out_percent=20, seed=0)


async def views(agent: Agent, count: int = 6) -> None:
    for number in range(count):
        await agent.ask(f"/near_balance {('alice', 'bob', 'carol')[number % 3]}.localnet", conversation=f"c{number}")


async def test_a_data_set_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_agent(tmp_path) as agent:
            await views(agent)
        place, _ = build(tmp_path)
    finally:
        os.umask(before)
    assert {path.name for path in place.iterdir()} == {dataset.TRAIN, dataset.HELD_OUT, dataset.MANIFEST}
    assert {mode(path) for path in place.iterdir()} == {0o600}
    assert {mode(folder) for folder in (place, place.parent, place.parent.parent)} == {0o700}


async def test_a_data_set_of_an_earlier_version_is_closed_when_it_is_built_again(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        await views(agent)
    place, _ = build(tmp_path)
    for path in place.iterdir():
        path.chmod(0o644)
    assert build(tmp_path)[0] == place
    assert {mode(path) for path in place.iterdir()} == {0o600}


async def test_request_within_the_free_allowance_becomes_a_training_line(tmp_path: Path) -> None:
    """Its record names its own card, as a confirmation names another request's."""
    async with open_agent(tmp_path, policy=FREE) as agent:
        free = await agent.ask("/near_transfer bob.localnet 1.5", conversation="free")
        assert free.status == "executed"
        assert (await agent.record(free)).approval_of == free.request_id
        asked = await agent.ask("/near_transfer carol.localnet 4", conversation="asked")
        assert asked.status == "needs_approval"
        done = await agent.ask(f"confirm {asked.confirm_code}", conversation="asked")
        assert done.status == "executed"
        waiting = await agent.ask("/near_transfer carol.localnet 4.5", conversation="waiting")
        assert waiting.status == "needs_approval"
    place, manifest = build(tmp_path)
    assert manifest.actions == {"near_transfer": 2}
    assert manifest.left_out == {"confirm_or_cancel": 1, "not_executed": 1}
    lines = check_lines((place / dataset.TRAIN).read_bytes(), dataset.TRAIN)
    called = [line.messages[-1].tool_calls or [] for line in lines]
    assert [json.loads(call.function.arguments)["amount"] for (call,) in called] == ["1.5", "4"]


@pytest.mark.parametrize("ending", ["failed", "partial", "unconfirmed"])
async def test_free_request_that_did_not_go_well_becomes_no_line(tmp_path: Path, ending: str) -> None:
    async with open_agent(tmp_path, policy=FREE) as agent:
        await views(agent)
        agent.chain.endings = [ending]
        reply = await agent.ask("/near_transfer bob.localnet 1.5", conversation="free")
        assert reply.status not in {"executed", "needs_approval"}
    _, manifest = build(tmp_path)
    assert "near_transfer" not in manifest.actions
    assert manifest.left_out["not_executed"] == 1


async def test_a_text_with_line_ends_of_unicode_is_one_line_for_every_reader(tmp_path: Path) -> None:
    """`str.splitlines` and the readers built on it end lines at U+2028, U+2029 and U+0085 too, which JSON allows raw."""
    async with (
        open_model_server() as server,
        open_models_at(tmp_path, server) as models,
        open_agent(tmp_path, models) as agent,
    ):
        for number, end in enumerate(("\u2028", "\u2029", "\u0085", "\n", "\x0b", "\x1c")):
            account = f"user{number}.localnet"
            agent.reads.balances[account] = 1
            server.add(calls(("near_balance", {"account_id": account})))
            reply = await agent.ask(f"please tell{end}the balance of {account}", conversation=f"c{number}")
            assert reply.status == "answered", reply.text
    place, manifest = build(tmp_path)
    assert sum(entry.lines for entry in manifest.files) >= 4
    for entry in manifest.files:
        text = (place / entry.name).read_text(encoding="utf-8")
        assert len(text.splitlines()) == text.count("\n") == entry.lines
        for line in text.splitlines():
            assert json.loads(line)["messages"][-1]["role"] == "assistant"


def test_a_training_folder_that_earlier_versions_left_open_is_closed_by_any_command(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    (folder / "datasets" / "d").mkdir(parents=True)
    folder.chmod(0o755)
    done = CliRunner().invoke(app, ["dataset", "build", "--data-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "no database at" in done.output
    assert mode(folder) == 0o700
