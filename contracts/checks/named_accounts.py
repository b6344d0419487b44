"""The accounts that a call's arguments name, wherever they stand: under keys, in lists, in JSON within texts, encoded. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Final

from pydantic import JsonValue

from contracts.call_arguments import Ambiguous, NotJson, lenient_json
from contracts.types import base_units

_MAX_DEPTH: Final = 12
_MAX_TEXT: Final = 65_536
_MAX_BRACKETS: Final = 128
"""More than that in a text that is not read as JSON, and another parser may still read it."""
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_HEX_LENGTH: Final = 64
_ETH_LENGTH: Final = 42
_SHAPED: Final = re.compile(r"(?:[a-z\d]+(?:[-_][a-z\d]+)*\.)*[a-z\d]+(?:[-_][a-z\d]+)*", re.ASCII)
_IMPLICIT: Final = re.compile(r"[0-9a-f]{64}|0[xs][0-9a-f]{40}", re.ASCII)
_BREAK: Final = re.compile(r"[^a-z\d._-]+|[._-]{2,}", re.ASCII)
"""Between the words of a text; an account id has no two separators next to each other."""
_SEPARATOR: Final = re.compile(r"[._-]")
_TOP_LEVEL: Final = (".near", ".testnet", ".localnet", ".tg", ".sweat", ".aurora")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_BARE_ETH: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
"""The form in which a message to Aurora's engine names the receiver there."""
_MINIMUM: Final = re.compile(r"min(imum)?_?(amount|out|receive)|amount_out_min|least_amount")
"""Names of what a swap must give at least: ref-exchange's `min_amount_out`, its DCL pools' `min_output_amount`, others'."""
_ACCOUNT: Final = "account"
"""A key under which any text that is shaped like an account id is one."""
_RECEIVERS: Final = frozenset({"receiver_id", "account_id"})
"""Fields of the standards that hold nothing but an account id, which may be a number too."""
_SHORTEST: Final = 8
"""Of an encoded text that is looked into: `a.near` in base64."""
_URL_SAFE: Final = str.maketrans("-_", "+/")
_ACCOUNT_KEY: Final = re.compile(
    r"(?:^|_)(account|receiver|recipient|owner|beneficiary|sender|member|delegate|operator|user|to|target|payee|council"
    r"|referral|new_owner|old_owner|predecessor|signer)(?:_?[iI]ds?|s)?$"
)


class NamedAccounts:
    """Collects every account that arguments name, also in JSON inside texts and in base64 of it."""

    def __init__(self, *, known: bool) -> None:
        """`known`: of a standard's method, whose `memo` nobody acts on and whose other texts name what they say."""
        self.accounts: dict[str, str] = {}
        """Account -> where it stands first; "" for a part that cannot be read."""
        self.mentioned: dict[str, str] = {}
        """Words that may be accounts."""
        self.no_minimum = False
        self.unread_message = False
        """A part of the `msg` that another contract parses stays unread."""
        self._known = known
        self._in_message = False

    def read(
        self,
        value: JsonValue,
        where: str,
        depth: int,
        key: str = "",
        *,
        goes_on: bool = False,
        positional: bool = False,
    ) -> None:
        """Read one value; `key` is the name it stands under, `goes_on` a swap whose result is all swapped on.

        `positional`: its place in a list, and no key, says what it is.
        """
        match value:
            case str():
                self._read_text(value, where, depth, key, positional=positional)
            case dict() if depth < _MAX_DEPTH:
                self.no_minimum = self.no_minimum or (not goes_on and _swaps_for_nothing(value))
                for name, inner in value.items():
                    if depth == 0:
                        self._in_message = name == "msg"
                        if name == "memo" and self._known:
                            continue
                    place = f"{where}.{name}" if where else name
                    if len(name) > 40 or not name.isalpha():
                        self._read_name(name, place)
                    # A message is a text; one that is a list is a struct that the receiver reads by position.
                    self.read(inner, place, depth + 1, name, positional=depth == 0 and self._in_message)
            case list() if depth < _MAX_DEPTH:
                # serde reads a struct from a list too: a list within a list, or of several types, may be one.
                types = _types_in(value)
                struct = positional or len(types) > 1
                if struct and self._in_message:
                    self.unread(where)
                struct = struct or "list" in types
                for inner, following in zip_longest(value, value[1:]):
                    goes_on = _takes_all_of(following, inner)
                    self.read(inner, where, depth + 1, key, goes_on=goes_on, positional=struct)
            case dict() | list():
                self.unread(where)  # nested deeper than anyone reads
            case _:
                pass

    def _read_text(self, text: str, where: str, depth: int, key: str, *, positional: bool) -> None:
        if _is_account(text, key):
            self._note(text, where)
            return
        if (positional or self._in_message) and _is_account(text, _ACCOUNT):
            self._mention(text, where)
        if len(text) > 2 and (inner := self._inner_json(text, where)) is not None:
            self.read(inner, where, depth + 1, key, positional=isinstance(inner, list))
        elif (decoded := _decoded(text)) is not None:
            self.read(decoded, where, depth + 1, key)
        else:
            self.within(text, where)
            if key == "msg":
                self._words(text, where)

    def _inner_json(self, text: str, where: str) -> JsonValue:
        """The list, object or text that a text holds as JSON; None if it holds none that can be read."""
        if len(text) > _MAX_TEXT:
            return None
        inner = text.strip()
        if inner[:1] not in {"{", "[", '"'}:
            return None
        try:
            value = lenient_json(inner)
        except Ambiguous:
            self.unread(where)
            return None
        except NotJson:
            if self._in_message and inner[:1] != '"':
                self.unread(where)
            return None
        return value if isinstance(value, dict | list | str) and value != text else None

    def _read_name(self, name: str, where: str) -> None:
        if _is_account(name, ""):
            self._note(name, where)
        else:
            self.within(name, where)

    def _words(self, text: str, where: str) -> None:
        """Anything that is shaped like an account in a text that a contract reads."""
        for word in _words_of(text[:_MAX_TEXT]):
            if _is_account(word, ""):
                self._note(word, where)
            elif _BARE_ETH.fullmatch(word):
                self._note(f"0x{word}", where)
            elif _is_account(word, _ACCOUNT):
                self._mention(word, where)

    def opaque(self, args: bytes, where: str) -> None:
        """Arguments that stay unread: the accounts that can be seen in them, and surely not all."""
        self.within(args.decode("utf-8", "replace"), where)
        self.unread(where)

    def unread(self, where: str) -> None:
        """Here is something that nobody can tell the accounts of."""
        self._note("", where)
        self.unread_message = self.unread_message or self._in_message

    def within(self, text: str, where: str) -> None:
        """Accounts inside a longer text."""
        if len(text) > _MAX_TEXT or text.count("[") + text.count("{") > _MAX_BRACKETS:
            self.unread(where)
        elif "." in text or len(text) >= 42:
            for word in _words_of(text):
                if not _is_account(word, ""):
                    continue
                if word.endswith(_TOP_LEVEL) or _IMPLICIT.fullmatch(word):
                    self._note(word, where)
                elif not self._known:
                    self._mention(word, where)

    def _note(self, account_id: str, where: str) -> None:
        self.accounts.setdefault(account_id, where)

    def _mention(self, word: str, where: str) -> None:
        self.mentioned.setdefault(word, where)


