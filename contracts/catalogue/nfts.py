"""Non-fungible tokens: who owns which (NEP-171, NEP-181), what they say of themselves (NEP-177), who may move them (NEP-178).

Everything a collection says (names, titles, descriptions) is outside data: shown inert and cut short; its addresses are
never fetched.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from contracts.catalogue.arguments import AccountArg, Args, TextArg
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import explain_view, missing_contract
from contracts.catalogue.tokens import view_function
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import (
    ChainFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.inert import inert, inert_json, quoted
from contracts.types import U64_MAX, AccountId, JsonObject

MAX_TOKEN_ID: Final = 256
PAGE: Final = 50
"""Tokens of an owner that are asked for at once."""

SHOWN_ID: Final = 80
_SHOWN_TITLE: Final = 80
_SHOWN_DESCRIPTION: Final = 200
_SHOWN_APPROVALS: Final = 10


class NftArgs(Args):
    contract_id: AccountArg
    token_id: TextArg


class NftTokensArgs(Args):
    contract_id: AccountArg
    account_id: AccountArg


class NftMetadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str | None = None
    description: str | None = None


class NftToken(BaseModel):
    """A token as NEP-171 contracts answer it. Ids and texts are outside data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token_id: str
    owner_id: str
    metadata: NftMetadata | None = None
    approved_account_ids: dict[str, Annotated[int, Field(ge=0, le=U64_MAX)]] | None = None

    @property
    def title(self) -> str:
        """` “title”`, inert, or nothing."""
        title = self.metadata.title if self.metadata else None
        return f" “{inert(title, _SHOWN_TITLE)}”" if title else ""

    def approval_of(self, account_id: AccountId) -> int | None:
        return (self.approved_account_ids or {}).get(account_id)


_TOKENS: Final = TypeAdapter(list[NftToken])


def nft_token_facts(contract_id: AccountId, token_id: str) -> ViewFacts:
    return ViewFacts.of(contract_id, "nft_token", {"token_id": token_id})


def shown_nft(contract_id: str, token_id: str) -> str:
    """How a token is named to people."""
    return f"NFT “{inert(token_id, SHOWN_ID)}” of {contract_id}"


def nft_fact(args: NftArgs, facts: ChainFacts, context: BuildContext) -> NftToken:
    """The token as it is at the facts' block.

    InvalidInput `account_missing`, `no_contract`, `no_nft_contract`, `no_such_nft`, `nft_unreadable`.
    """
    value = nft_value(args, facts, context)
    if value is None:
        raise InvalidInput(
            "no_such_nft",
            f"{args.contract_id} has no token “{inert(args.token_id, SHOWN_ID)}”; nft_tokens lists what an account owns",
            details={"contract_id": args.contract_id, "token_id": args.token_id},
        )
    try:
        token = NftToken.model_validate(value)
    except ValidationError as error:
        raise _unreadable(args, f"{error.error_count()} errors") from error
    if token.token_id != args.token_id:
        raise _unreadable(args, "it tells of another token")
    try:
        AccountId(token.owner_id)
    except ValueError:
        raise _unreadable(args, "its owner is no account") from None
    return token


def nft_value(args: NftArgs, facts: ChainFacts, context: BuildContext) -> JsonValue:
    check_token_id(args.token_id)
    fact = facts.of(nft_token_facts(args.contract_id, args.token_id), ViewFact)
    if isinstance(fact, ViewFact):
        return fact.value
    if fact.reason in {"no_account", "no_code"}:
        raise missing_contract(args.contract_id, fact, context)
    raise InvalidInput(
        "no_nft_contract",
        f"{args.contract_id} is no NFT contract on {context.network}: its nft_token says {quoted(fact.detail, 160)}",
        details={"contract_id": args.contract_id, "reason": fact.reason},
    )


def check_token_id(token_id: str) -> None:
    if len(token_id) > MAX_TOKEN_ID:
        raise InvalidInput(
            "token_id_too_long",
            f"token_id has {len(token_id)} characters; at most {MAX_TOKEN_ID} are taken",
            details={"argument": "token_id"},
        )


def _unreadable(args: NftArgs, why: str) -> InvalidInput:
    return InvalidInput(
        "nft_unreadable",
        f"nft_token of {args.contract_id} does not answer as NEP-171 says ({why}), so nothing is built",
        details={"contract_id": args.contract_id, "token_id": args.token_id},
    )


def _token_build(args: NftArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    check_token_id(args.token_id)
    call = view_function(args.contract_id, "nft_token", {"token_id": args.token_id})
    return Built((call,), f"look at {shown_nft(args.contract_id, args.token_id)}")


def _token_answer(args: NftArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    named = shown_nft(args.contract_id, args.token_id)
    if returned.value is None:
        return f"There is no {named}."
    try:
        token = NftToken.model_validate(returned.value)
    except ValidationError:
        return f"{args.contract_id} answered {inert_json(returned.value)}, which is not a NEP-171 token."
    lines = [f"{named}{token.title} belongs to {inert(token.owner_id, SHOWN_ID)}."]
    if token.metadata and token.metadata.description:
        lines.append(f"Its description says “{inert(token.metadata.description, _SHOWN_DESCRIPTION)}”.")
    approved = [inert(account, SHOWN_ID) for account in token.approved_account_ids or {}]
    if approved:
        more = f" and {len(approved) - _SHOWN_APPROVALS} more" if len(approved) > _SHOWN_APPROVALS else ""
        lines.append(f"These may transfer it: {', '.join(approved[:_SHOWN_APPROVALS])}{more}.")
    return " ".join(lines)


def _tokens_build(args: NftTokensArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    asked: JsonObject = {"account_id": args.account_id, "from_index": "0", "limit": PAGE}
    call = view_function(args.contract_id, "nft_tokens_for_owner", asked)
    return Built((call,), f"look at the NFTs that {args.account_id} owns at {args.contract_id}")


def _tokens_answer(args: NftTokensArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    try:
        tokens = _TOKENS.validate_python(returned.value)
    except ValidationError:
        return f"{args.contract_id} answered {inert_json(returned.value)}, which is not a list of NEP-171 tokens."
    if not tokens:
        return f"{args.account_id} owns no NFTs of {args.contract_id}."
    listed = ", ".join(
        f"“{inert(token.token_id, SHOWN_ID)}”{token.title and ':'}{token.title}" for token in tokens[:PAGE]
    )
    if len(tokens) < PAGE:
        return f"{args.account_id} owns {len(tokens)} of {args.contract_id}: {listed}."
    return f"{args.account_id} owns {PAGE} or more of {args.contract_id}, the first {PAGE} being: {listed}."


def _explain(args: NftArgs | NftTokensArgs, error: RpcError, context: BuildContext) -> str | None:
    otherwise = f"{args.contract_id} is no NFT contract on {context.network}."
    return explain_view(args.contract_id, error, context, otherwise=otherwise)


NFT_TOKEN: Final = Entry(
    name="nft_token",
    kind="view",
    about="one NFT (NEP-171)",
    args=NftArgs,
    build=_token_build,
    answer=_token_answer,
    explain=_explain,
    examples=(Example("who owns NFT 1 of nft.localnet", {"contract_id": "nft.localnet", "token_id": "1"}),),
)

NFT_TOKENS: Final = Entry(
    name="nft_tokens",
    kind="view",
    about="an owner's NFTs (NEP-181)",
    args=NftTokensArgs,
    build=_tokens_build,
    answer=_tokens_answer,
    explain=_explain,
    examples=(Example("my NFTs at nft.localnet", {"contract_id": "nft.localnet", "account_id": "@me"}),),
)
