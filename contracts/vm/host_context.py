"""Host functions that tell a contract about its call, its account and the chain, and those that move registers."""

from contracts.vm.execution import Execution


def read_register(call: Execution, register_id: int, pointer: int) -> None:
    call.burn(call.costs.base)
    call.write(pointer, call.register(register_id))


def register_len(call: Execution, register_id: int) -> int:
    """u64::MAX where the register is empty."""
    call.burn(call.costs.base)
    data = call.registers.get(register_id)
    return 2**64 - 1 if data is None else len(data)


def write_register(call: Execution, register_id: int, length: int, pointer: int) -> None:
    call.burn(call.costs.base)
    call.set_register(register_id, call.read(pointer, length))


def current_account_id(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.set_register(register_id, call.context.current_account_id.encode())


def signer_account_id(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("signer_account_id")
    call.set_register(register_id, call.context.signer_account_id.encode())


def signer_account_pk(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("signer_account_pk")
    call.set_register(register_id, call.context.signer_public_key)


def predecessor_account_id(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("predecessor_account_id")
    call.set_register(register_id, call.context.predecessor_account_id.encode())


def refund_to_account_id(call: Execution, register_id: int) -> None:
    """The predecessor: receipts here have no other place to send refunds to."""
    call.burn(call.costs.base)
    call.refuse_in_view("refund_to_account_id")
    call.set_register(register_id, call.context.predecessor_account_id.encode())


def call_input(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.set_register(register_id, call.context.input)


def block_index(call: Execution) -> int:
    call.burn(call.costs.base)
    return call.context.block.height


def block_timestamp(call: Execution) -> int:
    call.burn(call.costs.base)
    return call.context.block.timestamp_ns


def epoch_height(call: Execution) -> int:
    call.burn(call.costs.base)
    return call.context.block.epoch_height


def storage_usage(call: Execution) -> int:
    call.burn(call.costs.base)
    return call.storage_usage


def account_balance(call: Execution, pointer: int) -> None:
    """Liquid balance including the attached deposit, less what promises took."""
    call.burn(call.costs.base)
    call.write_u128(pointer, call.balance)


def account_locked_balance(call: Execution, pointer: int) -> None:
    call.burn(call.costs.base)
    call.write_u128(pointer, call.account.locked)


def attached_deposit(call: Execution, pointer: int) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("attached_deposit")
    call.write_u128(pointer, call.context.attached_deposit)


def prepaid_gas(call: Execution) -> int:
    call.burn(call.costs.base)
    call.refuse_in_view("prepaid_gas")
    return call.context.prepaid_gas


def used_gas(call: Execution) -> int:
    """Gas burnt and set aside up to now, instructions included."""
    call.burn(call.costs.base)
    call.refuse_in_view("used_gas")
    return call.burnt + call.promised + call.instruction_gas()


def random_seed(call: Execution, register_id: int) -> None:
    call.burn(call.costs.base)
    call.refuse_to_guess("random_seed")
    call.set_register(register_id, call.context.random_seed)


def validator_stake(call: Execution, length: int, pointer: int, stake_pointer: int) -> None:
    """Always 0: this chain has no validators."""
    call.burn(call.costs.base)
    call.refuse_in_view("validator_stake")
    call.refuse_to_guess("validator_stake")
    call.account_id(length, pointer)
    call.burn(call.costs.validator_stake_base)
    call.write_u128(stake_pointer, 0)


def validator_total_stake(call: Execution, stake_pointer: int) -> None:
    """Always 0: this chain has no validators."""
    call.burn(call.costs.base)
    call.refuse_in_view("validator_total_stake")
    call.refuse_to_guess("validator_total_stake")
    call.burn(call.costs.validator_total_stake_base)
    call.write_u128(stake_pointer, 0)


def gas(call: Execution, opcodes: int) -> None:
    """Instructions that an instrumented contract counts itself; the engine's fuel counts them too."""
    call.burn(opcodes * call.context.config.regular_op_cost)
