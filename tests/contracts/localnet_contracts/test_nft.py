"""The embedded chain's NFTs: minting, transfers with and without a message, approvals, lists, money for storage."""

import json

import pytest
from pydantic import JsonValue

from contracts.types import AccountId
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, NEAR, Story, World, wasm
from tests.contracts.vm.wat_contract import WatContract

NFT = AccountId("nft.localnet")
TAKER = AccountId("taker.localnet")
BYTE = 10**19
METADATA = {"spec": "nft-1.0.0", "name": "Localnet NFTs", "symbol": "LNFT"}


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.add_account(NFT, wasm("nft"))
    assert world.call(NFT, NFT, "new", {"owner_id": ALICE, "metadata": METADATA}).failures == []
    return world


def mint(world: World, token_id: str, owner: AccountId = ALICE, **metadata: JsonValue) -> Story:
    args = {"token_id": token_id, "token_owner_id": owner, "token_metadata": metadata}
    story = world.call(ALICE, NFT, "nft_mint", args, deposit=NEAR // 10)
    assert story.failures == []
    return story


def token(world: World, token_id: str) -> dict[str, JsonValue]:
    told = world.view(NFT, "nft_token", {"token_id": token_id})
    assert isinstance(told, dict)
    return told


def ids(world: World, owner: AccountId, **page: JsonValue) -> list[JsonValue]:
    told = world.view(NFT, "nft_tokens_for_owner", {"account_id": owner, **page})
    assert isinstance(told, list)
    return [item["token_id"] for item in told if isinstance(item, dict)]


def nft_event(name: str, **data: JsonValue) -> str:
    body = {"standard": "nep171", "version": "1.0.0", "event": name, "data": [data]}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def test_it_starts_once_with_metadata_of_its_kind(world: World, engine: Engine) -> None:
    assert "already been initialized" in world.call(NFT, NFT, "new", {"owner_id": BOB, "metadata": METADATA}).panic
    fresh = World(engine)
    fresh.add_account(NFT, wasm("nft"))
    assert "not initialized" in fresh.view_error(NFT, "nft_token", {"token_id": "1"})
    for wrong, panic in (({"spec": "ft-1.0.0"}, "Spec is not NFT metadata"), ({"reference": "x"}, "reference hash")):
        args = {"owner_id": ALICE, "metadata": METADATA | wrong}
        assert panic in fresh.call(NFT, NFT, "new", args).panic
    told = world.view(NFT, "nft_metadata", {})
    assert told == METADATA | {"icon": None, "base_uri": None, "reference": None, "reference_hash": None}
    source = world.view(NFT, "contract_source_metadata", {})
    assert isinstance(source, dict)
    assert "nep171" in json.dumps(source)


def test_only_its_owner_mints_and_pays_what_the_storage_costs(world: World) -> None:
    before, usage = world.balance(ALICE), world.storage_usage(NFT)
    story = mint(world, "1", BOB, title="Härbour", copies=1, unknown="left out")
    cost = (world.storage_usage(NFT) - usage) * BYTE
    assert before - world.balance(ALICE) == cost
    made = story.json
    assert made == token(world, "1")
    assert isinstance(made, dict)
    assert made["owner_id"] == BOB
    assert made["approved_account_ids"] == {}
    assert isinstance(made["metadata"], dict)
    assert made["metadata"]["title"] == "Härbour"
    assert made["metadata"]["copies"] == 1
    assert made["metadata"]["media"] is None
    assert "unknown" not in made["metadata"]
    assert story.events == [nft_event("nft_mint", owner_id=BOB, token_ids=["1"])]
    args: dict[str, JsonValue] = {"token_id": "2", "receiver_id": BOB, "token_metadata": {}}
    assert "Unauthorized" in world.call(BOB, NFT, "nft_mint", args, deposit=NEAR).panic
    assert "Must attach" in world.call(ALICE, NFT, "nft_mint", args, deposit=BYTE).panic
    assert "Must provide metadata" in world.call(ALICE, NFT, "nft_mint", {"token_id": "2"}, deposit=NEAR).panic
    again = args | {"token_id": "1"}
    assert "token_id must be unique" in world.call(ALICE, NFT, "nft_mint", again, deposit=NEAR).panic
    long = args | {"token_id": "x" * 513}
    assert "longer than 512 bytes" in world.call(ALICE, NFT, "nft_mint", long, deposit=NEAR).panic
    assert world.call(ALICE, NFT, "nft_mint", args, deposit=NEAR).failures == []
    assert token(world, "2")["owner_id"] == BOB


def test_a_token_goes_to_whom_its_owner_sends_it(world: World) -> None:
    mint(world, "1")
    send = {"receiver_id": BOB, "token_id": "1", "memo": "for you"}
    assert "exactly 1 yocto" in world.call(ALICE, NFT, "nft_transfer", send).panic
    assert "Sender not approved" in world.call(CAROL, NFT, "nft_transfer", send, deposit=1).panic
    to_oneself = {"receiver_id": ALICE, "token_id": "1"}
    assert "must differ" in world.call(ALICE, NFT, "nft_transfer", to_oneself, deposit=1).panic
    unknown = {"receiver_id": BOB, "token_id": "9"}
    assert "Token not found" in world.call(ALICE, NFT, "nft_transfer", unknown, deposit=1).panic
    story = world.call(ALICE, NFT, "nft_transfer", send, deposit=1)
    assert story.failures == []
    event = nft_event("nft_transfer", old_owner_id=ALICE, new_owner_id=BOB, token_ids=["1"], memo="for you")
    assert story.events == [event]
    assert token(world, "1")["owner_id"] == BOB
    assert world.view(NFT, "nft_token", {"token_id": "9"}) is None


def test_lists_follow_every_move(world: World) -> None:
    for number in range(5):
        mint(world, f"t{number}", BOB if number == 4 else ALICE)
    world.call(ALICE, NFT, "nft_transfer", {"receiver_id": BOB, "token_id": "t1"}, deposit=1)
    world.call(ALICE, NFT, "nft_transfer", {"receiver_id": BOB, "token_id": "t3"}, deposit=1)
    world.call(BOB, NFT, "nft_transfer", {"receiver_id": ALICE, "token_id": "t4"}, deposit=1)
    assert sorted(map(str, ids(world, ALICE))) == ["t0", "t2", "t4"]
    assert sorted(map(str, ids(world, BOB))) == ["t1", "t3"]
    assert world.view(NFT, "nft_supply_for_owner", {"account_id": BOB}) == "2"
    assert world.view(NFT, "nft_supply_for_owner", {"account_id": CAROL}) == "0"
    assert ids(world, CAROL) == []
    assert world.view(NFT, "nft_total_supply", {}) == "5"
    assert ids(world, ALICE, from_index="1", limit=1) == ids(world, ALICE)[1:2]
    every = world.view(NFT, "nft_tokens", {"from_index": "3"})
    assert isinstance(every, list)
    assert [item["token_id"] for item in every if isinstance(item, dict)] == ["t3", "t4"]
    assert "Out of bounds" in world.view_error(NFT, "nft_tokens", {"from_index": "6"})
    assert "limit of 0" in world.view_error(NFT, "nft_tokens", {"limit": 0})


def test_approvals_are_paid_for_and_paid_back(world: World) -> None:
    mint(world, "1")
    approve = {"token_id": "1", "account_id": BOB}
    assert "at least 1 yocto" in world.call(ALICE, NFT, "nft_approve", approve).panic
    assert "Predecessor must be token owner." in world.call(BOB, NFT, "nft_approve", approve, deposit=NEAR).panic
    cost = (len(BOB) + 12) * BYTE
    assert f"Must attach {cost} yoctoNEAR" in world.call(ALICE, NFT, "nft_approve", approve, deposit=cost - 1).panic
    before = world.balance(ALICE)
    assert world.call(ALICE, NFT, "nft_approve", approve, deposit=NEAR).failures == []
    assert before - world.balance(ALICE) == cost
    assert token(world, "1")["approved_account_ids"] == {BOB: 1}
    assert world.call(ALICE, NFT, "nft_approve", approve, deposit=1).failures == []  # again: a new id, no new storage
    assert token(world, "1")["approved_account_ids"] == {BOB: 2}
    asked: dict[str, JsonValue] = {"token_id": "1", "approved_account_id": BOB}
    assert world.view(NFT, "nft_is_approved", asked) is True
    assert world.view(NFT, "nft_is_approved", asked | {"approval_id": 1}) is False
    assert world.view(NFT, "nft_is_approved", asked | {"approved_account_id": CAROL}) is False
    revoke = {"token_id": "1", "account_id": BOB}
    assert "Predecessor must be token owner." in world.call(BOB, NFT, "nft_revoke", revoke, deposit=1).panic
    assert world.call(ALICE, NFT, "nft_revoke", revoke, deposit=1).failures == []
    assert world.call(ALICE, NFT, "nft_revoke", revoke, deposit=1).failures == []
    assert before - world.balance(ALICE) == 3  # the yoctos of the second approval and of two revocations
    for account_id in (BOB, CAROL):
        world.call(ALICE, NFT, "nft_approve", {"token_id": "1", "account_id": account_id}, deposit=NEAR)
    assert world.call(ALICE, NFT, "nft_revoke_all", {"token_id": "1"}, deposit=1).failures == []
    assert token(world, "1")["approved_account_ids"] == {}
    assert before - world.balance(ALICE) == 4


def test_an_approved_account_sends_with_the_id_it_was_given(world: World) -> None:
    mint(world, "1")
    world.call(ALICE, NFT, "nft_approve", {"token_id": "1", "account_id": BOB}, deposit=NEAR)
    before = world.balance(ALICE)
    send: dict[str, JsonValue] = {"receiver_id": CAROL, "token_id": "1"}
    wrong = world.call(BOB, NFT, "nft_transfer", send | {"approval_id": 7}, deposit=1)
    assert "actual approval_id Some(1) is different from the given approval_id Some(7)" in wrong.panic
    story = world.call(BOB, NFT, "nft_transfer", send | {"approval_id": 1}, deposit=1)
    event = nft_event("nft_transfer", old_owner_id=ALICE, new_owner_id=CAROL, token_ids=["1"], authorized_id=BOB)
    assert story.events == [event]
    assert token(world, "1") == token(world, "1") | {"owner_id": CAROL, "approved_account_ids": {}}
    assert world.balance(ALICE) == before + (len(BOB) + 12) * BYTE
    assert "Sender not approved" in world.call(BOB, NFT, "nft_transfer", send | {"receiver_id": BOB}, deposit=1).panic


def send_call(world: World, receiver: AccountId, msg: str = "") -> Story:
    args = {"receiver_id": receiver, "token_id": "1", "msg": msg}
    return world.call(ALICE, NFT, "nft_transfer_call", args, deposit=1)


def test_a_token_comes_back_from_a_receiver_that_fails_with_its_approvals(world: World) -> None:
    mint(world, "1")
    world.call(ALICE, NFT, "nft_approve", {"token_id": "1", "account_id": CAROL}, deposit=NEAR)
    before = world.balance(ALICE)
    world.add_account(TAKER, wasm("counter"))  # it has no nft_on_transfer
    story = send_call(world, TAKER)
    assert story.json is False
    assert len(story.events) == 2
    assert token(world, "1")["owner_id"] == ALICE
    assert token(world, "1")["approved_account_ids"] == {CAROL: 1}
    assert before - world.balance(ALICE) == 1
    assert ids(world, ALICE) == ["1"]
    assert ids(world, TAKER) == []
    args = {"receiver_id": TAKER, "token_id": "1", "msg": ""}
    assert "More gas is required" in world.call(ALICE, NFT, "nft_transfer_call", args, deposit=1, tgas=30).panic


@pytest.mark.parametrize(("answer", "kept"), [("false", True), ("true", False), ('"false"', False), ("", False)])
def test_only_a_plain_false_lets_the_receiver_keep_it(world: World, answer: str, *, kept: bool) -> None:
    mint(world, "1")
    world.add_account(TAKER, answering(answer))
    story = send_call(world, TAKER, "anything")
    assert story.json is kept
    assert token(world, "1")["owner_id"] == (TAKER if kept else ALICE)


def answering(text: str) -> bytes:
    """A contract whose nft_on_transfer returns this text."""
    contract = WatContract()
    contract.method("nft_on_transfer", contract.returns(text))
    return contract.code()


def test_only_the_contract_itself_may_say_what_a_receiver_answered(world: World) -> None:
    mint(world, "1", BOB)
    nothing: list[JsonValue] = []
    args = {"previous_owner_id": ALICE, "receiver_id": BOB, "token_id": "1", "approvals": nothing}
    assert "is private" in world.call(ALICE, NFT, "nft_resolve_transfer", args).panic
    assert token(world, "1")["owner_id"] == BOB
