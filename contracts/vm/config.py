"""Protocol parameters as of version 86: fees, limits, storage prices.

Source: nearcore `core/parameters/res/runtime_configs/parameters.snap` (all gas figures in gas units) and the genesis
parameters of mainnet (gas prices, validity, epoch length). Field names are nearcore's, so that `runtime_config_view`
is `EXPERIMENTAL_protocol_config`'s `runtime_config` object.
"""

from dataclasses import asdict, dataclass
from typing import Final

from pydantic import TypeAdapter

from contracts.types import AccountId, JsonObject

_REGISTRAR: Final = AccountId("registrar")


@dataclass(frozen=True, slots=True)
class Fee:
    """Gas of one action: bought and burnt by the sender, and by the receiver when it executes."""

    send_sir: int
    """Where sender is receiver."""
    send_not_sir: int
    execution: int

    def send(self, *, sir: bool) -> int:
        return self.send_sir if sir else self.send_not_sir


@dataclass(frozen=True, slots=True)
class ActionFees:
    create_account_cost: Fee = Fee(3_850_000_000_000, 3_850_000_000_000, 3_850_000_000_000)
    deploy_contract_cost: Fee = Fee(184_765_750_000, 184_765_750_000, 184_765_750_000)
    deploy_contract_cost_per_byte: Fee = Fee(6_812_999, 47_683_715, 64_572_944)
    function_call_cost: Fee = Fee(200_000_000_000, 200_000_000_000, 780_000_000_000)
    function_call_cost_per_byte: Fee = Fee(2_235_934, 47_683_715, 2_235_934)
    transfer_cost: Fee = Fee(115_123_062_500, 115_123_062_500, 115_123_062_500)
    stake_cost: Fee = Fee(141_715_687_500, 141_715_687_500, 102_217_625_000)
    add_full_access_key_cost: Fee = Fee(101_765_125_000, 101_765_125_000, 101_765_125_000)
    add_function_call_key_cost: Fee = Fee(102_217_625_000, 102_217_625_000, 102_217_625_000)
    add_function_call_key_cost_per_byte: Fee = Fee(1_925_331, 47_683_715, 1_925_331)
    delete_key_cost: Fee = Fee(94_946_625_000, 94_946_625_000, 94_946_625_000)
    delete_account_cost: Fee = Fee(147_489_000_000, 147_489_000_000, 147_489_000_000)
    delegate_cost: Fee = Fee(200_000_000_000, 200_000_000_000, 200_000_000_000)


@dataclass(frozen=True, slots=True)
class NewerFees:
    """Fees of the actions that came after NEP-366; nearcore's RPC does not show them.

    Source: nearcore's `parameters.yaml` with the changes of protocols 77 to 85; state init at its price of protocol 82.
    """

    deploy_global_contract: Fee = Fee(184_765_750_000, 184_765_750_000, 184_765_750_000)
    deploy_global_contract_per_byte: Fee = Fee(6_812_999, 47_683_715, 70_000_000)
    use_global_contract: Fee = Fee(184_765_750_000, 184_765_750_000, 184_765_750_000)
    use_global_contract_per_byte: Fee = Fee(6_812_999, 47_683_715, 64_572_944)
    deterministic_state_init: Fee = Fee(3_850_000_000_000, 3_850_000_000_000, 4_000_000_000_000)
    deterministic_state_init_per_entry: Fee = Fee(0, 0, 200_000_000_000)
    deterministic_state_init_per_byte: Fee = Fee(72_000_000, 72_000_000, 70_000_000)
    gas_key_transfer: Fee = Fee(115_123_062_500, 115_123_062_500, 235_676_644_250)
    gas_key_per_byte: Fee = Fee(59_357_464, 59_357_464, 101_435_400)
    gas_key_nonce_write: Fee = Fee(0, 0, 64_196_736_000)


