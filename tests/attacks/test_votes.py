"""Money behind a vote: its receiver and amount stand in the DAO, not in the vote, and the policy judges them all the same."""

import base64
import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from agent.records import Refusal, Reply
from contracts.calls import ChangeCall, Delegate, DelegateAction, FunctionCall, SetOff, Transfer
from contracts.catalogue.dao_effects import set_off
from contracts.checks.policy import judge
from contracts.checks.verdict import Verdict
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto, parse_near
from tests.agent.codes import codes
from tests.agent.world import Agent, FakeReads, open_agent
from tests.attacks.test_policy import contract_call
from tests.contracts.catalogue.test_dao import policy as dao_policy
from tests.contracts.catalogue.test_dao import proposal
from tests.contracts.checks.policies import ALICE, NEAR, USDC, call, policy, rules_of, subject

DAO, BOB, EVE = AccountId("dao.localnet"), AccountId("bob.localnet"), AccountId("eve.localnet")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
NEW_CODE = codes()[DAO]
OLD_CODE = NEW_CODE.replace(b"ERR_WRONG_KIND", b"ERR_OTHER_KIND")
"""Of a DAO whose votes carry no kind."""


def paying(receiver_id: str, amount: str = "2500000", token: str = USDC, msg: str | None = None) -> JsonValue:
    return {"Transfer": {"token_id": token, "receiver_id": receiver_id, "amount": amount, "msg": msg}}


def calling(method: str, args: JsonValue, *, to: str = USDC, deposit: str = "0") -> JsonValue:
    data = base64.b64encode(json.dumps(args).encode()).decode()
    made: JsonValue = {"method_name": method, "args": data, "deposit": deposit, "gas": str(30 * TGAS)}
    return {"FunctionCall": {"receiver_id": to, "actions": [made]}}


def vote(action: str = "VoteApprove", number: JsonValue = 3, **more: JsonValue) -> ChangeCall:
    return call("act_proposal", {"id": number, "action": action, **more}, to=DAO)


def judged(body: str, kind: JsonValue, made: ChangeCall | None = None) -> Verdict:
    one = subject(made or vote(), known=(BOB, DAO), sets_off=(set_off(kind, DAO, 3),))
    return judge(policy(body), one)


DENIED = f'always_ask = []\nrecipients.deny = ["{EVE}"]'


@pytest.mark.parametrize(
    "kind",
    [
        paying(EVE),
        paying(EVE, token=""),
        paying(USDC, msg=json.dumps({"receiver_id": EVE})),
        calling("ft_transfer", {"receiver_id": EVE, "amount": "1"}),
        calling("forward", {"to": f"pay {EVE}"}),
        calling("pay", {}, to=EVE, deposit=str(10**24)),
        {"AddMemberToRole": {"member_id": EVE, "role": "council"}},
        {"BountyDone": {"bounty_id": 1, "receiver_id": EVE}},
        {"ChangePolicy": {"policy": {"roles": [{"kind": {"Group": [EVE]}}]}}},
        {"SetStakingContract": {"staking_id": EVE}},
    ],
)
def test_whoever_a_proposal_pays_or_empowers_is_a_recipient(kind: JsonValue) -> None:
    found = judged(DENIED, kind)
    assert (found.decision, rules_of(found)) == ("deny", {"default.recipients.deny"})
    assert any(f"recipient {EVE} (" in reason.text for reason in found.reasons)
    assert judged(DENIED, paying(BOB)).decision != "deny"


def test_a_vote_against_pays_nobody() -> None:
    for action in ("VoteReject", "VoteRemove"):
        found = judge(policy(DENIED), subject(vote(action), known=(BOB, DAO)))
        assert EVE not in {one.account_id for one in found.recipients}
        assert "always_ask.votes" not in rules_of(found)


