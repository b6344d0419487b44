"""Facts are read at one block, together; what the chain does not have is a fact, what a node cannot say is an error."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from contracts.chain.rpc import RpcClient
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.account_keys import NO_SIGNER, KeysFact, KeysFacts, NewKeyFact, NewKeyFacts
from contracts.knowledge.epochs import BlockAt, EpochFact, EpochFacts
from contracts.knowledge.facts import (
    NO_FACTS,
    Absent,
    AccountFact,
    AccountFacts,
    At,
    ChainReader,
    CodeTextFact,
    CodeTextFacts,
    FactRequest,
    InterfaceFact,
    InterfaceFacts,
    StorageFact,
    StorageFacts,
    TokenFact,
    TokenFacts,
)
from contracts.knowledge.interface import InterfaceCache, read_interface
from contracts.knowledge.reading import read_facts, read_further
from contracts.types import AccountId, CryptoHash, PublicKey

USDC = AccountId("usdc.localnet")
CAROL = AccountId("carol.localnet")
BLOCK = CryptoHash.of(b"block 7")
CODE_HASH = CryptoHash.of(b"code")
BOUNDS = b'{"min":"1250000000000000000000","max":"1250000000000000000000"}'
METADATA = b'{"spec":"ft-1.0.0","name":"USD Coin","symbol":"USDC","decimals":6}'
WASM = bytes.fromhex("0061736d01000000070701036765740000")


@dataclass(frozen=True)
class AccountAt:
    amount: int = 5
    locked: int = 1
    has_contract: bool = True
    code_hash: CryptoHash | None = CODE_HASH
    global_contract_hash: CryptoHash | None = None


@dataclass(frozen=True)
class Result:
    result: bytes
    block_height: int = 7
    block_hash: CryptoHash = BLOCK


@dataclass(frozen=True)
class Code:
    code: bytes = WASM


@dataclass(frozen=True)
class Block:
    height: int = 7
    hash: CryptoHash = BLOCK
    timestamp_ns: int = 1_800_000_000_000_000_000
    epoch_id: CryptoHash | None = None


@dataclass(frozen=True)
class Key:
    public_key: str
    full_access: bool


@dataclass(frozen=True)
class Keys:
    keys: tuple[Key, ...] = (Key("ed25519:full", full_access=True), Key("ed25519:call", full_access=False))


@dataclass(frozen=True)
class Config:
    epoch_length: int = 500


@dataclass
class FakeReader:
    """Answers from a table, remembers what was asked at which block, and can hold the first answers back."""

    functions: Mapping[str, bytes | RpcError] = field(default_factory=dict[str, bytes | RpcError])
    account_answer: AccountAt | RpcError = field(default_factory=AccountAt)
    code_answer: Code | RpcError = field(default_factory=Code)
    blocks: Mapping[BlockAt, Block] = field(default_factory=dict[BlockAt, Block])
    gate: asyncio.Barrier | None = None
    asked: list[tuple[str, At]] = field(default_factory=list[tuple[str, At]])

    async def account(self, account_id: AccountId, at: At) -> AccountAt:
        await self._ask(f"account {account_id}", at)
        if isinstance(self.account_answer, RpcError):
            raise self.account_answer
        return self.account_answer

    async def call_function(self, contract_id: AccountId, method: str, args: bytes, at: At) -> Result:
        json.loads(args)
        await self._ask(f"{method} {contract_id}", at)
        answer = self.functions[method]
        if isinstance(answer, RpcError):
            raise answer
        return Result(answer)

    async def code(self, account_id: AccountId, at: At) -> Code:
        await self._ask(f"code {account_id}", at)
        if isinstance(self.code_answer, RpcError):
            raise self.code_answer
        return self.code_answer

    async def block(self, at: BlockAt) -> Block:
        if not isinstance(at, int):
            self.asked.append(("block", at))
        return self.blocks.get(at, Block())

    async def access_keys(self, account_id: AccountId, at: At) -> Keys:
        await self._ask(f"keys {account_id}", at)
        return Keys()

    async def protocol_config(self) -> Config:
        return Config()

    async def _ask(self, what: str, at: At) -> None:
        self.asked.append((what, at))
        if self.gate is not None:
            await self.gate.wait()


def execution_error(text: str) -> RpcError:
    return RpcError("CONTRACT_EXECUTION_ERROR", text)


async def read_one(reader: FakeReader, request: FactRequest) -> object:
    return (await read_facts(reader, [request])).values[request]


async def test_no_request_asks_nothing() -> None:
    reader = FakeReader()
    assert await read_facts(reader, []) == NO_FACTS
    assert reader.asked == []


async def test_further_facts_are_read_at_the_block_of_the_first() -> None:
    reader = FakeReader({"ft_metadata": METADATA}, code_answer=Code(b"... ERR_WRONG_KIND ..."))
    first = await read_facts(reader, (AccountFacts(CAROL), TokenFacts(USDC)))
    assert await read_further(reader, first, (AccountFacts(CAROL),)) is first
    asked = len(reader.asked)
    wanted = (CodeTextFacts(USDC, "ERR_WRONG_KIND"), CodeTextFacts(USDC, "ERR_OTHER"), AccountFacts(CAROL))
    more = await read_further(reader, first, wanted)
    assert more.of(wanted[0], CodeTextFact) == CodeTextFact(found=True)
    assert more.of(wanted[1], CodeTextFact) == CodeTextFact(found=False)
    assert more.of(AccountFacts(CAROL), AccountFact) == first.of(AccountFacts(CAROL), AccountFact)
    assert (more.block_hash, more.block_time_ns) == (BLOCK, 1_800_000_000_000_000_000)
    assert reader.asked[asked:] == [(f"code {USDC}", BLOCK)] * 2
    alone = await read_further(reader, NO_FACTS, (CodeTextFacts(USDC, "x"),))
    assert alone.block_hash == BLOCK


async def test_several_facts_are_read_together_at_one_block() -> None:
    reader = FakeReader(
        {"ft_metadata": METADATA, "storage_balance_of": b"null", "storage_balance_bounds": BOUNDS},
    )
    requests = (TokenFacts(USDC), StorageFacts(USDC, CAROL), AccountFacts(CAROL), InterfaceFacts(USDC))
    facts = await read_facts(reader, requests)
    assert facts.of(requests[0], TokenFact) == TokenFact(name="USD Coin", symbol="USDC", decimals=6)
    assert facts.of(requests[1], StorageFact) == StorageFact(None, 125 * 10**19, 125 * 10**19)
    assert facts.of(requests[2], AccountFact) == AccountFact(5, 1, has_code=True, code_hash=CODE_HASH)
    assert facts.of(requests[3], InterfaceFact) == InterfaceFact(read_interface(["get"]), CODE_HASH)
    assert (facts.block_height, facts.block_hash) == (7, BLOCK)
    assert reader.asked[0] == ("block", "final")
    assert {at for _, at in reader.asked[1:]} == {BLOCK}


async def test_facts_do_not_wait_for_each_other() -> None:
    reader = FakeReader({"ft_metadata": METADATA}, gate=asyncio.Barrier(3))
    async with asyncio.timeout(60):
        await read_facts(reader, [AccountFacts(USDC), AccountFacts(CAROL), TokenFacts(USDC)])


async def test_a_request_made_twice_is_asked_once() -> None:
    reader = FakeReader()
    await read_facts(reader, [AccountFacts(CAROL), AccountFacts(CAROL)])
    assert [what for what, _ in reader.asked] == ["block", "account carol.localnet"]


async def test_metadata_alone_needs_one_question() -> None:
    reader = FakeReader({"ft_metadata": METADATA})
    facts = await read_facts(reader, [TokenFacts(USDC)])
    assert (facts.block_height, facts.block_hash) == (7, BLOCK)
    assert reader.asked == [("ft_metadata usdc.localnet", "final")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RpcError("UNKNOWN_ACCOUNT", "x"), "no_account"),
        (RpcError("NO_CONTRACT_CODE", "x"), "no_code"),
        (execution_error("wasm execution failed with error: MethodResolveError(MethodNotFound)"), "no_method"),
        (
            RpcError("CONTRACT_EXECUTION_ERROR", "x", details={"vm_error": {"MethodResolveError": "MethodNotFound"}}),
            "no_method",
        ),
        (execution_error("CompilationError(CodeDoesNotExist { account_id })"), "no_code"),
        (execution_error("account x.near does not exist while viewing"), "no_account"),
        (execution_error("Smart contract panicked: E102"), "failed"),
    ],
)
async def test_what_the_chain_does_not_have_is_a_fact(error: RpcError, reason: str) -> None:
    alone = await read_one(FakeReader({"ft_metadata": error}), TokenFacts(USDC))
    assert isinstance(alone, Absent)
    assert alone.reason == reason
    stored = await read_one(FakeReader({"storage_balance_of": error}), StorageFacts(USDC, CAROL))
    assert isinstance(stored, Absent)
    assert stored.reason == reason


@pytest.mark.parametrize("error", [RpcError("TRANSPORT", "x", retryable=True), RpcError("PARSE_ERROR", "x")])
async def test_what_a_node_cannot_say_is_an_error(error: RpcError) -> None:
    for requests in ([TokenFacts(USDC)], [TokenFacts(USDC), AccountFacts(CAROL)]):
        with pytest.raises(RpcError) as raised:
            await read_facts(FakeReader({"ft_metadata": error}), requests)
        assert raised.value is error


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"null",
        b"[" * 100_000,
        b'{"name":"x","symbol":"x","decimals":-1}',
        b'{"name":"x","symbol":"x","decimals":6.5}',
        b'{"name":"x","symbol":"x","decimals":"6"}',
        b'{"name":1,"symbol":"x","decimals":6}',
        b'"transfer everything"',
    ],
)
async def test_metadata_that_is_not_nep_148_is_unreadable(answer: bytes) -> None:
    found = await read_one(FakeReader({"ft_metadata": answer}), TokenFacts(USDC))
    assert isinstance(found, Absent)
    assert found.reason == "unreadable"


@pytest.mark.parametrize(
    ("balance", "bounds"),
    [
        (b"null", b"null"),
        (b"null", b'{"min":"-1","max":null}'),
        (b"null", b'{"min":"' + b"9" * 40 + b'","max":null}'),
        (b'"yes"', BOUNDS),
        (b'{"total":"x","available":"0"}', BOUNDS),
        (b"not json", BOUNDS),
    ],
)
async def test_storage_that_is_not_nep_145_is_unreadable(balance: bytes, bounds: bytes) -> None:
    reader = FakeReader({"storage_balance_of": balance, "storage_balance_bounds": bounds})
    found = await read_one(reader, StorageFacts(USDC, CAROL))
    assert isinstance(found, Absent)
    assert found.reason == "unreadable"


async def test_a_registered_account_tells_its_total() -> None:
    reader = FakeReader(
        {"storage_balance_of": b'{"total":"7","available":"0"}', "storage_balance_bounds": b'{"min":"7","max":null}'}
    )
    assert await read_one(reader, StorageFacts(USDC, CAROL)) == StorageFact(7, 7, None)


async def test_code_that_is_missing_too_large_or_no_module_has_no_methods() -> None:
    for answer, reason in (
        (RpcError("NO_CONTRACT_CODE", "x"), "no_code"),
        (RpcError("TOO_LARGE", "x"), "unreadable"),
        (Code(b"#!/bin/sh"), "unreadable"),
    ):
        found = await read_one(FakeReader(code_answer=answer), InterfaceFacts(USDC))
        assert isinstance(found, Absent)
        assert found.reason == reason


async def test_an_interface_is_read_once_for_a_code_and_again_for_another() -> None:
    exports = bytes.fromhex("0061736d01000000") + bytes([7, 24, 2]) + b"\x03get\x00\x00\x0e__contract_abi\x00\x00"
    reader = FakeReader({"__contract_abi": b"not an abi"}, code_answer=Code(exports))
    cache = InterfaceCache()
    for _ in range(2):
        found = (await read_facts(reader, [InterfaceFacts(USDC)], NO_SIGNER, cache)).values[InterfaceFacts(USDC)]
        assert isinstance(found, InterfaceFact)
        assert found.interface.names == {"get", "__contract_abi"}
        assert "not zstd-compressed" in (found.interface.problem or "")
    asked = [what for what, _ in reader.asked]
    assert (asked.count(f"code {USDC}"), asked.count(f"__contract_abi {USDC}")) == (1, 1)
    other = FakeReader(account_answer=AccountAt(code_hash=None, global_contract_hash=CryptoHash.of(b"global")))
    again = (await read_facts(other, [InterfaceFacts(USDC)], NO_SIGNER, cache)).values[InterfaceFacts(USDC)]
    assert again == InterfaceFact(read_interface(["get"]), CryptoHash.of(b"global"))
    none = FakeReader(account_answer=AccountAt(has_contract=False))
    assert await read_one(none, InterfaceFacts(USDC)) == Absent("no_code", f"{USDC} has no contract")


async def test_an_abi_that_panics_is_none_and_a_node_that_is_away_is_an_error() -> None:
    exports = bytes.fromhex("0061736d01000000") + bytes([7, 18, 1]) + b"\x0e__contract_abi\x00\x00"
    reader = FakeReader({"__contract_abi": execution_error("panicked")}, code_answer=Code(exports))
    assert await read_one(reader, InterfaceFacts(USDC)) == InterfaceFact(read_interface(["__contract_abi"]), CODE_HASH)
    away = FakeReader({"__contract_abi": RpcError("TIMEOUT_ERROR", "x", retryable=True)}, code_answer=Code(exports))
    with pytest.raises(RpcError):
        await read_one(away, InterfaceFacts(USDC))


async def test_a_cancelled_read_ends() -> None:
    reader = FakeReader(gate=asyncio.Barrier(9))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await read_facts(reader, [AccountFacts(USDC), AccountFacts(CAROL)])


def test_the_rpc_client_is_a_chain_reader() -> None:
    def reads(client: RpcClient) -> ChainReader:
        return client

    assert callable(reads)


async def test_the_keys_of_an_account_are_those_on_chain_and_those_held() -> None:
    fact = await read_one(FakeReader(), KeysFacts(CAROL))
    assert fact == KeysFact(frozenset({"ed25519:full"}), frozenset({"ed25519:call"}), frozenset())
    with pytest.raises(InvalidInput, match="no signer"):
        await read_one(FakeReader(), NewKeyFacts(CAROL))


async def test_the_signer_says_what_it_holds_and_makes_a_new_key() -> None:
    key = PublicKey.from_bytes("ed25519", bytes(32))

    class Signer:
        async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
            return (key,) if account_id == CAROL else ()

        async def key_for_new_account(self, account_id: AccountId) -> PublicKey:
            assert account_id == CAROL
            return key

    read = await read_facts(FakeReader(), [KeysFacts(CAROL), NewKeyFacts(CAROL)], Signer())
    assert read.of(NewKeyFacts(CAROL), NewKeyFact) == NewKeyFact(key)
    held = read.of(KeysFacts(CAROL), KeysFact)
    assert isinstance(held, KeysFact)
    assert held.held == {key}


THEN = CryptoHash.of(b"the last block of the epoch before the previous one")
HEAD = Block(height=2_000, timestamp_ns=3_000 * 10**9, epoch_id=THEN)


@pytest.mark.parametrize(
    ("blocks", "fact", "said"),
    [
        (
            {BLOCK: HEAD, THEN: Block(height=1_400, timestamp_ns=2_100 * 10**9)},
            EpochFact(500, 100, 1_500_000_000),
            "4 epochs of 500 blocks, about 47 minutes at the measured 1.50 s a block",
        ),
        (
            {BLOCK: Block(2_000, timestamp_ns=9_000 * 10**9), 1_000: Block(1_000, timestamp_ns=0)},
            EpochFact(500, None, 9 * 10**9),
            "4 epochs of 500 blocks, about 5 hours at the measured 9.00 s a block",
        ),
        ({BLOCK: Block(10), 1: Block(1)}, EpochFact(500, None, None), "4 epochs of 500 blocks"),
    ],
)
async def test_an_epochs_time_is_measured(blocks: Mapping[BlockAt, Block], fact: EpochFact, said: str) -> None:
    read = await read_one(FakeReader(blocks=blocks), EpochFacts())
    assert read == fact
    assert fact.until(4) == said
