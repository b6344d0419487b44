import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import VmError
from contracts.types import AccountId, CryptoHash
from contracts.vm.config import Limits
from contracts.vm.engine import Engine
from contracts.vm.module_cache import ModuleCache
from contracts.vm.native import HostFunction, HostLinker, Slot
from tests.contracts.vm.chain_double import NEAR, TGAS, TestChain
from tests.contracts.vm.wat_contract import WatContract, compiled, drop

LIMITS = Limits()
FUZZED = Engine()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def load(engine: Engine, code: bytes) -> None:
    engine.load(CryptoHash.of(code), code, LIMITS)


def run(engine: Engine, code: bytes, method: str = "run", gas: int = 300 * TGAS) -> object:
    """The failure's details, or the returned bytes."""
    chain = TestChain(engine)
    chain.create("alice.test")
    chain.create("c.test", 50 * NEAR, code)
    outcome = chain.call("alice.test", "c.test", method, gas=gas)
    assert chain.supply + chain.burnt == chain.created
    try:
        return outcome.value
    except AssertionError:
        return outcome.failure


def execution_error(text: str) -> object:
    return {"FunctionCallError": {"ExecutionError": text}}


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ("simd", "(func (result v128) (v128.const i32x4 0 0 0 0))"),
        ("multi-value", "(func (result i32 i32) i32.const 1 i32.const 2)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("tail calls", "(func $f (return_call $f))"),
        ("memory64", "(memory i64 1)"),
        ("exceptions", "(tag (param i32))"),
        ("threads", "(memory 1 1 shared)"),
        ("garbage collection", "(type (struct (field i32)))"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
    ],
)
def test_features_that_near_has_not_are_refused(engine: Engine, feature: str, text: str) -> None:
    code = compiled(f"(module {text})")
    with pytest.raises(VmError) as refusal:
        load(engine, code)
    assert refusal.value.details == {"CompilationError": {"PrepareError": "Deserialization"}}, feature
    with pytest.raises(VmError, match="cannot be prepared"):
        load(engine, code)  # remembered, and raised afresh


def test_features_that_near_has_are_taken(engine: Engine) -> None:
    text = """(memory 1)
        (func (param i32) (result i32) (i32.extend8_s (local.get 0)))
        (func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))
        (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 8)))
        (func (result externref) (ref.null extern))"""
    load(engine, compiled(f"(module {text})"))


@pytest.mark.parametrize(
    "code", [b"", b"\0asm", b"\0asm\1\0\0\0\xff\xff", b"MZ" + bytes(100), b"\0asm\1\0\0\0\x0a\xff\xff"]
)
def test_bytes_that_are_no_module_are_refused(engine: Engine, code: bytes) -> None:
    with pytest.raises(VmError) as refusal:
        load(engine, code)
    assert refusal.value.code == "Deserialization"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TooManyFunctions", "(func)" * 10_001),
        ("TooManyTables", "(table 1 funcref) (table 1 funcref)"),
        ("TooManyTableElements", "(table 10001 funcref)"),
        ("TooManyTableElements", "(table 10001 20000 funcref)"),
        ("FunctionBodyTooLarge", f"(func {'nop ' * 200_000})"),
        ("TooManyLocals", f"(func (local {'i64 ' * 40_000}))" * 26),
    ],
)
def test_code_beyond_the_limits_of_preparation_is_refused_before_compiling(
    engine: Engine, name: str, text: str
) -> None:
    code = compiled(f"(module {text})")
    with pytest.raises(VmError) as refusal:
        load(engine, code)
    assert refusal.value.details == {"CompilationError": {"PrepareError": name}}


def test_a_contract_that_cannot_be_prepared_fails_its_calls_and_burns_no_gas_for_them(engine: Engine) -> None:
    code = compiled("(module (memory i64 1))")
    assert run(engine, code) == {"FunctionCallError": {"CompilationError": {"PrepareError": "Deserialization"}}}


