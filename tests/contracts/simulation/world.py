"""A chain, a pre-flight over its RPC, and a way to hold what was foretold against what happens."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from contracts.calls import Action, ChangeCall, FunctionCall
from contracts.chain.effects import NEAR
from contracts.chain.outcome import Effect, Execution, ExecutionFailed, PartiallyExecuted
from contracts.chain.outcome_reader import read_outcome
from contracts.chain.rpc import RpcClient, open_rpc
from contracts.chain.rpc_types import (
    AccessKeyList,
    AccessKeyView,
    AccountView,
    BlockRef,
    BlockView,
    CodeView,
    ProtocolConfig,
    StateView,
    ValidatorsView,
)
from contracts.checks.preflight import KnownThings
from contracts.checks.report import PreflightReport
from contracts.errors import RpcError
from contracts.localnet.genesis import read_wasm
from contracts.localnet.server import open_localnet
from contracts.simulation.pool import PoolSettings, SandboxPool
from contracts.simulation.preflight import PreflightRequest, PreflightService, PreflightSettings
from contracts.simulation.sandbox import Sandbox, open_sandbox
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL, Wallet

ONE_NEAR: Final = 10**24
REGISTRATION: Final = 1_250_000_000_000_000_000_000
USDC, WRAP = AccountId("usdc.localnet"), AccountId("wrap.localnet")


def call(method: str, args: JsonValue, deposit: int = 0, tgas: int = 50) -> FunctionCall:
    return FunctionCall(method, json.dumps(args).encode(), Gas(tgas * TGAS), Yocto(deposit))


class CountedRpc:
    """An RPC client that counts, and whose answers a test can replace."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self.calls = 0
        self.accounts: dict[str, AccountView] = {}
        self.gate: asyncio.Event | None = None
        """Requests for state wait for it."""
        self.under_way = self.most_under_way = 0
        """Requests for state."""
        self.page: int | None = None
        """Records that a page of state holds at most."""
        self._states: dict[str, StateView | RpcError] = {}

    @contextmanager
    def telling(self, account_id: AccountId, state: StateView | RpcError) -> Generator[None]:
        """Inside, this is what nodes tell of an account's state."""
        self._states[account_id] = state
        try:
            yield
        finally:
            del self._states[account_id]

    async def block(self, at: BlockRef = "final") -> BlockView:
        self.calls += 1
        return await self._rpc.block(at)

    async def protocol_config(self) -> ProtocolConfig:
        return await self._rpc.protocol_config()

    async def account(self, account_id: AccountId, at: BlockRef = "final") -> AccountView:
        async with self._request():
            told = self.accounts.get(account_id)
            return await self._rpc.account(account_id, at) if told is None else told

    async def access_key(self, account_id: AccountId, public_key: PublicKey, at: BlockRef = "final") -> AccessKeyView:
        async with self._request():
            return await self._rpc.access_key(account_id, public_key, at)

    async def access_keys(self, account_id: AccountId, at: BlockRef = "final") -> AccessKeyList:
        async with self._request():
            return await self._rpc.access_keys(account_id, at)

    async def code(self, account_id: AccountId, at: BlockRef = "final") -> CodeView:
        async with self._request():
            return await self._rpc.code(account_id, at)

    async def state(
        self, account_id: AccountId, prefix: bytes = b"", at: BlockRef = "final", *, limit: int | None = None
    ) -> StateView:
        async with self._request():
            told = self._states.get(account_id)
            if isinstance(told, RpcError):
                raise told
            if told is not None:
                return told.model_copy(update={"block_hash": at})
            return await self._rpc.state(account_id, prefix, at, limit=min(limit or 10_000, self.page or 10_000))

    @asynccontextmanager
    async def _request(self) -> AsyncGenerator[None]:
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            yield
        finally:
            self.under_way -= 1

    async def validators(self) -> ValidatorsView:
        self.calls += 1
        return await self._rpc.validators()


@dataclass(frozen=True, slots=True)
class Happened:
    """What a transaction came to on chain, in the words of a report."""

    result: str
    logs: tuple[str, ...]
    effects: tuple[Effect, ...]
    tokens_burnt: int
    message: str = ""


class Wallets:
    """The keys of the users, and of accounts that a test makes."""

    def __init__(self, data_dir: Path) -> None:
        self._wallets = {name: Wallet.load(data_dir, name) for name in (ALICE, BOB, CAROL)}

    def of(self, account_id: AccountId) -> Wallet:
        return self._wallets[account_id]

    @contextmanager
    def signing(self, account_id: AccountId, by: AccountId) -> Generator[None]:
        """Inside, the key that is held for an account is another one's."""
        own = self._wallets[account_id]
        self._wallets[account_id] = Wallet(account_id, self._wallets[by].key)
        try:
            yield
        finally:
            self._wallets[account_id] = own

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        wallet = self._wallets.get(account_id)
        return () if wallet is None else (wallet.public_key,)


async def report_of(service: PreflightService, request: PreflightRequest) -> PreflightReport:
    """The report; there must be room to make it."""
    report = await service.preflight(request)
    assert isinstance(report, PreflightReport), report
    return report


