"""The process that has the keys: `python -m contracts.signing.signer_process --folder ... --credentials ... --network ...`.

It reads requests from its socket, one batch at a time, and answers them when its journal is on disk. Nothing that it is sent
makes it end; it ends on SIGTERM, or with `--lifeline` when its standard input is closed, which is when its parent is gone.
"""

import argparse
import ctypes
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

from pydantic import ValidationError

from contracts.calls import ApproverSignature
from contracts.errors import ContractsError, InvalidInput, SigningError
from contracts.signing.caps import Caps, Network, default_caps, parse_caps
from contracts.signing.journal import Journal
from contracts.signing.messages import Message
from contracts.signing.room import alone, listening, make_private, peer_uid
from contracts.signing.vault import KeyFolders, Vault
from contracts.signing.wire import (
    ASK,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    READY,
    Ask,
    Endorse,
    Generate,
    Held,
    HeldKeys,
    Import,
    KeptKey,
    Leave,
    NewKey,
    Numbered,
    Problem,
    PublicKeys,
    Retire,
    Sign,
    SignDelegate,
    SignMessage,
    Unlock,
    error_body,
    frame,
)
from contracts.types import JsonObject

JOURNAL_FILE: Final = "journal.sqlite"
CAPS_FILE: Final = "caps.toml"
_MAX_CONNECTIONS: Final = 32
_READ_BYTES: Final = 1 << 18
_SIGNAL_POLL_S: Final = 0.3
"""How soon a signal is seen: Python goes on waiting when its handler has run."""
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_MAX_PASSPHRASE_FILE: Final = 4096


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    unread: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class SignerServer:
    """Serves a vault on a listening socket until told to stop."""

    def __init__(
        self,
        vault: Vault,
        journal: Journal,
        folders: KeyFolders,
        server: socket.socket,
        *,
        lifeline: int | None,
        owner_uid: int | None = None,
    ) -> None:
        self._owner_uid = os.getuid() if owner_uid is None else owner_uid
        self._vault = vault
        self._journal = journal
        self._folders = folders
        self._server = server
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self.stopped = False

    def run(self) -> None:
        """Answer until the end."""
        self._selector.register(self._server, selectors.EVENT_READ)
        if self._lifeline is not None:
            self._selector.register(self._lifeline, selectors.EVENT_READ)
        try:
            while not self.stopped:
                self._turn()
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self._selector.close()

    def _turn(self) -> None:
        asked: list[tuple[_Client, bytes]] = []
        for key, events in self._selector.select(None if self._lifeline is not None else _SIGNAL_POLL_S):
            if key.fileobj is self._server:
                self._accept()
            elif key.fd == self._lifeline:
                self.stopped = self.stopped or not os.read(key.fd, 64)
            else:
                client = self._clients[key.fd]
                if events & selectors.EVENT_READ:
                    asked += [(client, body) for body in self._read(client)]
                elif events & selectors.EVENT_WRITE:
                    self._write(client)
        if asked:
            self._answer(asked)

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        if len(self._clients) >= _MAX_CONNECTIONS or peer_uid(connection) != self._owner_uid:
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, client: _Client) -> list[bytes]:
        """Whole requests that have arrived. A client that breaks off, or announces too much, is dropped."""
        try:
            data = client.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return []
        client.unread += data
        bodies: list[bytes] = []
        while len(client.unread) >= HEADER_BYTES:
            size = int.from_bytes(client.unread[:HEADER_BYTES], "big")
            if size > MAX_FRAME_BYTES:
                self._drop(client)
                return []
            if len(client.unread) < HEADER_BYTES + size:
                break
            bodies.append(bytes(client.unread[HEADER_BYTES : HEADER_BYTES + size]))
            del client.unread[: HEADER_BYTES + size]
        return bodies

    def _answer(self, asked: Sequence[tuple[_Client, bytes]]) -> None:
        """Answer a batch: one durable write of the journal, then what was signed goes out."""
        told: list[JsonObject] = []
        try:
            with self._journal.batch():
                told = [self._told(body) for _, body in asked]
        except SigningError as error:
            told = [error_body(_number(body), error) for _, body in asked]
        for (client, _), answer in zip(asked, told, strict=True):
            client.unsent += frame(answer)
            self._write(client)

    def _told(self, body: bytes) -> JsonObject:
        try:
            ask = ASK.validate_json(body)
        except ValidationError as error:
            kinds = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['type']}" for part in error.errors())
            return error_body(_number(body), InvalidInput("bad_request", f"no request to the signer: {kinds[:500]}"))
        try:
            return {"id": ask.id, "ok": self._done(ask)}
        except ContractsError as error:
            return error_body(ask.id, error)

    def _done(self, ask: Ask) -> JsonObject:
        vault = self._vault
        match ask:
            case Sign():
                return _signature(vault.sign(ask.transaction, ask.grant))
            case SignMessage():
                text = ask.message
                message = Message(text.message, text.recipient, text.nonce, text.callback_url)
                return _signature(vault.sign_message(ask.account_id, ask.public_key, message, ask.grant))
            case SignDelegate():
                return _signature(vault.sign_delegate(ask.payload, ask.grant))
            case Held():
                vault.reload()
                return self._held()
            case PublicKeys():
                return {"public_keys": list(vault.public_keys(ask.account_id))}
            case _:
                return self._kept(ask)

    def _kept(self, ask: NewKey | Generate | Import | Unlock | Endorse | Leave | Retire) -> JsonObject:
        """What changes the keys themselves."""
        vault = self._vault
        match ask:
            case NewKey():
                return {"public_key": vault.new_key(ask.account_id)}
            case Generate():
                return _key(*vault.generate(ask.account_id, ask.passphrase, more=ask.more))
            case Import():
                return _key(*vault.import_secret(ask.account_id, ask.secret, ask.passphrase))
            case Unlock():
                return {"opened": {account: list(keys) for account, keys in vault.unlock(ask.passphrase).items()}}
            case Endorse():
                kept, needed = vault.endorse(ask.grant_id, ApproverSignature(ask.public_key, ask.signature))
                return {"kept": kept, "needed": needed}
            case Leave():
                vault.leave(ask.account_id, ask.public_key)
                return {"leaving": ask.public_key}
            case Retire():
                return {"retired": [str(path) for path in vault.retire(ask.account_id, ask.public_key)]}
            case _:
                assert_never(ask)

    def _held(self) -> JsonObject:
        held = HeldKeys(
            pid=os.getpid(),
            memory_closed=_libc().prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
            network=self._folders.network,
            credentials_dir=str(self._folders.credentials_dir),
            accounts=self._vault.held(),
            locked=self._vault.locked(),
            problems=tuple(
                Problem(path=str(one.path), account_id=one.account_id, reason=one.reason)
                for one in self._vault.problems
            ),
        )
        return held.model_dump(mode="json")

    def _write(self, client: _Client) -> None:
        if client.connection.fileno() == -1:
            return
        try:
            sent = client.connection.send(client.unsent) if client.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        del client.unsent[:sent]
        # Who does not read its answers gets to ask nothing more.
        self._selector.modify(client.connection, selectors.EVENT_WRITE if client.unsent else selectors.EVENT_READ)

    def _drop(self, client: _Client) -> None:
        number = client.connection.fileno()
        if number in self._clients:
            self._selector.unregister(client.connection)
            del self._clients[number]
            client.connection.close()


