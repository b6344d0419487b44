"""Staking with pools that have the interface of near/core-contracts' staking-pool.

What was unstaked can be withdrawn four epochs later, and every further unstake begins the wait again for all of it. How
long that is comes from the chain: epochs in blocks, and the time that its blocks take.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from contracts.calls import ChangeCall, FunctionCall, ViewFunction
from contracts.catalogue.arguments import ALL, AccountArg, AmountArg, AmountOrAllArg, Args, compact_json
from contracts.catalogue.entry import BuildContext, Built, Entry, Example
from contracts.catalogue.receivers import explain_view, missing_contract
from contracts.chain.outcome import Effect, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.epochs import EpochFact, EpochFacts
from contracts.knowledge.facts import Absent, ChainFacts, FactRequest, ViewFact, ViewFacts
from contracts.knowledge.inert import inert_json, quoted
from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import TGAS, AccountId, Gas, Yocto, base_units, format_near, parse_near

POOL_GAS: Final = Gas(100 * TGAS)
"""The real pool keeps 20 Tgas for its callback and burns up to 15 itself; in a new epoch it also shares out rewards."""
UNLOCK_EPOCHS: Final = 4
"""NUM_EPOCHS_TO_UNLOCK of the staking-pool contract."""


def _units(value: object) -> object:
    """Amounts are texts of digits; what else pydantic would take for a number is no amount."""
    if not isinstance(value, str):
        return None
    return base_units(value)


_U128: TypeAlias = Annotated[int, BeforeValidator(_units)]


class PoolAccount(BaseModel):
    """`get_account` of a staking pool; amounts in yoctoNEAR."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unstaked_balance: _U128
    staked_balance: _U128
    can_withdraw: bool


