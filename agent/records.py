"""The spine: what each stage of a request hands to the next, and the record that keeps them all.

Imports no HTTP client and no daemon: training reads records from the store's file, read-only, with the standard library.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, model_validator

from agent.preamble import Preamble, PreambleTexts, Tools, read_preamble
from contracts.calls import ChangeCall
from contracts.chain.outcome import Outcome
from contracts.checks.report import PreflightReport
from contracts.checks.verdict import Verdict

SCHEMA_VERSION: Final = 2
"""2: with the pre-flight report and the policy's verdict. Records of version 1 still read."""

Status: TypeAlias = Literal[
    "answered",
    "needs_approval",
    "executed",
    "partially_executed",
    "failed",
    "unconfirmed",
    "declined",
    "clarify",
    "unsupported",
    "refused",
]
FrontEnd: TypeAlias = Literal["chat_completions", "responses", "plan", "cli"]
ModelName: TypeAlias = Literal["near-agent", "near-agent-standard", "near-agent-specialist"]


class Frozen(BaseModel):
    """A value that does not change once made and knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(Frozen):
    """Who asks: an API key's holder (or the local user of the command line), and the account they act for."""

    key_id: str
    account_id: str
    may_confirm: bool


class Turn(Frozen):
    """One message of a conversation as the front end sent it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class UserRequest(Frozen):
    request_id: str
    """UUIDv7."""
    text: str
    """The last user message."""
    turns: tuple[Turn, ...]
    """The conversation, the last user message included."""
    turns_left_out: int = 0
    """Older messages of a very long conversation, which are not kept."""
    identity: Identity
    front_end: FrontEnd
    conversation_id: str
    model: ModelName = "near-agent"
    idempotency_key: str | None = None
    message_id: str | None = None
    received_at: float
    """Unix seconds."""

    @classmethod
    def of_command(cls, request_id: str, text: str, identity: Identity, conversation_id: str, now: float) -> Self:
        """What a command does on the daemon's machine, told as a request of its own; no conversation leads to it."""
        return cls(
            request_id=request_id,
            text=text,
            turns=(),
            identity=identity,
            front_end="cli",
            conversation_id=conversation_id,
            received_at=now,
        )


class Route(Frozen):
    target: Literal["none", "standard", "specialist"]
    model: str | None
    reason: str
    considered: tuple[str, ...] = ()


class ModelExchange(Frozen):
    """One call of a model: messages and tools as sent, and what came back.

    In the database an exchange may name its `preamble` by digest: then the first message and the tools are kept once for all
    records, and `RecordReader` puts them back. Exchanges of earlier versions hold all of it themselves.
    """

    target: Literal["standard", "specialist"]
    model: str
    messages: list[dict[str, JsonValue]]
    tools: Tools
    response: JsonValue
    """The answer's first message as JSON; None where there was none."""
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    time_to_first_token_ms: float | None = None
    error: str | None = None
    adapter_hash: str | None = None

    def begins_with(self, preamble: Preamble) -> bool:
        """Whether the first message and the tools are exactly the agent's own."""
        return self.messages[:1] == [preamble.message] and self.tools == preamble.tools

    @model_validator(mode="before")
    @classmethod
    def _with_preamble(cls, stored: Any, info: ValidationInfo) -> Any:
        """Put the preamble that a stored exchange names before its messages."""
        if not isinstance(stored, dict) or "preamble" not in stored or not isinstance(info.context, RecordReader):
            return cast("Any", stored)
        exchange = cast("dict[str, Any]", stored)
        preamble = info.context.preamble(str(exchange["preamble"]))
        kept = {name: value for name, value in exchange.items() if name != "preamble"}
        return kept | {"messages": [preamble.message, *kept["messages"]], "tools": preamble.tools}


