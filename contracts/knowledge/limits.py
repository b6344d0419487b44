"""The chain's limits that a call must keep, as its own protocol config states them."""

from dataclasses import dataclass

from contracts.types import Gas, Yocto


@dataclass(frozen=True, slots=True)
class Limits:
    """Names as in nearcore's `runtime_config.wasm_config.limit_config`; sizes in bytes."""

    max_total_prepaid_gas: Gas
    """Gas of all function calls of one transaction together."""
    max_actions_per_receipt: int
    max_length_method_name: int
    max_arguments_length: int
    max_transaction_size: int
    max_contract_size: int
    storage_amount_per_byte: Yocto
    """What an account must hold for each byte it uses."""
