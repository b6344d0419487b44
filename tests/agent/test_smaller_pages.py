"""A list that takes too much gas is asked for in smaller pages, a bounded number of times."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from contracts.errors import RpcError
from tests.agent.world import FakeReads, open_agent

GAS_TEXTS = (
    "FunctionCallError(HostError(GasLimitExceeded))",
    "Exceeded the maximum amount of gas allowed to burn per contract.",
)


@dataclass
class Collection(FakeReads):
    """An NFT contract that lists at most `most` tokens within a view's gas."""

    most: int = 3
    why: str = GAS_TEXTS[0]
    asked: list[int] = field(default_factory=list[int])

    def value(self, contract_id: str, method: str, args: bytes) -> JsonValue:
        if method != "nft_tokens_for_owner":
            return super().value(contract_id, method, args)
        limit = json.loads(args)["limit"]
        self.asked.append(limit)
        if limit > self.most:
            raise RpcError("CONTRACT_EXECUTION_ERROR", self.why)
        return [{"token_id": str(number), "owner_id": "alice.localnet"} for number in range(limit)]


@pytest.mark.parametrize("why", GAS_TEXTS)
async def test_a_list_falls_back_to_smaller_pages(tmp_path: Path, why: str) -> None:
    reads = Collection(why=why)
    async with open_agent(tmp_path, reads=reads) as agent:
        reply = await agent.ask("/nft_tokens nft.localnet @me")
        assert reply.status == "answered"
        assert reads.asked == [50, 12, 3]
        assert "owns 3 or more of nft.localnet, the first 3 being: “0”, “1”, “2”." in reply.text
        assert "/nft_tokens nft.localnet alice.localnet from_index=3 limit=3" in reply.text
        assert "Fewer were asked for at once" in reply.text


async def test_a_view_that_fails_for_one_token_too_ends_after_four_views(tmp_path: Path) -> None:
    reads = Collection(most=0)
    async with open_agent(tmp_path, reads=reads) as agent:
        reply = await agent.ask("/nft_tokens nft.localnet @me limit=100")
        assert reads.asked == [100, 25, 6, 1]
        assert "GasLimitExceeded" in reply.text


async def test_another_failure_is_not_asked_again(tmp_path: Path) -> None:
    reads = Collection(why="Smart contract panicked: nope")
    async with open_agent(tmp_path, reads=reads) as agent:
        await agent.ask("/nft_tokens nft.localnet @me")
        assert reads.asked == [50]
