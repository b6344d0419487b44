"""Transfers through the whole daemon under a free allowance: request, plan, policy, pre-flight, signature, final, record."""

import asyncio
import base64
import json
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import base58
from nacl.signing import SigningKey

from contracts.calls import Action, AddKey, FullAccess
from contracts.signing.transaction import Transaction, encode_transaction, signed_transaction, transaction_hash
from contracts.types import AccountId, CryptoHash, PublicKey
from tests.bench.figures import Figure, cpu_seconds, percentile
from tests.bench.processes import NEAR_AGENT, Running, chain_command, daemon_command, environment, running
from tests.drill.chain_reader import rpc

_TRANSFERS: Final = 400
_ACCOUNTS: Final = (AccountId("alice.localnet"), AccountId("bob.localnet"))
_KEYS_EACH: Final = 4
_IDENTITIES_EACH: Final = 2
_WAITING_EACH: Final = 2
"""Requests of one lane under way: one in it and one that is made ready."""
_POLICY: Final = """version = 1
[default]
always_ask = []
[default.limits.NEAR]
free_per_action = "1"
free_per_day = "1000"
"""


@dataclass(frozen=True, slots=True)
class _Done:
    wall_s: float
    daemon_cpu_s: float
    children_cpu_s: float
    chain_cpu_s: float
    latencies_ms: list[float]


def transfer_figures(folder: Path) -> list[Figure]:
    """Confirmed transfers a second with one lane, and with eight of two accounts for four identities."""
    one, eight = _measure(folder / "one", lanes=1), _measure(folder / "eight", lanes=8)
    count = _TRANSFERS
    return [
        Figure("confirmed transfers, 1 lane", count / one.wall_s, "/s", 25, "at least"),
        Figure("from request to answer, 1 lane, p50", percentile(one.latencies_ms, 0.5), "ms"),
        Figure("confirmed transfers, 8 lanes, 4 identities", count / eight.wall_s, "/s", 60, "at least"),
        Figure("from request to answer, 8 lanes, p50", percentile(eight.latencies_ms, 0.5), "ms"),
        Figure("daemon's CPU for each transfer, 8 lanes", eight.daemon_cpu_s * 1000 / count, "ms"),
        Figure("its signer's and sandbox's CPU for each", eight.children_cpu_s * 1000 / count, "ms"),
        Figure("the chain's CPU for each", eight.chain_cpu_s * 1000 / count, "ms"),
    ]


def _measure(folder: Path, *, lanes: int) -> _Done:
    chain_dir, data_dir, log = folder / "chain", folder / "daemon", folder / "transfers.log"
    chain_dir.mkdir(parents=True)
    data_dir.mkdir()
    (data_dir / "policy.toml").write_text(_POLICY)
    credentials = chain_dir / "localnet" / "credentials"
    accounts = _ACCOUNTS if lanes > 1 else _ACCOUNTS[:1]
    with running(chain_command(chain_dir), log) as chain:
        if lanes > 1:
            for account_id in accounts:
                asyncio.run(_add_keys(chain.url, credentials, account_id, _KEYS_EACH - 1))
        places = {
            "NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([chain.url]),
            "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(credentials),
            "NEAR_AGENT_ACCOUNT_ID": _ACCOUNTS[0],
        }
        with running(daemon_command(data_dir), log, **places) as daemon:
            keys = [
                api_key(data_dir, account_id, places)
                for account_id in accounts
                for _ in range(_IDENTITIES_EACH if lanes > 1 else 1)
            ]
            asyncio.run(_transfers(daemon, keys, 4 * len(keys), lanes, "0.000001"))  # everything is loaded and compiled
            with _watched(chain.pid) as chain_cpu, _watched(daemon.pid) as daemon_cpu:
                children = _children(daemon.pid)
                before = sum(map(cpu_seconds, children))
                started = time.perf_counter()
                latencies = asyncio.run(_transfers(daemon, keys, _TRANSFERS, lanes, "0.000002"))
                wall_s = time.perf_counter() - started
                children_cpu_s = sum(map(cpu_seconds, children)) - before
            return _Done(wall_s, daemon_cpu[0], children_cpu_s, chain_cpu[0], latencies)


