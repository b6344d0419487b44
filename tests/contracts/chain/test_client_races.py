"""Several keys, several processes over one ledger: who is faster changes nothing for the money."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain.ledger import Signed
from contracts.chain.outcome import Failed, Finalized, NotDone, Unconfirmed
from contracts.errors import LedgerConflict
from contracts.signing.keystore import KeyStore
from contracts.signing.signer import KeyStoreSigner
from contracts.types import AccountId, CryptoHash
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.doubles import Crash, MemoryLedger, key_file

ALICE = AccountId("alice.localnet")


def _signer_with_two_keys(world: World, folder: Path, *, known: bool = True) -> KeyStoreSigner:
    """Keys of alice that the chain does not know and, with `known`, the one that it knows; sorted, not in order of use."""
    for number in range(1, 3):
        key_file(folder / "both" / ("localnet" if number == 1 else ""), ALICE, bytes([number]) * 32)
    if known:
        text = (folder / "keys" / f"{ALICE}.json").read_text()
        (folder / "both" / f"{ALICE}.json").write_text(text)
    return KeyStoreSigner(KeyStore.load(folder / "both", "localnet"), chain_id="localnet", clock=world.clock)


async def test_the_key_that_may_sign_is_picked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        signer = _signer_with_two_keys(world, tmp_path)
        assert len(await signer.public_keys(ALICE)) == 2
        intent, grant = await world.transfer()
        assert isinstance(await (await world.client(signer=signer)).execute(intent, grant), Finalized)


async def test_without_a_key_that_may_sign_the_reason_is_told(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        signer = _signer_with_two_keys(world, tmp_path, known=False)
        intent, grant = await world.transfer()
        outcome = await (await world.client(signer=signer)).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert outcome.code == "UNKNOWN_ACCESS_KEY"


async def test_a_nonce_that_another_process_took_is_passed_over(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, taken = world.ledger, 0

        async def take_it(name: str) -> None:
            nonlocal taken
            if name == "store_signed" and taken < 2:
                taken += 1
                key = (await world.signer.public_keys(ALICE))[0]
                ledger.nonces["localnet", ALICE, key] = max(ledger.nonces.values(), default=500_000_000) + 5

        ledger._on_call = take_it
        intent, grant = await world.transfer()
        assert isinstance(await (await world.client()).execute(intent, grant), Finalized)
        assert taken == 2
        assert world.moved() == NEAR


async def test_a_nonce_that_is_always_taken_ends_unsigned(tmp_path: Path) -> None:
    class Contended(MemoryLedger):
        async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
            raise LedgerConflict("nonce_taken", f"nonce {signed.nonce} is taken")

    async with open_world(tmp_path) as world:
        world.ledger = Contended()
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.code) == ("ledger", "nonce_taken")
        assert await world.state() == "abandoned"
        assert world.nodes[0].sends == []


async def test_an_intent_that_another_process_gave_up_is_not_signed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        given_up = NotDone("an earlier step did not succeed")

        async def give_up(name: str) -> None:
            if name == "lane":
                stored = world.ledger.intents["one"]
                world.ledger.intents["one"] = replace(stored, state="abandoned", outcome=given_up)

        world.ledger._on_call = give_up
        outcome = await (await world.client()).execute(intent, grant)
        assert world.nodes[0].sends == []
        assert outcome == given_up


async def test_an_end_that_another_process_stored_is_the_answer(tmp_path: Path) -> None:
    def kill(name: str) -> None:
        if name == "after_socket_write":
            raise Crash(name)

    async with open_world(tmp_path) as world:
        intent, grant = await world.transfer()
        with pytest.raises(Crash):
            await (await world.client(kill)).execute(intent, grant)
        slow, fast = await world.client(), await world.client()
        once = True

        async def faster(name: str) -> None:
            nonlocal once
            if name == "move final" and once:
                once = False
                await fast.settle(intent)
                ended = world.ledger.intents["one"]
                other = Unconfirmed(CryptoHash.of(b"x"), "what the other process stored")
                world.ledger.intents["one"] = replace(ended, state="fenced", outcome=other)

        world.ledger._on_call = faster
        outcome = await slow.settle(intent)
        assert isinstance(outcome, Unconfirmed)
        assert outcome.message == "what the other process stored"
        assert world.moved() == NEAR
