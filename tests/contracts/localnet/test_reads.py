import base64
import hashlib
from pathlib import Path
from typing import Any

import base58
import pytest

from contracts.localnet.server import Localnet
from contracts.types import AccountId, CryptoHash
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL, NEAR, USDC, Probe, Wallet, call, transfer

WASM = Path(__file__).parents[3] / "contracts" / "localnet" / "wasm"


@pytest.mark.parametrize("user", [ALICE, BOB, CAROL])
async def test_genesis_users_hold_ten_thousand_near(probe: Probe, user: AccountId) -> None:
    answer = await probe.query("view_account", account_id=user)
    assert answer["amount"] == str(10_000 * NEAR)
    assert answer["locked"] == "0"
    assert answer["code_hash"] == "1" * 32
    assert answer["storage_usage"] == 182
    assert answer["block_height"] >= 1


@pytest.mark.parametrize("token", ["usdc.localnet", "usdt.localnet"])
async def test_alice_and_bob_hold_tokens_and_carol_is_not_registered(probe: Probe, token: str) -> None:
    contract_id = AccountId(token)
    for holder in (ALICE, BOB):
        assert await probe.view(contract_id, "ft_balance_of", {"account_id": holder}) == str(10_000 * 10**6)
    assert await probe.view(contract_id, "storage_balance_of", {"account_id": CAROL}) is None
    metadata = await probe.view(contract_id, "ft_metadata", {})
    assert (metadata["symbol"], metadata["decimals"]) == (token[:4].upper(), 6)


async def test_wrapped_near_and_the_other_contracts_answer(probe: Probe) -> None:
    metadata = await probe.view(AccountId("wrap.localnet"), "ft_metadata", {})
    assert (metadata["symbol"], metadata["decimals"]) == ("wNEAR", 24)
    assert await probe.view(AccountId("counter.localnet"), "get_num", {}) == 0
    assert await probe.view(AccountId("guestbook.localnet"), "total_messages", {}) in {0, "0"}
    root = await probe.query("view_account", account_id="localnet")
    assert int(root["amount"]) > 0


async def test_view_code_is_the_committed_wasm(probe: Probe) -> None:
    answer = await probe.query("view_code", account_id=USDC)
    code = base64.b64decode(answer["code_base64"])
    assert code == (WASM / "ft.wasm").read_bytes()
    assert answer["hash"] == base58.b58encode(hashlib.sha256(code).digest()).decode()


async def test_access_keys(probe: Probe, alice: Wallet) -> None:
    one = await probe.query("view_access_key", account_id=ALICE, public_key=alice.public_key)
    assert (one["nonce"], one["permission"]) == (0, "FullAccess")
    # A key without its prefix is the same ed25519 key.
    bare = alice.public_key.removeprefix("ed25519:")
    assert (await probe.query("view_access_key", account_id=ALICE, public_key=bare))["permission"] == "FullAccess"
    listed = await probe.query("view_access_key_list", account_id=ALICE)
    assert listed["keys"] == [{"public_key": alice.public_key, "access_key": {"nonce": 0, "permission": "FullAccess"}}]
    assert (await probe.query("view_access_key_list", account_id=USDC))["keys"] == []


def _query(request_type: str, **params: object) -> dict[str, object]:
    return {"request_type": request_type, "finality": "final", **params}


UNKNOWN = "nobody.localnet"
NO_KEY = "ed25519:" + "1" * 32
REFUSED: list[tuple[dict[str, object], str, dict[str, object]]] = [
    (_query("view_account", account_id=UNKNOWN), "UNKNOWN_ACCOUNT", {"requested_account_id": UNKNOWN}),
    (_query("view_access_key_list", account_id=UNKNOWN), "UNKNOWN_ACCOUNT", {"requested_account_id": UNKNOWN}),
    (_query("view_code", account_id=UNKNOWN), "UNKNOWN_ACCOUNT", {"requested_account_id": UNKNOWN}),
    (_query("view_code", account_id=ALICE), "NO_CONTRACT_CODE", {"contract_account_id": ALICE}),
    (
        _query("view_access_key", account_id=ALICE, public_key=NO_KEY),
        "UNKNOWN_ACCESS_KEY",
        {"public_key": NO_KEY},
    ),
    (
        _query("call_function", account_id=UNKNOWN, method_name="x", args_base64=""),
        "UNKNOWN_ACCOUNT",
        {"requested_account_id": UNKNOWN},
    ),
    (
        _query("call_function", account_id=USDC, method_name="nothing", args_base64="e30="),
        "CONTRACT_EXECUTION_ERROR",
        {
            "error": {"MethodResolveError": "MethodNotFound"},
            "vm_error": "wasm execution failed with error: MethodResolveError(MethodNotFound)",
        },
    ),
    (
        _query("call_function", account_id=ALICE, method_name="x", args_base64=""),
        "CONTRACT_EXECUTION_ERROR",
        {"error": {"CompilationError": {"CodeDoesNotExist": {"account_id": ALICE}}}},
    ),
]


