"""DAOs (sputnik-dao v2): what is proposed, votes, and proposals to pay out."""

from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from contracts.calls import ViewFunction
from contracts.catalogue.arguments import AccountArg, Args, IntArg, compact_json
from contracts.catalogue.dao_kinds import Deed, describe
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import explain_view, missing_contract
from contracts.catalogue.tokens import token_label
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import (
    ChainFacts,
    FactRequest,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.inert import inert, inert_json, quoted
from contracts.knowledge.sputnik import Proposal, read_proposal
from contracts.types import AccountId, format_near, format_units

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 100
MAX_DESCRIPTION: Final = 600
_NO_PROPOSAL: Final = "ERR_NO_PROPOSAL"


class DaoProposalsArgs(Args):
    dao_id: AccountArg
    from_index: IntArg | None = None
    limit: IntArg | None = None


class DaoProposalArgs(Args):
    dao_id: AccountArg
    proposal_id: IntArg


def _last_id(dao_id: AccountId) -> ViewFacts:
    return ViewFacts(dao_id, "get_last_proposal_id")


def answered(request: ViewFacts, facts: ChainFacts, context: BuildContext) -> JsonValue:
    """What the DAO answered; the refusal where it is none."""
    fact = facts.of(request, ViewFact)
    if isinstance(fact, ViewFact):
        return fact.value
    if fact.reason in {"no_account", "no_code"}:
        raise missing_contract(request.contract_id, fact, context)
    if fact.reason == "failed" and _NO_PROPOSAL in fact.detail:
        raise InvalidInput(
            "no_proposal",
            f"{request.contract_id} has no such proposal; /dao_proposals {request.contract_id} lists what there is",
            details={"dao_id": request.contract_id},
        )
    raise InvalidInput(
        "not_a_dao",
        f"{request.contract_id} does not answer {request.method_name} as sputnik-dao v2 does: {quoted(fact.detail, 160)}",
        details={"dao_id": request.contract_id, "reason": fact.reason},
    )


# ---- views


def _proposals_needs(args: DaoProposalsArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (_last_id(args.dao_id),) if args.from_index is None else ()


def _proposals_build(args: DaoProposalsArgs, facts: ChainFacts, context: BuildContext) -> Built:
    limit = DEFAULT_LIMIT if args.limit is None else args.limit
    if not 0 < limit <= MAX_LIMIT:
        raise InvalidInput("limit_out_of_range", f"limit is {limit}; write 1 to {MAX_LIMIT}")
    start = args.from_index
    if start is None:
        last = answered(_last_id(args.dao_id), facts, context)
        if not isinstance(last, int) or isinstance(last, bool) or last < 0:
            raise InvalidInput("not_a_dao", f"{args.dao_id} says that its last proposal is {inert_json(last, 80)}")
        start = max(0, last - limit)
    call = ViewFunction(args.dao_id, "get_proposals", compact_json({"from_index": start, "limit": limit}))
    return Built((call,), f"list proposals of {args.dao_id}")


def _proposals_answer(args: DaoProposalsArgs, returned: ViewReturned, _facts: ChainFacts, context: BuildContext) -> str:
    if not isinstance(returned.value, list):
        return f"{args.dao_id} answered {inert_json(returned.value, 200)}, which is no list of proposals."
    if not returned.value:
        return f"{args.dao_id} has no proposals there."
    lines = [f"Proposals of {args.dao_id}:"]
    for value in returned.value[:MAX_LIMIT]:
        try:
            proposal = read_proposal(value, args.dao_id)
            lines.append(f"- {_one_line(proposal, context)}")
        except InvalidInput as error:
            lines.append(f"- one that is not readable: {error.message}")
    return "\n".join(lines)


def _proposals_smaller(args: DaoProposalsArgs) -> DaoProposalsArgs | None:
    limit = DEFAULT_LIMIT if args.limit is None else args.limit
    return None if limit == 1 else args.model_copy(update={"limit": max(1, limit // 4)})


def _proposal_build(args: DaoProposalArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    call = ViewFunction(args.dao_id, "get_proposal", compact_json({"id": args.proposal_id}))
    return Built((call,), f"look at proposal {args.proposal_id} of {args.dao_id}")


def _proposal_answer(args: DaoProposalArgs, returned: ViewReturned, _facts: ChainFacts, context: BuildContext) -> str:
    try:
        proposal = read_proposal(returned.value, args.dao_id)
    except InvalidInput as error:
        return f"{error.message}: {inert_json(returned.value, 300)}"
    lines = [f"Proposal {_one_line(proposal, context)}.", *_deed(proposal, context).lines]
    voted = ", ".join(f"{voter} {vote}" for voter, vote in sorted(proposal.votes.items())[:MAX_LIMIT])
    lines.append(f"Made {utc(proposal.submission_time)}; votes: {voted or 'none'}.")
    lines.append(f"The proposer describes it as “{inert(proposal.description, MAX_DESCRIPTION)}”.")
    return "\n".join(lines)


def _one_line(proposal: Proposal, context: BuildContext) -> str:
    yes, no, spam = proposal.counted
    return (
        f"{proposal.id} ({proposal.status}) by {proposal.proposer}: {_deed(proposal, context).does}; "
        f"{yes} to approve, {no} to reject, {spam} to remove"
    )


def _deed(proposal: Proposal, context: BuildContext) -> Deed:
    """What it does, for a view: with the registry's decimals, and raw where it cannot be read."""
    try:
        return describe(proposal.kind, lambda token_id, units: registered_money(token_id, units, context))
    except InvalidInput:
        return Deed(f"something that is not known here: {inert_json(proposal.kind, 300)}")


def registered_money(token_id: AccountId | None, units: int, context: BuildContext) -> str:
    if token_id is None:
        return f"{format_near(units)} NEAR"
    token = context.registry.of_contract(token_id)
    if token is None or token.decimals is None:
        return f"{units} base units of {token_id}"
    return f"{format_units(units, token.decimals)} {token_label(token)}"


def utc(nanoseconds: int) -> str:
    """UTC; far-off times, which a contract may answer, as they are."""
    try:
        return f"{datetime.fromtimestamp(nanoseconds // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds} ns after 1970"


def _explain(args: DaoProposalsArgs | DaoProposalArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code == "CONTRACT_EXECUTION_ERROR" and _NO_PROPOSAL in error.message:
        return f"{args.dao_id} has no such proposal; /dao_proposals {args.dao_id} lists what there is."
    otherwise = f"{args.dao_id} is not a DAO (sputnik-dao v2) on {context.network}."
    return explain_view(args.dao_id, error, context, otherwise=otherwise)


DAO_PROPOSALS: Final = Entry(
    name="dao_proposals",
    kind="view",
    about="a DAO's proposals (sputnik-dao v2)",
    args=DaoProposalsArgs,
    needs=_proposals_needs,
    build=_proposals_build,
    answer=_proposals_answer,
    smaller=_proposals_smaller,
    explain=_explain,
    examples=(
        Example("what is proposed in dao.localnet", {"dao_id": "dao.localnet"}),
        Example(
            "the first five proposals of dao.localnet", {"dao_id": "dao.localnet", "from_index": "0", "limit": "5"}
        ),
    ),
)

DAO_PROPOSAL: Final = Entry(
    name="dao_proposal",
    kind="view",
    about="one proposal",
    args=DaoProposalArgs,
    build=_proposal_build,
    answer=_proposal_answer,
    explain=_explain,
    examples=(Example("show proposal 0 of dao.localnet", {"dao_id": "dao.localnet", "proposal_id": "0"}),),
)
