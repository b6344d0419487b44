"""Whatever a real contract moves out of an account, the policy and the signer's caps have seen before, or say that they did not.

Calls are written in the forms that serde reads (`serde_shapes`) and run on contracts that others compiled. What they moved is
read from balances, never from events.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import example, given, note, settings
from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall, SetOff, total_deposit
from contracts.catalogue.dao_effects import by_hand, wanted_by_hand
from contracts.checks.judging import Judged, read_call, recipients_of, units_of, votes_of
from contracts.checks.methods import KNOWN
from contracts.checks.policy import judge, within
from contracts.knowledge.facts import ChainFacts, FactRequest, FactValue, ViewFact
from contracts.signing.caps import parse_caps, spending
from contracts.strict_json import parse_json
from contracts.types import TGAS, U128_MAX, AccountId, CryptoHash, base_units, format_units
from contracts.vm.engine import Engine
from tests.contracts.catalogue.world import CONTEXT, REGISTRY
from tests.contracts.checks.policies import policy, subject
from tests.contracts.localnet_contracts.world import ALICE, BOB, NEAR, USDC, WRAP, function_call
from tests.real_contracts.money_calls import (
    EXCHANGE_CALLS,
    POOL_CALLS,
    TOKEN_CALLS,
    Calls,
    Motion,
    act_proposal,
    add_proposal,
    motions,
    one_call,
    proposing,
)
from tests.real_contracts.real_world import DAO, EVE, EXCHANGE, POOL, STAKED, TOKENS, UNSTAKED, USDT, RealWorld
from tests.real_contracts.serde_shapes import Amount, Encoded, Struct, Variant, plain

EXAMPLES: Final = 200 if settings().derandomize else 2_000


@pytest.fixture(scope="module")
def real(engine: Engine, real_wasm: Callable[[str], bytes]) -> RealWorld:
    return RealWorld(engine, real_wasm)


# ---- what was seen


@dataclass(frozen=True, slots=True)
class Seen:
    """The most that the policy counts, by asset, and whom it found."""

    amounts: Mapping[str, int]
    named: frozenset[str]

    def of(self, asset: str) -> int:
        return self.amounts.get(asset, 0)


_ASKS: Final = frozenset({"unknown_method", "unread_arguments"})
"""What unknown methods are asked about, unless a policy says otherwise."""


def seen(calls: Iterable[ChangeCall], signer_id: AccountId, *, unread: bool = False) -> Seen:
    """The one place that knows how a reading says what it counts and what it could not read."""
    judged = tuple(one for call in calls for one in read_call(call))
    named = frozenset(account_id for account_id, _ in recipients_of(judged, signer_id))
    assets = ("NEAR", STAKED, UNSTAKED, *TOKENS)
    amounts = {asset: U128_MAX if unread else sum(_counted(one, asset) for one in judged) for asset in assets}
    return Seen(amounts, named | {""} if unread else named)


def _counted(one: Judged, asset: str) -> int:
    if one.method is not None and one.method not in KNOWN and _ASKS & {*one.categories}:
        return U128_MAX  # nobody claims to read it, and a person is asked
    if asset in {STAKED, UNSTAKED}:
        return U128_MAX if one.unread else one.staked
    return units_of(one, asset)


# ---- what moved


@dataclass(frozen=True, slots=True)
class Moved:
    """What one run took from its payer, by asset, and who got something."""

    gone: Mapping[str, int]
    gainers: frozenset[str]
    near_back: int
    """NEAR that came to the payer in the same run."""


class Watch:
    """Balances of the payer and of those who may gain, before a run and after it."""

    def __init__(self, real: RealWorld, payer_id: AccountId) -> None:
        self._real = real
        self._payer_id = payer_id
        self._before = {**real.at_rest, payer_id: real.holdings(payer_id)}

    def moved(self, deposit: int) -> Moved:
        """`deposit` is the NEAR that the payer attached in all."""
        before, after = self._before[self._payer_id], self._real.holdings(self._payer_id)
        gone = before.less(after)
        # What left the pool's unstaked part for the payer's own wallet was withdrawn; the rest was staked again.
        back = max(0, after.amounts["NEAR"] + deposit - before.amounts["NEAR"])
        gone[UNSTAKED] = max(0, gone.get(UNSTAKED, 0) - back)
        gainers = (one for one in (EVE, BOB) if self._real.holdings(one).less(self._before[one]))
        return Moved({asset: units for asset, units in gone.items() if units}, frozenset(gainers), back)


def transact(real: RealWorld, call: ChangeCall) -> Moved:
    real.begin()
    watch = Watch(real, ALICE)
    real.send(ALICE, call)
    return watch.moved(total_deposit(call.actions))


# ---- the property


def check_reading(moved: Moved, read: Seen, calls: tuple[ChangeCall, ...], sets_off: tuple[SetOff, ...] = ()) -> None:
    note(f"moved {dict(moved.gone)}, read {dict(read.amounts)}")
    unseen = {asset: (units, read.of(asset)) for asset, units in moved.gone.items() if units > read.of(asset)}
    assert unseen == {}
    assert "" in read.named or moved.gainers <= read.named
    for asset, units in moved.gone.items():
        assert not _goes_free(asset, units - 1, calls, sets_off)
    for gainer in moved.gainers:
        others = sorted({EVE, BOB, ALICE, DAO, EXCHANGE, POOL, *TOKENS} - {gainer})
        only = policy(f"always_ask = []\nrecipients.allow = {others}")
        assert judge(only, subject(*calls, sets_off=sets_off)).decision == "deny", f"{gainer} got something"


def _goes_free(asset: str, units: int, calls: tuple[ChangeCall, ...], sets_off: tuple[SetOff, ...]) -> bool:
    """Whether a policy that lets anything go but more than these units of one asset lets the calls go.

    It asks about nothing but methods that nobody knows, so that what is asked is asked for the money alone.
    """
    limited = "NEAR" if asset in {STAKED, UNSTAKED} else asset
    free = "".join(_free(token, units if token == limited else U128_MAX) for token in ("NEAR", *TOKENS))
    made = (*calls, *(call for one in sets_off for call in one.calls))
    foreign = any(one.method is not None and one.method not in KNOWN for call in made for one in read_call(call))
    asks = sorted(_ASKS) if foreign else []
    verdict = judge(policy(f"always_ask = {asks}\n{free}"), subject(*calls, sets_off=sets_off))
    return within(verdict, {}).decision == "allow"


def _free(token: str, units: int) -> str:
    entry = REGISTRY.of_contract(token)
    decimals = (None if entry is None else entry.decimals) or 24
    free, most = format_units(units, decimals), format_units(U128_MAX, decimals)
    return f'[default.limits."{token}"]\nfree_per_action = "{free}"\nfree_per_day = "{most}"\n'


CAPS: Final = "".join(
    (
        'other_tokens = "approvers"\nother_calls = "approvers"\n[near]\nper_transaction = "1"\n',
        *(f'[tokens."{token}"]\ndecimals = 6\nper_transaction = "1"\n' for token in TOKENS),
    )
)
STRICT_CAPS: Final = parse_caps(CAPS)
TOKEN_CAPS: Final = parse_caps(CAPS.replace('"approvers"', '"allow"'))
"""What is called besides the capped tokens needs no approvers."""


def check_caps(moved: Moved, call: ChangeCall) -> bool:
    """Whether the caps weigh the call, and then all of it.

    Unwrapping turns a token into as much NEAR of the same account, and is no spending.
    """
    caps = TOKEN_CAPS if call.receiver_id in TOKENS else STRICT_CAPS
    spent = spending(call.receiver_id, call.actions, caps, frozenset())
    if spent.unweighed:
        return False
    for asset, units in moved.gone.items():
        unwrapped = moved.near_back if asset in TOKENS else 0
        assert units - unwrapped <= spent.amounts.get(asset, 0), f"{asset}: {units} of {dict(spent.amounts)}"
    return bool(moved.gone)


# ---- readers that are too weak: they show that the examples reach what they have to


def _fields(args: bytes, names: tuple[str, ...], *, arrays: bool) -> Mapping[str, JsonValue]:
    try:
        value = parse_json(args or b"{}")
    except ValueError:
        return {}
    if isinstance(value, list) and arrays:
        return dict(zip(names, value, strict=False))
    return value if isinstance(value, dict) else {}


def weakly_read(call: ChangeCall, asset: str, *, arrays: bool) -> int:
    """What a reader counts of a token that passes over all but strict JSON, and over arrays unless it is told otherwise."""
    total = 0
    for action in call.actions:
        match action:
            case FunctionCall("ft_transfer" | "ft_transfer_call", args) if call.receiver_id == asset:
                total += base_units(_fields(args, ("receiver_id", "amount"), arrays=arrays).get("amount")) or 0
            case FunctionCall("near_withdraw" | "unstake", args) if asset in {call.receiver_id, STAKED}:
                total += base_units(_fields(args, ("amount",), arrays=arrays).get("amount")) or 0
            case FunctionCall("swap", args):
                steps = _fields(args, ("actions",), arrays=arrays).get("actions")
                for step in steps if isinstance(steps, list) else ():
                    match step:
                        case {"token_in": str(token), "amount_in": amount}:
                            total += (base_units(amount) or 0) if token == asset else 0
                        case [_, str(token), amount, *_] if arrays:
                            total += (base_units(amount) or 0) if token == asset else 0
                        case _:
                            pass
            case _:
                pass
    return total


@dataclass(slots=True)
class Tally:
    """How many of the examples did something, and how many a weak reader would have let go unseen."""

    counts: Counter[str] = field(default_factory=Counter[str])

    def add(self, moved: Moved, calls: Iterable[ChangeCall]) -> None:
        self.counts["all"] += 1
        tokens = {asset: units for asset, units in moved.gone.items() if asset in {*TOKENS, STAKED}}
        self.counts["moved"] += any(units > 1 for units in moved.gone.values())
        for name, arrays in (("objects", False), ("strict", True)):
            weak = {asset: sum(weakly_read(call, asset, arrays=arrays) for call in calls) for asset in tokens}
            self.counts[name] += any(units > weak[asset] for asset, units in tokens.items())

    def check(self) -> None:
        """A fourth moved something, and each of the weak readers missed moves."""
        assert self.counts["moved"] >= self.counts["all"] // 4
        assert self.counts["objects"] >= self.counts["all"] // 20
        assert self.counts["strict"] >= self.counts["all"] // 40


# ---- by contract


def run_calls(real: RealWorld, calls: Calls, *written_out: ChangeCall) -> Counter[str]:
    tally = Tally()

    def check(call: ChangeCall) -> None:
        moved = transact(real, call)
        tally.add(moved, (call,))
        check_reading(moved, seen((call,), ALICE), (call,))
        tally.counts["weighed"] += check_caps(moved, call)

    for call in written_out:
        check = example(call=call)(check)
    settings(max_examples=EXAMPLES)(given(call=calls)(check))()
    tally.check()
    return tally.counts


@pytest.mark.hypothesis
def test_moves_of_a_token_were_seen(real: RealWorld) -> None:
    counts = run_calls(
        real,
        TOKEN_CALLS,
        one_call(USDC, "ft_transfer", b'["eve.kaiching","40",null]'),
        one_call(USDC, "ft_transfer", b'{"receiver_id":"eve.kaiching","amount":"40","x":1e999}'),
        one_call(USDC, "ft_transfer", rb'{"receiver_id":"eve.kaiching","amount":"40","x":"\ud800"}'),
        one_call(
            USDC,
            "ft_transfer",
            rb'{"receiver_id":"eve.kaiching","\u0061mount":"+040","x":' + b"[" * 150 + b"]" * 150 + b"}",
        ),
        one_call(USDC, "storage_unregister", b'{"force":true}'),
    )
    assert counts["weighed"] >= counts["all"] // 20


def step(pool_id: int, token_in: AccountId, amount: str, token_out: AccountId) -> bytes:
    """A swap as an object; `amount` is JSON."""
    tokens = f'"token_in":"{token_in}","amount_in":{amount},"token_out":"{token_out}","min_amount_out":"0"'
    return f'{{"pool_id":{pool_id},{tokens}}}'.encode()


def swap(*steps: bytes) -> ChangeCall:
    return one_call(EXCHANGE, "swap", b'{"actions":[' + b",".join(steps) + b"]}")


_USDC_TO_USDT: Final = step(0, USDC, '"1000"', USDT)


@pytest.mark.hypothesis
def test_moves_of_an_exchange_were_seen(real: RealWorld) -> None:
    run_calls(
        real,
        EXCHANGE_CALLS,
        swap(_USDC_TO_USDT, b'[0,"usdc.localnet","39990000","usdt.localnet","0"]'),
        swap(_USDC_TO_USDT, b'[1,"wrap.localnet",null,"usdc.localnet","0"]'),
        swap(_USDC_TO_USDT, step(1, WRAP, "null", USDC)),
        swap(step(1, USDC, '"9914"', WRAP), step(2, WRAP, "null", USDT), step(1, WRAP, "null", USDC)),
        one_call(EXCHANGE, "swap", b"[[" + _USDC_TO_USDT + b"],null,null]"),
    )


@pytest.mark.hypothesis
def test_moves_of_a_staking_pool_were_seen(real: RealWorld) -> None:
    run_calls(
        real,
        POOL_CALLS,
        one_call(POOL, "unstake_all", b"", 0),
        one_call(POOL, "stake_all", b"", 0),
        one_call(POOL, "unstake", b'["4000000000000000000000000"]', 0),
    )


# ---- a vote


def carried_out(real: RealWorld, motion: Motion) -> tuple[Moved, Seen, ChangeCall, tuple[SetOff, ...]]:
    """Propose, and vote; what the DAO lost from before the proposal on, so that its bond comes and goes."""
    real.begin()
    if motion.blob is not None:
        real.send(ALICE, ChangeCall(DAO, (function_call("store_blob", motion.blob, deposit=NEAR),)))
    watch = Watch(real, DAO)
    real.send(ALICE, add_proposal(motion))
    vote = act_proposal(motion.vote)
    sets_off, unread = set_off_by(real, vote)
    real.send(ALICE, vote)
    calls = tuple(call for one in sets_off for call in one.calls)
    deposit = sum(total_deposit(call.actions) for call in calls)
    return watch.moved(deposit), seen((vote, *calls), ALICE, unread=unread), vote, sets_off


def set_off_by(real: RealWorld, call: ChangeCall) -> tuple[tuple[SetOff, ...], bool]:
    """What the vote sets off, as it is read from the DAO before; whether any of it stays unread."""
    votes = tuple(votes_of(call))
    made: tuple[SetOff, ...] = ()
    for action in call.actions:
        assert isinstance(action, FunctionCall)
        values: dict[FactRequest, FactValue] = {
            one: ViewFact(real.proposal()) for one in wanted_by_hand(action, call.receiver_id)
        }
        made += by_hand(action, call.receiver_id, ChainFacts(values), CONTEXT)[0]
    again = (vote for one in made for call in one.calls for vote in votes_of(call))
    return made, len(made) < len(votes) or not all(one.whole for one in made) or any(True for _ in again)


_APPROVE: Final = b'{"id":0,"action":"VoteApprove"}'
_ARRAYS: Final = b'[["for the roof",{"Transfer":["usdc.localnet","eve.kaiching","40",null]}]]'


def pays(method: str, args: bytes) -> Motion:
    """A DAO's own call of USDC, with arguments as they stand."""
    call = Struct(
        (("method_name", method), ("args", Encoded(args)), ("deposit", Amount(1)), ("gas", Amount(50 * TGAS)))
    )
    kind = Variant("FunctionCall", Struct((("receiver_id", USDC), ("actions", (call,)))))
    return Motion(plain(proposing(kind)), _APPROVE)


