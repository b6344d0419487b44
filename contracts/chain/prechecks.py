"""What a node would certainly refuse, told before anything is signed. Pure.

A refusal after sending leaves bytes that somebody can replay, so it ends as `unconfirmed` until it is proven dead. The
common refusals (too little balance, a key that may not) are therefore found here first, under nearcore's own names, from
lower bounds: what passes can still be refused.
"""

from typing import Final, assert_never

from contracts.calls import (
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Transfer,
)
from contracts.chain.rpc_types import AccessView, AccountView, Fee, GasKeyAccess, OtherAccess, ProtocolConfig
from contracts.errors import InvalidInput
from contracts.types import AccountId, format_near

ZERO_BALANCE_BYTES: Final = 770
"""NEP-448: up to this storage an account needs no balance."""


def check_key(call: ChangeCall, permission: AccessView) -> None:
    """InvalidInput with nearcore's name (`RequiresFullAccess`, `ReceiverMismatch` ...) where a key may not sign the call."""
    match permission:
        case FullAccess():
            return
        case FunctionCallAccess():
            _check_function_call_key(call, permission)
        case GasKeyAccess(_, _, access):
            if access is not None:
                _check_function_call_key(call, access)
        case OtherAccess(name):
            raise InvalidInput(
                "RequiresFullAccess", f"the key's permission {name} is not one to sign transactions with"
            )
        case _:
            assert_never(permission)


def check_funds(
    signer_id: AccountId,
    call: ChangeCall,
    account: AccountView,
    config: ProtocolConfig,
    gas_price: int,
    permission: AccessView,
) -> None:
    """InvalidInput `NotEnoughBalance` or `LackBalanceForState` where the signer cannot pay, with what is missing.

    A gas key pays for gas from its own balance: `NotEnoughGasKeyBalance`.
    """
    gas_cost = _gas(signer_id, call, config) * gas_price
    cost = call.deposit
    if isinstance(permission, GasKeyAccess):
        _check_purse(permission, gas_cost)
    else:
        cost += gas_cost
    if cost > account.amount:
        raise InvalidInput(
            "NotEnoughBalance",
            f"{signer_id} has {format_near(account.amount)} NEAR; this takes at least {format_near(cost)} NEAR "
            f"({format_near(call.deposit)} NEAR deposit, the rest is for gas). Nothing was sent",
            details={"balance": str(account.amount), "cost": str(cost)},
        )
    if any(isinstance(action, DeleteAccount) for action in call.actions):
        return
    held = account.storage_usage * config.storage_amount_per_byte
    left = account.amount + account.locked - cost
    if account.storage_usage > ZERO_BALANCE_BYTES and left < held:
        raise InvalidInput(
            "LackBalanceForState",
            f"{signer_id} would be left with {format_near(left)} NEAR, and its {account.storage_usage} bytes of storage "
            f"hold {format_near(held)} NEAR. Nothing was sent; send at least {format_near(held - left)} NEAR less",
            details={"missing": str(held - left)},
        )


def check_gas(call: ChangeCall, config: ProtocolConfig) -> None:
    """InvalidInput `TotalPrepaidGasExceeded` or `TotalNumberOfActionsExceeded`."""
    if call.gas > config.max_total_prepaid_gas:
        raise InvalidInput(
            "TotalPrepaidGasExceeded",
            f"{call.gas} gas is attached, the chain takes at most {config.max_total_prepaid_gas} a transaction",
        )
    if len(call.actions) > config.max_actions_per_receipt:
        raise InvalidInput(
            "TotalNumberOfActionsExceeded",
            f"{len(call.actions)} actions in one transaction, the chain takes at most {config.max_actions_per_receipt}",
        )


def _check_purse(key: GasKeyAccess, gas_cost: int) -> None:
    if gas_cost > key.balance:
        raise InvalidInput(
            "NotEnoughGasKeyBalance",
            f"the gas key has {format_near(key.balance)} NEAR; this takes at least {format_near(gas_cost)} NEAR of gas. "
            "Nothing was sent",
            details={"balance": str(key.balance), "cost": str(gas_cost)},
        )


def _check_function_call_key(call: ChangeCall, access: FunctionCallAccess) -> None:
    match call.actions:
        case (FunctionCall() as action,):
            pass
        case _:
            raise InvalidInput("RequiresFullAccess", "the key may only call a contract; this needs a full-access key")
    if access.receiver_id != call.receiver_id:
        raise InvalidInput(
            "ReceiverMismatch", f"the key may only call {access.receiver_id}, this call goes to {call.receiver_id}"
        )
    if access.method_names and action.method_name not in access.method_names:
        raise InvalidInput("MethodNameMismatch", f"the key may not call the method {action.method_name!r}")
    if action.deposit:
        raise InvalidInput(
            "DepositWithFunctionCall", "the key may not attach a deposit; this needs a full-access key of the account"
        )


def _gas(signer_id: AccountId, call: ChangeCall, config: ProtocolConfig) -> int:
    """A lower bound of the gas that is bought: attached gas and base fees, sizes apart."""
    sir = signer_id == call.receiver_id
    fees = [config.receipt_fee]
    for action in call.actions:
        match action:
            case Transfer():
                fee = config.transfer_fee
            case FunctionCall():
                fee = config.function_call_fee
            case CreateAccount():
                fee = config.create_account_fee
            case _:
                fee = None
        if fee is not None:
            fees.append(fee)
    return call.gas + sum(_bought(fee, sir=sir) for fee in fees)


def _bought(fee: Fee, *, sir: bool) -> int:
    return (fee.send_sir if sir else fee.send_not_sir) + fee.execution
