"""May this call go at all: sizes, gas, amounts and names against the chain's own limits. The only maker of ValidatedCall.

Pure: whether it would succeed (balances, keys, state) is not asked here. Every refusal is an InvalidInput that says what is
wrong, the limit, and what would be right.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Final, NoReturn, assert_never

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
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
    GasKey,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    Permission,
    Stake,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    ViewAccessKeys,
    ViewAccount,
    ViewCall,
    ViewFunction,
    ViewMethods,
    ViewTransaction,
    WithdrawFromGasKey,
)
from contracts.errors import InvalidInput
from contracts.knowledge.limits import Limits
from contracts.knowledge.names import nearest
from contracts.signing.action_bytes import deterministic_account_id, encode_actions
from contracts.types import TGAS, U64_MAX, U128_MAX, AccountId, format_units

MAX_GAS_KEY_NONCES: Final = 1_024
_SEAL: Final = object()
_METHOD = re.compile(r"[!-~]+", re.ASCII)
_ENVELOPE_BYTES: Final = 64 + 64 + 4 * 2 + 65 + 8 + 32 + 66 + 5
"""The largest signed transaction around its actions: two account ids with lengths, key, nonce, block hash, signature, and
what version 1 adds: its mark, the nonce's kind and index, and its mode."""


@dataclass(frozen=True, slots=True)
class ValidationContext:
    limits: Limits
    methods: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Method names of contracts whose list is known, by contract id."""


@dataclass(frozen=True, slots=True)
class ValidatedCall:
    """A call that `validate` found well-formed; made nowhere else."""

    call: ViewCall | ChangeCall
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("ValidatedCall is made by validate() alone")


def validate(call: ViewCall | ChangeCall, context: ValidationContext) -> ValidatedCall:
    """The call with the proof that it keeps the chain's rules. InvalidInput, whose `code` names the rule broken."""
    match call:
        case ChangeCall():
            _check_change(call, context)
        case ViewFunction(contract_id, method_name, args):
            _check_account("contract_id", contract_id)
            _check_method(contract_id, method_name, context)
            _check_arguments(method_name, args, context.limits)
        case ViewAccount(account_id) | ViewAccessKeys(account_id) | ViewMethods(account_id):
            _check_account("account_id", account_id)
        case ViewTransaction(_, sender_id):
            _check_account("sender_id", sender_id)
        case _:
            assert_never(call)
    return ValidatedCall(call, _SEAL)


def _check_change(call: ChangeCall, context: ValidationContext) -> None:
    limits = context.limits
    _check_account("receiver_id", call.receiver_id)
    if not call.actions:
        _refuse("no_actions", f"the transaction to {call.receiver_id} has no action")
    if len(call.actions) > limits.max_actions_per_receipt:
        _refuse(
            "too_many_actions",
            f"{len(call.actions)} actions in one transaction; at most {limits.max_actions_per_receipt} are allowed, "
            "split it into several",
        )
    for action in call.actions:
        _check_action(call.receiver_id, action, context)
    if any(isinstance(action, DeleteAccount) for action in call.actions[:-1]):
        _refuse("delete_not_last", "deleting an account must be the last action of its transaction")
    if sum(isinstance(action, Delegate) for action in call.actions) > 1:
        _refuse("several_delegates", "a transaction carries at most one delegate action")
    _check_amount("the deposits together", call.deposit)
    if call.gas > limits.max_total_prepaid_gas:
        _refuse(
            "too_much_gas",
            f"{_tgas(call.gas)} Tgas are attached in all; a transaction may carry {_tgas(limits.max_total_prepaid_gas)}",
        )
    size = len(encode_actions(call.actions)) + _ENVELOPE_BYTES
    if size > limits.max_transaction_size:
        _refuse(
            "transaction_too_large",
            f"the transaction would have up to {size} bytes; at most {limits.max_transaction_size} are allowed",
        )


def _check_action(receiver_id: AccountId, action: Action, context: ValidationContext) -> None:
    limits = context.limits
    match action:
        case FunctionCall(method_name, args, gas, deposit):
            _check_method(receiver_id, method_name, context)
            _check_arguments(method_name, args, limits)
            _check_gas(method_name, gas)
            _check_amount(f"the deposit of {method_name[:80]}", deposit)
        case Transfer(deposit):
            _check_amount("the transfer", deposit)
        case Stake(stake):
            _check_amount("the stake", stake)
        case DeployContract(code):
            _check_code(code, limits)
        case AddKey(_, permission):
            _check_permission(permission, context)
        case DeleteAccount(beneficiary_id):
            _check_account("beneficiary_id", beneficiary_id)
        case CreateAccount() | DeleteKey():
            pass
        case _:
            _check_newer_action(receiver_id, action, context)


