"""From an HTTP body to a typed value or a typed RpcError. Pure; every error of every node form gets one type here.

Nodes tell errors in three ways: `error.cause` (nearcore's own form), `error.data` (legacy text, and the details of
INVALID_TRANSACTION), and a text in `result.error` under HTTP 200, which public nodes answer for failed queries. What an
error is about, and so whether it is worth asking again, is in `contracts.rpc_meanings`.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import JsonValue, ValidationError
from pydantic_core import from_json

from contracts.chain.rpc_types import Answer, FunctionResult
from contracts.errors import RpcError
from contracts.rpc_meanings import rpc_error
from contracts.strict_json import parse_json
from contracts.types import CryptoHash, JsonObject

AnswerT = TypeVar("AnswerT", bound=Answer)

_LEGACY_CODES: Final = {-32700: "PARSE_ERROR", -32600: "PARSE_ERROR", -32601: "METHOD_NOT_FOUND", -32602: "PARSE_ERROR"}
_GROUPS: Final = frozenset({"InvalidAccessKeyError", "ActionsValidation"})
_NESTING: Final = frozenset({"FunctionCallError", "HostError", "CompilationError", "MethodResolveError", "WasmTrap"})
"""Variants of a contract's error that hold another enum, whose name says more."""
_SHOWN: Final = 2000
"""Characters of a node's own text that are kept."""

_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,80}")
"""What a node may name an error: it becomes the error's code."""
_GUEST_PANIC: Final = re.compile(r'GuestPanic \{ panic_msg: "((?:[^"\\]|\\.)*)" \}', re.DOTALL)
_NEST: Final = rf"(?:{'|'.join(sorted(_NESTING))})\("
_MARK: Final = (
    rf"wasm execution failed with error: |Function call returned an error: (?!wasm )|kind: (?={_NEST})|\A(?={_NEST}|LinkError\b"
    r"|ExecutionError\()"
)
_VM_KIND: Final = re.compile(rf"(?:{_MARK})(?:{_NEST})*+(\w{{1,80}})")
"""The innermost name in Rust's debug text; nodes put the enum's own name around it or not."""
_EXECUTION_ERROR: Final = re.compile(r'ExecutionError\("((?:[^"\\]|\\.)*+)"', re.DOTALL)
_NO_KEY: Final = re.compile(r"access key (\S+) does not exist")
_NO_ACCOUNT: Final = re.compile(r"account (\S+) does not exist")
_OCTETS: Final = re.compile(rb'"result"\s*+:\s*+\[')
"""The beginning of a contract's answer inside a node's, as a list of numbers. Inside a text the quotes would be escaped."""
_LONG_ANSWER: Final = 16_384
_FEW: Final = 64
_RUST_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def parse_answer(answer: type[AnswerT], http_status: int, body: bytes, request_id: str) -> AnswerT:
    """The answer's typed value. Raises RpcError, also for whatever a node should not have sent (`BAD_ANSWER`)."""
    return _validated(answer, parse_result(http_status, body, request_id))


def parse_function_result(http_status: int, body: bytes, request_id: str, most: int) -> FunctionResult:
    """The answer to a view call, with at most `most` bytes of the contract's; errors as `parse_answer`.

    A contract may answer megabytes, and in the node's answer each byte is a number of its own: they are cut before they are
    parsed, and by themselves.
    """
    found = _OCTETS.search(body) if len(body) > _LONG_ANSWER else None
    end = body.find(b"]", found.end()) if found else -1
    if found is None or end == -1:
        return parse_answer(FunctionResult, http_status, body, request_id)
    begin = found.end()
    count = body.count(b",", begin, end) + 1
    kept = body[begin:end] if count <= most else _first(body, begin, end, most)
    try:
        result = bytes(from_json(b"[" + kept + b"]"))
    except (ValueError, TypeError):
        raise _bad_answer("FunctionResult field result: not a list of bytes") from None
    parsed = parse_answer(FunctionResult, http_status, body[:begin] + body[end:], request_id)
    return parsed.model_copy(update={"result": result, "answer_bytes": count if count > most else None})


def _first(body: bytes, begin: int, end: int, most: int) -> bytes:
    """The first `most` numbers of a longer list, up to the comma after them, which is found by halving."""
    low, high, seen = begin, end, 0
    while high - low > _FEW:
        middle = (low + high) // 2
        before = body.count(b",", low, middle)
        if seen + before >= most:
            high = middle
        else:
            low, seen = middle, seen + before
    for _ in range(most - seen):
        low = body.index(b",", low) + 1
    return body[begin : low - 1]


