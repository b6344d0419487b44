"""The wasm engine: compiles contracts (once, also across restarts) and runs one exported function at a time.

Accepted is what NEAR accepts: no simd, threads, exceptions, tail calls, multi-value, multi-memory or 64-bit memory;
sign extension, saturating conversions, bulk memory and reference types are in. Fuel bounds instructions, the store bounds
memory, wasmtime bounds the stack; what host functions may do is bounded by `Execution`.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import wasmtime

from contracts.errors import VmError
from contracts.types import CryptoHash
from contracts.vm.config import Limits
from contracts.vm.execution import Execution
from contracts.vm.failures import TrapName, link_error, method_error, prepare_error, wasm_trap
from contracts.vm.host import host_functions
from contracts.vm.module_cache import ModuleCache
from contracts.vm.native import HostLinker, Instance, Slot
from contracts.vm.prepare import check_limits

_PAGE_BYTES: Final = 65_536
_LOADED_CONTRACTS: Final = 128
"""Compiled contracts kept in memory, the least recently used one leaves first."""
_STACK_BYTES: Final = 512 * 1024

_TRAPS: Final[dict[wasmtime.TrapCode, TrapName]] = {
    wasmtime.TrapCode.STACK_OVERFLOW: "StackOverflow",
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: "MemoryOutOfBounds",
    wasmtime.TrapCode.HEAP_MISALIGNED: "MisalignedAtomicAccess",
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: "CallIndirectOOB",
    wasmtime.TrapCode.INDIRECT_CALL_TO_NULL: "IndirectCallToNull",
    wasmtime.TrapCode.BAD_SIGNATURE: "IncorrectCallIndirectSignature",
    wasmtime.TrapCode.INTEGER_OVERFLOW: "IllegalArithmetic",
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: "IllegalArithmetic",
    wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER: "IllegalArithmetic",
    wasmtime.TrapCode.UNREACHABLE: "Unreachable",
}


@dataclass(frozen=True, slots=True)
class Contract:
    """Compiled code, its imports resolved."""

    linked: wasmtime.InstancePre
    linker: HostLinker
    methods: dict[str, bool]
    """Exported functions; True where they take and return nothing, as a method must."""
    code_size: int


class Engine:
    """Compiles and runs contracts. Safe to share between threads: one call runs at a time, compiling has its own lock."""

    def __init__(self, cache_dir: Path | None = None) -> None:
        """`cache_dir` keeps compiled modules between runs of the program; it must be the caller's alone (mode 0700)."""
        self._engine = wasmtime.Engine(_wasmtime_config())
        self._cache = ModuleCache(cache_dir) if cache_dir is not None else None
        self._slot = Slot()
        self._functions = host_functions()
        self._linker = HostLinker(self._engine, self._functions, self._slot)
        self._loaded: OrderedDict[str, Contract | VmError] = OrderedDict()
        self._compiling = threading.Lock()
        self._running = threading.Lock()

    def load(self, code_hash: CryptoHash, code: bytes, limits: Limits) -> Contract:
        """The compiled contract; VmError (CompilationError or LinkError) for code that cannot run."""
        with self._compiling:
            contract = self._loaded.get(code_hash)
            if contract is None:
                contract = self._prepare(code_hash, code, limits)
                self._loaded[code_hash] = contract
                if len(self._loaded) > _LOADED_CONTRACTS:
                    self._loaded.popitem(last=False)
            else:
                self._loaded.move_to_end(code_hash)
        if isinstance(contract, VmError):
            raise VmError(contract.code, contract.message, details=contract.details)
        return contract

    def is_loaded(self, code_hash: CryptoHash) -> bool:
        """Whether `load` will not need to compile or to read the cache."""
        return code_hash in self._loaded

    def run(self, contract: Contract, execution: Execution) -> None:
        """Run the method that `execution.context` names. On return `execution` holds result, logs, promises and gas.

        VmError for whatever stops it, with `execution.burnt` at what was burnt until then.
        """
        method_name = execution.context.method_name
        if not method_name:
            raise method_error("MethodEmptyName")
        match contract.methods.get(method_name):
            case None:
                raise method_error("MethodNotFound")
            case False:
                raise method_error("MethodInvalidSignature")
            case True:
                pass
        costs = execution.costs
        execution.burn(costs.contract_loading_base + costs.contract_loading_bytes * contract.code_size)
        with self._running:
            self._slot.execution = execution
            try:
                self._run(contract, execution, method_name)
            finally:
                self._slot.execution = None

    def _run(self, contract: Contract, execution: Execution, method_name: str) -> None:
        limits, config = execution.limits, execution.context.config
        instance = Instance(
            self._engine,
            contract.linked,
            self._slot,
            fuel=execution.gas_limit // config.regular_op_cost,
            memory_bytes=limits.max_memory_pages * _PAGE_BYTES,
            table_elements=limits.max_elements_per_contract_table,
        )
        with instance:
            try:
                execution.attach(instance, instance.start())
                instance.call(method_name)
            except wasmtime.Trap as trap:
                raise _trap_error(trap, execution) from None
            except wasmtime.WasmtimeError as error:
                raise _instance_error(str(error)) from None
            finally:
                execution.settle_gas()
        if execution.burnt + execution.promised > execution.gas_limit:
            raise execution.out_of_gas()

    def _prepare(self, code_hash: CryptoHash, code: bytes, limits: Limits) -> Contract | VmError:
        try:
            check_limits(code, limits)
            module = self._module(code_hash, code)
            return self._link(module, len(code))
        except VmError as error:
            return error

    def _module(self, code_hash: CryptoHash, code: bytes) -> wasmtime.Module:
        stored = self._cache.read(code_hash) if self._cache is not None else None
        if stored is not None:
            try:
                return wasmtime.Module.deserialize(self._engine, stored)
            except wasmtime.WasmtimeError:
                pass  # made by an engine that differs from this one: compiled again below
        try:
            module = wasmtime.Module(self._engine, code)
        except wasmtime.WasmtimeError as error:
            raise prepare_error("Deserialization", str(error).partition("\n")[0]) from None
        if self._cache is not None:
            self._cache.write(code_hash, bytes(module.serialize()))
        return module

    def _link(self, module: wasmtime.Module, code_size: int) -> Contract:
        known = all(item.module == "env" and item.name in self._functions for item in module.imports)
        linker = self._linker if known else HostLinker(self._engine, self._functions, self._slot)
        try:
            linked = linker.link(module, unknown_traps=not known)
        except wasmtime.WasmtimeError as error:
            raise link_error(str(error).partition("\n")[0]) from None
        methods = {
            item.name: not item.type.params and not item.type.results
            for item in module.exports
            if isinstance(item.type, wasmtime.FuncType)
        }
        return Contract(linked, linker, methods, code_size)


