from pathlib import Path

from tests.drill.drill import run_drill


async def test_through_faults_and_kills_what_moved_is_what_was_acknowledged(tmp_path: Path) -> None:
    """The short form of `make drill`."""
    counts = await run_drill(tmp_path, transfers=32, kills=2, rollbacks=3, seed=7)
    assert counts.moved_yocto == counts.acknowledged_yocto + counts.forgotten_yocto
    assert counts.acknowledged_yocto > 0
    assert counts.twice == ()
    assert counts.rollbacks == 3
    assert counts.confirmed_again.total() > 0
    assert counts.told_otherwise == ()
    assert counts.without_one_record == ()
    assert set(counts.ends) <= {"executed", "failed", "declined", "refused", "no card"}, counts.ends
    assert sum(counts.faults.values()) > counts.faults["send none"] + counts.faults["read none"]
