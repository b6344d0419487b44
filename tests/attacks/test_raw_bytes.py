"""Raw argument bytes: nobody can read them, so a person sees what they are and nothing of them is free or invented."""

import base64
import hashlib
from pathlib import Path

import pytest
from mnemonic import Mnemonic

from agent.records import Clarification, Refusal
from contracts.types import AccountId
from tests.agent.codes import codes
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import NO_CONFIRM, FakeReads, open_agent
from tests.contracts.localnet_contracts.world import wasm
from tests.model_server import calls, open_model_server

COUNTER = "counter.localnet"
BYTES = b"\x05\x00\x00\x00hello"
RAW = base64.b64encode(BYTES).decode()
FREE = """
version = 1
[default]
always_ask = []
limits.NEAR = {free_per_action = "1", free_per_day = "5"}
limits.USDC = {free_per_action = "10", free_per_day = "50"}
"""


def reads() -> FakeReads:
    return FakeReads(codes={**codes(), AccountId(COUNTER): wasm("counter")})


async def test_raw_bytes_are_never_free_and_the_card_says_what_they_are(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=FREE, reads=reads()) as agent:
        free = await agent.ask(f"/contract_call {COUNTER} increment", identity=NO_CONFIRM)
        assert free.status == "executed", free.text
        reply = await agent.ask(f"/contract_call {COUNTER} increment args_base64={RAW}")
        assert reply.status == "needs_approval", reply.text
        assert len(agent.chain.executed) == 1
        assert f"raw arguments, {len(BYTES)} bytes" in reply.text
        assert hashlib.sha256(BYTES).hexdigest() in reply.text
        assert RAW in reply.text
        assert "Warning: the arguments are raw bytes" in reply.text
        assert "its arguments cannot be read" in reply.text


async def test_arguments_by_position_are_never_free(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=FREE, reads=reads()) as agent:
        for written in ("[1, 2]", "[]"):
            reply = await agent.ask(f"/contract_call {COUNTER} increment '{written}'", identity=NO_CONFIRM)
            assert reply.status == "needs_approval", reply.text
        assert agent.chain.executed == []


async def test_a_transfer_in_raw_bytes_counts_as_the_transfer_that_it_is(tmp_path: Path) -> None:
    hidden = base64.b64encode(b'{"receiver_id":"bob.localnet","amount":"40000000"}').decode()
    twice = base64.b64encode(b'{"receiver_id":"bob.localnet","amount":"1","amount":"40000000"}').decode()
    async with open_agent(tmp_path, policy=FREE, reads=reads()) as agent:
        for raw in (hidden, twice):
            text = f"/contract_call usdc.localnet ft_transfer args_base64={raw} deposit=0.000000000000000000000001"
            reply = await agent.ask(text, identity=NO_CONFIRM)
            assert reply.status == "needs_approval", reply.text
        assert agent.chain.executed == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (f"'{{}}' {RAW}", "exclusive_arguments"),
        ("'{}' 0.1", "exclusive_arguments"),
        ("args_base64=AQ", "malformed_base64"),
        ("args_base64=AQ__", "malformed_base64"),
        ("args_base64=0.1", "malformed_base64"),
        ("args_base64='AQ AA'", "malformed_base64"),
    ],
)
async def test_bytes_that_can_be_read_in_two_ways_are_refused(tmp_path: Path, words: str, code: str) -> None:
    async with open_agent(tmp_path, reads=reads()) as agent:
        for action in ("contract_call", "contract_view"):
            reply = await agent.ask(f"/{action} {COUNTER} increment {words}")
            assert reply.status == "refused", reply.text
            assert "args_base64" in reply.text
            assert isinstance(reply.plan, Refusal)
            assert reply.plan.why == code
        assert agent.chain.executed == []


async def test_raw_bytes_that_are_too_many_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    async with open_agent(tmp_path, reads=reads()) as agent:
        reply = await agent.ask(f"/contract_call {COUNTER} increment args_base64={'A' * 65_400}")
        assert reply.status == "needs_approval"
        assert "of 65400 characters" in reply.text
        assert len(reply.text) < 4000
        reply = await agent.ask(f"/contract_call {COUNTER} increment args_base64={'A' * 90_000}")
        assert reply.status == "refused"


async def test_a_secret_in_raw_bytes_is_sent_nowhere(tmp_path: Path) -> None:
    words = Mnemonic("english").to_mnemonic(bytes(range(16)))
    raw = base64.b64encode(b"\x10\x00\x00\x00" + words.encode()).decode()
    async with open_agent(tmp_path, reads=reads()) as agent:
        reply = await agent.ask(f"/contract_call {COUNTER} increment args_base64={raw}")
        assert reply.status == "refused"
        assert reply.text.startswith("That holds what looks like a private key")


LONGER = "BQAAAGhlbGxv/w=="


@pytest.mark.parametrize(
    ("said", "planned", "taken"),
    [
        (f"call increment of {COUNTER} with the bytes {RAW}", RAW, True),
        (f"call increment of {COUNTER} with args_base64={LONGER}.", LONGER, True),
        (f"call increment of {COUNTER} with `{LONGER}`", LONGER, True),
        (f"call increment of {COUNTER}", RAW, False),
        (f"call increment of {COUNTER} with the bytes {RAW.lower()}", RAW, False),
        (f"call increment of {COUNTER} with the bytes {LONGER}", "BQAAAGhlbGxv", False),
        (f"call increment of {COUNTER} with the bytes AAAA/{RAW}", RAW, False),
        (f"call increment of {COUNTER} with the bytes AAAA+{RAW}", RAW, False),
        (f"call increment of {COUNTER} 1 time", "0001", False),
    ],
)
async def test_a_model_brings_no_raw_bytes_of_its_own(tmp_path: Path, said: str, planned: str, *, taken: bool) -> None:
    async with (
        open_model_server() as server,
        open_models_at(tmp_path, server) as models,
        open_agent(tmp_path, models, reads=reads()) as agent,
    ):
        server.add(
            calls(
                ("contract_call", {"contract_id": COUNTER, "method_name": "increment", "args_base64": planned}),
            )
        )
        reply = await agent.ask(said)
        assert (reply.status == "needs_approval") is taken, reply.text
        if not taken:
            assert isinstance(reply.plan, Clarification)
            assert reply.plan.missing == ("args_base64",)
