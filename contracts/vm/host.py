"""The table of NEAR's host functions: every `env` import known to contracts built with near-sdk 2 to 5.

Each entry has the signature of nearcore's `imports.rs`. What this chain does not offer is in the table as well, so that
such a contract loads and its other methods work; calling one of those stops it with a LinkError.
"""

from typing import Final

from contracts.vm import host_context as context
from contracts.vm import host_crypto as crypto
from contracts.vm import host_newer_actions as newer
from contracts.vm import host_output as output
from contracts.vm import host_promises as promises
from contracts.vm import host_storage as storage
from contracts.vm.native import HostFunction

_OFFERED: Final = {
    "read_register": HostFunction(context.read_register, "QQ"),
    "register_len": HostFunction(context.register_len, "Q", "Q"),
    "write_register": HostFunction(context.write_register, "QQQ"),
    "current_account_id": HostFunction(context.current_account_id, "Q"),
    "signer_account_id": HostFunction(context.signer_account_id, "Q"),
    "signer_account_pk": HostFunction(context.signer_account_pk, "Q"),
    "predecessor_account_id": HostFunction(context.predecessor_account_id, "Q"),
    "refund_to_account_id": HostFunction(context.refund_to_account_id, "Q"),
    "input": HostFunction(context.call_input, "Q"),
    "block_index": HostFunction(context.block_index, "", "Q"),
    "block_timestamp": HostFunction(context.block_timestamp, "", "Q"),
    "epoch_height": HostFunction(context.epoch_height, "", "Q"),
    "storage_usage": HostFunction(context.storage_usage, "", "Q"),
    "account_balance": HostFunction(context.account_balance, "Q"),
    "account_locked_balance": HostFunction(context.account_locked_balance, "Q"),
    "attached_deposit": HostFunction(context.attached_deposit, "Q"),
    "prepaid_gas": HostFunction(context.prepaid_gas, "", "Q"),
    "used_gas": HostFunction(context.used_gas, "", "Q"),
    "random_seed": HostFunction(context.random_seed, "Q"),
    "validator_stake": HostFunction(context.validator_stake, "QQQ"),
    "validator_total_stake": HostFunction(context.validator_total_stake, "Q"),
    "gas": HostFunction(context.gas, "I"),
    "sha256": HostFunction(crypto.sha256, "QQQ"),
    "keccak256": HostFunction(crypto.keccak256, "QQQ"),
    "keccak512": HostFunction(crypto.keccak512, "QQQ"),
    "ripemd160": HostFunction(crypto.ripemd160, "QQQ"),
    "ed25519_verify": HostFunction(crypto.ed25519_verify, "QQQQQQ", "Q"),
    "ecrecover": HostFunction(crypto.ecrecover, "QQQQQQQ", "Q"),
    "alt_bn128_g1_multiexp": HostFunction(crypto.alt_bn128_g1_multiexp, "QQQ"),
    "alt_bn128_g1_sum": HostFunction(crypto.alt_bn128_g1_sum, "QQQ"),
    "alt_bn128_pairing_check": HostFunction(crypto.alt_bn128_pairing_check, "QQ", "Q"),
    "value_return": HostFunction(output.value_return, "QQ"),
    "panic": HostFunction(output.panic, ""),
    "panic_utf8": HostFunction(output.panic_utf8, "QQ"),
    "abort": HostFunction(output.abort, "IIII"),
    "log_utf8": HostFunction(output.log_utf8, "QQ"),
    "log_utf16": HostFunction(output.log_utf16, "QQ"),
    "storage_write": HostFunction(storage.storage_write, "QQQQQ", "Q"),
    "storage_read": HostFunction(storage.storage_read, "QQQ", "Q"),
    "storage_remove": HostFunction(storage.storage_remove, "QQQ", "Q"),
    "storage_has_key": HostFunction(storage.storage_has_key, "QQ", "Q"),
    "storage_iter_prefix": HostFunction(storage.storage_iter_prefix, "QQ", "Q"),
    "storage_iter_range": HostFunction(storage.storage_iter_range, "QQQQ", "Q"),
    "storage_iter_next": HostFunction(storage.storage_iter_next, "QQQ", "Q"),
    "promise_create": HostFunction(promises.promise_create, "QQQQQQQQ", "Q"),
    "promise_then": HostFunction(promises.promise_then, "QQQQQQQQQ", "Q"),
    "promise_and": HostFunction(promises.promise_and, "QQ", "Q"),
    "promise_batch_create": HostFunction(promises.promise_batch_create, "QQ", "Q"),
    "promise_batch_then": HostFunction(promises.promise_batch_then, "QQQ", "Q"),
    "promise_batch_action_create_account": HostFunction(promises.promise_batch_action_create_account, "Q"),
    "promise_batch_action_deploy_contract": HostFunction(promises.promise_batch_action_deploy_contract, "QQQ"),
    "promise_batch_action_function_call": HostFunction(promises.promise_batch_action_function_call, "QQQQQQQ"),
    "promise_batch_action_function_call_weight": HostFunction(
        promises.promise_batch_action_function_call_weight, "QQQQQQQQ"
    ),
    "promise_batch_action_transfer": HostFunction(promises.promise_batch_action_transfer, "QQ"),
    "promise_batch_action_stake": HostFunction(promises.promise_batch_action_stake, "QQQQ"),
    "promise_batch_action_add_key_with_full_access": HostFunction(
        promises.promise_batch_action_add_key_with_full_access, "QQQQ"
    ),
    "promise_batch_action_add_key_with_function_call": HostFunction(
        promises.promise_batch_action_add_key_with_function_call, "QQQQQQQQQ"
    ),
    "promise_batch_action_delete_key": HostFunction(promises.promise_batch_action_delete_key, "QQQ"),
    "promise_batch_action_delete_account": HostFunction(promises.promise_batch_action_delete_account, "QQQ"),
    "promise_batch_action_deploy_global_contract": HostFunction(
        newer.promise_batch_action_deploy_global_contract, "QQQ"
    ),
    "promise_batch_action_deploy_global_contract_by_account_id": HostFunction(
        newer.promise_batch_action_deploy_global_contract_by_account_id, "QQQ"
    ),
    "promise_batch_action_use_global_contract": HostFunction(newer.promise_batch_action_use_global_contract, "QQQ"),
    "promise_batch_action_use_global_contract_by_account_id": HostFunction(
        newer.promise_batch_action_use_global_contract_by_account_id, "QQQ"
    ),
    "promise_batch_action_state_init": HostFunction(newer.promise_batch_action_state_init, "QQQQ", "Q"),
    "promise_batch_action_state_init_by_account_id": HostFunction(
        newer.promise_batch_action_state_init_by_account_id, "QQQQ", "Q"
    ),
    "set_state_init_data_entry": HostFunction(newer.set_state_init_data_entry, "QQQQQQ"),
    "promise_batch_action_transfer_to_gas_key": HostFunction(newer.promise_batch_action_transfer_to_gas_key, "QQQQ"),
    "promise_batch_action_add_gas_key_with_full_access": HostFunction(
        newer.promise_batch_action_add_gas_key_with_full_access, "QQQQ"
    ),
    "promise_batch_action_add_gas_key_with_function_call": HostFunction(
        newer.promise_batch_action_add_gas_key_with_function_call, "QQQQQQQQQ"
    ),
    "promise_results_count": HostFunction(promises.promise_results_count, "", "Q"),
    "promise_result": HostFunction(promises.promise_result, "QQ", "Q"),
    "promise_return": HostFunction(promises.promise_return, "Q"),
}

