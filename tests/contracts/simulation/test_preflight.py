"""Reports over the RPC of the embedded chain: checks, simulated outcomes, requests to nodes."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from contracts.calls import Action, AddKey, ChangeCall, FunctionCall, FunctionCallAccess, Transfer
from contracts.chain.effects import NEAR
from contracts.chain.outcome import Effect
from contracts.chain.rpc_types import StateItem
from contracts.checks.preflight import KnownThings, UsedCode
from contracts.checks.report import Balance, PreflightReport, moved
from contracts.errors import RpcError
from contracts.simulation.messages import TokenOf
from contracts.simulation.preflight import PreflightRequest, PreflightService, PreflightSettings
from contracts.simulation.remote_state import Pinned
from contracts.types import TGAS, AccountId, CryptoHash, Gas, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL
from tests.contracts.simulation.world import ONE_NEAR, REGISTRATION, USDC, WRAP, World, call, report_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


AMOUNT = KnownThings().amount


def found(report: PreflightReport, name: str) -> list[tuple[str, str]]:
    return [(check.result, check.detail) for check in report.checks if check.name == name]


async def test_a_token_transfer_is_foretold_with_balances_and_every_check(world: World) -> None:
    world.paid.add(BOB)
    report = await world.one(ALICE, USDC, call("ft_transfer", {"receiver_id": BOB, "amount": "12500000"}, 1))
    assert report.failure is None
    assert report.unknowns == ()
    assert report.asks == ()
    (simulated,) = report.simulated
    assert simulated.result == "success"
    assert '"amount":"12500000"' in simulated.logs[0]
    assert Effect(BOB, USDC, 12_500_000) in simulated.effects
    assert Balance(ALICE, USDC, 10**10, 10**10 - 12_500_000) in report.balances
    assert Balance(BOB, USDC, 10**10, 10**10 + 12_500_000) in report.balances
    assert Balance(ALICE, NEAR, 10_000 * ONE_NEAR, 10_000 * ONE_NEAR - 1) in report.balances
    names = [check.name for check in report.checks]
    assert names == [
        "signer",
        "key",
        "balance",
        "receiver",
        "recipient",
        "history",
        "token_balance",
        "storage",
        "gas",
        "code",
        "simulation",
    ]
    (code,) = report.contracts
    assert (code.account_id, code.full_access_keys) == (USDC, 0)


async def test_an_unregistered_recipient_fails_with_the_correction(world: World) -> None:
    report = await world.one(ALICE, USDC, call("ft_transfer", {"receiver_id": CAROL, "amount": "1"}, 1))
    assert report.failure is not None
    assert report.failure.detail == f"{CAROL} is not registered with {USDC}: add a storage_deposit for it first"
    ((result, detail),) = found(report, "simulation")
    assert result == "fail"
    assert detail.startswith(
        "simulated, it fails: “The account carol.localnet is not registered”. To correct it: register"
    )
    registered = await world.one(
        ALICE,
        USDC,
        call("storage_deposit", {"account_id": CAROL, "registration_only": True}, REGISTRATION),
        call("ft_transfer", {"receiver_id": CAROL, "amount": "1"}, 1),
    )
    assert registered.failure is None
    assert found(registered, "storage") == [
        ("pass", f"{CAROL} is registered with {USDC} by the same transaction"),
    ]


async def test_later_steps_build_on_earlier_ones(world: World) -> None:
    """carol has no wNEAR before the plan; the second transaction spends what the first one makes."""
    wrap = ChangeCall(WRAP, (call("storage_deposit", {}, REGISTRATION), call("near_deposit", {}, ONE_NEAR)))
    spend = ChangeCall(
        WRAP,
        (
            call("storage_deposit", {"account_id": BOB}, REGISTRATION),
            call("ft_transfer", {"receiver_id": BOB, "amount": str(ONE_NEAR)}, 1),
        ),
    )
    report = await world.foretell(CAROL, wrap, spend)
    assert [step.result for step in report.simulated] == ["success", "success"]
    assert Balance(BOB, WRAP, 0, ONE_NEAR) in report.balances
    assert Balance(CAROL, WRAP, 0, 0) in report.balances
    backwards = await world.foretell(CAROL, spend, wrap)
    assert [step.result for step in backwards.simulated] == ["failure"]
    assert backwards.failure is not None


async def test_what_the_plan_expects_and_does_not_get_is_for_a_person_to_see(world: World) -> None:
    """The transfer itself succeeds: the receiver panics, so the token takes everything back."""
    counter = AccountId("counter.localnet")
    register = call("storage_deposit", {"account_id": counter, "registration_only": True}, REGISTRATION)
    send = call("ft_transfer_call", {"receiver_id": counter, "amount": "5", "msg": "panic"}, 1, 100)
    request = PreflightRequest(ALICE, (ChangeCall(USDC, (register, send)),), ((Effect(counter, USDC, 5),),))
    report = await report_of(world.service, request)
    assert report.simulated[0].result == "partial"
    assert report.failure is None
    (ask,) = report.asks
    assert ask.startswith("it does not move what the plan says when simulated: a receipt on counter.localnet failed")
    assert ask.endswith("expected +0.000005 USDC for counter.localnet, which the receipts do not show")
    to_nobody = await world.one(
        ALICE, USDC, call("ft_transfer_call", {"receiver_id": BOB, "amount": "5", "msg": ""}, 1, 100)
    )
    assert to_nobody.failure is not None
    assert to_nobody.failure.detail == "bob.localnet has no contract that could take this"


async def test_whoever_gets_tokens_with_a_message_is_looked_at_like_whoever_is_called(world: World) -> None:
    """An exchange whose code is replaced after the card keeps what it gets, whatever least amount the message names."""
    exchange = AccountId("exchange.localnet")
    send = call("ft_transfer_call", {"receiver_id": exchange, "amount": "1000", "msg": SWAP}, 1, 250)
    block = Pinned.of(await world.rpc.block("final"))
    request = PreflightRequest(ALICE, (ChangeCall(USDC, (send,)),), block=block)
    card = await report_of(world.service, request)
    assert any(detail.startswith("exchange.localnet runs known code") for _, detail in found(card, "code"))
    real, other = await world.rpc.account(exchange, block.hash), await world.rpc.account(WRAP, block.hash)
    world.counted.accounts[exchange] = real.model_copy(update={"code_hash": other.code_hash})
    now = await report_of(world.service, request)
    del world.counted.accounts[exchange]
    assert (
        moved(card, replace(now, checks=()), AMOUNT)
        == "the code of exchange.localnet was replaced since the card was made"
    )
    strange = PreflightService(world.counted, world.pool, world.wallets, known=KnownThings, clock=lambda: 0.0)
    said = found(await report_of(strange, request), "code")
    (detail,) = [detail for result, detail in said if result == "unknown" and "exchange.localnet" in detail]
    assert detail.startswith("you use exchange.localnet for the first time and its code (")
    assert detail.endswith(" is not known here; it decides what becomes of what it gets")
    earlier = {exchange: UsedCode(CryptoHash.of(b"earlier"), 1_800_000_000.0)}
    changed = await report_of(world.service, replace(request, used_codes=earlier))
    assert changed.asks == ("the code of exchange.localnet changed since you last used it on 2027-01-15",)


async def test_a_signer_that_cannot_sign_is_told_before_anything_is_run(world: World) -> None:
    nobody = AccountId("nobody.localnet")
    report = await world.one(nobody, BOB, Transfer(Yocto(1)))
    assert report.failure is not None
    assert report.failure.detail == "nobody.localnet does not exist on this chain; nothing can be signed for it"
    assert report.simulated[0].result == "unknown"
    without_key = await world.one(USDC, BOB, Transfer(Yocto(1)))
    assert without_key.failure is not None
    assert "holds no key of usdc.localnet" in without_key.failure.detail


async def test_a_function_call_key_may_call_and_nothing_else(world: World) -> None:
    wallet = world.wallets.of(BOB)
    await world.done(ALICE, ALICE, AddKey(wallet.public_key, FunctionCallAccess(USDC, ("ft_transfer",), Yocto(10**21))))
    with world.wallets.signing(ALICE, by=BOB):
        report = await world.one(ALICE, BOB, Transfer(Yocto(1)))
        assert report.failure is not None
        assert report.failure.name == "key"
        assert "RequiresFullAccess" in report.failure.detail
        deposit = await world.one(ALICE, USDC, call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, 1))
        assert deposit.failure is not None
        assert "DepositWithFunctionCall" in deposit.failure.detail
        poor = await world.one(ALICE, USDC, call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, 0, 100))
        assert poor.failure is not None
        assert (poor.failure.name, "allowance has 0.001 NEAR" in poor.failure.detail) == ("allowance", True)


async def test_new_and_unusual_receivers_always_ask(world: World) -> None:
    implicit = AccountId("ab" * 32)
    report = await world.one(ALICE, implicit, Transfer(Yocto(ONE_NEAR)))
    assert report.failure is None
    assert report.asks == (f"{implicit} does not exist yet: a wrong character in it loses what is sent",)
    to_contract = await world.one(ALICE, WRAP, Transfer(Yocto(1)))
    assert to_contract.asks == (f"{WRAP} is a contract (wrapped NEAR): what is sent to it may be lost",)
    missing = await world.one(ALICE, AccountId("missing.localnet"), Transfer(Yocto(1)))
    assert missing.failure is not None
    assert missing.failure.detail == "missing.localnet does not exist; check the name"


async def test_more_than_there_is_names_what_is_missing(world: World) -> None:
    report = await world.one(ALICE, BOB, Transfer(Yocto(20_000 * ONE_NEAR)))
    assert report.failure is not None
    assert report.failure.name == "balance"
    assert "deposits and gas take 20000.0000446365125 NEAR" in report.failure.detail
    assert "NEAR are missing" in report.failure.detail
    assert report.simulated[0].result == "failure"
    tokens = await world.one(ALICE, USDC, call("ft_transfer", {"receiver_id": BOB, "amount": str(10**11)}, 1))
    assert tokens.failure is not None
    assert tokens.failure.detail == "alice.localnet has 10000 USDC, 90000 USDC less than is sent"


def with_gas(milli_tgas: int) -> FunctionCall:
    args = b'{"receiver_id":"bob.localnet","amount":"1"}'
    return FunctionCall("ft_transfer", args, Gas(milli_tgas * TGAS // 1000), Yocto(1))


async def test_too_little_gas_fails_and_scarce_gas_is_told(world: World) -> None:
    enough = await world.one(ALICE, USDC, with_gas(10_000))
    measured = int(float(found(enough, "gas")[0][1].split()[3]) * 1000) * 10**9
    out = await world.one(ALICE, USDC, with_gas(measured * 9 // 10 // 10**9))
    assert out.failure is not None
    assert "Exceeded the prepaid gas" in out.failure.detail
    assert "attach more gas" in out.failure.detail
    scarce = await world.one(ALICE, USDC, with_gas(measured * 11 // 10 // 10**9))
    assert scarce.simulated[0].result == "success"
    assert found(scarce, "gas")[0][0] == "unknown"
    assert "attach 1 Tgas" in found(scarce, "gas")[0][1]


class TestNodes:
    """What nodes do not tell, or tell wrongly, is unknown with its reason; it always asks and never breaks."""

    plan = (USDC, call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, 1))

    async def reason(self, world: World) -> str:
        report = await world.one(ALICE, *self.plan)
        assert report.failure is None
        (simulated,) = report.simulated
        assert simulated.result == "unknown"
        assert report.asks == ("what it does could not be simulated",)
        assert ("unknown", simulated.reason) in found(report, "simulation")
        assert found(report, "storage")[0][0] == found(report, "token_balance")[0][0] == "unknown"
        assert found(report, "gas") == [("unknown", "the gas that it takes was not measured")]
        return simulated.reason or ""

    async def test_state_too_large_to_read(self, world: World) -> None:
        with world.counted.telling(USDC, RpcError("TOO_LARGE_CONTRACT_STATE", "too large")):
            assert "state too large to read" in await self.reason(world)

    async def test_a_node_that_fails(self, world: World) -> None:
        with world.counted.telling(USDC, RpcError("HTTP_STATUS", "the node answered 502 `bad`")):
            assert await self.reason(world) == "HTTP_STATUS: the node answered 502 'bad'"

    async def test_more_state_than_the_account_pays_for(self, world: World) -> None:
        real = await world.rpc.state(USDC)
        lie = StateItem.model_construct(key=b"balance of bob", value=b"9" * 50_000)
        with world.counted.telling(USDC, real.model_copy(update={"values": (*real.values, lie)})):
            assert "more state of usdc.localnet than the account is said to use" in await self.reason(world)

    async def test_large_state_is_read_record_by_record_where_the_node_pages(self, world: World) -> None:
        world.counted.page = 3
        world.counted.calls = 0
        report = await world.one(ALICE, *self.plan)
        world.counted.page = None
        assert report.simulated[0].result == "success"
        assert 6 < report.rpc_calls == world.counted.calls <= 20

    async def test_an_answer_about_another_block(self, world: World) -> None:
        real = await world.rpc.account(BOB)
        world.counted.accounts[BOB] = real.model_copy(update={"block_hash": CryptoHash.of(b"another")})
        report = await world.one(ALICE, BOB, Transfer(Yocto(1)))
        del world.counted.accounts[BOB]
        assert found(report, "receiver") == [
            ("unknown", "bob.localnet could not be read: the node answered for another block than asked")
        ]
        assert report.simulated[0].result == "unknown"

    async def test_a_node_that_says_nothing_in_time(self, world: World) -> None:
        service = PreflightService(
            world.counted,
            world.pool,
            world.wallets,
            known=KnownThings,
            clock=lambda: 0.0,
            settings=PreflightSettings(total_s=0.0),
        )
        report = await report_of(service, PreflightRequest(ALICE, (ChangeCall(BOB, (Transfer(Yocto(1)),)),)))
        assert [check.detail for check in report.unknowns] == ["it took longer than 0 s"]
        assert report.asks == ("the plan could not be checked before signing",)


SWAP = '{"actions":[{"pool_id":1,"token_in":"usdc.localnet","token_out":"usdt.localnet","min_amount_out":"1"}]}'
PROPOSAL: JsonValue = {
    "proposal": {"description": "x", "kind": {"Transfer": {"token_id": "", "receiver_id": BOB, "amount": "1"}}}
}
NEW_ACCOUNT: JsonValue = {"new_account_id": "dave.localnet", "new_public_key": f"ed25519:{CryptoHash.of(b'dave')}"}
MINT: JsonValue = {"token_id": "1", "token_owner_id": ALICE, "token_metadata": {"title": "x"}}
USUAL: dict[str, tuple[str, Action, int]] = {
    "near_transfer": (BOB, Transfer(Yocto(1)), 3),
    "ft_transfer": (USDC, call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, 1), 5),
    "storage_deposit": (USDC, call("storage_deposit", {"account_id": CAROL}, REGISTRATION), 4),
    "near_wrap": (WRAP, call("near_deposit", {}, ONE_NEAR), 4),
    "stake": ("pool.localnet", call("deposit_and_stake", {}, 2 * ONE_NEAR, 200), 4),
    "dao_propose": ("dao.localnet", call("add_proposal", PROPOSAL, ONE_NEAR, 100), 4),
    "nft_mint": ("nft.localnet", call("nft_mint", MINT, ONE_NEAR // 50), 4),
    "account_create": ("localnet", call("create_account", NEW_ACCOUNT, ONE_NEAR // 10, 100), 6),
    "swap_exact_in": (
        USDC,
        call("ft_transfer_call", {"receiver_id": "exchange.localnet", "amount": "1000", "msg": SWAP}, 1, 250),
        8,
    ),
}
"""Receiver, action, and the requests that it takes where code is known and the block is the one it was built at."""


class TestRequests:
    """Requests to nodes, everything counted; code is read once per hash and stays known."""

    @pytest.mark.parametrize("action", USUAL)
    async def test_a_usual_action_takes_few(self, world: World, action: str) -> None:
        receiver_id, change, most = USUAL[action]
        request = PreflightRequest(ALICE, (ChangeCall(AccountId(receiver_id), (change,)),))
        service = PreflightService(
            world.counted, world.pool, world.wallets, known=KnownThings, clock=lambda: 1_800_000_000.0
        )
        cold = await report_of(service, request)
        world.counted.calls = 0
        built_at = Pinned.of(await world.rpc.block())
        warm = await report_of(service, replace(request, block=built_at))
        assert warm.rpc_calls == world.counted.calls
        assert warm.rpc_calls <= most <= 8
        assert cold.rpc_calls <= most + 6  # the block, who holds keys, the epoch, and the code of three contracts
        assert warm.compile_ms == 0
        assert [step.result for step in warm.simulated] == ["success"]
        assert (warm.block_height, warm.block_hash) == (built_at.height, built_at.hash)


async def test_an_nft_that_changes_hands_is_foretold_and_comes_true(world: World) -> None:
    nft = AccountId("nft.localnet")
    mint: JsonValue = {"token_id": "foretold", "token_owner_id": ALICE, "token_metadata": {"title": "x"}}
    minted = ChangeCall(nft, (call("nft_mint", mint, ONE_NEAR // 50, 50),))
    assert await world.assert_came_true(ALICE, minted) == "success"
    send = ChangeCall(nft, (call("nft_transfer", {"receiver_id": BOB, "token_id": "foretold"}, 1),))
    moved = (Effect(ALICE, nft, -1, token_id="foretold"), Effect(BOB, nft, 1, token_id="foretold"))
    request = PreflightRequest(ALICE, (send,), (moved,))
    report = await report_of(world.service, request)
    assert report.simulated[0].result == "success"
    assert report.nfts == frozenset(moved)
    assert {balance.token for balance in report.balances} == {NEAR}
    assert found(report, "logs") == []
    assert await world.assert_came_true(ALICE, send) == "success"
    assert (await world.foretell(ALICE, send)).nfts == frozenset()


async def test_a_limited_tokens_balance_is_measured_wherever_its_contract_runs(world: World) -> None:
    """A contract that tells of nothing could take it in silence."""
    watched = (TokenOf(ALICE, USDC), TokenOf(ALICE, WRAP))
    register = ChangeCall(USDC, (call("storage_deposit", {"account_id": CAROL}, REGISTRATION),))
    report = await report_of(world.service, PreflightRequest(ALICE, (register,), watched=watched))
    measured = {(one.account_id, one.token): one.change for one in report.balances if one.token != NEAR}
    assert measured == {(ALICE, USDC): 0}
    assert report.outflows.get((ALICE, USDC), 0) == 0
    plain = await report_of(world.service, PreflightRequest(ALICE, (register,)))
    assert {one.token for one in plain.balances} == {NEAR}
