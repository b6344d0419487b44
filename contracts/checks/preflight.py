"""Would it go, as far as facts of one block can tell: keys, money, gas, receivers, registrations, code. Pure.

Every question becomes a `Check`; what only a person can judge becomes a reason to ask. What was not read is `unknown`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pydantic import JsonValue

from contracts.calls import ChangeCall, CreateAccount, DeleteAccount, FunctionCall, FunctionCallAccess
from contracts.chain.prechecks import ZERO_BALANCE_BYTES, check_key
from contracts.chain.rpc_types import AccessKeyView
from contracts.checks.moves import (
    Move,
    Question,
    contracts_of,
    moves_of,
    questions_of,
    registered_here,
)
from contracts.checks.report import Check, CheckResult
from contracts.errors import InvalidInput
from contracts.knowledge.exchange import PriceImpact, percent
from contracts.strict_json import parse_json
from contracts.types import TGAS, AccountId, CryptoHash, PublicKey, base_units, format_near, format_units

GAS_MARGIN: Final = (13, 10)
"""What is measured leaves out what only the chain knows (touched trie nodes): 2 to 20 % on real contracts."""


@dataclass(frozen=True, slots=True)
class NotRead:
    """It could not be read, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class UsedCode:
    """What a contract ran when it was last used from here."""

    code_hash: CryptoHash
    at: float
    """Unix seconds."""

    @property
    def date(self) -> str:
        return datetime.fromtimestamp(self.at, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class SeenAccount:
    amount: int
    locked: int
    storage_usage: int
    code_hash: CryptoHash | None
    """Of its own code or of the global contract that it uses by hash."""
    full_access_keys: int | None = None
    """None: not asked."""
    keys_height: int | None = None
    """The block at which these were counted, where it is an earlier one."""
    code_of: AccountId | None = None
    """The account whose global contract it uses, by name: that one's owner changes the code at any time."""

    @property
    def has_code(self) -> bool:
        return self.code_hash is not None or self.code_of is not None


Seen: TypeAlias = SeenAccount | NotRead | None
"""None: there is no such account."""


@dataclass(frozen=True, slots=True)
class KnownThings:
    """What this installation knows, by which the unknown is told."""

    accounts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Accounts by id, with what they are; those that have code are contracts."""
    codes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Code whose behaviour is known, by its hash, with what it is."""
    tokens: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Name and decimals of tokens, by contract."""

    def amount(self, units: int, token_id: str) -> str:
        """Base units for people: `12.5 USDC`, or as they are where the token's decimals are not known."""
        name, decimals = self.tokens.get(token_id, (f"base units of {token_id}", 0))
        return f"{format_units(units, decimals)} {name}"


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """All that the checks look at. Sequences are by transaction."""

    signer_id: AccountId
    calls: tuple[ChangeCall, ...]
    accounts: Mapping[AccountId, Seen]
    keys: Mapping[PublicKey, AccessKeyView | NotRead | None]
    """The keys that the signer holds, as they are on chain."""
    other_keys: int
    """Keys that the signer holds and that were not looked at."""
    gas: tuple[int, ...]
    """Bought with each transaction: fees and what is attached."""
    gas_price: int
    highest_gas_price: int
    """What the chain may charge at most when it is sent; yoctoNEAR per gas."""
    storage_amount_per_byte: int
    answers: Mapping[tuple[int, Question], bytes | None]
    """By place and question; None where the view failed; absent where it was not asked."""
    measured: tuple[int, ...]
    """Gas that the simulated transactions burnt; shorter than `calls` where the simulation ended early."""
    known: KnownThings
    paid_before: Callable[[AccountId], bool]
    """Whether the signer sent something to this account earlier; what follows from it is the policy's to say."""
    price_impacts: Mapping[int, PriceImpact] = field(default_factory=dict[int, PriceImpact])
    """Of swaps, by place."""
    used_codes: Mapping[AccountId, UsedCode] = field(default_factory=dict[AccountId, UsedCode])
    """The code of contracts at the signer's last use of them."""


@dataclass(frozen=True, slots=True)
class Findings:
    checks: tuple[Check, ...]
    asks: tuple[str, ...]


def judge_plan(facts: PlanFacts) -> Findings:
    """Every check of a plan, and the reasons why a person must approve."""
    checks: list[Check] = [*_signer_checks(facts), *_funds_checks(facts)]
    asks: list[str] = []
    for place, call in enumerate(facts.calls):
        checks += _receiver_checks(facts, place, call)
        checks += _token_checks(facts, place, call)
        checks += _gas_checks(facts, place, call)
        checks += _code_checks(facts, place, call)
        checks += _price_checks(facts, place)
        asks += _asks(facts, place, call)
    return Findings(tuple(checks), tuple(dict.fromkeys(asks)))


# ---- signer, key, money


def _signer_checks(facts: PlanFacts) -> Iterator[Check]:
    signer = facts.accounts.get(facts.signer_id, NotRead("it was not read"))
    match signer:
        case None:
            yield Check(
                "signer", "fail", f"{facts.signer_id} does not exist on this chain; nothing can be signed for it"
            )
            return
        case NotRead(reason):
            yield Check("signer", "unknown", f"{facts.signer_id} could not be read: {reason}")
        case SeenAccount():
            yield Check("signer", "pass", f"{facts.signer_id} exists")
    if not facts.keys:
        yield Check("key", "fail", f"the signer holds no key of {facts.signer_id}; import one with `keys import`")
        return
    for place, call in enumerate(facts.calls):
        yield _key_check(facts, place, call)


def _key_check(facts: PlanFacts, place: int, call: ChangeCall) -> Check:
    """Passed where one of the keys may sign this; else the last key's refusal, or what could not be read."""
    refusal = Check("key", "unknown", "no key could be read", place)
    for public_key, view in facts.keys.items():
        shown = f"{public_key[:20]}…"
        match view:
            case None:
                refusal = Check("key", "fail", f"{public_key} is no access key of {facts.signer_id} (any more)", place)
            case NotRead(reason):
                return Check("key", "unknown", f"the key {shown} could not be read: {reason}", place)
            case AccessKeyView():
                try:
                    check_key(call, view.permission)
                except InvalidInput as error:
                    refusal = Check("key", "fail", f"{error.message} ({error.code})", place)
                    continue
                short = _allowance_short(facts, place, view)
                if short is None:
                    return Check("key", "pass", f"the key {shown} may do this", place)
                refusal = Check("allowance", "fail", short, place)
    if not facts.other_keys:
        return refusal
    detail = f"{refusal.detail}; {facts.other_keys} more keys that the signer holds were not looked at"
    return replace(refusal, result="unknown", detail=detail)


def _allowance_short(facts: PlanFacts, place: int, view: AccessKeyView) -> str | None:
    """What a function-call key's allowance lacks; it pays gas only."""
    access = view.permission
    if not isinstance(access, FunctionCallAccess) or access.allowance is None:
        return None
    needed = facts.gas[place] * facts.gas_price
    if access.allowance >= needed:
        return None
    short = f"the key's allowance has {format_near(access.allowance)} NEAR left and the gas takes {format_near(needed)} NEAR; "
    attached = facts.calls[place].gas
    # Beside what is attached, a transaction pays for itself and its receipt.
    affordable = access.allowance // max(1, facts.gas_price) - (facts.gas[place] - attached)
    wanted = with_margin(facts.measured[place]) if place < len(facts.measured) else TGAS
    if attached and affordable >= max(wanted, TGAS):
        return f"{short}attach at most {affordable // TGAS} Tgas, for which it would do, or use another key"
    return f"{short}add a new function-call key, or use a full-access key"


def _funds_checks(facts: PlanFacts) -> Iterator[Check]:
    signer = facts.accounts.get(facts.signer_id)
    if not isinstance(signer, SeenAccount):
        return
    first = _needed(facts, facts.calls[:1], facts.gas_price)
    whole = _needed(facts, facts.calls, facts.gas_price)
    dearest = _needed(facts, facts.calls, facts.highest_gas_price)
    held = 0
    if signer.storage_usage > ZERO_BALANCE_BYTES and not _deletes(facts.calls):
        held = max(0, signer.storage_usage * facts.storage_amount_per_byte - signer.locked)
    has = f"{facts.signer_id} has {format_near(signer.amount)} NEAR"
    kept = f", and {format_near(held)} NEAR must stay for its storage" if held else ""
    if first + held > signer.amount:
        missing = first + held - signer.amount
        yield Check(
            "balance",
            "fail",
            f"{has}; deposits and gas take {format_near(first)} NEAR{kept}: {format_near(missing)} NEAR are missing",
        )
    elif whole + held > signer.amount:
        yield Check(
            "balance",
            "unknown",
            f"{has}, the whole plan takes {format_near(whole)} NEAR{kept}: later steps need what earlier ones bring",
        )
    elif dearest + held > signer.amount:
        yield Check(
            "balance",
            "unknown",
            f"{has}; enough at today's gas price, not at the highest that the chain may charge in advance "
            f"({format_near(dearest)} NEAR{kept})",
        )
    else:
        yield Check("balance", "pass", f"{has}; deposits and gas take at most {format_near(dearest)} NEAR{kept}")


def _needed(facts: PlanFacts, calls: Sequence[ChangeCall], price: int) -> int:
    return sum(call.deposit + gas * price for call, gas in zip(calls, facts.gas, strict=False))


def _deletes(calls: Sequence[ChangeCall]) -> bool:
    return any(isinstance(action, DeleteAccount) for call in calls for action in call.actions)


# ---- receivers and tokens


def _receiver_checks(facts: PlanFacts, place: int, call: ChangeCall) -> Iterator[Check]:
    receiver_id = call.receiver_id
    only_here = _created_before(facts.calls, place)
    match facts.accounts.get(receiver_id, NotRead("it was not read")):
        case NotRead(reason):
            yield Check("receiver", "unknown", f"{receiver_id} could not be read: {reason}", place)
        case None if any(isinstance(action, CreateAccount) for action in call.actions) or receiver_id in only_here:
            yield Check("receiver", "pass", f"{receiver_id} is created by the plan", place)
        case None if call.calls_contract or receiver_id.kind == "named":
            yield Check("receiver", "fail", f"{receiver_id} does not exist; check the name", place)
        case None:
            yield Check(
                "receiver", "pass", f"{receiver_id} does not exist yet and comes to life by the transfer", place
            )
        case SeenAccount(has_code=False) if call.calls_contract and receiver_id != facts.signer_id:
            yield Check("receiver", "fail", f"{receiver_id} has no contract that could be called", place)
        case SeenAccount():
            yield Check("receiver", "pass", f"{receiver_id} exists", place)
    for move in moves_of(call):
        if move.recipient_id not in (receiver_id, facts.signer_id):
            yield from _recipient_check(facts, place, move)
        if move.recipient_id != facts.signer_id and move.kind != "account":
            known = "something was sent" if facts.paid_before(move.recipient_id) else "nothing was sent"
            yield Check("history", "pass", f"{known} to {move.recipient_id} before", place)


def _recipient_check(facts: PlanFacts, place: int, move: Move) -> Iterator[Check]:
    recipient_id = move.recipient_id
    match facts.accounts.get(recipient_id, NotRead("it was not read")):
        case NotRead(reason):
            yield Check("recipient", "unknown", f"{recipient_id} could not be read: {reason}", place)
        case None if recipient_id.kind == "named" and recipient_id not in _created_before(facts.calls, place):
            yield Check("recipient", "fail", f"{recipient_id} does not exist; what is sent to it is lost", place)
        case SeenAccount(has_code=False) if move.calls_recipient:
            yield Check("recipient", "fail", f"{recipient_id} has no contract that could take this", place)
        case _:
            yield Check("recipient", "pass", f"{recipient_id} can receive", place)


def _created_before(calls: Sequence[ChangeCall], place: int) -> set[str]:
    """Accounts that an earlier transaction of the plan sends NEAR to or creates."""
    return {call.receiver_id for call in calls[:place] if any(move.what == "NEAR" for move in moves_of(call))}


def _token_checks(facts: PlanFacts, place: int, call: ChangeCall) -> Iterator[Check]:
    token_id = call.receiver_id
    for question in questions_of(facts.signer_id, call):
        if (place, question) not in facts.answers:
            yield Check(_NAMES[question.about], "unknown", f"{token_id} could not be asked", place)
            continue
        answer = facts.answers[place, question]
        if question.about == "registered":
            yield from _registration_check(place, question, answer)
        else:
            yield from _balance_check(facts.known, place, question, answer, call)
    for account_id in registered_here(facts.signer_id, call) & {move.recipient_id for move in moves_of(call)}:
        yield Check("storage", "pass", f"{account_id} is registered with {token_id} by the same transaction", place)


_NAMES: Final = {"registered": "storage", "balance": "token_balance"}


def _answer(data: bytes) -> JsonValue:
    """A view's answer; False for what is not JSON."""
    try:
        return parse_json(data)
    except ValueError:
        return False


def _registration_check(place: int, question: Question, answer: bytes | None) -> Iterator[Check]:
    who, token_id = question.account_id, question.contract_id
    if answer is None:
        yield Check("storage", "unknown", f"{token_id} does not tell whether {who} is registered", place)
    elif _answer(answer) is None:
        yield Check(
            "storage", "fail", f"{who} is not registered with {token_id}: add a storage_deposit for it first", place
        )
    else:
        yield Check("storage", "pass", f"{who} is registered with {token_id}", place)


def _balance_check(
    known: KnownThings, place: int, question: Question, answer: bytes | None, call: ChangeCall
) -> Iterator[Check]:
    who, token_id = question.account_id, question.contract_id
    has = base_units(_answer(answer)) if answer is not None else None
    sent = sum(move.amount or 0 for move in moves_of(call) if move.kind == "token")
    brings = any(isinstance(action, FunctionCall) and action.method_name == "near_deposit" for action in call.actions)
    if has is None:
        yield Check("token_balance", "unknown", f"{token_id} does not tell the balance of {who}", place)
    elif sent > has and not brings:
        missing = known.amount(sent - has, token_id)
        yield Check(
            "token_balance", "fail", f"{who} has {known.amount(has, token_id)}, {missing} less than is sent", place
        )
    else:
        yield Check("token_balance", "pass", f"{who} has {known.amount(has, token_id)}", place)


# ---- gas, code, price


def _gas_checks(facts: PlanFacts, place: int, call: ChangeCall) -> Iterator[Check]:
    if not call.gas:
        return
    if place >= len(facts.measured):
        yield Check("gas", "unknown", "the gas that it takes was not measured", place)
        return
    wanted = with_margin(facts.measured[place])
    attached = _tgas(call.gas)
    if call.gas >= wanted:
        yield Check("gas", "pass", f"{attached} Tgas attached, {_tgas(facts.measured[place])} measured", place)
    else:
        yield Check(
            "gas",
            "unknown",
            f"{attached} Tgas attached, {_tgas(facts.measured[place])} measured, and the chain charges some more: "
            f"attach {-(-wanted // TGAS)} Tgas",
            place,
        )


def with_margin(gas: int) -> int:
    return gas * GAS_MARGIN[0] // GAS_MARGIN[1]


def _code_checks(facts: PlanFacts, place: int, call: ChangeCall) -> Iterator[Check]:
    for contract_id in contracts_of(call):
        account = facts.accounts.get(contract_id)
        if not isinstance(account, SeenAccount) or not account.has_code:
            continue
        result, said = _code_known(facts, contract_id, account)
        more = _upgradable(account) if contract_id == call.receiver_id else "it decides what becomes of what it gets"
        yield Check("code", result, f"{said}; {more}", place)


def _upgradable(account: SeenAccount) -> str:
    keys = account.full_access_keys
    if keys is None:
        said = "whether it can be replaced was not read"
    elif keys:
        said = f"whoever holds one of its {keys} full-access keys can replace it"
    else:
        said = "nobody has a full-access key to replace it"
    return said + (f" (as of block {account.keys_height})" if account.keys_height is not None else "")


def _code_known(facts: PlanFacts, contract_id: AccountId, account: SeenAccount) -> tuple[CheckResult, str]:
    """Whether a contract's code is the known one: by its hash, or by what it was when the signer last used it."""
    used, code_hash = facts.used_codes.get(contract_id), account.code_hash
    if code_hash is None:
        return "unknown", f"{contract_id} runs the code that {account.code_of} publishes, which can change at any time"
    changed = _code_changed(facts, contract_id)
    about = facts.known.codes.get(code_hash)
    if changed is not None:
        return "unknown", changed + (f" (now {about})" if about else "")
    if about is not None:
        return "pass", f"{contract_id} runs known code ({about})"
    if used is not None:
        return "pass", f"{contract_id} runs the code that it had when you last used it on {used.date}"
    return "unknown", f"you use {contract_id} for the first time and its code ({code_hash}) is not known here"


def _code_changed(facts: PlanFacts, contract_id: AccountId) -> str | None:
    """What there is to say of a contract whose code is not the one that the signer last used; None where it is."""
    used, account = facts.used_codes.get(contract_id), facts.accounts.get(contract_id)
    if used is None or not isinstance(account, SeenAccount) or account.code_hash == used.code_hash:
        return None
    return f"the code of {contract_id} changed since you last used it on {used.date}"


def _price_checks(facts: PlanFacts, place: int) -> Iterator[Check]:
    impact = facts.price_impacts.get(place)
    if impact is None:
        return
    said = f"the swap moves the price by {percent(impact.ppm)}; the configuration allows at most {percent(impact.most_ppm)}"
    yield Check("price_impact", "fail" if impact.is_too_high else "pass", said, place)


# ---- what a person must see


def _has_code(facts: PlanFacts, account_id: AccountId) -> bool:
    account = facts.accounts.get(account_id)
    return isinstance(account, SeenAccount) and account.has_code


def _asks(facts: PlanFacts, place: int, call: ChangeCall) -> Iterator[str]:
    for move in moves_of(call):
        recipient_id = move.recipient_id
        if recipient_id == facts.signer_id or move.kind == "account":
            continue
        known = facts.known.accounts.get(recipient_id)
        if facts.accounts.get(recipient_id, NotRead("")) is None and recipient_id.kind != "named":
            yield f"{recipient_id} does not exist yet: a wrong character in it loses what is sent"
        elif known is not None and _has_code(facts, recipient_id) and not move.calls_recipient:
            yield f"{recipient_id} is a contract ({known}): what is sent to it may be lost"
        elif recipient_id == move.what:
            yield f"{recipient_id} is the token's own contract: tokens sent to it are lost"
    impact = facts.price_impacts.get(place)
    if impact is not None and impact.is_high:
        yield f"the swap moves the price by {percent(impact.ppm)}, which is lost"
    yield from filter(None, (_code_changed(facts, contract_id) for contract_id in contracts_of(call)))


def _tgas(gas: int) -> str:
    return format_units(gas // 10**9, 3)
