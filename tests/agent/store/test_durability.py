"""What was acknowledged is on disk after kill -9 and after a disk that ran full; nothing is there by half."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.records import read_records
from agent.store.store import open_store
from contracts.chain.ledger import TRANSITIONS
from contracts.types import AccountId
from tests.agent.store.examples import KEY

ROOT = Path(__file__).parents[3]


def acknowledged(lines: list[str]) -> dict[str, set[str]]:
    told: dict[str, set[str]] = {"opened": set(), "signed": set(), "recorded": set()}
    for line in lines:
        event, _, name = line.strip().partition(" ")
        told[event].add(name.replace("chat-", "chat ").replace("-", " "))
    return told


def run_until_killed(path: Path, lines: int) -> dict[str, set[str]]:
    command = [sys.executable, "-m", "tests.agent.store.killed_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
    return acknowledged([line for line in seen + rest if line.endswith("\n")])


async def check(path: Path, told: dict[str, set[str]]) -> None:
    records = [record.request.request_id for record in read_records(path)]
    assert len(records) == len(set(records))
    assert told["recorded"] <= set(records)
    async with open_store(path) as store:
        running = {request.request_id for request in await store.records.interrupted()}
        assert running & set(records) == set()
        assert told["opened"] <= running | set(records)
        intents = await store.ledger.in_states(frozenset(TRANSITIONS))
        signed = [intent for intent in intents if intent.signed is not None]
        assert told["signed"] <= {intent.intent_id for intent in signed}
        assert all((intent.signed is not None) == (intent.state == "signed") for intent in intents)
        last = await store.ledger.last_nonce("localnet", AccountId("alice.localnet"), KEY)
        assert last == max((intent.signed.nonce for intent in signed if intent.signed), default=0)
        for intent in signed:
            assert intent.grant_id is not None
            assert await store.ledger.grant(intent.grant_id) is not None


@pytest.mark.parametrize("lines", [1, 60, 400])
async def test_kill_9_loses_nothing_that_was_acknowledged(path: Path, lines: int) -> None:
    await check(path, run_until_killed(path, lines))


async def test_a_store_lives_through_being_killed_again_and_again(path: Path) -> None:
    async with open_store(path):
        pass
    command = [sys.executable, "-m", "tests.agent.store.killed_writer", str(path)]
    first = run_until_killed(path, 50)
    await check(path, first)
    # The second run meets the ids of the first and stops; what is there stays.
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=240)
    assert done.returncode == 1
    assert "request_exists" in done.stderr or "runs or ran already" in done.stderr
    await check(path, first)


async def test_a_disk_that_runs_full_keeps_what_was_acknowledged(path: Path) -> None:
    """RLIMIT_FSIZE makes every write past 1 MB fail, as on a full disk."""
    async with open_store(path):
        pass
    limit = 1_000_000

    def full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "tests.agent.store.killed_writer", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=240,
        preexec_fn=full_disk,
    )
    assert done.returncode == 1
    assert "StoreError" in done.stderr
    told = acknowledged(done.stdout.splitlines())
    assert len(told["recorded"]) > 10
    await check(path, told)
