"""What a plan draws on rolling limits: reserved in the ledger together with the grant, settled by what really happened."""

from dataclasses import dataclass
from typing import Final, Literal

from contracts.chain.outcome import Units
from contracts.knowledge.registry import NEAR_SYMBOL

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
WEEK_S: Final = 604_800.0
STAKED: Final = "stake:NEAR"
"""In place of a token: NEAR that moves within a staking pool. It is no spending and uses up what goes without asking."""


@dataclass(frozen=True, slots=True)
class Spend:
    """The most that one transaction takes of NEAR (gas and storage counted) or of a token, in base units."""

    token: str
    """`NEAR`, a token contract's id, `nft:` and the id of the contract, counted in pieces, or STAKED."""
    units: Units
    call: int
    """Place of the transaction in the plan."""
    payer_id: str | None = None
    """Who pays it, where that is not the signer: the DAO that a vote makes pay."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A rolling limit that a plan draws on."""

    rule: str
    """The key in the policy's file, e.g. `default.limits.NEAR.per_day`."""
    token: str
    window_s: float
    units: Units
    decimals: int
    """Of the token, to show amounts."""
    scope: Literal["account", "identity"] = "account"
    """Whose spending counts: everybody's who signs as this account, or this identity's alone."""
    free: bool = False
    """Counts only what went out under the free allowance, and binds only that."""
    symbol: str | None = None
    """The registry's, for messages."""

    @property
    def counts(self) -> tuple[str, ...]:
        """The tokens whose spends count against it."""
        return (self.token, STAKED) if self.free and self.token == NEAR_SYMBOL else (self.token,)

    @property
    def unit(self) -> str:
        """What amounts of it are said in."""
        return self.symbol or self.token


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an approval takes out of budgets, stored with its grant or not at all."""

    identity: str
    """Whose request it is; the person of a shared key is left out, its key counts as one."""
    spends: tuple[Spend, ...]
    budgets: tuple[Budget, ...]
    at: float
    """Unix seconds: the later of the clock and the last final block's time."""
    free: bool
    """Granted by the free allowance, without a person."""
