"""An exchange with three tokens on the virtual machine: ours, or the one that others compiled."""

import json
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.errors import RpcError, VmError
from contracts.knowledge.account_keys import KeyList
from contracts.knowledge.epochs import BlockAt, EpochConfig
from contracts.knowledge.facts import AccountState, At, CodeAnswer
from contracts.types import AccountId, CryptoHash
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, MINIMUM, NEAR, USDC, WRAP, Story, World, wasm

EXCHANGE: Final = AccountId("exchange.localnet")
USDT: Final = AccountId("usdt.localnet")
_BLOCK: Final = CryptoHash.of(b"a block of the virtual machine")
SUPPLY: Final = 2**126
DEPOSITED: Final = 2**125
_REAL_NEW: Final = {"boost_farm_id": "farm.localnet", "burrowland_id": "burrow.localnet"}
"""Accounts that ref-exchange 1.9.17 wants to know and these calls never reach."""


class Exchange:
    """alice owns it and has deposited of each token; bob and carol are registered with USDC only, bob has some."""

    def __init__(self, engine: Engine, code: bytes | None = None) -> None:
        self.world = World(engine)
        for token_id in (USDC, USDT):
            self.world.add_account(token_id, wasm("ft"))
        self.world.add_account(WRAP, wasm("wnear"))
        self.world.add_account(EXCHANGE, code or wasm("exchange"))
        self.done(WRAP, WRAP, "new")
        for token_id, symbol in ((USDC, "USDC"), (USDT, "USDT")):
            metadata = {"spec": "ft-1.0.0", "name": "Test USD", "symbol": symbol, "decimals": 6}
            new = {"owner_id": token_id, "total_supply": str(SUPPLY), "metadata": metadata}
            self.done(token_id, token_id, "new", new)
            for account_id in (ALICE, EXCHANGE):
                self.done(account_id, token_id, "storage_deposit", deposit=MINIMUM)
            self.done(
                token_id, token_id, "ft_transfer", {"receiver_id": ALICE, "amount": str(DEPOSITED * 3 // 2)}, deposit=1
            )
        for account_id in (BOB, CAROL):
            self.done(account_id, USDC, "storage_deposit", deposit=MINIMUM)
        self.done(USDC, USDC, "ft_transfer", {"receiver_id": BOB, "amount": str(10**9)}, deposit=1)
        self.done(EXCHANGE, WRAP, "storage_deposit", deposit=MINIMUM)
        self.done(ALICE, WRAP, "near_deposit", deposit=500 * NEAR)
        self.done(EXCHANGE, EXCHANGE, "new", {"owner_id": ALICE, "exchange_fee": 4, "referral_fee": 1, **_REAL_NEW})
        self.done(ALICE, EXCHANGE, "storage_deposit", deposit=NEAR)
        self.done(ALICE, EXCHANGE, "extend_whitelisted_tokens", {"tokens": [USDC, USDT, WRAP]}, deposit=1)
        for token_id, amount in ((USDC, DEPOSITED), (USDT, DEPOSITED), (WRAP, 400 * NEAR)):
            self.deposit(ALICE, token_id, amount)

    def call(self, sender: AccountId, receiver: AccountId, method: str, args: object = None, **options: int) -> Story:
        return self.world.call(sender, receiver, method, args, **options)

    def done(
        self, sender: AccountId, receiver: AccountId, method: str, args: object = None, **options: int
    ) -> JsonValue:
        """The answer of a call of which nothing failed."""
        story = self.call(sender, receiver, method, args, **options)
        assert story.failures == []
        return json.loads(story.value) if story.value else None

    def view(self, method: str, **args: JsonValue) -> JsonValue:
        return self.world.view(EXCHANGE, method, args)

    def deposit(self, sender: AccountId, token_id: AccountId, amount: int) -> None:
        self.send(sender, token_id, amount, "")

    def send(self, sender: AccountId, token_id: AccountId, amount: int, msg: str) -> Story:
        args = {"receiver_id": EXCHANGE, "amount": str(amount), "msg": msg}
        return self.call(sender, token_id, "ft_transfer_call", args, deposit=1, tgas=180)

    def pool(self, first: AccountId, second: AccountId, amounts: tuple[int, int], fee: int) -> int:
        """A new pool with its first liquidity."""
        number = self.done(
            ALICE, EXCHANGE, "add_simple_pool", {"tokens": [first, second], "fee": fee}, deposit=NEAR // 10
        )
        assert isinstance(number, int)
        liquidity = {"pool_id": number, "amounts": [str(amount) for amount in amounts]}
        self.done(ALICE, EXCHANGE, "add_liquidity", liquidity, deposit=NEAR // 10)
        return number

    def balance(self, token_id: AccountId, account_id: AccountId) -> int:
        told = self.world.view(token_id, "ft_balance_of", {"account_id": account_id})
        assert isinstance(told, str)
        return int(told)


@dataclass(frozen=True, slots=True)
class Answer:
    result: bytes
    block_height: int = 1_000
    block_hash: CryptoHash = _BLOCK


@dataclass(frozen=True, slots=True)
class Block:
    height: int = 1_000
    hash: CryptoHash = _BLOCK
    timestamp_ns: int = 1_700_000_000_000_000_000
    epoch_id: CryptoHash | None = None


class WorldReader:
    """Facts as a node would tell them of this world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def account(self, account_id: AccountId, at: At, /) -> AccountState:
        raise AssertionError((account_id, at))

    async def code(self, account_id: AccountId, at: At, /) -> CodeAnswer:
        raise AssertionError((account_id, at))

    async def access_keys(self, account_id: AccountId, at: At, /) -> KeyList:
        raise AssertionError((account_id, at))

    async def protocol_config(self) -> EpochConfig:
        raise AssertionError

    async def block(self, at: BlockAt, /) -> Block:
        assert at == "final"
        return Block()

    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: At, /) -> Answer:
        assert at == _BLOCK
        world = self._world
        try:
            return Answer(world.runtime.view(world.overlay, contract_id, method, args, world.block(0)).result)
        except VmError as error:
            raise RpcError("CONTRACT_EXECUTION_ERROR", error.message, details=error.details) from error


def action(
    pool_id: int, token_in: AccountId, amount_in: int | None, token_out: AccountId, least: int
) -> dict[str, JsonValue]:
    amount = None if amount_in is None else str(amount_in)
    return {
        "pool_id": pool_id,
        "token_in": token_in,
        "amount_in": amount,
        "token_out": token_out,
        "min_amount_out": str(least),
    }


def swap_msg(*actions: dict[str, JsonValue]) -> str:
    return json.dumps({"force": 0, "actions": [*actions]})
