"""The DAO by its interface: bonds, votes of a council, payouts with their callback, and what it refuses."""

import pytest
from pydantic import JsonValue

from contracts.types import AccountId, JsonObject
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, MINIMUM, NEAR, USDC, Story, World, wasm

DAO = AccountId("dao.localnet")
DAVE = AccountId("dave.localnet")
CONFIG: JsonObject = {"name": "A DAO", "purpose": "tests", "metadata": ""}
BOND = NEAR


def transfer(amount: int, receiver: str = "dave.localnet", token: str = "", msg: str | None = None) -> JsonObject:
    return {"Transfer": {"token_id": token, "receiver_id": receiver, "amount": str(amount), "msg": msg}}


@pytest.fixture
def dao(world: World) -> World:
    """The world with a DAO of alice, bob and carol that holds 100 USDC, and dave outside of it."""
    world.add_account(DAVE)
    world.add_account(DAO, wasm("dao"))
    council: list[JsonValue] = [ALICE, BOB, CAROL]
    assert world.call(DAO, DAO, "new", {"config": CONFIG, "policy": council}).failures == []
    for account in (DAO, DAVE):
        assert world.call(account, USDC, "storage_deposit", deposit=MINIMUM).failures == []
    assert world.call(USDC, USDC, "ft_transfer", {"receiver_id": DAO, "amount": "100000000"}, deposit=1).failures == []
    return world


def propose(world: World, kind: object, sender: AccountId = ALICE, description: str = "for the roof") -> int:
    args = {"proposal": {"description": description, "kind": kind}}
    made = world.call(sender, DAO, "add_proposal", args, deposit=BOND).json
    assert isinstance(made, int)
    return made


def act(
    world: World, sender: AccountId, proposal_id: int, kind: object, action: str = "VoteApprove", **more: str
) -> Story:
    args = {"id": proposal_id, "action": action, "proposal": kind, **more}
    return world.call(sender, DAO, "act_proposal", args, tgas=250)


def proposal(world: World, proposal_id: int) -> JsonObject:
    found = world.view(DAO, "get_proposal", {"id": proposal_id})
    assert isinstance(found, dict)
    return found


def passed(world: World, kind: object) -> tuple[int, Story]:
    """A proposal that two of three approve; its id and what the second vote did."""
    made = propose(world, kind)
    assert act(world, ALICE, made, kind).failures == []
    return made, act(world, BOB, made, kind)


def test_it_starts_once_with_its_council(dao: World) -> None:
    again = dao.call(DAO, DAO, "new", {"config": CONFIG, "policy": [ALICE]})
    assert "The contract has already been initialized" in again.panic
    assert dao.view(DAO, "get_config") == CONFIG
    policy = dao.view(DAO, "get_policy")
    assert isinstance(policy, dict)
    assert policy["roles"] == [
        {"name": "all", "kind": "Everyone", "permissions": ["*:AddProposal"], "vote_policy": {}},
        {
            "name": "council",
            "kind": {"Group": [ALICE, BOB, CAROL]},
            "permissions": ["*:AddProposal", "*:VoteApprove", "*:VoteReject", "*:VoteRemove", "*:Finalize"],
            "vote_policy": {},
        },
    ]
    assert (policy["proposal_bond"], policy["proposal_period"]) == (str(BOND), "604800000000000")
    assert dao.view(DAO, "get_last_proposal_id") == 0
    assert dao.view(DAO, "get_proposals", {"from_index": 0, "limit": 10}) == []


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"config": CONFIG, "policy": []}, "The council needs a member"),
        ({"config": CONFIG, "policy": ["Not An Id"]}, "The account ID is invalid"),
        ({"config": CONFIG, "policy": {"roles": []}}, "did not match any variant"),
        ({"config": {"name": "x"}, "policy": [ALICE]}, "missing field `purpose`"),
        ({"config": CONFIG}, "missing field `policy`"),
    ],
)
def test_what_new_refuses(world: World, args: JsonValue, text: str) -> None:
    world.add_account(DAO, wasm("dao"))
    assert text in world.call(DAO, DAO, "new", args).panic
    assert "ERR_CONTRACT_IS_NOT_INITIALIZED" in world.view_error(DAO, "get_policy")


