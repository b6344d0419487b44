"""Keys: added once, for methods that are there; never the last one deleted, nor the one that signs."""

from typing import Any

import pytest
from pydantic import JsonValue

from contracts.calls import AddKey, DeleteKey, FullAccess, FunctionCallAccess
from contracts.catalogue.entry import Built
from contracts.errors import InvalidInput
from contracts.knowledge.account_keys import KeysFact, KeysFacts
from contracts.knowledge.facts import Absent, ChainFacts, InterfaceFact, InterfaceFacts
from contracts.knowledge.interface import read_interface
from contracts.types import AccountId, PublicKey, Yocto
from tests.contracts.catalogue.world import ALICE, NO_ACCOUNT, build, change, facts

COUNTER = AccountId("counter.localnet")
OWN = PublicKey.from_bytes("ed25519", bytes(range(1, 33)))
OTHER = PublicKey.from_bytes("ed25519", bytes(range(32)))
ODD = PublicKey.from_bytes("secp256k1", bytes(range(64)))
METHODS = InterfaceFact(read_interface(["increment", "decrement"]), None)


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


def keys(*full: PublicKey, limited: tuple[PublicKey, ...] = (), held: tuple[PublicKey, ...] = (OWN,)) -> KeysFact:
    return KeysFact(frozenset(full), frozenset(limited), frozenset(held))


def with_keys(fact: KeysFact | Absent, methods: InterfaceFact | Absent | None = None) -> ChainFacts:
    if methods is None:
        return facts((KeysFacts(ALICE), fact))
    return facts((KeysFacts(ALICE), fact), (InterfaceFacts(COUNTER), methods))


@pytest.mark.shows("key_add_full", "unit")
@pytest.mark.parametrize("key", [OTHER, ODD])
def test_a_full_access_key_is_added_with_a_warning(key: PublicKey) -> None:
    built = build("key_add_full", {"public_key": key}, with_keys(keys(OWN)))
    assert change(built).receiver_id == ALICE
    assert change(built).actions == (AddKey(key, FullAccess()),)
    assert "warning: whoever holds this key controls alice.localnet" in built.notes[0]


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize(
    "point",
    [
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    ],
)
def test_a_key_that_anybody_can_sign_for_is_not_added(point: str, sign: int) -> None:
    """A key of zeros looks like nobody's and, with verification that is not strict, is everybody's."""
    raw = bytes.fromhex(point)
    key = PublicKey.from_bytes("ed25519", raw[:31] + bytes([raw[31] | sign]))
    with refused("weak_key"):
        build("key_add_full", {"public_key": key}, with_keys(keys(OWN)))
    with refused("weak_key"):
        limited(with_keys(keys(OWN), METHODS), public_key=key)
    assert build("key_delete", {"public_key": key}, with_keys(keys(OWN, limited=(key,)))).calls


@pytest.mark.parametrize("there", [keys(OWN, OTHER), keys(OWN, limited=(OTHER,))])
def test_a_key_is_not_added_twice(there: KeysFact) -> None:
    with refused("key_exists"):
        build("key_add_full", {"public_key": OTHER}, with_keys(there))
    with refused("key_exists"):
        limited(with_keys(there, METHODS))


def test_a_secret_key_is_not_repeated() -> None:
    secret = "ed25519:" + "4" * 88
    with refused("public_key_malformed") as caught:
        build("key_add_full", {"public_key": secret}, with_keys(keys(OWN)))
    assert secret not in str(caught.value)


def limited(known: ChainFacts, **more: JsonValue) -> Built:
    return build("key_add_function_call", {"public_key": OTHER, "contract_id": COUNTER, **more}, known)


@pytest.mark.shows("key_add_function_call", "unit")
def test_a_limited_key_may_call_and_its_allowance_is_no_spending_limit() -> None:
    known = with_keys(keys(OWN), METHODS)
    built = limited(known, method_names=["increment", "decrement", "increment"], allowance="0.25")
    access = FunctionCallAccess(COUNTER, ("increment", "decrement"), Yocto(25 * 10**22))
    assert change(built).actions == (AddKey(OTHER, access),)
    assert "allowance of 0.25 NEAR pays gas only" in built.notes[0]
    built = limited(known)
    assert change(built).actions == (AddKey(OTHER, FunctionCallAccess(COUNTER, (), None)),)
    assert [note for note in built.notes if note.startswith("warning")] == [
        "warning: no allowance: it may burn all NEAR of the account as gas",
        "warning: any method of counter.localnet, also those that its code gets later",
    ]


@pytest.mark.parametrize(
    ("methods", "more", "code"),
    [
        (METHODS, {"method_names": ["incremnt"]}, "unknown_method"),
        (METHODS, {"allowance": "0"}, "allowance_zero"),
        (NO_ACCOUNT, {}, "account_missing"),
        (Absent("no_code", ""), {}, "no_contract"),
    ],
)
def test_a_limited_key_for_nothing_is_refused(
    methods: InterfaceFact | Absent, more: dict[str, JsonValue], code: str
) -> None:
    with refused(code):
        limited(with_keys(keys(OWN), methods), **more)


def test_methods_that_cannot_be_read_are_unknown() -> None:
    built = limited(with_keys(keys(OWN), Absent("unreadable", "too `large`")), method_names=["x"])
    assert "unknown: the methods of counter.localnet cannot be read: too 'large'" in built.notes


@pytest.mark.shows("key_delete", "unit")
@pytest.mark.parametrize(
    ("there", "what"),
    [
        (keys(OWN, OTHER), "full-access key"),
        (keys(OWN, limited=(OTHER,)), "limited key"),
        (keys(limited=(OTHER,)), "limited key"),
    ],
)
def test_another_key_is_deleted(there: KeysFact, what: str) -> None:
    built = build("key_delete", {"public_key": OTHER}, with_keys(there))
    assert change(built).actions == (DeleteKey(OTHER),)
    assert built.summary == f"delete the {what} {OTHER} of alice.localnet"


@pytest.mark.parametrize(
    ("there", "code"),
    [
        (keys(OWN), "key_missing"),
        (keys(OTHER), "last_full_access_key"),
        (keys(OTHER, limited=(ODD,), held=(ODD,)), "last_full_access_key"),
        (keys(OWN, OTHER, held=(OWN, OTHER)), "signing_key"),
        (keys(OWN, limited=(OTHER,), held=(OTHER,)), "signing_key"),
        (NO_ACCOUNT, "account_missing"),
    ],
)
def test_keys_that_must_stay(there: KeysFact | Absent, code: str) -> None:
    with refused(code):
        build("key_delete", {"public_key": OTHER}, with_keys(there))
