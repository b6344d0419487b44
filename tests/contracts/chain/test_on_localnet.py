"""The client on a real chain: the embedded one, through its JSON-RPC, with its own contracts."""

import json
import shutil
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.calls import (
    ChangeCall,
    FunctionCall,
    Transfer,
    ViewAccessKeys,
    ViewAccount,
    ViewFunction,
    ViewMethods,
    ViewTransaction,
)
from contracts.chain.client import ChainClient, no_kill
from contracts.chain.delivery import SendSettings
from contracts.chain.outcome import (
    Effect,
    ExecutionFailed,
    Failed,
    Finalized,
    Outcome,
    PartiallyExecuted,
)
from contracts.chain.rpc import RpcClient, open_rpc
from contracts.errors import RpcError
from contracts.localnet.server import open_localnet
from contracts.signing.keystore import KeyStore
from contracts.signing.transaction import decode_signed_transaction
from contracts.types import AccountId, Gas, JsonObject, Yocto
from tests.doubles import Crash, KeyStoreSigner, MemoryLedger, approved

ALICE, BOB, CAROL = AccountId("alice.localnet"), AccountId("bob.localnet"), AccountId("carol.localnet")
USDC, WNEAR = AccountId("usdc.localnet"), AccountId("wrap.localnet")
NEAR = 10**24
TGAS = 10**12
STORAGE = 125 * 10**19


@dataclass
class OnChain:
    rpc: RpcClient
    ledger: MemoryLedger
    signer: KeyStoreSigner
    count: int = 0

    def client(self, kill_point: Callable[[str], None] = no_kill) -> ChainClient:
        settings = SendSettings(operators=1, confirm_timeout_s=10, settle_timeout_s=5, poll_s=0.02, resend_s=0.2)
        return ChainClient(
            self.rpc, self.ledger, self.signer, clock=time.time, settings=settings, kill_point=kill_point
        )

    async def run(
        self,
        call: ChangeCall,
        expected: tuple[Effect, ...] = (),
        *,
        signer_id: str = ALICE,
        client: ChainClient | None = None,
    ) -> Outcome:
        self.count += 1
        intent, grant = await approved(
            self.ledger,
            call,
            name=f"call {self.count}",
            signer_id=signer_id,
            expires_at=time.time() + 600,
            expected=expected,
        )
        return await (client or self.client()).execute(intent, grant)

    async def json(self, contract: str, method: str, **args: str) -> JsonValue:
        view = ViewFunction(AccountId(contract), method, json.dumps(args).encode())
        return (await self.client().view(view)).value


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@asynccontextmanager
async def opened(template: Path, folder: Path, *, finality_lag_blocks: int = 0) -> AsyncGenerator[OnChain, None]:
    if not (template / "localnet").exists():
        async with open_localnet(template, "127.0.0.1:0"):
            pass
    shutil.copytree(template, folder / "data")
    async with (
        open_localnet(
            folder / "data", "127.0.0.1:0", finality_lag_blocks=finality_lag_blocks, heartbeat_s=0.05
        ) as localnet,
        open_rpc([localnet.rpc_url]) as rpc,
    ):
        keys = KeyStore.load(folder / "data" / "localnet" / "credentials", "localnet")
        yield OnChain(rpc, MemoryLedger(), KeyStoreSigner(keys, chain_id="localnet", clock=time.time))


@pytest.fixture
async def chain(template: Path, tmp_path: Path) -> AsyncGenerator[OnChain, None]:
    async with opened(template, tmp_path) as on_chain:
        yield on_chain


def call(
    contract: str, method: str, args: JsonObject | None = None, *, deposit: int = 0, tgas: int = 10
) -> FunctionCall:
    return FunctionCall(method, json.dumps(args or {}).encode(), Gas(tgas * TGAS), Yocto(deposit))


def to(contract: str, *actions: FunctionCall | Transfer) -> ChangeCall:
    return ChangeCall(AccountId(contract), actions)


async def test_near_moves_exactly_and_costs_the_gas_it_says(chain: OnChain) -> None:
    before = (await chain.rpc.account(ALICE)).amount
    expected = (Effect(ALICE, "NEAR", -15 * 10**23), Effect(BOB, "NEAR", 15 * 10**23))
    outcome = await chain.run(to(BOB, Transfer(Yocto(15 * 10**23))), expected)
    assert isinstance(outcome, Finalized)
    assert outcome.execution.effects == expected
    after = (await chain.rpc.account(ALICE)).amount
    assert before - after == 15 * 10**23 + outcome.execution.tokens_burnt
    assert (await chain.rpc.account(BOB)).amount == 10_000 * NEAR + 15 * 10**23


