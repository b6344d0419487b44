"""Non-fungible tokens: who owns which (NEP-171, NEP-181), what they say of themselves (NEP-177), who may move them (NEP-178).

Everything a collection says (names, titles, descriptions) is outside data: shown inert and cut short; its addresses are
never fetched.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import Field, JsonValue

from contracts.catalogue.arguments import AccountArg, Args, IntArg, TextArg
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.nft_reading import NftToken, read_token
from contracts.catalogue.receivers import explain_view, missing_contract
from contracts.catalogue.tokens import view_function
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import (
    ChainFacts,
    ViewFact,
    ViewFacts,
)
from contracts.knowledge.inert import inert, inert_json, quoted, quoted_json
from contracts.types import AccountId, JsonObject

MAX_TOKEN_ID: Final = 256
PAGE: Final = 50
"""Tokens of an owner that are asked for at once if nobody says how many."""
MAX_PAGE: Final = 100

SHOWN_ID: Final = 80
_SHOWN_DESCRIPTION: Final = 200
_SHOWN_APPROVALS: Final = 10
_SHOWN_ODD: Final = 5
_SHOWN_UNREAD: Final = 60


class NftArgs(Args):
    contract_id: AccountArg
    token_id: TextArg


class NftTokensArgs(Args):
    contract_id: AccountArg
    account_id: AccountArg
    from_index: IntArg | None = Field(None, description="first token of the page")
    limit: IntArg | None = Field(None, description="tokens a page")

    @property
    def start(self) -> int:
        return 0 if self.from_index is None else self.from_index

    @property
    def page(self) -> int:
        return PAGE if self.limit is None else self.limit


def nft_token_facts(contract_id: AccountId, token_id: str) -> ViewFacts:
    return ViewFacts.of(contract_id, "nft_token", {"token_id": token_id})


def shown_nft(contract_id: str, token_id: str) -> str:
    """How a token is named to people."""
    return f"NFT {quoted(token_id, SHOWN_ID)} of {contract_id}"


def nft_fact(args: NftArgs, facts: ChainFacts, context: BuildContext) -> NftToken:
    """The token as it is at the facts' block.

    InvalidInput `account_missing`, `no_contract`, `no_nft_contract`, `no_such_nft`, `nft_unreadable`.
    """
    value = nft_value(args, facts, context)
    if value is None:
        raise InvalidInput(
            "no_such_nft",
            f"{args.contract_id} has no token {quoted(args.token_id, SHOWN_ID)}; nft_tokens lists what an account owns",
            details={"contract_id": args.contract_id, "token_id": args.token_id},
        )
    token = read_token(value)
    if token is None:
        raise unreadable(args, "it has no id")
    if token.token_id != args.token_id:
        raise unreadable(args, "it is about another token")
    try:
        AccountId(token.owner_id)
    except ValueError:
        raise unreadable(args, "its owner is no account") from None
    return token


def odd_note(token: NftToken) -> tuple[str, ...]:
    """Return the card's warning about fields that are not as the standards say, if there are any."""
    return (f"warning: {_odd(token.odd)}",) if token.odd else ()


def _odd(phrases: Sequence[str]) -> str:
    return f"the contract does not describe it as NEP-171, 177 and 178 say: {', '.join(phrases)}"


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


def unreadable(args: NftArgs, why: str) -> InvalidInput:
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
    token = read_token(returned.value)
    if token is None or not token.owner_id:
        return f"{args.contract_id} answered {quoted_json(returned.value)}, which is not a NEP-171 token."
    lines = [f"{named}{token.title} belongs to {inert(token.owner_id, SHOWN_ID)}."]
    if token.description:
        lines.append(f"Its description says {quoted(token.description, _SHOWN_DESCRIPTION)}.")
    approved = [inert(account, SHOWN_ID) for account in token.approvals]
    if approved:
        more = f" and {len(approved) - _SHOWN_APPROVALS} more" if len(approved) > _SHOWN_APPROVALS else ""
        lines.append(f"These may transfer it: {', '.join(approved[:_SHOWN_APPROVALS])}{more}.")
    another = () if token.token_id == args.token_id else (f"its id there is {quoted(token.token_id, SHOWN_ID)}",)
    if token.odd or another:
        lines.append(f"Note: {_odd((*token.odd, *another))}.")
    return " ".join(lines)


def _tokens_build(args: NftTokensArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    if not 0 < args.page <= MAX_PAGE:
        raise InvalidInput(
            "limit_out_of_range", f"limit is {args.page}; write 1 to {MAX_PAGE}", details={"argument": "limit"}
        )
    asked: JsonObject = {"account_id": args.account_id, "from_index": str(args.start), "limit": args.page}
    call = view_function(args.contract_id, "nft_tokens_for_owner", asked)
    return Built((call,), f"look at the NFTs that {args.account_id} owns at {args.contract_id}")


def _tokens_smaller(args: NftTokensArgs) -> NftTokensArgs | None:
    return None if args.page == 1 else args.model_copy(update={"limit": max(1, args.page // 4)})


def _tokens_answer(args: NftTokensArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    values = returned.value
    if not isinstance(values, list):
        return f"{args.contract_id} answered {quoted_json(values)}, which is not a list of NEP-171 tokens."
    there = f"{args.contract_id} from number {args.start} on" if args.start else f"{args.contract_id}"
    if not values:
        return f"{args.account_id} owns no NFTs of {there}."
    tokens = [(read_token(value), value) for value in values[: args.page]]
    listed = ", ".join(_listed(token) for token, _ in tokens)
    if len(values) < args.page:
        lines = [f"{args.account_id} owns {len(values)} of {there}: {listed}."]
    else:
        command = f"/nft_tokens {args.contract_id} {args.account_id} from_index={args.start + args.page}"
        lines = [
            f"{args.account_id} owns {args.page} or more of {there}, the first {args.page} being: {listed}.",
            f"The next ones: {command}" + ("" if args.limit is None else f" limit={args.page}"),
        ]
    return "\n".join((*lines, *_odd_tokens(args.account_id, tokens)))


def _listed(token: NftToken | None) -> str:
    if token is None:
        return "one that cannot be read"
    return f"{quoted(token.token_id, SHOWN_ID)}{token.title and ':'}{token.title}"


def _odd_tokens(owner_id: AccountId, tokens: Sequence[tuple[NftToken | None, JsonValue]]) -> list[str]:
    """One line for each of the first tokens that are not as the standards say, and a count of the others."""
    lines: list[str] = []
    for token, value in tokens:
        if token is None:
            lines.append(f"- cannot be read, it has no id: {inert_json(value, _SHOWN_UNREAD)}")
            continue
        owner = token.owner_id
        another = () if owner in (owner_id, "") else (f"its owner is {inert(owner, SHOWN_ID)}",)
        if token.odd or another:
            lines.append(f"- {quoted(token.token_id, SHOWN_ID)}: {', '.join((*token.odd, *another))}")
    if not lines:
        return []
    more = [f"- and {len(lines) - _SHOWN_ODD} more"] if len(lines) > _SHOWN_ODD else []
    return ["Not as NEP-171, 177 and 178 say:", *lines[:_SHOWN_ODD], *more]


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
    smaller=_tokens_smaller,
    explain=_explain,
    examples=(Example("my NFTs at nft.localnet", {"contract_id": "nft.localnet", "account_id": "@me"}),),
)
