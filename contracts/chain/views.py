"""View calls against a node: what is asked, as JSON in nearcore's field names, with the block it was read at."""

from typing import Final, assert_never

from pydantic import JsonValue

from contracts.calls import (
    FullAccess,
    FunctionCallAccess,
    ViewAccessKeys,
    ViewAccount,
    ViewCall,
    ViewFunction,
    ViewMethods,
    ViewTransaction,
)
from contracts.chain.effects import read_effects
from contracts.chain.outcome import Effect, ViewReturned
from contracts.chain.outcome_reader import cut_note, decode_value, decode_view, failure_text, kept_logs
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import AccessView, BlockRef, FunctionResult, GasKeyAccess, OtherAccess
from contracts.chain.tx_answer import Failure, Pending, SuccessReceipt, SuccessValue, TxAnswer
from contracts.errors import RpcError
from contracts.knowledge.abi import exported_methods
from contracts.types import AccountId, JsonObject

_NO_CODE: Final = "1" * 32


async def run_view(rpc: RpcClient, call: ViewCall, at: BlockRef = "final") -> ViewReturned:
    """The answer to a view call. RpcError as the node gives it; InvalidInput `bad_wasm` for code that is no module."""
    match call:
        case ViewFunction(contract_id, method_name, args):
            return _function(await rpc.call_function(contract_id, method_name, args, at, may_cut=True))
        case ViewAccount(account_id):
            return await _account(rpc, account_id, at)
        case ViewAccessKeys(account_id):
            listed = await rpc.access_keys(account_id, at)
            keys: list[JsonValue] = [
                {
                    "public_key": item.public_key,
                    "access_key": {"nonce": item.nonce, "permission": _permission(item.permission)},
                }
                for item in listed.keys
            ]
            return ViewReturned({"keys": keys}, listed.block_height, listed.block_hash)
        case ViewMethods(contract_id):
            return await _methods(rpc, contract_id, at)
        case ViewTransaction(tx_hash, sender_id):
            return await _transaction(rpc, await rpc.tx(tx_hash, sender_id))
        case _:
            assert_never(call)


def _function(found: FunctionResult) -> ViewReturned:
    value, repeated = decode_view(found.result, answer_bytes=found.answer_bytes)
    cut = None if found.answer_bytes is None else cut_note(len(found.result), found.answer_bytes)
    return ViewReturned(value, found.block_height, found.block_hash, kept_logs(found.logs), cut, repeated)


async def _account(rpc: RpcClient, account_id: AccountId, at: BlockRef) -> ViewReturned:
    account = await rpc.account(account_id, at)
    value: JsonObject = {
        "amount": str(account.amount),
        "locked": str(account.locked),
        "code_hash": account.code_hash or _NO_CODE,
        "storage_usage": account.storage_usage,
    }
    if account.global_contract_hash is not None:
        value["global_contract_hash"] = account.global_contract_hash
    if account.global_contract_account_id is not None:
        value["global_contract_account_id"] = account.global_contract_account_id
    return ViewReturned(value, account.block_height, account.block_hash)


def _permission(permission: AccessView) -> JsonValue:
    match permission:
        case FullAccess():
            return "FullAccess"
        case FunctionCallAccess():
            return {"FunctionCall": _function_call(permission)}
        case GasKeyAccess(balance, num_nonces, function_call):
            gas_key: JsonObject = {"balance": str(balance), "num_nonces": num_nonces}
            if function_call is None:
                return {"GasKeyFullAccess": gas_key}
            return {"GasKeyFunctionCall": {**gas_key, **_function_call(function_call)}}
        case OtherAccess(name):
            return name
        case _:
            assert_never(permission)


def _function_call(access: FunctionCallAccess) -> JsonObject:
    return {
        "allowance": None if access.allowance is None else str(access.allowance),
        "receiver_id": access.receiver_id,
        "method_names": [*access.method_names],
    }


async def _methods(rpc: RpcClient, contract_id: AccountId, at: BlockRef) -> ViewReturned:
    account = await rpc.account(contract_id, at)
    if not account.has_contract:
        raise RpcError("NO_CONTRACT_CODE", f"{contract_id} has no contract", details={"account_id": contract_id})
    code = await rpc.code(contract_id, account.block_hash)
    value: JsonObject = {"code_hash": code.hash, "methods": [*exported_methods(code.code)]}
    return ViewReturned(value, code.block_height, code.block_hash)


async def _transaction(rpc: RpcClient, answer: TxAnswer) -> ViewReturned:
    """`final_execution_status` and `status` as nodes name them, and what people ask for: who, what, how many receipts."""
    if answer.transaction is None or answer.transaction_outcome is None:
        block = await rpc.block("final")
        known: JsonObject = {"final_execution_status": answer.final_execution_status, "final": False}
        return ViewReturned(known, block.height, block.hash)
    transaction = answer.transaction
    block = await rpc.block(answer.transaction_outcome.block_hash)
    failed = sum(isinstance(outcome.outcome.status, Failure) for outcome in answer.receipts_outcome)
    value: JsonObject = {
        "final_execution_status": answer.final_execution_status,
        "final": answer.final,
        "status": _status(answer),
        "tx_hash": transaction.hash,
        "block_height": block.height,
        "signer_id": transaction.signer_id,
        "receiver_id": transaction.receiver_id,
        "actions": [
            {"kind": action.kind, "method_name": action.method_name, "deposit": str(action.deposit)}
            for action in transaction.actions
        ],
        "receipts": {"ok": len(answer.receipts_outcome) - failed, "failed": failed},
        "effects": [_effect(effect) for effect in read_effects(answer, transaction).effects],
    }
    if isinstance(answer.status, SuccessValue):
        value["value"] = decode_value(answer.status.value)
    if isinstance(answer.status, Failure):
        code, message = failure_text(answer.status.error)
        value["error"] = {"code": code, "message": message}
    return ViewReturned(value, block.height, block.hash)


def _effect(effect: Effect) -> JsonObject:
    told: JsonObject = {"account_id": effect.account_id, "token": effect.token, "change": str(effect.change)}
    return told if effect.token_id is None else {**told, "token_id": effect.token_id}


def _status(answer: TxAnswer) -> JsonValue:
    match answer.status:
        case None:
            return None
        case Pending(name):
            return name
        case Failure(error):
            return {"Failure": error}
        case SuccessValue(value):
            return {"SuccessValue": decode_value(value)}
        case SuccessReceipt(receipt_id):
            return {"SuccessReceiptId": receipt_id}
