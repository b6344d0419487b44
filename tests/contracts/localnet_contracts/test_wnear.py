"""Wrapped NEAR: what is deposited can be withdrawn, to the yocto."""

import pytest

from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, COUNTER, MINIMUM, NEAR, WRAP, World, event


def wrapped(world: World, account_id: str) -> int:
    balance = world.view(WRAP, "ft_balance_of", {"account_id": account_id})
    assert isinstance(balance, str)
    return int(balance)


def test_an_unregistered_caller_pays_the_storage_out_of_the_amount(world: World) -> None:
    story = world.call(ALICE, WRAP, "near_deposit", deposit=NEAR)
    minted = NEAR - MINIMUM
    assert story.logs[0] == f"Deposit {minted} NEAR to alice.localnet"
    assert story.events == [event("ft_mint", owner_id=ALICE, amount=str(minted))]
    assert wrapped(world, ALICE) == minted
    assert world.view(WRAP, "ft_total_supply") == str(minted)


def test_a_registered_caller_gets_it_all(world: World) -> None:
    assert world.call(ALICE, WRAP, "storage_deposit", deposit=MINIMUM).failures == []
    assert world.call(ALICE, WRAP, "near_deposit", deposit=NEAR).failures == []
    assert wrapped(world, ALICE) == NEAR


def test_exactly_the_minimum_registers_and_mints_nothing(world: World) -> None:
    story = world.call(ALICE, WRAP, "near_deposit", deposit=MINIMUM)
    assert (story.logs, wrapped(world, ALICE)) == (["Deposit 0 NEAR to alice.localnet"], 0)
    assert world.view(WRAP, "storage_balance_of", {"account_id": ALICE}) is not None


@pytest.mark.parametrize(
    ("deposit", "message"), [(0, "Requires positive attached deposit"), (MINIMUM - 1, "ERR_DEPOSIT_TOO_SMALL")]
)
def test_too_little_is_refused(world: World, deposit: int, message: str) -> None:
    near = world.balance(ALICE)
    assert message in world.call(ALICE, WRAP, "near_deposit", deposit=deposit).panic
    assert world.balance(ALICE) == near


def test_what_was_wrapped_comes_back_with_the_attached_yocto(world: World) -> None:
    near = world.balance(ALICE)
    world.call(ALICE, WRAP, "storage_deposit", deposit=MINIMUM)
    world.call(ALICE, WRAP, "near_deposit", deposit=5 * NEAR)
    story = world.call(ALICE, WRAP, "near_withdraw", {"amount": str(2 * NEAR)}, deposit=1)
    assert (story.value, story.failures) == (b"", [])
    assert story.logs[0] == f"Withdraw {2 * NEAR} yoctoNEAR from alice.localnet"
    assert story.events == [event("ft_burn", owner_id=ALICE, amount=str(2 * NEAR))]
    assert near - world.balance(ALICE) == 3 * NEAR + MINIMUM
    assert (wrapped(world, ALICE), world.view(WRAP, "ft_total_supply")) == (3 * NEAR, str(3 * NEAR))


@pytest.mark.parametrize(
    ("sender", "amount", "deposit", "message"),
    [
        (ALICE, NEAR + 1, 1, "The account doesn't have enough balance"),
        (ALICE, 1, 0, "Requires attached deposit of exactly 1 yoctoNEAR"),
        (BOB, 1, 1, "The account bob.localnet is not registered"),
    ],
)
def test_a_withdrawal_that_cannot_be(world: World, sender: str, amount: int, deposit: int, message: str) -> None:
    world.call(ALICE, WRAP, "storage_deposit", deposit=MINIMUM)
    world.call(ALICE, WRAP, "near_deposit", deposit=NEAR)
    account = ALICE if sender == ALICE else BOB
    story = world.call(account, WRAP, "near_withdraw", {"amount": str(amount)}, deposit=deposit)
    assert message in story.panic
    assert wrapped(world, ALICE) == NEAR


def test_wnear_is_a_token_like_the_others(world: World) -> None:
    world.call(ALICE, WRAP, "near_deposit", deposit=NEAR + MINIMUM)
    for account_id in (CAROL, COUNTER):
        world.call(ALICE, WRAP, "storage_deposit", {"account_id": account_id}, deposit=MINIMUM)
    world.call(ALICE, WRAP, "ft_transfer", {"receiver_id": CAROL, "amount": "5", "memo": "m"}, deposit=1)
    args = {"receiver_id": COUNTER, "amount": "100", "msg": "40"}
    assert world.call(ALICE, WRAP, "ft_transfer_call", args, deposit=1).json == "60"
    assert [wrapped(world, name) for name in (ALICE, CAROL, COUNTER)] == [NEAR - 65, 5, 60]
    metadata = world.view(WRAP, "ft_metadata")
    assert isinstance(metadata, dict)
    assert (metadata["symbol"], metadata["decimals"], metadata["spec"]) == ("wNEAR", 24, "ft-1.0.0")
