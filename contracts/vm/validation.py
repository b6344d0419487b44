"""Whether a transaction may enter a block: nearcore's checks, refused with nearcore's typed errors.

The code is INVALID_TRANSACTION and `details` is `{"InvalidTxError": body}`, where the body is an object such as
`{"InvalidNonce": {...}}`, or the bare name where nearcore has no fields (`"InvalidSignature"`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    DeleteAccount,
    DeployContract,
    FunctionCall,
    FunctionCallAccess,
    Stake,
)
from contracts.errors import ChainError
from contracts.signing.transaction import SignedTransaction, Transaction
from contracts.types import U128_MAX, AccountId
from contracts.vm.config import Limits, RuntimeConfig
from contracts.vm.execution import BlockContext
from contracts.vm.fees import deposits, execution_gas, prepaid_gas, send_gas
from contracts.vm.state import AccessKey, Account, StateReader


def invalid_tx(name: str, message: str, **fields: JsonValue) -> ChainError:
    """A refusal; `name` and `fields` are those of nearcore's `InvalidTxError`."""
    return _refusal({name: dict(fields)} if fields else name, message)


def _refusal(body: JsonValue, message: str) -> ChainError:
    return ChainError("INVALID_TRANSACTION", message, details={"InvalidTxError": body})


def actions_error(actions: Sequence[Action], limits: Limits) -> JsonValue:
    """nearcore's `ActionsValidationError` for the first thing wrong with a list of actions; None where nothing is."""
    if len(actions) > limits.max_actions_per_receipt:
        return {
            "TotalNumberOfActionsExceeded": {
                "total_number_of_actions": len(actions),
                "limit": limits.max_actions_per_receipt,
            }
        }
    if any(isinstance(action, DeleteAccount) for action in actions[:-1]):
        return "DeleteActionMustBeFinal"
    for action in actions:
        error = _action_error(action, limits)
        if error is not None:
            return error
    gas = prepaid_gas(actions)
    if gas > limits.max_total_prepaid_gas:
        return {"TotalPrepaidGasExceeded": {"total_prepaid_gas": gas, "limit": limits.max_total_prepaid_gas}}
    return None


def _action_error(action: Action, limits: Limits) -> JsonValue:
    match action:
        case FunctionCall(method_name, args, gas):
            return _function_call_error(method_name, args, gas, limits)
        case DeployContract(code) if len(code) > limits.max_contract_size:
            return {"ContractSizeExceeded": {"size": len(code), "limit": limits.max_contract_size}}
        case Stake(_, public_key) if public_key.curve != "ed25519":
            return {"UnsuitableStakingKey": {"public_key": str(public_key)}}
        case AddKey(_, FunctionCallAccess(_, method_names)):
            return _method_names_error(method_names, limits)
        case _:
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
    return (
        send_gas(config, actions, receiver_id, sir=sir)
        + execution_gas(config, actions, receiver_id)
        + prepaid_gas(actions)
    )


@dataclass(frozen=True, slots=True)
class Charge:
    """Who pays for a transaction, with what key, and how much."""

    account: Account
    access_key: AccessKey
    cost: int
    """yoctoNEAR: gas and deposits."""


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
    error = actions_error(transaction.actions, limits)
    if error is not None:
        raise _refusal({"ActionsValidation": error}, f"actions are not valid: {error}")
    if not _signature_is_valid(signed):
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
    _check_nonce(config, transaction.nonce, access_key.nonce, block.height)
    cost = _check_funds(config, transaction, account, access_key, block)
    if isinstance(access_key.permission, FunctionCallAccess):
        _check_permission(transaction.receiver_id, transaction.actions, access_key.permission)
    return Charge(account, access_key, cost)


def _signature_is_valid(signed: SignedTransaction) -> bool:
    # Only ed25519 signs transactions here; secp256k1 keys can be added to accounts, and sign nothing.
    key = signed.transaction.public_key
    if key.curve != "ed25519":
        return False
    try:
        VerifyKey(key.raw).verify(signed.tx_hash.raw, signed.signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _check_nonce(config: RuntimeConfig, nonce: int, key_nonce: int, height: int) -> None:
    if nonce <= key_nonce:
        raise invalid_tx(
            "InvalidNonce", f"nonce {nonce} is not above the key's {key_nonce}", tx_nonce=nonce, ak_nonce=key_nonce
        )
    bound = height * config.nonce_range_multiplier
    if nonce >= bound:
        raise invalid_tx("NonceTooLarge", f"nonce {nonce} is not below {bound}", tx_nonce=nonce, upper_bound=bound)


def _check_funds(
    config: RuntimeConfig, transaction: Transaction, account: Account, access_key: AccessKey, block: BlockContext
) -> int:
    signer_id, actions = transaction.signer_id, transaction.actions
    gas = transaction_cost(config, actions, transaction.receiver_id, sir=signer_id == transaction.receiver_id)
    cost = gas * block.gas_price + deposits(actions)
    if cost > U128_MAX:
        raise invalid_tx("CostOverflow", "the transaction's cost does not fit 128 bits")
    if cost > account.amount:
        raise invalid_tx(
            "NotEnoughBalance",
            f"{signer_id} has {account.amount} yoctoNEAR, {cost} are needed",
            signer_id=str(signer_id),
            balance=str(account.amount),
            cost=str(cost),
        )
    permission = access_key.permission
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
    return cost


def _check_permission(receiver_id: AccountId, actions: Sequence[Action], permission: FunctionCallAccess) -> None:
    only = actions[0] if len(actions) == 1 else None
    if not isinstance(only, FunctionCall):
        raise _key_error("RequiresFullAccess", "a function-call key may send exactly one function call")
    if only.deposit:
        raise _key_error("DepositWithFunctionCall", "a function-call key may not attach a deposit")
    if receiver_id != permission.receiver_id:
        raise _key_error(
            "ReceiverMismatch",
            f"the key is for {permission.receiver_id}, not for {receiver_id}",
            tx_receiver=str(receiver_id),
            ak_receiver=str(permission.receiver_id),
        )
    if permission.method_names and only.method_name not in permission.method_names:
        raise _key_error("MethodNameMismatch", f"the key may not call {only.method_name}", method_name=only.method_name)


def _key_error(name: str, message: str, **fields: JsonValue) -> ChainError:
    body: JsonValue = {name: dict(fields)} if fields else name
    return _refusal({"InvalidAccessKeyError": body}, message)
