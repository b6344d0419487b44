"""Transfers by several people through the faulty network, with kills of the daemon and rollbacks of its data folder.

A rollback puts a copy of the whole folder back that was made a few transfers before, as a snapshot of the disk does; the chain
is another program with a folder of its own. The people then confirm again what waited in the copy, before and after an operator
has acknowledged, without a look, that the keys were used.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import stat
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from agent.data_folder import DATABASE_NAME
from agent.records import read_records
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
    rollbacks: int
    confirmed_again: Counter[str]
    """What was answered to confirmations of cards that came back with the folder, before and after the acknowledgement."""
    ends: Counter[str]
    """How many transfers ended with which status, as the client was told."""
    acknowledged_yocto: int
    moved_yocto: int
    twice: tuple[int, ...]
    """Amounts that are in the chain's blocks more than once."""
    forgotten: tuple[int, ...]
    """Transfers that were under way when the folder was rolled back: the chain knows their ends, and the folder need not."""
    forgotten_yocto: int
    """What those of them moved that nobody was told of as executed."""
    told_otherwise: tuple[int, ...]
    """Others that moved and were told failed, or the other way round."""
    requests: int
    without_one_record: tuple[str, ...]
    """Requests that have no record or several, of those that a client got an answer for which was not rolled back."""
    faults: Counter[str]


@dataclass(slots=True)
class _Daemon:
    """The daemon that serves now, as its clients see it."""

    folder: Path
    more: dict[str, str]
    process: Process | None = None
    url: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    rollbacks: int = 0

    async def start(self, *, serve: bool = True) -> None:
        """As a supervisor does: again where the network does not let it begin. `serve`: clients may come."""
        for _ in range(_STARTS):
            if await self._begin():
                if serve:
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

    def snapshot(self, to: Path) -> None:
        """Copy the folder as it is at one moment: nothing of it runs meanwhile."""
        assert self.process is not None
        pids = (self.process.pid, int((self.folder / "signer" / "lock").read_text()))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.folder, to, ignore=_sockets)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    async def roll_back(self, to: Path) -> None:
        """Die, and be where the copy is. Nobody is served yet."""
        signer = int((self.folder / "signer" / "lock").read_text())
        await self.kill()
        async with asyncio.timeout(_READY_S):
            while Path("/proc", str(signer)).exists():
                await asyncio.sleep(0.02)
        shutil.rmtree(self.folder)
        shutil.copytree(to, self.folder)
        self.rollbacks += 1
        await self.start(serve=False)

    async def acknowledge(self, session: aiohttp.ClientSession, credentials: Path) -> None:
        """What a hasty operator does: go on with all keys."""
        headers = {"Authorization": f"Bearer {(self.folder / 'operator_key').read_text().strip()}"}
        for account in SENDERS:
            key: str = json.loads((credentials / f"{account}.json").read_text())["public_key"]
            body = {"account_id": account, "public_key": key}
            for _ in range(_ROUNDS):
                async with session.post(f"{self.url}/v1/near/lanes/acknowledge", json=body, headers=headers) as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.1)

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
    acknowledge: Callable[[], Awaitable[None]]
    answered: set[str] = field(default_factory=set[str])
    waiting: dict[int, str] = field(default_factory=dict[int, str])
    """Codes of cards without a known end, by the numbers of their transfers."""
    forgotten: set[int] = field(default_factory=set[int])

    async def say(self, text: str, key: str, *, blocked: bool = False) -> dict[str, Any]:
        """The answer's `near_agent`; asked again until there is one. `blocked`: also while the daemon serves nobody else."""
        body = {"model": "near-agent", "messages": [{"role": "user", "content": text}]}
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": key,
            "X-Near-Agent-Conversation": key,
        }
        for _ in range(_ROUNDS):
            if not blocked:
                await self.daemon.up.wait()
            try:
                async with self.session.post(
                    f"{self.daemon.url}/v1/chat/completions", json=body, headers=headers
                ) as answer:
                    said = await answer.json()
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            if answer.status == 429 and text.startswith("confirm "):
                return {"status": "refused"}  # too many codes of cards that the folder has forgotten
            if answer.status == 200:
                facts: dict[str, Any] = said["near_agent"]
                self.answered.add(facts["request_id"])
                if not blocked and "near-agent keys acknowledge" in said["choices"][0]["message"]["content"]:
                    await self.acknowledge()  # bytes of a lost time have landed since the last one
                return facts
            await asyncio.sleep(0.1)
        raise RuntimeError(f"no answer to {text!r} after {_ROUNDS} attempts")

    async def transfer(self, number: int) -> tuple[str, str]:
        """Ask, confirm, and ask what became of it until that is known: the code, and the last status told."""
        code, before = "", self.daemon.rollbacks
        for attempt in range(_ROUNDS):
            card = await self.say(f"/near_transfer {RECEIVER} {amount_of(number)}", f"ask-{number}-{attempt}")
            if card["status"] == "needs_approval":
                code = self.waiting[number] = card["confirm_code"]
                break
            await asyncio.sleep(0.1)
        status = await self.settle(code, number, 1)
        if self.daemon.rollbacks != before:
            self.forgotten.add(number)
        if status != "unconfirmed":
            self.waiting.pop(number, None)
        return code, status

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