@pytest.mark.parametrize(("params", "cause", "info"), REFUSED, ids=[f"{row[1]}-{row[0]}"[:60] for row in REFUSED])
async def test_refused_queries(probe: Probe, params: dict[str, object], cause: str, info: dict[str, object]) -> None:
    error = await probe.error("query", params)
    assert error["name"] == "HANDLER_ERROR"
    assert error["cause"]["name"] == cause
    told = error["cause"]["info"]
    assert told["block_height"] >= 1
    assert {key: told.get(key) for key in info} == info


async def test_a_panic_in_a_view_is_quoted(probe: Probe) -> None:
    args = base64.b64encode(b"{}").decode()
    error = await probe.error(
        "query", _query("call_function", account_id=USDC, method_name="ft_balance_of", args_base64=args)
    )
    typed = error["cause"]["info"]["error"]
    assert set(typed) == {"HostError"}
    assert typed["HostError"]["GuestPanic"]["panic_msg"]


async def test_state_of_a_contract_by_prefix_and_by_page(probe: Probe) -> None:
    whole = (await probe.query("view_state", account_id=USDC, prefix_base64=""))["values"]
    assert len(whole) >= 4
    keys = [base64.b64decode(item["key"]) for item in whole]
    assert keys == sorted(keys)
    prefix = keys[-1][:1]
    some = await probe.query("view_state", account_id=USDC, prefix_base64=base64.b64encode(prefix).decode())
    assert some["values"] == [item for item in whole if base64.b64decode(item["key"]).startswith(prefix)]
    paged: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await probe.query("view_state", account_id=USDC, prefix_base64="", limit=2, **after)
        assert 1 <= len(page["values"]) <= 2
        paged += page["values"]
        if "last_key" not in page:
            break
        after = {"after_key_base64": page["last_key"]}
    assert paged == whole


async def test_state_above_fifty_kilobytes_is_read_by_page_only(probe: Probe, alice: Wallet) -> None:
    guestbook = AccountId("guestbook.localnet")
    nonce, block = await probe.nonce(alice), await probe.head()
    for number in range(1, 8):
        action = call("add_message", {"text": "x" * 10_000}, tgas=100)
        done = await probe.send(alice.sign(guestbook, [action], nonce + number, block))
        assert "SuccessValue" in done["status"], done["status"]
    error = await probe.error("query", _query("view_state", account_id=guestbook, prefix_base64=""))
    assert error["cause"]["name"] == "TOO_LARGE_CONTRACT_STATE"
    page = await probe.query("view_state", account_id=guestbook, prefix_base64="", limit=10_000)
    size = sum(len(base64.b64decode(item["key"]) + base64.b64decode(item["value"])) for item in page["values"])
    assert 0 < size <= 50_000
    assert "last_key" in page


async def test_blocks_by_finality_height_and_hash(chain: tuple[Probe, Localnet]) -> None:
    probe, localnet = chain
    block = await probe.result("block", {"finality": "final"})
    header = block["header"]
    assert header["height"] == localnet.chain.head.height
    assert (await probe.result("block", {"block_id": header["hash"]}))["header"] == header
    assert (await probe.result("block", [header["height"]]))["header"]["hash"] == header["hash"]
    assert (await probe.result("block", [header["hash"]]))["header"]["hash"] == header["hash"]
    genesis = (await probe.result("block", {"sync_checkpoint": "genesis"}))["header"]
    assert (genesis["height"], genesis["prev_hash"]) == (1, "1" * 32)
    assert (await probe.result("status", {}))["genesis_hash"] == genesis["hash"]
    chunk_hash = block["chunks"][0]["chunk_hash"]
    assert (await probe.result("chunk", {"chunk_id": chunk_hash}))["header"] == block["chunks"][0]
    assert (await probe.result("chunk", [header["height"], 0]))["header"]["chunk_hash"] == chunk_hash


