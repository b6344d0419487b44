"""Pre-flight predicts: random calls over the embedded contracts, half of them made to fail, come out as foretold."""

import random
from collections import Counter

import pytest

from contracts.checks.policy import Subject, judge
from contracts.simulation.messages import TokenOf
from contracts.simulation.preflight import PreflightRequest
from tests.contracts.checks.policies import policy
from tests.contracts.simulation.random_calls import EMBEDDED, Caller
from tests.contracts.simulation.world import USDC, WRAP, World, report_of

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


async def test_no_more_leaves_the_signer_than_the_policy_reads_in_the_calls(world: World) -> None:
    """Honest calls give no reason to ask: a simulated outflow beyond what was read is another contract's reading."""
    caller = Caller(random.Random(8))
    limits = policy("".join(f'limits.{token}.per_day = "1"\n' for token in ("NEAR", "USDC", "wNEAR")))
    left = 0
    for _ in range(CALLS):
        signer_id, change = caller.draw(EMBEDDED)
        watched = tuple(TokenOf(signer_id, token) for token in (USDC, WRAP))
        report = await report_of(world.service, PreflightRequest(signer_id, (change,), watched=watched))
        subject = Subject("localnet", "key", signer_id, (change,), (0,), frozenset(), outflows=report.outflows)
        reasons = [reason for reason in judge(limits, subject).reasons if reason.rule == "preflight.outflow"]
        assert reasons == [], (change, report)
        left += any(units > 1 for place, units in report.outflows.items() if place[0] == signer_id)
        await world.carry_out(signer_id, change)
    assert left >= CALLS // 5
