"""View calls as JSON, in nearcore's names, from recorded answers."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import JsonValue

from contracts.calls import ViewAccessKeys, ViewAccount, ViewCall, ViewFunction, ViewMethods, ViewTransaction
from contracts.chain.outcome import ViewReturned
from contracts.chain.rpc import open_rpc
from contracts.chain.rpc_types import AccessKeyView
from contracts.chain.views import run_view
from contracts.errors import InvalidInput, RpcError
from contracts.types import AccountId, CryptoHash
from tests.fake_nodes import serve

SAMPLES = Path(__file__).resolve().parents[2] / "vectors" / "rpc"
ALICE = AccountId("alice.testnet")
HASH = CryptoHash("8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS")


def sample(name: str) -> Any:
    response = json.loads((SAMPLES / name).read_text())["response"]
    return {key: response[key] for key in ("result", "error") if key in response}


@asynccontextmanager
async def answering(**answers: Any) -> AsyncGenerator[Any, None]:
    """A client whose node answers each request, by its method or query type, with what is given."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = body["params"]["request_type"] if body["method"] == "query" else body["method"]
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **answers[name]})

    async with serve(answer) as url, open_rpc([url]) as rpc:
        yield rpc


async def view(call: ViewCall, **answers: Any) -> ViewReturned:
    async with answering(**answers) as rpc:
        return await run_view(rpc, call)


async def test_an_account() -> None:
    plain = await view(ViewAccount(ALICE), view_account=sample("view_account.json"))
    assert plain.value == {
        "amount": "999788200694421800000000",
        "locked": "0",
        "code_hash": "1" * 32,
        "storage_usage": 410,
    }
    assert plain.block_height == 187440904
    shared = await view(ViewAccount(ALICE), view_account=sample("view_account_global_contract.json"))
    assert isinstance(shared.value, dict)
    assert shared.value["global_contract_account_id"] == "publisher.testnet"


async def test_access_keys_of_every_kind() -> None:
    def item(name: str, permission: JsonValue) -> JsonValue:
        return {"public_key": name, "access_key": {"nonce": 1, "permission": permission}}

    call: JsonValue = {"receiver_id": "app.near", "method_names": ["a"], "allowance": "5"}
    gas: JsonValue = {"balance": "9", "num_nonces": 4}
    keys = [
        item("ed25519:a", "FullAccess"),
        item("ed25519:b", {"FunctionCall": call}),
        item("ed25519:c", {"GasKeyFullAccess": gas}),
        item("ml-dsa-65-hash:d", {"GasKeyFunctionCall": {"balance": "9", "num_nonces": 4, **dict(call)}}),
        item("ed25519:e", "SomethingNew"),
    ]
    answer = {"result": {"keys": keys, "block_height": 7, "block_hash": HASH}}
    returned = await view(ViewAccessKeys(ALICE), view_access_key_list=answer)
    assert returned.value == {"keys": keys}
    newer = AccessKeyView.model_validate(
        {"nonce": 1, "permission": {"Newer": {"x": 1}}, "block_height": 7, "block_hash": HASH}
    )
    assert str(newer.permission) == "OtherAccess(name='Newer')"


async def test_values_are_json_text_or_base64() -> None:
    call = ViewFunction(ALICE, "f", b"{}")
    assert (await view(call, call_function=sample("call_function_utf8_and_logs.json"))).value == "héllo – 你好 🚀"
    assert (await view(call, call_function=sample("call_function_no_return.json"))).value is None
    with pytest.raises(RpcError) as caught:
        await view(call, call_function=sample("call_function_panic_legacy.json"))
    assert caught.value.details["panic"] == "panicked at E102"


async def test_methods_come_from_the_code() -> None:
    account = sample("view_account_global_contract.json")
    with pytest.raises(RpcError, match="no contract"):
        await view(ViewMethods(ALICE), view_account=sample("view_account.json"))
    empty = await view(ViewMethods(ALICE), view_account=account, view_code=sample("view_code.json"))
    assert isinstance(empty.value, dict)
    assert empty.value["methods"] == []
    broken = sample("view_code.json")
    broken["result"]["code_base64"] = "AAAA"
    with pytest.raises(InvalidInput):
        await view(ViewMethods(ALICE), view_account=account, view_code=broken)


async def test_transactions_at_every_stage() -> None:
    block = sample("block_final.json")
    asked = ViewTransaction(HASH, ALICE)
    done = await view(asked, tx=sample("tx_success_with_failed_inner_receipt.json"), block=block)
    assert isinstance(done.value, dict)
    assert done.value["receipts"] == {"ok": 2, "failed": 1}
    assert (done.value["final"], done.value["status"], done.value["value"]) == (True, {"SuccessValue": "0"}, "0")
    failed = await view(asked, tx=sample("tx_failure_contract_panic.json"), block=block)
    assert isinstance(failed.value, dict)
    assert failed.value["error"] == {
        "code": "FunctionCallError",
        "message": "The account doesn't have enough balance",
    }
    pending = await view(asked, tx=sample("tx_pending_status.json"), block=block)
    assert isinstance(pending.value, dict)
    assert (pending.value["final"], pending.value["status"]) == (False, "Started")
    bare = await view(asked, tx=sample("send_tx_included.json"), block=block)
    assert bare.value == {"final_execution_status": "INCLUDED", "final": False}
    with pytest.raises(RpcError) as caught:
        await view(asked, tx=sample("tx_unknown_transaction.json"))
    assert caught.value.code == "UNKNOWN_TRANSACTION"