def parse_hash(http_status: int, body: bytes, request_id: str) -> CryptoHash:
    """The bare hash that broadcast_tx_async answers; errors as `parse_answer`."""
    result = parse_result(http_status, body, request_id)
    try:
        return CryptoHash(result if isinstance(result, str) else "")
    except ValueError as error:
        raise _bad_answer(str(error)) from None


def parse_result(http_status: int, body: bytes, request_id: str) -> JsonValue:
    """The `result` of a JSON-RPC answer; RpcError for its errors in every form."""
    envelope = _envelope(http_status, body)
    error = envelope.get("error")
    answered = envelope.get("id")
    if answered != request_id and not (error is not None and answered is None):
        raise _bad_answer("it answers another request (its id differs)")
    if error is not None:
        raise _error(error, http_status)
    if "result" not in envelope:
        raise _bad_answer("it has neither result nor error")
    result = envelope["result"]
    if isinstance(result, dict) and isinstance(text := result.get("error"), str):
        raise _legacy_error(text, result)
    return result


def http_error(http_status: int, retry_after_s: float | None = None) -> RpcError:
    """The error of an HTTP answer that is not JSON-RPC: a proxy's page, a rate limit, an outage."""
    details: JsonObject = {"status": http_status}
    if retry_after_s is not None:
        details["retry_after_s"] = retry_after_s
    return rpc_error("HTTP_STATUS", f"the RPC node answered HTTP {http_status}", details=details)


def _envelope(http_status: int, body: bytes) -> JsonObject:
    try:
        envelope: JsonValue = parse_json(body)
    except ValueError as error:
        if http_status != 200:
            raise http_error(http_status) from None
        raise _bad_answer(f"it is not JSON: {error}") from None
    if not isinstance(envelope, dict) or ("error" not in envelope and "result" not in envelope):
        if http_status != 200:
            raise http_error(http_status)
        raise _bad_answer("it is not a JSON-RPC answer")
    return envelope


def _validated(answer: type[AnswerT], result: JsonValue) -> AnswerT:
    try:
        return answer.model_validate(result)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise _bad_answer(f"{answer.__name__} field {field[:200] or 'answer'}: {first['msg'][:200]}") from None


def _bad_answer(what: str) -> RpcError:
    return rpc_error("BAD_ANSWER", f"the RPC node's answer cannot be used: {what}")


def _error(error: JsonValue, http_status: int) -> RpcError:
    if not isinstance(error, dict):
        return _node_error("UNKNOWN_ERROR", _shown(error), {})
    cause, data = error.get("cause"), error.get("data")
    invalid = _invalid_transaction(data)
    if invalid is not None:
        return invalid
    name = cause.get("name") if isinstance(cause, dict) else None
    info = cause.get("info") if isinstance(cause, dict) else None
    details = dict(info) if isinstance(info, dict) else {}
    code = name if isinstance(name, str) and _CODE.fullmatch(name) else _code_of(error, http_status)
    if code == "UNKNOWN_ERROR" and isinstance(data, str):
        return _legacy_error(data, {})
    text = data if isinstance(data, str) else error.get("message")
    if code == "CONTRACT_EXECUTION_ERROR":
        return _contract_error(_vm_error(details), details)
    return _node_error(code, _shown(text), details)


def _code_of(error: JsonObject, http_status: int) -> str:
    """A code for errors without a cause: old nodes and providers in front of nodes."""
    number = error.get("code")
    if isinstance(number, int) and number in _LEGACY_CODES:
        return _LEGACY_CODES[number]
    if http_status == 408 or error.get("data") == "Timeout":
        return "TIMEOUT_ERROR"
    return "INTERNAL_ERROR" if http_status >= 500 else "UNKNOWN_ERROR"


def _node_error(code: str, text: str, details: JsonObject) -> RpcError:
    return rpc_error(code, f"the RPC node answered {code}: {text}", details=details)


def _invalid_transaction(data: JsonValue) -> RpcError | None:
    """`{"kind", "group", ...its fields}` from error.data; a bare string and an object with null fields are the same."""
    match data:
        case {"TxExecutionError": {"InvalidTxError": invalid}}:
            pass
        case _:
            return None
    kind, group, fields = invalid_tx_kind(invalid)
    details: JsonObject = {**fields, "kind": kind}
    if group is not None:
        details["group"] = group
    told = ", ".join(f"{name} {_shown(value)[:120]}" for name, value in fields.items())
    message = f"the RPC node refused the transaction: {kind}" + (f" ({told})" if told else "")
    return rpc_error("INVALID_TRANSACTION", message, details=details)


