"""The same transactions in near-kit's and py-near's own types: two encoders that nobody here wrote."""

from typing import Any, Final, assert_never, cast

import py_near_primitives
from near import wire
from near.keys import Ed25519KeyPair

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
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
    Stake,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.signing.transaction import Transaction
from contracts.types import PublicKey

_KIT_KEYS: Final = {
    "ed25519": wire.PublicKeyWire.Ed25519,
    "secp256k1": wire.PublicKeyWire.Secp256k1,
    "ml-dsa-65": wire.PublicKeyWire.MlDsa65,
}
_NEAR: Final[Any] = py_near_primitives  # a compiled module without types


def near_kit(transaction: Transaction) -> bytes:
    """near-kit's unsigned bytes."""
    return _kit_transaction(transaction).to_borsh()


def near_kit_signed(transaction: Transaction, seed: bytes) -> tuple[str, bytes]:
    """near-kit's hash and signed bytes, with the ed25519 key of a seed."""
    return wire.sign_transaction(_kit_transaction(transaction), _Signer(transaction.signer_id, seed))


class _Signer(Ed25519KeyPair):
    """near-kit wants to know whose key it is."""

    def __init__(self, account_id: str, seed: bytes) -> None:
        super().__init__(seed)
        self.account_id = account_id


def _kit_transaction(transaction: Transaction) -> wire.AnyTransaction:
    fields: dict[str, Any] = {
        "signer_id": transaction.signer_id,
        "public_key": _kit_key(transaction.public_key),
        "receiver_id": transaction.receiver_id,
        "block_hash": transaction.block_hash.raw,
        "actions": [_kit_action(action) for action in transaction.actions],
    }
    if transaction.version == 0:
        return wire.Transaction(nonce=transaction.nonce, **fields)
    nonce: wire.AnyTransactionNonce = wire.TransactionNonce.Nonce(nonce=transaction.nonce)
    if transaction.nonce_index is not None:
        nonce = wire.TransactionNonce.GasKeyNonce(nonce=transaction.nonce, nonce_index=transaction.nonce_index)
    strict = transaction.nonce_mode == "strict"
    mode = wire.NonceMode.Strict() if strict else wire.NonceMode.Monotonic()
    return wire.TransactionV1(nonce=nonce, nonce_mode=mode, **fields)


def near_kit_delegate_hash(action: DelegateAction) -> bytes:
    return wire.delegate_action_signing_hash(_kit_delegate(action))


def _kit_key(key: PublicKey) -> wire.AnyPublicKey:
    return _KIT_KEYS[key.curve](data=key.raw)


def _kit_delegate(action: DelegateAction) -> wire.DelegateAction:
    return wire.DelegateAction(
        sender_id=action.sender_id,
        receiver_id=action.receiver_id,
        actions=cast("Any", [_kit_action(inner) for inner in action.actions]),
        nonce=action.nonce,
        max_block_height=action.max_block_height,
        public_key=_kit_key(action.public_key),
    )


def _kit_action(action: Action) -> wire.AnyAction:
    made = wire.Action
    match action:
        case Delegate(delegate_action, signature):
            kit: wire.AnyAction = made.SignedDelegate(
                delegate_action=_kit_delegate(delegate_action), signature=wire.SignatureWire.Ed25519(data=signature)
            )
        case DeployGlobalContract(code, deploy_mode):
            modes = wire.GlobalContractDeployMode
            mode = modes.CodeHash() if deploy_mode == "code_hash" else modes.AccountId()
            kit = made.DeployGlobalContract(code=code, deploy_mode=mode)
        case UseGlobalContract(contract):
            kit = made.UseGlobalContract(contract_identifier=_kit_contract(contract))
        case DeterministicStateInit(state_init, deposit):
            init = wire.DeterministicAccountStateInit(code=_kit_contract(state_init.code), data=list(state_init.data))
            kit = made.DeterministicStateInit(state_init=init, deposit=deposit)
        case TransferToGasKey(key, deposit):
            kit = made.TransferToGasKey(public_key=_kit_key(key), deposit=deposit)
        case WithdrawFromGasKey(key, amount):
            kit = made.WithdrawFromGasKey(public_key=_kit_key(key), amount=amount)
        case _:
            kit = _kit_classic(action)
    return kit


def _kit_classic(
    action: CreateAccount | DeployContract | FunctionCall | Transfer | Stake | AddKey | DeleteKey | DeleteAccount,
) -> wire.AnyAction:
    made = wire.Action
    match action:
        case CreateAccount():
            kit: wire.AnyAction = made.CreateAccount()
        case DeployContract(code):
            kit = made.DeployContract(code=code)
        case FunctionCall(method_name, args, gas, deposit):
            kit = made.FunctionCall(method_name=method_name, args=args, gas=gas, deposit=deposit)
        case Transfer(deposit):
            kit = made.Transfer(deposit=deposit)
        case Stake(stake, key):
            kit = made.Stake(stake=stake, public_key=_kit_key(key))
        case AddKey(key, permission, nonce):
            access_key = wire.AccessKey(nonce=nonce, permission=_kit_permission(permission))
            kit = made.AddKey(public_key=_kit_key(key), access_key=access_key)
        case DeleteKey(key):
            kit = made.DeleteKey(public_key=_kit_key(key))
        case DeleteAccount(beneficiary_id):
            kit = made.DeleteAccount(beneficiary_id=beneficiary_id)
        case _:
            assert_never(action)
    return kit