def test_an_endless_loop_stops_when_its_gas_is_used_up(engine: Engine) -> None:
    contract = WatContract()
    contract.method("run", "(loop $again (br $again))")
    assert run(engine, contract.code(), gas=20 * TGAS) == execution_error("Exceeded the prepaid gas.")


def test_an_endless_loop_of_host_calls_stops_too(engine: Engine) -> None:
    contract = WatContract()
    contract.method("run", "(loop $again", drop(contract.host("block_index")), "(br $again))")
    assert run(engine, contract.code(), gas=20 * TGAS) == execution_error("Exceeded the prepaid gas.")


def test_cheap_host_calls_have_a_limit(engine: Engine) -> None:
    """With gas for millions of them, a loop of host calls ends before it holds the process for long."""
    contract = WatContract()
    contract.method("run", "(loop $again", drop(contract.host("block_index")), "(br $again))")
    failure = run(engine, contract.code(), gas=1000 * TGAS)
    assert failure == execution_error(
        "Link Error: too expensive to compute here: its host functions would take more than 2 s"
    )


def test_recursion_ends_in_a_stack_overflow(engine: Engine) -> None:
    contract = WatContract(extra="(func $f (call $f))")
    contract.method("run", "(call $f)")
    assert run(engine, contract.code()) == execution_error("WebAssembly trap: Stack overflow.")


def test_memory_grows_to_128_mib_and_no_further(engine: Engine) -> None:
    contract = WatContract()
    grow = "(i64.extend_i32_s (memory.grow (i32.const {})))"
    contract.method(
        "run",
        f"(i64.store (i32.const 0) {grow.format(2047)})",
        f"(i64.store (i32.const 8) {grow.format(1)})",
        f"(i64.store (i32.const 16) {grow.format(65535)})",
        contract.host("value_return", 24, 0),
    )
    value = run(engine, contract.code())
    assert isinstance(value, bytes)
    assert [int.from_bytes(value[at : at + 8], "little", signed=True) for at in (0, 8, 16)] == [1, -1, -1]


def test_memory_that_grew_is_read_and_written_at_its_new_end(engine: Engine) -> None:
    contract = WatContract()
    end = 100 * 65536
    contract.method(
        "run",
        contract.host("current_account_id", 0),
        "(drop (memory.grow (i32.const 99)))",
        contract.host("read_register", 0, end - 6),
        contract.host("value_return", 6, end - 6),
    )
    assert run(engine, contract.code()) == b"c.test"


def test_a_memory_declared_too_large_fails_the_call(engine: Engine) -> None:
    contract = WatContract(pages=3000)
    contract.method("run")
    assert run(engine, contract.code()) == {"FunctionCallError": {"CompilationError": {"PrepareError": "Instantiate"}}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("unreachable", "An `unreachable` opcode was executed."),
        ("(drop (i32.load (i32.const -4)))", "Memory out of bounds trap."),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "An arithmetic exception, e.g. divided by zero."),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", "An arithmetic exception, e.g. divided by zero."),
        ("(call_indirect (i32.const 0))", "Indirect call to null."),
        ("(call_indirect (i32.const 9))", "Call indirect out of bounds trap."),
        ("(call_indirect (param i32) (i32.const 1) (i32.const 1))", "Call indirect incorrect signature trap."),
    ],
)
def test_traps_have_nearcores_texts(engine: Engine, body: str, text: str) -> None:
    contract = WatContract(extra="(table 2 funcref) (func $g) (elem (i32.const 1) $g)")
    contract.method("run", body)
    assert run(engine, contract.code()) == execution_error(f"WebAssembly trap: {text}")


@pytest.mark.parametrize(
    ("method", "name"),
    [("nothing", "MethodNotFound"), ("", "MethodEmptyName"), ("takes", "MethodInvalidSignature")],
)
def test_methods_that_cannot_be_called(engine: Engine, method: str, name: str) -> None:
    code = compiled('(module (func (export "takes") (param i64)) (memory (export "nothing") 1))')
    assert run(engine, code, method) == {"FunctionCallError": {"MethodResolveError": name}}


