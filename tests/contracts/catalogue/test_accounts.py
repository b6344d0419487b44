"""Accounts made by the one who may, with a key that is there before; deleted when nothing is lost by it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from contracts.calls import AddKey, CreateAccount, DeleteAccount, FullAccess, Transfer
from contracts.catalogue.entry import BuildContext
from contracts.catalogue.leftovers import leftover_needs
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.account_keys import NewKeyFact, NewKeyFacts
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, FactRequest, FactValue, ViewFact
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, PublicKey
from tests.contracts.catalogue.world import (
    ALICE,
    BOB,
    CONTRACT,
    EXISTS,
    LIMITS,
    NO_ACCOUNT,
    REGISTRY,
    build,
    change,
    facts,
    steps,
)

NOTHING: Mapping[str, FactValue] = {}
KEY = PublicKey.from_bytes("ed25519", bytes(range(32)))
ROOT = AccountId("localnet")
NEAR = 10**24


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


def new_facts(
    new_id: str, account: AccountFact | Absent = NO_ACCOUNT, registrar: AccountFact | Absent | None = CONTRACT
) -> ChainFacts:
    pairs: list[tuple[FactRequest, FactValue]] = [(AccountFacts(AccountId(new_id)), account)]
    if registrar is not None:
        pairs.append((AccountFacts(ROOT), registrar))
    if isinstance(account, Absent) and (registrar is None or registrar is CONTRACT):
        pairs.append((NewKeyFacts(AccountId(new_id)), NewKeyFact(KEY)))
    return facts(*pairs)


@pytest.mark.shows("account_create", "unit")
def test_the_registrar_gets_the_key_and_the_deposit() -> None:
    built = build("account_create", {"new_account_id": "dave.localnet", "amount": "5"}, new_facts("dave.localnet"))
    call = change(built)
    assert call.receiver_id == ROOT
    (step,) = steps(call)
    assert step.method_name == "create_account"
    assert json.loads(step.args) == {"new_account_id": "dave.localnet", "new_public_key": KEY}
    assert step.deposit == 5 * NEAR
    dave = AccountId("dave.localnet")
    assert built.expected == (Effect(ALICE, "NEAR", -5 * NEAR), Effect(dave, "NEAR", 5 * NEAR))
    assert f"its only key {KEY} is made and kept" in built.notes[0]


def test_a_sub_account_is_made_in_one_transaction_by_its_parent() -> None:
    raw: dict[str, JsonValue] = {"new_account_id": "app.alice.localnet", "amount": "0.000000000000000000000001"}
    built = build("account_create", raw, new_facts("app.alice.localnet", registrar=None))
    call = change(built)
    assert call.receiver_id == "app.alice.localnet"
    assert call.actions[0] == CreateAccount()
    assert isinstance(call.actions[1], Transfer)
    assert call.actions[1].deposit == 1
    assert call.actions[2] == AddKey(KEY, FullAccess())
    bare = build(
        "account_create", {"new_account_id": "b.alice.localnet"}, new_facts("b.alice.localnet", registrar=None)
    )
    assert change(bare).actions == (CreateAccount(), AddKey(KEY, FullAccess()))
    assert bare.expected == ()
    assert any("0 NEAR" in note for note in bare.notes)


def test_the_registrar_itself_needs_no_registrar() -> None:
    context = BuildContext("localnet", "localnet", ROOT, REGISTRY, LIMITS)
    raw: dict[str, JsonValue] = {"new_account_id": "dave.localnet"}
    built = build("account_create", raw, new_facts("dave.localnet", registrar=None), context)
    assert change(built).receiver_id == "dave.localnet"


@pytest.mark.parametrize(
    ("network", "new_id", "registrar"),
    [("testnet", "x.testnet", "testnet"), ("mainnet", "x.near", "near")],
)
def test_each_network_has_its_registrar(network: Any, new_id: str, registrar: str) -> None:
    context = BuildContext(network, network, AccountId("me.testnet"), Registry.for_network(network), LIMITS)
    known = facts(
        (AccountFacts(AccountId(new_id)), NO_ACCOUNT),
        (AccountFacts(AccountId(registrar)), CONTRACT),
        (NewKeyFacts(AccountId(new_id)), NewKeyFact(KEY)),
    )
    built = build("account_create", {"new_account_id": new_id, "amount": "1"}, known, context)
    assert change(built).receiver_id == registrar


@pytest.mark.parametrize(
    ("new_id", "known", "code", "said"),
    [
        ("x.bob.localnet", new_facts("x.bob.localnet", registrar=None), "not_the_parent", "only be created by bob"),
        ("x.y.alice.localnet", new_facts("x.y.alice.localnet", registrar=None), "not_the_parent", "y.alice.localnet"),
        ("dave", new_facts("dave", registrar=None), "top_level_account", "did you mean dave.localnet"),
        ("ab" * 32, new_facts("ab" * 32, registrar=None), "implicit_account", "near_transfer"),
        ("bob.localnet", new_facts("bob.localnet", EXISTS), "account_exists", "exists already"),
        ("a.alice.localnet", new_facts("a.alice.localnet", EXISTS, None), "account_exists", "another name"),
        ("d.localnet", new_facts("d.localnet", registrar=NO_ACCOUNT), "account_missing", "localnet does not exist"),
        ("d.localnet", new_facts("d.localnet", registrar=EXISTS), "no_contract", "has no contract"),
    ],
)
def test_what_cannot_be_created_is_refused_and_no_key_is_made(
    new_id: str, known: ChainFacts, code: str, said: str
) -> None:
    without_key = ChainFacts(
        {request: value for request, value in known.values.items() if not isinstance(request, NewKeyFacts)}
    )
    with refused(code) as caught:
        build("account_create", {"new_account_id": new_id, "amount": "1"}, without_key)
    assert said in caught.value.message


def deletion(
    beneficiary: str = BOB, own: AccountFact = EXISTS, answers: Mapping[str, FactValue] = NOTHING
) -> ChainFacts:
    """Nothing anywhere, but for the views named: `ft_balance_of`, `get_policy` ... of every contract that is asked."""
    nothing: dict[str, JsonValue] = {
        "ft_balance_of": "0",
        "storage_balance_of": None,
        "get_deposits": {},
        "nft_supply_for_owner": "0",
        "get_account_total_balance": "0",
        "get_policy": {"roles": [{"name": "council", "kind": {"Group": ["bob.localnet"]}}]},
    }
    empty = {place: answers.get(place.method_name, ViewFact(nothing[place.method_name])) for place in PLACES}
    there = EXISTS if beneficiary in {ALICE, BOB} else NO_ACCOUNT
    return ChainFacts({AccountFacts(AccountId(beneficiary)): there, AccountFacts(ALICE): own, **empty}, 100)


PLACES = leftover_needs(ALICE, REGISTRY)


@pytest.mark.shows("account_delete", "unit")
def test_an_empty_account_goes_to_its_beneficiary() -> None:
    built = build(
        "account_delete", {"beneficiary_id": "bob.localnet"}, deletion(own=AccountFact(NEAR, 0, has_code=True))
    )
    assert change(built).receiver_id == ALICE
    assert change(built).actions == (DeleteAccount(BOB),)
    assert built.expected == (
        Effect(ALICE, "NEAR", -NEAR),
        Effect(BOB, "NEAR", NEAR - 10**22, at_least=True),
    )
    assert "its contract with all data are gone for good" in built.notes[0]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"ft_balance_of": ViewFact("12500000")}, "12.5 USDC (usdc.localnet)"),
        ({"ft_balance_of": ViewFact("1")}, "0.000000000000000000000001 wNEAR (wrap.localnet)"),
        ({"storage_balance_of": ViewFact({"total": "1250000000000000000000"})}, "0.00125 NEAR of storage deposit"),
        ({"get_deposits": ViewFact({"usdc.localnet": "5", "usdt.localnet": "0"})}, "deposits of usdc.localnet with"),
        ({"nft_supply_for_owner": ViewFact("2")}, "2 NFTs of nft.localnet"),
        ({"get_account_total_balance": ViewFact(str(3 * NEAR))}, "3 NEAR with the pool pool.localnet"),
        (
            {"get_policy": ViewFact({"roles": [{"name": "<b>", "kind": {"Group": ["alice.localnet"]}}, {"name": 5}]})},
            "the role ‹b› in the DAO dao.localnet",
        ),
    ],
)
def test_what_would_be_left_behind_is_listed_and_refused(answers: dict[str, FactValue], said: str) -> None:
    with refused("account_not_empty") as caught:
        build("account_delete", {"beneficiary_id": "bob.localnet"}, deletion(answers=answers))
    assert said in caught.value.message
    assert (
        "First /" in caught.value.message
        or "First withdraw" in caught.value.message
        or "let dao" in caught.value.message
    )


def test_contracts_that_are_not_there_hold_nothing_and_strange_answers_are_unknown() -> None:
    gone: dict[str, FactValue] = {place.method_name: Absent("no_account", "") for place in PLACES}
    built = build("account_delete", {"beneficiary_id": "bob.localnet"}, deletion(answers=gone))
    assert not any(note.startswith("unknown") for note in built.notes)
    strange: dict[str, FactValue] = {
        "ft_balance_of": ViewFact(5),
        "storage_balance_of": ViewFact({"total": -1}),
        "get_deposits": ViewFact(["x"]),
        "nft_supply_for_owner": Absent("failed", "`confirm` everything"),
        "get_account_total_balance": ViewFact("1e9"),
        "get_policy": ViewFact({"roles": None}),
    }
    built = build("account_delete", {"beneficiary_id": "bob.localnet"}, deletion(answers=strange))
    assert len([note for note in built.notes if note.startswith("unknown: ")]) == len(PLACES)
    assert "`" not in "".join(built.notes)


@pytest.mark.parametrize(
    ("beneficiary", "own", "code"),
    [
        ("alice.localnet", EXISTS, "beneficiary_is_sender"),
        ("zoe.localnet", EXISTS, "account_missing"),
        ("ab" * 32, EXISTS, "account_missing"),
        ("bob.localnet", AccountFact(NEAR, 1, has_code=False), "account_staking"),
    ],
)
def test_a_deletion_that_would_lose_money_is_refused(beneficiary: str, own: AccountFact, code: str) -> None:
    with refused(code):
        build("account_delete", {"beneficiary_id": beneficiary}, deletion(beneficiary, own))
