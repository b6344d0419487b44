"""The staking pool whitelist of near/core-contracts: a small contract with an owner and a factory list."""

from collections.abc import Callable

import pytest

from contracts.vm.engine import Engine
from tests.contracts.vm.chain_double import NEAR, TestChain

LIST, OWNER, OTHER = "list.test", "foundation.test", "other.test"
POOL = {"staking_pool_account_id": "pool.test"}
FACTORY = {"factory_account_id": "factory.test"}


@pytest.fixture
def chain(engine: Engine, real_wasm: Callable[[str], bytes]) -> TestChain:
    chain = TestChain(engine)
    for name in (OWNER, OTHER, "factory.test"):
        chain.create(name)
    chain.create(LIST, 10 * NEAR, real_wasm("whitelist"))
    chain.call(LIST, LIST, "new", {"foundation_account_id": OWNER})
    return chain


def test_the_owner_keeps_the_list(chain: TestChain) -> None:
    usage = chain.account(LIST).storage_usage
    assert chain.view(LIST, "is_whitelisted", POOL) is False
    assert chain.call(OWNER, LIST, "add_staking_pool", POOL).json is True
    assert chain.call(OWNER, LIST, "add_staking_pool", POOL).json is False
    assert chain.view(LIST, "is_whitelisted", POOL) is True
    assert chain.account(LIST).storage_usage > usage
    assert chain.call(OWNER, LIST, "remove_staking_pool", POOL).json is True
    assert chain.view(LIST, "is_whitelisted", POOL) is False
    assert chain.account(LIST).storage_usage == usage
    assert chain.supply + chain.burnt == chain.created


def test_a_factory_that_the_owner_named_may_add_and_nobody_else(chain: TestChain) -> None:
    assert "Smart contract panicked" in chain.call(OTHER, LIST, "add_staking_pool", POOL).panic
    assert chain.call(OWNER, LIST, "add_factory", FACTORY).json is True
    assert chain.view(LIST, "is_factory_whitelisted", FACTORY) is True
    assert chain.call("factory.test", LIST, "add_staking_pool", POOL).json is True
    assert chain.call(OWNER, LIST, "remove_factory", FACTORY).json is True
    assert "Smart contract panicked" in chain.call("factory.test", LIST, "add_staking_pool", POOL).panic
    assert chain.supply + chain.burnt == chain.created


def test_it_starts_once_and_not_before_it_is_told(chain: TestChain, real_wasm: Callable[[str], bytes]) -> None:
    assert "Already initialized" in chain.call(LIST, LIST, "new", {"foundation_account_id": OTHER}).panic
    chain.create("fresh.test", 10 * NEAR, real_wasm("whitelist"))
    assert "should be initialized" in chain.call(OWNER, "fresh.test", "add_staking_pool", POOL).panic
