"""What became of a transaction."""

from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.calls import ViewTransaction
from contracts.catalogue.arguments import AccountArg, Args, HashArg
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.nfts import shown_nft
from contracts.chain.outcome import ViewReturned
from contracts.errors import RpcError
from contracts.knowledge.facts import ChainFacts
from contracts.knowledge.inert import inert, inert_json, quoted
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import AccountId, format_units, near_text

MAX_SHOWN_EFFECTS: Final = 20

_Level: TypeAlias = Literal["NONE", "INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"]
_PROGRESS: Final[dict[_Level, str]] = {
    "NONE": "not executed yet",
    "INCLUDED": "in a block that is not final, not executed yet",
    "INCLUDED_FINAL": "in a final block, not executed yet",
    "EXECUTED_OPTIMISTIC": "executed, its blocks are not final yet",
    "EXECUTED": "executed, not all of its blocks are final yet",
    "FINAL": "final",
}


class TxStatusArgs(Args):
    tx_hash: HashArg
    sender_id: AccountArg | None = Field(None, description="who sent it")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Receipts(_Part):
    ok: int
    failed: int


class _Effect(_Part):
    account_id: AccountId
    token: str
    change: int
    token_id: str | None = None


class _Error(_Part):
    code: str
    message: str


class TxAnswer(_Part):
    """A looked-up transaction: nearcore's `final_execution_status` and `status`, and what was read from its receipts."""

    final_execution_status: _Level
    status: JsonValue = None
    block_height: int | None = None
    signer_id: AccountId | None = None
    receiver_id: AccountId | None = None
    receipts: _Receipts | None = None
    effects: tuple[_Effect, ...] = ()
    error: _Error | None = None


def _sender(args: TxStatusArgs, context: BuildContext) -> AccountId:
    return args.sender_id or context.default_sender or context.signer_id


def _build(args: TxStatusArgs, _facts: ChainFacts, context: BuildContext) -> Built:
    sender = _sender(args, context)
    return Built((ViewTransaction(args.tx_hash, sender),), f"look up transaction {args.tx_hash} of {sender}")


def _answer(args: TxStatusArgs, returned: ViewReturned, _facts: ChainFacts, context: BuildContext) -> str:
    link = context.registry.explorer_tx(args.tx_hash)
    end = (link,) if link else ()
    try:
        answer = TxAnswer.model_validate(returned.value)
    except ValidationError:
        return "\n".join((f"Transaction {args.tx_hash}: {inert_json(returned.value, 300)}", *end))
    lines = [f"Transaction {args.tx_hash} is {_PROGRESS[answer.final_execution_status]}{_ending(answer)}."]
    if answer.signer_id and answer.receiver_id:
        block = f" in block {answer.block_height}" if answer.block_height is not None else ""
        lines.append(f"From {answer.signer_id} to {answer.receiver_id}{block}.")
    lines += [f"- {_effect(effect, context)}" for effect in answer.effects[:MAX_SHOWN_EFFECTS]]
    if len(answer.effects) > MAX_SHOWN_EFFECTS:
        lines.append(f"- and {len(answer.effects) - MAX_SHOWN_EFFECTS} more")
    return "\n".join((*lines, *end))


def _ending(answer: TxAnswer) -> str:
    failed = answer.receipts.failed if answer.receipts else 0
    match answer.status:
        case {"SuccessValue": _} | {"SuccessReceiptId": _} if failed:
            noun = "receipt" if failed == 1 else "receipts"
            return f"; it succeeded on the outside, but {failed} {noun} inside failed"
        case {"SuccessValue": _} | {"SuccessReceiptId": _}:
            return " and succeeded"
        case {"Failure": failure}:
            said = f"{answer.error.code}: {answer.error.message}" if answer.error else None
            return f" and failed: {quoted(said, 300) if said else inert_json(failure, 300)}"
        case _:
            return ""


def _effect(effect: _Effect, context: BuildContext) -> str:
    sign = "+" if effect.change > 0 else ""
    if effect.token == NEAR_SYMBOL:
        return f"{effect.account_id}: {sign or '-'}{near_text(abs(effect.change))}"
    if effect.token_id is not None:
        return f"{effect.account_id}: {sign}{effect.change} {shown_nft(inert(effect.token, 64), effect.token_id)}"
    token = context.registry.of_contract(effect.token)
    if token is None or token.decimals is None:
        return f"{effect.account_id}: {sign}{effect.change} base units of {inert(effect.token, 64)}"
    return (
        f"{effect.account_id}: {sign}{format_units(effect.change, token.decimals)} {token.name} ({token.contract_id})"
    )


def _explain(args: TxStatusArgs, error: RpcError, context: BuildContext) -> str | None:
    if error.code != "UNKNOWN_TRANSACTION":
        return None
    return (
        f"No transaction {args.tx_hash} of {_sender(args, context)} is known on {context.network} to the node that was "
        "asked. If someone else sent it, name them: sender_id=ACCOUNT."
    )


TX_STATUS: Final = Entry(
    name="tx_status",
    kind="view",
    about="outcome of a transaction",
    args=TxStatusArgs,
    build=_build,
    answer=_answer,
    explain=_explain,
    examples=(
        Example(
            "did 8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS go through",
            {"tx_hash": "8oCvJyhJVRU8FQRYRYzpYnECBXbVoWHkVT4VdP8gDmkS"},
        ),
    ),
)