async def run_drill(folder: Path, *, transfers: int, kills: int, rollbacks: int, seed: int) -> Counts:
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
        credentials = folder / "chain" / "localnet" / "credentials"

        async def acknowledge() -> None:
            await daemon.acknowledge(session, credentials)

        clients = [_Client(daemon, session, key, acknowledge) for key in keys]
        turns = _Turns(daemon, clients, acknowledge, folder / "snapshot", random.Random(seed))
        ends = await turns.run(transfers=transfers, kills=kills, rollbacks=rollbacks)
        proxy.faulty = False
        for number, (code, status) in ends.items():
            if status == "unconfirmed":
                ends[number] = code, await clients[number % len(clients)].settle(code, number, _ROUNDS)
        moved = await balance_yocto(session, chain_url, RECEIVER) - before
        on_chain = await transfers_to(session, chain_url, RECEIVER)
        await daemon.stop()
        forgotten = set[int]().union(*(client.forgotten for client in clients))
        executed = {number for number, (_, status) in ends.items() if status == "executed"}
        answered = set[str]().union(*(client.answered for client in clients))
        recorded = Counter(record.request.request_id for record in read_records(folder / "data" / DATABASE_NAME))
        return Counts(
            transfers=transfers,
            kills=kills,
            rollbacks=daemon.rollbacks,
            confirmed_again=turns.confirmed_again,
            ends=Counter(status for _, status in ends.values()),
            acknowledged_yocto=sum((number + 1) * MILLI for number in executed),
            moved_yocto=moved,
            twice=tuple(amount for amount, times in on_chain.items() if times > 1),
            forgotten=tuple(sorted(forgotten)),
            forgotten_yocto=sum((n + 1) * MILLI for n in forgotten - executed if on_chain[(n + 1) * MILLI]),
            told_otherwise=tuple(
                n
                for n in range(transfers)
                if (on_chain[(n + 1) * MILLI] > 0) != (n in executed) and (n in executed or n not in forgotten)
            ),
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


def _sockets(folder: str, names: list[str]) -> list[str]:
    """What no copy of a disk holds."""
    return [name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)]  # noqa: PTH118


@dataclass(slots=True)
class _Turns:
    """Everybody's transfers, and what happens to the daemon on the way, at random moments."""

    daemon: _Daemon
    clients: list[_Client]
    acknowledge: Callable[[], Awaitable[None]]
    copy: Path
    chance: random.Random
    ends: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Code and status of each transfer."""
    confirmed_again: Counter[str] = field(default_factory=Counter[str])

    async def run(self, *, transfers: int, kills: int, rollbacks: int) -> dict[int, tuple[str, str]]:
        clients = self.clients
        numbers = [[n for n in range(transfers) if n % len(clients) == place] for place in range(len(clients))]
        moments = sorted(self.chance.sample(range(1, transfers), kills + rollbacks))
        rolled = set(self.chance.sample(moments, rollbacks))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trouble([(moment, moment in rolled) for moment in moments]))
            for client, mine in zip(clients, numbers, strict=True):
                for _ in range(AT_ONCE):
                    group.create_task(self._work(client, mine))
        return self.ends

    async def _work(self, client: _Client, numbers: list[int]) -> None:
        while numbers:
            number = numbers.pop(0)
            self.ends[number] = await client.transfer(number)

    async def _trouble(self, moments: list[tuple[int, bool]]) -> None:
        for moment, rolls in moments:
            await self._until(moment)
            if rolls:
                await self._roll_back()
            else:
                await self.daemon.kill()
                await self.daemon.start()

    async def _until(self, ended: int) -> None:
        while len(self.ends) < ended:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.chance.uniform(0, 0.3))

    async def _roll_back(self) -> None:
        """Go on for a while, then back to the copy; confirm what waited in it, acknowledge, and confirm it once more."""
        self.daemon.snapshot(self.copy)
        answered = [set(client.answered) for client in self.clients]
        cards = [(client, dict(client.waiting)) for client in self.clients]
        await asyncio.sleep(self.chance.uniform(0, 3))
        await self.daemon.roll_back(self.copy)
        for client, before in zip(self.clients, answered, strict=True):
            client.answered &= before
            client.forgotten |= {number for number, (_, status) in self.ends.items() if status == "unconfirmed"}
        for when in ("before", "after"):
            for client, codes in cards:
                for number, code in codes.items():
                    key = f"again-{self.daemon.rollbacks}-{when}-{number}"
                    facts = await client.say(f"confirm {code}", key, blocked=True)
                    self.confirmed_again[f"{when}: {facts['status']}"] += 1
            if when == "before":
                await self.acknowledge()
        self.daemon.up.set()
