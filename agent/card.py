"""The approval card: the facts of a plan that waits for a person's word, and the text that people read. Pure.

The text has the layout of `agent.markup`: a heading, then items. First what the plan changes and what to look at, then what
is called, then gas and checks, then how to decide.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.approval import GasBound
from agent.findings import Findings
from agent.markup import ITEM, WARNING
from agent.planning.card_words import CARD_BEGIN, CARD_END, CARD_ENDS
from agent.planning.conversations import mask_text
from agent.records import CardEffect, CardFacts, CardGas, CardTransaction, CardWarning, PlannedCall, WarningKind
from contracts.calls import Action, ChangeCall, Delegate, FunctionCall, Transfer, TransferToGasKey, WithdrawFromGasKey
from contracts.chain.effects import NEAR
from contracts.checks.verdict import Verdict
from contracts.knowledge.inert import inert
from contracts.types import NEAR_DECIMALS, TGAS, AccountId, format_near, format_units, near_text

_ID = re.compile(r"[a-z0-9._-]+")
_CARD_WORDS = re.compile(
    "|".join((CARD_BEGIN.strip(), *(end[:-1] for end in CARD_ENDS), "to (approve|drop it), write:?")), re.IGNORECASE
)
_WARNS: Final = re.compile(r"warning\b:?\s*", re.IGNORECASE)
_LABELS: Final = {"warning": "Warning", "policy": "Look at this", "unknown": "Not known"}
_SHOWN_METHOD: Final = 80
_SHOWN_EFFECTS: Final = 8
_SHOWN_WARNINGS: Final = 24
_BALANCE_DECIMALS: Final = 4
"""Of a balance. What leaves an account is always exact."""
_TGAS_DECIMALS: Final = 12


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan that needs a person's word, with everything that its card says."""

    request_id: str
    network: str
    signer_id: AccountId
    summaries: Sequence[str]
    notes: Sequence[str]
    """Those that begin with `warning` are warnings."""
    calls: Sequence[ChangeCall]
    calls_hash: str
    bound: GasBound
    expires_at: float
    """Unix seconds."""
    findings: Findings
    verdict: Verdict | None = None
    warnings: Sequence[str] = ()
    """Of this card as a whole: what was done before, or why an earlier card is void."""


