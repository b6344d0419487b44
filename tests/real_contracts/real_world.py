"""A world of real contracts in which calls are tried and taken back, and what accounts hold there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.calls import ChangeCall
from contracts.types import AccountId
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, MINIMUM, NEAR, USDC, WRAP, Story, World
from tests.contracts.vm.chain_double import public_key

USDT: Final = AccountId("usdt.localnet")
EXCHANGE: Final = AccountId("exchange.localnet")
POOL: Final = AccountId("pool.localnet")
DAO: Final = AccountId("dao.localnet")
EVE: Final = AccountId("eve.kaiching")
"""Registered everywhere; her id ends as no top-level account that is known here."""
TOKENS: Final = (WRAP, USDC, USDT)
STAKED, UNSTAKED = "staked", "unstaked"
PAIRS: Final = ((USDC, USDT), (WRAP, USDC), (USDT, WRAP))
"""Pool 0, 1 and 2 of the exchange."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """By asset: `NEAR`, a token's contract (wallet and exchange together), and what a staking pool keeps."""

    amounts: Mapping[str, int]

    def less(self, after: "Holdings") -> dict[str, int]:
        """What is gone, by asset."""
        return {asset: had - after.amounts[asset] for asset, had in self.amounts.items() if had > after.amounts[asset]}


class RealWorld:
    """wNEAR as three tokens, ref-exchange with three pools, a staking pool, and a DAO whose only member is alice.

    alice and the DAO have some of everything: in the wallet, in the exchange and staked.
    """

    def __init__(self, engine: Engine, real_wasm: Callable[[str], bytes]) -> None:
        self.world = World(engine)
        self.world.add_account(EVE)
        for token_id in TOKENS:
            self.world.add_account(token_id, real_wasm("w_near"))
            self._done(token_id, token_id, "new")
        self.world.add_account(EXCHANGE, real_wasm("ref_exchange"))
        self.world.add_account(POOL, real_wasm("staking_pool"))
        self.world.add_account(DAO, real_wasm("sputnikdao2"))
        self._open_exchange()
        new: JsonValue = {
            "owner_id": BOB,
            "stake_public_key": public_key("validator.test"),
            "reward_fee_fraction": {"numerator": 10, "denominator": 100},
        }
        self._done(BOB, POOL, "new", new)
        self._done(DAO, DAO, "new", {"config": {"name": "d", "purpose": "p", "metadata": ""}, "policy": [ALICE]})
        for owner in (ALICE, DAO):
            self._fund(owner)
        self._ground = self.world.overlay
        self.at_rest = {account_id: self.holdings(account_id) for account_id in (EVE, BOB)}
        """Of those to whom calls give something, before any call."""

    def _open_exchange(self) -> None:
        wanted = {"boost_farm_id": "farm.localnet", "burrowland_id": "burrow.localnet"}
        self._done(BOB, EXCHANGE, "new", {"owner_id": BOB, "exchange_fee": 4, "referral_fee": 1, **wanted})
        self._done(BOB, EXCHANGE, "extend_whitelisted_tokens", {"tokens": [*TOKENS]}, deposit=1)
        self._done(BOB, EXCHANGE, "storage_deposit", deposit=NEAR)
        for token_id in TOKENS:
            for account_id in (EXCHANGE, EVE, BOB):
                self._done(account_id, token_id, "storage_deposit", deposit=MINIMUM)
            self._done(BOB, token_id, "near_deposit", deposit=50 * NEAR)
            self._deposit(BOB, token_id, 40 * NEAR)
        for number, pair in enumerate(PAIRS):
            self._done(BOB, EXCHANGE, "add_simple_pool", {"tokens": [*pair], "fee": 30}, deposit=NEAR // 10)
            liquidity: JsonValue = {"pool_id": number, "amounts": [str(10 * NEAR), str(10 * NEAR)]}
            self._done(BOB, EXCHANGE, "add_liquidity", liquidity, deposit=NEAR // 10)
        self._done(EVE, EXCHANGE, "storage_deposit", deposit=NEAR)

    def _fund(self, owner: AccountId) -> None:
        self._done(owner, EXCHANGE, "storage_deposit", deposit=NEAR)
        for token_id in TOKENS:
            self._done(owner, token_id, "near_deposit", deposit=20 * NEAR)
            self._deposit(owner, token_id, 5 * NEAR)
        self._done(owner, POOL, "deposit_and_stake", deposit=20 * NEAR, tgas=200)
        self._done(owner, POOL, "deposit", deposit=10 * NEAR, tgas=200)

    def _deposit(self, owner: AccountId, token_id: AccountId, amount: int) -> None:
        args = {"receiver_id": EXCHANGE, "amount": str(amount), "msg": ""}
        self._done(owner, token_id, "ft_transfer_call", args, deposit=1, tgas=180)

    def _done(
        self,
        sender: AccountId,
        receiver: AccountId,
        method: str,
        args: object = None,
        *,
        deposit: int = 0,
        tgas: int = 100,
    ) -> None:
        story = self.world.call(sender, receiver, method, args, deposit=deposit, tgas=tgas)
        assert story.failures == []

    def begin(self) -> None:
        """Forget what was done since the world was made, or since the last time."""
        self.world.overlay = self._ground.child()

    def send(self, sender: AccountId, call: ChangeCall) -> Story:
        return self.world.send(sender, call.receiver_id, *call.actions)

    def proposal(self) -> JsonValue:
        """The first one, as the DAO tells it; None where it has none."""
        if not self.world.view(DAO, "get_last_proposal_id"):
            return None
        return self.world.view(DAO, "get_proposal", {"id": 0})

    def holdings(self, owner: AccountId) -> Holdings:
        world = self.world
        amounts: dict[str, int] = {"NEAR": world.balance(owner)}
        deposits = world.view(EXCHANGE, "get_deposits", {"account_id": owner})
        assert isinstance(deposits, dict)
        for token_id in TOKENS:
            held = world.view(token_id, "ft_balance_of", {"account_id": owner})
            amounts[token_id] = int(str(held)) + int(str(deposits.get(token_id, "0")))
        staking = world.view(POOL, "get_account", {"account_id": owner})
        assert isinstance(staking, dict)
        amounts[STAKED] = int(str(staking["staked_balance"]))
        amounts[UNSTAKED] = int(str(staking["unstaked_balance"]))
        return Holdings(amounts)
