"""Proposals and policies of sputnik-dao v2, read from what a DAO answers: who may do what, and what a vote comes to.

Source: near-daos/sputnik-dao-contract, `sputnikdao2/src/policy.rs` and `proposals.rs`. The answers are outside data.
"""

from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.errors import InvalidInput
from contracts.types import U128_MAX, AccountId, JsonObject

Vote: TypeAlias = Literal["approve", "reject", "remove"]
Answer: TypeAlias = Literal["yes", "no", "unknown"]
"""`unknown`: it depends on delegated tokens, which are not read."""

ACTIONS: Final[dict[Vote, str]] = {"approve": "VoteApprove", "reject": "VoteReject", "remove": "VoteRemove"}
KIND_LABELS: Final = {
    "ChangeConfig": "config",
    "ChangePolicy": "policy",
    "AddMemberToRole": "add_member_to_role",
    "RemoveMemberFromRole": "remove_member_from_role",
    "FunctionCall": "call",
    "UpgradeSelf": "upgrade_self",
    "UpgradeRemote": "upgrade_remote",
    "Transfer": "transfer",
    "SetStakingContract": "set_vote_token",
    "AddBounty": "add_bounty",
    "BountyDone": "bounty_done",
    "Vote": "vote",
    "FactoryInfoUpdate": "factory_info_update",
    "ChangePolicyAddOrUpdateRole": "policy_add_or_update_role",
    "ChangePolicyRemoveRole": "policy_remove_role",
    "ChangePolicyUpdateDefaultVotePolicy": "policy_update_default_vote_policy",
    "ChangePolicyUpdateParameters": "policy_update_parameters",
}
"""Kinds of proposals, with the word that permissions have for them."""

_PLACES: Final[dict[Vote, int]] = {"approve": 0, "reject": 1, "remove": 2}
_U128: TypeAlias = Annotated[int, Field(ge=0, le=U128_MAX)]
_ModelT = TypeVar("_ModelT", bound="_Answered")


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class VotePolicy(_Answered):
    weight_kind: Literal["TokenWeight", "RoleWeight"]
    quorum: _U128
    threshold: tuple[_U128, Annotated[int, Field(gt=0, le=U128_MAX)]] | _U128
    """A share of the role's members, or a number of votes."""

    def needed(self, members: int) -> int:
        """Votes that decide in a group of that many members."""
        if isinstance(self.threshold, tuple):
            number, of = self.threshold
            wanted = min(number * members // of + 1, members)
        else:
            wanted = min(self.threshold, members)
        return max(self.quorum, wanted)


class _Group(_Answered):
    members: tuple[AccountId, ...] = Field(alias="Group")


class _Member(_Answered):
    balance: _U128 = Field(alias="Member")


class Role(_Answered):
    name: str
    kind: Literal["Everyone"] | _Group | _Member
    permissions: tuple[str, ...]
    vote_policy: dict[str, VotePolicy]

    def allows(self, kind: str, action: str) -> bool:
        label = KIND_LABELS.get(kind)
        return any(allowed in self.permissions for allowed in (f"{label}:{action}", f"{label}:*", f"*:{action}", "*:*"))

    def holds(self, account_id: AccountId) -> Answer:
        match self.kind:
            case "Everyone":
                return "yes"
            case _Group(members=members):
                return "yes" if account_id in members else "no"
            case _:
                return "unknown"


class Policy(_Answered):
    """`get_policy`. The bond is in yoctoNEAR, the period in nanoseconds."""

    roles: tuple[Role, ...]
    default_vote_policy: VotePolicy
    proposal_bond: _U128
    proposal_period: _U128

    def may(self, account_id: AccountId, kind: str, action: str) -> Answer:
        """Whether the account has a role that permits this action on proposals of this kind."""
        found = {role.holds(account_id) for role in self.roles if role.allows(kind, action)}
        return "yes" if "yes" in found else "unknown" if "unknown" in found else "no"


class Proposal(_Answered):
    """`get_proposal`. `kind` is kept as it was answered: a vote repeats it."""

    id: Annotated[int, Field(ge=0)]
    proposer: AccountId
    description: str
    kind: JsonValue
    status: Literal["InProgress", "Approved", "Rejected", "Removed", "Expired", "Moved", "Failed"]
    vote_counts: dict[str, tuple[_U128, _U128, _U128]]
    votes: dict[AccountId, Literal["Approve", "Reject", "Remove"]]
    submission_time: _U128
    """Unix nanoseconds."""

    @property
    def kind_name(self) -> str:
        return kind_name(self.kind)

    @property
    def counted(self) -> tuple[int, int, int]:
        """How many accounts voted to approve, to reject and to remove."""
        votes = tuple(self.votes.values())
        return votes.count("Approve"), votes.count("Reject"), votes.count("Remove")


def kind_name(kind: JsonValue) -> str:
    """`Transfer`, `Vote` ...; InvalidInput `unreadable_proposal` for what has no single name."""
    match kind:
        case str(name):
            return name
        case dict() if len(kind) == 1:
            return next(iter(kind))
        case _:
            raise InvalidInput("unreadable_proposal", "the proposal's kind is neither a name nor an object of one name")


def kind_body(kind: JsonValue) -> JsonObject:
    """Return the fields under the kind's name, empty for one that is a bare name.

    InvalidInput `unreadable_proposal` for a list: serde reads one as the fields in their order, which no name tells here.
    """
    body = next(iter(kind.values())) if isinstance(kind, dict) and kind else None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise InvalidInput(
            "unreadable_proposal", "the body of the proposal's kind is not an object, so it cannot be read"
        )
    return body


def decides(policy: Policy, proposal: Proposal, account_id: AccountId, vote: Vote) -> Answer:
    """Whether this vote brings a group to the number of votes that ends the proposal as `vote` says."""
    answer: Answer = "no"
    for role in policy.roles:
        if not role.allows(proposal.kind_name, ACTIONS[vote]) or role.holds(account_id) == "no":
            continue
        rule = role.vote_policy.get(KIND_LABELS.get(proposal.kind_name, ""), policy.default_vote_policy)
        if role.kind == "Everyone":
            continue  # such a role has no size, and the contract passes over it
        if not isinstance(role.kind, _Group) or rule.weight_kind == "TokenWeight":
            answer = "unknown"
            continue
        counts = proposal.vote_counts.get(role.name, (0, 0, 0))
        if counts[_PLACES[vote]] + 1 >= rule.needed(len(role.kind.members)):
            return "yes"
    return answer


def read_policy(value: JsonValue, dao_id: AccountId) -> Policy:
    """InvalidInput `not_a_dao` where the answer is not sputnik-dao's."""
    return _read(Policy, value, dao_id, "get_policy")


def read_proposal(value: JsonValue, dao_id: AccountId) -> Proposal:
    """InvalidInput `not_a_dao` where the answer is not sputnik-dao's."""
    return _read(Proposal, value, dao_id, "get_proposal")


def _read(model: type[_ModelT], value: JsonValue, dao_id: AccountId, method: str) -> _ModelT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(
            "not_a_dao",
            f"{dao_id} does not answer {method} as sputnik-dao v2 does: {error.error_count()} fields differ",
            details={"dao_id": dao_id, "method_name": method},
        ) from error
