"""Tiny contracts written in the text format: methods made of host calls, with their strings laid out in memory."""

from dataclasses import dataclass, field

import wasmtime

from contracts.vm.host import host_functions

_LETTERS = {"Q": "i64", "I": "i32"}
_TABLE = host_functions()
U64_MAX = 2**64 - 1


@dataclass
class WatContract:
    """Collects data and methods; `code()` compiles them. Expressions are text, so calls can be nested."""

    pages: int = 1
    extra: str = ""
    _data: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    _next: int = 1024
    _used: dict[str, None] = field(default_factory=dict[str, None])
    _methods: list[str] = field(default_factory=list[str])

    def put(self, data: bytes | str) -> tuple[int, int]:
        """Lay data out in memory; its length and pointer, in the order that host functions take them."""
        raw = data.encode() if isinstance(data, str) else data
        pointer = self._next
        self._data.append((pointer, raw))
        self._next += len(raw) + 8 - len(raw) % 8
        return len(raw), pointer

    def amount(self, value: int) -> int:
        """Pointer to a u128."""
        return self.put(value.to_bytes(16, "little"))[1]

    def host(self, name: str, *arguments: int | str) -> str:
        """A call of a host function; arguments are numbers or expressions."""
        self._used[name] = None
        letters = _TABLE[name].params
        assert len(letters) == len(arguments), name
        values = [
            value if isinstance(value, str) else f"({_LETTERS[letter]}.const {value})"
            for letter, value in zip(letters, arguments, strict=True)
        ]
        return f"(call ${name} {' '.join(values)})"

    def method(self, name: str, *instructions: str) -> None:
        """An exported method; results of host calls that stand alone are dropped with `drop`."""
        body = "\n".join(instructions)
        self._methods.append(f'(func (export "{name}") (local $a i64) (local $b i64) (local $c i64)\n{body})')

    def returns(self, data: bytes | str) -> str:
        return self.host("value_return", *self.put(data))

    def panics(self, message: str) -> str:
        return self.host("panic_utf8", *self.put(message))

    @property
    def text(self) -> str:
        imports = "\n".join(_import(name) for name in self._used)
        data = "\n".join(f'(data (i32.const {pointer}) "{_escaped(raw)}")' for pointer, raw in self._data)
        methods = "\n".join(self._methods)
        return f'(module {imports} (memory (export "memory") {self.pages}) {self.extra} {data} {methods})'

    def code(self) -> bytes:
        return compiled(self.text)


def compiled(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def drop(expression: str) -> str:
    return f"(drop {expression})"


def _import(name: str) -> str:
    function = _TABLE[name]
    params = "".join(f"(param {_LETTERS[letter]})" for letter in function.params)
    result = f"(result {_LETTERS[function.result]})" if function.result else ""
    return f'(import "env" "{name}" (func ${name} {params} {result}))'


def _escaped(raw: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in raw)
