"""The catalogue's token, storage and contract actions on wrapped NEAR as its authors compiled it: built, run, and told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, ViewFunction, ViewMethods
from contracts.catalogue.entry import BuildContext
from contracts.catalogue.index import find
from contracts.chain.outcome import ViewReturned
from contracts.checks.validation import ValidationContext, validate
from contracts.errors import RpcError, VmError
from contracts.knowledge.abi import exported_methods
from contracts.knowledge.reading import read_facts
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash
from contracts.vm.engine import Engine
from contracts.vm.receipts import Failure
from contracts.vm.state import Account
from tests.contracts.catalogue.world import BLOCK, LIMITS
from tests.contracts.vm.chain_double import NEAR, Outcome, TestChain

ALICE, BOB, WRAP = AccountId("alice.test"), AccountId("bob.test"), AccountId("wrap.localnet")
MINIMUM = 1_250_000_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class AccountShown:
    account: Account

    @property
    def amount(self) -> int:
        return self.account.amount

    @property
    def locked(self) -> int:
        return self.account.locked

    @property
    def has_contract(self) -> bool:
        return self.account.code_hash is not None

    @property
    def code_hash(self) -> CryptoHash | None:
        return self.account.code_hash

    @property
    def global_contract_hash(self) -> CryptoHash | None:
        return None


@dataclass(frozen=True, slots=True)
class Shown:
    """A block, a view's answer, or code: each fact reads what it needs of it."""

    height: int
    result: bytes = b""
    code: bytes = b""
    hash: CryptoHash = BLOCK
    block_hash: CryptoHash = BLOCK
    timestamp_ns: int = 0
    epoch_id: CryptoHash | None = None

    @property
    def block_height(self) -> int:
        return self.height


class World:
    """The catalogue over a chain of one: facts come from its state, calls run in its machine."""

    def __init__(self, chain: TestChain) -> None:
        self.chain = chain
        self.context = BuildContext("localnet", "localnet", ALICE, Registry.for_network("localnet"), LIMITS)

    async def account(self, account_id: AccountId, at: object) -> AccountShown:
        account = self.chain.state.account(account_id)
        if account is None:
            raise RpcError("UNKNOWN_ACCOUNT", f"account {account_id} does not exist while viewing")
        return AccountShown(account)

    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: object) -> Shown:
        try:
            found = self.chain.runtime.view(self.chain.state, contract_id, method, args, self.chain.block)
        except VmError as error:
            raise RpcError("CONTRACT_EXECUTION_ERROR", error.message) from error
        return Shown(self.chain.height, found.result)

    async def code(self, account_id: AccountId, at: object) -> Shown:
        code = self.chain.state.code(self.chain.account(account_id).code_hash or "")
        assert code is not None
        return Shown(self.chain.height, code=code)

    async def block(self, at: object) -> Shown:
        return Shown(self.chain.height)

    async def access_keys(self, account_id: AccountId, at: object) -> NoReturn:
        raise AssertionError(f"nothing here asks for the keys of {account_id}")

    async def protocol_config(self) -> NoReturn:
        raise AssertionError("nothing here asks for the configuration")

    async def ask(self, action: str, raw: Mapping[str, JsonValue]) -> str:
        """A view's answer in words."""
        entry = find(action)
        args = entry.parse(raw, ALICE, self.context.registry)
        facts = await read_facts(self, entry.needs(args, self.context))
        (call,) = entry.build(args, facts, self.context).calls
        match call:
            case ViewFunction(contract_id, method_name, data):
                result = (await self.call_function(contract_id, method_name, data, None)).result
                value: JsonValue = json.loads(result)
            case ViewMethods(contract_id):
                code = (await self.code(contract_id, None)).code
                value = {"code_hash": CryptoHash.of(code), "methods": list(exported_methods(code))}
            case other:
                raise AssertionError(other)
        return entry.answer(args, ViewReturned(value, self.chain.height, BLOCK), facts, self.context)

    async def do(self, action: str, raw: Mapping[str, JsonValue]) -> Outcome:
        """A change carried out; what it was expected to move is what it moved, gas apart."""
        entry = find(action)
        args = entry.parse(raw, ALICE, self.context.registry)
        facts = await read_facts(self, entry.needs(args, self.context))
        built = entry.build(args, facts, self.context)
        (call,) = built.calls
        assert isinstance(call, ChangeCall)
        validate(call, ValidationContext(LIMITS, facts.methods))
        held = {effect: self.held(effect.account_id, effect.token) for effect in built.expected}
        outcome = self.chain.send(ALICE, call.receiver_id, *call.actions)
        assert not [receipt for receipt in outcome.receipts if isinstance(receipt.status, Failure)], outcome
        gas = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
        for effect, before in held.items():
            paid = gas if effect.token == "NEAR" and effect.account_id == ALICE else 0
            assert self.held(effect.account_id, effect.token) == before + effect.change - paid, effect
        assert self.chain.supply + self.chain.burnt == self.chain.created
        return outcome

    def held(self, account_id: AccountId, token: str) -> int:
        if token == "NEAR":
            return self.chain.balance(account_id)
        return int(str(self.chain.view(token, "ft_balance_of", {"account_id": account_id})))