@dataclass
class World:
    rpc: RpcClient
    counted: CountedRpc
    sandbox: Sandbox
    pool: SandboxPool
    wallets: Wallets
    service: PreflightService
    paid: set[AccountId] = field(default_factory=set[AccountId])

    async def foretell(self, signer_id: AccountId, *calls: ChangeCall) -> PreflightReport:
        request = PreflightRequest(signer_id, calls, paid_before=lambda account_id: account_id in self.paid)
        return await report_of(self.service, request)

    async def one(self, signer_id: AccountId, receiver_id: AccountId, *actions: Action) -> PreflightReport:
        return await self.foretell(signer_id, ChangeCall(receiver_id, actions))

    async def carry_out(self, signer_id: AccountId, change: ChangeCall) -> Happened:
        wallet = self.wallets.of(signer_id)
        key = await self.rpc.access_key(signer_id, wallet.public_key, "optimistic")
        signed = wallet.sign(change.receiver_id, change.actions, key.nonce + 1, key.block_hash)
        try:
            await self.rpc.send_tx(signed.data, signed.tx_hash, "FINAL")
        except RpcError as error:
            if error.code != "TIMEOUT_ERROR":  # the node waits 10 s only, compiling a large contract can take longer
                return Happened("failure", (), (), 0, str(error.details) + error.message)
        answer = await self.rpc.experimental_tx_status(signed.tx_hash, signer_id, "FINAL")
        outcome = read_outcome(answer, await self.rpc.block("final"))
        match outcome:
            case ExecutionFailed(execution, _, message):
                return _happened("failure", execution, message)
            case PartiallyExecuted(execution, message):
                return _happened("partial", execution, message)
            case _:
                return _happened("success", outcome.execution)

    async def done(self, signer_id: AccountId, receiver_id: AccountId, *actions: Action) -> None:
        happened = await self.carry_out(signer_id, ChangeCall(receiver_id, actions))
        assert happened.result == "success", happened

    async def balance(self, account_id: AccountId, token: str) -> int:
        if token == NEAR:
            try:
                account = await self.rpc.account(account_id, "optimistic")
            except RpcError:
                return 0
            return account.amount + account.locked
        args = json.dumps({"account_id": account_id}).encode()
        answer = await self.rpc.call_function(AccountId(token), "ft_balance_of", args, "optimistic")
        return int(json.loads(answer.result))

    async def assert_came_true(self, signer_id: AccountId, change: ChangeCall) -> str:
        """Foretell, carry out, compare; the foretold result, `unknown` where there was none to compare."""
        report = await self.foretell(signer_id, change)
        foretold = report.simulated[0]
        happened = await self.carry_out(signer_id, change)
        about = (signer_id, change, report, happened)
        if foretold.result == "unknown":
            assert foretold.reason, about
            return "unknown"
        assert foretold.result == happened.result, about
        assert foretold.logs == happened.logs, about
        assert foretold.effects == happened.effects, about
        if foretold.result != "partial":
            assert (foretold.result == "failure") == (report.failure is not None), about
        for balance in report.balances:
            now = await self.balance(balance.account_id, balance.token)
            if balance.token == NEAR and balance.account_id == signer_id:
                now += happened.tokens_burnt
            if balance.token != NEAR or balance.account_id == signer_id:  # contracts are rewarded for their gas
                assert balance.after == now, (balance, now, about)
        return foretold.result


def _happened(result: str, execution: Execution, message: str = "") -> Happened:
    logs = tuple(log for receipt in execution.receipts for log in receipt.logs)
    return Happened(result, logs, execution.effects, execution.tokens_burnt, message)


@asynccontextmanager
async def open_world(data_dir: Path, *, settings: PreflightSettings | None = None) -> AsyncGenerator[World]:
    """Compiled contracts are taken from the chain's own cache, so that a test compiles nothing twice."""
    async with (
        open_localnet(data_dir, "127.0.0.1:0") as localnet,
        open_rpc((localnet.rpc_url,)) as rpc,
        open_sandbox(data_dir / "localnet" / "modules") as sandbox,
    ):
        counted, wallets = CountedRpc(rpc), Wallets(data_dir)
        known = KnownThings(
            accounts={USDC: "the USDC token", WRAP: "wrapped NEAR"},
            codes={CryptoHash.of(code): name for name, code in read_wasm().items()},
            tokens={USDC: ("USDC", 6)},
        )
        pool = SandboxPool((sandbox,), PoolSettings())
        service = PreflightService(counted, pool, wallets, known=lambda: known, clock=time.time, settings=settings)
        yield World(rpc, counted, sandbox, pool, wallets, service)


@asynccontextmanager
async def copied_world(
    template: Path, folder: Path, settings: PreflightSettings | None = None
) -> AsyncGenerator[World]:
    """A world over a copy of a chain that was made once."""
    if not (template / "localnet").exists():
        async with open_localnet(template, "127.0.0.1:0"):
            pass
    shutil.copytree(template, folder)
    async with open_world(folder, settings=settings) as world:
        yield world
