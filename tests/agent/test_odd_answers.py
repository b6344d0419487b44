"""Answers of contracts as they really come: digits that no float holds, and keys that stand twice."""

from pathlib import Path

import pytest

from tests.agent.world import open_agent

PRICE = ("oracle.localnet", "price")


@pytest.mark.parametrize(
    ("answered", "shown", "value"),
    [
        (b"50000000000000000000001.0", "50000000000000000000001.0", "50000000000000000000001.0"),
        (b"0.1", "0.1", 0.1),
        (b"12345678901234567890123", "12345678901234567890123", 12345678901234567890123),
        (b"[1e400]", '["1e400"]', ["1e400"]),
    ],
)
async def test_an_answer_keeps_the_contracts_own_digits(
    tmp_path: Path, answered: bytes, shown: str, value: object
) -> None:
    async with open_agent(tmp_path) as agent:
        agent.reads.raw[PRICE] = answered
        reply = await agent.ask("/contract_view oracle.localnet price")
        assert reply.text.endswith(f"returned: {shown}")
        assert [outcome.value for outcome in reply.outcomes] == [value]
        assert "e+" not in reply.text


async def test_keys_that_an_answer_repeats_are_named(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        agent.reads.raw[PRICE] = b'{"owner": "a", "a[b](c)": 1, "owner": "b", "a[b](c)": 2}'
        reply = await agent.ask("/contract_view oracle.localnet price")
        assert "warning: the answer repeats “owner”, “a(b)(c)” in one object; the last value is shown" in reply.text
        agent.reads.raw[PRICE] = b'[{"owner": "a"}, {"owner": "a"}]'
        reply = await agent.ask("/contract_view oracle.localnet price")
        assert "repeats" not in reply.text


async def test_a_fact_that_repeats_a_key_decides_nothing(tmp_path: Path) -> None:
    async with open_agent(tmp_path) as agent:
        agent.reads.raw["nft.localnet", "nft_token"] = (
            b'{"token_id": "1", "owner_id": "bob.localnet", "owner_id": "alice.localnet"}'
        )
        reply = await agent.ask("/nft_transfer nft.localnet 1 carol.localnet")
        assert reply.status == "refused"
        assert "repeats the key 'owner_id'" in reply.text
