"""Host functions by which a contract ends or speaks: its result, logs and panics."""

from contracts.vm.execution import Execution
from contracts.vm.failures import host_error


def value_return(call: Execution, length: int, pointer: int) -> None:
    call.burn(call.costs.base)
    data = call.input_bytes(length, pointer)
    size, limit = len(data), call.limits.max_length_returned_data
    if size > limit:
        raise host_error("ReturnedValueLengthExceeded", length=size, limit=limit)
    fee = call.context.config.data_receipt_creation_per_byte
    for receiver_id in call.context.output_data_receivers:
        sir = receiver_id == call.context.current_account_id
        call.burn((fee.send(sir=sir) + fee.execution) * size)
    call.returned = data
    call.returned_receipt = None


def panic(call: Execution) -> None:
    call.burn(call.costs.base)
    raise host_error("GuestPanic", panic_msg="explicit guest panic")


def panic_utf8(call: Execution, length: int, pointer: int) -> None:
    call.burn(call.costs.base)
    raise host_error("GuestPanic", panic_msg=call.utf8(length, pointer, call.limits.max_total_log_length))


def abort(call: Execution, message_pointer: int, file_pointer: int, line: int, column: int) -> None:
    """AssemblyScript's panic: pointers to UTF-16 strings whose byte length stands in the 4 bytes before them."""
    call.burn(call.costs.base)
    if message_pointer < 4 or file_pointer < 4:
        raise host_error("BadUTF16")
    message = _assembly_script_text(call, message_pointer)
    file_name = _assembly_script_text(call, file_pointer)
    text = f'{message}, filename: "{file_name}" line: {line} col: {column}'
    raise host_error("GuestPanic", panic_msg=text)


def log_utf8(call: Execution, length: int, pointer: int) -> None:
    call.burn(call.costs.base)
    _log(call, call.utf8(length, pointer, _room(call)))


def log_utf16(call: Execution, length: int, pointer: int) -> None:
    call.burn(call.costs.base)
    _log(call, call.utf16(length, pointer, _room(call)))


def _room(call: Execution) -> int:
    """Bytes that logs may still take; NumberOfLogsExceeded where no further one is allowed."""
    if len(call.logs) >= call.limits.max_number_logs:
        raise host_error("NumberOfLogsExceeded", limit=call.limits.max_number_logs)
    return call.limits.max_total_log_length - call.log_bytes


def _log(call: Execution, text: str) -> None:
    size, limit = len(text.encode()), call.limits.max_total_log_length
    call.burn(call.costs.log_base + call.costs.log_byte * size)
    if call.log_bytes + size > limit:
        raise host_error("TotalLogLengthExceeded", length=call.log_bytes + size, limit=limit)
    call.log_bytes += size
    call.logs.append(text)


def _assembly_script_text(call: Execution, pointer: int) -> str:
    length = int.from_bytes(call.read(pointer - 4, 4), "little")
    return call.utf16(length, pointer, call.limits.max_total_log_length)