@dataclass(frozen=True, slots=True)
class ExtCosts:
    """Gas of host functions (nearcore's `ExtCosts`)."""

    alt_bn128_g1_multiexp_base: int = 713_000_000_000
    alt_bn128_g1_multiexp_element: int = 320_000_000_000
    alt_bn128_g1_sum_base: int = 3_000_000_000
    alt_bn128_g1_sum_element: int = 5_000_000_000
    alt_bn128_pairing_check_base: int = 9_686_000_000_000
    alt_bn128_pairing_check_element: int = 5_102_000_000_000
    base: int = 264_768_111
    bls12381_g1_multiexp_base: int = 16_500_000_000
    bls12381_g1_multiexp_element: int = 930_000_000_000
    bls12381_g2_multiexp_base: int = 18_600_000_000
    bls12381_g2_multiexp_element: int = 1_995_000_000_000
    bls12381_map_fp2_to_g2_base: int = 1_500_000_000
    bls12381_map_fp2_to_g2_element: int = 900_000_000_000
    bls12381_map_fp_to_g1_base: int = 1_500_000_000
    bls12381_map_fp_to_g1_element: int = 252_000_000_000
    bls12381_p1_decompress_base: int = 15_000_000_000
    bls12381_p1_decompress_element: int = 81_000_000_000
    bls12381_p1_sum_base: int = 16_500_000_000
    bls12381_p1_sum_element: int = 6_000_000_000
    bls12381_p2_decompress_base: int = 15_000_000_000
    bls12381_p2_decompress_element: int = 165_000_000_000
    bls12381_p2_sum_base: int = 18_600_000_000
    bls12381_p2_sum_element: int = 15_000_000_000
    bls12381_pairing_base: int = 2_130_000_000_000
    bls12381_pairing_element: int = 2_130_000_000_000
    contract_compile_base: int = 0
    contract_compile_bytes: int = 0
    contract_loading_base: int = 35_445_963
    contract_loading_bytes: int = 1_089_295
    ecrecover_base: int = 278_821_988_457
    ed25519_verify_base: int = 210_000_000_000
    ed25519_verify_byte: int = 9_000_000
    keccak256_base: int = 5_879_491_275
    keccak256_byte: int = 21_471_105
    keccak512_base: int = 5_811_388_236
    keccak512_byte: int = 36_649_701
    log_base: int = 3_543_313_050
    log_byte: int = 13_198_791
    promise_and_base: int = 1_465_013_400
    promise_and_per_promise: int = 5_452_176
    promise_return: int = 560_152_386
    read_cached_trie_node: int = 2_280_000_000
    read_memory_base: int = 2_609_863_200
    read_memory_byte: int = 3_801_333
    read_register_base: int = 2_517_165_186
    read_register_byte: int = 98_562
    ripemd160_base: int = 853_675_086
    ripemd160_block: int = 680_107_584
    sha256_base: int = 4_540_970_250
    sha256_byte: int = 24_117_351
    storage_has_key_base: int = 54_039_896_625
    storage_has_key_byte: int = 30_790_845
    storage_iter_create_from_byte: int = 0
    storage_iter_create_prefix_base: int = 0
    storage_iter_create_prefix_byte: int = 0
    storage_iter_create_range_base: int = 0
    storage_iter_create_to_byte: int = 0
    storage_iter_next_base: int = 0
    storage_iter_next_key_byte: int = 0
    storage_iter_next_value_byte: int = 0
    storage_large_read_overhead_base: int = 1
    storage_large_read_overhead_byte: int = 1
    storage_read_base: int = 56_356_845_749
    storage_read_key_byte: int = 30_952_533
    storage_read_value_byte: int = 5_611_004
    storage_remove_base: int = 53_473_030_500
    storage_remove_key_byte: int = 38_220_384
    storage_remove_ret_value_byte: int = 11_531_556
    storage_write_base: int = 64_196_736_000
    storage_write_evicted_byte: int = 32_117_307
    storage_write_key_byte: int = 70_482_867
    storage_write_value_byte: int = 31_018_539
    touching_trie_node: int = 2_280_000_000
    utf16_decoding_base: int = 3_543_313_050
    utf16_decoding_byte: int = 163_577_493
    utf8_decoding_base: int = 3_111_779_061
    utf8_decoding_byte: int = 291_580_479
    validator_stake_base: int = 911_834_726_400
    validator_total_stake_base: int = 911_834_726_400
    write_memory_base: int = 2_803_794_861
    write_memory_byte: int = 2_723_772
    write_register_base: int = 2_865_522_486
    write_register_byte: int = 3_801_564
    yield_create_base: int = 153_411_779_276
    yield_create_byte: int = 15_643_988
    yield_resume_base: int = 1_195_627_285_210
    yield_resume_byte: int = 47_683_715


