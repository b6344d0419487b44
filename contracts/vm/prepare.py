"""What nearcore's preparation refuses in contract code, read from the wasm sections before anything compiles them.

Limits are nearcore's `LimitConfig`. Whether the bytes are valid wasm is wasmtime's to say; this reader only refuses what
would be too much work to compile, and stops quietly where it cannot follow.
"""

from contracts.vm.config import Limits
from contracts.vm.failures import prepare_error

_FUNCTIONS, _TABLES, _CODE = 3, 4, 10


class _Cut(Exception):
    """The sections end early or are malformed."""


def check_limits(code: bytes, limits: Limits) -> None:
    """VmError (CompilationError) for too many functions, locals, tables or elements, or a function body too large."""
    if code[:4] != b"\0asm":
        raise prepare_error("Deserialization", "the code does not begin like a wasm module")
    try:
        _walk(code, limits)
    except _Cut:
        return


def _walk(code: bytes, limits: Limits) -> None:
    position = 8
    while position < len(code):
        section, position = code[position], position + 1
        size, position = _leb(code, position)
        if section == _FUNCTIONS:
            count, _ = _leb(code, position)
            if count > limits.max_functions_number_per_contract:
                raise prepare_error("TooManyFunctions", f"{count} functions")
        elif section == _TABLES:
            _check_tables(code, position, limits)
        elif section == _CODE:
            _check_bodies(code, position, limits)
        position += size


def _check_tables(code: bytes, position: int, limits: Limits) -> None:
    count, position = _leb(code, position)
    if count > limits.max_tables_per_contract:
        raise prepare_error("TooManyTables", f"{count} tables")
    for _ in range(count):
        flags, position = _leb(code, position + 1)
        elements, position = _leb(code, position)
        if elements > limits.max_elements_per_contract_table:
            raise prepare_error("TooManyTableElements", f"{elements} table elements")
        if flags & 1:
            _, position = _leb(code, position)


def _check_bodies(code: bytes, position: int, limits: Limits) -> None:
    count, position = _leb(code, position)
    locals_total = 0
    for _ in range(count):
        size, position = _leb(code, position)
        if size > limits.max_function_body_size:
            raise prepare_error("FunctionBodyTooLarge", f"a function body of {size} bytes")
        groups, cursor = _leb(code, position)
        for _ in range(groups):
            number, cursor = _leb(code, cursor)
            cursor += 1
            locals_total += number
            if locals_total > limits.max_locals_per_contract:
                raise prepare_error("TooManyLocals", f"{locals_total} locals")
        position += size


def _leb(code: bytes, position: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most 32 bits and the position after it."""
    value = shift = 0
    while True:
        if position >= len(code) or shift > 28:
            raise _Cut
        byte = code[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
