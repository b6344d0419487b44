"""The reading methods of the RPC: `query`, `block`, `chunk`, `status`, `gas_price`, `validators`, configuration."""

import base64
from collections.abc import Callable
from typing import Final

import base58
from pydantic import JsonValue

from contracts.calls import GlobalAccountId, GlobalCodeHash, GlobalContract
from contracts.errors import VmError
from contracts.localnet.blocks import GENESIS_HEIGHT, ZERO_HASH, Header
from contracts.localnet.chain import Chain
from contracts.localnet.json_views import (
    PRODUCER,
    access_key_view,
    account_view,
    chunk_view,
    header_view,
    receipt_view,
    time_view,
    transaction_view,
)
from contracts.localnet.rpc_errors import (
    at_block,
    garbage_collected,
    internal_error,
    parse_error,
    unknown_block,
    unknown_chunk,
    unknown_receipt,
)
from contracts.localnet.rpc_params import BlockReference, Params, block_reference, named
from contracts.localnet.views import ViewRunner
from contracts.signing.transaction import decode_signed_transaction
from contracts.types import AccountId, CryptoHash, JsonObject, PublicKey
from contracts.vm.failures import debug_text
from contracts.vm.global_contracts import contract_bytes, identifier
from contracts.vm.state import StateReader, contract_hash, published_name

MAX_STATE_BYTES: Final = 50_000
"""nearcore's limit for view_state without paging, and for one page."""
MAX_PAGE_ITEMS: Final = 10_000
MAX_KEYS_PAGE: Final = 100
VERSION: Final = "0.1.0"


