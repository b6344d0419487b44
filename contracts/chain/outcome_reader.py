"""From a node's final answer about a transaction to its Outcome. Pure."""

import base64
import codecs
from collections.abc import Callable, Iterable
from typing import Final

from pydantic import JsonValue

from contracts.chain.effects import NEAR, missing_effects, read_effects
from contracts.chain.outcome import (
    Effect,
    Execution,
    ExecutionFailed,
    Finalized,
    PartiallyExecuted,
    ReceiptOutcome,
)
from contracts.chain.rpc_parse import invalid_tx_kind, vm_error_kind
from contracts.chain.rpc_types import BlockView
from contracts.chain.tx_answer import Failure, OutcomeView, SuccessValue, TransactionView, TxAnswer
from contracts.errors import RpcError
from contracts.strict_json import count_values, parse_exactly, too_deep
from contracts.types import JsonObject, format_near, format_units

MAX_DEPTH: Final = 64
"""Of a returned value that is kept as JSON; records and ledger rows are read by a parser that stops at 200."""
MAX_VALUE_BYTES: Final = 256 * 1024
"""Of what a transaction returns; the chain allows 4 MiB."""
MAX_VALUES: Final = 20_000
"""Of a returned value that is kept as JSON: each is looked at, copied and written several times."""
_SHOWN_ID: Final = 80
_SHOWN: Final = 2000
_MAX_LOGS: Final = 100
_MAX_LOG: Final = 16 * 1024
"""What the chain allows a receipt; a node that sends more is not believed."""


def read_outcome(
    answer: TxAnswer, block: BlockView, expected: tuple[Effect, ...] = ()
) -> Finalized | PartiallyExecuted | ExecutionFailed:
    """What became of a transaction whose answer is `final`; `block` is the one it was included in.

    Success with a failed inner receipt, or with other effects than expected, is PartiallyExecuted. RpcError
    `BAD_ANSWER` where the answer lacks the outcome.
    """
    transaction, own, status = answer.transaction, answer.transaction_outcome, answer.status
    if not answer.final or transaction is None or own is None or status is None:
        raise RpcError(
            "BAD_ANSWER", "the node calls the transaction final and does not tell its outcome", retryable=True
        )
    effects = read_effects(answer, transaction)
    receipts = tuple(_receipt(outcome) for outcome in answer.receipts_outcome)
    execution = Execution(
        tx_hash=transaction.hash,
        block_height=block.height,
        block_hash=block.hash,
        signer_id=transaction.signer_id,
        receiver_id=transaction.receiver_id,
        value=decode_value(status.value) if isinstance(status, SuccessValue) else None,
        receipts=receipts,
        effects=effects.effects,
        gas_burnt=own.outcome.gas_burnt + sum(receipt.gas_burnt for receipt in receipts),
        tokens_burnt=own.outcome.tokens_burnt + sum(receipt.tokens_burnt for receipt in receipts),
        effects_complete=effects.complete,
        expected=expected,
    )
    if isinstance(status, Failure):
        code, message = failure_text(status.error)
        return ExecutionFailed(execution, code, message)
    missed = missing_effects(expected, effects)
    failed = [receipt for receipt in receipts if not receipt.success]
    refused = _refusal(transaction, execution.value)
    if not failed and not missed and refused is None:
        return Finalized(execution)
    return PartiallyExecuted(execution, _partial_text(refused, failed, missed))


def failure_text(error: JsonValue) -> tuple[str, str]:
    """A failure's name (e.g. `FunctionCallError`, `AccountDoesNotExist`) and its text, in a contract's own words if any."""
    match error:
        case {"ActionError": {"kind": kind}}:
            pass
        case {"InvalidTxError": invalid}:
            name, _, fields = invalid_tx_kind(invalid)
            return name, _told(name, fields)
        case _:
            return "UnknownFailure", str(error)[:_SHOWN]
    match kind:
        case {"FunctionCallError": inner}:
            name, panic = vm_error_kind(inner)
            return "FunctionCallError", panic if panic is not None else _contract_failure(name)
        case dict() if len(kind) == 1:
            name, body = next(iter(kind.items()))
            return name[:80], _told(name[:80], body if isinstance(body, dict) else {})
        case _:
            return str(kind)[:80], str(kind)[:_SHOWN]


def decode_value(data: bytes, *, answer_bytes: int | None = None) -> JsonValue:
    """JSON if the bytes are JSON of at most MAX_VALUES values and MAX_DEPTH levels, else text, else base64; None for no bytes.

    Numbers keep the contract's digits (`parse_exactly`). An object with repeated keys can be read in two ways and stays text.
    Of more than MAX_VALUE_BYTES, or if `answer_bytes` says that these are the beginning of more, the beginning as a text that
    ends with `cut_note`.
    """
    value, repeated = decode_view(data, answer_bytes=answer_bytes)
    return _text(data, cut=False) if repeated else value