def invalid_tx_kind(error: JsonValue) -> tuple[str, str | None, JsonObject]:
    """The innermost name of an InvalidTxError, the group it stands in, and its fields."""
    name, body = _variant(error)
    if name in _GROUPS and body is not None:
        inner, fields = _variant(body)
        return inner, name, dict(fields) if isinstance(fields, dict) else {}
    return name, None, dict(body) if isinstance(body, dict) else {}


def _variant(value: JsonValue) -> tuple[str, JsonValue]:
    """A Rust enum in JSON: `"Name"` or `{"Name": body}`."""
    if isinstance(value, str):
        return value[:80], None
    if isinstance(value, dict) and len(value) == 1:
        name, body = next(iter(value.items()))
        return name[:80], body
    return "Unknown", value


def _legacy_error(text: str, result: JsonObject) -> RpcError:
    details: JsonObject = {
        key: value for key, value in result.items() if key in {"block_hash", "block_height"} and value is not None
    }
    if found := _NO_KEY.search(text):
        return _node_error("UNKNOWN_ACCESS_KEY", _shown(text), {**details, "public_key": found[1][:200]})
    if "wasm execution failed" in text or "Function call returned an error" in text:
        return _contract_error(text, details)
    if found := _NO_ACCOUNT.search(text):
        return _node_error("UNKNOWN_ACCOUNT", _shown(text), {**details, "requested_account_id": found[1][:80]})
    return _node_error("UNKNOWN_ERROR", _shown(text), details)


def _vm_error(info: Mapping[str, JsonValue]) -> JsonValue:
    typed = info.get("error")
    return typed if isinstance(typed, dict) else info.get("vm_error")


def _contract_error(vm_error: JsonValue, details: JsonObject) -> RpcError:
    """CONTRACT_EXECUTION_ERROR with `kind` (`MethodNotFound`, `GuestPanic` ...) and `panic`, the contract's own text.

    A contract that is not there is NO_CONTRACT_CODE, as nodes with honest errors say.
    """
    kind, panic = vm_error_kind(vm_error)
    known = {key: details[key] for key in ("block_hash", "block_height") if key in details}
    if kind == "CodeDoesNotExist":
        return _node_error("NO_CONTRACT_CODE", "the account has no contract", known)
    told = f"the contract panicked: {panic}" if panic is not None else f"the contract call failed: {kind}"
    facts: JsonObject = {**known, "kind": kind, "vm_error": _shown(vm_error)}
    if panic is not None:
        facts["panic"] = panic
    return rpc_error("CONTRACT_EXECUTION_ERROR", told, details=facts)


def vm_error_kind(error: JsonValue) -> tuple[str, str | None]:
    """The name of a FunctionCallError, typed or as Rust text, and the contract's own message where it panicked."""
    if isinstance(error, str):
        return _vm_text_kind(error)
    name, body = _variant(error)
    match name, body:
        case "GuestPanic", {"panic_msg": str(panic)}:
            return "GuestPanic", panic[:_SHOWN]
        case "ExecutionError", str(text):
            panic = text.removeprefix("Smart contract panicked: ")
            return ("GuestPanic", panic[:_SHOWN]) if panic != text else ("ExecutionError", text[:_SHOWN])
        case _, str(inner) if name in _NESTING:
            return inner[:80], None
        case _, dict() if name in _NESTING:
            return vm_error_kind(body)
        case _:
            return name, None


def _vm_text_kind(text: str) -> tuple[str, str | None]:
    if found := _GUEST_PANIC.search(text):
        return "GuestPanic", _RUST_ESCAPE.sub(_unescape, found[1])[:_SHOWN]
    kind = _VM_KIND.search(text)
    if kind and kind[1] == "ExecutionError" and (found := _EXECUTION_ERROR.search(text)):
        return vm_error_kind({"ExecutionError": _RUST_ESCAPE.sub(_unescape, found[1])})
    if kind:
        return kind[1], None
    return ("CodeDoesNotExist", None) if "CodeDoesNotExist" in text else ("Unknown", text[:_SHOWN])


def _unescape(found: re.Match[str]) -> str:
    if found[1] is not None:
        point = int(found[1], 16)
        return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else "�"
    return _ESCAPES.get(found[2], found[2])


def _shown(value: JsonValue) -> str:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text[:_SHOWN]
