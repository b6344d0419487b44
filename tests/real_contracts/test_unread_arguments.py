"""The attacks by unread arguments on contracts that others compiled: they do execute them, and the policy does not let them."""

import base64
import json
from collections.abc import Callable

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall
from contracts.catalogue.dao_effects import set_off
from contracts.checks.judging import read_call, units_of
from contracts.checks.policy import judge
from contracts.knowledge.sputnik import read_proposal
from contracts.types import U128_MAX, AccountId
from contracts.vm.engine import Engine
from tests.contracts.checks.policies import policy, subject
from tests.contracts.localnet_contracts.exchanges import EXCHANGE, USDT, Exchange, action, swap_msg
from tests.contracts.localnet_contracts.world import BOB, CAROL, MINIMUM, NEAR, USDC, World, function_call
from tests.contracts.vm.chain_double import TestChain

POLICY = """
always_ask = []
limits.NEAR = {free_per_action = "1", free_per_day = "9"}
limits.USDC = {free_per_action = "10", free_per_day = "50"}
"""
CAPPED = POLICY.replace('{free_per_action = "10"', '{per_action = "20", free_per_action = "10"')


def decision(made: ChangeCall, body: str = POLICY) -> str:
    return judge(policy(body), subject(made, known=(EXCHANGE, BOB))).decision


def deposited(exchange: Exchange, token_id: AccountId) -> int:
    held = exchange.view("get_deposits", account_id=BOB)
    assert isinstance(held, dict)
    return int(str(held.get(token_id, "0")))


@pytest.fixture
def exchange(engine: Engine, real_wasm: Callable[[str], bytes]) -> Exchange:
    """bob holds 50 USDC in ref-exchange."""
    exchange = Exchange(engine, real_wasm("ref_exchange"))
    exchange.pool(USDC, USDT, (10**12, 10**12), 5)
    exchange.done(BOB, USDT, "storage_deposit", deposit=MINIMUM)
    exchange.done(BOB, EXCHANGE, "storage_deposit", {}, deposit=NEAR // 10)
    exchange.done(BOB, EXCHANGE, "register_tokens", {"token_ids": [USDT]}, deposit=1)
    exchange.send(BOB, USDC, 50_000_000, "")
    return exchange


def test_ref_exchange_swaps_by_a_step_written_as_a_list(exchange: Exchange) -> None:
    """A low key with 10 USDC free and 20 per action moved 39.99 at once."""
    steps: list[JsonValue] = [action(0, USDC, 1000, USDT, 0), [0, USDC, "39990000", USDT, "0"]]
    made = ChangeCall(EXCHANGE, (function_call("swap", {"actions": steps}, deposit=1),))
    before = deposited(exchange, USDC)
    assert exchange.world.send(BOB, made.receiver_id, *made.actions).failures == []
    assert before - deposited(exchange, USDC) == 39_991_000
    assert units_of(read_call(made)[0], USDC) == U128_MAX
    assert (decision(made), decision(made, CAPPED)) == ("ask", "deny")
    plain = ChangeCall(EXCHANGE, (function_call("swap", {"actions": steps[:1]}, deposit=1),))
    assert decision(plain, CAPPED) == "allow"


def test_ref_exchange_takes_a_message_whose_steps_are_lists(exchange: Exchange) -> None:
    hidden = json.dumps({"force": 0, "actions": [[0, USDC, "1000000", USDT, "0"]]})
    before = exchange.balance(USDT, BOB)
    assert exchange.send(BOB, USDC, 1_000_000, hidden).failures == []
    assert exchange.balance(USDT, BOB) > before
    for msg, decided in ((hidden, "ask"), (swap_msg(action(0, USDC, 10**6, USDT, 900_000)), "allow")):
        args = {"receiver_id": EXCHANGE, "amount": "1000000", "msg": msg}
        made = ChangeCall(USDC, (function_call("ft_transfer_call", args, deposit=1),))
        assert decision(made) == decided


AMOUNT = 4 * 10**24


@pytest.mark.parametrize(
    "args",
    [
        b'["%b","%d",null]',
        b'{"receiver_id":"%b","amount":"%d","x":1e999}',
        b'{"receiver_id":"%b","amount":"%d","x":"\xed\xa0\x80"}',
        b'{"receiver_id":"%b","amount":"%d","x":"\xff"}',
        b'{"x":' + b"[" * 200 + b"]" * 200 + b',"receiver_id":"%b","\\u0061mount":"%d"}',
        b'{"receiver_id":"%b","amount":"+%d"}',
        b'{"receiver_id":"%b","amount":"' + b"0" * 60 + b'%d"}',
    ],
)
def test_wrapped_near_moves_by_arguments_that_a_strict_parser_refuses(
    engine: Engine, real_wasm: Callable[[str], bytes], args: bytes
) -> None:
    """Voted through in a DAO, such a call passed the limits, the second approver and the other channel.

    A surrogate is written out in UTF-8: this one's serde_json still checks escapes in what it skips, newer ones do not.
    """
    world, wrap = World(engine), AccountId("wrap.localnet")
    world.add_account(wrap, real_wasm("w_near"))
    world.call(wrap, wrap, "new")
    for who in (BOB, CAROL):
        world.call(who, wrap, "storage_deposit", deposit=MINIMUM)
    world.call(BOB, wrap, "near_deposit", deposit=10 * NEAR)
    made = ChangeCall(wrap, (function_call("ft_transfer", args % (CAROL.encode(), AMOUNT), deposit=1),))
    assert world.send(BOB, wrap, *made.actions).failures == []
    assert world.view(wrap, "ft_balance_of", {"account_id": CAROL}) == str(AMOUNT)
    assert units_of(read_call(made)[0], wrap) >= AMOUNT


@pytest.mark.parametrize("how", ["kind", "actions", "proposal", "inner"])
def test_sputnik_stores_a_proposal_by_position_and_what_it_does_is_read_from_its_answer(
    engine: Engine, real_wasm: Callable[[str], bytes], how: str
) -> None:
    chain, dao = TestChain(engine), AccountId("dao.test")
    chain.create("alice.test")
    chain.create(dao, 50 * NEAR, real_wasm("sputnikdao2"))
    chain.call(dao, dao, "new", {"config": {"name": "", "purpose": "", "metadata": ""}, "policy": ["alice.test"]})
    inner = base64.b64encode(b'["aurora","40000000",null]').decode()
    step: JsonValue = {"method_name": "ft_transfer", "args": inner, "deposit": "1", "gas": "10000000000000"}
    row: JsonValue = ["ft_transfer", inner, "1", "10000000000000"]
    kinds: dict[str, JsonValue] = {
        "kind": {"FunctionCall": [USDC, [row]]},
        "actions": {"FunctionCall": {"receiver_id": USDC, "actions": [row]}},
        "proposal": {"FunctionCall": {"receiver_id": USDC, "actions": [step]}},
        "inner": {"FunctionCall": {"receiver_id": USDC, "actions": [step]}},
    }
    kind = kinds[how]
    proposal: JsonValue = ["d", kind] if how == "proposal" else {"description": "d", "kind": kind}
    made = ChangeCall(dao, (function_call("add_proposal", {"proposal": proposal}, deposit=NEAR),))
    assert chain.send("alice.test", dao, *made.actions).json == 0
    assert read_call(made)[0].unread is (how != "inner")
    stored = read_proposal(json.loads(json.dumps(chain.view(dao, "get_proposal", {"id": 0}))), dao)
    (call,) = set_off(stored.kind, dao, 0).calls
    assert units_of(read_call(call)[0], USDC) == U128_MAX