def test_an_unknown_import_stops_the_contract_only_where_it_is_called(engine: Engine) -> None:
    code = compiled(
        '(module (import "env" "teleport" (func $t (param f32))) (import "other" "x" (func $x))'
        '(func (export "fine")) (func (export "run") (call $t (f32.const 1))))'
    )
    assert run(engine, code, "fine") == b""
    failure = str(run(engine, code))
    assert "Link Error: unknown import: `env::teleport`" in failure


@pytest.mark.parametrize(
    "text",
    [
        '(import "env" "input" (func (param i32)))',
        '(import "env" "memory" (memory 1))',
        '(import "env" "g" (global i32))',
    ],
)
def test_an_import_of_another_type_does_not_link(engine: Engine, text: str) -> None:
    with pytest.raises(VmError) as refusal:
        load(engine, compiled(f"(module {text})"))
    assert refusal.value.code == "LinkError"


def test_a_start_function_runs_before_there_is_a_memory(engine: Engine) -> None:
    contract = WatContract()
    log = contract.host("log_utf8", *contract.put("hello"))
    contract.extra = f"(func $s {log}) (start $s)"
    contract.method("run")
    assert run(engine, contract.code()) == execution_error("Accessed memory outside the bounds.")


def test_a_start_function_that_traps_or_loops_fails_the_call(engine: Engine) -> None:
    trap = compiled('(module (func $s unreachable) (start $s) (func (export "run")))')
    assert run(engine, trap) == execution_error("WebAssembly trap: An `unreachable` opcode was executed.")
    loop = compiled('(module (func $s (loop $l (br $l))) (start $s) (func (export "run")))')
    assert run(engine, loop, gas=10 * TGAS) == execution_error("Exceeded the prepaid gas.")


def test_what_a_host_function_raises_arrives_as_it_was() -> None:
    """Also what is no VmError: an interrupt from the keyboard must not be taken for a result."""
    import wasmtime

    from contracts.vm.native import Instance

    def interrupt(_call: object) -> int:
        raise KeyboardInterrupt

    config = wasmtime.Config()
    config.consume_fuel = True
    native = wasmtime.Engine(config)
    slot = Slot()
    linker = HostLinker(native, {"f": HostFunction(interrupt, "", "Q")}, slot)
    text = '(module (import "env" "f" (func $f (result i64))) (func (export "run") (drop (call $f))))'
    linked = linker.link(wasmtime.Module(native, compiled(text)))
    with Instance(native, linked, slot, fuel=10**6, memory_bytes=2**16, table_elements=1) as instance:
        assert instance.start() is None
        with pytest.raises(KeyboardInterrupt):
            instance.call("run")
        with pytest.raises(KeyError):
            instance.call("nothing")


def test_threads_may_share_an_engine(engine: Engine) -> None:
    """Calls take turns; each thread gets its own results, also when they panic."""
    contract = WatContract()
    contract.method("fine", contract.host("input", 0), contract.host("value_return", 2**64 - 1, 0))
    contract.method("fails", contract.host("input", 0), contract.host("panic_utf8", 3, 2**40))
    chain = TestChain(engine)
    chain.create("c.test", NEAR, contract.code())
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(50):
            if number % 2:
                result = chain.runtime.view(chain.state, AccountId("c.test"), "fine", b"%d" % number, chain.block)
                if result.result != b"%d" % number:
                    wrong.append(result)
            else:
                try:
                    chain.runtime.view(chain.state, AccountId("c.test"), "fails", b"", chain.block)
                except VmError as error:
                    if error.code != "MemoryAccessViolation":
                        wrong.append(error)
                else:
                    wrong.append("no error")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 2**16))
