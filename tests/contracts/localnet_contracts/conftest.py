"""A world with the embedded chain's tokens, its counter and its guest book."""

import pytest

from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, BOOK, COUNTER, MINIMUM, USDC, WRAP, World, wasm

METADATA = {"spec": "ft-1.0.0", "name": "USD Coin", "symbol": "USDC", "decimals": 6}


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def world(engine: Engine) -> World:
    """USDC holds its supply of 1,000,000; alice has 1,000 of it, bob is registered; wNEAR is empty."""
    world = World(engine)
    for account_id, name in ((WRAP, "wnear"), (USDC, "ft"), (COUNTER, "counter"), (BOOK, "guestbook")):
        world.add_account(account_id, wasm(name))
    assert world.call(WRAP, WRAP, "new").failures == []
    new = {"owner_id": USDC, "total_supply": str(10**12), "metadata": METADATA}
    assert world.call(USDC, USDC, "new", new).failures == []
    for account_id in (ALICE, BOB):
        deposit = world.call(account_id, USDC, "storage_deposit", deposit=MINIMUM)
        assert deposit.failures == []
    transfer = {"receiver_id": ALICE, "amount": "1000000000"}
    assert world.call(USDC, USDC, "ft_transfer", transfer, deposit=1).failures == []
    return world
