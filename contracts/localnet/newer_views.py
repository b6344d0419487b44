"""The newer actions as nearcore's RPC shows them. What a delegate action holds is shown in the form of the action itself."""

import base64
from typing import assert_never

import base58
from pydantic import JsonValue

from contracts.calls import (
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
    PlainAction,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.types import CryptoHash, JsonObject
from contracts.vm.global_contracts import identifier


def newer_action_view(
    action: Delegate
    | DeployGlobalContract
    | UseGlobalContract
    | DeterministicStateInit
    | TransferToGasKey
    | WithdrawFromGasKey,
) -> JsonValue:
    """nearcore's `ActionView`."""
    match action:
        case Delegate():
            return {"Delegate": delegate_view(action)}
        case DeployGlobalContract(code, deploy_mode):
            name = "DeployGlobalContract" if deploy_mode == "code_hash" else "DeployGlobalContractByAccountId"
            # nearcore shows the code's hash in the place of the code.
            return {name: {"code": _base64(CryptoHash.of(code).raw)}}
        case UseGlobalContract(contract):
            return _use_view(contract)
        case DeterministicStateInit(state_init, deposit):
            body: JsonObject = {"code": _named(state_init.code), "data": _records(state_init), "deposit": str(deposit)}
            return {"DeterministicStateInit": body}
        case TransferToGasKey(public_key, deposit):
            return {"TransferToGasKey": {"public_key": public_key, "deposit": str(deposit)}}
        case WithdrawFromGasKey(public_key, amount):
            return {"WithdrawFromGasKey": {"public_key": public_key, "amount": str(amount)}}
        case _:
            assert_never(action)


def _use_view(contract: GlobalContract) -> JsonObject:
    match contract:
        case GlobalCodeHash(code_hash):
            return {"UseGlobalContract": {"code_hash": code_hash}}
        case GlobalAccountId(account_id):
            return {"UseGlobalContractByAccountId": {"account_id": account_id}}
        case _:
            assert_never(contract)


def delegate_view(signed: Delegate) -> JsonObject:
    action = signed.delegate_action
    return {
        "delegate_action": {
            "sender_id": action.sender_id,
            "receiver_id": action.receiver_id,
            "actions": [_action(inner) for inner in action.actions],
            "nonce": action.nonce,
            "max_block_height": action.max_block_height,
            "public_key": action.public_key,
        },
        "signature": f"{action.public_key.curve}:{base58.b58encode(signed.signature).decode()}",
    }


def _action(action: PlainAction) -> JsonValue:
    """nearcore's `NonDelegateAction`."""
    match action:
        case DeployGlobalContract(code, deploy_mode):
            mode = "CodeHash" if deploy_mode == "code_hash" else "AccountId"
            return {"DeployGlobalContract": {"code": _base64(code), "deploy_mode": mode}}
        case UseGlobalContract(contract):
            return {"UseGlobalContract": {"contract_identifier": identifier(contract)}}
        case DeterministicStateInit(state_init, deposit):
            body: JsonObject = {"V1": {"code": identifier(state_init.code), "data": _records(state_init)}}
            return {"DeterministicStateInit": {"state_init": body, "deposit": str(deposit)}}
        case TransferToGasKey() | WithdrawFromGasKey():
            return newer_action_view(action)
        case _:
            return _classic(action)


def _classic(
    action: CreateAccount | DeployContract | AddKey | FunctionCall | Transfer | Stake | DeleteKey | DeleteAccount,
) -> JsonValue:
    match action:
        case CreateAccount():
            return {"CreateAccount": {}}
        case DeployContract(code):
            return {"DeployContract": {"code": _base64(code)}}
        case AddKey(public_key, permission, nonce):
            access_key: JsonObject = {"nonce": nonce, "permission": _permission(permission)}
            return {"AddKey": {"public_key": public_key, "access_key": access_key}}
        case _:
            return plain_view(action)


def plain_view(action: FunctionCall | Transfer | Stake | DeleteKey | DeleteAccount) -> JsonValue:
    """What is shown in the same form by itself and inside a delegate action."""
    match action:
        case FunctionCall(method_name, args, gas, deposit):
            call: JsonObject = {"method_name": method_name, "args": _base64(args), "gas": gas, "deposit": str(deposit)}
            return {"FunctionCall": call}
        case Transfer(deposit):
            return {"Transfer": {"deposit": str(deposit)}}
        case Stake(stake, public_key):
            return {"Stake": {"stake": str(stake), "public_key": public_key}}
        case DeleteKey(public_key):
            return {"DeleteKey": {"public_key": public_key}}
        case DeleteAccount(beneficiary_id):
            return {"DeleteAccount": {"beneficiary_id": beneficiary_id}}
        case _:
            assert_never(action)


def permission_body(permission: FunctionCallAccess | GasKeyFunctionCallAccess) -> JsonObject:
    return {
        "allowance": None if permission.allowance is None else str(permission.allowance),
        "receiver_id": permission.receiver_id,
        "method_names": list(permission.method_names),
    }


def _permission(permission: Permission) -> JsonValue:
    """nearcore's `AccessKeyPermission`, where a gas key's purse stands apart."""
    match permission:
        case FullAccess():
            return "FullAccess"
        case FunctionCallAccess():
            return {"FunctionCall": permission_body(permission)}
        case GasKeyFullAccess(balance, num_nonces):
            return {"GasKeyFullAccess": {"balance": str(balance), "num_nonces": num_nonces}}
        case GasKeyFunctionCallAccess(balance, num_nonces):
            purse: JsonObject = {"balance": str(balance), "num_nonces": num_nonces}
            return {"GasKeyFunctionCall": [purse, permission_body(permission)]}
        case _:
            assert_never(permission)


def _named(contract: GlobalContract) -> JsonValue:
    """nearcore's `GlobalContractIdentifierView`."""
    match contract:
        case GlobalCodeHash(code_hash):
            return {"hash": code_hash}
        case GlobalAccountId(account_id):
            return {"account_id": account_id}
        case _:
            assert_never(contract)


def _records(state_init: StateInit) -> JsonValue:
    return {_base64(key): _base64(value) for key, value in state_init.data}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
