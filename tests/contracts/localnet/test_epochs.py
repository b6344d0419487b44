"""Epochs: counted in blocks, seen by contracts and in the RPC, and moved on by `sandbox_fast_forward`."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from contracts.calls import Action
from contracts.errors import ChainError
from contracts.localnet.chain import ChainSettings
from contracts.localnet.genesis import read_genesis
from contracts.localnet.init import genesis_path, init_localnet
from contracts.localnet.server import open_localnet
from contracts.localnet.store import ChainStore
from contracts.types import AccountId
from tests.contracts.localnet.conftest import Open
from tests.contracts.localnet.rig import opened_chain
from tests.contracts.localnet.test_durability import RefusingStore
from tests.contracts.localnet.wallet import ALICE, BOB, NEAR, Probe, Wallet, call, transfer

POOL = AccountId("pool.localnet")


async def ask(probe: Probe, method: str, params: object) -> Any:
    """An answer that no OpenAPI document describes."""
    body = {"jsonrpc": "2.0", "id": "t", "method": method, "params": params}
    async with probe.http.post(probe.url, json=body) as response:
        return await response.json()


async def forward(probe: Probe, blocks: int) -> None:
    assert (await ask(probe, "sandbox_fast_forward", {"delta_height": blocks}))["result"] == {}


async def send(probe: Probe, wallet: Wallet, receiver_id: AccountId, *actions: Action) -> None:
    answer = await probe.send(await probe.signed(wallet, receiver_id, *actions))
    assert "SuccessValue" in answer["status"], answer


async def available(probe: Probe) -> bool:
    answer: bool = await probe.view(POOL, "is_account_unstaked_balance_available", {"account_id": ALICE})
    return answer


async def test_the_chain_moves_on_and_time_with_it(opened: Open) -> None:
    async with opened(heartbeat_s=0.5) as (probe, localnet):
        length = localnet.chain.epoch_length
        before = (await probe.result("block", {"finality": "final"}))["header"]
        await forward(probe, 4 * length)
        after = (await probe.result("block", {"finality": "final"}))["header"]
        assert after["height"] >= before["height"] + 4 * length
        assert after["epoch_id"] != before["epoch_id"]
        seconds = (after["timestamp"] - before["timestamp"]) / 10**9
        assert seconds == pytest.approx(4 * length * 0.5, rel=0.01)
        assert (await probe.result("validators", [None]))["epoch_height"] == 4
        # Every epoch begins with a block, and the heights between have none.
        second = (await probe.result("block", {"block_id": 1 + 2 * length}))["header"]
        assert second["prev_height"] == 1 + length
        missing = await probe.error("block", {"block_id": 2 + 2 * length}, status=422)
        assert missing["cause"]["name"] == "UNKNOWN_BLOCK"


async def test_a_chain_that_is_final_later_goes_on(opened: Open, alice: Wallet) -> None:
    async with opened(finality_lag_blocks=2, heartbeat_s=0.05) as (probe, localnet):
        await send(probe, alice, BOB, transfer(1))
        height = localnet.chain.head.height
        await forward(probe, localnet.chain.epoch_length)
        final = (await probe.result("block", {"finality": "final"}))["header"]["height"]
        near_final = (await probe.result("block", {"finality": "near-final"}))["header"]["height"]
        assert height <= final <= near_final
        await send(probe, alice, BOB, transfer(2))


async def test_two_at_once_add_up(opened: Open) -> None:
    async with opened() as (probe, localnet):
        height = localnet.chain.head.height
        async with asyncio.TaskGroup() as tasks:
            for delta in (1_000, 50_000):
                tasks.create_task(forward(probe, delta))
        assert localnet.chain.head.height >= height + 51_000


@pytest.mark.parametrize("delta", [None, 0, -1, 1.5, "5", True, 10**9])
async def test_what_is_no_number_of_blocks_is_refused(probe: Probe, delta: object) -> None:
    refused = (await ask(probe, "sandbox_fast_forward", {"delta_height": delta}))["error"]
    assert refused["cause"]["name"] == "PARSE_ERROR"


async def test_the_state_of_before_the_jump_can_be_read_and_survives_a_restart(opened: Open, alice: Wallet) -> None:
    async with opened() as (probe, localnet):
        before = (await probe.query("view_account", account_id=ALICE))["block_height"]
        await forward(probe, 2 * localnet.chain.epoch_length)
        await send(probe, alice, BOB, transfer(NEAR))
        assert (await probe.query("view_account", account_id=ALICE, block_id=before))["amount"] == str(10_000 * NEAR)
        head = localnet.chain.head
    async with opened() as (probe, localnet):
        assert localnet.chain.head.height >= head.height
        assert (await probe.result("validators", [None]))["epoch_height"] == 2
        await send(probe, alice, BOB, transfer(NEAR))
        assert localnet.chain.head.timestamp_ns > head.timestamp_ns


async def test_contracts_see_the_epoch(opened: Open, alice: Wallet) -> None:
    """The pool's waiting time is over after four of them, and not one earlier."""
    async with opened() as (probe, localnet):
        await send(probe, alice, POOL, call("deposit_and_stake", {}, NEAR, 100))
        await send(probe, alice, POOL, call("unstake_all", {}, 0, 100))
        waiting: list[bool] = []
        for _ in range(4):
            waiting.append(await available(probe))
            await forward(probe, localnet.chain.epoch_length)
        assert waiting == [False] * 4
        assert await available(probe)
        await send(probe, alice, POOL, call("withdraw_all", {}, 0, 100))


