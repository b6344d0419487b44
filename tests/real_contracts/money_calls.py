"""Calls that move money on real contracts, with arguments in every form that those read."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from hypothesis import strategies as st

from contracts.calls import Action, ChangeCall, FunctionCall, Transfer
from contracts.types import TGAS, AccountId, CryptoHash, Gas, Yocto
from tests.contracts.localnet_contracts.world import BOB, MINIMUM, NEAR, USDC, WRAP
from tests.real_contracts.real_world import DAO, EVE, EXCHANGE, PAIRS, POOL, TOKENS, USDT
from tests.real_contracts.serde_shapes import Amount, Encoded, Struct, Text, Value, Variant, plain, written

Calls: TypeAlias = st.SearchStrategy[ChangeCall]

AMOUNTS: Final = st.one_of(st.integers(1, 10**6), st.integers(10**18, 2 * NEAR))
RECEIVERS: Final = st.sampled_from((EVE, EVE, BOB))
_MEMO: Final = st.sampled_from((None, "lunch"))
_ANYTHING: Final = st.sampled_from((b"", b"{}", b"null", b"[]", b"\xff", b'"', b"[" * 200, b'{"amount":"1"}'))
"""Arguments of methods that read none."""


def _call(method: str, args: bytes, deposit: int = 0, tgas: int = 60) -> FunctionCall:
    return FunctionCall(method, args, Gas(tgas * TGAS), Yocto(deposit))


# ---- wrapped NEAR


@st.composite
def token_actions(draw: st.DrawFn) -> Action:
    """One action on a token that gives something away, or turns it into something else."""
    method = draw(
        st.sampled_from(
            (
                *("ft_transfer",) * 4,
                *("ft_transfer_call",) * 4,
                "near_withdraw",
                "near_withdraw",
                "near_deposit",
                "storage_deposit",
                "storage_withdraw",
                "storage_unregister",
                "transfer",
            )
        )
    )
    amount = Amount(draw(AMOUNTS))
    match method:
        case "ft_transfer":
            receiver, memo = draw(RECEIVERS), draw(_MEMO)
            fields = (("receiver_id", receiver), ("amount", amount), ("memo", memo))
            return _call(method, draw(written(Struct(fields))), 1)
        case "ft_transfer_call":
            return draw(_sent_to_exchange(amount))
        case "near_withdraw":
            return _call(method, draw(written(Struct((("amount", amount),)))), 1)
        case "near_deposit":
            return _call(method, draw(_ANYTHING), draw(AMOUNTS))
        case "storage_deposit":
            account, only = draw(st.sampled_from((None, "carol.localnet"))), draw(st.sampled_from((None, True)))
            fields = (("account_id", account), ("registration_only", only))
            return _call(method, draw(written(Struct(fields))), 2 * MINIMUM)
        case "storage_withdraw":
            return _call(method, draw(written(Struct((("amount", draw(st.sampled_from((None, Amount(0))))),)))), 1)
        case "storage_unregister":
            force = draw(st.sampled_from((True, True, False, None)))
            return _call(method, draw(written(Struct((("force", force),)))), 1)
        case _:
            return Transfer(Yocto(amount.units))


@st.composite
def _sent_to_exchange(draw: st.DrawFn, amount: Amount) -> FunctionCall:
    inner = draw(_messages())
    msg: Value = draw(st.sampled_from(("", Text(inner), Text(inner), Text(inner), Text(Text(inner)))))
    fields = (("receiver_id", EXCHANGE), ("amount", amount), ("memo", draw(_MEMO)), ("msg", msg))
    return _call("ft_transfer_call", draw(written(Struct(fields))), 1, 180)


@st.composite
def _messages(draw: st.DrawFn) -> Struct:
    """ref-exchange's TokenReceiverMessage: swap at once, or swap and add liquidity."""
    steps: tuple[Value, ...] = tuple(draw(st.lists(_steps(named=False), min_size=1, max_size=2)))
    if draw(st.integers(0, 5)) == 5:
        added = Struct(
            (("pool_id", 0), ("amounts", (Amount(0), Amount(1))), ("min_amounts", None), ("min_shares", Amount(0)))
        )
        return Struct(
            (
                ("referral_id", None),
                ("hot_zap_actions", steps),
                ("add_liquidity_infos", (added,)),
                ("skip_degen_price_sync", None),
            )
        )
    return Struct(
        (
            ("referral_id", draw(st.sampled_from((None, BOB)))),
            ("actions", steps),
            ("client_echo", None),
            ("skip_unwrap_near", draw(st.sampled_from((None, True)))),
            ("swap_out_recipient", draw(st.sampled_from((None, None, EVE)))),
            ("skip_degen_price_sync", None),
            ("extra_tgas_for_client_echo", None),
        )
    )


