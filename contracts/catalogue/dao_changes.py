"""Votes in a DAO and proposals to pay out: what they do in exact amounts, and whether the DAO lets the signer."""

from dataclasses import replace
from typing import Annotated, Final

from pydantic import Field

from contracts.calls import ChangeCall, FunctionCall, SetOff
from contracts.catalogue.arguments import AccountArg, AmountArg, Args, IntArg, Kind, TextArg, TokenArg, compact_json
from contracts.catalogue.dao import MAX_DESCRIPTION, answered, registered_money, utc
from contracts.catalogue.dao_effects import set_off
from contracts.catalogue.dao_kinds import Payout, calls_of, describe, payout_of
from contracts.catalogue.entry import BuildContext, Built, Entry, Example, merge_effects
from contracts.catalogue.receivers import check_receiver, missing_contract
from contracts.catalogue.tokens import token_fact, token_label, token_units
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.facts import (
    Absent,
    AccountFact,
    AccountFacts,
    ChainFacts,
    CodeTextFact,
    CodeTextFacts,
    FactRequest,
    StorageFact,
    StorageFacts,
    TokenFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import NEAR_SYMBOL, TokenEntry
from contracts.knowledge.sputnik import ACTIONS, Policy, Proposal, Vote, decides, read_policy, read_proposal
from contracts.types import TGAS, AccountId, Gas, JsonObject, Yocto, base_units, format_near, format_units, parse_near

PROPOSE_GAS: Final = Gas(50 * TGAS)
VOTE_GAS: Final = Gas(50 * TGAS)
APPROVE_GAS: Final = Gas(150 * TGAS)
"""The vote that reaches the majority carries the proposal out in the same transaction."""
MAX_GAS: Final = Gas(300 * TGAS)
MAX_UNASKED_BOND: Final = Yocto(10 * 10**24)
"""DAOs usually ask 0.1 to 1 NEAR."""
WANTS_KIND: Final = "ERR_WRONG_KIND"
"""Stands in the code of the versions whose act_proposal must be given the kind of the proposal that is voted on."""
_BY_UPGRADE: Final = frozenset({"UpgradeSelf", "UpgradeRemote"})


class DaoVoteArgs(Args):
    dao_id: AccountArg
    proposal_id: IntArg
    vote: Annotated[Vote, Kind("string", choices=("approve", "reject", "remove"))]


class DaoProposeTransferArgs(Args):
    dao_id: AccountArg
    description: TextArg
    receiver_id: AccountArg
    amount: AmountArg
    token: TokenArg | None = Field(None, description="absent: NEAR")


def policy_request(dao_id: AccountId) -> ViewFacts:
    return ViewFacts(dao_id, "get_policy")


def _proposal(args: DaoVoteArgs) -> ViewFacts:
    return ViewFacts.of(args.dao_id, "get_proposal", {"id": args.proposal_id})


def _funds(dao_id: AccountId, token_id: AccountId | None) -> ViewFacts:
    """What the DAO can pay."""
    if token_id is None:
        return ViewFacts(dao_id, "get_available_amount")
    return ViewFacts.of(token_id, "ft_balance_of", {"account_id": dao_id})


# ---- votes


def _vote_needs(args: DaoVoteArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (_proposal(args), policy_request(args.dao_id), CodeTextFacts(args.dao_id, WANTS_KIND))


def _vote_further(args: DaoVoteArgs, facts: ChainFacts, _context: BuildContext) -> tuple[FactRequest, ...]:
    answered = facts.of(_proposal(args), ViewFact)
    if isinstance(answered, Absent):
        return ()
    kind = read_proposal(answered.value, args.dao_id).kind
    if payout := payout_of(kind):
        wanted: tuple[FactRequest, ...] = (AccountFacts(payout.receiver_id), _funds(args.dao_id, payout.token_id))
        if payout.token_id is None:
            return wanted
        return (*wanted, TokenFacts(payout.token_id), StorageFacts(payout.token_id, payout.receiver_id))
    if calls := calls_of(kind):
        return (AccountFacts(calls.receiver_id), TokenFacts(calls.receiver_id))
    return ()


def _vote_build(args: DaoVoteArgs, facts: ChainFacts, context: BuildContext) -> Built:
    proposal = read_proposal(answered(_proposal(args), facts, context), args.dao_id)
    policy = read_policy(answered(policy_request(args.dao_id), facts, context), args.dao_id)
    permitted = _check_vote(args, proposal, policy, facts, context)
    deed = describe(proposal.kind, lambda token_id, units: _money(token_id, units, facts, context))
    said: JsonObject = {"id": args.proposal_id, "action": ACTIONS[args.vote]}
    code = facts.of(CodeTextFacts(args.dao_id, WANTS_KIND), CodeTextFact)
    if isinstance(code, Absent):
        raise missing_contract(args.dao_id, code, context)
    if code.found:
        said["proposal"] = proposal.kind
    call = FunctionCall("act_proposal", compact_json(said), _vote_gas(args.vote, proposal), Yocto(0))
    decisive = decides(policy, proposal, context.signer_id, args.vote)
    payout = payout_of(proposal.kind)
    warned = payout if args.vote == "approve" else None
    return Built(
        calls=(ChangeCall(args.dao_id, (call,)),),
        summary=f"vote to {args.vote} proposal {proposal.id} of {args.dao_id}: {deed.does}",
        expected=_vote_effects(args, proposal, policy, payout) if decisive == "yes" and payout else (),
        sets_off=_sets_off(args, proposal, policy),
        notes=(
            *deed.lines,
            *_standing(args.vote, proposal, policy, decisive),
            *(() if permitted else ("whether your delegated tokens permit this vote is not checked",)),
            *(
                ()
                if code.found
                else ("this DAO's version cannot be told which proposal is meant: it goes by the number",)
            ),
            *(_payee_notes(args.dao_id, warned, facts, context) if warned else ()),
            f"described by its proposer {proposal.proposer} as “{inert(proposal.description, MAX_DESCRIPTION)}”",
        ),
    )


def _sets_off(args: DaoVoteArgs, proposal: Proposal, policy: Policy) -> tuple[SetOff, ...]:
    if args.vote != "approve":
        return ()
    return (replace(set_off(proposal.kind, args.dao_id, proposal.id), bond=policy.proposal_bond),)


def _check_vote(
    args: DaoVoteArgs, proposal: Proposal, policy: Policy, facts: ChainFacts, context: BuildContext
) -> bool:
    """Refuse a vote that the contract would refuse; False where the permission depends on what was not read."""
    place = f"proposal {args.proposal_id} of {args.dao_id}"
    if proposal.id != args.proposal_id:
        raise InvalidInput("not_a_dao", f"{args.dao_id} answered with proposal {proposal.id}, asked for {place}")
    if proposal.status != "InProgress":
        again = "; it can be finalized again with act_proposal" if proposal.status == "Failed" else ""
        raise InvalidInput(
            "proposal_finished",
            f"{place} is {proposal.status} and takes no more votes{again}",
            details={"dao_id": args.dao_id, "proposal_id": args.proposal_id, "status": proposal.status},
        )
    ends = proposal.submission_time + policy.proposal_period
    if facts.block_time_ns is not None and ends < facts.block_time_ns:
        raise InvalidInput(
            "proposal_expired",
            f"the voting on {place} ended {utc(ends)}; a vote would only mark it as expired",
            details={"dao_id": args.dao_id, "proposal_id": args.proposal_id},
        )
    if earlier := proposal.votes.get(context.signer_id):
        raise InvalidInput(
            "already_voted",
            f"{context.signer_id} voted {earlier} on {place} already; a vote cannot be changed",
            details={"dao_id": args.dao_id, "proposal_id": args.proposal_id},
        )
    permitted = policy.may(context.signer_id, proposal.kind_name, ACTIONS[args.vote])
    if permitted == "no":
        raise InvalidInput(
            "no_vote",
            f"{context.signer_id} has no role in {args.dao_id} that may vote to {args.vote} a proposal of the kind "
            f"{inert(proposal.kind_name, 60)}",
            details={"dao_id": args.dao_id, "account_id": context.signer_id},
        )
    return permitted == "yes"


def _standing(vote: Vote, proposal: Proposal, policy: Policy, decisive: str) -> tuple[str, ...]:
    yes, no, spam = proposal.counted
    so_far = f"votes so far: {yes} to approve, {no} to reject, {spam} to remove"
    match decisive, vote:
        case "yes", "approve":
            end = "this vote decides: it is carried out at once"
        case "yes", "reject":
            end = "this vote decides: the proposal is rejected and its bond goes back"
        case "yes", _:
            end = f"this vote decides: the proposal is removed and {format_near(policy.proposal_bond)} NEAR of bond is lost"
        case "no", _:
            end = "this vote does not decide yet"
        case _:
            end = "whether this vote decides depends on delegated tokens, which are not read"
    return (f"{so_far}; {end}",)


def _vote_gas(vote: Vote, proposal: Proposal) -> Gas:
    if vote != "approve":
        return VOTE_GAS
    if proposal.kind_name in _BY_UPGRADE:
        return MAX_GAS
    calls = calls_of(proposal.kind)
    inner = sum(call.gas for call in calls.actions) if calls else 0
    return Gas(min(MAX_GAS, APPROVE_GAS + inner))


def _vote_effects(args: DaoVoteArgs, proposal: Proposal, policy: Policy, payout: Payout) -> tuple[Effect, ...]:
    """What a deciding vote on a payout moves: the payout, and the bond back to the proposer."""
    bond = () if args.vote == "remove" else _moved(args.dao_id, proposal.proposer, NEAR_SYMBOL, policy.proposal_bond)
    if args.vote != "approve" or payout.msg is not None:
        return merge_effects(bond)
    paid = _moved(args.dao_id, payout.receiver_id, payout.token_id or NEAR_SYMBOL, payout.amount)
    return merge_effects((*paid, *bond))


def _moved(loser: AccountId, gainer: AccountId, token: str, units: int) -> tuple[Effect, ...]:
    return (Effect(loser, token, -units), Effect(gainer, token, units))


def _money(token_id: AccountId | None, units: int, facts: ChainFacts, context: BuildContext) -> str:
    """An exact amount, with the decimals that the token has on chain."""
    if token_id is None:
        return f"{format_near(units)} NEAR"
    token = context.registry.of_contract(token_id) or TokenEntry(contract_id=token_id, source="a proposal")
    if TokenFacts(token_id) not in facts.values:
        return registered_money(token_id, units, context)
    return f"{format_units(units, token_fact(token, facts, context).decimals)} {token_label(token)}"


def _payee_notes(dao_id: AccountId, payout: Payout, facts: ChainFacts, context: BuildContext) -> tuple[str, ...]:
    """As `_payout_notes`, for a receiver that somebody else named."""
    notes = _payout_notes(dao_id, payout, facts, context)
    if isinstance(facts.of(AccountFacts(payout.receiver_id), AccountFact), AccountFact):
        return notes
    missing = f"warning: {payout.receiver_id} does not exist on {context.network}: the payout fails, or goes to nobody"
    return (missing, *notes)


def _payout_notes(dao_id: AccountId, payout: Payout, facts: ChainFacts, context: BuildContext) -> tuple[str, ...]:
    """What would make the payout fail or go astray."""
    notes: list[str] = []
    if payout.token_id is not None:
        notes += _registration_note(payout.token_id, payout.receiver_id, facts)
    funds = facts.of(_funds(dao_id, payout.token_id), ViewFact)
    held = base_units(funds.value) if isinstance(funds, ViewFact) else None
    if held is None:
        notes.append(f"what {dao_id} has to pay it from is unknown")
    elif held < payout.amount:
        notes.append(
            f"warning: {dao_id} has only {_money(payout.token_id, held, facts, context)} to pay it from: the payout fails"
        )
    return tuple(notes)


def _registration_note(token_id: AccountId, receiver_id: AccountId, facts: ChainFacts) -> tuple[str, ...]:
    storage = facts.of(StorageFacts(token_id, receiver_id), StorageFact)
    if isinstance(storage, Absent):
        return (f"whether {receiver_id} is registered with {token_id} is unknown; if it is not, the payout fails",)
    if storage.registered is not None:
        return ()
    first = f"/storage_deposit {token_id} {receiver_id}"
    return (f"warning: {receiver_id} is not registered with {token_id}: the payout fails until somebody does {first}",)


# ---- proposals


def _propose_needs(args: DaoProposeTransferArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    token_id = None if args.token is None else args.token.contract_id
    wanted: tuple[FactRequest, ...] = (
        policy_request(args.dao_id),
        AccountFacts(args.receiver_id),
        _funds(args.dao_id, token_id),
    )
    if token_id is None:
        return wanted
    return (*wanted, TokenFacts(token_id), StorageFacts(token_id, args.receiver_id))


def _propose_build(args: DaoProposeTransferArgs, facts: ChainFacts, context: BuildContext) -> Built:
    dao_id, signer_id = args.dao_id, context.signer_id
    policy = read_policy(answered(policy_request(dao_id), facts, context), dao_id)
    bond = _check_proposer(args, policy, context)
    if args.token is None:
        units = _near_units(args.amount)
    else:
        units = token_units(args.amount, args.token, token_fact(args.token, facts, context).decimals)
    payout = Payout(
        token_id=args.token and args.token.contract_id, receiver_id=args.receiver_id, amount=units, msg=None
    )
    notes = [*_check_payee(args, facts, context)]
    transfer: JsonObject = {
        "token_id": payout.token_id or "",
        "receiver_id": payout.receiver_id,
        "amount": str(units),
        "msg": None,
    }
    proposal: JsonObject = {"description": args.description, "kind": {"Transfer": transfer}}
    call = FunctionCall("add_proposal", compact_json({"proposal": proposal}), PROPOSE_GAS, bond)
    notes += _payout_notes(dao_id, payout, facts, context)
    money = _money(payout.token_id, units, facts, context)
    return Built(
        calls=(ChangeCall(dao_id, (call,)),),
        summary=f"propose that {dao_id} pays {money} to {args.receiver_id}, as {signer_id}",
        expected=merge_effects((Effect(signer_id, NEAR_SYMBOL, -bond), Effect(dao_id, NEAR_SYMBOL, bond))),
        notes=(
            f"{format_near(bond)} NEAR of bond is held by {dao_id} until the vote ends; it is lost if the vote removes it",
            *notes,
            f"description: “{inert(args.description, MAX_DESCRIPTION)}”",
        ),
    )


def _check_proposer(args: DaoProposeTransferArgs, policy: Policy, context: BuildContext) -> Yocto:
    """The bond in yoctoNEAR, where the signer may propose."""
    if policy.may(context.signer_id, "Transfer", "AddProposal") == "no":
        raise InvalidInput(
            "no_proposing",
            f"{context.signer_id} has no role in {args.dao_id} that may propose a payout",
            details={"dao_id": args.dao_id, "account_id": context.signer_id},
        )
    if policy.proposal_bond > MAX_UNASKED_BOND:
        raise InvalidInput(
            "bond_too_high",
            f"{args.dao_id} asks {format_near(policy.proposal_bond)} NEAR of bond for a proposal; more than "
            f"{format_near(MAX_UNASKED_BOND)} NEAR is paid only when you name it, as the deposit of a contract_call",
            details={"dao_id": args.dao_id, "bond_yocto": str(policy.proposal_bond)},
        )
    return Yocto(policy.proposal_bond)


def _near_units(amount: str) -> int:
    units = parse_near(amount)
    if units == 0:
        raise InvalidInput("amount_zero", "a payout of 0 NEAR moves nothing; write how much")
    return units


def _check_payee(args: DaoProposeTransferArgs, facts: ChainFacts, context: BuildContext) -> tuple[str, ...]:
    if args.receiver_id == args.dao_id:
        raise InvalidInput("receiver_is_sender", f"{args.receiver_id} would pay itself; name who gets the payout")
    if args.token is not None and args.receiver_id == args.token.contract_id:
        raise InvalidInput(
            "receiver_is_token",
            f"{args.receiver_id} is the {args.token.name} contract itself: tokens sent to it are lost",
            details={"receiver_id": args.receiver_id},
        )
    notes = check_receiver(args.receiver_id, facts, context, created=args.token is None)
    other = context.registry.of_contract(args.receiver_id)
    if other is None:
        return notes
    return (*notes, f"warning: {args.receiver_id} is the {other.name} token contract; what is sent to it may be lost")


DAO_VOTE: Final = Entry(
    name="dao_vote",
    kind="change",
    about="vote on a proposal",
    args=DaoVoteArgs,
    needs=_vote_needs,
    further=_vote_further,
    build=_vote_build,
    examples=(
        Example(
            "approve proposal 0 of dao.localnet", {"dao_id": "dao.localnet", "proposal_id": "0", "vote": "approve"}
        ),
    ),
)

DAO_PROPOSE_TRANSFER: Final = Entry(
    name="dao_propose_transfer",
    kind="change",
    about="propose a payout",
    args=DaoProposeTransferArgs,
    needs=_propose_needs,
    build=_propose_build,
    examples=(
        Example(
            "propose in dao.localnet to pay bob.localnet 5 NEAR for the new roof",
            {
                "dao_id": "dao.localnet",
                "description": "the new roof",
                "receiver_id": "bob.localnet",
                "amount": "5",
            },
        ),
        Example(
            "propose that dao.localnet pays 12.5 USDC to bob.localnet for design",
            {
                "dao_id": "dao.localnet",
                "description": "design",
                "receiver_id": "bob.localnet",
                "amount": "12.5",
                "token": "USDC",
            },
        ),
    ),
)