class _Fee(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    numerator: Annotated[int, Field(ge=0, lt=2**32)]
    denominator: Annotated[int, Field(gt=0, lt=2**32)]


class StakeArgs(Args):
    pool_id: AccountArg
    amount: AmountArg


class UnstakeArgs(Args):
    pool_id: AccountArg
    amount: AmountOrAllArg


class StakeBalanceArgs(Args):
    pool_id: AccountArg
    account_id: AccountArg


def _account(pool_id: AccountId, account_id: AccountId) -> ViewFacts:
    return ViewFacts.of(pool_id, "get_account", {"account_id": account_id})


def _read_account(pool_id: AccountId, facts: ChainFacts, context: BuildContext) -> PoolAccount:
    """The caller's account with the pool; InvalidInput `not_a_pool` for what does not answer as pools do."""
    fact = facts.of(_account(pool_id, context.signer_id), ViewFact)
    if isinstance(fact, Absent):
        if fact.reason in {"no_account", "no_code"}:
            raise missing_contract(pool_id, fact, context)
        raise _not_a_pool(pool_id, quoted(fact.detail, 120))
    try:
        return PoolAccount.model_validate(fact.value)
    except ValidationError as error:
        raise _not_a_pool(pool_id, f"get_account answers {inert_json(fact.value, 120)}") from error


def _not_a_pool(pool_id: AccountId, why: str) -> InvalidInput:
    return InvalidInput(
        "not_a_pool",
        f"{pool_id} is not a staking pool ({why}); check its name, pools end in a factory's name such as poolv1.near",
        details={"contract_id": pool_id},
    )


def _call(pool_id: AccountId, method: str, amount: int | None, deposit: int = 0) -> tuple[ChangeCall, ...]:
    args = compact_json({} if amount is None else {"amount": str(amount)})
    return (ChangeCall(pool_id, (FunctionCall(method, args, POOL_GAS, Yocto(deposit)),)),)


def _stake_needs(args: StakeArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    pool_id = args.pool_id
    return (
        _account(pool_id, context.signer_id),
        ViewFacts.of(pool_id, "get_reward_fee_fraction", {}),
        ViewFacts.of(pool_id, "is_staking_paused", {}),
    )


def _stake(args: StakeArgs, facts: ChainFacts, context: BuildContext) -> Built:
    pool_id, amount = args.pool_id, parse_near(args.amount)
    account = _read_account(pool_id, facts, context)
    if amount == 0:
        raise InvalidInput("amount_zero", "staking 0 NEAR changes nothing; write how much")
    notes = [
        f"back in two steps: /unstake {pool_id}, and {UNLOCK_EPOCHS} epochs later /stake_withdraw {pool_id}",
        *_about_pool(pool_id, facts, context),
    ]
    if account.staked_balance:
        notes.append(f"{format_near(account.staked_balance)} NEAR is staked there already")
    return Built(
        calls=_call(pool_id, "deposit_and_stake", None, amount),
        summary=f"stake {format_near(amount)} NEAR of {context.signer_id} with {pool_id}",
        expected=(Effect(context.signer_id, NEAR_SYMBOL, -amount),),
        notes=tuple(notes),
    )


def _about_pool(pool_id: AccountId, facts: ChainFacts, context: BuildContext) -> list[str]:
    notes: list[str] = []
    if not context.registry.is_known_pool(pool_id):
        notes.append(f"warning: {pool_id} is not of a pool factory that is known on {context.network}")
    fee = _fee(facts.of(ViewFacts.of(pool_id, "get_reward_fee_fraction", {}), ViewFact))
    notes.append(f"the pool keeps {fee} of the rewards" if fee else "unknown: what the pool keeps of the rewards")
    paused = facts.of(ViewFacts.of(pool_id, "is_staking_paused", {}), ViewFact)
    if isinstance(paused, ViewFact) and paused.value is True:
        notes.append("warning: the pool is paused: it earns nothing until its owner goes on")
    return notes


def _fee(fact: ViewFact | Absent) -> str | None:
    """Percent, cut after two decimals."""
    if isinstance(fact, Absent):
        return None
    try:
        fee = _Fee.model_validate(fact.value)
    except ValidationError:
        return None
    hundredths = fee.numerator * 10_000 // fee.denominator
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02} %" if rest else f"{whole} %"


def _waiting_needs(args: UnstakeArgs, context: BuildContext) -> tuple[FactRequest, ...]:
    return (_account(args.pool_id, context.signer_id), EpochFacts())


def _epochs(facts: ChainFacts) -> str:
    """How long unstaked funds wait, in words."""
    fact = facts.of(EpochFacts(), EpochFact)
    return f"{UNLOCK_EPOCHS} epochs" if isinstance(fact, Absent) else fact.until(UNLOCK_EPOCHS)


def _unstake(args: UnstakeArgs, facts: ChainFacts, context: BuildContext) -> Built:
    pool_id, signer_id = args.pool_id, context.signer_id
    account = _read_account(pool_id, facts, context)
    amount = _wanted(args.amount, account.staked_balance, f"staked with {pool_id}", f"/stake_balance {pool_id} @me")
    notes = [f"it can be withdrawn after {_epochs(facts)}"]
    if account.unstaked_balance:
        earlier = f"{format_near(account.unstaked_balance)} NEAR that was unstaked earlier"
        notes.append(
            f"warning: {earlier} and can be withdrawn now would wait as long again; /stake_withdraw {pool_id} all first"
            if account.can_withdraw
            else f"warning: {earlier} and is waiting now would wait all that time from the beginning"
        )
    everything = args.amount == ALL
    shown = f"all {format_near(amount)}" if everything else format_near(amount)
    return Built(
        calls=_call(pool_id, "unstake_all" if everything else "unstake", None if everything else amount),
        summary=f"unstake {shown} NEAR of {signer_id} from {pool_id}",
        notes=tuple(notes),
    )


def _withdraw(args: UnstakeArgs, facts: ChainFacts, context: BuildContext) -> Built:
    pool_id, signer_id = args.pool_id, context.signer_id
    account = _read_account(pool_id, facts, context)
    if not account.unstaked_balance and account.staked_balance:
        raise InvalidInput(
            "nothing_unstaked",
            f"{signer_id} has {format_near(account.staked_balance)} NEAR with {pool_id}, all of it staked; "
            f"/unstake {pool_id} all, and withdraw it after {_epochs(facts)}",
            details={"contract_id": pool_id},
        )
    amount = _wanted(args.amount, account.unstaked_balance, f"unstaked with {pool_id}", f"/stake_balance {pool_id} @me")
    if not account.can_withdraw:
        raise InvalidInput(
            "still_waiting",
            f"{format_near(account.unstaked_balance)} NEAR of {signer_id} with {pool_id} cannot be withdrawn yet: it waits "
            f"until {UNLOCK_EPOCHS} epochs after the last unstake, from now at most {_epochs(facts)}",
            details={"contract_id": pool_id},
        )
    everything = args.amount == ALL
    return Built(
        calls=_call(pool_id, "withdraw_all" if everything else "withdraw", None if everything else amount),
        summary=f"withdraw {format_near(amount)} NEAR from {pool_id} to {signer_id}",
        expected=(Effect(signer_id, NEAR_SYMBOL, amount),),
    )


def _wanted(amount: str, there: int, what: str, look: str) -> Yocto:
    """The amount in yoctoNEAR, `all` being all there is; InvalidInput for nothing and for more than there is."""
    if there == 0:
        raise InvalidInput("nothing_there", f"nothing is {what}; {look} shows the balances")
    wanted = Yocto(there) if amount == ALL else parse_near(amount)
    if wanted == 0:
        raise InvalidInput("amount_zero", "0 NEAR changes nothing; write how much, or all")
    if wanted > there:
        raise InvalidInput(
            "more_than_there_is",
            f"{format_near(there)} NEAR is {what}, less than {format_near(wanted)}; write at most that, or all",
            details={"available_yocto": str(there), "wanted_yocto": str(wanted)},
        )
    return wanted


def _balance_build(args: StakeBalanceArgs, _facts: ChainFacts, _context: BuildContext) -> Built:
    call = ViewFunction(args.pool_id, "get_account", compact_json({"account_id": args.account_id}))
    return Built((call,), f"look at the stake of {args.account_id} with {args.pool_id}")


def _balance_answer(args: StakeBalanceArgs, returned: ViewReturned, _facts: ChainFacts, _context: BuildContext) -> str:
    try:
        account = PoolAccount.model_validate(returned.value)
    except ValidationError:
        return f"{args.pool_id} answered {_shown(returned.value)}, which is not what a staking pool says."
    said = f"{args.account_id} has {format_near(account.staked_balance)} NEAR staked with {args.pool_id}"
    if not account.unstaked_balance:
        return f"{said} and nothing unstaked."
    unlocked = "can be withdrawn now" if account.can_withdraw else "cannot be withdrawn yet"
    return f"{said} and {format_near(account.unstaked_balance)} NEAR unstaked, which {unlocked}."


def _shown(value: JsonValue) -> str:
    return inert_json(value, 200)


def _explain(args: StakeBalanceArgs, error: RpcError, context: BuildContext) -> str | None:
    otherwise = f"{args.pool_id} is not a staking pool."
    return explain_view(args.pool_id, error, context, otherwise=otherwise)


_POOL: Final = "pool.localnet"

STAKE: Final = Entry(
    name="stake",
    kind="change",
    about="deposit and stake with a pool",
    args=StakeArgs,
    needs=_stake_needs,
    build=_stake,
    examples=(Example("stake 10 NEAR with pool.localnet", {"pool_id": _POOL, "amount": "10"}),),
)

UNSTAKE: Final = Entry(
    name="unstake",
    kind="change",
    about="unstake; funds unlock later",
    args=UnstakeArgs,
    needs=_waiting_needs,
    build=_unstake,
    examples=(
        Example("unstake 2.5 NEAR from pool.localnet", {"pool_id": _POOL, "amount": "2.5"}),
        Example("unstake everything from pool.localnet", {"pool_id": _POOL, "amount": "all"}),
    ),
)

STAKE_WITHDRAW: Final = Entry(
    name="stake_withdraw",
    kind="change",
    about="withdraw unlocked funds from a pool",
    args=UnstakeArgs,
    needs=_waiting_needs,
    build=_withdraw,
    examples=(Example("withdraw all I unstaked from pool.localnet", {"pool_id": _POOL, "amount": "all"}),),
)

STAKE_BALANCE: Final = Entry(
    name="stake_balance",
    kind="view",
    about="staked, unstaked, whether it can be withdrawn",
    args=StakeBalanceArgs,
    build=_balance_build,
    answer=_balance_answer,
    explain=_explain,
    examples=(
        Example("how much have I staked with pool.localnet", {"pool_id": _POOL, "account_id": "@me"}),
        Example("stake of bob.localnet with pool.localnet", {"pool_id": _POOL, "account_id": "bob.localnet"}),
    ),
)