async def test_the_length_is_the_chains_for_good(tmp_path: Path) -> None:
    for asked in (5, 7):
        async with open_localnet(tmp_path, "127.0.0.1:0", epoch_length_blocks=asked) as localnet:
            assert localnet.chain.epoch_length == 5
            await localnet.chain.fast_forward(5)
    assert read_genesis(genesis_path(tmp_path)).epoch_length == 5


async def test_a_chain_from_before_epochs_could_be_chosen_keeps_mainnets(tmp_path: Path) -> None:
    init_localnet(tmp_path)
    path = genesis_path(tmp_path)
    genesis = json.loads(path.read_text())
    del genesis["epoch_length"]
    path.write_text(json.dumps(genesis))
    async with open_localnet(tmp_path, "127.0.0.1:0") as localnet:
        assert localnet.chain.epoch_length == 43_200


async def test_nobody_outside_can_bend_time(data_dir: Path) -> None:
    """Where others can reach the server, the method is not there."""
    async with open_localnet(data_dir, "0.0.0.0:0") as localnet, aiohttp.ClientSession() as http:
        probe = Probe(http, localnet.rpc_url.replace("0.0.0.0", "127.0.0.1"))
        refused = (await ask(probe, "sandbox_fast_forward", {"delta_height": 1}))["error"]
        assert (refused["code"], refused["cause"]["name"]) == (-32601, "METHOD_NOT_FOUND")


async def test_a_chain_without_the_newer_contracts_goes_on_and_says_what_it_lacks(opened: Open, data_dir: Path) -> None:
    async with opened() as (_, localnet):
        height = localnet.chain.head.height
    with closing(sqlite3.connect(data_dir / "localnet" / "chain.sqlite")) as database:
        database.execute("DELETE FROM accounts WHERE account_id = ?", (POOL,))
        database.execute("UPDATE accounts SET code_hash = NULL WHERE account_id = 'localnet'")
        database.commit()
    with capture_logs() as logs:
        async with opened() as (_, localnet):
            assert localnet.chain.head.height >= height
    (said,) = [line for line in logs if line["event"] == "chain_lacks_contracts"]
    assert said["contracts"] == ["localnet", "pool.localnet"]
    assert "begin one that has them" in said["todo"]


async def test_a_full_disk_stops_the_way_forward_and_it_can_be_asked_again(data_dir: Path) -> None:
    stores: list[RefusingStore] = []

    def wrapped(store: ChainStore) -> RefusingStore:
        stores.append(RefusingStore(store))
        return stores[0]

    settings = ChainSettings(heartbeat_s=0.02)
    async with opened_chain(data_dir, wrap=wrapped, settings=settings) as chain, asyncio.TaskGroup() as tasks:
        height = chain.head.height
        running = tasks.create_task(chain.run())
        stores[0].full = True
        with pytest.raises(ChainError, match="could not be written"):
            await chain.fast_forward(100_000)
        assert chain.head.height == height
        stores[0].full = False
        await chain.fast_forward(100_000)
        assert chain.head.height >= height + 100_000
        chain.stop()
        await running
