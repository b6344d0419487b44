"""The signer's hard caps: what one transaction and 24 hours may take from an account without approvers. Pure.

They stand in the signer's own file, in human units, and know nothing of requests or policies: they bound what a daemon that
was taken over can have signed. What they cannot weigh (keys, code, deletion, signed messages, methods nobody knows) needs
approvers wherever any cap is set.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.call_arguments import read_arguments
from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
    DeleteKey,
    DeterministicStateInit,
    FunctionCall,
    FunctionCallAccess,
    Stake,
    Transfer,
    TransferToGasKey,
    WithdrawFromGasKey,
    total_deposit,
    total_gas,
)
from contracts.errors import InvalidInput
from contracts.signing.journal import NATIVE
from contracts.types import AccountId, PublicKey, base_units, format_near, format_units, parse_units

Network: TypeAlias = Literal["localnet", "testnet", "mainnet"]
OtherCalls: TypeAlias = Literal["allow", "approvers"]
_Shown: TypeAlias = Callable[[int], str]

_TOKEN_SENDS: Final = frozenset({"ft_transfer", "ft_transfer_call"})
_SPENDS_DEPOSIT_ONLY: Final = frozenset({"storage_deposit", "storage_withdraw", "near_deposit", "near_withdraw"})
_GAS_PRICE_YOCTO: Final = 100_000_000
"""The lowest price of a unit of gas (nearcore's parameters); what is not burnt comes back and is counted all the same."""


def _near(text: str) -> str:
    _parsed(text, 24)
    return text


def _parsed(text: str, decimals: int) -> int:
    try:
        return parse_units(text, decimals)
    except InvalidInput as error:
        raise ValueError(error.message) from None


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NearCap(_Section):
    per_transaction: Annotated[str, AfterValidator(_near)] | None = None
    per_day: Annotated[str, AfterValidator(_near)] | None = None


class TokenCap(_Section):
    decimals: Annotated[int, Field(ge=0, le=38)]
    """As the token's contract states them; the signer sees no chain."""
    per_transaction: str | None = None
    per_day: str | None = None

    @model_validator(mode="after")
    def _exact(self) -> Self:
        for text in (self.per_transaction, self.per_day):
            if text is not None:
                _parsed(text, self.decimals)
        return self


class ApproverSection(_Section):
    needed: Annotated[int, Field(ge=1, le=8)] = 1
    public_keys: tuple[PublicKey, ...] = ()


class Caps(_Section):
    """The file. No cap at all means that everything a grant covers is signed."""

    near: NearCap = NearCap()
    tokens: dict[AccountId, TokenCap] = Field(default_factory=dict[AccountId, TokenCap])
    other_tokens: OtherCalls = "allow"
    """Transfers of tokens that have no cap here."""
    other_calls: OtherCalls = "allow"
    """Methods whose worth cannot be read from their arguments."""
    message_recipients: tuple[str, ...] = ()
    """NEP-413 messages to these need no approver."""
    approvers: ApproverSection = ApproverSection()

    @property
    def set(self) -> bool:
        """Whether anything is capped."""
        near = self.near.per_transaction is not None or self.near.per_day is not None
        return near or bool(self.tokens) or "approvers" in {self.other_tokens, self.other_calls}


_DEFAULTS: Final[Mapping[Network, Caps]] = {
    "localnet": Caps(),
    "testnet": Caps(near=NearCap(per_transaction="100", per_day="1000")),
    "mainnet": Caps(near=NearCap(per_transaction="5", per_day="20"), other_tokens="approvers", other_calls="approvers"),
}


def default_caps(network: Network) -> Caps:
    """Where there is no file: none on localnet; testnet 100 NEAR and 1000 a day; mainnet 5 and 20, all else by approvers."""
    return _DEFAULTS[network]


def parse_caps(text: str) -> Caps:
    """The file's caps. InvalidInput `bad_caps` names the key."""
    try:
        return Caps.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("bad_caps", f"the signer's caps are not TOML: {error}") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
        raise InvalidInput("bad_caps", f"the signer's caps cannot be used: {told}") from error


@dataclass(frozen=True, slots=True)
class Spending:
    """What actions take from the signer's account, as far as their bytes say."""

    amounts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Token contract, or NATIVE -> base units."""
    unweighed: tuple[str, ...] = ()
    """What no amount bounds, in words."""


def spending(
    receiver_id: AccountId,
    actions: Iterable[Action],
    caps: Caps,
    own_keys: frozenset[PublicKey],
    signing: PublicKey | None = None,
) -> Spending:
    """What a transaction's actions take. `own_keys` are the signer's own of the receiver: adding one gives nothing away.

    `signing` is the key that signs: while it stays, so does the account.
    """
    amounts: dict[str, int] = {}
    unweighed: list[str] = []
    for action in actions:
        match action:
            case Transfer() | DeterministicStateInit() | TransferToGasKey():
                _add(amounts, NATIVE, action.deposit)
            case Stake():
                _add(amounts, NATIVE, action.stake)
            case FunctionCall():
                _add(amounts, NATIVE, action.deposit + action.gas * _GAS_PRICE_YOCTO)
                _weigh_call(receiver_id, action, caps, amounts, unweighed)
            case AddKey(_, FunctionCallAccess(contract_id, _, allowance)) if _holds_little(
                contract_id, allowance, caps
            ):
                _add(amounts, NATIVE, allowance or 0)
            case AddKey(public_key) if public_key in own_keys:
                pass
            case DeleteKey(public_key) if public_key != signing:
                pass
            case CreateAccount() | WithdrawFromGasKey():
                pass
            case Delegate(inner):
                # Signed by its own sender; what is attached to its actions, and their gas, is paid by who relays it.
                _add(amounts, NATIVE, total_deposit(inner.actions) + total_gas(inner.actions) * _GAS_PRICE_YOCTO)
            case _:
                unweighed.append(action.kind.replace("_", " "))
    return Spending(amounts, tuple(unweighed))


def over_caps(spent: Spending, caps: Caps, earlier: Mapping[str, int]) -> tuple[str, ...]:
    """Why approvers are needed, in words; empty where they are not. `earlier` are the sums of the last 24 hours."""
    if not caps.set:
        return ()
    reasons = [f"no cap can weigh: {what}" for what in spent.unweighed]
    for token, amount in spent.amounts.items():
        per_transaction, per_day, shown, unit = _limits(token, caps)
        if per_transaction is not None and amount > per_transaction:
            reasons.append(f"{shown(amount)} {unit} is above {shown(per_transaction)} per transaction")
        total = earlier.get(token, 0) + amount
        if amount and per_day is not None and total > per_day:
            reasons.append(f"{shown(total)} {unit} in 24 hours is above {shown(per_day)}")
    return tuple(reasons)


def _holds_little(contract_id: AccountId, allowance: int | None, caps: Caps) -> bool:
    """Whether all that a key for function calls can take is its allowance: what it calls needs no approvers either."""
    return allowance is not None and caps.other_calls == "allow" and contract_id not in caps.tokens


def _add(amounts: dict[str, int], token: str, amount: int) -> None:
    amounts[token] = amounts.get(token, 0) + amount


def _weigh_call(
    receiver_id: AccountId, action: FunctionCall, caps: Caps, amounts: dict[str, int], unweighed: list[str]
) -> None:
    capped = receiver_id in caps.tokens
    if action.method_name in _TOKEN_SENDS:
        amount = _token_amount(action.args)
        if amount is None or (not capped and caps.other_tokens == "approvers"):
            unweighed.append(f"{action.method_name} of {receiver_id}")
        else:
            _add(amounts, receiver_id, amount)
    elif action.method_name in _SPENDS_DEPOSIT_ONLY:
        if read_arguments(action.args) is None:
            unweighed.append(f"{action.method_name} of {receiver_id}")
    elif capped or caps.other_calls == "approvers":
        unweighed.append(f"{action.method_name[:80]!r} of {receiver_id}")


def _token_amount(args: bytes) -> int | None:
    """The amount of an `ft_transfer`; None if the arguments stay unread or hold none."""
    arguments = read_arguments(args)
    return None if arguments is None else base_units(arguments.get("amount"))


def _limits(token: str, caps: Caps) -> tuple[int | None, int | None, _Shown, str]:
    if token == NATIVE:
        near = caps.near
        return _maybe(near.per_transaction, 24), _maybe(near.per_day, 24), format_near, "NEAR"
    cap = caps.tokens.get(AccountId(token))
    if cap is None:
        return None, None, str, f"base units of {token}"
    decimals = cap.decimals
    return (
        _maybe(cap.per_transaction, decimals),
        _maybe(cap.per_day, decimals),
        lambda units: format_units(units, decimals),
        token,
    )


def _maybe(text: str | None, decimals: int) -> int | None:
    return None if text is None else parse_units(text, decimals)
