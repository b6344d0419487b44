"""The signer as a process: its socket, its end, its restart, and what it is sent by mistake or on purpose."""

import asyncio
import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from contracts.calls import DelegateAction, Transfer
from contracts.errors import InvalidInput, SigningError
from contracts.signing.messages import Message, delegate_hash, message_hash
from contracts.signing.room import alone, make_private, socket_address
from contracts.signing.signatures import verify
from contracts.signing.signer import delegate_step, message_step
from contracts.signing.signer_client import SignerClient, SignerSpec, open_signer
from contracts.signing.transaction import combine_digests, transaction_hash
from contracts.signing.wire import MAX_FRAME_BYTES, HeldKeys
from contracts.types import PublicKey, Yocto
from tests.contracts.signing.signing_world import ALICE, BOB, bytes_of, grant_for, transfer

ROOT = Path(__file__).resolve().parents[3]
SOON = 4_000_000_000.0


def spec_of(folder: Path, **changes: object) -> SignerSpec:
    spec = SignerSpec(
        folder=folder / "signer",
        credentials_dir=folder / "keys",
        network="localnet",
        direct=True,
        restart_wait_s=10.0,
        restart_pause_s=0.01,
    )
    return replace(spec, **changes)


@asynccontextmanager
async def signer_with_key(folder: Path, **changes: object) -> AsyncGenerator[tuple[SignerClient, PublicKey]]:
    async with open_signer(spec_of(folder, **changes)) as signer:
        yield signer, await signer.key_for_new_account(ALICE)


