"""The signer as everybody else sees it: a socket, and where none answers a child process that is kept alive.

`open_signer` uses a signer that runs on the folder already (a daemon's, or one that was started alone), else starts one. The
child ends with its parent, whatever ends that: its standard input is the lifeline. A signer that dies is started again;
what is asked meanwhile fails with `signer_down`, and nothing was signed.
"""

import asyncio
import base64
import itertools
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError

from contracts.calls import DelegateAction, Grant
from contracts.errors import SigningError
from contracts.groups import one_error
from contracts.signing.caps import Network
from contracts.signing.messages import Message, encode_delegate_payload
from contracts.signing.room import make_private, peer_uid, socket_address
from contracts.signing.wire import HEADER_BYTES, MAX_FRAME_BYTES, READY, Answer, HeldKeys, KeptKey, framed
from contracts.types import AccountId, JsonObject, PublicKey

log = structlog.get_logger()

_GRANT: Final[TypeAdapter[Grant]] = TypeAdapter(Grant)
_MODULE: Final = "contracts.signing.signer_process"
_END_S: Final = 5.0
"""Its interpreter takes a second or two to end on a busy machine; it holds nothing that a kill could lose."""


@dataclass(frozen=True, slots=True)
class SignerSpec:
    """Which keys, and whose folder."""

    folder: Path
    """Journal, caps, socket, sealed keys."""
    credentials_dir: Path
    network: Network
    direct: bool = False
    """New keys go to `credentials_dir/ACCOUNT.json`, else to the network's folder in it."""
    passphrase_file: Path | None = None
    """Read by the signer alone."""
    start: bool = True
    """Start a child where no signer runs."""
    request_timeout_s: float = 20.0
    start_timeout_s: float = 30.0
    restart_wait_s: float = 2.0
    """How long a request waits for a signer that is being started again."""
    restart_pause_s: float = 0.2


class _Lost(SigningError):
    """The signer is away, or went away before it answered."""