async def test_a_chunk_shows_its_transactions_and_receipts(probe: Probe, alice: Wallet) -> None:
    signed = await probe.signed(alice, BOB, transfer(5))
    done = await probe.send(signed)
    block_hash = done["transaction_outcome"]["block_hash"]
    chunk = await probe.result("chunk", {"block_id": block_hash, "shard_id": 0})
    assert [item["hash"] for item in chunk["transactions"]] == [signed.tx_hash]
    ran = done["receipts_outcome"][0]
    later = await probe.result("chunk", {"block_id": ran["block_hash"], "shard_id": 0})
    assert [item["receipt_id"] for item in later["receipts"]] == [ran["id"]]
    assert (await probe.result("EXPERIMENTAL_receipt", {"receipt_id": ran["id"]})) == later["receipts"][0]


async def test_blocks_and_chunks_that_are_not_there(probe: Probe) -> None:
    other = CryptoHash.of(b"other")
    future = await probe.error("block", {"block_id": 10**9})
    assert future["cause"]["name"] == "UNKNOWN_BLOCK"
    missing = await probe.error("block", {"block_id": 0}, status=422)
    assert missing["cause"] == {"name": "UNKNOWN_BLOCK", "info": {"block_reference": {"block_id": 0}}}
    assert (await probe.error("block", {"block_id": other}, status=422))["cause"]["name"] == "UNKNOWN_BLOCK"
    assert (await probe.error("chunk", {"chunk_id": other}))["cause"] == {
        "name": "UNKNOWN_CHUNK",
        "info": {"chunk_hash": other},
    }
    receipt = await probe.error("EXPERIMENTAL_receipt", {"receipt_id": other})
    assert receipt["cause"] == {"name": "UNKNOWN_RECEIPT", "info": {"receipt_id": other}}


async def test_status_configuration_and_the_rest(chain: tuple[Probe, Localnet]) -> None:
    probe, localnet = chain
    status = await probe.result("status", [])
    assert (status["chain_id"], status["protocol_version"]) == ("localnet", 86)
    assert status["sync_info"]["earliest_block_height"] == 1
    assert localnet.rpc_url == f"http://{status['rpc_addr']}"
    async with probe.http.get(f"{probe.url}/status") as response:
        assert (await response.json())["chain_id"] == "localnet"
    config = await probe.result("EXPERIMENTAL_protocol_config", {"finality": "final"})
    assert config["transaction_validity_period"] == 86_400
    runtime = config["runtime_config"]
    assert runtime["storage_amount_per_byte"] == str(10**19)
    assert runtime["wasm_config"]["limit_config"]["max_total_prepaid_gas"] == 10**15
    assert (await probe.result("gas_price", [None]))["gas_price"] == "100000000"
    assert (await probe.result("gas_price", {"block_id": 1}))["gas_price"] == "100000000"
    for params in ([None], "latest", {"latest": None}):
        assert (await probe.result("validators", params))["current_validators"][0]["account_id"] == "localnet"
    assert await probe.result("health", []) is None
    async with probe.http.get(f"{probe.url}/health") as response:
        assert (response.status, await response.json()) == (200, None)


async def test_reads_pinned_to_a_block_see_its_state(probe: Probe, alice: Wallet) -> None:
    before = await probe.query("view_account", account_id=BOB)
    pinned = before["block_hash"]
    for number in range(3):
        await probe.send(await probe.signed(alice, BOB, transfer(7 + number)))
    for reference in (pinned, before["block_height"]):
        again = await probe.query("view_account", account_id=BOB, block_id=reference)
        assert again == before
        args = base64.b64encode(b'{"account_id":"bob.localnet"}').decode()
        called = await probe.query(
            "call_function", account_id=USDC, method_name="ft_balance_of", args_base64=args, block_id=reference
        )
        assert called["block_hash"] == pinned
    assert await probe.balance(BOB) == int(before["amount"]) + 7 + 8 + 9


async def test_the_old_positional_query(probe: Probe, alice: Wallet) -> None:
    assert (await probe.result("query", [f"account/{ALICE}", ""]))["amount"] == str(10_000 * NEAR)
    assert len((await probe.result("query", [f"access_key/{ALICE}", ""]))["keys"]) == 1
    key = await probe.result("query", [f"access_key/{ALICE}/{alice.public_key}", ""])
    assert key["permission"] == "FullAccess"
    assert (await probe.result("query", [f"contract/{USDC}", ""]))["values"]
    assert (await probe.result("query", [f"code/{USDC}", ""]))["hash"]
    args = base58.b58encode(b'{"account_id":"bob.localnet"}').decode()
    called = await probe.result("query", [f"call/{USDC}/ft_balance_of", args])
    assert bytes(called["result"]) == b'"10000000000"'
    assert (await probe.error("query", ["nothing/x", ""], status=400))["cause"]["name"] == "PARSE_ERROR"