def test_what_a_vote_pays_counts_against_every_limit() -> None:
    over = judged('limits.USDC = {per_action = "2"}', paying(BOB))
    assert over.denial is not None
    assert over.denial.text == (
        "ft_transfer of dao.localnet sends 2.5 USDC (usdc.localnet), at most 2 USDC (usdc.localnet) in one action are allowed"
    )
    limits = 'always_ask = []\nlimits.NEAR = {free_per_action = "1", free_per_day = "1"}\n'
    free = judged(f'{limits}limits.USDC = {{free_per_action = "3", free_per_day = "4", per_day = "9"}}', paying(BOB))
    assert free.decision == "allow"
    assert [(one.token, one.units, one.payer_id) for one in free.spends][1:] == [(NEAR, 1, DAO), (USDC, 2_500_000, DAO)]
    assert {one.rule for one in free.budgets if one.token == USDC} == {
        "default.limits.USDC.per_day",
        "default.limits.USDC.free_per_day",
    }
    assert judged(limits, paying(BOB)).decision == "ask"
    assert judged(limits, paying(BOB, str(2 * 10**24), token="")).decision == "ask"
    assert judged('limits.USDC = {two_approvers_above = "2"}', paying(BOB)).approvers == 2
    assert judged('limits.USDC = {ask_elsewhere_above = "2"}', paying(BOB)).elsewhere
    capped = judged('max_deposit_near = "1"', calling("buy", {}, deposit=str(2 * 10**24)))
    assert rules_of(capped) == {"default.max_deposit_near"}


@pytest.mark.parametrize(
    "made",
    [
        vote(),
        vote("Finalize"),
        vote(number="3"),
        vote(number=4),
        call("act_proposal", raw=b'{"id":3,"id":4,"action":"VoteApprove"}', to=DAO),
        call("act_proposal", raw=b'{"id":3,"action":"VoteReject","action":"VoteApprove"}', to=DAO),
        call("confirm", {"request_id": 3}, to="multisig.localnet"),
    ],
)
def test_a_vote_that_nobody_can_read_asks_whatever_the_policy_says_and_is_denied_where_recipients_are_listed(
    made: ChangeCall,
) -> None:
    for known in ((), (set_off(paying(BOB), AccountId("other.localnet"), 3),)):
        free = 'always_ask = []\nlimits.NEAR = {free_per_action = "1", free_per_day = "5"}'
        found = judge(policy(free), subject(made, known=(DAO,), sets_off=known))
        assert found.decision == "ask"
        assert "always_ask.votes" in rules_of(found)
        assert judge(policy(DENIED), subject(made, known=(DAO,), sets_off=known)).decision == "deny"
    (written,) = made.actions
    assert isinstance(written, FunctionCall)
    inner = DelegateAction(ALICE, made.receiver_id, (written,), 1, 10, KEY)
    relayed = ChangeCall(ALICE, (Delegate(inner, bytes(65)),))
    assert "always_ask.votes" in rules_of(judge(policy("always_ask = []"), subject(relayed)))


def test_a_vote_for_a_vote_and_a_bounty_pay_what_does_not_stand_in_the_proposal() -> None:
    again = calling("act_proposal", {"id": 1, "action": "VoteApprove"}, to="other.localnet")
    assert "always_ask.votes" in rules_of(judged("always_ask = []", again))
    assert "always_ask.votes" in rules_of(judged("always_ask = []", {"BountyDone": {"bounty_id": 1}}))


def test_a_remote_upgrade_calls_with_stored_bytes_that_the_proposal_does_not_state() -> None:
    """Accounts in the stored bytes are read by nobody, so a vote for them counts against every list of recipients."""
    upgrade: JsonValue = {"UpgradeRemote": {"receiver_id": USDC, "method_name": "pay", "hash": "2VfUX"}}
    assert "always_ask.votes" in rules_of(judged("always_ask = []", upgrade))
    assert judged(DENIED, upgrade).decision == "deny"


def test_tokens_of_several_kinds_ask_whatever_the_policy_says() -> None:
    for method in ("mt_transfer", "mt_batch_transfer", "mt_approve"):
        found = judge(policy("always_ask = []"), subject(call(method, {"receiver_id": BOB}), known=(BOB, USDC)))
        assert "always_ask.unread_amount" in rules_of(found)


def test_a_method_of_another_kind_that_is_called_confirm_is_no_vote() -> None:
    found = judge(policy("always_ask = []"), subject(call("confirm", {"order": 3}, to="shop.localnet")))
    assert "always_ask.votes" not in rules_of(found)