class SignerClient:
    """Implements `Signer`. Errors: SigningError `signer_down`, and what the signer says."""

    def __init__(self, spec: SignerSpec) -> None:
        self._spec = spec
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._tried = asyncio.Event()
        """Set once the first start has ended, well or not."""
        self._trouble = "it has not started yet"

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        return await self._signature({"op": "sign", "grant": _plain(grant), "transaction": _base64(transaction_bytes)})

    async def sign_message(self, account_id: AccountId, public_key: PublicKey, message: Message, grant: Grant) -> bytes:
        """A NEP-413 signature; the grant lists `signer.message_step(...).digest`. It is money: contracts execute messages."""
        text: JsonObject = {
            "message": message.message,
            "recipient": message.recipient,
            "nonce": _base64(message.nonce),
            "callback_url": message.callback_url,
        }
        return await self._signature(
            {
                "op": "sign_message",
                "grant": _plain(grant),
                "account_id": account_id,
                "public_key": public_key,
                "message": text,
            }
        )

    async def sign_delegate(self, action: DelegateAction, grant: Grant) -> bytes:
        """A NEP-366 signature; the grant lists `signer.delegate_step(...).digest`."""
        payload = _base64(encode_delegate_payload(action))
        return await self._signature({"op": "sign_delegate", "grant": _plain(grant), "payload": payload})

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        keys: Any = (await self._ask({"op": "public_keys", "account_id": account_id}))["public_keys"]
        return tuple(PublicKey(key) for key in keys)

    async def held(self) -> HeldKeys:
        """What keys there are; the signer reads its files again. SigningError `wrong_signer` for one of other keys."""
        held = HeldKeys.model_validate(await self._ask({"op": "held"}))
        wanted = (self._spec.network, str(self._spec.credentials_dir.absolute()))
        if (held.network, held.credentials_dir) != wanted:
            raise SigningError(
                "wrong_signer",
                f"the signer that runs on {self._spec.folder} (process {held.pid}) serves {held.network} with the keys in "
                f"{held.credentials_dir}, wanted are {wanted[0]} and {wanted[1]}; stop it first",
            )
        return held

    async def key_for_new_account(self, account_id: AccountId) -> PublicKey:
        """The key that an account to be created gets, on the signer's disk when this returns; the same one when asked again."""
        return PublicKey(str((await self._ask({"op": "new_key", "account_id": account_id}))["public_key"]))

    async def generate(self, account_id: AccountId, *, passphrase: str | None = None, more: bool = False) -> KeptKey:
        """A new key, sealed where a passphrase is given; `more`: beside the account's others. SigningError `key_exists`."""
        asked: JsonObject = {"op": "generate", "account_id": account_id, "more": more, "passphrase": passphrase}
        return KeptKey.model_validate(await self._ask(asked, repeat=False))

    async def new_key_beside(self, account_id: AccountId) -> PublicKey:
        """A further key of an account, on disk when this returns."""
        return (await self.generate(account_id, more=True)).public_key

    async def import_secret(self, account_id: AccountId, secret: str, *, passphrase: str | None = None) -> KeptKey:
        """Hand a secret key to the signer, which keeps it. SigningError `bad_key`, `key_exists`."""
        asked: JsonObject = {"op": "import", "account_id": account_id, "secret": secret, "passphrase": passphrase}
        return KeptKey.model_validate(await self._ask(asked, repeat=False))

    async def unlock(self, passphrase: str) -> dict[str, list[str]]:
        """Open sealed keys; which. SigningError `wrong_passphrase`."""
        opened: Any = (await self._ask({"op": "unlock", "passphrase": passphrase}))["opened"]
        return opened

    async def endorse(self, grant_id: str, public_key: PublicKey, signature: bytes) -> tuple[int, int]:
        """Hand in an approver's signature (`approvals.approval_message`); how many there are, how many it takes.

        SigningError `not_approver`.
        """
        asked: JsonObject = {
            "op": "endorse",
            "grant_id": grant_id,
            "public_key": public_key,
            "signature": _base64(signature),
        }
        told: Any = await self._ask(asked)
        return told["kept"], told["needed"]

    async def leave(self, account_id: AccountId, public_key: PublicKey) -> None:
        """Offer this key no more in `public_keys`, as long as the signer runs; it still signs."""
        await self._ask({"op": "leave", "account_id": account_id, "public_key": public_key})

    async def retire(self, account_id: AccountId, public_key: PublicKey) -> list[str]:
        """Sign with this key no more; what its files are called now."""
        asked: JsonObject = {"op": "retire", "account_id": account_id, "public_key": public_key}
        retired: Any = (await self._ask(asked))["retired"]
        return retired

    async def _signature(self, asked: JsonObject) -> bytes:
        return bytes.fromhex(str((await self._ask(asked))["signature"]))

    async def _ask(self, asked: JsonObject, *, repeat: bool = True) -> JsonObject:
        """Ask, and once more where the signer was lost in the middle: asked again it does the same thing, not a second one."""
        try:
            return await self._ask_once(asked)
        except _Lost:
            if not repeat:
                raise
            return await self._ask_once(asked)

    async def _ask_once(self, asked: JsonObject) -> JsonObject:
        number = next(self._numbers)
        body = framed(json.dumps({"id": number, **asked}).encode())
        await self._wait_until_up()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(self._spec.request_timeout_s):
                if self._writer is None:
                    raise self._down()
                self._writer.write(body)
                with suppress(ConnectionError):  # the reader sees it too, and says so to all who wait
                    await self._writer.drain()
                return (await answer).value()
        except TimeoutError:
            raise SigningError(
                "signer_down", f"the signer did not answer within {self._spec.request_timeout_s:g} s", retryable=True
            ) from None
        finally:
            self._waiting.pop(number, None)

    async def _wait_until_up(self) -> None:
        if self._up.is_set():
            return
        try:
            if not self._tried.is_set():
                async with asyncio.timeout(self._spec.start_timeout_s):
                    await self._tried.wait()
            async with asyncio.timeout(self._spec.restart_wait_s if self._spec.start else 0):
                await self._up.wait()
        except TimeoutError:
            raise self._down() from None

    def _down(self) -> "_Lost":
        return _Lost("signer_down", f"the signer is not there: {self._trouble}; nothing was signed", retryable=True)

    async def keep(self) -> None:
        """Connect, read answers, and when the connection ends begin again; until cancelled."""
        while True:
            try:
                async with self._reached() as (reader, writer):
                    self._writer = writer
                    self._up.set()
                    self._tried.set()
                    await self._read(reader)
                self._trouble = "it ended"
            except (SigningError, OSError) as error:
                self._trouble = error.message if isinstance(error, SigningError) else str(error)
            finally:
                self._up.clear()
                self._writer = None
                self._fail_all()
            self._tried.set()
            log.warning("signer_lost", folder=str(self._spec.folder), reason=self._trouble)
            await asyncio.sleep(self._spec.restart_pause_s)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                size = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
                if size > MAX_FRAME_BYTES:
                    raise SigningError("signer_answer", f"the signer announced an answer of {size} bytes")
                answer = Answer.model_validate_json(await reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            except ValidationError as error:
                raise SigningError("signer_answer", "the signer's answer cannot be read") from error
            waiting = self._waiting.get(answer.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def _fail_all(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._down())

    @asynccontextmanager
    async def _reached(self) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the signer that runs on the folder, else to one that is started for it."""
        try:
            reader, writer = await self._connect()
        except OSError:
            if not self._spec.start:
                raise SigningError("signer_down", f"no signer runs on {self._spec.folder}") from None
        else:
            try:
                yield reader, writer
            finally:
                writer.close()
            return
        async with self._child():
            reader, writer = await self._connect()
            try:
                yield reader, writer
            finally:
                writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with socket_address(self._spec.folder) as address:
            reader, writer = await asyncio.open_unix_connection(address)
        connection: socket.socket = writer.get_extra_info("socket")
        if peer_uid(connection) not in {os.getuid(), 0}:
            writer.close()
            raise SigningError("wrong_signer", f"the signer in {self._spec.folder} belongs to another user")
        return reader, writer

    @asynccontextmanager
    async def _child(self) -> AsyncGenerator[None]:
        make_private(self._spec.folder)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the current folder is no place to take the keys' program from
            "-m",
            _MODULE,
            *_arguments(self._spec),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={},  # the daemon's holds the keys of models and nodes
        )
        try:
            await self._until_ready(child)
            yield
        finally:
            said = await _end(child)
            if said:
                log.error("signer_said", text=said[-2000:])

    async def _until_ready(self, child: asyncio.subprocess.Process) -> None:
        if child.stdout is None or child.stderr is None:
            raise SigningError("signer_down", "the signer's process has no output")
        try:
            async with asyncio.timeout(self._spec.start_timeout_s):
                line = await child.stdout.readline()
                if line.strip() == READY.encode():
                    return
                said = (await child.stderr.read(4096)).decode(errors="replace").strip()
        except TimeoutError:
            said = f"it was not ready within {self._spec.start_timeout_s:g} s"
        raise SigningError("signer_down", said.splitlines()[-1] if said else "its process ended at once")


@asynccontextmanager
async def open_signer(spec: SignerSpec) -> AsyncGenerator[SignerClient]:
    """The signer of a folder, started in the background: the first request waits for it. What is raised inside comes out."""
    client = SignerClient(spec)
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(client.keep(), name="signer")
            try:
                yield client
            finally:
                keeping.cancel()


def _arguments(spec: SignerSpec) -> list[str]:
    arguments = [
        "--folder",
        str(spec.folder.absolute()),
        "--credentials",
        str(spec.credentials_dir.absolute()),
        "--network",
        spec.network,
        "--lifeline",
    ]
    if spec.direct:
        arguments.append("--direct")
    if spec.passphrase_file is not None:
        arguments += ["--passphrase-file", str(spec.passphrase_file.absolute())]
    return arguments


async def _end(child: asyncio.subprocess.Process) -> str:
    """Close the lifeline, and wait; what does not end by itself is killed. What it wrote as errors."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            _, errors = await child.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        return f"the signer did not end within {_END_S:g} s and was killed; its journal holds all that it signed"
    return errors.decode(errors="replace").strip()


def _plain(grant: Grant) -> JsonObject:
    return _GRANT.dump_python(grant, mode="json")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
