import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import FullAccess
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from contracts.vm.receipts import ActionReceipt, ReceivedData
from contracts.vm.state import AccessKey, Account, EmptyState, Overlay

ALICE = "alice.test"
KEY = PublicKey.from_bytes("ed25519", bytes(32))
RECEIPT = ActionReceipt(
    CryptoHash.of(b"receipt"), AccountId(ALICE), AccountId("bob.test"), AccountId(ALICE), KEY, Yocto(1), ()
)

Write = tuple[int, bytes, bytes | None]
writes = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([b"a", b"ab", b"abc", b"b", b"\xff"]),
        st.one_of(st.none(), st.binary(max_size=2)),
    ),
    max_size=30,
)


@given(writes, writes)
def test_an_overlay_reads_like_one_dictionary(kept: list[Write], dropped: list[Write]) -> None:
    """Layer 0 is written directly, layers 1 and 2 through merged children; what is dropped is never seen."""
    model: dict[bytes, bytes] = {}
    state = Overlay(EmptyState())
    for depth, key, value in kept:
        layer = state if depth == 0 else state.child()
        layer.set_storage(ALICE, key, value)
        if layer is not state:
            state.merge(layer)
        model.pop(key, None)
        if value is not None:
            model[key] = value
    forgotten = state.child()
    for _, key, value in dropped:
        forgotten.set_storage(ALICE, key, value)
    for prefix in (b"", b"a", b"ab", b"\xff", b"zz"):
        assert state.storage_items(ALICE, prefix) == sorted(
            (key, value) for key, value in model.items() if key.startswith(prefix)
        )
    for key in (b"a", b"ab", b"abc", b"b", b"\xff"):
        assert state.storage(ALICE, key) == model.get(key)
    changed = {key: value for (_, key), value in state.changes().storage.items() if value is not None}
    assert changed == model


def test_deleting_an_account_takes_keys_and_data_along_but_no_code() -> None:
    ground = Overlay(EmptyState())
    code_hash = ground.add_code(b"code")
    ground.set_account(ALICE, Account(5, 0, code_hash, 100))
    ground.set_access_key(ALICE, KEY, AccessKey(1, FullAccess()))
    ground.set_storage(ALICE, b"k", b"v")
    ground.set_storage("bob.test", b"k", b"v")
    layer = ground.child()
    layer.set_storage(ALICE, b"k2", b"v2")
    layer.delete_account(ALICE)
    assert layer.account(ALICE) is None
    assert layer.access_keys(ALICE) == []
    assert layer.access_key(ALICE, KEY) is None
    assert layer.storage_items(ALICE, b"") == []
    assert layer.storage("bob.test", b"k") == b"v"
    assert layer.code(code_hash) == b"code"
    assert ground.account(ALICE) is not None
    ground.merge(layer)
    assert ground.account(ALICE) is None
    assert ground.changes().storage[ALICE, b"k"] is None


def test_keys_are_listed_in_order_across_layers() -> None:
    ground = Overlay(EmptyState())
    keys = sorted(PublicKey.from_bytes("ed25519", bytes([n]) * 32) for n in range(4))
    for key in keys[:3]:
        ground.set_access_key(ALICE, key, AccessKey(1, FullAccess()))
    layer = ground.child()
    layer.set_access_key(ALICE, keys[0], None)
    layer.set_access_key(ALICE, keys[3], AccessKey(4, FullAccess()))
    layer.set_access_key(ALICE, keys[1], AccessKey(2, FullAccess()))
    assert [(key, value.nonce) for key, value in layer.access_keys(ALICE)] == [(keys[1], 2), (keys[2], 1), (keys[3], 4)]


def test_waiting_receipts_and_data_come_and_go() -> None:
    ground = Overlay(EmptyState())
    ground.set_postponed("r", RECEIPT)
    ground.set_waiting("bob.test", "d", "r")
    ground.set_received("bob.test", "d", ReceivedData(None))
    layer = ground.child()
    assert layer.postponed("r") == RECEIPT
    assert layer.waiting("bob.test", "d") == "r"
    assert layer.received("bob.test", "d") == ReceivedData(None)
    layer.set_postponed("r", None)
    layer.set_waiting("bob.test", "d", None)
    layer.set_received("bob.test", "d", None)
    ground.merge(layer)
    assert ground.postponed("r") is None
    assert ground.waiting("bob.test", "d") is None
    assert ground.received("bob.test", "d") is None
    changes = ground.changes()
    assert changes.postponed == {"r": None}
    assert changes.waiting == {("bob.test", "d"): None}
    assert changes.received == {("bob.test", "d"): None}


@pytest.mark.parametrize("name", [ALICE, "nobody.test"])
def test_an_empty_state_has_nothing(name: str) -> None:
    state = Overlay(EmptyState())
    assert state.account(name) is None
    assert state.access_key(name, KEY) is None
    assert state.access_keys(name) == []
    assert state.storage(name, b"") is None
    assert state.storage_items(name, b"") == []
    assert state.code("") is None
    assert state.postponed("") is None
    assert state.waiting(name, "") is None
    assert state.received(name, "") is None
