import json
from dataclasses import asdict
from pathlib import Path

from contracts.vm.config import RuntimeConfig
from contracts.vm.failures import (
    function_call_failure,
    host_error,
    link_error,
    method_error,
    no_code,
    prepare_error,
    wasm_trap,
)
from tests.judges.openapi_judge import Judge

CONFIG = RuntimeConfig()
JUDGES = Path(__file__).resolve().parents[2] / "judges"


def test_the_parameters_are_those_of_protocol_86() -> None:
    assert CONFIG.protocol_version == 86
    limits = CONFIG.limits
    assert limits.max_gas_burnt == limits.max_total_prepaid_gas == 1000 * 10**12
    assert limits.max_transaction_size == 1_572_864
    assert limits.max_contract_size == limits.max_arguments_length == limits.max_length_storage_value == 4_194_304
    assert (limits.max_length_storage_key, limits.max_length_method_name) == (2048, 256)
    assert (limits.max_number_logs, limits.max_total_log_length) == (100, 16_384)
    transfer = CONFIG.action_fees.transfer_cost
    receipt = CONFIG.action_receipt_creation
    total = transfer.send_not_sir + transfer.execution + receipt.send_not_sir + receipt.execution
    assert total == 446_365_125_000  # 0.4465 Tgas
    assert all(value >= 0 for value in asdict(CONFIG.ext_costs).values())


def test_the_config_view_has_the_shape_that_nodes_answer() -> None:
    """Every key of it is known to the RPC document, and what clients read is there."""
    view = json.loads(json.dumps(CONFIG.runtime_config_view()))
    assert view["storage_amount_per_byte"] == "10000000000000000000"
    assert view["wasm_config"]["regular_op_cost"] == 822_756
    judge = Judge("near-rpc-openapi.json")
    assert judge.schema("RuntimeConfigView", view, strict=True) == []
    document = json.loads((JUDGES / "near-rpc-openapi.json").read_text())
    schemas = document["components"]["schemas"]
    assert set(view) <= set(schemas["RuntimeConfigView"]["properties"])
    assert set(view["wasm_config"]) <= set(schemas["VMConfigView"]["properties"])
    assert set(view["wasm_config"]["limit_config"]) == set(schemas["LimitConfig"]["properties"])
    assert set(view["wasm_config"]["ext_costs"]) == set(schemas["ExtCostsConfigView"]["properties"])
    costs = view["transaction_costs"]
    assert set(costs["action_creation_config"]) == set(schemas["ActionCreationConfigView"]["properties"])


def test_typed_failures_conform_to_the_document() -> None:
    judge = Judge("near-rpc-openapi.json")
    for error in (
        host_error("GuestPanic", panic_msg="x"),
        host_error("NumberPromisesExceeded", number_of_promises=2000, limit=1024),
        host_error("GasLimitExceeded"),
        wasm_trap("StackOverflow"),
        link_error("x"),
        method_error("MethodEmptyName"),
        no_code("a.test"),
        prepare_error("Instantiate", "x"),
    ):
        assert judge.schema("FunctionCallError", dict(error.details)) == [], error.code
        kind = dict(function_call_failure(error))
        assert judge.schema("ActionError", {"index": 0, "kind": kind}) == [], error.code


def test_failures_are_told_as_receipts_tell_them() -> None:
    assert function_call_failure(host_error("GuestPanic", panic_msg="x")) == {
        "FunctionCallError": {"ExecutionError": "Smart contract panicked: x"}
    }
    assert function_call_failure(host_error("GasExceeded")) == {
        "FunctionCallError": {"ExecutionError": "Exceeded the prepaid gas."}
    }
    assert function_call_failure(wasm_trap("Unreachable")) == {
        "FunctionCallError": {"ExecutionError": "WebAssembly trap: An `unreachable` opcode was executed."}
    }
    assert function_call_failure(link_error("no such thing")) == {
        "FunctionCallError": {"ExecutionError": "Link Error: no such thing"}
    }
    assert function_call_failure(method_error("MethodNotFound")) == {
        "FunctionCallError": {"MethodResolveError": "MethodNotFound"}
    }
    assert function_call_failure(no_code("a.test")) == {
        "FunctionCallError": {"CompilationError": {"CodeDoesNotExist": {"account_id": "a.test"}}}
    }
    assert host_error("InvalidRegisterId", register_id=5).details == {
        "HostError": {"InvalidRegisterId": {"register_id": 5}}
    }
