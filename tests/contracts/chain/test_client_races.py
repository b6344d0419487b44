"""Several keys, several processes over one ledger: who is faster changes nothing for the money."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain.outcome import Failed, Finalized, NotDone, Unconfirmed
from contracts.signing.keystore import KeyStore
from contracts.types import AccountId, CryptoHash
from tests.contracts.chain.worlds import NEAR, World, open_world
from tests.doubles import Crash, KeyStoreSigner, key_file

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


async def test_a_nonce_that_another_process_took_is_not_replaced_by_a_second_signature(tmp_path: Path) -> None:
    """The first bytes have left the signer; nobody can prove to it that they were not sent."""
    async with open_world(tmp_path) as world:
        ledger, stores = world.ledger, 0

        async def take_it(name: str) -> None:
            nonlocal stores
            if name == "store_signed":
                stores += 1
                key = (await world.signer.public_keys(ALICE))[0]
                ledger.nonces["localnet", ALICE, key] = max(ledger.nonces.values(), default=500_000_000) + 5

        ledger._on_call = take_it
        intent, grant = await world.transfer()
        outcome = await (await world.client()).execute(intent, grant)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.code) == ("ledger", "nonce_taken")
        assert (stores, await world.state()) == (1, "abandoned")
        assert world.nodes[0].sends == []


async def test_a_transaction_can_be_signed_by_one_key_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        signer = _signer_with_two_keys(world, tmp_path)
        known = (await world.signer.public_keys(ALICE))[0]
        other = next(key for key in await signer.public_keys(ALICE) if key != known)
        client = await world.client(signer=signer)
        intent, grant = await world.transfer("one")
        refused = await client.execute(intent, grant, keys=(other,))
        assert isinstance(refused, Failed)
        intent, grant = await world.transfer("two")
        assert isinstance(await client.execute(intent, grant, keys=(known,)), Finalized)


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
