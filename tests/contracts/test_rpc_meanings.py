"""The table of what nodes' errors are about, row by row, and that everything that reads errors follows it."""

import json

import pytest
from pydantic import JsonValue

from contracts.chain.quorum import is_silent
from contracts.chain.rpc_parse import parse_result
from contracts.chain.witnesses import no_receipts_here
from contracts.errors import RpcError
from contracts.rpc_meanings import ABOUT, About, about, about_of, rpc_error

CHAIN = {
    "UNKNOWN_ACCOUNT",
    "UNKNOWN_ACCESS_KEY",
    "UNKNOWN_GAS_KEY",
    "INVALID_ACCOUNT",
    "NO_CONTRACT_CODE",
    "NO_GLOBAL_CONTRACT_CODE",
    "CONTRACT_EXECUTION_ERROR",
    "TOO_LARGE_CONTRACT_STATE",
    "TOO_MANY_ACCESS_KEYS",
    "UNKNOWN_TRANSACTION",
    "INVALID_TRANSACTION",
    "UNKNOWN_RECEIPT",
    "UNKNOWN_CHUNK",
    "INVALID_SHARD_ID",
    "UNKNOWN_EPOCH",
    "RPC_DISAGREE",
}
PROVIDER = {"METHOD_NOT_FOUND", "PARSE_ERROR", "ADDRESS_REFUSED"}
PRUNED = {"GARBAGE_COLLECTED_BLOCK", "NO_HISTORY"}
PASSING = {
    "UNKNOWN_BLOCK",
    "UNAVAILABLE_SHARD",
    "NO_SYNCED_BLOCKS",
    "NOT_SYNCED_YET",
    "DOES_NOT_TRACK_SHARD",
    "REQUEST_ROUTED",
    "INTERNAL_ERROR",
    "TIMEOUT_ERROR",
    "UNKNOWN_ERROR",
    "BAD_ANSWER",
    "TOO_LARGE",
    "TRANSPORT",
    "STALE_NODE",
    "NO_NODES",
    "RPC_QUORUM",
}


def test_the_table() -> None:
    rows: dict[str, About] = {
        **dict.fromkeys(CHAIN, "chain"),
        **dict.fromkeys(PROVIDER, "provider"),
        **dict.fromkeys(PRUNED, "pruned"),
        **dict.fromkeys(PASSING, "passing"),
    }
    assert dict(ABOUT) == rows
    assert about_of("A_NAME_OF_TOMORROW") == "provider"


@pytest.mark.parametrize("status", range(300, 600))
def test_an_http_status_passes_or_is_the_providers_and_is_never_about_the_chain(status: int) -> None:
    passing = {408, 422, 425, 429, *range(500, 600)} - {501}
    assert about_of("HTTP_STATUS", status=status) == ("passing" if status in passing else "provider")


@pytest.mark.parametrize("status", [None, "500", True, 5e2])
def test_a_status_that_is_none_is_the_providers(status: JsonValue) -> None:
    assert about_of("HTTP_STATUS", status=status) == "provider"


def test_a_transaction_that_is_not_taken_now_passes_and_one_that_is_refused_does_not() -> None:
    assert about_of("INVALID_TRANSACTION", kind="ShardCongested") == "passing"
    assert about_of("INVALID_TRANSACTION", kind="ShardStuck") == "passing"
    assert about_of("INVALID_TRANSACTION", kind="InvalidSignature") == "chain"


@pytest.mark.parametrize("code", [*sorted(ABOUT), "HTTP_STATUS", "A_NAME_OF_TOMORROW"])
def test_everybody_follows_the_table(code: str) -> None:
    error = rpc_error(code, "x", details={"status": 404})
    assert error.retryable == (about(error) == "passing")
    assert is_silent(error) == (about(error) != "chain")
    assert no_receipts_here(error) == (about(error) == "provider" or code == "UNKNOWN_ERROR")


def parsed(error: JsonValue, status: int) -> RpcError:
    with pytest.raises(RpcError) as caught:
        parse_result(status, json.dumps({"jsonrpc": "2.0", "id": "1", "error": error}).encode(), "1")
    return caught.value


@pytest.mark.parametrize("status", [200, 400, 501])
@pytest.mark.parametrize(
    "number", [-32601, -32700, -32600, -32602], ids=["no method", "parse error", "no request", "params"]
)
def test_a_providers_own_error_is_the_providers_at_every_status(number: int, status: int) -> None:
    error = parsed({"code": number, "message": "Method not found"}, status)
    assert (about(error), error.retryable) == ("provider", False)


def test_a_name_that_a_node_gives_decides_whatever_the_http_status_says() -> None:
    for code, subject in ABOUT.items():
        if code not in {"CONTRACT_EXECUTION_ERROR", "INVALID_TRANSACTION"}:
            assert (
                about(parsed({"cause": {"name": code, "info": {"status": 500, "kind": "ShardStuck"}}}, 500)) == subject
            )
