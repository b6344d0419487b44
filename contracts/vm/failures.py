"""Failures of a function call in nearcore's terms: typed JSON (`VmError.details`), and the texts that nodes print.

`details` is nearcore's `FunctionCallError`, e.g. `{"HostError": {"GuestPanic": {"panic_msg": "..."}}}` or
`{"MethodResolveError": "MethodNotFound"}`; `VmError.code` is its innermost name. Texts follow nearcore's `Display`.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from contracts.errors import ChainError, VmError
from contracts.types import JsonObject

TrapName: TypeAlias = Literal[
    "Unreachable",
    "IncorrectCallIndirectSignature",
    "MemoryOutOfBounds",
    "CallIndirectOOB",
    "IllegalArithmetic",
    "MisalignedAtomicAccess",
    "IndirectCallToNull",
    "StackOverflow",
    "GenericTrap",
]

_HOST_TEXTS: Final[Mapping[str, str]] = {
    "BadUTF16": "String encoding is bad UTF-16 sequence.",
    "BadUTF8": "String encoding is bad UTF-8 sequence.",
    "GasExceeded": "Exceeded the prepaid gas.",
    "GasLimitExceeded": "Exceeded the maximum amount of gas allowed to burn per contract.",
    "BalanceExceeded": "Exceeded the account balance.",
    "EmptyMethodName": "Tried to call an empty method name.",
    "GuestPanic": "Smart contract panicked: {panic_msg}",
    "IntegerOverflow": "Integer overflow.",
    "InvalidPromiseIndex": "{promise_idx} does not correspond to existing promises",
    "CannotAppendActionToJointPromise": "Actions can only be appended to non-joint promise.",
    "CannotReturnJointPromise": "Returning joint promise is currently prohibited.",
    "InvalidPromiseResultIndex": "Accessed invalid promise result index: {result_idx}",
    "InvalidRegisterId": "Accessed invalid register id: {register_id}",
    "MemoryAccessViolation": "Accessed memory outside the bounds.",
    "InvalidAccountId": "VM Logic returned an invalid account id",
    "ContractCodeHashMalformed": "VM Logic provided a malformed contract code hash",
    "InvalidMethodName": "VM Logic returned an invalid method name",
    "InvalidPublicKey": "VM Logic provided an invalid public key",
    "ProhibitedInView": "{method_name} is not allowed in view calls",
    "NumberOfLogsExceeded": "The number of logs will exceed the limit {limit}",
    "KeyLengthExceeded": "The length of a storage key {length} exceeds the limit {limit}",
    "ValueLengthExceeded": "The length of a storage value {length} exceeds the limit {limit}",
    "TotalLogLengthExceeded": "The length of a log message {length} exceeds the limit {limit}",
    "NumberPromisesExceeded": "The number of promises within a FunctionCall {number_of_promises} exceeds the limit {limit}",
    "NumberInputDataDependenciesExceeded": (
        "The number of input data dependencies {number_of_input_data_dependencies} exceeds the limit {limit}"
    ),
    "ReturnedValueLengthExceeded": "The length of a returned value {length} exceeds the limit {limit}",
    "ContractSizeExceeded": "The size of a contract code in DeployContract action {size} exceeds the limit {limit}",
    "Deprecated": "Attempted to call deprecated host function {method_name}",
    "Ed25519VerifyInvalidInput": "Invalid input to ed25519 signature verification function: {msg}",
    "ECRecoverError": "ECDSA recover error: {msg}",
    "AltBn128InvalidInput": "AltBn128 invalid input: {msg}",
    "InvalidActionIndex": "Accessed invalid action index: {action_index} of receipt {receipt_index}",
    "DataEntryAlreadyExists": "The state init of receipt {receipt_index} has this key already",
}

_TRAP_TEXTS: Final[Mapping[str, str]] = {
    "Unreachable": "An `unreachable` opcode was executed.",
    "IncorrectCallIndirectSignature": "Call indirect incorrect signature trap.",
    "MemoryOutOfBounds": "Memory out of bounds trap.",
    "CallIndirectOOB": "Call indirect out of bounds trap.",
    "IllegalArithmetic": "An arithmetic exception, e.g. divided by zero.",
    "MisalignedAtomicAccess": "Misaligned atomic access trap.",
    "IndirectCallToNull": "Indirect call to null.",
    "StackOverflow": "Stack overflow.",
    "GenericTrap": "Generic trap.",
}

_METHOD_TEXTS: Final[Mapping[str, str]] = {
    "MethodEmptyName": "Method name is empty.",
    "MethodNotFound": "Method is not found.",
    "MethodInvalidSignature": "Method has a signature with arguments or results.",
}


def host_error(name: str, **fields: JsonValue) -> VmError:
    """A host function's refusal; `name` and `fields` are those of nearcore's `HostError`."""
    body: JsonValue = {name: dict(fields)} if fields else name
    return VmError(name, _HOST_TEXTS[name].format(**fields), details={"HostError": body})


def action_error(name: str, message: str, **fields: JsonValue) -> ChainError:
    """An action's failure; `name` and `fields` are those of nearcore's `ActionErrorKind` (a bare name without fields)."""
    return ChainError(name, message, details={name: dict(fields)} if fields else {})


def action_failure(error: ChainError) -> JsonValue:
    """The failure as receipts report it."""
    return dict(error.details) or error.code


def wasm_trap(name: TrapName) -> VmError:
    return VmError(name, f"WebAssembly trap: {_TRAP_TEXTS[name]}", details={"WasmTrap": name})


def link_error(message: str) -> VmError:
    """The contract needs something that its host does not offer."""
    return VmError("LinkError", f"Link Error: {message}", details={"LinkError": {"msg": message}})


def too_expensive_here(limit_us: int) -> VmError:
    """The call needs more time of this program's host functions than it may take; nearcore's might do it.

    A LinkError like other things that this host does not offer: a fact about the host, not about the contract.
    """
    message = f"too expensive to compute here: its host functions would take more than {limit_us / 1e6:g} s"
    return VmError("TooExpensiveHere", f"Link Error: {message}", details={"LinkError": {"msg": message}})


def method_error(name: Literal["MethodEmptyName", "MethodNotFound", "MethodInvalidSignature"]) -> VmError:
    return VmError(name, _METHOD_TEXTS[name], details={"MethodResolveError": name})


def no_code(account_id: str) -> VmError:
    return VmError(
        "CodeDoesNotExist",
        f"Contract code of account {account_id} does not exist.",
        details={"CompilationError": {"CodeDoesNotExist": {"account_id": account_id}}},
    )


def prepare_error(name: str, reason: str) -> VmError:
    """The code cannot become a module; `name` is nearcore's `PrepareError`, `reason` says it in words."""
    return VmError(
        name, f"Contract code cannot be prepared: {reason}", details={"CompilationError": {"PrepareError": name}}
    )


def function_call_failure(error: VmError) -> JsonObject:
    """The failure as receipts report it: what is not about code or methods becomes an `ExecutionError` text."""
    if "CompilationError" in error.details or "MethodResolveError" in error.details:
        return {"FunctionCallError": dict(error.details)}
    return {"FunctionCallError": {"ExecutionError": error.message}}


def debug_text(error: JsonValue) -> str:
    """Rust's `{:?}` of a typed error, which older RPC answers print: `HostError(GuestPanic { panic_msg: "..." })`."""
    if isinstance(error, dict):
        ((name, body),) = error.items()
        if isinstance(body, dict) and _is_fields(name):
            return f"{name} {{ {', '.join(f'{key}: {_quoted(value)}' for key, value in body.items())} }}"
        return f"{name}({debug_text(body)})"
    return str(error)


def _is_fields(name: str) -> bool:
    return name not in {"HostError", "CompilationError", "MethodResolveError", "WasmTrap", "FunctionCallError"}


def _quoted(value: JsonValue) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
        return f'"{escaped}"'
    return str(value)
