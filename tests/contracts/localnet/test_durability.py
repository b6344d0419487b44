import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contracts.errors import ChainError
from contracts.localnet.blocks import Block
from contracts.localnet.chain import Chain, ChainSettings
from contracts.localnet.server import Localnet, open_localnet
from contracts.localnet.store import ChainStore
from contracts.localnet.tracking import Level, TransactionTrack
from contracts.signing.transaction import SignedTransaction
from contracts.types import AccountId, CryptoHash
from contracts.vm.receipts import SuccessValue
from tests.contracts.localnet.conftest import Open
from tests.contracts.localnet.rig import opened_chain
from tests.contracts.localnet.wallet import ALICE, BOB, NEAR, USDC, Probe, Wallet, call, send_params, transfer

RUN = """
import asyncio, pathlib, sys
from contracts.localnet.server import run_localnet
asyncio.run(run_localnet(pathlib.Path(sys.argv[1]), "127.0.0.1:0", heartbeat_s=0.05))
"""


@asynccontextmanager
async def _child(data_dir: Path) -> AsyncGenerator[tuple[Probe, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        word, url = (await process.stdout.readline()).decode().split()
        assert word == "ready"
        async with aiohttp.ClientSession() as http:
            yield Probe(http, url), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _settled(chain: Chain) -> None:
    """Nothing is under way, so every yoctoNEAR is in an account."""
    assert chain.total_of_accounts() == chain.head.total_supply


@pytest.mark.parametrize("after", [1, 7, 40])
async def test_kill_9_loses_nothing_that_was_acknowledged(
    data_dir: Path, alice: Wallet, bob: Wallet, after: int
) -> None:
    signed: list[SignedTransaction] = []
    acknowledged: list[CryptoHash] = []
    async with _child(data_dir) as (probe, process):
        genesis = (await probe.result("status", []))["genesis_hash"]
        block = await probe.head()

        async def flow(wallet: Wallet, receiver_id: AccountId) -> None:
            for nonce in range(1, 200):
                item = wallet.sign(receiver_id, [transfer(1), transfer(2)], nonce, block)
                signed.append(item)
                await probe.send(item, ("NONE", "INCLUDED", "FINAL")[nonce % 3])
                acknowledged.append(item.tx_hash)
                if len(acknowledged) == after:
                    process.send_signal(signal.SIGKILL)

        async def both() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(flow(alice, BOB))
                tasks.create_task(flow(bob, ALICE))

        with pytest.raises(BaseExceptionGroup) as caught:
            await both()
        assert caught.group_contains(aiohttp.ClientError)
    async with open_localnet(data_dir, "127.0.0.1:0") as localnet, aiohttp.ClientSession() as http:
        probe = Probe(http, localnet.rpc_url)
        assert (await probe.result("status", []))["genesis_hash"] == genesis
        landed: dict[AccountId, int] = {ALICE: 0, BOB: 0}
        burnt: dict[AccountId, int] = {ALICE: 0, BOB: 0}
        for item in signed:
            done = await _done(localnet.chain, item.tx_hash)
            assert done is not None or item.tx_hash not in acknowledged
            if done is not None:
                sender = item.transaction.signer_id
                landed[sender] += 3
                burnt[sender] += sum(int(part.execution.tokens_burnt) for part in (done.included, *done.outcomes()))
        assert len(acknowledged) >= after
        assert await probe.balance(BOB) == 10_000 * NEAR + landed[ALICE] - landed[BOB] - burnt[BOB]
        assert await probe.balance(ALICE) == 10_000 * NEAR + landed[BOB] - landed[ALICE] - burnt[ALICE]
        _settled(localnet.chain)
        # The bytes that nobody heard of can be sent again: they land once, or they have landed.
        last = signed[-1]
        assert (await probe.send(last))["status"] == {"SuccessValue": ""}


async def _done(chain: Chain, tx_hash: CryptoHash) -> TransactionTrack | None:
    return await chain.follow(tx_hash, "FINAL") if chain.find(tx_hash) is not None else None


async def test_a_restarted_chain_goes_on_where_it_was(opened: Open, alice: Wallet) -> None:
    async with opened(heartbeat_s=0.01) as (probe, localnet):
        given_out = (await probe.result("block", {"finality": "final"}))["header"]
        done = await probe.send(await probe.signed(alice, BOB, transfer(5)))
        while localnet.chain.head.height < given_out["height"] + 5:
            await asyncio.sleep(0.01)
        status = await probe.result("status", [])
    async with opened(heartbeat_s=60) as (probe, localnet):
        again = await probe.result("status", [])
        assert again["genesis_hash"] == status["genesis_hash"]
        assert again["sync_info"]["latest_block_height"] >= status["sync_info"]["latest_block_height"]
        assert (await probe.result("block", {"block_id": given_out["hash"]}))["header"] == given_out
        params = {"tx_hash": done["transaction"]["hash"], "sender_account_id": ALICE, "wait_until": "NONE"}
        assert await probe.result("tx", params) == done
        signed = alice.sign(BOB, [transfer(1)], 2, CryptoHash(given_out["hash"]))
        assert (await probe.send(signed))["status"] == {"SuccessValue": ""}
        # States of before the restart are gone, and it says so.
        error = await probe.error(
            "query", {"request_type": "view_account", "account_id": ALICE, "block_id": given_out["hash"]}
        )
        assert error["cause"]["name"] == "GARBAGE_COLLECTED_BLOCK"
        _settled(localnet.chain)


@pytest.mark.parametrize("blocks", range(1, 7))
async def test_receipts_in_flight_go_on_after_a_restart(data_dir: Path, alice: Wallet, blocks: int) -> None:
    """A transfer call crosses five blocks or more: it is cut after each of them."""
    wrap = AccountId("wrap.localnet")
    register = call("storage_deposit", {"account_id": wrap, "registration_only": True}, 125 * 10**19, tgas=10)
    move = call("ft_transfer_call", {"receiver_id": wrap, "amount": "5", "msg": ""}, 1, tgas=100)
    async with opened_chain(data_dir) as chain:
        signed = alice.sign(USDC, [register, move], 1, chain.head.hash)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(chain.submit(signed, "NONE"))
            await asyncio.sleep(0)
            for _ in range(blocks):
                await chain.make_block()
        half = sending.result().outcomes()
    async with opened_chain(data_dir) as chain:
        found = chain.find(signed.tx_hash)
        assert found is not None
        assert found.outcomes() == half
        while not found.complete:
            await chain.make_block()
        track = chain.find(signed.tx_hash)
        assert track is not None
        assert track.status() == SuccessValue(b'"0"')
        assert track.reached("FINAL", chain.final_height)
        _settled(chain)


class RefusingStore:
    """A disk that is full whenever `full` is set: the real store otherwise."""

    def __init__(self, store: ChainStore) -> None:
        self.full = False
        self._store = store
        self.header_at = store.header_at
        self.header_upto = store.header_upto
        self.header_from = store.header_from
        self.header_of = store.header_of
        self.transaction = store.transaction
        self.receipts_of = store.receipts_of
        self.receipt = store.receipt
        self.transactions_in = store.transactions_in
        self.receipts_in = store.receipts_in
        self.prune = store.prune

    def commit(self, block: Block) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self._store.commit(block)


async def _submitted(chain: Chain, signed: SignedTransaction, level: Level = "FINAL") -> TransactionTrack | ChainError:
    try:
        return await chain.submit(signed, level)
    except ChainError as error:
        return error


async def test_a_full_disk_acknowledges_nothing_and_recovers(data_dir: Path, alice: Wallet) -> None:
    stores: list[RefusingStore] = []

    def wrapped(store: ChainStore) -> RefusingStore:
        stores.append(RefusingStore(store))
        return stores[0]

    async with opened_chain(data_dir, wrap=wrapped) as chain, asyncio.TaskGroup() as tasks:
        head = chain.head
        running = tasks.create_task(chain.run())
        stores[0].full = True
        signed = alice.sign(BOB, [transfer(5)], 1, head.hash)
        refused = await _submitted(chain, signed, "NONE")
        assert isinstance(refused, ChainError)
        assert (refused.code, refused.retryable) == ("INTERNAL_ERROR", True)
        assert "full" in refused.message
        assert chain.head == head
        assert chain.fault is not None
        assert chain.find(signed.tx_hash) is None
        state = chain.state_at(head)
        assert state is not None
        account = state.account(BOB)
        assert account is not None
        assert account.amount == 10_000 * NEAR
        stores[0].full = False
        done = await _submitted(chain, signed)
        assert isinstance(done, TransactionTrack)
        assert chain.fault is None
        chain.stop()
        await running
        _settled(chain)


async def test_a_disk_that_fills_between_two_blocks_of_a_transaction(data_dir: Path, alice: Wallet) -> None:
    stores: list[RefusingStore] = []

    def wrapped(store: ChainStore) -> RefusingStore:
        stores.append(RefusingStore(store))
        return stores[0]

    async with opened_chain(data_dir, wrap=wrapped) as chain, asyncio.TaskGroup() as tasks:
        signed = alice.sign(BOB, [transfer(5)], 1, chain.head.hash)
        sending = tasks.create_task(_submitted(chain, signed))
        await asyncio.sleep(0)
        await chain.make_block()
        stores[0].full = True
        await chain.make_block()
        await chain.make_block()
        assert not sending.done()
        stores[0].full = False
        await chain.make_block()
        done = await sending
        assert isinstance(done, TransactionTrack)
        assert done.status() == SuccessValue(b"")
        _settled(chain)


async def test_sqlite_itself_out_of_space_rolls_back(data_dir: Path, alice: Wallet) -> None:
    stores: list[ChainStore] = []

    def kept(store: ChainStore) -> ChainStore:
        stores.append(store)
        return store

    async with opened_chain(data_dir, wrap=kept) as chain, asyncio.TaskGroup() as tasks:
        writer = stores[0]._writer
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        guestbook = AccountId("guestbook.localnet")
        big = alice.sign(guestbook, [call("add_message", {"text": "x" * 60_000}, tgas=300)], 1, chain.head.hash)
        sending = tasks.create_task(_submitted(chain, big))
        await asyncio.sleep(0)
        for _ in range(3):
            await chain.make_block()
        refused = await sending
        assert isinstance(refused, ChainError)
        assert refused.code == "INTERNAL_ERROR"
        writer.execute("PRAGMA max_page_count = 1000000")
        again = tasks.create_task(_submitted(chain, big))
        await asyncio.sleep(0)
        while not again.done():
            await chain.make_block()
            await asyncio.sleep(0)
        assert isinstance(again.result(), TransactionTrack)
        _settled(chain)


async def test_health_and_sends_say_when_blocks_cannot_be_written(opened: Open, alice: Wallet) -> None:
    async with opened() as (probe, localnet):
        localnet.chain.fault = "block 9 could not be written: database or disk is full"
        error = await probe.error("health", [], status=500)
        assert error["cause"]["name"] == "INTERNAL_ERROR"
        async with probe.http.get(f"{probe.url}/health") as response:
            assert response.status == 500
        await probe.send(await probe.signed(alice, BOB, transfer(1)))
        assert await probe.result("health", []) is None


async def test_a_transaction_expires_by_blocks(data_dir: Path, alice: Wallet) -> None:
    async with opened_chain(data_dir, validity=3) as chain:
        reference = chain.head
        for _ in range(2):
            await chain.make_block()
        in_time = alice.sign(BOB, [transfer(1)], 1, reference.hash)
        late = alice.sign(BOB, [transfer(1)], 2, reference.hash)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(_submitted(chain, in_time, "INCLUDED"))
            await asyncio.sleep(0)
            await chain.make_block()
            assert isinstance(await first, TransactionTrack)
            second = tasks.create_task(_submitted(chain, late, "INCLUDED"))
            await asyncio.sleep(0)
            await chain.make_block()
            expired = await second
        assert isinstance(expired, ChainError)
        assert expired.details == {"InvalidTxError": "Expired"}
        # Known bytes are answered with their outcome, however old.
        again = await chain.submit(in_time, "INCLUDED")
        assert again.included.height == reference.height + 3


async def test_old_empty_blocks_are_forgotten_and_outcomes_are_not(data_dir: Path, alice: Wallet) -> None:
    settings = ChainSettings(heartbeat_s=60, prune_every_blocks=5, state_window_blocks=2)
    async with opened_chain(data_dir, validity=2, settings=settings) as chain:
        genesis = chain.head
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_submitted(chain, alice.sign(BOB, [transfer(1)], 1, genesis.hash)))
            await asyncio.sleep(0)
            for _ in range(3):
                await chain.make_block()
            done = await sending
        assert isinstance(done, TransactionTrack)
        empty = chain.head
        for _ in range(20):
            await chain.make_block()
        assert chain.earliest.height > empty.height
        assert chain.header_of(empty.hash) is None
        assert chain.header_at(done.included.height) is not None
        assert chain.find(done.signed.tx_hash) is not None
        assert chain.genesis_header == genesis
        earliest = chain.earliest
    async with opened_chain(data_dir, validity=2) as chain:
        assert chain.earliest == earliest
        assert chain.genesis_header == genesis


async def test_time_never_runs_backwards(data_dir: Path) -> None:
    times = iter([6, 5, 4, 3])
    async with opened_chain(data_dir, clock_ns=lambda: next(times)) as chain:
        seen = [chain.head.timestamp_ns]
        for _ in range(3):
            await chain.make_block()
            seen.append(chain.head.timestamp_ns)
        assert seen == sorted(set(seen))


async def test_two_chains_on_one_folder_are_refused(chain: tuple[Probe, Localnet], data_dir: Path) -> None:
    with pytest.raises(ChainError) as caught:
        async with open_localnet(data_dir, "127.0.0.1:0"):
            pytest.fail("opened twice")
    assert caught.value.code == "chain_locked"
    assert str(os.getpid()) in caught.value.message
    assert (data_dir / "localnet" / "lock").read_text() == str(os.getpid())
    assert (await chain[0].result("status", []))["chain_id"] == "localnet"


async def test_an_address_that_is_taken_is_named_and_the_folder_is_free_again(
    chain: tuple[Probe, Localnet], tmp_path: Path, template: Path
) -> None:
    taken = chain[1].rpc_url.removeprefix("http://")
    for listen in (taken, "127.0.0.1:x", "nowhere"):
        with pytest.raises(ChainError) as caught:
            async with open_localnet(template, listen):
                pytest.fail("listens")
        assert caught.value.code == "listen_refused"
        assert repr(listen) in caught.value.message
    async with open_localnet(template, "127.0.0.1:0"):
        pass


async def test_sigterm_ends_it_cleanly(data_dir: Path, alice: Wallet) -> None:
    async with _child(data_dir) as (probe, process):
        signed = await probe.signed(alice, BOB, transfer(5))
        await probe.send(signed)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    async with opened_chain(data_dir) as chain:
        assert chain.find(signed.tx_hash) is not None


async def _impatient(probe: Probe, body: object) -> None:
    async with asyncio.timeout(0.001), probe.http.post(probe.url, json=body):
        raise TimeoutError


async def test_a_client_that_goes_away_takes_nothing_with_it(chain: tuple[Probe, Localnet], alice: Wallet) -> None:
    probe, localnet = chain
    signed = await probe.signed(alice, BOB, transfer(5))
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "send_tx", "params": send_params(signed, "FINAL")}
    with pytest.raises(TimeoutError):
        await _impatient(probe, body)
    track = await localnet.chain.submit(signed, "FINAL")
    assert track.status() == SuccessValue(b"")
    assert await probe.balance(BOB) == 10_000 * NEAR + 5


async def test_a_chain_of_another_format_is_not_touched(data_dir: Path) -> None:
    path = data_dir / "localnet" / "chain.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ChainError) as caught:
        ChainStore(path)
    assert caught.value.code == "chain_version"


async def test_what_the_body_raises_comes_out_as_it_is(template: Path, data_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_localnet(data_dir, "127.0.0.1:0"):
            raise ZeroDivisionError
    async with open_localnet(data_dir, "127.0.0.1:0"):
        pass


async def test_a_file_that_is_no_database_is_named(data_dir: Path) -> None:
    path = data_dir / "localnet" / "chain.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(ChainError) as caught:
        async with open_localnet(data_dir, "127.0.0.1:0"):
            pytest.fail("opened")
    assert caught.value.code == "chain_unreadable"
    assert str(path) in caught.value.message
