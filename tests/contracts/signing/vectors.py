"""The golden vectors as values: transactions that several implementations agree on, and the keys that signed them."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    DelegateAction,
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
from contracts.signing.messages import delegate_hash, signed_delegate
from contracts.signing.signatures import unsafe_secp256k1_sign
from contracts.signing.transaction import Transaction
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "transactions.json").read_text()
)
BY_NAME: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in VECTORS["transactions"]}
SECP256K1_SECRET = bytes(range(1, 33))
NO_KEY = PublicKey.from_bytes("ed25519", bytes(32))


def vector_signature(key_name: str, digest: bytes) -> bytes:
    """By one of the vectors' keys, over a hash."""
    if key_name == "secp256k1":
        return unsafe_secp256k1_sign(SECP256K1_SECRET, digest)
    return SigningKey(bytes.fromhex(VECTORS["keys"][key_name]["seed_hex"])).sign(digest).signature


def vector_transaction(vector: Mapping[str, Any]) -> Transaction:
    is_v1 = vector.get("version") == 1
    return Transaction(
        signer_id=AccountId(vector["signer_id"]),
        public_key=PublicKey(vector["public_key"]),
        nonce=int(vector["nonce"]),
        receiver_id=AccountId(vector["receiver_id"]),
        block_hash=CryptoHash(vector["block_hash"]),
        actions=tuple(_action(action, vector["signing_key"]) for action in vector["actions"]),
        version=1 if is_v1 else 0,
        nonce_mode="strict" if vector.get("nonce_mode") == "Strict" else "monotonic",
        nonce_index=vector.get("nonce_index"),
    )


def _action(value: Mapping[str, Any], signing_key: str) -> Action:
    if value["type"] != "Delegate":
        return _plain(value)
    given = value["delegate_action"]
    action = DelegateAction(
        AccountId(given["sender_id"]),
        AccountId(given["receiver_id"]),
        tuple(_plain(item) for item in given["actions"]),
        int(given["nonce"]),
        int(given["max_block_height"]),
        PublicKey(given["public_key"]),
    )
    return signed_delegate(action, vector_signature(signing_key, delegate_hash(action)))


def _plain(value: Mapping[str, Any]) -> PlainAction:
    match value["type"]:
        case "DeployGlobalContract":
            mode = "code_hash" if value["deploy_mode"] == "CodeHash" else "account_id"
            return DeployGlobalContract(base64.b64decode(value["code_base64"]), mode)
        case "UseGlobalContract":
            return UseGlobalContract(_global(value["contract_identifier"]))
        case "DeterministicStateInit":
            data = tuple((bytes.fromhex(key), bytes.fromhex(item)) for key, item in value["data"])
            return DeterministicStateInit(StateInit(_global(value["code"]), data), Yocto(int(value["deposit"])))
        case "TransferToGasKey":
            return TransferToGasKey(PublicKey(value["public_key"]), Yocto(int(value["deposit"])))
        case "WithdrawFromGasKey":
            return WithdrawFromGasKey(PublicKey(value["public_key"]), Yocto(int(value["amount"])))
        case _:
            return _classic(value)


def _classic(value: Mapping[str, Any]) -> PlainAction:
    match value["type"]:
        case "CreateAccount":
            return CreateAccount()
        case "DeployContract":
            return DeployContract(base64.b64decode(value["code_base64"]))
        case "FunctionCall":
            args = base64.b64decode(value["args_base64"])
            return FunctionCall(value["method_name"], args, Gas(int(value["gas"])), Yocto(int(value["deposit"])))
        case "Transfer":
            return Transfer(Yocto(int(value["deposit"])))
        case "Stake":
            return Stake(Yocto(int(value["stake"])), PublicKey(value["public_key"]))
        case "AddKey":
            key = value["access_key"]
            return AddKey(PublicKey(value["public_key"]), _permission(key["permission"]), int(key["nonce"]))
        case "DeleteKey":
            return DeleteKey(PublicKey(value["public_key"]))
        case "DeleteAccount":
            return DeleteAccount(AccountId(value["beneficiary_id"]))
        case other:
            raise AssertionError(f"vector with an action of type {other}")


def _global(value: Mapping[str, str]) -> GlobalContract:
    if "code_hash" in value:
        return GlobalCodeHash(CryptoHash(value["code_hash"]))
    return GlobalAccountId(AccountId(value["account_id"]))


def _permission(value: Any) -> Permission:
    if value["type"] == "FullAccess":
        return FullAccess()
    if value["type"] == "GasKeyFullAccess":
        return GasKeyFullAccess(Yocto(int(value["balance"])), value["num_nonces"])
    receiver_id, methods = AccountId(value["receiver_id"]), tuple(value["method_names"])
    allowance = None if value["allowance"] is None else Yocto(int(value["allowance"]))
    if value["type"] == "GasKeyFunctionCall":
        balance = Yocto(int(value["balance"]))
        return GasKeyFunctionCallAccess(balance, value["num_nonces"], receiver_id, methods, allowance)
    return FunctionCallAccess(receiver_id, methods, allowance)
