"""Pre-flight predicts: random calls over contracts that others compiled, deployed on the embedded chain."""

import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Final

import pytest
import pytest_asyncio
from pydantic import JsonValue

from contracts.calls import CreateAccount, DeployContract, FunctionCall, Transfer
from contracts.types import AccountId, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL
from tests.contracts.simulation.random_calls import Caller, Family, Signed, council, key_of, staking, to
from tests.contracts.simulation.world import ONE_NEAR, REGISTRATION, USDC, World, call, copied_world

CALLS = 80
WNEAR, POOL = AccountId("wnear.alice.localnet"), AccountId("pool.alice.localnet")
DAO, EXCHANGE = AccountId("dao.alice.localnet"), AccountId("ref.alice.localnet")
USDT: Final = AccountId("usdt.localnet")

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _first_calls() -> dict[AccountId, tuple[str, int, FunctionCall]]:
    """File, NEAR for the storage, and the first call of each contract."""
    fee: JsonValue = {"numerator": 10, "denominator": 100}
    pool: JsonValue = {"owner_id": ALICE, "stake_public_key": key_of("pool"), "reward_fee_fraction": fee}
    config: JsonValue = {"name": "A DAO", "purpose": "tests", "metadata": ""}
    others: dict[str, JsonValue] = {"boost_farm_id": ALICE, "burrowland_id": ALICE}
    exchange: JsonValue = {"owner_id": ALICE, "exchange_fee": 4, "referral_fee": 1, **others}
    return {
        WNEAR: ("w_near", 3, call("new", {})),
        POOL: ("staking_pool", 50, call("new", pool, 0, 100)),
        DAO: ("sputnikdao2", 10, call("new", {"config": config, "policy": [ALICE, BOB, CAROL]}, 0, 100)),
        EXCHANGE: ("ref_exchange", 12, call("new", exchange, 0, 100)),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, real_wasm: Callable[[str], bytes]) -> AsyncGenerator[World]:
    code = {name: real_wasm(name) for name, _, _ in _first_calls().values()}
    folder = tmp_path_factory.mktemp("real_predictions")
    async with copied_world(folder / "template", folder / "data") as world:
        for contract_id, (name, near, first) in _first_calls().items():
            money = Transfer(Yocto(near * ONE_NEAR))
            await world.done(ALICE, contract_id, CreateAccount(), money, DeployContract(code[name]), first)
        await _open_pools(world)
        yield world


async def _open_pools(world: World) -> None:
    """A pool of USDC and USDT on the real exchange, with alice's tokens in it."""
    await world.done(ALICE, EXCHANGE, call("storage_deposit", {"registration_only": False}, ONE_NEAR // 10, 30))
    await world.done(ALICE, EXCHANGE, call("extend_whitelisted_tokens", {"tokens": [USDC, USDT]}, 1, 50))
    for token_id in (USDC, USDT):
        register = call("storage_deposit", {"account_id": EXCHANGE, "registration_only": True}, ONE_NEAR // 100, 20)
        deposit: JsonValue = {"receiver_id": EXCHANGE, "amount": str(10**9), "msg": ""}
        await world.done(ALICE, token_id, register, call("ft_transfer_call", deposit, 1, 200))
    await world.done(ALICE, EXCHANGE, call("add_simple_pool", {"tokens": [USDC, USDT], "fee": 25}, ONE_NEAR // 10, 50))
    liquidity: JsonValue = {"pool_id": 0, "amounts": [str(10**9), str(10**9)]}
    await world.done(ALICE, EXCHANGE, call("add_liquidity", liquidity, ONE_NEAR // 10, 100))


def wrapped(caller: Caller) -> Signed:
    who = caller.user()
    amount = caller.amount(ONE_NEAR)
    other = caller.other(who)
    register = call("storage_deposit", {"account_id": other}, REGISTRATION)
    fund = (call("storage_deposit", {}, REGISTRATION), call("near_deposit", {}, 2 * amount))
    send: JsonValue = {"receiver_id": other, "amount": str(amount), "memo": "m"}
    return caller.pick(
        [
            (who, to(WNEAR, *fund)),
            (who, to(WNEAR, *fund, register, call("ft_transfer", send, 1))),
            (who, to(WNEAR, *fund, call("near_withdraw", {"amount": str(amount)}, 1))),
            (who, to(WNEAR, *fund, register, call("ft_transfer_call", {**send, "msg": ""}, 1, 100))),
        ],
        [
            (who, to(WNEAR, call("ft_transfer", {**send, "amount": str(10**32)}, 1))),
            (who, to(WNEAR, call("ft_transfer", {**send, "receiver_id": "nobody.localnet"}, 1))),
            (who, to(WNEAR, *fund, call("near_withdraw", {"amount": str(10**32)}, 1))),
            (who, to(WNEAR, call("ft_transfer", send, 0))),
            (who, to(WNEAR, call("near_withdraw", {}, 1))),
            (who, to(WNEAR, *fund, call("ft_transfer", send, 1, 1))),
        ],
    )


def real_staking(caller: Caller) -> Signed:
    return staking(caller, POOL)


def real_council(caller: Caller) -> Signed:
    return council(caller, DAO)


def swaps(caller: Caller) -> Signed:
    """On what ref-exchange computes: three contracts and its own fees."""
    who = caller.rng.choice((ALICE, BOB))
    amount = caller.amount(10**6)

    def swap(least: int, pool_id: int) -> FunctionCall:
        path = (
            f'{{"force":0,"actions":[{{"pool_id":{pool_id},"token_in":"{USDC}","token_out":"{USDT}",'
            f'"min_amount_out":"{least}"}}]}}'
        )
        return call("ft_transfer_call", {"receiver_id": EXCHANGE, "amount": str(amount), "msg": path}, 1, 280)

    deposit = call("ft_transfer_call", {"receiver_id": EXCHANGE, "amount": str(amount), "msg": ""}, 1, 150)
    return caller.pick(
        [(who, to(USDC, swap(1, 0))), (ALICE, to(USDC, deposit)), (who, to(USDC, swap(10**20, 0)))],
        [
            (who, to(EXCHANGE, call("swap", {"actions": []}, 1, 100))),
            (who, to(EXCHANGE, call("withdraw", {"token_id": USDC, "amount": str(10**20)}, 1, 100))),
            (BOB, to(EXCHANGE, call("extend_whitelisted_tokens", {"tokens": [USDC]}, 1, 50))),
        ],
    )


FAMILIES: Final[tuple[Family, ...]] = (wrapped, real_staking, real_council, swaps)


async def test_random_calls_come_out_as_foretold(world: World) -> None:
    """Outcome, logs, effects and balances are equal, or the pre-flight said that it does not know."""
    caller = Caller(random.Random(20_261_122))
    results = Counter([await world.assert_came_true(*caller.draw(FAMILIES)) for _ in range(CALLS)])
    print(f"\n{CALLS} random calls over real contracts: {dict(results)}, {results['unknown'] / CALLS:.1%} unknown")
    assert results["unknown"] <= CALLS // 10
    assert results["failure"] >= CALLS // 3
    assert results["success"] >= CALLS // 4
