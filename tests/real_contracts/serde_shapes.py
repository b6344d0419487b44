"""Typed values, written in the forms of JSON that serde_json reads as them.

A struct is read from an object or from an array of its fields; what an object holds besides is skipped without being parsed:
there `1e999`, lone surrogates, bytes that are no UTF-8 and any depth pass. Enums are externally tagged. near-sdk's U128 is
text that Rust's `u128::from_str_radix` takes: a plus sign and leading zeros are allowed. Source: serde's data model, serde_json
`de.rs` (`ignore_value`, `visit_seq`), near-sdk `json_types`.
"""

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never

from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class Struct:
    """All fields in their declared order; None stands for an option without a value."""

    fields: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of an externally tagged enum."""

    name: str
    body: Struct | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """A U128."""

    units: int


@dataclass(frozen=True, slots=True)
class Text:
    """JSON inside a string, as in a token's `msg`."""

    inner: "Value"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Base64 of bytes."""

    data: bytes


Value: TypeAlias = Struct | Variant | Amount | Text | Encoded | str | int | bool | tuple["Value", ...] | None

_DEEP: Final = 150
_SKIPPED: Final = (
    b"1e999",
    b"-1E400",
    rb'"\ud800"',
    rb'"\udc00\ud800"',
    b'"\xff\xfe"',
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"a":' * _DEEP + b"0" + b"}" * _DEEP,
    b'{"amount":"1","amount":"2"}',
    b'{"receiver_id":"bob.localnet","amount":"1"}',
    b"123456789012345678901234567890",
    b"0.1",
    b"null",
    b'""',
)
"""Values of fields that nobody asks for."""
_NAMES: Final = (b"x", b"Amount", b"amount ", rb"amount\u0000", b"actions_", rb"\u00e4", b"")
_SPACES: Final = (b"", b" ", b"\n\t", b"\r\n  ")


@dataclass(frozen=True, slots=True)
class Form:
    """How a document is written throughout."""

    space: bytes = b""
    escapes: bool = False
    arrays: float = 0.5
    """Share of the structs that are arrays."""
    skipped: tuple[bytes, ...] = field(default=_SKIPPED)


@st.composite
def written(draw: st.DrawFn, value: Value) -> bytes:
    """The value in one of its forms. A few cannot be read: a field that comes twice, a number for a U128."""
    arrays = draw(st.sampled_from((0.0, 0.5, 0.5, 1.0)))
    space = draw(st.sampled_from((b"", *_SPACES)))
    form = Form(space, draw(st.sampled_from((False, False, True))), arrays)
    return form.space + _write(draw, value, form) + form.space


def plain(value: Value) -> bytes:
    """The value as objects all through, which is how everybody writes it."""
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def _plain(value: Value) -> object:
    match value:
        case Struct(fields):
            return {name: _plain(inner) for name, inner in fields if inner is not None}
        case Variant(name, body):
            return name if body is None else {name: _plain(body)}
        case Amount(units):
            return str(units)
        case Text(inner):
            return plain(inner).decode()
        case Encoded(data):
            return base64.b64encode(data).decode()
        case tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _write(draw: st.DrawFn, value: Value, form: Form) -> bytes:
    match value:
        case Struct(fields):
            return _struct(draw, fields, form)
        case Variant(name, None):
            return _object([(_string(name, form), b"null")], form) if form.arrays else _string(name, form)
        case Variant(name, body):
            return _object([(_string(name, form), _write(draw, body, form))], form)
        case Amount(units):
            return _amount(draw, units, form)
        case Text(inner):
            # Enums without a tag are buffered, so nothing is skipped inside of them.
            text = _write(draw, inner, replace(form, skipped=(), space=form.space[:1]))
            return _string(text.decode(), form)
        case Encoded() | str():
            return _string(base64.b64encode(value.data).decode() if isinstance(value, Encoded) else value, form)
        case tuple():
            return _array([_write(draw, inner, form) for inner in value], form)
        case bool() | int() | None:
            return json.dumps(value).encode()
        case _:
            assert_never(value)


def _struct(draw: st.DrawFn, fields: tuple[tuple[str, Value], ...], form: Form) -> bytes:
    if draw(st.floats(0, 1, exclude_max=True)) < form.arrays:
        return _array([_write(draw, inner, form) for _, inner in fields], form)
    pairs = [
        (_string(name, form), _write(draw, inner, form))
        for name, inner in fields
        if inner is not None or draw(st.booleans())
    ]
    if form.skipped:
        more = draw(st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(form.skipped)), max_size=2))
        pairs += [(b'"' + name + b'"', inner) for name, inner in more]
    if draw(st.integers(0, 3)) == 3:
        pairs = draw(st.permutations(pairs))
    if pairs and draw(st.integers(0, 24)) == 24:
        pairs.append(pairs[0])
    return _object(pairs, form)


def _amount(draw: st.DrawFn, units: int, form: Form) -> bytes:
    wanted = draw(st.integers(0, 24))
    text = {1: f"+{units}", 2: f"000{units}", 3: f"+0{units}", 4: f" {units}"}.get(wanted, str(units))
    return text.encode() if wanted == 24 else _string(text, form)


def _string(text: str, form: Form) -> bytes:
    if form.escapes and text.isascii() and text.isprintable():
        # Every third character: enough that no comparison of bytes finds the word.
        parts = [f"\\u{ord(c):04x}" if n % 3 == 0 else json.dumps(c)[1:-1] for n, c in enumerate(text)]
        return f'"{"".join(parts)}"'.encode()
    return json.dumps(text, ensure_ascii=False).encode()


def _object(pairs: list[tuple[bytes, bytes]], form: Form) -> bytes:
    colon = form.space + b":" + form.space
    return b"{" + form.space + _joined([name + colon + inner for name, inner in pairs], form) + form.space + b"}"


def _array(items: list[bytes], form: Form) -> bytes:
    return b"[" + form.space + _joined(items, form) + form.space + b"]"


def _joined(parts: list[bytes], form: Form) -> bytes:
    return (form.space + b"," + form.space).join(parts)