class ChainReads:
    """Answers for one chain. Every method takes the raw params and returns the JSON-RPC result."""

    def __init__(self, chain: Chain, views: ViewRunner, rpc_address: Callable[[], str], started_ns: int) -> None:
        self._chain = chain
        self._views = views
        self._rpc_address = rpc_address
        self._started_ns = started_ns
        self._queries: dict[str, Callable[[Params, Header, StateReader], JsonObject]] = {
            "view_account": self._view_account,
            "view_code": self._view_code,
            "view_state": self._view_state,
            "view_access_key": self._view_access_key,
            "view_access_key_list": self._view_access_key_list,
            "view_gas_key_nonces": self._view_gas_key_nonces,
            "view_global_contract_code": self._view_global_contract_code,
            "view_global_contract_code_by_account_id": self._view_global_contract_code_by_account_id,
        }

    async def query(self, params: JsonValue) -> JsonObject:
        asked = _query_by_path(params) if isinstance(params, list) else named(params)
        kind = asked.text("request_type")
        if kind != "call_function" and kind not in self._queries:
            raise parse_error(f"unknown variant `{kind[:60]}`, expected call_function or {', '.join(self._queries)}")
        header = self.header(asked.block())
        state = self._chain.state_at(header)
        if state is None:
            raise garbage_collected(header)
        if kind == "call_function":
            answer = await self._call_function(asked, header, state)
        else:
            answer = self._queries[kind](asked, header, state)
        return {**answer, "block_height": header.height, "block_hash": header.hash}

    def block(self, params: JsonValue) -> JsonObject:
        asked = named(params, "block_id")
        header = self.header(asked.block())
        chain = self._chain
        prev = chain.header_of(header.prev_hash)
        final = chain.header_upto(header.height - 1 - chain.settings.finality_lag_blocks) or chain.genesis_header
        return {
            "author": PRODUCER,
            "header": header_view(header, prev, self._epochs(header), final.hash, chain.config),
            "chunks": [chunk_view(header, chain.config)],
        }

    def chunk(self, params: JsonValue) -> JsonObject:
        header = self._chunk_header(params)
        signed = [decode_signed_transaction(data) for data in self._chain.transactions_in(header)]
        return {
            "author": PRODUCER,
            "header": chunk_view(header, self._chain.config),
            "transactions": [transaction_view(transaction) for transaction in signed],
            "receipts": [receipt_view(item.receipt) for item in self._chain.receipts_in(header)],
        }

    def status(self, params: JsonValue) -> JsonObject:
        del params  # nearcore takes any
        chain = self._chain
        head, earliest = chain.head, chain.earliest
        epoch_start = chain.epoch_start(head.height)
        return {
            "version": {"version": VERSION, "build": "near-agent localnet", "commit": "", "rustc_version": ""},
            "chain_id": self._chain_id(),
            "protocol_version": chain.config.protocol_version,
            "latest_protocol_version": chain.config.protocol_version,
            "genesis_hash": chain.genesis_header.hash,
            "rpc_addr": self._rpc_address(),
            "validators": [{"account_id": PRODUCER}],
            "sync_info": {
                "latest_block_hash": head.hash,
                "latest_block_height": head.height,
                "latest_state_root": head.state_root,
                "latest_block_time": time_view(head.timestamp_ns),
                "syncing": False,
                "earliest_block_hash": earliest.hash,
                "earliest_block_height": earliest.height,
                "earliest_block_time": time_view(earliest.timestamp_ns),
                "epoch_id": self._epochs(head)[0],
                "epoch_start_height": epoch_start,
            },
            "validator_account_id": None,
            "validator_public_key": None,
            "node_public_key": self._node_key(),
            "node_key": None,
            "uptime_sec": max(0, (head.timestamp_ns - self._started_ns) // 10**9),
            "detailed_debug_status": None,
        }

    def health(self, params: JsonValue) -> None:
        """Null while blocks can be written."""
        del params
        if self._chain.fault is not None:
            raise internal_error(self._chain.fault)

    def gas_price(self, params: JsonValue) -> JsonObject:
        block_id = named(params, "block_id").values.get("block_id")
        if block_id is not None:
            self.header(block_reference(block_id))
        return {"gas_price": str(self._chain.config.min_gas_price)}

    def validators(self, params: JsonValue) -> JsonObject:
        if isinstance(params, dict) and isinstance(params.get("block_id"), int | str):
            self.header(block_reference(params["block_id"]))
        chain = self._chain
        epoch = chain.epoch_height(chain.head.height)
        start = chain.epoch_start(chain.head.height)
        validator: JsonObject = {
            "account_id": PRODUCER,
            "public_key": self._node_key(),
            "stake": "0",
            "shards": [0],
        }
        made = chain.head.height - start + 1
        current: JsonObject = {
            **validator,
            "is_slashed": False,
            "num_produced_blocks": made,
            "num_expected_blocks": made,
            "num_produced_chunks": made,
            "num_expected_chunks": made,
        }
        return {
            "current_validators": [current],
            "next_validators": [validator],
            "current_fishermen": [],
            "next_fishermen": [],
            "current_proposals": [],
            "prev_epoch_kickout": [],
            "epoch_start_height": start,
            "epoch_height": epoch,
        }

    def protocol_config(self, params: JsonValue) -> JsonObject:
        self.header(named(params, "block_id").block())
        config = self._chain.config
        genesis = self._chain.genesis_header
        return {
            "protocol_version": config.protocol_version,
            "genesis_time": time_view(genesis.timestamp_ns),
            "chain_id": self._chain_id(),
            "genesis_height": genesis.height,
            "epoch_length": self._chain.epoch_length,
            "gas_limit": config.gas_limit,
            "min_gas_price": str(config.min_gas_price),
            "max_gas_price": str(config.max_gas_price),
            "transaction_validity_period": config.transaction_validity_period,
            "num_blocks_per_year": 31_536_000,
            "protocol_treasury_account": PRODUCER,
            "runtime_config": config.runtime_config_view(),
        }

    def receipt(self, params: JsonValue) -> JsonObject:
        receipt_id = named(params, "receipt_id").hash("receipt_id")
        found = self._chain.receipt(receipt_id)
        if found is None:
            raise unknown_receipt(receipt_id)
        return receipt_view(found.receipt)

    def header(self, reference: BlockReference) -> Header:
        """The block that is meant; UNKNOWN_BLOCK where there is none."""
        chain = self._chain
        match reference:
            case "optimistic":
                return chain.head
            case "near-final":
                found = chain.header_upto(chain.final_height + 1)
            case "final":
                found = chain.header_upto(chain.final_height)
            case "genesis":
                found = chain.genesis_header
            case "earliest":
                found = chain.earliest
            case int():
                found = chain.header_at(reference)
            case _:
                found = chain.header_of(reference)
        if found is None:
            raise unknown_block(reference, below_head=isinstance(reference, str) or reference <= chain.head.height)
        return found

    def _view_account(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id = params.account_id()
        account = state.account(account_id)
        if account is None:
            raise _unknown_account(account_id, header)
        return account_view(account)

    def _view_code(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id = params.account_id()
        account = state.account(account_id)
        if account is None:
            raise _unknown_account(account_id, header)
        code_hash = contract_hash(state, account)
        code = state.code(code_hash) if code_hash is not None else None
        if code_hash is None or code is None:
            raise at_block(
                "NO_CONTRACT_CODE",
                f"Contract code for contract ID #{account_id} has never been observed on the node",
                header,
                {"contract_account_id": account_id},
            )
        return {"code_base64": base64.b64encode(code).decode(), "hash": code_hash}

    def _view_state(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id, prefix = params.account_id(), params.raw("prefix_base64")
        limit, after = params.count("limit"), params.optional_raw("after_key_base64")
        account = state.account(account_id)
        if account is None:
            raise _unknown_account(account_id, header)
        if limit is not None or after is not None:
            return _state_page(state.storage_items(account_id, prefix), after, limit or MAX_PAGE_ITEMS)
        if account.storage_usage - contract_bytes(state, account) > MAX_STATE_BYTES:
            raise at_block(
                "TOO_LARGE_CONTRACT_STATE",
                f"State of contract {account_id} is too large to be viewed",
                header,
                {"contract_account_id": account_id},
            )
        return {"values": [_item_view(item) for item in state.storage_items(account_id, prefix)]}

    async def _call_function(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id, method_name = params.account_id(), params.text("method_name")
        args = params.raw("args_base64")
        if state.account(account_id) is None:
            raise _unknown_account(account_id, header)
        try:
            answer = await self._views.view(state, account_id, method_name, args, self._chain.context(header))
        except VmError as error:
            text = f"wasm execution failed with error: {debug_text(error.details)}"
            raise at_block(
                "CONTRACT_EXECUTION_ERROR",
                f"Function call returned an error: {text}",
                header,
                {"vm_error": text, "error": error.details},
            ) from error
        return {"result": list(answer.result), "logs": list(answer.logs)}

    def _view_access_key(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id, public_key = params.account_id(), params.public_key()
        access_key = state.access_key(account_id, public_key)
        if access_key is None:
            raise at_block(
                "UNKNOWN_ACCESS_KEY",
                f"Access key for public key {public_key} has never been observed on the node",
                header,
                {"public_key": public_key},
            )
        return access_key_view(access_key)

    def _view_access_key_list(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id = params.account_id()
        if state.account(account_id) is None:
            raise _unknown_account(account_id, header)
        keys = state.access_keys(account_id)
        limit, after = params.count("limit"), params.values.get("after_key")
        answer: JsonObject = {}
        if limit is not None or isinstance(after, str):
            left = [item for item in keys if not isinstance(after, str) or item[0] > after]
            keys = left[: min(limit or MAX_KEYS_PAGE, MAX_KEYS_PAGE)]
            if len(keys) < len(left):
                answer["last_key"] = keys[-1][0]
        answer["keys"] = [
            {"public_key": PublicKey(key).listed, "access_key": access_key_view(access_key)} for key, access_key in keys
        ]
        return answer

    def _view_gas_key_nonces(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        account_id, public_key = params.account_id(), params.public_key()
        access_key = state.access_key(account_id, public_key)
        if access_key is None or not access_key.nonces:
            raise at_block(
                "UNKNOWN_GAS_KEY",
                f"Gas key for public key {public_key} has never been observed on the node",
                header,
                {"public_key": public_key},
            )
        return {"nonces": list(access_key.nonces)}

    def _view_global_contract_code(self, params: Params, header: Header, state: StateReader) -> JsonObject:
        return _global_code(GlobalCodeHash(params.hash("code_hash")), header, state)

    def _view_global_contract_code_by_account_id(
        self, params: Params, header: Header, state: StateReader
    ) -> JsonObject:
        return _global_code(GlobalAccountId(params.account_id()), header, state)

    def _chunk_header(self, params: JsonValue) -> Header:
        # Positional: a chunk hash alone, or a block and a shard.
        chunk_first = not isinstance(params, list) or len(params) < 2
        asked = named(params, "chunk_id") if chunk_first else named(params, "block_id", "shard_id")
        if asked.values.get("chunk_id") is None:
            if asked.values.get("shard_id") != 0:
                shard = asked.values.get("shard_id")
                raise parse_error(
                    f"expected `chunk_id`, or `block_id` with `shard_id` 0, the only shard; got {shard!r}"
                )
            return self.header(block_reference(asked.values.get("block_id")))
        chunk_hash = asked.hash("chunk_id")
        header = self._chain.header_of_chunk(chunk_hash)
        if header is None:
            raise unknown_chunk(chunk_hash)
        return header

    def _chain_id(self) -> str:
        return str(self._chain.genesis["chain_id"])

    def _epochs(self, header: Header) -> tuple[CryptoHash, CryptoHash]:
        """The ids of the block's epoch and the next, as nearcore names them."""
        epoch = self._chain.epoch_height(header.height)
        return self._epoch_id(epoch), self._epoch_id(epoch + 1)

    def _epoch_id(self, epoch: int) -> CryptoHash:
        """The hash of the last block of the epoch before the previous one; the first two have none."""
        if epoch == 0:
            return ZERO_HASH
        before = self._chain.header_upto(GENESIS_HEIGHT + (epoch - 1) * self._chain.epoch_length - 1)
        return before.hash if before is not None else self._chain.genesis_header.hash

    def _node_key(self) -> str:
        """A name in the form of a key, different for each chain. Nothing is signed with it."""
        return f"ed25519:{CryptoHash.of(b'node' + self._chain.genesis_header.hash.raw)}"


def _global_code(contract: GlobalContract, header: Header, state: StateReader) -> JsonObject:
    code_hash = state.published(published_name(contract))
    code = state.code(code_hash) if code_hash is not None else None
    if code_hash is None or code is None:
        raise at_block(
            "NO_GLOBAL_CONTRACT_CODE",
            f"Global contract code with identifier {contract} has never been observed on the node",
            header,
            {"identifier": identifier(contract)},
        )
    return {"code_base64": base64.b64encode(code).decode(), "hash": code_hash}


def _unknown_account(account_id: AccountId, header: Header) -> Exception:
    return at_block(
        "UNKNOWN_ACCOUNT",
        f"account {account_id} does not exist while viewing",
        header,
        {"requested_account_id": account_id},
    )


def _item_view(item: tuple[bytes, bytes]) -> JsonObject:
    return {"key": base64.b64encode(item[0]).decode(), "value": base64.b64encode(item[1]).decode()}


def _state_page(items: list[tuple[bytes, bytes]], after: bytes | None, limit: int) -> JsonObject:
    """One page, bounded in items and bytes but never empty while something is left; `last_key` where there is more."""
    left = [item for item in items if after is None or item[0] > after]
    page: list[tuple[bytes, bytes]] = []
    size = 0
    for item in left[: min(limit, MAX_PAGE_ITEMS)]:
        size += len(item[0]) + len(item[1])
        if page and size > MAX_STATE_BYTES:
            break
        page.append(item)
    answer: JsonObject = {"values": [_item_view(item) for item in page]}
    if len(page) < len(left):
        answer["last_key"] = base64.b64encode(page[-1][0]).decode()
    return answer


def _query_by_path(params: list[JsonValue]) -> Params:
    """The old positional form: a path such as `account/alice.near` or `call/ID/METHOD`, and base58 data."""
    if len(params) != 2 or not isinstance(params[0], str) or not isinstance(params[1], str):
        raise parse_error("expected [path, data]")
    try:
        data = base64.b64encode(base58.b58decode(params[1])).decode()
    except ValueError as error:
        raise parse_error(f"data is not base58: {error}") from error
    latest: JsonObject = {"finality": "optimistic"}
    match params[0].split("/"):
        case ["account", account_id]:
            return Params({**latest, "request_type": "view_account", "account_id": account_id})
        case ["code", account_id]:
            return Params({**latest, "request_type": "view_code", "account_id": account_id})
        case ["access_key", account_id]:
            return Params({**latest, "request_type": "view_access_key_list", "account_id": account_id})
        case ["access_key", account_id, key]:
            by_key: JsonObject = {"request_type": "view_access_key", "account_id": account_id, "public_key": key}
            return Params({**latest, **by_key})
        case ["contract", account_id]:
            prefix: JsonObject = {"request_type": "view_state", "account_id": account_id, "prefix_base64": data}
            return Params({**latest, **prefix})
        case ["call", account_id, method]:
            call: JsonObject = {"account_id": account_id, "method_name": method, "args_base64": data}
            return Params({**latest, **call, "request_type": "call_function"})
        case _:
            raise parse_error(f"unknown path {params[0][:80]!r}")
