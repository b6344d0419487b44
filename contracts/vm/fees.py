"""Gas of actions and receipts, per nearcore's `total_send_fees` and `exec_fee`.

A delegate action is charged twice for sending what it holds: when its transaction is taken, and when it is unpacked into
a receipt of its own. Executing what it holds is bought with the transaction too.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    GlobalAccountId,
    GlobalCodeHash,
    GlobalContract,
    Permission,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
    total_deposit,
    total_gas,
)
from contracts.types import AccountId, PublicKey
from contracts.vm.config import Fee, RuntimeConfig

GAS_KEY_INFO_BYTES: Final = 18
"""Borsh of a gas key's balance and number of nonces."""
GAS_KEY_VALUE_BYTES: Final = 27
"""Borsh of the smallest gas key in the state."""
NONCE_BYTES: Final = 8
NONCE_INDEX_BYTES: Final = 2
_HASH_BYTES: Final = 32

Costs = list[tuple[Fee, int]]
"""Fees, and how often each is taken."""

prepaid_gas = total_gas
deposits = total_deposit


def key_bytes(key: PublicKey) -> int:
    """Bytes of a key in the state, its type included; an ML-DSA-65 key is kept by its hash."""
    return 1 + (_HASH_BYTES if key.curve == "ml-dsa-65" else len(key.raw))


def contract_name_bytes(contract: GlobalContract) -> int:
    """Bytes that naming a global contract takes in the state."""
    match contract:
        case GlobalCodeHash():
            return _HASH_BYTES
        case GlobalAccountId(account_id):
            return len(account_id)
        case _:
            assert_never(contract)


def action_fees(config: RuntimeConfig, action: Action, receiver_id: AccountId) -> Costs:
    """What an action costs by itself; what a delegate action holds is apart."""
    fees = config.action_fees
    match action:
        case CreateAccount():
            costs = [(fees.create_account_cost, 1)]
        case DeployContract(code):
            costs = [(fees.deploy_contract_cost, 1), (fees.deploy_contract_cost_per_byte, len(code))]
        case FunctionCall(method_name, args):
            size = len(method_name.encode()) + len(args)
            costs = [(fees.function_call_cost, 1), (fees.function_call_cost_per_byte, size)]
        case Transfer():
            costs = transfer_fees(config, receiver_id)
        case Stake():
            costs = [(fees.stake_cost, 1)]
        case AddKey(public_key, permission):
            costs = add_key_fees(config, permission, public_key, receiver_id)
        case DeleteKey():
            costs = [(fees.delete_key_cost, 1)]
        case DeleteAccount():
            costs = [(fees.delete_account_cost, 1)]
        case Delegate():
            costs = [(fees.delegate_cost, 1)]
        case _:
            costs = newer_fees(config, action, receiver_id)
    return costs


def newer_fees(
    config: RuntimeConfig,
    action: DeployGlobalContract | UseGlobalContract | DeterministicStateInit | TransferToGasKey | WithdrawFromGasKey,
    receiver_id: AccountId,
) -> Costs:
    fees = config.newer_fees
    match action:
        case DeployGlobalContract(code):
            return [(fees.deploy_global_contract, 1), (fees.deploy_global_contract_per_byte, len(code))]
        case UseGlobalContract(contract):
            size = contract_name_bytes(contract)
            return [(fees.use_global_contract, 1), (fees.use_global_contract_per_byte, size)]
        case DeterministicStateInit(state_init):
            return state_init_fees(config, state_init)
        case TransferToGasKey(public_key) | WithdrawFromGasKey(public_key):
            return gas_key_transfer_fees(config, public_key, receiver_id)
        case _:
            assert_never(action)


def state_init_fees(config: RuntimeConfig, state_init: StateInit) -> Costs:
    fees = config.newer_fees
    size = contract_name_bytes(state_init.code) + sum(len(key) + len(value) for key, value in state_init.data)
    return [
        (fees.deterministic_state_init, 1),
        (fees.deterministic_state_init_per_entry, len(state_init.data)),
        (fees.deterministic_state_init_per_byte, size),
    ]


def gas_key_transfer_fees(config: RuntimeConfig, public_key: PublicKey, receiver_id: AccountId) -> Costs:
    """Sending counts the key's bytes, executing those of the record that is read and written."""
    fees = config.newer_fees
    sent = key_bytes(public_key)
    return [
        (fees.gas_key_transfer, 1),
        (_sending(fees.gas_key_per_byte), sent),
        (_executing(fees.gas_key_per_byte), _key_record_bytes(public_key, receiver_id) + GAS_KEY_VALUE_BYTES),
    ]


