"""Our wNEAR next to the real one: the same calls, the same answers, the same money.

The real binary is near/core-contracts `w-near` at 1c58c1f5, built before NEP-297: it logs `Transfer ...` lines where
ours emits events, and wraps its panics in Rust's `panicked at` text. Everything else must agree.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.types import AccountId
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOB, CAROL, COUNTER, MINIMUM, NEAR, WRAP, Story, World, wasm

_TEXTS = re.compile(
    r"The account \S+ is not registered|Requires attached deposit of exactly 1 yoctoNEAR"
    r"|Requires positive attached deposit|ERR_DEPOSIT_TOO_SMALL|The account doesn't have enough balance"
    r"|Sender and receiver should be different|The amount should be a positive number"
    r"|The attached deposit is less than the minimum storage balance"
    r"|Can't unregister the account with the positive balance without force"
    r"|The amount is greater than the available storage balance|The counter does not take this token"
    r"|The contract has already been initialized|is private"
    r"|Failed to deserialize input from JSON"
)
_PLAIN = re.compile(r"Deposit \d+ NEAR to|Withdraw \d+ yoctoNEAR from|already registered|is not registered|was deleted")
USERS = (ALICE, BOB, CAROL)


@dataclass(frozen=True)
class Step:
    sender: AccountId
    method: str
    args: object
    deposit: int = 0


@pytest.fixture(scope="module")
def real(real_wasm: Callable[[str], bytes]) -> bytes:
    return real_wasm("w_near")


def _world(engine: Engine, code: bytes) -> World:
    world = World(engine)
    world.add_account(WRAP, code)
    world.add_account(COUNTER, wasm("counter"))
    assert world.call(WRAP, WRAP, "new").failures == []
    return world


def _told(story: Story) -> tuple[object, list[str], list[str]]:
    """The result, the known texts of its failures, and the log lines that both write."""
    texts = [text.replace("mimimum", "minimum") for text in story.failures]  # the real one's spelling
    known = [match.group() if (match := _TEXTS.search(text)) else text for text in texts]
    return story.value, known, [line for line in story.logs if _PLAIN.match(line) or _PLAIN.search(line)]


def _moves(story: Story) -> list[tuple[str, ...]]:
    """Transfers as (amount, from, to), read from the real one's log lines or from ours."""
    lines = "\n".join(story.logs)
    old = re.findall(r"(?:Transfer|Refund) (\d+) from (\S+) to (\S+)", lines)
    new = re.findall(r'"old_owner_id":"(\S+?)","new_owner_id":"(\S+?)","amount":"(\d+)"', lines)
    return old or [(amount, sender, receiver) for sender, receiver, amount in new]


def _money(world: World) -> list[object]:
    views = [("ft_total_supply", None), ("storage_balance_bounds", None), ("storage_minimum_balance", None)]
    told: list[object] = [world.view(WRAP, *view) for view in views]
    for account_id in (*USERS, COUNTER):
        told += [world.view(WRAP, name, {"account_id": account_id}) for name in ("ft_balance_of", "storage_balance_of")]
        told.append(world.balance(account_id))
    return [*told, world.balance(WRAP)]


def _is_backed(world: World) -> bool:
    """All balances make up the supply, and the contract holds a NEAR for each wrapped one."""
    supply = int(str(world.view(WRAP, "ft_total_supply")))
    holders = (*USERS, COUNTER)
    balances = [int(str(world.view(WRAP, "ft_balance_of", {"account_id": holder}))) for holder in holders]
    return sum(balances) == supply <= world.balance(WRAP)


def _compare(ours: World, theirs: World, steps: list[Step]) -> None:
    for step in steps:
        mine = ours.call(step.sender, WRAP, step.method, step.args, deposit=step.deposit)
        real = theirs.call(step.sender, WRAP, step.method, step.args, deposit=step.deposit)
        assert _told(mine) == _told(real), step
        assert _moves(mine) == _moves(real), step
        assert _money(ours) == _money(theirs), step
        assert _is_backed(ours), step


def _transfer_call(amount: int, msg: str) -> Step:
    return Step(ALICE, "ft_transfer_call", {"receiver_id": COUNTER, "amount": str(amount), "msg": msg}, 1)


