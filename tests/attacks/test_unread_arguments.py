"""Calls whose arguments a contract can read and a strict parser cannot: what stays unread counts as all it could move."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from agent.records import Reply
from contracts.calls import ChangeCall, Delegate, DelegateAction, SetOff
from contracts.catalogue.dao_effects import set_off
from contracts.checks.judging import read_call, units_of
from contracts.checks.methods import KNOWN
from contracts.checks.policy import judge
from contracts.checks.report import Balance, PreflightReport, Simulated
from contracts.checks.verdict import Verdict
from contracts.errors import InvalidInput
from contracts.signing.caps import Caps, NearCap, TokenCap, over_caps, spending
from contracts.simulation.messages import TokenOf
from contracts.types import TGAS, U128_MAX, AccountId, PublicKey, parse_near
from tests.agent.codes import codes
from tests.agent.test_preflighting import GOOD, Foretelling
from tests.agent.world import NO_CONFIRM, FakeReads, open_agent
from tests.attacks.test_votes import DAO, calling, judged, paying, vote
from tests.contracts.checks.policies import ALICE, NEAR, USDC, call, policy, rules_of, subject, verdict_of
from tests.contracts.localnet_contracts.world import wasm
from tests.contracts.simulation.world import call as function_call

BOB, EVE, EXCHANGE, POOL = "bob.localnet", "eve.kaiching", "exchange.localnet", "pool.localnet"
KEY = PublicKey.from_bytes("ed25519", bytes(32))
CODES = {**codes(), AccountId(EXCHANGE): wasm("exchange"), AccountId(POOL): wasm("pool")}
FREE = """
always_ask = []
limits.NEAR = {free_per_action = "1", free_per_day = "5"}
limits.USDC = {per_action = "20", free_per_action = "10", free_per_day = "50"}
"""
LAX = FREE.replace('per_action = "20", ', "", 1)
BOB_ALONE = f'{LAX}recipients.allow = ["{BOB}", "{USDC}", "{EXCHANGE}"]\n'
STEP: dict[str, JsonValue] = {
    "pool_id": 0,
    "token_in": USDC,
    "amount_in": "1000",
    "token_out": "usdt.localnet",
    "min_amount_out": "1",
}
ROW: list[JsonValue] = [0, USDC, "39990000", "usdt.localnet", "0"]


def raw_transfer(tail: bytes) -> bytes:
    return b'{"receiver_id":"bob.localnet","amount":"40000000"' + tail + b"}"


SKIPPED_BY_SERDE = [
    b',"x":1e999',
    b',"x":-1e999',
    b',"x":"\\ud800"',
    b',"\\udc00":1',
    b',"x":"\xff\xfe"',
    b',"x":' + b"9" * 5000,
    b',"x":' + b"[" * 100 + b"]" * 100,
    b',"x":' + b"[" * 2000 + b"]" * 2000,
    b',"x":{"y":{"a":1,"a":2}}',
]
"""What serde_json skips in a field that the contract does not know, and stricter parsers refuse."""


@pytest.mark.parametrize("tail", SKIPPED_BY_SERDE)
@pytest.mark.parametrize("method", ["ft_transfer", "ft_transfer_call"])
def test_values_that_serde_skips_hide_no_amount(tail: bytes, method: str) -> None:
    made = call(method, raw=raw_transfer(tail))
    assert sum(units_of(one, USDC) for one in read_call(made)) >= 40_000_000
    assert rules_of(verdict_of(FREE, made)) >= {"default.limits.USDC.per_action"}
    assert verdict_of(LAX, made).decision == "ask"


def test_a_swap_step_written_as_a_list_counts_as_everything() -> None:
    hidden: list[JsonValue] = [[STEP, ROW], [ROW], [STEP, [STEP]], [STEP, None], [STEP, "x"], {"0": STEP}]
    for steps in hidden:
        made = call("swap", {"actions": steps}, to=EXCHANGE)
        (one,) = read_call(made)
        assert one.unread
        assert units_of(one, USDC) == units_of(one, NEAR) == units_of(one, "any.token") == U128_MAX
        assert verdict_of(FREE, made).decision == "deny"
        found = verdict_of(LAX, made)
        assert found.decision == "ask"
        assert "always_ask.unread_arguments" in rules_of(found)
        assert found.budgets == ()
    assert verdict_of(LAX, call("swap", {"actions": [STEP]}, to=EXCHANGE), known=(EXCHANGE,)).decision == "allow"


async def test_a_low_key_swaps_no_more_than_what_was_read(tmp_path: Path) -> None:
    """Free for 10 USDC, at most 20 in one action: 39.99 went out at once through a second step by position."""

    def swap(steps: JsonValue) -> str:
        args = json.dumps({"actions": steps})
        return (
            f"/contract_call contract_id={EXCHANGE} method_name=swap args='{args}' deposit=0.000000000000000000000001"
        )

    async def ask(text: str, body: str, name: str) -> tuple[Reply, int]:
        written = f"version = 1\n[default]\n{body}"
        async with open_agent(tmp_path / name, policy=written, reads=FakeReads(codes=CODES)) as agent:
            reply = await agent.ask(text, identity=NO_CONFIRM)
            return reply, len(agent.chain.executed)

    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    reply, executed = await ask(swap([STEP, ROW]), FREE, "a")
    assert (reply.status, executed) == ("refused", 0), reply.text
    assert "an amount of USDC (usdc.localnet) that cannot be read" in reply.text
    reply, executed = await ask(swap([STEP, ROW]), LAX, "b")
    assert (reply.status, executed, reply.confirm_code) == ("needs_approval", 0, None), reply.text
    reply, executed = await ask(swap([STEP]), FREE, "c")
    assert (reply.status, executed) == ("executed", 1), reply.text


@pytest.mark.parametrize(
    "msg",
    [
        {"actions": [ROW]},
        {"force": 0, "actions": [STEP, ROW]},
        [0, [STEP]],
        ["usdt.localnet"],
        {"Swap": [["p|q|100"], "usdt.localnet", "0"]},
        {"Swap": ["p|q|100", "usdt.localnet", "0"]},
        {"referral_id": None, "actions": [{**STEP, "route": [{"a": 1}, ["b"]]}]},
    ],
)
def test_a_struct_by_position_in_a_message_hides_no_minimum(msg: JsonValue) -> None:
    text = json.dumps(msg)
    raw = base64.b64encode(text.encode()).decode()
    deep = json.dumps({"msg": text})
    for written in (text, f"  {text}", raw, json.dumps(text), deep, text.encode().hex(), f"0x{text.encode().hex()}"):
        made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": written})
        assert read_call(made)[0].unread, written
        assert verdict_of(LAX, made).decision == "ask"
        assert verdict_of(BOB_ALONE, made).decision == "deny"
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": msg})
    assert verdict_of(LAX, made).decision == "ask"


@pytest.mark.parametrize("tail", ['"x":1e999', '"x":"\\ud800"', '"x":' + "9" * 5000])
def test_a_message_that_a_strict_parser_refuses_hides_no_minimum(tail: str) -> None:
    step = json.dumps({**STEP, "min_amount_out": "0"})
    msg = f'{{{tail},"actions":[{step}]}}'
    for written in (msg, base64.b64encode(msg.encode()).decode()):
        made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": written})
        assert "no_minimum_out" in read_call(made)[0].categories
    for written in (msg[:-1] + ',"actions":[]}', msg[:-1], msg + "x", "[" * 200, '{"a":' + '"x"' * 30_000):
        made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": written})
        assert read_call(made)[0].unread, written
    raw = base64.b64encode(f'{{"actions":[{step}],"x":"'.encode() + b"\xff\xfe" + b'"}').decode()
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": raw})
    assert "no_minimum_out" in read_call(made)[0].categories


UNREADABLE = [
    b"[]",
    b'["bob.localnet","1",null]',
    b'"x"',
    b"1",
    b"\x00\x01",
    b'{"amount":"1","\\u0061mount":"2"}',
    b'{"a":1',
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"a":"' + b"x" * 70_000 + b'"}',
]


@pytest.mark.parametrize("method", KNOWN)
@pytest.mark.parametrize("raw", UNREADABLE)
def test_every_known_method_whose_arguments_stay_unread_counts_as_all_it_could_move(method: str, raw: bytes) -> None:
    made = call(method, raw=raw)
    (one,) = read_call(made)
    assert one.unread
    assert U128_MAX in {units for _, units in one.tokens}
    found = verdict_of(LAX, made, known=(USDC, BOB))
    assert found.decision == "ask"
    assert "always_ask.unread_arguments" in rules_of(found)
    allowed = f'{LAX}actions.deny = ["{KNOWN[method].actions[0]}"]\n'
    assert "default.actions.deny" in rules_of(verdict_of(allowed, made))
    assert verdict_of(BOB_ALONE, made).decision == "deny"
    if method not in {"near_deposit", "storage_deposit", "storage_withdraw"}:
        return
    capped = Caps(near=NearCap(per_day="5"))
    assert over_caps(spending(AccountId(USDC), made.actions, capped, frozenset()), capped, {})


def test_an_unknown_methods_unread_arguments_are_never_free() -> None:
    for raw in (b"\x05\x00\x00\x00hello", b"[1,2]", b"hello"):
        (one,) = read_call(call("pay", raw=raw))
        assert (one.action, one.categories, one.tokens) == ("contract_call", ("unread_arguments",), ())
        assert verdict_of("", call("pay", raw=raw)).decision == "ask"
        found = verdict_of(FREE, call("pay", raw=raw), known=(USDC, BOB))
        assert found.decision == "ask"
        assert "always_ask.unread_arguments" in rules_of(found)
    assert verdict_of(FREE, call("pay", {"a": 1}), known=(USDC, BOB)).decision == "allow"


@pytest.mark.parametrize("tail", SKIPPED_BY_SERDE[:6])
def test_the_signers_caps_read_as_the_policy_does(tail: bytes) -> None:
    caps = Caps(tokens={AccountId(USDC): TokenCap(decimals=6, per_transaction="5")})
    made = call("ft_transfer", raw=raw_transfer(tail))
    assert over_caps(spending(AccountId(USDC), made.actions, caps, frozenset()), caps, {})
    small = call("ft_transfer", raw=raw_transfer(tail).replace(b"40000000", b"4000000"))
    assert not over_caps(spending(AccountId(USDC), small.actions, caps, frozenset()), caps, {})


# ---- proposals


def raw_call(args: bytes, method: str = "ft_transfer", to: str = USDC) -> JsonValue:
    made: JsonValue = {
        "method_name": method,
        "args": base64.b64encode(args).decode(),
        "deposit": "1",
        "gas": str(30 * TGAS),
    }
    return {"FunctionCall": {"receiver_id": to, "actions": [made]}}


@pytest.mark.parametrize("args", [b'["eve.kaiching","40000000",null]', *map(raw_transfer, SKIPPED_BY_SERDE)])
def test_a_proposals_call_counts_against_every_limit_however_its_arguments_are_written(args: bytes) -> None:
    kind = raw_call(args)
    assert "default.limits.USDC.per_action" in rules_of(judged('limits.USDC = {per_action = "20"}', kind))
    assert judged('limits.USDC = {two_approvers_above = "20"}', kind).approvers == 2
    assert judged('limits.USDC = {ask_elsewhere_above = "20"}', kind).elsewhere
    assert judged(LAX, kind).decision == "ask"


def test_a_proposals_receiver_without_a_known_ending_is_no_way_round_the_list() -> None:
    allowed = 'always_ask = []\nrecipients.allow = ["bob.localnet"]'
    for args in (b'["aurora","1",null]', b'["eve.kaiching","1",null]', b"pay eve.kaiching", b"\x06\x00\x00\x00aurora"):
        for method in ("ft_transfer", "pay"):
            assert judged(allowed, raw_call(args, method)).decision == "deny"
    assert judged(allowed, calling("ft_transfer", {"receiver_id": BOB, "amount": "1"})).decision != "deny"


KINDS: list[JsonValue] = [
    {"Transfer": [USDC, EVE, "40000000", None]},
    {"FunctionCall": [USDC, []]},
    {"FunctionCall": {"receiver_id": USDC, "actions": [["ft_transfer", "e30=", "1", "1"]]}},
    {"BountyDone": [1, EVE]},
    {"ChangePolicy": [{"roles": []}]},
    {"UpgradeRemote": [EVE, "take", "x"]},
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_written_as_a_list_is_unread_in_the_proposal_and_in_the_vote(kind: JsonValue) -> None:
    with pytest.raises(InvalidInput, match="cannot be"):
        set_off(kind, DAO, 3)
    made = call("add_proposal", {"proposal": {"description": "", "kind": kind}}, to=DAO)
    assert read_call(made)[0].unread
    assert verdict_of(LAX, made, known=(DAO, BOB)).decision == "ask"
    assert "always_ask.votes" in rules_of(judge(policy(LAX), subject(vote(), known=(DAO,))))


PROPOSALS: list[JsonValue] = [["text", {"Transfer": {}}], {"description": ""}, {"kind": ["Transfer", {}]}, None]


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_a_proposal_that_is_no_object_is_unread(proposal: JsonValue) -> None:
    assert read_call(call("add_proposal", {"proposal": proposal}, to=DAO))[0].unread


@pytest.mark.parametrize("raw", [b'[3,"VoteApprove",null]', b'{"id":3,"action":"VoteReject","\\u0069d":4}', b"\xff"])
def test_a_vote_whose_arguments_stay_unread_may_be_for_anything(raw: bytes) -> None:
    made = call("act_proposal", raw=raw, to=DAO)
    known = (set_off(paying(BOB), DAO, 3),)
    assert "always_ask.votes" in rules_of(judge(policy(LAX), subject(made, known=(DAO,), sets_off=known)))


def test_a_payout_to_the_voter_is_a_payout() -> None:
    for kind in (paying(ALICE), paying(ALICE, token=""), calling("ft_transfer", {"receiver_id": ALICE, "amount": "1"})):
        found = judged('always_ask = []\nrecipients.allow = ["bob.localnet"]', kind)
        assert (found.decision, rules_of(found)) == ("deny", {"default.recipients.allow"})
        allowed = judged(f'{LAX}recipients.allow = ["{ALICE}"]', kind)
        assert "always_ask.first_recipient" not in rules_of(allowed)
        assert allowed.decision != "deny"


# ---- receivers


@pytest.mark.parametrize(
    "args",
    [
        b'["aurora","5",null]',
        b'["eve.kaiching","5",null]',
        b'{"x":"for eve.kaiching"}',
        b'{"payouts":[["aurora","5"]]}',
        b'{"payouts":["aurora",5]}',
        b"aurora",
        b"to aurora 5",
        b'{"receiver_id":"12"}',
        b'{"x":"eve.kaiching","y":1e999}',
    ],
)
@pytest.mark.parametrize("method", ["pay", "ft_transfer"])
def test_anything_shaped_like_an_account_counts_against_the_allowed_ones(args: bytes, method: str) -> None:
    assert verdict_of(BOB_ALONE, call(method, raw=args)).decision == "deny"
    assert verdict_of('recipients.deny = ["aurora", "eve.kaiching", "12"]', call(method, raw=args)).decision == "deny"


@pytest.mark.parametrize(
    "msg", ["aurora", "swap:1:aurora", '{"dst":"aurora"}', '{"x":["aurora","y"]}', "eve.kaiching!"]
)
def test_a_word_in_a_message_counts_against_the_allowed_ones(msg: str) -> None:
    made = call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": msg})
    assert verdict_of(BOB_ALONE, made).decision == "deny"
    assert verdict_of('recipients.deny = ["aurora", "eve.kaiching"]', made).decision == "deny"
    assert verdict_of(BOB_ALONE, call("ft_transfer_call", {"receiver_id": BOB, "amount": "1", "msg": ""})).decision != (
        "deny"
    )


def test_relayed_calls_count_their_tokens() -> None:
    inner = function_call("ft_transfer", {"receiver_id": BOB, "amount": "40000000"})
    action = DelegateAction(ALICE, AccountId(USDC), (inner,), 1, 10**9, KEY)
    made = ChangeCall(ALICE, (Delegate(action, bytes(65)),))
    assert "default.limits.USDC.per_action" not in rules_of(verdict_of(LAX, made))
    assert units_of(read_call(made)[0], USDC) == 40_000_000


# ---- stakes


@pytest.mark.parametrize(
    ("method", "args", "decision"),
    [
        ("unstake", {"amount": str(parse_near("0.9"))}, "allow"),
        ("stake", {"amount": str(parse_near("0.9"))}, "allow"),
        ("unstake", {"amount": str(parse_near("1.1"))}, "ask"),
        ("stake", {"amount": str(parse_near("4"))}, "ask"),
        ("unstake", {}, "ask"),
        ("unstake_all", {}, "ask"),
        ("stake_all", {}, "ask"),
    ],
)
def test_stake_moves_use_up_the_free_allowance_and_no_limit(
    method: str, args: dict[str, JsonValue], decision: str
) -> None:
    made = call(method, args, to=POOL)
    found = verdict_of(LAX, made, known=(POOL,))
    assert found.decision == decision
    assert [spend.units for spend in found.spends if spend.token == NEAR] == [10**21]  # the gas
    limited = 'always_ask = []\nlimits.NEAR = {per_action = "0.5", per_day = "0.5"}'
    assert verdict_of(limited, made, known=(POOL,)).decision == "ask"


async def test_unstaking_again_and_again_ends_with_the_days_allowance(tmp_path: Path) -> None:
    body = 'version = 1\n[default]\nalways_ask = []\nlimits.NEAR = {free_per_action = "1", free_per_day = "2"}\n'
    async with open_agent(tmp_path, policy=body, reads=FakeReads(codes=CODES)) as agent:
        for number in range(4):
            args = json.dumps({"amount": str(parse_near(f"0.{90 + number}"))})
            text = f"/contract_call contract_id={POOL} method_name=unstake args='{args}'"
            await agent.ask(text, identity=NO_CONFIRM, conversation=f"c{number}")
        assert len(agent.chain.executed) == 2
        everything = f"/contract_call contract_id={POOL} method_name=unstake_all args='{{}}'"
        assert (await agent.ask(everything, identity=NO_CONFIRM)).status == "needs_approval"


# ---- what the simulation says


def seen(
    *left: tuple[AccountId, str, int], sets_off: tuple[SetOff, ...] = (), made: ChangeCall | None = None
) -> Verdict:
    outflows = {(account_id, token): units for account_id, token, units in left}
    one = made or call("ft_transfer", {"receiver_id": BOB, "amount": "5"})
    known = subject(one, known=(BOB, USDC, DAO), sets_off=sets_off)
    return judge(policy(LAX), replace(known, outflows=outflows))


def test_more_that_leaves_when_simulated_than_the_calls_say_asks() -> None:
    assert seen((ALICE, USDC, 5)).decision == "allow"
    found = seen((ALICE, USDC, 6))
    assert (found.decision, rules_of(found)) == ("ask", {"preflight.outflow"})
    assert "0.000006 USDC (usdc.localnet) leaves alice.localnet, and the calls say 0.000005" in found.reasons[-1].text
    assert rules_of(seen((ALICE, NEAR, 1))) == {"preflight.outflow"}
    assert seen((ALICE, "other.localnet", 9)).decision == "allow"


def test_more_that_leaves_a_dao_than_its_proposal_says_asks() -> None:
    paid = SetOff(DAO, 3, set_off(paying(BOB, "5"), DAO, 3).calls, bond=10**24)
    assert seen((DAO, USDC, 5), (DAO, NEAR, 10**24 + 1), sets_off=(paid,), made=vote()).decision == "allow"
    for more in ((DAO, USDC, 6), (DAO, NEAR, 10**24 + 2), (ALICE, USDC, 1)):
        assert rules_of(seen(more, sets_off=(paid,), made=vote())) == {"preflight.outflow"}


def test_a_balance_that_falls_in_silence_is_an_outflow() -> None:
    report = PreflightReport(
        1,
        None,
        (),
        (Simulated("success", None),),
        (Balance(ALICE, USDC, 9, 2), Balance(ALICE, NEAR, 5, 6)),
        (),
        0,
        0.0,
        0.0,
    )
    assert {place: units for place, units in report.outflows.items() if units > 0} == {(ALICE, USDC): 7}


async def test_a_low_keys_plan_that_takes_more_when_simulated_waits_for_a_person(tmp_path: Path) -> None:
    def foretold(left: int) -> Foretelling:
        return Foretelling(replace(GOOD, balances=(Balance(ALICE, USDC, 10**9, 10**9 - left),)))

    text = f"/ft_transfer {USDC} {BOB} 1"
    for left, status in ((10**6, "executed"), (10**6 + 1, "needs_approval")):
        folder, sees = tmp_path / status, foretold(left)
        folder.mkdir()
        body = f"version = 1\n[default]\n{LAX}"
        async with open_agent(folder, policy=body, reads=FakeReads(codes=CODES), preflight=sees) as agent:
            reply = await agent.ask(text, identity=NO_CONFIRM)
            assert reply.status == status, reply.text
            assert sees.asked[0].watched == (TokenOf(ALICE, AccountId(USDC)),)