@dataclass(frozen=True, slots=True)
class Limits:
    account_id_validity_rules_version: int = 2
    initial_memory_pages: int = 1_024
    max_actions_per_receipt: int = 100
    max_arguments_length: int = 4_194_304
    max_contract_size: int = 4_194_304
    max_elements_per_contract_table: int = 10_000
    max_function_body_size: int = 196_608
    max_functions_number_per_contract: int = 10_000
    max_gas_burnt: int = 1_000_000_000_000_000
    max_instrumented_code_size: int = 16_777_216
    max_length_method_name: int = 256
    max_length_returned_data: int = 4_194_304
    max_length_storage_key: int = 2_048
    max_length_storage_value: int = 4_194_304
    max_locals_per_contract: int = 1_000_000
    max_memory_pages: int = 2_048
    max_number_bytes_method_names: int = 2_000
    max_number_input_data_dependencies: int = 128
    max_number_logs: int = 100
    max_number_registers: int = 100
    max_promises_per_function_call_action: int = 1_024
    max_receipt_size: int = 4_194_304
    max_register_size: int = 104_857_600
    max_stack_height: int = 262_144
    max_tables_per_contract: int = 1
    max_total_log_length: int = 16_384
    max_total_prepaid_gas: int = 1_000_000_000_000_000
    max_transaction_size: int = 1_572_864
    max_yield_payload_size: int = 1_024
    per_receipt_storage_proof_size_limit: int = 4_000_000
    registers_memory_limit: int = 1_073_741_824
    yield_timeout_length_in_blocks: int = 200


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """Everything the runtime asks of the protocol. The defaults are protocol 86 with mainnet's economics."""

    protocol_version: int = 86
    action_fees: ActionFees = ActionFees()
    newer_fees: NewerFees = NewerFees()
    action_receipt_creation: Fee = Fee(108_059_500_000, 108_059_500_000, 108_059_500_000)
    data_receipt_creation_base: Fee = Fee(36_486_732_312, 36_486_732_312, 36_486_732_312)
    data_receipt_creation_per_byte: Fee = Fee(17_212_011, 47_683_715, 17_212_011)
    ext_costs: ExtCosts = ExtCosts()
    limits: Limits = Limits()
    regular_op_cost: int = 822_756
    burnt_gas_reward: tuple[int, int] = (3, 10)
    """The part of a function call's burnt gas that goes to its contract."""
    storage_amount_per_byte: int = 10**19
    global_contract_amount_per_byte: int = 10**20
    """Burnt for each byte of a global contract (NEP-591)."""
    max_gas_key_nonces: int = 1_024
    max_gas_key_balance_to_burn: int = 10**24
    """A gas key with more than this cannot be deleted; what it has goes with it."""
    storage_num_bytes_account: int = 100
    storage_num_extra_bytes_record: int = 40
    zero_balance_storage_bytes: int = 770
    """NEP-448: up to this usage an account needs no balance."""
    max_deletable_state_bytes: int = 10_000
    """An account with more data than this (its code apart) cannot be deleted."""
    min_allowed_top_level_account_length: int = 65
    registrar_account_id: AccountId = _REGISTRAR
    nonce_range_multiplier: int = 1_000_000
    """A nonce must be below block height times this; a new key starts at (height - 1) times this."""
    min_gas_price: int = 100_000_000
    max_gas_price: int = 2_000_000_000
    gas_limit: int = 1_000_000_000_000_000
    """Gas of one chunk."""
    transaction_validity_period: int = 86_400
    """Blocks."""
    epoch_length: int = 43_200
    """Blocks."""

    def runtime_config_view(self) -> JsonObject:
        """nearcore's RuntimeConfigView: `runtime_config` of EXPERIMENTAL_protocol_config."""
        return _JSON.validate_python(
            {
                "storage_amount_per_byte": str(self.storage_amount_per_byte),
                "transaction_costs": {
                    "action_receipt_creation_config": asdict(self.action_receipt_creation),
                    "data_receipt_creation_config": {
                        "base_cost": asdict(self.data_receipt_creation_base),
                        "cost_per_byte": asdict(self.data_receipt_creation_per_byte),
                    },
                    "action_creation_config": self._action_creation_view(),
                    "storage_usage_config": {
                        "num_bytes_account": self.storage_num_bytes_account,
                        "num_extra_bytes_record": self.storage_num_extra_bytes_record,
                    },
                    "burnt_gas_reward": list(self.burnt_gas_reward),
                    "pessimistic_gas_price_inflation_ratio": [1, 1],
                },
                "wasm_config": {
                    "ext_costs": asdict(self.ext_costs),
                    "grow_mem_cost": 1,
                    "regular_op_cost": self.regular_op_cost,
                    "linear_op_base_cost": 26_328_192,
                    "linear_op_unit_cost": 822_756,
                    "vm_kind": "Wasmtime",
                    "discard_custom_sections": True,
                    "storage_get_mode": "FlatStorage",
                    "fix_contract_loading_cost": False,
                    "implicit_account_creation": True,
                    "eth_implicit_accounts": True,
                    "limit_config": asdict(self.limits),
                },
                "account_creation_config": {
                    "min_allowed_top_level_account_length": self.min_allowed_top_level_account_length,
                    "registrar_account_id": str(self.registrar_account_id),
                },
            }
        )

    def _action_creation_view(self) -> dict[str, object]:
        costs: dict[str, object] = asdict(self.action_fees)
        costs["add_key_cost"] = {
            "full_access_cost": costs.pop("add_full_access_key_cost"),
            "function_call_cost": costs.pop("add_function_call_key_cost"),
            "function_call_cost_per_byte": costs.pop("add_function_call_key_cost_per_byte"),
        }
        return costs


_JSON: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)
