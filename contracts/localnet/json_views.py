"""The chain's values as nearcore's RPC shows them. Pure; field names and shapes are those of its OpenAPI document."""

import base64
from datetime import UTC, datetime
from typing import Final, assert_never

import base58
from pydantic import JsonValue

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
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    GlobalAccountId,
    GlobalCodeHash,
    Permission,
    Stake,
    Transfer,
)
from contracts.localnet.blocks import ZERO_HASH, Header
from contracts.localnet.newer_views import newer_action_view, permission_body, plain_view
from contracts.localnet.store import Executed
from contracts.localnet.tracking import TransactionTrack
from contracts.signing.transaction import SignedTransaction
from contracts.types import CryptoHash, JsonObject
from contracts.vm.config import RuntimeConfig
from contracts.vm.receipts import (
    ActionReceipt,
    DataReceipt,
    ExecutionStatus,
    Failure,
    SuccessReceiptId,
    SuccessValue,
    Unknown,
)
from contracts.vm.state import AccessKey, Account

PRODUCER: Final = "localnet"
"""The one validator: the account whose name the chain bears."""
NO_SIGNATURE: Final = "ed25519:" + base58.b58encode(bytes(64)).decode()
"""Blocks of this chain are signed by nobody."""
RECEIPT_METADATA: Final[JsonObject] = {"version": 3, "gas_profile": []}
TRANSACTION_METADATA: Final[JsonObject] = {"version": 1, "gas_profile": None}


def account_view(account: Account) -> JsonObject:
    """An account that uses a global contract has no code of its own, and names what it uses."""
    named: JsonObject = {}
    match account.global_contract:
        case GlobalCodeHash(code_hash):
            named = {"global_contract_hash": code_hash}
        case GlobalAccountId(account_id):
            named = {"global_contract_account_id": account_id}
        case None:
            pass
    return {
        **named,
        "amount": str(account.amount),
        "locked": str(account.locked),
        "code_hash": account.code_hash or ZERO_HASH,
        "storage_usage": account.storage_usage,
        "storage_paid_at": 0,
    }


def access_key_view(access_key: AccessKey) -> JsonObject:
    return {"nonce": access_key.nonce, "permission": permission_view(access_key.permission)}


def permission_view(permission: Permission) -> JsonValue:
    match permission:
        case FullAccess():
            return "FullAccess"
        case FunctionCallAccess():
            return {"FunctionCall": permission_body(permission)}
        case GasKeyFullAccess(balance, num_nonces):
            return {"GasKeyFullAccess": {"balance": str(balance), "num_nonces": num_nonces}}
        case GasKeyFunctionCallAccess(balance, num_nonces):
            purse: JsonObject = {"balance": str(balance), "num_nonces": num_nonces}
            return {"GasKeyFunctionCall": {**purse, **permission_body(permission)}}
        case _:
            assert_never(permission)


def action_view(action: Action) -> JsonValue:
    match action:
        case CreateAccount():
            view: JsonValue = "CreateAccount"
        case DeployContract(code):
            # nearcore shows the code's hash in the place of the code.
            view = {"DeployContract": {"code": _base64(CryptoHash.of(code).raw)}}
        case AddKey(public_key, permission, nonce):
            access_key: JsonObject = {"nonce": nonce, "permission": permission_view(permission)}
            view = {"AddKey": {"public_key": public_key, "access_key": access_key}}
        case FunctionCall() | Transfer() | Stake() | DeleteKey() | DeleteAccount():
            view = plain_view(action)
        case _:
            view = newer_action_view(action)
    return view


def transaction_view(signed: SignedTransaction) -> JsonObject:
    transaction = signed.transaction
    signature = base58.b58encode(signed.signature).decode()
    return {
        "signer_id": transaction.signer_id,
        "public_key": transaction.public_key,
        "nonce": transaction.nonce,
        "receiver_id": transaction.receiver_id,
        "actions": [action_view(action) for action in transaction.actions],
        **(
            {"nonce_mode": transaction.nonce_mode, "nonce_index": transaction.nonce_index}
            if transaction.version
            else {}
        ),
        "priority_fee": 0,
        "signature": f"{transaction.public_key.curve}:{signature}",
        "hash": signed.tx_hash,
    }


def receipt_view(receipt: ActionReceipt | DataReceipt) -> JsonObject:
    match receipt:
        case ActionReceipt():
            body: JsonObject = {
                "Action": {
                    "signer_id": receipt.signer_id,
                    "signer_public_key": receipt.signer_public_key,
                    "gas_price": str(receipt.gas_price),
                    "actions": [action_view(action) for action in receipt.actions],
                    "input_data_ids": list(receipt.input_data_ids),
                    "output_data_receivers": [
                        {"data_id": output.data_id, "receiver_id": output.receiver_id}
                        for output in receipt.output_data_receivers
                    ],
                    "is_promise_yield": False,
                }
            }
        case DataReceipt():
            data = None if receipt.data is None else _base64(receipt.data)
            body = {"Data": {"data_id": receipt.data_id, "data": data, "is_promise_resume": False}}
        case _:
            assert_never(receipt)
    return {
        "predecessor_id": receipt.predecessor_id,
        "receiver_id": receipt.receiver_id,
        "receipt_id": receipt.receipt_id,
        "receipt": body,
        "priority": 0,
    }


