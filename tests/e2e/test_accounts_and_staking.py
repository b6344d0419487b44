"""Accounts, keys and stakes through the daemon on the embedded chain, epochs moved on by the command."""

from collections.abc import Generator

import pytest

from contracts.types import CryptoHash, PublicKey
from tests.e2e.people import People, Person, daemon_of_three
from tests.e2e.programs import near_agent_here

NEW = PublicKey.from_bytes("ed25519", CryptoHash.of(b"a key of somebody's").raw)
ODD = PublicKey.from_bytes("secp256k1", CryptoHash.of(b"x").raw + CryptoHash.of(b"y").raw)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Generator[People]:
    with daemon_of_three(tmp_path_factory.mktemp("accounts") / "data") as three:
        yield three


def person(people: People, account_id: str) -> Person:
    made = near_agent_here(people.running.folder, "api-keys", "create", "--account", account_id)
    assert made.exit_code == 0, made.output
    return Person(people.running, made.stdout.strip())


def advance(people: People, epochs: int) -> None:
    done = near_agent_here(people.running.folder, "localnet", "advance-epochs", str(epochs))
    assert done.exit_code == 0, done.output


@pytest.mark.shows("account_create", "embedded")
@pytest.mark.shows("account_delete", "embedded")
def test_an_account_comes_through_the_registrar_acts_and_goes(people: People) -> None:
    card, _ = people.alice.done("/account_create dave.localnet 5")
    assert "create dave.localnet with 5 NEAR from alice.localnet" in card
    assert "is made and kept by this agent's signer" in card
    assert people.running.chain_balance_yocto("dave.localnet") == 5 * 10**24
    assert "dave.localnet exists already" in people.bob.refused("/account_create dave.localnet")
    dave = person(people, "dave.localnet")
    dave.done("/near_transfer bob.localnet 1")
    card, _ = dave.done("/account_create app.dave.localnet")
    assert "begins with 0 NEAR" in card
    assert people.running.chain_balance_yocto("app.dave.localnet") == 0
    assert "can only be created by dave.localnet" in people.bob.refused("/account_create x.dave.localnet")
    before = people.running.chain_balance_yocto("carol.localnet")
    assert "would be lost" in dave.refused("/account_delete dave.localnet")
    assert "nobody.localnet does not exist" in dave.refused("/account_delete nobody.localnet")
    assert "a deletion does not create it" in dave.refused(f"/account_delete {'ab' * 32}")
    card, _ = dave.done("/account_delete carol.localnet")
    assert "gone for good" in card
    got = people.running.chain_balance_yocto("carol.localnet") - before
    assert 3_990 * 10**21 < got < 4_000 * 10**21
    assert "dave.localnet does not exist" in people.alice.say("/account_view dave.localnet").text


@pytest.mark.shows("account_delete", "embedded")
def test_an_account_that_has_something_elsewhere_stays(people: People) -> None:
    people.carol.done("/stake pool.localnet 2")
    said = people.carol.refused("/account_delete bob.localnet")
    assert "2 NEAR with the pool pool.localnet" in said
    assert "in the DAO dao.localnet" in said
    assert "/unstake pool.localnet all" in said
    said = people.alice.refused("/account_delete bob.localnet")
    assert "10000 USDC (usdc.localnet)" in said
    assert "0.00125 NEAR of storage deposit with usdc.localnet" in said


@pytest.mark.shows("key_add_full", "embedded")
@pytest.mark.shows("key_add_function_call", "embedded")
@pytest.mark.shows("key_delete", "embedded")
def test_keys_are_added_and_deleted(people: People) -> None:
    card, _ = people.bob.done(f"/key_add_full {NEW}")
    assert "controls bob.localnet" in card
    assert "is a key of bob.localnet already" in people.bob.refused(f"/key_add_full {NEW}")
    card, _ = people.bob.done(f"/key_add_function_call {ODD} counter.localnet increment,decrement 0.25")
    assert "let secp256k1:" in card
    assert "pays gas only" in card
    told = people.bob.told("/access_keys @me")
    assert "0.25 NEAR of gas left" in told
    assert told.count("full access") == 2
    misspelt = people.bob.refused(f"/key_add_function_call {NEW} counter.localnet incremint")
    assert "did you mean increment?" in misspelt
    own = next(line for line in told.splitlines() if "full access" in line and NEW not in line).split()[0].rstrip(":")
    assert "this agent signs" in people.bob.refused(f"/key_delete {own}")
    people.bob.done(f"/key_delete {NEW}")
    people.bob.done(f"/key_delete {ODD}")
    assert "last full-access key" in people.bob.refused(f"/key_delete {own}")
    assert "is no key of bob.localnet" in people.bob.refused(f"/key_delete {NEW}")


@pytest.mark.shows("stake", "embedded")
@pytest.mark.shows("unstake", "embedded")
@pytest.mark.shows("stake_withdraw", "embedded")
@pytest.mark.shows("stake_balance", "embedded")
def test_a_stake_goes_in_waits_and_comes_back(people: People) -> None:
    alice = people.alice
    assert "has 0 NEAR staked" in alice.told("/stake_balance pool.localnet @me")
    assert "nothing is staked" in alice.refused("/unstake pool.localnet 1")
    card, _ = alice.done("/stake pool.localnet 10")
    assert "stake 10 NEAR of alice.localnet with pool.localnet" in card
    assert "keeps 10 % of the rewards" in card
    assert "has 10 NEAR staked with pool.localnet and nothing unstaked" in alice.told(
        "/stake_balance pool.localnet @me"
    )
    assert "all of it staked" in alice.refused("/stake_withdraw pool.localnet all")
    assert "10 NEAR is staked" in alice.refused("/unstake pool.localnet 10.000000000000000000000001")
    card, _ = alice.done("/unstake pool.localnet 4")
    assert "4 epochs of 43200 blocks" in card
    assert "4 NEAR unstaked, which cannot be withdrawn yet" in alice.told("/stake_balance pool.localnet @me")
    assert "cannot be withdrawn yet" in alice.refused("/stake_withdraw pool.localnet 4")
    advance(people, 4)
    card = alice.card("/unstake pool.localnet all")
    assert "4 NEAR that was unstaked earlier and can be withdrawn now would wait as long again" in card.text
    assert "at the measured" in card.text
    alice.say(f"cancel {card.facts['confirm_code']}")
    before = people.running.chain_balance_yocto("alice.localnet")
    card, _ = alice.done("/stake_withdraw pool.localnet all")
    assert "withdraw 4 NEAR from pool.localnet to alice.localnet" in card
    got = people.running.chain_balance_yocto("alice.localnet") - before
    assert 3_990 * 10**21 < got < 4_000 * 10**21
    assert "nothing unstaked" in alice.told("/stake_balance pool.localnet @me")
    assert "counter.localnet is not a staking pool" in alice.refused("/stake counter.localnet 1")
    assert "is not a staking pool" in alice.say("/stake_balance counter.localnet @me").text
