"""The staking pool of near/core-contracts, and our own pool beside it: what one does, the other does, word for word."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, ViewFunction
from contracts.catalogue.entry import BuildContext, Built
from contracts.catalogue.index import find
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput
from contracts.knowledge.epochs import EpochFact, EpochFacts
from contracts.knowledge.facts import NO_FACTS, ChainFacts, FactRequest, FactValue, ViewFact, ViewFacts
from contracts.types import AccountId
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine
from contracts.vm.receipts import Failure
from tests.contracts.catalogue.world import BLOCK, LIMITS, REGISTRY
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, public_key

POOL, OWNER, ALICE, BOB = "pool.test", "owner.test", "alice.test", "bob.test"
OURS = Path(__file__).parents[2] / "contracts" / "localnet" / "wasm" / "pool.wasm"
WITHOUT_REWARDS = RuntimeConfig(burnt_gas_reward=(0, 1))
"""Contracts that burn different gas would earn differently."""
PANIC = "Smart contract panicked: "
VIEWS = (
    "get_account",
    "get_account_staked_balance",
    "get_account_unstaked_balance",
    "get_account_total_balance",
    "is_account_unstaked_balance_available",
)
BARE_VIEWS = (
    "get_owner_id",
    "get_reward_fee_fraction",
    "get_total_staked_balance",
    "is_staking_paused",
    "get_number_of_accounts",
)


def opened(engine: Engine, code: bytes) -> TestChain:
    chain = TestChain(engine, WITHOUT_REWARDS)
    for name in (OWNER, ALICE, BOB):
        chain.create(name, 1_000 * NEAR)
    chain.create(POOL, 50 * NEAR, code)
    new: dict[str, JsonValue] = {
        "owner_id": OWNER,
        "stake_public_key": public_key("validator.test"),
        "reward_fee_fraction": {"numerator": 10, "denominator": 100},
    }
    assert not failures(chain.call(OWNER, POOL, "new", new))
    return chain


@pytest.fixture
def real(engine: Engine, real_wasm: Callable[[str], bytes]) -> TestChain:
    return opened(engine, real_wasm("staking_pool"))


@pytest.fixture
def ours(engine: Engine) -> TestChain:
    return opened(engine, OURS.read_bytes())


def failures(outcome: Outcome) -> list[object]:
    return [item.status.error for item in outcome.receipts if isinstance(item.status, Failure)]


def reward(chain: TestChain, amount: int) -> None:
    """The chain pays validators out of nothing."""
    account = chain.account(POOL)
    chain.state.set_account(
        POOL, type(account)(account.amount + amount, account.locked, account.code_hash, account.storage_usage)
    )
    chain.created += amount


def words(text: str) -> str:
    """A panic without the place in the source that Rust's own adds."""
    text = text.removeprefix(PANIC)
    return text.removeprefix("panicked at '").partition("', src/")[0].replace('\\"', '"')


def told(chain: TestChain, method: str, args: Mapping[str, JsonValue], deposit: int, caller: str) -> tuple[object, ...]:
    outcome = chain.call(caller, POOL, method, args, deposit=deposit, gas=200 * TGAS)
    assert chain.supply + chain.burnt == chain.created
    if isinstance(outcome.final.status, Failure):
        return ("panic", words(outcome.panic))
    return ("value", outcome.value, outcome.logs)


def seen(chain: TestChain) -> list[object]:
    found = [chain.view(POOL, view, {"account_id": name}) for name in (OWNER, ALICE, BOB) for view in VIEWS]
    found += [chain.view(POOL, view) for view in BARE_VIEWS]
    listed = chain.view(POOL, "get_accounts", {"from_index": 0, "limit": 10})
    account = chain.account(POOL)
    return [*found, listed, account.locked, account.amount]


METHODS = (
    "deposit",
    "deposit_and_stake",
    "stake",
    "stake_all",
    "unstake",
    "unstake_all",
    "withdraw",
    "withdraw_all",
    "ping",
)


def step(random: Random) -> tuple[str, dict[str, JsonValue], int, str]:
    method = random.choice(METHODS)
    amount = random.choice((0, 1, random.randrange(10**24), random.randrange(20) * NEAR, random.randrange(10**27)))
    args: dict[str, JsonValue] = {"amount": str(amount)} if method in {"stake", "unstake", "withdraw"} else {}
    pays = method.startswith("deposit") or random.random() < 0.03
    deposit = random.choice((0, 1, 7 * NEAR, random.randrange(10**25))) if pays else 0
    return method, args, deposit, random.choice((ALICE, BOB, OWNER))