def test_a_proposal_is_what_the_dao_sends() -> None:
    assert set_off(paying(BOB, str(parse_near("2")), token=""), DAO, 3).calls == (
        ChangeCall(BOB, (Transfer(parse_near("2")),)),
    )
    raw: JsonValue = {"method_name": "x", "args": "no base64!", "deposit": "7", "gas": "5"}
    (made,) = set_off({"FunctionCall": {"receiver_id": USDC, "actions": [raw]}}, DAO, 3).calls
    (action,) = made.actions
    assert isinstance(action, FunctionCall)
    assert (action.gas, action.deposit, action.args[:1]) == (Gas(5), Yocto(7), b"\xff")
    assert set_off("Vote", DAO, 3) == SetOff(
        DAO, 3, (ChangeCall(DAO, (FunctionCall("Vote", b"{}", Gas(0), Yocto(0)),)),)
    )


# ---- through the pipeline


def reads(kind: JsonValue, code: bytes) -> FakeReads:
    return FakeReads(
        codes={**codes(), DAO: code},
        answers={
            (DAO, "get_proposal"): proposal(kind),
            (DAO, "get_policy"): dao_policy(),
            (DAO, "get_available_amount"): str(10**26),
        },
    )


WAYS = ("/dao_vote dao.localnet 3 approve", contract_call(DAO, "act_proposal", {"id": 3, "action": "VoteApprove"}))
SETTINGS = f'version = 1\n[default]\nrecipients.deny = ["{EVE}"]\nlimits.USDC = {{per_day = "4"}}\n'


def why(reply: Reply) -> str:
    return reply.plan.why if isinstance(reply.plan, Refusal) else reply.text


@pytest.mark.parametrize("words", WAYS)
@pytest.mark.parametrize("code", [OLD_CODE, NEW_CODE])
async def test_a_payout_to_a_denied_receiver_is_refused_in_every_form_of_the_vote(
    tmp_path: Path, words: str, code: bytes
) -> None:
    async with open_agent(tmp_path, policy=SETTINGS, reads=reads(paying(EVE), code)) as agent:
        refused = await agent.ask(words)
        assert why(refused) == "policy_denied", refused.text
        assert "recipient eve.localnet (proposal" in refused.text
    async with open_agent(tmp_path / "fine", policy=SETTINGS, reads=reads(paying(BOB), code)) as agent:
        card = await agent.ask(words)
        assert card.status == "needs_approval", card.text
        assert "pay 2.5 USDC (usdc.localnet) to bob.localnet" in card.text


async def test_votes_for_payouts_use_up_the_day(tmp_path: Path) -> None:
    async with open_agent(tmp_path, policy=SETTINGS, reads=reads(paying(BOB), OLD_CODE)) as agent:
        assert (await _confirmed(agent, WAYS[0])).status == "executed"
        refused = await agent.ask(WAYS[1])
        assert "over the limit of 4 USDC in 24 h for the account: 2.5 USDC used" in refused.text


async def test_a_proposal_that_becomes_another_one_needs_a_new_card(tmp_path: Path) -> None:
    """A DAO whose votes carry no kind, and whose answer changes between card and confirmation."""
    state = reads(paying(BOB), OLD_CODE)
    async with open_agent(tmp_path, reads=state) as agent:
        card = await agent.ask(WAYS[0])
        state.answers[DAO, "get_proposal"] = proposal(paying(EVE))
        again = await agent.ask(f"confirm {card.confirm_code}")
        assert again.status == "needs_approval"
        assert "the proposal does something else now" in again.text
        assert not agent.chain.executed


async def test_a_vote_by_hand_for_what_cannot_be_read_asks(tmp_path: Path) -> None:
    state = reads(paying(BOB), OLD_CODE)
    state.answers[DAO, "get_proposal"] = {"id": 3}
    async with open_agent(tmp_path, policy="version = 1\n[default]\nalways_ask = []\n", reads=state) as agent:
        card = await agent.ask(WAYS[1])
        assert card.status == "needs_approval", card.text
        assert "what this vote makes the contract do cannot be read" in card.text
        assert "what a vote for proposal 3 makes dao.localnet pay, and to whom, cannot be read" in card.text


async def _confirmed(agent: Agent, words: str) -> Reply:
    card = await agent.ask(words)
    assert card.confirm_code is not None, card.text
    return await agent.ask(f"confirm {card.confirm_code}")
