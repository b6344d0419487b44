"""Contracts that are published once and used by many accounts (NEP-591), and accounts made of one (NEP-616).

A published contract is there for receipts that run after the one that published it; on this chain of one shard nothing
has to be distributed.
"""

from dataclasses import replace
from typing import Final, assert_never

from pydantic import JsonValue

from contracts.calls import DeterministicStateInit, GlobalAccountId, GlobalCodeHash, GlobalContract
from contracts.types import AccountId
from contracts.vm.config import RuntimeConfig
from contracts.vm.failures import action_error
from contracts.vm.fees import contract_name_bytes
from contracts.vm.state import Account, Overlay, StateReader, published_name

_NO_CODE: Final = b""


def contract_bytes(state: StateReader, account: Account) -> int:
    """Storage bytes of an account's contract: its own code, or the name of a global one."""
    if account.global_contract is not None:
        return contract_name_bytes(account.global_contract)
    code = state.code(account.code_hash) if account.code_hash is not None else None
    return len(code or _NO_CODE)


def pay_for_publishing(config: RuntimeConfig, account_id: AccountId, account: Account, code: bytes) -> Account:
    """The account without what publishing burns. ChainError LackBalanceForState."""
    cost = publishing_cost(config, code)
    if cost > account.amount:
        raise action_error(
            "LackBalanceForState",
            f"publishing {len(code)} bytes burns {cost} yoctoNEAR, {account_id} has {account.amount}",
            account_id=str(account_id),
            amount=str(cost),
        )
    return replace(account, amount=account.amount - cost)


def publishing_cost(config: RuntimeConfig, code: bytes) -> int:
    return config.global_contract_amount_per_byte * len(code)


def use_global_contract(overlay: Overlay, account: Account, contract: GlobalContract) -> Account:
    """The account with that contract in the place of what it ran. ChainError GlobalContractDoesNotExist."""
    if overlay.published(published_name(contract)) is None:
        raise action_error(
            "GlobalContractDoesNotExist", f"nobody published the contract {contract}", identifier=identifier(contract)
        )
    usage = account.storage_usage - contract_bytes(overlay, account) + contract_name_bytes(contract)
    return replace(account, code_hash=None, global_contract=contract, storage_usage=usage)


def identifier(contract: GlobalContract) -> JsonValue:
    """nearcore's `GlobalContractIdentifier`."""
    match contract:
        case GlobalCodeHash(code_hash):
            return {"CodeHash": str(code_hash)}
        case GlobalAccountId(account_id):
            return {"AccountId": str(account_id)}
        case _:
            assert_never(contract)


def init_state(
    config: RuntimeConfig,
    overlay: Overlay,
    account_id: AccountId,
    account: Account | None,
    action: DeterministicStateInit,
) -> Account:
    """The account with contract and records, where it has none yet; the deposit is not in it."""
    if account is None:
        account = Account(0, 0, None, config.storage_num_bytes_account)
    if account.code_hash is not None or account.global_contract is not None:
        return account
    account = use_global_contract(overlay, account, action.state_init.code)
    usage = account.storage_usage
    for key, value in action.state_init.data:
        overlay.set_storage(account_id, key, value)
        usage += len(key) + len(value) + config.storage_num_extra_bytes_record
    return replace(account, storage_usage=usage)
