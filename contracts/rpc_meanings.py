"""The subject of each error of an RPC node, in one table: the chain, the provider, or a moment that passes.

| about | a read | several operators |
|---|---|---|
| `chain` | ends | the operator's word on the chain |
| `provider` | each other operator is asked once, without a pause | the operator said nothing |
| `pruned` | the same, then the nodes that keep every block | nothing |
| `passing` | asked again with backoff, of another node where there is one | nothing |

A name that is not in the table is a provider's: who says something that cannot be read has said nothing about the chain.

Sources: nearcore 2.14, chain/jsonrpc-primitives/src/types (the names and their HTTP statuses); docs.near.org/api/rpc/errors;
-32700 to -32600 from the JSON-RPC 2.0 specification, section 5.1. Providers answer them for methods that they do not serve.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from contracts.errors import RpcError

About: TypeAlias = Literal["chain", "provider", "pruned", "passing"]

ABOUT: Final[Mapping[str, About]] = {
    "UNKNOWN_ACCOUNT": "chain",
    "UNKNOWN_ACCESS_KEY": "chain",
    "UNKNOWN_GAS_KEY": "chain",
    "INVALID_ACCOUNT": "chain",
    "NO_CONTRACT_CODE": "chain",
    "NO_GLOBAL_CONTRACT_CODE": "chain",
    "CONTRACT_EXECUTION_ERROR": "chain",
    "TOO_LARGE_CONTRACT_STATE": "chain",
    "TOO_MANY_ACCESS_KEYS": "chain",
    "UNKNOWN_TRANSACTION": "chain",
    "INVALID_TRANSACTION": "chain",  # a few of its kinds pass: see `about`
    "UNKNOWN_RECEIPT": "chain",
    "UNKNOWN_CHUNK": "chain",
    "INVALID_SHARD_ID": "chain",
    "UNKNOWN_EPOCH": "chain",
    "METHOD_NOT_FOUND": "provider",
    "PARSE_ERROR": "provider",
    "ADDRESS_REFUSED": "provider",
    "GARBAGE_COLLECTED_BLOCK": "pruned",
    "NO_HISTORY": "pruned",
    "UNKNOWN_BLOCK": "passing",  # also said of old blocks: the nodes that keep every block are asked at the end
    "UNAVAILABLE_SHARD": "passing",
    "NO_SYNCED_BLOCKS": "passing",
    "NOT_SYNCED_YET": "passing",
    "DOES_NOT_TRACK_SHARD": "passing",
    "REQUEST_ROUTED": "passing",
    "INTERNAL_ERROR": "passing",
    "TIMEOUT_ERROR": "passing",
    "UNKNOWN_ERROR": "passing",
    # What the client itself makes of an answer, or of none.
    "BAD_ANSWER": "passing",
    "TOO_LARGE": "passing",
    "TRANSPORT": "passing",
    "STALE_NODE": "passing",
    "NO_NODES": "passing",
    "RPC_QUORUM": "passing",
    "RPC_DISAGREE": "chain",  # of no operator alone, so nobody is asked in its place
}
OLD_BLOCK: Final = frozenset({"GARBAGE_COLLECTED_BLOCK", "UNKNOWN_BLOCK"})
"""Nodes that keep every block may have it, if the request names a block."""

_PASSING_STATUS: Final = frozenset({408, 422, 425, 429})
"""With 5xx, apart from 501 (the method is not implemented). 422 is nearcore's for a block that is not there yet."""
_NOT_TAKEN: Final = frozenset({"ShardCongested", "ShardStuck"})
"""Refusals of a transaction that pass with time: the same bytes again."""


def about(error: RpcError) -> About:
    """The subject of the error."""
    return about_of(error.code, status=error.details.get("status"), kind=error.details.get("kind"))


def about_of(code: str, *, status: object = None, kind: object = None) -> About:
    """As `about`, from the code, an HTTP status (of `HTTP_STATUS`) and a kind (of `INVALID_TRANSACTION`)."""
    if code == "HTTP_STATUS":
        passes = isinstance(status, int) and (status in _PASSING_STATUS or (status >= 500 and status != 501))
        return "passing" if passes else "provider"
    if code == "INVALID_TRANSACTION" and kind in _NOT_TAKEN:
        return "passing"
    return ABOUT.get(code, "provider")


def rpc_error(
    code: str, message: str, *, sent: bool = True, details: Mapping[str, JsonValue] | None = None
) -> RpcError:
    """A node's error, with `retryable` from the table: asking again can help only where it passes."""
    found = dict(details or {})
    passing = about_of(code, status=found.get("status"), kind=found.get("kind")) == "passing"
    return RpcError(code, message, retryable=passing, sent=sent, details=found)