STORY = [
    Step(ALICE, "near_deposit", {}),
    Step(ALICE, "near_deposit", {}, MINIMUM - 1),
    Step(ALICE, "near_deposit", {}, 10 * NEAR),
    Step(ALICE, "near_deposit", b"", 1),
    Step(ALICE, "ft_transfer", {"receiver_id": BOB, "amount": "5"}, 1),
    Step(BOB, "storage_deposit", {"registration_only": True}, NEAR),
    Step(ALICE, "storage_deposit", {"account_id": COUNTER}, MINIMUM),
    Step(ALICE, "storage_deposit", {"account_id": COUNTER, "registration_only": False}, MINIMUM),
    Step(ALICE, "storage_deposit", {"account_id": CAROL}, MINIMUM - 1),
    Step(ALICE, "ft_transfer", {"receiver_id": BOB, "amount": "5"}),
    Step(ALICE, "ft_transfer", {"receiver_id": BOB, "amount": "5", "memo": "thanks"}, 1),
    Step(ALICE, "ft_transfer", {"receiver_id": ALICE, "amount": "5"}, 1),
    Step(ALICE, "ft_transfer", {"receiver_id": BOB, "amount": "0"}, 1),
    Step(BOB, "ft_transfer", {"receiver_id": ALICE, "amount": "6", "extra": {"a": [1]}}, 1),
    Step(BOB, "ft_transfer", {"amount": "6"}, 1),
    Step(BOB, "ft_transfer", {"receiver_id": "NO", "amount": "6"}, 1),
    Step(BOB, "ft_transfer", b"{", 1),
    *(_transfer_call(1000, msg) for msg in ("", "300", "5000", "panic", "garbage", "spend bob.localnet")),
    Step(BOB, "ft_resolve_transfer", {"sender_id": ALICE, "receiver_id": BOB, "amount": "5"}),
    Step(BOB, "near_withdraw", {"amount": str(NEAR)}, 1),
    Step(BOB, "near_withdraw", {"amount": "3"}),
    Step(BOB, "near_withdraw", {"amount": "3"}, 1),
    Step(CAROL, "near_withdraw", {"amount": "3"}, 1),
    Step(ALICE, "near_withdraw", {"amount": str(3 * NEAR)}, 1),
    Step(ALICE, "storage_withdraw", {}, 1),
    Step(ALICE, "storage_withdraw", {"amount": "0"}, 1),
    Step(ALICE, "storage_withdraw", {"amount": "1"}, 1),
    Step(CAROL, "storage_withdraw", {}, 1),
    Step(CAROL, "storage_unregister", {}, 1),
    Step(ALICE, "storage_unregister", {}, 1),
    Step(ALICE, "storage_unregister", {"force": False}, 1),
    Step(ALICE, "storage_unregister", {"force": True}, 1),
    Step(WRAP, "new", {}),
]


def test_a_long_story_ends_the_same(engine: Engine, real: bytes) -> None:
    _compare(_world(engine, wasm("wnear")), _world(engine, real), STORY)


_AMOUNTS = (st.integers(0, 3).map(lambda number: number * NEAR) | st.integers(0, 2 * NEAR)).map(str)
_USER = st.sampled_from(USERS)
_ARGS: dict[str, st.SearchStrategy[object]] = {
    "near_deposit": st.fixed_dictionaries({}),
    "near_withdraw": st.fixed_dictionaries({"amount": _AMOUNTS}),
    "ft_transfer": st.fixed_dictionaries({"receiver_id": _USER, "amount": _AMOUNTS}),
    "storage_deposit": st.fixed_dictionaries({"account_id": _USER}),
    "storage_unregister": st.fixed_dictionaries({"force": st.booleans()}),
}


@st.composite
def _steps(draw: st.DrawFn) -> Step:
    method = draw(st.sampled_from(sorted(_ARGS)))
    return Step(draw(_USER), method, draw(_ARGS[method]), draw(st.sampled_from([0, 1, 1, 1, MINIMUM, 2 * NEAR])))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps(), min_size=3, max_size=12))
def test_any_story_ends_the_same(engine: Engine, real: bytes, steps: list[Step]) -> None:
    start = [Step(ALICE, "near_deposit", {}, 4 * NEAR)]
    _compare(_world(engine, wasm("wnear")), _world(engine, real), start + steps)
