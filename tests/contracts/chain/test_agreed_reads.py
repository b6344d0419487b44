"""Facts that scale or direct money: said alike by several operators at one block, or the plan is not built."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.rpc import open_rpc
from contracts.errors import RpcError
from contracts.knowledge.facts import (
    Absent,
    FactRequest,
    StorageFact,
    StorageFacts,
    TokenFact,
    TokenFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.reading import read_facts
from contracts.types import AccountId, CryptoHash, JsonObject
from tests.contracts.chain.worlds import RPC
from tests.fake_nodes import FakeChain, FakeNode, serve

ALICE, TOKEN = AccountId("alice.localnet"), AccountId("token.localnet")
METADATA = {"spec": "ft-1.0.0", "name": "Token", "symbol": "TOK", "decimals": 18}
CODE = b"\0asm the contract"


@dataclass
class Nodes:
    chain: FakeChain
    nodes: list[FakeNode]
    urls: list[str]
    reads: AgreedReads

    def names(self) -> list[str]:
        return [url.removeprefix("http://").rstrip("/") for url in self.urls]


@asynccontextmanager
async def open_nodes(count: int, needed: int = 2, *, dead: int = 0) -> AsyncGenerator[Nodes]:
    chain = FakeChain({})
    chain.balances.update({ALICE: 10**24, TOKEN: 10**25})
    chain.contracts[TOKEN] = CODE
    chain.views = {
        (TOKEN, "ft_metadata"): json.dumps(METADATA).encode(),
        (TOKEN, "storage_balance_of"): b"null",
        (TOKEN, "storage_balance_bounds"): b'{"min":"1250000000000000000000","max":"1250000000000000000000"}',
        (TOKEN, "get_price"): b'"7"',
    }
    async with AsyncExitStack() as stack:
        nodes = [FakeNode(chain) for _ in range(count)]
        urls = [await stack.enter_async_context(serve(node.answer)) for node in nodes]
        down = [f"http://127.0.0.1:{9 + place}/" for place in range(dead)]
        rpc = await stack.enter_async_context(open_rpc([*down, *urls], config=RPC))
        yield Nodes(chain, nodes, urls, AgreedReads(rpc, needed=needed))


def answers(text: str) -> JsonObject:
    return {"result": [*text.encode()]}


WANTED = (TokenFacts(TOKEN), StorageFacts(TOKEN, ALICE), ViewFacts.of(TOKEN, "get_price", {}))
LIES: dict[str, tuple[FactRequest, str, JsonObject]] = {
    "decimals": (TokenFacts(TOKEN), "call_function", answers(json.dumps({**METADATA, "decimals": 24}))),
    "a storage minimum": (StorageFacts(TOKEN, ALICE), "call_function", answers('{"min":"9","max":"9"}')),
    "a price": (ViewFacts.of(TOKEN, "get_price", {}), "call_function", answers('"700"')),
    "a block": (StorageFacts(TOKEN, ALICE), "call_function", {"block_hash": CryptoHash.of(b"other")}),
}


async def test_facts_that_operators_agree_on_are_read_at_one_block() -> None:
    async with open_nodes(2) as nodes:
        facts = await read_facts(nodes.reads, WANTED)
        token, storage = facts.of(WANTED[0], TokenFact), facts.of(WANTED[1], StorageFact)
        assert isinstance(token, TokenFact)
        assert isinstance(storage, StorageFact)
        assert (token.decimals, storage.minimum) == (18, 1250000000000000000000)
        assert facts.of(WANTED[2], ViewFact) == ViewFact("7")
        assert facts.block_height == nodes.chain.height


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("name", ["decimals", "a storage minimum", "a price"])
async def test_one_lie_about_what_scales_an_amount_stops_the_plan(name: str, liar: int) -> None:
    async with open_nodes(2) as nodes:
        request, asked, lie = LIES[name]
        nodes.nodes[liar].lies = {asked: lie}
        with pytest.raises(RpcError) as caught:
            await read_facts(nodes.reads, [request])
        assert caught.value.code == "RPC_DISAGREE"
        assert all(one in caught.value.message for one in nodes.names())
        assert "token.localnet" in caught.value.message


@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize("name", LIES)
async def test_of_three_operators_one_lie_is_outvoted(name: str, liar: int) -> None:
    async with open_nodes(3) as nodes:
        truth = await read_facts(nodes.reads, WANTED)
        _, asked, lie = LIES[name]
        nodes.nodes[liar].lies = {asked: lie}
        assert await read_facts(nodes.reads, WANTED) == truth


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_method_that_only_one_operator_denies_is_no_fact(liar: int) -> None:
    async with open_nodes(2) as nodes:
        nodes.nodes[liar].refuses = {"call_function": "NO_CONTRACT_CODE"}
        with pytest.raises(RpcError) as caught:
            await read_facts(nodes.reads, [WANTED[1]])
        assert caught.value.code == "RPC_DISAGREE"
        assert "NO_CONTRACT_CODE" in caught.value.message


async def test_what_all_operators_deny_is_a_fact() -> None:
    async with open_nodes(2) as nodes:
        request = ViewFacts.of(TOKEN, "nowhere", {})
        fact = (await read_facts(nodes.reads, [request])).of(request, ViewFact)
        assert isinstance(fact, Absent)
        assert fact.reason == "no_method"


async def test_a_silent_operator_is_replaced_and_two_silent_ones_are_not() -> None:
    async with open_nodes(2, dead=1) as nodes:
        assert isinstance((await read_facts(nodes.reads, WANTED)).of(WANTED[0], TokenFact), TokenFact)
    async with open_nodes(1, dead=1) as nodes:
        with pytest.raises(RpcError) as caught:
            await read_facts(nodes.reads, WANTED)
        assert caught.value.code == "RPC_QUORUM"
    async with open_nodes(0, dead=2) as nodes:
        with pytest.raises(RpcError) as caught:
            await read_facts(nodes.reads, WANTED)
        assert caught.value.code == "TRANSPORT"


@pytest.mark.parametrize("behind", [0, 1])
async def test_an_operator_that_is_a_little_behind_chooses_the_block(behind: int) -> None:
    async with open_nodes(2) as nodes:
        nodes.nodes[behind].lag = 3
        assert (await read_facts(nodes.reads, WANTED)).block_height == nodes.chain.height - 3


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_a_block_that_one_operator_invents_is_not_built_on(liar: int) -> None:
    invented: JsonObject = {
        "height": 999,
        "hash": CryptoHash.of(b"invented"),
        "prev_hash": "1" * 32,
        "timestamp_nanosec": "1",
        "gas_price": "1",
    }
    async with open_nodes(3) as nodes:
        nodes.nodes[liar].lies = {"block": {"header": invented}}
        assert (await nodes.reads.block()).height == nodes.chain.height


async def test_code_is_held_against_its_agreed_hash() -> None:
    async with open_nodes(2) as nodes:
        assert (await nodes.reads.code(TOKEN)).code == CODE
        assert sum(node.calls.count("view_code") for node in nodes.nodes) == 1, "one operator's bytes are enough"
        nodes.nodes[0].lies = nodes.nodes[1].lies = {"view_code": {"code_base64": "AAAA"}}
        nodes.nodes[1].lies = {}
        with pytest.raises(RpcError) as caught:
            await nodes.reads.code(TOKEN)
        assert caught.value.code == "RPC_DISAGREE"


async def test_one_operator_is_asked_no_more_than_without_agreement() -> None:
    async with open_nodes(1) as nodes:
        await read_facts(nodes.reads, WANTED)
        calls = nodes.nodes[0].calls
        assert (calls.count("block"), calls.count("call_function"), len(calls)) == (1, 4, 5)
        await nodes.reads.protocol_config()
        await nodes.reads.gas_price()
        assert len(calls) == 7


async def test_the_price_of_storage_is_agreed_on() -> None:
    async with open_nodes(2) as nodes:
        assert (await nodes.reads.protocol_config()).storage_amount_per_byte == 10**19
    async with open_nodes(2) as nodes:
        nodes.nodes[1].chain_id = "elsewhere"
        with pytest.raises(RpcError) as caught:
            await nodes.reads.protocol_config()
        assert caught.value.code == "RPC_DISAGREE"
