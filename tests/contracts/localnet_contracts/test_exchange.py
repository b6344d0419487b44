"""The embedded chain's exchange: inner accounts, pools, swaps, and what happens to tokens that cannot be delivered."""

import pytest

from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.exchanges import EXCHANGE, USDT, Exchange, action, swap_msg
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, MINIMUM, NEAR, USDC, WRAP

LEAST_STORAGE = 1_020_000_000_000_000_000_000


@pytest.fixture
def exchange(engine: Engine) -> Exchange:
    made = Exchange(engine)
    made.pool(USDC, USDT, (5 * 10**8, 4 * 10**8), 30)
    made.pool(WRAP, USDC, (20 * NEAR, 10**8), 25)
    return made


def test_an_account_pays_for_each_token_it_holds(exchange: Exchange) -> None:
    assert exchange.view("storage_balance_bounds") == {"min": str(LEAST_STORAGE), "max": None}
    assert exchange.view("storage_balance_of", account_id=BOB) is None
    assert "E17" in exchange.call(BOB, EXCHANGE, "storage_deposit", deposit=1).panic
    before = exchange.world.balance(BOB)
    told = exchange.done(BOB, EXCHANGE, "storage_deposit", {"registration_only": True}, deposit=NEAR)
    assert told == {"total": str(LEAST_STORAGE), "available": "0"}
    assert exchange.world.balance(BOB) == before - LEAST_STORAGE
    assert "E11" in exchange.call(BOB, EXCHANGE, "register_tokens", {"token_ids": [USDC]}, deposit=1).panic
    exchange.done(BOB, EXCHANGE, "storage_deposit", deposit=NEAR // 10)
    assert "exactly 1 yocto" in exchange.call(BOB, EXCHANGE, "register_tokens", {"token_ids": [USDC]}).panic
    exchange.done(BOB, EXCHANGE, "register_tokens", {"token_ids": [USDC]}, deposit=1)
    assert exchange.view("get_deposits", account_id=BOB) == {USDC: "0"}
    state = {"deposit": str(LEAST_STORAGE + NEAR // 10), "usage": "2500000000000000000000"}
    assert exchange.view("get_user_storage_state", account_id=BOB) == state
    assert "E18" in exchange.call(BOB, EXCHANGE, "storage_unregister", deposit=1).panic
    exchange.done(BOB, EXCHANGE, "unregister_tokens", {"token_ids": [USDC]}, deposit=1)
    assert exchange.done(BOB, EXCHANGE, "storage_withdraw", {}, deposit=1) == {
        "total": str(LEAST_STORAGE),
        "available": "0",
    }
    assert exchange.done(BOB, EXCHANGE, "storage_unregister", {}, deposit=1) is True
    assert exchange.done(BOB, EXCHANGE, "storage_unregister", {}, deposit=1) is False


def test_deposits_of_strangers_and_of_unknown_tokens_come_back(exchange: Exchange) -> None:
    story = exchange.send(BOB, USDC, 1000, "")
    assert story.json == "0"
    assert "E10: account not registered" in story.failures[0]
    exchange.done(BOB, EXCHANGE, "storage_deposit", deposit=NEAR // 10)
    assert exchange.send(BOB, USDC, 1000, "").json == "1000"
    assert exchange.view("get_deposit", account_id=BOB, token_id=USDC) == "1000"
    assert exchange.balance(USDC, BOB) == 10**9 - 1000
    assert exchange.done(BOB, EXCHANGE, "withdraw", {"token_id": USDC, "amount": "0"}, deposit=1) == "1000"
    assert exchange.balance(USDC, BOB) == 10**9
    assert "E29" in exchange.call(BOB, EXCHANGE, "withdraw", {"token_id": USDC, "amount": "0"}, deposit=1).panic
    assert "E22" in exchange.call(BOB, EXCHANGE, "withdraw", {"token_id": USDC, "amount": "5"}, deposit=1).panic
    assert "E21" in exchange.call(BOB, EXCHANGE, "withdraw", {"token_id": WRAP, "amount": "5"}, deposit=1).panic


def test_pools_are_made_and_read(exchange: Exchange) -> None:
    pool = {
        "pool_kind": "SIMPLE_POOL",
        "token_account_ids": [USDC, USDT],
        "amounts": ["500000000", "400000000"],
        "total_fee": 30,
        "shares_total_supply": "1000000000000000000000000",
        "amp": 0,
    }
    assert exchange.view("get_pool", pool_id=0) == pool
    assert exchange.view("get_pools", from_index=0, limit=1) == [pool]
    assert exchange.view("get_pools", from_index=2, limit=5) == []
    assert exchange.view("get_pool_by_ids", pool_ids=[0, 0]) == [pool, pool]
    assert exchange.view("get_number_of_pools") == 2
    assert exchange.view("get_pool_fee", pool_id=1) == 25
    assert exchange.view("get_pool_shares", pool_id=0, account_id=ALICE) == "1000000000000000000000000"
    assert exchange.view("get_pool_total_shares", pool_id=0) == "1000000000000000000000000"
    assert exchange.view("get_whitelisted_tokens") == [USDC, USDT, WRAP]
    assert "E85" in exchange.world.view_error(EXCHANGE, "get_pool", {"pool_id": 2})
    for tokens, fee, panic in (([USDC], 30, "E89"), ([USDC, USDC], 30, "E92"), ([USDC, USDT], 10_000, "E90")):
        args = {"tokens": tokens, "fee": fee}
        assert panic in exchange.call(ALICE, EXCHANGE, "add_simple_pool", args, deposit=NEAR).panic
    args = {"tokens": [USDC, USDT], "fee": 1}
    assert "ERR_STORAGE_DEPOSIT need" in exchange.call(ALICE, EXCHANGE, "add_simple_pool", args, deposit=1).panic
    args = {"tokens": [WRAP]}
    assert "E100" in exchange.call(BOB, EXCHANGE, "extend_whitelisted_tokens", args, deposit=1).panic


def test_liquidity_comes_and_goes_in_the_pools_ratio(exchange: Exchange) -> None:
    def add(amounts: list[str], **more: object) -> dict[str, object]:
        return {"pool_id": 0, "amounts": amounts, **more}

    assert "E35" in exchange.call(ALICE, EXCHANGE, "add_liquidity", add(["10", "10"])).panic
    assert "E31" in exchange.call(ALICE, EXCHANGE, "add_liquidity", add(["10", "0"]), deposit=NEAR).panic
    assert "E89" in exchange.call(ALICE, EXCHANGE, "add_liquidity", add(["10"]), deposit=NEAR).panic
    least = add(["100000000", "100000000"], min_amounts=["1", "100000000"])
    assert "E86" in exchange.call(ALICE, EXCHANGE, "add_liquidity", least, deposit=NEAR).panic
    assert "E10" in exchange.call(BOB, EXCHANGE, "add_liquidity", add(["100", "100"]), deposit=NEAR).panic
    story = exchange.call(ALICE, EXCHANGE, "add_liquidity", add(["100000000", "100000001"]), deposit=NEAR)
    assert story.json == "199999998000000000000000"
    assert 'Liquidity added ["100000000 usdc.localnet", "80000000 usdt.localnet"]' in story.logs[0]
    remove = {"pool_id": 0, "shares": "1000", "min_amounts": ["99999999", "1"]}
    assert "E68" in exchange.call(ALICE, EXCHANGE, "remove_liquidity", remove, deposit=1).panic
    remove = {"pool_id": 0, "shares": str(10**26), "min_amounts": ["1", "1"]}
    assert "E91" in exchange.call(ALICE, EXCHANGE, "remove_liquidity", remove, deposit=1).panic
    remove = {"pool_id": 0, "shares": str(10**23), "min_amounts": ["1", "1"]}
    assert exchange.done(ALICE, EXCHANGE, "remove_liquidity", remove, deposit=1) == ["50000000", "40000000"]


def test_swaps_on_what_was_deposited(exchange: Exchange) -> None:
    def swap(*actions: object) -> dict[str, object]:
        return {"actions": [*actions]}

    assert "E72" in exchange.call(ALICE, EXCHANGE, "swap", swap(), deposit=1).panic
    refused = (
        (action(0, USDC, 1000, USDC, 1), "E73"),
        (action(0, USDC, None, USDT, 1), "E41"),
        (action(0, USDC, 1000, USDT, 10**6), "E68"),
        (action(0, USDC, 2**126, USDT, 1), "E22"),
        (action(0, WRAP, 1000, USDC, 1), "E102"),
        (action(7, USDC, 1000, USDT, 1), "E85"),
        (action(0, USDC, 0, USDT, 0), "E76"),
    )
    for step, panic in refused:
        assert panic in exchange.call(ALICE, EXCHANGE, "swap", swap(step), deposit=1).panic
    assert "E10" in exchange.call(BOB, EXCHANGE, "swap", swap(action(0, USDC, 1, USDT, 1)), deposit=1).panic
    told = exchange.view("get_return", pool_id=0, token_in=USDC, amount_in="1000000", token_out=USDT)
    story = exchange.call(ALICE, EXCHANGE, "swap", swap(action(0, USDC, 10**6, USDT, 1)), deposit=0)
    assert story.json == told == "796012"
    assert story.logs == ["Swapped 1000000 usdc.localnet for 796012 usdt.localnet"]
    both = swap(action(1, WRAP, NEAR, USDC, 1), action(0, USDC, None, USDT, 1))
    assert int(str(exchange.call(ALICE, EXCHANGE, "swap", both, deposit=1).json)) > 10**6


def test_a_swap_inside_a_transfer_sends_the_output_at_once(exchange: Exchange) -> None:
    exchange.done(BOB, USDT, "storage_deposit", deposit=MINIMUM)
    story = exchange.send(BOB, USDC, 10**6, swap_msg(action(0, USDC, 10**6, USDT, 796_012)))
    assert story.failures == []
    assert story.json == "1000000"
    assert exchange.balance(USDT, BOB) == 796_012
    assert exchange.balance(USDC, BOB) == 10**9 - 10**6
    # what the actions leave over is sent too
    assert exchange.send(BOB, USDC, 300, swap_msg(action(0, USDC, 200, USDT, 1))).failures == []
    assert exchange.balance(USDC, BOB) == 10**9 - 10**6 - 200


def test_a_swap_that_cannot_be_made_gives_the_tokens_back(exchange: Exchange) -> None:
    exchange.done(BOB, USDT, "storage_deposit", deposit=MINIMUM)
    for msg, panic in (
        (swap_msg(action(0, USDC, 10**6, USDT, 10**7)), "E68: slippage error"),
        (swap_msg(), "E72: at least one swap"),
        ("xyz", "E28: Illegal msg in ft_transfer_call"),
        ("{}", "E28: Illegal msg in ft_transfer_call"),
    ):
        story = exchange.send(BOB, USDC, 10**6, msg)
        assert story.json == "0"
        assert panic in story.failures[0]
        assert exchange.balance(USDC, BOB) == 10**9


def test_an_output_that_nobody_takes_waits_in_the_lost_and_found(exchange: Exchange) -> None:
    exchange.done(BOB, USDC, "ft_transfer", {"receiver_id": CAROL, "amount": "5000000"}, deposit=1)
    story = exchange.send(CAROL, USDC, 10**6, swap_msg(action(0, USDC, 10**6, USDT, 1)))
    assert story.json == "1000000"  # the input is used although nothing arrived
    assert "carol.localnet is not registered" in story.failures[0]
    assert exchange.view("get_lostfound_token", account_id=CAROL, token_id=USDT) == "796012"
    claim = {"token_id": USDT}
    assert exchange.call(CAROL, EXCHANGE, "claim_lostfound", claim, deposit=1).json == "0"  # not registered yet
    exchange.done(CAROL, USDT, "storage_deposit", deposit=MINIMUM)
    assert exchange.done(CAROL, EXCHANGE, "claim_lostfound", claim, deposit=1) == "796012"
    assert exchange.balance(USDT, CAROL) == 796_012
    assert "E29" in exchange.call(CAROL, EXCHANGE, "claim_lostfound", claim, deposit=1).panic


def test_only_the_exchange_itself_may_say_that_a_transfer_failed(exchange: Exchange) -> None:
    args = {"token_id": USDC, "sender_id": BOB, "amount": "1000"}
    story = exchange.call(BOB, EXCHANGE, "exchange_callback_post_withdraw", args)
    assert "is private" in story.panic
