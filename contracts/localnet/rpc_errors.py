"""Errors of the JSON-RPC server in nearcore's shapes: name, cause, legacy code, message and data, and the HTTP status.

Source: nearcore `chain/jsonrpc-primitives` and the samples captured from nodes.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import JsonValue

from contracts.errors import ChainError
from contracts.localnet.blocks import Header
from contracts.types import JsonObject

ErrorName: TypeAlias = Literal["HANDLER_ERROR", "REQUEST_VALIDATION_ERROR", "INTERNAL_ERROR"]


class RpcRefusal(ChainError):
    """An answer that is an error. `code` is the cause's name, `details` the cause's info, `data` the legacy text."""

    def __init__(
        self,
        cause: str,
        data: JsonValue,
        *,
        info: Mapping[str, JsonValue] | None = None,
        name: ErrorName = "HANDLER_ERROR",
        http_status: int = 200,
        legacy: tuple[int, str] = (-32000, "Server error"),
    ) -> None:
        super().__init__(cause, data if isinstance(data, str) else cause, details=info)
        self.name: ErrorName = name
        self.data = data
        self.http_status = http_status
        self.legacy = legacy
        self.has_info = info is not None

    def view(self) -> JsonObject:
        cause: JsonObject = {"name": self.code}
        if self.has_info:
            cause["info"] = dict(self.details)
        return {
            "name": self.name,
            "cause": cause,
            "code": self.legacy[0],
            "message": self.legacy[1],
            "data": self.data,
        }


def parse_error(reason: str) -> RpcRefusal:
    """The request cannot be read; nothing was done."""
    message = f"Failed parsing args: {reason}"
    return RpcRefusal(
        "PARSE_ERROR",
        message,
        info={"error_message": message},
        name="REQUEST_VALIDATION_ERROR",
        http_status=400,
        legacy=(-32700, "Parse error"),
    )


def method_not_found(method: str) -> RpcRefusal:
    return RpcRefusal(
        "METHOD_NOT_FOUND",
        method,
        info={"method_name": method},
        name="REQUEST_VALIDATION_ERROR",
        http_status=400,
        legacy=(-32601, "Method not found"),
    )


def internal_error(message: str) -> RpcRefusal:
    """The node could not do it. After a send, look the transaction up and send the same bytes again."""
    # `debug_info` is how transaction errors name what `error_message` is elsewhere.
    info: JsonObject = {"error_message": message, "debug_info": message}
    return RpcRefusal("INTERNAL_ERROR", message, info=info, name="INTERNAL_ERROR", http_status=500)


def timed_out() -> RpcRefusal:
    """The wait ended before the level was reached: the transaction may still execute."""
    return RpcRefusal("TIMEOUT_ERROR", "Timeout", http_status=408)


def unknown_transaction(tx_hash: str) -> RpcRefusal:
    return RpcRefusal(
        "UNKNOWN_TRANSACTION",
        f"Transaction {tx_hash} doesn't exist",
        info={"requested_transaction_hash": tx_hash},
    )


def invalid_transaction(error: ChainError) -> RpcRefusal:
    """nearcore tells what is wrong with a transaction in the legacy data only; the info stays empty."""
    return RpcRefusal("INVALID_TRANSACTION", {"TxExecutionError": dict(error.details)}, info={})


def unknown_block(reference: JsonValue, *, below_head: bool) -> RpcRefusal:
    return RpcRefusal(
        "UNKNOWN_BLOCK",
        f"DB Not Found Error: BLOCK {reference} \n Cause: Unknown",
        info={"block_reference": {"block_id": reference}},
        http_status=422 if below_head else 200,
    )


def garbage_collected(header: Header) -> RpcRefusal:
    return RpcRefusal(
        "GARBAGE_COLLECTED_BLOCK",
        f"The data for block #{header.height} is garbage collected on this node, use an archival node to fetch"
        " historical data",
        info={"block_height": header.height, "block_hash": header.hash},
    )


def unknown_chunk(chunk_hash: str) -> RpcRefusal:
    return RpcRefusal(
        "UNKNOWN_CHUNK",
        f"Chunk Missing (unavailable on the node): ChunkHash(`{chunk_hash}`) \n Cause: Unknown",
        info={"chunk_hash": chunk_hash},
    )


def unknown_receipt(receipt_id: str) -> RpcRefusal:
    return RpcRefusal("UNKNOWN_RECEIPT", f"Receipt {receipt_id} doesn't exist", info={"receipt_id": receipt_id})


def at_block(cause: str, data: str, header: Header, info: Mapping[str, JsonValue]) -> RpcRefusal:
    """A query's error, with the block that it was answered at."""
    return RpcRefusal(cause, data, info={**info, "block_height": header.height, "block_hash": header.hash})
