"""Every action against the embedded chain: what `build` expects is what the contracts really do."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall
from contracts.catalogue.entry import BuildContext
from contracts.catalogue.index import find
from contracts.chain.client import ChainClient
from contracts.chain.delivery import SendSettings
from contracts.chain.outcome import Effect, ExecutionFailed, Finalized, Outcome
from contracts.chain.rpc import RpcClient, open_rpc
from contracts.checks.validation import ValidationContext, validate
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.reading import read_facts
from contracts.knowledge.registry import Registry
from contracts.localnet.server import open_localnet
from contracts.signing.keystore import KeyStore
from tests.contracts.catalogue.world import ALICE, CAROL, USDC, WRAP
from tests.doubles import KeyStoreSigner, MemoryLedger, approved

MINIMUM = 1_250_000_000_000_000_000_000


@dataclass
class World:
    """The catalogue over a running chain, without model, cards and database."""

    rpc: RpcClient
    client: ChainClient
    ledger: MemoryLedger
    context: BuildContext
    done: int = 0

    async def ask(self, action: str, raw: Mapping[str, JsonValue]) -> str:
        """A view's answer in words."""
        entry = find(action)
        args = entry.parse(raw, self.context.signer_id, self.context.registry)
        facts = await read_facts(self.rpc, entry.needs(args, self.context))
        (call,) = entry.build(args, facts, self.context).calls
        assert not isinstance(call, ChangeCall)
        validate(call, ValidationContext(self.context.limits, facts.methods))
        try:
            returned = await self.client.view(call)
        except RpcError as error:
            return entry.explain(args, error, self.context) or f"unexplained: {error}"
        return entry.answer(args, returned, facts, self.context)

    async def do(self, action: str, raw: Mapping[str, JsonValue]) -> tuple[Outcome, tuple[Effect, ...]]:
        """A change carried out, with the effects that were expected of it."""
        entry = find(action)
        args = entry.parse(raw, self.context.signer_id, self.context.registry)
        facts = await read_facts(self.rpc, entry.needs(args, self.context))
        built = entry.build(args, facts, self.context)
        (call,) = built.calls
        assert isinstance(call, ChangeCall)
        validate(call, ValidationContext(self.context.limits, facts.methods))
        self.done += 1
        intent, grant = await approved(self.ledger, call, name=str(self.done), expires_at=time.time() + 600)
        return await self.client.execute(intent, grant, built.expected), built.expected


@asynccontextmanager
async def open_world(folder: Path) -> AsyncGenerator[World]:
    async with open_localnet(folder, "127.0.0.1:0") as chain, open_rpc([chain.rpc_url]) as rpc:
        keys = KeyStore.load(folder / "localnet" / "credentials", "localnet")
        ledger = MemoryLedger()
        signer = KeyStoreSigner(keys, chain_id="localnet", clock=time.time)
        client = ChainClient(rpc, ledger, signer, clock=time.time, settings=SendSettings(operators=1))
        limits = (await rpc.protocol_config()).limits
        assert limits is not None
        context = BuildContext("localnet", "localnet", ALICE, Registry.for_network("localnet"), limits)
        yield World(rpc, client, ledger, context)


def finalized(done: tuple[Outcome, tuple[Effect, ...]]) -> Finalized:
    outcome, expected = done
    assert isinstance(outcome, Finalized), outcome
    effects = {(effect.account_id, effect.token): effect.change for effect in outcome.execution.effects}
    for effect in expected:
        assert effects[effect.account_id, effect.token] == effect.change
    return outcome


