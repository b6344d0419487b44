import contextlib
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from contracts.errors import VmError
from contracts.types import AccountId
from contracts.vm.engine import Engine
from contracts.vm.failures import debug_text
from contracts.vm.host import host_functions
from contracts.vm.runtime import ViewResult
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, public_key
from tests.contracts.vm.wat_contract import U64_MAX, WatContract, drop

ENGINE = Engine()
VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "rpc"


def chain_with(contract: WatContract, amount: int = 50 * NEAR) -> TestChain:
    chain = TestChain(ENGINE)
    chain.create("alice.test")
    chain.create("c.test", amount, contract.code())
    return chain


def call(*instructions: str, contract: WatContract, args: bytes = b"", deposit: int = 0) -> Outcome:
    contract.method("run", *instructions)
    chain = chain_with(contract)
    outcome = chain.call("alice.test", "c.test", "run", args, deposit=deposit, gas=300 * TGAS)
    assert chain.supply + chain.burnt == chain.created
    return outcome


def view(*instructions: str, contract: WatContract, args: bytes = b"") -> ViewResult:
    contract.method("run", *instructions)
    chain = chain_with(contract)
    return chain.runtime.view(chain.state, AccountId("c.test"), "run", args, chain.block)


def return_register(contract: WatContract, register: int = 0) -> str:
    return contract.host("value_return", U64_MAX, register)


# context


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("current_account_id", b"c.test"),
        ("signer_account_id", b"alice.test"),
        ("predecessor_account_id", b"alice.test"),
        ("refund_to_account_id", b"alice.test"),
        ("signer_account_pk", b"\0" + public_key("alice.test").raw),
        ("input", b"the input"),
    ],
)
def test_a_contract_learns_who_calls_it_and_with_what(name: str, expected: bytes) -> None:
    contract = WatContract()
    outcome = call(contract.host(name, 0), return_register(contract), contract=contract, args=b"the input")
    assert outcome.value == expected


def test_a_contract_learns_about_block_account_and_gas() -> None:
    contract = WatContract()
    numbers = ["block_index", "block_timestamp", "epoch_height", "storage_usage", "prepaid_gas", "used_gas"]
    amounts = ["account_balance", "account_locked_balance", "attached_deposit", "validator_total_stake"]
    stores = [f"(i64.store (i32.const {8 * place}) {contract.host(name)})" for place, name in enumerate(numbers)]
    stores += [contract.host(name, 64 + 16 * place) for place, name in enumerate(amounts)]
    stores.append(contract.host("validator_stake", *contract.put("alice.test"), 128))
    contract.method("run", *stores, contract.host("value_return", 144, 0))
    chain = chain_with(contract)
    outcome = chain.call("alice.test", "c.test", "run", b"", deposit=7, gas=300 * TGAS)
    value = outcome.value
    height, timestamp, epoch, usage, prepaid, used = (
        int.from_bytes(value[at : at + 8], "little") for at in range(0, 48, 8)
    )
    balance, locked, deposit, stake, own_stake = (
        int.from_bytes(value[at : at + 16], "little") for at in range(64, 144, 16)
    )
    assert (height, epoch, prepaid) == (101, 1, 300 * TGAS)
    assert timestamp == 1_700_000_000_000_000_000 + 101 * 10**9
    assert usage == chain.account("c.test").storage_usage
    assert 0 < used < outcome.final.gas_burnt
    assert (balance, locked, deposit, stake, own_stake) == (50 * NEAR + 7, 0, 7, 0, 0)


def test_used_gas_grows_with_instructions() -> None:
    contract = WatContract()
    contract.method(
        "run",
        f"(i64.store (i32.const 0) {contract.host('used_gas')})",
        "(local.set $a (i64.const 1000))",
        "(loop $l (local.set $a (i64.sub (local.get $a) (i64.const 1))) (br_if $l (i64.ne (local.get $a) (i64.const 0))))",
        f"(i64.store (i32.const 8) {contract.host('used_gas')})",
        contract.host("value_return", 16, 0),
    )
    value = chain_with(contract).call("alice.test", "c.test", "run", b"").value
    before, after = int.from_bytes(value[:8], "little"), int.from_bytes(value[8:], "little")
    assert after - before > 1000 * 3 * 822_756