def test_damaged_code_fails_as_a_call_and_nothing_else(changes: list[tuple[int, int]], cut: int) -> None:
    """Any bytes may be deployed: a call of them returns, fails, or is stopped."""
    contract = WatContract()
    contract.method(
        "run",
        drop(contract.host("storage_write", *contract.put("key"), *contract.put("value"), 0)),
        contract.host("log_utf8", *contract.put("a line")),
        drop(contract.host("promise_batch_create", *contract.put("alice.test"))),
        contract.returns("done"),
    )
    code = bytearray(contract.code())
    for place, value in changes:
        code[place % len(code)] = value
    if cut % 8 == 0:
        del code[cut % len(code) :]
    run(FUZZED, bytes(code), gas=5 * TGAS)


# the cache of compiled modules


def counter_code() -> bytes:
    contract = WatContract()
    contract.method("run", contract.returns("from the cache"))
    return contract.code()


def stored(folder: Path) -> Path:
    (path,) = folder.glob("*.cwasm")
    return path


def test_compiled_modules_are_kept_privately_and_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "modules"
    code = counter_code()
    assert run(Engine(folder), code) == b"from the cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    path = stored(folder)
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.read_bytes()
    assert run(Engine(folder), code) == b"from the cache"
    assert path.read_bytes() == written
    assert [item.suffix for item in folder.iterdir()] == [".cwasm"]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_module_is_compiled_again(tmp_path: Path, damage: bytes | None) -> None:
    folder = tmp_path / "modules"
    code = counter_code()
    run(Engine(folder), code)
    path = stored(folder)
    written = path.read_bytes()
    path.write_bytes(written[:-1] + bytes([written[-1] ^ 1]) if damage is None else damage)
    assert run(Engine(folder), code) == b"from the cache"
    assert path.read_bytes() == written


def test_a_module_with_a_good_checksum_that_is_no_module_is_compiled_again(tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    code = counter_code()
    run(Engine(folder), code)
    path = stored(folder)
    path.write_bytes(CryptoHash.of(b"native code").raw + b"native code")
    assert run(Engine(folder), code) == b"from the cache"


def test_files_and_folders_that_others_may_write_are_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    code = counter_code()
    run(Engine(folder), code)
    path = stored(folder)
    written = path.read_bytes()
    poison = CryptoHash.of(b"poison").raw + b"poison"
    for spoiled in (path, folder):
        spoiled.chmod(spoiled.stat().st_mode | 0o022)
        path.write_bytes(poison)
        assert run(Engine(folder), code) == b"from the cache"
        spoiled.chmod(spoiled.stat().st_mode & ~0o022)
    assert path.read_bytes() == poison  # nothing is written into a folder that is not ours alone
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(written)
    path.symlink_to(elsewhere)
    assert run(Engine(folder), code) == b"from the cache"
    assert not path.is_symlink()


def test_without_a_writable_folder_contracts_still_run(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert run(Engine(blocked / "modules"), counter_code()) == b"from the cache"
    assert run(Engine(blocked), counter_code()) == b"from the cache"


def test_the_cache_keeps_a_limited_number_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    folder.mkdir(mode=0o700)
    for number in range(300):
        old = folder / f"{number:03}.cwasm"
        old.write_bytes(b"old")
        os.utime(old, (number, number))
    run(Engine(folder), counter_code())
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 256
    assert "000.cwasm" not in left
    assert "299.cwasm" in left


def test_the_cache_keeps_a_limited_size(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path / "modules", kept_bytes=3_000)
    hashes = [CryptoHash.of(bytes([number])) for number in range(5)]
    for number, code_hash in enumerate(hashes):
        cache.write(code_hash, bytes(900))
        for path in (tmp_path / "modules").glob(f"{code_hash}-*"):
            os.utime(path, (number, number))
    assert [cache.read(code_hash) is not None for code_hash in hashes] == [False, False, True, True, True]
