import signal
import urllib.error
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from tests.e2e.programs import KILLABLE, RunningDaemon, daemon, log_of, records, run_to_its_end

NEAR = 10**24
POINTS = [
    "before_sign",
    "after_sign",
    "after_signed_stored",
    "after_sending_stored",
    "after_socket_write",
    "after_answer",
    "after_final_stored",
    "after_record",
]
MUST_HAVE_MOVED = {"after_sending_stored", "after_socket_write", "after_answer", "after_final_stored", "after_record"}
NOTHING_SIGNED = {"before_sign", "after_sign"}


@dataclass(frozen=True)
class Killed:
    """What was under way when the daemon died."""

    point: str
    card_id: str
    code: str
    amount_yocto: int
    bob_yocto: int
    """Before it."""


def confirm_and_die(running: RunningDaemon, point: str, amount_yocto: int) -> Killed:
    bob_yocto = running.chain_balance_yocto("bob.localnet")
    card = running.say(f"/near_transfer bob.localnet {amount_yocto // NEAR}")
    assert card.facts["status"] == "needs_approval", card
    code = card.facts["confirm_code"]
    try:
        answer = running.say(f"confirm {code}")
    except (urllib.error.URLError, HTTPException, ConnectionError):
        assert running.process.wait(10) == -signal.SIGKILL
        return Killed(point, card.facts["request_id"], code, amount_yocto, bob_yocto)
    raise AssertionError(f"the daemon lived on: {answer}\n{log_of(running.folder)}")


def check_restarted(running: RunningDaemon, killed: Killed) -> None:
    """It moved at most once, and its one record, a second confirm and the chain say the same."""
    moved_yocto = running.chain_balance_yocto("bob.localnet") - killed.bob_yocto
    assert moved_yocto in {0, killed.amount_yocto}, killed
    moved = moved_yocto > 0
    assert moved or killed.point not in MUST_HAVE_MOVED, killed
    assert not moved or killed.point not in NOTHING_SIGNED, killed
    kept = records(running.folder)
    ids = [record.request.request_id for record in kept]
    assert len(ids) == len(set(ids))
    assert [record.status for record in kept if record.request.request_id == killed.card_id] == ["needs_approval"]
    [first] = [record for record in kept if record.approval_of == killed.card_id]
    assert ("final" in {outcome.status for outcome in first.call_outcomes}) == moved, (killed, first)
    again = running.say(f"confirm {killed.code}")
    assert (again.facts["status"] == "executed") == moved, (killed, again)
    if moved:
        assert first.call_outcomes[0].tx_hash == again.facts["outcomes"][0]["tx_hash"]
    assert running.chain_balance_yocto("bob.localnet") == killed.bob_yocto + moved_yocto


def test_a_kill_at_any_point_neither_loses_nor_repeats_a_transfer(tmp_path: Path) -> None:
    """One data folder, killed at every point in turn; each start settles what the last kill left."""
    folder = tmp_path / "data"
    killed: Killed | None = None
    for place, point in enumerate(POINTS):
        # Of its run's records the confirmation's is the third: the last run's second confirm, the card, and then it.
        more = {"KILL_POINT": point, "KILL_AT": "3" if point == "after_record" else "1", "KILL_FROM": "ready"}
        with daemon(folder, KILLABLE, more) as running:
            if killed is not None:
                check_restarted(running, killed)
            killed = confirm_and_die(running, point, 2**place * NEAR)
    with daemon(folder) as running:
        assert killed is not None
        check_restarted(running, killed)
        assert running.terminate() == 0


def test_a_kill_while_an_earlier_one_is_settled_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(
        folder, KILLABLE, {"KILL_POINT": "after_sending_stored", "KILL_AT": "1", "KILL_FROM": "ready"}
    ) as first:
        killed = confirm_and_die(first, "after_sending_stored", 3 * NEAR)
    for point in ("after_socket_write", "after_final_stored"):
        more = {"KILL_POINT": point, "KILL_AT": "1", "KILL_FROM": "start"}
        assert run_to_its_end(folder, KILLABLE, more) == -signal.SIGKILL, point
    with daemon(folder) as last:
        check_restarted(last, killed)
        assert last.terminate() == 0
