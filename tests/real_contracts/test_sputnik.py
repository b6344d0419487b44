"""The DAO actions on sputnik-dao v2 as its authors compiled it: an older one, whose votes do not repeat the kind."""

import json
from collections.abc import Callable, Mapping

import pytest
from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.entry import BuildContext, Built
from contracts.catalogue.index import find
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, VmError
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainFacts,
    CodeTextFact,
    CodeTextFacts,
    FactRequest,
    FactValue,
    StorageFact,
    StorageFacts,
    TokenFact,
    TokenFacts,
    ViewFact,
    ViewFacts,
)
from contracts.types import AccountId
from contracts.vm.engine import Engine
from contracts.vm.receipts import Failure
from tests.contracts.catalogue.world import BLOCK, LIMITS, REGISTRY
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain

DAO, TOKEN, DAVE = "dao.test", "token.test", "dave.test"
COUNCIL = ("alice.test", "bob.test", "carol.test")
MINIMUM = 1_250_000_000_000_000_000_000
CONFIG: JsonValue = {"name": "A DAO", "purpose": "tests", "metadata": ""}


class Council:
    """The catalogue's actions, carried out by one member after the other on a chain of one."""

    def __init__(self, chain: TestChain) -> None:
        self.chain = chain

    def facts(self, requests: tuple[FactRequest, ...], known: Mapping[FactRequest, FactValue]) -> ChainFacts:
        values = {request: self._fact(request) for request in requests} | dict(known)
        return ChainFacts(values, self.chain.height, BLOCK, self.chain.block.timestamp_ns)

    def _fact(self, request: FactRequest) -> FactValue:
        try:
            match request:
                case AccountFacts(account_id):
                    account = self.chain.state.account(account_id)
                    if account is None:
                        return Absent("no_account", account_id)
                    return AccountFact(account.amount, account.locked, account.code_hash is not None)
                case TokenFacts(contract_id):
                    return TokenFact.model_validate(self.chain.view(contract_id, "ft_metadata"))
                case StorageFacts(contract_id, account_id):
                    held = self.chain.view(contract_id, "storage_balance_of", {"account_id": account_id})
                    return StorageFact(None if held is None else MINIMUM, MINIMUM, MINIMUM)
                case ViewFacts(contract_id, method, args):
                    return ViewFact(self._view(contract_id, method, json.loads(args)))
                case CodeTextFacts(contract_id, text):
                    account = self.chain.state.account(contract_id)
                    assert account is not None
                    assert account.code_hash is not None
                    return CodeTextFact(text.encode() in (self.chain.state.code(account.code_hash) or b""))
                case _:
                    raise AssertionError(request)
        except VmError as error:
            return Absent("failed", error.message)

    def _view(self, contract_id: str, method: str, args: Mapping[str, JsonValue]) -> JsonValue:
        value: JsonValue = json.loads(json.dumps(self.chain.view(contract_id, method, args)))
        return value

    def build(self, who: str, action: str, raw: Mapping[str, JsonValue]) -> Built:
        entry = find(action)
        context = BuildContext("localnet", "localnet", AccountId(who), REGISTRY, LIMITS)
        args = entry.parse({"dao_id": DAO, **raw}, context.signer_id, context.registry)
        first = self.facts(entry.needs(args, context), {})
        known = self.facts(entry.further(args, first, context), first.values)
        return entry.build(args, known, context)

    def does(self, who: str, action: str, raw: Mapping[str, JsonValue]) -> tuple[Built, Outcome]:
        built = self.build(who, action, raw)
        (call,) = built.calls
        assert isinstance(call, ChangeCall)
        outcome = self.chain.send(who, call.receiver_id, *call.actions)
        assert self.chain.supply + self.chain.burnt == self.chain.created
        return built, outcome

    def asks(self, action: str, raw: Mapping[str, JsonValue]) -> str:
        entry = find(action)
        context = BuildContext("localnet", "localnet", AccountId(COUNCIL[0]), REGISTRY, LIMITS)
        args = entry.parse({"dao_id": DAO, **raw}, context.signer_id, context.registry)
        known = self.facts(entry.needs(args, context), {})
        (call,) = entry.build(args, known, context).calls
        assert isinstance(call, ViewFunction)
        value = self._view(DAO, call.method_name, json.loads(call.args))
        return entry.answer(args, ViewReturned(value, 1, BLOCK), known, context)


