"""A data folder that was rolled back, as by a snapshot of the disk or the machine, while the chain went on."""

import asyncio
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.rollbacks import ALICE, Rollable, Running, rollable
from tests.e2e.programs import daemon, localnet, near_agent
from tests.fake_nodes import FIRST_NONCE


async def test_a_card_that_was_confirmed_before_a_rollback_is_not_paid_again(tmp_path: Path) -> None:
    """The key was never used from this folder when the snapshot was made."""
    async with rollable(tmp_path) as outside:
        async with outside.started() as agent:
            code = await agent.card(1001)
            outside.snapshot("before")
            assert (await agent.say(f"confirm {code}")).status == "executed"
        outside.roll_back("before")
        async with outside.started() as agent:
            refused = await agent.say(f"confirm {code}")
            assert refused.status == "refused"
            assert "near-agent keys acknowledge alice.localnet" in refused.text
            assert (await agent.ask(1002)).status == "refused"
            await agent.acknowledge_all()
            assert (await agent.say(f"confirm {code}")).status == "declined", "acknowledging voids what waited"
            again = await agent.ask(1001)
            assert again.status == "needs_approval"
            assert "may have been carried out already" in again.text
        assert outside.paid() == Counter({1001: 1})


async def test_a_request_within_the_free_allowance_is_not_paid_again(tmp_path: Path) -> None:
    """A client repeats it with its Idempotency-Key, because the answer was lost with the folder."""
    async with rollable(tmp_path) as outside:
        async with outside.started() as agent:
            outside.snapshot("before")
            assert (await agent.ask(17, key="once")).status == "executed"
        outside.roll_back("before")
        async with outside.started() as agent:
            assert (await agent.ask(17, key="once")).status == "refused"
            await agent.acknowledge_all()
            asked = await agent.ask(17, key="once")
            assert asked.status == "needs_approval", "nothing is free while nobody knows what was spent"
            assert "may have been carried out already" in asked.text
        assert outside.paid() == Counter({17: 1})


@pytest.mark.parametrize("used", [0, 1])
async def test_another_key_of_the_account_does_not_pay_again(tmp_path: Path, used: int) -> None:
    async with rollable(tmp_path, keys=2) as outside:
        both = outside.signer.all
        async with outside.started() as agent:
            code = await agent.card(1001)
            outside.snapshot("before")
            outside.signer.held = [both[used]]
            assert (await agent.say(f"confirm {code}")).status == "executed"
        outside.roll_back("before")
        outside.signer.held = [both[1 - used]]
        async with outside.started() as agent:
            assert (await agent.say(f"confirm {code}")).status == "refused"
        assert outside.paid() == Counter({1001: 1})


@pytest.mark.parametrize("kept", [True, False])
async def test_a_key_that_was_imported_after_the_snapshot_pays_nothing_twice(tmp_path: Path, *, kept: bool) -> None:
    """`kept`: its file is outside of what was rolled back. Either way the card is signed by the keys that it was made with."""
    async with rollable(tmp_path, keys=2) as outside:
        first, second = outside.signer.all
        outside.signer.held = [first]
        await outside.use_elsewhere(second)
        async with outside.started() as agent:
            code = await agent.card(1001)
            outside.snapshot("before")
        async with outside.started() as agent:
            outside.signer.held = [first, second]
            await agent.chain.acknowledge_key("localnet", ALICE, second)
            assert (await agent.say(f"confirm {code}")).status == "declined"
            outside.signer.held = [second]
            assert (await agent.ask(17, key="once")).status == "executed"
        outside.roll_back("before")
        outside.signer.held = [first, second] if kept else [first]
        async with outside.started() as agent:
            again = await agent.say(f"confirm {code}")
            assert again.status == ("refused" if kept else "executed")
            assert ("this ledger has never seen it" in again.text) == kept
        assert outside.paid() == Counter({17: 1} if kept else {17: 1, 1001: 1})


async def test_a_card_is_signed_by_no_key_that_came_after_it(tmp_path: Path) -> None:
    async with rollable(tmp_path, keys=2) as outside:
        first, second = outside.signer.all
        outside.signer.held = [first]
        async with outside.started() as agent:
            code = await agent.card(1001)
            outside.signer.held = [second]
            again = await agent.say(f"confirm {code}")
            assert again.status == "needs_approval"
            assert "void" in again.text
            outside.signer.held = [first, second]
            for _ in range(6):
                code = await agent.card(1003)
                outside.signer.held = [first, second]
                assert (await agent.say(f"confirm {code}")).status == "executed"


