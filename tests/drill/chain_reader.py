"""What a chain really did, read from its blocks, past every client."""

from collections import Counter
from typing import Any

import aiohttp

from contracts.types import AccountId


async def rpc(session: aiohttp.ClientSession, url: str, method: str, params: object) -> Any:
    """The result of one JSON-RPC call; RuntimeError where the node refuses."""
    body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
    async with session.post(url, json=body) as answer:
        said = await answer.json()
    if "result" not in said:
        raise RuntimeError(f"{method} {params}: {said}")
    return said["result"]


async def balance_yocto(session: aiohttp.ClientSession, url: str, account_id: AccountId) -> int:
    params = {"request_type": "view_account", "finality": "final", "account_id": account_id}
    return int((await rpc(session, url, "query", params))["amount"])


async def transfers_to(session: aiohttp.ClientSession, url: str, receiver_id: AccountId) -> Counter[int]:
    """How often each amount (yoctoNEAR) was transferred to an account, over all blocks of the chain."""
    found: Counter[int] = Counter()
    head = await rpc(session, url, "block", {"finality": "final"})
    block_hash: str = head["header"]["hash"]
    while True:
        block = await rpc(session, url, "block", {"block_id": block_hash})
        for chunk in block["chunks"]:
            held = await rpc(session, url, "chunk", {"chunk_id": chunk["chunk_hash"]})
            for transaction in held["transactions"]:
                if transaction["receiver_id"] == receiver_id:
                    found.update(
                        int(action["Transfer"]["deposit"]) for action in transaction["actions"] if "Transfer" in action
                    )
        if block["header"]["prev_hash"] == "11111111111111111111111111111111":
            return found
        block_hash = block["header"]["prev_hash"]
