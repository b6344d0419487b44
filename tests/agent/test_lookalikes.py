"""An account that can be taken for one that is known is never paid without a person who was told so."""

from pathlib import Path

import pytest

from tests.agent.world import open_agent

POLICY = """version = 1
[address_book]
landlord = "rent-office.localnet"
[default]
always_ask = []
[default.limits.NEAR]
free_per_action = "2"
free_per_day = "9"
"""


@pytest.mark.parametrize(
    ("receiver", "told"),
    [
        ("b0b.localnet", "b0b.localnet is written with signs that look like those of bob.localnet"),
        (
            "rent-offlce.localnet",
            "rent-offlce.localnet is written with signs that look like those of rent-office.localnet",
        ),
        ("rent-ofice.localnet", "rent-ofice.localnet differs in one character from rent-office.localnet"),
        ("usdc.localnet.evil.localnet", "begins like usdc.localnet, and belongs to somebody else"),
        ("alise.localnet", "alise.localnet differs in one character from alice.localnet"),
    ],
)
async def test_look_alikes_of_the_registry_and_the_address_book_ask(tmp_path: Path, receiver: str, told: str) -> None:
    async with open_agent(tmp_path, policy=POLICY) as agent:
        agent.reads.balances |= {receiver: 1, "rent-office.localnet": 1}
        assert (await agent.ask("/near_transfer rent-office.localnet 1")).status == "executed"
        card = await agent.ask(f"/near_transfer {receiver} 1")
        assert card.status == "needs_approval"
        assert told in card.text


async def test_whom_an_account_has_paid_before_is_compared_with_as_well(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=POLICY) as agent:
        agent.reads.balances |= {"studio-nine.localnet": 1, "studio-nlne.localnet": 1}
        assert (await agent.ask("/near_transfer studio-nlne.localnet 1")).status == "executed"
        card = await agent.ask("/near_transfer studio-nine.localnet 1")
        assert card.status == "needs_approval"
        assert "signs that look like those of studio-nlne.localnet" in card.text
        assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"
        again = await agent.ask("/near_transfer studio-nine.localnet 1.5")
        assert again.status == "executed"  # known from now on