NOT_OFFERED: Final[dict[str, tuple[str, str]]] = {
    "current_contract_code": ("Q", "Q"),
    "p256_verify": ("QQQQQQ", "Q"),
    "bls12381_p1_sum": ("QQQ", "Q"),
    "bls12381_p2_sum": ("QQQ", "Q"),
    "bls12381_g1_multiexp": ("QQQ", "Q"),
    "bls12381_g2_multiexp": ("QQQ", "Q"),
    "bls12381_map_fp_to_g1": ("QQQ", "Q"),
    "bls12381_map_fp2_to_g2": ("QQQ", "Q"),
    "bls12381_pairing_check": ("QQ", "Q"),
    "bls12381_p1_decompress": ("QQQ", "Q"),
    "bls12381_p2_decompress": ("QQQ", "Q"),
    "promise_yield_create": ("QQQQQQQ", "Q"),
    "promise_yield_resume": ("QQQQ", "I"),
    "promise_set_refund_to": ("QQQ", ""),
    "promise_batch_action_withdraw_from_gas_key": ("QQQQ", ""),
}


def host_functions() -> dict[str, HostFunction]:
    """All of them by name."""
    table = dict(_OFFERED)
    for name, (params, result) in NOT_OFFERED.items():
        table[name] = HostFunction(crypto.not_offered(name), params, "I" if result == "I" else "Q" if result else "")
    return table
