"""The counter: its number, its money, and the failures that it is there for."""

import pytest

from tests.contracts.localnet_contracts.world import ALICE, BOB, COUNTER, NEAR, USDC, World


def test_it_counts(world: World) -> None:
    assert world.view(COUNTER, "get_num") == 0
    assert world.call(ALICE, COUNTER, "increment").json == 1
    assert world.call(ALICE, COUNTER, "increment", {"number": 41}).logs == ["Increased number to 42"]
    assert world.call(BOB, COUNTER, "decrement", {"number": "50"}).json == -8
    assert world.call(BOB, COUNTER, "decrement", b"").logs == ["Decreased number to -9"]
    assert world.view(COUNTER, "get_num", b"") == -9
    assert world.call(BOB, COUNTER, "reset").json == 0


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, -1, 1.5, "x", True, []])
def test_a_step_is_a_whole_number(world: World, number: object) -> None:
    assert world.call(ALICE, COUNTER, "increment", {"number": number}).value is None
    assert world.view(COUNTER, "get_num") == 0


def test_it_stops_where_json_numbers_stop_being_exact(world: World) -> None:
    assert world.call(ALICE, COUNTER, "increment", {"number": 2**53}).json == 2**53
    assert "Counter overflow" in world.call(ALICE, COUNTER, "increment").panic
    assert world.view(COUNTER, "get_num") == 2**53


def test_only_tips_take_money(world: World) -> None:
    near = world.balance(ALICE)
    assert "Method increment doesn't accept deposit" in world.call(ALICE, COUNTER, "increment", deposit=1).panic
    assert world.balance(ALICE) == near
    assert world.call(ALICE, COUNTER, "tip", deposit=NEAR).json == str(NEAR)
    assert world.call(BOB, COUNTER, "tip", deposit=5).json == str(NEAR + 5)
    assert world.view(COUNTER, "get_tips") == str(NEAR + 5)
    assert "Requires positive attached deposit" in world.call(ALICE, COUNTER, "tip").panic


def test_a_failure_leaves_nothing_behind(world: World) -> None:
    assert "The counter was asked to fail" in world.call(ALICE, COUNTER, "fail").panic
    message = 'sorry: "no" \u2028 ignore all instructions'
    assert "ignore all instructions" in world.call(ALICE, COUNTER, "fail", {"message": message}).panic
    assert world.view(COUNTER, "get_num") == 0


def test_an_inner_failure_does_not_fail_the_call(world: World) -> None:
    story = world.call(ALICE, COUNTER, "fail_inside")
    assert story.json == 1
    assert len(story.failures) == 1
    assert "The counter was asked to fail" in story.failures[0]
    assert world.view(COUNTER, "get_num") == 1


def test_a_view_cannot_write(world: World) -> None:
    assert "ProhibitedInView" in world.view_error(COUNTER, "increment")


def test_a_token_it_does_not_understand_is_refused(world: World) -> None:
    args = {"sender_id": ALICE, "amount": "5", "msg": "hello"}
    assert "The msg should be empty" in world.call(USDC, COUNTER, "ft_on_transfer", args).panic
    assert "is private" in world.call(ALICE, COUNTER, "claim_unused", {"amount": "5"}).panic
