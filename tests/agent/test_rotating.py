"""keys rotate: killed anywhere it goes on, sends nothing twice, and the account always has a key that works."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.operations.rotating import Rotator
from agent.records import Identity, Reply, UserRequest
from agent.story import Progress, Story
from contracts.calls import AddKey, DeleteKey, Grant
from contracts.chain.delivery import OnState, ignore_state
from contracts.chain.ledger import Intent, Signed
from contracts.chain.outcome import Effect, Execution, Failed, Finalized, Outcome, Unconfirmed
from contracts.knowledge.registry import Registry
from contracts.signing.signer import check_step, transaction_step
from contracts.signing.transaction import Transaction
from contracts.types import AccountId, CryptoHash, PublicKey
from tests.doubles import Clock, Crash, MemoryLedger

ALICE = AccountId("alice.localnet")
OPERATOR = Identity(key_id="operator", account_id=ALICE, may_confirm=True)
BLOCK = CryptoHash.of(b"block")


def key_number(number: int) -> PublicKey:
    return PublicKey.from_bytes("ed25519", bytes([number]) * 32)


OLD = key_number(1)


@dataclass
class FakeKeys:
    """The signer's keys of one account."""

    held: list[PublicKey] = field(default_factory=lambda: [OLD])
    left: set[PublicKey] = field(default_factory=set[PublicKey])

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        return tuple(key for key in self.held if key not in self.left) if account_id == ALICE else ()

    async def new_key_beside(self, account_id: AccountId) -> PublicKey:
        self.held.append(key_number(len(self.held) + 1))
        return self.held[-1]

    async def leave(self, account_id: AccountId, public_key: PublicKey) -> None:
        self.left.add(public_key)

    async def retire(self, account_id: AccountId, public_key: PublicKey) -> list[str]:
        self.held = [key for key in self.held if key != public_key]
        return []


@dataclass
class FakeChain:
    """Access keys of one account, and the ledger moved as the real client does."""

    ledger: MemoryLedger
    clock: Clock
    on_chain: set[PublicKey] = field(default_factory=lambda: {OLD})
    sent: list[tuple[str, PublicKey]] = field(default_factory=list[tuple[str, PublicKey]])
    crash_at: str | None = None
    """`before NAME` or `after NAME` of an action's kind."""
    ending: str = "final"

    async def execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...] = (),
        *,
        keys: Collection[PublicKey] | None = None,
        on_state: OnState = ignore_state,
    ) -> Outcome:
        assert keys is not None
        (key,) = keys
        (action,) = intent.call.actions
        self._crash(f"before {action.kind}")
        assert key in self.on_chain, "signed by a key that the account does not have"
        transaction = Transaction(ALICE, key, 1, intent.call.receiver_id, BLOCK, intent.call.actions)
        check_step(transaction_step(transaction), grant, chain_ids=("localnet",), now=self.clock())
        nonce = await self.ledger.last_nonce("localnet", ALICE, key) + 1
        signed = Signed(CryptoHash.of(intent.intent_id.encode()), b"bytes", key, nonce, BLOCK, 1)
        await self.ledger.store_signed(intent.intent_id, grant.grant_id, signed, self.clock())
        await self.ledger.move(intent.intent_id, "sending", self.clock())
        self.sent.append((action.kind, key))
        if self.ending == "unconfirmed":
            outcome = Unconfirmed(signed.tx_hash, "nobody knows it yet")
            await self.ledger.move(intent.intent_id, "unconfirmed", self.clock(), outcome)
            return outcome
        match action:
            case AddKey(public_key):
                self.on_chain.add(public_key)
            case DeleteKey(public_key):
                self.on_chain.remove(public_key)
            case _:
                pass
        self._crash(f"after {action.kind}")
        return await self.settle(intent)

    async def settle(self, intent: Intent) -> Outcome:
        stored = self.ledger.intents[intent.intent_id]
        assert stored.signed is not None
        execution = Execution(stored.signed.tx_hash, 101, BLOCK, ALICE, intent.call.receiver_id, None, (), (), 1, 1)
        await self.ledger.move(intent.intent_id, "final", self.clock(), Finalized(execution))
        return Finalized(execution)

    def _crash(self, name: str) -> None:
        if self.crash_at == name:
            self.crash_at = None
            raise Crash(name)


