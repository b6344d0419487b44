import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import FullAccess
from contracts.errors import ChainError
from contracts.localnet.state import ChainState, History
from contracts.vm.state import AccessKey, Account, Changes, StateReader

ACCOUNTS = ("aa", "bb")
KEYS = ("ed25519:k1", "ed25519:k2")
RECORDS = (b"", b"a", b"ab", b"b")

_accounts = st.dictionaries(
    st.sampled_from(ACCOUNTS), st.none() | st.builds(Account, st.integers(0, 9), st.just(0), st.none(), st.just(100))
)
_keys = st.dictionaries(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(KEYS)),
    st.none() | st.builds(AccessKey, st.integers(0, 9), st.just(FullAccess())),
)
_storage = st.dictionaries(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(RECORDS)), st.none() | st.binary(max_size=2)
)
_changes = st.builds(
    Changes,
    accounts=_accounts,
    access_keys=_keys,
    storage=_storage,
    code=st.just({}),
    postponed=st.just({}),
    waiting=st.dictionaries(st.tuples(st.just("aa"), st.sampled_from(("d1", "d2"))), st.none() | st.just("r")),
    received=st.just({}),
)


def _seen(state: StateReader) -> object:
    """Everything that the readers answer."""
    return (
        [state.account(account) for account in ACCOUNTS],
        [state.access_key(account, key) for account in ACCOUNTS for key in KEYS],
        [state.access_keys(account) for account in ACCOUNTS],
        [state.storage(account, key) for account in ACCOUNTS for key in RECORDS],
        [state.storage_items(account, prefix) for account in ACCOUNTS for prefix in (b"", b"a", b"zz")],
        [state.waiting("aa", data) for data in ("d1", "d2")],
    )


@given(st.lists(st.tuples(_changes, st.integers(1, 3)), max_size=8))
def test_every_kept_block_reads_as_it_was(blocks: list[tuple[Changes, int]]) -> None:
    """Heights may be skipped."""
    state = ChainState()
    history = History(state, 7, 5)
    seen, heights = [_seen(state)], [7]
    for changes, ahead in blocks:
        heights.append(heights[-1] + ahead)
        history.add(changes, heights[-1])
        seen.append(_seen(state))
    for back in range(len(blocks) + 1):
        past = history.at(heights[-1 - back])
        if back > 5:
            assert past is None
        else:
            assert past is not None
            assert _seen(past) == seen[-1 - back]


@given(st.lists(_changes, min_size=1, max_size=5), st.integers(0, 5))
def test_a_state_once_taken_stays_as_it_was(blocks: list[Changes], taken: int) -> None:
    state = ChainState()
    history = History(state, 0, 5)
    past, seen = history.at(0), _seen(state)
    for number, changes in enumerate(blocks):
        if number == taken:
            past, seen = history.at(number), _seen(state)
        history.add(changes, number + 1)
    assert past is not None
    assert _seen(past) == seen
    assert history.at(len(blocks) + 1) is None


def test_a_state_that_leaves_the_window_is_an_error_and_not_a_guess() -> None:
    state = ChainState()
    history = History(state, 0, 2)
    past = history.at(0)
    assert past is not None
    for amount in range(3):
        account = Account(amount, 0, None, 100)
        history.add(
            Changes(
                accounts={"aa": account}, access_keys={}, storage={}, code={}, postponed={}, waiting={}, received={}
            ),
            amount + 1,
        )
        if amount < 2:
            assert past.account("aa") is None
    with pytest.raises(ChainError, match="left the window"):
        past.account("aa")
    assert history.at(0) is None


def test_code_and_postponed_receipts_of_the_past() -> None:
    state = ChainState()
    history = History(state, 0, 1)
    empty = Changes(accounts={}, access_keys={}, storage={}, code={"h": b"wasm"}, postponed={}, waiting={}, received={})
    history.add(empty, 1)
    past = history.at(0)
    assert past is not None
    assert past.code("h") == b"wasm"  # named by its hash, so it can be no other
    assert past.postponed("r") is None
    assert past.received("aa", "d") is None