@pytest.mark.parametrize("seed", range(4))
def test_our_pool_does_what_the_real_one_does(real: TestChain, ours: TestChain, seed: int) -> None:
    random = Random(seed)
    for _ in range(40):
        if random.random() < 0.3:
            epochs, gain = random.randrange(3), random.randrange(10**23)
            for chain in (real, ours):
                chain.epoch_height += epochs
                reward(chain, gain)
        call = step(random)
        assert told(real, *call) == told(ours, *call), call
        assert seen(real) == seen(ours), call


CONTEXT = BuildContext("localnet", "localnet", AccountId(ALICE), REGISTRY, LIMITS)


def view(chain: TestChain, method: str, args: str) -> JsonValue:
    value: JsonValue = json.loads(json.dumps(chain.view(POOL, method, json.loads(args))))
    return value


def fact(chain: TestChain, request: FactRequest) -> FactValue:
    match request:
        case ViewFacts(_, method_name, args):
            return ViewFact(view(chain, method_name, args))
        case EpochFacts():
            return EpochFact(43_200, 0, 10**9)
        case _:
            raise AssertionError(request)


def built(chain: TestChain, action: str, amount: str) -> Built:
    entry = find(action)
    args = entry.parse({"pool_id": POOL, "amount": amount}, CONTEXT.signer_id, REGISTRY)
    known = ChainFacts({request: fact(chain, request) for request in entry.needs(args, CONTEXT)}, 1, BLOCK)
    return entry.build(args, known, CONTEXT)


def does(chain: TestChain, action: str, amount: str) -> Built:
    """One of alice's actions; what she is expected to gain or lose is what she does, but for the gas."""
    made, before = built(chain, action, amount), chain.balance(ALICE)
    (call,) = made.calls
    assert isinstance(call, ChangeCall)
    outcome = chain.send(ALICE, call.receiver_id, *call.actions)
    assert failures(outcome) == []
    gained = sum(effect.change for effect in made.expected)
    assert 0 < before + gained - chain.balance(ALICE) < NEAR // 100
    assert chain.supply + chain.burnt == chain.created
    return made


def told_balance(chain: TestChain) -> str:
    entry = find("stake_balance")
    args = entry.parse({"pool_id": POOL, "account_id": "@me"}, CONTEXT.signer_id, REGISTRY)
    (call,) = entry.build(args, NO_FACTS, CONTEXT).calls
    assert isinstance(call, ViewFunction)
    value = view(chain, call.method_name, call.args.decode())
    return entry.answer(args, ViewReturned(value, 1, BLOCK), NO_FACTS, CONTEXT)


@pytest.mark.shows("stake", "real")
@pytest.mark.shows("unstake", "real")
@pytest.mark.shows("stake_withdraw", "real")
@pytest.mark.shows("stake_balance", "real")
def test_the_catalogues_actions_on_the_real_pool(real: TestChain) -> None:
    made = does(real, "stake", "10")
    assert "the pool keeps 10 % of the rewards" in made.notes
    assert told_balance(real) == "alice.test has 10 NEAR staked with pool.test and nothing unstaked."
    does(real, "unstake", "2.5")
    assert "2.5 NEAR unstaked, which cannot be withdrawn yet" in told_balance(real)
    with pytest.raises(InvalidInput, match="cannot be withdrawn yet"):
        built(real, "stake_withdraw", "2.5")
    real.epoch_height += 2
    assert "would wait all that time from the beginning" in does(real, "unstake", "1").notes[1]
    real.epoch_height += 3
    with pytest.raises(InvalidInput, match="cannot be withdrawn yet"):
        built(real, "stake_withdraw", "all")
    real.epoch_height += 1
    assert "can be withdrawn now would wait as long again" in built(real, "unstake", "all").notes[1]
    partly = does(real, "stake_withdraw", "0.000000000000000000000001")
    assert partly.expected == (Effect(AccountId(ALICE), "NEAR", 1),)
    does(real, "stake_withdraw", "all")
    with pytest.raises(InvalidInput, match=r"6\.5 NEAR with pool\.test, all of it staked"):
        built(real, "stake_withdraw", "all")
    with pytest.raises(InvalidInput, match=r"6\.5 NEAR is staked"):
        built(real, "unstake", "6.500000000000000000000001")
    does(real, "unstake", "all")
    real.epoch_height += 4
    does(real, "stake_withdraw", "all")
    with pytest.raises(InvalidInput, match="nothing is unstaked"):
        built(real, "stake_withdraw", "all")


def test_rewards_are_staked_and_all_of_it_comes_back(real: TestChain) -> None:
    does(real, "stake", "100")
    real.epoch_height += 1
    reward(real, 15 * NEAR)
    does(real, "unstake", "all")
    real.epoch_height += 4
    made = does(real, "stake_withdraw", "all")
    # 90 % of 15 NEAR over the 50 that the pool began with and alice's 100
    assert 108 * NEAR < made.expected[0].change < 109 * NEAR + NEAR // 100
