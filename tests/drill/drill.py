"""Transfers by several people through the faulty network, with kills of the daemon between and within them."""

import asyncio
import json
import random
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from agent.records import DATABASE_NAME, read_records
from contracts.types import AccountId
from tests.drill.chain_reader import balance_yocto, transfers_to
from tests.drill.proxy import FaultProxy, open_proxy
from tests.e2e.programs import CLI, environment

RECEIVER: Final = AccountId("carol.localnet")
SENDERS: Final = ("alice.localnet", "bob.localnet")
AT_ONCE: Final = 2
"""Transfers under way for each sender; at most three cards of one identity may wait."""
MILLI: Final = 10**21
_READY_S: Final = 240
_STARTS: Final = 3
_ANSWER_S: Final = 240
_ROUNDS: Final = 40
_NETWORK: Final = {
    "NEAR_AGENT_RPC__REQUEST_TIMEOUT_S": "3",
    "NEAR_AGENT_RPC__CONFIRM_TIMEOUT_S": "20",
    "NEAR_AGENT_RPC__SETTLE_TIMEOUT_S": "10",
    "NEAR_AGENT_RPC__POLL_S": "0.1",
    "NEAR_AGENT_RPC__RESEND_S": "0.4",
}


def amount_of(number: int) -> str:
    """A different amount for each transfer, in NEAR: 0.001, 0.002 ..."""
    return f"{(number + 1) // 1000}.{(number + 1) % 1000:03}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of a drill. Amounts in yoctoNEAR."""

    transfers: int
    kills: int
    ends: Counter[str]
    """How many transfers ended with which status, as the client was told."""
    acknowledged_yocto: int
    moved_yocto: int
    twice: tuple[int, ...]
    """Amounts that are in the chain's blocks more than once."""
    told_otherwise: tuple[int, ...]
    """Transfers that moved and were told failed, or the other way round."""
    requests: int
    without_one_record: tuple[str, ...]
    """Requests that the client got an answer for and that have no record or several."""
    faults: Counter[str]


@dataclass(slots=True)
class _Daemon:
    """The daemon that serves now, as its clients see it."""

    folder: Path
    more: dict[str, str]
    process: Process | None = None
    url: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """As a supervisor does: again where the network does not let it begin."""
        for _ in range(_STARTS):
            if await self._begin():
                self.up.set()
                return
        raise RuntimeError(f"no start in {_STARTS}: {(self.folder.parent / 'daemon.log').read_text()[-2000:]}")

    async def _begin(self) -> bool:
        with (self.folder.parent / "daemon.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *CLI, "run", env=environment(self.folder, self.more), stdin=DEVNULL, stdout=PIPE, stderr=log
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(_READY_S):
            line = (await self.process.stdout.readline()).decode()
        self.url = line.removeprefix("ready ").strip()
        return line.startswith("ready ")

    async def kill(self) -> None:
        """As kill -9 does, at whatever point it is."""
        self.up.clear()
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            async with asyncio.timeout(_READY_S):
                await self.process.wait()


@dataclass(slots=True)
class _Client:
    """One person's chat program: it repeats what was not answered, with the same Idempotency-Key."""

    daemon: _Daemon
    session: aiohttp.ClientSession
    key: str
    answered: set[str] = field(default_factory=set[str])

    async def say(self, text: str, key: str) -> dict[str, Any]:
        """The answer's `near_agent`; asked again until there is one."""
        body = {"model": "near-agent", "messages": [{"role": "user", "content": text}]}
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": key,
            "X-Near-Agent-Conversation": key,
        }
        for _ in range(_ROUNDS):
            await self.daemon.up.wait()
            try:
                async with self.session.post(
                    f"{self.daemon.url}/v1/chat/completions", json=body, headers=headers
                ) as answer:
                    said = await answer.json()
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            if answer.status == 200:
                facts: dict[str, Any] = said["near_agent"]
                self.answered.add(facts["request_id"])
                return facts
            await asyncio.sleep(0.1)
        raise RuntimeError(f"no answer to {text!r} after {_ROUNDS} attempts")

    async def transfer(self, number: int) -> tuple[str, str]:
        """Ask, confirm, and ask what became of it until that is known: the code, and the last status told."""
        code = ""
        for attempt in range(_ROUNDS):
            card = await self.say(f"/near_transfer {RECEIVER} {amount_of(number)}", f"ask-{number}-{attempt}")
            if card["status"] == "needs_approval":
                code = card["confirm_code"]
                break
            await asyncio.sleep(0.1)
        return code, await self.settle(code, number, 1)

    async def settle(self, code: str, number: int, attempts: int) -> str:
        status = "no card"
        for attempt in range(attempts if code else 0):
            status = (await self.say(f"confirm {code}", f"confirm-{number}-{attempt}"))["status"]
            if status == "needs_approval":  # the facts moved between card and confirmation: the card is another one
                return "moved facts"
            if status != "unconfirmed":
                break
            await asyncio.sleep(0.2)
        return status


