"""A folder with a fresh chain in it, made once and copied for each test; a client and the users' wallets."""

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest

from contracts.localnet.server import Localnet, open_localnet
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL, Probe, Wallet

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[Probe, Localnet]]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("template")


@pytest.fixture
async def data_dir(template: Path, tmp_path: Path) -> Path:
    if not (template / "localnet").exists():
        async with open_localnet(template, "127.0.0.1:0"):
            pass
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    return folder


@pytest.fixture
def opened(data_dir: Path) -> Open:
    @asynccontextmanager
    async def open_(**options: float) -> AsyncGenerator[tuple[Probe, Localnet]]:
        async with (
            open_localnet(data_dir, "127.0.0.1:0", **options) as localnet,  # pyright: ignore[reportArgumentType]
            aiohttp.ClientSession() as http,
        ):
            yield Probe(http, localnet.rpc_url), localnet

    return open_


@pytest.fixture
async def chain(opened: Open) -> AsyncGenerator[tuple[Probe, Localnet]]:
    async with opened() as pair:
        yield pair


@pytest.fixture
def probe(chain: tuple[Probe, Localnet]) -> Probe:
    return chain[0]


@pytest.fixture
def alice(data_dir: Path) -> Wallet:
    return Wallet.load(data_dir, ALICE)


@pytest.fixture
def bob(data_dir: Path) -> Wallet:
    return Wallet.load(data_dir, BOB)


@pytest.fixture
def carol(data_dir: Path) -> Wallet:
    return Wallet.load(data_dir, CAROL)
