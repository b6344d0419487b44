"""The first block: users with their keys, the contracts and their first calls, run through the ordinary runtime."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from contracts.calls import FullAccess, FunctionCall
from contracts.errors import ChainError
from contracts.localnet.blocks import GENESIS_HEIGHT, ZERO_HASH, Block, sealed
from contracts.localnet.genesis_contracts import GenesisCall, genesis_calls, genesis_contracts
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from contracts.vm.config import RuntimeConfig
from contracts.vm.execution import BlockContext
from contracts.vm.receipts import ActionReceipt, DataReceipt, Failure
from contracts.vm.runtime import Runtime
from contracts.vm.state import AccessKey, Account, EmptyState, Overlay

WASM_FOLDER: Final = Path(__file__).parent / "wasm"
_CALL_GAS: Final = Gas(300 * TGAS)
_KEY_RECORD_BYTES: Final = 42
_NO_KEY: Final = PublicKey.from_bytes("ed25519", bytes(32))
"""Signer key of the genesis calls: nobody signed them."""


class GenesisAccount(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: AccountId
    public_key: PublicKey
    amount: Annotated[str, Field(pattern=r"^[0-9]{1,39}$")]
    """yoctoNEAR."""


class Genesis(BaseModel):
    """The genesis file: public keys only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain_id: Annotated[str, Field(min_length=1, max_length=64)]
    genesis_time_ns: Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]
    accounts: tuple[GenesisAccount, ...]
    epoch_length: Annotated[int, Field(ge=1)] | None = None
    """Blocks; None, as in files written before it was there: that of mainnet."""


def read_genesis(path: Path) -> Genesis:
    """The genesis file; ChainError `bad_genesis` where it cannot be read."""
    try:
        return Genesis.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ChainError("bad_genesis", f"{path} is no genesis file: {error}") from error


def genesis_block(genesis: Genesis, runtime: Runtime, config: RuntimeConfig, wasm: Mapping[str, bytes]) -> Block:
    """The genesis block. `wasm` holds the code that the genesis contracts name."""
    overlay = Overlay(EmptyState())
    timestamp_ns = int(genesis.genesis_time_ns)
    parent = CryptoHash.of(genesis.model_dump_json().encode())
    context = BlockContext(
        height=GENESIS_HEIGHT,
        timestamp_ns=timestamp_ns,
        epoch_height=0,
        gas_price=config.min_gas_price,
        block_hash=parent,
        random_seed=parent.raw,
    )
    for account in genesis.accounts:
        _add_account(overlay, config, account.account_id, int(account.amount), account.public_key)
    for contract in genesis_contracts():
        code = wasm[contract.wasm] if contract.wasm is not None else None
        _add_account(overlay, config, contract.account_id, contract.balance, code=code)
    for number, call in enumerate(genesis_calls()):
        _run(overlay, runtime, context, call, number)
    changes = overlay.changes()
    supply = sum(account.amount + account.locked for account in changes.accounts.values() if account is not None)
    header = sealed(
        height=GENESIS_HEIGHT,
        prev_hash=ZERO_HASH,
        timestamp_ns=timestamp_ns,
        gas_used=0,
        tokens_burnt=0,
        total_supply=supply,
        tx_root=ZERO_HASH,
        receipts_root=ZERO_HASH,
        outcome_root=ZERO_HASH,
        prev_state_root=parent,
    )
    return Block(header=header, changes=changes, transactions=(), executed=(), consumed=(), queued=())


def read_wasm(folder: Path = WASM_FOLDER) -> dict[str, bytes]:
    """The code of the genesis contracts by name; ChainError `wasm_missing` names the file and how to make it."""
    code: dict[str, bytes] = {}
    for name in sorted({contract.wasm for contract in genesis_contracts() if contract.wasm is not None}):
        path = folder / f"{name}.wasm"
        if not path.exists():
            raise ChainError("wasm_missing", f"{path} is missing; run make contracts")
        code[name] = path.read_bytes()
    return code


def _add_account(
    overlay: Overlay,
    config: RuntimeConfig,
    account_id: AccountId,
    amount: int,
    public_key: PublicKey | None = None,
    code: bytes | None = None,
) -> None:
    usage = config.storage_num_bytes_account
    if public_key is not None:
        usage += _KEY_RECORD_BYTES + config.storage_num_extra_bytes_record
        overlay.set_access_key(account_id, public_key, AccessKey(0, FullAccess()))
    code_hash = None
    if code is not None:
        usage += len(code)
        code_hash = overlay.add_code(code)
    overlay.set_account(account_id, Account(amount, 0, code_hash, usage))


def _run(overlay: Overlay, runtime: Runtime, context: BlockContext, call: GenesisCall, number: int) -> None:
    """One call, and all that follows from it; ChainError `genesis_failed` where any of it fails."""
    caller_id = call.caller_id or call.contract_id
    caller = overlay.account(caller_id)
    if caller is None:
        raise ChainError("genesis_failed", f"{caller_id} calls {call.contract_id} at genesis and does not exist")
    overlay.set_account(caller_id, replace(caller, amount=caller.amount - call.deposit))
    action = FunctionCall(call.method_name, json.dumps(call.args).encode(), _CALL_GAS, Yocto(call.deposit))
    first = ActionReceipt(
        receipt_id=CryptoHash.of(context.random_seed + number.to_bytes(4, "little")),
        predecessor_id=caller_id,
        receiver_id=call.contract_id,
        signer_id=caller_id,
        signer_public_key=_NO_KEY,
        gas_price=Yocto(0),
        actions=(action,),
    )
    waiting: deque[ActionReceipt | DataReceipt] = deque([first])
    while waiting:
        result = runtime.apply_receipt(overlay, waiting.popleft(), context)
        waiting.extend(result.new_receipts)
        if result.execution is not None and isinstance(result.execution.status, Failure):
            raise ChainError(
                "genesis_failed",
                f"{call.method_name} of {call.contract_id} failed at genesis: {result.execution.status.error}",
            )
