"""The lenient reader next to a model of what serde_json and near-sdk make of a call's arguments."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.call_arguments import (
    MAX_ARGUMENT_BYTES,
    MAX_NESTING,
    Ambiguous,
    NotJson,
    lenient_json,
    read_arguments,
)
from contracts.checks.judging import read_call, units_of
from tests.contracts.checks.policies import USDC, call

OPEN, CLOSE = (b"[", b'{"k":'), (b"]", b"}")


class Refused(Exception):
    """The contract would panic."""


class Serde:
    """Derived `Deserialize` of `{receiver_id: String, amount: U128, memo: Option<String>}` over serde_json, from its source.

    Fields come from an object, unknown ones skipped byte by byte, or from a list in the order in which they are declared.
    """

    _NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
    _FIELDS = ("receiver_id", "amount", "memo")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def amount(self) -> int:
        found = self._list() if self._peek() == b"[" else self._object()
        if self._peek():
            raise Refused
        if not isinstance(found.get("receiver_id"), str) or not isinstance(found.get("amount"), str):
            raise Refused
        if not re.fullmatch(r"\+?[0-9]+", str(found["amount"]), re.ASCII) or int(str(found["amount"])) >= 2**128:
            raise Refused
        return int(str(found["amount"]))

    def _peek(self) -> bytes:
        while self._raw[self._at : self._at + 1] in (b" ", b"\n", b"\t", b"\r"):
            self._at += 1
        return self._raw[self._at : self._at + 1]

    def _take(self, sign: bytes) -> None:
        if self._peek() != sign:
            raise Refused
        self._at += 1

    def _object(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}

        def member() -> None:
            key = self._text()
            self._take(b":")
            if key not in self._FIELDS:
                self._skip()
                return
            if key in found:
                raise Refused
            found[key] = self._value(key)

        self._series(b"{", b"}", member)
        return found

    def _list(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}

        def item() -> None:
            if len(found) == len(self._FIELDS):
                raise Refused
            key = self._FIELDS[len(found)]
            found[key] = self._value(key)

        self._series(b"[", b"]", item)
        if len(found) < len(self._FIELDS):
            raise Refused
        return found

    def _series(self, first: bytes, last: bytes, item: Callable[[], None]) -> None:
        self._take(first)
        while self._peek() != last:
            item()
            if self._peek() != last:
                self._take(b",")
                if self._peek() == last:
                    raise Refused
        self._take(last)

    def _value(self, key: str) -> str | None:
        if key == "memo" and self._raw[self._at :].lstrip(b" \n\t\r").startswith(b"null"):
            self._peek()
            self._at += 4
            return None
        return self._text()

    def _text(self) -> str:
        written = self._quoted()
        try:
            text = json.loads(written.decode())
            text.encode()
        except ValueError as error:
            raise Refused from error
        return str(text)

    def _quoted(self) -> bytes:
        if self._peek() != b'"':
            raise Refused
        found = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"').match(self._raw, self._at)
        if found is None:
            raise Refused
        self._at = found.end()
        return found.group()

    def _skip_member(self) -> None:
        self._quoted()
        self._take(b":")
        self._skip()

    def _skip(self) -> None:
        match self._peek():
            case b'"':
                self._quoted()
            case b"{":
                self._series(b"{", b"}", self._skip_member)
            case b"[":
                self._series(b"[", b"]", self._skip)
            case _:
                for word in (b"null", b"true", b"false"):
                    if self._raw.startswith(word, self._at):
                        self._at += len(word)
                        return
                found = self._NUMBER.match(self._raw, self._at)
                if found is None:
                    raise Refused
                self._at = found.end()


def escaped(text: str) -> st.SearchStrategy[bytes]:
    """A JSON string of this text, some of its letters written as escapes."""
    return st.lists(st.booleans(), min_size=len(text), max_size=len(text)).map(
        lambda chosen: (
            b'"'
            + b"".join(b"\\u%04x" % ord(one) if bent else one.encode() for one, bent in zip(text, chosen, strict=True))
            + b'"'
        )
    )


SPACE = st.sampled_from([b"", b"", b" ", b"\n\t", b"\r "])
JUNK = st.recursive(
    st.sampled_from(
        [b"null", b"true", b"1", b"-0", b"1e999", b"1E-5", b"1.5", b"9" * 4400, b'""', b'"\\ud800"', b'"\xff"', b'"a"']
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: b"[" + b",".join(parts) + b"]"),
        inner.map(lambda part: b'{"amount":' + part + b"}"),
        st.tuples(inner, inner).map(lambda two: b'{"a":' + two[0] + b',"a":' + two[1] + b"}"),
        st.tuples(st.integers(1, 150), st.sampled_from(range(2)), inner).map(
            lambda deep: OPEN[deep[1]] * deep[0] + deep[2] + CLOSE[deep[1]] * deep[0]
        ),
    ),
    max_leaves=4,
)
AMOUNTS = st.one_of(
    st.integers(0, 2**128).map(str),
    st.integers(0, 50).map(lambda number: f"+{number}"),
    st.integers(1, 50).map(lambda number: "0" * 45 + str(number)),
    st.sampled_from(["", "-1", "1e3", "all"]),
).flatmap(escaped)
RECEIVER = escaped("bob.near")
MEMO = st.one_of(st.just(b"null"), escaped("memo"), JUNK)


@st.composite
def arguments(draw: st.DrawFn) -> bytes:
    """Bytes near to what a contract accepts."""
    if draw(st.booleans()):
        values = [draw(RECEIVER), draw(AMOUNTS), draw(MEMO), *draw(st.lists(JUNK, max_size=1))]
        parts = values[: draw(st.sampled_from([3, 3, 3, 2, 4]))]
        ends = (b"[", b"]")
    else:
        known = [("receiver_id", RECEIVER), ("amount", AMOUNTS), ("memo", MEMO), ("x", JUNK), ("y", JUNK)]
        again = draw(st.lists(st.sampled_from(known), max_size=1))
        rows = draw(st.permutations([*known, *again]))
        parts = [draw(SPACE) + draw(escaped(key)) + draw(SPACE) + b":" + draw(value) for key, value in rows]
        ends = (b"{", b"}")
    tail = draw(st.sampled_from([b"", b"", b"", b" ", b"x", b",", b"\x00"]))
    return draw(SPACE) + ends[0] + (draw(SPACE) + b",").join(parts) + draw(SPACE) + ends[1] + tail


@given(raw=arguments())
def test_whatever_the_contract_moves_is_seen_or_unread(raw: bytes) -> None:
    try:
        moved = Serde(raw).amount()
    except Refused:
        moved = 0
    (one,) = read_call(call("ft_transfer", raw=raw))
    assert units_of(one, USDC) >= moved
    assert moved == 0 or one.unread or "bob.near" in dict(one.recipients)


@given(raw=st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    read = read_arguments(raw)
    assert read is None or isinstance(read, dict)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=9,
    )
)
def test_plain_json_is_read_as_it_is(value: JsonValue) -> None:
    assert lenient_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"", {}),
        (b" {} \n", {}),
        (b'{"a":1e999}', {"a": float("inf")}),
        (b'{"a":-' + b"9" * 500 + b"}", {"a": float("-inf")}),
        (b'{"a":"\\ud800"}', {"a": "?"}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"\\u0061":1,"a":1}', None),
        (b'{"\\ud800":1,"\\udfff":2}', None),
        (b'{"a":{"b":1,"b":1}}', None),
        (b"[]", None),
        (b'"x"', None),
        (b"null", None),
        (b"\xef\xbb\xbf{}", None),
        (b"{} {}", None),
        ('{"a":1}'.encode("utf-16"), None),
    ],
)
def test_text_that_serde_reads_in_one_way_is_read_and_any_other_is_not(raw: bytes, read: JsonValue) -> None:
    assert read_arguments(raw) == read


def test_the_bounds_are_to_the_byte_and_level() -> None:
    full = b'{"a":"' + b"x" * (MAX_ARGUMENT_BYTES - 8) + b'"}'
    assert read_arguments(full) is not None
    assert read_arguments(full + b" ") is None
    nested = b'{"a":' + b"[" * (MAX_NESTING - 1) + b"]" * (MAX_NESTING - 1) + b"}"
    assert read_arguments(nested) is not None
    assert read_arguments(nested.replace(b"[]", b"[[]]")) is None
    wide = b'{"a":[' + b",".join([b"{}"] * 1000) + b'],"b":"' + b"[" * 1000 + b'"}'
    assert read_arguments(wide) is not None
    assert read_arguments(b'{"a":"' + b"[" * 500 + b'\\"' + b"[" * 500 + b'"}') is not None


@pytest.mark.parametrize("piece", [b'\\"', b'"', b"[", b"{", b'{"a":', b"\\", b"9"])
def test_text_made_to_be_slow_is_scanned_once(piece: bytes) -> None:
    """Quadratic would be minutes here."""
    times = MAX_ARGUMENT_BYTES // len(piece)
    assert read_arguments(b'"' + piece * (times - 1)) is None
    assert read_arguments(b"[" * 200 + b'"' + piece * (times // 2)) is None


def test_the_reasons_for_not_reading_are_told_apart() -> None:
    for text in ("{", "[1", "x", "", "{} x"):
        with pytest.raises(NotJson):
            lenient_json(text)
    for text in ('{"a":1,"a":2}', "[" * 200, "x" * (MAX_ARGUMENT_BYTES + 1)):
        with pytest.raises(Ambiguous):
            lenient_json(text)


def test_the_model_of_serde_reads_as_serde_does() -> None:
    """What the real wNEAR did with the same bytes (tests/real_contracts)."""
    for raw in (b'["bob.near","7",null]', b'{"receiver_id":"bob.near","amount":"7","x":1e999}'):
        assert Serde(raw).amount() == 7
    for raw in (
        b'["bob.near","7"]',
        b'{"receiver_id":"bob.near","amount":"7","amount":"7"}',
        b'{"amount":"7"}',
        b"{}x",
    ):
        with pytest.raises(Refused):
            Serde(raw).amount()
