"""The registrar: an account and its key for whoever pays, or the answer false and the money back."""

import pytest

from contracts.calls import FullAccess
from contracts.types import AccountId, CryptoHash, PublicKey
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, NEAR, Story, World, wasm

ROOT = AccountId("localnet")
DAVE = AccountId("dave.localnet")
KEY = PublicKey.from_bytes("ed25519", CryptoHash.of(b"dave").raw)
ODD = PublicKey.from_bytes("secp256k1", bytes(range(64)))


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.add_account(ROOT, wasm("registrar"))
    return world


def create(world: World, name: str = DAVE, key: str = KEY, deposit: int = 5 * NEAR) -> Story:
    args = {"new_account_id": name, "new_public_key": key}
    return world.call(ALICE, ROOT, "create_account", args, deposit=deposit)


@pytest.mark.parametrize("key", [KEY, ODD, PublicKey.from_bytes("ed25519", bytes(32))])
@pytest.mark.parametrize("deposit", [0, 1, 5 * NEAR])
def test_the_account_has_the_deposit_and_one_full_access_key(world: World, key: PublicKey, deposit: int) -> None:
    before = world.balance(ALICE)
    story = create(world, key=key, deposit=deposit)
    assert (story.json, story.failures) == (True, [])
    assert world.balance(DAVE) == deposit
    assert before - world.balance(ALICE) == deposit
    ((name, access),) = world.overlay.access_keys(DAVE)
    assert (name, access.permission) == (key, FullAccess())


@pytest.mark.parametrize("name", ["bob.localnet", "x.bob.localnet", "toplevel", "ab" * 32])
def test_what_it_cannot_make_is_answered_false_and_paid_back(world: World, name: str) -> None:
    before, held = world.balance(ALICE), world.balance(ROOT)
    story = create(world, name)
    assert story.json is False
    assert len(story.failures) == 1
    assert (world.balance(ALICE), world.balance(ROOT)) == (before, held)


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("Dave.localnet", KEY, "Invalid account id"),
        ("d", KEY, "Invalid account id"),
        (DAVE, "ed25519:0", "invalid public key"),
        (DAVE, "", "invalid public key"),
        (DAVE, KEY[:-5], "invalid public key"),
        (DAVE, KEY + "1", "invalid public key"),
        (DAVE, "secp256k1:" + KEY.removeprefix("ed25519:"), "invalid public key"),
        (DAVE, "ed25519:" + "z" * 44, "invalid public key"),
        (DAVE, "x" * 10_000, "invalid public key"),
    ],
)
def test_what_is_malformed_is_refused(world: World, name: str, key: str, said: str) -> None:
    before = world.balance(ALICE)
    assert said in create(world, name, key).panic
    assert world.balance(ALICE) == before
    assert world.overlay.account(DAVE) is None


def test_a_key_without_its_curve_is_ed25519(world: World) -> None:
    assert create(world, key=KEY.removeprefix("ed25519:")).json is True
    assert world.overlay.access_key(DAVE, KEY) is not None


def test_nobody_else_calls_the_callback(world: World) -> None:
    args = {"predecessor_account_id": BOB, "amount": str(NEAR)}
    assert "only be called from the contract" in world.call(BOB, ROOT, "on_account_created", args).panic
    assert "Contract expected a result" in world.call(ROOT, ROOT, "on_account_created", args).panic