def test_two_of_three_pay_out_and_the_bond_comes_back(dao: World) -> None:
    kind = transfer(5 * NEAR)
    before = dao.balance(DAVE), dao.balance(ALICE)
    made = propose(dao, kind)
    assert dao.balance(ALICE) == before[1] - BOND
    assert act(dao, ALICE, made, kind).failures == []
    waiting = proposal(dao, made)
    assert waiting["kind"] == kind
    assert (waiting["id"], waiting["proposer"], waiting["description"]) == (0, ALICE, "for the roof")
    assert (waiting["status"], waiting["vote_counts"]) == ("InProgress", {"council": [1, 0, 0]})
    assert waiting["votes"] == {ALICE: "Approve"}
    done = act(dao, BOB, made, kind, memo="well built")
    assert done.failures == []
    assert done.logs == ["Memo: well built"]
    assert (dao.balance(DAVE), dao.balance(ALICE)) == (before[0] + 5 * NEAR, before[1])
    assert proposal(dao, made)["status"] == "Approved"
    assert proposal(dao, made)["votes"] == {ALICE: "Approve", BOB: "Approve"}
    assert "ERR_PROPOSAL_NOT_READY_FOR_VOTE" in act(dao, CAROL, made, kind).panic
    assert "ERR_PROPOSAL_NOT_IN_PROGRESS" in act(dao, CAROL, made, kind, "Finalize").panic


def test_tokens_are_paid_with_the_description_as_memo(dao: World) -> None:
    kind = transfer(12_500_000, token=USDC)
    made, done = passed(dao, kind)
    assert done.failures == []
    assert dao.view(USDC, "ft_balance_of", {"account_id": DAVE}) == "12500000"
    assert '"memo":"for the roof"' in done.events[0]
    assert proposal(dao, made)["status"] == "Approved"


def test_a_payout_that_fails_leaves_the_proposal_failed_and_can_be_repeated(dao: World) -> None:
    kind = transfer(1_000_000, receiver="carol.localnet", token=USDC)
    locked = dao.balance(ALICE)
    made, done = passed(dao, kind)
    assert len(done.failures) == 1
    assert "The account carol.localnet is not registered" in done.failures[0]
    assert done.value == b""  # the vote itself succeeds
    assert proposal(dao, made)["status"] == "Failed"
    assert dao.balance(ALICE) == locked - BOND
    assert "ERR_PROPOSAL_NOT_READY_FOR_VOTE" in act(dao, CAROL, made, kind).panic
    assert dao.call(CAROL, USDC, "storage_deposit", deposit=MINIMUM).failures == []
    assert act(dao, CAROL, made, kind, "Finalize").failures == []
    assert proposal(dao, made)["status"] == "Approved"
    assert dao.view(USDC, "ft_balance_of", {"account_id": CAROL}) == "1000000"
    assert dao.balance(ALICE) == locked


def test_rejecting_gives_the_bond_back_and_removing_keeps_it(dao: World) -> None:
    kind = transfer(NEAR)
    before = dao.balance(DAVE)
    rejected, removed = propose(dao, kind, DAVE), propose(dao, kind, DAVE)
    for voter in (ALICE, BOB):
        assert act(dao, voter, rejected, kind, "VoteReject").failures == []
        assert act(dao, voter, removed, kind, "VoteRemove").failures == []
    assert proposal(dao, rejected)["status"] == "Rejected"
    assert proposal(dao, rejected)["vote_counts"] == {"council": [0, 2, 0]}
    assert "ERR_NO_PROPOSAL" in dao.view_error(DAO, "get_proposal", {"id": removed})
    assert dao.balance(DAVE) == before - BOND
    listed = dao.view(DAO, "get_proposals", {"from_index": 0, "limit": 10})
    assert isinstance(listed, list)
    assert [one["id"] for one in listed if isinstance(one, dict)] == [rejected]
    assert dao.view(DAO, "get_last_proposal_id") == 2