def _check_newer_action(
    receiver_id: AccountId,
    action: Delegate
    | DeployGlobalContract
    | UseGlobalContract
    | DeterministicStateInit
    | TransferToGasKey
    | WithdrawFromGasKey,
    context: ValidationContext,
) -> None:
    match action:
        case Delegate(delegate_action):
            if delegate_action.sender_id != receiver_id:
                _refuse(
                    "delegate_receiver",
                    f"a delegate action of {delegate_action.sender_id} goes to that account, not to {receiver_id}",
                )
            for inner in delegate_action.actions:
                _check_action(delegate_action.receiver_id, inner, context)
        case DeployGlobalContract(code):
            _check_code(code, context.limits)
        case DeterministicStateInit(state_init, deposit):
            _check_amount("the deposit", deposit)
            derived_id = deterministic_account_id(state_init)
            if derived_id != receiver_id:
                _refuse("state_init_receiver", f"this state init makes {derived_id}, not {receiver_id}")
        case TransferToGasKey(_, amount) | WithdrawFromGasKey(_, amount):
            _check_amount("the gas key's amount", amount)
        case UseGlobalContract():
            pass
        case _:
            assert_never(action)


def _check_permission(permission: Permission, context: ValidationContext) -> None:
    match permission:
        case FullAccess():
            return
        case FunctionCallAccess(contract_id, method_names, allowance):
            _check_amount("the allowance", allowance or 0)
        case GasKeyFullAccess():
            _check_gas_key(permission)
            return
        case GasKeyFunctionCallAccess(_, _, contract_id, method_names, allowance):
            _check_gas_key(permission)
            if allowance is not None:
                _refuse("gas_key_allowance", "a gas key has no allowance; what it holds is its limit")
        case _:
            assert_never(permission)
    _check_account("receiver_id of the key", contract_id)
    for name in method_names:
        _check_method(contract_id, name, context)


def _check_gas_key(permission: GasKey) -> None:
    if not 1 <= permission.num_nonces <= MAX_GAS_KEY_NONCES:
        _refuse("gas_key_nonces", f"a gas key has 1 to {MAX_GAS_KEY_NONCES} nonces, not {permission.num_nonces}")
    if permission.balance:
        _refuse("gas_key_balance", "a gas key is added empty and filled with a transfer to it")


def _check_code(code: bytes, limits: Limits) -> None:
    if len(code) > limits.max_contract_size:
        _refuse(
            "contract_too_large",
            f"the contract has {len(code)} bytes; at most {limits.max_contract_size} are allowed",
        )


def _check_account(name: str, account_id: str) -> None:
    try:
        AccountId(account_id)
    except ValueError as error:
        raise InvalidInput(
            "account_malformed", f"{name}: {error}", details={"field": name, "account_id": account_id[:80]}
        ) from error


def _check_method(contract_id: AccountId, name: str, context: ValidationContext) -> None:
    limit = context.limits.max_length_method_name
    if not name or len(name) > limit:
        _refuse("method_name_length", f"method name {name[:80]!r} has {len(name)} characters; 1 to {limit} are allowed")
    if not _METHOD.fullmatch(name):
        _refuse(
            "method_name_characters",
            f"method name {name[:80]!r} holds a blank or a sign outside ASCII; check its spelling",
        )
    known = context.methods.get(contract_id)
    if known is not None and name not in known:
        near = nearest(name, sorted(known))
        todo = f"did you mean {near}?" if near else f"/contract_methods {contract_id} lists what it has"
        raise InvalidInput(
            "unknown_method",
            f"{contract_id} has no method {name[:80]}; {todo}",
            details={"contract_id": contract_id, "method_name": name[:80], "nearest": near},
        )


def _check_arguments(method_name: str, args: bytes, limits: Limits) -> None:
    if len(args) > limits.max_arguments_length:
        _refuse(
            "arguments_too_large",
            f"the arguments of {method_name} have {len(args)} bytes; at most {limits.max_arguments_length} are allowed",
        )
    if b"NaN" not in args and b"Infinity" not in args:
        return
    try:
        json.loads(args, parse_constant=_not_a_number)
    except (ValueError, RecursionError):
        return  # not JSON: the contract reads these bytes its own way


def _not_a_number(text: str) -> NoReturn:
    _refuse("not_a_number", f"the arguments hold {text}, which is not JSON; write amounts as strings of digits")


def _check_gas(method_name: str, gas: int) -> None:
    if type(gas) is not int or not 0 < gas <= U64_MAX:
        _refuse("gas_out_of_range", f"{gas} gas for {method_name}; attach more than 0, 30 Tgas suit most methods")


def _check_amount(what: str, amount: int) -> None:
    if type(amount) is not int or not 0 <= amount <= U128_MAX:
        _refuse("amount_out_of_range", f"{what}: {amount} yoctoNEAR is outside 0 to 2^128-1")


def _tgas(gas: int) -> str:
    return format_units(gas, len(str(TGAS)) - 1)


def _refuse(code: str, message: str) -> NoReturn:
    raise InvalidInput(code, message)
