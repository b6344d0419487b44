"""Host functions that add the newer actions to promises: global contracts, deterministic accounts and gas keys."""

from dataclasses import replace

from contracts.calls import (
    AddKey,
    DeployGlobalContract,
    DeterministicStateInit,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    GlobalAccountId,
    GlobalCodeHash,
    GlobalContract,
    StateInit,
    TransferToGasKey,
    UseGlobalContract,
)
from contracts.types import CryptoHash, Yocto
from contracts.vm.execution import Execution
from contracts.vm.failures import host_error
from contracts.vm.host_promises import (
    append_action,
    begin_action,
    charge_fees,
    read_method_names,
    read_public_key,
    take_balance,
)


def promise_batch_action_deploy_global_contract(call: Execution, promise_index: int, length: int, pointer: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_deploy_global_contract")
    append_action(call, receipt, DeployGlobalContract(_code(call, length, pointer), "code_hash"))


def promise_batch_action_deploy_global_contract_by_account_id(
    call: Execution, promise_index: int, length: int, pointer: int
) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_deploy_global_contract_by_account_id")
    append_action(call, receipt, DeployGlobalContract(_code(call, length, pointer), "account_id"))


def promise_batch_action_use_global_contract(call: Execution, promise_index: int, length: int, pointer: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_use_global_contract")
    append_action(call, receipt, UseGlobalContract(_code_hash(call, length, pointer)))


def promise_batch_action_use_global_contract_by_account_id(
    call: Execution, promise_index: int, length: int, pointer: int
) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_use_global_contract_by_account_id")
    append_action(call, receipt, UseGlobalContract(GlobalAccountId(call.account_id(length, pointer))))


def promise_batch_action_state_init(
    call: Execution, promise_index: int, length: int, pointer: int, amount_pointer: int
) -> int:
    """The action's place in its receipt, for `set_state_init_data_entry`."""
    return _state_init(call, promise_index, _code_hash(call, length, pointer), amount_pointer)


def promise_batch_action_state_init_by_account_id(
    call: Execution, promise_index: int, length: int, pointer: int, amount_pointer: int
) -> int:
    """The action's place in its receipt, for `set_state_init_data_entry`."""
    return _state_init(call, promise_index, GlobalAccountId(call.account_id(length, pointer)), amount_pointer)


def set_state_init_data_entry(
    call: Execution,
    promise_index: int,
    action_index: int,
    key_length: int,
    key_pointer: int,
    value_length: int,
    value_pointer: int,
) -> None:
    """A record for an account that a state init of this call creates; each key once."""
    receipt = begin_action(call, promise_index, "set_state_init_data_entry")
    key, value = call.input_bytes(key_length, key_pointer), call.input_bytes(value_length, value_pointer)
    fees = call.context.config.newer_fees
    sir = receipt.receiver_id == call.context.current_account_id
    size = len(key) + len(value)
    costs = [(fees.deterministic_state_init_per_entry, 1), (fees.deterministic_state_init_per_byte, size)]
    charge_fees(call, costs, sir=sir)
    action = receipt.actions[action_index] if action_index < len(receipt.actions) else None
    if not isinstance(action, DeterministicStateInit):
        raise host_error("InvalidActionIndex", receipt_index=promise_index, action_index=action_index)
    records = dict(action.state_init.data)
    if key in records:
        raise host_error("DataEntryAlreadyExists", receipt_index=promise_index, action_index=action_index)
    records[key] = value
    state_init = replace(action.state_init, data=tuple(sorted(records.items())))
    receipt.actions[action_index] = replace(action, state_init=state_init)


def promise_batch_action_transfer_to_gas_key(
    call: Execution, promise_index: int, key_length: int, key_pointer: int, amount_pointer: int
) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_transfer_to_gas_key")
    key = read_public_key(call, key_length, key_pointer)
    amount = call.read_u128(amount_pointer)
    append_action(call, receipt, TransferToGasKey(key, Yocto(amount)))
    take_balance(call, amount)


def promise_batch_action_add_gas_key_with_full_access(
    call: Execution, promise_index: int, key_length: int, key_pointer: int, num_nonces: int
) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_add_gas_key_with_full_access")
    key = read_public_key(call, key_length, key_pointer)
    append_action(call, receipt, AddKey(key, GasKeyFullAccess(Yocto(0), _count(num_nonces))))


def promise_batch_action_add_gas_key_with_function_call(
    call: Execution,
    promise_index: int,
    key_length: int,
    key_pointer: int,
    num_nonces: int,
    allowance_pointer: int,
    receiver_length: int,
    receiver_pointer: int,
    names_length: int,
    names_pointer: int,
) -> None:
    """An allowance other than 0 makes a receipt that is refused."""
    receipt = begin_action(call, promise_index, "promise_batch_action_add_gas_key_with_function_call")
    key = read_public_key(call, key_length, key_pointer)
    allowance = call.read_u128(allowance_pointer)
    receiver_id = call.account_id(receiver_length, receiver_pointer)
    names = read_method_names(call, names_length, names_pointer)
    permission = GasKeyFunctionCallAccess(
        Yocto(0), _count(num_nonces), receiver_id, names, Yocto(allowance) if allowance else None
    )
    append_action(call, receipt, AddKey(key, permission))


def _state_init(call: Execution, promise_index: int, contract: GlobalContract, amount_pointer: int) -> int:
    receipt = begin_action(call, promise_index, "promise_batch_action_state_init")
    amount = call.read_u128(amount_pointer)
    append_action(call, receipt, DeterministicStateInit(StateInit(contract, ()), Yocto(amount)))
    take_balance(call, amount)
    return len(receipt.actions) - 1


def _code(call: Execution, length: int, pointer: int) -> bytes:
    code = call.input_bytes(length, pointer)
    limit = call.limits.max_contract_size
    if len(code) > limit:
        raise host_error("ContractSizeExceeded", size=len(code), limit=limit)
    return code


def _code_hash(call: Execution, length: int, pointer: int) -> GlobalCodeHash:
    raw = call.input_bytes(length, pointer)
    if len(raw) != 32:
        raise host_error("ContractCodeHashMalformed")
    return GlobalCodeHash(CryptoHash.from_bytes(raw))


def _count(num_nonces: int) -> int:
    if num_nonces >= 2**16:
        raise host_error("IntegerOverflow")
    return num_nonces