async def test_near_moves_exactly(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert await world.ask("near_balance", {"account_id": "bob.localnet"}) == (
            "bob.localnet has 10000 NEAR in total: 10000 NEAR available, 0 NEAR staked as a validator, "
            "0 NEAR held by storage (182 bytes)."
        )
        sent = finalized(await world.do("near_transfer", {"receiver_id": "bob.localnet", "amount": "1.5"}))
        assert "10001.5 NEAR in total" in await world.ask("near_balance", {"account_id": "bob.localnet"})
        status = await world.ask("tx_status", {"tx_hash": sent.execution.tx_hash})
        assert "is final and succeeded" in status
        assert "bob.localnet: +1.5 NEAR" in status
        assert (
            await world.ask("near_balance", {"account_id": "zoe.localnet"})
            == "zoe.localnet does not exist on localnet."
        )
        assert "is known on localnet" in await world.ask(
            "tx_status", {"tx_hash": "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"}
        )
        assert "full access" in await world.ask("access_keys", {"account_id": "@me"})
        assert "no contract code" in await world.ask("account_view", {"account_id": "@me"})
        with pytest.raises(InvalidInput, match=r"did you mean bob\.localnet\?"):
            await world.do("near_transfer", {"receiver_id": "bobb.localnet", "amount": "1"})
        implicit = "ab" * 32
        finalized(await world.do("near_transfer", {"receiver_id": implicit, "amount": "0.1"}))
        assert "has 0.1 NEAR in total" in await world.ask("near_balance", {"account_id": implicit})


async def test_tokens_move_exactly_and_register_their_receiver(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        registered = {"contract_id": "USDC", "account_id": "carol.localnet"}
        assert "is not registered" in await world.ask("storage_balance", registered)
        send = {"token": "USDC", "receiver_id": "carol.localnet", "amount": "12.5"}
        done = await world.do("ft_transfer", send)
        assert Effect(CAROL, USDC, 12_500_000) in done[1]
        assert Effect(ALICE, "NEAR", -MINIMUM - 1) in done[1]
        finalized(done)
        assert await world.ask("ft_balance", {"token": "USDC", "account_id": "carol.localnet"}) == (
            "carol.localnet has 12.5 USDC (usdc.localnet)."
        )
        again = await world.do("ft_transfer", {**send, "amount": "0.000001", "memo": 'for "lunch" \\ 🚀'})
        assert Effect(ALICE, "NEAR", -1) in again[1]
        finalized(again)
        assert "0.00125 NEAR of storage balance" in await world.ask("storage_balance", registered)
        assert "10000 USDC" in await world.ask("ft_balance", {"token": "USDC", "account_id": "bob.localnet"})
        assert "6 decimals" in await world.ask("ft_metadata", {"token": "USDC"})
        assert "The total supply is" in await world.ask("ft_total_supply", {"token": "USDC"})
        with pytest.raises(InvalidInput, match="USDC has 6 decimals"):
            await world.do("ft_transfer", {**send, "amount": "12.5000001"})
        too_much, _ = await world.do("ft_transfer", {**send, "amount": "1000000"})
        assert isinstance(too_much, ExecutionFailed)
        assert "enough balance" in too_much.message
        with pytest.raises(InvalidInput, match="is not a token contract"):
            await world.ask("ft_balance", {"token": "counter.localnet", "account_id": "@me"})


async def test_storage_is_paid_and_near_is_wrapped_and_unwrapped(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        finalized(
            await world.do("storage_deposit", {"contract_id": "USDT", "account_id": "carol.localnet", "amount": "1"})
        )
        with pytest.raises(InvalidInput, match="already registered"):
            await world.do("storage_deposit", {"contract_id": "USDT", "account_id": "carol.localnet"})
        wrapped = await world.do("near_wrap", {"amount": "2"})
        assert Effect(ALICE, "NEAR", -2 * 10**24 - MINIMUM) in wrapped[1]
        finalized(wrapped)
        own = {"token": "wNEAR", "account_id": "@me"}
        assert await world.ask("ft_balance", own) == "alice.localnet has 2 wNEAR (wrap.localnet)."
        finalized(await world.do("near_wrap", {"amount": "0.000000000000000000000001"}))
        unwrapped = finalized(await world.do("near_unwrap", {"amount": "0.5"}))
        assert Effect(ALICE, WRAP, -5 * 10**23) in unwrapped.execution.effects
        assert (
            await world.ask("ft_balance", own) == "alice.localnet has 1.500000000000000000000001 wNEAR (wrap.localnet)."
        )


async def test_any_contract_is_viewed_and_called(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        counter = {"contract_id": "counter.localnet"}
        assert "get_num" in await world.ask("contract_methods", counter)
        finalized(await world.do("contract_call", {**counter, "method_name": "increment"}))
        assert (await world.ask("contract_view", {**counter, "method_name": "get_num"})).endswith("returned: 1")
        with pytest.raises(InvalidInput, match="did you mean increment"):
            await world.do("contract_call", {**counter, "method_name": "incremnt"})
        with pytest.raises(InvalidInput, match="has no method get_nun; did you mean get_num"):
            await world.ask("contract_view", {**counter, "method_name": "get_nun"})
        with pytest.raises(InvalidInput, match="has no contract on localnet"):
            await world.do("contract_call", {"contract_id": "bob.localnet", "method_name": "x"})
        text = "`hi` 🚀\n[x](http://evil)"
        say: dict[str, JsonValue] = {
            "contract_id": "guestbook.localnet",
            "method_name": "add_message",
            "args": {"text": text},
            "deposit": "0.1",
        }
        finalized(await world.do("contract_call", say))
        read: dict[str, JsonValue] = {"contract_id": "guestbook.localnet", "method_name": "get_messages"}
        said = await world.ask("contract_view", read)
        assert "'hi' 🚀" in said
        assert "](" not in said