def test_random_seeds_differ_between_calls() -> None:
    contract = WatContract()
    contract.method("run", contract.host("random_seed", 0), return_register(contract))
    chain = chain_with(contract)
    seeds = [chain.call("alice.test", "c.test", "run", b"").value for _ in range(2)]
    assert len(seeds[0]) == 32
    assert seeds[0] != seeds[1]


# registers


def test_registers_hold_copies_and_say_their_length() -> None:
    contract = WatContract()
    length, pointer = contract.put("abcdef")
    outcome = call(
        contract.host("write_register", 7, length, pointer),
        f"(i64.store (i32.const 0) {contract.host('register_len', 7)})",
        f"(i64.store (i32.const 8) {contract.host('register_len', 8)})",
        contract.host("read_register", 7, 16),
        contract.host("value_return", 22, 0),
        contract=contract,
    )
    assert outcome.value == (6).to_bytes(8, "little") + b"\xff" * 8 + b"abcdef"


def test_an_empty_register_cannot_be_read() -> None:
    contract = WatContract()
    assert call(contract.host("read_register", 5, 0), contract=contract).panic == "Accessed invalid register id: 5"


def test_there_are_a_hundred_registers_and_no_more() -> None:
    contract = WatContract()
    fill = [contract.host("write_register", number, 1, 0) for number in range(100)]
    again = contract.host("write_register", 99, 2, 0)
    assert call(*fill, again, contract=contract).value == b""
    contract = WatContract()
    fill = [contract.host("write_register", number, 1, 0) for number in range(101)]
    assert call(*fill, contract=contract).panic == "Accessed memory outside the bounds."


# output


def test_logs_come_out_in_order_and_results_as_bytes() -> None:
    contract = WatContract()
    outcome = call(
        contract.host("log_utf8", *contract.put("h\u00e9llo \N{ROCKET}")),
        contract.host("log_utf16", *contract.put("w\u00f6rld \N{ROCKET}".encode("utf-16-le"))),
        contract.host("log_utf8", U64_MAX, contract.put(b"ends at nul\0rest")[1]),
        contract.host("log_utf16", U64_MAX, contract.put("wide".encode("utf-16-le") + b"\0\0x")[1]),
        contract.returns(b"\x00\xff"),
        contract=contract,
    )
    assert outcome.logs == ["h\u00e9llo \N{ROCKET}", "w\u00f6rld \N{ROCKET}", "ends at nul", "wide"]
    assert outcome.value == b"\x00\xff"


def test_a_panic_keeps_the_logs_and_takes_everything_else_back() -> None:
    contract = WatContract()
    contract.method(
        "run",
        contract.host("log_utf8", *contract.put("before")),
        drop(contract.host("storage_write", *contract.put("k"), *contract.put("v"), 0)),
        contract.panics("The account doesn't have enough balance"),
    )
    chain = chain_with(contract)
    before = chain.account("c.test")
    outcome = chain.call("alice.test", "c.test", "run", b"", deposit=NEAR)
    assert outcome.panic == "Smart contract panicked: The account doesn't have enough balance"
    assert outcome.logs == ["before"]
    assert chain.state.storage("c.test", b"k") is None
    assert chain.account("c.test").storage_usage == before.storage_usage
    assert chain.supply + chain.burnt == chain.created


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("log_utf8", b"\xff\xfe", "String encoding is bad UTF-8 sequence."),
        ("panic_utf8", b"\xff", "String encoding is bad UTF-8 sequence."),
        ("log_utf16", b"\x00\xd8", "String encoding is bad UTF-16 sequence."),
        ("log_utf16", b"odd", "String encoding is bad UTF-16 sequence."),
        ("log_utf8", b"x" * 16_385, "The length of a log message 16385 exceeds the limit 16384"),
        ("panic_utf8", b"x" * 16_385, "The length of a log message 16385 exceeds the limit 16384"),
    ],
)
def test_text_that_is_none_or_too_long_is_refused(name: str, data: bytes, text: str) -> None:
    contract = WatContract()
    assert call(contract.host(name, *contract.put(data)), contract=contract).panic == text


