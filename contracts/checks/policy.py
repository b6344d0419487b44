"""May these calls go, and who has to say so: judged on the built calls in exact units, never on words about them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from contracts.calls import ChangeCall, SetOff
from contracts.chain.budget import STAKED, Budget, Spend
from contracts.checks.judging import (
    MAX_RECIPIENTS,
    Judged,
    mentioned_in,
    read_call,
    recipients_of,
    units_of,
    votes_of,
)
from contracts.checks.methods import EVERY, Category
from contracts.checks.policy_file import Methods, Names, Policy, Rules, TokenRules
from contracts.checks.verdict import Decision, Reason, Recipient, Verdict
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import NEAR_SYMBOL, Network
from contracts.types import TGAS, U128_MAX, AccountId, format_near, format_units

_WHY: Final[Mapping[Category, str]] = {
    "keys": "it changes the account's access keys",
    "deletion": "it deletes something for good",
    "deploy": "it deploys code",
    "owner_change": "the method's name says that it changes who or what controls the contract",
    "unusual_action": "it is an action that this policy does not read",
    "unknown_method": "the method is none of a standard that is known here",
    "nft_approve": "it lets somebody else move the NFT",
    "dao": "it acts in a DAO, which may move the DAO's money",
    "no_minimum_out": "it swaps without a minimum of what must come out",
    "first_recipient": "nothing has been sent there before",
    "unread_amount": "what it moves does not stand in its arguments as in those of other tokens, so no limit counts it",
    "unread_arguments": "its arguments cannot be read, so what it moves is not known and it counts as all that it could move",
}


_TOKEN_KEYS: Final = (".token_in", ".token_out", ".token_id", ".token", ".tokens")
"""Arguments in which a contract of the registry is a token to trade, and nothing goes to it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, and what is known about it."""

    network: Network
    identity: str
    """Key id of who asks; `KEY/USER` where a trusted header of a shared key names the person."""
    signer_id: AccountId
    calls: tuple[ChangeCall, ...]
    gas_yocto: tuple[int, ...]
    """Per call, the most that its gas can cost."""
    known: frozenset[str]
    """Accounts that this signer has paid or called before, with a final outcome."""
    contracts: frozenset[str] = frozenset()
    """Contracts of the registry."""
    asks: tuple[str, ...] = ()
    """Further reasons to ask a person, from the pre-flight."""
    sets_off: tuple[SetOff, ...] = ()
    """What votes among the calls make others do, as far as it could be read."""
    outflows: Mapping[tuple[AccountId, str], int] = field(default_factory=dict[tuple[AccountId, str], int])
    """The simulated outflow of each token (`NEAR` without gas) from each account, in base units; empty without a simulation."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A transaction of the plan, or what one of its votes makes another account send."""

    judged: tuple[Judged, ...]
    place: int
    """Of the transaction in the plan."""
    sets_off: SetOff | None = None

    def payer_id(self, signer_id: AccountId) -> AccountId:
        return signer_id if self.sets_off is None else self.sets_off.payer_id

    def where(self, where: str) -> str:
        if self.sets_off is None:
            return where
        return f"proposal {self.sets_off.proposal_id} of {self.sets_off.payer_id}: {where}"


def judge(policy: Policy, subject: Subject) -> Verdict:
    """The verdict by all rules but the rolling budgets, which `within` adds."""
    rules = policy.rules_of(subject.identity)
    reasons: list[Reason] = []
    if subject.network not in rules.networks:
        reasons.append(_denied_network(rules, subject.network))
    read = [_Read(read_call(call), place) for place, call in enumerate(subject.calls)]
    read += _set_off(rules, subject, reasons)
    recipients: dict[str, Recipient] = {}
    for one in read:
        # A payout to whoever votes for it is a payout: the signer is a recipient of what others send.
        skipped = subject.signer_id if one.sets_off is None else None
        for account_id, place in recipients_of(one.judged, skipped):
            where = one.where(place)
            reasons += _check_recipient(rules, subject, account_id, where)
            if account_id and account_id not in recipients and not _is_traded(subject, account_id, where):
                name = policy.address_book.name_of(account_id)
                recipients[account_id] = Recipient(account_id, where, name)
        for account_id, place in mentioned_in(one.judged, skipped):
            reasons += _check_recipient(rules, subject, account_id, one.where(place))
        for action in one.judged:
            reasons += _check_lists(rules, action, others=one.sets_off is not None)
            reasons += _check_paid(rules, action, subject.contracts)
            reasons += _check_caps(rules, action)
        reasons += _asked(rules, one.judged)
    if subject.outflows:
        reasons += _beyond_read(rules, subject, read)
    if len(recipients) > MAX_RECIPIENTS:
        reasons += _unread(rules, f"{len(recipients)} accounts are named, more than anybody would read")
    reasons += _misread(policy, recipients)
    if "first_recipient" in rules.always_ask:
        reasons += _first(policy, rules, subject, recipients, read)
    reasons += [Reason("preflight", "ask", text) for text in subject.asks]
    return _weighed(rules, subject, read, tuple(recipients.values()), reasons)


