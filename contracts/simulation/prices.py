"""The protocol's parameters as the simulation takes them: what this program knows, with what the node states put in."""

from dataclasses import replace
from typing import Final

from contracts.calls import ChangeCall
from contracts.chain.rpc_types import ProtocolConfig
from contracts.simulation.messages import Prices
from contracts.types import AccountId
from contracts.vm.config import RuntimeConfig
from contracts.vm.fees import execution_gas, prepaid_gas, send_gas

_NO_REWARDS_FROM: Final = 87
"""Protocol version from which contracts get no part of the gas they burn."""
_DEAR_FROM: Final = 85
_DEAR_PRICE: Final = 10**9
"""From protocol 85 a node may take 0.001 NEAR per Tgas in advance, whatever the price, and give the rest back."""


def prices_of(config: ProtocolConfig) -> Prices:
    return Prices(
        storage_amount_per_byte=config.storage_amount_per_byte,
        min_gas_price=config.min_gas_price,
        max_gas_burnt=config.max_gas_burnt,
        max_total_prepaid_gas=config.max_total_prepaid_gas,
        rewards_contracts=config.protocol_version < _NO_REWARDS_FROM,
    )


def config_of(prices: Prices) -> RuntimeConfig:
    """The parameters this program knows, with those that the node states put in."""
    known = RuntimeConfig()
    limits = replace(
        known.limits,
        max_gas_burnt=min(prices.max_gas_burnt, known.limits.max_gas_burnt),
        max_total_prepaid_gas=prices.max_total_prepaid_gas,
    )
    return replace(
        known,
        limits=limits,
        storage_amount_per_byte=prices.storage_amount_per_byte,
        min_gas_price=prices.min_gas_price,
        burnt_gas_reward=known.burnt_gas_reward if prices.rewards_contracts else (0, 1),
    )


def bought_gas(config: RuntimeConfig, signer_id: AccountId, call: ChangeCall) -> int:
    """Gas that is paid for with the transaction: sending, executing its first receipt, and what is attached."""
    sir = signer_id == call.receiver_id
    return (
        send_gas(config, call.actions, call.receiver_id, sir=sir)
        + execution_gas(config, call.actions, call.receiver_id)
        + prepaid_gas(call.actions)
    )


def highest_gas_price(config: ProtocolConfig, gas_price: int) -> int:
    """yoctoNEAR per gas that the signer must have in advance at worst; unverified reports say so of newer protocols."""
    return max(gas_price, _DEAR_PRICE) if config.protocol_version >= _DEAR_FROM else gas_price
