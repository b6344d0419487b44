"""Properties of whole histories: no NEAR appears or vanishes unaccounted, and storage usage is what the state holds."""

import contextlib
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
    DelegateAction,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    GasKeyFullAccess,
    GlobalAccountId,
    GlobalCodeHash,
    Permission,
    PlainAction,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.errors import ChainError
from contracts.signing.action_bytes import deterministic_account_id
from contracts.signing.messages import delegate_hash, signed_delegate
from contracts.types import AccountId, CryptoHash, PublicKey, Yocto
from contracts.vm.engine import Engine
from contracts.vm.global_contracts import contract_bytes
from contracts.vm.keys import key_storage_bytes
from tests.contracts.vm.chain_double import CONFIG, NEAR, TGAS, TestChain, function_call, public_key, signing_key
from tests.contracts.vm.wat_contract import U64_MAX, WatContract, drop

ENGINE = Engine()
NAMES = ["alice.test", "bob.test", "store.test", "x.alice.test", "gone.test", "aa" * 32, "0x" + "bb" * 20]
KEYS = [PublicKey.from_bytes("ed25519", bytes([n]) * 32) for n in range(3)]


def store_code() -> bytes:
    """`put` and `drop` a record named by the input's first byte; `spread` sends money to others; `fail` undoes a put."""
    contract = WatContract()
    key = "(i64.const 1) (i64.const 512)"
    load = [contract.host("input", 0), contract.host("read_register", 0, 512)]
    write = f"(call $storage_write {key} {{}} (i64.const 512) (i64.const 1))"
    contract.host("storage_write", 0, 0, 0, 0, 0)
    contract.host("storage_remove", 0, 0, 0)
    size = "(i64.load8_u (i32.const 513))"
    contract.method("put", *load, drop(write.format(size)))
    contract.method("fail", *load, drop(write.format(size)), contract.panics("taken back"))
    contract.method("drop", *load, drop(f"(call $storage_remove {key} (i64.const 1))"))

    def pay(receiver: str) -> str:
        batch = contract.host("promise_batch_create", *contract.put(receiver))
        return contract.host("promise_batch_action_transfer", batch, contract.amount(NEAR))

    amount = contract.amount(NEAR // 2)
    call = contract.host(
        "promise_create", *contract.put("store.test"), *contract.put("fail"), *contract.put(b"zz"), amount, 20 * TGAS
    )
    back = contract.host(
        "promise_then", call, *contract.put("store.test"), *contract.put("put"), *contract.put(b"yy"), amount, 20 * TGAS
    )
    contract.method("spread", pay("bob.test"), pay("gone.test"), pay("cc" * 32), contract.host("promise_return", back))
    contract.method("huge", drop(contract.host("storage_write", *contract.put("huge"), 60_000, 0, U64_MAX)))
    return contract.code()


CODE = store_code()
yocto = st.one_of(st.integers(0, 30 * NEAR), st.just(0), st.just(200 * NEAR)).map(Yocto)
INIT = StateInit(GlobalCodeHash(CryptoHash.of(CODE)), ((b"k", b"v" * 900),))
names = st.sampled_from([*NAMES, deterministic_account_id(INIT)]).map(AccountId)
method_lists = st.sampled_from([(), ("put",), ("put", "h\u00e9", "drop")])
permissions: st.SearchStrategy[Permission] = st.one_of(
    st.just(FullAccess()),
    st.builds(FunctionCallAccess, names, method_lists, st.one_of(st.none(), yocto)),
    st.builds(GasKeyFullAccess, st.just(Yocto(0)), st.integers(1, 3)),
)
global_contracts = st.sampled_from([GlobalCodeHash(CryptoHash.of(CODE)), GlobalAccountId(AccountId("alice.test"))])


@st.composite
def calls(draw: st.DrawFn) -> FunctionCall:
    method = draw(st.sampled_from(["put", "put", "drop", "fail", "spread", "huge", "missing"]))
    args = draw(st.binary(min_size=2, max_size=2))
    return function_call(method, args, deposit=draw(yocto), gas=draw(st.sampled_from([TGAS, 30 * TGAS, 200 * TGAS])))


plain: st.SearchStrategy[PlainAction] = st.one_of(
    st.builds(Transfer, yocto),
    calls(),
    calls(),
    st.just(CreateAccount()),
    st.builds(AddKey, st.sampled_from(KEYS), permissions),
    st.builds(DeleteKey, st.sampled_from(KEYS)),
    st.builds(DeployContract, st.sampled_from([CODE, b"no wasm", b""])),
    st.builds(Stake, yocto, st.sampled_from(KEYS)),
    st.builds(TransferToGasKey, st.sampled_from(KEYS), yocto),
    st.builds(WithdrawFromGasKey, st.sampled_from(KEYS), yocto),
    st.builds(DeployGlobalContract, st.sampled_from([CODE, b""]), st.sampled_from(["code_hash", "account_id"])),
    st.builds(UseGlobalContract, global_contracts),
    st.builds(DeterministicStateInit, st.just(INIT), yocto),
)


@st.composite
def delegates(draw: st.DrawFn) -> Delegate:
    sender = draw(st.sampled_from(["alice.test", "bob.test"]))
    actions = tuple(draw(st.lists(plain, max_size=2)))
    nonce = draw(st.integers(0, 200 * 10**6))
    inner = DelegateAction(AccountId(sender), draw(names), actions, nonce, 10**6, public_key(sender))
    return signed_delegate(inner, signing_key(sender).sign(delegate_hash(inner)).signature)


actions: st.SearchStrategy[Action] = st.one_of(plain, plain, plain, delegates())


@st.composite
def batches(draw: st.DrawFn) -> tuple[Action, ...]:
    """Some actions, once in a while with an end that deletes the account."""
    batch: list[Action] = draw(st.lists(actions, min_size=1, max_size=4))
    if draw(st.integers(0, 5)) == 0:
        batch.append(DeleteAccount(draw(names)))
    return tuple(batch)


transactions = st.lists(st.tuples(names, names, batches()), min_size=1, max_size=8)


def expected_usage(chain: TestChain, name: str) -> int:
    account = chain.account(name)
    keys = sum(
        key_storage_bytes(CONFIG, PublicKey(key), access_key.permission)
        for key, access_key in chain.state.access_keys(name)
    )
    records = sum(len(key) + len(value) + 40 for key, value in chain.state.storage_items(name, b""))
    return 100 + contract_bytes(chain.state, account) + keys + records


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(transactions)
def test_money_is_conserved_and_storage_adds_up(history: list[tuple[AccountId, AccountId, tuple[Action, ...]]]) -> None:
    chain = TestChain(ENGINE)
    for name in ("alice.test", "bob.test"):
        chain.create(name)
    chain.create("store.test", 20 * NEAR, CODE)
    for signer, receiver, batch in history:
        with contextlib.suppress(ChainError):
            chain.send(signer, receiver, *batch)
        chain.height += 1
        assert chain.supply + chain.burnt == chain.created
        for name, account in chain.state.changes().accounts.items():
            if account is not None:
                assert account.storage_usage == expected_usage(chain, name)
                assert account.amount >= 0
                shortage = account.storage_usage * 10**19 - account.amount - account.locked
                assert shortage <= 0 or account.storage_usage <= 770


def test_the_storage_contract_does_what_it_is_for() -> None:
    chain = TestChain(ENGINE)
    chain.create("alice.test")
    chain.create("bob.test")
    chain.create("store.test", 20 * NEAR, CODE)
    usage = chain.account("store.test").storage_usage
    assert chain.call("alice.test", "store.test", "put", b"k\x07").value == b""
    assert chain.account("store.test").storage_usage == usage + 1 + 7 + 40
    chain.call("alice.test", "store.test", "put", b"k\x02")
    assert chain.account("store.test").storage_usage == usage + 1 + 2 + 40
    chain.call("alice.test", "store.test", "fail", b"k\x09")
    assert chain.account("store.test").storage_usage == usage + 1 + 2 + 40
    chain.call("alice.test", "store.test", "drop", b"k\x00")
    assert chain.account("store.test").storage_usage == usage
    spread = chain.call("alice.test", "store.test", "spread", b"..", deposit=4 * NEAR, gas=200 * TGAS)
    assert spread.value == b""
    assert chain.balance("cc" * 32) == NEAR
    assert chain.balance("bob.test") == 101 * NEAR
    assert chain.supply + chain.burnt == chain.created


def test_a_contract_that_stores_more_than_it_can_pay_fails_as_a_whole() -> None:
    chain = TestChain(ENGINE)
    chain.create("alice.test")
    chain.create("store.test", 1, CODE)
    account = chain.account("store.test")
    chain.state.set_account("store.test", replace(account, amount=10**23))
    chain.created += 10**23 - 1
    outcome = chain.call("alice.test", "store.test", "huge", b"..")
    failure = outcome.failure
    assert isinstance(failure, dict)
    assert "LackBalanceForState" in failure
    assert chain.state.storage_items("store.test", b"") == []
    assert chain.supply + chain.burnt == chain.created
    assert public_key("alice.test") in dict(chain.state.access_keys("alice.test"))