def decode_view(data: bytes, *, answer_bytes: int | None = None) -> tuple[JsonValue, tuple[str, ...]]:
    """As `decode_value`, with the last value of each repeated key, and those keys to be shown with the answer."""
    if not data:
        return None, ()
    whole = answer_bytes or len(data)
    kept = data[:MAX_VALUE_BYTES] if answer_bytes is None else data
    if whole > len(kept):
        return f"{_text(kept, cut=True)}\u2026 ({cut_note(len(kept), whole)})", ()
    if count_values(data, MAX_VALUES) <= MAX_VALUES:
        try:
            value, repeated = parse_exactly(data)
            if not too_deep(value, MAX_DEPTH):
                return value, repeated
        except ValueError:
            pass
    return _text(data, cut=False), ()


def cut_note(kept: int, whole: int) -> str:
    """Return the note on a contract's answer of which only the beginning is kept."""
    return f"cut: {kept:,} of {whole:,} bytes shown"


def _text(data: bytes, *, cut: bool) -> str:
    """The bytes as text, base64 if they are none; `cut`: a character at the end may be half."""
    try:
        return codecs.utf_8_decode(data, "strict", not cut)[0]
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def kept_logs(logs: tuple[str, ...]) -> tuple[str, ...]:
    """Logs as far as the chain allows them; a node that sends more is not believed."""
    return tuple(log[:_MAX_LOG] for log in logs[:_MAX_LOGS])


def _receipt(outcome: OutcomeView) -> ReceiptOutcome:
    execution = outcome.outcome
    failure = execution.status.error if isinstance(execution.status, Failure) else None
    return ReceiptOutcome(
        receipt_id=outcome.id,
        executor_id=execution.executor_id,
        success=not isinstance(execution.status, Failure),
        logs=kept_logs(execution.logs),
        gas_burnt=execution.gas_burnt,
        tokens_burnt=execution.tokens_burnt,
        failure=failure,
    )


def _told(name: str, fields: JsonObject) -> str:
    return name + "".join(f", {field} {str(value)[:200]}" for field, value in fields.items())


def _contract_failure(name: str) -> str:
    known = {
        "MethodNotFound": "the contract has no such method",
        "CodeDoesNotExist": "there is no contract on the account",
        "GasExceeded": "the attached gas was not enough",
        "GasLimitExceeded": "it needs more gas than a call may burn",
    }
    return known.get(name, name)


def _refusal(transaction: TransactionView, value: JsonValue) -> str | None:
    """A registrar (`near`, `testnet`) says no by an answer, inside a transaction that succeeds."""
    if value is not False or [action.method_name for action in transaction.actions[-1:]] != ["create_account"]:
        return None
    return f"{transaction.receiver_id} answered false: it did not create the account"


def _partial_text(refused: str | None, failed: Iterable[ReceiptOutcome], missed: Iterable[Effect]) -> str:
    parts = [refused] if refused is not None else []
    parts += [f"a receipt on {receipt.executor_id} failed: {failure_text(receipt.failure)[1]}" for receipt in failed]
    parts += [
        f"expected {change_text(effect)} for {effect.account_id}, which the receipts do not show" for effect in missed
    ]
    return "; ".join(parts)[:_SHOWN]


def in_units(message: str, expected: Iterable[Effect], token_of: Callable[[str], tuple[str, int] | None]) -> str:
    """A message of `read_outcome` with what was expected in whole units of the tokens that are known, by name and decimals."""
    for effect in expected:
        token = token_of(effect.token)
        if token is not None and effect.token_id is None:
            whole = f"{change_text(effect, token)} for {effect.account_id},"
            message = message.replace(f"{change_text(effect)} for {effect.account_id},", whole)
    return message


def change_text(effect: Effect, token: tuple[str, int] | None = None) -> str:
    """A change in words: `token` is what to call it and its decimals; without it, in base units, for nobody here knows them."""
    sign = ("at least " if effect.at_least else "") + ("+" if effect.change > 0 else "")
    if effect.token == NEAR:
        return f"{sign}{format_near(effect.change)} NEAR"
    if effect.token_id is not None:
        return f"{sign}{effect.change} of NFT {effect.token_id[:_SHOWN_ID]} of {effect.token}"
    name, decimals = token or (f"base units of {effect.token}", 0)
    return f"{sign}{format_units(effect.change, decimals)} {name}"
