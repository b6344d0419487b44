"""PyPI near-kit on the embedded chain."""

from collections.abc import AsyncGenerator, Callable

import pytest
from near import (
    AccountNotFoundError,
    AsyncNear,
    ContractPanicError,
    InsufficientBalanceError,
    add_full_access_key,
    create_account,
    deploy_contract,
    generate_key,
    transfer,
)

from contracts.localnet.sources.build import WASM
from tests.judges_clients.recorder import Recorder

NEAR = 10**24


@pytest.fixture
async def alice(recorder: Recorder, secret: Callable[[str], str]) -> AsyncGenerator[AsyncNear]:
    client = AsyncNear(
        "localnet", rpc_url=recorder.url, account_id="alice.localnet", private_key=secret("alice.localnet"), retries=0
    )
    async with client:
        yield client


async def test_it_moves_near(alice: AsyncNear) -> None:
    before = int(await alice.balance("bob.localnet"))
    sent = await alice.send("bob.localnet", "1.5 NEAR", wait_until="FINAL")
    assert sent.final_execution_status == "FINAL"
    assert int(await alice.balance("bob.localnet")) - before == 3 * NEAR // 2
    assert sent.transaction_hash is not None
    looked_up = await alice.transaction_status(sent.transaction_hash)
    assert looked_up.transaction_hash == sent.transaction_hash


@pytest.mark.parametrize("level", ["INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"])
async def test_every_level_is_answered(alice: AsyncNear, level: str) -> None:
    sent = await alice.send("bob.localnet", "1 yocto", wait_until=level)
    assert sent.final_execution_status is not None


async def test_it_moves_tokens_and_registers_the_receiver(alice: AsyncNear) -> None:
    sent = await alice.ft_transfer("usdc.localnet", "carol.localnet", "12.5 USDC", register=True, memo="lunch")
    assert any('"ft_transfer"' in line and '"lunch"' in line for line in sent.logs)
    assert int(await alice.ft_balance("usdc.localnet", "carol.localnet")) == 12_500_000
    assert str(await alice.ft_balance("usdc.localnet")) == "9987.5 USDC"
    with pytest.raises(ContractPanicError, match=r"The account dave\.localnet is not registered"):
        await alice.ft_transfer("usdc.localnet", "dave.localnet", "1")


async def test_a_transfer_call_in_its_outcomes(alice: AsyncNear) -> None:
    kept = await alice.ft_transfer_call("usdc.localnet", "counter.localnet", "5 USDC", "", register=True)
    assert kept.json_value() == "5000000"
    part = await alice.ft_transfer_call("usdc.localnet", "counter.localnet", "5 USDC", "2000000")
    assert part.json_value() == "3000000"
    with pytest.raises(ContractPanicError, match="does not take this token"):
        await alice.ft_transfer_call("usdc.localnet", "counter.localnet", "5 USDC", "panic")
    assert int(await alice.ft_balance("usdc.localnet", "counter.localnet")) == 8_000_000


async def test_it_calls_contracts(alice: AsyncNear) -> None:
    assert (await alice.call("counter.localnet", "increment", {"number": 3})).json_value() == 3
    assert await alice.view("counter.localnet", "get_num") == 3
    with pytest.raises(ContractPanicError, match="no such luck"):
        await alice.call("counter.localnet", "fail", {"message": "no such luck"})
    with pytest.raises(ContractPanicError, match="asked to fail"):
        await alice.call("counter.localnet", "fail_inside")
    await alice.call("guestbook.localnet", "add_message", {"text": "grüße 🚀"}, deposit="0.1 NEAR")
    messages = await alice.view("guestbook.localnet", "get_messages", {"from_index": "0"})
    assert messages == [{"premium": True, "sender": "alice.localnet", "text": "grüße 🚀"}]
    await alice.call("wrap.localnet", "near_deposit", deposit="1 NEAR")
    unwrapped = await alice.call("wrap.localnet", "near_withdraw", {"amount": "1000"}, deposit="1 yocto")
    assert unwrapped.success_value == b""


async def test_a_new_account_with_a_key_and_a_contract(alice: AsyncNear) -> None:
    key = generate_key()
    actions = [
        create_account(),
        transfer("5 NEAR"),
        add_full_access_key(str(key.public_key)),
        deploy_contract((WASM / "counter.wasm").read_bytes()),
    ]
    await alice.send_transaction("shop.alice.localnet", actions)
    keys = await alice.access_keys("shop.alice.localnet")
    assert [info.public_key for info in keys] == [str(key.public_key)]
    assert keys[0].access_key.is_full_access
    assert (await alice.call("shop.alice.localnet", "increment")).json_value() == 1
    code = await alice.contract_code("shop.alice.localnet")
    assert code.code == (WASM / "counter.wasm").read_bytes()


async def test_what_cannot_be_is_a_typed_error(alice: AsyncNear) -> None:
    with pytest.raises(AccountNotFoundError):
        await alice.account("nobody.localnet")
    with pytest.raises(InsufficientBalanceError):
        await alice.send("bob.localnet", "100000 NEAR")
    assert not await alice.account_exists("nobody.localnet")


async def test_the_judge_saw_each_method(alice: AsyncNear, recorder: Recorder) -> None:
    await alice.send("bob.localnet", "1 NEAR")
    for method, params in (
        ("status", []),
        ("gas_price", [None]),
        ("validators", [None]),
        ("EXPERIMENTAL_protocol_config", {"finality": "final"}),
        ("health", []),
    ):
        await alice.rpc(method, params)
    seen = {"query", "block", "send_tx", "status", "gas_price", "validators", "EXPERIMENTAL_protocol_config", "health"}
    assert recorder.methods() == seen