def status_view(status: ExecutionStatus, *, unknown: str) -> JsonValue:
    """`unknown` is the word for what has no outcome yet: `Unknown` of an outcome, `Started` of a transaction."""
    match status:
        case Unknown():
            return unknown
        case Failure(error):
            return {"Failure": error}
        case SuccessValue(value):
            return {"SuccessValue": _base64(value)}
        case SuccessReceiptId(receipt_id):
            return {"SuccessReceiptId": receipt_id}
        case _:
            assert_never(status)


def outcome_view(executed: Executed, metadata: JsonObject) -> JsonObject:
    execution = executed.execution
    return {
        "id": execution.id,
        "block_hash": executed.block_hash,
        "proof": [],
        "outcome": {
            "executor_id": execution.executor_id,
            "logs": list(execution.logs),
            "receipt_ids": list(execution.receipt_ids),
            "gas_burnt": execution.gas_burnt,
            "tokens_burnt": str(execution.tokens_burnt),
            "status": status_view(execution.status, unknown="Unknown"),
            "metadata": metadata,
        },
    }


def track_view(track: TransactionTrack, final_height: int) -> JsonObject:
    """nearcore's FinalExecutionOutcomeView with the level reached."""
    return {
        "final_execution_status": track.level(final_height),
        "status": status_view(track.status(), unknown="Started"),
        "transaction": transaction_view(track.signed),
        "transaction_outcome": outcome_view(track.included, TRANSACTION_METADATA),
        "receipts_outcome": [outcome_view(executed, RECEIPT_METADATA) for executed in track.outcomes()],
    }


def chunk_view(header: Header, config: RuntimeConfig) -> JsonObject:
    """The header of a block's one chunk."""
    return {
        "chunk_hash": header.chunk_hash,
        "prev_block_hash": header.prev_hash,
        "outcome_root": header.outcome_root,
        "prev_state_root": header.prev_state_root,
        "encoded_merkle_root": ZERO_HASH,
        "encoded_length": 0,
        "height_created": header.height,
        "height_included": header.height,
        "shard_id": 0,
        "gas_used": header.gas_used,
        "gas_limit": config.gas_limit,
        "rent_paid": "0",
        "validator_reward": "0",
        "balance_burnt": str(header.tokens_burnt),
        "outgoing_receipts_root": ZERO_HASH,
        "tx_root": header.tx_root,
        "validator_proposals": [],
        "congestion_info": {
            "delayed_receipts_gas": "0",
            "buffered_receipts_gas": "0",
            "receipt_bytes": 0,
            "allowed_shard": 0,
        },
        "bandwidth_requests": None,
        "signature": NO_SIGNATURE,
    }


def header_view(
    header: Header,
    prev: Header | None,
    epochs: tuple[CryptoHash, CryptoHash],
    final: CryptoHash,
    config: RuntimeConfig,
) -> JsonObject:
    """A block header; `epochs` are the ids of its epoch and the next, `final` the last block that was final before it.

    `prev` is the block before, None where it is no longer known.
    """
    return {
        "height": header.height,
        "prev_height": prev.height if prev is not None else None,
        "epoch_id": epochs[0],
        "next_epoch_id": epochs[1],
        "hash": header.hash,
        "prev_hash": header.prev_hash,
        "prev_state_root": header.prev_state_root,
        "chunk_receipts_root": header.receipts_root,
        "chunk_headers_root": header.chunk_hash,
        "chunk_tx_root": header.tx_root,
        "outcome_root": header.outcome_root,
        "chunks_included": 1,
        "challenges_root": ZERO_HASH,
        "timestamp": header.timestamp_ns,
        "timestamp_nanosec": str(header.timestamp_ns),
        "random_value": CryptoHash.of(b"random" + header.hash.raw),
        "validator_proposals": [],
        "chunk_mask": [True],
        "gas_price": str(config.min_gas_price),
        "block_ordinal": header.height,
        "rent_paid": "0",
        "validator_reward": "0",
        "total_supply": str(header.total_supply),
        "challenges_result": [],
        "last_final_block": final,
        "last_ds_final_block": final,
        "next_bp_hash": ZERO_HASH,
        "block_merkle_root": header.prev_state_root,
        "block_body_hash": header.tx_root,
        "epoch_sync_data_hash": None,
        "chunk_endorsements": [[]],
        "approvals": [],
        "signature": NO_SIGNATURE,
        "latest_protocol_version": config.protocol_version,
    }


def time_view(timestamp_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(timestamp_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
