"""Host functions that create receipts: promises, their actions, and the results of those that came before."""

from collections.abc import Iterable
from typing import Final

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Stake,
    Transfer,
)
from contracts.signing.borsh import CURVES
from contracts.types import AccountId, Curve, Gas, PublicKey, Yocto
from contracts.vm.config import Fee
from contracts.vm.execution import Execution, GasWeight, PendingReceipt, Promise
from contracts.vm.failures import host_error
from contracts.vm.fees import action_fees
from contracts.vm.receipts import DataReceiver

_CURVES: Final[dict[int, Curve]] = {number: curve for curve, number in CURVES.items()}
_KEY_BYTES: Final = {0: 32, 1: 64, 2: 1952}


def promise_create(
    call: Execution,
    account_length: int,
    account_pointer: int,
    method_length: int,
    method_pointer: int,
    args_length: int,
    args_pointer: int,
    amount_pointer: int,
    gas: int,
) -> int:
    promise = promise_batch_create(call, account_length, account_pointer)
    promise_batch_action_function_call(
        call, promise, method_length, method_pointer, args_length, args_pointer, amount_pointer, gas
    )
    return promise


def promise_then(
    call: Execution,
    promise_index: int,
    account_length: int,
    account_pointer: int,
    method_length: int,
    method_pointer: int,
    args_length: int,
    args_pointer: int,
    amount_pointer: int,
    gas: int,
) -> int:
    promise = promise_batch_then(call, promise_index, account_length, account_pointer)
    promise_batch_action_function_call(
        call, promise, method_length, method_pointer, args_length, args_pointer, amount_pointer, gas
    )
    return promise


def promise_and(call: Execution, pointer: int, count: int) -> int:
    """A joint promise over `count` promise indices (u64 each) in memory."""
    call.burn(call.costs.base)
    call.refuse_in_view("promise_and")
    limit = call.limits.max_number_input_data_dependencies
    call.burn(call.costs.promise_and_base + call.costs.promise_and_per_promise * count * 8)
    raw = call.read(pointer, count * 8)
    receipts: list[int] = []
    for start in range(0, len(raw), 8):
        receipts.extend(_promise(call, int.from_bytes(raw[start : start + 8], "little")).receipts)
        if len(receipts) > limit:
            raise host_error(
                "NumberInputDataDependenciesExceeded", number_of_input_data_dependencies=len(receipts), limit=limit
            )
    return _add_promise(call, Promise(tuple(receipts), joint=True))


def promise_batch_create(call: Execution, account_length: int, account_pointer: int) -> int:
    call.burn(call.costs.base)
    call.refuse_in_view("promise_batch_create")
    receiver_id = call.account_id(account_length, account_pointer)
    return _new_receipt(call, receiver_id, ())


def promise_batch_then(call: Execution, promise_index: int, account_length: int, account_pointer: int) -> int:
    call.burn(call.costs.base)
    call.refuse_in_view("promise_batch_then")
    receiver_id = call.account_id(account_length, account_pointer)
    return _new_receipt(call, receiver_id, _promise(call, promise_index).receipts)


