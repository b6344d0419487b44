"""Approval by text: what a decision looks like, the codes, and the card that people read. Pure, but for the code key's file.

A code is the first 40 bits of a keyed hash of its card's request id, in Crockford's base 32. So the same card sent again
shows the same code, also after a restart and in a second tab, while the database keeps a hash of it only. The key is random,
made once per data folder, and lies beside the database, not in it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from agent.data_folder import read_key, write_key
from agent.planning.conversations import CARD_BEGIN, CARD_END, CARD_ENDS, mask_text
from agent.planning.typography import DECISION
from agent.records import PlannedCall
from contracts.calls import Action, ChangeCall, Delegate, FunctionCall, Transfer, TransferToGasKey, WithdrawFromGasKey
from contracts.chain.rpc_types import Fee, ProtocolConfig
from contracts.checks.verdict import Verdict
from contracts.knowledge.inert import inert
from contracts.signing.transaction import encode_actions
from contracts.types import TGAS, AccountId, format_near, format_units, near_text

CODE_KEY: Final = "code_key"
"""The file of the key in the data folder."""

_KEY_DIGITS: Final = 64
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_WORDS = re.compile(r"[a-z0-9._-]*[a-z0-9]")
_CARD_WORDS = re.compile(
    "|".join((CARD_BEGIN.strip(), *(end[:-1] for end in CARD_ENDS), "to (approve|drop it), write:?")), re.IGNORECASE
)
_WARNING = re.compile(r"warning\b", re.IGNORECASE)
_HIGH_GAS_PRICE: Final = 1_000_000_000
"""0.001 NEAR a Tgas, ten times the usual price."""
_SHOWN_METHOD: Final = 80
_ARGUMENT_BYTE_GAS: Final = 5_000_000
"""Above what a byte of arguments costs to send and to execute together (4.5 M gas in protocol 86)."""


@dataclass(frozen=True, slots=True)
class Decision:
    verb: Literal["confirm", "cancel"]
    code: str
    """In capitals. Never logged, never stored."""

    def __repr__(self) -> str:
        return f"Decision({self.verb})"


def read_decision(text: str) -> Decision | None:
    """The decision in a user's last message, when it is nothing but one (INTERFACE, "Approval by text")."""
    found = DECISION.fullmatch(text)
    if found is None:
        return None
    return Decision("confirm" if found[1].lower() == "confirm" else "cancel", found[2].upper())


class Codes:
    """The codes of cards, by one data folder's key. What is stored of them is `CardStore.hash_code`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def code_of(self, request_id: str) -> str:
        """The 8-character code of a request's card."""
        bits = int.from_bytes(hmac.digest(self._key, request_id.encode(), hashlib.sha256)[:5])
        return "".join(_ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))


