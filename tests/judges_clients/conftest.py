"""A chain for each test, begun by `near-agent localnet`, a recorder before it, and the keys of its users."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.localnet.server import open_localnet
from tests.e2e.programs import CLI, environment
from tests.judges_clients.recorder import Recorder, recording


@asynccontextmanager
async def chain_command(folder: Path) -> AsyncGenerator[str]:
    """The address of `near-agent localnet`, run as a program of its own and ended with SIGTERM."""
    program = await asyncio.create_subprocess_exec(*CLI, "localnet", env=environment(folder), stdout=PIPE)
    try:
        assert program.stdout is not None
        async with asyncio.timeout(240):
            line = (await program.stdout.readline()).decode()
        assert line.startswith("ready http://127.0.0.1:")
        yield line.split()[1]
    finally:
        if program.returncode is None:
            program.terminate()
        async with asyncio.timeout(240):
            assert await program.wait() == 0


@pytest.fixture(scope="session")
def fresh_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fresh_chain")


@pytest.fixture
async def data_dir(fresh_chain: Path, tmp_path: Path) -> Path:
    """A chain's folder; genesis runs once, then it is copied."""
    if not (fresh_chain / "localnet").exists():
        async with chain_command(fresh_chain):
            pass
    shutil.copytree(fresh_chain, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
async def recorder(data_dir: Path) -> AsyncGenerator[Recorder]:
    """Fails the test at its end where an answer did not conform to the document."""
    async with open_localnet(data_dir, "127.0.0.1:0") as localnet, recording(localnet.rpc_url) as recorder:
        yield recorder
        assert recorder.exchanges != []
        assert recorder.verdict() == {}


@pytest.fixture
def secret(data_dir: Path) -> Callable[[str], str]:
    """The private key of a genesis account, as near-cli writes it."""

    def read(account_id: str) -> str:
        path = data_dir / "localnet" / "credentials" / f"{account_id}.json"
        return str(json.loads(path.read_text())["private_key"])

    return read
