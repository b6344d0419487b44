"""An identity that fills the disk: its records' texts are shortened and say so, other people's are not, and none is dropped."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from agent.preamble import Tools
from agent.records import Identity, ModelExchange, Turn
from agent.store.shortening import KEPT_CHARACTERS, KEPT_TURNS, RecordQuota, is_same_text, shorten_text
from agent.store.store import open_store
from tests.agent.store.examples import ALICE, record, request
from tests.agent.world import open_agent

MALLORY = Identity(key_id="key-of-mallory", account_id=ALICE, may_confirm=False)
QUOTA = 1_000_000


@dataclass
class Monotonic:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_flood_of_long_requests_leaves_short_records_and_all_of_them(tmp_path: Path) -> None:
    clock, floods, size = Monotonic(), 40, 70_000
    path = tmp_path / "agent.db"
    async with open_store(path, record_bytes_per_hour=QUOTA, monotonic=clock) as store:
        for number in range(floods):
            asked = request(f"m{number}", f"{number} " + "x" * size, identity=MALLORY)
            answered = record(asked, "y" * size)
            answered = answered.model_copy(
                update={
                    "call_outcomes": (answered.call_outcomes[0].model_copy(update={"value": ["z"] * 40_000}),),
                    "exchanges": (_exchange("q" * size),),
                }
            )
            await store.records.open_request(asked)
            assert await store.records.finish(answered)
        await store.records.open_request(request("other", "w" * size))
        await store.records.finish(record(request("other", "w" * size)))
        kept = await store.records.latest(100)
        assert [one.record.request.request_id for one in kept] == [*(f"m{n}" for n in range(floods)), "other"]
        assert kept[-1].record.request.text == "w" * size
        short = [one.record for one in kept if "shortened: " in one.record.text]
        assert len(short) > floods - 5
        assert sum(len(one.model_dump_json()) for one in short) < len(short) * 6_000
        last = short[-1]
        said = f"{floods - 1} " + "x" * size
        for text, whole in ((last.request.text, said), (last.request.turns[-1].content, said), (last.text, "y" * size)):
            digest = hashlib.sha256(whole.encode()).hexdigest()
            assert text == f"{whole[:KEPT_CHARACTERS]}… (shortened: {len(whole):,} characters, sha256 {digest})"
        assert last.calls == record(request()).calls
        assert (last.calls_hash, last.status) == ("b" * 64, "answered")
        # An hour later the same identity is told in full again.
        clock.now_s += 3_601
        await store.records.open_request(request("later", "v" * size, identity=MALLORY))
        await store.records.finish(record(request("later", "v" * size, identity=MALLORY)))
        later = await store.records.get("later")
        assert later is not None
        assert later.request.text == "v" * size


def _exchange(text: str) -> ModelExchange:
    return ModelExchange(
        target="standard",
        model="m",
        messages=[{"role": "user", "content": text}],
        tools=Tools(()),
        response={"role": "assistant", "content": text},
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        latency_ms=1.0,
    )


async def test_of_many_short_turns_the_newest_are_kept(tmp_path: Path) -> None:
    turns = tuple(Turn(role="user", content=f"turn {number}") for number in range(2_000))
    asked = request(identity=MALLORY).model_copy(update={"turns": turns, "turns_left_out": 5})
    async with open_store(tmp_path / "agent.db", record_bytes_per_hour=1) as store:
        await store.records.open_request(asked)
        await store.records.finish(record(asked))
        kept = await store.records.get("r1")
        assert kept is not None
        assert kept.request.turns == turns[-KEPT_TURNS:]
        assert kept.request.turns_left_out == 5 + 2_000 - KEPT_TURNS


async def test_a_secret_is_masked_before_its_text_is_shortened(tmp_path: Path) -> None:
    secret = "sk-" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
    text = "x" * (KEPT_CHARACTERS - 12) + " " + secret + " " + "y" * 1_000
    async with open_store(tmp_path / "agent.db", record_bytes_per_hour=1) as store:
        await store.records.open_request(request(text=text, identity=MALLORY))
        await store.records.finish(record(request(text=text, identity=MALLORY)))
        kept = await store.records.get("r1")
        assert kept is not None
        assert secret[:10] not in kept.model_dump_json()


async def test_the_same_request_is_known_by_its_shortened_text(tmp_path: Path) -> None:
    """The same Idempotency-Key with the same words repeats, with others it is a conflict, as with a whole record."""
    command = "/near_balance bob.localnet" + " " * 1_000
    async with open_agent(tmp_path, record_bytes_per_hour=1) as agent:
        first = await agent.ask(command, idempotency_key="k")
        assert first.status == "answered"
        assert "shortened: " in (await agent.records())[0].request.text
        again = await agent.ask(command, idempotency_key="k")
        assert again.status == "answered"
        assert (await agent.records())[-1].repeats == first.request_id
        other = await agent.ask(command + " ", idempotency_key="k")
        assert other.status == "refused"


def test_a_shortened_text_is_compared_by_its_hash() -> None:
    long = "a" * 10_000
    assert is_same_text(long, long)
    assert is_same_text(shorten_text(long), long)
    assert not is_same_text(shorten_text(long), "a" * 9_999)
    assert shorten_text("a" * KEPT_CHARACTERS) == "a" * KEPT_CHARACTERS


def test_the_quota_is_a_rolling_hour_for_each_identity() -> None:
    clock = Monotonic()
    quota = RecordQuota(100, clock)
    for minute in range(4):
        clock.now_s = minute * 600
        quota.add("a", 25)
    assert not quota.fits("a", 1)
    assert quota.fits("b", 100)
    assert not quota.fits("b", 101)
    clock.now_s = 3_660
    assert quota.fits("a", 25)
    assert not quota.fits("a", 26)
    clock.now_s = 100_000
    assert quota.fits("a", 100)