def _set_off(rules: Rules, subject: Subject, reasons: list[Reason]) -> Iterator[_Read]:
    """What the votes of a plan make others do; a vote of which that is not known is a reason."""
    known = {(one.payer_id, one.proposal_id): one for one in subject.sets_off}
    for place, call in enumerate(subject.calls):
        for vote in votes_of(call):
            found = None if vote.proposal_id is None else known.get((vote.contract_id, vote.proposal_id))
            # What it makes another vote for is read by nobody.
            if found is None or not found.whole or any(True for one in found.calls for _ in votes_of(one)):
                what = "" if vote.proposal_id is None else f" for proposal {vote.proposal_id}"
                text = f"what a vote{what} makes {vote.contract_id} pay, and to whom, cannot be read"
                reasons += _unread(rules, text)
                reasons.append(Reason("always_ask.votes", "ask", text))
            yield from () if found is None else (_Read(read_call(one), place, found) for one in found.calls)


def within(
    verdict: Verdict, used: Mapping[str, int], more_at: Mapping[str, float | None] = MappingProxyType({})
) -> Verdict:
    """The verdict with what the rolling budgets say; `used` is what is spent or reserved in the window of each, by its rule.

    `more_at`: when enough is free again of those that are passed, in Unix seconds, where that is known.
    """
    reasons = [*verdict.reasons]
    decision, free = verdict.decision, True
    for budget in verdict.budgets:
        wanted = wanted_of(verdict.spends, budget)
        if used.get(budget.rule, 0) + wanted <= budget.units:
            continue
        text = f"it is {over_budget(budget, used.get(budget.rule, 0), wanted, more_at.get(budget.rule))}"
        if budget.free:
            free = False
            reasons.append(Reason(budget.rule, "ask", text))
        else:
            reasons.append(Reason(budget.rule, "deny", text))
            decision = "deny"
    if decision == "allow" and not free:
        decision = "ask"
    budgets = verdict.budgets if decision == "allow" else tuple(one for one in verdict.budgets if not one.free)
    return replace(verdict, decision=decision, reasons=tuple(reasons), budgets=budgets)


def wanted_of(spends: Iterable[Spend], budget: Budget) -> int:
    """Return the total that a plan draws on a budget."""
    return sum(spend.units for spend in spends if spend.token in budget.counts)


def over_budget(budget: Budget, used: int, wanted: int, more_at: float | None = None) -> str:
    """Which rolling limit a plan would pass, what is left of it and when more is, in whole units; follows "it is"."""

    def shown(units: int) -> str:
        return f"{format_units(units, budget.decimals)} {budget.unit}"

    whose = "you" if budget.scope == "identity" else "the account"
    limit = f"{shown(budget.units)} in {budget.window_s / 3600:g} h"
    passed = f"the {limit} that go without asking" if budget.free else f"the limit of {limit}"
    gas = ", gas counted" if budget.token == NEAR_SYMBOL else ""
    asked = "an amount that cannot be read is" if wanted >= U128_MAX else shown(wanted)
    left = f"{asked} asked for{gas}, {shown(max(0, budget.units - used))} left"
    parts = [f"over {passed} for {whose}: {shown(used)} used or reserved, {left}", _when_more(budget, wanted, more_at)]
    if budget.symbol not in {None, budget.token}:
        parts.append(f"{budget.symbol} is {budget.token}")
    return "; ".join(parts)