def _trap_error(trap: wasmtime.Trap, execution: Execution) -> VmError:
    code = trap.trap_code
    if code is wasmtime.TrapCode.OUT_OF_FUEL:
        return execution.out_of_gas()
    return wasm_trap(_TRAPS.get(code, "GenericTrap") if code is not None else "GenericTrap")


def _instance_error(text: str) -> VmError:
    """What wasmtime reports without a trap: a call of an unknown import, or an instance beyond the limits."""
    start = text.find("unknown import")
    if start >= 0:
        return link_error(text[start:].partition("\n")[0])
    return prepare_error("Instantiate", text.partition("\n")[0])


def _wasmtime_config() -> wasmtime.Config:
    config = wasmtime.Config()
    config.consume_fuel = True
    config.max_wasm_stack = _STACK_BYTES
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd = False
    config.wasm_simd = False
    config.wasm_threads = False
    config.wasm_tail_call = False
    config.wasm_multi_value = False
    config.wasm_multi_memory = False
    config.wasm_memory64 = False
    config.wasm_exceptions = False
    config.wasm_function_references = False
    config.wasm_gc = False
    config.wasm_wide_arithmetic = False
    config.wasm_custom_page_sizes = False
    config.wasm_stack_switching = False
    config.wasm_bulk_memory = True
    config.wasm_reference_types = True
    # Host functions keep a pointer to the guest's memory while it runs: it may grow, and must not move.
    config.memory_may_move = False
    config.memory_reservation = Limits().max_memory_pages * _PAGE_BYTES
    return config
