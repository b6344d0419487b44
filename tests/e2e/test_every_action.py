"""Each action of the catalogue by its slash command, on a daemon with its embedded chain."""

from collections.abc import Generator
from pathlib import Path

import pytest

from contracts.catalogue.index import CATALOGUE
from tests.e2e.programs import Answer, RunningDaemon, daemon


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningDaemon]:
    with daemon(tmp_path_factory.mktemp("every-action") / "data") as started:
        yield started


def view(running: RunningDaemon, command: str) -> str:
    answer = running.say(command)
    assert answer.facts["status"] == "answered", answer.text
    assert answer.facts["outcomes"][0]["status"] == "returned"
    return answer.text


def change(running: RunningDaemon, command: str) -> tuple[str, Answer]:
    """The card's text and the answer to its confirmation."""
    card = running.say(command)
    assert card.facts["status"] == "needs_approval", card.text
    done = running.say(f"confirm {card.facts['confirm_code']}")
    assert done.facts["status"] == "executed", done.text
    return card.text, done


@pytest.mark.shows("near_balance", "embedded")
@pytest.mark.shows("account_view", "embedded")
@pytest.mark.shows("access_keys", "embedded")
@pytest.mark.shows("near_transfer", "embedded")
@pytest.mark.shows("tx_status", "embedded")
def test_near_and_accounts(running: RunningDaemon) -> None:
    assert "10000 NEAR" in view(running, "/near_balance carol.localnet")
    assert "carol.localnet" in view(running, "/account_view carol.localnet")
    assert "ed25519:" in view(running, "/access_keys @me")
    before = running.chain_balance_yocto("carol.localnet")
    card, done = change(running, "/near_transfer carol.localnet 0.000000000000000000000001")
    assert "transfer 1 yoctoNEAR" in card
    assert running.chain_balance_yocto("carol.localnet") == before + 1
    tx_hash = done.facts["outcomes"][0]["tx_hash"]
    status = view(running, f"/tx_status {tx_hash}")
    assert tx_hash in status
    assert "final" in status


@pytest.mark.shows("ft_metadata", "embedded")
@pytest.mark.shows("ft_total_supply", "embedded")
@pytest.mark.shows("ft_balance", "embedded")
@pytest.mark.shows("ft_transfer", "embedded")
@pytest.mark.shows("storage_deposit", "embedded")
@pytest.mark.shows("storage_balance", "embedded")
def test_tokens_and_storage(running: RunningDaemon) -> None:
    assert "6" in view(running, "/ft_metadata USDC")
    assert "USDC" in view(running, "/ft_total_supply USDC")
    assert "not registered" in view(running, "/storage_balance usdc.localnet carol.localnet")
    card, _ = change(running, "/ft_transfer USDT carol.localnet 3.25 memo=rent")
    assert "registers carol.localnet with usdt.localnet" in card
    assert "3.25 USDT" in view(running, "/ft_balance USDT carol.localnet")
    change(running, "/storage_deposit USDC account_id=carol.localnet")
    assert "0.00125 NEAR" in view(running, "/storage_balance usdc.localnet carol.localnet")
    again = running.say("/storage_deposit USDC account_id=carol.localnet")
    assert again.facts["status"] == "refused"


@pytest.mark.shows("near_wrap", "embedded")
@pytest.mark.shows("near_unwrap", "embedded")
def test_wrapping_registers_first_and_gives_all_of_it(running: RunningDaemon) -> None:
    card, _ = change(running, "/near_wrap 2.5")
    assert "registers alice.localnet with wrap.localnet" in card
    assert "2.5 wNEAR" in view(running, "/ft_balance wNEAR @me")
    change(running, "/near_unwrap 1")
    assert "1.5 wNEAR" in view(running, "/ft_balance wNEAR @me")


@pytest.mark.shows("contract_methods", "embedded")
@pytest.mark.shows("contract_view", "embedded")
@pytest.mark.shows("contract_call", "embedded")
def test_any_contract(running: RunningDaemon) -> None:
    assert "increment" in view(running, "/contract_methods counter.localnet")
    change(running, "/contract_call counter.localnet increment")
    assert "1" in view(running, "/contract_view counter.localnet get_num")
    misspelt = running.say("/contract_call counter.localnet incremnt")
    assert misspelt.facts["status"] == "refused"
    assert "increment" in misspelt.text
    change(running, """/contract_call guestbook.localnet add_message '{"text": "# héllo 🚀 `x`"}'""")
    assert "héllo 🚀" in view(running, "/contract_view guestbook.localnet get_messages")


def test_a_contract_that_would_refuse_is_quoted_before_anyone_signs(running: RunningDaemon) -> None:
    refused = running.say("/ft_transfer USDC bob.localnet 999999")
    assert refused.facts["status"] == "refused"
    assert "confirm_code" not in refused.facts
    assert "It would fail, so nothing was sent" in refused.text
    assert "less than is sent" in refused.text
    assert "The account doesn't have enough balance”. To correct it: send less" in refused.text


def test_that_no_action_was_left_out() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [action for action in CATALOGUE if f"/{action} " not in here] == []