def card_facts(proposal: Proposal) -> CardFacts:
    """The card as data. Texts that may quote outside words hold no codes and no words by which a card is known."""
    findings, bound, calls = proposal.findings, proposal.bound, proposal.calls
    warns = [*proposal.warnings, *filter(_WARNS.match, proposal.notes)]
    facts = CardFacts(
        request_id=proposal.request_id,
        network=proposal.network,
        signer_id=proposal.signer_id,
        summary=tuple(map(_no_card, proposal.summaries)),
        near_out=format_near(sum(call.deposit for call in calls)),
        effects=findings.effects,
        nfts=tuple(map(_no_card, findings.nfts)),
        warnings=(
            *_warnings("warning", (_WARNS.sub("", text, count=1) for text in dict.fromkeys(warns))),
            *_warnings("policy", _asked(proposal.verdict)),
            *_warnings("warning", findings.doubts),
            *_warnings("unknown", findings.unknown),
        ),
        notes=tuple(_no_card(note) for note in proposal.notes if not _WARNS.match(note)),
        named=(),
        transactions=tuple(map(_transaction, calls)),
        gas=CardGas(
            limit_tgas=-(-bound.gas // TGAS),
            limit_near=None if bound.yocto is None else format_near(bound.yocto),
            simulated_tgas=findings.gas_tgas,
        ),
        simulation=findings.simulation,
        checked_at_block=findings.block_height,
        checks=tuple(check.model_copy(update={"detail": _no_card(check.detail)}) for check in findings.checks),
        fingerprint=fingerprint(proposal.calls_hash),
        expires_at=datetime.fromtimestamp(proposal.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    named = () if proposal.verdict is None else _named(proposal.verdict, card_text(facts))
    return facts.model_copy(update={"named": tuple(map(_no_card, named))})


def _warnings(kind: WarningKind, texts: Iterable[str]) -> Iterator[CardWarning]:
    return (CardWarning(kind=kind, text=_no_card(text)) for text in texts)


def card_text(facts: CardFacts) -> str:
    """The card in words, without its code."""
    heading = f"{CARD_BEGIN}{facts.request_id} on {facts.network}, signed by {facts.signer_id}:"
    parts = ((heading, _changes(facts)), ("What is called:", _called(facts)), ("Gas and checks:", _checked(facts)))
    return "\n".join(line for head, items in parts for line in (head, *(f"{ITEM}{item}" for item in items)))


def _changes(facts: CardFacts) -> Iterator[str]:
    """Yield the effects of the plan, and everything that a person has to look at before saying yes."""
    numbered = len(facts.summary) > 1
    for number, text in enumerate(facts.summary, start=1):
        yield f"Step {number}: {text}" if numbered else text
    # The signer's outflows stand first, and none of them is left out.
    outflows = sum(one.account_id == facts.signer_id and one.change.startswith("-") for one in facts.effects)
    shown = max(_SHOWN_EFFECTS, outflows)
    yield from map(_effect, facts.effects[:shown])
    if len(facts.effects) > shown:
        yield f"And {len(facts.effects) - shown} more balances change."
    yield from facts.nfts
    yield f"NEAR that leaves {facts.signer_id}: {_near(facts.near_out)}, gas apart"
    for warning in facts.warnings[:_SHOWN_WARNINGS]:
        yield f"{WARNING}{_LABELS[warning.kind]}: {warning.text}"
    if len(facts.warnings) > _SHOWN_WARNINGS:
        yield f"{WARNING}Warning: {len(facts.warnings) - _SHOWN_WARNINGS} more warnings are not shown here"
    yield from (f"Note: {note}" for note in facts.notes)
    yield from (f"Named: {named}" for named in facts.named)


def _called(facts: CardFacts) -> Iterator[str]:
    for number, one in enumerate(facts.transactions, start=1):
        yield f"Transaction {number}: to {one.receiver_id}: {', '.join(one.actions)}"
    if len(facts.summary) > 1 or len(facts.transactions) > 1:
        yield "They are done in this order and stop at the first failure."


def _checked(facts: CardFacts) -> Iterator[str]:
    price = "" if facts.gas.limit_near is None else f" (about {facts.gas.limit_near} NEAR at today's price)"
    yield f"Gas: at most {facts.gas.limit_tgas} Tgas{price}; what is not burnt comes back"
    if facts.checked_at_block is not None:
        yield _simulated(facts)
        passed = sum(check.result == "pass" for check in facts.checks)
        yield f"Checked at block {facts.checked_at_block}: {passed} of {len(facts.checks)} checks passed"
    yield f"Fingerprint: {facts.fingerprint}"


def _simulated(facts: CardFacts) -> str:
    measured = facts.gas.simulated_tgas
    gas = "its gas was not measured" if measured is None else f"it takes about {measured} Tgas with a margin"
    match facts.simulation:
        case "success":
            still = "" if facts.effects or facts.nfts else " and changes no balance by more than a few yoctoNEAR"
            return f"Simulated: it succeeds{still}; {gas}"
        case "partial" | "failure":
            return f"Simulated: it ends in {facts.simulation}; {gas}"
        case "unknown" | "none":
            return "Simulated: not known what it does"


def _effect(effect: CardEffect) -> str:
    change = effect.change.removeprefix("-")
    unit = effect.symbol or "base units"
    of_token = "" if effect.symbol else f" of {effect.token}"
    amount = _near(change) if effect.token == NEAR else f"{change} {unit}{of_token}"
    verb = "pays" if effect.change.startswith("-") else "receives"
    before, after = _balances(effect.before, effect.after)
    return f"{effect.account_id} {verb} {amount}: {before} → {after} {unit}"


def _balances(before: str, after: str) -> tuple[str, str]:
    """Two balances with few decimals, but enough of them to differ; `≈` before one that has more."""
    places = _BALANCE_DECIMALS
    while before != after and _rounded(before, places) == _rounded(after, places):
        places += 1
    return _rounded(before, places), _rounded(after, places)


def _rounded(amount: str, places: int) -> str:
    """The amount with so many decimals, or as many as show something of it."""
    whole, _, fraction = amount.partition(".")
    if whole == "0":
        places = max(places, len(fraction) - len(fraction.lstrip("0")) + 1)
    return amount if len(fraction) <= places else f"≈ {whole}.{fraction[:places]}"


def _near(amount: str) -> str:
    """The exact amount in NEAR with its unit, a few yoctoNEAR as such."""
    whole, _, fraction = amount.partition(".")
    return near_text(int(whole + fraction.ljust(NEAR_DECIMALS, "0")))


def fingerprint(calls_hash: str) -> str:
    """The first 12 hex digits of a `calls_hash` in fours, which people can compare."""
    return " ".join(calls_hash[start : start + 4] for start in (0, 4, 8))


def _no_card(text: str) -> str:
    """A line that may quote outside text, without codes and without the words by which a card is known."""
    return _CARD_WORDS.sub("\u2026", mask_text(" ".join(text.split())))


def _asked(verdict: Verdict | None) -> tuple[str, ...]:
    """The rules that ask, each once."""
    reasons = () if verdict is None else verdict.reasons
    asks = (reason for reason in reasons if reason.decision == "ask" and reason.rule != "free_allowance")
    return tuple(dict.fromkeys(reason.text for reason in asks))


def _named(verdict: Verdict, shown: str) -> Iterator[str]:
    """Accounts that stand nowhere else on the card."""
    words = ids_in(shown)
    for one in verdict.recipients:
        name = f" {in_the_book(one.name)}" if one.name else ""
        if one.account_id not in words or (name and f"{one.account_id}{name}" not in shown):
            yield f"{one.account_id}{name}, as {inert(one.where, 60)}"


def ids_in(text: str) -> frozenset[str]:
    """Return the words of a text that may be account ids."""
    return frozenset(word.rstrip("._-") for word in _ID.findall(text))


def in_the_book(name: str) -> str:
    """`("bob" in the address book)`, which follows the account."""
    return f'("{inert(name, 64)}" in the address book)'


def with_names(summary: str, call: PlannedCall) -> tuple[str, tuple[str, ...]]:
    """The summary of a planned call with the names by which accounts were written, and notes on them."""
    notes: list[str] = []
    for argument, source in call.sources.items():
        account_id = call.args.get(argument)
        if source.kind != "address_book" or source.written is None or not isinstance(account_id, str):
            continue
        told = f"{account_id} {in_the_book(source.written)}"
        alone = rf"(?<![a-z0-9._-]){re.escape(account_id)}(?![a-z0-9_-]|\.[a-z0-9])"
        summary, count = re.subn(alone, lambda _found, told=told: told, summary, count=1)
        if not count:
            notes.append(f"{argument} is {told}")
        if _ID.fullmatch(source.written) and source.written != account_id:
            notes.append(
                f'"{source.written}" is read as the name in the address book, not as the account {source.written}'
            )
    return summary, tuple(notes)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The ways in which a card can still be decided."""

    code: str | None
    """None: not in this conversation."""
    elsewhere: bool = False
    """Nobody may approve it over the channel that asked."""
    approvers: int = 1
    approved_by: tuple[str, ...] = ()
    is_mine: bool = False
    """The reader has approved it already; another person's approval is missing."""
    repeated: bool = False


def how_to_decide(request_id: str, expires_at: float, waiting: Waiting) -> str:
    """The end of a card: how to confirm or cancel, and until when. Without a code, by request id."""
    until = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = ["This is the card that is already waiting."] if waiting.repeated else []
    if waiting.approvers > 1:
        already = (
            f"; approved by {', '.join(waiting.approved_by)}. Somebody else is needed: another key of this account, an "
            f"approver whom the policy names, or on the daemon's machine: near-agent approve {request_id}"
            if waiting.approved_by
            else ""
        )
        lines.append(f"It needs {waiting.approvers} people's approval{already or '.'}")
    if waiting.is_mine:
        lines.append("Your approval is counted, once.")
    elif waiting.code is not None:
        lines += ["To approve, write:", f"confirm {waiting.code}"]
    else:
        here = (
            "The policy wants this approved over another channel than this one."
            if waiting.elsewhere
            else "Your key cannot confirm here."
        )
        lines.append(f"{here} On the daemon's machine: near-agent approve {request_id}")
    if waiting.code is not None:
        lines.append(f"To drop it, write: cancel {waiting.code}")
    lines.append(f"It expires at {until}. {CARD_END}")
    return "\n".join(lines)


def call_line(call: ChangeCall) -> str:
    """A transaction in words: its receiver and actions. Method names are outside text, inert."""
    return f"to {call.receiver_id}: " + ", ".join(map(_action_text, call.actions))


def _transaction(call: ChangeCall) -> CardTransaction:
    return CardTransaction(
        receiver_id=call.receiver_id,
        actions=tuple(_no_card(_action_text(action)) for action in call.actions),
        deposit_near=format_near(call.deposit),
        gas_tgas=format_units(call.gas, _TGAS_DECIMALS),
    )


def _action_text(action: Action) -> str:
    match action:
        case Transfer(deposit):
            return f"transfer {near_text(deposit)}"
        case FunctionCall(method_name, _, gas, deposit):
            attached = format_units(gas, _TGAS_DECIMALS)
            return f"call {inert(method_name, _SHOWN_METHOD)} (deposit {near_text(deposit)}, gas {attached} Tgas)"
        case Delegate(inner):
            return f"act for {inner.sender_id} {call_line(ChangeCall(inner.receiver_id, inner.actions))}"
        case TransferToGasKey(public_key, deposit):
            return f"put {near_text(deposit)} into the gas key {public_key.listed}"
        case WithdrawFromGasKey(public_key, amount):
            return f"take {near_text(amount)} out of the gas key {public_key.listed}"
        case _:
            return action.kind.replace("_", " ")
