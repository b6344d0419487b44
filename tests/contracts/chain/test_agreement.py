"""Before money moves: what several operators say of the signer at one block, and nodes that are not what they should be."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.chain.outcome import Failed, Finalized
from contracts.chain.rpc import RpcClient, open_rpc
from contracts.chain.verifying import GENESIS, Expected, Verifier
from contracts.errors import RpcError
from contracts.types import AccountId, CryptoHash, JsonObject
from tests.contracts.chain.worlds import NEAR, RPC, World, open_world
from tests.fake_nodes import FIRST_NONCE, FakeChain, FakeNode, serve

ALICE = AccountId("alice.localnet")
LIES: list[tuple[str, JsonObject]] = [
    ("view_access_key", {"nonce": FIRST_NONCE + 7}),
    ("view_access_key", {"nonce": FIRST_NONCE - 7}),
    ("view_account", {"amount": "10000000000000000000000000000000"}),
    ("view_account", {"amount": "1"}),
]


async def send(world: World) -> Failed | Finalized:
    intent, grant = await world.transfer()
    outcome = await (await world.client()).execute(intent, grant)
    assert isinstance(outcome, Failed | Finalized)
    return outcome


async def test_two_operators_that_agree_are_enough(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=3, operators=2) as world:
        assert isinstance(await send(world), Finalized)
        asked = [sum(call == "view_access_key" for call in node.calls) for node in world.nodes]
        assert asked[1] == 1, "at the block of the first"
        assert asked[2] == 0
        assert world.moved() == NEAR


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize(("name", "lie"), LIES)
async def test_one_operator_that_lies_stops_the_signature(
    liar: int, name: str, lie: JsonObject, tmp_path: Path
) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[liar].lies = {name: lie}
        outcome = await send(world)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.code) == ("rpc", "RPC_DISAGREE")
        assert all(url.removeprefix("http://").rstrip("/") in outcome.message for url in world.urls)
        assert "unknown" in outcome.message
        assert world.took_no_nonce()
        assert [node.sends for node in world.nodes] == [[], []]


async def test_a_key_that_only_one_operator_knows_stops_the_signature(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.nodes[1].refuses = {"view_access_key": "UNKNOWN_ACCESS_KEY"}
        outcome = await send(world)
        assert isinstance(outcome, Failed)
        assert outcome.code == "RPC_DISAGREE"


async def test_a_third_operator_answers_for_a_silent_one(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=2) as world:
        world.urls.insert(1, "http://127.0.0.1:9/")
        assert isinstance(await send(world), Finalized)


async def test_too_few_operators_that_answer_sign_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, nodes=1, operators=2) as world:
        world.urls.append("http://127.0.0.1:9/")
        outcome = await send(world)
        assert isinstance(outcome, Failed)
        assert outcome.code == "RPC_QUORUM"
        assert world.took_no_nonce()


# ---- what a node is


class Nodes:
    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.chain = FakeChain({})
        self.nodes: list[FakeNode] = []

    async def client(self, *nodes: FakeNode) -> RpcClient:
        self.nodes = list(nodes)
        urls = [await self.stack.enter_async_context(serve(node.answer)) for node in nodes]
        return await self.stack.enter_async_context(open_rpc(urls, config=RPC))


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def left_out(rpc: RpcClient) -> list[bool]:
    return [one.left_out is not None for one in rpc.pool.health]


async def test_nodes_of_another_chain_genesis_or_time_are_left_out() -> None:
    now = time.time()
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack)
        genesis = GENESIS["testnet"]
        right = FakeNode(nodes.chain, chain_id="testnet", genesis_hash=genesis, latest_time=stamp(now))
        other_chain = FakeNode(nodes.chain, chain_id="mainnet", latest_time=stamp(now))
        other_genesis = FakeNode(
            nodes.chain, chain_id="testnet", genesis_hash=CryptoHash.of(b"other"), latest_time=stamp(now)
        )
        slow = FakeNode(nodes.chain, chain_id="testnet", genesis_hash=genesis, latest_time=stamp(now - 500))
        fast = FakeNode(nodes.chain, chain_id="testnet", genesis_hash=genesis, latest_time=stamp(now + 500))
        rpc = await nodes.client(other_chain, other_genesis, slow, fast, right)
        verifier = Verifier(rpc, Expected("testnet", 120.0), clock=lambda: now)
        found = await verifier.start()
        assert (found.chain_id, found.genesis_hash) == ("testnet", genesis)
        assert left_out(rpc) == [True, True, True, True, False]
        for node in nodes.nodes:
            node.calls.clear()
        await rpc.block("final")
        assert [bool(node.calls) for node in nodes.nodes] == [False] * 4 + [True]
        slow.latest_time, right.chain_id = stamp(now), "mainnet"
        await verifier.again()
        assert left_out(rpc) == [True, True, False, True, True], "what is right is asked again, what went wrong is not"


@pytest.mark.parametrize(
    ("chain_id", "genesis", "age_s", "told"),
    [
        ("testnet", None, 0.0, "serves testnet, configured is mainnet"),
        ("mainnet", CryptoHash.of(b"fork"), 0.0, "another genesis block"),
        ("mainnet", GENESIS["mainnet"], 600.0, "behind this machine's clock"),
        ("mainnet", GENESIS["mainnet"], -600.0, "ahead of this machine's clock"),
    ],
)
async def test_when_all_are_wrong_the_reason_is_told(
    chain_id: str, genesis: CryptoHash | None, age_s: float, told: str
) -> None:
    now = time.time()
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack)
        node = FakeNode(nodes.chain, chain_id=chain_id, genesis_hash=genesis, latest_time=stamp(now - age_s))
        rpc = await nodes.client(node)
        with pytest.raises(RpcError) as caught:
            await Verifier(rpc, Expected("mainnet", 120.0), clock=lambda: now).start()
        assert caught.value.code == "WRONG_NODES"
        assert told in caught.value.message


async def test_a_start_outlasts_a_node_that_does_not_answer_for_a_moment() -> None:
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack)
        node = FakeNode(nodes.chain, broken=True)
        rpc = await nodes.client(node)
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(Verifier(rpc, Expected("localnet", 1.0), clock=time.time).start())
            while not rpc.pool.health[0].left_out:
                await asyncio.sleep(0.01)
            node.broken = False
        assert starting.result().chain_id == "localnet"
        assert left_out(rpc) == [False]


async def test_a_node_that_was_silent_at_the_start_is_asked_when_it_is_right() -> None:
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack)
        up = FakeNode(nodes.chain)
        down = FakeNode(nodes.chain, broken=True)
        rpc = await nodes.client(down, up)
        verifier = Verifier(rpc, Expected("localnet", 1.0), clock=time.time)
        await verifier.start()
        assert left_out(rpc) == [True, False]
        down.broken = False
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            watching = group.create_task(verifier.watch(0.01))
            while any(left_out(rpc)):
                await asyncio.sleep(0.01)
            watching.cancel()


async def test_no_node_at_the_start_is_the_nodes_own_error() -> None:
    async with open_rpc(["http://127.0.0.1:9/"], config=RPC) as rpc:
        with capture_logs() as logs, pytest.raises(RpcError) as caught:
            await Verifier(rpc, Expected("localnet", 1.0), clock=time.time).start()
        assert caught.value.code == "TRANSPORT"
        assert [line["event"] for line in logs] == ["rpc_node_left_out"], "looked at several times, told once"
