"""Host functions over the contract's own records. A record counts its key, its value and 40 bytes."""

from contracts.vm.execution import Execution
from contracts.vm.failures import host_error


def storage_write(
    call: Execution, key_length: int, key_pointer: int, value_length: int, value_pointer: int, register_id: int
) -> int:
    """1 and the old value in the register where there was one, else 0."""
    costs = call.costs
    call.burn(costs.base)
    call.refuse_in_view("storage_write")
    call.burn(costs.storage_write_base)
    key = _key(call, key_length, key_pointer)
    value = call.input_bytes(value_length, value_pointer)
    if len(value) > call.limits.max_length_storage_value:
        raise host_error("ValueLengthExceeded", length=len(value), limit=call.limits.max_length_storage_value)
    call.burn(costs.storage_write_key_byte * len(key) + costs.storage_write_value_byte * len(value))
    account_id = call.context.current_account_id
    old = call.overlay.storage(account_id, key)
    call.overlay.set_storage(account_id, key, value)
    if old is None:
        call.storage_usage += len(key) + len(value) + call.context.config.storage_num_extra_bytes_record
        return 0
    call.burn(costs.storage_write_evicted_byte * len(old))
    call.storage_usage += len(value) - len(old)
    call.set_register(register_id, old)
    return 1


def storage_read(call: Execution, key_length: int, key_pointer: int, register_id: int) -> int:
    """1 and the value in the register, or 0."""
    costs = call.costs
    call.burn(costs.base + costs.storage_read_base)
    key = _key(call, key_length, key_pointer)
    call.burn(costs.storage_read_key_byte * len(key))
    value = call.overlay.storage(call.context.current_account_id, key)
    if value is None:
        return 0
    call.burn(costs.storage_read_value_byte * len(value))
    call.set_register(register_id, value)
    return 1


def storage_remove(call: Execution, key_length: int, key_pointer: int, register_id: int) -> int:
    """1 and the removed value in the register, or 0."""
    costs = call.costs
    call.burn(costs.base)
    call.refuse_in_view("storage_remove")
    call.burn(costs.storage_remove_base)
    key = _key(call, key_length, key_pointer)
    call.burn(costs.storage_remove_key_byte * len(key))
    account_id = call.context.current_account_id
    old = call.overlay.storage(account_id, key)
    if old is None:
        return 0
    call.burn(costs.storage_remove_ret_value_byte * len(old))
    call.overlay.set_storage(account_id, key, None)
    call.storage_usage -= len(key) + len(old) + call.context.config.storage_num_extra_bytes_record
    call.set_register(register_id, old)
    return 1


def storage_has_key(call: Execution, key_length: int, key_pointer: int) -> int:
    costs = call.costs
    call.burn(costs.base + costs.storage_has_key_base)
    key = _key(call, key_length, key_pointer)
    call.burn(costs.storage_has_key_byte * len(key))
    return int(call.overlay.storage(call.context.current_account_id, key) is not None)


def storage_iter_prefix(call: Execution, _length: int, _pointer: int) -> int:
    call.burn(call.costs.base)
    raise host_error("Deprecated", method_name="storage_iter_prefix")


def storage_iter_range(
    call: Execution, _start_length: int, _start_pointer: int, _end_length: int, _end_pointer: int
) -> int:
    call.burn(call.costs.base)
    raise host_error("Deprecated", method_name="storage_iter_range")


def storage_iter_next(call: Execution, _iterator: int, _key_register: int, _value_register: int) -> int:
    call.burn(call.costs.base)
    raise host_error("Deprecated", method_name="storage_iter_next")


def _key(call: Execution, length: int, pointer: int) -> bytes:
    key = call.input_bytes(length, pointer)
    if len(key) > call.limits.max_length_storage_key:
        raise host_error("KeyLengthExceeded", length=len(key), limit=call.limits.max_length_storage_key)
    return key
