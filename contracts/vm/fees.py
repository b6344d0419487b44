"""Gas of actions and receipts, per nearcore's `total_send_fees` and `exec_fee`."""

from collections.abc import Sequence
from typing import assert_never

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
    Permission,
    Stake,
    Transfer,
)
from contracts.types import AccountId
from contracts.vm.config import Fee, RuntimeConfig


def action_fees(config: RuntimeConfig, action: Action, receiver_id: AccountId) -> list[tuple[Fee, int]]:
    """What an action costs: fees and how often each is taken."""
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
        case AddKey(_, permission):
            costs = add_key_fees(config, permission)
        case DeleteKey():
            costs = [(fees.delete_key_cost, 1)]
        case DeleteAccount():
            costs = [(fees.delete_account_cost, 1)]
        case _:
            assert_never(action)
    return costs


def add_key_fees(config: RuntimeConfig, permission: Permission) -> list[tuple[Fee, int]]:
    fees = config.action_fees
    match permission:
        case FullAccess():
            return [(fees.add_full_access_key_cost, 1)]
        case FunctionCallAccess(_, method_names):
            size = sum(len(name.encode()) + 1 for name in method_names)
            return [(fees.add_function_call_key_cost, 1), (fees.add_function_call_key_cost_per_byte, size)]
        case _:
            assert_never(permission)


def transfer_fees(config: RuntimeConfig, receiver_id: AccountId) -> list[tuple[Fee, int]]:
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
    return config.action_receipt_creation.send(sir=sir) + sum(
        fee.send(sir=sir) * count for action in actions for fee, count in action_fees(config, action, receiver_id)
    )


def action_execution_gas(config: RuntimeConfig, action: Action, receiver_id: AccountId) -> int:
    return sum(fee.execution * count for fee, count in action_fees(config, action, receiver_id))


def execution_gas(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId) -> int:
    """Gas that executing these actions in one receipt burns, the contract's own work apart."""
    return config.action_receipt_creation.execution + sum(
        action_execution_gas(config, action, receiver_id) for action in actions
    )


def prepaid_gas(actions: Sequence[Action]) -> int:
    """Gas attached to function calls."""
    return sum(action.gas for action in actions if isinstance(action, FunctionCall))


def deposits(actions: Sequence[Action]) -> int:
    """yoctoNEAR that actions bring with them."""
    return sum(action.deposit for action in actions if isinstance(action, FunctionCall | Transfer))