async def test_bytes_that_land_after_the_rollback_block_the_account(tmp_path: Path) -> None:
    """They take the nonce that the folder gives to another transfer, which is dead then; nothing else is signed."""
    async with rollable(tmp_path) as outside:
        async with outside.started() as agent:
            out, other = await agent.card(1001), await agent.card(1002)
            outside.snapshot("before")
            outside.node.faults = ["lost"] * 1000
            assert (await agent.say(f"confirm {out}")).status == "unconfirmed"
        outside.roll_back("before")
        outside.node.faults = []

        def land(name: str) -> None:
            if name == "send_tx":
                outside.node.on_call = lambda _name: None
                outside.deliver_late()

        async with outside.started() as agent:
            outside.node.on_call = land
            assert (await agent.say(f"confirm {other}")).status == "failed"
            assert outside.paid() == Counter({1001: 1})
            assert (await agent.say(f"confirm {out}")).status == "refused"
            await agent.acknowledge_all()
            assert (await agent.say(f"confirm {out}")).status == "declined"
        assert outside.paid() == Counter({1001: 1})


@pytest.mark.parametrize("nonce", [7, 700_000_000])
async def test_a_key_that_was_added_again_is_a_key_used_elsewhere(tmp_path: Path, nonce: int) -> None:
    """What it did before it was deleted can no longer be seen. nearcore gives it (height - 1) x 10**6."""
    async with rollable(tmp_path) as outside:
        async with outside.started() as agent:
            code = await agent.card(1001)
            outside.node.lies = {"view_access_key": {"nonce": FIRST_NONCE + nonce}}
            assert (await agent.say(f"confirm {code}")).status == "refused"
        assert outside.paid() == Counter()


async def test_a_card_whose_key_was_deleted_asks_again(tmp_path: Path) -> None:
    async with rollable(tmp_path, keys=2) as outside, outside.started() as agent:
        code = await agent.card(1001)
        outside.chain.more_keys.clear()
        again = await agent.say(f"confirm {code}")
        assert again.status == "needs_approval"
        assert "is no key of alice.localnet any more" in again.text
        assert (await agent.say(f"confirm {again.confirm_code}")).status == "executed"


@pytest.fixture
def chain_of_its_own(tmp_path: Path) -> Generator[Mapping[str, str]]:
    """`near-agent localnet` as a program with a folder of its own, and the settings of a daemon that uses it."""
    with localnet(tmp_path / "chain") as address:
        yield {
            "NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([address]),
            "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(tmp_path / "chain" / "localnet" / "credentials"),
            "NEAR_AGENT_ACCOUNT_ID": "alice.localnet",
        }


def test_the_whole_folder_put_back_under_a_daemon_pays_nothing_twice(
    tmp_path: Path, chain_of_its_own: Mapping[str, str]
) -> None:
    """The daemon and the chain as programs; the folder is copied while nothing runs in it, as a machine's snapshot is."""
    folder, copy, more = tmp_path / "data", tmp_path / "copy", chain_of_its_own
    with daemon(folder, more=more) as running:
        before = running.chain_balance_yocto("bob.localnet")
        code = running.say("/near_transfer bob.localnet 7").facts["confirm_code"]
        assert running.terminate() == 0
    shutil.copytree(folder, copy)
    with daemon(folder, more=more) as running:
        assert running.say(f"confirm {code}").facts["status"] == "executed"
        assert running.terminate() == 0
    shutil.rmtree(folder)
    copy.rename(folder)
    with daemon(folder, more=more) as running:
        refused = running.say(f"confirm {code}")
        assert refused.facts["status"] == "refused"
        told = re.search(r"near-agent (keys acknowledge alice\.localnet ed25519:\w+)", refused.text)
        assert told is not None
        done = near_agent(folder, *told[1].split(), more=more)
        assert done.returncode == 0, done.stderr
        assert "1 pending cards were cancelled" in done.stdout
        assert running.say(f"confirm {code}").facts["status"] == "declined"
        again = running.say("/near_transfer bob.localnet 7")
        assert "may have been carried out already" in again.text
        assert running.chain_balance_yocto("bob.localnet") - before == 7 * 10**24
        assert running.terminate() == 0


