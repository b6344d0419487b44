"""Approval by text: what a decision looks like, the codes, and the most that gas can cost. Pure, but for the code key's file.

A code is the first 40 bits of a keyed hash of its card's request id, in Crockford's base 32. So the same card sent again
shows the same code, also after a restart and in a second tab, while the database keeps a hash of it only. The key is random,
made once per data folder, and lies beside the database, not in it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from agent.data_folder import read_key, write_key
from agent.planning.typography import DECISION
from contracts.calls import ChangeCall, Delegate, FunctionCall, Transfer
from contracts.chain.rpc_types import Fee, ProtocolConfig
from contracts.signing.transaction import encode_actions
from contracts.types import TGAS

CODE_KEY: Final = "code_key"
"""The file of the key in the data folder."""

_KEY_DIGITS: Final = 64
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HIGH_GAS_PRICE: Final = 1_000_000_000
"""0.001 NEAR a Tgas, ten times the usual price."""
_ARGUMENT_BYTE_GAS: Final = 5_000_000
"""Above what a byte of arguments costs to send and to execute together (4.5 M gas in protocol 86)."""


@dataclass(frozen=True, slots=True)
class Decision:
    verb: Literal["confirm", "cancel"]
    code: str
    """In capitals. Never logged, never stored."""

    def __repr__(self) -> str:
        return f"Decision({self.verb})"


def read_decision(text: str) -> Decision | None:
    """The decision in a user's last message, when it is nothing but one (INTERFACE, "Approval by text")."""
    found = DECISION.fullmatch(text)
    if found is None:
        return None
    return Decision("confirm" if found[1].lower() == "confirm" else "cancel", found[2].upper())


class Codes:
    """The codes of cards, by one data folder's key. What is stored of them is `CardStore.hash_code`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def code_of(self, request_id: str) -> str:
        """The 8-character code of a request's card."""
        bits = int.from_bytes(hmac.digest(self._key, request_id.encode(), hashlib.sha256)[:5])
        return "".join(_ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))


def open_code_key(data_dir: Path) -> bytes:
    """The key of DATA_DIR/code_key (0600), made at the first call. OSError where the folder cannot be written."""
    key = read_key(data_dir, CODE_KEY)
    if key is None or len(key) < _KEY_DIGITS:
        key = secrets.token_hex(_KEY_DIGITS // 2)
        write_key(data_dir, CODE_KEY, key)
    return key.encode("ascii")


@dataclass(frozen=True, slots=True)
class GasBound:
    """The most that gas can cost for a plan at the current price."""

    gas: int
    yocto: int | None
    """None: the node did not say the price."""


def gas_bound(calls: Sequence[ChangeCall], config: ProtocolConfig, gas_price: int | None) -> GasBound:
    """Attached gas and fees of all calls, rounded up to a whole Tgas for each, at today's price."""
    gas = sum(_call_gas(call, config) for call in calls)
    return GasBound(gas, None if gas_price is None else gas * max(gas_price, config.min_gas_price))


def gas_cost(calls: Sequence[ChangeCall], config: ProtocolConfig, gas_price: int | None) -> int:
    """The most that the gas of these calls can cost, in yocto; at a high price where the node does not say one."""
    bound = gas_bound(calls, config, gas_price)
    return bound.gas * _HIGH_GAS_PRICE if bound.yocto is None else bound.yocto


def _call_gas(call: ChangeCall, config: ProtocolConfig) -> int:
    gas = _fee(config.receipt_fee)
    for action in call.actions:
        match action:
            case FunctionCall(_, _, attached, _):
                gas += attached + _fee(config.function_call_fee)
            case Transfer():
                gas += _fee(config.transfer_fee)
                # A transfer brings an implicit account to life.
                gas += 0 if call.receiver_id.kind == "named" else _fee(config.create_account_fee)
            case Delegate(inner):
                gas += _fee(config.create_account_fee) + _call_gas(ChangeCall(inner.receiver_id, inner.actions), config)
            case _:
                gas += _fee(config.create_account_fee)
    gas += len(encode_actions(call.actions)) * _ARGUMENT_BYTE_GAS
    return -(-gas // TGAS) * TGAS


def _fee(fee: Fee | None) -> int:
    return max(fee.send_sir, fee.send_not_sir) + fee.execution if fee else TGAS