# ---- ref-exchange


@st.composite
def _steps(draw: st.DrawFn, *, named: bool) -> Struct:
    """A swap. Without an amount of its own it takes as many units as the one before gave, whatever token that was."""
    pool_id = draw(st.integers(0, len(PAIRS) - 1))
    pair = PAIRS[pool_id]
    token_in, token_out = draw(st.sampled_from((pair, pair[::-1])))
    amount = None if not named and draw(st.booleans()) else Amount(draw(AMOUNTS))
    least = Amount(draw(st.sampled_from((0, 0, 1))))
    return Struct(
        (
            ("pool_id", pool_id),
            ("token_in", token_in),
            ("amount_in", amount),
            ("token_out", token_out),
            ("min_amount_out", least),
        )
    )


@st.composite
def _steps_by_output(draw: st.DrawFn) -> Struct:
    pool_id = draw(st.integers(0, len(PAIRS) - 1))
    token_in, token_out = PAIRS[pool_id]
    amount, most = Amount(draw(AMOUNTS)), draw(st.sampled_from((None, Amount(5 * NEAR))))
    return Struct(
        (
            ("pool_id", pool_id),
            ("token_in", token_in),
            ("amount_out", amount),
            ("token_out", token_out),
            ("max_amount_in", most),
        )
    )


@st.composite
def exchange_actions(draw: st.DrawFn) -> FunctionCall:
    """One action on what an account has in the exchange."""
    method = draw(
        st.sampled_from((*("swap",) * 6, "execute_actions", "swap_by_output", "withdraw", "withdraw", "add_liquidity"))
    )
    deposit = draw(st.sampled_from((1, 1, 0)))
    match method:
        case "swap" | "execute_actions":
            steps = (draw(_steps(named=True)), *draw(st.lists(_steps(named=False), max_size=2)))
            fields = (("actions", steps), ("referral_id", None), ("skip_degen_price_sync", None))
        case "swap_by_output":
            fields = (("actions", (draw(_steps_by_output()),)), ("referral_id", None), ("skip_degen_price_sync", None))
        case "withdraw":
            token_id, amount = draw(st.sampled_from(TOKENS)), Amount(draw(st.one_of(st.just(0), AMOUNTS)))
            flags = (("unregister", draw(st.sampled_from((None, False)))), ("skip_unwrap_near", None))
            fields, deposit = (("token_id", token_id), ("amount", amount), *flags), 1
        case _:
            amounts = (Amount(draw(AMOUNTS)), Amount(draw(AMOUNTS)))
            fields = (("pool_id", draw(st.integers(0, 2))), ("amounts", amounts), ("min_amounts", None))
            deposit = NEAR // 10
    return _call(method, draw(written(Struct(fields))), deposit, 150)


# ---- the staking pool


@st.composite
def pool_actions(draw: st.DrawFn) -> FunctionCall:
    """One action on what an account has with a staking pool, whose `*_all` methods read no arguments at all."""
    method = draw(
        st.sampled_from(
            (
                "deposit",
                "deposit_and_stake",
                "stake",
                "stake_all",
                "unstake",
                "unstake",
                "unstake_all",
                "withdraw",
                "withdraw_all",
                "ping",
            )
        )
    )
    if method in {"stake", "unstake", "withdraw"}:
        return _call(method, draw(written(Struct((("amount", Amount(draw(AMOUNTS))),)))), 0, 90)
    deposit = NEAR + draw(AMOUNTS) if method.startswith("deposit") else 0
    return _call(method, draw(_ANYTHING), deposit, 90)


