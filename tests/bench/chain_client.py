"""Signed ft_transfers on a running chain: 16 in flight, each from a key of its own, so that nonces stay in order.

`python -m tests.bench.chain_client RPC_URL CREDENTIALS_DIR TRANSFERS` prints one JSON object.
"""

import asyncio
import base64
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import base58
from nacl.signing import SigningKey

from contracts.calls import Action, AddKey, FullAccess, FunctionCall
from contracts.signing.transaction import Transaction, encode_transaction, signed_transaction, transaction_hash
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto

IN_FLIGHT: Final = 16
_ALICE: Final = AccountId("alice.localnet")
_BOB: Final = AccountId("bob.localnet")
_USDC: Final = AccountId("usdc.localnet")


@dataclass(slots=True)
class Lane:
    key: SigningKey
    nonce: int

    @property
    def public_key(self) -> PublicKey:
        return PublicKey.from_bytes("ed25519", bytes(self.key.verify_key))

    def signed(self, receiver_id: AccountId, actions: tuple[Action, ...], block_hash: CryptoHash) -> str:
        self.nonce += 1
        transaction = Transaction(_ALICE, self.public_key, self.nonce, receiver_id, block_hash, actions)
        data = encode_transaction(transaction)
        signature = self.key.sign(transaction_hash(data).raw).signature
        return base64.b64encode(signed_transaction(transaction, data, signature).data).decode()


@dataclass(frozen=True, slots=True)
class Node:
    http: aiohttp.ClientSession
    url: str

    async def ask(self, method: str, params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": "bench", "method": method, "params": params}
        async with self.http.post(self.url, json=body) as response:
            answer = await response.json()
        if "result" not in answer:
            raise RuntimeError(f"{method}: {json.dumps(answer)[:500]}")
        return answer["result"]

    async def send(self, signed: str, wait_until: str) -> None:
        answer = await self.ask("send_tx", {"signed_tx_base64": signed, "wait_until": wait_until})
        if "SuccessValue" not in answer["status"]:
            raise RuntimeError(json.dumps(answer)[:500])

    async def nonce(self, key: PublicKey) -> int:
        query = {"request_type": "view_access_key", "finality": "final", "account_id": _ALICE, "public_key": key}
        return int((await self.ask("query", query))["nonce"])

    async def block_hash(self) -> CryptoHash:
        return CryptoHash((await self.ask("block", {"finality": "final"}))["header"]["hash"])

    async def balance(self, account_id: AccountId) -> int:
        args = base64.b64encode(json.dumps({"account_id": account_id}).encode()).decode()
        query = {"request_type": "call_function", "finality": "final", "account_id": _USDC}
        answer = await self.ask("query", query | {"method_name": "ft_balance_of", "args_base64": args})
        return int(json.loads(bytes(answer["result"])))


async def measure(url: str, credentials: Path, transfers: int) -> dict[str, object]:
    """The rate, the latencies in ms, and what bob got in units."""
    secret = json.loads((credentials / f"{_ALICE}.json").read_text())["private_key"].removeprefix("ed25519:")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as http:
        node = Node(http, url)
        first = Lane(SigningKey(base58.b58decode(secret)[:32]), 0)
        first.nonce = await node.nonce(first.public_key)
        lanes = [Lane(SigningKey.generate(), 0) for _ in range(IN_FLIGHT)]
        keys = tuple(AddKey(lane.public_key, FullAccess()) for lane in lanes)
        await node.send(first.signed(_ALICE, keys, await node.block_hash()), "FINAL")
        for lane in lanes:
            lane.nonce = await node.nonce(lane.public_key)
        before, block_hash = await node.balance(_BOB), await node.block_hash()
        latencies: list[float] = []
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                tasks.create_task(_transfer(node, lane, block_hash, transfers // IN_FLIGHT, latencies))
        wall_s = time.perf_counter() - started
        await node.send(first.signed(_USDC, (_one_unit(),), block_hash), "FINAL")
        moved = await node.balance(_BOB) - before - 1
    return {"wall_s": wall_s, "latencies_ms": latencies, "moved": moved, "client_cpu_s": time.process_time()}


def _one_unit() -> FunctionCall:
    args = json.dumps({"receiver_id": _BOB, "amount": "1"}).encode()
    return FunctionCall("ft_transfer", args, Gas(10 * TGAS), Yocto(1))


async def _transfer(node: Node, lane: Lane, block_hash: CryptoHash, count: int, latencies: list[float]) -> None:
    action = _one_unit()
    for _ in range(count):
        asked = time.perf_counter()
        await node.send(lane.signed(_USDC, (action,), block_hash), "EXECUTED_OPTIMISTIC")
        latencies.append((time.perf_counter() - asked) * 1000)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))))
