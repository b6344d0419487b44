"""What a built call is, whoever built it: its typed action, what it can take at most, and every account it names.

A known NEP method inside a `contract_call` is read as the action of that name, so nothing goes round the policy by being
called by hand. What a method name says is a claim of the contract: the NEAR that is attached is counted whatever it is
called, and a name that is not known here always asks. Sources: NEP-141, 145, 171, 178, 199; sputnik-dao v2, ref-exchange
and staking-pool sources.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from contracts.call_arguments import read_arguments
from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    Delegate,
    DeleteAccount,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    Stake,
    Transfer,
    TransferToGasKey,
)
from contracts.checks.methods import EVERY, KNOWN, Category, Found, Known
from contracts.checks.named_accounts import NamedAccounts
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import AccountId, JsonObject

MAX_RECIPIENTS: Final = 64
"""More accounts in one call's arguments than that are not told apart: the call is refused by the judge."""

_LONGEST_NAME: Final = 256
"""Bytes of a method name on chain (`max_length_method_name`)."""
_OWNER_LIKE: Final = re.compile(
    r"(set|change|update|transfer|propose|accept|claim|add|remove|grant|revoke|extend|renounce|assign)"
    r"\w{0,255}(owner|admin|operator|guardian|manager|minter|role|governance|council|whitelist|key|contract|code|permission"
    r"|policy)|^(owner|upgrade|migrate|deploy|init|selfdestruct|upstagecode|updeploycode|setcode|acl|unsafe)\w*"
    r"|^pa(un)?pause\w*|^new(default\w*)?$"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One action of a transaction, as the policy sees it."""

    action: str
    """The catalogue's name, `contract_call` where the method is none that is known."""
    contract_id: AccountId
    method: str | None
    near: int
    """NEAR attached or sent, in yocto."""
    gas: int
    tokens: tuple[tuple[str, int], ...]
    """Tokens that leave the signer at most, in base units; NFTs in pieces. EVERY stands for all of them and for NEAR."""
    recipients: tuple[tuple[str, str], ...]
    """(account, where it stands)."""
    categories: tuple[Category, ...] = ()
    everything: bool = False
    """All NEAR of the account leaves."""
    staked: int = 0
    """NEAR that moves within a staking pool and stays the signer's, in yocto; U128_MAX for all of it."""
    mentioned: tuple[tuple[str, str], ...] = ()
    """As `recipients`, for words that may name an account and may be anything else: only the policy's lists look at them."""
    actions: tuple[str, ...] = ()
    """The catalogue's names of what a known method can be, if its arguments stay unread."""

    @property
    def unread(self) -> bool:
        """Whether it is a known method whose arguments stay unread."""
        return bool(self.actions)


def units_of(one: Judged, token: str) -> int:
    """The most of a token (`NEAR`, a contract's id, `nft:` and a contract's id) that leaves by this action, in base units."""
    units = one.near if token == NEAR_SYMBOL else 0
    return units + sum(amount for name, amount in one.tokens if name in {token, EVERY})


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote for something that another account then does."""

    contract_id: AccountId
    proposal_id: int | None
    """None: nobody can say which."""


def votes_of(call: ChangeCall) -> Iterator[Vote]:
    """The votes in a transaction by which something that stands elsewhere may be carried out."""
    for action in call.actions:
        match action:
            case FunctionCall():
                vote = vote_of(call.receiver_id, action)
                if vote is not None:
                    yield vote
            case Delegate(inner):
                yield from votes_of(ChangeCall(inner.receiver_id, inner.actions))
            case _:
                pass


def vote_of(contract_id: AccountId, call: FunctionCall) -> Vote | None:
    """sputnik-dao's `act_proposal`, but to reject or remove, and a multisig's `confirm`; None for other calls."""
    if call.method_name not in _VOTES:
        return None
    arguments = read_arguments(call.args)
    if arguments is None:
        return Vote(contract_id, None)
    if call.method_name == "act_proposal" and arguments.get("action") in _AGAINST:
        return None
    if call.method_name == "confirm" and "request_id" not in arguments:
        return None
    wanted = arguments.get("id") if call.method_name == "act_proposal" else None
    known = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0
    return Vote(contract_id, wanted if known and isinstance(wanted, int) else None)


_VOTES: Final = frozenset({"act_proposal", "confirm"})
_AGAINST: Final = ("VoteReject", "VoteRemove")


def read_call(call: ChangeCall) -> tuple[Judged, ...]:
    """Each action of a transaction, read."""
    creates = any(isinstance(action, CreateAccount) for action in call.actions)
    return tuple(_read_action(call.receiver_id, action, creates=creates) for action in call.actions)


def _read_action(receiver_id: AccountId, action: Action, *, creates: bool) -> Judged:
    match action:
        case FunctionCall():
            return _read_function_call(receiver_id, action)
        case Transfer(deposit):
            name = "account_create" if creates else "near_transfer"
            return _judged(name, receiver_id, near=deposit, recipients=((receiver_id, "receiver"),))
        case CreateAccount():
            return _judged("account_create", receiver_id, recipients=((receiver_id, "new account"),))
        case AddKey() if creates:
            return _judged("account_create", receiver_id)
        case AddKey(_, permission):
            name = "key_add_full" if isinstance(permission, FullAccess) else "key_add_function_call"
            return _judged(name, receiver_id, categories=("keys",))
        case DeleteAccount(beneficiary_id):
            to = ((beneficiary_id, "beneficiary"),)
            return _judged("account_delete", receiver_id, recipients=to, categories=("deletion",), everything=True)
        case Stake() | TransferToGasKey() | DeterministicStateInit() | Delegate():
            return _read_payment(receiver_id, action)
        case _:
            return _judged(
                _NAMES.get(action.kind, action.kind),
                receiver_id,
                categories=(_OF_KIND.get(action.kind, "unusual_action"),),
            )


_NAMES: Final[Mapping[str, str]] = {"delete_key": "key_delete"}
_OF_KIND: Final[Mapping[str, Category]] = {
    "delete_key": "keys",
    "deploy_contract": "deploy",
    "deploy_global_contract": "deploy",
    "use_global_contract": "deploy",
}


def _read_payment(
    receiver_id: AccountId, action: Stake | TransferToGasKey | DeterministicStateInit | Delegate
) -> Judged:
    """Actions that cost NEAR and that a person is always asked about."""
    to: tuple[tuple[str, str], ...] = ((receiver_id, "receiver"),)
    within: list[Judged] = []
    match action:
        case Stake(stake):
            near, to = stake, ()
        case TransferToGasKey() | DeterministicStateInit():
            near = action.deposit
        case Delegate(inner):
            # Whoever relays it pays for what is attached to its actions; their tokens are its sender's, who may be the same.
            within = [_read_action(inner.receiver_id, one, creates=False) for one in inner.actions]
            near = sum(one.near for one in within)
            to = ((inner.receiver_id, "receiver"), *(named for one in within for named in one.recipients))
        case _:
            assert_never(action)
    return replace(
        _judged(action.kind, receiver_id, near=near, recipients=to, categories=("unusual_action",)),
        tokens=tuple(token for one in within for token in one.tokens),
        mentioned=tuple(named for one in within for named in one.mentioned),
    )


def _judged(
    action: str,
    contract_id: AccountId,
    *,
    near: int = 0,
    recipients: tuple[tuple[str, str], ...] = (),
    categories: tuple[Category, ...] = (),
    everything: bool = False,
) -> Judged:
    return Judged(action, contract_id, None, near, 0, (), recipients, categories, everything)


def _found(contract_id: AccountId, known: Known | None, arguments: JsonObject | None) -> tuple[Found, tuple[str, ...]]:
    """The call of a method, and if a known one's arguments stay unread, the names of what it can be."""
    if known is None:
        return Found("contract_call", (), ("unread_arguments" if arguments is None else "unknown_method",)), ()
    found = None if arguments is None else known.read(contract_id, arguments)
    return (known.unread(contract_id), known.actions) if found is None else (found, ())


def _is_owner_like(method_name: str) -> bool:
    """Whether a method of this name may change who owns or runs a contract; a name that no contract can have may be any."""
    name = method_name.replace("_", "").lower()
    return len(name) > _LONGEST_NAME or _OWNER_LIKE.search(name) is not None


def _read_function_call(contract_id: AccountId, call: FunctionCall) -> Judged:
    arguments = read_arguments(call.args)
    known = KNOWN.get(call.method_name)
    foreign = known is not None and arguments is not None and not arguments.keys() <= known.arguments
    named = NamedAccounts(known=known is not None and not foreign)
    if arguments is None:
        named.opaque(call.args, "arguments")
    else:
        named.read(arguments, "", 0)
    found, actions = _found(contract_id, known, None if known and named.unread_message else arguments)
    categories = found.categories
    if foreign:
        categories = (*categories, "unknown_method")
    if known is None and _is_owner_like(call.method_name):
        categories = (*categories, "owner_change")
    if call.method_name.startswith("mt_"):
        categories = (*categories, "unread_amount")
    if named.no_minimum:
        categories = (*categories, "no_minimum_out")
    return Judged(
        action=found.action,
        contract_id=contract_id,
        method=call.method_name,
        near=call.deposit,
        gas=call.gas,
        tokens=found.tokens,
        recipients=tuple(named.accounts.items()),
        categories=categories,
        staked=found.staked,
        mentioned=tuple(named.mentioned.items()),
        actions=actions,
    )


def recipients_of(judged: tuple[Judged, ...], payer_id: AccountId | None) -> Iterator[tuple[str, str]]:
    """Every account that actions name besides the one that pays, once each; "" stands for one nobody could read."""
    seen: set[str | None] = {payer_id}
    for one in judged:
        for account_id, where in one.recipients:
            if account_id not in seen:
                seen.add(account_id)
                yield account_id, where


def mentioned_in(judged: tuple[Judged, ...], payer_id: AccountId | None) -> Iterator[tuple[str, str]]:
    """Words that may name further accounts."""
    if not any(one.mentioned for one in judged):
        return
    recipients = {account_id for account_id, _ in recipients_of(judged, None)}
    for word, where in dict(named for one in judged for named in one.mentioned).items():
        if word not in recipients and word != payer_id:
            yield word, where
