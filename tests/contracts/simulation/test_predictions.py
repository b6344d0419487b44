"""Pre-flight predicts: random calls over the embedded contracts, half of them made to fail, come out as foretold."""

import random
from collections import Counter

import pytest

from tests.contracts.simulation.random_calls import EMBEDDED, Caller
from tests.contracts.simulation.world import World

CALLS = 120
"""With the 80 over real contracts (tests/real_contracts/test_predictions.py) these are 200."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_random_calls_come_out_as_foretold(world: World) -> None:
    """Outcome, logs, effects and balances are equal, or the pre-flight said that it does not know."""
    caller = Caller(random.Random(20_261_121))
    results = Counter([await world.assert_came_true(*caller.draw(EMBEDDED)) for _ in range(CALLS)])
    print(f"\n{CALLS} random calls over embedded contracts: {dict(results)}, {results['unknown'] / CALLS:.1%} unknown")
    assert results["unknown"] == 0
    assert results["failure"] >= CALLS // 3
    assert results["success"] >= CALLS // 3
    assert results["partial"] >= 1
