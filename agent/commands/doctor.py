"""`doctor`: checks what a daemon needs, one line each, and says what to do about what is wrong."""

import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import typer

from agent.commands.exits import DONE, FAILED, UNREACHABLE, USAGE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, read_config
from agent.data_folder import DaemonAddress, running_daemon

if TYPE_CHECKING:
    from agent.config import Config, ModelConfig
    from contracts.chain.rpc import RpcClient
    from contracts.types import AccountId

Verdict: TypeAlias = Literal["ok", "warn", "fail", "skip"]

_LOW_DISK_BYTES: Final = 200 * 1024 * 1024
_CLOCK_WARN_S: Final = 30.0
_ANSWER_TIMEOUT_S: Final = 10.0
_MODEL_LIST_BYTES: Final = 8 * 1024 * 1024
"""Of an endpoint's list of models; aggregators list thousands."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    verdict: Verdict
    found: str
    todo: str = ""
    """What to do; empty where nothing is to be done."""
    exit_code: int = DONE


def doctor(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check what the daemon needs."""
    with told(as_json=as_json):
        import asyncio

        checks = asyncio.run(_collect(config, data_dir, _printer(as_json=as_json)))
        if as_json:
            print_json({"checks": [asdict(check) for check in checks]})
        raise typer.Exit(next((check.exit_code for check in checks if check.verdict == "fail"), DONE))


def _printer(*, as_json: bool) -> Callable[[Check], None]:
    def show(check: Check) -> None:
        if not as_json:
            say(f"{check.verdict:<5} {check.name:<12} {check.found}")
            if check.todo:
                say(f"      {'':<12} -> {check.todo}")

    return show


async def _collect(config: Path | None, data_dir: Path | None, show: Callable[[Check], None]) -> list[Check]:
    checks: list[Check] = []
    async for check in _checks(config, data_dir):
        checks.append(check)
        show(check)
    return checks


async def _checks(config: Path | None, data_dir: Path | None) -> AsyncGenerator[Check]:
    try:
        settings = read_config(config, data_dir)
    except CommandError as error:
        yield Check("config", "fail", str(error), "correct the file or variable that is named", USAGE)
        return
    yield Check("config", "ok", f"network {settings.network}")
    yield Check("limits", "ok", settings.limits.shown)
    yield _folder(settings.data_dir)
    yield Check("simulation", "ok", settings.simulation.shown)
    address = running_daemon(settings.data_dir)
    yield _daemon(address, settings.data_dir)
    async for check in _chain(settings, address):
        yield check
    async for check in _ledger(settings):
        yield check
    for name, section in (("standard", settings.models.standard), ("specialist", settings.models.specialist)):
        yield await _model(name, section)


def _folder(folder: Path) -> Check:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        found = f"{there} is {'not writable' if there.is_dir() else 'no folder'}"
        return Check("data folder", "fail", found, "correct it, or name another folder with --data-dir", USAGE)
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free // 1024 // 1024} MiB free"
    if free < _LOW_DISK_BYTES:
        return Check("data folder", "warn", found, "make room: nothing is sent that cannot be written down first")
    return Check("data folder", "ok", found)


