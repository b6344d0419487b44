"""`python -m tests.drill [--transfers N] [--kills N] [--rollbacks N] [--peer-transfers N] [--seed N]`: the drill, its counts, and
a peer's next to them."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from contracts.types import format_near
from tests.drill.drill import Counts, run_drill
from tests.drill.near_kit import PeerCounts, run_near_kit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transfers", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer-transfers", type=int, default=100, help="how many near-kit makes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        ours = asyncio.run(
            run_drill(
                Path(folder, "ours"),
                transfers=options.transfers,
                kills=options.kills,
                rollbacks=options.rollbacks,
                seed=options.seed,
            )
        )
        _print_ours(ours, time.monotonic() - started)
        started = time.monotonic()
        peer = asyncio.run(run_near_kit(Path(folder, "peer"), transfers=options.peer_transfers, seed=options.seed))
        _print_peer(peer, time.monotonic() - started)
    held = (
        ours.acknowledged_yocto + ours.forgotten_yocto == ours.moved_yocto
        and not ours.twice
        and not ours.told_otherwise
        and not ours.without_one_record
        and "unconfirmed" not in ours.ends
    )
    print("the drill held" if held else "THE DRILL FAILED")
    return 0 if held else 1


def _print_ours(counts: Counts, seconds: float) -> None:
    print(
        f"near-agent: {counts.transfers} transfers, {counts.kills} kills, {counts.rollbacks} rollbacks of the data folder, "
        f"{seconds:.0f} s"
    )
    print(f"  told: {dict(counts.ends)}")
    print(f"  acknowledged {format_near(counts.acknowledged_yocto)} NEAR, moved {format_near(counts.moved_yocto)} NEAR")
    print(f"  moved twice: {len(counts.twice)}; told otherwise than it is: {len(counts.told_otherwise)}")
    print(
        f"  under way at a rollback: {len(counts.forgotten)}, which moved {format_near(counts.forgotten_yocto)} NEAR beyond what "
        f"was acknowledged; their cards confirmed again: {dict(sorted(counts.confirmed_again.items()))}"
    )
    print(f"  records: {counts.requests}; answers without exactly one record: {len(counts.without_one_record)}")
    print(f"  faults: {dict(sorted(counts.faults.items()))}")


def _print_peer(counts: PeerCounts, seconds: float) -> None:
    print(f"near-kit (PyPI), the same network, no kills: {counts.transfers} transfers, {seconds:.0f} s")
    print(f"  told done: {counts.told_done}; raised: {dict(counts.raised)}")
    print(f"  acknowledged {format_near(counts.acknowledged_yocto)} NEAR, moved {format_near(counts.moved_yocto)} NEAR")
    print(f"  moved twice: {len(counts.twice)}; told otherwise than it is: {len(counts.told_otherwise)}")


if __name__ == "__main__":
    sys.exit(main())