def gone(pid: int, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


async def test_everything_it_signs_comes_over_the_socket(tmp_path: Path) -> None:
    async with signer_with_key(tmp_path) as (signer, key):
        data = bytes_of(key, transfer())
        signature = await signer.sign(data, grant_for(transfer(), expires_at=SOON))
        assert verify(key, transaction_hash(data).raw, signature)
        message = Message("héllo", "app.near", bytes(32), "https://app.near")
        digest = message_step(ALICE, message).digest
        grant = replace(
            grant_for(transfer(), name="m", expires_at=SOON),
            call_digests=(digest,),
            calls_hash=combine_digests("localnet", ALICE, (digest,)),
        )
        assert verify(key, message_hash(message), await signer.sign_message(ALICE, key, message, grant))
        action = DelegateAction(ALICE, BOB, (Transfer(Yocto(1)),), 5, 1000, key)
        digest = delegate_step(action).digest
        grant = replace(
            grant, grant_id="d", call_digests=(digest,), calls_hash=combine_digests("localnet", ALICE, (digest,))
        )
        assert verify(key, delegate_hash(action), await signer.sign_delegate(action, grant))
        with pytest.raises(InvalidInput) as caught:
            await signer.sign(b"\0", grant)
        assert caught.value.code == "bad_transaction"
        held = await signer.held()
        assert held.accounts == {ALICE: (key,)}
        assert held.memory_closed
        assert await signer.public_keys(BOB) == ()
        (tmp_path / "keys" / f"{BOB}.json").write_text("{}")
        await signer.held()
        with pytest.raises(SigningError, match="no private_key"):
            await signer.public_keys(BOB)


async def test_it_is_its_owners_alone_wherever_the_folder_is(tmp_path: Path) -> None:
    folder = tmp_path / ("a long name for a folder " * 4) / ("and another one " * 6)
    async with signer_with_key(folder) as (signer, _):
        inside = folder / "signer"
        assert stat.S_IMODE(inside.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in inside.iterdir()}
        assert modes.pop("signer.sock") == 0o600
        assert set(modes.values()) == {0o600}
        with pytest.raises(SigningError) as caught, alone(inside):
            pass
        assert caught.value.code == "signer_running"
        async with open_signer(spec_of(folder)) as second:
            assert (await second.held()).pid == (await signer.held()).pid
        async with open_signer(replace(spec_of(folder), network="testnet")) as third:
            with pytest.raises(SigningError) as caught:
                await third.held()
            assert caught.value.code == "wrong_signer"
    assert not (inside / "signer.sock").exists()


async def test_killed_it_is_started_again_and_remembers(tmp_path: Path) -> None:
    async with signer_with_key(tmp_path) as (signer, key):
        data, grant = bytes_of(key, transfer()), grant_for(transfer(), expires_at=SOON)
        signature = await signer.sign(data, grant)
        pid = (await signer.held()).pid
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        assert await signer.sign(data, grant) == signature
        assert (await signer.held()).pid != pid
        with pytest.raises(SigningError) as caught:
            await signer.sign(bytes_of(key, transfer(), nonce=8), grant)
        assert caught.value.code == "step_signed"


async def test_while_it_is_away_requests_fail_and_say_so(tmp_path: Path) -> None:
    async with signer_with_key(tmp_path, restart_pause_s=60.0, restart_wait_s=0.05) as (signer, key):
        pid = (await signer.held()).pid
        os.kill(pid, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(_failure(signer, key))
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
        assert asked.result() == "signer_down"
        assert await _failure(signer, key) == "signer_down"


async def _failure(signer: SignerClient, key: PublicKey) -> str:
    with pytest.raises(SigningError) as caught:
        await signer.sign(bytes_of(key, transfer()), grant_for(transfer(), expires_at=SOON))
    assert caught.value.retryable
    return caught.value.code


async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "signer").mkdir()
    (tmp_path / "signer" / "caps.toml").write_text("[near]\nper_hour = 5\n")
    async with open_signer(spec_of(tmp_path, restart_wait_s=0.05)) as signer:
        with pytest.raises(SigningError, match=r"near\.per_hour"):
            await signer.held()
    async with open_signer(spec_of(tmp_path / "none", start=False)) as signer:
        with pytest.raises(SigningError, match="no signer runs"):
            await signer.held()


PARENT = """
import asyncio, sys
from pathlib import Path
from contracts.signing.signer_client import SignerSpec, open_signer
async def main():
    folder = Path(sys.argv[1])
    spec = SignerSpec(folder=folder / "signer", credentials_dir=folder / "keys", network="localnet", direct=True)
    async with open_signer(spec) as signer:
        print((await signer.held()).pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child, ignored)
        parent.send_signal(number)
        parent.wait(10)
    assert gone(child)


async def test_alone_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "contracts.signing.signer_process", "--folder", str(tmp_path / "signer")]
    command += ["--credentials", str(tmp_path / "keys"), "--network", "localnet", "--direct"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        async with signer_with_key(tmp_path, start=False) as (signer, _):
            assert (await signer.held()).pid == process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    assert (tmp_path / "keys" / f"{ALICE}.json").exists()


HOSTILE = [
    b"",
    b"\0\0",
    (2).to_bytes(4, "big") + b"{",
    (MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"x" * 100,
    b"\xff" * 64,
    (0).to_bytes(4, "big"),
    (2).to_bytes(4, "big") + b"[]",
    (7).to_bytes(4, "big") + b'{"id":1',
    (40_000).to_bytes(4, "big") + b"[" * 40_000,
    b"GET / HTTP/1.1\r\nHost: signer\r\n\r\n",
    *(
        len(body).to_bytes(4, "big") + body
        for body in (
            json.dumps(value).encode()
            for value in (
                {"id": 1, "op": "unsafe_sign_hash", "digest": "00" * 32},
                {"id": 1, "op": "sign", "transaction": "AAAA"},
                {"id": 1, "op": "held", "more": 1},
                {"id": "x", "op": "held"},
                {"id": 1, "op": "retire", "account_id": "../../etc", "public_key": "ed25519:x"},
                {"id": 1, "op": "generate", "account_id": "../x"},
                {"id": 1, "op": "import", "account_id": "x.near", "secret": "ed25519:" + "x" * 5000},
            )
        )
    ),
]


def _broken_digests(key: PublicKey) -> bytes:
    """A grant that fits the bytes, but for digests that are no hex."""
    grant = replace(grant_for(transfer(), expires_at=SOON), call_digests=("zz",))
    body = json.dumps(
        {
            "id": 1,
            "op": "sign",
            "grant": asdict(grant),
            "transaction": base64.b64encode(bytes_of(key, transfer())).decode(),
        }
    ).encode()
    return len(body).to_bytes(4, "big") + body


async def test_nothing_that_it_is_sent_ends_it_or_gets_a_key(tmp_path: Path) -> None:
    async with signer_with_key(tmp_path) as (signer, key):
        pid = (await signer.held()).pid
        secret = json.loads((tmp_path / "keys" / f"{ALICE}.json").read_text())["private_key"].encode()
        for sent in (*HOSTILE, _broken_digests(key)):
            with socket.socket(socket.AF_UNIX) as client, socket_address(tmp_path / "signer") as address:
                client.connect(address)
                client.settimeout(0.3)
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                try:
                    told = client.recv(65536)
                except (TimeoutError, ConnectionError):
                    told = b""
            assert secret not in told
            assert b'"ok"' not in told
        held = await signer.held()
        assert (held.pid, held.accounts) == (pid, {ALICE: (key,)})


async def test_who_asks_for_what_cannot_be_read_is_told_so_at_once(tmp_path: Path) -> None:
    """As with a wrong file for `keys import`: it was waited for until the request's time was over."""
    async with signer_with_key(tmp_path, request_timeout_s=600.0) as (signer, _):
        with pytest.raises(InvalidInput) as caught:
            await signer.import_secret(BOB, "x" * 5000)
        assert caught.value.code == "bad_request"
        assert "xxx" not in caught.value.message


async def test_a_client_that_reads_nothing_holds_nobody_up(tmp_path: Path) -> None:
    async with signer_with_key(tmp_path) as (signer, key):
        with socket.socket(socket.AF_UNIX) as client, socket_address(tmp_path / "signer") as address:
            client.connect(address)
            client.setblocking(False)
            body = b'{"id":1,"op":"held"}'
            with suppress(BlockingIOError):
                for _ in range(100_000):
                    client.send(len(body).to_bytes(4, "big") + body)
            assert await signer.public_keys(ALICE) == (key,)


def test_a_folder_open_to_others_is_closed_first(tmp_path: Path) -> None:
    folder = tmp_path / "signer"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_elsewhere_than_on_linux_nothing_is_made_and_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="Linux container") as caught:
        make_private(tmp_path / "signer", "darwin")
    assert caught.value.code == "signer_platform"
    assert not (tmp_path / "signer").exists()


def test_held_keys_are_public_ones() -> None:
    fields = set(HeldKeys.model_fields)
    assert not any("secret" in name or "private" in name for name in fields)
