"""What pre-flight found out about a plan before anyone signs (DESIGN section 4, `PreflightReport`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from contracts.chain.outcome import Effect, Units
from contracts.types import AccountId, CryptoHash

CheckResult: TypeAlias = Literal["pass", "fail", "unknown"]

_TOLD_FAILURES: Final = 3
_BALANCE_PARTS: Final = 10
"""A signer's balance may fall by one part in so many between card and confirmation."""
_CHANGE_PARTS: Final = 100
"""What a plan moves may differ by one part in so many: a swap's price moves all the time."""


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
    """`NEAR`, or the token contract's account id."""
    before: Units
    after: Units

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Simulated:
    """One transaction, run on state of the report's block with what the transactions before it did."""

    result: Literal["success", "partial", "failure", "unknown"]
    """`partial`: the transaction succeeds and an inner receipt fails, or it moves something else than expected."""
    reason: str | None
    """Why it fails (the contract's own message, inert) or why it is unknown."""
    logs: tuple[str, ...] = ()
    """Of all its receipts, in order; outside text as it came."""
    effects: tuple[Effect, ...] = ()
    gas_bound: int = 0
    """Gas of the transaction and all its receipts: measured, a lower bound, with the margin added."""


@dataclass(frozen=True, slots=True)
class ContractSeen:
    """A contract that the plan calls, as it was at the block."""

    account_id: AccountId
    code_hash: CryptoHash | None
    full_access_keys: int | None
    """Whoever holds one can replace its code; None: not known."""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """All of it at one final block. Nothing here is a guess: what could not be checked is `unknown` with its reason."""

    block_height: int
    block_hash: CryptoHash | None
    """None where no block could be read."""
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
    contracts: tuple[ContractSeen, ...] = ()
    unchecked: str | None = None
    """The reason why something is unknown this time: a node or the simulating process gave no answer. It says nothing about the plan."""

    @property
    def failure(self) -> Check | None:
        """The first check that failed; a plan with one is not shown for approval."""
        return next((check for check in self.checks if check.result == "fail"), None)

    @property
    def refusal(self) -> str | None:
        """What the first failed checks say: facts first, then the contract's own words with the correction."""
        failed = [check.detail for check in self.checks if check.result == "fail"]
        return "; ".join(failed[:_TOLD_FAILURES]) if failed else None

    @property
    def nfts(self) -> frozenset[Effect]:
        """NFTs that would change hands, by their contracts' own words."""
        effects = (effect for simulated in self.simulated for effect in simulated.effects)
        return frozenset(effect for effect in effects if effect.token_id is not None)

    @property
    def outflows(self) -> Mapping[tuple[AccountId, str], int]:
        """Return the outflow of each token from each account, `NEAR` without gas, NFTs in pieces as `nft:` and their contract.

        The larger of what contracts say, added up by transaction, and of what their balances lose.
        """
        left: dict[tuple[AccountId, str], int] = {}
        for simulated in self.simulated:
            moved: dict[tuple[AccountId, str], int] = {}
            for effect in simulated.effects:
                token = effect.token if effect.token_id is None else f"nft:{effect.token}"
                # One NFT that comes does not make up for another one that goes.
                change = effect.change if effect.token_id is None else min(0, effect.change)
                moved[effect.account_id, token] = moved.get((effect.account_id, token), 0) + change
            for place, change in moved.items():
                left[place] = left.get(place, 0) - min(0, change)
        for balance in self.balances:
            place = balance.account_id, balance.token
            left[place] = max(left.get(place, 0), -balance.change)
        return left

    @property
    def unknowns(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.result == "unknown")


def unchecked_now(old: PreflightReport, new: PreflightReport) -> str | None:
    """Return why a new report of the same calls does not decide whether a card made with the old one stands; None if it does.

    What was found out for the card and could not be found out again is no difference: it is to be asked again.
    """
    if new.unchecked is None or new.failure is not None:
        return None
    facts_lost = new.block_hash is None and old.block_hash is not None
    return new.unchecked if old.unchecked is None or facts_lost else None


def moved(old: PreflightReport, new: PreflightReport, amount: Callable[[int, str], str]) -> str | None:
    """Why a card made with the old report no longer stands, given a new one of the same calls; None where it does.

    Code that is another one, an outcome or amounts that differ by more than a hundredth, a balance that lost more than
    a tenth, a check that fails now, and a new reason to ask. `amount` says base units of a token for people.
    """
    failure = new.failure
    if failure is not None:
        return failure.detail
    codes = {seen.account_id: seen.code_hash for seen in old.contracts}
    for seen in new.contracts:
        if codes.get(seen.account_id, seen.code_hash) != seen.code_hash:
            return f"the code of {seen.account_id} was replaced since the card was made"
    for before, after in zip(old.simulated, new.simulated, strict=False):
        if before.result != after.result:
            return f"its simulated outcome was {before.result} and is {after.result} now"
    reason = _moved_balance(old, new, amount)
    if reason is not None:
        return reason
    if old.nfts != new.nfts:
        return "other NFTs would move than when the card was made"
    more = [reason for reason in new.asks if reason not in old.asks]
    return more[0] if more else None


def _moved_balance(old: PreflightReport, new: PreflightReport, amount: Callable[[int, str], str]) -> str | None:
    before = {(balance.account_id, balance.token): balance for balance in old.balances}
    after = {(balance.account_id, balance.token): balance for balance in new.balances}
    for place, gone in before.items():
        if gone.change and place not in after:
            return f"the plan would not {_does(gone, amount)} now, and would when the card was made"
    for place, balance in after.items():
        earlier = before.get(place)
        if earlier is None:
            if balance.change:
                return f"the plan would {_does(balance, amount)} now, and would not when the card was made"
            continue
        if abs(balance.change - earlier.change) * _CHANGE_PARTS > abs(earlier.change):
            now, then = _does(balance, amount), _does(earlier, amount)
            return f"the plan would {now} now, and would {then} when the card was made"
        if earlier.change < 0 and balance.before * _BALANCE_PARTS < earlier.before * (_BALANCE_PARTS - 1):
            had, has = amount(earlier.before, balance.token), amount(balance.before, balance.token)
            return f"{balance.account_id} had {had} when the card was made and has {has} now"
    return None


def _does(balance: Balance, amount: Callable[[int, str], str]) -> str:
    """`take 5 USDC from bob.near`; a change of nothing is told as such."""
    verb, end = ("take", "from") if balance.change < 0 else ("give", "to")
    return f"{verb} {amount(abs(balance.change), balance.token)} {end} {balance.account_id}"


def unknown_report(reason: str, *, rpc_calls: int = 0, own_ms: float = 0.0) -> PreflightReport:
    """The report of a pre-flight that could not be made at all."""
    return PreflightReport(
        block_height=0,
        block_hash=None,
        checks=(Check("preflight", "unknown", reason),),
        simulated=(Simulated("unknown", reason),),
        balances=(),
        asks=("the plan could not be checked before signing",),
        rpc_calls=rpc_calls,
        own_ms=own_ms,
        compile_ms=0.0,
        unchecked=reason,
    )