@contextmanager
def _watched(pid: int) -> Generator[list[float]]:
    """The CPU seconds that a process used inside the context, as the list's only item."""
    used = [-cpu_seconds(pid)]
    yield used
    used[0] += cpu_seconds(pid)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def api_key(data_dir: Path, account_id: str, places: dict[str, str], *options: str) -> str:
    """A new key of the daemon that runs on `data_dir`."""
    command = [str(NEAR_AGENT), "api-keys", "create", "--account", account_id, "--data-dir", str(data_dir), *options]
    made = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment(**places), cwd=data_dir.parent
    )
    return made.stdout.split()[-1]


async def _transfers(daemon: Running, keys: list[str], count: int, lanes: int, amount: str) -> list[float]:
    """Latencies in ms of transfers that were all executed; RuntimeError where one was not."""
    latencies: list[float] = []
    numbers = iter(range(count))
    workers = max(_WAITING_EACH * lanes // len(keys), 1)

    async def work(http: aiohttp.ClientSession, key: str) -> None:
        for number in numbers:
            body = {"model": "near-agent", "messages": [{"role": "user", "content": _command(number, amount)}]}
            headers = {"Authorization": f"Bearer {key}", "X-Near-Agent-Conversation": f"{amount} {number}"}
            asked = time.perf_counter()
            async with http.post(f"{daemon.url}/v1/chat/completions", json=body, headers=headers) as answer:
                told = await answer.json()
            if told.get("near_agent", {}).get("status") != "executed":
                raise RuntimeError(json.dumps(told)[:1000])
            latencies.append((time.perf_counter() - asked) * 1000)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as tasks:
        for key in keys:
            for _ in range(workers):
                tasks.create_task(work(http, key))
    return latencies


def _command(number: int, amount: str) -> str:
    """Each of another amount: the same calls again would be asked about."""
    return f"/near_transfer carol.localnet {amount}{number:06}"


async def _add_keys(url: str, credentials: Path, account_id: AccountId, count: int) -> None:
    """More keys of an account, on the chain and as near-cli-rs files them."""
    added = [SigningKey.generate() for _ in range(count)]
    await send_actions(url, credentials, account_id, tuple(AddKey(_public(key), FullAccess()) for key in added))
    for key in added:
        public = _public(key)
        path = credentials / "localnet" / account_id / f"{public.replace(':', '_')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        private = f"ed25519:{base58.b58encode(bytes(key) + bytes(key.verify_key)).decode()}"
        path.write_text(json.dumps({"account_id": account_id, "public_key": public, "private_key": private}))
        path.chmod(0o600)


async def send_actions(url: str, credentials: Path, account_id: AccountId, actions: tuple[Action, ...]) -> None:
    """A transaction of an account on itself, final when this returns; signed with its near-cli key."""
    secret: str = json.loads((credentials / f"{account_id}.json").read_text())["private_key"]
    first = SigningKey(base58.b58decode(secret.removeprefix("ed25519:"))[:32])
    async with aiohttp.ClientSession() as http:
        query = {"request_type": "view_access_key", "finality": "final", "account_id": account_id}
        nonce = int((await rpc(http, url, "query", query | {"public_key": _public(first)}))["nonce"]) + 1
        block = await rpc(http, url, "block", {"finality": "final"})
        transaction = Transaction(
            account_id, _public(first), nonce, account_id, CryptoHash(block["header"]["hash"]), actions
        )
        data = encode_transaction(transaction)
        signed = signed_transaction(transaction, data, first.sign(transaction_hash(data).raw).signature)
        params = {"signed_tx_base64": base64.b64encode(signed.data).decode(), "wait_until": "FINAL"}
        await rpc(http, url, "send_tx", params)


def _public(key: SigningKey) -> PublicKey:
    return PublicKey.from_bytes("ed25519", bytes(key.verify_key))