async def test_a_token_moves_with_the_registration_it_needs(chain: OnChain) -> None:
    transfer = to(
        USDC,
        call(USDC, "storage_deposit", {"account_id": CAROL, "registration_only": True}, deposit=STORAGE),
        call(USDC, "ft_transfer", {"receiver_id": CAROL, "amount": "12500000"}, deposit=1),
    )
    expected = (
        Effect(ALICE, USDC, -12_500_000),
        Effect(CAROL, USDC, 12_500_000),
        Effect(ALICE, "NEAR", -STORAGE - 1),
    )
    outcome = await chain.run(transfer, expected)
    assert isinstance(outcome, Finalized), outcome
    assert set(expected) <= set(outcome.execution.effects)
    assert await chain.json(USDC, "ft_balance_of", account_id=CAROL) == "12500000"


async def test_a_contract_that_panics_fails_with_its_own_words(chain: OnChain) -> None:
    transfer = call(USDC, "ft_transfer", {"receiver_id": CAROL, "amount": "1"}, deposit=1)
    outcome = await chain.run(to(USDC, transfer), (Effect(CAROL, USDC, 1),))
    assert isinstance(outcome, ExecutionFailed)
    assert (outcome.code, outcome.message) == ("FunctionCallError", f"The account {CAROL} is not registered")
    assert outcome.execution.effects == ()
    missing = await chain.run(to(USDC, call(USDC, "no_such_method")))
    assert isinstance(missing, ExecutionFailed)
    assert missing.message == "the contract has no such method"


async def test_wrapping_mints_and_moves_near(chain: OnChain) -> None:
    wrap = to(
        WNEAR,
        call(WNEAR, "storage_deposit", {"account_id": ALICE, "registration_only": True}, deposit=STORAGE),
        call(WNEAR, "near_deposit", deposit=NEAR),
    )
    outcome = await chain.run(wrap, (Effect(ALICE, WNEAR, NEAR),))
    assert isinstance(outcome, Finalized), outcome
    assert Effect(ALICE, WNEAR, NEAR) in outcome.execution.effects
    near = {effect.account_id: effect.change for effect in outcome.execution.effects if effect.token == "NEAR"}
    assert near[ALICE] == -near[WNEAR]
    # A deposit that the contract sends back is no loss: alice was registered at genesis or has paid the minimum.
    assert -near[ALICE] in {NEAR, NEAR + STORAGE}
    unwrap = await chain.run(
        to(WNEAR, call(WNEAR, "near_withdraw", {"amount": str(NEAR)}, deposit=1, tgas=30)),
        (Effect(ALICE, WNEAR, -NEAR), Effect(ALICE, "NEAR", NEAR)),
    )
    assert isinstance(unwrap, Finalized), unwrap


async def test_success_with_a_failed_receipt_inside_is_partial(chain: OnChain) -> None:
    """ft_transfer_call to an account without a contract: the tokens come back, and the transaction says success."""
    transfer = call(USDC, "ft_transfer_call", {"receiver_id": BOB, "amount": "5", "msg": ""}, deposit=1, tgas=100)
    outcome = await chain.run(to(USDC, transfer), (Effect(BOB, USDC, 5), Effect(ALICE, USDC, -5)))
    assert isinstance(outcome, PartiallyExecuted), outcome
    assert outcome.execution.value == "0"
    assert [effect for effect in outcome.execution.effects if effect.token == USDC] == []
    assert "expected +5 base units of usdc.localnet for bob.localnet" in outcome.message


async def test_finality_is_waited_for(template: Path, tmp_path: Path) -> None:
    async with opened(template, tmp_path, finality_lag_blocks=3) as chain:
        outcome = await chain.run(to(BOB, Transfer(Yocto(NEAR))), (Effect(BOB, "NEAR", NEAR),))
        assert isinstance(outcome, Finalized), outcome
        assert (await chain.rpc.account(BOB, "final")).amount == 10_001 * NEAR


@pytest.mark.parametrize(
    "point",
    ["after_signed_stored", "after_sending_stored", "after_socket_write", "after_answer", "after_final_stored"],
)
async def test_a_killed_client_settles_on_the_chain(point: str, chain: OnChain) -> None:
    def kill(name: str) -> None:
        if name == point:
            raise Crash(name)

    with pytest.raises(Crash):
        await chain.run(to(BOB, Transfer(Yocto(NEAR))), client=chain.client(kill))
    for intent in await chain.client().settle_open():
        assert intent.state == "final"
    stored = await chain.ledger.get("call 1")
    assert stored is not None
    assert isinstance(stored.outcome, Finalized)
    assert (await chain.rpc.account(BOB)).amount == 10_001 * NEAR


async def test_bytes_that_were_overtaken_are_proven_dead(chain: OnChain) -> None:
    """Signed, then the process ended; the key's next transaction took a higher nonce before it was sent."""

    def kill(name: str) -> None:
        if name == "after_signed_stored":
            raise Crash(name)

    with pytest.raises(Crash):
        await chain.run(to(BOB, Transfer(Yocto(NEAR))), client=chain.client(kill))
    assert isinstance(await chain.run(to(BOB, Transfer(Yocto(5)))), Finalized)
    (settled,) = await chain.client().settle_open()
    assert settled.state == "fenced"
    assert isinstance(settled.outcome, Failed)
    assert settled.outcome.proof is not None
    assert settled.outcome.proof.reason == "nonce_passed"
    assert (await chain.rpc.account(BOB)).amount == 10_000 * NEAR + 5


