"""What pre-flight found out about a plan before anyone signs (DESIGN section 4, `PreflightReport`)."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from contracts.chain.outcome import Effect
from contracts.types import AccountId, CryptoHash

CheckResult: TypeAlias = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One named question. `detail` is for people; what comes from contracts in it is inert."""

    name: str
    result: CheckResult
    detail: str
    call: int | None = None
    """Place of the transaction in the plan; None: of the plan as a whole."""


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's NEAR or token before and after the simulated plan, in base units; gas is left out of NEAR."""

    account_id: AccountId
    token: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """One transaction, run on state of the report's block with what the transactions before it did."""

    result: Literal["success", "partial", "failure", "unknown"]
    """`partial`: the transaction succeeds and an inner receipt fails."""
    reason: str | None
    """Why it fails (the contract's own message, inert) or why it is unknown."""
    logs: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    gas_bound: int = 0
    """Gas of the transaction and all its receipts: measured, a lower bound, with the margin added."""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """All of it at one final block. Nothing here is a guess: what could not be checked is `unknown` with its reason."""

    block_height: int
    block_hash: CryptoHash
    checks: tuple[Check, ...]
    simulated: tuple[Simulated, ...]
    """One per transaction, in order; those after a failure are left away."""
    balances: tuple[Balance, ...]
    asks: tuple[str, ...]
    """Reasons why a person must approve, whatever the allowance."""
    rpc_calls: int
    own_ms: float
    """Our own time, without waiting for nodes and without compiling."""
    compile_ms: float

    @property
    def failure(self) -> Check | None:
        """The first check that failed; a plan with one is not shown for approval."""
        return next((check for check in self.checks if check.result == "fail"), None)
