"""Non-fungible tokens on the move: NEP-171 transfers, NEP-178 approvals, and minting, which no standard describes."""

from typing import Final

from pydantic import Field

from contracts.calls import ChangeCall, FunctionCall
from contracts.catalogue.arguments import AccountArg, TextArg, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.nft_reading import NftToken
from contracts.catalogue.nfts import NftArgs, nft_fact, nft_token_facts, nft_value, odd_note, shown_nft, unreadable
from contracts.catalogue.receivers import check_receiver
from contracts.catalogue.tokens import MAX_SHOWN_MEMO, ONE_YOCTO
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput
from contracts.knowledge.facts import AccountFact, AccountFacts, ChainFacts, FactRequest
from contracts.knowledge.inert import inert, quoted
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, AccountId, Gas, JsonObject, Yocto, format_near

NFT_GAS: Final = Gas(30 * TGAS)
"""vectors/abi names 10 to 20; what is not used comes back."""
APPROVAL_BYTES: Final = 100
"""Storage that an approval is paid for: near-contract-standards counts at most 76 bytes and sends the rest back."""
MINT_BYTES: Final = 1_500
"""Storage that a new token is paid for, its texts apart; the rest comes back."""
MAX_TITLE: Final = 200


class NftTransferArgs(NftArgs):
    receiver_id: AccountArg
    memo: TextArg | None = None


class NftMintArgs(NftArgs):
    receiver_id: AccountArg | None = Field(None, description="absent: the caller")
    title: TextArg | None = None


class NftApprovalArgs(NftArgs):
    account_id: AccountArg


def _call(method: str, args: JsonObject, deposit: Yocto) -> FunctionCall:
    return FunctionCall(method, compact_json(args), NFT_GAS, deposit)


def _spent(context: BuildContext, deposit: Yocto) -> tuple[Effect, ...]:
    return (Effect(context.signer_id, NEAR_SYMBOL, -deposit),)