@pytest.fixture
def council(engine: Engine, real_wasm: Callable[[str], bytes]) -> Council:
    """A DAO of three with 50 NEAR and 10 wNEAR; dave is nobody in it and not registered with the token."""
    chain = TestChain(engine)
    for name in (*COUNCIL, DAVE):
        chain.create(name)
    chain.create(DAO, 50 * NEAR, real_wasm("sputnikdao2"))
    chain.create(TOKEN, 10 * NEAR, real_wasm("w_near"))
    assert chain.call(DAO, DAO, "new", {"config": CONFIG, "policy": list(COUNCIL)}).value == b""
    assert chain.call(TOKEN, TOKEN, "new").value == b""
    chain.call(DAO, TOKEN, "storage_deposit", {}, deposit=MINIMUM)
    chain.call(DAO, TOKEN, "near_deposit", deposit=10 * NEAR)
    return Council(chain)


def arguments(built: Built) -> dict[str, JsonValue]:
    (call,) = built.calls
    assert isinstance(call, ChangeCall)
    (action,) = call.actions
    assert isinstance(action, FunctionCall)
    read: dict[str, JsonValue] = json.loads(action.args)
    return read


def vote(council: Council, who: str, number: int, how: str = "approve") -> tuple[Built, Outcome]:
    return council.does(who, "dao_vote", {"proposal_id": str(number), "vote": how})


def fails(outcome: Outcome) -> list[str]:
    return [str(one.status) for one in outcome.receipts if isinstance(one.status, Failure)]


PAY: dict[str, JsonValue] = {"description": "for the roof", "receiver_id": DAVE}


@pytest.mark.shows("dao_propose_transfer", "real")
@pytest.mark.shows("dao_vote", "real")
@pytest.mark.shows("dao_proposal", "real")
@pytest.mark.shows("dao_proposals", "real")
def test_a_payout_is_proposed_voted_on_and_paid(council: Council) -> None:
    chain = council.chain
    built, made = council.does(DAVE, "dao_propose_transfer", {**PAY, "amount": "2.5"})
    assert built.expected[0].change == -NEAR
    assert made.json == 0
    assert "0 (InProgress) by dave.test: pay 2.5 NEAR to dave.test" in council.asks("dao_proposals", {})
    built, first = vote(council, "alice.test", 0)
    assert "proposal" not in arguments(built)  # this version's code knows no ERR_WRONG_KIND
    assert any("cannot be told which proposal is meant" in note for note in built.notes)
    assert any("does not decide yet" in note for note in built.notes)
    assert fails(first) == []
    before = chain.balance(DAVE)
    built, second = vote(council, "bob.test", 0)
    assert built.summary == "vote to approve proposal 0 of dao.test: pay 2.5 NEAR to dave.test"
    assert fails(second) == []
    assert chain.balance(DAVE) - before == 25 * 10**23 + NEAR  # the payout, and the bond
    assert {(e.account_id, e.change) for e in built.expected} == {(DAVE, 35 * 10**23), (DAO, -35 * 10**23)}
    assert "Proposal 0 (Approved)" in council.asks("dao_proposal", {"proposal_id": "0"})


@pytest.mark.shows("dao_vote", "real")
@pytest.mark.shows("dao_propose_transfer", "real")
def test_a_token_is_paid_once_its_receiver_is_registered(council: Council) -> None:
    built, _ = council.does("alice.test", "dao_propose_transfer", {**PAY, "amount": "0.5", "token": TOKEN})
    assert any("dave.test is not registered with token.test" in note for note in built.notes)
    built, _ = vote(council, "alice.test", 0)
    assert "pay 0.5 token.test to dave.test" in built.summary
    council.chain.call(DAVE, TOKEN, "storage_deposit", {}, deposit=MINIMUM)
    _, voted = vote(council, "carol.test", 0)
    assert fails(voted) == []
    assert council.chain.view(TOKEN, "ft_balance_of", {"account_id": DAVE}) == str(5 * 10**23)


