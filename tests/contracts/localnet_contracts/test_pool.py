"""The staking pool's interface. Its shares, rounding and waiting are held against the real one in tests/real_contracts."""

from typing import Any

import pytest

from contracts.knowledge.abi import exported_methods
from contracts.types import AccountId, CryptoHash, PublicKey
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, NEAR, World, wasm

POOL = AccountId("pool.localnet")
KEY = PublicKey.from_bytes("ed25519", CryptoHash.of(b"validator").raw)
NEW: dict[str, Any] = {
    "owner_id": BOB,
    "stake_public_key": KEY,
    "reward_fee_fraction": {"numerator": 10, "denominator": 100},
}
METHODS = [
    "new",
    "deposit",
    "deposit_and_stake",
    "stake",
    "stake_all",
    "unstake",
    "unstake_all",
    "withdraw",
    "withdraw_all",
    "ping",
    "get_account",
    "get_account_staked_balance",
    "get_account_unstaked_balance",
    "get_account_total_balance",
    "is_account_unstaked_balance_available",
    "get_total_staked_balance",
    "get_owner_id",
    "get_reward_fee_fraction",
    "get_staking_key",
    "is_staking_paused",
    "get_number_of_accounts",
    "get_accounts",
]


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.add_account(POOL, wasm("pool"))
    assert world.call(POOL, POOL, "new", NEW).failures == []
    return world


def test_every_method_of_the_interface_is_there() -> None:
    assert set(METHODS) <= set(exported_methods(wasm("pool")))


def test_a_new_pool_stakes_all_it_has(world: World) -> None:
    account = world.overlay.account(POOL)
    assert account is not None
    assert (account.amount, account.locked) == (10**12, 1_000 * NEAR - 10**12)
    assert world.view(POOL, "get_total_staked_balance") == str(account.locked)
    assert world.view(POOL, "get_staking_key") == KEY
    assert world.view(POOL, "get_owner_id") == BOB
    assert world.view(POOL, "get_reward_fee_fraction") == {"numerator": 10, "denominator": 100}
    assert world.view(POOL, "is_staking_paused") is False


def test_stakes_are_exact_and_nobody_elses(world: World) -> None:
    for who, amount in ((ALICE, 3 * NEAR + 7), (CAROL, 1)):
        assert world.call(who, POOL, "deposit_and_stake", deposit=amount).failures == []
    assert world.view(POOL, "get_account", {"account_id": ALICE}) == {
        "account_id": ALICE,
        "unstaked_balance": "0",
        "staked_balance": str(3 * NEAR + 7),
        "can_withdraw": True,
    }
    assert world.view(POOL, "get_number_of_accounts") == 2
    listed = world.view(POOL, "get_accounts", {"from_index": 1, "limit": 5})
    assert isinstance(listed, list)
    assert [item["account_id"] for item in listed if isinstance(item, dict)] == [CAROL]
    assert world.call(ALICE, POOL, "unstake_all").failures == []
    assert "not yet available" in world.call(ALICE, POOL, "withdraw_all").panic
    assert "Not enough staked balance" in world.call(BOB, POOL, "unstake", {"amount": "1"}).panic


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"owner_id": "Bob"}, "The owner account ID is invalid"),
        ({"stake_public_key": "ed25519:x"}, "invalid public key"),
        ({"reward_fee_fraction": {"numerator": 2, "denominator": 1}}, "less or equal to 1"),
        ({"reward_fee_fraction": {"numerator": 0, "denominator": 0}}, "must be a positive number"),
    ],
)
def test_what_no_pool_can_be(engine: Engine, change: dict[str, Any], said: str) -> None:
    world = World(engine)
    world.add_account(POOL, wasm("pool"))
    assert said in world.call(POOL, POOL, "new", NEW | change).panic
    assert "should be initialized" in world.call(ALICE, POOL, "deposit", deposit=1).panic


def test_it_begins_once(world: World) -> None:
    assert "Already initialized" in world.call(POOL, POOL, "new", NEW).panic