def _transfer_needs(args: NftTransferArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (nft_token_facts(args.contract_id, args.token_id), AccountFacts(args.receiver_id))


def _transfer_build(args: NftTransferArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token, signer_id, receiver_id = nft_fact(args, facts, context), context.signer_id, args.receiver_id
    approval_id = None if token.owner_id == signer_id else token.approval_of(signer_id)
    if token.owner_id != signer_id and approval_id is None:
        if token.may_be_approved(signer_id):
            raise unreadable(args, "nobody can say which approval is yours")
        raise _not_yours(args, token, context)
    _check_new_owner(args, token)
    notes = [*check_receiver(receiver_id, facts, context), *odd_note(token)]
    receiver = facts.of(AccountFacts(receiver_id), AccountFact)
    if isinstance(receiver, AccountFact) and receiver.has_code:
        notes.append(f"warning: {receiver_id} is a contract; one that knows nothing of NFTs can never send it on")
    sent: JsonObject = {"receiver_id": receiver_id, "token_id": args.token_id}
    if approval_id is not None:
        sent["approval_id"] = approval_id
        notes.append(f"{token.owner_id} owns it; {signer_id} is approved to transfer it")
    if args.memo is not None:
        sent["memo"] = args.memo
        notes.append(f"memo: {quoted(args.memo, MAX_SHOWN_MEMO)}")
    return Built(
        calls=(ChangeCall(args.contract_id, (_call("nft_transfer", sent, ONE_YOCTO),)),),
        summary=f"send {shown_nft(args.contract_id, args.token_id)}{token.title} to {receiver_id}",
        expected=(*_owners(args, AccountId(token.owner_id), receiver_id), *_spent(context, ONE_YOCTO)),
        notes=tuple(notes),
    )


def _owners(args: NftArgs, loser: AccountId | None, gainer: AccountId) -> tuple[Effect, ...]:
    """The NFT in other hands."""
    gained = Effect(gainer, args.contract_id, 1, token_id=args.token_id)
    return (gained,) if loser is None else (Effect(loser, args.contract_id, -1, token_id=args.token_id), gained)


def _check_new_owner(args: NftTransferArgs, token: NftToken) -> None:
    if args.receiver_id == token.owner_id:
        raise InvalidInput(
            "receiver_owns_it",
            f"{args.receiver_id} owns {shown_nft(args.contract_id, args.token_id)} already; there is nothing to send",
            details={"receiver_id": args.receiver_id},
        )
    if args.receiver_id == args.contract_id:
        raise InvalidInput(
            "receiver_is_token",
            f"{args.receiver_id} is the collection itself: a token that is sent to it is lost",
            details={"receiver_id": args.receiver_id},
        )


def _not_yours(args: NftArgs, token: NftToken, context: BuildContext) -> InvalidInput:
    return InvalidInput(
        "not_the_owner",
        f"{shown_nft(args.contract_id, args.token_id)} belongs to {token.owner_id}, not to "
        f"{context.signer_id}, so {context.signer_id} cannot do this with it",
        details={"contract_id": args.contract_id, "token_id": args.token_id, "owner_id": token.owner_id},
    )


def _mint_needs(args: NftMintArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (
        nft_token_facts(args.contract_id, args.token_id),
        AccountFacts(args.receiver_id or context.signer_id),
    )


def _mint_build(args: NftMintArgs, facts: ChainFacts, context: BuildContext) -> Built:
    receiver_id, title = args.receiver_id or context.signer_id, args.title
    if nft_value(args, facts, context) is not None:
        raise InvalidInput(
            "nft_exists",
            f"there is {shown_nft(args.contract_id, args.token_id)} already; a token id is given once",
            details={"contract_id": args.contract_id, "token_id": args.token_id},
        )
    if title is not None and len(title) > MAX_TITLE:
        raise InvalidInput(
            "title_too_long",
            f"title has {len(title)} characters; at most {MAX_TITLE} are taken",
            details={"argument": "title"},
        )
    notes = check_receiver(receiver_id, facts, context)
    metadata: JsonObject = {"title": title} if title is not None else {"title": args.token_id}
    sent: JsonObject = {"token_id": args.token_id, "token_owner_id": receiver_id, "token_metadata": metadata}
    # The id stands in several places of a contract's storage, the title in one.
    size = MINT_BYTES + 4 * len(args.token_id.encode()) + len((title or "").encode())
    deposit = Yocto(size * context.limits.storage_amount_per_byte)
    named = f" “{inert(title, MAX_TITLE)}”" if title is not None else ""
    return Built(
        calls=(ChangeCall(args.contract_id, (_call("nft_mint", sent, deposit),)),),
        summary=f"mint {shown_nft(args.contract_id, args.token_id)}{named} for {receiver_id}",
        expected=(*_owners(args, None, receiver_id), *_spent(context, deposit)),
        notes=(
            *notes,
            f"up to {format_near(deposit)} NEAR pays for its storage; the contract sends back what it does not need",
            "minting is no standard: a contract decides who may do it",
        ),
    )


def _approval_needs(args: NftApprovalArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (nft_token_facts(args.contract_id, args.token_id), AccountFacts(args.account_id))


def _approve_build(args: NftApprovalArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token = nft_fact(args, facts, context)
    if token.owner_id != context.signer_id:
        raise _not_yours(args, token, context)
    if args.account_id == context.signer_id:
        raise InvalidInput(
            "approval_of_oneself",
            f"{args.account_id} owns it and needs no approval; name the account that may transfer it",
            details={"account_id": args.account_id},
        )
    notes = check_receiver(args.account_id, facts, context)
    if args.account_id in token.approvals:
        notes = (*notes, f"{args.account_id} is approved already; this replaces the approval with a new one")
    meaning = (
        f"warning: {args.account_id} may then send this NFT to anyone, at any time and without asking, until it is "
        "transferred or nft_revoke takes the approval back"
    )
    deposit = Yocto(APPROVAL_BYTES * context.limits.storage_amount_per_byte)
    sent: JsonObject = {"token_id": args.token_id, "account_id": args.account_id}
    return Built(
        calls=(ChangeCall(args.contract_id, (_call("nft_approve", sent, deposit),)),),
        summary=f"let {args.account_id} transfer {shown_nft(args.contract_id, args.token_id)}{token.title}",
        expected=_spent(context, deposit),
        notes=(
            *notes,
            *odd_note(token),
            meaning,
            f"up to {format_near(deposit)} NEAR pays for its storage; the contract sends back what it does not need",
        ),
    )


def _revoke_needs(args: NftApprovalArgs, _context: BuildContext) -> tuple[FactRequest, ...]:
    return (nft_token_facts(args.contract_id, args.token_id),)


def _revoke_build(args: NftApprovalArgs, facts: ChainFacts, context: BuildContext) -> Built:
    token = nft_fact(args, facts, context)
    if token.owner_id != context.signer_id:
        raise _not_yours(args, token, context)
    if not token.may_be_approved(args.account_id):
        raise InvalidInput(
            "not_approved",
            f"{args.account_id} is not approved for {shown_nft(args.contract_id, args.token_id)}; there is nothing to revoke",
            details={"account_id": args.account_id, "contract_id": args.contract_id},
        )
    sent: JsonObject = {"token_id": args.token_id, "account_id": args.account_id}
    return Built(
        calls=(ChangeCall(args.contract_id, (_call("nft_revoke", sent, ONE_YOCTO),)),),
        summary=(
            f"take back from {args.account_id} the approval to transfer "
            f"{shown_nft(args.contract_id, args.token_id)}{token.title}"
        ),
        expected=_spent(context, ONE_YOCTO),
        notes=odd_note(token),
    )


NFT_TRANSFER: Final = Entry(
    name="nft_transfer",
    kind="change",
    about="send an NFT",
    args=NftTransferArgs,
    needs=_transfer_needs,
    build=_transfer_build,
    examples=(
        Example(
            "send NFT 1 of nft.localnet to bob.localnet",
            {"contract_id": "nft.localnet", "token_id": "1", "receiver_id": "bob.localnet"},
        ),
    ),
)

NFT_MINT: Final = Entry(
    name="nft_mint",
    kind="change",
    about="mint an NFT where the contract allows it",
    args=NftMintArgs,
    needs=_mint_needs,
    build=_mint_build,
    examples=(
        Example(
            "mint NFT 7 at nft.localnet for bob.localnet with the title Harbour",
            {"contract_id": "nft.localnet", "token_id": "7", "receiver_id": "bob.localnet", "title": "Harbour"},
        ),
    ),
)

NFT_APPROVE: Final = Entry(
    name="nft_approve",
    kind="change",
    about="approve an account for an NFT (NEP-178)",
    args=NftApprovalArgs,
    needs=_approval_needs,
    build=_approve_build,
    examples=(
        Example(
            "let bob.localnet transfer my NFT 1 of nft.localnet",
            {"contract_id": "nft.localnet", "token_id": "1", "account_id": "bob.localnet"},
        ),
    ),
)

NFT_REVOKE: Final = Entry(
    name="nft_revoke",
    kind="change",
    about="revoke that approval",
    args=NftApprovalArgs,
    needs=_revoke_needs,
    build=_revoke_build,
    examples=(
        Example(
            "bob.localnet may no longer transfer my NFT 1 of nft.localnet",
            {"contract_id": "nft.localnet", "token_id": "1", "account_id": "bob.localnet"},
        ),
    ),
)
