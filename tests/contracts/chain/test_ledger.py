"""The ledger's states, and the double that stands for a store."""

from typing import get_args

import pytest

from contracts.chain.delivery import ENDED
from contracts.chain.ledger import OPEN, TRANSITIONS, UNSETTLED, IntentState, check_transition
from contracts.errors import LedgerConflict
from tests.contracts.chain.lane_conformance import LaneConformance
from tests.contracts.chain.ledger_conformance import LedgerConformance
from tests.doubles import MemoryLedger

STATES: tuple[IntentState, ...] = get_args(IntentState)


class TestMemoryLedger(LedgerConformance, LaneConformance):
    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(STATES)
    assert {"final", "failed", "expired", "fenced", "abandoned"} == ENDED
    assert UNSETTLED < OPEN
    assert OPEN.isdisjoint(ENDED)


def test_what_may_be_on_chain_is_never_abandoned() -> None:
    for state in UNSETTLED:
        with pytest.raises(LedgerConflict) as caught:
            check_transition("one", state, "abandoned")
        assert caught.value.details == {"intent_id": "one", "state": state, "to": "abandoned"}


def test_nothing_is_signed_twice() -> None:
    assert [state for state in STATES if "signed" in TRANSITIONS[state]] == ["approved"]
