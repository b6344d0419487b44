"""What a contract can be asked, read from its code: the names that its wasm module exports as functions.

WebAssembly's binary format, sections 5.5.2 and 5.5.10 of the core specification. Pure; hostile bytes give InvalidInput.
"""

from typing import Final

from contracts.errors import InvalidInput

_MAGIC: Final = b"\0asm\x01\0\0\0"
_EXPORT_SECTION: Final = 7
_FUNCTION: Final = 0


def exported_methods(code: bytes) -> tuple[str, ...]:
    """Names of exported functions in the module's order. InvalidInput `bad_wasm` for bytes that are no module."""
    if not code.startswith(_MAGIC):
        raise InvalidInput("bad_wasm", f"the {len(code)} bytes of code are no WebAssembly module")
    position = len(_MAGIC)
    while position < len(code):
        section = code[position]
        size, position = _unsigned(code, position + 1)
        if position + size > len(code):
            raise _cut()
        if section == _EXPORT_SECTION:
            return _functions(code[position : position + size])
        position += size
    return ()


def _functions(body: bytes) -> tuple[str, ...]:
    count, position = _unsigned(body, 0)
    names: list[str] = []
    for _ in range(count):
        size, position = _unsigned(body, position)
        end = position + size
        if end >= len(body):
            raise _cut()
        if body[end] == _FUNCTION:
            names.append(body[position:end].decode(errors="backslashreplace"))
        _, position = _unsigned(body, end + 1)
    return tuple(names)


def _unsigned(data: bytes, position: int) -> tuple[int, int]:
    """A LEB128 u32 and the position after it."""
    value = 0
    for place in range(5):
        if position + place >= len(data):
            raise _cut()
        byte = data[position + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise InvalidInput("bad_wasm", "a number in the contract's code is longer than 32 bits")


def _cut() -> InvalidInput:
    return InvalidInput("bad_wasm", "the contract's code ends in the middle of a section")
