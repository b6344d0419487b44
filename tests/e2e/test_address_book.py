"""Names of the address book on the embedded chain: by command, in words through a model, several in one plan."""

from collections.abc import Generator
from pathlib import Path

import pytest

from agent.records import CallPlan
from tests.e2e.programs import RunningDaemon, daemon, records
from tests.training.provider_server import ProviderState, serving_provider

WORDS = "send 1 NEAR to bob and 2 USDC to Carol"
POLICY = """version = 1
[address_book]
bob = "bob.localnet"
carol = "carol.localnet"
"""


@pytest.fixture
def provider() -> Generator[ProviderState]:
    with serving_provider() as state:
        yield state


@pytest.fixture
def running(tmp_path: Path, provider: ProviderState) -> Generator[RunningDaemon]:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "policy.toml").write_text(POLICY)
    more = {
        "NEAR_AGENT_MODELS__STANDARD__BASE_URL": provider.url,
        "NEAR_AGENT_MODELS__STANDARD__MODEL": "standard-model",
    }
    with daemon(folder, more=more) as started:
        yield started


def test_names_move_money_to_the_accounts_of_the_policys_file(running: RunningDaemon, provider: ProviderState) -> None:
    provider.plans[WORDS] = [
        ("near_transfer", {"receiver_id": "bob", "amount": "1"}),
        ("ft_transfer", {"token": "USDC", "receiver_id": "carol.localnet", "amount": "2"}),
    ]
    before = running.chain_balance_yocto("bob.localnet")
    card = running.say(WORDS)
    assert card.facts["status"] == "needs_approval", card.text
    assert 'to bob.localnet ("bob" in the address book)' in card.text
    assert 'to carol.localnet ("Carol" in the address book)' in card.text
    done = running.say(f"confirm {card.facts['confirm_code']}")
    assert done.facts["status"] == "executed", done.text
    assert running.chain_balance_yocto("bob.localnet") == before + 10**24
    assert "2 USDC" in running.say("/ft_balance USDC carol").text

    card = running.say("/near_transfer Bob 1.5")
    assert '("Bob" in the address book)' in card.text
    assert running.say(f"confirm {card.facts['confirm_code']}").facts["status"] == "executed"
    assert running.chain_balance_yocto("bob.localnet") == before + 25 * 10**23
    assert running.say("/near_transfer dave 1").facts["status"] == "refused"

    kept = next(record for record in records(running.folder) if record.request.text == WORDS)
    assert isinstance(kept.plan, CallPlan)
    became = [(call.args["receiver_id"], call.sources["receiver_id"].written) for call in kept.plan.calls]
    assert became == [("bob.localnet", "bob"), ("carol.localnet", "Carol")]