def test_a_text_without_end_is_refused() -> None:
    contract = WatContract()
    contract.extra = f'(data (i32.const 20000) "{"x" * 20_000}")'
    outcome = call(contract.host("log_utf8", U64_MAX, 20_000), contract=contract)
    assert outcome.panic.startswith("The length of a log message")


def test_logs_have_a_number_and_a_total_length() -> None:
    contract = WatContract()
    lines = [contract.host("log_utf8", 0, 0)] * 101
    assert call(*lines, contract=contract).panic == "The number of logs will exceed the limit 100"
    contract = WatContract()
    line = contract.host("log_utf8", *contract.put("x" * 5000))
    outcome = call(line, line, line, line, contract=contract)
    assert outcome.panic == "The length of a log message 20000 exceeds the limit 16384"
    assert len(outcome.logs) == 3


def test_panic_and_abort_have_their_texts() -> None:
    contract = WatContract()
    assert call(contract.host("panic"), contract=contract).panic == "Smart contract panicked: explicit guest panic"
    contract = WatContract()
    texts = [text.encode("utf-16-le") for text in ("no", "a.ts")]
    pointers = [contract.put(len(text).to_bytes(4, "little") + text)[1] + 4 for text in texts]
    outcome = call(contract.host("abort", *pointers, 3, 5), contract=contract)
    assert outcome.panic == 'Smart contract panicked: no, filename: "a.ts" line: 3 col: 5'
    contract = WatContract()
    assert call(contract.host("abort", 0, 0, 0, 0), contract=contract).panic.startswith("String encoding is bad UTF-16")


def test_a_result_of_more_than_4_mib_is_refused() -> None:
    contract = WatContract(pages=100)
    assert call(contract.host("value_return", 4_194_305, 0), contract=contract).panic == (
        "The length of a returned value 4194305 exceeds the limit 4194304"
    )


# storage


def test_records_are_written_read_replaced_and_removed() -> None:
    contract = WatContract()
    key, old, new = contract.put("key"), contract.put("old"), contract.put("newer")
    steps = [
        contract.host("storage_has_key", *key),
        contract.host("storage_write", *key, *old, 0),
        contract.host("storage_write", *key, *new, 1),
        contract.host("storage_has_key", *key),
        contract.host("storage_read", *key, 2),
        contract.host("storage_remove", *key, 3),
        contract.host("storage_remove", *key, 4),
        contract.host("storage_read", *key, 4),
        contract.host("register_len", 4),
        contract.host("register_len", 0),
    ]
    stores = [f"(i64.store (i32.const {8 * place}) {step})" for place, step in enumerate(steps)]
    reads = [contract.host("read_register", register, 80 + 8 * register) for register in (1, 2, 3)]
    outcome = call(*stores, *reads, contract.host("value_return", 112, 0), contract=contract)
    value = outcome.value
    results = [int.from_bytes(value[at : at + 8], "little") for at in range(0, 80, 8)]
    assert results == [0, 0, 1, 1, 1, 1, 0, 0, U64_MAX, U64_MAX]
    assert (value[88:91], value[96:101], value[104:109]) == (b"old", b"newer", b"newer")


def test_keys_and_values_have_a_longest_length() -> None:
    for key_length, value_length, text in (
        (2049, 1, "The length of a storage key 2049 exceeds the limit 2048"),
        (1, 4_194_305, "The length of a storage value 4194305 exceeds the limit 4194304"),
    ):
        contract = WatContract(pages=100)
        write = contract.host("storage_write", key_length, 0, value_length, 0, 0)
        assert call(drop(write), contract=contract).panic == text


@pytest.mark.parametrize("name", ["storage_iter_prefix", "storage_iter_range", "storage_iter_next"])
def test_iterators_are_gone(name: str) -> None:
    contract = WatContract()
    zeros = [0] * len(host_functions()[name].params)
    outcome = call(drop(contract.host(name, *zeros)), contract=contract)
    assert outcome.panic == f"Attempted to call deprecated host function {name}"


