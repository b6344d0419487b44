"""What people are told, in plain words: outcomes with exact amounts and hashes; text from outside quoted and inert."""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from agent.records import CallOutcome, Status
from contracts.calls import ChangeCall
from contracts.catalogue.results import moved_nfts, told_result
from contracts.chain.outcome import (
    Declined,
    Execution,
    ExecutionFailed,
    Failed,
    Finalized,
    NotDone,
    Outcome,
    PartiallyExecuted,
    Unconfirmed,
    ViewReturned,
)
from contracts.chain.outcome_reader import in_units
from contracts.errors import ContractsError, RpcError
from contracts.knowledge.inert import inert, quoted, quoted_json
from contracts.knowledge.registry import Registry
from contracts.rpc_meanings import About, about
from contracts.types import CryptoHash


def call_outcome(action: str, outcome: Outcome) -> CallOutcome:
    """One step in the form front ends show (INTERFACE: `outcomes[]`)."""
    match outcome:
        case ViewReturned(value, block_height):
            return CallOutcome(action=action, status="returned", value=value, block_height=block_height)
        case Finalized(execution):
            return CallOutcome(
                action=action,
                status="final",
                value=execution.value,
                tx_hash=execution.tx_hash,
                block_height=execution.block_height,
            )
        case PartiallyExecuted(execution, message) | ExecutionFailed(execution, _, message):
            partial = isinstance(outcome, PartiallyExecuted)
            return CallOutcome(
                action=action,
                status="partial" if partial else "failed",
                value=execution.value,
                tx_hash=execution.tx_hash,
                block_height=execution.block_height,
                error={"code": "partially_executed" if partial else outcome.code, "message": inert(message, 500)},
            )
        case Failed(stage, code, message, tx_hash):
            return CallOutcome(
                action=action,
                status="unconfirmed" if stage == "unknown" else "failed",
                tx_hash=tx_hash,
                error={"code": code, "message": inert(message, 500)},
            )
        case Unconfirmed(tx_hash, message, code):
            error = {"code": code, "message": inert(message, 500)}
            return CallOutcome(action=action, status="unconfirmed", tx_hash=tx_hash, error={**error})
        case Declined(reason) | NotDone(reason):
            return CallOutcome(action=action, status="not_done", error={"code": "not_done", "message": reason})
        case _:
            assert_never(outcome)


def failed_view(action: str, error: ContractsError) -> CallOutcome:
    """A view that the node refused."""
    return CallOutcome(action=action, status="failed", error={"code": error.code, "message": inert(error.message, 500)})


def is_open(outcome: Outcome) -> bool:
    """Whether it may be on chain or get there, and nobody knows."""
    return isinstance(outcome, Unconfirmed) or (isinstance(outcome, Failed) and outcome.stage == "unknown")


def severity(outcome: Outcome) -> int:
    """The worst first: what may still happen, what happened in part, what failed on chain, what never was sent, what is done."""
    match outcome:
        case Unconfirmed() | Failed("unknown"):
            return 0
        case PartiallyExecuted():
            return 1
        case ExecutionFailed():
            return 2
        case Failed():
            return 3
        case Declined() | NotDone():
            return 4
        case Finalized() | ViewReturned():
            return 5
        case _:
            assert_never(outcome)


def status_of(outcomes: Sequence[Outcome]) -> Status:
    """The status of a plan's change steps together; what may still happen on chain weighs most."""
    if any(map(is_open, outcomes)):
        return "unconfirmed"
    done = sum(isinstance(outcome, Finalized) for outcome in outcomes)
    if outcomes and done == len(outcomes):
        return "executed"
    if done or any(isinstance(outcome, PartiallyExecuted) for outcome in outcomes):
        return "partially_executed"
    return "failed"