def add_key_fees(config: RuntimeConfig, permission: Permission, public_key: PublicKey, receiver_id: AccountId) -> Costs:
    fees = config.action_fees
    match permission:
        case FullAccess():
            return [(fees.add_full_access_key_cost, 1)]
        case FunctionCallAccess(_, method_names):
            return _function_call_key_fees(config, method_names)
        case GasKeyFullAccess(_, num_nonces):
            nonces = _nonce_fees(config, num_nonces, public_key, receiver_id)
            return [(fees.add_full_access_key_cost, 1), *nonces]
        case GasKeyFunctionCallAccess(_, num_nonces, _, method_names):
            nonces = _nonce_fees(config, num_nonces, public_key, receiver_id)
            return [*_function_call_key_fees(config, method_names), *nonces]
        case _:
            assert_never(permission)


def _function_call_key_fees(config: RuntimeConfig, method_names: Sequence[str]) -> Costs:
    fees = config.action_fees
    size = sum(len(name.encode()) + 1 for name in method_names)
    return [(fees.add_function_call_key_cost, 1), (fees.add_function_call_key_cost_per_byte, size)]


def _nonce_fees(config: RuntimeConfig, num_nonces: int, public_key: PublicKey, receiver_id: AccountId) -> Costs:
    fees = config.newer_fees
    record = _key_record_bytes(public_key, receiver_id) + NONCE_INDEX_BYTES + NONCE_BYTES
    return [
        (_sending(fees.gas_key_per_byte), GAS_KEY_INFO_BYTES),
        (fees.gas_key_nonce_write, num_nonces),
        (_executing(fees.gas_key_per_byte), record * num_nonces),
    ]


def _key_record_bytes(public_key: PublicKey, account_id: AccountId) -> int:
    """Bytes of an access key's place in the state: two marks, the account's id and the key."""
    return 1 + len(account_id) + 1 + key_bytes(public_key)


def _sending(fee: Fee) -> Fee:
    return Fee(fee.send_sir, fee.send_not_sir, 0)


def _executing(fee: Fee) -> Fee:
    return Fee(0, 0, fee.execution)


def transfer_fees(config: RuntimeConfig, receiver_id: AccountId) -> Costs:
    """A transfer to an implicit id is charged for the account that it may create, whether or not it exists."""
    fees = config.action_fees
    match receiver_id.kind:
        case "named":
            return [(fees.transfer_cost, 1)]
        case "near_implicit":
            return [(fees.transfer_cost, 1), (fees.create_account_cost, 1), (fees.add_full_access_key_cost, 1)]
        case "eth_implicit" | "deterministic":
            return [(fees.transfer_cost, 1), (fees.create_account_cost, 1)]


def send_gas(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId, *, sir: bool) -> int:
    """Gas burnt by sending these actions in one receipt; `sir`: sender is receiver."""
    return config.action_receipt_creation.send(sir=sir) + _actions_send_gas(config, actions, receiver_id, sir=sir)


def _actions_send_gas(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId, *, sir: bool) -> int:
    gas = 0
    for action in actions:
        gas += sum(fee.send(sir=sir) * count for fee, count in action_fees(config, action, receiver_id))
        if isinstance(action, Delegate):
            inner = action.delegate_action
            gas += _actions_send_gas(config, inner.actions, inner.receiver_id, sir=sir)
    return gas


def delegated_send_gas(config: RuntimeConfig, actions: Sequence[Action]) -> int:
    """Gas bought for sending on what delegate actions hold."""
    gas = 0
    for action in actions:
        if isinstance(action, Delegate):
            inner = action.delegate_action
            sir = inner.sender_id == inner.receiver_id
            gas += _actions_send_gas(config, inner.actions, inner.receiver_id, sir=sir)
    return gas


def action_execution_gas(config: RuntimeConfig, action: Action, receiver_id: AccountId) -> int:
    """Gas that executing an action burns; what a delegate action holds runs in a receipt of its own."""
    return sum(fee.execution * count for fee, count in action_fees(config, action, receiver_id))


def execution_gas(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId) -> int:
    """Gas that executing these actions burns, in their receipt and in those of delegate actions; contracts' work apart."""
    gas = config.action_receipt_creation.execution
    for action in actions:
        gas += action_execution_gas(config, action, receiver_id)
        if isinstance(action, Delegate):
            gas += execution_gas(config, action.delegate_action.actions, action.delegate_action.receiver_id)
    return gas


def bought_gas(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId) -> int:
    """Gas that is bought with a receipt and burnt, or given back, by executing it and what comes of it."""
    attached = prepaid_gas(actions) + delegated_send_gas(config, actions)
    return attached + execution_gas(config, actions, receiver_id)