def _when_more(budget: Budget, wanted: int, more_at: float | None) -> str:
    if wanted > budget.units:
        return "it never goes in one plan; ask for less"
    if more_at is None:
        return "more is free when what is on its way has ended and earlier spending has left the window"
    return f"enough is free again at {datetime.fromtimestamp(-(-more_at // 60) * 60, UTC):%Y-%m-%d %H:%M} UTC"


def _weighed(
    rules: Rules, subject: Subject, read: list[_Read], to: tuple[Recipient, ...], reasons: list[Reason]
) -> Verdict:
    """Amounts against the limits of each token, and everything put together."""
    sent = _sent(rules, read)
    spends = _spends(rules, subject, read)
    everything = any(one.everything for part in read for one in part.judged)
    elsewhere = two = False
    for token, units in sent.items():
        limits = rules.tokens.get(token)
        if limits is None:
            continue
        reasons += _over_action(limits, token, read)
        elsewhere = elsewhere or _above(limits.ask_elsewhere_above, units, everything=everything)
        two = two or _above(limits.two_approvers_above, units, everything=everything)
    if (elsewhere or two) and not reasons:
        reasons.append(
            Reason("free_allowance", "ask", "it is an amount that people approve, whatever goes without asking")
        )
    if everything and NEAR_SYMBOL in rules.tokens and _limits_near(rules.tokens[NEAR_SYMBOL]):
        text = "it sends all NEAR that the account has, which no limit allows; raise the limits to do this"
        reasons.append(Reason(rules.tokens[NEAR_SYMBOL].rule, "deny", text))
    if not reasons:
        reasons += _free(rules, sent, sum(one.staked for part in read for one in part.judged))
    decision: Decision = "allow"
    for reason in reasons:
        if reason.decision == "deny" or (reason.decision == "ask" and decision == "allow"):
            decision = reason.decision
    budgets: list[Budget] = []
    for token in dict.fromkeys(NEAR_SYMBOL if spend.token == STAKED else spend.token for spend in spends):
        limits = rules.tokens.get(token)
        if limits is not None:
            budgets += [budget for budget in limits.budgets if decision == "allow" or not budget.free]
    return Verdict(
        decision=decision,
        reasons=tuple(reasons),
        approvers=2 if two else 1,
        elsewhere=elsewhere,
        chat_allowed=subject.network == "localnet" or not rules.shared or "/" in subject.identity,
        spends=spends,
        budgets=tuple(budgets),
        recipients=to,
        approver_ids=rules.approvers,
    )


def _denied_network(rules: Rules, network: Network) -> Reason:
    if rules.section == "built-in":
        text = f'nothing is sent on {network} without a policy; write a policy.toml with networks = ["{network}"]'
    else:
        text = f"{rules.section} does not allow {network}; add it to its networks"
    return Reason(f"{rules.section}.networks", "deny", text)


def _check_recipient(rules: Rules, subject: Subject, account_id: str, where: str) -> Iterable[Reason]:
    if _is_traded(subject, account_id, where):
        return _listed(rules.contracts, account_id, "contract", where)
    if account_id:
        return _listed(rules.recipients, account_id, "recipient", where)
    return _unread(
        rules, f"nobody can tell which accounts {inert(where, 60)} names: it cannot be read, or not all of it"
    )


def _is_traded(subject: Subject, account_id: str, where: str) -> bool:
    """Whether an argument names a token to trade: nothing goes to its contract."""
    return account_id in subject.contracts and where.endswith(_TOKEN_KEYS)


def _unread(rules: Rules, text: str) -> Iterable[Reason]:
    allow, deny = rules.recipients
    if allow is not None or deny.exact or deny.endings:
        return (Reason(deny.rule, "deny", text),)
    return (Reason("always_ask.recipients", "ask", text),)


