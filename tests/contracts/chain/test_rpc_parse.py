"""Every recorded answer becomes a typed value or a typed error."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.calls import FullAccess, FunctionCallAccess
from contracts.chain.rpc_parse import invalid_tx_kind, parse_answer, parse_hash, vm_error_kind
from contracts.chain.rpc_types import (
    AccessKeyList,
    AccessKeyView,
    AccountView,
    Answer,
    BlockView,
    ChunkView,
    CodeView,
    FunctionResult,
    GasKeyAccess,
    GasPriceView,
    ProtocolConfig,
    StateView,
    StatusView,
    ValidatorsView,
)
from contracts.chain.tx_answer import Failure, Pending, SuccessValue, TxAnswer
from contracts.errors import RpcError
from contracts.types import Yocto
from contracts.vm.failures import debug_text

SAMPLES = Path(__file__).resolve().parents[2] / "vectors" / "rpc"
INDEX: list[dict[str, str]] = json.loads((SAMPLES / "index.json").read_text())["samples"]
QUERIES: Mapping[str, type[Answer]] = {
    "view_account": AccountView,
    "view_access_key": AccessKeyView,
    "view_access_key_list": AccessKeyList,
    "call_function": FunctionResult,
    "view_code": CodeView,
    "view_state": StateView,
}
METHODS: Mapping[str, type[Answer]] = {
    "block": BlockView,
    "chunk": ChunkView,
    "gas_price": GasPriceView,
    "status": StatusView,
    "validators": ValidatorsView,
    "EXPERIMENTAL_protocol_config": ProtocolConfig,
    "EXPERIMENTAL_call_function": FunctionResult,
    "EXPERIMENTAL_tx_status": TxAnswer,
    "send_tx": TxAnswer,
    "tx": TxAnswer,
    "broadcast_tx_commit": TxAnswer,
    "broadcast_tx_async": TxAnswer,
    "this_method_does_not_exist": AccountView,
}
ERRORS: dict[str, tuple[str, bool, dict[str, JsonValue]]] = {
    "call_function_method_not_found_legacy.json": ("CONTRACT_EXECUTION_ERROR", False, {"kind": "MethodNotFound"}),
    "contract_execution_error_structured.json": ("CONTRACT_EXECUTION_ERROR", False, {"kind": "MethodNotFound"}),
    "experimental_call_function_error.json": ("CONTRACT_EXECUTION_ERROR", False, {"kind": "MethodNotFound"}),
    "call_function_panic_legacy.json": (
        "CONTRACT_EXECUTION_ERROR",
        False,
        {"kind": "GuestPanic", "panic": "panicked at E102", "block_height": 192983668},
    ),
    "contract_execution_error_panic.json": (
        "CONTRACT_EXECUTION_ERROR",
        False,
        {
            "kind": "GuestPanic",
            "panic": 'Failed to deserialize input from JSON.: Error("missing field `account_id`", line: 1, column: 2)',
        },
    ),
    "unknown_account.json": ("UNKNOWN_ACCOUNT", False, {"block_height": 172797974}),
    "unknown_access_key_structured.json": ("UNKNOWN_ACCESS_KEY", False, {"block_height": 172797974}),
    "unknown_access_key_legacy.json": (
        "UNKNOWN_ACCESS_KEY",
        False,
        {"public_key": "ed25519:HbcF7MfbaLv6EViPkS3pDELF5cfHDKV73JJR6TdYC5BV", "block_height": 172797974},
    ),
    "no_contract_code.json": ("NO_CONTRACT_CODE", False, {}),
    "garbage_collected_block.json": ("GARBAGE_COLLECTED_BLOCK", False, {"block_height": 60000000}),
    "unknown_block.json": ("UNKNOWN_BLOCK", True, {}),
    "too_large_contract_state.json": ("TOO_LARGE_CONTRACT_STATE", False, {}),
    "parse_error_account_id.json": ("PARSE_ERROR", False, {}),
    "tx_parse_error_base64.json": ("PARSE_ERROR", False, {}),
    "method_not_found.json": ("METHOD_NOT_FOUND", False, {"method_name": "this_method_does_not_exist"}),
    "unknown_chunk.json": ("UNKNOWN_CHUNK", False, {}),
    "internal_error.json": ("INTERNAL_ERROR", True, {}),
    "does_not_track_shard.json": ("DOES_NOT_TRACK_SHARD", True, {}),
    "request_routed.json": ("REQUEST_ROUTED", True, {}),
    "send_tx_timeout.json": ("TIMEOUT_ERROR", True, {}),
    "tx_unknown_transaction.json": ("UNKNOWN_TRANSACTION", False, {}),
    "invalid_tx_access_key_not_found.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "AccessKeyNotFound", "group": "InvalidAccessKeyError", "account_id": "alice.testnet"},
    ),
    "invalid_tx_deposit_with_function_call.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "DepositWithFunctionCall", "group": "InvalidAccessKeyError"},
    ),
    "invalid_tx_expired.json": ("INVALID_TRANSACTION", False, {"kind": "Expired"}),
    "invalid_tx_expired_legacy.json": ("INVALID_TRANSACTION", False, {"kind": "Expired"}),
    "invalid_tx_invalid_chain.json": ("INVALID_TRANSACTION", False, {"kind": "InvalidChain"}),
    "invalid_tx_invalid_nonce.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "InvalidNonce", "tx_nonce": 5, "ak_nonce": 12},
    ),
    "invalid_tx_invalid_signature.json": ("INVALID_TRANSACTION", False, {"kind": "InvalidSignature"}),
    "invalid_tx_lack_balance_for_state.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "LackBalanceForState", "amount": "1820000000000000000000"},
    ),
    "invalid_tx_method_name_mismatch.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "MethodNameMismatch", "method_name": "withdraw"},
    ),
    "invalid_tx_nonce_too_large.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "NonceTooLarge", "tx_nonce": 9007199254740993},
    ),
    "invalid_tx_not_enough_allowance.json": ("INVALID_TRANSACTION", False, {"kind": "NotEnoughAllowance"}),
    "invalid_tx_not_enough_balance.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "NotEnoughBalance", "signer_id": "poor.testnet", "cost": "2000000000000000000000000"},
    ),
    "invalid_tx_receiver_mismatch.json": ("INVALID_TRANSACTION", False, {"kind": "ReceiverMismatch"}),
    "invalid_tx_requires_full_access.json": ("INVALID_TRANSACTION", False, {"kind": "RequiresFullAccess"}),
    "invalid_tx_shard_congested.json": ("INVALID_TRANSACTION", True, {"kind": "ShardCongested", "shard_id": 2}),
    "invalid_tx_signer_does_not_exist.json": ("INVALID_TRANSACTION", False, {"kind": "SignerDoesNotExist"}),
    "invalid_tx_total_prepaid_gas.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "TotalPrepaidGasExceeded", "group": "ActionsValidation", "limit": 1000000000000000},
    ),
    "invalid_tx_zero_gas.json": (
        "INVALID_TRANSACTION",
        False,
        {"kind": "FunctionCallZeroAttachedGas", "group": "ActionsValidation"},
    ),
}


def _sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / name).read_text())


def _parse(name: str) -> Answer:
    sample = _sample(name)
    request = sample["request"]
    answer = QUERIES[request["params"]["request_type"]] if request["method"] == "query" else METHODS[request["method"]]
    return parse_answer(answer, sample["http_status"], json.dumps(sample["response"]).encode(), "dontcare")


def test_the_lists_cover_every_sample() -> None:
    assert len(INDEX) == 79
    assert set(ERRORS) == {entry["file"] for entry in INDEX if entry["outcome"] != "result"}


@pytest.mark.parametrize("name", [e["file"] for e in INDEX if not e["file"].startswith("broadcast_tx_async")])
def test_every_sample_is_a_value_or_a_typed_error(name: str) -> None:
    if name not in ERRORS:
        assert _parse(name)
        return
    code, retryable, details = ERRORS[name]
    with pytest.raises(RpcError) as caught:
        _parse(name)
    assert (caught.value.code, caught.value.retryable, caught.value.sent) == (code, retryable, True)
    assert details.items() <= caught.value.details.items()


@pytest.mark.parametrize("name", ["broadcast_tx_async.json", "broadcast_tx_async_object.json"])
def test_a_bare_hash(name: str) -> None:
    body = json.dumps(_sample(name)["response"]).encode()
    assert parse_hash(200, body, "dontcare") == "9yzcZFHqtKqTUPnz9dx2DfTjDnFemPEQjbgVqSBdnvKr"
    with pytest.raises(RpcError, match="not 32 bytes"):
        parse_hash(200, b'{"id": "1", "result": "abc"}', "1")


def test_values_of_accounts_and_keys() -> None:
    account = _parse("view_account.json")
    assert isinstance(account, AccountView)
    assert (account.amount, account.code_hash, account.has_contract) == (999788200694421800000000, None, False)
    shared = _parse("view_account_global_contract.json")
    assert isinstance(shared, AccountView)
    assert shared.has_contract
    assert shared.global_contract_account_id == "publisher.testnet"
    keys = _parse("view_access_key_list.json")
    assert isinstance(keys, AccessKeyList)
    assert [type(item.permission) for item in keys.keys] == [FunctionCallAccess, FullAccess, FullAccess]
    gas_key = _parse("view_access_key_gas_key.json")
    assert isinstance(gas_key, AccessKeyView)
    assert gas_key.permission == GasKeyAccess(balance=Yocto(5 * 10**24), num_nonces=4, function_call=None)


def test_values_of_views_and_blocks() -> None:
    text = _parse("call_function_utf8_and_logs.json")
    assert isinstance(text, FunctionResult)
    assert json.loads(text.result) == "héllo – 你好 🚀"
    assert text.logs == ("seen by alice.testnet",)
    nothing = _parse("call_function_no_return.json")
    assert isinstance(nothing, FunctionResult)
    assert nothing.result == b""
    block = _parse("block_final.json")
    assert isinstance(block, BlockView)
    assert (block.height, block.timestamp_ns, block.gas_price) == (187310138, 1739254177539033760, 10**8)
    status = _parse("status_current.json")
    assert isinstance(status, StatusView)
    assert (status.chain_id, status.earliest_height, status.latest_height) == ("testnet", 187251995, 187456272)
    config = _parse("protocol_config.json")
    assert isinstance(config, ProtocolConfig)
    assert (config.transaction_validity_period, config.max_total_prepaid_gas) == (86400, 300 * 10**12)
    assert config.limits is None, "the sample leaves limits out: they are unknown, not made up"


def test_values_of_transactions() -> None:
    done = _parse("tx_success.json")
    assert isinstance(done, TxAnswer)
    assert done.final
    assert done.status == SuccessValue(b"")
    assert done.transaction is not None
    assert [action.kind for action in done.transaction.actions] == ["CreateAccount", "Transfer", "AddKey"]
    assert done.transaction.actions[1].deposit == 5 * 10**24
    pending = _parse("tx_pending_status.json")
    assert isinstance(pending, TxAnswer)
    assert (pending.included, pending.final, pending.status) == (True, False, Pending("Started"))
    for level in ("none", "included", "included_final"):
        bare = _parse(f"send_tx_{level}.json")
        assert isinstance(bare, TxAnswer)
        assert (bare.included, bare.final) == (level != "none", False)
    failed = _parse("tx_failure_contract_panic.json")
    assert isinstance(failed, TxAnswer)
    assert isinstance(failed.status, Failure)
    told = _parse("experimental_tx_status_receipts.json")
    assert isinstance(told, TxAnswer)
    assert told.receipts is not None
    assert [receipt.predecessor_id for receipt in told.receipts] == ["rpc-examples.testnet", "system"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "BAD_ANSWER"),
        (200, b"<html>", "BAD_ANSWER"),
        (200, b"[]", "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1"}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"2","result":{}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":null,"result":{}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":null}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":NaN}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":1e3}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":"1","x":1e999}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":true}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":"-1"}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":"1_000"}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":" 1"}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":"' + b"9" * 39 + b'"}}', "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":' + b"[" * 100_000, "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":"1","result":{"gas_price":' + b"[" * 90 + b"]" * 90 + b"}}", "BAD_ANSWER"),
        (200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}', "PARSE_ERROR"),
        (200, b'{"jsonrpc":"2.0","id":"1","error":"broken"}', "UNKNOWN_ERROR"),
        (200, b'{"jsonrpc":"2.0","id":"1","error":{"code":-32000,"message":"x","data":"Timeout"}}', "TIMEOUT_ERROR"),
        (429, b"<html>Too many requests</html>", "HTTP_STATUS"),
        (502, b"<html>Bad gateway</html>", "HTTP_STATUS"),
        (503, b'{"message":"over capacity"}', "HTTP_STATUS"),
        (302, b"", "HTTP_STATUS"),
    ],
)
def test_hostile_and_broken_answers_are_typed(status: int, body: bytes, code: str) -> None:
    with pytest.raises(RpcError) as caught:
        parse_answer(GasPriceView, status, body, "1")
    assert caught.value.code == code
    assert len(caught.value.message) < 3000


def test_old_nodes_that_give_no_cause() -> None:
    def caught(data: str) -> RpcError:
        body = {"jsonrpc": "2.0", "id": "1", "error": {"code": -32000, "message": "Server error", "data": data}}
        with pytest.raises(RpcError) as error:
            parse_answer(AccountView, 200, json.dumps(body).encode(), "1")
        return error.value

    assert caught("account bob.near does not exist while viewing").code == "UNKNOWN_ACCOUNT"
    panic = caught(
        'wasm execution failed with error: HostError(GuestPanic { panic_msg: "a \\"b\\"\\n\\u{1f680}\\\\" })'
    )
    assert panic.details["panic"] == 'a "b"\n🚀\\'
    code = caught("wasm execution failed with error: CompilationError(CodeDoesNotExist { account_id: AccountId(a) })")
    assert code.code == "NO_CONTRACT_CODE"
    assert caught("something new").code == "UNKNOWN_ERROR"


@pytest.mark.parametrize(
    ("error", "kind", "panic"),
    [
        ({"ExecutionError": "Smart contract panicked: no"}, "GuestPanic", "no"),
        ({"ExecutionError": "Exceeded the prepaid gas."}, "ExecutionError", "Exceeded the prepaid gas."),
        ({"CompilationError": {"CodeDoesNotExist": {"account_id": "a.near"}}}, "CodeDoesNotExist", None),
        ({"LinkError": {"msg": "x"}}, "LinkError", None),
        ({"WasmTrap": "Unreachable"}, "Unreachable", None),
        ("wasm execution failed with error: WasmTrap(Unreachable)", "Unreachable", None),
        (None, "Unknown", None),
    ],
)
def test_contract_errors_have_one_name_in_every_form(error: JsonValue, kind: str, panic: str | None) -> None:
    assert vm_error_kind(error) == (kind, panic)


VM_ERRORS: list[tuple[JsonValue, str]] = [
    *(
        ({"HostError": name}, name)
        for name in ("GasLimitExceeded", "GasExceeded", "BalanceExceeded", "IntegerOverflow")
    ),
    ({"HostError": {"ProhibitedInView": {"method_name": "storage_write"}}}, "ProhibitedInView"),
    ({"HostError": {"InvalidRegisterId": {"register_id": 5}}}, "InvalidRegisterId"),
    ({"HostError": {"GuestPanic": {"panic_msg": "E102: (no) such {thing}"}}}, "GuestPanic"),
    ({"MethodResolveError": "MethodNotFound"}, "MethodNotFound"),
    ({"MethodResolveError": "MethodEmptyName"}, "MethodEmptyName"),
    ({"MethodResolveError": "MethodInvalidSignature"}, "MethodInvalidSignature"),
    ({"CompilationError": {"CodeDoesNotExist": {"account_id": "a.near"}}}, "CodeDoesNotExist"),
    ({"CompilationError": {"PrepareError": "Instantiate"}}, "PrepareError"),
    ({"CompilationError": {"WasmerCompileError": {"msg": "x"}}}, "WasmerCompileError"),
    ({"LinkError": {"msg": "HostError(GuestPanic)"}}, "LinkError"),
    ({"WasmTrap": "Unreachable"}, "Unreachable"),
    ({"WasmTrap": "StackOverflow"}, "StackOverflow"),
]
AROUND = (
    "{}",
    "wasm execution failed with error: {}",
    "wasm execution failed with error: FunctionCallError({})",
    "Function call returned an error: {}",
    "Function call returned an error: wasm execution failed with error: {}",
    "Function call returned an error: wasm execution failed with error: FunctionCallError({})",
    "ActionError {{ index: Some(0), kind: FunctionCallError({}) }}",
)


@pytest.mark.parametrize(("typed", "kind"), VM_ERRORS)
@pytest.mark.parametrize("around", AROUND)
def test_a_contract_error_in_words_has_the_name_of_the_typed_one(typed: JsonValue, kind: str, around: str) -> None:
    """Older nodes print Rust's debug text, some of them with the enum around it."""
    assert vm_error_kind(typed)[0] == kind
    assert vm_error_kind({"FunctionCallError": typed})[0] == kind
    text = around.format(debug_text(typed))
    assert vm_error_kind(text)[0] == kind
    if kind == "GuestPanic":
        assert vm_error_kind(text)[1] == "E102: (no) such {thing}"