class Source(Frozen):
    """Where an argument of a plan came from."""

    kind: Literal["words", "registry", "address_book", "code", "slash"]
    turn: int | None = None
    """Index of the requester's turn, for `words`."""
    span: tuple[int, int] | None = None
    """Start and end in that turn's text, for `words`."""
    written: str | None = None
    """For `address_book`: the name that became the account of the argument."""


class PlannedCall(Frozen):
    action: str
    args: dict[str, JsonValue]
    """Catalogue arguments in human units."""
    sources: dict[str, Source] = Field(default_factory=dict)


class CallPlan(Frozen):
    kind: Literal["plan"] = "plan"
    calls: tuple[PlannedCall, ...]
    plan_hash: str
    """sha256 (hex) over the canonical JSON of `[{"action", "args"}]`."""
    confidence: float | None = None


class Clarification(Frozen):
    kind: Literal["clarify"] = "clarify"
    text: str
    missing: tuple[str, ...] = ()
    """Argument names, or `intent`."""


class Answer(Frozen):
    kind: Literal["answer"] = "answer"
    text: str
    verbatim: bool = False
    """The text has the form that a front end asked for (a title, JSON), and is shown as it is."""


class Unsupported(Frozen):
    kind: Literal["unsupported"] = "unsupported"
    text: str
    why: str | None = None


class Refusal(Frozen):
    kind: Literal["refuse"] = "refuse"
    text: str
    why: str
    """A stable code, e.g. `unknown_action`, `amount_too_precise`."""


Plan: TypeAlias = Annotated[CallPlan | Clarification | Answer | Unsupported | Refusal, Field(discriminator="kind")]


class CallOutcome(Frozen):
    """What front ends show of one planned call (INTERFACE: `near_agent.outcomes[]`)."""

    action: str
    status: Literal["returned", "final", "partial", "failed", "unconfirmed", "not_done"]
    value: JsonValue = None
    tx_hash: str | None = None
    block_height: int | None = None
    error: dict[str, JsonValue] | None = None
    """`{"code", "message"}` or None."""


class CardEffect(Frozen):
    """A balance that the plan changes, as the pre-flight found it; exact decimals, gas left out of NEAR."""

    account_id: str
    token: str
    """`NEAR`, or the token contract's account id."""
    symbol: str | None
    """None: the token's decimals are not known, and the numbers are base units."""
    before: str
    after: str
    change: str
    """After less before; negative for what leaves the account."""


class CardTransaction(Frozen):
    receiver_id: str
    actions: tuple[str, ...]
    """In words."""
    deposit_near: str
    """NEAR that leaves the signer with it."""
    gas_tgas: str
    """Attached to its function calls."""


class CardGas(Frozen):
    limit_tgas: int
    """Attached gas and fees together; what is not burnt comes back."""
    limit_near: str | None
    """At the price of the day; None: the node did not say one."""
    simulated_tgas: str | None
    """Measured by the pre-flight, with a margin; None: nothing was measured."""


class CardCheck(Frozen):
    name: str
    result: Literal["pass", "fail", "unknown"]
    detail: str
    transaction: int | None
    """Counted from 1; None: of the plan as a whole."""


WarningKind: TypeAlias = Literal["warning", "policy", "unknown"]


class CardWarning(Frozen):
    kind: WarningKind
    """Of the action or of an earlier request, of a rule of the policy that asks, of what could not be checked."""
    text: str


class CardFacts(Frozen):
    """A card as data (INTERFACE: `near_agent.card`). Text from outside in it is inert; it never holds the code."""

    request_id: str
    network: str
    signer_id: str
    summary: tuple[str, ...]
    """Each planned action in words, with exact amounts."""
    near_out: str
    """NEAR that leaves the signer, gas apart."""
    effects: tuple[CardEffect, ...]
    nfts: tuple[str, ...]
    """NFTs that change hands, in words."""
    warnings: tuple[CardWarning, ...]
    notes: tuple[str, ...]
    named: tuple[str, ...]
    """Accounts that the calls name and that stand nowhere else on the card, with where."""
    transactions: tuple[CardTransaction, ...]
    gas: CardGas
    simulation: Literal["success", "partial", "failure", "unknown", "none"]
    checked_at_block: int | None
    checks: tuple[CardCheck, ...]
    fingerprint: str
    """The first 12 hex digits of `calls_hash`, in fours."""
    expires_at: str
    """ISO 8601, UTC."""


