"""Contracts added by an admin, on a running chain: pinned, offered, kept over a restart, and off once their code changes."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.commands.completing import Names, completions
from agent.errors import ConfigError, DaemonError, RequestError
from agent.operations.onboarding import FILE_NAME, MAX_CONTRACTS, Contracts, GrowingCatalogue, growing, read_contracts
from agent.planning.vocabulary import Vocabulary
from contracts.calls import DeployContract, FunctionCall
from contracts.catalogue.entry import Built
from contracts.catalogue.index import CATALOGUE
from contracts.catalogue.onboarded import PinnedContract
from contracts.chain.rpc import RpcClient, RpcConfig, open_rpc
from contracts.errors import InvalidInput
from contracts.knowledge.address_book import NO_NAMES
from contracts.knowledge.reading import read_facts
from contracts.knowledge.registry import Registry
from contracts.localnet.genesis import WASM_FOLDER
from contracts.localnet.server import open_localnet
from contracts.types import TGAS, AccountId, CryptoHash, Gas, Yocto
from tests.contracts.catalogue.world import ALICE, BOB, CONTEXT, REGISTRY, change, steps
from tests.contracts.localnet.wallet import Probe, Wallet

BOOK = "guestbook.localnet"


@dataclass
class World:
    """A chain, and the added contracts of a data folder."""

    rpc: RpcClient
    probe: Probe
    folder: Path
    contracts: Contracts
    catalogue: GrowingCatalogue
    registry: Registry

    async def build(self, action: str, raw: dict[str, Any]) -> Built:
        entry = self.catalogue[action]
        args = entry.parse(raw, ALICE, REGISTRY)
        return entry.build(args, await read_facts(self.rpc, entry.needs(args, CONTEXT)), CONTEXT)

    async def deploy(self, account_id: AccountId, wasm: str) -> None:
        code = DeployContract((WASM_FOLDER / f"{wasm}.wasm").read_bytes())
        wallet = Wallet.load(self.folder, account_id)
        await self.probe.send(await self.probe.signed(wallet, account_id, code))


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[World]:
    async with (
        open_localnet(folder, "127.0.0.1:0") as chain,
        open_rpc([chain.rpc_url]) as rpc,
        aiohttp.ClientSession() as http,
    ):
        added = read_contracts(folder, "localnet")
        catalogue = GrowingCatalogue(CATALOGUE)
        registry, tokens = growing(Registry.for_network("localnet"))
        contracts = Contracts(added, catalogue, tokens, registry, rpc, data_dir=folder, clock=time.time)
        yield World(rpc, Probe(http, chain.rpc_url), folder, contracts, catalogue, registry)


async def test_a_contract_is_added_used_kept_and_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        added: Any = await world.contracts.add(BOOK)
        assert sorted(action["usage"] for action in added["actions"]) == [
            "/guestbook--localnet__add_message text [deposit] [gas]",
            "/guestbook--localnet__contract_source_metadata",
            "/guestbook--localnet__get_messages [from_index] [limit]",
            "/guestbook--localnet__total_messages",
        ]
        assert added["left_out"] == {"__contract_abi": "its arguments are not described; use contract_call"}
        built = await world.build("guestbook--localnet__add_message", {"text": "hello", "deposit": "0.1"})
        (call,) = steps(change(built))
        assert (call.method_name, call.args, call.deposit) == ("add_message", b'{"text":"hello"}', 10**23)
        with pytest.raises(InvalidInput, match="has no argument 'txt'; did you mean text"):
            await world.build("guestbook--localnet__add_message", {"txt": "hello"})
        assert len(world.catalogue) == len(CATALOGUE) + 4
        assert list(world.catalogue)[: len(CATALOGUE)] == list(CATALOGUE)
        listed: Any = await world.contracts.listed()
        assert [(one["account_id"], one["unchanged"]) for one in listed["contracts"]] == [(BOOK, True)]
        assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    async with opened(tmp_path) as world:
        assert "guestbook--localnet__total_messages" in world.catalogue
        assert await world.contracts.remove(BOOK) == {"account_id": BOOK, "removed": True}
        assert len(world.catalogue) == len(CATALOGUE)
        with pytest.raises(RequestError, match="is not among the added contracts"):
            await world.contracts.remove(BOOK)
    assert read_contracts(tmp_path, "localnet") == ()


async def test_other_code_turns_them_off_until_it_is_added_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.deploy(BOB, "guestbook")
        await world.contracts.add(BOB)
        await world.build("bob--localnet__add_message", {"text": "x"})
        await world.deploy(BOB, "counter")
        with pytest.raises(InvalidInput) as refused:
            await world.build("bob--localnet__add_message", {"text": "x"})
        assert refused.value.code == "contract_changed"
        listed: Any = await world.contracts.listed()
        assert listed["contracts"][0]["unchanged"] is False
        with pytest.raises(RequestError) as nothing:
            await world.contracts.add(BOB)
        assert nothing.value.code == "nothing_described"
        await world.deploy(BOB, "guestbook")
        await world.build("bob--localnet__add_message", {"text": "x"})  # the code that was pinned is back


async def test_a_token_brings_its_symbol_as_a_claim(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.deploy(BOB, "ft")
        metadata = {"spec": "ft-1.0.0", "name": "[USD Coin](http://evil)", "symbol": "USDC", "decimals": 6}
        new = json.dumps({"owner_id": BOB, "total_supply": "5", "metadata": metadata}).encode()
        wallet = Wallet.load(tmp_path, BOB)
        await world.probe.send(
            await world.probe.signed(wallet, BOB, FunctionCall("new", new, Gas(30 * TGAS), Yocto(0)))
        )
        added: Any = await world.contracts.add(BOB)
        assert added["symbol"] == "USDC"
        assert {action["action"] for action in added["actions"]} >= {"bob--localnet__ft_transfer"}
        assert "evil" not in json.dumps(added)
        _claims_usdc(world.registry)
        once_more: Any = await world.contracts.add(BOB)
        assert once_more["symbol"] == "USDC"
        assert len(world.registry.tokens) == len(REGISTRY.tokens) + 1
        await world.contracts.add("usdc.localnet")  # the registry's own stays as it is
        _claims_usdc(world.registry)
    again, _ = growing(REGISTRY, read_contracts(tmp_path, "localnet"))
    _claims_usdc(again)
    async with opened(tmp_path) as world:
        _claims_usdc(world.registry)
        await world.contracts.remove(BOB)
        assert world.registry.token("USDC").contract_id == "usdc.localnet"
        assert tuple(world.registry.tokens) == tuple(REGISTRY.tokens)
        assert world.registry.tokens[:1] == tuple(REGISTRY.tokens[:1])


def _claims_usdc(registry: Registry) -> None:
    """At once: two contracts are called so, and each is taken by its id."""
    with pytest.raises(InvalidInput) as refused:
        registry.token("USDC")
    assert refused.value.details["readings"] == ["usdc.localnet", BOB]
    assert registry.token(BOB).symbol == "USDC"


async def test_a_chats_completion_knows_the_actions_of_the_moment(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        vocabulary = Vocabulary(world.contracts.catalogue, world.registry, NO_NAMES)

        def found(line: str) -> list[str]:
            return [one.text for one in completions(line, Names.read(vocabulary.shown(["alice.localnet"])))]

        assert found("/guest") == []
        await world.contracts.add(BOOK)
        assert "/guestbook--localnet__add_message " in found("/guest")
        assert "text=" in found("/guestbook--localnet__add_message te")
        assert found("/help guest")
        await world.contracts.remove(BOOK)
        assert found("/guest") == []
        assert "/near_balance " in found("/near_b")


@pytest.mark.parametrize(
    ("account_id", "code"),
    [
        ("nobody.localnet", "no_contract"),
        ("alice.localnet", "no_contract"),
        ("counter.localnet", "nothing_described"),
        ("NOT AN ID", "invalid_value"),
        ("gu\u0435stbook.localnet", "invalid_value"),
    ],
)
async def test_what_cannot_be_added(tmp_path: Path, account_id: str, code: str) -> None:
    async with opened(tmp_path) as world:
        with pytest.raises(RequestError) as refused:
            await world.contracts.add(account_id)
        assert refused.value.code == code
        assert len(world.catalogue) == len(CATALOGUE)
    assert not (tmp_path / FILE_NAME).exists()
    if "\u0435" in account_id:
        assert "U+0435" in refused.value.message


async def test_a_node_that_is_away_says_so_and_lists_what_is_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.contracts.add(BOOK)
    async with open_rpc(["http://127.0.0.1:9"], config=RpcConfig(attempts=1, read_timeout_s=0.5)) as away:
        added, catalogue = read_contracts(tmp_path, "localnet"), GrowingCatalogue(CATALOGUE)
        registry, tokens = growing(REGISTRY)
        contracts = Contracts(added, catalogue, tokens, registry, away, data_dir=tmp_path, clock=time.time)
        with pytest.raises(DaemonError):
            await contracts.add(BOOK)
        listed: Any = await contracts.listed()
    assert listed["contracts"][0]["unchanged"] is None


def test_a_file_that_is_damaged_or_of_another_network_is_an_error(tmp_path: Path) -> None:
    assert read_contracts(tmp_path, "localnet") == ()
    path = tmp_path / FILE_NAME
    for text in ("", "{", '{"version": 2, "network": "localnet"}', '{"network": "localnet", "contracts": [{}]}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match=FILE_NAME):
            read_contracts(tmp_path, "localnet")
    path.write_text('{"network": "testnet", "contracts": []}')
    with pytest.raises(ConfigError, match="holds contracts of testnet"):
        read_contracts(tmp_path, "localnet")


async def test_there_is_a_limit(tmp_path: Path) -> None:
    full = tuple(
        PinnedContract(
            account_id=AccountId(f"c{number}.localnet"), code_hash=CryptoHash.of(b""), added_at=0, methods=()
        )
        for number in range(MAX_CONTRACTS)
    )
    async with opened(tmp_path) as world:
        registry, tokens = growing(REGISTRY)
        contracts = Contracts(full, world.catalogue, tokens, registry, world.rpc, data_dir=tmp_path, clock=time.time)
        with pytest.raises(RequestError) as refused:
            await contracts.add(BOOK)
    assert refused.value.code == "too_many_contracts"
