"""Whether a transaction may enter a block: nearcore's checks, refused with nearcore's typed errors.

The code is INVALID_TRANSACTION and `details` is `{"InvalidTxError": body}`, where the body is an object such as
`{"InvalidNonce": {...}}`, or the bare name where nearcore has no fields (`"InvalidSignature"`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    Delegate,
    DeleteAccount,
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    FunctionCall,
    FunctionCallAccess,
    GasKey,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    Permission,
    Stake,
)
from contracts.errors import ChainError
from contracts.signing.action_bytes import deterministic_account_id
from contracts.signing.signatures import verify
from contracts.signing.transaction import NonceMode, SignedTransaction, Transaction
from contracts.types import U128_MAX, AccountId
from contracts.vm.config import Limits, RuntimeConfig
from contracts.vm.execution import BlockContext
from contracts.vm.fees import bought_gas, deposits, prepaid_gas, send_gas
from contracts.vm.state import AccessKey, Account, StateReader


def invalid_tx(name: str, message: str, **fields: JsonValue) -> ChainError:
    """A refusal; `name` and `fields` are those of nearcore's `InvalidTxError`."""
    return _refusal({name: dict(fields)} if fields else name, message)


def _refusal(body: JsonValue, message: str) -> ChainError:
    return ChainError("INVALID_TRANSACTION", message, details={"InvalidTxError": body})


def actions_error(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId) -> JsonValue:
    """nearcore's `ActionsValidationError` for the first thing wrong with a list of actions; None where nothing is."""
    limits = config.limits
    if len(actions) > limits.max_actions_per_receipt:
        return {
            "TotalNumberOfActionsExceeded": {
                "total_number_of_actions": len(actions),
                "limit": limits.max_actions_per_receipt,
            }
        }
    if any(isinstance(action, DeleteAccount) for action in actions[:-1]):
        return "DeleteActionMustBeFinal"
    if sum(isinstance(action, Delegate) for action in actions) > 1:
        return "DelegateActionMustBeOnlyOne"
    for action in actions:
        error = _action_error(config, action, receiver_id)
        if error is not None:
            return error
    gas = prepaid_gas(actions)
    if gas > limits.max_total_prepaid_gas:
        return {"TotalPrepaidGasExceeded": {"total_prepaid_gas": gas, "limit": limits.max_total_prepaid_gas}}
    return None


def _action_error(config: RuntimeConfig, action: Action, receiver_id: AccountId) -> JsonValue:
    limits = config.limits
    match action:
        case FunctionCall(method_name, args, gas):
            return _function_call_error(method_name, args, gas, limits)
        case DeployContract(code) | DeployGlobalContract(code) if len(code) > limits.max_contract_size:
            return {"ContractSizeExceeded": {"size": len(code), "limit": limits.max_contract_size}}
        case Stake(_, public_key) if public_key.curve != "ed25519":
            return {"UnsuitableStakingKey": {"public_key": str(public_key)}}
        case AddKey(_, permission):
            return _permission_error(config, permission)
        case DeterministicStateInit():
            return _state_init_error(action, receiver_id, limits)
        case Delegate(delegate_action):
            return actions_error(config, delegate_action.actions, delegate_action.receiver_id)
        case _:
            return None


def _permission_error(config: RuntimeConfig, permission: Permission) -> JsonValue:
    match permission:
        case FunctionCallAccess(_, method_names):
            return _method_names_error(method_names, config.limits)
        case GasKeyFullAccess():
            return _gas_key_error(config, permission)
        case GasKeyFunctionCallAccess(_, _, _, method_names, allowance):
            error = _method_names_error(method_names, config.limits)
            if error is None and allowance is not None:
                error = "GasKeyFunctionCallAllowanceNotAllowed"
            return error if error is not None else _gas_key_error(config, permission)
        case _:
            return None


def _gas_key_error(config: RuntimeConfig, permission: GasKey) -> JsonValue:
    if not 1 <= permission.num_nonces <= config.max_gas_key_nonces:
        asked, limit = permission.num_nonces, config.max_gas_key_nonces
        return {"GasKeyInvalidNumNonces": {"requested_nonces": asked, "limit": limit}}
    if permission.balance:
        return {"AddGasKeyWithNonZeroBalance": {"balance": str(permission.balance)}}
    return None


def _state_init_error(action: DeterministicStateInit, receiver_id: AccountId, limits: Limits) -> JsonValue:
    derived_id = deterministic_account_id(action.state_init)
    if derived_id != receiver_id:
        fields: JsonValue = {"receiver_id": str(receiver_id), "derived_id": str(derived_id)}
        return {"InvalidDeterministicStateInitReceiver": fields}
    for key, value in action.state_init.data:
        if len(key) > limits.max_length_storage_key:
            limit = limits.max_length_storage_key
            return {"DeterministicStateInitKeyLengthExceeded": {"length": len(key), "limit": limit}}
        if len(value) > limits.max_length_storage_value:
            limit = limits.max_length_storage_value
            return {"DeterministicStateInitValueLengthExceeded": {"length": len(value), "limit": limit}}
    return None