@pytest.mark.shows("dao_vote", "real")
def test_what_the_contract_would_refuse_is_refused_before(council: Council) -> None:
    council.does("alice.test", "dao_propose_transfer", {**PAY, "amount": "1"})
    vote(council, "alice.test", 0)
    refused = {
        "already_voted": ("alice.test", "0"),
        "no_vote": (DAVE, "0"),
        "no_proposal": ("bob.test", "5"),
    }
    for code, (who, number) in refused.items():
        with pytest.raises(InvalidInput) as refusal:
            council.build(who, "dao_vote", {"proposal_id": number, "vote": "approve"})
        assert refusal.value.code == code
        args = {"id": int(number), "action": "VoteApprove"}
        assert "ERR_" in council.chain.call(who, DAO, "act_proposal", args).panic  # and the contract says the same
    vote(council, "bob.test", 0)
    with pytest.raises(InvalidInput, match="is Approved and takes no more votes"):
        council.build("carol.test", "dao_vote", {"proposal_id": "0", "vote": "reject"})


@pytest.mark.shows("dao_vote", "real")
def test_rejecting_returns_the_bond_and_removing_keeps_it(council: Council) -> None:
    for _ in range(2):
        council.does(DAVE, "dao_propose_transfer", {**PAY, "amount": "1"})
    before = council.chain.balance(DAVE)
    for number, how in enumerate(("reject", "remove")):
        vote(council, "alice.test", number, how)
        built, done = vote(council, "bob.test", number, how)
        assert fails(done) == []
        assert any("this vote decides" in note for note in built.notes)
    assert council.chain.balance(DAVE) == before + NEAR
    with pytest.raises(InvalidInput, match="has no such proposal"):
        council.build("carol.test", "dao_vote", {"proposal_id": "1", "vote": "reject"})


@pytest.mark.shows("dao_vote", "real")
def test_after_its_period_a_proposal_takes_no_votes(council: Council) -> None:
    council.does("alice.test", "dao_propose_transfer", {**PAY, "amount": "1"})
    council.chain.height += 7 * 24 * 3600 + 10
    with pytest.raises(InvalidInput) as refusal:
        council.build("bob.test", "dao_vote", {"proposal_id": "0", "vote": "approve"})
    assert refusal.value.code == "proposal_expired"
    council.chain.call("bob.test", DAO, "act_proposal", {"id": 0, "action": "VoteApprove"})
    assert "Proposal 0 (Expired)" in council.asks("dao_proposal", {"proposal_id": "0"})


@pytest.mark.shows("dao_proposals", "real")
def test_every_kind_that_it_takes_is_read(council: Council) -> None:
    kinds: list[JsonValue] = [
        "Vote",
        {"ChangeConfig": {"config": CONFIG}},
        {"AddMemberToRole": {"member_id": DAVE, "role": "council"}},
        {"RemoveMemberFromRole": {"member_id": DAVE, "role": "council"}},
        {"UpgradeSelf": {"hash": "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"}},
        {"SetStakingContract": {"staking_id": "staking.test"}},
        {
            "FunctionCall": {
                "receiver_id": TOKEN,
                "actions": [
                    {
                        "method_name": "ft_transfer",
                        "args": "eyJyZWNlaXZlcl9pZCI6ImRhdmUudGVzdCIsImFtb3VudCI6IjUifQ==",
                        "deposit": "1",
                        "gas": "10000000000000",
                    }
                ],
            }
        },
    ]
    for kind in kinds:
        args: dict[str, JsonValue] = {"proposal": {"description": "d", "kind": kind}}
        council.chain.call("alice.test", DAO, "add_proposal", args, deposit=NEAR, gas=100 * TGAS)
    told = council.asks("dao_proposals", {"limit": "50"})
    assert "not known" not in told
    assert "add dave.test to the role council" in told
    assert "replace the DAO's own contract code" in told
    assert "call one method of token.test as the DAO" in told
    for number in range(len(kinds)):
        built, done = vote(council, "alice.test", number, "approve")
        assert fails(done) == []
        assert "vote to approve" in built.summary
