"""A data folder that can be rolled back, and a chain outside of it that cannot."""

import hashlib
import shutil
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.approval import Codes
from agent.pipeline import Pipeline
from agent.records import Reply, UserRequest
from agent.records import Turn as Said
from agent.store.backup import backup_database
from agent.store.store import Store, open_store
from agent.story import Settings
from contracts.calls import ChangeCall, Grant, Transfer
from contracts.chain.client import ChainClient
from contracts.chain.comparing import AccountStanding
from contracts.chain.delivery import SendSettings
from contracts.chain.outcome import Finalized
from contracts.chain.rpc import RpcConfig, open_rpc
from contracts.checks.policy_file import parse_policy
from contracts.knowledge.facts import At
from contracts.signing.keystore import KeyStore
from contracts.signing.transaction import decode_signed_transaction, decode_transaction
from contracts.types import AccountId, PublicKey, Yocto
from tests.agent.world import ALICE as ALICES_KEY
from tests.agent.world import REGISTRY, FakeReads
from tests.doubles import Clock, KeyStoreSigner, MemoryLedger, NoModels, approved, key_file
from tests.fake_nodes import FakeChain, FakeNode, serve

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
MILLI = 10**21
_POLICY = """version = 1
[default]
always_ask = []
[default.limits.NEAR]
free_per_action = "0.5"
free_per_day = "1000"
"""
_SEND = SendSettings(operators=1, confirm_timeout_s=1.0, settle_timeout_s=0.3, poll_s=0.005, resend_s=0.02)


class ManyKeys:
    """A signer over several keys of alice's, of which it holds some."""

    def __init__(self, folder: Path, count: int, clock: Clock) -> None:
        self._stores: dict[PublicKey, KeyStore] = {}
        for number in range(count):
            inside = folder / str(number)
            public = key_file(inside / "localnet", ALICE, hashlib.sha256(b"%d" % number).digest())
            self._stores[public] = KeyStore.load(inside, "localnet")
        self._clock = clock
        self.all = tuple(self._stores)
        self.held = list(self.all)

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        return tuple(sorted(self.held)) if account_id == ALICE else ()

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        holder = self._stores[decode_transaction(transaction_bytes).public_key]
        return await KeyStoreSigner(holder, chain_id="localnet", clock=self._clock).sign(transaction_bytes, grant)


class NewestChain(ChainClient):
    """The facts of these tests have a block of their own, which the node does not know."""

    async def standing(self, chain_id: str, signer_id: AccountId, at: At = "final") -> AccountStanding:
        del at
        return await super().standing(chain_id, signer_id)


@dataclass
class Rollable:
    """What is outside of the folder: the chain, a node, the keys, and what people remember."""

    folder: Path
    url: str
    chain: FakeChain
    node: FakeNode
    signer: ManyKeys
    clock: Clock
    count: int = 0
    """Of requests in all timelines, so that no two have the same id."""

    @asynccontextmanager
    async def started(self) -> AsyncGenerator["Running"]:
        """The agent on the folder as it is now."""
        settings = Settings("localnet", "localnet", 20.0, 20.0, 600.0, 3600.0)
        async with (
            open_store(self.folder / "agent.db", clock=self.clock) as store,
            open_rpc([self.url], config=RpcConfig(attempts=2, backoff_s=0.005, read_timeout_s=3.0)) as rpc,
        ):
            chain = NewestChain(rpc, store.ledger, self.signer, clock=self.clock, settings=_SEND)
            pipeline = Pipeline(
                settings=settings,
                store=store,
                chain=chain,
                reads=FakeReads(),
                registry=REGISTRY,
                models=NoModels(),
                codes=Codes(b"a code key of the tests"),
                policy=parse_policy(_POLICY, REGISTRY),
                clock=self.clock,
            )
            await chain.check_lanes("localnet", {ALICE: tuple(self.signer.held)})
            await pipeline.recover()
            yield Running(self, store, chain, pipeline)

    def snapshot(self, name: str) -> None:
        shutil.rmtree(self.folder.parent / name, ignore_errors=True)
        (self.folder.parent / name).mkdir()
        backup_database(self.folder / "agent.db", self.folder.parent / name / "agent.db")

    def roll_back(self, name: str) -> None:
        """Put the snapshot in the folder's place, as a disk or a machine does. Nobody has the folder open."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.parent / name, self.folder)

    async def use_elsewhere(self, key: PublicKey) -> None:
        """A transfer by one of the keys that no folder of ours knows."""
        self.count += 1
        ledger, held = MemoryLedger(), self.signer.held
        call = ChangeCall(BOB, (Transfer(Yocto(self.count)),))
        self.signer.held = [key]
        async with open_rpc([self.url]) as rpc:
            client = ChainClient(rpc, ledger, self.signer, clock=self.clock, settings=_SEND)
            await client.check_lanes("localnet", {ALICE: (key,)})
            intent, grant = await approved(ledger, call, name=f"elsewhere {self.count}")
            assert isinstance(await client.execute(intent, grant), Finalized)
        self.signer.held = held

    def deliver_late(self) -> None:
        """Bytes that were sent and lost come to the node after all, as far as the chain still takes them."""
        for data in dict.fromkeys(self.node.sends):
            sent = decode_signed_transaction(data)
            if sent.tx_hash not in self.chain.executed and self.chain.refusal(sent) is None:
                self.chain.include(sent)

    def paid(self) -> Counter[int]:
        """How often each amount in milliNEAR was transferred, by the chain."""
        sent = (self.chain.executed[tx][0].transaction for tx in self.chain.order)
        amounts = (action.deposit for one in sent for action in one.actions if isinstance(action, Transfer))
        return Counter(amount // MILLI for amount in amounts if amount >= MILLI)


@dataclass
class Running:
    """The agent while it runs, and a person who writes to it."""

    outside: Rollable
    store: Store
    chain: ChainClient
    pipeline: Pipeline

    async def say(self, text: str, *, key: str | None = None) -> Reply:
        """One message, in a conversation of its own."""
        self.outside.count += 1
        number = self.outside.count
        return await self.pipeline.handle(
            UserRequest(
                request_id=f"01990000-0000-7000-8000-{number:012d}",
                text=text,
                turns=(Said(role="user", content=text),),
                identity=ALICES_KEY,
                front_end="chat_completions",
                conversation_id=f"talk {number}",
                idempotency_key=key,
                received_at=self.outside.clock(),
            )
        )

    async def ask(self, milli: int, *, key: str | None = None) -> Reply:
        return await self.say(f"/near_transfer {BOB} {milli / 1000:.3f}", key=key)

    async def card(self, milli: int) -> str:
        """The code of a new card."""
        reply = await self.ask(milli)
        assert reply.confirm_code is not None, reply.text
        return reply.confirm_code

    async def acknowledge_all(self) -> None:
        for key in self.outside.signer.all:
            await self.chain.acknowledge_key("localnet", ALICE, key)


@asynccontextmanager
async def rollable(folder: Path, *, keys: int = 1) -> AsyncGenerator[Rollable]:
    """An empty folder, and a chain that knows these many keys of alice's, none of them used."""
    clock = Clock()
    signer = ManyKeys(folder / "keys", keys, clock)
    bobs = key_file(folder / "bob", BOB, bytes(32))
    chain = FakeChain({ALICE: signer.all[0], BOB: bobs})
    chain.more_keys[ALICE] = list(signer.all[1:])
    node = FakeNode(chain)
    async with serve(node.answer) as url:
        yield Rollable(folder / "data", url, chain, node, signer, clock)