def test_after_seven_days_a_vote_expires_it(dao: World) -> None:
    kind = transfer(NEAR)
    made, other = propose(dao, kind), propose(dao, kind)
    assert "ERR_PROPOSAL_NOT_EXPIRED_OR_FAILED" in act(dao, BOB, made, kind, "Finalize").panic
    dao.later_s = 7 * 24 * 3600 + 1
    before = dao.balance(ALICE)
    assert act(dao, BOB, made, kind).failures == []
    assert proposal(dao, made)["status"] == "Expired"
    assert act(dao, CAROL, other, kind, "Finalize").failures == []
    assert proposal(dao, other)["status"] == "Expired"
    assert dao.balance(ALICE) == before + BOND


@pytest.mark.parametrize(
    ("action", "kind", "text"),
    [
        ("VoteApprove", transfer(2), "ERR_WRONG_KIND"),
        ("VoteApprove", transfer(1, receiver="mallory.localnet"), "ERR_WRONG_KIND"),
        ("VoteApprove", "Vote", "ERR_WRONG_KIND"),
        ("VoteApprove", {"Nonsense": {}}, "unknown variant `Nonsense`"),
        ("AddProposal", transfer(1), "ERR_WRONG_ACTION"),
        ("RemoveProposal", transfer(1), "ERR_PERMISSION_DENIED"),
        ("MoveToHub", transfer(1), "ERR_PERMISSION_DENIED"),
        ("Steal", transfer(1), "unknown variant `Steal`"),
    ],
)
def test_acts_that_are_refused(dao: World, action: str, kind: object, text: str) -> None:
    made = propose(dao, transfer(1))
    assert text in act(dao, ALICE, made, kind, action).panic
    assert proposal(dao, made)["votes"] == {}


def test_nobody_votes_twice_from_outside_or_for_nothing(dao: World) -> None:
    kind = transfer(1)
    made = propose(dao, kind)
    assert "ERR_PERMISSION_DENIED" in act(dao, DAVE, made, kind).panic
    assert act(dao, ALICE, made, kind).failures == []
    assert "ERR_ALREADY_VOTED" in act(dao, ALICE, made, kind, "VoteReject").panic
    assert "ERR_NO_PROPOSAL" in act(dao, ALICE, 7, kind).panic
    assert "missing field `proposal`" in dao.call(BOB, DAO, "act_proposal", {"id": 0, "action": "VoteApprove"}).panic
    paid = dao.call(BOB, DAO, "act_proposal", {"id": 0, "action": "VoteApprove", "proposal": kind}, deposit=1)
    assert "Method act_proposal doesn't accept deposit" in paid.panic
    assert (
        "Method on_proposal_callback is private"
        in dao.call(ALICE, DAO, "on_proposal_callback", {"proposal_id": 0}).panic
    )


@pytest.mark.parametrize(
    ("kind", "deposit", "text"),
    [
        (transfer(1), 0, "ERR_MIN_BOND"),
        (transfer(1), BOND + 1, "ERR_MIN_BOND"),
        (transfer(1, msg="hi"), BOND, "ERR_BASE_TOKEN_NO_MSG"),
        (transfer(1, token="NO"), BOND, "ERR_TOKEN_ID_INVALID"),
        (transfer(1, receiver="-"), BOND, "The account ID is invalid"),
        ({"Transfer": {"token_id": "", "receiver_id": "dave.localnet"}}, BOND, "missing field `amount`"),
        ({"Unknown": {}}, BOND, "unknown variant `Unknown`"),
        ("Transfer", BOND, "expected struct variant"),
        ({}, BOND, "expected value"),
        ({"Transfer": {}, "Vote": {}}, BOND, "expected value"),
    ],
)
def test_proposals_that_are_refused(dao: World, kind: object, deposit: int, text: str) -> None:
    args = {"proposal": {"description": "", "kind": kind}}
    assert text in dao.call(ALICE, DAO, "add_proposal", args, deposit=deposit).panic
    assert dao.view(DAO, "get_last_proposal_id") == 0