# hashes and signatures


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("keccak256", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (
            "keccak512",
            (
                "18587dc2ea106b9a1563e32b3312421ca164c7f1f07bc922a9c83d77cea3a1e5"
                "d0c69910739025372dc14ac9642629379540c17e2a65b19d77aa511a9d00bb96"
            ),
        ),
        ("ripemd160", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
    ],
)
def test_hashes_of_abc(name: str, digest: str) -> None:
    contract = WatContract()
    outcome = call(contract.host(name, *contract.put("abc"), 0), return_register(contract), contract=contract)
    assert outcome.value.hex() == digest


def test_a_register_can_be_hashed_in_place() -> None:
    contract = WatContract()
    outcome = call(
        contract.host("input", 3),
        contract.host("sha256", U64_MAX, 3, 3),
        return_register(contract, 3),
        contract=contract,
        args=b"data",
    )
    assert outcome.value == hashlib.sha256(b"data").digest()


@pytest.mark.parametrize(
    ("change", "expected"), [("nothing", 1), ("message", 0), ("signature", 0), ("key", 0), ("order", 0)]
)
def test_ed25519_signatures_are_verified(change: str, expected: int) -> None:
    signer = SigningKey(bytes(range(32)))
    message, key = b"a message", bytes(signer.verify_key)
    signature = signer.sign(message).signature
    match change:
        case "message":
            message = b"another one"
        case "signature":
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        case "key":
            key = bytes(32)
        case "order":  # s + order is the same number to a careless verifier
            order = 2**252 + 27742317777372353535851937790883648493
            s = int.from_bytes(signature[32:], "little") + order
            signature = signature[:32] + s.to_bytes(32, "little")
        case _:
            pass
    contract = WatContract()
    verify = contract.host("ed25519_verify", *contract.put(signature), *contract.put(message), *contract.put(key))
    store = f"(i64.store (i32.const 0) {verify})"
    outcome = call(store, contract.host("value_return", 8, 0), contract=contract)
    assert int.from_bytes(outcome.value, "little") == expected


@pytest.mark.parametrize(("signature", "key", "what"), [(63, 32, "signature"), (64, 31, "public key")])
def test_ed25519_inputs_of_another_length_stop_the_contract(signature: int, key: int, what: str) -> None:
    contract = WatContract()
    verify = contract.host("ed25519_verify", signature, 0, 0, 0, key, 0)
    text = f"Invalid input to ed25519 signature verification function: invalid {what} length"
    assert call(drop(verify), contract=contract).panic == text


@pytest.mark.parametrize(
    "name",
    ["bls12381_pairing_check", "p256_verify", "promise_yield_create"],
)
def test_functions_that_are_not_offered_say_so(name: str) -> None:
    contract = WatContract()
    zeros = [0] * len(host_functions()[name].params)
    outcome = call(drop(contract.host(name, *zeros)), contract=contract)
    assert outcome.panic == f"Link Error: host function {name} is not offered by this chain"


# views


def test_a_view_reads_logs_and_returns() -> None:
    contract = WatContract()
    result = view(
        contract.host("log_utf8", *contract.put("seen")),
        contract.host("input", 0),
        return_register(contract),
        contract=contract,
        args=b'{"a":1}',
    )
    assert result.result == b'{"a":1}'
    assert result.logs == ("seen",)
    assert result.gas_burnt > 0


