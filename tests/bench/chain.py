"""The virtual machine alone, and the embedded chain behind its RPC."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from contracts.types import CryptoHash, PublicKey, Yocto
from contracts.vm.engine import Engine
from contracts.vm.receipts import ActionReceipt, Failure
from tests.bench.chain_client import IN_FLIGHT
from tests.bench.figures import Figure, cpu_seconds, percentile, rss_mb
from tests.bench.processes import chain_command, running
from tests.contracts.localnet_contracts.world import ALICE, BOB, MINIMUM, USDC, World, function_call, wasm

_VM_CALLS: Final = 3000
_TRANSFERS: Final = 4000


class Told(BaseModel):
    """What the client process measured."""

    wall_s: float
    latencies_ms: list[float]
    moved: int
    client_cpu_s: float


def vm_figures(folder: Path) -> list[Figure]:
    """One warm ft_transfer: the receipt's checks, a new instance, the call, its storage writes and its event."""
    world = World(Engine(folder / "modules"))
    world.add_account(USDC, wasm("ft"))
    metadata = {"spec": "ft-1.0.0", "name": "USD Coin", "symbol": "USDC", "decimals": 6}
    world.call(USDC, USDC, "new", {"owner_id": ALICE, "total_supply": str(10**12), "metadata": metadata})
    world.call(ALICE, USDC, "storage_deposit", {"account_id": BOB}, deposit=MINIMUM)
    times: list[float] = []
    for number in range(_VM_CALLS):
        receipt, block = _ft_transfer(number), world.block(number)
        layer = world.overlay.child()
        started = time.perf_counter()
        result = world.runtime.apply_receipt(layer, receipt, block)
        times.append((time.perf_counter() - started) * 1000)
        world.overlay.merge(layer)
        if result.execution is None or isinstance(result.execution.status, Failure):
            raise RuntimeError(f"the transfer failed: {result.execution}")
    warm = times[100:]
    return [
        Figure("VM ft_transfer, warm, p50", percentile(warm, 0.5), "ms", 0.7),
        Figure("VM ft_transfer, warm, p99", percentile(warm, 0.99), "ms"),
    ]


def _ft_transfer(number: int) -> ActionReceipt:
    return ActionReceipt(
        receipt_id=CryptoHash.of(b"bench" + number.to_bytes(8, "little")),
        predecessor_id=ALICE,
        receiver_id=USDC,
        signer_id=ALICE,
        signer_public_key=PublicKey.from_bytes("ed25519", bytes(32)),
        gas_price=Yocto(0),
        actions=(function_call("ft_transfer", {"receiver_id": BOB, "amount": "1"}, deposit=1, tgas=10),),
    )


def chain_figures(folder: Path) -> list[Figure]:
    """Signed ft_transfers, the client in another process."""
    data_dir = folder / "chain"
    data_dir.mkdir()
    with running(chain_command(data_dir), folder / "chain.log") as chain:
        cpu = cpu_seconds(chain.pid)
        told = asyncio.run(_client(chain.url, data_dir / "localnet" / "credentials"))
        used, memory = cpu_seconds(chain.pid) - cpu, rss_mb(chain.pid)
    latencies = told.latencies_ms
    if told.moved != len(latencies):
        raise RuntimeError(f"{len(latencies)} transfers moved {told.moved} units")
    return [
        Figure(f"localnet ft_transfers, {IN_FLIGHT} in flight", len(latencies) / told.wall_s, "tx/s", 300, "at least"),
        Figure("localnet ft_transfer, p50", percentile(latencies, 0.5), "ms"),
        Figure("localnet ft_transfer, p99", percentile(latencies, 0.99), "ms"),
        Figure("localnet's CPU for each", used * 1000 / len(latencies), "ms"),
        Figure("the client's CPU for each", told.client_cpu_s * 1000 / len(latencies), "ms"),
        Figure(f"localnet's memory after {len(latencies)} transfers", memory, "MB"),
    ]


async def _client(url: str, credentials: Path) -> Told:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.chain_client", url, str(credentials), str(_TRANSFERS)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await client.communicate()
    if client.returncode != 0:
        raise RuntimeError(f"the client ended with {client.returncode}")
    return Told.model_validate_json(output)