def upgrades(contract_id: AccountId, method: str, blob: bytes) -> Motion:
    """A call with a stored blob, of which the kind tells the hash."""
    fields = (("receiver_id", contract_id), ("method_name", method), ("hash", CryptoHash.of(blob)))
    return Motion(plain(proposing(Variant("UpgradeRemote", Struct(fields)))), _APPROVE, blob)


@pytest.mark.hypothesis
def test_moves_of_a_dao_by_a_vote_were_seen(real: RealWorld) -> None:
    tally = Tally()

    @settings(max_examples=EXAMPLES)
    @given(motion=motions())
    @example(motion=pays("ft_transfer", b'["eve.kaiching","40",null]'))
    @example(motion=pays("ft_transfer", b'{"receiver_id":"eve.kaiching","amount":"40","x":1e999}'))
    @example(motion=pays("ft_transfer", rb'{"receiver_id":"eve.kaiching","amount":"40","x":"\ud800"}'))
    @example(motion=pays("storage_unregister", b'{"force":true}'))
    @example(motion=upgrades(EXCHANGE, "swap", b'{"actions":[' + _USDC_TO_USDT + b"]}"))
    @example(motion=upgrades(POOL, "unstake_all", b""))
    @example(motion=Motion(_ARRAYS, _APPROVE))
    @example(motion=Motion(_ARRAYS, b'[0,"VoteApprove",null]'))
    def check(motion: Motion) -> None:
        moved, read, vote, sets_off = carried_out(real, motion)
        tally.add(moved, (call for one in sets_off for call in one.calls))
        check_reading(moved, read, (vote,), sets_off)

    check()
    tally.check()
