"""Access keys in the state: added, deleted, and the purses of gas keys, per nearcore's `access_keys.rs`."""

from dataclasses import replace

from contracts.calls import FunctionCallAccess, GasKeyFullAccess, GasKeyFunctionCallAccess, Permission
from contracts.errors import ChainError
from contracts.signing.action_bytes import encode_permission
from contracts.types import AccountId, PublicKey, Yocto
from contracts.vm.config import RuntimeConfig
from contracts.vm.failures import action_error
from contracts.vm.fees import NONCE_BYTES, NONCE_INDEX_BYTES, key_bytes
from contracts.vm.state import AccessKey, Account, Overlay


def key_storage_bytes(config: RuntimeConfig, public_key: PublicKey, permission: Permission) -> int:
    """Bytes that an access key takes: Borsh of key, nonce and permission, and 40; a gas key's nonces are such records too."""
    extra = config.storage_num_extra_bytes_record
    size = key_bytes(public_key) + NONCE_BYTES + len(encode_permission(permission)) + extra
    if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        size += permission.num_nonces * (key_bytes(public_key) + NONCE_INDEX_BYTES + NONCE_BYTES + extra)
    return size


def add_key(
    config: RuntimeConfig,
    overlay: Overlay,
    account_id: AccountId,
    account: Account,
    public_key: PublicKey,
    permission: Permission,
    first_nonce: int,
) -> Account:
    """The account with the key's storage. ChainError AddKeyAlreadyExists."""
    if overlay.access_key(account_id, public_key) is not None:
        raise action_error(
            "AddKeyAlreadyExists",
            f"{public_key} is a key of {account_id} already",
            account_id=str(account_id),
            public_key=public_key.listed,
        )
    access_key = AccessKey(first_nonce, permission)
    if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        access_key = AccessKey(0, permission, (first_nonce,) * permission.num_nonces)
    overlay.set_access_key(account_id, public_key, access_key)
    return replace(account, storage_usage=account.storage_usage + key_storage_bytes(config, public_key, permission))


def delete_key(
    config: RuntimeConfig, overlay: Overlay, account_id: AccountId, account: Account, public_key: PublicKey
) -> tuple[Account, int]:
    """The account without the key's storage, and the yoctoNEAR that a gas key still had, which are burnt.

    ChainError DeleteKeyDoesNotExist, or GasKeyBalanceTooHigh where that is more than 1 NEAR.
    """
    access_key = overlay.access_key(account_id, public_key)
    if access_key is None:
        raise action_error(
            "DeleteKeyDoesNotExist",
            f"{public_key} is no key of {account_id}",
            account_id=str(account_id),
            public_key=public_key.listed,
        )
    burnt = purse(access_key)
    if burnt > config.max_gas_key_balance_to_burn:
        raise balance_too_high(account_id, burnt, public_key.listed)
    overlay.set_access_key(account_id, public_key, None)
    usage = account.storage_usage - key_storage_bytes(config, public_key, access_key.permission)
    return replace(account, storage_usage=usage), burnt


def balance_too_high(account_id: AccountId, balance: int, public_key: str | None) -> ChainError:
    """Gas keys hold too much to be deleted, one of them or all of an account (None)."""
    return action_error(
        "GasKeyBalanceTooHigh",
        f"gas keys of {account_id} hold {balance} yoctoNEAR; withdraw them first",
        account_id=str(account_id),
        public_key=public_key,
        balance=str(balance),
    )


def purse(access_key: AccessKey) -> int:
    """yoctoNEAR in a gas key; 0 for any other key."""
    permission = access_key.permission
    return permission.balance if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess) else 0


def fill_gas_key(overlay: Overlay, account_id: AccountId, public_key: PublicKey, amount: int) -> None:
    """Put yoctoNEAR into a gas key, or take them out. ChainError GasKeyDoesNotExist or InsufficientGasKeyBalance."""
    access_key = overlay.access_key(account_id, public_key)
    if access_key is None or not isinstance(access_key.permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        raise action_error(
            "GasKeyDoesNotExist",
            f"{public_key} is no gas key of {account_id}",
            account_id=str(account_id),
            public_key=str(public_key),
        )
    balance = access_key.permission.balance
    if balance + amount < 0:
        raise action_error(
            "InsufficientGasKeyBalance",
            f"the gas key {public_key} has {balance} yoctoNEAR, {-amount} are to be withdrawn",
            account_id=str(account_id),
            public_key=str(public_key),
            balance=str(balance),
            required=str(-amount),
        )
    overlay.set_access_key(account_id, public_key, _with_balance(access_key, balance + amount))


def take_gas_back(overlay: Overlay, account_id: AccountId, public_key: PublicKey, amount: int) -> bool:
    """Give refunded gas to the key that paid it: True where a gas key took it, so that the account gets nothing.

    A function-call key's allowance grows by it, and the account gets the money.
    """
    access_key = overlay.access_key(account_id, public_key)
    if access_key is None:
        return False
    permission = access_key.permission
    if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        overlay.set_access_key(account_id, public_key, _with_balance(access_key, permission.balance + amount))
        return True
    if isinstance(permission, FunctionCallAccess) and permission.allowance is not None:
        restored = replace(permission, allowance=Yocto(permission.allowance + amount))
        overlay.set_access_key(account_id, public_key, replace(access_key, permission=restored))
    return False


def used_key(access_key: AccessKey, nonce: int, nonce_index: int | None, gas_cost: int, deposit: int) -> AccessKey:
    """The key after a transaction that it signed: nonce used up, and allowance or purse charged."""
    permission = access_key.permission
    if isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess) and nonce_index is not None:
        nonces = (*access_key.nonces[:nonce_index], nonce, *access_key.nonces[nonce_index + 1 :])
        return replace(_with_balance(access_key, permission.balance - gas_cost), nonces=nonces)
    if isinstance(permission, FunctionCallAccess) and permission.allowance is not None:
        permission = replace(permission, allowance=Yocto(permission.allowance - gas_cost - deposit))
    return replace(access_key, nonce=nonce, permission=permission)


def _with_balance(access_key: AccessKey, balance: int) -> AccessKey:
    permission = access_key.permission
    if not isinstance(permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        return access_key
    return replace(access_key, permission=replace(permission, balance=Yocto(balance)))