def _daemon(address: DaemonAddress | None, folder: Path) -> Check:
    if address is None:
        return Check("daemon", "skip", f"none runs on {folder}; start it with: near-agent run")
    import http.client
    from urllib.parse import urlsplit

    where = urlsplit(address.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        todo = f"stop process {address.pid} and start the daemon again"
        return Check("daemon", "fail", f"{address.url} does not answer: {error}", todo, UNREACHABLE)
    finally:
        connection.close()
    ready = status == 200
    return Check("daemon", "ok" if ready else "warn", f"{address.url} is {'ready' if ready else 'not ready'}")


async def _chain(settings: "Config", address: DaemonAddress | None) -> AsyncGenerator[Check]:
    from contracts.chain.endpoints import Endpoint
    from contracts.chain.rpc import RpcConfig, open_rpc
    from contracts.errors import RpcError

    once = RpcConfig(request_timeout_s=_ANSWER_TIMEOUT_S, attempts=1)
    nodes = settings.rpc_endpoints
    if settings.embedded:
        if address is None:
            yield Check("rpc", "skip", "the embedded chain starts with the daemon")
            async for check in _keys(settings, None):
                yield check
            return
        nodes = (Endpoint.of(address.rpc_url),)
    answered: Endpoint | None = None
    for node in nodes:
        try:
            async with open_rpc((node,), config=once) as rpc:
                begun = time.perf_counter()
                status = await rpc.status()
                took_ms = (time.perf_counter() - begun) * 1000
        except RpcError as error:
            verdict: Verdict = "warn" if len(nodes) > 1 else "fail"
            yield Check("rpc", verdict, error.message, "check the address and the network", UNREACHABLE)
            continue
        answered = answered or node
        syncing = ", still syncing" if status.syncing else ""
        yield Check("rpc", "ok", f"{node.shown} answered in {took_ms:.0f} ms, block {status.latest_height}{syncing}")
        yield _clock(status.latest_time.timestamp(), time.time(), moves_on=settings.network == "localnet")
        yield _chain_id(settings.network, status.chain_id)
    if answered is None:
        todo = f"check the network and [networks.{settings.network}] rpc"
        yield Check("rpc", "fail", "no node answered", todo, UNREACHABLE)
        async for check in _keys(settings, None):
            yield check
        return
    async with open_rpc((answered,), config=once) as rpc:
        async for check in _keys(settings, rpc):
            yield check


async def _ledger(settings: "Config") -> AsyncGenerator[Check]:
    """What a person has to decide: keys that something else used, transactions without an end, a restored database."""
    if not settings.database_path.is_file():
        return
    from agent.errors import StoreError
    from agent.store.store import open_store
    from contracts.chain.ledger import UNSETTLED

    try:
        async with open_store(settings.database_path) as store:
            open_intents = await store.ledger.in_states(UNSETTLED)
            blocked = await store.ledger.blocked()
    except StoreError as error:
        yield Check("ledger", "fail", error.message, "look at the disk, or restore a backup", FAILED)
        return
    for lane, foreign in blocked:
        found = f"{lane.name} of {lane.signer_id}: nonce {foreign.chain_nonce} on chain, ours {foreign.known_nonce}"
        todo = f"find out what used it, then: near-agent keys acknowledge {lane.signer_id} {lane.public_key}"
        yield Check("key blocked", "warn", found, todo)
    review = [intent for intent in open_intents if intent.review is not None]
    for intent in open_intents:
        tx_hash = intent.signed.tx_hash if intent.signed else "?"
        why = "open in a restored ledger, for review" if intent.review else intent.state
        todo = f"/tx_status {tx_hash} says what became of it; near-agent cancel-tx {tx_hash} fences it"
        yield Check("transaction", "warn", f"{tx_hash} of request {intent.request_id}: {why}", todo)
    yield Check("ledger", "ok", f"{len(open_intents)} transactions without an end, {len(review)} of them for review")


def _shown(url: str) -> str:
    """An address without what may hold a provider's key."""
    from urllib.parse import urlsplit

    where = urlsplit(url)
    return f"{where.scheme}://{where.hostname}{f':{where.port}' if where.port else ''}"


def _clock(block_time: float, now: float, *, moves_on: bool) -> Check:
    """`moves_on`: the chain's time may be ahead, by `localnet advance-epochs`."""
    behind = now - block_time
    found = f"{abs(behind):.0f} s {'after' if behind >= 0 else 'before'} the newest block"
    if abs(behind) > _CLOCK_WARN_S and not (moves_on and behind < 0):
        return Check("clock", "warn", found, "set this machine's clock (NTP), or use a node that keeps up")
    return Check("clock", "ok", found)


def _chain_id(network: str, chain_id: str) -> Check:
    if chain_id != network:
        todo = f"the address in [networks.{network}] rpc belongs to another network"
        return Check("chain id", "fail", f"{chain_id}, configured is {network}", todo, USAGE)
    return Check("chain id", "ok", chain_id)


async def _keys(settings: "Config", rpc: "RpcClient | None") -> AsyncGenerator[Check]:
    from agent.signing import signer_spec
    from contracts.errors import SigningError
    from contracts.signing.signer_client import open_signer

    folder = settings.credentials_dir
    try:
        async with open_signer(signer_spec(settings)) as signer:
            held = await signer.held()
    except SigningError as error:
        yield Check("keys", "fail", error.message, "correct what it names, then run doctor again", USAGE)
        return
    for problem in held.problems:
        yield Check("keys", "warn", f"{problem.path}: {problem.reason}", "correct the file or move it away")
    for account_id in held.locked:
        yield Check("keys", "warn", f"the key of {account_id} is sealed", "open it with: near-agent keys unlock")
    accounts = tuple(held.accounts)
    if not accounts and settings.embedded:
        yield Check("keys", "skip", "made with the embedded chain at its first start")
        return
    if not accounts:
        todo = "near-agent keys generate ACCOUNT, or [keys] credentials_dir with near-cli's folder"
        yield Check("keys", "fail", f"none for {settings.network} in {folder}", todo, USAGE)
        return
    chosen = settings.first_account or (accounts[0] if len(accounts) == 1 else None)
    if chosen is None:
        yield Check(
            "keys",
            "fail",
            f"{len(accounts)} accounts in {folder}",
            f"set account_id to one of: {', '.join(accounts)}",
            USAGE,
        )
        return
    if chosen not in accounts:
        todo = f"near-agent keys generate {chosen}, or another account_id"
        yield Check("keys", "fail", f"no key of {chosen} in {folder}", todo, USAGE)
        return
    yield Check("keys", "ok", f"{chosen} has {len(held.accounts[chosen])} in {folder}")
    if rpc is not None:
        yield await _key_on_chain(rpc, chosen, held.accounts[chosen])


async def _key_on_chain(rpc: "RpcClient", account_id: "AccountId", public_keys: tuple[str, ...]) -> Check:
    from contracts.errors import RpcError

    try:
        there = {str(item.public_key) for item in (await rpc.access_keys(account_id)).keys}
    except RpcError as error:
        return Check("account", "fail", error.message, "ask again when the node answers", UNREACHABLE)
    if not there:
        todo = "create and fund it, on testnet with a faucet (near-agent keys generate tells how)"
        return Check("account", "fail", f"{account_id} has no key on chain, or does not exist", todo, USAGE)
    if not there & set(public_keys):
        todo = f"add {public_keys[0]} to {account_id} with a wallet or near-cli"
        return Check("account", "fail", f"no key in the folder is a key of {account_id} on chain", todo, USAGE)
    return Check("account", "ok", f"{account_id} knows the key")


async def _model(name: str, section: "ModelConfig | None") -> Check:
    label = name
    if section is None:
        return Check(label, "skip", f"no {name} model is configured; slash commands need none")
    if section.api_key_env and section.api_key is None:
        return Check(label, "fail", f"the variable {section.api_key_env} is not set", "set it to the key", USAGE)
    import aiohttp

    from contracts.outgoing import Guard, open_session

    headers = {"Authorization": f"Bearer {section.api_key.get_secret_value()}"} if section.api_key else {}
    try:
        async with open_session(
            Guard([section.base_url]),
            timeout_s=_ANSWER_TIMEOUT_S,
            connect_timeout_s=_ANSWER_TIMEOUT_S,
            max_body_bytes=_MODEL_LIST_BYTES,
        ) as http:
            status = (await http.request("GET", f"{section.base_url}/models", headers=headers)).status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        found = f"{_shown(section.base_url)} does not answer: {error or 'time-out'}"
        return Check(label, "fail", found, f"check [models.{name}] base_url", FAILED)
    if status in {401, 403}:
        return Check(label, "fail", f"{_shown(section.base_url)} refuses the key", "check api_key_env", FAILED)
    return Check(label, "ok", f"{section.model} at {_shown(section.base_url)} (HTTP {status} from /models)")