@pytest.fixture
def world(engine: Engine, real_wasm: Callable[[str], bytes]) -> World:
    chain = TestChain(engine)
    chain.create(ALICE)
    chain.create(BOB)
    chain.create(WRAP, 10 * NEAR, real_wasm("w_near"))
    chain.call(WRAP, WRAP, "new")
    return World(chain)


@pytest.mark.shows("near_wrap", "real")
@pytest.mark.shows("near_unwrap", "real")
@pytest.mark.shows("ft_balance", "real")
@pytest.mark.shows("ft_total_supply", "real")
async def test_near_is_wrapped_and_unwrapped(world: World) -> None:
    await world.do("near_wrap", {"amount": "10"})
    assert "10 wNEAR" in await world.ask("ft_balance", {"token": "wNEAR", "account_id": "@me"})
    await world.do("near_wrap", {"amount": "0.5"})
    await world.do("near_unwrap", {"amount": "4"})
    assert world.held(ALICE, WRAP) == 13 * NEAR // 2
    assert "6.5 wNEAR" in await world.ask("ft_balance", {"token": "wNEAR", "account_id": ALICE})
    assert "6.5 wNEAR" in await world.ask("ft_total_supply", {"token": "wNEAR"})


@pytest.mark.shows("ft_transfer", "real")
@pytest.mark.shows("ft_metadata", "real")
async def test_a_token_goes_to_one_who_was_not_registered(world: World) -> None:
    await world.do("near_wrap", {"amount": "10"})
    await world.do("ft_transfer", {"token": "wNEAR", "receiver_id": BOB, "amount": "2.5", "memo": "lunch"})
    await world.do("ft_transfer", {"token": "wNEAR", "receiver_id": BOB, "amount": "0.000000000000000000000001"})
    assert world.held(BOB, WRAP) == 5 * NEAR // 2 + 1
    told = await world.ask("ft_metadata", {"token": "wNEAR"})
    assert "Wrapped NEAR fungible token" in told
    assert "24" in told


@pytest.mark.shows("storage_deposit", "real")
@pytest.mark.shows("storage_balance", "real")
async def test_storage_is_paid_for_another(world: World) -> None:
    before = world.chain.balance(ALICE)
    assert "not registered" in await world.ask("storage_balance", {"contract_id": WRAP, "account_id": BOB})
    outcome = await world.do("storage_deposit", {"contract_id": WRAP, "account_id": BOB})
    gas = outcome.transaction.tokens_burnt + sum(receipt.tokens_burnt for receipt in outcome.receipts)
    assert world.chain.balance(ALICE) == before - MINIMUM - gas
    assert "0.00125 NEAR" in await world.ask("storage_balance", {"contract_id": WRAP, "account_id": BOB})


@pytest.mark.shows("contract_view", "real")
@pytest.mark.shows("contract_call", "real")
@pytest.mark.shows("contract_methods", "real")
async def test_any_method_is_found_read_and_called(world: World) -> None:
    methods = await world.ask("contract_methods", {"contract_id": WRAP})
    assert "near_deposit" in methods
    assert "storage_balance_bounds" in methods
    deposit: dict[str, JsonValue] = {
        "contract_id": WRAP,
        "method_name": "near_deposit",
        "args": {},
        "deposit": "2",
        "gas": "30",
    }
    await world.do("contract_call", deposit)
    assert world.held(ALICE, WRAP) == 2 * NEAR - MINIMUM
    args: dict[str, JsonValue] = {"account_id": ALICE}
    view: dict[str, JsonValue] = {"contract_id": WRAP, "method_name": "ft_balance_of", "args": args}
    assert str(2 * NEAR - MINIMUM) in await world.ask("contract_view", view)