def test_kinds_are_compared_by_value_not_by_spelling(dao: World) -> None:
    stored: JsonValue = {"FunctionCall": {"receiver_id": "counter.localnet", "actions": []}}
    made = propose(dao, stored)
    other = b'{"id":0,"action":"VoteApprove","proposal": { "FunctionCall":{"actions":[ ],"receiver_id":"\\u0063ounter.localnet"}}}'
    assert dao.call(ALICE, DAO, "act_proposal", other).failures == []
    assert proposal(dao, made)["votes"] == {ALICE: "Approve"}
    without_null = {"Transfer": {"token_id": "", "receiver_id": DAVE, "amount": "0001"}}
    made = propose(dao, transfer(1))
    assert act(dao, ALICE, made, without_null).failures == []


def test_a_function_call_is_carried_out_with_its_deposit(dao: World) -> None:
    actions: list[JsonValue] = [
        {"method_name": "increment", "args": "eyJudW1iZXIiOjd9", "deposit": "0", "gas": "10000000000000"},
        {"method_name": "tip", "args": "", "deposit": "5", "gas": "10000000000000"},
    ]
    made, done = passed(dao, {"FunctionCall": {"receiver_id": "counter.localnet", "actions": actions}})
    assert done.failures == []
    assert dao.view(AccountId("counter.localnet"), "get_num") == 7
    assert dao.view(AccountId("counter.localnet"), "get_tips") == "5"
    assert proposal(dao, made)["status"] == "Approved"


def test_the_council_and_the_config_can_change(dao: World) -> None:
    add: JsonValue = {"AddMemberToRole": {"member_id": DAVE, "role": "council"}}
    assert passed(dao, add)[1].failures == []
    vote: JsonValue = "Vote"
    made, done = passed(dao, vote)
    assert done.failures == []
    assert proposal(dao, made)["status"] == "InProgress"  # three of four are needed now
    assert act(dao, DAVE, made, vote).failures == []
    assert proposal(dao, made)["status"] == "Approved"
    config: JsonObject = {"name": "Renamed", "purpose": "", "metadata": ""}
    change: JsonValue = {"ChangeConfig": {"config": config}}
    made, _ = passed(dao, change)
    assert act(dao, DAVE, made, change).failures == []
    assert dao.view(DAO, "get_config") == config
    remove: JsonValue = {"RemoveMemberFromRole": {"member_id": DAVE, "role": "nobody"}}
    made, _ = passed(dao, remove)
    assert act(dao, DAVE, made, remove).logs == ["ERR_ROLE_NOT_FOUND:nobody"]


def test_other_kinds_can_be_read_and_end_as_failed(dao: World) -> None:
    kind: JsonValue = {"UpgradeSelf": {"hash": "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"}}
    made, done = passed(dao, kind)
    assert done.logs == ["This contract does not carry out proposals of this kind"]
    assert (proposal(dao, made)["status"], proposal(dao, made)["kind"]) == ("Failed", kind)


def test_bonds_and_storage_are_not_available_to_pay_out(dao: World) -> None:
    def available() -> int:
        value = dao.view(DAO, "get_available_amount")
        assert isinstance(value, str)
        return int(value)

    before, usage = available(), dao.storage_usage(DAO)
    propose(dao, transfer(1), description="long " * 50)
    stored = dao.storage_usage(DAO) - usage
    assert stored > 250
    assert available() == before - stored * 10**19
    assert dao.view(DAO, "get_locked_storage_amount") == str(dao.storage_usage(DAO) * 10**19)


def test_a_hostile_description_is_only_text(dao: World) -> None:
    text = '"},"status":"Approved"} \\ \n🚀 \u202e'
    made = propose(dao, transfer(1), description=text)
    assert proposal(dao, made)["description"] == text
    assert proposal(dao, made)["status"] == "InProgress"