def _check_lists(rules: Rules, one: Judged, *, others: bool) -> Iterator[Reason]:
    """`others`: somebody else does it, so what this identity itself may do is no list for it."""
    actions = (None, rules.actions[1]) if others else rules.actions
    yield from _listed(actions, one.action, "action")
    for name in one.actions:
        if rules.actions[1].has(name):
            yield _refused(rules.actions[1], "action", name, "as which its arguments cannot be read")
    if one.method is None:
        return
    yield from _listed(rules.contracts, one.contract_id, "contract")
    allow, deny = (None, rules.methods[1]) if others else rules.methods
    denied = deny.has(one.contract_id, one.method)
    if denied or (allow is not None and not allow.has(one.contract_id, one.method)):
        yield _refused(deny if denied or allow is None else allow, "method", one.method, one.contract_id)


def _check_paid(rules: Rules, one: Judged, contracts: frozenset[str]) -> Iterable[Reason]:
    """NEAR that is attached goes to the contract: it is a recipient like any other, unless it is a known or listed one."""
    if one.method is None or one.near <= 1 or one.contract_id in contracts:
        return ()
    allow, _ = rules.contracts
    if allow is not None and allow.has(one.contract_id):
        return ()
    return _listed(rules.recipients, one.contract_id, "recipient", f"what is attached to {one.method}")


def _listed(lists: tuple[Names | None, Names], name: str, what: str, where: str = "") -> Iterable[Reason]:
    allow, deny = lists
    if deny.has(name):
        return (_refused(deny, what, name, where),)
    if allow is not None and not allow.has(name):
        return (_refused(allow, what, name, where),)
    return ()


def _refused(rule: Names | Methods, what: str, name: str, where: str) -> Reason:
    shown = f"{what} {inert(name, 80)}" + (f" ({inert(where, 60)})" if where else "")
    if rule.rule.endswith("deny"):
        return Reason(rule.rule, "deny", f"{shown} is forbidden")
    return Reason(rule.rule, "deny", f"{shown} is not among those that are allowed; add it there to allow it")


def _check_caps(rules: Rules, one: Judged) -> Iterator[Reason]:
    if one.gas > rules.max_gas:
        text = f"{one.method} carries {one.gas // TGAS} Tgas, at most {rules.max_gas // TGAS} are allowed"
        yield Reason(f"{rules.section}.max_gas_tgas", "deny", text)
    if rules.max_deposit is not None and one.method is not None and one.near > rules.max_deposit:
        text = (
            f"{one.method} carries {format_near(one.near)} NEAR, at most {format_near(rules.max_deposit)} are allowed"
        )
        yield Reason(f"{rules.section}.max_deposit_near", "deny", text)


def _asked(rules: Rules, judged: tuple[Judged, ...]) -> Iterator[Reason]:
    for one in judged:
        for category in one.categories:
            if category in rules.always_ask:
                what = f"{inert(one.method, 60)} of {one.contract_id}" if one.method else one.action
                yield Reason(f"always_ask.{category}", "ask", f"{what}: {_WHY[category]}")


def _first(
    policy: Policy,
    rules: Rules,
    subject: Subject,
    recipients: Mapping[str, Recipient],
    read: list[_Read],
) -> Iterator[Reason]:
    """Accounts and contracts that this signer has nothing to do with yet, and that no list names."""

    def new(account_id: str, allow: Names | None) -> bool:
        named = policy.address_book.name_of(account_id) is not None or (allow is not None and account_id in allow.exact)
        return account_id not in subject.known and not named

    for account_id in recipients:
        if account_id != subject.signer_id and new(account_id, rules.recipients[0]):
            yield Reason("always_ask.first_recipient", "ask", f"{account_id}: {_WHY['first_recipient']}")
    called = {
        one.contract_id for part in read if part.sets_off is None for one in part.judged if one.method is not None
    }
    for contract_id in sorted(called - subject.contracts - {subject.signer_id}):
        if new(contract_id, rules.contracts[0]):
            yield Reason("always_ask.first_recipient", "ask", f"{contract_id} has not been called before")


def _misread(policy: Policy, recipients: Iterable[str]) -> Iterator[Reason]:
    """Accounts that are called as the address book calls others."""
    for account_id in recipients:
        named = policy.address_book.named(account_id)
        if named is not None and named.account_id != account_id:
            text = f"the account {account_id} is another one than {named.account_id}, which the address book calls so"
            yield Reason("always_ask.address_book", "ask", text)


