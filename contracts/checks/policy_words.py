"""A policy in plain words, for the person who wrote it."""

from collections.abc import Iterator

from contracts.checks.methods import CATEGORIES
from contracts.checks.policy_file import Methods, Names, Policy, Rules, TokenRules
from contracts.types import TGAS, format_near


def summary(policy: Policy) -> str:
    """What is allowed, what asks and what is denied, per section."""
    lines = [*_section("Everybody", policy.default)]
    for name, rules in policy.identities.items():
        lines += _section(f"Identity {name}", rules)
    lines += [f"Address book: {one.name} is {one.account_id}" for one in policy.address_book.entries]
    return "\n".join(lines)


def _section(who: str, rules: Rules) -> Iterator[str]:
    yield f"{who}:"
    yield f"  networks: {', '.join(sorted(rules.networks)) or 'none'}; everything else is denied"
    for what, (allow, deny) in (
        ("actions", rules.actions),
        ("contracts", rules.contracts),
        ("methods", rules.methods),
        ("recipients", rules.recipients),
    ):
        if allow is not None:
            yield f"  {what}: only {_listed(allow)}"
        if _listed(deny):
            yield f"  {what}: never {_listed(deny)}"
    if rules.max_deposit is not None:
        yield f"  a call carries at most {format_near(rules.max_deposit)} NEAR"
    yield f"  a call carries at most {rules.max_gas // TGAS} Tgas"
    yield f"  always asks: {', '.join(one for one in CATEGORIES if one in rules.always_ask)}"
    for limits in rules.tokens.values():
        yield from _token(limits)
    if not any(limits.free_per_action for limits in rules.tokens.values()):
        yield "  nothing goes without asking"
    if rules.shared:
        by = f", told apart by the header {rules.user_header}" if rules.user_header else ": nobody confirms with it"
        yield f"  the key is shared{by}"
    if rules.approvers:
        yield f"  may approve besides those of the same account: {', '.join(rules.approvers)}"


def _token(limits: TokenRules) -> Iterator[str]:
    if limits.per_action is not None:
        yield f"  one action sends at most {limits.shown(limits.per_action)}"
    for budget in limits.budgets:
        free = " without asking" if budget.free else ""
        whose = "this identity" if budget.scope == "identity" else "the account"
        yield f"  {whose} spends at most {limits.shown(budget.units)} in {budget.window_s / 3600:g} h{free}"
    if limits.free_per_action:
        yield f"  up to {limits.shown(limits.free_per_action)} go without asking"
    if limits.ask_elsewhere_above is not None:
        yield f"  above {limits.shown(limits.ask_elsewhere_above)} another channel approves than the one that asked"
    if limits.two_approvers_above is not None:
        yield f"  above {limits.shown(limits.two_approvers_above)} two people approve"


def _listed(names: Names | Methods) -> str:
    if isinstance(names, Names):
        listed = (
            *sorted(names.exact),
            *(f"*{ending}" for ending in names.endings),
            *(["*"] if names.everything else []),
        )
        return ", ".join(listed)
    return ", ".join(f"{_listed(contracts)}:{method}" for contracts, method in names.pairs)
