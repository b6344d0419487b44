"""A small world for the client's tests: a chain, its nodes, a ledger that outlives clients, and what moved."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contracts.calls import ChangeCall, Grant, Transfer
from contracts.chain.client import ChainClient, no_kill
from contracts.chain.delivery import SendSettings
from contracts.chain.ledger import Intent
from contracts.chain.outcome import Effect
from contracts.chain.rpc import RpcConfig, open_rpc
from contracts.signing.signer import Signer
from contracts.signing.transaction import SignedTransaction, decode_signed_transaction, decode_transaction
from contracts.types import AccountId, PublicKey, Yocto
from tests.doubles import Clock, KeyStoreSigner, MemoryLedger, approved, key_store
from tests.fake_nodes import FIRST_NONCE, FakeChain, FakeNode, serve

NEAR = 10**24
RPC = RpcConfig(
    connect_timeout_s=1.0,
    request_timeout_s=1.0,
    attempts=2,
    read_timeout_s=3.0,
    backoff_s=0.005,
    max_backoff_s=0.01,
    hedge_floor_s=10.0,
)


def settings(operators: int = 1, poll_s: float = 0.005) -> SendSettings:
    return SendSettings(operators=operators, confirm_timeout_s=1.0, settle_timeout_s=1.0, poll_s=poll_s, resend_s=0.02)


@dataclass
class World:
    chain: FakeChain
    nodes: list[FakeNode]
    urls: list[str]
    ledger: MemoryLedger
    signer: Signer
    clock: Clock
    stack: AsyncExitStack
    operators: int = 1
    before: dict[str, int] = field(default_factory=dict[str, int])
    poll_s: float = 0.005

    async def client(
        self,
        kill_point: Callable[[str], None] = no_kill,
        *,
        signer: Signer | None = None,
        urls: list[str] | None = None,
    ) -> ChainClient:
        rpc = await self.stack.enter_async_context(open_rpc(urls or self.urls, config=RPC))
        return ChainClient(
            rpc,
            self.ledger,
            signer or self.signer,
            clock=self.clock,
            settings=settings(self.operators, self.poll_s),
            kill_point=kill_point,
        )

    async def transfer(
        self,
        name: str = "one",
        amount: int = NEAR,
        to: str = "bob.localnet",
        expected: tuple[Effect, ...] = (),
        step: int = 0,
    ) -> tuple[Intent, Grant]:
        """An approved intent of alice's."""
        call = ChangeCall(AccountId(to), (Transfer(Yocto(amount)),))
        return await approved(self.ledger, call, name=name, expected=expected, step=step)

    def moved(self) -> int:
        """Yocto that bob has gained."""
        return self.chain.balances["bob.localnet"] - self.before["bob.localnet"]

    def took_no_nonce(self) -> bool:
        """The ledger knows at most the nonces that it found on chain."""
        return set(self.ledger.nonces.values()) <= {FIRST_NONCE}

    def key_of(self, transaction_bytes: bytes) -> PublicKey:
        """The key that unsigned bytes are for."""
        return decode_transaction(transaction_bytes).public_key

    def decoded(self, intent: Intent) -> SignedTransaction:
        """What an intent's bytes say."""
        assert intent.signed is not None
        return decode_signed_transaction(intent.signed.data)

    async def state(self, name: str = "one") -> str:
        intent = await self.ledger.get(name)
        assert intent is not None
        return intent.state


@asynccontextmanager
async def open_world(folder: Path, nodes: int = 1, *, operators: int | None = None) -> AsyncGenerator[World, None]:
    keys = key_store(folder / "keys", "alice.localnet", "bob.localnet")
    public = {str(account): keys.public_keys(account)[0] for account in keys.accounts()}
    clock = Clock()
    async with AsyncExitStack() as stack:
        chain = FakeChain(public)
        served = [FakeNode(chain) for _ in range(nodes)]
        urls = [await stack.enter_async_context(serve(node.answer)) for node in served]
        signer = KeyStoreSigner(keys, chain_id="localnet", clock=clock)
        yield World(
            chain,
            served,
            urls,
            MemoryLedger(),
            signer,
            clock,
            stack,
            operators if operators is not None else nodes,
            dict(chain.balances),
        )
