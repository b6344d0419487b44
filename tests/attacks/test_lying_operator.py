"""A whole daemon over two operators, one of which lies: it says who says what, and neither makes a card nor an end of it."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.records import Reply, Turn, UserRequest
from agent.runtime import Runtime, open_runtime
from contracts.localnet.server import open_localnet
from contracts.types import JsonObject
from tests.agent.test_daemon import config_for
from tests.fake_nodes import serve

ASKED = "/ft_transfer USDC carol.localnet 1"


@dataclass
class Relay:
    """A node of another operator: it passes requests on, and may change the answers."""

    url: str
    http: aiohttp.ClientSession
    lie: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
    """Told the request, it changes the answer's result."""
    calls: list[str] = field(default_factory=list[str])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls.append(body["method"])
        async with self.http.post(self.url, json=body) as response:
            told = await response.json()
        if self.lie is not None and isinstance(told.get("result"), dict):
            self.lie(body, told["result"])
        return web.json_response(told)


@dataclass
class Office:
    runtime: Runtime
    relays: list[Relay]
    count: int = 0

    async def say(self, text: str) -> Reply:
        self.count += 1
        request = UserRequest(
            request_id=f"01990000-0000-7000-8000-{self.count:012d}",
            text=text,
            turns=(Turn(role="user", content=text),),
            identity=self.runtime.first,
            front_end="chat_completions",
            conversation_id="talk",
            received_at=self.runtime.clock(),
        )
        return await self.runtime.pipeline.handle(request)


@asynccontextmanager
async def open_office(folder: Path) -> AsyncGenerator[Office]:
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(open_localnet(folder / "chain", "127.0.0.1:0"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        relays = [Relay(chain.rpc_url, http) for _ in range(2)]
        nodes = [
            {"url": await stack.enter_async_context(serve(relay.answer)), "operator": f"operator-{place}"}
            for place, relay in enumerate(relays)
        ]
        config = config_for(
            folder / "data",
            networks__localnet__rpc=nodes,
            networks__localnet__proof_operators=2,
            rpc__confirm_timeout_s=2.0,
            rpc__poll_s=0.1,
            keys__credentials_dir=folder / "chain" / "localnet" / "credentials",
            account_id="alice.localnet",
        )
        runtime = await stack.enter_async_context(open_runtime(config))
        yield Office(runtime, relays)


def false_minimum(request: dict[str, Any], result: JsonObject) -> None:
    if request["params"].get("method_name") == "storage_balance_bounds":
        result["result"] = [*b'{"min":"9000000000000000000000000","max":"9000000000000000000000000"}']


def false_event(request: dict[str, Any], result: JsonObject) -> None:
    """The tokens went to somebody else, and more of them."""
    if request["method"] not in {"tx", "send_tx", "EXPERIMENTAL_tx_status"} or "receipts_outcome" not in result:
        return
    text = json.dumps(result["receipts_outcome"]).replace("carol.localnet", "mallory.localnet")
    result["receipts_outcome"] = json.loads(text)


async def test_a_false_deposit_makes_no_card_and_a_false_end_no_end(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        _, liar = office.relays
        liar.lie = false_minimum
        refused = await office.say(ASKED)
        assert refused.status == "failed"
        assert refused.error is not None
        assert refused.error["code"] == "RPC_DISAGREE"
        assert all(name in refused.text for name in ("operator-0", "operator-1", "storage_balance_bounds"))
        assert "Check the ids" not in refused.text
        assert (await office.say("/near_balance bob.localnet")).status == "answered", "what is only shown is shown"
        liar.lie = None
        card = await office.say(ASKED)
        assert card.status == "needs_approval"
        assert "0.00125 NEAR" in card.text
        liar.lie = false_event
        open_ended = await office.say(f"confirm {card.confirm_code}")
        assert open_ended.status == "unconfirmed"
        assert all(name in open_ended.text for name in ("operator-0", "operator-1", "disagree"))
        liar.lie = None
        (settled,) = await office.runtime.chain.settle_idle(16)
        assert settled.state == "final"
        told = await office.say(f"confirm {card.confirm_code}")
        assert told.status == "executed"
        assert "nothing is sent twice" in told.text
