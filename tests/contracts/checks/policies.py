"""Subjects and policies for the tests of the policy."""

import json

from pydantic import JsonValue

from contracts.calls import Action, ChangeCall, FunctionCall, SetOff, Transfer
from contracts.checks.policy import Subject, judge
from contracts.checks.policy_file import Policy, parse_policy
from contracts.checks.verdict import Verdict
from contracts.knowledge.registry import Network, Registry
from contracts.types import TGAS, AccountId, Gas, Yocto, parse_near

REGISTRY = Registry.for_network("localnet")
ALICE = AccountId("alice.localnet")
NEAR = "NEAR"
USDC = "usdc.localnet"
GAS_COST = 10**21


def policy(body: str = "") -> Policy:
    """A policy whose `[default]` section is the text."""
    return parse_policy(f"version = 1\n[default]\n{body}", REGISTRY)


def call(
    method: str, args: JsonValue = None, *, to: str = USDC, near: str = "0", tgas: int = 10, raw: bytes | None = None
) -> ChangeCall:
    data = raw if raw is not None else json.dumps({} if args is None else args).encode()
    return ChangeCall(AccountId(to), (FunctionCall(method, data, Gas(tgas * TGAS), parse_near(near)),))


def pay(to: str, near: str) -> ChangeCall:
    return ChangeCall(AccountId(to), (Transfer(parse_near(near)),))


def action(one: Action, to: str = ALICE) -> ChangeCall:
    return ChangeCall(AccountId(to), (one,))


def ft_transfer(to: str, units: int, *, token: str = USDC, memo: str | None = None) -> ChangeCall:
    args: dict[str, JsonValue] = {"receiver_id": to, "amount": str(units)}
    if memo is not None:
        args["memo"] = memo
    data = json.dumps(args).encode()
    return ChangeCall(AccountId(token), (FunctionCall("ft_transfer", data, Gas(10 * TGAS), Yocto(1)),))


def subject(
    *calls: ChangeCall,
    network: Network = "localnet",
    identity: str = "key",
    known: tuple[str, ...] = (),
    asks: tuple[str, ...] = (),
    sets_off: tuple[SetOff, ...] = (),
) -> Subject:
    contracts = frozenset(str(token.contract_id) for token in REGISTRY.tokens)
    return Subject(
        network, identity, ALICE, calls, (GAS_COST,) * len(calls), frozenset(known), contracts, asks, sets_off
    )


def verdict_of(body: str, *calls: ChangeCall, known: tuple[str, ...] = ("bob.localnet",)) -> Verdict:
    return judge(policy(body), subject(*calls, known=known))


def rules_of(verdict: Verdict) -> set[str]:
    """The rules that deny, or where none does, those that ask."""
    denied = {reason.rule for reason in verdict.reasons if reason.decision == "deny"}
    return denied or {reason.rule for reason in verdict.reasons if reason.decision == "ask"}