def promise_batch_action_create_account(call: Execution, promise_index: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_create_account")
    append_action(call, receipt, CreateAccount())


def promise_batch_action_deploy_contract(call: Execution, promise_index: int, length: int, pointer: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_deploy_contract")
    code = call.input_bytes(length, pointer)
    limit = call.limits.max_contract_size
    if len(code) > limit:
        raise host_error("ContractSizeExceeded", size=len(code), limit=limit)
    append_action(call, receipt, DeployContract(code))


def promise_batch_action_function_call(
    call: Execution,
    promise_index: int,
    method_length: int,
    method_pointer: int,
    args_length: int,
    args_pointer: int,
    amount_pointer: int,
    gas: int,
) -> None:
    promise_batch_action_function_call_weight(
        call, promise_index, method_length, method_pointer, args_length, args_pointer, amount_pointer, gas, 0
    )


def promise_batch_action_function_call_weight(
    call: Execution,
    promise_index: int,
    method_length: int,
    method_pointer: int,
    args_length: int,
    args_pointer: int,
    amount_pointer: int,
    gas: int,
    weight: int,
) -> None:
    """A function call with `gas`, plus its share by weight of what the running call leaves unused."""
    call.burn(call.costs.base)
    call.refuse_in_view("promise_batch_action_function_call")
    amount = call.read_u128(amount_pointer)
    method_name = call.input_bytes(method_length, method_pointer)
    if not method_name:
        raise host_error("EmptyMethodName")
    args = call.input_bytes(args_length, args_pointer)
    index = _receipt_index(call, promise_index)
    receipt = call.receipts[index]
    append_action(call, receipt, FunctionCall(_method_name(method_name), args, Gas(gas), Yocto(amount)))
    take_balance(call, amount)
    call.promise_gas(gas)
    if weight:
        call.gas_weights.append(GasWeight(index, len(receipt.actions) - 1, weight))


def promise_batch_action_transfer(call: Execution, promise_index: int, amount_pointer: int) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("promise_batch_action_transfer")
    amount = call.read_u128(amount_pointer)
    receipt = call.receipts[_receipt_index(call, promise_index)]
    append_action(call, receipt, Transfer(Yocto(amount)))
    take_balance(call, amount)


def promise_batch_action_stake(
    call: Execution, promise_index: int, amount_pointer: int, key_length: int, key_pointer: int
) -> None:
    call.burn(call.costs.base)
    call.refuse_in_view("promise_batch_action_stake")
    amount = call.read_u128(amount_pointer)
    key = read_public_key(call, key_length, key_pointer)
    receipt = call.receipts[_receipt_index(call, promise_index)]
    append_action(call, receipt, Stake(Yocto(amount), key))


def promise_batch_action_add_key_with_full_access(
    call: Execution, promise_index: int, key_length: int, key_pointer: int, nonce: int
) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_add_key_with_full_access")
    key = read_public_key(call, key_length, key_pointer)
    append_action(call, receipt, AddKey(key, FullAccess(), nonce))


def promise_batch_action_add_key_with_function_call(
    call: Execution,
    promise_index: int,
    key_length: int,
    key_pointer: int,
    nonce: int,
    allowance_pointer: int,
    receiver_length: int,
    receiver_pointer: int,
    names_length: int,
    names_pointer: int,
) -> None:
    """Method names are separated by commas; an allowance of 0 means unlimited."""
    receipt = begin_action(call, promise_index, "promise_batch_action_add_key_with_function_call")
    key = read_public_key(call, key_length, key_pointer)
    allowance = call.read_u128(allowance_pointer)
    receiver_id = call.account_id(receiver_length, receiver_pointer)
    names = read_method_names(call, names_length, names_pointer)
    permission = FunctionCallAccess(receiver_id, names, Yocto(allowance) if allowance else None)
    append_action(call, receipt, AddKey(key, permission, nonce))


def promise_batch_action_delete_key(call: Execution, promise_index: int, key_length: int, key_pointer: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_delete_key")
    append_action(call, receipt, DeleteKey(read_public_key(call, key_length, key_pointer)))


def promise_batch_action_delete_account(call: Execution, promise_index: int, length: int, pointer: int) -> None:
    receipt = begin_action(call, promise_index, "promise_batch_action_delete_account")
    append_action(call, receipt, DeleteAccount(call.account_id(length, pointer)))


def promise_results_count(call: Execution) -> int:
    call.burn(call.costs.base)
    call.refuse_in_view("promise_results_count")
    return len(call.context.promise_results)


def promise_result(call: Execution, result_index: int, register_id: int) -> int:
    """1 and the data in the register, or 2 where that receipt failed."""
    call.burn(call.costs.base)
    call.refuse_in_view("promise_result")
    results = call.context.promise_results
    if result_index >= len(results):
        raise host_error("InvalidPromiseResultIndex", result_idx=result_index)
    data = results[result_index].data
    if data is None:
        return 2
    call.set_register(register_id, data)
    return 1


def promise_return(call: Execution, promise_index: int) -> None:
    """The call's result becomes that receipt's result."""
    call.burn(call.costs.base + call.costs.promise_return)
    call.refuse_in_view("promise_return")
    promise = _promise(call, promise_index)
    if promise.joint:
        raise host_error("CannotReturnJointPromise")
    call.returned = b""
    call.returned_receipt = promise.receipts[0]


def distribute_gas(call: Execution, unused: int) -> int:
    """Share the gas that the finished call left over by weight; the last one gets the rest. Returns what was given."""
    total = sum(share.weight for share in call.gas_weights)
    if not total or not unused:
        return 0
    given = 0
    for number, share in enumerate(call.gas_weights, start=1):
        last = number == len(call.gas_weights)
        gas = unused - given if last else unused * share.weight // total
        given += gas
        actions = call.receipts[share.receipt_index].actions
        action = actions[share.action_index]
        if isinstance(action, FunctionCall):
            actions[share.action_index] = FunctionCall(
                action.method_name, action.args, Gas(action.gas + gas), action.deposit
            )
    return given


def _promise(call: Execution, promise_index: int) -> Promise:
    if promise_index >= len(call.promises):
        raise host_error("InvalidPromiseIndex", promise_idx=promise_index)
    return call.promises[promise_index]


def _receipt_index(call: Execution, promise_index: int) -> int:
    promise = _promise(call, promise_index)
    if promise.joint:
        raise host_error("CannotAppendActionToJointPromise")
    return promise.receipts[0]


def _add_promise(call: Execution, promise: Promise) -> int:
    number, limit = len(call.promises) + 1, call.limits.max_promises_per_function_call_action
    if number > limit:
        raise host_error("NumberPromisesExceeded", number_of_promises=number, limit=limit)
    call.promises.append(promise)
    return number - 1


def _new_receipt(call: Execution, receiver_id: AccountId, dependencies: tuple[int, ...]) -> int:
    config = call.context.config
    current = call.context.current_account_id
    creation = config.action_receipt_creation
    call.burn(creation.send(sir=receiver_id == current))
    call.promise_gas(creation.execution)
    data = config.data_receipt_creation_base
    for dependency in dependencies:
        call.burn(data.send(sir=call.receipts[dependency].receiver_id == receiver_id) + data.execution)
    receipt = PendingReceipt(receiver_id)
    for dependency in dependencies:
        data_id = call.new_data_id()
        receipt.input_data_ids.append(data_id)
        call.receipts[dependency].output_data_receivers.append(DataReceiver(data_id, receiver_id))
    promise = _add_promise(call, Promise((len(call.receipts),), joint=False))
    call.receipts.append(receipt)
    return promise


def begin_action(call: Execution, promise_index: int, name: str) -> PendingReceipt:
    call.burn(call.costs.base)
    call.refuse_in_view(name)
    return call.receipts[_receipt_index(call, promise_index)]


def append_action(call: Execution, receipt: PendingReceipt, action: Action) -> None:
    """Charge an action's fees (sending is burnt now, execution is set aside) and add it."""
    sir = receipt.receiver_id == call.context.current_account_id
    charge_fees(call, action_fees(call.context.config, action, receipt.receiver_id), sir=sir)
    receipt.actions.append(action)


def charge_fees(call: Execution, fees: Iterable[tuple[Fee, int]], *, sir: bool) -> None:
    for fee, count in fees:
        call.burn(fee.send(sir=sir) * count)
        call.promise_gas(fee.execution * count)


def take_balance(call: Execution, amount: int) -> None:
    if amount > call.balance:
        raise host_error("BalanceExceeded")
    call.balance -= amount


def read_method_names(call: Execution, length: int, pointer: int) -> tuple[str, ...]:
    raw = call.input_bytes(length, pointer)
    names = tuple(_method_name(name) for name in raw.split(b",")) if raw else ()
    if "" in names:
        raise host_error("EmptyMethodName")
    return names


def _method_name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise host_error("InvalidMethodName") from None


def read_public_key(call: Execution, length: int, pointer: int) -> PublicKey:
    raw = call.input_bytes(length, pointer)
    if len(raw) < 1 or len(raw) - 1 != _KEY_BYTES.get(raw[0]):
        raise host_error("InvalidPublicKey")
    return PublicKey.from_bytes(_CURVES[raw[0]], raw[1:])