def _function_call_error(method_name: str, args: bytes, gas: int, limits: Limits) -> JsonValue:
    if gas == 0:
        return "FunctionCallZeroAttachedGas"
    length = len(method_name.encode())
    if length > limits.max_length_method_name:
        limit = limits.max_length_method_name
        return {"FunctionCallMethodNameLengthExceeded": {"length": length, "limit": limit}}
    if len(args) > limits.max_arguments_length:
        limit = limits.max_arguments_length
        return {"FunctionCallArgumentsLengthExceeded": {"length": len(args), "limit": limit}}
    return None


def _method_names_error(method_names: Sequence[str], limits: Limits) -> JsonValue:
    lengths = [len(name.encode()) for name in method_names]
    longest = max(lengths, default=0)
    if longest > limits.max_length_method_name:
        return {"AddKeyMethodNameLengthExceeded": {"length": longest, "limit": limits.max_length_method_name}}
    total = sum(lengths) + len(lengths)
    if total > limits.max_number_bytes_method_names:
        limit = limits.max_number_bytes_method_names
        return {"AddKeyMethodNamesNumberOfBytesExceeded": {"total_number_of_bytes": total, "limit": limit}}
    return None


def storage_shortage(account: Account, config: RuntimeConfig, amount: int | None = None) -> int:
    """yoctoNEAR missing for an account's storage (0 where it is covered or small enough to need none, NEP-448)."""
    if account.storage_usage <= config.zero_balance_storage_bytes:
        return 0
    available = (account.amount if amount is None else amount) + account.locked
    return max(0, account.storage_usage * config.storage_amount_per_byte - available)


def transaction_cost(config: RuntimeConfig, actions: Sequence[Action], receiver_id: AccountId, *, sir: bool) -> int:
    """Gas bought with a transaction: what is burnt at once, what executing will burn, and what is attached."""
    return send_gas(config, actions, receiver_id, sir=sir) + bought_gas(config, actions, receiver_id)


@dataclass(frozen=True, slots=True)
class Charge:
    """Who pays for a transaction, with what key, and how much."""

    account: Account
    access_key: AccessKey
    gas_cost: int
    """yoctoNEAR."""
    deposit: int
    """yoctoNEAR."""


def check_form(config: RuntimeConfig, signed: SignedTransaction) -> None:
    """What needs no state: size, actions, signature. ChainError where refused."""
    transaction, limits = signed.transaction, config.limits
    if len(signed.data) > limits.max_transaction_size:
        raise invalid_tx(
            "TransactionSizeExceeded",
            f"the transaction has {len(signed.data)} bytes, at most {limits.max_transaction_size} are allowed",
            size=len(signed.data),
            limit=limits.max_transaction_size,
        )
    error = actions_error(config, transaction.actions, transaction.receiver_id)
    if error is not None:
        raise _refusal({"ActionsValidation": error}, f"actions are not valid: {error}")
    if not verify(transaction.public_key, signed.tx_hash.raw, signed.signature):
        raise invalid_tx("InvalidSignature", f"the signature is not by {transaction.public_key}")


def check_charge(config: RuntimeConfig, state: StateReader, transaction: Transaction, block: BlockContext) -> Charge:
    """What needs the state: signer, key, nonce, funds, permission. ChainError where refused."""
    signer_id = transaction.signer_id
    account = state.account(signer_id)
    if account is None:
        raise invalid_tx("SignerDoesNotExist", f"signer {signer_id} does not exist", signer_id=str(signer_id))
    access_key = state.access_key(signer_id, transaction.public_key)
    if access_key is None:
        raise _key_error(
            "AccessKeyNotFound",
            f"{transaction.public_key} is no access key of {signer_id}",
            account_id=str(signer_id),
            public_key=str(transaction.public_key),
        )
    gas = transaction_cost(
        config, transaction.actions, transaction.receiver_id, sir=signer_id == transaction.receiver_id
    )
    charge = Charge(account, access_key, gas * block.gas_price, deposits(transaction.actions))
    if charge.gas_cost + charge.deposit > U128_MAX:
        raise invalid_tx("CostOverflow", "the transaction's cost does not fit 128 bits")
    permission = access_key.permission
    if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        _check_gas_key(config, transaction, charge, permission, block.height)
    else:
        _check_ordinary_key(config, transaction, charge, permission, block.height)
    error = function_call_error(transaction.receiver_id, transaction.actions, permission)
    if error is not None:
        raise _refusal({"InvalidAccessKeyError": error}, f"the key may not sign this: {error}")
    return charge


