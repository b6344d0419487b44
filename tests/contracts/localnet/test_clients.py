"""Clients that other people wrote send real transactions; every answer that they get is judged on its way."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from near import Amount, AsyncNear
from py_near.account import Account
from py_near.dapps.core import NEAR as PY_NEAR_UNIT

from contracts.localnet.server import Localnet
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL, JUDGE, NEAR, USDC, Probe


@dataclass(slots=True)
class JudgingProxy:
    """Hands requests on to the chain, and keeps what is wrong with the answers."""

    upstream: str
    http: aiohttp.ClientSession
    methods: set[str] = field(default_factory=set[str])
    problems: list[str] = field(default_factory=list[str])

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self.http.post(self.upstream, data=body) as response:
            raw, status = await response.read(), response.status
        method = json.loads(body)["method"]
        self.methods.add(method)
        # The document knows text ids only; py-near sends the number 1, and gets it back.
        envelope = {**json.loads(raw), "id": "t"}
        self.problems += [f"{method}: {found}" for found in JUDGE.response("post", f"/{method}", envelope)]
        return web.Response(body=raw, status=status, content_type="application/json")


@asynccontextmanager
async def _judged(localnet: Localnet) -> AsyncGenerator[tuple[JudgingProxy, str]]:
    async with aiohttp.ClientSession() as http:
        proxy = JudgingProxy(localnet.rpc_url, http)
        app = web.Application()
        app.router.add_post("/", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield proxy, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _secret(data_dir: Path) -> str:
    path = data_dir / "localnet" / "credentials" / "alice.localnet.json"
    return str(json.loads(path.read_text())["private_key"])


async def test_near_kit(chain: tuple[Probe, Localnet], data_dir: Path) -> None:
    probe, localnet = chain
    async with _judged(localnet) as (proxy, url):
        kit = AsyncNear("localnet", rpc_url=url, account_id=ALICE, private_key=_secret(data_dir))
        async with kit:
            assert await kit.balance(BOB) == Amount("10000 NEAR")
            sent = await kit.send(BOB, "1.5 NEAR")
            assert sent.success_value == b""
            await kit.call("counter.localnet", "increment", {})
            assert await kit.view("counter.localnet", "get_num") == 1
            assert (await kit.ft_metadata(USDC)).decimals == 6
            await kit.ft_transfer(USDC, CAROL, "12.5 USDC", register=True)
            assert [key.public_key for key in await kit.access_keys(BOB)]
            assert not await kit.account_exists("nobody.localnet")
            assert (await kit.contract_code(USDC)).code
    assert await probe.balance(BOB) == 10_000 * NEAR + 15 * NEAR // 10
    assert await probe.view(USDC, "ft_balance_of", {"account_id": CAROL}) == "12500000"
    assert proxy.problems == []
    assert {"query", "send_tx"} <= proxy.methods


async def test_py_near(chain: tuple[Probe, Localnet], data_dir: Path) -> None:
    probe, localnet = chain
    async with _judged(localnet) as (proxy, url):
        account: Any = Account(ALICE, _secret(data_dir), url)  # a package without types
        await account.startup()
        try:
            sent = await account.send_money(BOB, 2 * PY_NEAR_UNIT)
            assert "SuccessValue" in sent.status
            called = await account.function_call("counter.localnet", "increment", {}, included=False)
            assert "SuccessValue" in called.status
            viewed = await account.view_function("counter.localnet", "get_num", {})
            assert viewed.result == 1
            assert (await account.fetch_state())["storage_usage"] == 182
            assert len(await account.get_access_key_list()) == 1
        finally:
            await account.shutdown()
    assert await probe.balance(BOB) == 10_000 * NEAR + 2 * NEAR
    assert proxy.problems == []
    assert "query" in proxy.methods