def _beyond_read(rules: Rules, subject: Subject, read: list[_Read]) -> Iterator[Reason]:
    """More that leaves an account by the simulation than its calls say: a contract took them for something else."""
    for payer_id in dict.fromkeys(part.payer_id(subject.signer_id) for part in read):
        parts = [part for part in read if part.payer_id(subject.signer_id) == payer_id]
        sent = _sent(rules, parts)
        if any(one.everything for part in parts for one in part.judged):
            sent[NEAR_SYMBOL] = U128_MAX
        bonds = {part.sets_off.proposal_id: part.sets_off.bond for part in parts if part.sets_off is not None}
        for token in dict.fromkeys((NEAR_SYMBOL, *rules.tokens)):
            seen = sent.get(token, 0) + (sum(bonds.values()) if token == NEAR_SYMBOL else 0)
            left = subject.outflows.get((payer_id, token), 0)
            if left > seen:
                limits = rules.tokens.get(token)
                shown = format_near(left) + " NEAR" if limits is None else limits.shown(left)
                told = format_near(seen) if limits is None else format_units(seen, limits.decimals)
                text = f"simulated, {shown} leaves {payer_id}, and the calls say {told}"
                yield Reason("preflight.outflow", "ask", text)


def _spends(rules: Rules, subject: Subject, read: list[_Read]) -> tuple[Spend, ...]:
    """Return the amounts that budgets count: deposits with gas, and tokens; for the free ones also stake moves."""
    spends: list[Spend] = []
    for part in read:
        payer_id = None if part.sets_off is None else part.sets_off.payer_id
        sent = _sent(rules, [part])
        if payer_id is None:
            paid = subject.calls[part.place].deposit + subject.gas_yocto[part.place]
            sent[NEAR_SYMBOL] = U128_MAX if sent[NEAR_SYMBOL] >= U128_MAX else paid
        spends += [Spend(token, units, part.place, payer_id) for token, units in sent.items() if units or not payer_id]
        staked = sum(one.staked for one in part.judged)
        if 0 < staked < U128_MAX:  # all of it never goes without asking
            spends.append(Spend(STAKED, staked, part.place, payer_id))
    return tuple(spends)


def _sent(rules: Rules, read: list[_Read]) -> dict[str, int]:
    """Return the total outflow without gas; an amount of any token counts for each that is limited, and for NEAR."""
    sent = {NEAR_SYMBOL: 0}
    for part in read:
        for one in part.judged:
            sent[NEAR_SYMBOL] += one.near
            for token, units in one.tokens:
                for name in {NEAR_SYMBOL, *rules.tokens} if token == EVERY else (token,):
                    sent[name] = sent.get(name, 0) + units
    return sent


def _over_action(limits: TokenRules, token: str, read: list[_Read]) -> Iterator[Reason]:
    if limits.per_action is None:
        return
    for part in read:
        for one in part.judged:
            units = units_of(one, token)
            if units > limits.per_action:
                who = "" if part.sets_off is None else f" of {part.sets_off.payer_id}"
                amount = limits.shown(units) if units < U128_MAX else f"an amount of {limits.name} that cannot be read"
                text = f"{one.action}{who} sends {amount}, at most {limits.shown(limits.per_action)} in one action are allowed"
                yield Reason(f"{limits.rule}.per_action", "deny", text)


def _above(threshold: int | None, units: int, *, everything: bool) -> bool:
    return threshold is not None and (everything or units > threshold)


def _limits_near(limits: TokenRules) -> bool:
    return limits.per_action is not None or any(not budget.free for budget in limits.budgets)


def _free(rules: Rules, sent: Mapping[str, int], staked: int) -> Iterator[Reason]:
    """Whether every token that is sent is within its free allowance; gas and what a staking pool moves need NEAR's."""
    for token, units in sent.items():
        limits = rules.tokens.get(token)
        free = 0 if limits is None else limits.free_per_action or 0
        moved = units + staked if token == NEAR_SYMBOL else units
        if limits is not None and free and moved <= free:
            yield Reason(f"{limits.rule}.free_per_action", "allow", f"{limits.name} is within the free allowance")
        elif moved or token == NEAR_SYMBOL:
            name = token if limits is None else limits.name
            yield Reason("free_allowance", "ask", f"{name} is above what goes without asking")