def _kit_contract(contract: GlobalContract) -> wire.AnyGlobalContractIdentifier:
    match contract:
        case GlobalCodeHash(code_hash):
            return wire.GlobalContractIdentifier.CodeHash(code_hash=code_hash.raw)
        case GlobalAccountId(account_id):
            return wire.GlobalContractIdentifier.AccountId(account_id=account_id)
        case _:
            assert_never(contract)


def _kit_permission(permission: Permission) -> wire.AnyAccessKeyPermission:
    made = wire.AccessKeyPermission
    match permission:
        case FullAccess():
            return made.FullAccess()
        case FunctionCallAccess(receiver_id, methods, allowance):
            return made.FunctionCall(allowance=allowance, receiver_id=receiver_id, method_names=list(methods))
        case GasKeyFullAccess(balance, num_nonces):
            return made.GasKeyFullAccess(gas_key_info=wire.GasKeyInfo(balance=balance, num_nonces=num_nonces))
        case GasKeyFunctionCallAccess(balance, num_nonces, receiver_id, methods, allowance):
            return made.GasKeyFunctionCall(
                gas_key_info=wire.GasKeyInfo(balance=balance, num_nonces=num_nonces),
                function_call=wire.FunctionCallPermission(
                    allowance=allowance, receiver_id=receiver_id, method_names=list(methods)
                ),
            )
        case _:
            assert_never(permission)


def py_near(transaction: Transaction, secret: bytes) -> bytes:
    """py-near's signed bytes; `secret` is seed and public half. KeyError for an action that it does not know."""
    made = _NEAR.Transaction(
        str(transaction.signer_id),
        transaction.public_key.raw,
        transaction.nonce,
        str(transaction.receiver_id),
        transaction.block_hash.raw,
        [_py_action(action) for action in transaction.actions],
    )
    return bytes(bytearray(made.to_vec(secret)))


def py_near_delegate_hash(action: DelegateAction) -> bytes:
    return bytes(bytearray(_py_delegate(action).get_nep461_hash()))


def _py_delegate(action: DelegateAction) -> Any:
    return _NEAR.DelegateAction(
        str(action.sender_id),
        str(action.receiver_id),
        [_py_action(inner) for inner in action.actions],
        action.nonce,
        action.max_block_height,
        action.public_key.raw,
    )


def _py_action(action: Action) -> Any:
    match action:
        case DeployContract(code):
            made = _NEAR.DeployContractAction(code)
        case FunctionCall(method_name, args, gas, deposit):
            made = _NEAR.FunctionCallAction(method_name, args, gas, deposit)
        case Transfer(deposit):
            made = _NEAR.TransferAction(deposit)
        case AddKey(key, permission, nonce):
            made = _NEAR.AddKeyAction(key.raw, _NEAR.AccessKey(nonce, _py_permission(permission)))
        case Delegate(delegate_action, signature):
            made = _NEAR.SignedDelegateAction(_py_delegate(delegate_action), signature)
        case DeployGlobalContract(code, "code_hash"):
            made = _NEAR.DeployGlobalContractAction.from_code_hash(code)
        case DeployGlobalContract(code):
            made = _NEAR.DeployGlobalContractAction.from_account_id(code)
        case UseGlobalContract(GlobalCodeHash(code_hash)):
            made = _NEAR.UseGlobalContractAction.from_code_hash(code_hash.raw)
        case UseGlobalContract(GlobalAccountId(account_id)):
            made = _NEAR.UseGlobalContractAction.from_account_id(str(account_id))
        case _:
            made = _py_small(action)
    return made


def _py_small(action: Action) -> Any:
    match action:
        case CreateAccount():
            return _NEAR.CreateAccountAction()
        case Stake(stake, key):
            return _NEAR.StakeAction(stake, key.raw)
        case DeleteKey(key):
            return _NEAR.DeleteKeyAction(key.raw)
        case DeleteAccount(beneficiary_id):
            return _NEAR.DeleteAccountAction(str(beneficiary_id))
        case _:
            raise KeyError(action.kind)


def _py_permission(permission: Permission) -> Any:
    match permission:
        case FullAccess():
            return _NEAR.AccessKeyPermissionFieldless.FullAccess
        case FunctionCallAccess(receiver_id, methods, allowance):
            return _NEAR.FunctionCallPermission(str(receiver_id), list(methods), allowance)
        case _:
            raise KeyError(permission.kind)
