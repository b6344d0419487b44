import json
from io import BytesIO
from typing import Any

import pytest

from contracts.localnet.rpc_server import MAX_BODY_BYTES
from tests.contracts.localnet.wallet import Probe

HASH = "1" * 32


async def _post(probe: Probe, body: bytes) -> tuple[int, Any]:
    async with probe.http.post(probe.url, data=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'[{"jsonrpc":"2.0","id":1,"method":"status","params":[]}]',
        b'{"jsonrpc":"2.0","id":1,"params":[]}',
        b'{"method":5}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_no_request_is_a_parse_error(probe: Probe, body: bytes) -> None:
    status, answer = await _post(probe, body)
    assert status == 400
    assert answer["error"]["name"] == "REQUEST_VALIDATION_ERROR"
    assert answer["error"]["cause"]["name"] == "PARSE_ERROR"
    assert answer["error"]["code"] == -32700


async def test_an_unknown_method_is_named(probe: Probe) -> None:
    body: dict[str, object] = {"jsonrpc": "2.0", "id": "a", "method": "this_method_does_not_exist", "params": {}}
    status, answer = await _post(probe, json.dumps(body).encode())
    assert status == 400
    assert answer == {
        "jsonrpc": "2.0",
        "id": "a",
        "error": {
            "name": "REQUEST_VALIDATION_ERROR",
            "cause": {"name": "METHOD_NOT_FOUND", "info": {"method_name": "this_method_does_not_exist"}},
            "code": -32601,
            "message": "Method not found",
            "data": "this_method_does_not_exist",
        },
    }


async def test_a_body_above_the_limit_is_refused_unread(probe: Probe) -> None:
    async with probe.http.post(probe.url, data=BytesIO(b" " * (MAX_BODY_BYTES + 1))) as response:
        assert response.status == 413


QUERY = {"request_type": "view_account", "account_id": "alice.localnet"}
BAD: list[tuple[str, object]] = [
    ("query", {}),
    ("query", {**QUERY}),
    ("query", {**QUERY, "finality": "soon"}),
    ("query", {**QUERY, "finality": "final", "sync_checkpoint": "genesis"}),
    ("query", {**QUERY, "block_id": True}),
    ("query", {**QUERY, "block_id": -1}),
    ("query", {**QUERY, "block_id": "0"}),
    ("query", {**QUERY, "block_id": {"a": 1}}),
    ("query", {**QUERY, "finality": "final", "request_type": "view_nothing"}),
    ("query", {**QUERY, "finality": "final", "account_id": "invalid..account"}),
    ("query", {**QUERY, "finality": "final", "account_id": 5}),
    ("query", {**QUERY, "finality": "final", "account_id": "a" * 1000}),
    ("query", {**QUERY, "finality": "final", "request_type": "view_state", "prefix_base64": "!!"}),
    ("query", {**QUERY, "finality": "final", "request_type": "view_state", "prefix_base64": "", "limit": 0}),
    ("query", {**QUERY, "finality": "final", "request_type": "view_access_key", "public_key": "ed25519:0"}),
    ("query", {**QUERY, "finality": "final", "request_type": "call_function", "method_name": "x"}),
    ("query", ["account/alice.localnet"]),
    ("query", ["call/usdc.localnet/ft_metadata", "0OIl"]),
    ("query", "final"),
    ("block", {}),
    ("block", [HASH, 1]),
    ("chunk", {"chunk_id": "0"}),
    ("chunk", {"block_id": 1, "shard_id": 1}),
    ("chunk", {}),
    ("tx", {"tx_hash": HASH}),
    ("tx", {"tx_hash": "0", "sender_account_id": "alice.localnet"}),
    ("tx", {"tx_hash": HASH, "sender_account_id": "alice.localnet", "wait_until": "SOON"}),
    ("tx", {"tx_hash": HASH, "sender_account_id": "alice.localnet", "wait_until": ["FINAL"]}),
    ("send_tx", {}),
    ("send_tx", {"signed_tx_base64": "!!!", "wait_until": "NONE"}),
    ("send_tx", {"signed_tx_base64": "AA==", "wait_until": "NONE"}),
    ("send_tx", {"signed_tx_base64": "AA" * 100_000, "wait_until": "NONE"}),
    ("broadcast_tx_commit", []),
    ("broadcast_tx_async", ["é"]),
    ("EXPERIMENTAL_protocol_config", {}),
    ("EXPERIMENTAL_receipt", {"receipt_id": 7}),
]


@pytest.mark.parametrize(("method", "params"), BAD, ids=[f"{row[0]}-{json.dumps(row[1])[:60]}" for row in BAD])
async def test_params_that_cannot_be_read_are_parse_errors(probe: Probe, method: str, params: object) -> None:
    error = await probe.error(method, params, status=400)
    assert error["cause"]["name"] == "PARSE_ERROR"
    assert error["cause"]["info"]["error_message"].startswith("Failed parsing args: ")
    assert len(json.dumps(error)) < 2_000
