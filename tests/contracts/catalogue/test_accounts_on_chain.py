"""Two who want one name: the second is told the truth, although the registrar's transaction succeeds."""

import time
from pathlib import Path

import pytest

from contracts.calls import ChangeCall
from contracts.catalogue.entry import Built
from contracts.catalogue.index import find
from contracts.chain.outcome import ExecutionFailed, Finalized, Outcome, PartiallyExecuted
from contracts.knowledge.reading import read_facts, read_further
from contracts.types import AccountId, CryptoHash, PublicKey
from tests.contracts.catalogue.test_on_chain import World, open_world
from tests.doubles import approved

NEAR = 10**24


class NewKeys:
    """A signer's answers; nothing is signed with these."""

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        del account_id
        return ()

    async def key_for_new_account(self, account_id: AccountId) -> PublicKey:
        return PublicKey.from_bytes("ed25519", CryptoHash.of(account_id.encode()).raw)


async def built(world: World, account_id: str, amount: str | None) -> Built:
    entry = find("account_create")
    args = entry.parse(
        {"new_account_id": account_id, "amount": amount}, world.context.signer_id, world.context.registry
    )
    facts = await read_facts(world.rpc, entry.needs(args, world.context), NewKeys())
    facts = await read_further(world.rpc, facts, entry.further(args, facts, world.context), NewKeys())
    return entry.build(args, facts, world.context)


async def execute(world: World, made: Built) -> Outcome:
    (call,) = made.calls
    assert isinstance(call, ChangeCall)
    world.done += 1
    intent, grant = await approved(world.ledger, call, name=str(world.done), expires_at=time.time() + 600)
    return await world.client.execute(intent, grant, made.expected)


async def balance(world: World, account_id: str) -> int:
    return (await world.rpc.account(AccountId(account_id))).amount


@pytest.mark.parametrize("amount", ["5", None])
async def test_the_registrar_succeeds_once_and_then_answers_false(tmp_path: Path, amount: str | None) -> None:
    async with open_world(tmp_path) as world:
        cards = [await built(world, "dave.localnet", amount) for _ in range(2)]
        assert isinstance(await execute(world, cards[0]), Finalized)
        before = await balance(world, "alice.localnet")
        second = await execute(world, cards[1])
        assert isinstance(second, PartiallyExecuted)
        assert second.message.startswith("localnet answered false: it did not create the account")
        assert second.execution.value is False
        assert await balance(world, "dave.localnet") == (5 * NEAR if amount else 0)
        assert 0 < before - await balance(world, "alice.localnet") < NEAR // 50


async def test_a_sub_account_is_made_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        cards = [await built(world, "app.alice.localnet", "1") for _ in range(2)]
        assert isinstance(await execute(world, cards[0]), Finalized)
        before = await balance(world, "alice.localnet")
        second = await execute(world, cards[1])
        assert isinstance(second, ExecutionFailed)
        assert second.code == "AccountAlreadyExists"
        assert await balance(world, "app.alice.localnet") == NEAR
        assert 0 < before - await balance(world, "alice.localnet") < NEAR // 50
