import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from contracts.calls import AddKey, CreateAccount, DeleteKey, FullAccess, FunctionCallAccess
from contracts.errors import ChainError
from contracts.localnet.chain import ChainSettings
from contracts.localnet.server import Localnet
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from tests.contracts.localnet.conftest import Open
from tests.contracts.localnet.rig import opened_chain
from tests.contracts.localnet.wallet import (
    ALICE,
    BOB,
    CAROL,
    NEAR,
    USDC,
    Probe,
    Wallet,
    call,
    send_params,
    transfer,
)

TRANSFER_GAS = 2 * (108_059_500_000 + 115_123_062_500)
GAS_PRICE = 10**8


async def test_a_transfer_moves_exactly_that_and_burns_its_gas(probe: Probe, alice: Wallet) -> None:
    signed = await probe.signed(alice, BOB, transfer(15 * NEAR // 10))
    done = await probe.send(signed)
    assert done["final_execution_status"] == "FINAL"
    assert done["status"] == {"SuccessValue": ""}
    assert done["transaction"]["hash"] == signed.tx_hash
    burnt = [done["transaction_outcome"], *done["receipts_outcome"]]
    assert sum(item["outcome"]["gas_burnt"] for item in burnt) == TRANSFER_GAS
    assert await probe.balance(BOB) == 10_000 * NEAR + 15 * NEAR // 10
    assert await probe.balance(ALICE) == 10_000 * NEAR - 15 * NEAR // 10 - TRANSFER_GAS * GAS_PRICE
    assert await probe.nonce(alice) == signed.transaction.nonce


LEVELS = ["NONE", "INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"]


@pytest.mark.parametrize("level", LEVELS)
async def test_every_level_is_answered(probe: Probe, alice: Wallet, level: str) -> None:
    signed = await probe.signed(alice, BOB, transfer(1))
    answer = await probe.send(signed, level)
    reached = answer["final_execution_status"]
    if level == "NONE":
        assert answer == {"final_execution_status": "NONE"}
    elif level in {"INCLUDED", "INCLUDED_FINAL"}:
        assert reached in {"INCLUDED_FINAL", "EXECUTED", "FINAL"}
    else:
        assert reached in {"EXECUTED", "FINAL"}
        assert answer["status"] == {"SuccessValue": ""}
    params = {"tx_hash": signed.tx_hash, "sender_account_id": ALICE, "wait_until": level}
    later = await probe.result("tx", params)
    assert later["transaction"]["hash"] == signed.tx_hash
    full = await probe.result("EXPERIMENTAL_tx_status", {**params, "wait_until": "FINAL"})
    assert full["receipts"][0]["receipt"]["Action"]["actions"] == [{"Transfer": {"deposit": "1"}}]
    by_bytes = await probe.result("tx", send_params(signed, "FINAL"))
    assert {key: full[key] for key in by_bytes} == by_bytes


async def test_the_old_broadcast_methods(probe: Probe, alice: Wallet) -> None:
    first = await probe.signed(alice, BOB, transfer(1))
    data = base64.b64encode(first.data).decode()
    assert await probe.result("broadcast_tx_async", [data]) == first.tx_hash
    assert (await probe.result("tx", [first.tx_hash, ALICE]))["status"] == {"SuccessValue": ""}
    assert (await probe.result("tx", [data]))["transaction"]["hash"] == first.tx_hash
    second = await probe.signed(alice, BOB, transfer(1))
    done = await probe.result("broadcast_tx_commit", [base64.b64encode(second.data).decode()])
    assert done["status"] == {"SuccessValue": ""}
    by_list = await probe.result("EXPERIMENTAL_tx_status", [second.tx_hash, ALICE])
    assert by_list["transaction"]["hash"] == second.tx_hash


async def test_the_same_bytes_again_answer_with_the_outcome(probe: Probe, alice: Wallet) -> None:
    signed = await probe.signed(alice, BOB, transfer(3))
    first = await probe.send(signed)
    assert await probe.send(signed) == first
    at_once: list[Any] = []
    other = await probe.signed(alice, BOB, transfer(4))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(_collect(probe, other.data, at_once))
    assert len({json.dumps(answer["status"]) for answer in at_once}) == 1
    assert await probe.balance(BOB) == 10_000 * NEAR + 7


async def _collect(probe: Probe, data: bytes, into: list[Any]) -> None:
    params = {"signed_tx_base64": base64.b64encode(data).decode(), "wait_until": "FINAL"}
    into.append(await probe.result("send_tx", params))


async def test_a_used_nonce_is_refused_for_another_transaction(probe: Probe, alice: Wallet) -> None:
    nonce, block = await probe.nonce(alice), await probe.head()
    await probe.send(alice.sign(BOB, [transfer(1)], nonce + 5, block))
    for used in (nonce + 5, nonce + 4, nonce):
        error = await probe.refused(alice.sign(BOB, [transfer(2)], used, block))
        assert error == {"InvalidNonce": {"tx_nonce": used, "ak_nonce": nonce + 5}}
    assert await probe.balance(BOB) == 10_000 * NEAR + 1


async def test_of_two_with_one_nonce_exactly_one_lands(probe: Probe, alice: Wallet) -> None:
    nonce, block = await probe.nonce(alice) + 1, await probe.head()
    rivals = [alice.sign(BOB, [transfer(amount)], nonce, block) for amount in (10, 20)]
    answers: list[Any] = []

    async def send(rival: Any) -> None:
        answers.append(await probe.call("send_tx", send_params(rival, "FINAL")))

    async with asyncio.TaskGroup() as tasks:
        for rival in rivals:
            tasks.create_task(send(rival))
    assert sorted("result" in answer for answer in answers) == [False, True]
    assert await probe.balance(BOB) - 10_000 * NEAR in {10, 20}


async def test_nonces_sent_together_land_in_order_whatever_their_arrival(probe: Probe, alice: Wallet) -> None:
    nonce, block = await probe.nonce(alice), await probe.head()
    batch = [alice.sign(BOB, [transfer(1)], nonce + number, block) for number in range(20, 0, -1)]
    results: list[Any] = []

    async def send(signed: Any) -> None:
        results.append(await probe.call("send_tx", send_params(signed, "EXECUTED_OPTIMISTIC")))

    async with asyncio.TaskGroup() as tasks:
        for signed in batch:
            tasks.create_task(send(signed))
    landed = sum("result" in answer for answer in results)
    assert landed >= 1
    assert await probe.balance(BOB) == 10_000 * NEAR + landed


async def test_a_nonce_beyond_the_height_is_refused(chain: tuple[Probe, Localnet], alice: Wallet) -> None:
    probe, localnet = chain
    error = await probe.refused(alice.sign(BOB, [transfer(1)], 2**62, await probe.head()))
    assert set(error) == {"NonceTooLarge"}
    assert error["NonceTooLarge"]["upper_bound"] >= localnet.chain.head.height * 1_000_000


async def test_an_unknown_block_hash_is_expired(probe: Probe, alice: Wallet) -> None:
    signed = alice.sign(BOB, [transfer(1)], await probe.nonce(alice) + 1, CryptoHash.of(b"another chain"))
    assert await probe.refused(signed) == "Expired"
    assert await probe.balance(BOB) == 10_000 * NEAR


async def test_bad_signers_keys_and_signatures(probe: Probe, alice: Wallet, bob: Wallet) -> None:
    block = await probe.head()
    ghost = Wallet(AccountId("ghost.localnet"), SigningKey(b"g" * 32))
    assert await probe.refused(ghost.sign(BOB, [transfer(1)], 1, block)) == {
        "SignerDoesNotExist": {"signer_id": "ghost.localnet"}
    }
    stranger = Wallet(ALICE, SigningKey(b"s" * 32))
    assert await probe.refused(stranger.sign(BOB, [transfer(1)], 1, block)) == {
        "InvalidAccessKeyError": {
            "AccessKeyNotFound": {"account_id": "alice.localnet", "public_key": stranger.public_key}
        }
    }
    good = alice.sign(BOB, [transfer(1)], 1, block)
    forged = replace(good, data=good.data[:-64] + bob.key.sign(b"x").signature)
    assert await probe.refused(forged) == "InvalidSignature"
    rich = await probe.refused(alice.sign(BOB, [transfer(10_001 * NEAR)], 1, block))
    assert set(rich) == {"NotEnoughBalance"}
    assert await probe.balance(ALICE) == 10_000 * NEAR


async def test_a_failed_execution_is_a_result_and_the_deposit_comes_back(probe: Probe, alice: Wallet) -> None:
    done = await probe.send(await probe.signed(alice, AccountId("nobody.localnet"), transfer(NEAR)))
    kind = done["status"]["Failure"]["ActionError"]["kind"]
    assert kind == {"AccountDoesNotExist": {"account_id": "nobody.localnet"}}
    assert 10_000 * NEAR - await probe.balance(ALICE) < NEAR // 100
    panicked = await probe.send(await probe.signed(alice, USDC, call("ft_transfer", _ft(CAROL, 1), 1)))
    error = panicked["status"]["Failure"]["ActionError"]["kind"]["FunctionCallError"]["ExecutionError"]
    assert error == "Smart contract panicked: The account carol.localnet is not registered"
    assert panicked["final_execution_status"] == "FINAL"


def _ft(receiver_id: AccountId, amount: int) -> dict[str, str]:
    return {"receiver_id": receiver_id, "amount": str(amount)}


async def test_token_transfers_with_registration_in_one_transaction(probe: Probe, alice: Wallet) -> None:
    register = call("storage_deposit", {"account_id": CAROL, "registration_only": True}, 125 * 10**19, tgas=10)
    move = call("ft_transfer", _ft(CAROL, 12_500_000), 1)
    done = await probe.send(await probe.signed(alice, USDC, register, move))
    assert done["status"] == {"SuccessValue": ""}
    logs = [line for item in done["receipts_outcome"] for line in item["outcome"]["logs"]]
    assert any(line.startswith("EVENT_JSON:") and '"ft_transfer"' in line for line in logs)
    assert await probe.view(USDC, "ft_balance_of", {"account_id": CAROL}) == "12500000"
    assert await probe.view(USDC, "ft_balance_of", {"account_id": ALICE}) == str(10_000 * 10**6 - 12_500_000)


async def test_a_transfer_call_runs_over_several_blocks(probe: Probe, alice: Wallet) -> None:
    wrap = AccountId("wrap.localnet")
    args = {**_ft(wrap, 5), "msg": ""}
    before = await probe.view(USDC, "ft_balance_of", {"account_id": ALICE})
    register = call("storage_deposit", {"account_id": wrap, "registration_only": True}, 125 * 10**19, tgas=10)
    done = await probe.send(await probe.signed(alice, USDC, register, call("ft_transfer_call", args, 1, tgas=100)))
    # wrap.localnet takes no foreign tokens: the inner receipt fails and everything comes back.
    assert done["status"] == {"SuccessValue": base64.b64encode(b'"0"').decode()}
    statuses = [item["outcome"]["status"] for item in done["receipts_outcome"]]
    assert any("Failure" in status for status in statuses if isinstance(status, dict))
    heights = [await _height(probe, item["block_hash"]) for item in done["receipts_outcome"]]
    assert len(set(heights)) >= 3
    assert await probe.view(USDC, "ft_balance_of", {"account_id": ALICE}) == before
    full = await probe.result(
        "EXPERIMENTAL_tx_status", {"tx_hash": done["transaction"]["hash"], "sender_account_id": ALICE}
    )
    assert {item["receipt_id"] for item in full["receipts"]} == {item["id"] for item in done["receipts_outcome"]}


async def _height(probe: Probe, block_hash: str) -> int:
    return int((await probe.result("block", {"block_id": block_hash}))["header"]["height"])


async def test_new_accounts_and_keys(probe: Probe, alice: Wallet) -> None:
    child = Wallet(AccountId("child.alice.localnet"), SigningKey(b"c" * 32))
    limited = SigningKey(b"l" * 32)
    permission = FunctionCallAccess(USDC, ("ft_balance_of",), Yocto(NEAR))
    limited_key = PublicKey.from_bytes("ed25519", bytes(limited.verify_key))
    full = AddKey(child.public_key, FullAccess())
    made = await probe.send(
        await probe.signed(
            alice, child.account_id, CreateAccount(), transfer(2 * NEAR), full, AddKey(limited_key, permission)
        )
    )
    assert made["status"] == {"SuccessValue": ""}
    key = await probe.query("view_access_key", account_id=child.account_id, public_key=limited_key)
    assert key["permission"] == {
        "FunctionCall": {"allowance": str(NEAR), "receiver_id": "usdc.localnet", "method_names": ["ft_balance_of"]}
    }
    gone = await probe.send(await probe.signed(child, child.account_id, DeleteKey(limited_key)))
    assert gone["status"] == {"SuccessValue": ""}
    page = await probe.query("view_access_key_list", account_id=child.account_id, limit=1)
    assert [item["public_key"] for item in page["keys"]] == [child.public_key]
    top = await probe.send(await probe.signed(alice, AccountId("other.localnet"), CreateAccount()))
    assert "CreateAccountNotAllowed" in json.dumps(top["status"])


async def test_an_unknown_transaction(opened: Open, alice: Wallet) -> None:
    async with opened(wait_timeout_s=0.05) as (probe, _):
        tx_hash = CryptoHash.of(b"nothing")
        params = {"tx_hash": tx_hash, "sender_account_id": ALICE}
        for method in ("tx", "EXPERIMENTAL_tx_status"):
            error = await probe.error(method, {**params, "wait_until": "NONE"})
            assert error["cause"] == {"name": "UNKNOWN_TRANSACTION", "info": {"requested_transaction_hash": tx_hash}}
            waited = await probe.error(method, {**params, "wait_until": "INCLUDED"}, status=408)
            assert waited["cause"] == {"name": "TIMEOUT_ERROR"}


async def test_tx_waits_for_a_transaction_that_comes_later(probe: Probe, alice: Wallet) -> None:
    signed = await probe.signed(alice, BOB, transfer(1))
    found: list[Any] = []

    async def wait() -> None:
        params = {"tx_hash": signed.tx_hash, "sender_account_id": ALICE, "wait_until": "FINAL"}
        found.append(await probe.result("tx", params))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait())
        await asyncio.sleep(0)
        done = await probe.send(signed)
    assert found == [done]


async def test_finality_comes_after_the_configured_blocks(opened: Open, alice: Wallet) -> None:
    async with opened(finality_lag_blocks=3, heartbeat_s=0.01) as (probe, localnet):
        while localnet.chain.head.height < 6:
            await asyncio.sleep(0.01)
        signed = await probe.signed(alice, BOB, transfer(9))
        early = await probe.send(signed, "EXECUTED_OPTIMISTIC")
        assert early["status"] == {"SuccessValue": ""}
        included = await _height(probe, early["transaction_outcome"]["block_hash"])
        done = await probe.send(signed, "FINAL")
        assert done["final_execution_status"] == "FINAL"
        assert localnet.chain.head.height >= included + 1 + 3
        assert await probe.balance(BOB) == 10_000 * NEAR + 9


async def test_a_final_read_lags_behind_an_optimistic_one(opened: Open, alice: Wallet) -> None:
    async with opened(finality_lag_blocks=5, heartbeat_s=60) as (probe, _):
        await probe.send(await probe.signed(alice, BOB, transfer(9)), "EXECUTED_OPTIMISTIC")
        optimistic = await probe.query("view_account", account_id=BOB, finality="optimistic")
        final = await probe.query("view_account", account_id=BOB, finality="final")
        near_final = await probe.query("view_account", account_id=BOB, finality="near-final")
        assert int(optimistic["amount"]) == 10_000 * NEAR + 9
        assert int(final["amount"]) == 10_000 * NEAR
        assert final["block_height"] < optimistic["block_height"]
        assert final["block_height"] <= near_final["block_height"] <= optimistic["block_height"]
        error = await probe.query("view_access_key", account_id=ALICE, public_key=alice.public_key)
        assert error["nonce"] == 0  # final: before the transfer


async def test_more_than_the_pool_holds_is_refused_as_congestion(data_dir: Path, alice: Wallet) -> None:
    async with opened_chain(data_dir, settings=ChainSettings(max_pending=2)) as chain:
        # Nobody makes blocks here: the pool only fills.
        block = chain.head.hash
        signed = [alice.sign(BOB, [transfer(1)], nonce, block) for nonce in (1, 2, 3)]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(chain.submit(item, "NONE")) for item in signed[:2]]
            await asyncio.sleep(0)
            with pytest.raises(ChainError) as caught:
                await chain.submit(signed[2], "NONE")
            assert caught.value.details["InvalidTxError"] == {
                "ShardCongested": {"shard_id": 0, "congestion_level": 1.0}
            }
            for task in waiting:
                task.cancel()
