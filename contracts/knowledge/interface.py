"""A contract's methods with their arguments: from its own ABI, else from the standards that its exported names satisfy.

Cached by the hash of the code. Names, types and texts come from the contract and are outside data.
"""

import functools
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

from contracts.errors import InvalidInput
from contracts.knowledge.abi import ABI_METHOD, MAX_DOC, Abi, AbiFunction, read_abi
from contracts.knowledge.inert import inert
from contracts.knowledge.names import did_you_mean
from contracts.knowledge.schema import check, floats_in
from contracts.types import CryptoHash, JsonObject

Origin: TypeAlias = Literal["abi", "standard", "exports"]
"""`abi`: the contract's own word. `standard`: its names are those of a standard. `exports`: nothing but the name."""

_TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
_JSON_NAMES: Final = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})

MAX_CACHED: Final = 256
"""Interfaces of this many contracts' codes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: JsonValue
    required: bool


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    origin: Origin
    kind: Literal["view", "call"] | None = None
    """None: not known."""
    parameters: tuple[Parameter, ...] | None = None
    """None: not known, or not JSON."""
    encoding: Literal["json", "borsh"] | None = None
    payable: bool | None = None
    one_yocto: bool = False
    """Asks for exactly 1 yoctoNEAR, the proof of a full-access key."""
    private: bool = False
    """Only the contract itself may call it."""
    doc: str = ""
    standard: str | None = None
    """Of `standard`: its name."""


@dataclass(frozen=True, slots=True)
class Interface:
    methods: Mapping[str, Method]
    definitions: JsonObject = field(default_factory=dict[str, JsonValue])
    problem: str | None = None
    """Why the contract's own ABI is not used, where it has one."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.methods)

    def argument_problem(self, method_name: str, args: JsonObject | list[JsonValue]) -> str | None:
        """Return the problem with the arguments of a call, as far as the method's arguments are known.

        An array is read by position, as serde does. A number with decimals needs a schema that asks for a number.
        """
        method = self.methods.get(method_name)
        if method is None or method.parameters is None:
            return decimals_problem(args)
        known = {parameter.name: parameter for parameter in method.parameters}
        if isinstance(args, list):
            if len(args) != len(known):
                return f"the array has {len(args)} values, one is needed for each of its {len(known)} arguments"
            args = dict(zip(known, args, strict=True))
        for name, parameter in known.items():
            if parameter.required and name not in args:
                return f"{inert(name, 60)} is missing"
        for name, value in args.items():
            wanted = known.get(name)
            if wanted is not None:
                found = check(value, wanted.schema, self.definitions, inert(name, 60))
                if found.problem is not None:
                    return found.problem
                unasked = next((one for one in floats_in(value, inert(name, 60)) if one not in found.numbers), None)
                if unasked is not None:
                    return _decimals(unasked)
            elif (problem := decimals_problem(value, inert(name, 60))) is not None:
                return problem
            elif method.origin == "abi":
                # A contract passes over names that it does not know: an optional one misspelt would be lost.
                return f"there is no argument {inert(name, 60)}{did_you_mean(name, known).rstrip('.')}"
        return None


def decimals_problem(args: JsonValue, place: str = "args") -> str | None:
    """The first number with decimals in arguments whose schema nobody knows; None if there is none."""
    found = next(floats_in(args, place), None)
    return None if found is None else _decimals(found)


def _decimals(place: str) -> str:
    return (
        f"{place} is a number with decimals, for which no known schema asks; write it as a string, or use args_base64"
    )


def read_interface(exports: Sequence[str], abi: Abi | None = None, problem: str | None = None) -> Interface:
    """What a code's exports, and the ABI that it carries, say together. Methods that are not exported are left out."""
    methods = {name: Method(name, "exports") for name in exports}
    for document in _documents():
        if all(name in methods for name in document.recognised_by):
            methods |= {
                one.name: one.method(document.name)
                for one in document.methods
                if one.name in methods and methods[one.name].origin == "exports"
            }
    if abi is None:
        return Interface(methods, dict(_DEFINITIONS), problem)
    own = {function.name: _of_abi(function) for function in abi.functions if function.name in methods}
    return Interface({**methods, **own}, {**_DEFINITIONS, **abi.definitions}, problem)


def interface_of(exports: Sequence[str], abi: bytes | None) -> Interface:
    """As `read_interface`, from what `__contract_abi` answered; one that cannot be read is told as the problem."""
    if abi is None:
        return read_interface(exports)
    try:
        return read_interface(exports, read_abi(abi))
    except InvalidInput as error:
        return read_interface(exports, None, error.message)