@dataclass
class World:
    folder: Path
    clock: Clock = field(default_factory=Clock)
    keys: FakeKeys = field(default_factory=FakeKeys)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    kill_at: str | None = None

    def __post_init__(self) -> None:
        self.chain = FakeChain(self.ledger, self.clock)

    def kill_point(self, name: str) -> None:
        assert self.chain.on_chain & set(self.keys.held), "the account has no key that works"
        if name == self.kill_at:
            self.kill_at = None
            raise Crash(name)

    async def recorded(
        self, request: UserRequest, work: Callable[[Story], Awaitable[Reply]], progress: Progress | None
    ) -> Reply:
        return await work(Story.of(request, progress, self.clock))

    async def rotate(self, old: PublicKey | None = None, account_id: AccountId = ALICE) -> Reply:
        rotator = Rotator(
            self.recorded,
            self.ledger,
            self.chain,
            self.keys,
            Registry.for_network("localnet"),
            data_dir=self.folder,
            chain_id="localnet",
            clock=self.clock,
            grant_ttl_s=60.0,
            drain_s=0.0,
            kill_point=self.kill_point,
        )
        return await rotator.rotate(OPERATOR, account_id, old)


def check_rotated(world: World) -> None:
    (new,) = world.keys.held
    assert world.chain.on_chain == {new} != {OLD}
    assert world.chain.sent == [("add_key", OLD), ("transfer", new), ("delete_key", new)]
    assert list((world.folder / "rotations").iterdir()) == []


async def test_the_old_key_goes_when_the_new_one_is_proven(tmp_path: Path) -> None:
    world = World(tmp_path)
    reply = await world.rotate()
    assert reply.status == "executed"
    assert [outcome.action for outcome in reply.outcomes] == [
        "key_rotation_added",
        "key_rotation_proven",
        "key_rotation_done",
    ]
    check_rotated(world)


KILLS = [
    *(f"rotation_{stage}" for stage in ("begun", "added", "proven", "drained", "done")),
    *(f"{when} {kind}" for when in ("before", "after") for kind in ("add_key", "transfer", "delete_key")),
]


@pytest.mark.parametrize("kill", KILLS)
async def test_killed_anywhere_it_goes_on(kill: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    if kill.startswith("rotation_"):
        world.kill_at = kill
    else:
        world.chain.crash_at = kill
    with pytest.raises(Crash):
        await world.rotate()
    for intent in await world.ledger.in_states(frozenset({"planned", "approved"})):
        await world.ledger.move(intent.intent_id, "abandoned", world.clock(), Failed("start", "cut_off", "cut off"))
    assert (await world.rotate()).status == "executed"
    check_rotated(world)


async def test_a_transaction_of_unknown_end_is_followed_and_not_sent_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.chain.ending = "unconfirmed"
    reply = await world.rotate()
    assert reply.status == "unconfirmed"
    assert "again to go on" in reply.text
    assert world.keys.held[0] == OLD
    assert world.chain.sent == [("add_key", OLD)]
    world.chain.ending = "final"
    world.chain.on_chain.add(world.keys.held[1])
    assert (await world.rotate()).status == "executed"
    check_rotated(world)


async def test_the_old_key_waits_for_its_transactions(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.kill_at = "rotation_proven"
    with pytest.raises(Crash):
        await world.rotate()
    kept = next(iter(world.ledger.intents.values()))
    world.ledger.intents["other"] = replace(kept, intent_id="other", state="sent", outcome=None)
    reply = await world.rotate()
    assert reply.status == "unconfirmed"
    assert "1 transaction(s) signed by the old key" in reply.text
    assert OLD in world.chain.on_chain
    assert OLD not in await world.keys.public_keys(ALICE)
    del world.ledger.intents["other"]
    assert (await world.rotate()).status == "executed"
    check_rotated(world)


async def test_which_key_is_meant_is_never_guessed(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert "no key of bob.localnet" in (await world.rotate(account_id=AccountId("bob.localnet"))).text
    assert (await world.rotate(key_number(9))).status == "refused"
    world.keys.held.append(key_number(2))
    reply = await world.rotate()
    assert reply.status == "refused"
    assert "--key" in reply.text
    world.kill_at = "rotation_added"
    with pytest.raises(Crash):
        await world.rotate(OLD)
    assert (await world.rotate(key_number(2))).status == "refused"
    assert (await world.rotate()).status == "executed"
    (tmp_path / "rotations" / f"{ALICE}.json").write_text("{")
    assert (await world.rotate()).status == "refused"