async def test_too_little_balance_is_told_before_anything_is_signed(chain: OnChain) -> None:
    client = chain.client()
    amount = 6_000 * NEAR
    first = await chain.run(to(BOB, Transfer(Yocto(amount))), client=client)
    assert isinstance(first, Finalized)
    for too_much in (amount, (await chain.rpc.account(ALICE)).amount):
        refused = await chain.run(to(BOB, Transfer(Yocto(too_much))), client=client)
        assert isinstance(refused, Failed)
        assert (refused.stage, refused.code, refused.tx_hash) == ("check", "NotEnoughBalance", None)
    assert (await chain.rpc.account(BOB)).amount == 16_000 * NEAR


async def test_views_of_everything(chain: OnChain) -> None:
    client = chain.client()
    account = await client.view(ViewAccount(ALICE))
    assert isinstance(account.value, dict)
    assert account.value["amount"] == str(10_000 * NEAR)
    keys = await client.view(ViewAccessKeys(ALICE))
    match keys.value:
        case {"keys": [{"public_key": str(public_key), "access_key": {"permission": "FullAccess"}}]}:
            assert public_key in await chain.signer.public_keys(ALICE)
        case other:
            raise AssertionError(other)
    methods = await client.view(ViewMethods(USDC))
    assert isinstance(methods.value, dict)
    assert isinstance(names := methods.value["methods"], list)
    assert {"ft_transfer", "ft_balance_of", "storage_deposit"} <= set(map(str, names))
    with pytest.raises(RpcError) as caught:
        await client.view(ViewMethods(BOB))
    assert caught.value.code == "NO_CONTRACT_CODE"
    with pytest.raises(RpcError) as caught:
        await client.view(ViewFunction(USDC, "nothing_like_it", b"{}"))
    assert (caught.value.code, caught.value.details["kind"]) == ("CONTRACT_EXECUTION_ERROR", "MethodNotFound")
    with pytest.raises(RpcError) as caught:
        await client.view(ViewAccount(AccountId("nobody.localnet")))
    assert caught.value.code == "UNKNOWN_ACCOUNT"


async def test_a_transaction_is_shown_by_its_hash(chain: OnChain) -> None:
    client = chain.client()
    outcome = await chain.run(to(USDC, call(USDC, "ft_transfer", {"receiver_id": BOB, "amount": "7"}, deposit=1)))
    assert isinstance(outcome, Finalized)
    shown = await client.view(ViewTransaction(outcome.execution.tx_hash, ALICE))
    assert isinstance(shown.value, dict)
    assert shown.value["final"] is True
    assert shown.value["final_execution_status"] == "FINAL"
    assert shown.value["signer_id"] == ALICE
    assert shown.value["receipts"] == {"ok": len(outcome.execution.receipts), "failed": 0}
    assert shown.value["actions"] == [{"kind": "FunctionCall", "method_name": "ft_transfer", "deposit": "1"}]
    assert {"account_id": BOB, "token": USDC, "change": "7"} in list[JsonValue](shown.value["effects"])  # type: ignore[arg-type]
    assert shown.block_height == outcome.execution.block_height
    with pytest.raises(RpcError) as caught:
        await client.view(ViewTransaction(shown.block_hash, ALICE))
    assert caught.value.code == "UNKNOWN_TRANSACTION"


async def test_limits_come_from_the_chain(chain: OnChain) -> None:
    config = await chain.rpc.protocol_config()
    assert (config.chain_id, config.transaction_validity_period) == ("localnet", 86400)
    assert config.limits is not None
    too_much = await chain.run(to(USDC, call(USDC, "ft_metadata", tgas=config.max_total_prepaid_gas // TGAS + 1)))
    assert isinstance(too_much, Failed)
    assert too_much.code == "TotalPrepaidGasExceeded"


async def test_a_step_with_a_strict_nonce_is_executed(chain: OnChain) -> None:
    client = chain.client()
    transfer = ChangeCall(AccountId(BOB), (Transfer(Yocto(1)),))
    for step in range(3):
        intent, grant = await approved(
            chain.ledger, transfer, name=f"step {step}", step=step, expires_at=time.time() + 60
        )
        assert isinstance(await client.execute(intent, grant), Finalized)
        stored = await chain.ledger.get(intent.intent_id)
        assert stored is not None
        assert stored.signed is not None
        sent = decode_signed_transaction(stored.signed.data).transaction
        assert (sent.version, sent.nonce_mode) == ((1, "strict") if step else (0, "monotonic"))