class Reply(Frozen):
    """The pipeline's answer to one request: text for people and the facts behind it."""

    request_id: str
    status: Status
    text: str
    """Plain, in the layout of `agent.markup`; chat clients get it as Markdown."""
    verbatim: bool = False
    """As `Answer.verbatim`."""
    route: Route
    plan: Plan | None
    confirm_code: str | None = None
    """Only in the answer to the requester; never in a record, a log or a prompt."""
    card: CardFacts | None = None
    """The card that waits for approval."""
    cards: tuple[CardFacts, ...] = ()
    """All that wait, in an answer that lists them."""
    calls_hash: str | None = None
    outcomes: tuple[CallOutcome, ...] = ()
    error: dict[str, JsonValue] | None = None
    """`{"code", "message"}` of a request that failed as a whole."""
    prompt_tokens: int = 0
    """Tokens that models read for this request; 0 where none was asked."""
    completion_tokens: int = 0


class Privacy(Frozen):
    redactions: int = 0
    consent: bool = True


class InteractionRecord(Frozen):
    """One request from its words to its end. Written once per request, also when it failed or was interrupted."""

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    request: UserRequest
    status: Status | Literal["interrupted"]
    text: str
    route: Route | None
    exchanges: tuple[ModelExchange, ...] = ()
    plan: Plan | None = None
    calls: tuple[ChangeCall, ...] = ()
    calls_hash: str | None = None
    preflight: PreflightReport | None = None
    """What was found out before anyone was asked to approve."""
    verdict: Verdict | None = None
    """What the policy said of these calls, and by which rules."""
    outcomes: tuple[Outcome, ...] = ()
    call_outcomes: tuple[CallOutcome, ...] = ()
    approval_of: str | None = None
    """For a confirm or cancel: the request whose card it acted on. Its own id if the free allowance let it through."""
    repeats: str | None = None
    """An earlier request that this one repeats."""
    error: dict[str, JsonValue] | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    finished_at: float
    privacy: Privacy = Privacy()
    feedback: str | None = None
    split: str | None = None


class RecordReader:
    """Reads stored records; `texts` finds the preambles that they name, in the same database."""

    def __init__(self, texts: PreambleTexts) -> None:
        self.preamble = lru_cache(maxsize=_KEPT_PREAMBLES)(partial(read_preamble, texts=texts))
        """By digest; each is read and parsed once for many records."""

    def read(self, text: str) -> InteractionRecord:
        """Return a record with its messages and tools as sent. ValidationError if it, or a preamble, is damaged."""
        return InteractionRecord.model_validate_json(text, context=self)


def read_records(path: Path) -> Iterator[InteractionRecord]:
    """Every record in the store's file, in the order of finishing, also while a daemon writes to it.

    Read in short pages, so that the writer is never held up. FileNotFoundError where there is no file;
    sqlite3.DatabaseError where it is not a store.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no database at {path}; name the data folder of a daemon that has run")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
        reader = RecordReader(lambda digest: _preamble_text(connection, digest))
        last = 0
        while page := connection.execute(_PAGE, (last,)).fetchall():
            for seq, text in page:
                last = seq
                yield reader.read(text)


def _preamble_text(connection: sqlite3.Connection, digest: str) -> str | None:
    row = connection.execute("SELECT text FROM preambles WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else str(row[0])


_KEPT_PREAMBLES: Final = 8
"""Each is some 20 KB; a new one comes with a change of the catalogue."""
_PAGE: Final = "SELECT seq, record FROM records WHERE seq > ? ORDER BY seq LIMIT 200"
