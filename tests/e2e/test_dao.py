"""A DAO of three people, each with a key of their own, through the daemon; and tokens sent with a message."""

from collections.abc import Generator

import pytest

from tests.e2e.people import People, daemon_of_three


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Generator[People]:
    with daemon_of_three(tmp_path_factory.mktemp("dao") / "data") as three:
        yield three


PAY = "dao_id=dao.localnet receiver_id=carol.localnet"


@pytest.mark.shows("dao_propose_transfer", "embedded")
@pytest.mark.shows("dao_vote", "embedded")
@pytest.mark.shows("dao_proposal", "embedded")
@pytest.mark.shows("dao_proposals", "embedded")
def test_two_councillors_pay_out_near(people: People) -> None:
    before = people.running.chain_balance_yocto("carol.localnet")
    card, done = people.alice.done(f"/dao_propose_transfer {PAY} description='the roof' amount=2.5")
    assert "propose that dao.localnet pays 2.5 NEAR to carol.localnet, as alice.localnet" in card
    assert "1 NEAR of bond is held by dao.localnet" in card
    assert done.facts["outcomes"][0]["value"] == 0
    shown = people.bob.told("/dao_proposal dao.localnet 0")
    assert "Proposal 0 (InProgress) by alice.localnet: pay 2.5 NEAR to carol.localnet" in shown
    assert "“the roof”" in shown
    card, _ = people.alice.done("/dao_vote dao.localnet 0 approve")
    assert "vote to approve proposal 0 of dao.localnet: pay 2.5 NEAR to carol.localnet" in card
    assert "this vote does not decide yet" in card
    assert "voted Approve on proposal 0 of dao.localnet already" in people.alice.refused(
        "/dao_vote dao.localnet 0 reject"
    )
    card, _ = people.bob.done("/dao_vote dao.localnet 0 approve")
    assert "this vote decides: it is carried out at once" in card
    assert people.running.chain_balance_yocto("carol.localnet") == before + 25 * 10**23
    assert "0 (Approved)" in people.carol.told("/dao_proposals dao.localnet")
    assert "is Approved and takes no more votes" in people.carol.refused("/dao_vote dao.localnet 0 approve")
    assert "has no such proposal" in people.carol.refused("/dao_vote dao.localnet 99 approve")
    assert "write one of: approve, reject, remove" in people.carol.refused("/dao_vote dao.localnet 0 aprove")


@pytest.mark.shows("dao_propose_transfer", "embedded")
@pytest.mark.shows("dao_vote", "embedded")
def test_a_token_payout_fails_while_its_receiver_is_not_registered(people: People) -> None:
    card, done = people.bob.done(f"/dao_propose_transfer {PAY} description=design amount=12.5 token=USDC")
    number = done.facts["outcomes"][0]["value"]
    assert "Warning: carol.localnet is not registered with usdc.localnet" in card
    people.alice.done(f"/dao_vote dao.localnet {number} approve")
    card, voted = people.carol.does(f"/dao_vote dao.localnet {number} approve")
    assert "pay 12.5 USDC (usdc.localnet) to carol.localnet" in card
    assert "the payout fails until somebody does /storage_deposit usdc.localnet carol.localnet" in card
    assert voted.facts["status"] == "partially_executed", voted.text
    assert "is not registered" in voted.text
    assert f"{number} (Failed)" in people.carol.told("/dao_proposals dao.localnet")
    assert "can be finalized again" in people.bob.refused(f"/dao_vote dao.localnet {number} approve")


@pytest.mark.shows("ft_transfer_call", "embedded")
@pytest.mark.parametrize(
    ("message", "status", "told"),
    [
        ("1000000", "partially_executed", "counter.localnet used 1.5 of 2.5 USDC"),
        ("panic", "partially_executed", "counter.localnet used none of 2.5 USDC"),
        ("2500000", "partially_executed", "counter.localnet used none of 2.5 USDC"),
        ("0", "executed", "counter.localnet used all of 2.5 USDC"),
    ],
)
def test_what_a_contract_used_is_told(people: People, message: str, status: str, told: str) -> None:
    answer = people.alice.say(f"/ft_transfer_call USDC counter.localnet 2.5 {message}")
    assert answer.facts["status"] == "needs_approval", answer.text
    assert "send 2.5 USDC (usdc.localnet) from alice.localnet to the contract counter.localnet" in answer.text
    done = people.alice.say(f"confirm {answer.facts['confirm_code']}")
    assert done.facts["status"] == status, done.text
    assert told in done.text


@pytest.mark.shows("ft_transfer_call", "embedded")
def test_tokens_with_a_message_go_to_contracts_only(people: People) -> None:
    assert "ft_transfer sends tokens to a person" in people.alice.refused("/ft_transfer_call USDC bob.localnet 1 hi")
    inner = """'{"to": "mallory.localnet", "then": "{\\"owner_id\\": \\"eve.localnet\\"}"}'"""
    card = people.alice.card(f"/ft_transfer_call USDC counter.localnet 1 {inner}")
    assert "mallory.localnet" in card.text
    assert "eve.localnet" in card.text
