"""What a contract can be asked, read from its code and from the ABI that it carries.

Names: the functions that its wasm module exports (WebAssembly core specification, sections 5.5.2 and 5.5.10). Types: the
near-abi document (near/near-abi-rs) that the view method `__contract_abi` answers as zstd-compressed JSON. Pure; all of it is
outside data, read within limits, and hostile bytes give InvalidInput.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias, cast

import zstandard
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.errors import InvalidInput
from contracts.strict_json import unique_keys
from contracts.types import JsonObject

ABI_METHOD: Final = "__contract_abi"
MAX_COMPRESSED: Final = 256 * 1024
MAX_ABI_BYTES: Final = 1024 * 1024
MAX_ABI_DEPTH: Final = 40
MAX_ABI_VALUES: Final = 50_000
MAX_FUNCTIONS: Final = 500
MAX_DOC: Final = 2_000
"""Characters of a doc string that are kept."""
_WINDOW: Final = 8 * 1024 * 1024
"""Memory that a zstd frame may ask for."""
_MAGIC: Final = b"\0asm\x01\0\0\0"
_EXPORT_SECTION: Final = 7
_FUNCTION: Final = 0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AbiParameter(_Part):
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
    type_schema: JsonValue


class AbiParameters(_Part):
    serialization_type: Literal["json", "borsh"]
    args: tuple[AbiParameter, ...] = ()


Modifier: TypeAlias = Literal["init", "private", "payable"]


class AbiFunction(_Part):
    """One method. `doc` is its author's text, outside data."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
    kind: Literal["view", "call"]
    modifiers: tuple[Modifier, ...] = ()
    params: AbiParameters | None = None
    doc: str | None = None


class Abi(_Part):
    """The part of a near-abi document that says how methods are called."""

    functions: Annotated[tuple[AbiFunction, ...], Field(max_length=MAX_FUNCTIONS)]
    definitions: JsonObject
    """JSON Schemas that the methods' schemas refer to."""


def read_abi(answer: bytes) -> Abi:
    """The ABI that `__contract_abi` answered.

    InvalidInput `abi_too_large` (bytes, values, nesting, window), `bad_abi` for what is no zstd frame or no near-abi
    document.
    """
    document = _bounded_json(_decompressed(answer))
    match document:
        case {"schema_version": str(), "body": {"functions": list() as functions, **rest}}:
            pass
        case _:
            raise _bad_abi("it is no near-abi document")
    root, empty = rest.get("root_schema"), JsonObject()
    definitions = (root.get("definitions") or root.get("$defs") or empty) if isinstance(root, dict) else empty
    try:
        return Abi.model_validate({"functions": functions, "definitions": definitions})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:120]
        raise _bad_abi(f"{place}: {first['msg'][:200]}") from error


def _decompressed(answer: bytes) -> bytes:
    if len(answer) > MAX_COMPRESSED:
        raise _too_large(f"it has {len(answer)} bytes compressed, at most {MAX_COMPRESSED} are read")
    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(answer) as reader:
            text = reader.read(MAX_ABI_BYTES + 1)
    except zstandard.ZstdError as error:
        raise _bad_abi(f"it is not zstd-compressed: {str(error)[:120]}") from error
    if len(text) > MAX_ABI_BYTES:
        raise _too_large(f"it unpacks to more than {MAX_ABI_BYTES} bytes")
    return text


def _bounded_json(text: bytes) -> JsonValue:
    try:
        value = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse, parse_int=_integer)
    except RecursionError as error:
        raise _too_large("it is nested too deep") from error
    except ValueError as error:
        raise _bad_abi(f"it is not JSON: {str(error)[:120]}") from error
    for count, depth in enumerate(_depths(value), start=1):
        if depth > MAX_ABI_DEPTH or count > MAX_ABI_VALUES:
            raise _too_large(
                f"it has more than {MAX_ABI_VALUES} values, or is nested deeper than {MAX_ABI_DEPTH} levels"
            )
    return value


def _depths(value: JsonValue) -> Iterator[int]:
    """The depth of every value, without recursion."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        yield depth
        if isinstance(one, dict):
            waiting += [(inner, depth + 1) for inner in cast("dict[str, Any]", one).values()]
        elif isinstance(one, list):
            waiting += [(inner, depth + 1) for inner in cast("list[Any]", one)]


def _integer(digits: str) -> int:
    if len(digits) > 80:
        raise ValueError("a number has more than 80 digits")
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _too_large(what: str) -> InvalidInput:
    return InvalidInput("abi_too_large", f"the contract's ABI is not read: {what}")


def _bad_abi(what: str) -> InvalidInput:
    return InvalidInput("bad_abi", f"the contract's ABI is not readable: {what}")


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