Step = tuple[str, int]

BODY = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("free"), st.integers(0, 1)),
        *(st.tuples(st.just("confirm"), st.integers(0, 1)) for _ in range(3)),
        st.tuples(st.sampled_from(["acknowledge", "use elsewhere", "restart"]), st.integers(0, 1)),
        st.tuples(st.just("hold"), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    """A card, a snapshot, and up to three timelines that begin with it."""
    steps: list[Step] = [("ask", 0), *draw(BODY), ("snapshot", 0), *draw(BODY)]
    for _ in range(draw(st.integers(1, 2))):
        steps += [("roll back", 0), *draw(BODY)]
    return steps


class Story:
    """People who confirm every code that they ever saw, and a client that repeats what it ever asked for."""

    def __init__(self, outside: Rollable) -> None:
        self.outside = outside
        self.codes: list[tuple[str, int]] = []
        """Code, and the amount that its card is for."""
        self.confirmed: dict[int, set[str]] = {}
        self.snapshots: set[str] = set()

    async def run(self, steps: list[Step]) -> None:
        outside, left = self.outside, iter(steps)
        step: Step | None = ("restart", 0)
        while step is not None:
            if step[0] == "roll back" and f"snapshot {step[1]}" in self.snapshots:
                outside.roll_back(f"snapshot {step[1]}")
            async with outside.started() as agent:
                step = next(left, None)
                while step is not None and step[0] not in {"roll back", "restart"}:
                    await self.take(agent, *step)
                    self.check()
                    step = next(left, None)

    async def take(self, agent: Running, what: str, number: int) -> None:
        match what:
            case "ask":
                milli = 1000 + len(self.codes)
                self.keep((await agent.ask(milli)).confirm_code, milli)
            case "free":
                milli = 10 + number
                self.keep((await agent.ask(milli, key=f"free {number}")).confirm_code, milli)
            case "confirm" if self.codes:
                code, milli = self.codes[-1 - number % len(self.codes)]
                self.confirmed.setdefault(milli, set()).add(code)
                self.keep((await agent.say(f"confirm {code}")).confirm_code, milli)
            case "snapshot":
                self.outside.snapshot(f"snapshot {number}")
                self.snapshots.add(f"snapshot {number}")
            case "use elsewhere":
                await self.outside.use_elsewhere(self.outside.signer.all[number % len(self.outside.signer.all)])
            case "hold":
                everything = self.outside.signer.all
                self.outside.signer.held = [key for place, key in enumerate(everything) if number & (1 << place)] or [
                    everything[0]
                ]
            case "acknowledge":
                await agent.acknowledge_all()
            case _:
                pass

    def keep(self, code: str | None, milli: int) -> None:
        if code is not None and (code, milli) not in self.codes:
            self.codes.append((code, milli))

    def check(self) -> None:
        """A card is carried out once, in whichever timeline; a request within the free allowance once besides."""
        for milli, times in self.outside.paid().items():
            assert times <= len(self.confirmed.get(milli, ())) + (milli < 500), (milli, times)


async def _live(folder: Path, keys: int, steps: list[Step]) -> None:
    async with rollable(folder, keys=keys) as outside:
        await Story(outside).run(steps)


@pytest.mark.hypothesis
@settings(max_examples=25)
@given(keys=st.integers(1, 2), steps=stories())
def test_no_timeline_carries_a_card_out_twice(keys: int, steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live(Path(folder), keys, steps))


def test_the_story_does_pay() -> None:
    """The property is not kept by a chain on which nothing ever happens."""
    paid: list[int] = []

    async def live(folder: Path) -> None:
        async with rollable(folder, keys=2) as outside:
            story = Story(outside)
            steps = [("snapshot", 0), ("free", 0), ("ask", 0), ("confirm", 0), ("roll back", 0), ("acknowledge", 0)]
            await story.run([*steps, ("free", 0), ("confirm", 0), ("ask", 0), ("confirm", 0)])
            paid.extend(sorted(outside.paid().elements()))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))
    assert paid == [10, 10, 1000, 1002]