def open_code_key(data_dir: Path) -> bytes:
    """The key of DATA_DIR/code_key (0600), made at the first call. OSError where the folder cannot be written."""
    key = read_key(data_dir, CODE_KEY)
    if key is None or len(key) < _KEY_DIGITS:
        key = secrets.token_hex(_KEY_DIGITS // 2)
        write_key(data_dir, CODE_KEY, key)
    return key.encode("ascii")


@dataclass(frozen=True, slots=True)
class GasBound:
    """The most that gas can cost for a plan at the current price."""

    gas: int
    yocto: int | None
    """None: the node did not say the price."""


def gas_bound(calls: Sequence[ChangeCall], config: ProtocolConfig, gas_price: int | None) -> GasBound:
    """Attached gas and fees of all calls, rounded up to a whole Tgas for each, at today's price."""
    gas = sum(_call_gas(call, config) for call in calls)
    return GasBound(gas, None if gas_price is None else gas * max(gas_price, config.min_gas_price))


def gas_cost(calls: Sequence[ChangeCall], config: ProtocolConfig, gas_price: int | None) -> int:
    """The most that the gas of these calls can cost, in yocto; at a high price where the node does not say one."""
    bound = gas_bound(calls, config, gas_price)
    return bound.gas * _HIGH_GAS_PRICE if bound.yocto is None else bound.yocto


def card_text(
    request_id: str,
    *,
    network: str,
    signer_id: AccountId,
    summaries: Sequence[str],
    notes: Sequence[str],
    calls: Sequence[ChangeCall],
    bound: GasBound,
    checks: Sequence[str] = (),
    verdict: Verdict | None = None,
) -> str:
    """The card without its code: who, what, to whom, exact amounts, deposits, gas bound, network, notes.

    `checks` are the lines of the pre-flight; of the verdict it says who is named besides and why a person is asked.
    """
    lines = [f"{CARD_BEGIN}{request_id} on {network}, signed by {signer_id}:"]
    numbered = len(summaries) > 1
    summaries, notes = [*map(_no_card, summaries)], [*map(_no_card, notes)]
    lines += [f"  {number}. {text}" if numbered else f"  {text}" for number, text in enumerate(summaries, start=1)]
    lines += [f"  {note[0].upper()}{note[1:]}" if _WARNING.match(note) else f"  Note: {note}" for note in notes]
    lines += [f"  Transaction {n}: {_no_card(call_line(call))}" for n, call in enumerate(calls, start=1)]
    total = sum(call.deposit for call in calls)
    lines.append(f"  NEAR that leaves {signer_id}: {near_text(total)}, gas apart")
    price = "" if bound.yocto is None else f", {format_near(bound.yocto)} NEAR at today's price"
    lines.append(f"  Gas: at most {-(-bound.gas // TGAS)} Tgas{price}; what is not burnt comes back")
    if numbered or len(calls) > 1:
        lines.append("  They are done in this order and stop at the first failure.")
    lines += [f"  {_no_card(check)}" for check in checks]
    if verdict is not None:
        lines += _policy_lines(verdict, "\n".join(lines))
    return "\n".join(lines)


def _no_card(text: str) -> str:
    """A line that may quote outside text, without codes and without the words by which a card is known."""
    return _CARD_WORDS.sub("\u2026", mask_text(" ".join(text.split())))


def _policy_lines(verdict: Verdict, shown: str) -> list[str]:
    """Accounts that stand nowhere else on the card, and the rules that ask."""
    lines: list[str] = []
    words = set(_WORDS.findall(shown))
    for one in verdict.recipients:
        name = f" {in_the_book(one.name)}" if one.name else ""
        if one.account_id not in words or (name and f"{one.account_id}{name}" not in shown):
            lines.append(f"  Named: {one.account_id}{name}, as {inert(one.where, 60)}")
    asked = dict.fromkeys(
        reason.text for reason in verdict.reasons if reason.decision == "ask" and reason.rule != "free_allowance"
    )
    lines += [f"  Look at this: {text}" for text in asked]
    return lines


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
        if _WORDS.fullmatch(source.written) and source.written != account_id:
            notes.append(
                f'"{source.written}" is read as the name in the address book, not as the account {source.written}'
            )
    return summary, tuple(notes)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a card can still be decided."""

    code: str | None
    """None: not in this conversation."""
    elsewhere: bool = False
    """Nobody may approve it over the channel that asked."""
    approvers: int = 1
    approved_by: tuple[str, ...] = ()
    is_mine: bool = False
    """Whoever looks has approved it already; somebody else is waited for."""
    repeated: bool = False


def how_to_decide(request_id: str, expires_at: float, waiting: Waiting) -> str:
    """The end of a card: how to confirm or cancel, and until when. Without a code, by request id."""
    until = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = ["  This is the card that is already waiting."] if waiting.repeated else []
    if waiting.approvers > 1:
        already = (
            f"; approved by {', '.join(waiting.approved_by)}. Somebody else is needed: another key of this account, an "
            f"approver whom the policy names, or on the daemon's machine: near-agent approve {request_id}"
            if waiting.approved_by
            else ""
        )
        lines.append(f"  It needs {waiting.approvers} people's approval{already or '.'}")
    if waiting.is_mine:
        lines.append("  Your approval is counted, once.")
    elif waiting.code is not None:
        lines.append(f"  To approve, write: confirm {waiting.code}")
    else:
        here = (
            "The policy wants this approved over another channel than this one."
            if waiting.elsewhere
            else "Your key cannot confirm here."
        )
        lines.append(f"  {here} On the daemon's machine: near-agent approve {request_id}")
    if waiting.code is not None:
        lines.append(f"  To drop it, write: cancel {waiting.code}")
    lines.append(f"  It expires at {until}. {CARD_END}")
    return "\n".join(lines)


def call_line(call: ChangeCall) -> str:
    """A transaction in words: its receiver and actions. Method names are outside text, inert."""
    return f"to {call.receiver_id}: " + ", ".join(_action_text(action) for action in call.actions)


def _action_text(action: Action) -> str:
    match action:
        case Transfer(deposit):
            return f"transfer {near_text(deposit)}"
        case FunctionCall(method_name, _, gas, deposit):
            attached = format_units(gas, len(str(TGAS)) - 1)
            return f"call {inert(method_name, _SHOWN_METHOD)} (deposit {near_text(deposit)}, gas {attached} Tgas)"
        case Delegate(inner):
            return f"act for {inner.sender_id} {call_line(ChangeCall(inner.receiver_id, inner.actions))}"
        case TransferToGasKey(public_key, deposit):
            return f"put {near_text(deposit)} into the gas key {public_key.listed}"
        case WithdrawFromGasKey(public_key, amount):
            return f"take {near_text(amount)} out of the gas key {public_key.listed}"
        case _:
            return action.kind.replace("_", " ")


def _call_gas(call: ChangeCall, config: ProtocolConfig) -> int:
    gas = _fee(config.receipt_fee)
    for action in call.actions:
        match action:
            case FunctionCall(_, _, attached, _):
                gas += attached + _fee(config.function_call_fee)
            case Transfer():
                gas += _fee(config.transfer_fee)
                # A transfer brings an implicit account to life.
                gas += 0 if call.receiver_id.kind == "named" else _fee(config.create_account_fee)
            case Delegate(inner):
                gas += _fee(config.create_account_fee) + _call_gas(ChangeCall(inner.receiver_id, inner.actions), config)
            case _:
                gas += _fee(config.create_account_fee)
    gas += len(encode_actions(call.actions)) * _ARGUMENT_BYTE_GAS
    return -(-gas // TGAS) * TGAS


def _fee(fee: Fee | None) -> int:
    return max(fee.send_sir, fee.send_not_sir) + fee.execution if fee else TGAS
