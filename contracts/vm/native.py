"""wasmtime's C API where the package's own wrappers are too slow: host functions, exports and calls.

A host call through `Linker.define_func` costs 19 us, through `wasmtime_linker_define_func_unchecked` 1.5 us, and a token
transfer makes about thirty. Everything that touches raw pointers is in this file.
"""

import ctypes
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

import wasmtime
from wasmtime import _ffi  # the C API has no public module

# ruff: noqa: SLF001  the raw pointers of the package's own objects are what this file is for

ffi: Final[Any] = _ffi  # generated bindings, typed with bare pointers
_CALLBACK: Final = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_NO_FINALIZER: Final = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
_TRAP_POINTER: Final[Any] = ctypes.POINTER(_ffi.wasm_trap_t)
_TYPES: Final = {"Q": wasmtime.ValType.i64(), "I": wasmtime.ValType.i32()}


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One import: `params` has a letter per parameter (Q: 64 bits, I: 32), `result` is empty or such a letter.

    `function` gets the running execution and the parameters as unsigned integers, and returns the result, if any.
    """

    function: Callable[..., int | None]
    params: str
    result: Literal["", "Q", "I"] = ""

    @property
    def type(self) -> wasmtime.FuncType:
        results = [_TYPES[self.result]] if self.result else []
        return wasmtime.FuncType([_TYPES[letter] for letter in self.params], results)


class Slot:
    """Whose call the host functions of a linker serve at the moment, and what they raised."""

    __slots__ = ("error", "execution")

    def __init__(self) -> None:
        self.execution: Any = None
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        # A Python exception cannot cross C frames: it is kept here, the guest traps, and `Instance.call` raises it.
        self.error = error
        return error is not None


class HostLinker:
    """A wasmtime linker whose `env` functions act on `slot.execution`. Not for two threads at a time."""

    def __init__(self, engine: wasmtime.Engine, functions: Mapping[str, HostFunction], slot: Slot) -> None:
        self._slot = slot
        self._linker = wasmtime.Linker(engine)
        self._callbacks: list[Any] = []  # the C side keeps plain pointers: these must outlive the linker
        for name, function in functions.items():
            self._define(name, function)

    def _define(self, name: str, function: HostFunction) -> None:
        callback = _CALLBACK(_trampoline(self._slot, function))
        self._callbacks.append(callback)
        name_bytes = name.encode()
        function_type = function.type  # held until the call below returns: `ptr()` alone would dangle
        error = ffi.wasmtime_linker_define_func_unchecked(
            self._linker.ptr(),
            b"env",
            3,
            name_bytes,
            len(name_bytes),
            function_type.ptr(),
            ctypes.cast(callback, ffi.wasmtime_func_unchecked_callback_t),
            None,
            _NO_FINALIZER,
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)

    def link(self, module: wasmtime.Module, *, unknown_traps: bool = False) -> wasmtime.InstancePre:
        """Resolve a module's imports; WasmtimeError where one is missing or has another type.

        With `unknown_traps` functions that are not in the table are resolved to a trap, for this and later modules.
        """
        if unknown_traps:
            self._linker.define_unknown_imports_as_traps(module)
        return self._linker.instantiate_pre(module)


def _trampoline(slot: Slot, host: HostFunction) -> Callable[[Any, Any, int, int], int | None]:
    function = host.function
    layout = struct.Struct("<" + "".join(letter + ("8x" if letter == "Q" else "12x") for letter in host.params))
    unpack, size = layout.unpack, layout.size
    result = {"": ctypes.c_uint64, "Q": ctypes.c_uint64, "I": ctypes.c_uint32}[host.result].from_address
    string_at = ctypes.string_at

    def call(_env: Any, _caller: Any, values: int, _count: int) -> int | None:
        with slot:
            returned = function(slot.execution, *unpack(string_at(values, size)))
            if returned is not None:
                result(values).value = returned
            return None
        return _trap()

    return call


def _trap() -> int | None:
    text = b"host function raised"
    trap = ffi.wasmtime_trap_new(text, len(text))
    return ctypes.cast(trap, ctypes.c_void_p).value


class GuestMemory:
    """An instance's exported memory. It never moves (`Config.memory_may_move`), it can only grow."""

    __slots__ = ("_memory", "_store", "base")

    def __init__(self, store: wasmtime.Store, memory: Any) -> None:
        self._store = store
        self._memory = memory
        pointer = ffi.wasmtime_memory_data(store._context(), ctypes.byref(memory))
        self.base: int = ctypes.cast(pointer, ctypes.c_void_p).value or 0

    def size(self) -> int:
        """Bytes at the moment."""
        return ffi.wasmtime_memory_data_size(self._store._context(), ctypes.byref(self._memory))


class Instance:
    """A module instantiated in a store of its own, with fuel and limits; use as a context manager.

    The start function runs on entry. `enter` and `call` raise wasmtime.Trap or WasmtimeError for what the guest did, and
    what a host function raised as it was.
    """

    def __init__(
        self,
        engine: wasmtime.Engine,
        linked: wasmtime.InstancePre,
        slot: Slot,
        *,
        fuel: int,
        memory_bytes: int,
        table_elements: int,
    ) -> None:
        self._slot = slot
        self._fuel = fuel
        self._linked = linked
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(fuel)
        self._store.set_limits(memory_size=memory_bytes, table_elements=table_elements, instances=1, memories=1)
        self._instance: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._instance = None
        self._store.close()

    @property
    def used_fuel(self) -> int:
        return self._fuel - self._store.get_fuel()

    def start(self) -> GuestMemory | None:
        """Instantiate; the exported memory, if there is one."""
        instance = ffi.wasmtime_instance_t()
        trap = _TRAP_POINTER()
        self._slot.error = None
        error = ffi.wasmtime_instance_pre_instantiate(
            self._linked.ptr(), self._store._context(), ctypes.byref(instance), ctypes.byref(trap)
        )
        self._raise(error, trap)
        self._instance = instance
        item = self._export(b"memory")
        if item is None or item.kind != ffi.WASMTIME_EXTERN_MEMORY.value:
            return None
        return GuestMemory(self._store, item.of.memory)

    def call(self, name: str) -> None:
        """Call an exported function without parameters and results, which must exist."""
        item = self._export(name.encode())
        if item is None or item.kind != ffi.WASMTIME_EXTERN_FUNC.value:
            raise KeyError(name)
        trap = _TRAP_POINTER()
        self._slot.error = None
        error = ffi.wasmtime_func_call(
            self._store._context(), ctypes.byref(item.of.func), None, 0, None, 0, ctypes.byref(trap)
        )
        self._raise(error, trap)

    def _export(self, name: bytes) -> Any:
        item = ffi.wasmtime_extern_t()
        found = ffi.wasmtime_instance_export_get(
            self._store._context(), ctypes.byref(self._instance), name, len(name), ctypes.byref(item)
        )
        return item if found else None

    def _raise(self, error: Any, trap: Any) -> None:
        raised: Exception | None = None
        if error:
            raised = wasmtime.WasmtimeError._from_ptr(error)
        elif trap:
            raised = wasmtime.Trap._from_ptr(trap)
        if raised is not None:
            if self._slot.error is not None:
                raise self._slot.error
            raise raised