def _words_of(text: str) -> Iterator[str]:
    """Words that may be account ids, in lower case; linear in the text's length, whatever it holds."""
    for part in _BREAK.split(text.lower()):
        word = part.strip("._-")
        yield word
        if len(word) > _ETH_LENGTH:
            yield from _SEPARATOR.split(word)


def _is_account(text: str, key: str) -> bool:
    """Whether a text is shaped like an account id: with a dot, implicit, or any under a key that says account."""
    length = len(text)
    if not 2 <= length <= 64 or _SHAPED.fullmatch(text) is None:
        return False
    if key in _RECEIVERS:
        return True
    if text.isdigit() and length != _HEX_LENGTH:
        return False
    if length in {_HEX_LENGTH, _ETH_LENGTH} and _IMPLICIT.fullmatch(text):
        return True
    if "." in text:
        return _NUMBER.fullmatch(text) is None
    return bool(_ACCOUNT_KEY.search(key))


def _decoded(text: str) -> str | None:
    """The text that a text is the hex or base64 of; None where it is that of none."""
    if not _SHORTEST <= len(text) <= _MAX_TEXT or _BASE64.fullmatch(text) is None:
        return None
    padded, bare = text.rstrip("=").translate(_URL_SAFE), text.removeprefix("0x")
    decoders = (bytes.fromhex,) if _HEX.fullmatch(bare) else ()
    for decode, written in (*((one, bare) for one in decoders), (_of_base64, padded + "=" * (-len(padded) % 4))):
        try:
            raw = decode(written)
        except binascii.Error:
            continue
        if raw.lstrip()[:1] in {b"{", b"["}:
            return raw.decode("utf-8", "replace")
        try:
            decoded = raw.decode()
        except UnicodeDecodeError:
            continue
        if decoded.isprintable():
            return decoded
    return None


def _of_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _types_in(values: list[JsonValue]) -> set[str]:
    """The JSON types of a list's values: one, if it is a Rust vector."""
    types = {_JSON_TYPES.get(type(value), "null") for value in values}
    if types == {"text"} and len({str(value).isdigit() for value in values}) > 1:
        types.add("amount")  # as text, among names: the fields of a struct
    return types


_JSON_TYPES: Final[Mapping[type, str]] = {
    int: "number",
    float: "number",
    str: "text",
    bool: "truth",
    dict: "object",
    list: "list",
}


def _swaps_for_nothing(value: Mapping[str, JsonValue]) -> bool:
    """Whether this is a swap by its fields, and what must come out of it is nothing."""
    least = [inner for name, inner in value.items() if _MINIMUM.match(name)]
    swaps = "token_in" in value and "token_out" in value
    return any(not _above_zero(inner) for inner in least) or (swaps and not least)


def _above_zero(value: JsonValue) -> bool:
    return (base_units(value) or 0) > 0


def _takes_all_of(following: JsonValue, swap: JsonValue) -> bool:
    """A route's step that names no amount of its own takes what the one before it gave: the minimum is the last one's."""
    match swap, following:
        case {"token_out": str(token)}, {"token_in": taken, "token_out": str()}:
            return token == taken and following.get("amount_in") is None
        case _:
            return False
