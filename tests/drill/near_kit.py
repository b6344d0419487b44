"""The same network, with near-kit (PyPI) as a caller would use it."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from near import AsyncNear, NearError

from tests.drill.chain_reader import balance_yocto, transfers_to
from tests.drill.drill import MILLI, RECEIVER, SENDERS, amount_of, open_chain
from tests.drill.proxy import open_proxy

_RETRIES: Final = 4


@dataclass(frozen=True, slots=True)
class PeerCounts:
    transfers: int
    told_done: int
    raised: Counter[str]
    acknowledged_yocto: int
    moved_yocto: int
    twice: tuple[int, ...]
    told_otherwise: tuple[int, ...]
    """Transfers that moved and raised, or the other way round."""


async def run_near_kit(folder: Path, *, transfers: int, seed: int) -> PeerCounts:
    """One sender, one transfer after the other, each asked for once; near-kit's own retries are on."""
    async with (
        open_chain(folder / "chain") as chain_url,
        open_proxy(chain_url, seed=seed, send_rate=0.6, read_rate=0.05) as proxy,
        aiohttp.ClientSession() as session,
    ):
        before = await balance_yocto(session, chain_url, RECEIVER)
        credentials = folder / "chain" / "localnet" / "credentials" / f"{SENDERS[0]}.json"
        secret: str = json.loads(credentials.read_text())["private_key"]
        done: set[int] = set()
        raised: Counter[str] = Counter()
        client = AsyncNear("localnet", rpc_url=proxy.url, account_id=SENDERS[0], private_key=secret, retries=_RETRIES)
        async with client:
            for number in range(transfers):
                try:
                    await client.send(RECEIVER, f"{amount_of(number)} NEAR")
                except NearError as error:
                    raised[type(error).__name__] += 1
                else:
                    done.add(number)
        moved = await balance_yocto(session, chain_url, RECEIVER) - before
        on_chain = await transfers_to(session, chain_url, RECEIVER)
        return PeerCounts(
            transfers=transfers,
            told_done=len(done),
            raised=raised,
            acknowledged_yocto=sum((number + 1) * MILLI for number in done),
            moved_yocto=moved,
            twice=tuple(amount for amount, times in on_chain.items() if times > 1),
            told_otherwise=tuple(n for n in range(transfers) if (on_chain[(n + 1) * MILLI] > 0) != (n in done)),
        )