@pytest.mark.parametrize("around", AROUND)
def test_an_execution_error_in_words_keeps_its_text(around: str) -> None:
    limit = "Exceeded the maximum amount of gas allowed to burn per contract."
    assert vm_error_kind(around.format(f'ExecutionError("{limit}")')) == ("ExecutionError", limit)
    panicked = 'ExecutionError("Smart contract panicked: a \\"b\\"")'
    assert vm_error_kind(around.format(panicked)) == ("GuestPanic", 'a "b"')


@pytest.mark.parametrize(
    "text", ["HostError(" * 50_000, "A" * 200_000, "HostError(HostError)", "", "()", "ExecutionError(5)"]
)
def test_odd_texts_are_named_too(text: str) -> None:
    assert 0 < len(vm_error_kind(text)[0]) <= 80


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NODE_KEYS = st.sampled_from(
    ["result", "error", "id", "cause", "name", "info", "data", "TxExecutionError", "InvalidTxError", "header", "keys"]
)
_NODE_JSON = st.recursive(
    _JSON,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NODE_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(status=st.sampled_from([200, 400, 408, 429, 500]), content=_NODE_JSON, answer=st.sampled_from(list(METHODS)))
def test_no_json_makes_the_parser_crash(status: int, content: JsonValue, answer: str) -> None:
    bodies = [content, {"id": "1", "result": content}, {"id": "1", "error": content}]
    for body in bodies:
        with suppress(RpcError):
            assert isinstance(parse_answer(METHODS[answer], status, json.dumps(body).encode(), "1"), METHODS[answer])


@given(body=st.binary(max_size=200))
def test_no_bytes_make_the_parser_crash(body: bytes) -> None:
    with pytest.raises(RpcError):
        parse_answer(BlockView, 200, body, "1")


@given(error=_JSON)
def test_no_error_form_makes_the_readers_crash(error: JsonValue) -> None:
    assert invalid_tx_kind(error)[0] is not None
    assert vm_error_kind(error)[0] is not None
