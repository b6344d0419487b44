"""A second reading of stored calls: Borsh from one table of layouts, written apart from the encoder that signs.

It takes calls as the database keeps them (JSON), writes their bytes, hashes these as a grant does, and reads the bytes back,
so that what it tells is what was hashed. It imports neither the encoder nor the card: an error in one of them shows as a
difference. Layouts: nearcore `core/primitives/src/action`, NEP-366, NEP-591, NEP-611, NEP-616. Pure.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import base58
from pydantic import JsonValue

from contracts.errors import InvalidInput

_CURVES: Final[tuple[tuple[str, int, int], ...]] = (
    ("ed25519", 32, 64),
    ("secp256k1", 64, 65),
    ("ml-dsa-65", 1952, 3309),
)
"""By Borsh's number: name, bytes of a public key, bytes of a signature."""
_HASH_BYTES: Final = 32
_MAX_BASE58: Final = 4096
"""More than a key of any curve has; reading takes time that grows with the square of the length."""


@dataclass(slots=True)
class _Bytes:
    """Bytes that are read front to back."""

    data: bytes
    position: int = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise _unreadable(f"the bytes end at {len(self.data)}, {end} are needed")
        self.position, start = end, self.position
        return self.data[start:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")


@dataclass(frozen=True, slots=True)
class _Layout:
    """One type: how its JSON becomes bytes, and how the bytes become that JSON again."""

    write: Callable[[JsonValue], bytes]
    read: Callable[[_Bytes], JsonValue]


def _unreadable(message: str) -> InvalidInput:
    return InvalidInput("bad_transaction", message)


def _integer(size: int, *, as_text: bool = False) -> _Layout:
    def write(value: JsonValue) -> bytes:
        digits = value if isinstance(value, str) and value.isascii() and value.isdigit() else None
        number = int(digits) if digits is not None else value
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << (8 * size):
            raise _unreadable(f"{str(value)[:80]} is no whole number of {size} bytes")
        return number.to_bytes(size, "little")

    def read(data: _Bytes) -> JsonValue:
        number = data.number(size)
        return str(number) if as_text else number

    return _Layout(write, read)


def _counted(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "little") + raw


def _write_text(value: JsonValue) -> bytes:
    if not isinstance(value, str):
        raise _unreadable(f"{str(value)[:80]} is no text")
    try:
        return _counted(value.encode())
    except UnicodeEncodeError as error:
        raise _unreadable(f"{value[:80]!r} cannot be written as UTF-8") from error


def _read_text(data: _Bytes) -> JsonValue:
    try:
        return data.take(data.number(4)).decode()
    except UnicodeDecodeError as error:
        raise _unreadable("a text is not UTF-8") from error


def _from_base64(value: JsonValue) -> bytes:
    try:
        return base64.b64decode(str(value).replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise _unreadable(f"{str(value)[:80]} is no base64") from error


def _to_base64(raw: bytes) -> JsonValue:
    return base64.b64encode(raw).decode()


def _from_base58(text: str) -> bytes:
    try:
        return base58.b58decode(text[:_MAX_BASE58])
    except ValueError as error:
        raise _unreadable(f"{text[:80]} is no base58") from error


def _write_key(value: JsonValue) -> bytes:
    curve, _, body = str(value).partition(":")
    raw = _from_base58(body)
    for number, (name, size, _) in enumerate(_CURVES):
        if name == curve and len(raw) == size:
            return bytes((number,)) + raw
    raise _unreadable(f"{str(value)[:120]} is no public key of a known curve")


def _read_key(data: _Bytes) -> JsonValue:
    number = data.number(1)
    if number >= len(_CURVES):
        raise _unreadable(f"public keys of type {number} are not known")
    name, size, _ = _CURVES[number]
    return f"{name}:{base58.b58encode(data.take(size)).decode()}"


def _write_hash(value: JsonValue) -> bytes:
    raw = _from_base58(str(value))
    if len(raw) != _HASH_BYTES:
        raise _unreadable(f"{str(value)[:80]} is no hash of {_HASH_BYTES} bytes")
    return raw


def _list(item: _Layout) -> _Layout:
    def write(value: JsonValue) -> bytes:
        if not isinstance(value, list):
            raise _unreadable(f"{str(value)[:80]} is no list")
        return len(value).to_bytes(4, "little") + b"".join(map(item.write, value))

    def read(data: _Bytes) -> JsonValue:
        count = data.number(4)
        if count > len(data.data) - data.position:  # every item has at least one byte
            raise _unreadable(f"a list of {count} items does not fit the bytes")
        return [item.read(data) for _ in range(count)]

    return _Layout(write, read)


def _option(inner: _Layout) -> _Layout:
    return _Layout(
        lambda value: b"\0" if value is None else b"\1" + inner.write(value),
        lambda data: inner.read(data) if _flag(data) else None,
    )


def _flag(data: _Bytes) -> bool:
    flag = data.number(1)
    if flag > 1:
        raise _unreadable(f"an option is marked {flag}, only 0 and 1 are allowed")
    return flag == 1


def _struct(*fields: tuple[str, _Layout], kind: str | None = None) -> _Layout:
    def write(value: JsonValue) -> bytes:
        names = {*(name for name, _ in fields), *(("kind",) if kind else ())}
        if not isinstance(value, dict) or value.keys() != names:
            raise _unreadable(f"{kind or 'a value'} has other fields than {', '.join(sorted(names))}")
        return b"".join(layout.write(value[name]) for name, layout in fields)

    def read(data: _Bytes) -> JsonValue:
        found: dict[str, JsonValue] = {name: layout.read(data) for name, layout in fields}
        return {"kind": kind, **found} if kind else found

    return _Layout(write, read)


def _pair(first: _Layout, second: _Layout) -> _Layout:
    def write(value: JsonValue) -> bytes:
        match value:
            case [one, other]:
                return first.write(one) + second.write(other)
            case _:
                raise _unreadable(f"{str(value)[:80]} is no pair")

    return _Layout(write, lambda data: [first.read(data), second.read(data)])


def _choice(kinds: Mapping[int, tuple[str, _Layout]]) -> _Layout:
    """One of several structs by its `kind`, or one of several names."""

    def write(value: JsonValue) -> bytes:
        kind = value.get("kind") if isinstance(value, dict) else value
        for number, (name, layout) in kinds.items():
            if name == kind:
                return bytes((number,)) + layout.write(value)
        raise _unreadable(f"{str(kind)[:80]} is none of {', '.join(name for name, _ in kinds.values())}")

    def read(data: _Bytes) -> JsonValue:
        number = data.number(1)
        if number not in kinds:
            raise _unreadable(f"kind {number} is none of {sorted(kinds)}")
        return kinds[number][1].read(data)

    return _Layout(write, read)


def _kinds(*structs: tuple[int, str, Sequence[tuple[str, _Layout]]]) -> dict[int, tuple[str, _Layout]]:
    return {number: (name, _struct(*fields, kind=name)) for number, name, fields in structs}


def _name(name: str) -> tuple[str, _Layout]:
    return name, _Layout(lambda _value: b"", lambda _data: name)


def _write_signature(value: JsonValue, curve: int) -> bytes:
    raw = _from_base64(value)
    if len(raw) != _CURVES[curve][2]:
        raise _unreadable(f"a signature has {len(raw)} bytes, not {_CURVES[curve][2]}")
    return bytes((curve,)) + raw


def _write_delegate(value: JsonValue) -> bytes:
    match value:
        case {"kind": "delegate", "delegate_action": dict() as action, "signature": signature}:
            curve = _write_key(action.get("public_key"))[0]
            return _DELEGATE_ACTION.write(action) + _write_signature(signature, curve)
        case _:
            raise _unreadable("delegate has other fields than delegate_action, signature")


def _read_delegate(data: _Bytes) -> JsonValue:
    action = cast("dict[str, JsonValue]", _DELEGATE_ACTION.read(data))
    signature = _read_signature(data)
    return {"kind": "delegate", "delegate_action": action, "signature": _to_base64(signature)}


def _read_signature(data: _Bytes) -> bytes:
    curve = data.number(1)
    if curve >= len(_CURVES):
        raise _unreadable(f"signatures of type {curve} are not known")
    return data.take(_CURVES[curve][2])


_U16, _U64, _U128 = _integer(2), _integer(8), _integer(16, as_text=True)
_TEXT: Final = _Layout(_write_text, _read_text)
_RAW: Final = _Layout(lambda value: _counted(_from_base64(value)), lambda data: _to_base64(data.take(data.number(4))))
_KEY: Final = _Layout(_write_key, _read_key)
_HASH: Final = _Layout(_write_hash, lambda data: base58.b58encode(data.take(_HASH_BYTES)).decode())
_LIMITS: Final = (("allowance", _option(_U128)), ("receiver_id", _TEXT), ("method_names", _list(_TEXT)))
_PURSE: Final = (("balance", _U128), ("num_nonces", _U16))
_PERMISSION: Final = _choice(
    _kinds(
        (0, "function_call_access", _LIMITS),
        (1, "full_access", ()),
        (2, "gas_key_function_call_access", (*_PURSE, *_LIMITS)),
        (3, "gas_key_full_access", _PURSE),
    )
)
_CONTRACT: Final = _choice(
    _kinds((0, "code_hash", (("code_hash", _HASH),)), (1, "account_id", (("account_id", _TEXT),)))
)
_STATE: Final = _struct(("code", _CONTRACT), ("data", _list(_pair(_RAW, _RAW))))
_STATE_INIT: Final = _choice({0: ("", _STATE)})
_MODE: Final = _choice({0: _name("code_hash"), 1: _name("account_id")})
_PLAIN: Final = _kinds(
    (0, "create_account", ()),
    (1, "deploy_contract", (("code", _RAW),)),
    (2, "function_call", (("method_name", _TEXT), ("args", _RAW), ("gas", _U64), ("deposit", _U128))),
    (3, "transfer", (("deposit", _U128),)),
    (4, "stake", (("stake", _U128), ("public_key", _KEY))),
    (5, "add_key", (("public_key", _KEY), ("nonce", _U64), ("permission", _PERMISSION))),
    (6, "delete_key", (("public_key", _KEY),)),
    (7, "delete_account", (("beneficiary_id", _TEXT),)),
    (9, "deploy_global_contract", (("code", _RAW), ("deploy_mode", _MODE))),
    (10, "use_global_contract", (("contract", _CONTRACT),)),
    (
        11,
        "deterministic_state_init",
        (
            ("state_init", _Layout(lambda value: b"\0" + _STATE.write(value), _STATE_INIT.read)),
            ("deposit", _U128),
        ),
    ),
    (12, "transfer_to_gas_key", (("public_key", _KEY), ("deposit", _U128))),
    (13, "withdraw_from_gas_key", (("public_key", _KEY), ("amount", _U128))),
)
_DELEGATE_ACTION: Final = _struct(
    ("sender_id", _TEXT),
    ("receiver_id", _TEXT),
    ("actions", _list(_choice(_PLAIN))),
    ("nonce", _U64),
    ("max_block_height", _U64),
    ("public_key", _KEY),
)
_ACTIONS: Final = _list(_choice({**_PLAIN, 8: ("delegate", _Layout(_write_delegate, _read_delegate))}))


@dataclass(frozen=True, slots=True)
class DecodedCall:
    """One transaction as its bytes say it."""

    receiver_id: str
    actions: tuple[dict[str, JsonValue], ...]
    """As the database keeps them, read back from the bytes."""
    data: bytes
    """Borsh of the receiver and the actions."""


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """The signer and the call of a signed transaction; its key, nonce and block hash are of no interest to a card."""

    signer_id: str
    call: DecodedCall


def read_stored_calls(calls: JsonValue) -> tuple[DecodedCall, ...]:
    """Calls as a card keeps them, written as bytes and read back. InvalidInput `bad_transaction` for anything unknown."""
    if not isinstance(calls, list):
        raise _unreadable("the stored calls are no list")
    return tuple(_stored_call(call) for call in calls)


def _stored_call(call: JsonValue) -> DecodedCall:
    match call:
        case {"kind": "change", "receiver_id": str(receiver_id), "actions": list() as actions} if len(call) == 3:
            return _decoded(_write_text(receiver_id) + _ACTIONS.write(actions))
        case _:
            raise _unreadable("a stored call is no receiver with actions")


def _decoded(data: bytes) -> DecodedCall:
    reader = _Bytes(data)
    receiver_id, actions = str(_read_text(reader)), cast("list[dict[str, JsonValue]]", _ACTIONS.read(reader))
    if reader.position != len(data):
        raise _unreadable(f"{len(data) - reader.position} bytes follow the actions")
    return DecodedCall(receiver_id, tuple(actions), data)


def hash_of_calls(chain_id: str, signer_id: str, calls: Sequence[DecodedCall]) -> str:
    """sha256 (hex) over chain id, signer id and the sha256 of each call's bytes, in order."""
    digest = hashlib.sha256(_write_text(chain_id) + _write_text(signer_id) + len(calls).to_bytes(4, "little"))
    for call in calls:
        digest.update(hashlib.sha256(call.data).digest())
    return digest.hexdigest()


def read_signed_transaction(data: bytes) -> DecodedTransaction:
    """Read the wire bytes of a signed transaction, V0 or V1. InvalidInput `bad_transaction` unless every byte is accounted for."""
    reader = _Bytes(data)
    # V1 begins with byte 1, V0 with the length of an account id, which is at least 2.
    is_v1 = data[:1] == b"\1"
    reader.position = int(is_v1)
    signer_id, _ = str(_read_text(reader)), _read_key(reader)
    has_index = is_v1 and _flag(reader)
    reader.take(10 if has_index else 8)
    start = reader.position
    receiver_id = _read_text(reader)
    receiver = data[start : reader.position]
    reader.take(_HASH_BYTES)
    start = reader.position
    actions = cast("list[dict[str, JsonValue]]", _ACTIONS.read(reader))
    call = DecodedCall(str(receiver_id), tuple(actions), receiver + data[start : reader.position])
    reader.take(int(is_v1))
    _read_signature(reader)
    if reader.position != len(data):
        raise _unreadable(f"{len(data) - reader.position} bytes follow the transaction")
    return DecodedTransaction(signer_id, call)


def in_words(call: DecodedCall) -> Iterator[str]:
    """Each action in a line, with everything that its bytes hold; amounts in yoctoNEAR, long bytes by their sha256."""
    for action in call.actions:
        yield _action_words(action)


def _action_words(action: Mapping[str, JsonValue]) -> str:
    match action:
        case {"kind": "function_call", "method_name": name, "args": args, "gas": gas, "deposit": deposit}:
            return f"call {name} with {_shown(args)}, deposit {deposit} yoctoNEAR, gas {gas}"
        case {"kind": "delegate", "delegate_action": dict() as inner}:
            inside = "; ".join(
                _action_words(cast("dict[str, JsonValue]", one)) for one in cast("list[JsonValue]", inner["actions"])
            )
            return f"act for {inner['sender_id']} to {inner['receiver_id']}: {inside}"
        case _:
            fields = (f"{name} {_field(value)}" for name, value in action.items() if name != "kind")
            return " ".join((str(action["kind"]).replace("_", " "), ", ".join(fields))).strip()


_MAX_SHOWN: Final = 2000


def _field(value: JsonValue) -> str:
    match value:
        case dict():
            inside = ", ".join(f"{name} {_field(inner)}" for name, inner in value.items() if name != "kind")
            kind = str(value.get("kind", "")).replace("_", " ")
            return f"{kind} ({inside})".strip() if inside else kind
        case list():
            return f"[{', '.join(map(_field, value))}]"
        case None:
            return "none"
        case _:
            text = str(value)
            return text if len(text) <= _MAX_SHOWN else f"{len(text)} characters with sha256 {_sha256(text.encode())}"


def _shown(args: JsonValue) -> str:
    raw = _from_base64(args)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return f"{len(raw)} bytes {raw.hex()}" if len(raw) <= 100 else f"{len(raw)} bytes with sha256 {_sha256(raw)}"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(raw)} bytes with sha256 {_sha256(raw)})"


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