def type_name(schema: JsonValue) -> str:
    """A type in a word or two: `string`, `AccountId`, `list of integer`, `any`."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return name if _TYPE_NAME.fullmatch(name) else "any"
        case {"type": "array", "items": items}:
            return f"list of {type_name(items)}"
        case {"format": "units"}:
            return "base units"
        case {"type": str(kind)}:
            return kind if kind in _JSON_NAMES else "any"
        case {"type": list(kinds)}:
            return " or ".join(str(kind) for kind in kinds[:4] if kind in _JSON_NAMES and kind != "null") or "null"
        case {"anyOf": list(forms)} | {"oneOf": list(forms)}:
            names = [type_name(form) for form in forms[:5] if form != {"type": "null"}]
            return " or ".join(dict.fromkeys(names))[:80]
        case _:
            return "any"


class InterfaceCache:
    """Interfaces by the hash of their code; the least recently used goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[CryptoHash, Interface] = OrderedDict()

    def get(self, code_hash: CryptoHash) -> Interface | None:
        found = self._kept.get(code_hash)
        if found is not None:
            self._kept.move_to_end(code_hash)
        return found

    def keep(self, code_hash: CryptoHash, interface: Interface) -> None:
        self._kept[code_hash] = interface
        while len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)


def _of_abi(function: AbiFunction) -> Method:
    params = function.params
    parameters = None
    if params is None or params.serialization_type == "json":
        args = () if params is None else params.args
        parameters = tuple(Parameter(arg.name, arg.type_schema, not _takes_null(arg.type_schema)) for arg in args)
    return Method(
        name=function.name,
        origin="abi",
        kind=function.kind,
        parameters=parameters,
        encoding="json" if params is None else params.serialization_type,
        payable="payable" in function.modifiers,
        private="private" in function.modifiers,
        doc=(function.doc or "")[:MAX_DOC],
    )


def _takes_null(schema: JsonValue) -> bool:
    """Whether an Option may be left out: near-sdk reads a missing one as null."""
    return check(None, schema, {}).problem is None and not (isinstance(schema, dict) and "$ref" in schema)


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Argument(_Data):
    name: str
    type: str
    optional: bool = False


class _Method(_Data):
    name: str
    kind: Literal["view", "call"]
    args: tuple[_Argument, ...]
    deposit: Literal["0", "1", "any", "bond", "storage"] | None = None

    def method(self, standard: str) -> Method:
        return Method(
            name=self.name,
            origin="standard",
            kind=self.kind,
            parameters=tuple(_parameter(arg) for arg in self.args),
            encoding="json",
            payable=None if self.deposit == "0" else self.deposit is not None,
            one_yocto=self.deposit == "1",
            standard=standard,
        )


class _Document(_Data):
    """A file of `data/abi`: a standard's or a well-known contract's methods."""

    name: str
    source: str
    recognised_by: tuple[str, ...]
    """A code that exports all of these is taken to be one of these contracts."""
    methods: tuple[_Method, ...]


@functools.cache
def _documents() -> tuple[_Document, ...]:
    folder = resources.files("contracts.knowledge").joinpath("data", "abi")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return tuple(_Document.model_validate(json.loads(file.read_text(encoding="utf-8"))) for file in files)


_DEFINITIONS: Final[JsonObject] = {"AccountId": {"type": "string"}}
_UNITS: Final[JsonObject] = {"type": "string", "format": "units"}
_TYPES: Final[Mapping[str, JsonValue]] = {
    "AccountId": {"$ref": "#/definitions/AccountId"},
    "u128": _UNITS,
    "u64 string": _UNITS,
    "u64": {"type": "integer", "format": "uint64"},
    "u32": {"type": "integer", "format": "uint32"},
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "base58": {"type": "string"},
    "Action": {"type": "string"},
}


def _parameter(argument: _Argument) -> Parameter:
    schema = _schema(argument.type)
    if argument.optional:
        return Parameter(argument.name, {"anyOf": [schema, {"type": "null"}]}, required=False)
    return Parameter(argument.name, schema, required=True)


def _schema(kind: str) -> JsonValue:
    """The schema of a type as the documents name it; anything for one that is not spelt out there."""
    listed = kind.removeprefix("list of ")
    if listed != kind:
        return {"type": "array", "items": _schema(listed)}
    return _TYPES.get(kind, True)


def carries_abi(exports: Sequence[str]) -> bool:
    return ABI_METHOD in exports
