"""Records of real conversations become a data set, a job, an evaluation and a specialist that serves."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import LIMIT_S, RunningDaemon, daemon, environment, records
from tests.training.provider_server import ProviderState, serving_provider

VIEWS = [
    f"how much NEAR does {name}.localnet have{mark}"
    for name in ("alice", "bob", "carol")
    for mark in ("?", " now?", " left?")
]
SENDS = [f"please send {amount} NEAR to bob.localnet" for amount in ("0.1", "0.25", "1.5", "2", "3.75")]


def near_train(folder: Path, more: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "training.cli", *arguments],
        env={**environment(folder, more), "PATH": os.environ["PATH"]},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def plans() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """What the scripted models answer: the right plan for every text, and one wrong habit."""
    views = {text: [("near_balance", {"account_id": text.split()[4]})] for text in VIEWS}
    sends = {text: [("near_transfer", {"receiver_id": "bob.localnet", "amount": text.split()[2]})] for text in SENDS}
    return {**views, **sends}


def talk(running: RunningDaemon) -> None:
    """Every text in a conversation of its own, each card confirmed, and slash commands between them."""
    for number, text in enumerate(VIEWS + SENDS):
        answer = running.say(text, X_Near_Agent_Conversation=f"c{number}")
        if answer.facts["status"] == "needs_approval":
            answer = running.say(f"confirm {answer.facts['confirm_code']}")
            assert answer.facts["status"] == "executed", answer.text
        else:
            assert answer.facts["status"] == "answered", answer.text
        assert running.say("/near_balance alice.localnet").facts["status"] == "answered"


def wait_for_specialist(running: RunningDaemon, text: str) -> Any:
    """The answer once the daemon has seen the promotion (within 2 s; the limit here is generous)."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answer = running.say(text, X_Near_Agent_Conversation=f"after-{time.monotonic_ns()}")
        if answer.facts["route"]["target"] == "specialist" or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


@pytest.fixture
def provider(tmp_path: Path) -> Any:
    with serving_provider() as state:
        state.plans.update(plans())
        yield state
    assert state.problems == []


def test_from_records_to_a_specialist_that_serves(provider: ProviderState, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    more = {
        "NEAR_AGENT_MODELS__STANDARD__BASE_URL": provider.url,
        "NEAR_AGENT_MODELS__STANDARD__MODEL": "standard-model",
        "NEAR_AGENT_TRAINING__BASE_URL": provider.url,
        "NEAR_AGENT_TRAINING__MODEL": "gpt-4o-mini",
        "NEAR_AGENT_TRAINING__API_KEY_ENV": "TUNING_KEY",
        "NEAR_AGENT_TRAINING__POLL_S": "0.05",
        "NEAR_AGENT_TRAINING__PRICE_PER_MILLION_TOKENS": "3",
        "TUNING_KEY": "secret-tuning-key",
    }
    with daemon(folder, more=more) as running:
        talk(running)

        built = near_train(folder, more, "dataset", "build", "--json")
        assert built.returncode == 0, built.stderr
        manifest = json.loads(built.stdout)
        lines = {entry["name"]: entry["lines"] for entry in manifest["files"]}
        assert lines["train.jsonl"] >= 10
        assert lines["held_out.jsonl"] >= 2
        assert manifest["actions"]["near_transfer"] == len(SENDS)
        assert manifest["left_out"]["confirm_or_cancel"] == len(SENDS)
        held_out = (Path(manifest["path"]) / "held_out.jsonl").read_text()
        assert "confirm" not in held_out
        assert "/near_balance" not in held_out

        started = near_train(folder, more, "start", "--json")
        assert started.returncode == 0, started.stderr
        run = json.loads(started.stdout)
        assert run["estimate"]["trained_tokens"] > 1000
        assert run["estimate"]["price"] > 0
        assert len(provider.jobs) == 1

        early = near_train(folder, more, "promote")
        assert early.returncode == 2
        assert "not_succeeded" in early.stderr

        followed = near_train(folder, more, "status", "--follow")
        assert followed.returncode == 0, followed.stderr
        assert "Step 1" in followed.stdout
        assert "succeeded" in followed.stdout

        unjudged = near_train(folder, more, "promote")
        assert unjudged.returncode == 2
        assert "near-train evaluate" in unjudged.stderr

        judged = near_train(folder, more, "evaluate", "--json")
        assert judged.returncode == 0, judged.stderr
        report = json.loads(judged.stdout)
        assert report["exact"] == report["lines"] == lines["held_out.jsonl"]
        assert report["misses"] == []

        promoted = near_train(folder, more, "promote", "--json")
        assert promoted.returncode == 0, promoted.stderr
        specialist = json.loads((folder / "specialist.json").read_text())
        assert specialist == json.loads(promoted.stdout)
        assert specialist["model"] == report["model"] == "ft:gpt-4o-mini:org::ftjob-1"

        answer = wait_for_specialist(running, VIEWS[0])
        assert answer.facts["route"]["target"] == "specialist"
        assert answer.facts["route"]["model"] == specialist["model"]
        assert answer.facts["status"] == "answered"
        assert answer.facts["route"]["reason"]
    assert {body["model"] for body in provider.completions} == {"standard-model", specialist["model"]}
    told = "".join(record.model_dump_json() for record in records(folder))
    assert "secret-tuning-key" not in told


def test_what_is_missing_is_told_with_the_next_step(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    nothing = near_train(folder, {}, "dataset", "build")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "run the daemon" in nothing.stderr
    misspelt = near_train(folder, {"NEAR_AGENT_TRAINING__MODLE": "x"}, "start")
    assert misspelt.returncode == 2
    assert "did you mean model?" in misspelt.stderr
    none = near_train(folder, {}, "status", "--run", "run-1")
    assert none.returncode == 2
    assert "Traceback" not in none.stderr