def _check_ordinary_key(
    config: RuntimeConfig, transaction: Transaction, charge: Charge, permission: Permission, height: int
) -> None:
    """Nonce and funds where the account itself pays."""
    if transaction.nonce_index is not None:
        raise _key_error(
            "AccessKeyNotFound",
            f"{transaction.public_key} is no gas key of {transaction.signer_id}",
            account_id=str(transaction.signer_id),
            public_key=str(transaction.public_key),
        )
    _check_nonce(config, transaction.nonce, charge.access_key.nonce, height, transaction.nonce_mode)
    _check_funds(config, transaction, charge, permission)


def _check_gas_key(
    config: RuntimeConfig, transaction: Transaction, charge: Charge, permission: GasKey, height: int
) -> None:
    """Nonce and funds where the key pays for gas and the account for deposits."""
    signer_id, index, count = transaction.signer_id, transaction.nonce_index, permission.num_nonces
    if index is None or index >= count:
        raise invalid_tx(
            "InvalidNonceIndex",
            f"a gas key with {count} nonces is used with nonce index {index}",
            tx_nonce_index=index,
            num_nonces=count,
        )
    _check_nonce(config, transaction.nonce, charge.access_key.nonces[index], height, transaction.nonce_mode)
    if charge.gas_cost > permission.balance:
        raise invalid_tx(
            "NotEnoughGasKeyBalance",
            f"the gas key has {permission.balance} yoctoNEAR, {charge.gas_cost} are needed",
            signer_id=str(signer_id),
            balance=str(permission.balance),
            cost=str(charge.gas_cost),
        )
    left = charge.account.amount - charge.deposit
    shortage = storage_shortage(charge.account, config, left) if left >= 0 else charge.deposit
    if shortage:
        # nearcore takes such a transaction into a chunk, charges the key and lets it fail; here it stays outside.
        raise invalid_tx(
            "NotEnoughBalanceForDeposit",
            f"{signer_id} has {charge.account.amount} yoctoNEAR, too little for a deposit of {charge.deposit}",
            signer_id=str(signer_id),
            balance=str(charge.account.amount if left < 0 else left),
            cost=str(shortage),
            reason="NotEnoughBalance" if left < 0 else "LackBalanceForState",
        )


def _check_nonce(config: RuntimeConfig, nonce: int, key_nonce: int, height: int, mode: NonceMode = "monotonic") -> None:
    if nonce <= key_nonce or (mode == "strict" and nonce != key_nonce + 1):
        wanted = "the one after" if mode == "strict" else "above"
        raise invalid_tx(
            "InvalidNonce", f"nonce {nonce} is not {wanted} the key's {key_nonce}", tx_nonce=nonce, ak_nonce=key_nonce
        )
    bound = height * config.nonce_range_multiplier
    if nonce >= bound:
        raise invalid_tx("NonceTooLarge", f"nonce {nonce} is not below {bound}", tx_nonce=nonce, upper_bound=bound)


def _check_funds(config: RuntimeConfig, transaction: Transaction, charge: Charge, permission: Permission) -> None:
    signer_id, account, cost = transaction.signer_id, charge.account, charge.gas_cost + charge.deposit
    if cost > account.amount:
        raise invalid_tx(
            "NotEnoughBalance",
            f"{signer_id} has {account.amount} yoctoNEAR, {cost} are needed",
            signer_id=str(signer_id),
            balance=str(account.amount),
            cost=str(cost),
        )
    if isinstance(permission, FunctionCallAccess) and permission.allowance is not None and cost > permission.allowance:
        raise _key_error(
            "NotEnoughAllowance",
            f"the key's allowance is {permission.allowance} yoctoNEAR, {cost} are needed",
            account_id=str(signer_id),
            public_key=str(transaction.public_key),
            allowance=str(permission.allowance),
            cost=str(cost),
        )
    shortage = storage_shortage(account, config, account.amount - cost)
    if shortage:
        raise invalid_tx(
            "LackBalanceForState",
            f"{signer_id} would lack {shortage} yoctoNEAR for its storage",
            signer_id=str(signer_id),
            amount=str(shortage),
        )


def function_call_error(receiver_id: AccountId, actions: Sequence[Action], permission: Permission) -> JsonValue:
    """nearcore's `InvalidAccessKeyError` where a key for function calls may not send these actions; None where it may."""
    if not isinstance(permission, FunctionCallAccess | GasKeyFunctionCallAccess):
        return None
    only = actions[0] if len(actions) == 1 else None
    if not isinstance(only, FunctionCall):
        return "RequiresFullAccess"
    if only.deposit:
        return "DepositWithFunctionCall"
    if receiver_id != permission.receiver_id:
        return {"ReceiverMismatch": {"tx_receiver": str(receiver_id), "ak_receiver": str(permission.receiver_id)}}
    if permission.method_names and only.method_name not in permission.method_names:
        return {"MethodNameMismatch": {"method_name": only.method_name}}
    return None


def _key_error(name: str, message: str, **fields: JsonValue) -> ChainError:
    body: JsonValue = {name: dict(fields)} if fields else name
    return _refusal({"InvalidAccessKeyError": body}, message)
