"""What a vote sets off: the calls that a DAO makes when its proposal passes, for whoever judges the vote."""

import base64
import binascii
import json
from typing import Final

from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall, SetOff, Transfer
from contracts.catalogue.dao import MAX_DESCRIPTION, registered_money
from contracts.catalogue.dao_kinds import calls_of, describe, payout_of
from contracts.catalogue.entry import BuildContext
from contracts.checks.judging import Vote, vote_of
from contracts.errors import InvalidInput
from contracts.knowledge.facts import ChainFacts, FactRequest, FactValue, ViewFact, ViewFacts
from contracts.knowledge.inert import inert
from contracts.knowledge.sputnik import Proposal, kind_body, kind_name, read_proposal
from contracts.types import AccountId, Gas, JsonObject, Yocto

_DOES_MORE: Final = frozenset({"BountyDone", "UpgradeRemote"})
"""Kinds that do something that they do not state: a bounty's amount, and the stored bytes that a remote upgrade calls with."""


def set_off(kind: JsonValue, dao_id: AccountId, proposal_id: int) -> SetOff:
    """What the proposal makes the DAO do, as its calls. InvalidInput `unreadable_proposal`.

    What a DAO changes of itself is a call of itself, by the kind's name.
    """
    name, body = kind_name(kind), kind_body(kind)
    if payout := payout_of(kind):
        if payout.token_id is None:
            call = ChangeCall(payout.receiver_id, (Transfer(Yocto(payout.amount)),))
        else:
            told: JsonObject = {"receiver_id": payout.receiver_id, "amount": str(payout.amount)}
            method = "ft_transfer" if payout.msg is None else "ft_transfer_call"
            call = _call(
                payout.token_id, method, told if payout.msg is None else {**told, "msg": payout.msg}, deposit=1
            )
        return SetOff(dao_id, proposal_id, (call,))
    if calls := calls_of(kind):
        made = tuple(
            FunctionCall(one.method_name, _bytes(one.args), Gas(one.gas), Yocto(one.deposit)) for one in calls.actions
        )
        return SetOff(dao_id, proposal_id, (ChangeCall(calls.receiver_id, made),))
    match name, body:
        case "UpgradeRemote", {"receiver_id": str(receiver_id), "method_name": str(method)}:
            call = _call(AccountId(receiver_id), method, {"hash": body.get("hash")})
        case _:
            call = _call(dao_id, name, body)
    return SetOff(dao_id, proposal_id, (call,), whole=name not in _DOES_MORE)


def _call(contract_id: AccountId, method: str, args: JsonObject, *, deposit: int = 0) -> ChangeCall:
    data = json.dumps(args, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return ChangeCall(contract_id, (FunctionCall(method, data, Gas(0), Yocto(deposit)),))


def _bytes(encoded: str) -> bytes:
    """The arguments; what is no base64 stays as it is, which is no JSON either."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b"\xff" + encoded.encode("utf-8", "surrogatepass")


# ---- a vote that is written out by hand


def wanted_by_hand(call: FunctionCall, dao_id: AccountId) -> tuple[FactRequest, ...]:
    """The proposal that a call votes for; nothing where it is no such vote."""
    vote = vote_of(dao_id, call)
    if vote is None or vote.proposal_id is None:
        return ()
    return (ViewFacts.of(dao_id, "get_proposal", {"id": vote.proposal_id}),)


def by_hand(
    call: FunctionCall, dao_id: AccountId, facts: ChainFacts, context: BuildContext
) -> tuple[tuple[SetOff, ...], tuple[str, ...]]:
    """What a call that votes sets off, and lines for its card; a warning where that cannot be read."""
    wanted = wanted_by_hand(call, dao_id)
    if not wanted:
        return (), ()
    try:
        proposal = _proposal(facts.of(wanted[0], ViewFact), vote_of(dao_id, call), dao_id)
        deed = describe(proposal.kind, lambda token_id, units: registered_money(token_id, units, context))
        made = set_off(proposal.kind, dao_id, proposal.id)
    except (InvalidInput, ValueError):
        return (), ("warning: what this vote makes the contract do cannot be read",)
    described = f"described by its proposer {proposal.proposer} as “{inert(proposal.description, MAX_DESCRIPTION)}”"
    return (made,), (f"proposal {proposal.id} of {dao_id}: {deed.does}", *deed.lines, described)


def _proposal(fact: FactValue, vote: Vote | None, dao_id: AccountId) -> Proposal:
    if isinstance(fact, ViewFact):
        proposal = read_proposal(fact.value, dao_id)
        if vote is not None and proposal.id == vote.proposal_id:
            return proposal
    raise InvalidInput("unreadable_proposal", f"{dao_id} does not answer with the proposal that is voted on")