@st.composite
def _transactions(draw: st.DrawFn, actions: st.SearchStrategy[Action], to: tuple[AccountId, ...]) -> ChangeCall:
    """Mostly one action; all that a transaction holds goes to one contract."""
    most = draw(st.sampled_from((1, 1, 3)))
    return ChangeCall(draw(st.sampled_from(to)), tuple(draw(st.lists(actions, min_size=1, max_size=most))))


TOKEN_CALLS: Final = _transactions(token_actions(), TOKENS)
EXCHANGE_CALLS: Final = _transactions(exchange_actions(), (EXCHANGE,))
POOL_CALLS: Final = _transactions(pool_actions(), (POOL,))


# ---- the DAO


@dataclass(frozen=True, slots=True)
class Motion:
    """A proposal, and the vote that carries it out."""

    proposal: bytes
    """Arguments of `add_proposal`."""
    vote: bytes
    """Arguments of `act_proposal`, for proposal 0."""
    blob: bytes | None = None
    """Stored in the DAO before."""


@st.composite
def _payouts(draw: st.DrawFn) -> Variant:
    token_id = draw(st.sampled_from(("", USDC, USDT, WRAP)))
    # This DAO gives such calls too little gas, so they are read and move nothing.
    msg = draw(_messages().map(Text)) if token_id and draw(st.integers(0, 9)) == 9 else None
    fields: tuple[tuple[str, Value], ...] = (
        ("token_id", token_id),
        ("receiver_id", draw(RECEIVERS) if msg is None else EXCHANGE),
        ("amount", Amount(draw(AMOUNTS))),
        ("msg", msg),
    )
    return Variant("Transfer", Struct(fields))


@st.composite
def _function_calls(draw: st.DrawFn) -> Variant:
    call = draw(st.one_of(TOKEN_CALLS, TOKEN_CALLS, EXCHANGE_CALLS, POOL_CALLS))
    made = tuple(
        Struct(
            (
                ("method_name", one.method_name),
                ("args", Encoded(one.args)),
                ("deposit", Amount(one.deposit)),
                ("gas", Amount(one.gas)),
            )
        )
        for one in call.actions
        if isinstance(one, FunctionCall)
    )
    return Variant("FunctionCall", Struct((("receiver_id", call.receiver_id), ("actions", made))))


def _upgrade(call: ChangeCall) -> tuple[Variant, bytes]:
    """What the DAO calls with a stored blob, and without a deposit: the kind holds the blob's hash alone."""
    (made, *_) = call.actions
    assert isinstance(made, FunctionCall)
    fields: tuple[tuple[str, Value], ...] = (
        ("receiver_id", call.receiver_id),
        ("method_name", made.method_name),
        ("hash", CryptoHash.of(made.args)),
    )
    return Variant("UpgradeRemote", Struct(fields)), made.args


def proposing(kind: Value) -> Struct:
    return Struct((("proposal", Struct((("description", "for the roof"), ("kind", kind)))),))


@st.composite
def motions(draw: st.DrawFn) -> Motion:
    """A proposal in all its forms, and a vote for it in all of its own."""
    which = draw(st.sampled_from(("pay", "pay", "call", "call", "call", "upgrade")))
    blob = None
    if which == "upgrade":
        kind, blob = _upgrade(draw(st.one_of(EXCHANGE_CALLS, POOL_CALLS)))
    else:
        kind = draw(_payouts() if which == "pay" else _function_calls())
    vote: Value = Struct((("id", 0), ("action", Variant("VoteApprove")), ("memo", draw(_MEMO))))
    # Mostly one of the two is as everybody writes it, so that more is carried out and read.
    which = draw(st.sampled_from(("proposal", "proposal", "vote", "neither", "both")))
    written_proposal = draw(written(proposing(kind))) if which in {"proposal", "both"} else plain(proposing(kind))
    return Motion(written_proposal, draw(written(vote)) if which in {"vote", "both"} else plain(vote), blob)


def add_proposal(motion: Motion) -> ChangeCall:
    return ChangeCall(DAO, (_call("add_proposal", motion.proposal, NEAR, 100),))


def act_proposal(args: bytes) -> ChangeCall:
    return ChangeCall(DAO, (_call("act_proposal", args, 0, 600),))


def one_call(to: AccountId, method: str, args: bytes, deposit: int = 1) -> ChangeCall:
    """A transaction of one call, for examples that are written out."""
    return ChangeCall(to, (_call(method, args, deposit, 200),))