@asynccontextmanager
async def open_chain(folder: Path) -> AsyncGenerator[str]:
    """`near-agent localnet` as a program of its own; its address."""
    folder.mkdir(parents=True)
    with (folder.parent / "chain.log").open("a") as log:
        program = await asyncio.create_subprocess_exec(
            *CLI, "localnet", env=environment(folder), stdin=DEVNULL, stdout=PIPE, stderr=log
        )
    try:
        assert program.stdout is not None
        async with asyncio.timeout(_READY_S):
            line = (await program.stdout.readline()).decode()
        yield line.split()[1]
    finally:
        if program.returncode is None:
            program.terminate()
        async with asyncio.timeout(_READY_S):
            await program.wait()


async def run_drill(folder: Path, *, transfers: int, kills: int, seed: int) -> Counts:
    """The whole drill in an empty folder."""
    async with AsyncExitStack() as stack:
        chain_url = await stack.enter_async_context(open_chain(folder / "chain"))
        proxy = await stack.enter_async_context(open_proxy(chain_url, seed=seed, send_rate=0.6, read_rate=0.05))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
            )
        )
        before = await balance_yocto(session, chain_url, RECEIVER)
        daemon = _daemon(folder, proxy)
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        keys = [(folder / "data" / "api_key").read_text().strip()]
        keys += [await _new_key(daemon, account) for account in SENDERS[1:]]
        clients = [_Client(daemon, session, key) for key in keys]
        ends = await _transfers(daemon, clients, transfers=transfers, kills=kills, seed=seed)
        proxy.faulty = False
        for number, (code, status) in ends.items():
            if status == "unconfirmed":
                ends[number] = code, await clients[number % len(clients)].settle(code, number, _ROUNDS)
        moved = await balance_yocto(session, chain_url, RECEIVER) - before
        on_chain = await transfers_to(session, chain_url, RECEIVER)
        await daemon.stop()
        executed = {number for number, (_, status) in ends.items() if status == "executed"}
        answered = set[str]().union(*(client.answered for client in clients))
        recorded = Counter(record.request.request_id for record in read_records(folder / "data" / DATABASE_NAME))
        return Counts(
            transfers=transfers,
            kills=kills,
            ends=Counter(status for _, status in ends.values()),
            acknowledged_yocto=sum((number + 1) * MILLI for number in executed),
            moved_yocto=moved,
            twice=tuple(amount for amount, times in on_chain.items() if times > 1),
            told_otherwise=tuple(n for n in range(transfers) if (on_chain[(n + 1) * MILLI] > 0) != (n in executed)),
            requests=sum(recorded.values()),
            without_one_record=tuple(sorted(request_id for request_id in answered if recorded[request_id] != 1)),
            faults=proxy.counts,
        )


def _daemon(folder: Path, proxy: FaultProxy) -> _Daemon:
    (folder / "data").mkdir()
    return _Daemon(
        folder / "data",
        {
            **_NETWORK,
            "NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([proxy.url]),
            "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(folder / "chain" / "localnet" / "credentials"),
            "NEAR_AGENT_ACCOUNT_ID": SENDERS[0],
        },
    )


async def _new_key(daemon: _Daemon, account: str) -> str:
    made = await asyncio.create_subprocess_exec(
        *CLI, "api-keys", "create", "--account", account, env=environment(daemon.folder, daemon.more), stdout=PIPE
    )
    out, _ = await made.communicate()
    return out.decode().split()[-1]


async def _transfers(
    daemon: _Daemon, clients: list[_Client], *, transfers: int, kills: int, seed: int
) -> dict[int, tuple[str, str]]:
    """Code and status of each transfer; the daemon dies at `kills` random moments on the way."""
    chance = random.Random(seed)
    ends: dict[int, tuple[str, str]] = {}
    waiting = {client.key: [n for n in range(transfers) if n % len(clients) == i] for i, client in enumerate(clients)}
    deaths = sorted(chance.sample(range(1, transfers), kills))

    async def work(client: _Client) -> None:
        numbers = waiting[client.key]
        while numbers:
            number = numbers.pop(0)
            ends[number] = await client.transfer(number)

    async def reap() -> None:
        for death in deaths:
            while len(ends) < death:
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await daemon.kill()
            await daemon.start()

    async with asyncio.TaskGroup() as group:
        group.create_task(reap())
        for client in clients:
            for _ in range(AT_ONCE):
                group.create_task(work(client))
    return ends