@pytest.mark.parametrize(
    "name",
    [
        "signer_account_id",
        "signer_account_pk",
        "predecessor_account_id",
        "refund_to_account_id",
        "attached_deposit",
        "prepaid_gas",
        "used_gas",
        "storage_write",
        "storage_remove",
        "promise_create",
        "promise_then",
        "promise_and",
        "promise_batch_create",
        "promise_batch_then",
        "promise_batch_action_create_account",
        "promise_batch_action_deploy_contract",
        "promise_batch_action_function_call",
        "promise_batch_action_transfer",
        "promise_batch_action_stake",
        "promise_batch_action_add_key_with_full_access",
        "promise_batch_action_add_key_with_function_call",
        "promise_batch_action_delete_key",
        "promise_batch_action_delete_account",
        "promise_results_count",
        "promise_result",
        "promise_return",
        "validator_stake",
        "validator_total_stake",
    ],
)
def test_a_view_may_not(name: str) -> None:
    contract = WatContract()
    function = host_functions()[name]
    expression = contract.host(name, *[0] * len(function.params))
    with pytest.raises(VmError) as refusal:
        view(drop(expression) if function.result else expression, contract=contract)
    shown = {"promise_create": "promise_batch_create", "promise_then": "promise_batch_then"}.get(name, name)
    assert refusal.value.details == {"HostError": {"ProhibitedInView": {"method_name": shown}}}
    assert refusal.value.message == f"{shown} is not allowed in view calls"


def test_a_view_that_never_ends_is_stopped() -> None:
    contract = WatContract()
    contract.method("run", "(loop $l (br $l))")
    chain = chain_with(contract)
    small = TestChain(ENGINE)
    assert small.config.limits.max_gas_burnt == 1000 * TGAS
    with pytest.raises(VmError) as refusal:
        chain.runtime.view(chain.state, AccountId("c.test"), "run", b"", chain.block)
    assert refusal.value.details == {"HostError": "GasLimitExceeded"}


def test_a_view_of_an_account_without_contract() -> None:
    chain = chain_with(WatContract())
    for name in ("alice.test", "nobody.test"):
        with pytest.raises(VmError) as refusal:
            chain.runtime.view(chain.state, AccountId(name), "run", b"", chain.block)
        assert refusal.value.details == {"CompilationError": {"CodeDoesNotExist": {"account_id": name}}}


def test_debug_text_is_rusts() -> None:
    sample = json.loads((VECTORS / "contract_execution_error_panic.json").read_text())
    info = sample["response"]["error"]["cause"]["info"]
    assert f"wasm execution failed with error: {debug_text(info['error'])}" == info["vm_error"]
    assert debug_text({"MethodResolveError": "MethodNotFound"}) == "MethodResolveError(MethodNotFound)"
    assert debug_text({"HostError": "GasExceeded"}) == "HostError(GasExceeded)"
    assert debug_text({"HostError": {"InvalidRegisterId": {"register_id": 5}}}) == (
        "HostError(InvalidRegisterId { register_id: 5 })"
    )


# hostile numbers

POINTS = st.one_of(
    st.integers(0, 200),
    st.integers(0, 2**64 - 1),
    st.sampled_from([0, 65_535, 65_536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(sorted(host_functions())),
    st.lists(POINTS, min_size=9, max_size=9),
    st.sampled_from(["change", "view"]),
)
@example("promise_and", [0, 2**61, 0, 0, 0, 0, 0, 0, 0], "change")
@example("write_register", [1, 2**64 - 1, 2**64 - 1, 0, 0, 0, 0, 0, 0], "view")
def test_no_argument_of_a_host_function_escapes_the_machine(name: str, numbers: list[int], kind: str) -> None:
    """Whatever a contract passes, it gets a result or a VmError, and money stays conserved."""
    function = host_functions()[name]
    arguments = [
        number % 2**32 if letter == "I" else number for letter, number in zip(function.params, numbers, strict=False)
    ]
    contract = WatContract(extra='(data (i32.const 0) "\\05alice.test\\00\\00")')
    account = contract.put("bob.test")
    receiver = contract.host("promise_batch_create", *account)
    expression = contract.host(name, *arguments)
    steps = [drop(expression) if function.result else expression]
    if kind == "change":
        steps = [drop(receiver), *steps]
    contract.method("run", contract.host("current_account_id", 1), *steps)
    chain = chain_with(contract)
    if kind == "change":
        chain.call("alice.test", "c.test", "run", b"")
        assert chain.supply + chain.burnt == chain.created
        return
    with contextlib.suppress(VmError):
        chain.runtime.view(chain.state, AccountId("c.test"), "run", b"", chain.block)