def step_text(summary: str, outcome: Outcome, registry: Registry, call: ChangeCall | None = None) -> str:
    """One change step: what it was, what became of it, its hash, and what to do; of a call also what its answer means."""
    match outcome:
        case Finalized(execution):
            told = call and told_result(call, execution, registry)
            if told is None:
                returned = () if execution.value is None else (f"It returned {quoted_json(execution.value, 300)}.",)
                told = " ".join((*returned, *moved_nfts(execution.effects)))
            return f"Done: {summary}.{f' {told}' if told else ''}\n  {_where(execution.tx_hash, registry, execution.block_height)}"
        case PartiallyExecuted(execution, message):
            told = (call and told_result(call, execution, registry)) or "Part of it took effect."
            return (
                f"Only partly done: {summary}. {_quoted(_in_units(message, execution, registry))}\n"
                f"  {_where(execution.tx_hash, registry, execution.block_height)}\n"
                f"  {told} Look at the transaction before you repeat it."
            )
        case ExecutionFailed(execution, code, message):
            return (
                f"Failed on chain ({code}): {summary}. {_quoted(message)}\n"
                f"  {_where(execution.tx_hash, registry, execution.block_height)}\n"
                "  It was rolled back, only gas was spent. Correct the cause and ask again."
            )
        case Failed("unknown", code, message):
            return (
                f"Unknown ({code}): {summary}. {inert(message, 500)}\n"
                "  It may have been sent: do not repeat it before the daemon was started again and says what became of it."
            )
        case Failed(_, code, message, tx_hash):
            place = f"\n  {_where(tx_hash, registry, None)}" if tx_hash else ""
            return f"Not done ({code}): {summary}. {inert(message, 500)}{place}\n  Nothing moved; ask again to retry."
        case Unconfirmed(tx_hash, message):
            return (
                f"Not confirmed yet: {summary}. {inert(message, 500)}\n  {_where(tx_hash, registry, None)}\n"
                f"  It may still happen, so do not repeat it: ask /tx_status {tx_hash} first."
            )
        case Declined(reason) | NotDone(reason):
            return f"Not done: {summary}. {reason}"
        case ViewReturned(value):
            return f"{summary}: {quoted_json(value, 300)}"
        case _:
            assert_never(outcome)


def _in_units(message: str, execution: Execution, registry: Registry) -> str:
    """What was expected and is missing, in whole units of the tokens that the registry knows."""

    def named(token_id: str) -> tuple[str, int] | None:
        token = registry.of_contract(token_id)
        if token is None or token.decimals is None:
            return None
        return f"{token.name} ({token.contract_id})", token.decimals

    return in_units(message, execution.expected, named)


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends with a sign of its own."""
    return text if text.endswith((".", "?", "!", ":")) else f"{text}."


_RPC_ADVICE: Final[Mapping[About, str]] = {
    "chain": "Check the ids and the method, then ask again.",
    "provider": "No configured RPC node serves this; add one of another provider to [networks.NAME] rpc.",
    "pruned": "Only nodes that keep every block know it; add one to [networks.NAME] rpc.",
    "passing": "Try again in a moment.",
}


def rpc_text(what: str, error: RpcError) -> str:
    """Why a read did not work, and what to do."""
    if error.code in {"RPC_DISAGREE", "RPC_QUORUM"}:  # our own words, of which only what nodes answered is theirs
        return sentence(f"{what} failed ({error.code}): {inert(error.message, 800)}")
    end = _RPC_ADVICE[about(error)]
    return f"{what} failed ({error.code}): {_quoted(error.message)} {end}"


def _quoted(message: str) -> str:
    """Text of a contract or a node, on one line, marked as theirs."""
    return f"The chain says: {quoted(message, 400)}."


def _where(tx_hash: CryptoHash, registry: Registry, block_height: int | None) -> str:
    link = registry.explorer_tx(tx_hash)
    block = f", block {block_height}" if block_height is not None else ""
    return f"Transaction {tx_hash}{block}{f', {link}' if link else ''}"