def close_memory() -> None:
    """Neither other processes of this user nor a core file can read this memory. OSError where the kernel refuses."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) was refused")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def read_caps(folder: Path, network: Network) -> Caps:
    """The caps of the signer's own file, else the network's default ones."""
    try:
        text = (folder / CAPS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return default_caps(network)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("bad_caps", f"{folder / CAPS_FILE} cannot be read: {error}") from error
    return parse_caps(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the end; 2 with one line on standard error where it cannot."""
    parser = argparse.ArgumentParser(prog="signer_process", description="Holds keys and signs what grants cover.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--credentials", type=Path, required=True)
    parser.add_argument("--network", choices=("localnet", "testnet", "mainnet"), required=True)
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--lifeline", action="store_true")
    parser.add_argument("--passphrase-file", type=Path)
    given = parser.parse_args(arguments)
    folders = KeyFolders(given.credentials, given.network, given.folder, given.direct)
    try:
        run(folders, lifeline=given.lifeline, passphrase_file=given.passphrase_file)
    except ContractsError as error:
        sys.stderr.write(f"signer: {error.message}\n")
        return 2
    return 0


def run(folders: KeyFolders, *, lifeline: bool, passphrase_file: Path | None) -> None:
    """Hold the folder, read the keys, serve."""
    close_memory()
    os.umask(0o077)
    make_private(folders.own)
    with ExitStack() as stack:
        stack.enter_context(alone(folders.own))
        caps = read_caps(folders.own, folders.network)
        journal = stack.enter_context(Journal.open(folders.own / JOURNAL_FILE))
        vault = Vault(folders, journal, caps, clock=time.time)
        if passphrase_file is not None:
            vault.unlock(_passphrase(passphrase_file))
        vault.reload()
        server = stack.enter_context(listening(folders.own))
        serving = SignerServer(vault, journal, folders, server, lifeline=sys.stdin.fileno() if lifeline else None)
        _take_signals(serving, lifeline=lifeline)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        serving.run()


def _take_signals(serving: SignerServer, *, lifeline: bool) -> None:
    """With a parent its end alone counts: a signal to the whole group must not stop what the parent still finishes."""

    def stop(_number: int, _frame: object) -> None:
        serving.stopped = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if lifeline else stop)


def _passphrase(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_PASSPHRASE_FILE).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningError("passphrase_file", f"{path} cannot be read: {error}") from error


def _number(body: bytes) -> int:
    """Of a request that may be none; 0 where it has no number."""
    try:
        return Numbered.model_validate_json(body).id
    except ValidationError:
        return 0


def _signature(raw: bytes) -> JsonObject:
    return {"signature": raw.hex()}


def _key(public_key: str, path: Path) -> JsonObject:
    return KeptKey.model_validate({"public_key": public_key, "path": str(path)}).model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(main())
